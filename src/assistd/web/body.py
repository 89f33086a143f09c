"""A request's body: read whole, or taken as it comes, and within a limit either way."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import suppress

from starlette.types import Receive

from assistd import errors
from assistd.errors import APIError

# How much of a body that is refused is taken off the wire before that is said: most clients listen only when
# they have sent everything.
_DRAINED_BYTES = 256 * 1024 * 1024
_DRAINING_SECONDS = 10.0

# How long a client that sends a large body may pause.
_PAUSE_SECONDS = 120.0


class Body:
    """The body of one request, which can be taken once."""

    def __init__(self, receive: Receive, headers: Mapping[str, str]) -> None:
        self._receive = receive
        self._expects = "expect" in headers
        declared = headers.get("content-length", "")
        self._declared = int(declared) if declared.isdigit() else None
        self._received = 0
        self._ended = False

    async def whole(self, limit: int) -> bytes:
        """Return all of it. Raises APIError (413) for more than `limit` bytes, after they were thrown away."""
        try:
            parts = [part async for part in self._parts(limit, errors.body_too_large(limit))]
        except APIError:
            await self.drain()
            raise
        return parts[0] if len(parts) == 1 else b"".join(parts)

    async def stream(self, limit: int, too_large: APIError) -> AsyncIterator[bytes]:
        """Yield it as it comes. Raises `too_large`, or APIError (408, 400) for a client that pauses too long or goes.

        Whoever stops in the middle leaves the rest to `drain`.
        """
        async for part in self._parts(limit, too_large, _PAUSE_SECONDS):
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

    async def _parts(self, limit: int, too_large: APIError, pause: float | None = None) -> AsyncIterator[bytes]:
        if self._declared is not None and self._declared > limit:
            raise too_large
        while not self._ended:
            try:
                async with asyncio.timeout(pause):
                    part = await self._take()
            except TimeoutError:
                raise errors.body_too_slow() from None
            if self._received > limit:
                raise too_large
            yield part

    async def _take(self) -> bytes:
        message = await self._receive()
        if message["type"] == "http.disconnect":
            self._ended = True
            raise errors.gone()
        part: bytes = message.get("body", b"")
        self._received += len(part)
        self._ended = not message.get("more_body", False)
        return part
