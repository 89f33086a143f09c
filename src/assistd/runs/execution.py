"""One claim of one run: carries out what the machine decides.

The loop is: ask `machine.next_command`, do it, look again. Every change of
state goes through `_commit`, under the lease of the claim, and is published to
the run's followers only when it is committed. Deltas announce no change: they
are published at once and logged soon after.

Three things may interrupt: the run is cancelled, it expires, or the lease is
lost. The first two stop the upstream call and let the machine decide about what
is committed by then; the third stops the execution without a word.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Coroutine
from functools import partial
from typing import Any

import msgspec
import structlog

from assistd.db.faults import DatabaseUnavailable
from assistd.db.pool import Database
from assistd.llm.protocol import ChatRequest, Model, ModelRateLimited, ModelRefused, ModelUnavailable, Usage
from assistd.runs import machine, orphan, progress, request, store
from assistd.runs.asking import Asker
from assistd.runs.calls import ToolUnavailable
from assistd.runs.file_search import SearchFailed
from assistd.runs.frames import Batch, Scribe
from assistd.runs.machine import (
    AwaitToolOutputs,
    Begin,
    CallModel,
    CloseStep,
    Command,
    Discard,
    Finish,
    Outcome,
    Rest,
    RunTools,
    Status,
)
from assistd.runs.parts import Parts
from assistd.runs.progress import NO_USAGE, Change, Claimed, CloseMessage, write
from assistd.runs.progress import CloseStep as ClosedStep
from assistd.runs.prompts import turn_after
from assistd.runs.steps import streamed_step, usage_of
from assistd.runs.stream import Streams
from assistd.runs.transcript import ended_run, total, transcript_of
from assistd.runs.turn import Material, Scene, Turn
from assistd.runs.wire import LastError, ToolCall, ToolCalls, required_action
from assistd.web.wire import to_json

log = structlog.get_logger("assistd.runs")

# Pauses between tries of an upstream that fails without saying how long to wait, in seconds.
_BACKOFF = (0.5, 1, 2, 4, 8, 15, 30)

# What an open message and its step become when the run ends before they do.
_ENDS = {
    Status.COMPLETED: ("completed", None),
    Status.INCOMPLETE: ("completed", "max_tokens"),
    Status.FAILED: ("failed", "run_failed"),
    Status.CANCELLED: ("cancelled", "run_cancelled"),
    Status.EXPIRED: ("expired", "run_expired"),
}

_SERVER_ERROR = "Sorry, something went wrong."


class LeaseLost(Exception):
    """Another worker has the run, or the run is gone."""


class _Moved(Exception):
    """The run is no longer in the status it was expected in; what is known of it was loaded anew."""


class Execution:
    """One claim of one run; `row` and `steps` are what the claim found."""

    def __init__(self, db: Database, streams: Streams, parts: Parts, claimed: Claimed) -> None:
        self.interrupted = asyncio.Event()
        self.ended = False
        self._db = db
        self._streams = streams
        self._parts = parts
        self._project_id = claimed.project_id
        self._manner = claimed.manner
        begun = time.monotonic() - max(0.0, claimed.now - (claimed.run.started_at or claimed.now))
        self._asker = Asker(db, parts, claimed.project_id, begun, retrieval=claimed.manner.retrieval)
        self._id = claimed.run.id
        self._lease = claimed.lease
        self._offset = claimed.now - time.monotonic()
        self._scene = Scene(claimed.run.id, claimed.run.thread_id, claimed.run.assistant_id, claimed.expires_at)
        self._scribe = Scribe(claimed.run.id, claimed.lease, claimed.last_number)
        self._committing = asyncio.Lock()
        self._turn: Turn | None = None
        self._turn_usage: Usage = NO_USAGE  # of a turn that is not committed yet
        self._failures = 0
        self._job_rests = False
        self._task = asyncio.current_task()
        self._load(claimed)

    # --- what is known

    def _load(self, claimed: Claimed) -> None:
        self._run = claimed.run
        self._stored_steps = {step["id"]: step for step in claimed.steps}
        self._spent = total(claimed.spent, self._turn_usage)
        self._transcript = transcript_of(claimed, self._spent)

    async def _reload(self) -> None:
        async with self._db.acquire() as conn:
            claimed = await progress.reload(conn, self._id, self._lease)
        if claimed is None:
            raise LeaseLost
        self._load(claimed)

    def _now(self) -> float:
        """The database's time, as read at the claim and carried on from there."""
        return time.monotonic() + self._offset

    def _clock(self) -> int:
        return int(self._now())

    # --- the loop

    async def run(self) -> None:
        """Do what is to be done until there is nothing more."""
        while True:
            command = machine.next_command(self._transcript, self._clock())
            if isinstance(command, Rest):
                if not await self._rest():
                    continue
                self.ended = True
                return
            try:
                await self._do(command)
            except _Moved:
                log.debug("run moved on", status=self._transcript.status)

    async def _do(self, command: Command) -> None:
        match command:
            case Begin():
                await self._begin()
            case CallModel():
                await self._interruptible(self._call_model(command))
            case Discard(step_id=step_id):
                await self._discard(step_id)
            case AwaitToolOutputs():
                await self._await_outputs()
            case RunTools():
                await self._interruptible(self._run_tools())
            case CloseStep(step_id=step_id):
                await self._close_step(step_id)
            case Finish(status=status, reason=reason):
                await self._finish(status, reason)

    async def _interruptible(self, work: Coroutine[Any, Any, None]) -> None:
        """Do work that a cancelled or expired run stops at once; then load what is committed."""
        task = asyncio.ensure_future(work)
        try:
            while not await self._done_or_interrupted(task):
                pass
            if task.done():
                return task.result()
            # A commit under way is let through, so that what is known here stays what is stored.
            async with self._committing:
                task.cancel()
            [fault] = await asyncio.gather(task, return_exceptions=True)
            if isinstance(fault, DatabaseUnavailable):
                raise fault  # nobody knows whether its change was committed: this claim must not go on from there
            self._scribe.drop()
            await self._reload()
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def _done_or_interrupted(self, task: asyncio.Future[None]) -> bool:
        """Wait; say whether the work is done or must stop. An interruption may turn out to be none."""
        stop: asyncio.Future[Any] = asyncio.ensure_future(self.interrupted.wait())
        try:
            life = max(0.0, self._transcript.expires_at - self._now())
            await asyncio.wait((task, stop), timeout=life, return_when=asyncio.FIRST_COMPLETED)
        finally:
            stop.cancel()
        if task.done() or self._now() >= self._transcript.expires_at:
            return True
        self.interrupted.clear()
        async with self._db.acquire() as conn:
            return await progress.status(conn, self._id, self._lease) != self._transcript.status

    async def stop(self) -> None:
        """Cancel the task that this execution runs in, and wait for its end."""
        assert self._task is not None
        self._task.cancel()
        await asyncio.wait([self._task])

    async def give_up(self) -> None:
        """End the run as failed, for a reason that is not its own."""
        await self._reload()
        if self._transcript.status in (Status.IN_PROGRESS, Status.CANCELLING):
            failed = self._transcript.status is Status.IN_PROGRESS
            await (self._fail("server_error", _SERVER_ERROR) if failed else self._finish(Status.CANCELLED))
            self.ended = True

    # --- commands

    async def _rest(self) -> bool:
        """Leave the run alone; say whether that is right: its client may have answered by now."""
        if self._transcript.status is not Status.REQUIRES_ACTION or self._job_rests:
            return True
        async with self._db.acquire() as conn:
            if await progress.rest(conn, self._id, self._lease):
                return True
        await self._reload()
        return False

    async def _begin(self) -> None:
        at = self._clock()
        self._run = msgspec.structs.replace(self._run, status=Status.IN_PROGRESS, started_at=at)
        self._scribe.event("thread.run.in_progress", store.streamed(self._run))
        await self._commit(Change(old=Status.QUEUED, new=Status.IN_PROGRESS, at=at))

    async def _call_model(self, command: CallModel) -> None:
        model = self._parts.find_model(self._run.model)
        if model is None:
            return await self._fail("server_error", f"The model '{self._run.model}' does not exist")
        try:
            steps = self._transcript.steps
            rows = [self._stored_steps[step.id] for step in steps]
            chat, material = await self._asker.ask(self._run, model, command, steps, rows)
            await self._converse(model, chat, material, turn_after(steps))
        except ModelRefused as refusal:
            await self._fail(refusal.code, str(refusal))
        except (ToolUnavailable, SearchFailed) as fault:
            await self._fail("server_error", str(fault))
        except ModelUnavailable as fault:
            await self._try_again(fault)

    async def _converse(self, model: Model, chat: ChatRequest, material: Material, number: int) -> None:
        """Make one completion, that of the run's turn of this number, and what follows from its end."""
        turn = self._turn = Turn(
            self._scene,
            self._scribe,
            self._clock,
            self._commit,
            lambda: self._publish(self._scribe.take()),
            request.tool_set(self._run),
            material,
        )
        sent = partial(self._parts.prompts.sent, self._id, self._lease, number, self._clock())
        stream = model.stream(chat, sent)
        try:
            async for deltas in stream:
                await turn.feed(deltas)
                self._publish(self._scribe.take())
        finally:
            await stream.aclose()
        self._failures = 0
        await self._take_in(turn)

    async def _take_in(self, turn: Turn) -> None:
        """Make a turn's end part of the transcript; the next command commits it."""
        finish = turn.finish
        assert finish is not None, "a model's stream ends with Finish or raises"
        self._turn_usage = finish.usage or NO_USAGE
        self._spent = total(self._spent, self._turn_usage)
        steps = list(self._transcript.steps)
        outcome: Outcome | None = None
        if turn.calls is not None and finish.reason == "tool_calls":
            calls = [machine.Call(call.id, call.type, done=False) for call in turn.calls.named()]
            steps.append(machine.Step(turn.calls.step_id, "tool_calls", open=True, calls=calls))
        else:
            if not turn.is_open:
                await turn.say_nothing()
            outcome = {"length": Outcome.CUT, "content_filter": Outcome.FILTERED}.get(finish.reason, Outcome.ANSWERED)
        self._transcript = msgspec.structs.replace(
            self._transcript,
            steps=steps,
            outcome=outcome,
            prompt_tokens=self._spent.prompt_tokens,
            completion_tokens=self._spent.completion_tokens,
        )

    async def _try_again(self, fault: ModelUnavailable) -> None:
        """Wait as long as the upstream asked or the backoff says, if the run lives that long; else fail."""
        pause = _BACKOFF[min(self._failures, len(_BACKOFF) - 1)] if fault.retry_after is None else fault.retry_after
        self._failures += 1
        if self._now() + pause >= self._transcript.expires_at:
            code = "rate_limit_exceeded" if isinstance(fault, ModelRateLimited) else "server_error"
            return await self._fail(code, str(fault))
        log.warning("upstream failed, trying again", error=str(fault), pause=pause, failures=self._failures)
        await self._take_back()
        await asyncio.sleep(pause)
        return None

    async def _take_back(self) -> None:
        """Take back what a cut turn has opened."""
        turn = self._turn
        if turn is None or not turn.is_open:
            return
        error = LastError("server_error", "The model's answer was cut short; it is asked again.")
        if turn.message is not None:
            closed, message = turn.close_message("failed", "run_failed", error=error)
            change = self._change(discard_step=closed.id, discard_message=message.id)
        else:
            change = self._change(discard_step=turn.close_calls("failed", error=error).id)
        await self._commit(change)
        await self._reload()  # what was said before the calls is part of the turn, and is taken back next

    async def _discard(self, step_id: str) -> None:
        """Take back a step that another worker left open, or the words before calls that were taken back."""
        step = self._stored_steps[step_id]
        details = msgspec.json.decode(step["step_details"])
        message_id = details.get("message_creation", {}).get("message_id")
        error = LastError("server_error", "The worker was interrupted; the step is done again.")
        if step["status"] == "in_progress":
            await self._tell_orphan(step, details, "failed", error)
        await self._commit(self._change(discard_step=step_id, discard_message=message_id))
        self._drop_step(step_id)

    async def _run_tools(self) -> None:
        """Run the server's own tools of the turn; their step stays open until all outputs are there."""
        turn = self._turn
        assert turn is not None, "calls are committed together with what the server's own tools gave"
        assert turn.calls is not None
        model = self._parts.find_model(self._run.model)
        length = 0 if model is None else model.context_length
        try:
            exchanges = await self._parts.tools.answer(
                self._run, self._project_id, turn.calls, length, turn.tell_outputs
            )
        except SearchFailed as fault:
            return await self._fail("server_error", str(fault))
        closed = turn.close_calls("in_progress", self._turn_usage, exchange=exchanges)
        await self._commit(self._change(close_step=closed, usage=self._turn_usage))
        await self._reload()
        return None

    async def _close_step(self, step_id: str) -> None:
        """Complete a step whose outputs are all there."""
        row = self._stored_steps[step_id]
        shown = msgspec.structs.replace(
            streamed_step(row, with_content=self._manner.include_results),
            status="completed",
            completed_at=self._clock(),
            usage=usage_of(row),
        )
        self._scribe.event("thread.run.step.completed", shown)
        await self._commit(self._change(close_step=ClosedStep(step_id, "completed", row["step_details"])))
        await self._reload()

    async def _await_outputs(self) -> None:
        at = self._clock()
        calls, closed = self._open_calls()
        action = required_action([call for call in calls if call.type == "function"])
        self._run = msgspec.structs.replace(self._run, status=Status.REQUIRES_ACTION, required_action=to_json(action))
        self._scribe.event("thread.run.requires_action", store.streamed(self._run))
        await self._commit(
            Change(
                old=Status.IN_PROGRESS,
                new=Status.REQUIRES_ACTION,
                at=at,
                required_action=action,
                close_step=closed,
                usage=self._turn_usage,
            )
        )

    def _open_calls(self) -> tuple[list[ToolCall], ClosedStep | None]:
        """Return the calls of the open step, and what to write of it if this turn has named them."""
        if self._turn is not None and self._turn.calls is not None:
            calls = self._turn.calls.named()
            return calls, self._turn.close_calls("in_progress", self._turn_usage)
        step = self._stored_steps[self._transcript.steps[-1].id]
        return msgspec.json.decode(step["step_details"], type=ToolCalls).tool_calls, None

    async def _fail(self, code: str, message: str) -> None:
        await self._finish(Status.FAILED, error=LastError(code, message or _SERVER_ERROR))

    async def _finish(self, status: Status, reason: str | None = None, error: LastError | None = None) -> None:
        """End the run, and with it whatever is still open."""
        self._publish(self._scribe.take())  # what was said stays said, even where the end comes to be another
        if status is Status.FAILED and error is None:
            error = LastError("server_error", "The model's answer was withheld by its content filter.")
        at = self._clock()
        old = self._transcript.status
        if status is Status.CANCELLED:
            self._run = msgspec.structs.replace(self._run, status=Status.CANCELLING, required_action=None)
            self._scribe.event("thread.run.cancelling", store.streamed(self._run))
        closing = await self._close_open(status, error, reason)
        self._run = ended_run(self._run, status, at, self._spent, reason, error)
        self._scribe.event(f"thread.run.{status}", store.streamed(self._run))
        await self._commit(
            Change(
                old=old,
                new=status,
                at=at,
                last_error=error,
                incomplete_reason=reason,
                usage=self._turn_usage,
                **closing,
            )
        )
        log.info("run ended", status=status, error=error.message if error else None)

    async def _close_open(self, status: Status, error: LastError | None, reason: str | None) -> dict[str, Any]:
        """Close what the run's end leaves open, of this turn or of another worker's: parts of a `Change`."""
        step_status, why = _ENDS[status]
        turn = self._turn
        if turn is not None and turn.message is not None:
            if self._transcript.outcome is Outcome.FILTERED:
                why = "content_filter"
            elif self._transcript.outcome is Outcome.ANSWERED:
                why = None  # the answer is whole, even if a budget is used up
            step, message = turn.close_message(step_status, why, self._turn_usage, error)
            return {"close_step": step, "close_message": message}
        if turn is not None and turn.calls is not None:
            if status is Status.INCOMPLETE:  # calls cut by the limit cannot be made
                step_status = "failed"
                error = LastError("server_error", "The token limit was reached while the model named its tool calls.")
            return {"close_step": turn.close_calls(step_status, self._turn_usage, error)}
        orphan = next((s for s in self._transcript.steps if s.open), None)
        if orphan is None:
            return {}
        stored = self._stored_steps[orphan.id]
        details = msgspec.json.decode(stored["step_details"])
        said = await self._tell_orphan(stored, details, step_status, error)
        closed: dict[str, Any] = {"close_step": ClosedStep(orphan.id, step_status, details, last_error=error)}
        if said is not None:
            closed["close_message"] = said
        return closed

    async def _tell_orphan(self, step: Any, details: Any, status: str, error: LastError | None) -> CloseMessage | None:
        teller = orphan.Teller(self._db, self._streams, self._scene, self._scribe, self._clock())
        return await teller.tell(step, details, status, error)

    # --- writing

    def _change(self, **parts: Any) -> Change:
        return Change(old=self._transcript.status, new=self._transcript.status, at=self._clock(), **parts)

    async def _commit(self, change: Change) -> None:
        """Write a change with the events added so far, then publish them.

        Raises _Moved where the run's status is another by now, LeaseLost where the run is another worker's. Whatever
        is raised, the events that announce the change are gone, and those before them are still to be logged.
        """
        async with self._committing:
            batch = self._scribe.take()
            written = False
            try:
                async with self._streams.log.taken(self._id, batch) as taken:
                    written = taken.written = await self._write(change, taken.batch)
            finally:
                if not written and batch is not None:
                    self._scribe.rewind(batch.first - 1)
            if written:
                self._committed(change, batch)
                return
            await self._reload()
        raise _Moved

    async def _write(self, change: Change, batch: Batch | None) -> bool:
        """Write a change with its events, and the turn's prompt where nobody waits for a first word."""
        prompts, written = self._parts.prompts, False
        prompt = prompts.take(self._id) if change.open_step is None else None
        try:
            kept = None if prompt is None else await prompts.kept(prompt)
            async with self._db.acquire() as conn:
                written = await write(conn, self._id, self._lease, change, batch, kept)
        finally:
            if prompt is not None and not written:
                prompts.put_back(prompt)
        return written

    def _committed(self, change: Change, batch: Batch | None) -> None:
        if change.new is not change.old:
            self._job_rests = change.new is Status.REQUIRES_ACTION
            self._transcript = msgspec.structs.replace(self._transcript, status=change.new, outcome=None)
        if change.new is not change.old or change.usage != NO_USAGE:
            self._turn_usage = NO_USAGE
        if change.open_step is None and (change.close_step is not None or change.discard_step is not None):
            self._turn = None
        if batch is not None:
            self._streams.publish(batch)
            self._streams.log.wrote(self._id)

    def _publish(self, batch: Batch | None) -> None:
        """Deliver events that announce no change, and log them soon."""
        if batch is not None:
            self._streams.publish(batch)
            self._streams.log.append(batch)

    def _drop_step(self, step_id: str) -> None:
        kept = [step for step in self._transcript.steps if step.id != step_id]
        self._transcript = msgspec.structs.replace(self._transcript, steps=kept)
