"""The assistants' table. Every function takes the caller's connection and leaves the transaction to it."""

from __future__ import annotations

from typing import Any

import msgspec

from assistd import errors, ids
from assistd.assistants.wire import Assistant, CreateAssistant, ModifyAssistant
from assistd.db import sql
from assistd.vector_stores.tool_resources import settle, with_defaults_for
from assistd.web.checks import check_tools
from assistd.web.paging import fetch_page
from assistd.web.tools import normalize_format, normalize_tools
from assistd.web.wire import Deleted, ListOf, Page, changed, page_of, to_json

SQL = sql.load(__package__)


async def create(conn: Any, project_id: str, new: CreateAssistant, embedding_model: str) -> Assistant:
    """Add an assistant with the service's defaults filled in. Raises APIError for tools and formats that cannot be,
    and for resources that are not there.

    `embedding_model` is what a vector store made on the way remembers.
    """
    check_tools(new.tools, new.response_format)
    tools = normalize_tools(new.tools or [])
    resources = await settle(conn, project_id, new.tool_resources, embedding_model)
    row = await conn.fetchrow(
        SQL["create"],
        ids.new("asst_"),
        project_id,
        changed(new.name, None),
        changed(new.description, None),
        new.model,
        changed(new.instructions, None),
        to_json(tools),
        to_json(with_defaults_for(tools, resources)),
        to_json(new.metadata or {}),
        1.0 if new.temperature is None else new.temperature,
        1.0 if new.top_p is None else new.top_p,
        to_json(normalize_format(new.response_format)),
        changed(new.reasoning_effort, None),
    )
    return assistant_of(row)


async def get(conn: Any, project_id: str, id: str) -> Assistant:
    """Fetch an assistant. Raises APIError (404) where the project has none of this id."""
    row = await conn.fetchrow(SQL["get"], id, project_id)
    if row is None:
        raise errors.not_found("assistant", id)
    return assistant_of(row)


async def modify(conn: Any, project_id: str, id: str, change: ModifyAssistant, embedding_model: str) -> Assistant:
    """Change what the request names; tools, metadata and each tool's resources are replaced as a whole.

    Raises APIError.
    """
    check_tools(change.tools, change.response_format)
    row = await conn.fetchrow(SQL["lock"], id, project_id)
    if row is None:
        raise errors.not_found("assistant", id)
    tools = msgspec.json.decode(row["tools"]) if change.tools is None else normalize_tools(change.tools)
    kept = msgspec.json.decode(row["tool_resources"])
    settled = await settle(conn, project_id, change.tool_resources, embedding_model)
    resources = with_defaults_for(tools, {**kept, **settled})
    row = await conn.fetchrow(
        SQL["modify"],
        id,
        project_id,
        changed(change.name, row["name"]),
        changed(change.description, row["description"]),
        change.model,
        changed(change.instructions, row["instructions"]),
        None if change.tools is None else to_json(tools),
        to_json(resources),
        None if change.metadata is None else to_json(change.metadata),
        change.temperature,
        change.top_p,
        None if change.response_format is None else to_json(normalize_format(change.response_format)),
        changed(change.reasoning_effort, row["reasoning_effort"]),
    )
    return assistant_of(row)


async def delete(conn: Any, project_id: str, id: str) -> Deleted:
    """Remove an assistant; its runs keep their copies of what they need."""
    if await conn.fetchval(SQL["delete"], id, project_id) is None:
        raise errors.not_found("assistant", id)
    return Deleted(id, "assistant.deleted")


async def list_page(conn: Any, project_id: str, page: Page) -> ListOf[Assistant]:
    """List the project's assistants by insertion order."""
    rows = await fetch_page(conn, SQL, "list", "assistant", project_id, page)
    return page_of([assistant_of(row) for row in rows], page)


def assistant_of(row: Any) -> Assistant:
    """Make an assistant of its row."""
    return Assistant(
        id=row["id"],
        created_at=row["created_at"],
        name=row["name"],
        description=row["description"],
        model=row["model"],
        instructions=row["instructions"],
        tools=row["tools"],
        top_p=row["top_p"],
        temperature=row["temperature"],
        reasoning_effort=row["reasoning_effort"],
        tool_resources=row["tool_resources"],
        metadata=row["metadata"],
        response_format=row["response_format"],
    )
