"""The tables of runs and steps, as the API reads and changes them.

Every function takes the caller's connection and leaves the transaction to it.
What an executor writes goes through `progress` instead, under its lease.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import msgspec
from msgspec import UNSET

from assistd import errors
from assistd.assistants import store as assistants
from assistd.assistants.wire import Assistant
from assistd.db import sql
from assistd.jobs import store as jobs
from assistd.jobs.store import Claim
from assistd.runs.frames import Batch, Scribe
from assistd.runs.machine import CANCELLABLE, TERMINAL, Status
from assistd.runs.steps import streamed_step, usage_of
from assistd.runs.wire import Run, SubmitToolOutputs, ToolCalls, shown_details
from assistd.threads import store as threads
from assistd.threads.wire import IncompleteDetails
from assistd.web.paging import fetch_page
from assistd.web.wire import ListOf, Page, page_of, to_json

SQL = sql.load(__package__)

JOB = "run"
CANCEL_CHANNEL = "assistd_cancel"

_SHOWN_RESOURCES = msgspec.Raw(b'{"code_interpreter":{"file_ids":[]}}')
_ACTIVE = frozenset(Status) - TERMINAL


# --- creating


class Manner(msgspec.Struct, frozen=True):
    """How a run is carried out, beyond what its object shows.

    `include_results`: its stream shows the words of what file search found. `retrieval`: its file search is the
    retrieval of v1, which waits for all of its files and puts small ones whole into the prompt.
    """

    include_results: bool = False
    retrieval: bool = False


class Ground(msgspec.Struct, frozen=True):
    """What a new run stands on: its assistant, and its thread. `now` is the database's time in Unix seconds.

    `holder` is the worker that has the variables of the thread's code, if one has.
    """

    assistant: Assistant
    now: float
    has_question: bool
    holder: str | None = None


class NewRun(msgspec.Struct, frozen=True):
    """A run to be created: what the request, the assistant and the defaults make of it together.

    One that its creator executes itself has no time to wait: it is created `in_progress` (`begun`), and its stream
    tells of both. The answer to its request says `queued` (`run`), like any other.
    """

    run: Run
    begun: Run | None
    begin: Batch  # the stream's first events, which stand in the log from the start
    now: float  # the database's time, in Unix seconds
    manner: Manner = Manner()


async def now(conn: Any) -> float:
    """Return the database's time in Unix seconds, which in a transaction is the time of its beginning."""
    seconds: float = await conn.fetchval(SQL["now"])
    return seconds


async def prepare(conn: Any, project_id: str, thread_id: str, assistant_id: str) -> Ground:
    """Look at what a new run stands on. Raises APIError if thread or assistant are absent or the thread is busy."""
    row = await conn.fetchrow(SQL["prepare"], project_id, thread_id, assistant_id)
    if row["thread_id"] is None:
        raise errors.not_found("thread", thread_id)
    if row["id"] is None:
        raise errors.not_found("assistant", assistant_id)
    if row["active_run_id"] is not None:
        raise errors.thread_has_active_run(thread_id, row["active_run_id"])
    return Ground(assistants.assistant_of(row), row["now"], row["has_question"], row["holder"])


async def create(conn: Any, project_id: str, new: NewRun, claim: Claim | None, offer_to: str | None = None) -> None:
    """Add a run with its job: claimed, or for any worker, or offered to one first; the thread is busy from now on.

    Raises APIError where the thread has become busy, or is gone, since `prepare`.
    """
    run, begin = new.begun or new.run, new.begin
    created = await conn.fetchval(
        SQL["create"],
        run.id,
        project_id,
        run.thread_id,
        run.assistant_id,
        run.created_at,
        run.expires_at,
        run.model,
        run.instructions,
        run.tools,
        run.tool_resources,
        run.metadata,
        run.temperature,
        run.top_p,
        run.reasoning_effort,
        run.max_prompt_tokens,
        run.max_completion_tokens,
        run.truncation_strategy,
        run.tool_choice,
        run.parallel_tool_calls,
        run.response_format,
        begin.first,
        begin.last,
        begin.frames.decode(),
        0 if claim is None else 1,
        claim.lease if claim is not None else jobs.OFFER if offer_to else timedelta(),
        claim.worker if claim is not None else offer_to,
        run.status,
        run.started_at,
        new.manner.include_results,
        new.manner.retrieval,
    )
    if not created:
        await prepare(conn, project_id, run.thread_id, run.assistant_id)  # says what has changed
        raise errors.overloaded("The thread changed while the run was being created. Please try again.")
    if claim is None and offer_to is not None:
        await jobs.announce_offer(conn, JOB, run.id, offer_to)
    elif claim is None:
        await jobs.wake(conn, JOB)


# --- reading


async def get(conn: Any, project_id: str, thread_id: str, id: str) -> Run:
    """Fetch a run. Raises APIError (404) where the thread or the run is not there."""
    row = await conn.fetchrow(SQL["get"], project_id, thread_id, id)
    return run_of(row) if row is not None else await _absent(conn, project_id, thread_id, id)


async def list_runs(conn: Any, thread_id: str, page: Page) -> ListOf[Run]:
    """List the runs of a thread, which the caller knows to be there."""
    rows = await fetch_page(conn, SQL, "runs", "run", thread_id, page)
    return page_of([run_of(row) for row in rows], page)


