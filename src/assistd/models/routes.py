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
from assistd.llm.protocol import ModelUnavailable
from assistd.llm.routing import Route, Routing
from assistd.llm.upstream import Relayed as Answer
from assistd.llm.upstream import Upstream
from assistd.models.wire import ChatCompletion, Embedding, ModelInfo, ModelList
from assistd.web.endpoint import Path, Relayed
from assistd.web.request import Request

log = structlog.get_logger("assistd.models")

_JSON = "application/json"
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
        return await self._relay(request, request.body(Embedding).model, "embeddings")

    async def _relay(self, request: Request, name: str, path: str) -> Relayed:
        route = self._routing.find(name)
        if route is None:
            raise errors.no_such_model(name)
        stack = AsyncExitStack()
        body = msgspec.json.decode(request.raw_body, type=dict[str, msgspec.Raw])
        try:
            answer = await stack.enter_async_context(self._upstream.relay(route, name, path, body))
        except ModelUnavailable as fault:
            raise errors.overloaded(str(fault)) from fault
        if answer.status >= 400 and not answer.content_type.startswith(_JSON):
            async with stack:
                raise await _error_page(answer)

        async def chunks() -> AsyncIterator[bytes]:
            async with stack:
                async for chunk in answer.chunks:
                    yield chunk

        return Relayed(answer.status, answer.content_type, answer.headers, chunks())


async def _error_page(answer: Answer) -> APIError:
    """Put what is not JSON (a proxy's page, a bare sentence) into the envelope that clients can read."""
    page = b""
    async for chunk in answer.chunks:
        page += chunk
        if len(page) >= _ERROR_PAGE_BYTES:
            break
    words = " ".join(page[:_ERROR_PAGE_BYTES].decode("utf-8", "replace").replace("\x00", "").split())
    return APIError(
        f"The model's server answered with status {answer.status}: {words or 'no words'}",
        status=answer.status,
        type="server_error" if answer.status >= 500 else "invalid_request_error",
        headers=dict(answer.headers),
    )
