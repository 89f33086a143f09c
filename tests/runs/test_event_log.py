"""The log keeps every event once, under its lease, and can be read from any place at any moment."""

from __future__ import annotations

import asyncio
import contextlib

import asyncpg
import pytest

from assistd.db.pool import Database, open_pool
from assistd.runs import progress
from assistd.runs.event_log import READ_ROWS, SQL, EventLog
from assistd.runs.frames import Batch, Position
from assistd.runs.progress import Claimed


def batch(run_id: str, first: int, last: int, lease: int = 1) -> Batch:
    frames = b"".join(b'event: e\ndata: {"n":%d}\nid: %d-%d\n\n' % (n, lease, n) for n in range(first, last + 1))
    return Batch(run_id, lease, first, last, frames)


def numbers(batches: list[Batch]) -> list[int]:
    return [n for b in batches for n in range(b.first, b.last + 1)]


@pytest.fixture
def event_log(database: Database) -> EventLog:
    return EventLog(database)


async def test_events_gather_and_are_written_in_one_row(rows, event_log: EventLog) -> None:
    run_id = await rows.run(lease=1)
    for n in range(1, 6):
        event_log.append(batch(run_id, n, n))
    assert numbers(await event_log.read(run_id, Position())) == [1, 2, 3, 4, 5]  # unwritten, and read all the same
    assert await rows.value("SELECT count(*) FROM run_events") == 0
    await event_log.flush()
    (row,) = await rows.conn.fetch("SELECT * FROM run_events")
    assert (row["first_number"], row["last_number"]) == (1, 5)
    assert row["frames"].encode() == batch(run_id, 1, 5).frames


async def test_a_change_takes_what_is_unwritten_with_it(rows, event_log: EventLog) -> None:
    run_id = await rows.run(lease=1)
    event_log.append(batch(run_id, 1, 3))
    async with event_log.taken(run_id, batch(run_id, 4, 4)) as taken:
        assert taken.batch is not None
        assert (taken.batch.first, taken.batch.last, taken.batch.frames) == (1, 4, batch(run_id, 1, 4).frames)
        taken.written = True
    await event_log.flush()
    assert await rows.value("SELECT count(*) FROM run_events") == 0


async def test_a_change_waits_for_what_is_being_written(rows, event_log: EventLog) -> None:
    run_id = await rows.run(lease=1)
    event_log.append(batch(run_id, 1, 2))
    writing = asyncio.create_task(event_log.flush())
    await asyncio.sleep(0)
    event_log.append(batch(run_id, 3, 3))
    async with event_log.taken(run_id, None) as taken:
        assert writing.done()
        assert taken.batch is not None
        assert (taken.batch.first, taken.batch.last) == (3, 3)


async def test_what_a_change_could_not_take_with_it_is_still_unwritten(rows, event_log: EventLog) -> None:
    run_id = await rows.run(lease=1)
    event_log.append(batch(run_id, 1, 3))
    with contextlib.suppress(ZeroDivisionError):
        async with event_log.taken(run_id, batch(run_id, 4, 4)):
            event_log.append(batch(run_id, 4, 5))  # of those that come instead
            raise ZeroDivisionError
    assert numbers(await event_log.read(run_id, Position())) == [1, 2, 3, 4, 5]
    async with event_log.taken(run_id, batch(run_id, 6, 6)):
        pass  # the run has moved on
    await event_log.flush()
    assert await rows.value("SELECT frames FROM run_events") == batch(run_id, 1, 5).frames.decode()


async def test_a_claim_waits_for_events_that_are_being_written(rows, database_url: str) -> None:
    """Otherwise they would come to be in the log behind the back of whoever read it under the new lease."""
    run_id = await rows.run(lease=1)
    writer, claimer = await asyncpg.connect(database_url), Database(await open_pool(database_url, 2))
    try:
        transaction = writer.transaction()
        await transaction.start()
        arrays = [[run_id], [1], [1], [2], [batch(run_id, 1, 2).frames.decode()]]
        await writer.execute(SQL["append"], *arrays)

        async def claim() -> Claimed | None:
            async with claimer.acquire() as conn:
                return await progress.claim(conn, run_id, 2)

        claiming = asyncio.create_task(claim())
        waits = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
        async with asyncio.timeout(30):
            while not await rows.value(waits) and not claiming.done():
                await asyncio.sleep(0.01)
        assert not claiming.done()
        await transaction.commit()
        claimed = await claiming
        assert claimed is not None
        assert claimed.last_number == 2
        await writer.execute(SQL["append"], [run_id], [1], [3], [3], [batch(run_id, 3, 3).frames.decode()])
        assert await rows.value("SELECT max(last_number) FROM run_events") == 2  # the lease is lost
    finally:
        await writer.close()
        await claimer.close()


