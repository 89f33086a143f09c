"""Executes runs: the handler of `run` jobs, and whom to tell when a run's status was changed from outside."""

from __future__ import annotations

import structlog

from assistd.code_interpreter import store as code_sessions
from assistd.db.faults import DatabaseUnavailable
from assistd.db.pool import Database
from assistd.jobs import store as jobs
from assistd.jobs.store import Job
from assistd.runs import code_interpreter, progress
from assistd.runs.execution import Execution, LeaseLost
from assistd.runs.machine import Status
from assistd.runs.parts import Parts
from assistd.runs.progress import Claimed
from assistd.runs.stream import Streams

log = structlog.get_logger("assistd.runs")


class Executor:
    """Executes runs: the handler of `run` jobs, for the worker of this name."""

    def __init__(self, db: Database, streams: Streams, parts: Parts, name: str = "") -> None:
        self._name = name
        self._db = db
        self._streams = streams
        self._parts = parts
        self._running: dict[str, Execution] = {}

    async def handle(self, job: Job) -> None:
        """Take a run as far as it goes: to its end, or to where it waits for its client."""
        async with self._db.acquire() as conn:
            claimed = await progress.claim(conn, job.key, job.attempt)
            if claimed is None:
                await jobs.complete(conn, job)
                return
            if self._name and code_interpreter.enabled(claimed.run):
                # Whoever has the thread's variables was offered the run, and did not take it.
                await code_sessions.forget_other_holder(conn, claimed.run.thread_id, self._name)
        await self.execute(claimed)

    async def execute(self, claimed: Claimed) -> None:
        """Take a claimed run as far as it goes."""
        run_id = claimed.run.id
        if (older := self._running.get(run_id)) is not None:
            # This process was presumed dead (it slept, or the database was away) and has taken over from itself.
            await older.stop()
        execution = Execution(self._db, self._streams, self._parts, claimed)
        self._running[run_id] = execution
        if claimed.run.status == Status.IN_PROGRESS:
            execution.interrupted.set()  # what was told between the claim and now was told to nobody
        with self._streams.executing(run_id), structlog.contextvars.bound_contextvars(run_id=run_id):
            try:
                await execution.run()
            except LeaseLost:
                log.warning("run taken over by another worker, or deleted", lease=claimed.lease)
            except (DatabaseUnavailable, OSError, MemoryError):
                # The reason is the database's or this machine's, and not the run's: the job goes back to the queue,
                # and the run goes on later, or elsewhere.
                raise
            except Exception:
                log.exception("run failed by a fault of the server")
                await execution.give_up()
            finally:
                if self._running.get(run_id) is execution:
                    del self._running[run_id]
                    self._parts.tools.done(claimed.run)
                    if not execution.ended:
                        self._streams.log.forget(run_id)

    def interrupt(self, run_id: str) -> None:
        """Look at a run's status again: it was cancelled, or deleted."""
        if execution := self._running.get(run_id):
            execution.interrupted.set()

    def interrupt_all(self) -> None:
        """Look at every run's status again: news may have been missed."""
        for execution in self._running.values():
            execution.interrupted.set()
