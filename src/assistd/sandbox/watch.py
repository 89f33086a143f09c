"""The watch over sessions: ends those that are over a limit which no process inside can be held to by itself."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from typing import Final, Protocol

import structlog

from assistd.sandbox.limits import MB, Limits
from assistd.sandbox.usage import Meter, Usage

_log = structlog.get_logger("assistd.sandbox")

# How often sessions are looked at. A processor fills about 1 GB of memory in a second, so this is what makes the part
# of it that a session can have beyond its limit.
_BUSY_SECONDS: Final = 0.1
_IDLE_SECONDS: Final = 1.0  # its code may have left something behind that goes on


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
        """Watch until cancelled."""
        # A thread of its own: a look can take long where there is much to see, and must not wait for anybody's files.
        thread = ThreadPoolExecutor(1, "sandbox-watch")
        try:
            while True:
                self._changed.clear()
                if due := [session for session, pace in self._paces.items() if pace.due <= _now()]:
                    await self._look(thread, due)
                else:
                    await self._pause()
        finally:
            thread.shutdown(wait=False)

    async def _pause(self) -> None:
        """Wait until a session is due, or something has changed."""
        until = min((pace.due for pace in self._paces.values()), default=None)
        with suppress(TimeoutError):
            async with asyncio.timeout_at(until):
                await self._changed.wait()

    async def _look(self, thread: ThreadPoolExecutor, due: Sequence[Watched]) -> None:
        meters = [self._paces[session].meter for session in due]
        seen = await asyncio.get_running_loop().run_in_executor(thread, _read, meters)
        for session, usage in zip(due, seen, strict=True):
            if (pace := self._paces.get(session)) is None:
                continue
            pace.due = _now() + (_BUSY_SECONDS if pace.busy else _IDLE_SECONDS)
            if not session.alive:
                self.remove(session)
                self._found_dead()
            elif usage is not None and (why := self._excess(usage)):
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
        self.remove(session)
        _log.info("a sandbox is ended", why=why)
        task = asyncio.create_task(session.end(f"The session was ended: {why}."), name="end of a sandbox")
        self._ending.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._ending.discard(task)
        if not task.cancelled() and (fault := task.exception()) is not None:
            _log.error("a sandbox could not be ended", exc_info=fault)
        self._found_dead()


def _now() -> float:
    return asyncio.get_running_loop().time()


def _amount(size: int) -> str:
    return f"{size / (1024 * MB):g} GB" if size >= 1024 * MB else f"{size / MB:g} MB"


def _read(meters: Sequence[Meter]) -> list[Usage | None]:
    return [_read_one(meter) for meter in meters]


def _read_one(meter: Meter) -> Usage | None:
    try:
        return meter.read()
    except (OSError, ValueError) as fault:
        _log.error("a sandbox cannot be watched", exc_info=fault)
        return None
