"""What names a vector store that goes away: assistants and threads, whose lists lose it.

Their rooms are above this one and are not called from here; a store that is deleted has to leave their rows in the
same transaction, so these two statements reach for their tables.
"""

from __future__ import annotations

from typing import Any

import msgspec

from assistd.db import sql
from assistd.web.wire import to_json

SQL = sql.load(__package__)


async def detach(conn: Any, project_id: str, store_id: str) -> None:
    """Take a store out of the resources of all that name it. The JSON keeps the order of its keys."""
    for naming, rewrite in (
        (SQL["assistants_naming"], SQL["rewrite_assistants"]),
        (SQL["threads_naming"], SQL["rewrite_threads"]),
    ):
        rows = await conn.fetch(naming, project_id, store_id)
        if rows:
            resources = [_without(row["tool_resources"], store_id) for row in rows]
            await conn.execute(rewrite, [row["id"] for row in rows], resources)


def _without(tool_resources: msgspec.Raw, store_id: str) -> msgspec.Raw:
    resources: dict[str, Any] = msgspec.json.decode(tool_resources)
    kept = [id for id in resources["file_search"]["vector_store_ids"] if id != store_id]
    return to_json({**resources, "file_search": {**resources["file_search"], "vector_store_ids": kept}})