async def test_what_a_lost_lease_did_not_get_written_was_never_told(rows, event_log: EventLog) -> None:
    run_id = await rows.run(lease=1)
    event_log.append(batch(run_id, 1, 2))
    await event_log.flush()
    event_log.append(batch(run_id, 3, 4))
    await rows.conn.execute("UPDATE runs SET lease = 2 WHERE id = $1", run_id)  # this process takes over from itself
    writing = asyncio.create_task(event_log.flush())
    await asyncio.sleep(0)
    told = await event_log.told(run_id)
    await writing
    assert told == batch(run_id, 1, 2).frames
    assert numbers(await event_log.read(run_id, Position())) == [1, 2]


async def test_events_of_a_lost_lease_are_dropped(rows, event_log: EventLog) -> None:
    run_id = await rows.run(lease=2)
    event_log.append(batch(run_id, 1, 2, lease=1))
    await event_log.flush()
    assert await rows.value("SELECT count(*) FROM run_events") == 0
    event_log.append(batch(run_id, 1, 2, lease=1))
    event_log.append(batch(run_id, 1, 1, lease=2))  # the next worker is this process too
    await event_log.flush()
    (row,) = await rows.conn.fetch("SELECT * FROM run_events")
    assert (row["lease"], row["first_number"], row["last_number"]) == (2, 1, 1)


async def test_what_could_not_be_written_is_written_later(rows, event_log: EventLog, database: Database) -> None:
    run_id = await rows.run(lease=1)
    await rows.conn.execute("ALTER TABLE run_events RENAME TO elsewhere")
    event_log.append(batch(run_id, 1, 2))
    await event_log.flush()
    event_log.append(batch(run_id, 3, 3))
    await rows.conn.execute("ALTER TABLE elsewhere RENAME TO run_events")
    await event_log.flush()
    assert numbers(await event_log.read(run_id, Position())) == [1, 2, 3]


async def test_reading_goes_on_where_it_stopped(rows, event_log: EventLog) -> None:
    run_id = await rows.run(lease=1)
    for n in range(1, READ_ROWS + 11):
        await rows.events(run_id, 1, n, f"event: e\ndata: {{}}\nid: 1-{n}\n\n")
    event_log.append(batch(run_id, READ_ROWS + 11, READ_ROWS + 12))
    first = await event_log.read(run_id, Position())
    assert numbers(first) == list(range(1, READ_ROWS + 1))  # nothing from memory before the log is through
    rest = await event_log.read(run_id, first[-1].end)
    assert numbers(rest) == list(range(READ_ROWS + 1, READ_ROWS + 13))
    assert await event_log.read(run_id, rest[-1].end) == []


async def test_a_row_cut_by_a_place_is_read_whole_and_cut_by_its_reader(rows, event_log: EventLog) -> None:
    run_id = await rows.run(lease=1)
    event_log.append(batch(run_id, 1, 6))
    await event_log.flush()
    (row,) = await event_log.read(run_id, Position(1, 4))
    assert row.after(Position(1, 4)) == batch(run_id, 5, 6).frames


async def test_followers_elsewhere_hear_of_news_they_asked_for(rows, event_log: EventLog) -> None:
    asked, other = await rows.run(lease=1), await rows.run(lease=1)
    heard: asyncio.Queue[str] = asyncio.Queue()
    await rows.conn.add_listener("assistd_events", lambda *args: heard.put_nowait(args[3]))
    event_log.asked_for(asked)
    event_log.append(batch(asked, 1, 1))
    event_log.append(batch(other, 1, 1))
    task = asyncio.create_task(event_log.run())
    async with asyncio.timeout(30):
        assert await heard.get() == asked
        event_log.append(batch(other, 2, 2))
        event_log.append(batch(asked, 2, 2))
        assert await heard.get() == asked  # and nothing of the other in between
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    await rows.conn.reset()
