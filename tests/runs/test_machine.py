"""The run's brain, against a small model of the world: whatever happens to a run, it is legal, and it ends."""

from __future__ import annotations

import itertools
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from assistd.runs.machine import (
    CANCELLABLE,
    RESTING,
    TERMINAL,
    TRANSITIONS,
    AwaitToolOutputs,
    Begin,
    Call,
    CallModel,
    CloseStep,
    Command,
    Discard,
    Finish,
    IllegalTransition,
    Outcome,
    Rest,
    RunTools,
    Status,
    Step,
    Transcript,
    check_transition,
    next_command,
)

S = Status
LIFE = 600

# The published life cycle, written down a second time and by hand.
LIFE_CYCLE = {
    (S.QUEUED, S.IN_PROGRESS),
    (S.QUEUED, S.CANCELLING),
    (S.QUEUED, S.EXPIRED),
    (S.IN_PROGRESS, S.COMPLETED),
    (S.IN_PROGRESS, S.FAILED),
    (S.IN_PROGRESS, S.INCOMPLETE),
    (S.IN_PROGRESS, S.EXPIRED),
    (S.IN_PROGRESS, S.REQUIRES_ACTION),
    (S.IN_PROGRESS, S.CANCELLING),
    (S.REQUIRES_ACTION, S.QUEUED),
    (S.REQUIRES_ACTION, S.EXPIRED),
    (S.REQUIRES_ACTION, S.CANCELLING),
    (S.CANCELLING, S.CANCELLED),
}
ENDS = {S.COMPLETED, S.FAILED, S.CANCELLED, S.EXPIRED, S.INCOMPLETE}


# --- the table


@pytest.mark.parametrize(("old", "new"), list(itertools.product(Status, Status)))
def test_a_status_changes_along_the_life_cycle_only(old: Status, new: Status) -> None:
    if (old, new) in LIFE_CYCLE:
        check_transition(old, new)
    else:
        with pytest.raises(IllegalTransition):
            check_transition(old, new)


def test_ends_are_ends() -> None:
    assert ENDS == TERMINAL
    assert ENDS | {S.REQUIRES_ACTION} == RESTING
    assert {S.QUEUED, S.IN_PROGRESS, S.REQUIRES_ACTION} == CANCELLABLE
    for status in ENDS:
        assert TRANSITIONS[status] == frozenset()


def test_every_status_leads_to_an_end() -> None:
    for status in Status:
        reached = {status}
        for _ in Status:
            reached |= {new for old in reached for new in TRANSITIONS[old]}
        assert reached & ENDS


# --- what is decided


def transcript(status: Status = S.IN_PROGRESS, *steps: Step, **parts: Any) -> Transcript:
    return Transcript(status=status, expires_at=LIFE, steps=steps, **parts)


def calls(*kinds: str, done: bool = False, open_: bool = True) -> Step:
    named = [Call(f"call_{n}", kind, done) for n, kind in enumerate(kinds)]
    return Step("step_calls", "tool_calls", open_, named)


SPEAKING = Step("step_words", "message_creation", open=True)
SPOKEN = Step("step_words", "message_creation", open=False)
NAMING = Step("step_calls", "tool_calls", open=True)


@pytest.mark.parametrize(
    ("run", "command"),
    [
        (transcript(S.QUEUED), Begin()),
        (transcript(), CallModel(None, None)),
        (transcript(S.REQUIRES_ACTION, calls("function")), Rest()),
        (transcript(S.CANCELLING), Finish(S.CANCELLED)),
        (transcript(S.CANCELLING, calls("function")), Finish(S.CANCELLED)),
        # What a worker that died has left open is taken back, and its turn is done again.
        (transcript(S.IN_PROGRESS, SPEAKING), Discard("step_words")),
        (transcript(S.IN_PROGRESS, NAMING), Discard("step_calls")),
        (transcript(S.IN_PROGRESS, SPOKEN, NAMING), Discard("step_calls")),
        # Words without calls behind them, in a run that has not ended: their turn was broken off too.
        (transcript(S.IN_PROGRESS, SPOKEN), Discard("step_words")),
        (transcript(S.IN_PROGRESS, SPOKEN, calls("function", done=True, open_=False)), CallModel(None, None)),
        # The server's own tools run before the client is asked.
        (
            transcript(S.IN_PROGRESS, calls("function", "file_search")),
            RunTools("step_calls", [Call("call_1", "file_search", False)]),
        ),
        (
            transcript(S.IN_PROGRESS, calls("function", "function")),
            AwaitToolOutputs("step_calls", [Call("call_0", "function", False), Call("call_1", "function", False)]),
        ),
        (transcript(S.IN_PROGRESS, calls("file_search", done=True)), CloseStep("step_calls")),
        (transcript(S.IN_PROGRESS, outcome=Outcome.ANSWERED), Finish(S.COMPLETED)),
        (transcript(S.IN_PROGRESS, outcome=Outcome.CUT), Finish(S.INCOMPLETE, "max_completion_tokens")),
        (transcript(S.IN_PROGRESS, outcome=Outcome.FILTERED), Finish(S.FAILED)),
    ],
)
def test_what_comes_next(run: Transcript, command: Command) -> None:
    assert next_command(run, LIFE - 1) == command


