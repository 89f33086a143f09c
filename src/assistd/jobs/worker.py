"""A worker: claims ready jobs, runs their handlers, keeps their leases alive.

A handler ends its job itself, in the transaction that writes the job's result:
so the work and its completion are one fact. A handler that raises gives the job
back after a pause; a worker that shuts down gives back what it has not finished.
"""

from __future__ import annotations

import asyncio
import os
import random
import socket
from collections import Counter
from collections.abc import Callable, Coroutine, Mapping
from contextlib import suppress
from datetime import timedelta
from typing import Any

import structlog

from assistd.db.faults import DatabaseUnavailable
from assistd.db.pool import Database
from assistd.jobs import store
from assistd.jobs.store import Claim, Job, Shares

log = structlog.get_logger("assistd.jobs")

Handler = Callable[[Job], Coroutine[Any, Any, None]]

# An idle worker looks at the queue this often even if nobody wakes it: a wake-up may be lost
# with a connection, and a dead worker's jobs announce nothing.
_IDLE_SECONDS = 5.0
_CLAIM_BATCH = 50
# Projects of which a worker remembers when it served them.
_SERVED = 1000
_CLAIM_SECONDS = 5.0


def worker_name() -> str:
    """Make a name that no other worker has, or will have. Without spaces."""
    return f"{socket.gethostname()}:{os.getpid()}:{random.randbytes(3).hex()}"


