"""Texts to vectors, by the embedding that a vector store was made with.

A store remembers its embedding by name and keeps it for ever, because vectors of two models do not mix. The name
`wordllama-256` is the one that needs no server; every other name is a model that a route answers for at `/embeddings`.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Iterator, Sequence

import msgspec

from assistd.llm import failures, static_embedding
from assistd.llm.protocol import ModelRefused, ModelUnavailable
from assistd.llm.routing import Route, Routing, no_embeddings
from assistd.llm.upstream import Upstream

_BATCH_TEXTS = 256
_BATCH_CHARACTERS = 400_000  # servers bound the tokens of a request too; OpenAI's, 300,000 of about 4 characters
_ANSWER_SECONDS = 120.0
_MAX_ANSWER_BYTES = 64 * 1024 * 1024


class _Embedding(msgspec.Struct):
    index: int
    embedding: list[float]


class _Embeddings(msgspec.Struct):
    data: list[_Embedding]


class Embedders:
    """Every embedding that can be had here. `default_model` is a route's model, "" the one without a server."""

    def __init__(self, routing: Routing, upstream: Upstream, default_model: str = "") -> None:
        self._routing = routing
        self._upstream = upstream
        self._default = default_model or static_embedding.NAME

    @property
    def default(self) -> str:
        """What a new vector store is to remember."""
        return self._default

    async def embed(self, name: str, texts: Sequence[str]) -> list[list[float]]:
        """Return a vector of length 1 for every text, all with the same number of dimensions.

        `name` is what the store remembers. Raises ModelRefused where nothing answers for it any more (no other
        model can take its place), and what a completion raises: ModelUnavailable, ModelRateLimited, ModelRefused.
        """
        if name == static_embedding.NAME:
            return await asyncio.to_thread(static_embedding.embed, texts)
        route = self._routing.find(name)
        if route is None:
            raise ModelRefused(f"No route answers for the embedding model '{name}'.")
        if not route.embeddings:
            raise ModelRefused(no_embeddings(name))
        vectors: list[list[float]] = []
        for batch in _batches(texts):
            vectors += await self._ask(route, name, batch)
        if len({len(vector) for vector in vectors}) > 1:
            raise ModelUnavailable(f"The model server {route.host} sent embeddings of different lengths.")
        return vectors

    async def _ask(self, route: Route, name: str, texts: Sequence[str]) -> list[list[float]]:
        try:
            async with (
                asyncio.timeout(_ANSWER_SECONDS),
                self._upstream.relay(route, name, "embeddings", {"input": texts}) as answer,
            ):
                body = bytearray()
                async for chunk in answer.chunks:
                    body += chunk
                    if len(body) > _MAX_ANSWER_BYTES:
                        raise _nonsense(route)
        except TimeoutError as fault:
            raise failures.of_transport(route, fault) from fault
        if answer.status >= 300:
            raise failures.of_status(route, answer.status, bytes(body), answer.headers)
        return _vectors(route, bytes(body), len(texts))


def _batches(texts: Sequence[str]) -> Iterator[list[str]]:
    batch: list[str] = []
    size = 0
    for text in texts:
        if batch and (len(batch) == _BATCH_TEXTS or size + len(text) > _BATCH_CHARACTERS):
            yield batch
            batch, size = [], 0
        batch.append(text)
        size += len(text)
    if batch:
        yield batch


def _vectors(route: Route, body: bytes, count: int) -> list[list[float]]:
    try:
        given = msgspec.json.decode(body, type=_Embeddings).data
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as fault:
        raise _nonsense(route) from fault
    if sorted(item.index for item in given) != list(range(count)):
        raise ModelUnavailable(f"The model server {route.host} sent {len(given)} embeddings for {count} texts.")
    return [_unit(route, item.embedding) for item in sorted(given, key=lambda item: item.index)]


def _unit(route: Route, vector: list[float]) -> list[float]:
    """Scale to length 1, which changes no angle and lets every vector fit numbers of half precision."""
    length = math.hypot(*vector)
    if not vector or not math.isfinite(length):
        raise _nonsense(route)
    if length == 0:
        return [1.0, *vector[1:]]  # some servers' answer to a text without words; it has no angle to anything
    return [value / length for value in vector]


def _nonsense(route: Route) -> ModelUnavailable:
    return ModelUnavailable(f"The model server {route.host} sent something that is not a list of embeddings.")