@pytest.mark.parametrize("status", [S.QUEUED, S.IN_PROGRESS, S.REQUIRES_ACTION])
@pytest.mark.parametrize("steps", [(), (SPEAKING,), (NAMING,), (calls("function"),)])
def test_a_run_expires_wherever_it_is(status: Status, steps: tuple[Step, ...]) -> None:
    assert next_command(transcript(status, *steps), LIFE) == Finish(S.EXPIRED)
    assert next_command(transcript(status, *steps), LIFE - 1) != Finish(S.EXPIRED)


def test_an_answer_that_is_there_is_worth_more_than_the_deadline() -> None:
    assert next_command(transcript(outcome=Outcome.ANSWERED), LIFE + 1) == Finish(S.COMPLETED)


def test_a_cancelled_run_is_cancelled_even_late_and_even_with_an_answer() -> None:
    run = transcript(S.CANCELLING, SPEAKING, outcome=Outcome.ANSWERED)
    assert next_command(run, LIFE + 1) == Finish(S.CANCELLED)


@given(
    limit=st.integers(1, 50),
    used=st.integers(0, 80),
    other=st.none() | st.integers(100, 200),
)
def test_budgets_are_spent_down_turn_by_turn(limit: int, used: int, other: int | None) -> None:
    completion = transcript(completion_tokens=used, max_completion_tokens=limit, max_prompt_tokens=other)
    prompt = transcript(prompt_tokens=used, max_prompt_tokens=limit, max_completion_tokens=other)
    if used >= limit:
        assert next_command(completion, 0) == Finish(S.INCOMPLETE, "max_completion_tokens")
        assert next_command(prompt, 0) == Finish(S.INCOMPLETE, "max_prompt_tokens")
    else:
        assert next_command(completion, 0) == CallModel(other, limit - used)
        assert next_command(prompt, 0) == CallModel(limit - used, other)


def test_an_answer_that_used_up_the_prompt_budget_ends_incomplete() -> None:
    used = {"prompt_tokens": 10, "outcome": Outcome.ANSWERED}
    assert next_command(transcript(**used, max_prompt_tokens=10), 0) == Finish(S.COMPLETED)
    assert next_command(transcript(**used, max_prompt_tokens=9), 0) == Finish(S.INCOMPLETE, "max_prompt_tokens")


# --- the world

FUNCTIONS = ("function", "function")
TURNS = ("answer", "cut", "filtered", "functions", "server tools", "both tools", "preamble", "broken off", "refused")
# After how much of a turn its worker dies: nothing is committed, words are begun, calls are begun, both.
DEATHS = ("", "words", "calls", "words and calls")


