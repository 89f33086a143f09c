"""The table of files linked to assistants. Every function takes the caller's connection, and never commits."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import msgspec

from assistd import ids
from assistd.assistants import store as assistants
from assistd.assistants.wire import Assistant, ModifyAssistant
from assistd.db import sql
from assistd.errors import APIError
from assistd.files import store as files
from assistd.v1 import tool_files
from assistd.v1.answers import FileIds
from assistd.v1.tool_files import Given
from assistd.v1.wire import MAX_ASSISTANT_FILES, AssistantFile
from assistd.web.paging import fetch_page
from assistd.web.wire import Deleted, ListOf, Page, page_of

SQL = sql.load(Path(__file__).with_name("file_links.sql"))


async def hold(conn: Any, project_id: str, assistant_id: str, embedding_model: str) -> Assistant:
    """Lock an assistant, and return it."""
    return await assistants.modify(conn, project_id, assistant_id, ModifyAssistant(), embedding_model)


async def replace(
    conn: Any,
    project_id: str,
    assistant: Assistant,
    wanted: Sequence[str] | None,
    embedding_model: str,
    *,
    judge_all: bool = False,
) -> Assistant:
    """Make `wanted` the files of an assistant, or keep those it has, and give its tools what they may use.

    The caller holds the assistant, in a transaction. Raises APIError for new files that are not there or that no tool
    can use; with `judge_all`, where the tools are new, for any that none can use.
    """
    linked = await _linked(conn, assistant.id)
    wanted = linked if wanted is None else list(dict.fromkeys(wanted))
    new, taken = [id for id in wanted if id not in linked], [id for id in linked if id not in wanted]
    await files.require(conn, project_id, new)
    await conn.execute(SQL["unlink"], assistant.id, taken)
    await conn.execute(SQL["link"], assistant.id, new)
    there = await files.find(conn, project_id, wanted)
    given = Given(tool_files.tools_of(assistant), there, taken, wanted if judge_all else new)
    return await tool_files.give(conn, project_id, assistant, given, embedding_model)


async def share(
    conn: Any, project_id: str, assistant_id: str, tools: frozenset[str] | None, embedding_model: str
) -> None:
    """See that a run's tools of these types, or its assistant's, may use the assistant's files, in a transaction.

    A run may have other tools than its assistant, and v2 may have changed what those may use. Raises APIError (404).
    """
    linked = await _linked(conn, assistant_id)
    if not linked:
        return
    assistant = await assistants.get(conn, project_id, assistant_id)
    wanted = tool_files.tools_of(assistant) if tools is None else tools
    if await tool_files.is_given(conn, project_id, assistant, wanted, set(linked)):
        return
    assistant = await hold(conn, project_id, assistant_id, embedding_model)
    there = await files.find(conn, project_id, await _linked(conn, assistant_id))
    await tool_files.give(conn, project_id, assistant, Given(wanted, there), embedding_model)


async def create(conn: Any, project_id: str, assistant_id: str, file_id: str, embedding_model: str) -> AssistantFile:
    """Link a file, in a transaction; one that is linked already stays. Raises APIError as `replace` does."""
    assistant = await hold(conn, project_id, assistant_id, embedding_model)
    linked = await _linked(conn, assistant_id)
    if file_id not in linked and len(linked) >= MAX_ASSISTANT_FILES:
        raise APIError(
            f"An assistant can have at most {MAX_ASSISTANT_FILES} files.",
            param="file_id",
            code="array_above_max_length",
        )
    await replace(conn, project_id, assistant, [*linked, file_id], embedding_model)
    return await get(conn, project_id, assistant_id, file_id)


async def delete(conn: Any, project_id: str, assistant_id: str, file_id: str, embedding_model: str) -> Deleted:
    """Take a file from an assistant, in a transaction; the file itself stays. Raises APIError (404)."""
    assistant = await hold(conn, project_id, assistant_id, embedding_model)
    await get(conn, project_id, assistant_id, file_id)
    linked = await _linked(conn, assistant_id)
    await replace(conn, project_id, assistant, [id for id in linked if id != file_id], embedding_model)
    return Deleted(file_id, "assistant.file.deleted")


async def get(conn: Any, project_id: str, assistant_id: str, file_id: str) -> AssistantFile:
    """Fetch a link. Raises APIError (404) where the assistant or the link is not there."""
    known = ids.is_plain(file_id)
    row = await conn.fetchrow(SQL["get"], project_id, assistant_id, file_id) if known else None
    if row is None:
        await assistants.get(conn, project_id, assistant_id)
        raise APIError(f"No file found with id '{file_id}' in assistant '{assistant_id}'.", status=404)
    return _link_of(row)


async def list_page(conn: Any, project_id: str, assistant_id: str, page: Page) -> ListOf[AssistantFile]:
    """List an assistant's links in the order in which they were made. Raises APIError (404)."""
    await assistants.get(conn, project_id, assistant_id)
    rows = await fetch_page(conn, SQL, "files", "file", assistant_id, page)
    return page_of([_link_of(row) for row in rows], page)


async def of_holders(conn: Any, holders: Iterable[dict[str, Any]]) -> FileIds:
    """Return the files of assistants, as they are, and of runs, as they were when they began, by their ids."""
    by_kind: dict[str, list[str]] = {"assistant": [], "thread.run": []}
    for holder in holders:
        by_kind[holder["object"]].append(holder["id"])
    found: list[Any] = []
    for kind, query in (("assistant", "of_assistants"), ("thread.run", "of_runs")):
        if by_kind[kind]:
            found += await conn.fetch(SQL[query], by_kind[kind])
    return {row["id"]: msgspec.json.decode(row["file_ids"]) for row in found}


async def _linked(conn: Any, assistant_id: str) -> list[str]:
    return [row["file_id"] for row in await conn.fetch(SQL["linked"], assistant_id)]


def _link_of(row: Any) -> AssistantFile:
    return AssistantFile(id=row["file_id"], created_at=row["created_at"], assistant_id=row["assistant_id"])
