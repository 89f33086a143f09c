"""The log of all streams: written a moment after the events, in batches, and read by whoever comes later.

Whoever follows a run in the process that executes it is served from memory; the
log is for followers elsewhere and for those who come back. So it can take its
time: events are gathered and written for all runs of the process at once, soon
where somebody elsewhere follows the run, a little later where nobody does. A
change of a run's state takes the run's unwritten events into its transaction.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from pathlib import Path

import structlog

from assistd.db import sql
from assistd.db.pool import Database
from assistd.runs.frames import Batch, Position

log = structlog.get_logger("assistd.stream")

SQL = sql.load(Path(__file__).with_name("progress.sql"))

FOLLOW_CHANNEL = "assistd_follow"
EVENTS_CHANNEL = "assistd_events"

# How long the events of a run gather that is followed elsewhere, and of one that is not. A row a token
# costs PostgreSQL as much as the token costs us; a row every ten tokens does not matter.
_SOON_SECONDS = 0.02
_LATER_SECONDS = 0.2
# How long a follower's question for a run's events holds.
ASKED_SECONDS = 10.0
# Rows of the log read at once.
READ_ROWS = 500


class EventLog:
    """Writes the events of all runs of this process, and reads back those of any run."""

    def __init__(self, db: Database) -> None:
        self._db = db
        self._pending: dict[str, _Gathered] = {}
        self._writing: dict[str, Batch] = {}
        self._written = asyncio.Event()
        self._wanted = asyncio.Event()
        self._asked: dict[str, float] = {}
        self._news: set[str] = set()

    # --- for executors

    def append(self, batch: Batch) -> None:
        """Take events to be written soon."""
        gathered = self._pending.get(batch.run_id)
        if gathered is None or gathered.lease != batch.lease:  # what is left of a lost lease is void
            self._pending[batch.run_id] = _Gathered(batch)
        else:
            gathered.add(batch)
        self.wrote(batch.run_id)
        self._wanted.set()

    @asynccontextmanager
    async def taken(self, run_id: str, batch: Batch | None) -> AsyncIterator[Taken]:
        """Hand out a run's unwritten events with `batch` behind them, to be written with a change inside the block.

        Unless the block says that they are `written`, those that were there before `batch` are unwritten again.
        """
        await self._settle(run_id)
        gathered = self._pending.pop(run_id, None)
        if gathered is not None and batch is not None and gathered.lease != batch.lease:
            gathered = None  # what is left of a lost lease is void
        before = None if gathered is None else gathered.batch()
        if gathered is not None and batch is not None:
            gathered.add(batch)
        taken = Taken(batch if gathered is None else gathered.batch())
        try:
            yield taken
        finally:
            if before is not None and not taken.written:
                self._put_back(before)
                self._wanted.set()

    def wrote(self, run_id: str) -> None:
        """Note that there are new events of this run: followers elsewhere are to hear of them."""
        until = self._asked.get(run_id)
        if until is None:
            return
        if time.monotonic() < until:
            self._news.add(run_id)
            self._wanted.set()
        else:
            del self._asked[run_id]

    def forget(self, run_id: str) -> None:
        """Drop a run's unwritten events: its lease is lost."""
        self._pending.pop(run_id, None)

    # --- for followers

    async def ask(self, run_id: str) -> None:
        """Ask whoever executes a run to tell of its events."""
        async with self._db.acquire() as conn:
            await conn.execute(SQL["ask"], run_id)

    def asked_for(self, run_id: str) -> None:
        """Note that a process wants to hear of a run's events."""
        self._asked[run_id] = time.monotonic() + ASKED_SECONDS

    async def read(self, run_id: str, after: Position) -> list[Batch]:
        """Read a run's events after a place, in order: at most `READ_ROWS` rows of the log, and what is unwritten here.

        What is unwritten is looked at first: so nothing can be written past both looks.
        """
        unwritten = [b for b in self._unwritten(run_id) if b.end > after]
        logged = await self._read(run_id, after)
        return logged if len(logged) == READ_ROWS else logged + unwritten

    async def told(self, run_id: str) -> bytes:
        """Read all frames of a run that are written.

        Whoever asks holds the run by a newer lease: what is not written under the older one never will be.
        """
        await self._settle(run_id)
        frames: list[bytes] = []
        position = Position()
        while batches := await self._read(run_id, position):
            for batch in batches:
                frames.append(batch.after(position))
                position = max(position, batch.end)
        return b"".join(frames)

    async def status(self, run_id: str) -> str | None:
        """Return a run's status, or None where it was deleted with its thread, and its events with it."""
        async with self._db.acquire() as conn:
            found: str | None = await conn.fetchval(SQL["state"], run_id)
        return found

    async def _settle(self, run_id: str) -> None:
        """Wait until nothing of a run is on its way to the log."""
        while run_id in self._writing:
            self._written.clear()
            await self._written.wait()

    async def _read(self, run_id: str, after: Position) -> list[Batch]:
        async with self._db.acquire() as conn:
            rows = await conn.fetch(SQL["read"], run_id, after.lease, after.number, READ_ROWS)
        return [Batch(run_id, r["lease"], r["first_number"], r["last_number"], r["frames"].encode()) for r in rows]

    def _unwritten(self, run_id: str) -> Iterable[Batch]:
        if (writing := self._writing.get(run_id)) is not None:
            yield writing
        if (gathered := self._pending.get(run_id)) is not None:
            yield gathered.batch()

    # --- writing

    async def run(self) -> None:
        """Write what gathers, until cancelled."""
        all_due = 0.0
        while True:
            await self._wanted.wait()
            await asyncio.sleep(_SOON_SECONDS)
            self._wanted.clear()
            if time.monotonic() >= all_due:
                all_due = time.monotonic() + _LATER_SECONDS
                await self.flush()
            else:
                await self._write({run_id for run_id in self._pending if run_id in self._asked})
                if self._pending:
                    self._wanted.set()

    async def flush(self) -> None:
        """Write everything that has gathered."""
        await self._write(set(self._pending))

    async def _write(self, run_ids: set[str]) -> None:
        news, self._news = self._news, set()
        if not run_ids and not news:
            return
        self._writing = {run_id: self._pending.pop(run_id).batch() for run_id in run_ids}
        try:
            await self._append(list(self._writing.values()), list(news))
        except Exception as fault:
            # Not lost: what is unwritten goes with the next change of its run, or with the next flush.
            log.warning("events not written yet", error=str(fault), runs=len(run_ids))
            for batch in self._writing.values():
                self._put_back(batch)
            asyncio.get_running_loop().call_later(0.5, self._wanted.set)
        finally:
            self._writing = {}
            self._written.set()

    async def _append(self, batches: list[Batch], news: list[str]) -> None:
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
                await conn.execute(SQL["announce"], news)

    def _put_back(self, batch: Batch) -> None:
        newer = self._pending.get(batch.run_id)
        if newer is None:
            self._pending[batch.run_id] = _Gathered(batch)
        elif newer.lease == batch.lease:
            newer.parts.insert(0, batch.frames)
            newer.first = batch.first


class Taken:
    """Events that are about to be written with a change, and whether they were."""

    def __init__(self, batch: Batch | None) -> None:
        self.batch = batch
        self.written = False


class _Gathered:
    """Consecutive events of a run that wait to be written."""

    def __init__(self, batch: Batch) -> None:
        self.run_id = batch.run_id
        self.lease = batch.lease
        self.first = batch.first
        self.last = batch.last
        self.parts = [batch.frames]

    def add(self, batch: Batch) -> None:
        self.parts.append(batch.frames)
        self.last = batch.last

    def batch(self) -> Batch:
        if len(self.parts) > 1:
            self.parts = [b"".join(self.parts)]
        return Batch(self.run_id, self.lease, self.first, self.last, self.parts[0])