class Worker:
    """Runs jobs of the kinds it has handlers for, at most `capacity` at a time."""

    def __init__(
        self, db: Database, handlers: Mapping[str, Handler], *, capacity: int, lease: timedelta, name: str = ""
    ) -> None:
        self.name = name or worker_name()
        self._db = db
        self._handlers = handlers
        self._capacity = capacity
        self._lease = lease
        self._tasks: dict[Job, asyncio.Task[None]] = {}
        self._served: dict[str, None] = {}  # projects, the one that was served last at the end
        self._behind = False  # there may be more in the queue than there was room for
        self._woken = asyncio.Event()
        self._stopping = False
        self._paused = False
        self._claiming = asyncio.Lock()
        self._accepting: set[asyncio.Future[None]] = set()

    async def run(self) -> None:
        """Work until `stop` is called."""
        beats = asyncio.create_task(self._keep_leases())
        try:
            while not self._stopping:
                self._woken.clear()
                async with self._claiming:
                    pause = await self._claim()
                if pause > 0:
                    await _wait(self._woken, pause)
        finally:
            beats.cancel()
            await asyncio.gather(beats, return_exceptions=True)

    def wake(self) -> None:
        """Look at the queue now."""
        self._woken.set()

    def pause(self, paused: bool = True) -> None:
        """Claim nothing while paused; what runs goes on."""
        self._paused = paused
        if not paused:
            self.wake()

    def offered(self, offer: str) -> None:
        """Take an offered job, if the offer is made to this worker; full or not: it has the most of it ready."""
        name, kind, key = offer.rsplit(" ", 2)
        if name == self.name and kind in self._handlers and not self._stopping and not self._paused:
            task = asyncio.ensure_future(self._accept(kind, key))
            self._accepting.add(task)
            task.add_done_callback(self._accepting.discard)

    async def _accept(self, kind: str, key: str) -> None:
        async with self._claiming:
            try:
                async with self._db.acquire() as conn:
                    job = await store.accept(conn, kind, key, Claim(self.name, self._lease))
            except Exception as fault:
                log.warning("queue out of reach", error=str(fault))
                return
            if job is not None and self._stopping:
                await self._give_back(job, timedelta())
            elif job is not None:
                self.start(job)

    async def enqueue(
        self, conn: Any, kind: str, key: str, project_id: str, *, urgent: bool = False, holder: str | None = None
    ) -> Job | None:
        """Queue a job within the caller's transaction, for this worker itself if it has room, or if it is urgent.

        `holder` names a worker that has something ready for the job: if that is another one, it is offered the job.
        Returns the job to hand to `start` after the commit, or None where another worker is to take it.
        """
        if holder not in (None, self.name):
            await store.offer(conn, kind, key, project_id, holder)
            return None
        claim = Claim(self.name, self._lease) if urgent and not self._stopping else self.claim(kind)
        if claim is None:
            await store.enqueue(conn, kind, key, project_id)
            return None
        return await store.enqueue_claimed(conn, kind, key, project_id, claim)

    def claim(self, kind: str) -> Claim | None:
        """Return the claim under which a new job of this kind is this worker's, or None if it has no room.

        Where others may be waiting in the queue, it has none: a new job would pass them by.
        """
        busy = self._behind or len(self._tasks) >= self._capacity
        if busy or self._stopping or self._paused or kind not in self._handlers:
            return None
        return Claim(self.name, self._lease)

    def start(self, job: Job, work: Coroutine[Any, Any, None] | None = None) -> None:
        """Begin a claimed job; `work` is done in place of its handler, by who knows already what that would find."""
        task = asyncio.create_task(self._perform(job, work or self._handlers[job.kind](job)))
        self._tasks[job] = task
        self._served.pop(job.project_id, None)
        self._served[job.project_id] = None
        if len(self._served) > _SERVED:
            del self._served[next(iter(self._served))]
        task.add_done_callback(lambda _: self._ended(job))

    async def stop(self) -> None:
        """Stop claiming, interrupt what runs, and give it back to the queue."""
        self._stopping = True
        self._woken.set()
        with suppress(TimeoutError):  # what is being claimed is given back too; a database that hangs is not waited for
            async with asyncio.timeout(_CLAIM_SECONDS):
                await asyncio.gather(*self._accepting)
                async with self._claiming:
                    pass
        await asyncio.sleep(0)  # a task that is cancelled before its first step would not even give its job back
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    @property
    def busy(self) -> int:
        """Jobs being worked on."""
        return len(self._tasks)

    async def _claim(self) -> float:
        """Start what is ready; return how long to wait before looking again, in seconds."""
        room = min(self._capacity - len(self._tasks), _CLAIM_BATCH)
        if room <= 0 or self._paused:
            self._behind = True
            return _IDLE_SECONDS
        claimed, due = list[Job](), _IDLE_SECONDS
        try:
            async with self._db.acquire() as conn:
                for kind in self._handlers:
                    claim = Claim(self.name, self._lease)
                    claimed += await store.take(conn, kind, claim, room - len(claimed), self._shares())
                    if not claimed and (next_due := await store.next_due(conn, kind)) is not None:
                        due = min(due, next_due)
        except Exception as fault:
            log.warning("queue out of reach", error=str(fault))
            due = 1.0
        if self._stopping:  # since the claim began: these must not wait for their lease to run out
            await asyncio.gather(*(self._give_back(job, timedelta()) for job in claimed))
            return 0.0
        self._behind = len(claimed) == room
        for job in claimed:
            self.start(job)
        return 0.0 if claimed else max(due, 0.01)

    def _shares(self) -> Shares:
        busy = Counter(job.project_id for job in self._tasks)
        projects = list(self._served)
        return Shares(projects, [busy[project] for project in projects])

    async def _perform(self, job: Job, work: Coroutine[Any, Any, None]) -> None:
        try:
            await work
        except asyncio.CancelledError:
            if not self._stopping:  # the lease was lost: the job is somebody else's now
                return
            await asyncio.shield(self._give_back(job, timedelta()))
        except Exception as fault:
            # Of what the database could not do there is nothing to be read in our own lines.
            trace = None if isinstance(fault, DatabaseUnavailable) else fault
            log.warning(
                "job interrupted", kind=job.kind, key=job.key, attempt=job.attempt, error=str(fault), exc_info=trace
            )
            await self._give_back(job, timedelta(seconds=min(0.2 * job.attempt, 5)))

    async def _give_back(self, job: Job, delay: timedelta) -> None:
        """Return a job to the queue. Where the database is away, keep trying for the life of the lease."""
        for _ in range(max(1, int(self._lease.total_seconds() / 0.5))):
            try:
                async with self._db.acquire() as conn:
                    await store.release(conn, job, delay)
                self.wake()  # it may be due before anything else; the notification of it may be lost
                return
            except Exception as fault:
                log.debug("job not given back yet", key=job.key, error=str(fault))
                await asyncio.sleep(0.5)

    def _ended(self, job: Job) -> None:
        self._tasks.pop(job, None)
        if self._behind or self._capacity - len(self._tasks) == 1:  # it was full: there may be more
            self._woken.set()

    async def _keep_leases(self) -> None:
        while True:
            await asyncio.sleep(self._lease.total_seconds() / 3)
            held = list(self._tasks)
            if not held:
                continue
            try:
                async with self._db.acquire() as conn:
                    lost = await store.heartbeat(conn, held, self._lease)
            except Exception as fault:
                log.warning("leases not renewed", error=str(fault))
                continue
            for job in lost:
                if task := self._tasks.get(job):
                    log.warning("lease lost", kind=job.kind, key=job.key, attempt=job.attempt)
                    task.cancel()


async def _wait(event: asyncio.Event, seconds: float) -> None:
    try:
        async with asyncio.timeout(seconds):
            await event.wait()
    except TimeoutError:
        pass