async def _lock(conn: Any, project_id: str, thread_id: str, id: str) -> Any:
    row = await conn.fetchrow(SQL["lock"], project_id, thread_id, id)
    return row if row is not None else await _absent(conn, project_id, thread_id, id)


async def _absent(conn: Any, project_id: str, thread_id: str, id: str) -> Any:
    await threads.require_thread(conn, project_id, thread_id)
    raise errors.not_found("run", id)


# --- changing


async def modify(conn: Any, project_id: str, thread_id: str, id: str, metadata: Any) -> Run:
    """Replace a run's metadata. Raises APIError while the run is being worked on."""
    row = await _lock(conn, project_id, thread_id, id)
    if row["status"] in _ACTIVE - {Status.REQUIRES_ACTION}:
        raise errors.cannot_update(row["status"])
    if metadata is None:
        return run_of(row)
    return run_of(await conn.fetchrow(SQL["modify"], id, to_json(metadata)))


async def cancel(conn: Any, project_id: str, thread_id: str, id: str) -> Run:
    """Set a run to `cancelling` and tell whoever executes it. The worker that sees it ends the run."""
    row = await _lock(conn, project_id, thread_id, id)
    if row["status"] not in CANCELLABLE:
        raise errors.cannot_cancel(row["status"])
    cancelled = run_of(await conn.fetchrow(SQL["cancel"], id))
    await conn.execute(SQL["tell_cancel"], id)
    return cancelled


async def submit(conn: Any, project_id: str, thread_id: str, id: str, outputs: SubmitToolOutputs) -> tuple[Run, Batch]:
    """Take the tool outputs a run waits for and queue it again. Returns it with the events that begin its stream.

    Raises APIError unless the run waits for outputs, and for just these calls.
    """
    row = await _lock(conn, project_id, thread_id, id)
    if row["status"] != Status.REQUIRES_ACTION or row["now"] >= row["expires_at"]:
        raise errors.takes_no_outputs("expired" if row["status"] == Status.REQUIRES_ACTION else row["status"])
    step = await conn.fetchrow(SQL["open_step"], id)
    details = _with_outputs(msgspec.json.decode(step["step_details"], type=ToolCalls), outputs)
    queued = msgspec.structs.replace(run_of(row), status=Status.QUEUED, required_action=None)
    completed = msgspec.structs.replace(
        streamed_step(step),
        status="completed",
        completed_at=row["now"],
        step_details=shown_details(to_json(details), with_content=manner_of(row).include_results),
        usage=usage_of(step),
    )
    scribe = Scribe(id, row["lease"], await conn.fetchval(SQL["last_number"], id))
    scribe.event("thread.run.step.completed", completed)
    scribe.event("thread.run.queued", streamed(queued))
    begin = scribe.take()
    assert begin is not None
    await conn.execute(
        SQL["submit"],
        id,
        step["id"],
        row["now"],
        to_json(details),
        begin.first,
        begin.last,
        begin.frames.decode(),
    )
    return queued, begin


def _with_outputs(details: ToolCalls, outputs: SubmitToolOutputs) -> ToolCalls:
    given = {o.tool_call_id: o.output or "" for o in outputs.tool_outputs}
    expected = [call.id for call in details.tool_calls if call.function is not UNSET]
    if len(given) != len(outputs.tool_outputs) or set(given) != set(expected):
        raise errors.wrong_outputs(expected, [o.tool_call_id for o in outputs.tool_outputs])
    for call in details.tool_calls:
        if call.function is not UNSET:
            call.function.output = given[call.id]
    return details


# --- rows to wire


def run_of(row: Any) -> Run:
    """Make a run of its row."""
    status = row["status"]
    reason = row["incomplete_reason"]
    return Run(
        id=row["id"],
        created_at=row["created_at"],
        assistant_id=row["assistant_id"],
        thread_id=row["thread_id"],
        status=status,
        started_at=row["started_at"],
        expires_at=None if status in TERMINAL else row["expires_at"],
        cancelled_at=row["cancelled_at"],
        failed_at=row["failed_at"],
        completed_at=row["completed_at"],
        required_action=row["required_action"],
        last_error=row["last_error"],
        model=row["model"],
        instructions=row["instructions"],
        tools=row["tools"],
        tool_resources=row["tool_resources"],
        metadata=row["metadata"],
        temperature=row["temperature"],
        top_p=row["top_p"],
        reasoning_effort=row["reasoning_effort"],
        max_completion_tokens=row["max_completion_tokens"],
        max_prompt_tokens=row["max_prompt_tokens"],
        truncation_strategy=row["truncation_strategy"],
        incomplete_details=None if reason is None else IncompleteDetails(reason),
        usage=usage_of(row) if status in TERMINAL else None,
        response_format=row["response_format"],
        tool_choice=row["tool_choice"],
        parallel_tool_calls=row["parallel_tool_calls"],
    )


def manner_of(row: Any) -> Manner:
    """Return how a run is carried out, of its row."""
    return Manner(row["include_results"], row["retrieval"])


def streamed(run: Run) -> Run:
    """Return a run as streams show it: with the resources that every run has."""
    if bytes(run.tool_resources) != b"{}":
        return run
    return msgspec.structs.replace(run, tool_resources=_SHOWN_RESOURCES)
