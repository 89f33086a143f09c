"""A follower is sent every event once, in order, wherever it comes from and whenever it comes."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from assistd.db.faults import DatabaseUnavailable, Reason
from assistd.runs import stream
from assistd.runs.frames import DONE, PING, Batch, Position
from assistd.runs.stream import Streams

RUN = "run_1"
END = "thread.run.completed"


def frame(lease: int, number: int, name: str = "thread.message.delta") -> bytes:
    return b"event: %b\ndata: {}\nid: %d-%d\n\n" % (name.encode(), lease, number)


def batch(lease: int, first: int, last: int, end: str | None = None) -> Batch:
    names = {last: end} if end else {}
    frames = b"".join(frame(lease, n, names.get(n, "thread.message.delta")) for n in range(first, last + 1))
    return Batch(RUN, lease, first, last, frames)


class Log:
    """A log in memory, in place of the one in the database."""

    def __init__(self, *rows: Batch) -> None:
        self.rows = list(rows)
        self.asked = 0
        self.was_asked = asyncio.Event()
        self.state: str | None = "in_progress"
        self.away = False

    async def read(self, run_id: str, after: Position) -> list[Batch]:
        await asyncio.sleep(0)
        if self.away:
            raise DatabaseUnavailable(Reason.AWAY, "gone")
        return sorted((r for r in self.rows if r.end > after), key=lambda r: (r.lease, r.first))

    async def ask(self, run_id: str) -> None:
        self.asked += 1
        self.was_asked.set()

    async def status(self, run_id: str) -> str | None:
        return self.state


def ids(stream: bytes) -> list[str]:
    return re.findall(r"^id: (.*)$", stream.decode(), re.MULTILINE)


async def collect(frames: AsyncIterator[bytes]) -> bytes:
    async with asyncio.timeout(30):
        return b"".join([part async for part in frames])


def follow(streams: Streams, **options: object) -> AsyncIterator[bytes]:
    return streams.follow(RUN, streams.subscribe(RUN), **options)


async def test_live_events_come_from_memory() -> None:
    log = Log()
    streams = Streams(log)
    with streams.executing(RUN):
        heard = asyncio.create_task(collect(follow(streams, begin=batch(0, 1, 2))))
        await asyncio.sleep(0)
        streams.publish(batch(1, 3, 4))
        streams.publish(batch(1, 5, 5, END))
        stream = await heard
    assert ids(stream) == ["0-1", "0-2", "1-3", "1-4", "1-5"]
    assert stream.endswith(DONE)
    assert log.asked == 0


async def test_a_replay_comes_from_the_log_and_ends() -> None:
    log = Log(batch(0, 1, 2), batch(1, 3, 9, END))
    log.state = "completed"
    streams = Streams(log)
    assert ids(await collect(follow(streams))) == ["0-1", "0-2", *(f"1-{n}" for n in range(3, 10))]
    assert ids(await collect(follow(streams, after=Position(1, 7)))) == ["1-8", "1-9"]
    assert await collect(follow(streams, after=Position(1, 9))) == DONE
    assert await collect(follow(streams, after=Position(5, 1))) == DONE  # a place of some other run


async def test_a_pause_for_tool_outputs_ends_a_stream_only_where_nothing_follows() -> None:
    paused = batch(1, 3, 4, "thread.run.requires_action")
    assert ids(await collect(follow(Streams(Log(paused))))) == ["1-3", "1-4"]
    went_on = Streams(Log(paused, batch(1, 5, 6), batch(2, 7, 8, END)))
    assert ids(await collect(follow(went_on))) == ["1-3", "1-4", "1-5", "1-6", "2-7", "2-8"]


async def test_a_place_ahead_of_a_run_waits_for_its_end_and_no_longer() -> None:
    log = Log(batch(0, 1, 2))
    streams = Streams(log)
    heard = asyncio.create_task(collect(follow(streams, after=Position(1, 9999))))
    await asyncio.sleep(0.01)
    assert not heard.done()
    log.rows.append(batch(1, 3, 9, END))
    log.state = "completed"
    streams.nudge(RUN)
    assert await heard == DONE


async def test_a_run_that_went_on_meanwhile_is_followed_on() -> None:
    # The follower came while the run waited for its client; before it looked on, the outputs were there.
    log = Log(batch(0, 1, 2))
    log.state = "queued"
    streams = Streams(log)
    heard = asyncio.create_task(collect(follow(streams, after=Position(0, 1))))
    await asyncio.sleep(0.01)
    streams.nudge(RUN)
    await asyncio.sleep(0.01)
    assert not heard.done()
    log.rows.append(batch(1, 3, 4, END))
    log.state = "completed"
    streams.nudge(RUN)
    assert ids(await heard) == ["0-2", "1-3", "1-4"]


async def test_a_gap_in_what_is_live_is_filled_from_the_log() -> None:
    log = Log()
    streams = Streams(log)
    with streams.executing(RUN):
        heard = asyncio.create_task(collect(follow(streams, begin=batch(0, 1, 2))))
        await asyncio.sleep(0)
        log.rows = [batch(0, 1, 2), batch(1, 3, 6)]
        streams.publish(batch(1, 7, 8, END))
        assert ids(await heard) == ["0-1", "0-2", *(f"1-{n}" for n in range(3, 9))]


async def test_after_a_takeover_the_numbers_go_on_under_the_new_lease() -> None:
    # The dead worker had told of 3 to 9, but only 3 to 5 reached the log: its successor goes on with 6.
    log = Log(batch(0, 1, 2), batch(1, 3, 5))
    streams = Streams(log)
    heard = asyncio.create_task(collect(follow(streams, after=Position(1, 9))))
    await asyncio.sleep(0.01)
    log.rows.append(batch(2, 6, 7, END))
    streams.nudge(RUN)
    assert ids(await heard) == ["2-6", "2-7"]


async def test_a_run_executed_elsewhere_is_asked_for() -> None:
    log = Log(batch(0, 1, 2))
    streams = Streams(log)
    heard = asyncio.create_task(collect(follow(streams)))
    await log.was_asked.wait()
    log.rows.append(batch(1, 3, 4, END))
    streams.nudge(RUN)
    assert ids(await heard) == ["0-1", "0-2", "1-3", "1-4"]


async def test_what_is_missing_behind_events_that_were_seen_is_in_the_log() -> None:
    log = Log(batch(0, 1, 3))
    streams = Streams(log)
    heard = asyncio.create_task(collect(follow(streams, after=Position(0, 3))))
    for _ in range(5):
        await asyncio.sleep(0)  # it looks at the log, and waits
    log.rows += [batch(0, 4, 4), batch(0, 5, 6, END)]
    streams.publish(batch(0, 1, 3))
    streams.publish(batch(0, 5, 6, END))
    assert ids(await heard) == ["0-4", "0-5", "0-6"]


async def test_a_stream_shows_that_it_lives_while_the_database_is_away(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream, "_PING_SECONDS", 0)
    monkeypatch.setattr(stream, "_RETRY_SECONDS", 0)
    log = Log(batch(0, 1, 3, END))
    log.state = "completed"
    log.away = True
    frames = follow(Streams(log))
    assert await anext(frames) == PING
    assert await anext(frames) == PING
    log.away = False
    assert ids(await collect(frames)) == ["0-1", "0-2", "0-3"]


async def test_the_stream_of_a_run_that_is_gone_ends_with_an_error_and_done() -> None:
    log = Log()
    log.state = None
    sent = await collect(follow(Streams(log)))
    assert sent.startswith(b"event: error\n")
    assert sent.endswith(DONE)


async def test_closing_ends_every_stream_with_an_error_and_done() -> None:
    streams = Streams(Log())
    heard = asyncio.create_task(collect(follow(streams, begin=batch(0, 1, 2))))
    await asyncio.sleep(0)
    streams.close()
    stream = await heard
    assert b'event: error\ndata: {"error":{"message":"The server is shutting down.' in stream
    assert stream.endswith(DONE)


@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_every_event_once_in_order_however_it_is_delivered(data: st.DataObject) -> None:
    """Batches reach the log and the follower in any interleaving; some never reach it live, some come twice."""
    cuts = sorted(data.draw(st.sets(st.integers(1, 29), max_size=8)) | {30})
    batches, first, lease = [], 1, 0
    for last in cuts:
        lease += data.draw(st.integers(0, 1))
        batches.append(batch(lease, first, last, END if last == 30 else None))
        first = last + 1
    steps = data.draw(st.lists(st.sampled_from(["live", "log only", "both", "twice"]), min_size=len(batches)))
    start = data.draw(st.integers(0, 29))
    begin = next((b.lease for b in batches if b.first <= start <= b.last), -1)

    async def deliver() -> bytes:
        log = Log()
        streams = Streams(log)
        heard = asyncio.create_task(collect(follow(streams, after=Position(begin, start) if start else Position())))
        for each, how in zip(batches, steps, strict=False):
            log.rows.append(each)  # what is live is in the log, or unwritten in memory, which reads alike
            if how != "log only":
                streams.publish(each)
            if how == "twice":
                streams.publish(each)
            for _ in range(data.draw(st.integers(0, 3))):
                await asyncio.sleep(0)
        streams.nudge(RUN)
        return await heard

    stream = asyncio.run(deliver())
    assert [int(id.partition("-")[2]) for id in ids(stream)] == list(range(start + 1, 31))
    assert stream.endswith(DONE)
