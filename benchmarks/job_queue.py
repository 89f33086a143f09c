"""The queue beside PgQueuer, in one process on one embedded PostgreSQL: latency from commit to start, jobs a second.

    .venv/bin/python benchmarks/job_queue.py

Both enqueue within a transaction, as a run does, and both handlers do nothing. Figures are medians of the rounds;
what counts is the ratio between the two columns, which are measured in turn.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path

import asyncpg
from pgqueuer import PgQueuer
from pgqueuer.db import AsyncpgPoolDriver
from pgqueuer.models import Job as PgqJob
from pgqueuer.queries import Queries

from assistd.db import migrate
from assistd.db.embedded import embedded_postgres
from assistd.db.listener import Listener
from assistd.db.pool import Database, open_pool
from assistd.jobs import store
from assistd.jobs.worker import Worker

Enqueue = Callable[[str], Awaitable[None]]


class Started:
    """Who waits for which job to start."""

    def __init__(self) -> None:
        self.waiting: dict[str, asyncio.Future[float]] = {}

    def expect(self, key: str) -> asyncio.Future[float]:
        return self.waiting.setdefault(key, asyncio.get_running_loop().create_future())

    def note(self, key: str) -> None:
        self.waiting.pop(key).set_result(time.perf_counter())


@asynccontextmanager
async def ours(dsn: str, started: Started, *, claimed: bool) -> AsyncIterator[Enqueue]:
    """assistd's queue; `claimed`: the process that enqueues takes the job itself, as it does while it has room."""
    db = Database(await open_pool(dsn, 10))

    async def handle(job: store.Job) -> None:
        started.note(job.key)
        async with db.acquire() as conn:
            await store.complete(conn, job)

    worker = Worker(db, {"bench": handle}, capacity=1000, lease=timedelta(seconds=15))

    async def enqueue(key: str) -> None:
        async with db.transaction() as conn:
            job = await worker.enqueue(conn, "bench", key) if claimed else await store.enqueue(conn, "bench", key)
        if job is not None:
            worker.start(job)

    async with Listener(dsn) as listener:
        await listener.listen(store.CHANNEL, lambda _: worker.wake())
        task = asyncio.create_task(worker.run())
        yield enqueue
        await worker.stop()
        await task
    await db.close()


@asynccontextmanager
async def pgqueuer(dsn: str, started: Started) -> AsyncIterator[Enqueue]:
    """PgQueuer, as its documentation sets it up on a pool."""
    pool = await asyncpg.create_pool(dsn, min_size=2, max_size=10)
    queries = Queries(AsyncpgPoolDriver(pool))
    if not await queries.has_table("pgqueuer"):
        await queries.install()
    runner = PgQueuer(AsyncpgPoolDriver(pool))

    @runner.entrypoint("bench")
    async def handle(job: PgqJob) -> None:
        assert job.payload is not None
        started.note(job.payload.decode())

    async def enqueue(key: str) -> None:
        async with pool.acquire() as conn, conn.transaction():
            await Queries.from_asyncpg_connection(conn).enqueue(["bench"], [key.encode()], [0])

    task = asyncio.create_task(runner.run())
    await asyncio.sleep(1)
    yield enqueue
    runner.shutdown.set()
    await task
    await pool.close()


async def latency_ms(enqueue: Enqueue, started: Started, name: str, count: int) -> float:
    """Median time from the commit to the start of the handler, one job at a time."""
    times = []
    for i in range(count):
        future = started.expect(f"{name}-latency-{i}")
        await enqueue(f"{name}-latency-{i}")
        committed = time.perf_counter()
        times.append((await future - committed) * 1000)
        await asyncio.sleep(0.005)
    return statistics.median(times)


async def jobs_per_second(enqueue: Enqueue, started: Started, name: str, count: int) -> float:
    """Jobs a second from the first enqueueing to the last start, eight enqueueing at once."""
    keys = [f"{name}-load-{i}" for i in range(count)]
    futures = [started.expect(key) for key in keys]
    begun = time.perf_counter()

    async def feed(part: list[str]) -> None:
        for key in part:
            await enqueue(key)

    await asyncio.gather(*(feed(keys[i::8]) for i in range(8)))
    await asyncio.gather(*futures)
    return count / (time.perf_counter() - begun)


async def measure(rounds: int, count: int) -> None:
    found: dict[str, list[tuple[float, float]]] = {}
    with tempfile.TemporaryDirectory(prefix="assistd-bench-") as folder:
        async with embedded_postgres(Path(folder)) as dsn:
            conn = await asyncpg.connect(dsn)
            await migrate.migrate(conn)
            await conn.close()
            for i in range(rounds):
                for name in ("own, taken at once", "own, by notification", "PgQueuer"):
                    started = Started()
                    contender = (
                        pgqueuer(dsn, started)
                        if name == "PgQueuer"
                        else ours(dsn, started, claimed=name == "own, taken at once")
                    )
                    async with contender as enqueue:
                        latency = await latency_ms(enqueue, started, f"{name}-{i}", 100)
                        rate = await jobs_per_second(enqueue, started, f"{name}-{i}", count)
                    found.setdefault(name, []).append((latency, rate))
    print("| queue | commit to start, p50 | jobs/s |\n|---|---|---|")
    for name, values in found.items():
        print(
            f"| {name} | {statistics.median(v[0] for v in values):.2f} ms "
            f"| {statistics.median(v[1] for v in values):.0f} |"
        )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--count", type=int, default=2000)
    arguments = parser.parse_args()
    asyncio.run(measure(arguments.rounds, arguments.count))
