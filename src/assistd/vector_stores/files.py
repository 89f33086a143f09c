"""The files of vector stores. Every function takes the caller's connection and leaves the transaction to it.

A file that is attached is `in_progress` until a job of kind `ingest` has read it. The job's key is the row's key;
to have a file read once more, the row gets a new one, so that nobody who still works on the old reading can end it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from assistd import errors, ids
from assistd.db import sql
from assistd.errors import APIError
from assistd.files import store as uploads
from assistd.jobs import store as jobs
from assistd.vector_stores import documents
from assistd.vector_stores.content import pieces_of
from assistd.vector_stores.wire import (
    DEFAULT_SIZES,
    MAX_FILES,
    Attributes,
    FileContent,
    FileStatus,
    NewFile,
    Text,
    VectorStoreFile,
    shown_sizes,
)
from assistd.web.paging import fetch_page
from assistd.web.wire import Deleted, ListOf, Page, page_of, to_json

SQL = sql.load(Path(__file__).with_name("files.sql"))

INGEST = "ingest"  # the kind of job that reads a file into its store

# What can be read once more where it ended so.
_ENDED_WITHOUT_SUCCESS = ("failed", "cancelled")


async def attach(conn: Any, project_id: str, store_id: str, new: Sequence[NewFile]) -> list[VectorStoreFile]:
    """Put files into a store, and have them read. The answer is in the order of the request, each file once.

    A file that is in the store already stays: attributes and chunking that the request names are taken over, and it
    is read again only if its chunking changes or if it had failed or was cancelled. Raises APIError: 404 for a store
    or files that are not there, 400 for an expired store, for file names that cannot be read, for too many files.
    """
    return [file_of(row, store_id) for row in await attach_rows(conn, project_id, store_id, new)]


async def attach_rows(conn: Any, project_id: str, store_id: str, new: Sequence[NewFile]) -> list[Any]:
    """`attach`, with the rows as they are kept."""
    wanted = {file.file_id: file for file in new}
    store_key = await hold(conn, project_id, store_id)
    await _check_files(conn, project_id, list(wanted))
    rows: dict[str, Any] = {row["file_id"]: row for row in await conn.fetch(SQL["attached"], store_key, list(wanted))}
    absent = [file for file in wanted.values() if file.file_id not in rows]
    await _check_room(conn, store_key, store_id, len(absent))
    stale, kept = _parted(rows.values(), wanted)
    renamed = [row for row in kept if wanted[row["file_id"]].attributes is not None]
    to_read = [
        *await _insert(conn, store_key, absent),
        *await _renew(conn, stale, wanted),
    ]
    if renamed:
        attributes = [to_json(wanted[row["file_id"]].attributes) for row in renamed]
        changed = await conn.fetch(SQL["set_attributes"], [row["key"] for row in renamed], attributes)
        rows.update({row["file_id"]: row for row in changed})
    if to_read:
        await conn.execute(SQL["enqueue"], INGEST, [row["key"] for row in to_read], project_id)
        await jobs.wake(conn, INGEST)
        rows.update({row["file_id"]: row for row in to_read})
    return [rows[id] for id in wanted]


async def hold(conn: Any, project_id: str, store_id: str) -> int:
    """Lock a store for writing and return its key. Raises APIError: 404, or 400 where it has expired."""
    row = await conn.fetchrow(SQL["hold"], store_id, project_id)
    if row is None:
        raise errors.not_found("vector store", store_id)
    if row["expired"]:
        raise expired(store_id)
    return row["key"]  # type: ignore[no-any-return]


async def require_store(conn: Any, project_id: str, store_id: str) -> None:
    """Raise APIError (404) where the project has no store of this id."""
    if not await conn.fetchval(SQL["store_exists"], store_id, project_id):
        raise errors.not_found("vector store", store_id)


def expired(store_id: str) -> APIError:
    """The refusal to use a store that has expired."""
    return APIError(f"Vector store {store_id} is expired")


async def get(conn: Any, project_id: str, store_id: str, file_id: str) -> VectorStoreFile:
    """Fetch a file of a store. Raises APIError (404) where the store or the file is not there."""
    return file_of(await _row(conn, project_id, store_id, file_id), store_id)


async def list_page(
    conn: Any, project_id: str, store_id: str, page: Page, status: FileStatus | None = None
) -> ListOf[VectorStoreFile]:
    """List a store's files in the order of their coming; with `status`, those that have it."""
    await require_store(conn, project_id, store_id)
    rows = await fetch_page(conn, SQL, "files", "file", store_id, page, status)
    return page_of([file_of(row, store_id) for row in rows], page)


async def update_attributes(
    conn: Any, project_id: str, store_id: str, file_id: str, attributes: Attributes | None
) -> VectorStoreFile:
    """Replace a file's attributes. Searches see them at once. Raises APIError: 404, or 400 for an expired store."""
    store_key = await hold(conn, project_id, store_id)
    known = ids.is_plain(file_id)
    row = (
        await conn.fetchrow(SQL["update_attributes"], store_key, file_id, to_json(attributes or {})) if known else None
    )
    if row is None:
        raise not_in_store(file_id, store_id)
    return file_of(row, store_id)


async def remove(conn: Any, project_id: str, store_id: str, file_id: str) -> Deleted:
    """Take a file out of a store; the file itself stays. Raises APIError (404)."""
    known = ids.is_plain(file_id)
    if not known or await conn.fetchval(SQL["remove"], project_id, store_id, file_id) is None:
        await _absent(conn, project_id, store_id, file_id)
    return Deleted(file_id, "vector_store.file.deleted")


