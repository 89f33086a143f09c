"""The response to one request, sent once: a JSON object, an error, or a stream as it comes."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import suppress
from typing import Final

import msgspec
import structlog
from starlette.types import Receive, Send

from assistd import errors
from assistd.errors import APIError

log = structlog.get_logger("assistd.web")

_JSON: Final = b"application/json"
_EVENTS: Final = "text/event-stream"

# An answer that is longer goes out piece by piece, so that it can be seen whether the client takes it.
LARGE_BYTES: Final = 1024 * 1024
_PIECE_BYTES: Final = 256 * 1024

_LAST_WORDS_SECONDS: Final = 5.0


class Reply:
    """The response of one request. A client that takes nothing of it for `stall_seconds` is given up."""

    def __init__(self, send: Send, request_id: str, stall_seconds: float) -> None:
        self._send = send
        self._stall_seconds = stall_seconds
        self._sending = False
        self._sent = 0
        self.request_id = request_id
        self.project_id = ""  # until the key is known
        self.started = time.perf_counter()
        self.status = 0

    async def json(self, status: int, body: bytes, headers: Mapping[str, str] | None = None) -> None:
        """Send an encoded object at once."""
        head = [(b"content-type", _JSON), (b"content-length", b"%d" % len(body)), *_encoded(headers or {})]
        await self._start(status, head)
        await self._send({"type": "http.response.body", "body": body})

    async def large_json(self, status: int, body: bytes, receive: Receive) -> None:
        """Send an encoded object as its client takes it."""

        async def pieces() -> AsyncIterator[bytes]:
            for start in range(0, len(body), _PIECE_BYTES):
                yield body[start : start + _PIECE_BYTES]

        headers = {"content-length": str(len(body))}
        await self.stream(status, _JSON.decode(), headers, pieces(), receive, asyncio.Future())

    async def error(self, refusal: APIError) -> None:
        """Send an error in the service's envelope; where an answer has begun already, end it."""
        if self.status:
            await self._send({"type": "http.response.body", "body": b""})
            return
        body: dict[str, dict[str, str | None]] = {"error": _shown(refusal)}
        if refusal.detail:
            body["detail"] = {"message": refusal.message, "code": refusal.code}
        encoded = msgspec.json.format(msgspec.json.encode(body), indent=2)
        await self.json(refusal.status, encoded, refusal.headers)

    async def stream(
        self,
        status: int,
        content_type: str,
        headers: Mapping[str, str],
        chunks: AsyncIterator[bytes],
        receive: Receive,
        revoked: asyncio.Future[None],
    ) -> None:
        """Send chunks as they come, until they end, the client is gone or stuck, or its key is `revoked`.

        A client that goes stops only this.
        """
        events = content_type.startswith(_EVENTS)
        # Proxies that gather answers would keep events back.
        head = {"cache-control": "no-cache", **({"x-accel-buffering": "no"} if events else {}), **headers}
        await self._start(status, [(b"content-type", content_type.encode("latin-1")), *_encoded(head)])
        pump = asyncio.ensure_future(self._pump(chunks))
        gone = asyncio.ensure_future(_disconnect(receive))
        try:
            await self._watch({pump, gone, revoked})
            ended = pump.done()
        finally:
            gone.cancel()
            pump.cancel()
            await asyncio.gather(pump, gone, return_exceptions=True)
        if ended:
            pump.result()
        elif revoked.done() and events:
            await self._last_words(errors.revoked_api_key())

    async def _watch(self, ends: set[asyncio.Future[None]]) -> None:
        """Wait for one of the ends, or until nothing was taken of an answer for as long as a client may pause."""
        while True:
            sent, sending = self._sent, self._sending
            done, _ = await asyncio.wait(ends, timeout=self._stall_seconds, return_when=asyncio.FIRST_COMPLETED)
            if done:
                return
            if sending and self._sending and sent == self._sent:
                log.info("a client does not take its answer", sent=sent)
                return

    async def _pump(self, chunks: AsyncIterator[bytes]) -> None:
        try:
            async for chunk in chunks:
                self._sending = True
                await self._send({"type": "http.response.body", "body": chunk, "more_body": True})
                self._sending = False
                self._sent += 1
            await self._send({"type": "http.response.body", "body": b""})
        finally:
            # Close the generator here and now: what it holds open (a subscription, an upstream) goes with it.
            close = getattr(chunks, "aclose", None)
            if close is not None:
                await close()

    async def _last_words(self, refusal: APIError) -> None:
        """End a stream of events by an error, behind whatever of an event is out."""
        frame = b"\n\nevent: error\ndata: %b\n\n" % msgspec.json.encode({"error": _shown(refusal)})
        with suppress(TimeoutError):
            async with asyncio.timeout(_LAST_WORDS_SECONDS):
                await self._send({"type": "http.response.body", "body": frame, "more_body": True})
                await self._send({"type": "http.response.body", "body": b""})

    async def _start(self, status: int, headers: list[tuple[bytes, bytes]]) -> None:
        self.status = status
        elapsed = int((time.perf_counter() - self.started) * 1000)
        headers += [
            (b"x-request-id", self.request_id.encode()),
            (b"openai-version", b"2020-10-01"),
            (b"openai-organization", b"assistd"),
            (b"openai-processing-ms", b"%d" % elapsed),
            (b"x-content-type-options", b"nosniff"),
        ]
        if self.project_id:
            headers.append((b"openai-project", self.project_id.encode()))
        await self._send({"type": "http.response.start", "status": status, "headers": headers})


def _shown(refusal: APIError) -> dict[str, str | None]:
    return {"message": refusal.message, "type": refusal.type, "param": refusal.param, "code": refusal.code}


def _encoded(headers: Mapping[str, str]) -> list[tuple[bytes, bytes]]:
    return [(k.lower().encode("latin-1"), v.encode("latin-1")) for k, v in headers.items()]


async def _disconnect(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
