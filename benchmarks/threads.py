"""Time the list of a project's threads: all of them, by metadata and by text, among as many as are asked for.

    .venv/bin/python benchmarks/threads.py --threads 100000

The database is an embedded one in a folder that is removed afterwards; another project has as many threads again.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from assistd import ids
from assistd.db import migrate
from assistd.db.embedded import embedded_postgres
from assistd.db.pool import Database, open_pool
from assistd.threads import store
from assistd.threads.sought import EVERY_THREAD, Sought
from assistd.web.wire import Page

SYLLABLES = (
    "ka",
    "ri",
    "tor",
    "men",
    "in",
    "vo",
    "ice",
    "plan",
    "trip",
    "re",
    "port",
    "an",
    "al",
    "y",
    "co",
    "de",
    "ing",
)
INSERT = """
INSERT INTO threads (id, project_id, tool_resources, metadata)
SELECT id, $1, '{}', metadata FROM unnest($2::text[], $3::json[]) AS new (id, metadata)"""
CASES = {
    "newest page of all": EVERY_THREAD,
    "what every thread has (app=web)": Sought({"app": "web"}),
    "what one in 5,000 has (user=u77)": Sought({"user": "u77"}),
    "what one old thread has": Sought({"old": "yes"}),
    "a pair that is nowhere": Sought({"app": "mail"}),
    "text that many have ('plan')": Sought({}, "plan"),
    "text that one thread has ('zebra')": Sought({}, "zebra"),
    "text that is nowhere ('giraffe')": Sought({}, "giraffe"),
    "one character ('a')": Sought({}, "a"),
    "text and metadata": Sought({"user": "u77"}, "plan"),
}


def rows(count: int, chance: random.Random) -> Sequence[dict[str, str]]:
    """Make metadata of threads with titles of a few words."""
    words = ["".join(chance.choices(SYLLABLES, k=chance.randint(1, 4))) for _ in range(5000)]
    made = [
        {"title": " ".join(chance.choices(words, k=chance.randint(2, 7))), "app": "web", "user": f"u{n % 5000}"}
        for n in range(count)
    ]
    made[7] |= {"old": "yes", "title": "The zebra"}
    return made


async def fill(db: Database, project: str, metadata: Sequence[dict[str, str]]) -> float:
    """Add threads, and return the seconds that took for each."""
    began = time.perf_counter()
    async with db.acquire() as conn:
        for at in range(0, len(metadata), 1000):
            part = [json.dumps(each) for each in metadata[at : at + 1000]]
            await conn.execute(INSERT, project, [ids.new("thread_") for _ in part], part)
    return (time.perf_counter() - began) / len(metadata)


async def median(repeats: int, call: Callable[[], Any]) -> float:
    """Return the median seconds of a call."""
    times = []
    for _ in range(repeats):
        began = time.perf_counter()
        await call()
        times.append(time.perf_counter() - began)
    return statistics.median(times)


async def run(count: int, repeats: int) -> None:
    with tempfile.TemporaryDirectory(prefix="assistd-bench-") as folder:
        async with embedded_postgres(Path(folder)) as dsn:
            db = Database(await open_pool(dsn, 2))
            async with db.acquire() as conn:
                await migrate.migrate(conn)
            chance = random.Random(1)
            for project in ("proj_ours", "proj_theirs"):
                seconds = await fill(db, project, rows(count, chance))
            plain = await fill(db, "proj_plain", [{}] * count)
            print(f"adding a thread: {seconds * 1e6:.0f} us with metadata, {plain * 1e6:.0f} us without")
            async with db.acquire() as conn:
                await conn.execute("VACUUM ANALYZE threads")
                size = await conn.fetchval("SELECT pg_relation_size('threads_terms')")
                print(f"index: {size / 1e6:.0f} MB for {2 * count} threads with metadata")
                for limit in (20, 100):
                    for name, sought in CASES.items():
                        page = Page(limit=limit)
                        seconds = await median(
                            repeats,
                            lambda: store.list_threads(conn, "proj_ours", page, sought),  # noqa: B023
                        )
                        found = await store.list_threads(conn, "proj_ours", page, sought)
                        print(f"limit {limit:3}  {name:36} {len(found.data):3} found  {seconds * 1e3:6.2f} ms")
            await db.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=100_000)
    parser.add_argument("--repeat", type=int, default=9)
    arguments = parser.parse_args()
    asyncio.run(run(arguments.threads, arguments.repeat))


if __name__ == "__main__":
    main()
