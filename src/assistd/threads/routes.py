"""The endpoints of threads and messages."""

from __future__ import annotations

from assistd.db.pool import Database
from assistd.threads import attachments, store
from assistd.threads.attachments import Terms
from assistd.threads.sought import sought
from assistd.threads.wire import CreateMessage, CreateThread, Message, ModifyMessage, ModifyThread, Thread
from assistd.web.endpoint import Path
from assistd.web.request import Request, check_id
from assistd.web.wire import Deleted, ListOf


def paths(db: Database, embedding_model: str) -> list[Path]:
    """Return the room's paths, served from this database; `embedding_model` is that of new vector stores."""
    terms = Terms(embedding_model)

    async def create_thread(request: Request) -> Thread:
        new = request.body(CreateThread)
        async with db.acquire() if store.is_plain(new) else db.transaction() as conn:
            return await store.create_thread(conn, request.project_id, new, terms)

    async def list_threads(request: Request) -> ListOf[Thread]:
        page, wanted = request.page(), sought(request)
        async with db.acquire() as conn:
            return await store.list_threads(conn, request.project_id, page, wanted)

    async def get_thread(request: Request) -> Thread:
        async with db.acquire() as conn:
            return await store.get_thread(conn, request.project_id, request.path["thread_id"])

    async def modify_thread(request: Request) -> Thread:
        change = request.body(ModifyThread)
        async with db.transaction() if change.tool_resources else db.acquire() as conn:
            return await store.modify_thread(
                conn, request.project_id, request.path["thread_id"], change, embedding_model
            )

    async def delete_thread(request: Request) -> Deleted:
        async with db.acquire() as conn:
            return await store.delete_thread(conn, request.project_id, request.path["thread_id"])

    async def create_message(request: Request) -> Message:
        new = request.body(CreateMessage)
        async with db.transaction() if attachments.bring_files([new]) else db.acquire() as conn:
            return await store.create_message(conn, request.project_id, request.path["thread_id"], new, terms)

    async def list_messages(request: Request) -> ListOf[Message]:
        page = request.page()
        run_id = request.query().get("run_id", [""])[-1]
        of_run = check_id("run_id", run_id) if run_id else None
        async with db.acquire() as conn:
            return await store.list_messages(conn, request.project_id, request.path["thread_id"], page, of_run)

    async def get_message(request: Request) -> Message:
        async with db.acquire() as conn:
            return await store.get_message(
                conn, request.project_id, request.path["thread_id"], request.path["message_id"]
            )

    async def modify_message(request: Request) -> Message:
        change = request.body(ModifyMessage)
        async with db.acquire() as conn:
            return await store.modify_message(
                conn, request.project_id, request.path["thread_id"], request.path["message_id"], change
            )

    async def delete_message(request: Request) -> Deleted:
        async with db.acquire() as conn:
            return await store.delete_message(
                conn, request.project_id, request.path["thread_id"], request.path["message_id"]
            )

    return [
        Path("/threads/{thread_id}/messages", {"GET": list_messages, "POST": create_message}),
        Path(
            "/threads/{thread_id}/messages/{message_id}",
            {"GET": get_message, "POST": modify_message, "DELETE": delete_message},
        ),
        Path("/threads", {"GET": list_threads, "POST": create_thread}),
        Path("/threads/{thread_id}", {"GET": get_thread, "POST": modify_thread, "DELETE": delete_thread}),
    ]
