"""The vector stores that v1 makes on the way. Its clients know of none, so they go with what they were made for.

A store that holds more than the files of v1, or that others use, is somebody's: it stays.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from assistd.assistants import store as assistants
from assistd.db import sql
from assistd.threads import store as threads
from assistd.vector_stores import store as vector_stores
from assistd.web.wire import Deleted

SQL = sql.load(Path(__file__).with_name("own_stores.sql"))


async def delete_assistant(conn: Any, project_id: str, id: str) -> Deleted:
    """Remove an assistant, and its store if that is v1's own, in a transaction. Raises APIError (404)."""
    own = await conn.fetch(SQL["of_assistant"], project_id, id)
    deleted = await assistants.delete(conn, project_id, id)
    await _delete(conn, project_id, own)
    return deleted


async def delete_thread(conn: Any, project_id: str, id: str) -> Deleted:
    """Remove a thread, and its store if that is v1's own, in a transaction. Raises APIError (404)."""
    own = await conn.fetch(SQL["of_thread"], project_id, id)
    deleted = await threads.delete_thread(conn, project_id, id)
    await _delete(conn, project_id, own)
    return deleted


async def _delete(conn: Any, project_id: str, own: Iterable[Any]) -> None:
    for row in own:  # what is left of their search indexes goes with the next look at those of stores that are gone
        await vector_stores.delete(conn, project_id, row["id"])