async def content(conn: Any, project_id: str, store_id: str, file_id: str) -> FileContent:
    """Return the text that was read from a file, in pieces; none until it is completed. Raises APIError (404)."""
    row = await _row(conn, project_id, store_id, file_id)
    passages = [passage["text"] for passage in await conn.fetch(SQL["passages"], row["key"])]
    return FileContent([Text(piece) for piece in _pieces(row, passages)])


def _pieces(row: Any, passages: Sequence[str]) -> list[str]:
    overlap = msgspec.json.decode(row["chunking_strategy"])["static"]["chunk_overlap_tokens"]
    return list(pieces_of(passages, overlapping=overlap > 0))


class Document(NamedTuple):
    """A file of a store with its whole text, in pieces."""

    file_id: str
    filename: str
    pieces: Sequence[str]


async def smallest(conn: Any, project_id: str, store_ids: Sequence[str], most_bytes: int) -> list[Document]:
    """Return the smallest files that are in these stores, smallest first, each once.

    That is as many as have passages of `most_bytes` together, in UTF-8 and with what they share counted twice.
    """
    rows = await conn.fetch(SQL["smallest"], project_id, store_ids, most_bytes)
    passages: dict[int, list[str]] = {row["key"]: [] for row in rows}
    for passage in await conn.fetch(SQL["passages_of"], list(passages)) if rows else ():
        passages[passage["file_key"]].append(passage["text"])
    found = (Document(row["file_id"], row["filename"], _pieces(row, passages[row["key"]])) for row in rows)
    return [document for document in found if document.pieces]


class Unread(NamedTuple):
    """A file of a store that search does not find; `error` is None while it is being read."""

    filename: str
    error: str | None


async def unread(conn: Any, store_ids: Sequence[str], limit: int) -> list[Unread]:
    """Return files of these stores that are not read yet, or could not be: the former first, of each the newest."""
    rows = await conn.fetch(SQL["unread"], store_ids, limit)
    return [Unread(row["filename"], _reason(row["last_error"])) for row in rows]


def _reason(error: msgspec.Raw | None) -> str | None:
    return None if error is None else str(msgspec.json.decode(error)["message"])


def file_of(row: Any, store_id: str) -> VectorStoreFile:
    """Make a store's file of its row."""
    return VectorStoreFile(
        id=row["file_id"],
        usage_bytes=row["usage_bytes"],
        created_at=row["created_at"],
        vector_store_id=store_id,
        status=row["status"],
        last_error=row["last_error"],
        chunking_strategy=row["chunking_strategy"],
        attributes=row["attributes"],
    )


def not_in_store(file_id: str, store_id: str) -> APIError:
    """The refusal of a file that is not in the store."""
    return APIError(f"No file found with id '{file_id}' in vector store '{store_id}'.", status=404)


# --- what attaching consists of


async def _check_files(conn: Any, project_id: str, file_ids: Sequence[str]) -> None:
    """Keep files from going. Raises APIError for those that are not there or that no reader understands."""
    found = await uploads.require(conn, project_id, file_ids)
    documents.check_supported([file.filename for file in found])


async def _check_room(conn: Any, store_key: int, store_id: str, more: int) -> None:
    if more and await conn.fetchval(SQL["count"], store_key) + more > MAX_FILES:
        raise APIError(f"Vector store {store_id} cannot hold more than {MAX_FILES} files.", param="file_ids")


def _parted(rows: Iterable[Any], wanted: Mapping[str, NewFile]) -> tuple[list[Any], list[Any]]:
    """Part the files that are in the store already: those that must be read again, and those that need not."""
    stale, kept = list[Any](), list[Any]()
    for row in rows:
        id = row["file_id"]
        ended = row["status"] in _ENDED_WITHOUT_SUCCESS
        asked = wanted[id].sizes
        recut = asked is not None and msgspec.json.decode(row["chunking_strategy"]) != shown_sizes(asked)
        (stale if ended or recut else kept).append(row)
    return stale, kept


async def _insert(conn: Any, store_key: int, new: Sequence[NewFile]) -> list[Any]:
    if not new:
        return []
    rows: list[Any] = await conn.fetch(
        SQL["attach"],
        store_key,
        [file.file_id for file in new],
        [to_json(shown_sizes(file.sizes or DEFAULT_SIZES)) for file in new],
        [to_json(file.attributes or {}) for file in new],
    )
    return rows


async def _renew(conn: Any, stale: Sequence[Any], wanted: Mapping[str, NewFile]) -> list[Any]:
    """Give files new keys, without what was read of them. Batches keep them."""
    if not stale:
        return []
    keys = [row["key"] for row in stale]
    links = await conn.fetch(SQL["unlink"], keys)
    await conn.execute(SQL["forget_chunks"], keys)
    asked = [wanted[row["file_id"]] for row in stale]
    rows: list[Any] = await conn.fetch(
        SQL["renew"],
        keys,
        [
            row["chunking_strategy"] if file.sizes is None else to_json(shown_sizes(file.sizes))
            for file, row in zip(asked, stale, strict=True)
        ],
        [
            row["attributes"] if file.attributes is None else to_json(file.attributes)
            for file, row in zip(asked, stale, strict=True)
        ],
    )
    key_of = {row["file_id"]: row["key"] for row in rows}
    await conn.execute(SQL["link"], [link["batch_id"] for link in links], [key_of[link["file_id"]] for link in links])
    return rows


async def _row(conn: Any, project_id: str, store_id: str, file_id: str) -> Any:
    row = await conn.fetchrow(SQL["get"], project_id, store_id, file_id) if ids.is_plain(file_id) else None
    return row if row is not None else await _absent(conn, project_id, store_id, file_id)


async def _absent(conn: Any, project_id: str, store_id: str, file_id: str) -> Any:
    await require_store(conn, project_id, store_id)
    raise not_in_store(file_id, store_id)
