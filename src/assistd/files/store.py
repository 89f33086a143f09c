"""The files' table. Every function takes the caller's connection and leaves the transaction to it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from assistd import errors, ids
from assistd.db import sql
from assistd.files import intake
from assistd.files.intake import LooseBlob
from assistd.files.wire import File, StoredFile
from assistd.web.paging import fetch_page
from assistd.web.wire import Deleted, ListOf, Page, page_of, to_json

SQL = sql.load(__package__)


async def create(
    conn: Any, project_id: str, filename: str, purpose: str, blob: LooseBlob, expires_seconds: int | None = None
) -> File:
    """Add the file that a blob is. Only in a transaction: the blob changes hands with it."""
    await intake.adopt(conn, blob)
    return await create_of(conn, project_id, filename, purpose, [blob.key], blob.size, expires_seconds)


async def create_of(
    conn: Any,
    project_id: str,
    filename: str,
    purpose: str,
    blobs: Sequence[str],
    size: int,
    expires_seconds: int | None = None,
) -> File:
    """Add a file of blobs that the caller owned until now, `size` bytes in all."""
    row = await conn.fetchrow(
        SQL["create"], ids.new("file-"), project_id, size, filename, purpose, list(blobs), expires_seconds
    )
    return file_of(row)


async def get(conn: Any, project_id: str, id: str) -> File:
    """Fetch a file. Raises APIError (404) where the project has none of this id, or had one that is expired."""
    return file_of(await _row(conn, project_id, id))


async def get_stored(conn: Any, project_id: str, id: str) -> StoredFile:
    """Fetch a file with its blobs. Raises APIError (404)."""
    return stored_of(await _row(conn, project_id, id))


async def find(conn: Any, project_id: str, file_ids: Sequence[str]) -> list[StoredFile]:
    """Fetch those files of these ids that are there, in this order, each once."""
    return await _fetch(conn, SQL["find"], project_id, file_ids)


async def require(conn: Any, project_id: str, file_ids: Sequence[str]) -> list[StoredFile]:
    """Fetch files that a request names, as `find`, for a transaction that writes their ids somewhere.

    None of them can be deleted before the transaction ends. Raises APIError (400) that names those not there.
    """
    files = await _fetch(conn, SQL["hold"], project_id, file_ids)
    found = {file.id for file in files}
    if missing := [id for id in dict.fromkeys(file_ids) if id not in found]:
        raise errors.files_not_found(missing)
    return files


async def _fetch(conn: Any, query: str, project_id: str, file_ids: Sequence[str]) -> list[StoredFile]:
    # What is no id at all is not asked for: PostgreSQL would refuse some of it.
    asked = [id for id in dict.fromkeys(file_ids) if ids.is_plain(id)]
    rows = {row["id"]: row for row in await conn.fetch(query, asked, project_id)} if asked else {}
    return [stored_of(rows[id]) for id in asked if id in rows]


async def list_page(conn: Any, project_id: str, page: Page, purpose: str | None = None) -> ListOf[File]:
    """List the project's files by insertion order, all or those of one purpose."""
    rows = await fetch_page(conn, SQL, "list", "file", project_id, page, purpose)
    return page_of([file_of(row) for row in rows], page)


async def delete(conn: Any, project_id: str, id: str) -> Deleted:
    """Remove a file, and its id from whatever names it. Only in a transaction. Raises APIError (404).

    Vector stores lose it by their foreign key, and its blobs go to the sweeper by a trigger.
    """
    if not ids.is_plain(id):
        raise errors.no_such_file(id)
    # Before, because the rows of others are locked in the order in which those who add files to them lock: theirs
    # first, then the file. And once more, for who came in between: who adds from now on sees that the file is gone.
    await _forget(conn, project_id, id)
    if await conn.fetchval(SQL["delete"], id, project_id) is None:
        raise errors.no_such_file(id)
    await _forget(conn, project_id, id)
    return Deleted(id, "file")


async def expired(conn: Any, limit: int) -> list[tuple[str, str]]:
    """The ids and projects of files that nobody sees any more, for the sweeper to delete."""
    return [(row["id"], row["project_id"]) for row in await conn.fetch(SQL["expired"], limit)]


async def _row(conn: Any, project_id: str, id: str) -> Any:
    row = await conn.fetchrow(SQL["get"], id, project_id) if ids.is_plain(id) else None
    if row is None:
        raise errors.no_such_file(id)
    return row


async def _forget(conn: Any, project_id: str, id: str) -> None:
    """Take a file out of the code interpreter's lists of assistants and threads.

    Their rooms stand above this one, and cannot be asked. But a list that names a file which is gone is this room's
    fault, and must end in this transaction; so it reaches for that one member of their rows, in SQL, and for nothing
    else of theirs.
    """
    for naming, change in (
        ("assistants_naming", "set_assistant_resources"),
        ("threads_naming", "set_thread_resources"),
    ):
        for row in await conn.fetch(SQL[naming], id, project_id):
            # In Python, because the order of keys is kept: PostgreSQL could only do it in jsonb, which has its own.
            resources = msgspec.json.decode(row["tool_resources"])
            kept = [other for other in resources["code_interpreter"]["file_ids"] if other != id]
            resources["code_interpreter"]["file_ids"] = kept
            await conn.execute(SQL[change], row["id"], to_json(resources))


def file_of(row: Any) -> File:
    """Make a file as clients see it of its row."""
    return File(
        id=row["id"],
        bytes=row["bytes"],
        created_at=row["created_at"],
        expires_at=row["expires_at"],
        filename=row["filename"],
        purpose=row["purpose"],
    )


def stored_of(row: Any) -> StoredFile:
    """Make a file as other rooms use it of its row."""
    return StoredFile(
        id=row["id"], filename=row["filename"], bytes=row["bytes"], purpose=row["purpose"], blobs=row["blobs"]
    )