class World:
    """What becomes of a run when its commands are carried out: the executor, the model and the client in one.

    Keeps to the rules that the database keeps: a status changes along the table, an end closes what is open,
    and a turn's outcome is known to nobody but the worker that made it.
    """

    def __init__(self, max_prompt: int | None = None, max_completion: int | None = None) -> None:
        self.now = 0
        self.commands = 0
        self.turns = 0
        self.run = Transcript(S.QUEUED, LIFE, max_prompt_tokens=max_prompt, max_completion_tokens=max_completion)
        self._ids = itertools.count()

    def command(self) -> Command:
        return next_command(self.run, self.now)

    def carry_out(self, command: Command, turn: str = "answer") -> None:
        """Do what is commanded, as a worker that lives."""
        self.commands += 1
        match command:
            case Begin():
                self._become(S.IN_PROGRESS)
            case CallModel():
                self._make_turn(turn, command)
            case Discard(step_id=id):
                assert self.run.steps[-1].id == id
                self._change(steps=self.run.steps[:-1])
            case RunTools(step_id=id, calls=asked):
                assert asked
                assert all(call.type != "function" and not call.done for call in asked)
                self._answer(id, {call.id for call in asked})
            case AwaitToolOutputs(step_id=id, calls=asked):
                assert asked
                assert all(call.type == "function" and not call.done for call in asked)
                assert self.run.steps[-1].id == id
                self._become(S.REQUIRES_ACTION)
            case CloseStep(step_id=id):
                (step,) = [step for step in self.run.steps if step.id == id]
                assert all(call.done for call in step.calls)
                self._close()
            case Finish(status=status, reason=reason):
                assert (reason is not None) == (status is S.INCOMPLETE)
                self._close()
                self._become(status)
            case Rest():
                raise AssertionError("nothing is to be done")

    def die(self, how: str) -> None:
        """Let a worker die in the middle of a turn: only what was committed is known to the next one."""
        self._change(outcome=None)
        run = self.run
        if (
            run.status is S.IN_PROGRESS
            and run.steps
            and run.steps[-1].open
            and not any(c.done for c in run.steps[-1].calls)
        ):
            # Calls are written with what follows from them: asking the client, or the first output.
            self._change(steps=[*run.steps[:-1], msgspec.structs.replace(run.steps[-1], calls=())])
        if how and self.command() == CallModel(*self._left()):
            if "words" in how:
                self._open("message_creation")
            if "calls" in how:
                self._close()
                self._open("tool_calls")

    def cancel(self) -> None:
        self._become(S.CANCELLING)

    def submit(self) -> None:
        """Answer every call of a client's that is open; the step is complete then."""
        step = self.run.steps[-1]
        self._answer(step.id, {call.id for call in step.calls if call.type == "function"})
        self._close()
        self._become(S.QUEUED)

    # --- how

    def _make_turn(self, turn: str, command: CallModel) -> None:
        self.turns += 1
        if turn == "refused":
            self._become(S.FAILED)
            return
        if turn == "broken off":  # tried again, after everything of it was taken back
            self.now += 1
            return
        used = 3 if command.completion_tokens is None else min(3, command.completion_tokens)
        self._change(prompt_tokens=self.run.prompt_tokens + 5, completion_tokens=self.run.completion_tokens + used)
        if turn in ("answer", "cut", "filtered"):
            self._open("message_creation")
            outcome = {"answer": Outcome.ANSWERED, "cut": Outcome.CUT, "filtered": Outcome.FILTERED}[turn]
            self._change(outcome=outcome)
            return
        if turn == "preamble":
            self._open("message_creation")
            self._close()
        kinds = {"server tools": ("file_search",), "both tools": ("code_interpreter", "function")}.get(turn, FUNCTIONS)
        self._open("tool_calls", kinds)

    def _open(self, kind: str, kinds: tuple[str, ...] = ()) -> None:
        named = [Call(f"call_{next(self._ids)}", kind, False) for kind in kinds]
        self._change(steps=[*self.run.steps, Step(f"step_{next(self._ids)}", kind, True, named)])

    def _close(self) -> None:
        self._change(steps=[msgspec.structs.replace(step, open=False) for step in self.run.steps])

    def _answer(self, step_id: str, ids: set[str]) -> None:
        steps = list(self.run.steps)
        at = next(i for i, step in enumerate(steps) if step.id == step_id)
        answered = [Call(c.id, c.type, c.done or c.id in ids) for c in steps[at].calls]
        steps[at] = msgspec.structs.replace(steps[at], calls=answered)
        self._change(steps=steps)

    def _become(self, status: Status) -> None:
        check_transition(self.run.status, status)
        self._change(status=status, outcome=None)

    def _change(self, **parts: Any) -> None:
        self.run = msgspec.structs.replace(self.run, **parts)

    def _left(self) -> tuple[int | None, int | None]:
        run = self.run
        limits = ((run.max_prompt_tokens, run.prompt_tokens), (run.max_completion_tokens, run.completion_tokens))
        prompt, completion = (None if limit is None else max(0, limit - used) for limit, used in limits)
        return prompt, completion


