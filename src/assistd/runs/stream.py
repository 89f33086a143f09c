"""Streams: who follows which run in this process, and what they are sent.

A follower gets live events from memory, as the frames they were encoded to,
and reads the log for whatever came before it, happened elsewhere or fell into
a gap. What it sends joins up: every event once, in order.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Iterator

import structlog

from assistd.db.pool import is_away
from assistd.runs.event_log import ASKED_SECONDS, READ_ROWS, EventLog
from assistd.runs.frames import DONE, PING, Batch, Position, error_frame
from assistd.runs.machine import RESTING

log = structlog.get_logger("assistd.stream")

# A follower of a run that is quiet looks around this often, should a notification be lost.
_LOOK_SECONDS = 1.0
_PING_SECONDS = 15.0
# A run that was just created is nearly always executed here, so asking elsewhere can wait a moment.
_ASK_LATER_SECONDS = 0.25

_CLOSING = "The server is shutting down. The run goes on: follow its events to see the rest."
_BROKEN = "The stream broke off. The run goes on: follow its events to see the rest."
_GONE = "The run is gone: its thread was deleted."
_BEGINNING = Position()


class Subscription:
    """One follower's inbox."""

    def __init__(self) -> None:
        self._batches: list[Batch] = []
        self._nudged = False
        self._waiter: asyncio.Future[None] | None = None  # a bare future: half of what an Event costs, per token

    def push(self, batch: Batch) -> None:
        """Put events in."""
        self._batches.append(batch)
        self._wake()

    def nudge(self) -> None:
        """Wake the follower up to look at the log."""
        self._nudged = True
        self._wake()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    async def wait(self) -> list[Batch]:
        """Return what has come, waiting for it; nothing after a nudge."""
        if not self._batches and not self._nudged:
            self._waiter = asyncio.get_running_loop().create_future()
            await self._waiter
        batches, self._batches = self._batches, []
        if not batches:
            self._nudged = False  # one that came together with events holds: what it tells of may be behind them
        return batches


class Streams:
    """Who follows which run in this process."""

    def __init__(self, event_log: EventLog) -> None:
        self.log = event_log
        self._followers: dict[str, set[Subscription]] = {}
        self._executed: set[str] = set()
        self._closing = False

    async def run(self) -> None:
        """Wake the followers now and then, until cancelled: to look at the log, and to show that they live."""
        while True:  # one clock for all: a timer for every event of every follower would cost more than the event
            await asyncio.sleep(_LOOK_SECONDS)
            self.nudge_all()

    def close(self) -> None:
        """End all streams, because this process ends; the runs themselves go on elsewhere or later."""
        self._closing = True
        self.nudge_all()

    @contextlib.contextmanager
    def executing(self, run_id: str) -> Iterator[None]:
        """Mark a run as executed in this process: its followers here need not look elsewhere."""
        self._executed.add(run_id)
        try:
            yield
        finally:
            self._executed.discard(run_id)
            self.nudge(run_id)

    def publish(self, batch: Batch) -> None:
        """Give events to the followers in this process."""
        for follower in self._followers.get(batch.run_id, ()):
            follower.push(batch)

    def nudge(self, run_id: str) -> None:
        """Wake a run's followers: the log has news, or may have."""
        for follower in self._followers.get(run_id, ()):
            follower.nudge()

    def nudge_all(self) -> None:
        """Wake all followers: notifications may have been lost."""
        for run_id in list(self._followers):
            self.nudge(run_id)

    def subscribe(self, run_id: str) -> Subscription:
        """Begin to follow a run; end it by iterating `follow` to its end or closing it."""
        subscription = Subscription()
        self._followers.setdefault(run_id, set()).add(subscription)
        return subscription

    def _unsubscribe(self, run_id: str, subscription: Subscription) -> None:
        followers = self._followers.get(run_id, set())
        followers.discard(subscription)
        if not followers:
            self._followers.pop(run_id, None)

    async def follow(
        self,
        run_id: str,
        subscription: Subscription,
        begin: Batch | None = None,
        after: Position = _BEGINNING,
    ) -> AsyncIterator[bytes]:
        """Yield a run's frames after a place, or from `begin` on, up to the end of the stream and `done`."""
        follower = _Follower(self, run_id, subscription, after)
        try:
            if begin is not None:
                yield follower.begin_with(begin)
            while not follower.at_end:
                if self._closing:
                    yield error_frame(_CLOSING)
                    break
                if frames := await follower.next():
                    yield frames
            yield DONE
        except _Gone:
            yield error_frame(_GONE) + DONE
        except Exception:
            log.exception("stream broken off", run_id=run_id)
            yield error_frame(_BROKEN) + DONE
        finally:
            self._unsubscribe(run_id, subscription)

    def is_executed_here(self, run_id: str) -> bool:
        """Say whether this process executes a run, so that all its events pass through memory."""
        return run_id in self._executed


