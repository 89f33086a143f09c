"""The rule by which live events and the log join, over any schedule of leases, writers and followers.

A run's truth is its log: what was committed, ordered by lease and number. A follower, on whatever node and from
whatever place, is sent all of the log behind its place, in that order and nothing twice. Beside it, and in its order,
it may be sent what a worker told live under a lease that it lost before the log had it.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import ExitStack

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from assistd.runs import stream
from assistd.runs.frames import DONE, Batch, Position
from assistd.runs.stream import Streams
from tests.runs.test_stream import END, RUN, batch, ids

_PAGE = 3  # rows of the log read at once


class Run:
    """What the database has of a run: who may write, and the log."""

    def __init__(self) -> None:
        self.rows = [batch(0, 1, 3)]
        self.lease = 0
        self.status = "in_progress"

    def append(self, new: Batch | None, lease: int) -> bool:
        """Write under a lease, as the fence allows."""
        if lease == self.lease and new is not None:
            self.rows.append(new)
        return lease == self.lease


class Node:
    """A process: its streams, its executor if it has one, and what it has not written yet."""

    def __init__(self, run: Run) -> None:
        self.run = run
        self.streams = Streams(self)
        self.lease: int | None = None
        self.number = 0
        self.pending: Batch | None = None
        self._executing = ExitStack()

    # --- the log, as its followers see it

    async def read(self, run_id: str, after: Position) -> list[Batch]:
        unwritten = [self.pending] if self.pending is not None and self.pending.end > after else []
        await asyncio.sleep(0)
        logged = sorted((r for r in self.run.rows if r.end > after), key=lambda r: (r.lease, r.first))
        return logged[:_PAGE] if len(logged) >= _PAGE else logged + unwritten

    async def status(self, run_id: str) -> str:
        return self.run.status

    async def ask(self, run_id: str) -> None:
        pass

    # --- the executor

    def claim(self) -> None:
        self.stop()
        self.run.lease += 1
        self.lease = self.run.lease
        self.number = max(row.last for row in self.run.rows)
        self._executing.enter_context(self.streams.executing(RUN))

    def stop(self) -> None:
        self.lease, self.pending = None, None
        self._executing.close()

    def emit(self, count: int) -> None:
        """Send events that announce no change, to be written later."""
        new = self._next(count)
        self.streams.publish(new)
        self.pending = new if self.pending is None else _joined(self.pending, new)

    def flush(self) -> None:
        if self.lease is not None and self.pending is not None:
            self.run.append(self.pending, self.lease)
            self.pending = None

    def commit(self, count: int, end: str | None = None) -> None:
        """Write a change with what is unwritten, and announce it then; or find out that the lease is lost."""
        assert self.lease is not None
        new = self._next(count, end)
        if self.run.append(new if self.pending is None else _joined(self.pending, new), self.lease):
            self.pending = None
            if end is not None:
                self.run.status = "completed"
            self.streams.publish(new)
        else:
            self.stop()

    def _next(self, count: int, end: str | None = None) -> Batch:
        assert self.lease is not None
        first, self.number = self.number + 1, self.number + count
        return batch(self.lease, first, self.number, end)


def _joined(left: Batch, right: Batch) -> Batch:
    return Batch(RUN, left.lease, left.first, right.last, left.frames + right.frames)


class Follower:
    """A client on a node, and the ids that it was sent."""

    def __init__(self, node: Node, after: Position, begin: Batch | None = None) -> None:
        self.start = after if begin is None else Position(-1, 0)
        self.seen: list[Position] = []
        self.stream = b""
        frames = node.streams.follow(RUN, node.streams.subscribe(RUN), begin, after)
        self.task = asyncio.create_task(self._follow(frames))

    async def _follow(self, stream: AsyncIterator[bytes]) -> None:
        async for frames in stream:
            self.stream += frames
            self.seen += [Position(*map(int, id.split("-"))) for id in ids(frames)]

    def check(self, run: Run) -> None:
        logged = {p for row in run.rows for p in _positions(row) if p > self.start}
        assert self.seen == sorted(set(self.seen)), "twice, or out of order"
        assert logged <= set(self.seen), f"skipped: {sorted(logged - set(self.seen))}"
        assert all(p.lease < run.lease for p in set(self.seen) - logged), "not in the log, and no lease was lost"
        assert self.stream.endswith(DONE)


def _positions(row: Batch) -> list[Position]:
    return [Position(row.lease, number) for number in range(row.first, row.last + 1)]


@settings(max_examples=300, deadline=None)
@given(data=st.data())
def test_nothing_that_is_committed_is_skipped(data: st.DataObject) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(stream, "READ_ROWS", _PAGE)
        asyncio.run(_any_schedule(data))


async def _any_schedule(data: st.DataObject) -> None:
    run = Run()
    nodes = [Node(run), Node(run)]
    followers = [Follower(nodes[0], Position(), begin=run.rows[0])]
    nodes[0].claim()
    for _ in range(data.draw(st.integers(3, 25))):
        node = nodes[data.draw(st.integers(0, 1))]
        match data.draw(st.sampled_from(["emit", "emit", "commit", "flush", "claim", "stop", "follow", "nudge"])):
            case "emit" if node.lease is not None:
                node.emit(data.draw(st.integers(1, 5)))
            case "commit" if node.lease is not None:
                node.commit(data.draw(st.integers(1, 3)))
            case "flush":
                node.flush()
            case "claim":
                node.claim()
            case "stop":
                node.stop()
            case "follow":
                seen = [p for follower in followers for p in follower.seen] + [Position()]
                followers.append(Follower(node, data.draw(st.sampled_from(seen))))
            case "nudge":
                node.streams.nudge(RUN)
        for _ in range(data.draw(st.integers(0, 4))):
            await asyncio.sleep(0)
    last = nodes[data.draw(st.integers(0, 1))]
    last.claim()
    last.commit(2, END)
    for node in nodes:
        node.stop()
        node.streams.nudge(RUN)
    async with asyncio.timeout(10):
        await asyncio.gather(*(follower.task for follower in followers))
    for follower in followers:
        follower.check(run)
