"""Search in a store of 100,000 passages: latency with and without filters, recall of the vector index, size.

    .venv/bin/python benchmarks/vector_search.py [--chunks 100000] [--folder KEPT]

The passages are made of the manuals that `documentation.py` fetches: each is a stretch of one page and a stretch of
another, about 2,000 characters, by a fixed seed. The queries are questions of the FAQs. Everything a search does is in
its time, the embedding of the query included. With `--folder`, the filled database is kept and used again.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import re
import statistics
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator
from itertools import islice
from pathlib import Path

import asyncpg
from documentation import answered, manuals, unpack

from assistd.db import migrate
from assistd.db.embedded import embedded_postgres
from assistd.db.pool import Database, open_pool
from assistd.llm import static_embedding
from assistd.llm.embedding import Embedders
from assistd.llm.routing import Routing
from assistd.llm.upstream import open_upstream
from assistd.vector_stores.chunks import ensure_index, index_name, write_chunks
from assistd.vector_stores.filters import Filter, Lt
from assistd.vector_stores.search import Query, Searcher

PROJECT, STORE = "proj_bench", "vs_bench"
PER_FILE = 50
STRETCH = 1000  # characters
SEED = 5


def passages(docs: Path) -> Iterator[str]:
    """Passages without end; the same ones every time."""
    rng = random.Random(SEED)
    pages = [re.split(r"\n\s*\n", page.text) for page in manuals(docs)]
    sizes = [len(page) for page in pages]

    def stretch() -> str:
        [page] = rng.choices(pages, sizes)
        text = ""
        for paragraph in page[rng.randrange(len(page)) :]:
            text += paragraph + "\n\n"
            if len(text) >= STRETCH:
                break
        return text[: STRETCH + 200]

    while True:
        yield stretch() + stretch()


async def fill(db: Database, docs: Path, count: int) -> None:
    """A store with `count` passages; a file's attribute `part` is its number modulo 100."""
    async with db.transaction() as conn:
        await conn.execute(
            "INSERT INTO vector_stores (id, project_id, metadata, embedding_model) VALUES ($1, $2, '{}', $3)",
            STORE,
            PROJECT,
            static_embedding.NAME,
        )
    texts, number = passages(docs), 0
    store_key = await db_value(db, "SELECT key FROM vector_stores WHERE id = $1", STORE)
    while number * PER_FILE < count:
        batch = list(islice(texts, PER_FILE))
        vectors = await asyncio.to_thread(static_embedding.embed, batch)
        async with db.transaction() as conn:
            await conn.execute(
                "INSERT INTO files (id, project_id, bytes, filename, purpose, blobs) VALUES ($1, $2, 0, $1, '', '{}')",
                f"file-{number}",
                PROJECT,
            )
            key = await conn.fetchval(
                "INSERT INTO vector_store_files (store_key, file_id, status, chunks, chunking_strategy, attributes) "
                "VALUES ($1, $2, 'completed', $3, '{}', $4) RETURNING key",
                store_key,
                f"file-{number}",
                len(batch),
                json.dumps({"part": number % 100}),
            )
            await write_chunks(conn, key, store_key, 0, batch, vectors)
        number += 1


