"""The queue's table. Every function takes the caller's connection and leaves the transaction to it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import msgspec

from assistd.db import sql

SQL = sql.load(__package__)

CHANNEL = "assistd_jobs"
# What is said here is "worker kind key": a job that this worker is to take, before others may.
OFFERS = "assistd_job_offers"

# How long others leave an offered job alone.
OFFER = timedelta(seconds=1)


class Job(msgspec.Struct, frozen=True):
    """A claimed piece of work. `attempt` counts the claims: writes about the job name it, so a stale one fails."""

    kind: str
    key: str
    attempt: int


class Claim(msgspec.Struct, frozen=True):
    """By whom a job is claimed, and for how long."""

    worker: str
    lease: timedelta


async def wake(conn: Any, kind: str) -> None:
    """Wake the workers of this kind of job when the transaction commits."""
    await conn.execute(SQL["wake"], kind)


async def enqueue(conn: Any, kind: str, key: str) -> None:
    """Queue a job and wake the workers when the transaction commits. One that is queued already is made ready."""
    await conn.execute(SQL["enqueue"], kind, key)
    await wake(conn, kind)


async def enqueue_claimed(conn: Any, kind: str, key: str, claim: Claim) -> Job | None:
    """Queue a job, or take one that waits, for this worker to start once the transaction has committed.

    Returns None where another worker has the job.
    """
    attempt = await conn.fetchval(SQL["enqueue_claimed"], kind, key, claim.lease, claim.worker)
    return None if attempt is None else Job(kind, key, attempt)


async def offer(conn: Any, kind: str, key: str, worker: str) -> None:
    """Queue a job for a worker that has something ready for it; others take it where that one does not soon.

    The offer goes out when the transaction commits.
    """
    await conn.execute(SQL["enqueue_offered"], kind, key, OFFER, worker)
    await announce_offer(conn, kind, key, worker)


async def announce_offer(conn: Any, kind: str, key: str, worker: str) -> None:
    """Tell a worker of a job that is in the queue for it, and the others when to look."""
    await conn.execute(SQL["announce_offer"], f"{worker} {kind} {key}")
    await wake(conn, kind)


async def accept(conn: Any, kind: str, key: str, claim: Claim) -> Job | None:
    """Claim an offered job. Returns None where it is not there for this worker any more."""
    attempt = await conn.fetchval(SQL["accept"], kind, key, claim.lease, claim.worker)
    return None if attempt is None else Job(kind, key, attempt)


async def take(conn: Any, kinds: Sequence[str], claim: Claim, limit: int) -> list[Job]:
    """Claim up to `limit` ready jobs, the longest due first."""
    return [Job(*row) for row in await conn.fetch(SQL["take"], kinds, claim.lease, claim.worker, limit)]


async def next_due(conn: Any, kinds: Sequence[str]) -> float | None:
    """Return the seconds until the next job is ready, or None while the queue is empty."""
    seconds: float | None = await conn.fetchval(SQL["next_due"], kinds)
    return seconds


async def heartbeat(conn: Any, held: Sequence[Job], lease: timedelta) -> set[Job]:
    """Extend the lease of the held jobs. Returns those that another worker has taken over."""
    rows = await conn.fetch(
        SQL["heartbeat"], [j.kind for j in held], [j.key for j in held], [j.attempt for j in held], lease
    )
    return {Job(*row) for row in rows}


async def release(conn: Any, job: Job, delay: timedelta = timedelta()) -> None:
    """Give a job back to the queue, to be ready after a delay."""
    await conn.execute(SQL["release"], job.kind, job.key, job.attempt, delay)
    await wake(conn, job.kind)


async def complete(conn: Any, job: Job) -> None:
    """Remove a job that has nothing left to do. One that was claimed again since stays with its new worker."""
    await conn.execute(SQL["complete"], job.kind, job.key, job.attempt)