class RunLife(RuleBasedStateMachine):
    """Anything happens, in any order. Then the client answers, or time passes, and the run ends."""

    @initialize(
        max_prompt=st.none() | st.integers(1, 40),
        max_completion=st.none() | st.integers(1, 25),
    )
    def begin(self, max_prompt: int | None, max_completion: int | None) -> None:
        self.world = World(max_prompt, max_completion)
        self.ended: Transcript | None = None

    @rule(turn=st.sampled_from(TURNS))
    def work(self, turn: str) -> None:
        command = self.world.command()
        if not isinstance(command, Rest):
            self.world.carry_out(command, turn)

    @rule(how=st.sampled_from(DEATHS))
    def die(self, how: str) -> None:
        self.world.die(how)

    @precondition(lambda self: self.world.run.status in CANCELLABLE)
    @rule()
    def cancel(self) -> None:
        self.world.cancel()

    @precondition(lambda self: self.world.run.status is S.REQUIRES_ACTION and self.world.now < LIFE)
    @rule()
    def submit(self) -> None:
        self.world.submit()

    @rule(seconds=st.sampled_from([1, 60, LIFE - 1, LIFE]))
    def wait(self, seconds: int) -> None:
        self.world.now += seconds

    @invariant()
    def an_end_is_final(self) -> None:
        if self.ended is not None:
            assert self.world.run == self.ended
        elif self.world.run.status in TERMINAL:
            self.ended = self.world.run
            assert not any(step.open for step in self.world.run.steps)

    @invariant()
    def there_is_something_to_do_or_nothing_to_be_done(self) -> None:
        run = self.world.run
        rests = isinstance(self.world.command(), Rest)
        waits = run.status is S.REQUIRES_ACTION and self.world.now < LIFE
        assert rests == (run.status in TERMINAL or waits)

    @invariant()
    def at_most_the_last_step_is_open(self) -> None:
        assert not any(step.open for step in self.world.run.steps[:-1])

    @invariant()
    def the_model_is_never_called_beyond_a_budget(self) -> None:
        command = self.world.command()
        if isinstance(command, CallModel):
            assert command.prompt_tokens != 0
            assert command.completion_tokens != 0

    def teardown(self) -> None:
        if not hasattr(self, "world"):
            return
        answer_to_the_end(self.world)
        assert self.world.run.status in TERMINAL


def answer_to_the_end(world: World) -> None:
    """Let a run go on without mishaps, its client answering, for as few commands as that may take."""
    for _ in range(8):
        command = world.command()
        if not isinstance(command, Rest):
            world.carry_out(command, "answer")
        elif world.run.status is S.REQUIRES_ACTION:
            world.submit()
        else:
            return
    raise AssertionError(f"it does not end: {world.run}")


RunLife.TestCase.settings = settings(max_examples=150, stateful_step_count=25, deadline=None)
TestRunLife = RunLife.TestCase


@given(st.lists(st.sampled_from(TURNS), max_size=12), st.lists(st.sampled_from(DEATHS), max_size=12))
@settings(deadline=None)
def test_a_run_takes_few_commands_for_a_turn(turns: list[str], deaths: list[str]) -> None:
    """However often its workers die, a run gets on: a turn costs its calls, its answers and what is undone."""
    world = World()
    for turn, death in itertools.zip_longest(turns, deaths):
        for _ in range(6):
            command = world.command()
            if isinstance(command, CallModel):
                break
            if isinstance(command, Rest):
                if world.run.status in TERMINAL:
                    return
                world.submit()
            else:
                world.carry_out(command)
        else:
            raise AssertionError(f"no turn is made: {world.run}")
        if death is not None:
            world.die(death)
            continue
        assert turn is not None
        world.carry_out(command, turn)
    answer_to_the_end(world)


@given(st.data())
@settings(deadline=None)
def test_a_run_that_nobody_answers_expires(data: st.DataObject) -> None:
    world = World()
    for _ in range(data.draw(st.integers(0, 10))):
        command = world.command()
        if isinstance(command, Rest):
            break
        turn = data.draw(st.sampled_from(["functions", "server tools", "both tools", "preamble", "broken off"]))
        world.carry_out(command, turn)
    world.now = LIFE
    assert world.command() == Finish(S.EXPIRED)
    world.carry_out(world.command())
    assert world.run.status is S.EXPIRED
    assert world.command() == Rest()
