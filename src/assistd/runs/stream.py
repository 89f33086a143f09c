"""Streams: who follows which run in this process, and what they are sent.

A follower gets live events from memory, as the frames they were encoded to,
and reads the log for whatever came before it, happened elsewhere or fell into
a gap. What it sends joins up: every event once, in order.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Iterator, Sequence

import structlog

from assistd.db.faults import DatabaseUnavailable
from assistd.runs.event_log import ASKED_SECONDS, READ_ROWS, EventLog
from assistd.runs.frames import DONE, PING, Batch, Position, error_frame
from assistd.runs.machine import RESTING

log = structlog.get_logger("assistd.stream")

# A follower of a run that is quiet looks around this often, should a notification be lost.
_LOOK_SECONDS = 1.0
_PING_SECONDS = 15.0
# How soon the log is looked at again where the database could not be asked.
_RETRY_SECONDS = 0.2
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

    def put_back(self, batches: Sequence[Batch]) -> None:
        """Put events in front that were taken out, for when the log was looked at."""
        self._batches[:0] = batches

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
        live = [] if self._look else await self._inbox.wait()
        if len(live) == 1 and live[0].follows(self._position):  # the path of every token
            return self._pass(live[0], live[0].frames)
        try:
            await self._ask()
            logged = await self._read() if self._look or self._must_look(live) else []
        except DatabaseUnavailable:
            # What is live waits for the log, so that nothing is skipped.
            self._inbox.put_back(live)
            self._look = True
            await asyncio.sleep(_RETRY_SECONDS)
            return self._ping()  # proxies cut what is silent, however long the database is away
        return self._join(logged, live) or self._ping()

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

    def _join(self, logged: Sequence[Batch], live: Sequence[Batch]) -> bytes:
        """Return the frames that are new, in order.

        What is live was either seen to follow, or came before the look at the log. A worker sends nothing before the
        events of all leases before its own are in the log for good, so with the whole log behind it, it follows.
        """
        self._look = len(logged) >= READ_ROWS
        if self._look:  # the log may have more
            self._inbox.put_back(live)
            live = ()
        frames = [self._pass(batch, part) for batch in (*logged, *live) if (part := batch.after(self._position))]
        if self._look:
            self.at_end = False  # a `requires_action` with more behind it ends nothing
        return b"".join(frames)

    def _pass(self, batch: Batch, frames: bytes) -> bytes:
        self._position = batch.end
        self._quiet_since = time.monotonic()
        self.at_end = batch.is_end
        return frames

    def _must_look(self, live: Sequence[Batch]) -> bool:
        position = self._position
        for batch in live:
            if batch.end > position:
                if not batch.follows(position):
                    return True
                position = batch.end
        return not live and not self._streams.is_executed_here(self._run_id)

    async def _ask(self) -> None:
        if not self._streams.is_executed_here(self._run_id) and time.monotonic() > self._ask_at:
            self._ask_at = time.monotonic() + ASKED_SECONDS / 2
            await self._streams.log.ask(self._run_id)

    def _ping(self) -> bytes:
        if time.monotonic() - self._quiet_since < _PING_SECONDS:
            return b""
        self._quiet_since = time.monotonic()
        return PING
