"""Models behind Chat Completions servers, spoken to over one shared HTTP client.

The token path is short on purpose: one wake-up per network read, then SSE and
JSON decoding of everything that arrived, with nothing awaited in between.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

import aiohttp
import msgspec
from aiohttp.http import HttpProcessingError

from assistd.llm import failures
from assistd.llm.completion import CompletionReader
from assistd.llm.protocol import ChatRequest, Delta, Sent
from assistd.llm.request_body import request_body
from assistd.llm.routing import Route
from assistd.llm.sse import EventTooLong, SseParser

_TRANSPORT_FAULTS: Final = (aiohttp.ClientError, HttpProcessingError, TimeoutError, OSError)
# What clients go by that know when to ask again: names, and beginnings of names. Who the operator is to the upstream
# (`openai-organization`, `set-cookie`) is none of their business.
_PASSED_HEADERS: Final = frozenset({"retry-after", "retry-after-ms", "x-should-retry"})
_PASSED_BEGINNINGS: Final = ("x-ratelimit", "ratelimit", "anthropic-ratelimit-")
_MAX_ERROR_BYTES: Final = 64 * 1024
_MAX_ANSWER_BYTES: Final = 64 * 1024 * 1024
_MAX_LIST_BYTES: Final = 4 * 1024 * 1024
_LIST_SECONDS: Final = 5.0
# How long to wait for the end of the HTTP answer after `[DONE]`. It comes with it or right behind it, and
# a connection that was read to its end can be used again.
_TAIL_SECONDS: Final = 0.05


class _ListedModel(msgspec.Struct):
    id: str


class _ModelList(msgspec.Struct):
    data: list[_ListedModel]


@dataclass(frozen=True)
class Timeouts:
    """Seconds: to connect; of silence within a stream; of silence before and within an answer that is relayed."""

    connect: float = 10.0
    read: float = 120.0
    relay: float = 600.0


@dataclass(frozen=True)
class Relayed:
    """An upstream's answer, passed on: `chunks` are its body's bytes as they come and raise ModelUnavailable."""

    status: int
    content_type: str
    headers: Mapping[str, str]
    chunks: AsyncIterator[bytes]


class Upstream:
    """The HTTP client that all models share. Open it with `open_upstream`."""

    def __init__(self, session: aiohttp.ClientSession, timeouts: Timeouts) -> None:
        self._session = session
        self._timeouts = timeouts

    def model(self, route: Route, name: str) -> UpstreamModel:
        """The model that clients call `name`, behind a route that answers for it."""
        return UpstreamModel(self, route, name)

    async def post(self, route: Route, path: str, body: bytes, silence: float | None = None) -> aiohttp.ClientResponse:
        """Send a JSON body; the caller closes the response. Raises ModelUnavailable where no answer comes."""
        timeout = aiohttp.ClientTimeout(
            total=None,
            connect=self._timeouts.connect,
            sock_read=self._timeouts.read if silence is None else silence,
        )
        headers = {"Content-Type": "application/json"} | route.request_headers()
        send = partial(
            self._session.post, route.url(path), data=body, headers=headers, timeout=timeout, allow_redirects=False
        )
        try:
            try:
                return await send()
            except aiohttp.ClientConnectorError:
                raise
            except (aiohttp.ServerDisconnectedError, aiohttp.ClientOSError):
                # As a rule the server closed a kept connection in the moment it was used again. Another one will do.
                return await send()
        except _TRANSPORT_FAULTS as fault:
            raise failures.of_transport(route, fault) from fault

    async def model_names(self, route: Route) -> list[str]:
        """Ask a route's server for the models it lists. Raises ModelUnavailable where it gives no list."""
        timeout = aiohttp.ClientTimeout(total=_LIST_SECONDS)
        try:
            async with self._session.get(
                route.url("models"), headers=route.request_headers(), timeout=timeout, allow_redirects=False
            ) as response:
                body = await _at_most(response, _MAX_LIST_BYTES)
            return [model.id for model in msgspec.json.decode(body, type=_ModelList).data]
        except _TRANSPORT_FAULTS as fault:
            raise failures.of_transport(route, fault) from fault
        except msgspec.MsgspecError as fault:
            raise failures.nonsense(route) from fault

    @asynccontextmanager
    async def relay(self, route: Route, name: str, path: str, body: Mapping[str, Any]) -> AsyncIterator[Relayed]:
        """Pass a client's request on to `chat/completions` or `embeddings` and its answer back, as it comes.

        `name` is the model that was asked for. Of `body` (whose values may be
        `msgspec.Raw`) only `model` is changed. An error's body is passed on whole, with
        the route's secrets hidden. Raises ModelUnavailable where no answer comes.
        """
        encoded = msgspec.json.encode({**body, "model": route.upstream_name(name)})
        response = await self.post(route, path, encoded, silence=self._timeouts.relay)
        try:
            yield Relayed(
                status=response.status,
                content_type=response.headers.get("Content-Type", "application/octet-stream"),
                headers={name: value for name, value in response.headers.items() if _is_passed(name.lower())},
                chunks=_relayed_chunks(route, response),
            )
        finally:
            response.close()