async def measure(search: Callable[[str], Awaitable[object]], queries: list[str]) -> str:
    """p50 and p95 in milliseconds, of searches one after the other, after a tenth of them to warm up."""
    for query in queries[: len(queries) // 10]:
        await search(query)
    times = []
    for query in queries:
        start = time.perf_counter()
        await search(query)
        times.append(1000 * (time.perf_counter() - start))
    return f"p50 {statistics.median(times):6.1f} ms   p95 {statistics.quantiles(times, n=20)[-1]:6.1f} ms"


async def recall(db: Database, searcher: Searcher, queries: list[str], chosen: Filter | None, parts: int) -> float:
    """The share of the exact ten nearest passages that search by embedding alone finds, on average."""
    shares = []
    for query in queries:
        hits = await searcher.search(PROJECT, [STORE], Query([query], 10, filters=chosen, text_weight=0))
        vector = json.dumps(static_embedding.embed([query])[0])
        async with db.transaction() as conn:
            await conn.execute("SET LOCAL enable_indexscan = off")
            rows = await conn.fetch(
                "SELECT file_id, number FROM chunks JOIN vector_store_files ON key = file_key "
                "WHERE (attributes ->> 'part')::int < $2 ORDER BY embedding <=> (SELECT $1::text::halfvec) LIMIT 10",
                vector,
                parts,
            )
        exact = {(row["file_id"], row["number"]) for row in rows}
        shares.append(len(exact & {(hit.file_id, hit.number) for hit in hits}) / len(exact))
    return statistics.mean(shares)


async def db_value(db: Database, statement: str, *values: object) -> int:
    async with db.acquire() as conn:
        return int(await conn.fetchval(statement, *values))


async def run(docs: Path, folder: Path, count: int, number: int) -> None:
    await asyncio.to_thread(unpack, docs)
    queries = [item.question for item in answered(docs)]
    queries = random.Random(SEED).sample(queries, number)
    async with embedded_postgres(folder) as dsn, open_upstream() as upstream:
        conn = await asyncpg.connect(dsn)
        await migrate.migrate(conn)
        await conn.close()
        db = Database(await open_pool(dsn, 4))
        try:
            searcher = Searcher(db, Embedders(Routing(()), upstream))
            await report(db, searcher, docs, count, queries)
        finally:
            await db.close()


async def report(db: Database, searcher: Searcher, docs: Path, count: int, queries: list[str]) -> None:
    if not await db_value(db, "SELECT count(*) FROM vector_stores"):
        start = time.perf_counter()
        await fill(db, docs, count)
        print(f"filled, embeddings included: {time.perf_counter() - start:.0f} s")
        async with db.acquire() as conn:
            await conn.execute("VACUUM ANALYZE chunks", timeout=600)
    key = await db_value(db, "SELECT key FROM vector_stores")
    start = time.perf_counter()
    print(f"indexed: {await ensure_index(db, key)}, {time.perf_counter() - start:.1f} s")
    for label, what in (("table with texts", "chunks"), ("words", "chunks_words"), ("vectors", index_name(key))):
        size = "pg_table_size" if what == "chunks" else "pg_relation_size"
        total = await db_value(db, f"SELECT COALESCE({size}(to_regclass($1)), 0)", what)
        print(f"size of {label}: {total / 2**20:.0f} MB")
    scopes: list[tuple[str, Filter | None, int]] = [("all files", None, 100)]
    scopes += [(f"{parts} % of the files", Lt(key="part", value=parts), parts) for parts in (1, 10, 50)]
    for label, chosen, _ in scopes:

        async def fused(text: str, chosen: Filter | None = chosen) -> object:
            return await searcher.search(PROJECT, [STORE], Query([text], 10, filters=chosen))

        async def similar(text: str, chosen: Filter | None = chosen) -> object:
            return await searcher.search(PROJECT, [STORE], Query([text], 10, filters=chosen, text_weight=0))

        print(f"{label:18}  fused:         {await measure(fused, queries)}")
        print(f"{label:18}  by embedding:  {await measure(similar, queries)}")
    for label, chosen, parts in scopes:
        print(f"{label:18}  recall@10 {await recall(db, searcher, queries[:100], chosen, parts):.3f}")


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure search in a large vector store.")
    parser.add_argument("--docs", type=Path, default=Path(tempfile.gettempdir()) / "assistd-documentation")
    parser.add_argument("--folder", type=Path, help="where the database is kept; default: a folder that goes away")
    parser.add_argument("--chunks", type=int, default=100_000)
    parser.add_argument("--queries", type=int, default=200)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        asyncio.run(run(given.docs, given.folder or Path(temporary), given.chunks, given.queries))


if __name__ == "__main__":
    main()
