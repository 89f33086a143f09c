"""The assistants' endpoints."""

from __future__ import annotations

from assistd.assistants import store
from assistd.assistants.wire import Assistant, CreateAssistant, ModifyAssistant
from assistd.db.pool import Database
from assistd.web.endpoint import Path
from assistd.web.request import Request
from assistd.web.wire import Deleted, ListOf


def paths(db: Database, embedding_model: str) -> list[Path]:
    """Return the room's paths, served from this database; `embedding_model` is that of new vector stores."""

    async def create(request: Request) -> Assistant:
        new = request.body(CreateAssistant)
        # Without resources it is one statement, which needs no transaction of its own.
        async with db.transaction() if new.tool_resources else db.acquire() as conn:
            return await store.create(conn, request.project_id, new, embedding_model)

    async def list_page(request: Request) -> ListOf[Assistant]:
        page = request.page()
        async with db.acquire() as conn:
            return await store.list_page(conn, request.project_id, page)

    async def get(request: Request) -> Assistant:
        async with db.acquire() as conn:
            return await store.get(conn, request.project_id, request.path["assistant_id"])

    async def modify(request: Request) -> Assistant:
        change = request.body(ModifyAssistant)
        async with db.transaction() as conn:
            return await store.modify(conn, request.project_id, request.path["assistant_id"], change, embedding_model)

    async def delete(request: Request) -> Deleted:
        async with db.acquire() as conn:
            return await store.delete(conn, request.project_id, request.path["assistant_id"])

    return [
        Path("/assistants", {"GET": list_page, "POST": create}),
        Path("/assistants/{assistant_id}", {"GET": get, "POST": modify, "DELETE": delete}),
    ]
