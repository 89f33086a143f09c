"""Streams: events go to those who follow in this process at once, and to the log a moment later.

Whoever follows a run elsewhere, or comes back after a break, reads the log. A
process writes the log of all its runs in one statement every few milliseconds;
it notifies other processes only of runs that somebody there has asked for.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import structlog

from assistd.db import sql
from assistd.db.pool import Database, is_away
from assistd.runs.frames import DONE, PING, Batch, Position, error_frame

log = structlog.get_logger("assistd.stream")

SQL = sql.load(Path(__file__).with_name("progress.sql"))

FOLLOW_CHANNEL = "assistd_follow"
EVENTS_CHANNEL = "assistd_events"

# How long events gather before they are logged. A follower elsewhere sees them this much later.
_FLUSH_SECONDS = 0.02
# A follower of a run that is quiet looks at the log this often, should a notification be lost.
_LOOK_SECONDS = 1.0
_PING_SECONDS = 15.0
_ASKED_SECONDS = 10.0
# Rows of the log read at once.
READ_ROWS = 500


class EventLog:
    """Writes the events of all runs of this process, and reads back those of any run."""

    def __init__(self, db: Database) -> None:
        self._db = db
        self._pending: dict[str, Batch] = {}
        self._writing: dict[str, Batch] = {}
        self._written = asyncio.Event()
        self._wanted = asyncio.Event()
        self._asked: dict[str, float] = {}
        self._news: set[str] = set()

    async def run(self) -> None:
        """Write what gathers, until cancelled."""
        while True:
            await self._wanted.wait()
            await asyncio.sleep(_FLUSH_SECONDS)
            self._wanted.clear()
            await self.flush()

    def append(self, batch: Batch) -> None:
        """Take events to be written soon."""
        waiting = self._pending.get(batch.run_id)
        self._pending[batch.run_id] = batch if waiting is None else _joined(waiting, batch)
        self._note(batch.run_id)
        self._wanted.set()

    async def take(self, run_id: str, batch: Batch | None) -> Batch | None:
        """Return a run's unwritten events with `batch` behind them, for the caller to write with its change."""
        while run_id in self._writing:
            self._written.clear()
            await self._written.wait()
        waiting = self._pending.pop(run_id, None)
        if waiting is None or batch is None:
            return waiting or batch
        return _joined(waiting, batch)

    def wrote(self, run_id: str) -> None:
        """Note that a change wrote events of this run: followers elsewhere are to hear of them."""
        self._note(run_id)

    def forget(self, run_id: str) -> None:
        """Drop a run's unwritten events: its lease is lost."""
        self._pending.pop(run_id, None)

    def asked_for(self, run_id: str) -> None:
        """Note that a process wants to hear of a run's events."""
        self._asked[run_id] = time.monotonic() + _ASKED_SECONDS

    async def ask(self, run_id: str) -> None:
        """Ask whoever executes a run to tell of its events."""
        async with self._db.acquire() as conn:
            await conn.execute(SQL["ask"], run_id)

    async def read(self, run_id: str, after: Position) -> list[Batch]:
        """Read what the log has of a run after a place, in order."""
        async with self._db.acquire() as conn:
            rows = await conn.fetch(SQL["read"], run_id, after.lease, after.number, READ_ROWS)
        return [Batch(run_id, r["lease"], r["first_number"], r["last_number"], r["frames"].encode()) for r in rows]

    async def flush(self) -> None:
        """Write what has gathered."""
        self._writing, self._pending = self._pending, {}
        news, self._news = self._news, set()
        batches = list(self._writing.values())
        try:
            async with self._db.acquire() as conn:
                if batches:
                    await conn.execute(
                        SQL["append"],
                        [b.run_id for b in batches],
                        [b.lease for b in batches],
                        [b.first for b in batches],
                        [b.last for b in batches],
                        [b.frames.decode() for b in batches],
                    )
                if news:
                    await conn.execute(SQL["announce"], list(news))
        except Exception as fault:
            # Not lost: what is unwritten goes with the next change of its run, or with the next flush.
            log.warning("events not written yet", error=str(fault), runs=len(batches))
            for run_id, batch in self._writing.items():
                newer = self._pending.get(run_id)
                self._pending[run_id] = batch if newer is None else _joined(batch, newer)
            asyncio.get_running_loop().call_later(0.5, self._wanted.set)
        finally:
            self._writing = {}
            self._written.set()

    def _note(self, run_id: str) -> None:
        until = self._asked.get(run_id)
        if until is None:
            return
        if time.monotonic() < until:
            self._news.add(run_id)
            self._wanted.set()
        else:
            del self._asked[run_id]


