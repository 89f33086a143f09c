"""The vector stores' table. Every function takes the caller's connection and leaves the transaction to it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import msgspec

from assistd import errors, ids
from assistd.db import sql
from assistd.vector_stores import files
from assistd.vector_stores.detach import detach
from assistd.vector_stores.files import expired
from assistd.vector_stores.wire import (
    CreateVectorStore,
    ExpiresAfter,
    FileCounts,
    ModifyVectorStore,
    NewFile,
    VectorStore,
    sizes_of,
)
from assistd.web.paging import fetch_page
from assistd.web.wire import Deleted, ListOf, Page, page_of, to_json

SQL = sql.load(__package__)


class Gone(NamedTuple):
    """A store that was deleted: the answer, and the key that its chunks carried."""

    answer: Deleted
    key: int


async def create(
    conn: Any, project_id: str, new: CreateVectorStore, embedding_model: str, *, implicit: bool = False
) -> VectorStore:
    """Add a store with its files, which are then read. It remembers the embedding model for ever.

    `implicit`: it is made for an assistant or a thread whose client knows of no stores, and goes with that. Raises
    APIError for files that are not there or cannot be read.
    """
    row = await conn.fetchrow(
        SQL["create"],
        ids.new("vs_"),
        project_id,
        new.name,
        new.description,
        to_json(new.metadata or {}),
        None if new.expires_after is None else new.expires_after.days,
        embedding_model,
        implicit,
    )
    sizes = sizes_of(new.chunking_strategy)
    chosen = [NewFile(id, None, sizes) for id in new.file_ids or ()]
    if chosen:
        await files.attach(conn, project_id, row["id"], chosen)
    return await _shown(conn, row)


async def get(conn: Any, project_id: str, id: str) -> VectorStore:
    """Fetch a store, expired ones too. Raises APIError (404) where the project has none of this id."""
    row = await conn.fetchrow(SQL["get"], id, project_id)
    if row is None:
        raise errors.not_found("vector store", id)
    return await _shown(conn, row)


async def modify(conn: Any, project_id: str, id: str, change: ModifyVectorStore) -> VectorStore:
    """Change what the request names. Raises APIError: 404, or 400 for a store that has expired: none comes back."""
    await files.hold(conn, project_id, id)
    policy = change.expires_after
    row = await conn.fetchrow(
        SQL["modify"],
        id,
        project_id,
        change.name is not msgspec.UNSET,
        None if change.name is msgspec.UNSET else change.name,
        policy is not msgspec.UNSET,
        policy.days if isinstance(policy, ExpiresAfter) else None,
        None if change.metadata is None else to_json(change.metadata),
    )
    return await _shown(conn, row)


async def delete(conn: Any, project_id: str, id: str) -> Gone:
    """Remove a store with what was read into it, also from the assistants and threads that name it. The files stay.

    Raises APIError (404).
    """
    # Runs hold their thread before they look for its store, so threads come first here too. Who named the store
    # after that is found once the store is held: nobody can name it any more then.
    await detach(conn, project_id, id)
    key = await conn.fetchval(SQL["hold_to_delete"], id, project_id)
    if key is None:
        raise errors.not_found("vector store", id)
    await detach(conn, project_id, id)
    await conn.execute(SQL["delete"], key)
    return Gone(Deleted(id, "vector_store.deleted"), key)


async def list_page(conn: Any, project_id: str, page: Page) -> ListOf[VectorStore]:
    """List the project's stores by insertion order."""
    rows = await fetch_page(conn, SQL, "list", "vector store", project_id, page)
    counts = await _counts(conn, [row["key"] for row in rows])
    return page_of([_store_of(row, *counts[row["key"]]) for row in rows], page)


# --- for those who use stores


async def require(conn: Any, project_id: str, store_ids: Iterable[str]) -> None:
    """Raise APIError (404) for the first store that the project does not have.

    In a transaction, the stores do not go before its end: what names them then names nothing that is gone.
    """
    await _known(conn, project_id, list(store_ids))


async def require_usable(conn: Any, project_id: str, store_ids: Iterable[str]) -> None:
    """As `require`, and raise APIError (400) for the first store that has expired."""
    wanted = list(store_ids)
    known = await _known(conn, project_id, wanted)
    for id in wanted:
        if known[id]:
            raise expired(id)


async def implicit(conn: Any, project_id: str, store_ids: Sequence[str]) -> list[str]:
    """Return those of these stores that were made on the way for who knows of no stores."""
    return [row["id"] for row in await conn.fetch(SQL["implicit"], project_id, store_ids)]


async def attach(conn: Any, project_id: str, store_id: str, file_ids: Iterable[str]) -> None:
    """Put files into a store, and have them read with the default chunking. Raises APIError as `files.attach` does."""
    await files.attach(conn, project_id, store_id, [NewFile(id) for id in file_ids])


async def touch(conn: Any, project_id: str, store_ids: Sequence[str]) -> None:
    """Note that the project's stores were used just now. A store that has expired does not come back by it."""
    if store_ids:
        await conn.execute(SQL["touch"], project_id, store_ids)


async def in_progress(conn: Any, store_ids: Sequence[str]) -> int:
    """Return how many files of these stores are still to be read."""
    return int(await conn.fetchval(SQL["in_progress"], store_ids))


async def _known(conn: Any, project_id: str, wanted: Sequence[str]) -> dict[str, bool]:
    """Whether each store has expired, by id. Raises APIError (404)."""
    if not wanted:
        return {}
    plain = [id for id in wanted if ids.is_plain(id)]
    found = {row["id"]: bool(row["expired"]) for row in await conn.fetch(SQL["known"], project_id, plain)}
    for id in wanted:
        if id not in found:
            raise errors.not_found("vector store", id)
    return found


# --- rows


class _Filling(NamedTuple):
    counts: FileCounts
    usage_bytes: int


async def _shown(conn: Any, row: Any) -> VectorStore:
    return _store_of(row, *(await _counts(conn, [row["key"]]))[row["key"]])


async def _counts(conn: Any, keys: Sequence[int]) -> dict[int, _Filling]:
    """How full stores are, by key."""
    found: dict[int, dict[str, int]] = {key: {} for key in keys}
    usage = dict.fromkeys(keys, 0)
    for row in await conn.fetch(SQL["counts"], keys) if keys else ():
        found[row["store_key"]][row["status"]] = row["files"]
        usage[row["store_key"]] += row["usage_bytes"]
    return {key: _Filling(file_counts(by_status), usage[key]) for key, by_status in found.items()}


def file_counts(by_status: dict[str, int]) -> FileCounts:
    """Make counts as they are shown of counts by status."""
    return FileCounts(**by_status, total=sum(by_status.values()))


def _store_of(row: Any, counts: FileCounts, usage_bytes: int) -> VectorStore:
    days = row["expires_days"]
    return VectorStore(
        id=row["id"],
        created_at=row["created_at"],
        name=row["name"],
        description=row["description"],
        usage_bytes=usage_bytes,
        file_counts=counts,
        status="expired" if row["expired"] else "in_progress" if counts.in_progress else "completed",
        expires_after=None if days is None else ExpiresAfter("last_active_at", days),
        expires_at=row["expires_at"],
        last_active_at=row["last_active_at"],
        metadata=row["metadata"],
    )
