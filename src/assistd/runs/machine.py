"""The run's brain: which statuses there are, how they may change, and what to do next.

A run moves through its statuses only along the arrows of `TRANSITIONS`; nothing
leaves a terminal one. What happens next is decided by `next_command` from the
run's transcript and the time. The transcript is what is committed and, within
the worker that made it, the outcome of the turn just made. So a worker that
takes a run over after a crash decides exactly as the one before it would have,
and everything here can be tested without a database, a model or a clock:
nothing in this file does I/O.

A turn is one completion of the model. It leaves steps behind: a
`message_creation` step where the model spoke, a `tool_calls` step where it asked
for tools. A step is open while it is `in_progress`.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum

import msgspec


class Status(StrEnum):
    """The statuses of a run, as on the wire."""

    QUEUED = "queued"
    IN_PROGRESS = "in_progress"
    REQUIRES_ACTION = "requires_action"
    CANCELLING = "cancelling"
    CANCELLED = "cancelled"
    FAILED = "failed"
    COMPLETED = "completed"
    INCOMPLETE = "incomplete"
    EXPIRED = "expired"


_ENDS = frozenset({Status.CANCELLED, Status.FAILED, Status.COMPLETED, Status.INCOMPLETE, Status.EXPIRED})

TRANSITIONS: dict[Status, frozenset[Status]] = {
    # A queued run may end at once: cancelled, or expired before a worker was free. It never fails unseen.
    Status.QUEUED: frozenset({Status.IN_PROGRESS, Status.CANCELLING, Status.EXPIRED}),
    Status.IN_PROGRESS: frozenset(
        {
            Status.REQUIRES_ACTION,
            Status.CANCELLING,
            Status.FAILED,
            Status.COMPLETED,
            Status.INCOMPLETE,
            Status.EXPIRED,
        }
    ),
    # Tool outputs send it back to the queue.
    Status.REQUIRES_ACTION: frozenset({Status.QUEUED, Status.CANCELLING, Status.EXPIRED}),
    Status.CANCELLING: frozenset({Status.CANCELLED}),
    **{end: frozenset() for end in _ENDS},
}

TERMINAL = frozenset(status for status, ways in TRANSITIONS.items() if not ways)
# A stream ends at these, and so does a polling client's loop.
RESTING = TERMINAL | {Status.REQUIRES_ACTION}
CANCELLABLE = frozenset(status for status, ways in TRANSITIONS.items() if Status.CANCELLING in ways)


class IllegalTransition(Exception):
    """A run was to change its status along no arrow of the table. Nothing was changed."""


def check_transition(old: Status, new: Status) -> None:
    """Raise IllegalTransition unless the table has this arrow."""
    if new not in TRANSITIONS[old]:
        raise IllegalTransition(f"A run cannot go from {old} to {new}.")


# --- what is known of a run


class Call(msgspec.Struct, frozen=True):
    """A tool call of a step: whose it is, and whether its output is there."""

    id: str
    type: str
    done: bool


class Outcome(StrEnum):
    """How the model ended a turn that asked for no tools."""

    ANSWERED = "answered"
    CUT = "cut"  # by a token limit
    FILTERED = "filtered"  # by the upstream's content filter


class Step(msgspec.Struct, frozen=True):
    """A step of the run. A `tool_calls` step has no calls until the model has finished naming them."""

    id: str
    type: str
    open: bool
    calls: Sequence[Call] = ()


class Transcript(msgspec.Struct, frozen=True):
    """Everything that decides what a run does next. Times are Unix seconds, budgets tokens.

    `outcome` is the end of the turn just made. It is never read from the database: a turn's end is committed
    together with what follows from it.
    """

    status: Status
    expires_at: int
    steps: Sequence[Step] = ()
    prompt_tokens: int = 0
    completion_tokens: int = 0
    max_prompt_tokens: int | None = None
    max_completion_tokens: int | None = None
    outcome: Outcome | None = None


# --- what can be done next


class Begin(msgspec.Struct, frozen=True):
    """Leave the queue: the run is in progress from now on."""


class CallModel(msgspec.Struct, frozen=True):
    """Make the next completion, within what is left of the run's budgets (None: no limit)."""

    prompt_tokens: int | None
    completion_tokens: int | None


class Discard(msgspec.Struct, frozen=True):
    """Take back a step of a turn that a crash or a cut stream broke off; the turn is done again."""

    step_id: str


class RunTools(msgspec.Struct, frozen=True):
    """Run the server's own tools of an open step."""

    step_id: str
    calls: Sequence[Call]


class AwaitToolOutputs(msgspec.Struct, frozen=True):
    """Ask the client for the outputs of these calls."""

    step_id: str
    calls: Sequence[Call]


class CloseStep(msgspec.Struct, frozen=True):
    """All outputs of an open step are there: it is complete.

    Those that the server's own tools gave, that is. Outputs that a client submits complete their step as they come.
    """

    step_id: str


class Finish(msgspec.Struct, frozen=True):
    """End the run. `reason` says which budget an incomplete run has used up."""

    status: Status
    reason: str | None = None


class Rest(msgspec.Struct, frozen=True):
    """Nothing to do: the run has ended, or it waits for its client."""


Command = Begin | CallModel | Discard | RunTools | AwaitToolOutputs | CloseStep | Finish | Rest


def next_command(run: Transcript, now: int) -> Command:
    """Decide what to do next with a run, at a time in Unix seconds."""
    if run.status in TERMINAL:
        return Rest()
    if run.status is Status.CANCELLING:
        return Finish(Status.CANCELLED)
    if run.status is Status.IN_PROGRESS and run.outcome is not None:
        return _end_with(run)  # even late: an answer that is there is worth more than the deadline
    if now >= run.expires_at:
        return Finish(Status.EXPIRED)
    if run.status is Status.REQUIRES_ACTION:
        return Rest()
    if run.status is Status.QUEUED:
        return Begin()
    if run.steps and (run.steps[-1].open or run.steps[-1].type == "message_creation"):
        return _go_on_with(run.steps[-1])
    return _next_turn(run)


def _end_with(run: Transcript) -> Command:
    if run.outcome is Outcome.CUT:
        return Finish(Status.INCOMPLETE, "max_completion_tokens")
    if run.outcome is Outcome.FILTERED:
        return Finish(Status.FAILED)
    if run.max_prompt_tokens is not None and run.prompt_tokens > run.max_prompt_tokens:
        return Finish(Status.INCOMPLETE, "max_prompt_tokens")
    return Finish(Status.COMPLETED)


def _go_on_with(step: Step) -> Command:
    """Decide about a step that is open although nobody is writing it, or that nothing follows although it should.

    Words end a run or stand before calls. Where neither is so, the calls behind them were taken back.
    """
    if not step.calls:
        return Discard(step.id)
    missing = [call for call in step.calls if not call.done]
    # The server's own tools run first: their outputs must not wait for a client that takes its time.
    if ours := [call for call in missing if call.type != "function"]:
        return RunTools(step.id, ours)
    if missing:
        return AwaitToolOutputs(step.id, missing)
    return CloseStep(step.id)


def _next_turn(run: Transcript) -> Command:
    prompt_left = _left(run.max_prompt_tokens, run.prompt_tokens)
    completion_left = _left(run.max_completion_tokens, run.completion_tokens)
    if completion_left == 0:
        return Finish(Status.INCOMPLETE, "max_completion_tokens")
    if prompt_left == 0:
        return Finish(Status.INCOMPLETE, "max_prompt_tokens")
    return CallModel(prompt_left, completion_left)


def _left(limit: int | None, used: int) -> int | None:
    return None if limit is None else max(0, limit - used)
