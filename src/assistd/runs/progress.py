"""What an executor writes: one `Change` of a run, in one statement, under its lease.

A change holds all that belongs together: the run's new status, the step and
message that it opens or closes, and the events that announce them. It happens
as a whole or, where the executor has lost its lease or the run is no longer in
the status that was expected, not at all.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec

from assistd.db import sql
from assistd.llm.protocol import Usage
from assistd.runs.frames import Batch
from assistd.runs.machine import TERMINAL, Status, check_transition
from assistd.runs.store import NewRun, run_of
from assistd.runs.wire import LastError, Run
from assistd.web.wire import to_json

SQL = sql.load(Path(__file__).with_name("progress.sql"))

NO_USAGE = Usage()


class OpenStep(msgspec.Struct, frozen=True):
    """A step to be opened; `message_id` is the message that a `message_creation` step opens with it."""

    id: str
    type: str
    details: Any
    message_id: str | None = None


class CloseStep(msgspec.Struct, frozen=True):
    """What an open step becomes. Its status may stay `in_progress` while a client's outputs are awaited."""

    id: str
    status: str
    details: Any
    usage: Usage = NO_USAGE
    last_error: LastError | None = None


class CloseMessage(msgspec.Struct, frozen=True):
    """What an open message becomes; `reason` says why it is incomplete, None that it is complete."""

    id: str
    content: Any
    reason: str | None = None


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """One change of a run, from `old` to `new` status, at a time in Unix seconds."""

    old: Status
    new: Status
    at: int
    required_action: Any = None
    last_error: LastError | None = None
    incomplete_reason: str | None = None
    usage: Usage = NO_USAGE
    open_step: OpenStep | None = None
    close_step: CloseStep | None = None
    close_message: CloseMessage | None = None
    discard_step: str | None = None
    discard_message: str | None = None


class Claimed(msgspec.Struct, frozen=True):
    """A run as its claim finds it: what is committed of it, and the database's time at that moment."""

    run: Run
    lease: int
    expires_at: int
    spent: Usage
    steps: Sequence[Any]  # rows, oldest first
    last_number: int  # of its events
    now: float

    @classmethod
    def new(cls, new: NewRun) -> Claimed:
        """Make the first claim of a run that was created claimed."""
        assert new.run.expires_at is not None
        return cls(new.run, 1, new.run.expires_at, NO_USAGE, [], new.begin.last, new.now)


async def claim(conn: Any, run_id: str, lease: int) -> Claimed | None:
    """Take a run under a new lease. Returns None where it is gone, or claimed under a newer one."""
    row = await conn.fetchrow(SQL["claim"], run_id, lease)
    if row is None:
        return None
    claimed = await _claimed(conn, row)
    if lease == 1:
        return claimed
    # The worker before may have been writing while the claim waited for it: the claim's snapshot does not show that.
    return msgspec.structs.replace(claimed, last_number=await conn.fetchval(SQL["last_number"], run_id))


async def reload(conn: Any, run_id: str, lease: int) -> Claimed | None:
    """Fetch a claimed run again. Returns None where the lease is lost or the run gone."""
    row = await conn.fetchrow(SQL["reload"], run_id, lease)
    return None if row is None else await _claimed(conn, row)


async def rest(conn: Any, run_id: str, lease: int) -> bool:
    """Let the job of a run that awaits its client sleep. Returns False where it does not await it any more."""
    waits: bool = await conn.fetchval(SQL["rest"], run_id, lease)
    return waits


async def status(conn: Any, run_id: str, lease: int) -> str | None:
    """Return a claimed run's status, or None where the lease is lost or the run gone."""
    found: str | None = await conn.fetchval(SQL["status"], run_id, lease)
    return found


async def _claimed(conn: Any, row: Any) -> Claimed:
    return Claimed(
        run=run_of(row),
        lease=row["lease"],
        expires_at=row["expires_at"],
        spent=Usage(row["prompt_tokens"], row["completion_tokens"], row["cached_tokens"], row["reasoning_tokens"]),
        steps=await conn.fetch(SQL["steps"], row["id"]),
        last_number=row["last_number"],
        now=row["now"],
    )


async def message(conn: Any, id: str) -> Any:
    """Fetch a message of a run that the caller holds."""
    return await conn.fetchrow(SQL["message"], id)


async def write(conn: Any, run_id: str, lease: int, change: Change, batch: Batch | None) -> bool:
    """Write a change and its events. Returns False, having written nothing, where lease or status have moved on.

    Raises IllegalTransition for a change of status that the table does not have.
    """
    if change.old is not change.new:
        check_transition(change.old, change.new)
    opened, closed, said = change.open_step, change.close_step, change.close_message
    written: bool = await conn.fetchval(
        SQL["write"],
        run_id,
        lease,
        change.old,
        change.new,
        change.at,
        change.new in TERMINAL,
        _json(change.required_action),
        _json(change.last_error),
        change.incomplete_reason,
        change.usage.prompt_tokens,
        change.usage.completion_tokens,
        change.usage.cached_tokens,
        change.usage.reasoning_tokens,
        opened and opened.id,
        opened and opened.type,
        opened and to_json(opened.details),
        opened and opened.message_id,
        closed and closed.id,
        closed and closed.status,
        closed and to_json(closed.details),
        closed and _json(closed.last_error),
        closed.usage.prompt_tokens if closed else 0,
        closed.usage.completion_tokens if closed else 0,
        closed.usage.cached_tokens if closed else 0,
        closed.usage.reasoning_tokens if closed else 0,
        said and said.id,
        said and to_json(said.content),
        said and said.reason,
        change.discard_step,
        change.discard_message,
        batch and batch.first,
        batch and batch.last,
        batch and batch.frames.decode(),
    )
    return written


def _json(value: Any) -> msgspec.Raw | None:
    return None if value is None else to_json(value)
