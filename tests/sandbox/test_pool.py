"""The pool of sessions: never above its bounds, in order of arrival, and nothing is left behind."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Container
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from assistd.sandbox.bubblewrap import Bubblewrap
from assistd.sandbox.faults import SandboxUnavailable
from assistd.sandbox.interpreter import Interpreter
from assistd.sandbox.limits import Limits
from assistd.sandbox.outputs import Logs
from assistd.sandbox.pool import PoolLimits, Sandboxes

PATIENCE = 60.0  # seconds until what never comes is a failure
COLD = PoolLimits(sessions=2, sessions_per_project=2, warm=0)


class FakeSession:
    """A session that does nothing. Its end waits for `gate`."""

    pid = 0
    own_kernel = False

    def __init__(self, number: int, gate: Callable[[], Awaitable[Any]]) -> None:
        self.number = number
        self.alive = True
        self.closed = False
        self.resting = False
        self.project = ""
        self._gate = gate

    async def close(self) -> None:
        self.alive = False
        await self._gate()
        self.closed = True

    async def end(self, reason: str) -> None:
        self.alive = False

    def rest(self) -> None:
        self.resting = True

    def wake(self) -> None:
        self.resting = False


async def at_once() -> None:
    pass


class FakeEngine:
    """Starts fake sessions. A start and an end wait for `gate`; starts in `fails` do, those in `dead` die at once."""

    def __init__(
        self, gate: Callable[[], Awaitable[Any]] = at_once, fails: Container[int] = (), dead: Container[int] = ()
    ) -> None:
        self.sessions: list[FakeSession] = []
        self.starts = self.starting = self.most = 0
        self.gate = gate
        self._fails = fails
        self._dead = dead

    async def start(self) -> Any:
        self.starts += 1
        number = self.starts
        self.starting += 1
        self.most = max(self.most, self.there)
        try:
            await self.gate()
            if number in self._fails:
                raise SandboxUnavailable(f"Start {number} fails.")
            session = FakeSession(number, self.gate)
            session.alive = number not in self._dead
            self.sessions.append(session)
            return session
        finally:
            self.starting -= 1

    @property
    def open(self) -> list[FakeSession]:
        return [session for session in self.sessions if not session.closed]

    @property
    def there(self) -> int:
        """What takes a place: what starts, lives or is being ended."""
        return self.starting + len(self.open)


@asynccontextmanager
async def pool(engine: FakeEngine, limits: PoolLimits) -> AsyncIterator[Sandboxes]:
    """A pool that is closed at the end, and leaves nothing then."""
    sandboxes = Sandboxes(engine, limits)
    try:
        async with asyncio.timeout(PATIENCE):
            yield sandboxes
    finally:
        async with asyncio.timeout(PATIENCE):
            await sandboxes.close()
        assert engine.there == 0


async def settle() -> None:
    """Let everything happen that nothing outside keeps from happening."""
    for _ in range(50):
        await asyncio.sleep(0)


class Holder:
    """Holds a session in a task of its own, from when it gets one until it is let go."""

    def __init__(self, sandboxes: Sandboxes, owner: str, project: str = "p") -> None:
        self.session: Any = None
        self.fault: BaseException | None = None
        self._let_go = asyncio.Event()
        self.task = asyncio.create_task(self._hold(sandboxes, owner, project))

    async def _hold(self, sandboxes: Sandboxes, owner: str, project: str) -> None:
        try:
            async with sandboxes.hold(owner, project) as self.session:
                await self._let_go.wait()
        except SandboxUnavailable as fault:
            self.fault = fault

    async def let_go(self) -> None:
        self._let_go.set()
        await self.task
        await settle()


async def held(sandboxes: Sandboxes, owner: str, project: str = "p") -> Any:
    """The session that an owner gets, given back at once."""
    async with sandboxes.hold(owner, project) as session:
        return session


# --- whose session it is


async def test_an_owner_finds_its_session_again_and_another_has_another() -> None:
    async with pool(FakeEngine(), COLD) as sandboxes:
        first = await held(sandboxes, "a")
        assert await held(sandboxes, "a") is first
        assert await held(sandboxes, "b") is not first


async def test_a_second_holder_of_an_owner_waits_for_the_first() -> None:
    async with pool(FakeEngine(), COLD) as sandboxes:
        first = Holder(sandboxes, "a")
        second = Holder(sandboxes, "a")
        await settle()
        assert first.session is not None
        assert second.session is None
        await first.let_go()
        assert second.session is first.session
        await second.let_go()


async def test_a_holder_that_raises_leaves_the_session_to_the_next() -> None:
    async with pool(FakeEngine(), COLD) as sandboxes:
        with pytest.raises(ZeroDivisionError):
            async with sandboxes.hold("a", "p") as session:
                raise ZeroDivisionError
        assert await held(sandboxes, "a") is session


async def test_a_dead_session_is_replaced() -> None:
    engine = FakeEngine()
    async with pool(engine, COLD) as sandboxes:
        async with sandboxes.hold("a", "p") as session:
            session.alive = False
        await settle()
        assert engine.there == 0
        again = await held(sandboxes, "a")
        assert again is not session
        again.alive = False  # while nobody has it
        assert await held(sandboxes, "a") is not again


async def test_dropping_ends_a_held_session_and_whoever_waits_gets_a_new_one_when_the_holder_has_left() -> None:
    async with pool(FakeEngine(), COLD) as sandboxes:
        first, second = Holder(sandboxes, "a"), Holder(sandboxes, "a")
        await settle()
        await sandboxes.drop("a")
        assert first.session.closed
        assert second.session is None
        await first.let_go()
        assert second.session.alive
        await second.let_go()
        await sandboxes.drop("nobody's")


async def test_dropping_waits_for_an_end_that_has_begun() -> None:
    gate = asyncio.Event()
    engine = FakeEngine()
    async with pool(engine, COLD) as sandboxes:
        session = await held(sandboxes, "a")
        engine.gate = session._gate = gate.wait
        first = asyncio.create_task(sandboxes.drop("a"))
        second = asyncio.create_task(sandboxes.drop("a"))
        await settle()
        assert not first.done()
        assert not second.done()
        first.cancel()  # and the end goes on
        gate.set()
        await second
        assert session.closed


# --- room


async def test_the_longest_idle_is_ended_to_make_room() -> None:
    async with pool(FakeEngine(), COLD) as sandboxes:
        a, b = await held(sandboxes, "a"), await held(sandboxes, "b")
        assert await held(sandboxes, "a") is a
        await held(sandboxes, "c")
        assert b.closed
        assert a.alive


async def test_a_project_at_its_bound_makes_room_among_its_own() -> None:
    async with pool(FakeEngine(), PoolLimits(sessions=3, sessions_per_project=1, warm=0)) as sandboxes:
        other = await held(sandboxes, "a", "other")
        mine = await held(sandboxes, "b", "mine")
        await held(sandboxes, "c", "mine")
        assert mine.closed
        assert other.alive


async def test_no_more_are_ended_than_room_is_lacking() -> None:
    gate = asyncio.Event()
    engine = FakeEngine()
    async with pool(engine, PoolLimits(sessions=3, warm=0)) as sandboxes:
        sessions = [await held(sandboxes, owner) for owner in "abc"]
        for session in sessions:
            session._gate = gate.wait
        first = Holder(sandboxes, "d")
        await settle()
        assert [session.alive for session in sessions] == [False, True, True]
        second = Holder(sandboxes, "e")
        await settle()
        assert [session.alive for session in sessions] == [False, False, True]
        gate.set()
        await settle()
        for holder in (first, second):
            assert holder.session is not None
            await holder.let_go()


async def test_a_project_ends_as_many_of_its_own_as_it_has_waiting() -> None:
    gate = asyncio.Event()
    engine = FakeEngine()
    async with pool(engine, PoolLimits(sessions=5, sessions_per_project=3, warm=0)) as sandboxes:
        sessions = [await held(sandboxes, owner) for owner in "abc"]
        for session in sessions:
            session._gate = gate.wait
        holders = [Holder(sandboxes, owner) for owner in "de"]
        await settle()
        assert [session.alive for session in sessions] == [False, False, True]
        assert engine.starts == 3
        gate.set()
        await settle()
        for holder in holders:
            assert holder.session is not None
            await holder.let_go()


async def test_warm_ones_take_no_project_above_its_bound() -> None:
    async with pool(FakeEngine(), PoolLimits(sessions_per_project=1, warm=2)) as sandboxes:
        first = Holder(sandboxes, "a")
        await settle()
        waiting = [Holder(sandboxes, owner) for owner in "bc"]
        await settle()
        await sandboxes.drop("a")
        await settle()
        assert [holder.session is not None for holder in waiting] == [True, False]
        await first.let_go()
        for holder in waiting:
            await holder.let_go()


async def test_who_waits_is_served_in_order_of_arrival() -> None:
    async with pool(FakeEngine(), PoolLimits(sessions=1, warm=0)) as sandboxes:
        holders = [Holder(sandboxes, f"owner {number}") for number in range(5)]
        for number, holder in enumerate(holders):
            await settle()
            assert [other.session is not None for other in holders] == [other <= number for other in range(5)]
            await holder.let_go()


async def test_an_owner_that_comes_back_does_not_overtake() -> None:
    async with pool(FakeEngine(), PoolLimits(sessions=1, warm=0)) as sandboxes:
        first = Holder(sandboxes, "a")
        await settle()
        waiting, again = Holder(sandboxes, "b"), Holder(sandboxes, "a")
        await first.let_go()
        assert waiting.session is not None
        assert again.session is None
        await waiting.let_go()
        assert again.session is not None
        await again.let_go()


async def test_a_project_at_its_bound_does_not_block_those_behind_it() -> None:
    async with pool(FakeEngine(), PoolLimits(sessions=3, sessions_per_project=1, warm=0)) as sandboxes:
        holder = Holder(sandboxes, "a", "full")
        await settle()
        waiting, other = Holder(sandboxes, "b", "full"), Holder(sandboxes, "c", "other")
        await settle()
        assert waiting.session is None
        assert other.session is not None
        await holder.let_go()
        assert waiting.session is not None
        await waiting.let_go()
        await other.let_go()


async def test_a_place_is_free_only_when_its_session_is_gone() -> None:
    gate = asyncio.Event()
    engine = FakeEngine()
    async with pool(engine, PoolLimits(sessions=1, warm=0)) as sandboxes:
        first = await held(sandboxes, "a")
        first._gate = gate.wait
        second = Holder(sandboxes, "b")
        await settle()
        assert engine.starts == 1
        gate.set()
        await settle()
        assert second.session is not None
        await second.let_go()


async def test_a_wait_that_is_cancelled_leaves_nothing() -> None:
    engine = FakeEngine()
    async with pool(engine, PoolLimits(sessions=1, warm=0)) as sandboxes:
        holder = Holder(sandboxes, "a")
        await settle()
        cancelled, next_one = Holder(sandboxes, "b"), Holder(sandboxes, "c")
        await settle()
        cancelled.task.cancel()
        await settle()
        await holder.let_go()
        assert next_one.session is not None
        await next_one.let_go()
        assert engine.starts == 2


async def test_what_was_given_to_somebody_who_is_cancelled_at_that_moment_goes_to_the_next() -> None:
    async with pool(FakeEngine(), PoolLimits(sessions=1, warm=0)) as sandboxes:
        async with sandboxes.hold("a", "p"):
            cancelled, next_one = Holder(sandboxes, "a"), Holder(sandboxes, "a")
            await settle()
        cancelled.task.cancel()  # it was given the session, and has not run since
        await settle()
        assert cancelled.session is None
        assert next_one.session is not None
        await next_one.let_go()


async def test_a_session_that_comes_too_late_for_somebody_is_there_for_the_next() -> None:
    gate = asyncio.Event()
    engine = FakeEngine(gate.wait)
    async with pool(engine, COLD) as sandboxes:
        cancelled, next_one = Holder(sandboxes, "a"), Holder(sandboxes, "b")
        await settle()
        assert engine.starts == 2
        cancelled.task.cancel()
        gate.set()
        await settle()
        assert next_one.session.number == 1
        assert [session.number for session in engine.open] == [1]  # the other one is of no use to anybody
        await next_one.let_go()


# --- starts that fail


async def test_a_start_that_fails_is_told_and_the_next_one_is_tried() -> None:
    engine = FakeEngine(fails=(1, 2))
    async with pool(engine, PoolLimits(sessions=1, warm=1)) as sandboxes:
        holders = [Holder(sandboxes, owner) for owner in "abcd"]
        await settle()
        assert [str(holder.fault) for holder in holders[:2]] == ["Start 1 fails.", "Start 2 fails."]
        assert holders[2].session is not None
        await holders[2].let_go()
        await holders[3].let_go()


async def test_a_session_that_is_dead_at_its_start_is_a_start_that_failed() -> None:
    engine = FakeEngine(dead=(1,))
    async with pool(engine, PoolLimits(warm=1)) as sandboxes:
        with pytest.raises(SandboxUnavailable, match="as soon as it had started"):
            await held(sandboxes, "a")
        await settle()
        assert engine.starts == 1
        assert await held(sandboxes, "a")


# --- warm ones


async def test_nothing_is_warm_before_the_first_use_and_then_as_much_as_was_asked_for() -> None:
    engine = FakeEngine()
    async with pool(engine, PoolLimits(warm=2)) as sandboxes:
        await settle()
        assert engine.starts == 0
        first = await held(sandboxes, "a")
        await settle()
        assert len(engine.open) == 3
        second = await held(sandboxes, "b")
        assert second.number in (2, 3)
        assert second is not first
        await settle()
        assert len(engine.open) == 4


async def test_a_warm_one_that_cannot_be_started_is_tried_again_with_the_next_use_only() -> None:
    engine = FakeEngine(fails=range(2, 100))
    async with pool(engine, PoolLimits(warm=1)) as sandboxes:
        await held(sandboxes, "a")
        await settle()
        assert engine.starts == 2
        await held(sandboxes, "a")
        await settle()
        assert engine.starts == 3


async def test_warm_ones_take_no_room_from_who_has_or_needs_one() -> None:
    engine = FakeEngine()
    async with pool(engine, PoolLimits(sessions=2, warm=2)) as sandboxes:
        first = await held(sandboxes, "a")
        await settle()
        assert len(engine.open) == 2
        await held(sandboxes, "b")  # the warm one
        await settle()
        assert first.alive
        assert engine.most == 2


async def test_a_warm_one_that_is_coming_is_waited_for_before_another_is_ended() -> None:
    gate = asyncio.Event()
    engine = FakeEngine()
    async with pool(engine, PoolLimits(sessions=2, warm=1)) as sandboxes:
        first = await held(sandboxes, "a")
        engine.gate = gate.wait
        await settle()
        second = Holder(sandboxes, "b")
        await settle()
        gate.set()
        await settle()
        assert second.session is not None
        assert first.alive
        await second.let_go()


async def test_who_waits_comes_before_what_is_to_be_warm() -> None:
    gate = asyncio.Event()
    engine = FakeEngine()
    async with pool(engine, PoolLimits(warm=1)) as sandboxes:
        await held(sandboxes, "a")
        await settle()
        engine.gate = gate.wait
        holders = [Holder(sandboxes, owner) for owner in "bc"]
        await settle()
        assert engine.starts == 3
        gate.set()
        await settle()
        assert engine.starts == 4
        for holder in holders:
            await holder.let_go()


async def test_a_dead_warm_one_is_given_to_nobody() -> None:
    engine = FakeEngine()
    async with pool(engine, PoolLimits(warm=1)) as sandboxes:
        await held(sandboxes, "a")
        await settle()
        warm = engine.open[-1]
        warm.alive = False
        assert await held(sandboxes, "b") is not warm
        await settle()
        assert warm.closed


# --- idle ones


async def test_what_is_idle_for_long_is_ended_and_with_the_last_one_the_warm_one() -> None:
    engine = FakeEngine()
    async with pool(engine, PoolLimits(warm=1, idle_seconds=0.02)) as sandboxes:
        holder = Holder(sandboxes, "a")
        await held(sandboxes, "b")
        while len(engine.sessions) < 3 or len(engine.open) > 2:
            await asyncio.sleep(0.005)
        assert not holder.session.closed
        assert len(engine.open) == 2  # what is held, and a warm one
        await holder.let_go()
        while engine.open:
            await asyncio.sleep(0.005)
        assert await held(sandboxes, "c")


# --- the end


async def test_closing_ends_what_is_held_and_what_starts_and_tells_who_waits() -> None:
    engine = FakeEngine()
    async with pool(engine, PoolLimits(sessions=2, warm=0)) as sandboxes:
        holder = Holder(sandboxes, "a")
        await settle()
        gate = asyncio.Event()
        engine.gate = gate.wait
        starting, waiting = Holder(sandboxes, "b"), Holder(sandboxes, "c")
        await settle()
        await sandboxes.close()
        assert engine.there == 0
        await settle()
        assert "shutting down" in str(starting.fault)
        assert "shutting down" in str(waiting.fault)
        await holder.let_go()
        with pytest.raises(SandboxUnavailable, match="shutting down"):
            await held(sandboxes, "a")


async def test_closing_ends_a_session_whose_start_cannot_be_cancelled() -> None:
    gate = asyncio.Event()

    async def stubborn() -> None:
        while not gate.is_set():
            with suppress(asyncio.CancelledError):
                await gate.wait()

    engine = FakeEngine(stubborn)
    async with pool(engine, COLD) as sandboxes:
        holder = Holder(sandboxes, "a")
        await settle()
        closing = asyncio.create_task(sandboxes.close())
        await settle()
        assert not closing.done()
        gate.set()
        await closing
        assert engine.there == 0
        assert len(engine.sessions) == 1
        await holder.task


async def test_a_session_that_cannot_be_ended_does_not_keep_its_place() -> None:
    async def fails() -> None:
        raise OSError("no end")

    engine = FakeEngine()
    sandboxes = Sandboxes(engine, PoolLimits(sessions=1, warm=0))
    session = await held(sandboxes, "a")
    session._gate = fails
    assert await held(sandboxes, "b") is not session
    await sandboxes.close()


@pytest.mark.parametrize("limits", [{"sessions": 0}, {"sessions_per_project": 0}])
def test_a_pool_without_room_is_refused(limits: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="room"):
        PoolLimits(**limits)


# --- real ones


async def test_state_stays_with_its_owner_and_nowhere_else(interpreter: Interpreter) -> None:
    async def found() -> Interpreter:
        return interpreter

    async def said(owner: str, code: str) -> str:
        async with sandboxes.hold(owner, "p") as session:
            return "".join([shown.text async for shown in session.run(code) if isinstance(shown, Logs)])

    sandboxes = Sandboxes(Bubblewrap(found, Limits()), PoolLimits(sessions=2, warm=1))
    try:
        async with asyncio.timeout(PATIENCE):
            assert await said("a", "kept = 41") == ""
            assert "NameError" in await said("b", "kept")
            assert "42" in await said("a", "kept + 1")
            assert await said("c", "print('new')") == "new\n"  # in place of b's
            assert "42" in await said("a", "kept + 1")
            await sandboxes.drop("a")
            assert "NameError" in await said("a", "kept")
    finally:
        await sandboxes.close()


# --- every schedule


@dataclass(frozen=True)
class Act:
    """What one holder does: it comes, holds for a while, and may be cancelled before it has left."""

    owner: int
    comes: int
    holds: int
    cancelled: int | None
    does: str


@dataclass(frozen=True)
class Schedule:
    limits: PoolLimits
    acts: list[Act]
    paces: list[int]
    failing: frozenset[int]
    dead: frozenset[int]


SMALL = st.integers(0, 6)
SCHEDULES = st.builds(
    Schedule,
    st.builds(
        PoolLimits,
        st.integers(1, 4),
        st.integers(1, 3),
        st.sampled_from([0.0, 3600.0]),
        st.integers(0, 2),
    ),
    st.lists(
        st.builds(
            Act,
            SMALL,
            st.integers(0, 20),
            SMALL,
            st.none() | st.integers(0, 25),
            st.sampled_from(["leaves", "leaves", "raises", "drops", "finds it dead"]),
        ),
        min_size=1,
        max_size=25,
    ),
    st.lists(SMALL, min_size=1, max_size=10),
    st.frozensets(st.integers(1, 20), max_size=4),
    st.frozensets(st.integers(1, 20), max_size=3),
)


@dataclass
class Stage:
    """Plays a schedule, and sees that no rule is broken at any time."""

    schedule: Schedule
    holding: set[str] = field(default_factory=set)
    served: int = 0
    turns: int = 0

    def __post_init__(self) -> None:
        self.engine = FakeEngine(self._gate, self.schedule.failing, self.schedule.dead)
        self.sandboxes = Sandboxes(self.engine, self.schedule.limits)

    async def _gate(self) -> None:
        self.turns += 1
        paces = self.schedule.paces
        await _steps(paces[self.turns % len(paces)])
        self.look()

    def look(self) -> None:
        limits, there = self.schedule.limits, self.engine.open
        assert self.engine.there <= limits.sessions
        for project in ("p0", "p1"):
            assert sum(session.project == project for session in there) <= limits.sessions_per_project

    async def play(self) -> None:
        tasks = []
        for act in self.schedule.acts:
            task = asyncio.create_task(self._perform(act))
            tasks.append(task)
            if act.cancelled is not None:
                tasks.append(asyncio.create_task(_cancel(task, act.cancelled)))
        outcomes = await asyncio.gather(*tasks, return_exceptions=True)
        for outcome in outcomes:
            if isinstance(outcome, BaseException):
                assert isinstance(outcome, ZeroDivisionError | SandboxUnavailable | asyncio.CancelledError), outcome
        self.look()
        await self.sandboxes.close()
        assert self.engine.there == 0
        # One for each who comes, and one to be warm after that.
        assert self.engine.starts <= 2 * len(self.schedule.acts) + self.schedule.limits.warm
        assert self.sandboxes._queue == []
        assert self.sandboxes._holders == set()
        assert self.sandboxes._owned == {}
        assert self.sandboxes._spare == []

    async def _perform(self, act: Act) -> None:
        await _steps(act.comes)
        owner, project = f"owner {act.owner}", f"p{act.owner % 2}"
        async with self.sandboxes.hold(owner, project) as session:
            assert owner not in self.holding
            self.holding.add(owner)
            try:
                assert isinstance(session, FakeSession)
                assert session.project in ("", project)
                session.project = project
                self.look()
                await _steps(act.holds)
                assert not session.closed
                await self._do(act, owner, session)
            finally:
                self.holding.discard(owner)

    async def _do(self, act: Act, owner: str, session: FakeSession) -> None:
        if act.does == "raises":
            raise ZeroDivisionError
        if act.does == "drops":
            await self.sandboxes.drop(owner)
            assert session.closed
        if act.does == "finds it dead":
            session.alive = False


async def _steps(count: int) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


async def _cancel(task: asyncio.Task[Any], after: int) -> None:
    await _steps(after)
    task.cancel()


async def play(schedule: Schedule) -> None:
    async with asyncio.timeout(PATIENCE):
        await Stage(schedule).play()


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(SCHEDULES)
def test_no_schedule_breaks_a_rule(schedule: Schedule) -> None:
    asyncio.run(play(schedule))


async def test_a_session_that_nobody_holds_rests() -> None:
    engine = FakeEngine()
    async with pool(engine, COLD) as sandboxes:
        async with sandboxes.hold("thread", "project"):
            assert not engine.sessions[0].resting
        assert engine.sessions[0].resting
        async with sandboxes.hold("thread", "project"):
            assert not engine.sessions[0].resting


async def use(sandboxes: Sandboxes, owner: str) -> None:
    async with sandboxes.hold(owner, "p"):
        pass


async def test_who_comes_back_keeps_its_session_until_it_is_done() -> None:
    engine = FakeEngine()
    async with pool(engine, PoolLimits(sessions=1, sessions_per_project=1, warm=0)) as sandboxes:
        async with sandboxes.hold("run", "p", comes_back=True) as first:
            pass
        waiting = asyncio.create_task(use(sandboxes, "other"))
        await settle()
        assert not waiting.done()
        async with sandboxes.hold("run", "p", comes_back=True) as again:
            assert again is first
        await settle()
        assert not waiting.done()
        sandboxes.done("run")
        await settle()
        assert waiting.done()
        assert not first.alive


async def test_who_does_not_come_back_keeps_nothing_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("assistd.sandbox.pool._KEPT_SECONDS", 0.05)
    engine = FakeEngine()
    async with pool(engine, PoolLimits(sessions=1, sessions_per_project=1, warm=0)) as sandboxes:
        async with sandboxes.hold("run", "p", comes_back=True) as first:
            pass
        async with sandboxes.hold("other", "p") as second:
            assert second is not first


async def test_a_kept_session_that_dies_is_replaced() -> None:
    engine = FakeEngine()
    async with pool(engine, COLD) as sandboxes:
        async with sandboxes.hold("run", "p", comes_back=True) as first:
            pass
        await first.end("lost")
        async with sandboxes.hold("run", "p", comes_back=True) as second:
            assert second is not first
            assert second.alive
