"""A request's body: read whole, or taken as it comes, and within limits either way: of size, memory and time."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, suppress
from typing import Final

from starlette.types import Receive

from assistd import errors
from assistd.errors import APIError
from assistd.web.json_weight import JsonWeight
from assistd.web.memory import Memory

# How much of a body that is refused is taken off the wire before that is said: most clients listen only when
# they have sent everything.
_DRAINED_BYTES = 256 * 1024 * 1024
_DRAINING_SECONDS = 10.0

# How slow a client may be that sends a body, besides pausing.
SLOWEST_BYTES_PER_SECOND: Final = 8 * 1024
DEFAULT_STALL_SECONDS: Final = 30.0

# Bodies of this size never wait for room, so that nobody's usual requests wait behind somebody's large ones.
_FREE_BYTES: Final = 32 * 1024
# What is held of a body that is passed on as it comes: by whoever writes it, in pieces.
_PASSING_BYTES: Final = 24 * 1024 * 1024


class Patience:
    """How long a client may still pause: `left`, in seconds.

    One that sends less than SLOWEST_BYTES_PER_SECOND uses up its pause little by little, one that sends more gets it
    back, and nobody saves up more than at first.
    """

    def __init__(self, seconds: float) -> None:
        self.most = self.left = seconds

    def spend(self, waited: float, received: int) -> None:
        """Count what came after a wait: seconds and bytes."""
        self.left = min(self.most, self.left - waited + received / SLOWEST_BYTES_PER_SECOND)


class Body:
    """The body of one request, which can be taken once. `stall_seconds` is how long its client may pause."""

    def __init__(
        self, receive: Receive, headers: Mapping[str, str], stall_seconds: float = DEFAULT_STALL_SECONDS
    ) -> None:
        self._receive = receive
        self._expects = "expect" in headers
        declared = headers.get("content-length", "")
        self._declared = int(declared) if declared.isascii() and declared.isdigit() else None
        self._received = 0
        self._ended = self._declared == 0 or (self._declared is None and "transfer-encoding" not in headers)
        self._patience = Patience(stall_seconds)
        self._room = AsyncExitStack()

    async def whole(self, limit: int, memory: Memory, owner: str) -> bytes:
        """Return all of it, which holds room until `close`.

        Raises APIError (413) for more than `limit` bytes or for JSON that is too heavy, (400) for JSON that is nested
        too deeply, (408, 400) for a client that is too slow or goes, (503) where there is no room in time.
        """
        weight, parts = JsonWeight(), []
        async for part in self._parts(limit, errors.body_too_large(limit), memory, owner, limit):
            weight.add(part)
            parts.append(part)
        return parts[0] if len(parts) == 1 else b"".join(parts)

    async def stream(self, limit: int, too_large: APIError, memory: Memory, owner: str) -> AsyncIterator[bytes]:
        """Yield it as it comes. Raises `too_large`, or APIError as `whole`.

        Whoever stops in the middle leaves the rest to `drain`.
        """
        async for part in self._parts(limit, too_large, memory, owner, _PASSING_BYTES):
            if part:
                yield part

    async def drain(self) -> None:
        """Throw away what is left, within reason."""
        left = None if self._declared is None else self._declared - self._received
        # Who waits for a word before sending, or has far too much to send, hears it now.
        unasked = self._expects and self._received == 0
        if self._ended or unasked or (left is not None and left > _DRAINED_BYTES):
            return
        until = self._received + _DRAINED_BYTES
        with suppress(TimeoutError, APIError):
            async with asyncio.timeout(_DRAINING_SECONDS):
                while not self._ended and self._received < until:
                    await self._take()

    async def close(self) -> None:
        """Give the room back."""
        await self._room.aclose()

    async def _parts(
        self, limit: int, too_large: APIError, memory: Memory, owner: str, most_held: int
    ) -> AsyncIterator[bytes]:
        if self._declared is not None and self._declared > limit:
            raise too_large
        expected, holds = self._declared or 0, False
        while not self._ended:
            if not holds and max(expected, self._received) > _FREE_BYTES:
                # All that it may take: a body that would have to ask again could keep others waiting while it waits.
                size = min(self._declared or limit, most_held)
                await self._room.enter_async_context(memory.room(owner, size))
                holds = True
            part = await self._take_in_time()
            if self._received > limit:
                raise too_large
            yield part

    async def _take_in_time(self) -> bytes:
        since = time.monotonic()
        try:
            async with asyncio.timeout(self._patience.left):
                part = await self._take()
        except TimeoutError:
            self._ended = True  # as far as anybody waits for it
            raise errors.body_too_slow(round(self._patience.most), SLOWEST_BYTES_PER_SECOND) from None
        self._patience.spend(time.monotonic() - since, len(part))
        return part

    async def _take(self) -> bytes:
        message = await self._receive()
        if message["type"] == "http.disconnect":
            self._ended = True
            raise errors.gone()
        part: bytes = message.get("body", b"")
        self._received += len(part)
        self._ended = not message.get("more_body", False)
        return part
