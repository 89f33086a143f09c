"""Sessions at scale: which owner has which session, who waits for one, and which are ended to make room.

Every session that there is takes a place, until it is gone: also one that nobody has yet, and one that is being ended.
Sessions are started for nobody in particular, and given to who waits, in order of arrival. So nobody who stops waiting
leaves anything behind, and one that comes too late for somebody is there for the next.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import structlog

from assistd.sandbox.engine import Engine
from assistd.sandbox.faults import SandboxUnavailable
from assistd.sandbox.limits import Limits
from assistd.sandbox.session import Session
from assistd.sandbox.watch import Watch

# How long a session is kept for an owner that comes back, such as a run whose model thinks about what its code gave.
_KEPT_SECONDS = 60.0

_log = structlog.get_logger("assistd.sandbox")


@dataclass(frozen=True)
class PoolLimits:
    """How many sessions there may be, in this process and of one project; for how long one is kept that is not used.

    `warm` sessions are kept ready for the next owner, where there is room for them.
    """

    sessions: int = 20
    sessions_per_project: int = 10
    idle_seconds: float = 3600.0
    warm: int = 1

    def __post_init__(self) -> None:
        if self.sessions < 1 or self.sessions_per_project < 1:
            raise ValueError("without room for a session nobody could ever get one")


@dataclass(eq=False)
class _Place:
    """A session, and whose it is: nobody's yet where `owner` is None."""

    session: Session
    owner: str | None = None
    project_id: str | None = None
    ending: asyncio.Task[None] | None = None
    timer: asyncio.TimerHandle | None = None


@dataclass(eq=False)
class _Waiter:
    """Somebody who waits for a session. `needs_start`: for one that is being started."""

    owner: str
    project_id: str
    given: asyncio.Future[_Place]
    needs_start: bool = False


@dataclass
class _Room:
    """What there is for those who wait, less what those before them in the queue get of it."""

    free: int
    starting: int
    leaving: int
    of_project: Counter[str | None] = field(default_factory=Counter)
    leaving_project: Counter[str | None] = field(default_factory=Counter)


