"""The passages of files, called chunks on the wire: their rows, and the vector index of a large store.

A vector index over all stores would walk through the passages of others: the smaller a store's part of it, the more of
its passages such a search misses. So a store has an index of its own, from a size on where reading all of its vectors
is no longer quick; below that there is none, and search is exact.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec

from assistd.db import sql
from assistd.db.pool import Database
from assistd.vector_stores.words import searchable

SQL = sql.load(Path(__file__).with_name("chunks.sql"))

# Passages up to which all vectors of a search are compared. Measured: benchmarks/vector_search.py.
EXACT_LIMIT = 10_000
# What pgvector's index takes of a halfvec.
MAX_INDEXED_DIMENSIONS = 4000
_BUILD_SECONDS = 6 * 3600.0


class WrongDimensions(Exception):
    """A vector does not fit the store's others; the message is a sentence."""


def index_name(store_key: int) -> str:
    """The name of a store's vector index, whether it exists or not."""
    return f"chunks_of_{store_key:d}"


async def expect_dimensions(conn: Any, store_key: int, embeddings: Sequence[Sequence[float]]) -> None:
    """Make sure that these vectors have the length of the store's others; its first file decides on that.

    Raises WrongDimensions. For the first file, the caller's transaction holds the store from here on.
    """
    dimensions = None
    for _ in range(2):  # the first look does not see what it has waited for, where another first file is being written
        dimensions = dimensions or await conn.fetchval(SQL["expect_dimensions"], store_key, len(embeddings[0]))
    if dimensions is not None and any(len(vector) != dimensions for vector in embeddings):
        raise WrongDimensions(
            f"The store's embeddings have {dimensions} dimensions, and its model now gives {len(embeddings[0])}."
        )


async def write_chunks(
    conn: Any,
    file_key: int,
    store_key: int,
    first_number: int,
    texts: Sequence[str],
    embeddings: Sequence[Sequence[float]],
) -> None:
    """Add passages of a file, numbered from `first_number`, in the caller's transaction.

    Raises WrongDimensions where a vector has another length than those of the store's first file.
    """
    if not texts:
        return
    await expect_dimensions(conn, store_key, embeddings)
    vectors = [vector_text(vector) for vector in embeddings]
    await conn.execute(SQL["write"], file_key, store_key, first_number, texts, list(map(searchable, texts)), vectors)


async def forget_chunks(conn: Any, file_key: int) -> None:
    """Remove the passages of a file, as before it is read again."""
    await conn.execute(SQL["forget"], file_key)


def vector_text(vector: Sequence[float]) -> str:
    """A vector as PostgreSQL reads it."""
    return msgspec.json.encode(vector).decode()


async def ensure_index(db: Database, store_key: int) -> bool:
    """Build the vector index of a store that has grown past `EXACT_LIMIT`; say whether it has one now.

    To be called after files were added, by any number of processes: one builds, the others return. Others go on
    reading and writing meanwhile. What a crash left half built is built anew.
    """
    async with db.acquire() as conn:
        store = await conn.fetchrow(SQL["indexable"], store_key)
        if store is None or (store["chunks"] or 0) <= EXACT_LIMIT or not store["dimensions"]:
            return False
        dimensions = int(store["dimensions"])
        if dimensions > MAX_INDEXED_DIMENSIONS:
            return False
        name = index_name(store_key)
        if await conn.fetchval(SQL["index_state"], name):
            return True
        async with _turn(conn, name) as mine:
            if not mine:
                return False
            if (valid := await conn.fetchval(SQL["index_state"], name)) is not None:
                if valid:
                    return True
                await _run(conn, f"DROP INDEX CONCURRENTLY IF EXISTS {name}")
            await _run(
                conn,
                f"CREATE INDEX CONCURRENTLY {name} ON chunks USING hnsw "
                f"((embedding::halfvec({dimensions:d})) halfvec_cosine_ops) WHERE store_key = {store_key:d}",
            )
            return True


async def drop_index(db: Database, store_key: int) -> None:
    """Remove the vector index of a store that is gone; harmless where there is none."""
    async with db.acquire() as conn:
        await _drop(conn, index_name(store_key))


async def drop_orphans(db: Database) -> int:
    """Remove the vector indexes of all stores that are gone, which a crash may have left; say how many."""
    async with db.acquire() as conn:
        names = [row["name"] for row in await conn.fetch(SQL["orphans"])]
        for name in names:
            await _drop(conn, name)
    return len(names)


async def _drop(conn: Any, name: str) -> None:
    if await conn.fetchval(SQL["index_state"], name) is not None:
        async with _turn(conn, name) as mine:
            if mine:
                await _run(conn, f"DROP INDEX CONCURRENTLY IF EXISTS {name}")


@asynccontextmanager
async def _turn(conn: Any, name: str) -> AsyncIterator[bool]:
    """Hold the right to change an index, if nobody else does. It ends with the connection at the latest."""
    mine = await conn.fetchval(SQL["take_turn"], name)
    try:
        if mine:
            await conn.execute("SET statement_timeout = 0")
            await conn.execute("SET lock_timeout = 0")
            await conn.execute("SET maintenance_work_mem = '512MB'")
            # Workers would share that memory in /dev/shm, of which a container has 64 MB.
            await conn.execute("SET max_parallel_maintenance_workers = 0")
        yield mine
    finally:
        if mine and not conn.is_closed():
            for setting in (
                "statement_timeout",
                "lock_timeout",
                "maintenance_work_mem",
                "max_parallel_maintenance_workers",
            ):
                await conn.execute(f"RESET {setting}")
            await conn.fetchval(SQL["end_turn"], name)


async def _run(conn: Any, statement: str) -> None:
    """Run what cannot be in a transaction and takes its time."""
    await conn.execute(statement, timeout=_BUILD_SECONDS)
