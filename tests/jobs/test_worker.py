"""Jobs are done once, by one worker at a time, and by another when a worker dies."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

import pytest

from assistd.db.pool import Database, open_pool
from assistd.jobs import store
from assistd.jobs.store import Claim, Job
from assistd.jobs.worker import Worker

LEASE = timedelta(seconds=30)
KIND = "test"
PROJECT = "proj_1"


@asynccontextmanager
async def working(worker: Worker) -> AsyncIterator[Worker]:
    """Let a worker work; an end that is none fails the test."""
    task = asyncio.create_task(worker.run())
    try:
        async with asyncio.timeout(60):
            yield worker
    finally:
        await worker.stop()
        await task


def make(
    db: Database, handle: Callable[[Job], Awaitable[None]], capacity: int = 10, lease: timedelta = LEASE
) -> Worker:
    async def handler(job: Job) -> None:
        await handle(job)

    return Worker(db, {KIND: handler}, capacity=capacity, lease=lease)


async def add(db: Database, *keys: str, project: str = PROJECT) -> None:
    async with db.transaction() as conn:
        for key in keys:
            await store.enqueue(conn, KIND, key, project)


async def left(db: Database) -> list[Any]:
    async with db.acquire() as conn:
        return await conn.fetch("SELECT key, attempt, worker, due <= now() AS due FROM jobs ORDER BY key")


async def complete(db: Database, job: Job) -> None:
    async with db.acquire() as conn:
        await store.complete(conn, job)


async def take(db: Database, worker: str = "w", lease: timedelta = LEASE, limit: int = 10) -> list[Job]:
    async with db.acquire() as conn:
        return await store.take(conn, KIND, Claim(worker, lease), limit)


# --- offers


async def test_an_offered_job_is_taken_by_whom_it_is_offered_to(database: Database) -> None:
    done: asyncio.Queue[tuple[str, Job]] = asyncio.Queue()
    first, second = (make(database, lambda job, name=name: done.put((name, job))) for name in ("first", "second"))  # type: ignore[misc]
    async with working(first), working(second):
        async with database.transaction() as conn:
            assert await first.enqueue(conn, KIND, "a", PROJECT, holder=second.name) is None
        offer = f"{second.name} {KIND} a"
        first.offered(offer)
        second.offered(offer)
        async with asyncio.timeout(10):
            name, job = await done.get()
        assert (name, job) == ("second", Job(KIND, "a", 1, PROJECT))
        await complete(database, job)
    assert done.empty()


async def test_an_offer_that_nobody_takes_is_anybodys_job_a_moment_later(database: Database) -> None:
    done: asyncio.Queue[Job] = asyncio.Queue()
    worker = make(database, done.put)
    async with database.transaction() as conn:
        await worker.enqueue(conn, KIND, "a", PROJECT, holder="a worker that is dead")
    assert await take(database) == []  # not yet
    async with working(worker), asyncio.timeout(30):
        job = await done.get()
        assert job == Job(KIND, "a", 1, PROJECT)
        await complete(database, job)


async def test_an_offer_that_was_taken_by_another_meanwhile_is_none(database: Database) -> None:
    async with database.transaction() as conn:
        await store.offer(conn, KIND, "a", PROJECT, "slow")
        await conn.execute("UPDATE jobs SET due = now()")
    assert await take(database, "quick") == [Job(KIND, "a", 1, PROJECT)]
    async with database.acquire() as conn:
        assert await store.accept(conn, KIND, "a", Claim("slow", LEASE)) is None


async def test_a_worker_that_stops_gives_back_what_it_was_offered(database: Database) -> None:
    worker = make(database, lambda job: asyncio.sleep(600))
    async with working(worker):
        async with database.transaction() as conn:
            await store.offer(conn, KIND, "a", PROJECT, worker.name)
        worker.offered(f"{worker.name} {KIND} a")
    (row,) = await left(database)
    assert dict(row) == {"key": "a", "attempt": 1, "worker": None, "due": True}


# --- claims


async def test_each_job_is_claimed_by_one_of_many(database: Database, database_url: str) -> None:
    keys = {f"job-{n:02}" for n in range(40)}
    await add(database, *keys)
    crowd = Database(await open_pool(database_url, 10))
    try:
        taken = await asyncio.gather(*(take(crowd, f"w{n}", limit=7) for n in range(10)))
    finally:
        await crowd.close()
    claimed = [job.key for jobs in taken for job in jobs]
    assert len(claimed) == len(set(claimed))
    rest = await take(database, limit=100)
    assert set(claimed) | {job.key for job in rest} == keys


async def test_a_claim_holds_for_its_lease_and_is_counted(database: Database) -> None:
    await add(database, "a")
    (first,) = await take(database, lease=timedelta())  # over as soon as it is made
    (second,) = await take(database)
    assert (first.attempt, second.attempt) == (1, 2)
    assert await take(database) == []


async def test_a_late_worker_neither_ends_nor_keeps_nor_returns_what_is_another_s(database: Database) -> None:
    await add(database, "a")
    (late,) = await take(database, "late", timedelta())
    (now,) = await take(database, "now")
    async with database.acquire() as conn:
        await store.complete(conn, late)
        await store.release(conn, late)
        assert await store.heartbeat(conn, [late], LEASE) == {late}  # it is told that it has lost the job
        assert await store.heartbeat(conn, [now], LEASE) == set()
    assert await left(database) == [("a", 2, "now", False)]
    await complete(database, now)
    assert await left(database) == []


async def test_only_claims_that_nobody_gives_back_count_as_lost(database: Database) -> None:
    async def lost() -> int:
        async with database.acquire() as conn:
            return await conn.fetchval("SELECT lost FROM jobs")

    await add(database, "a")
    for _ in range(2):
        (job,) = await take(database)
        async with database.acquire() as conn:
            await store.release(conn, job)
    assert await lost() == 0
    for _ in range(3):
        await take(database, lease=timedelta())
    assert await lost() == 2  # the third may still be at work


async def test_queuing_again_makes_ready_what_waits_and_leaves_alone_what_is_done(database: Database) -> None:
    await add(database, "a")
    (job,) = await take(database)
    await add(database, "a")
    assert await take(database) == []
    async with database.acquire() as conn:
        await store.release(conn, job, timedelta(hours=1))
        assert await store.next_due(conn, KIND) == pytest.approx(3600, abs=60)
    assert await take(database) == []
    await add(database, "a")
    assert [j.attempt for j in await take(database)] == [2]


async def test_a_rollback_queues_nothing(database: Database) -> None:
    async def change_their_mind() -> None:
        async with database.transaction() as conn:
            await store.enqueue(conn, KIND, "a", PROJECT)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await change_their_mind()
    assert await left(database) == []


# --- workers


async def test_a_worker_does_what_is_queued_and_what_it_takes_itself(database: Database) -> None:
    done: asyncio.Queue[str] = asyncio.Queue()

    async def handle(job: Job) -> None:
        await complete(database, job)
        done.put_nowait(job.key)

    await add(database, "before")
    async with working(make(database, handle)) as worker:
        assert await done.get() == "before"
        await add(database, "after")
        worker.wake()
        assert await done.get() == "after"
        async with database.transaction() as conn:
            job = await worker.enqueue(conn, KIND, "own", PROJECT)
        assert job == Job(KIND, "own", 1, PROJECT)
        worker.start(job)
        assert await done.get() == "own"
    assert await left(database) == []


async def test_a_full_worker_leaves_new_jobs_to_others(database: Database) -> None:
    release = asyncio.Event()
    begun: asyncio.Queue[str] = asyncio.Queue()

    async def handle(job: Job) -> None:
        begun.put_nowait(job.key)
        await release.wait()
        await complete(database, job)

    await add(database, "a", "b", "c")
    async with working(make(database, handle, capacity=2)) as worker:
        first = {await begun.get(), await begun.get()}
        assert worker.claim(KIND) is None
        async with database.transaction() as conn:
            assert await worker.enqueue(conn, KIND, "d", PROJECT) is None
        release.set()
        assert first | {await begun.get(), await begun.get()} == {"a", "b", "c", "d"}
        while await left(database):  # a worker that stops would give back what it has not finished
            await asyncio.sleep(0.01)


async def test_what_fails_is_given_back_and_done_again(database: Database) -> None:
    attempts: asyncio.Queue[int] = asyncio.Queue()

    async def handle(job: Job) -> None:
        attempts.put_nowait(job.attempt)
        if job.attempt < 3:
            raise RuntimeError("not yet")
        await complete(database, job)

    await add(database, "a")
    async with working(make(database, handle)):
        assert [await attempts.get() for _ in range(3)] == [1, 2, 3]


async def test_stopping_gives_back_at_once_what_is_not_done(database: Database) -> None:
    begun = asyncio.Event()

    async def handle(job: Job) -> None:
        begun.set()
        await asyncio.Event().wait()

    await add(database, "a")
    async with working(make(database, handle)):
        await begun.wait()
    assert await left(database) == [("a", 1, None, True)]


async def test_what_has_just_been_started_when_it_stops_is_given_back(database: Database) -> None:
    async def handle(job: Job) -> None:
        await asyncio.Event().wait()

    await add(database, "a")
    worker = make(database, handle)
    [job] = await take(database, worker.name)
    worker.start(job)
    await worker.stop()  # before the job's task has had its first step
    assert await left(database) == [("a", 1, None, True)]


async def test_what_is_being_claimed_when_it_stops_is_given_back(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun: list[str] = []
    claimed, go_on = asyncio.Event(), asyncio.Event()
    take = store.take

    async def slow_take(*args: Any) -> list[Job]:
        found = await take(*args)
        claimed.set()
        await go_on.wait()
        return found

    async def handle(job: Job) -> None:
        begun.append(job.key)

    monkeypatch.setattr(store, "take", slow_take)
    await add(database, "a")
    async with working(make(database, handle)) as worker:
        await claimed.wait()
        stopping = asyncio.create_task(worker.stop())
        await asyncio.sleep(0)
        go_on.set()
        await stopping
        assert await left(database) == [("a", 1, None, True)]
    assert begun == []


async def test_heartbeats_keep_a_job_and_a_lost_one_is_interrupted(database: Database) -> None:
    begun, interrupted = asyncio.Event(), asyncio.Event()

    async def handle(job: Job) -> None:
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            interrupted.set()

    await add(database, "a")
    async with working(make(database, handle, lease=timedelta(seconds=0.6))):
        await begun.wait()
        async with database.acquire() as conn:
            held = await conn.fetchval("SELECT due FROM jobs")
            while await conn.fetchval("SELECT due FROM jobs") == held:
                await asyncio.sleep(0.01)
            assert not interrupted.is_set()
            await conn.execute(
                "UPDATE jobs SET attempt = attempt + 1, worker = 'another', due = now() + interval '1 h'"
            )
        await interrupted.wait()
    assert await left(database) == [("a", 2, "another", False)]
