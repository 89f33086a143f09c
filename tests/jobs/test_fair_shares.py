"""No project waits behind another's queue, and a claim costs the same whatever the queue's length."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from typing import Any

import pytest

from assistd.db.pool import Database
from assistd.jobs import store
from assistd.jobs.store import Claim, Job, Shares
from tests.jobs.test_worker import KIND, LEASE, add, complete, make, working


async def queue(db: Database, project: str, count: int, *, minutes_ago: int = 0) -> None:
    """Queue many jobs of a project, the first ones first."""
    async with db.acquire() as conn:
        await conn.execute(
            "INSERT INTO jobs (kind, key, project_id, due) SELECT $1, $2 || n, $2, "
            "now() - make_interval(mins => $4) + make_interval(secs => n * 1e-6) FROM generate_series(1, $3) AS n",
            KIND,
            project,
            count,
            minutes_ago,
        )
        await conn.execute("ANALYZE jobs")


async def take(db: Database, limit: int, shares: Shares | None = None) -> Counter[str]:
    async with db.acquire() as conn:
        jobs = await store.take(conn, KIND, Claim("w", LEASE), limit, shares or Shares())
    return Counter(job.project_id for job in jobs)


async def test_a_claim_takes_of_each_project_alike(database: Database) -> None:
    await queue(database, "proj_a", 5000, minutes_ago=5)
    await queue(database, "proj_b", 1)
    await queue(database, "proj_c", 100)
    assert await take(database, 30) == {"proj_a": 15, "proj_b": 1, "proj_c": 14}


async def test_who_has_least_under_way_comes_first_and_of_equals_who_was_served_longest_ago(database: Database) -> None:
    for project in ("proj_a", "proj_b", "proj_c"):
        await queue(database, project, 50)
    assert await take(database, 6, Shares(["proj_b", "proj_a"], [0, 9])) == {"proj_b": 3, "proj_c": 3}
    assert await take(database, 1, Shares(["proj_c", "proj_a", "proj_b"], [1, 1, 1])) == {"proj_c": 1}
    assert await take(database, 1, Shares(["proj_b", "proj_c", "proj_a"], [0, 0, 0])) == {"proj_b": 1}


async def test_of_one_project_the_longest_due_come_first(database: Database) -> None:
    await queue(database, "proj_a", 20)
    async with database.acquire() as conn:
        first = await store.take(conn, KIND, Claim("w", LEASE), 3)
    assert {job.key for job in first} == {"proj_a1", "proj_a2", "proj_a3"}


async def test_what_was_lost_or_given_back_for_a_while_takes_its_share_too(database: Database) -> None:
    await queue(database, "proj_a", 100, minutes_ago=5)
    async with database.acquire() as conn:
        await conn.execute(
            "INSERT INTO jobs (kind, key, project_id, ready, worker, due) VALUES "
            "($1, 'lost', 'proj_b', false, 'dead', now()), ($1, 'later', 'proj_c', false, NULL, now() + '1 h')",
            KIND,
        )
    assert await take(database, 10) == {"proj_a": 9, "proj_b": 1}


async def test_all_of_many_projects_have_their_turn(database: Database) -> None:
    async with database.acquire() as conn:
        await conn.execute(
            "INSERT INTO jobs (kind, key, project_id) SELECT $1, n, 'proj_' || n FROM generate_series(1, 300) AS n",
            KIND,
        )
    served = Counter[str]()
    while found := await take(database, 50):
        served += found
    assert len(served) == 300


@pytest.mark.parametrize("capacity", [1, 3])
async def test_one_run_of_another_project_does_not_wait_for_the_queue(database: Database, capacity: int) -> None:
    done: list[str] = []
    finished = asyncio.Event()

    async def handle(job: Job) -> None:
        await complete(database, job)
        done.append(job.project_id)
        if len(done) == 20:
            await add(database, "late", project="proj_b")
        if job.project_id == "proj_b":
            finished.set()

    await queue(database, "proj_a", 300)
    async with working(make(database, handle, capacity)):
        await finished.wait()
    assert done.index("proj_b") <= 20 + 2 * capacity


async def test_a_new_job_does_not_pass_by_those_that_wait(database: Database) -> None:
    begun: asyncio.Queue[Job] = asyncio.Queue()
    go_on = asyncio.Semaphore(0)

    async def handle(job: Job) -> None:
        begun.put_nowait(job)
        await go_on.acquire()
        await complete(database, job)

    await queue(database, "proj_a", 2)
    await queue(database, "proj_b", 2)
    async with working(make(database, handle, capacity=2)) as worker:
        assert {(await begun.get()).project_id for _ in range(2)} == {"proj_a", "proj_b"}
        assert worker.claim(KIND) is None
        go_on.release()
        await begun.get()
        assert worker.claim(KIND) is None
        for _ in range(3):
            go_on.release()
        await begun.get()
        while worker.busy:
            await asyncio.sleep(0.01)
        while worker.claim(KIND) is None:  # once it has seen that the queue is empty
            await asyncio.sleep(0.01)


async def _pages_read(db: Database) -> int:
    async with db.acquire() as conn:
        transaction = conn.transaction()
        await transaction.start()
        plan: Any = await conn.fetchval(
            "EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) " + store.SQL["take"],
            *(KIND, LEASE, "w", 10, "proj_", 100, ["proj_a"], [5]),
        )
        await transaction.rollback()
    root = json.loads(bytes(plan))[0]["Plan"]
    return int(root["Shared Hit Blocks"] + root["Shared Read Blocks"])


async def test_a_claim_reads_no_more_of_a_long_queue(database: Database) -> None:
    await queue(database, "proj_a", 200)
    await queue(database, "proj_b", 1)
    short = await _pages_read(database)
    await queue(database, "proj_c", 20_000)
    async with database.acquire() as conn:  # and as many that are under way, or wait for their clients
        await conn.execute(
            "INSERT INTO jobs (kind, key, project_id, ready, due) "
            "SELECT $1, 'busy' || n, 'proj_d', false, now() + '1 h' FROM generate_series(1, 20000) AS n",
            KIND,
        )
        await conn.execute("ANALYZE jobs")
    assert await _pages_read(database) <= 2 * short + 50
