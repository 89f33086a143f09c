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
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import cache
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
from assistd.web.credentials import is_kept_by_browser, key_of
from assistd.web.memory import Memory
from assistd.web.reply import LARGE_BYTES, Reply
from assistd.web.request import PREFIXES, Request, check_id
from assistd.web.visitor import Proxies, other_page

log = structlog.get_logger("assistd.web")


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
    origins: frozenset[str] = frozenset()  # of the pages elsewhere that may use this server
    proxies: Proxies = field(default_factory=Proxies)


@dataclass
class Endpoint:
    """One path of the API as an ASGI application."""

    path: Path
    door: Door

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        reply = Reply(send, ids.request_id(), self.door.stall_seconds)
        structlog.contextvars.bind_contextvars(request_id=reply.request_id)
        headers = _decoded(scope)
        body = Body(receive, headers, self.door.stall_seconds)
        try:
            await self._answer(scope, headers, body, receive, reply)
        except APIError as refusal:
            await body.drain()
            if refusal.status == 401 and "text/html" in headers.get("accept", ""):
                # Only where a person looks at it: the pages that use the API ask for the key themselves.
                refusal.headers["www-authenticate"] = 'Basic realm="assistd"'
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
        self, scope: Scope, headers: Mapping[str, str], body: Body, receive: Receive, reply: Reply
    ) -> None:
        method = scope["method"]
        project_id, key = await self._let_in(scope, headers)
        reply.project_id = project_id
        handler, any_prefix = self._handler(method, scope["path"], headers.get("openai-beta"))
        whole = method == "POST" and not self.path.streamed
        memory = self.door.memory
        with ExitStack() as stack:
            watch = cache(lambda: stack.enter_context(self.door.keyring.watch(key)))

            def chunks(limit: int, too_large: APIError) -> AsyncIterator[bytes]:
                return _until(watch(), body.stream(limit, too_large, memory, project_id))

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
                chunks=chunks if self.path.streamed else None,
            )
            answer = await handler(request)
            if isinstance(answer, Events):
                await reply.stream(200, "text/event-stream; charset=utf-8", {}, answer.frames, receive, watch())
            elif isinstance(answer, Relayed):
                parts = answer.status, answer.content_type, answer.headers, answer.chunks
                await reply.stream(*parts, receive, watch())
            else:
                await self._send_json(method, reply, msgspec.json.encode(answer), receive)

    async def _send_json(self, method: str, reply: Reply, encoded: bytes, receive: Receive) -> None:
        if len(encoded) <= LARGE_BYTES:
            await reply.json(200, encoded)
        elif method == "GET":
            # It is held until its client has taken it, as long as that may last.
            async with self.door.memory.room(reply.project_id, len(encoded)):
                await reply.large_json(200, encoded, receive)
        else:  # what made it is done, and its body still holds room
            await reply.large_json(200, encoded, receive)

    async def _let_in(self, scope: Scope, headers: Mapping[str, str]) -> tuple[str, str]:
        """Return the project of the request's key, and the key. Raises APIError for who may not come in."""
        page = other_page(headers) if is_kept_by_browser(headers) else None
        if page is not None and page not in self.door.origins:
            raise errors.password_of_another_page(page)
        key = key_of(headers)
        address = self.door.proxies.client_of((scope.get("client") or ("",))[0], headers)
        return await self.door.keyring.project_of(key, headers, address), key or ""

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
    await Reply(send, ids.request_id(), DEFAULT_STALL_SECONDS).error(errors.unknown_url(scope["method"], scope["path"]))


def _decoded(scope: Scope) -> dict[str, str]:
    """Return a request's headers, with their names in lower case."""
    return {k.decode("latin-1").lower(): v.decode("latin-1") for k, v in scope["headers"]}


async def _until(revoked: asyncio.Future[None], chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """Pass chunks on. Raises APIError (401) once the key is revoked."""
    async for chunk in chunks:
        if revoked.done():
            raise errors.revoked_api_key()
        yield chunk


def _log_request(scope: Scope, reply: Reply) -> None:
    # Pollers ask ten times a second: what only reads is told on demand.
    level = log.debug if scope["method"] == "GET" and reply.status < 500 else log.info
    elapsed = round((time.perf_counter() - reply.started) * 1000, 1)
    level("request", method=scope["method"], path=scope["path"], status=reply.status, ms=elapsed)