class _Gone(Exception):
    """The run was deleted while it was followed."""


class _Follower:
    """One follower's way through a run's events."""

    def __init__(self, streams: Streams, run_id: str, inbox: Subscription, after: Position) -> None:
        self.at_end = False
        self._streams = streams
        self._run_id = run_id
        self._inbox = inbox
        self._position = after
        self._look = True  # at the log, before waiting for what is live
        self._ask_at = 0.0
        self._quiet_since = time.monotonic()

    def begin_with(self, batch: Batch) -> bytes:
        """Take a new run's first events as given: nothing can be before them."""
        self._position = batch.end
        self._look = False
        self._ask_at = time.monotonic() + _ASK_LATER_SECONDS
        return batch.frames

    async def next(self) -> bytes:
        """Return the frames that come next; none where there was only a nudge."""
        batches = [] if self._look else await self._inbox.wait()
        if len(batches) == 1 and self._follows(batches[0]):  # the path of every token
            return self._pass(batches[0], batches[0].frames)
        try:
            await self._ask()
            looked = self._look or self._must_look(batches)
            if looked:
                batches = await self._read() + batches
        except Exception as fault:
            if not is_away(fault):
                raise
            # What is live waits for the log, so that nothing is skipped.
            for batch in batches:
                self._inbox.push(batch)
            self._look = True
            await asyncio.sleep(0.2)
            return b""
        return self._join(batches, looked) or self._ping()

    async def _read(self) -> list[Batch]:
        """Read what the log has next. Where it has nothing, see whether anything is still to come."""
        read = self._streams.log.read
        if batches := await read(self._run_id, self._position):
            return batches
        status = await self._streams.log.status(self._run_id)
        if status is None:
            raise _Gone
        if status not in RESTING:
            return []
        # It may have come to rest between the two looks; if not, the follower has seen all there is, or claims to
        # have seen more: with the place of another run, say.
        batches = await read(self._run_id, self._position)
        self.at_end = not batches
        return batches

    def _join(self, batches: list[Batch], looked: bool) -> bytes:
        """Return the frames of batches, in order; `looked` says that the log's are among them."""
        frames: list[bytes] = []
        self._look = len(batches) >= READ_ROWS  # the log may have more
        for batch in batches:
            if part := batch.after(self._position):
                if (frames or not looked) and not _joins(self._position, batch):
                    self._look = True  # a gap in what came: the log has what is missing
                    break
                frames.append(self._pass(batch, part))
        if self._look:
            self.at_end = False  # a `requires_action` with more behind it ends nothing
        return b"".join(frames)

    def _pass(self, batch: Batch, frames: bytes) -> bytes:
        self._position = batch.end
        self._quiet_since = time.monotonic()
        self.at_end = batch.is_end
        return frames

    def _follows(self, batch: Batch) -> bool:
        return batch.first == self._position.number + 1 and batch.lease >= self._position.lease

    def _must_look(self, batches: list[Batch]) -> bool:
        if batches:
            return not _joins(self._position, batches[0])
        return not self._streams.is_executed_here(self._run_id)

    async def _ask(self) -> None:
        if not self._streams.is_executed_here(self._run_id) and time.monotonic() > self._ask_at:
            self._ask_at = time.monotonic() + ASKED_SECONDS / 2
            await self._streams.log.ask(self._run_id)

    def _ping(self) -> bytes:
        if time.monotonic() - self._quiet_since < _PING_SECONDS:
            return b""
        self._quiet_since = time.monotonic()
        return PING


def _joins(position: Position, batch: Batch) -> bool:
    """Say whether nothing is missing between a place and a batch."""
    return batch.first <= position.number + 1 and batch.lease >= position.lease
