"""How much of bodies this process holds at the same time, and who waits for room."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Final

from assistd import errors

DEFAULT_BYTES: Final = 256 * 1024 * 1024

# How long a body waits for room.
_WAIT_SECONDS: Final = 30.0


@dataclass(eq=False)
class _Waiter:
    owner: str
    size: int
    admitted: asyncio.Future[None] = field(default_factory=lambda: asyncio.get_running_loop().create_future())


class Memory:
    """Room for bodies, in bytes. No owner (a project) has more than half of it, so that none keeps all others out."""

    def __init__(self, limit: int = DEFAULT_BYTES) -> None:
        self._limit = limit
        self._held: Counter[str] = Counter()
        self._waiting: list[_Waiter] = []

    @asynccontextmanager
    async def room(self, owner: str, size: int) -> AsyncIterator[None]:
        """Hold room for the block: `size` bytes, or half of all if that is less.

        Raises APIError (503) where there is none in time. It is asked for once per body, so that nobody waits for room
        while holding some.
        """
        size = min(size, self._limit // 2)
        await self._take(owner, size)
        try:
            yield
        finally:
            self._give(owner, size)

    async def _take(self, owner: str, size: int) -> None:
        waiter = _Waiter(owner, size)
        self._waiting.append(waiter)
        self._admit()
        if waiter.admitted.done():  # as nearly always
            return
        try:
            async with asyncio.timeout(_WAIT_SECONDS):
                await waiter.admitted
        except (TimeoutError, asyncio.CancelledError) as ended:
            if waiter in self._waiting:
                self._waiting.remove(waiter)
                self._admit()
            else:  # admitted in the same moment
                self._give(owner, size)
            if isinstance(ended, TimeoutError):
                raise errors.no_memory_for_bodies() from None
            raise

    def _give(self, owner: str, size: int) -> None:
        self._held[owner] -= size
        if not self._held[owner]:
            del self._held[owner]
        self._admit()

    def _admit(self) -> None:
        """Let in who is next, and whoever is behind an owner that has its half."""
        left = self._limit - self._held.total()
        for waiter in list(self._waiting):
            if self._held[waiter.owner] + waiter.size > self._limit // 2:
                continue
            if waiter.size > left:
                return
            left -= waiter.size
            self._held[waiter.owner] += waiter.size
            self._waiting.remove(waiter)
            if not waiter.admitted.done():
                waiter.admitted.set_result(None)
