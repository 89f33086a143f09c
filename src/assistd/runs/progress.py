"""What an executor writes: one `Change` of a run, in one statement, under its lease.

A change holds all that belongs together: the run's new status, the step and
message that it opens or closes, and the events that announce them. It happens
as a whole or, where the executor has lost its lease or the run is no longer in
the status that was expected, not at all.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import msgspec

from assistd.db import sql
from assistd.llm.protocol import Usage
from assistd.runs.frames import Batch
from assistd.runs.machine import TERMINAL, Status, check_transition
from assistd.runs.prompts import KeptPrompt
from assistd.runs.store import Manner, NewRun, manner_of, run_of
from assistd.runs.wire import Exchange, LastError, Run
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
    exchange: Sequence[Exchange] = ()  # of calls of the server's tools; their outputs are in the details


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

    project_id: str
    run: Run
    lease: int
    expires_at: int
    spent: Usage
    steps: Sequence[Any]  # rows, oldest first
    last_number: int  # of its events
    now: float
    manner: Manner = Manner()

    @classmethod
    def new(cls, project_id: str, new: NewRun) -> Claimed:
        """Make the first claim of a run that was created claimed."""
        run = new.begun
        assert run is not None
        assert run.expires_at is not None
        return cls(project_id, run, 1, run.expires_at, NO_USAGE, [], new.begin.last, new.now, new.manner)


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
        project_id=row["project_id"],
        run=run_of(row),
        lease=row["lease"],
        expires_at=row["expires_at"],
        spent=Usage(row["prompt_tokens"], row["completion_tokens"], row["cached_tokens"], row["reasoning_tokens"]),
        steps=await conn.fetch(SQL["steps"], row["id"]),
        last_number=row["last_number"],
        now=row["now"],
        manner=manner_of(row),
    )


async def message(conn: Any, id: str) -> Any:
    """Fetch a message of a run that the caller holds."""
    return await conn.fetchrow(SQL["message"], id)


async def write(
    conn: Any, run_id: str, lease: int, change: Change, batch: Batch | None, prompt: KeptPrompt | None = None
) -> bool:
    """Write a change, its events, and what the model was sent before it.

    Returns False, having written nothing, where lease or status have moved on. Raises IllegalTransition for a change
    of status that the table does not have.
    """
    if change.old is not change.new:
        check_transition(change.old, change.new)
    values = {"run_id": run_id, "lease": lease, **_values(change, batch, prompt)}
    statement, names = _compose(_parts(change, batch, prompt))
    written: bool = await conn.fetchval(statement, *(values[name] for name in names))
    return written


def _parts(change: Change, batch: Batch | None, prompt: KeptPrompt | None) -> tuple[str, ...]:
    """Name the parts of the statement that a change needs."""
    present = {
        "opened_message": change.open_step is not None and change.open_step.message_id is not None,
        "opened_step": change.open_step is not None,
        "closed_step": change.close_step is not None,
        "closed_message": change.close_message is not None,
        "discarded_step": change.discard_step is not None,
        "discarded_message": change.discard_message is not None,
        "told": batch is not None,
        "asked": prompt is not None,
        "unlocked_thread": change.new in TERMINAL,
        "completed_job": change.new in TERMINAL,
        "waiting_job": change.new is Status.REQUIRES_ACTION,
    }
    return (_first_part(change), *(part for part, needed in present.items() if needed))


def _first_part(change: Change) -> str:
    """Name the part that holds the run. The tokens of a turn are counted where it ends."""
    if change.new is not change.old:
        return "changed"
    return "held" if change.usage == NO_USAGE else "counted"


@cache
def _compose(parts: tuple[str, ...]) -> tuple[str, tuple[str, ...]]:
    """Put a statement together. Returns it and the names of its parameters, in their order."""
    names: list[str] = []

    def number(match: re.Match[str]) -> str:
        if match[1] not in names:
            names.append(match[1])
        return f"${names.index(match[1]) + 1}"

    first, *others = parts
    ctes = [f"run AS ({SQL[first]})", *(f"{part} AS ({SQL[part]})" for part in others)]
    statement = f"WITH {', '.join(ctes)} SELECT EXISTS (SELECT FROM run)"
    return re.sub(r"(?<!:):(\w+)", number, statement), tuple(names)


def _values(change: Change, batch: Batch | None, prompt: KeptPrompt | None) -> dict[str, Any]:
    """Return the parameters of a change by name."""
    opened, closed, said = change.open_step, change.close_step, change.close_message
    values: dict[str, Any] = {
        "old": change.old,
        "new": change.new,
        "at": change.at,
        "required_action": _json(change.required_action),
        "last_error": _json(change.last_error),
        "incomplete_reason": change.incomplete_reason,
        **msgspec.structs.asdict(change.usage),
        "discarded_step_id": change.discard_step,
        "discarded_message_id": change.discard_message,
    }
    if opened is not None:
        values |= {
            "opened_step_id": opened.id,
            "opened_step_type": opened.type,
            "opened_step_details": to_json(opened.details),
            "opened_message_id": opened.message_id,
        }
    if closed is not None:
        values |= {
            "step_id": closed.id,
            "step_status": closed.status,
            "step_details": to_json(closed.details),
            "step_error": _json(closed.last_error),
            "exchange": to_json(closed.exchange) if closed.exchange else None,
            "last_search": max((e.search for e in closed.exchange if e.search is not None), default=None),
            **{f"step_{name}": tokens for name, tokens in msgspec.structs.asdict(closed.usage).items()},
        }
    if said is not None:
        values |= {"message_id": said.id, "content": to_json(said.content), "message_reason": said.reason}
    if batch is not None:
        values |= {"first_number": batch.first, "last_number": batch.last, "frames": batch.frames.decode()}
    if prompt is not None:
        values |= {
            "turn": prompt.turn,
            "asked_at": prompt.created_at,
            "shortened": prompt.shortened,
            "body": prompt.body,
        }
    return values


def _json(value: Any) -> msgspec.Raw | None:
    return None if value is None else to_json(value)
