"""How many connections may be in use at once: as many as the pool has room for, or, while PostgreSQL lets no further
one in, those that there are."""

from __future__ import annotations

import asyncio
from collections import deque

# How long to leave it at the connections that there are, before one more is tried.
_RETRY_SECONDS = 1.0


class Capacity:
    """Counts the connections in use, and has those wait, in their order, who come while all are."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._limit = size
        self._in_use = 0
        self._waiters: deque[asyncio.Future[None]] = deque()

    async def enter(self) -> None:
        """Count one more, and wait for it where there is none to be had."""
        if self._in_use < self._limit and not self._waiters:
            self._in_use += 1
            return
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiters.append(turn)
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self.leave()  # it was this one's turn already
            raise

    def leave(self) -> None:
        """Count one less; the next who waits comes in."""
        self._in_use -= 1
        self._admit()

    def limit_to(self, connections: int) -> None:
        """Make do with the connections that there are for a moment; then one more at a time may be tried."""
        self._limit = max(1, min(connections, self._size))
        if self._limit < self._size:
            asyncio.get_running_loop().call_later(_RETRY_SECONDS, self._raise_from, self._limit)

    def _raise_from(self, limit: int) -> None:
        if self._limit == limit:  # not set anew meanwhile
            self.limit_to(limit + 1)
            self._admit()

    def _admit(self) -> None:
        while self._waiters and self._in_use < self._limit:
            turn = self._waiters.popleft()
            if not turn.done():
                self._in_use += 1
                turn.set_result(None)
