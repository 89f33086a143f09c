"""The queue's table. Every function takes the caller's connection and leaves the transaction to it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import msgspec

from assistd import ids
from assistd.db import sql

SQL = sql.load(__package__)

CHANNEL = "assistd_jobs"
# What is said here is "worker kind key": a job that this worker is to take, before others may.
OFFERS = "assistd_job_offers"

# How long others leave an offered job alone.
OFFER = timedelta(seconds=1)
# Projects that one claim looks at, of those that have jobs ready.
_PROJECTS = 100


class Job(msgspec.Struct, frozen=True):
    """A claimed piece of work. `attempt` counts the claims: writes about the job name it, so a stale one fails."""

    kind: str
    key: str
    attempt: int
    project_id: str


class Shares(msgspec.Struct, frozen=True):
    """What a worker has of which project, for its next claim to be fair: projects, the one served last at the end."""

    projects: Sequence[str] = ()
    busy: Sequence[int] = ()  # jobs under way of each


class Claim(msgspec.Struct, frozen=True):
    """By whom a job is claimed, and for how long."""

    worker: str
    lease: timedelta


_NO_SHARES = Shares()


async def wake(conn: Any, kind: str) -> None:
    """Wake the workers of this kind of job when the transaction commits."""
    await conn.execute(SQL["wake"], kind)


async def enqueue(conn: Any, kind: str, key: str, project_id: str) -> None:
    """Queue a job and wake the workers when the transaction commits. One that is queued already is made ready."""
    await conn.execute(SQL["enqueue"], kind, key, project_id)
    await wake(conn, kind)


async def enqueue_claimed(conn: Any, kind: str, key: str, project_id: str, claim: Claim) -> Job | None:
    """Queue a job, or take one that waits, for this worker to start once the transaction has committed.

    Returns None where another worker has the job.
    """
    attempt = await conn.fetchval(SQL["enqueue_claimed"], kind, key, project_id, claim.lease, claim.worker)
    return None if attempt is None else Job(kind, key, attempt, project_id)


async def offer(conn: Any, kind: str, key: str, project_id: str, worker: str) -> None:
    """Queue a job for a worker that has something ready for it; others take it where that one does not soon.

    The offer goes out when the transaction commits.
    """
    await conn.execute(SQL["enqueue_offered"], kind, key, project_id, OFFER, worker)
    await announce_offer(conn, kind, key, worker)


async def announce_offer(conn: Any, kind: str, key: str, worker: str) -> None:
    """Tell a worker of a job that is in the queue for it, and the others when to look."""
    await conn.execute(SQL["announce_offer"], f"{worker} {kind} {key}")
    await wake(conn, kind)


async def accept(conn: Any, kind: str, key: str, claim: Claim) -> Job | None:
    """Claim an offered job. Returns None where it is not there for this worker any more."""
    row = await conn.fetchrow(SQL["accept"], kind, key, claim.lease, claim.worker)
    return None if row is None else Job(kind, key, row["attempt"], row["project_id"])


async def take(conn: Any, kind: str, claim: Claim, limit: int, shares: Shares = _NO_SHARES) -> list[Job]:
    """Claim up to `limit` jobs that are due, in fair shares by project; of one project, the longest due first."""
    anywhere = ids.new("proj_")  # with more projects than are looked at, each claim begins with others
    rows = await conn.fetch(
        SQL["take"], kind, claim.lease, claim.worker, limit, anywhere, _PROJECTS, shares.projects, shares.busy
    )
    return [Job(*row) for row in rows]


async def next_due(conn: Any, kind: str) -> float | None:
    """Return the seconds until the next job may be claimed, or None while there is none."""
    seconds: float | None = await conn.fetchval(SQL["next_due"], kind)
    return seconds


async def heartbeat(conn: Any, held: Sequence[Job], lease: timedelta) -> set[Job]:
    """Extend the lease of the held jobs. Returns those that another worker has taken over."""
    rows = await conn.fetch(
        SQL["heartbeat"], [j.kind for j in held], [j.key for j in held], [j.attempt for j in held], lease
    )
    lost = {tuple(row) for row in rows}
    return {job for job in held if (job.kind, job.key, job.attempt) in lost}


async def release(conn: Any, job: Job, delay: timedelta = timedelta()) -> None:
    """Give a job back to the queue, to be ready after a delay."""
    await conn.execute(SQL["release"], job.kind, job.key, job.attempt, delay)
    await wake(conn, job.kind)


async def complete(conn: Any, job: Job) -> None:
    """Remove a job that has nothing left to do. One that was claimed again since stays with its new worker."""
    await conn.execute(SQL["complete"], job.kind, job.key, job.attempt)
