"""The one door: every request comes in and every answer and error goes out here.

An `Endpoint` is an ASGI application for one path. It lets the caller in, checks
the ids in the path, reads the body within its limit, calls the handler of the
method, and encodes what comes back. Handlers raise `APIError`; anything else
that they raise is logged and answered as the service's own 500.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import msgspec
import structlog
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from assistd import errors, ids
from assistd.db.faults import DatabaseUnavailable
from assistd.errors import APIError
from assistd.web.auth import Keyring
from assistd.web.body import DEFAULT_STALL_SECONDS, Body
from assistd.web.memory import Memory
from assistd.web.request import PREFIXES, Request, check_id

log = structlog.get_logger("assistd.web")

_JSON = b"application/json"


class Events:
    """An answer that is a stream of server-sent events: an iterator of encoded frames."""

    def __init__(self, frames: AsyncIterator[bytes]) -> None:
        self.frames = frames


class Relayed:
    """An answer that passes bytes through as they come, a file's or another server's: status, type and body chunks."""

    def __init__(
        self, status: int, content_type: str, headers: Mapping[str, str], chunks: AsyncIterator[bytes]
    ) -> None:
        self.status = status
        self.content_type = content_type
        self.headers = headers
        self.chunks = chunks


# What a handler may return: what is encoded as a JSON object, or one of the two streams.
Answer = msgspec.Struct | dict[str, Any] | Events | Relayed
Handler = Callable[[Request], Awaitable[Answer]]


@dataclass(frozen=True)
class Path:
    """One path of the API and its handlers by method.

    `beta`: it wants the `OpenAI-Beta` header, which says whether the `handlers` serve the request or those of the
    older version of the API, `v1`. `streamed`: its POST handler reads the body itself, by `request.stream`,
    because that may be large. `v1_any_prefix`: the ids that in v1 may begin with anything.
    """

    template: str
    handlers: Mapping[str, Handler]
    beta: bool = True
    streamed: bool = False
    v1: Mapping[str, Handler] = field(default_factory=dict)
    v1_any_prefix: frozenset[str] = frozenset()

    def of_version(self, beta: str | None) -> Mapping[str, Handler]:
        """Return the handlers for an `OpenAI-Beta` header. Raises APIError for one that names no version served."""
        if not self.beta:
            return self.handlers
        versions = {part.strip() for part in (beta or "").split(",")}
        if "assistants=v2" in versions:
            return self.handlers
        if "assistants=v1" not in versions:
            raise errors.no_beta_header()
        if not self.v1:
            raise errors.v1_not_served()
        return self.v1


@dataclass(frozen=True)
class Door:
    """What every endpoint needs: who may come in, how much they may bring, and how long they may pause meanwhile."""

    keyring: Keyring
    max_body_bytes: int
    memory: Memory = field(default_factory=Memory)
    stall_seconds: float = DEFAULT_STALL_SECONDS


@dataclass
class Endpoint:
    """One path of the API as an ASGI application."""

    path: Path
    door: Door

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        reply = _Reply(send, ids.request_id())
        structlog.contextvars.bind_contextvars(request_id=reply.request_id)
        headers = _decoded(scope)
        body = Body(receive, headers, self.door.stall_seconds)
        try:
            await self._answer(scope, headers, body, receive, reply)
        except APIError as refusal:
            await body.drain()
            await reply.error(refusal)
        except DatabaseUnavailable as fault:
            log.error("database unavailable", path=scope["path"], reason=fault.reason.name.lower(), error=str(fault))
            await reply.error(errors.overloaded(f"{fault.reason.value} Please try again soon."))
        except Exception:
            log.exception("request failed", method=scope["method"], path=scope["path"])
            await reply.error(errors.internal(reply.request_id))
        finally:
            await body.close()
            _log_request(scope, reply)
            structlog.contextvars.unbind_contextvars("request_id")

    async def _answer(
        self, scope: Scope, headers: Mapping[str, str], body: Body, receive: Receive, reply: _Reply
    ) -> None:
        method = scope["method"]
        project_id = reply.project_id = await self.door.keyring.project_of(_bearer(headers), headers)
        handler, any_prefix = self._handler(method, scope["path"], headers.get("openai-beta"))
        whole = method == "POST" and not self.path.streamed
        memory = self.door.memory
        request = Request(
            id=reply.request_id,
            project_id=project_id,
            path={
                k: check_id(k, v, any_prefix=k in any_prefix) if k in PREFIXES else v
                for k, v in scope["path_params"].items()
            },
            query_string=scope["query_string"].decode(errors="replace"),
            headers=headers,
            raw_body=await body.whole(self.door.max_body_bytes, memory, project_id) if whole else b"",
            chunks=partial(body.stream, memory=memory, owner=project_id) if self.path.streamed else None,
        )
        answer = await handler(request)
        if isinstance(answer, Events):
            await reply.stream(200, "text/event-stream; charset=utf-8", {}, answer.frames, receive)
        elif isinstance(answer, Relayed):
            await reply.stream(answer.status, answer.content_type, answer.headers, answer.chunks, receive)
        else:
            await reply.json(200, msgspec.json.encode(answer))

    def _handler(self, method: str, url: str, beta: str | None) -> tuple[Handler, frozenset[str]]:
        """Return the handler of a method, and which ids of the path it looks for whatever they begin with.

        Raises APIError for a method or a version that is not served here.
        """
        path = self.path
        if method not in path.handlers and method not in path.v1:
            raise errors.wrong_method(method, url, {*path.handlers, *path.v1})
        handlers = path.of_version(beta)
        if not handlers:  # the path is there in the other version alone
            raise errors.unknown_url(method, url)
        if method not in handlers:
            raise errors.wrong_method(method, url, handlers)
        return handlers[method], path.v1_any_prefix if handlers is path.v1 else frozenset()


def routes(paths: list[Path], door: Door) -> list[Route]:
    """Make Starlette routes under `/v1` of the rooms' paths."""
    # Starlette takes any ASGI application as an endpoint; ours answers wrong methods itself, in the envelope.
    return [Route("/v1" + path.template, Endpoint(path, door)) for path in paths]


