"""The watch over sessions: ends those that are over a limit which no process inside can be held to by itself."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Final, Protocol

import structlog

from assistd.sandbox.limits import MB, Limits
from assistd.sandbox.usage import Meter, Usage

_log = structlog.get_logger("assistd.sandbox")

# How often sessions are looked at. A processor fills about 1 GB of memory in a second, so this is what makes the part
# of it that a session can have beyond its limit.
_BUSY_SECONDS: Final = 0.1
_IDLE_SECONDS: Final = 1.0  # its code may have left something behind that goes on

# A session that could not be looked at so many times one after the other is ended, and so is one whose look takes so
# long: what is not watched has no limit.
_FAILED_LOOKS: Final = 3
_LOOK_SECONDS: Final = 20.0


class Watched(Protocol):
    """What is watched: a session."""

    @property
    def alive(self) -> bool: ...

    @property
    def pid(self) -> int: ...

    @property
    def own_kernel(self) -> bool: ...

    async def end(self, reason: str) -> None: ...


@dataclass
class _Pace:
    meter: Meter
    due: float
    busy: bool = False
    failed: int = 0  # looks, one after the other


class Watch:
    """Looks at sessions every now and then, at busy ones often; where there is none, it does nothing.

    `found_dead` is called when sessions have turned out to be dead, or were ended here.
    """

    def __init__(self, limits: Limits, found_dead: Callable[[], None] = lambda: None) -> None:
        self._limits = limits
        self._found_dead = found_dead
        self._paces: dict[Watched, _Pace] = {}
        self._changed = asyncio.Event()
        self._ending: set[asyncio.Task[None]] = set()
        self._blind = False

    def add(self, session: Watched) -> None:
        """Watch a session, which is ready and idle, from now on."""
        meter = Meter(session.pid, self._limits.memory, own_kernel=session.own_kernel)
        self._paces[session] = _Pace(meter, _now() + _IDLE_SECONDS)
        self._changed.set()

    def remove(self, session: Watched) -> None:
        """Watch it no more."""
        self._paces.pop(session, None)

    def set_busy(self, session: Watched, busy: bool) -> None:
        """Say whether a session may be at work."""
        if (pace := self._paces.get(session)) is not None and pace.busy is not busy:
            pace.busy = busy
            # Never later than it was due: short uses one after the other must not keep it from being looked at.
            pace.due = min(pace.due, _now() + (_BUSY_SECONDS if busy else _IDLE_SECONDS))
            self._changed.set()

    async def run(self) -> None:
        """Watch until cancelled. Whatever goes wrong with a look is logged, and does not end the watch."""
        while True:
            # A thread of its own: a look can take long where there is much to see, and must not wait for anybody's
            # files. Another one after a fault: the look may not have come to its end.
            thread = ThreadPoolExecutor(1, "sandbox-watch")
            try:
                while True:
                    self._changed.clear()
                    if due := [session for session, pace in self._paces.items() if pace.due <= _now()]:
                        await self._look_or_count(thread, due)
                    else:
                        await self._pause()
            except Exception as fault:
                _log.error("the watch over sandboxes has failed, and begins again", exc_info=fault)
            finally:
                thread.shutdown(wait=False)

    async def _look_or_count(self, thread: ThreadPoolExecutor, due: Sequence[Watched]) -> None:
        """Look at sessions. Where that fails, it has failed for each of them; raises what was wrong."""
        seen: list[Usage | None] = []  # by the thread, one after the other
        try:
            async with asyncio.timeout(_LOOK_SECONDS):
                await self._look(thread, due, seen)
        except TimeoutError:
            for session in due[len(seen) : len(seen) + 1]:  # it is this one that takes so long
                self._count_failure(session, at_once=True)
            raise
        except Exception:
            for session in due:
                self._count_failure(session)
            raise

    def _count_failure(self, session: Watched, *, at_once: bool = False) -> None:
        """Note that a session could not be looked at, and end it where that is so for good."""
        if (pace := self._paces.get(session)) is None:
            return
        pace.due = _now() + _BUSY_SECONDS
        pace.failed += 1
        if at_once or pace.failed >= _FAILED_LOOKS:
            self._end(session, "what it uses could not be watched")

    async def _pause(self) -> None:
        """Wait until a session is due, or something has changed."""
        until = min((pace.due for pace in self._paces.values()), default=None)
        with suppress(TimeoutError):
            async with asyncio.timeout_at(until):
                await self._changed.wait()

    async def _look(self, thread: ThreadPoolExecutor, due: Sequence[Watched], seen: list[Usage | None]) -> None:
        meters = [self._paces[session].meter for session in due]
        await asyncio.get_running_loop().run_in_executor(thread, _read, meters, seen)
        for session, usage in zip(due, seen, strict=True):
            if (pace := self._paces.get(session)) is None:
                continue
            pace.due = _now() + (_BUSY_SECONDS if pace.busy else _IDLE_SECONDS)
            if not session.alive:
                self.remove(session)
                self._found_dead()
            elif usage is None:
                self._count_failure(session)
            else:
                pace.failed = 0
                if why := self._excess(usage):
                    self._end(session, why)

    def _excess(self, usage: Usage) -> str:
        """Return what there is too much of, or "" where nothing is."""
        if usage.files is None and not self._blind:
            self._blind = True
            _log.warning("how many files a sandbox has cannot be seen, and is not limited")
        if usage.memory > self._limits.memory:
            return f"it used more memory than {_amount(self._limits.memory)}"
        if usage.files is not None and usage.files > self._limits.files:
            return f"it made more than {self._limits.files:,} files"
        return ""

    def _end(self, session: Watched, why: str) -> None:
        pace = self._paces.pop(session)
        _log.info("a sandbox is ended", why=why)
        task = asyncio.create_task(session.end(f"The session was ended: {why}."), name="end of a sandbox")
        self._ending.add(task)
        task.add_done_callback(partial(self._ended, session, pace))

    def _ended(self, session: Watched, pace: _Pace, task: asyncio.Task[None]) -> None:
        self._ending.discard(task)
        if not task.cancelled() and (fault := task.exception()) is not None:
            _log.error("a sandbox could not be ended, which is tried again", exc_info=fault)
            pace.due = _now() + _IDLE_SECONDS
            self._paces[session] = pace
            self._changed.set()
        self._found_dead()


def _now() -> float:
    return asyncio.get_running_loop().time()


def _amount(size: int) -> str:
    return f"{size / (1024 * MB):g} GB" if size >= 1024 * MB else f"{size / MB:g} MB"


def _read(meters: Sequence[Meter], seen: list[Usage | None]) -> None:
    for meter in meters:
        seen.append(_read_one(meter))  # at once, so that it shows how far this has come


def _read_one(meter: Meter) -> Usage | None:
    try:
        return meter.read()
    except Exception as fault:
        _log.error("a sandbox cannot be watched", exc_info=fault)
        return None
