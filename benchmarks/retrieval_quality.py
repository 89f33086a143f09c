"""Does search find the answer? recall@10 and nDCG@10 of embeddings alone, words alone and both fused.

    .venv/bin/python benchmarks/retrieval_quality.py [--folder KEPT]

The questions are those of three FAQs, as people asked them; `documentation.py` says how they are taken. A question's
answer is a file of its own, without the question, among all the others and among the manuals of Perl and Python, cut
into passages as every file is. A question counts as answered at the place of the first passage of its answer, so
recall@10 is the share of questions with one among ten, and nDCG@10 is 1 / log2(place + 1), on average.

Every other question was used to choose the constants of the ranking; the figures that count are those of the rest.
"""

from __future__ import annotations

import argparse
import asyncio
import math
import tempfile
from collections.abc import Sequence
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
from assistd.vector_stores.chunking import passages as cut
from assistd.vector_stores.chunks import write_chunks
from assistd.vector_stores.search import Query, Searcher
from assistd.vector_stores.words import rewrite

PROJECT, STORE = "proj_bench", "vs_bench"
KINDS = {"embeddings only": (1.0, 0.0), "words only": (0.0, 1.0), "fused": (1.0, 1.0)}
DEPTH = 10


async def fill(db: Database, files: Sequence[tuple[str, str]]) -> int:
    """One store with all the files, each a name and a text; how many passages they became."""
    async with db.transaction() as conn:
        store = await conn.fetchval(
            "INSERT INTO vector_stores (id, project_id, metadata, embedding_model) VALUES ($1, $2, '{}', $3) "
            "RETURNING key",
            STORE,
            PROJECT,
            static_embedding.NAME,
        )
    total = 0
    for name, text in files:
        texts = list(cut(text, 800, 400))
        vectors = await asyncio.to_thread(static_embedding.embed, texts)
        async with db.transaction() as conn:
            await conn.execute(
                "INSERT INTO files (id, project_id, bytes, filename, purpose, blobs) VALUES ($1, $2, 0, $1, '', '{}')",
                name,
                PROJECT,
            )
            key = await conn.fetchval(
                "INSERT INTO vector_store_files (store_key, file_id, status, chunks, chunking_strategy, attributes) "
                "VALUES ($1, $2, 'completed', $3, '{}', '{}') RETURNING key",
                store,
                name,
                len(texts),
            )
            for at in range(0, len(texts), 100):
                await write_chunks(conn, key, store, at, texts[at : at + 100], vectors[at : at + 100])
        total += len(texts)
    return total


async def places(searcher: Searcher, questions: Sequence[str], weights: tuple[float, float]) -> list[float]:
    """The place of each question's answer, from 1; infinite where it is not among the ten."""
    found = []
    for number, question in enumerate(questions):
        query = Query([question], DEPTH, embedding_weight=weights[0], text_weight=weights[1])
        hits = await searcher.search(PROJECT, [STORE], query)
        ranks = [place for place, hit in enumerate(hits, 1) if hit.file_id == _answer(number)]
        found.append(float(min(ranks, default=math.inf)))
    return found


def figures(places: Sequence[float]) -> str:
    recall = sum(place <= DEPTH for place in places) / len(places)
    gain = sum(1 / math.log2(place + 1) for place in places) / len(places)
    return f"recall@10 {recall:.3f}  nDCG@10 {gain:.3f}"


async def run(docs: Path, folder: Path) -> None:
    await asyncio.to_thread(unpack, docs)
    asked = answered(docs)
    files = [(_answer(number), item.answer) for number, item in enumerate(asked)]
    files += [(page.name, page.text) for page in manuals(docs)]
    async with embedded_postgres(folder) as dsn, open_upstream() as upstream:
        conn = await asyncpg.connect(dsn)
        await migrate.migrate(conn)
        await conn.close()
        db = Database(await open_pool(dsn, 4))
        try:
            if await db_is_empty(db):
                passages = await fill(db, files)
                print(f"{len(asked)} questions, {len(files)} files, {passages} passages")
            await report(Searcher(db, Embedders(Routing(()), upstream)), [item.question for item in asked])
        finally:
            await db.close()


async def db_is_empty(db: Database) -> bool:
    async with db.acquire() as conn:
        return not await conn.fetchval("SELECT EXISTS (SELECT FROM vector_stores)")


async def report(searcher: Searcher, questions: Sequence[str]) -> None:
    rewritten = [rewrite(question) for question in questions]
    for label, texts in (("as asked", questions), ("rewrite_query", rewritten)):
        print(f"\n{label:16}  {'questions to judge by':38}questions to choose by")
        for kind, weights in KINDS.items():
            found = await places(searcher, texts, weights)
            print(f"{kind:16}  {figures(found[1::2]):38}{figures(found[::2])}")


def _answer(number: int) -> str:
    return f"answer-{number}"


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure how well search finds the answers of three FAQs.")
    parser.add_argument("--docs", type=Path, default=Path(tempfile.gettempdir()) / "assistd-documentation")
    parser.add_argument("--folder", type=Path, help="where the database is kept; default: a folder that goes away")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        asyncio.run(run(given.docs, given.folder or Path(temporary)))


if __name__ == "__main__":
    main()
