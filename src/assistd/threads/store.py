"""The tables of threads and messages. Every function takes the caller's connection and leaves the transaction to it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from assistd import errors, ids
from assistd.db import sql
from assistd.threads import attachments
from assistd.threads.attachments import Terms
from assistd.threads.sought import EVERY_THREAD, Sought
from assistd.threads.wire import (
    MAX_MESSAGES,
    CreateMessage,
    CreateThread,
    IncompleteDetails,
    Message,
    ModifyMessage,
    ModifyThread,
    Thread,
    shown_attachments,
    shown_content,
)
from assistd.vector_stores.tool_resources import THREAD_STORE_DAYS, settle
from assistd.web.paging import fetch_page
from assistd.web.wire import Deleted, ListOf, Page, page_of, to_json

SQL = sql.load(__package__)

_SHOWN_RESOURCES = msgspec.Raw(b'{"code_interpreter":{"file_ids":[]}}')


# --- threads


async def create_thread(conn: Any, project_id: str, new: CreateThread, terms: Terms) -> Thread:
    """Add a thread and its first messages. The answer shows its resources, with what the messages attach.

    Run it in a transaction unless `is_plain`.
    """
    settled = await settle(conn, project_id, new.tool_resources, terms.embedding_model, days=THREAD_STORE_DAYS)
    resources = to_json(settled)
    row = await conn.fetchrow(
        SQL["create_thread"], ids.new("thread_"), project_id, resources, to_json(new.metadata or {})
    )
    if new.messages:
        await add_messages(conn, project_id, row["id"], new.messages, terms)
        if attachments.bring_files(new.messages):
            resources = await conn.fetchval(SQL["lock_resources"], row["id"])
    return Thread(id=row["id"], created_at=row["created_at"], metadata=row["metadata"], tool_resources=resources)


def is_plain(new: CreateThread) -> bool:
    """Say whether a new thread is one statement, which needs no transaction of its own."""
    return not new.messages and new.tool_resources is None


async def get_thread(conn: Any, project_id: str, id: str) -> Thread:
    """Fetch a thread. Raises APIError (404) where the project has none of this id."""
    return shown_resources(_thread(await conn.fetchrow(SQL["get_thread"], id, project_id), id))


async def list_threads(conn: Any, project_id: str, page: Page, sought: Sought) -> ListOf[Thread]:
    """List a project's threads by insertion order: all, or those that are sought."""
    if sought == EVERY_THREAD:
        rows = await fetch_page(conn, SQL, "threads", "thread", project_id, page)
    else:
        metadata = to_json(sought.metadata)
        rows = await fetch_page(conn, SQL, "found", "thread", project_id, page, metadata, sought.text or None)
    return page_of([shown_resources(_thread(row, row["id"])) for row in rows], page)


async def modify_thread(conn: Any, project_id: str, id: str, change: ModifyThread, embedding_model: str) -> Thread:
    """Change what the request names, each as a whole. The answer shows the resources as they are kept.

    Run it in a transaction where it names resources.
    """
    resources = None
    if change.tool_resources is not None:
        settled = await settle(conn, project_id, change.tool_resources, embedding_model, days=THREAD_STORE_DAYS)
        kept = await conn.fetchval(SQL["lock_resources_of"], id, project_id)
        resources = to_json({**msgspec.json.decode(kept or b"{}"), **settled})
    metadata = None if change.metadata is None else to_json(change.metadata)
    return _thread(await conn.fetchrow(SQL["modify_thread"], id, project_id, resources, metadata), id)


async def delete_thread(conn: Any, project_id: str, id: str) -> Deleted:
    """Remove a thread with its messages and runs."""
    if await conn.fetchval(SQL["delete_thread"], id, project_id) is None:
        raise errors.not_found("thread", id)
    return Deleted(id, "thread.deleted")


async def require_thread(conn: Any, project_id: str, id: str) -> None:
    """Raise APIError (404) where the project has no thread of this id."""
    if not await conn.fetchval(SQL["thread_exists"], id, project_id):
        raise errors.not_found("thread", id)


def shown_resources(thread: Thread) -> Thread:
    """Return a thread as reads and streams show it: with the resources that every thread has."""
    if bytes(thread.tool_resources) != b"{}":
        return thread
    return msgspec.structs.replace(thread, tool_resources=_SHOWN_RESOURCES)


def _thread(row: Any, id: str) -> Thread:
    if row is None:
        raise errors.not_found("thread", id)
    return Thread(
        id=row["id"], created_at=row["created_at"], metadata=row["metadata"], tool_resources=row["tool_resources"]
    )