class Subscription:
    """One follower's inbox."""

    def __init__(self) -> None:
        self._batches: list[Batch] = []
        self._event = asyncio.Event()

    def push(self, batch: Batch) -> None:
        self._batches.append(batch)
        self._event.set()

    def nudge(self) -> None:
        """Wake the follower up to look at the log."""
        self._event.set()

    async def wait(self, seconds: float) -> list[Batch]:
        """Return what has come, waiting at most this long for it."""
        if not self._event.is_set():
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    await self._event.wait()
        self._event.clear()
        batches, self._batches = self._batches, []
        return batches


class Streams:
    """Who follows which run in this process."""

    def __init__(self, event_log: EventLog) -> None:
        self.log = event_log
        self._followers: dict[str, set[Subscription]] = {}
        self._executed: set[str] = set()
        self._closing = False

    def close(self) -> None:
        """End all streams, because this process ends; the runs themselves go on elsewhere or later."""
        self._closing = True
        self.nudge_all()

    @contextlib.contextmanager
    def executing(self, run_id: str) -> Iterator[None]:
        """Mark a run as executed in this process: its followers here need not ask elsewhere."""
        self._executed.add(run_id)
        try:
            yield
        finally:
            self._executed.discard(run_id)

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
        self, run_id: str, subscription: Subscription, begin: Batch | None, after: Position
    ) -> AsyncIterator[bytes]:
        """Yield a run's frames after a place, or from `begin` on, up to the end of the stream and `done`.

        Live events come from memory as long as they join up; the log fills every gap.
        """
        try:
            position = after
            if begin is not None:
                yield begin.frames
                position = begin.end
            async for batch in self._batches(run_id, subscription, position, from_log=begin is None):
                if batch is None:
                    yield PING
                else:
                    yield batch.frames
            yield DONE
        except _Closing as closing:
            yield error_frame(str(closing)) + DONE
        except Exception:
            log.exception("stream broken off", run_id=run_id)
            yield error_frame("The stream broke off. The run goes on: follow its events to see the rest.") + DONE
        finally:
            self._unsubscribe(run_id, subscription)

    async def _batches(
        self, run_id: str, subscription: Subscription, position: Position, *, from_log: bool
    ) -> AsyncIterator[Batch | None]:
        look = from_log
        # A run that was just created is nearly always executed here, so asking elsewhere can wait a moment.
        ask_at = time.monotonic() + (0.0 if from_log else 0.25)
        quiet_since = time.monotonic()
        while not self._closing:
            batches = [] if look else await subscription.wait(_LOOK_SECONDS)
            try:
                if run_id not in self._executed and time.monotonic() > ask_at:
                    ask_at = time.monotonic() + _ASKED_SECONDS / 2
                    await self.log.ask(run_id)
                if look or not batches or not _joins(position, batches[0]):
                    batches = await self.log.read(run_id, position) + batches
            except Exception as fault:
                if not is_away(fault):
                    raise
                # What is live can wait for the log: nothing is skipped, and nothing is told twice.
                for batch in batches:
                    subscription.push(batch)
                await asyncio.sleep(0.2)
                continue
            look = False
            for i, batch in enumerate(batches):
                frames = batch.after(position)
                if not frames:
                    continue
                if i and not _joins(position, batch):
                    look = True  # a gap within what came: the log has what is missing
                    break
                position = batch.end
                quiet_since = time.monotonic()
                yield Batch(run_id, batch.lease, batch.first, batch.last, frames)
            if batches and not look:
                if batches[-1].is_end and batches[-1].end <= position:
                    return
                look = len(batches) >= READ_ROWS  # the log may have more
            if time.monotonic() - quiet_since > _PING_SECONDS:
                quiet_since = time.monotonic()
                yield None
        raise _Closing("The server is shutting down. The run goes on: follow its events to see the rest.")


class _Closing(Exception):
    """This process ends, and its streams with it."""


def _joins(position: Position, batch: Batch) -> bool:
    """Say whether nothing is missing between a place and a batch."""
    return batch.first <= position.number + 1 and batch.lease >= position.lease


def _joined(a: Batch, b: Batch) -> Batch:
    return Batch(a.run_id, a.lease, a.first, b.last, a.frames + b.frames)
