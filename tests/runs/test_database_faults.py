"""A run never fails for a reason of the database's: it goes back to the queue, and its stream has no hole."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import asyncpg
import pytest

from assistd.db import pool
from assistd.db.pool import Database, open_pool
from assistd.jobs.worker import Worker
from assistd.runs.frames import Position
from tests.runs.conftest import Rows
from tests.runs.library import Model, Office
from tests.runs.test_stream import ids
from tests.support.trouble import STATES, trouble


async def work(database: Database, rows: Rows, *run_ids: str) -> Office:
    """Let a worker work until the runs have ended."""
    office = Office(database)
    office.model = Model(*(["Hello there."] * 200))
    worker = Worker(database, {"run": office.executor.handle}, capacity=50, lease=timedelta(seconds=30))
    working = [asyncio.create_task(worker.run()), asyncio.create_task(office.streams.log.run())]
    try:
        async with asyncio.timeout(120):
            for run_id in run_ids:
                while await rows.job(run_id) is not None:
                    await asyncio.sleep(0.02)
    finally:
        await worker.stop()
        for task in working:
            task.cancel()
        await asyncio.gather(*working, return_exceptions=True)
        await office.streams.log.flush()
    return office


async def check(rows: Rows, run_id: str) -> None:
    run = await rows.of(run_id)
    assert run["status"] == "completed", run["last_error"]
    assert await rows.value("SELECT active_run_id FROM threads WHERE id = $1", run["thread_id"]) is None
    assert await rows.value("SELECT count(*) FROM messages WHERE run_id = $1", run_id) == 1
    log = await rows.conn.fetch("SELECT * FROM run_events WHERE run_id = $1 ORDER BY lease, first_number", run_id)
    number = 0
    for row in log:
        assert row["first_number"] == number + 1, "a hole, or an event twice"
        number = row["last_number"]
        places = [Position(row["lease"], n) for n in range(row["first_number"], number + 1)]
        assert [f"{p.lease}-{p.number}" for p in places] == ids(row["frames"].encode())


@pytest.mark.parametrize(
    ("table", "when"), [("steps", "INSERT"), ("steps", "UPDATE"), ("run_events", "INSERT"), ("runs", "UPDATE")]
)
async def test_runs_outlast_what_the_database_refuses(database: Database, rows: Rows, table: str, when: str) -> None:
    run_ids = [await rows.run(await rows.thread()) for _ in STATES]
    await rows.conn.execute(trouble(table, when, *STATES))
    await work(database, rows, *run_ids)
    assert await rows.value("SELECT last_value FROM tries") > len(STATES)
    for run_id in run_ids:
        await check(rows, run_id)


@pytest.mark.parametrize("table", ["messages", "steps", "run_events", "runs", "threads"])
async def test_a_run_outlasts_a_lock_on_a_table(
    database_url: str, rows: Rows, table: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As `CREATE INDEX` takes it, for longer than a statement waits."""
    monkeypatch.setitem(pool.SESSION_SETTINGS, "lock_timeout", "50ms")
    run_id = await rows.run(await rows.thread())
    database = Database(await open_pool(database_url, 4))
    holder = await asyncpg.connect(database_url)
    lock = holder.transaction()
    await lock.start()
    await holder.execute(f"LOCK TABLE {table} IN SHARE MODE")
    working = asyncio.create_task(work(database, rows, run_id))
    try:
        async with asyncio.timeout(60):
            while table != "run_events" and await holder.fetchval("SELECT max(attempt) FROM jobs") < 3:
                await asyncio.sleep(0.01)
        await lock.rollback()
        await working
        await check(rows, run_id)
    finally:
        await holder.close()
        await database.close()


async def test_a_fault_of_the_program_leaves_no_hole_in_the_log(database: Database, rows: Rows) -> None:
    """What a change would have announced did not happen; what was said before it did."""
    run_id = await rows.run(await rows.thread())
    await rows.conn.execute(trouble("steps", "UPDATE", "22012"))
    office = await work(database, rows, run_id)
    run = await rows.of(run_id)
    assert run["status"] == "failed"
    log = await office.streams.log.read(run_id, Position())
    places = [id for batch in log for id in ids(batch.frames)]
    assert places == [f"1-{number}" for number in range(1, len(places) + 1)]