class Sandboxes:
    """The sessions of this process. `each` are the limits of one of them."""

    def __init__(self, engine: Engine, limits: PoolLimits, each: Limits | None = None) -> None:
        self._engine = engine
        self._limits = limits
        self._watch = Watch(each or Limits(), self._serve)
        self._places: set[_Place] = set()
        self._spare: list[_Place] = []  # nobody's
        self._owned: dict[str, _Place] = {}  # not those that are being ended; who had theirs last comes last
        self._holders: set[str] = set()  # owners with somebody inside `hold`
        self._kept: dict[str, asyncio.TimerHandle] = {}  # owners that come back soon
        self._queue: list[_Waiter] = []
        self._starting: set[asyncio.Task[Session]] = set()
        self._warming = False
        self._closed = False

    @asynccontextmanager
    async def hold(self, owner: str, project_id: str, *, comes_back: bool = False) -> AsyncIterator[Session]:
        """Yield the owner's session, a new one where there is none. Nobody else has it until the context is left.

        Waits while there is no room or another holds it. Raises SandboxUnavailable. A session that was lost or
        dropped meanwhile is not replaced before the next `hold`, for which this one is to be left.

        Who `comes_back` soon keeps it: until `done`, and for a minute at most, it does not make room for others.
        """
        place = await self._wait(owner, project_id)
        place.session.wake()
        self._watch.set_busy(place.session, True)
        try:
            yield place.session
        finally:
            if comes_back and self._owned.get(owner) is place:
                self._keep(owner)
            self._release(owner, place)

    def done(self, owner: str) -> None:
        """Say that the owner does not come back soon: its session may make room for others."""
        if (timer := self._kept.pop(owner, None)) is not None:
            timer.cancel()
            self._serve()

    def forget(self, owner: str) -> None:
        """Begin to end the owner's session, if there is one, also while it is held."""
        if (place := self._owned.get(owner)) is not None:
            self._retire(place)

    async def drop(self, owner: str) -> None:
        """End the owner's session, as `forget`. Returns when it is gone."""
        self.forget(owner)
        endings = [place.ending for place in self._places if place.owner == owner and place.ending is not None]
        if endings:
            await asyncio.wait(endings)

    async def run(self) -> None:
        """Watch what the sessions use, until cancelled."""
        await self._watch.run()

    async def close(self) -> None:
        """End all sessions, also held ones, and return when they are gone. Nobody gets one after that."""
        self._closed = True
        for timer in self._kept.values():
            timer.cancel()
        for waiter in self._queue:
            if not waiter.given.done():
                waiter.given.set_exception(SandboxUnavailable("The server is shutting down."))
        for start in self._starting:
            start.cancel()
        while self._places or self._starting:
            for place in self._places:
                self._retire(place)
            await asyncio.wait([*self._starting, *(place.ending for place in self._places if place.ending)])

    # --- those who wait

    async def _wait(self, owner: str, project_id: str) -> _Place:
        if self._closed:
            raise SandboxUnavailable("The server is shutting down.")
        waiter = _Waiter(owner, project_id, asyncio.get_running_loop().create_future())
        self._queue.append(waiter)
        self._serve()
        try:
            return await waiter.given
        except asyncio.CancelledError:
            if waiter.given.done() and not waiter.given.cancelled() and waiter.given.exception() is None:
                self._release(owner, waiter.given.result())  # it was given just now
            raise
        finally:
            if waiter in self._queue:
                self._queue.remove(waiter)
                self._serve()

    def _release(self, owner: str, place: _Place) -> None:
        """Take back what was held."""
        self._holders.discard(owner)
        if self._owned.get(owner) is place:
            self._owned[owner] = self._owned.pop(owner)
            place.session.rest()
            self._watch.set_busy(place.session, False)
            self._time(place)
        self._serve()

    def _serve(self) -> None:
        """Give what there is to those who wait, and see that what they lack comes. Called whenever that may change."""
        if self._closed:
            return
        for place in [*self._spare, *self._unheld()]:
            if not place.session.alive:
                self._retire(place)
        room = self._room()
        waiting = [waiter for waiter in self._queue if not waiter.given.done()]
        for waiter in waiting:
            waiter.needs_start = False
        asked = set(self._holders)
        for waiter in waiting:
            if waiter.owner in asked:
                continue
            asked.add(waiter.owner)
            if (own := self._owned.get(waiter.owner)) is not None:
                self._give(waiter, own)
            elif self._has_room_in_project(waiter, room) and not self._has_room(waiter, room):
                break  # whoever comes later has to wait as well: all sessions are held
        self._keep_warm(room)

    def _room(self) -> _Room:
        room = _Room(0, len(self._starting), 0)
        for place in self._places:
            room.of_project[place.project_id] += 1
            if place.ending is not None:
                room.leaving += 1
                room.leaving_project[place.project_id] += 1
        room.free = self._limits.sessions - len(self._places) - len(self._starting)
        return room

    def _has_room_in_project(self, waiter: _Waiter, room: _Room) -> bool:
        """Whether the waiter's project may have one more; where it may not, an idle one of it is ended."""
        project_id = waiter.project_id
        if room.of_project[project_id] < self._limits.sessions_per_project:
            room.of_project[project_id] += 1
            return True
        if room.leaving_project[project_id] > 0:
            room.leaving_project[project_id] -= 1
        elif idle := next((place for place in self._idle() if place.project_id == project_id), None):
            self._retire(idle)
        return False

    def _has_room(self, waiter: _Waiter, room: _Room) -> bool:
        """Give the waiter a session, or see that one comes. False where none can come before one is released."""
        if self._spare:
            self._give(waiter, self._spare.pop())
        elif room.starting > 0:
            room.starting -= 1
            waiter.needs_start = True
        elif room.free > 0:
            room.free -= 1
            waiter.needs_start = True
            self._start()
        elif room.leaving > 0:
            room.leaving -= 1
        elif (idle := next(self._idle(), None)) is not None:
            self._retire(idle)
        else:
            return False
        return True

    def _keep(self, owner: str) -> None:
        if (timer := self._kept.pop(owner, None)) is not None:
            timer.cancel()
        self._kept[owner] = asyncio.get_running_loop().call_later(_KEPT_SECONDS, self.done, owner)

    def _unheld(self) -> Iterator[_Place]:
        """Those that have an owner and no holder, the longest unused first."""
        return (place for owner, place in self._owned.items() if owner not in self._holders)

    def _idle(self) -> Iterator[_Place]:
        """Those of owners who do not come back soon: they may make room."""
        return (place for place in self._unheld() if place.owner not in self._kept)

    def _give(self, waiter: _Waiter, place: _Place) -> None:
        if place.timer is not None:
            place.timer.cancel()
        if place.owner is None:
            place.owner, place.project_id = waiter.owner, waiter.project_id
            self._owned[waiter.owner] = place
        self._holders.add(waiter.owner)
        self._queue.remove(waiter)
        self._warming = True
        waiter.given.set_result(place)

    # --- sessions come and go

    def _keep_warm(self, room: _Room) -> None:
        """Start sessions for nobody yet, after those for who waits; end what is too much."""
        wanted = self._limits.warm if self._warming else 0
        for place in self._spare[wanted:]:
            self._retire(place)
        if room.starting == 0 and room.free > 0 and len(self._spare) < wanted and not self._needs_start():
            self._start()

    def _needs_start(self) -> _Waiter | None:
        return next((waiter for waiter in self._queue if waiter.needs_start and not waiter.given.done()), None)

    def _start(self) -> None:
        task = asyncio.create_task(self._engine.start(), name="start of a sandbox")
        self._starting.add(task)
        task.add_done_callback(self._started)

    def _started(self, task: asyncio.Task[Session]) -> None:
        self._starting.discard(task)
        if not task.cancelled():
            fault = task.exception() or self._take_in(task.result())
            if fault is not None:
                self._failed(fault)
        self._serve()

    def _take_in(self, session: Session) -> BaseException | None:
        place = _Place(session)
        self._places.add(place)
        self._spare.append(place)
        self._watch.add(session)
        self._time(place)
        return None if session.alive else SandboxUnavailable("The sandbox ended as soon as it had started.")

    def _failed(self, fault: BaseException) -> None:
        """Tell who was to have the session that it does not come. Who waits behind has a start of its own."""
        if (waiter := self._needs_start()) is not None:
            self._queue.remove(waiter)
            waiter.given.set_exception(fault)
        else:
            self._warming = False  # until somebody has got one again
            _log.warning("no sandbox could be kept ready", why=str(fault))

    def _time(self, place: _Place) -> None:
        loop = asyncio.get_running_loop()
        place.timer = loop.call_later(self._limits.idle_seconds, self._expire, place)

    def _expire(self, place: _Place) -> None:
        """End a session that nobody has used for long; one that is kept ready, only where there is no other."""
        if place.owner is None and (self._owned or self._queue):
            self._time(place)
            return
        if place.owner is None:
            self._warming = False
        self._retire(place)

    def _retire(self, place: _Place) -> None:
        """End a session. Its place is free when it is gone."""
        if place.ending is not None:
            return
        if place.timer is not None:
            place.timer.cancel()
        if place.owner is None:
            self._spare.remove(place)
        else:
            del self._owned[place.owner]
            if (kept := self._kept.pop(place.owner, None)) is not None:
                kept.cancel()
        self._watch.remove(place.session)
        place.ending = asyncio.create_task(self._end(place), name="end of a sandbox")

    async def _end(self, place: _Place) -> None:
        try:
            await place.session.close()
        except Exception as fault:
            _log.error("a sandbox could not be ended", exc_info=fault)
        finally:
            self._places.discard(place)
            self._serve()