@asynccontextmanager
async def open_upstream(timeouts: Timeouts | None = None) -> AsyncIterator[Upstream]:
    """Open the shared client; it is closed, with all its connections, at the end."""
    # No limit on connections: how many runs go on at once is decided where runs are claimed.
    # aiohttp sets TCP_NODELAY on every connection itself.
    connector = aiohttp.TCPConnector(limit=0, keepalive_timeout=30)
    async with aiohttp.ClientSession(
        connector=connector,
        cookie_jar=aiohttp.DummyCookieJar(),
        # Compressed streams come in lumps.
        headers={"Accept-Encoding": "identity", "User-Agent": "assistd"},
    ) as session:
        yield Upstream(session, timeouts or Timeouts())


class UpstreamModel:
    """One model behind a route; implements `protocol.Model`."""

    def __init__(self, upstream: Upstream, route: Route, name: str) -> None:
        self._upstream = upstream
        self._route = route
        self._context_length = route.context_for(name)

    @property
    def route(self) -> Route:
        """Where the model is and what its server can do."""
        return self._route

    @property
    def context_length(self) -> int:
        """Tokens that prompt and completion may take together."""
        return self._context_length

    @property
    def images(self) -> bool:
        """Whether image parts may be sent; where not, they become the words `[image]`."""
        return self._route.images

    async def stream(self, request: ChatRequest, sent: Sent | None = None) -> AsyncGenerator[Sequence[Delta], None]:
        """Make one completion. Raises `ModelError`. Closing the iterator closes the connection."""
        route = self._route
        body = request_body(route, request)
        if sent is not None:
            sent(body)
        response = await self._upstream.post(route, "chat/completions", body)
        try:
            if response.status >= 300:
                raise failures.of_status(route, response.status, await _error_body(response), response.headers)
            reader = CompletionReader(route)
            if response.content_type == "application/json":
                if batch := reader.read_whole(await _whole_body(route, response)):
                    yield batch
            else:
                parser = SseParser()
                read = response.content.readany
                while not reader.done:
                    try:
                        data = await read()
                    except _TRANSPORT_FAULTS as fault:
                        if not reader.finished:
                            raise failures.of_transport(route, fault) from fault
                        data = b""  # nothing but the end was still to come
                    try:
                        batch = reader.read(parser.feed(data) if data else parser.end())
                    except EventTooLong as fault:
                        raise failures.nonsense(route) from fault
                    if batch:
                        yield batch
                    if not data:
                        break
                await _read_tail(response)
            yield (reader.finish(),)
        finally:
            # A response that was read to its end has given its connection back already.
            response.close()


def _is_passed(name: str) -> bool:
    return name in _PASSED_HEADERS or name.startswith(_PASSED_BEGINNINGS)


async def _read_tail(response: aiohttp.ClientResponse) -> None:
    if response.content.is_eof():
        return
    try:
        async with asyncio.timeout(_TAIL_SECONDS):
            while await response.content.readany():
                pass
    except _TRANSPORT_FAULTS:
        pass  # the completion is whole; only the connection is not used again


async def _whole_body(route: Route, response: aiohttp.ClientResponse) -> bytes:
    try:
        body = await _at_most(response, _MAX_ANSWER_BYTES + 1)
    except _TRANSPORT_FAULTS as fault:
        raise failures.of_transport(route, fault) from fault
    if len(body) > _MAX_ANSWER_BYTES:
        raise failures.nonsense(route)
    return body


async def _error_body(response: aiohttp.ClientResponse) -> bytes:
    try:
        return await _at_most(response, _MAX_ERROR_BYTES)
    except _TRANSPORT_FAULTS:
        return b""  # the status says enough


async def _at_most(response: aiohttp.ClientResponse, limit: int) -> bytes:
    body = bytearray()
    while len(body) < limit and (data := await response.content.readany()):
        body += data
    return bytes(body[:limit])


async def _relayed_chunks(route: Route, response: aiohttp.ClientResponse) -> AsyncIterator[bytes]:
    if response.status >= 400:
        body = (await _error_body(response)).decode("utf-8", "replace")
        yield failures.redact(route, body).encode()
        return
    try:
        while data := await response.content.readany():
            yield data
    except _TRANSPORT_FAULTS as fault:
        raise failures.of_transport(route, fault) from fault