# --- messages


async def create_message(conn: Any, project_id: str, thread_id: str, new: CreateMessage, terms: Terms) -> Message:
    """Add a message. Raises APIError where the thread is not there or a run is active on it.

    Run it in a transaction where the message brings files.
    """
    if attachments.bring_files([new]):
        # Two messages that share a lock on the thread would wait for each other when both come to change it.
        await conn.execute(SQL["lock_resources_of"], thread_id, project_id)
    columns = _columns(new)
    row = await conn.fetchrow(SQL["create_message"], thread_id, project_id, ids.new("msg_"), *columns, MAX_MESSAGES)
    if row is None:
        raise errors.not_found("thread", thread_id)
    if row["active_run_id"] is not None:
        raise errors.thread_is_busy_for_messages(thread_id, row["active_run_id"])
    if row["is_full"]:
        raise errors.thread_is_full(thread_id, MAX_MESSAGES)
    if attachments.bring_files([new]):
        await attachments.take_in(conn, project_id, thread_id, [new], terms)
    return message(row)


async def require_room(conn: Any, thread_id: str, more: int) -> None:
    """Raise APIError where a thread has no room for so many messages more."""
    if not await conn.fetchval(SQL["has_room"], thread_id, more, MAX_MESSAGES):
        raise errors.thread_is_full(thread_id, MAX_MESSAGES)


async def add_messages(
    conn: Any, project_id: str, thread_id: str, new: Sequence[CreateMessage], terms: Terms
) -> list[Message]:
    """Add messages in their order to a thread that the caller holds, in a transaction."""
    if attachments.bring_files(new):
        await attachments.take_in(conn, project_id, thread_id, new, terms)
    rows = await conn.fetch(
        SQL["create_messages"],
        thread_id,
        [ids.new("msg_") for _ in new],
        *zip(*map(_columns, new), strict=True),
    )
    return [message(row) for row in rows]


def _columns(new: CreateMessage) -> tuple[str, msgspec.Raw, msgspec.Raw, msgspec.Raw]:
    """Return role, content, attachments and metadata of a new message as they are stored."""
    content, attachments = to_json(shown_content(new)), to_json(shown_attachments(new.attachments))
    return new.role, content, attachments, to_json(new.metadata or {})


async def get_message(conn: Any, project_id: str, thread_id: str, id: str) -> Message:
    """Fetch a message. Raises APIError (404) where the thread or the message is not there."""
    row = await conn.fetchrow(SQL["get_message"], project_id, thread_id, id)
    return message(row) if row is not None else await _absent(conn, project_id, thread_id, id)


async def modify_message(conn: Any, project_id: str, thread_id: str, id: str, change: ModifyMessage) -> Message:
    """Replace a message's metadata."""
    metadata = None if change.metadata is None else to_json(change.metadata)
    row = await conn.fetchrow(SQL["modify_message"], project_id, thread_id, id, metadata)
    return message(row) if row is not None else await _absent(conn, project_id, thread_id, id)


async def delete_message(conn: Any, project_id: str, thread_id: str, id: str) -> Deleted:
    """Remove a message."""
    if await conn.fetchval(SQL["delete_message"], project_id, thread_id, id) is None:
        await _absent(conn, project_id, thread_id, id)
    return Deleted(id, "thread.message.deleted")


async def list_messages(
    conn: Any, project_id: str, thread_id: str, page: Page, run_id: str | None = None
) -> ListOf[Message]:
    """List a thread's messages by insertion order; with `run_id`, those that this run wrote."""
    await require_thread(conn, project_id, thread_id)
    rows = await fetch_page(conn, SQL, "messages", "message", thread_id, page, run_id)
    return page_of([message(row) for row in rows], page)


async def _absent(conn: Any, project_id: str, thread_id: str, id: str) -> Message:
    await require_thread(conn, project_id, thread_id)
    raise errors.not_found("message", id)


def message(row: Any) -> Message:
    """Make a message of its row."""
    reason = row["incomplete_reason"]
    return Message(
        id=row["id"],
        created_at=row["created_at"],
        assistant_id=row["assistant_id"],
        thread_id=row["thread_id"],
        run_id=row["run_id"],
        status=row["status"],
        incomplete_details=None if reason is None else IncompleteDetails(reason),
        incomplete_at=row["incomplete_at"],
        completed_at=row["completed_at"],
        role=row["role"],
        content=row["content"],
        attachments=row["attachments"],
        metadata=row["metadata"],
    )
