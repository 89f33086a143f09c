"""File batches: files that came into a vector store together. Every function leaves the transaction to its caller."""

from __future__ import annotations

import uuid
from pathlib import Path
from typing import Any

from assistd import errors
from assistd.db import sql
from assistd.vector_stores import files
from assistd.vector_stores.store import file_counts
from assistd.vector_stores.wire import (
    CreateFileBatch,
    FileBatch,
    FileCounts,
    FileStatus,
    VectorStoreFile,
    files_of_batch,
)
from assistd.web.paging import fetch_page
from assistd.web.wire import ListOf, Page, page_of

SQL = sql.load(Path(__file__).with_name("batches.sql"))


async def create(conn: Any, project_id: str, store_id: str, new: CreateFileBatch) -> FileBatch:
    """Put files into a store together. A file that is named twice, or that is in the store already, counts once.

    Raises APIError as `files.attach` does.
    """
    rows = await files.attach_rows(conn, project_id, store_id, files_of_batch(new))
    batch = await conn.fetchrow(SQL["create"], "vsfb_" + uuid.uuid4().hex, rows[0]["store_key"])
    await conn.execute(SQL["fill"], batch["id"], [row["key"] for row in rows])
    return await _shown(conn, batch, store_id)


async def get(conn: Any, project_id: str, store_id: str, id: str) -> FileBatch:
    """Fetch a batch. Raises APIError (404) where the store has none of this id."""
    row = await conn.fetchrow(SQL["get"], project_id, store_id, id)
    if row is None:
        await _absent(conn, project_id, store_id, id)
    return await _shown(conn, row, store_id)


async def cancel(conn: Any, project_id: str, store_id: str, id: str) -> FileBatch:
    """Stop reading the files of a batch. One that has nothing left to read is returned as it is.

    Raises APIError (404).
    """
    row = await conn.fetchrow(SQL["hold"], project_id, store_id, id)
    if row is None:
        await _absent(conn, project_id, store_id, id)
    stopped = [file["key"] for file in await conn.fetch(SQL["cancel_files"], id)]
    if stopped:
        row = await conn.fetchrow(SQL["mark_cancelled"], id)
        await conn.execute(SQL["drop_jobs"], files.INGEST, stopped)
    return await _shown(conn, row, store_id)


async def list_files(
    conn: Any, project_id: str, store_id: str, id: str, page: Page, status: FileStatus | None = None
) -> ListOf[VectorStoreFile]:
    """List a batch's files in the order of their coming; with `status`, those that have it."""
    if await conn.fetchrow(SQL["get"], project_id, store_id, id) is None:
        await _absent(conn, project_id, store_id, id)
    rows = await fetch_page(conn, SQL, "files", "file", id, page, status)
    return page_of([files.file_of(row, store_id) for row in rows], page)


async def _shown(conn: Any, row: Any, store_id: str) -> FileBatch:
    counts = file_counts({found["status"]: found["files"] for found in await conn.fetch(SQL["counts"], row["id"])})
    return FileBatch(
        id=row["id"],
        created_at=row["created_at"],
        vector_store_id=store_id,
        status=_status(counts, cancelled=row["cancelled"]),
        file_counts=counts,
    )


def _status(counts: FileCounts, *, cancelled: bool) -> FileStatus:
    if cancelled:
        return "cancelled"
    if counts.in_progress:
        return "in_progress"
    return "failed" if counts.total and counts.failed == counts.total else "completed"


async def _absent(conn: Any, project_id: str, store_id: str, id: str) -> None:
    await files.require_store(conn, project_id, store_id)
    raise errors.not_found("file batch", id)
