"""The models' endpoints: the list, and completions and embeddings passed through to the routes."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack
from itertools import chain

import msgspec
import structlog

from assistd import errors
from assistd.errors import APIError
from assistd.llm import failures
from assistd.llm.protocol import ModelUnavailable
from assistd.llm.routing import Route, Routing, no_embeddings
from assistd.llm.upstream import Relayed as Answer
from assistd.llm.upstream import Upstream
from assistd.models.wire import ChatCompletion, Embedding, ModelInfo, ModelList
from assistd.web.endpoint import Path, Relayed
from assistd.web.request import Request

log = structlog.get_logger("assistd.models")

_JSON = "application/json"
_EVENTS = "text/event-stream"
_ERROR_PAGE_BYTES = 1000


class Models:
    """The handlers of models, over the routes."""

    def __init__(self, routing: Routing, upstream: Upstream) -> None:
        self._routing = routing
        self._upstream = upstream
        self._since = int(time.time())

    def paths(self) -> list[Path]:
        """Return the room's paths. None of them wants the beta header."""
        return [
            Path("/models", {"GET": self.list_all}, beta=False),
            # A model's name may hold slashes: `owner/model`.
            Path("/models/{model:path}", {"GET": self.get, "DELETE": self.delete}, beta=False),
            Path("/chat/completions", {"POST": self.complete}, beta=False),
            Path("/embeddings", {"POST": self.embed}, beta=False),
        ]

    async def list_all(self, request: Request) -> ModelList:
        names = await asyncio.gather(*map(self._names, self._routing))
        return ModelList(data=[ModelInfo(id=name, created=self._since) for name in dict.fromkeys(chain(*names))])

    async def _names(self, route: Route) -> Sequence[str]:
        """Return the models that a route lists; one that answers for every name is asked what it has."""
        if route.names:
            return route.names
        try:
            return await self._upstream.model_names(route)
        except ModelUnavailable as fault:
            log.warning("a route does not list its models", error=str(fault))
            return []

    async def get(self, request: Request) -> ModelInfo:
        return ModelInfo(id=self._known(request.path["model"]), created=self._since)

    async def delete(self, request: Request) -> ModelInfo:
        name = self._known(request.path["model"])
        raise APIError(f"The model '{name}' cannot be deleted: it is set by a route.", status=403, param="model")

    def _known(self, name: str) -> str:
        """Return the name of a model that a route answers for. The path without a name gets here too."""
        if not name or self._routing.find(name) is None:
            raise errors.no_such_model(name)
        return name

    async def complete(self, request: Request) -> Relayed:
        return await self._relay(request, request.body(ChatCompletion).model, "chat/completions")

    async def embed(self, request: Request) -> Relayed:
        name = request.body(Embedding).model
        route = self._routing.find(name)
        if route is not None and not route.embeddings:
            raise APIError(no_embeddings(name), param="model", code="unsupported_model")
        return await self._relay(request, name, "embeddings")

    async def _relay(self, request: Request, name: str, path: str) -> Relayed:
        route = self._routing.find(name)
        if route is None:
            raise errors.no_such_model(name)
        stack = AsyncExitStack()
        body = msgspec.json.decode(request.raw_body, type=dict[str, msgspec.Raw])
        try:
            answer = await stack.enter_async_context(self._upstream.relay(route, name, path, body))
            if not answer.content_type.startswith(_EVENTS):
                async with stack:
                    return _whole(route, answer, b"".join([chunk async for chunk in answer.chunks]))
        except ModelUnavailable as fault:
            raise errors.overloaded(str(fault)) from fault
        return Relayed(answer.status, answer.content_type, answer.headers, _events(answer, stack))


def _whole(route: Route, answer: Answer, body: bytes) -> Relayed:
    """Pass on an answer that is no stream: it came whole, or it is an error."""
    if failures.refuses_key(answer.status):
        raise _key_refused(route, answer, body)
    if answer.status >= 400 and not answer.content_type.startswith(_JSON):
        raise _error_page(answer, body)

    async def chunks() -> AsyncIterator[bytes]:
        yield body

    return Relayed(answer.status, answer.content_type, answer.headers, chunks())


async def _events(answer: Answer, stack: AsyncExitStack) -> AsyncIterator[bytes]:
    """Yield a stream's bytes as they come, and an error where it is cut off: its head is out by then."""
    async with stack:
        try:
            async for chunk in answer.chunks:
                yield chunk
        except ModelUnavailable as fault:
            log.warning("relayed stream cut off", error=str(fault))
            error = {"message": str(fault), "type": "server_error", "param": None, "code": None}
            yield b"data: %b\n\n" % msgspec.json.encode({"error": error})


def _key_refused(route: Route, answer: Answer, body: bytes) -> APIError:
    """Put a 401 that is about the route's key into another status: a client has one key here, and it is right."""
    return APIError(
        failures.of_key(route, failures.words_of(body)),
        status=502,
        type="server_error",
        code="upstream_key_refused",
        headers={**answer.headers, "x-should-retry": "false"},
    )


def _error_page(answer: Answer, page: bytes) -> APIError:
    """Put what is not JSON (a proxy's page, a bare sentence) into the envelope that clients can read."""
    words = " ".join(page[:_ERROR_PAGE_BYTES].decode("utf-8", "replace").replace("\x00", "").split())
    return APIError(
        f"The model's server answered with status {answer.status}: {words or 'no words'}",
        status=answer.status,
        type="server_error" if answer.status >= 500 else "invalid_request_error",
        headers=dict(answer.headers),
    )