async def not_found(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer what no route matched, as ASGI application."""
    if scope["type"] != "http":
        return
    await Body(receive, _decoded(scope)).drain()
    await _Reply(send, ids.request_id()).error(errors.unknown_url(scope["method"], scope["path"]))


class _Reply:
    """The response of one request, sent once."""

    def __init__(self, send: Send, request_id: str) -> None:
        self._send = send
        self.request_id = request_id
        self.project_id = ""  # until the key is known
        self.started = time.perf_counter()
        self.status = 0

    async def json(self, status: int, body: bytes, headers: Mapping[str, str] | None = None) -> None:
        head = [(b"content-type", _JSON), (b"content-length", b"%d" % len(body)), *_encoded(headers or {})]
        await self._start(status, head)
        await self._send({"type": "http.response.body", "body": body})

    async def error(self, refusal: APIError) -> None:
        if self.status:  # the head is out: all that is left is to end the answer
            await self._send({"type": "http.response.body", "body": b""})
            return
        body: dict[str, dict[str, str | None]] = {
            "error": {
                "message": refusal.message,
                "type": refusal.type,
                "param": refusal.param,
                "code": refusal.code,
            }
        }
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
    ) -> None:
        """Send chunks as they come, until they end or the client is gone. A client that goes stops only this."""
        await self._start(
            status,
            [(b"content-type", content_type.encode("latin-1")), (b"cache-control", b"no-cache"), *_encoded(headers)],
        )
        pump = asyncio.ensure_future(self._pump(chunks))
        gone = asyncio.ensure_future(_disconnect(receive))
        try:
            await asyncio.wait({pump, gone}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            gone.cancel()
            pump.cancel()
            await asyncio.gather(pump, gone, return_exceptions=True)
        if not pump.cancelled() and (fault := pump.exception()):
            raise fault

    async def _pump(self, chunks: AsyncIterator[bytes]) -> None:
        try:
            async for chunk in chunks:
                await self._send({"type": "http.response.body", "body": chunk, "more_body": True})
            await self._send({"type": "http.response.body", "body": b""})
        finally:
            # Close the generator here and now: what it holds open (a subscription, an upstream) goes with it.
            close = getattr(chunks, "aclose", None)
            if close is not None:
                await close()

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


def _decoded(scope: Scope) -> dict[str, str]:
    """Return a request's headers, with their names in lower case."""
    return {k.decode("latin-1").lower(): v.decode("latin-1") for k, v in scope["headers"]}


def _encoded(headers: Mapping[str, str]) -> list[tuple[bytes, bytes]]:
    return [(k.lower().encode("latin-1"), v.encode("latin-1")) for k, v in headers.items()]


def _bearer(headers: Mapping[str, str]) -> str | None:
    scheme, _, key = headers.get("authorization", "").partition(" ")
    return key.strip() or None if scheme.lower() == "bearer" else None


async def _disconnect(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


def _log_request(scope: Scope, reply: _Reply) -> None:
    # Pollers ask ten times a second: what only reads is told on demand.
    level = log.debug if scope["method"] == "GET" and reply.status < 500 else log.info
    elapsed = round((time.perf_counter() - reply.started) * 1000, 1)
    level("request", method=scope["method"], path=scope["path"], status=reply.status, ms=elapsed)
