"""The pieces of a blob on their way from whoever sends them to the store."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator
from typing import Literal


class Pieces:
    """The chunks of a blob on their way: gathered to a size worth a hand-over, counted, and stoppable.

    `fault` is what the source raised, so that it is not mistaken for a fault of the store. `awaited` tells a store that
    is silent from a source that is slow.
    """

    def __init__(self, chunks: AsyncIterator[bytes], piece_bytes: int) -> None:
        self._chunks = chunks
        self._piece_bytes = piece_bytes
        self._handed_over: float | None = time.monotonic()
        self._stopped = asyncio.Event()
        self.size = 0
        self.fault: BaseException | None = None

    def stop(self) -> None:
        """Let whoever reads, or waits for the next chunk, fail."""
        self._stopped.set()

    def awaited(self) -> float:
        """For how many seconds the store has had all that there was: 0 while the source is asked for more."""
        return 0.0 if self._handed_over is None else time.monotonic() - self._handed_over

    async def read(self) -> AsyncGenerator[bytes, None]:
        stopped = asyncio.create_task(self._stopped.wait())
        self._handed_over = None
        try:
            held = bytearray()
            while (chunk := await self._next(stopped)) is not None:
                self.size += len(chunk)
                held += chunk
                if len(held) >= self._piece_bytes:
                    self._handed_over = time.monotonic()
                    yield bytes(held)
                    self._handed_over = None
                    held.clear()
            self._handed_over = time.monotonic()
            if held:
                yield bytes(held)
        except Exception as fault:
            self.fault = fault
            raise
        finally:
            self._handed_over = time.monotonic()
            stopped.cancel()

    async def _next(self, stopped: asyncio.Task[Literal[True]]) -> bytes | None:
        coming = asyncio.create_task(self._pull())
        try:
            await asyncio.wait((coming, stopped), return_when=asyncio.FIRST_COMPLETED)
        finally:
            if not coming.done():
                coming.cancel()
        if stopped.done():
            await asyncio.gather(coming, return_exceptions=True)
            raise _Stopped
        return coming.result()

    async def _pull(self) -> bytes | None:
        return await anext(self._chunks, None)


class _Stopped(Exception):
    """Nobody waits for the blob any more."""
