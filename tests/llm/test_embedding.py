"""Embeddings by a route and by the vectors that need no server."""

from __future__ import annotations

import json
import math
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import pytest
from aiohttp import web

from assistd.llm import static_embedding
from assistd.llm.embedding import Embedders
from assistd.llm.protocol import ModelError, ModelRateLimited, ModelRefused, ModelUnavailable
from assistd.llm.routing import Routing, single_route
from assistd.llm.scripted import scripted_model
from assistd.llm.upstream import open_upstream

KEY = "sk-very-secret-key"


@asynccontextmanager
async def serving(answer: Callable[[Any], web.Response]) -> AsyncIterator[tuple[Embedders, list[Any]]]:
    """Embedders with one route, whose server answers by the function, and the bodies that it was sent."""
    bodies: list[Any] = []

    async def handle(request: web.Request) -> web.Response:
        assert request.path == "/v1/embeddings"
        assert request.headers["Authorization"] == f"Bearer {KEY}"
        bodies.append(await request.json())
        return answer(bodies[-1])

    app = web.Application(client_max_size=2**26)
    app.router.add_post("/{path:.*}", handle)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        route = single_route(f"http://127.0.0.1:{runner.addresses[0][1]}/v1", KEY)
        async with open_upstream() as upstream:
            yield Embedders(Routing([route]), upstream, "their-model"), bodies
    finally:
        await runner.cleanup()


def embeddings(*vectors: Any) -> web.Response:
    data = [{"object": "embedding", "index": index, "embedding": vector} for index, vector in enumerate(vectors)]
    return web.json_response({"object": "list", "data": data})


async def test_the_default_needs_no_server() -> None:
    async with open_upstream() as upstream:
        embedders = Embedders(Routing(()), upstream)
        assert embedders.default == static_embedding.NAME
        vectors = await embedders.embed(embedders.default, ["a cat", "a kitten", "tax law", "\u2603\u2603"])
        assert await embedders.embed(embedders.default, []) == []
    cat, kitten, law, _ = vectors
    assert all(len(vector) == 256 and math.hypot(*vector) == pytest.approx(1, abs=1e-5) for vector in vectors)
    assert dot(cat, kitten) > dot(cat, law)


def dot(left: list[float], right: list[float]) -> float:
    return sum(a * b for a, b in zip(left, right, strict=True))


async def test_a_route_embeds_what_it_answers_for() -> None:
    async with scripted_model() as scripted, open_upstream() as upstream:
        embedders = Embedders(Routing([single_route(scripted.base_url)]), upstream, "any-embedding")
        assert embedders.default == "any-embedding"
        one, same, other = await embedders.embed("any-embedding", ["blue sky", "sky blue", "green tea"])
    assert one == same
    assert dot(one, other) < 0.9


async def test_a_route_that_makes_no_embeddings_is_not_asked() -> None:
    async with scripted_model() as scripted, open_upstream() as upstream:
        mute = replace(single_route(scripted.base_url), embeddings=False)
        with pytest.raises(ModelRefused, match="'m' makes no embeddings"):
            await Embedders(Routing([mute]), upstream, "m").embed("m", ["x"])
        assert not scripted.received


async def test_texts_go_in_batches_and_vectors_come_in_order() -> None:
    def answer(body: Any) -> web.Response:
        data = [
            {"index": index, "embedding": [1.0, float(text.strip("x") or 0)]}
            for index, text in enumerate(body["input"])
        ]
        return web.json_response({"data": data[::-1]})

    async with serving(answer) as (embedders, bodies):
        vectors = await embedders.embed("their-model", [str(n) for n in range(600)])
        assert [len(body["input"]) for body in bodies] == [256, 256, 88]
        assert {body["model"] for body in bodies} == {"their-model"}
        assert [round(vector[1] / vector[0]) for vector in vectors] == list(range(600))
        bodies.clear()
        await embedders.embed("their-model", ["x" * 300_000, "x" * 300_000, "x" * 500_000, "1"])
        assert [len(body["input"]) for body in bodies] == [1, 1, 1, 1]


async def test_vectors_have_the_length_1() -> None:
    async with serving(lambda body: embeddings([3e5, 4e5], [0, 0])) as (embedders, _):
        assert await embedders.embed("their-model", ["a", ""]) == [[0.6, 0.8], [1.0, 0.0]]


async def test_a_name_that_nothing_answers_for_is_refused() -> None:
    async with open_upstream() as upstream:
        with pytest.raises(ModelRefused, match="No route answers for the embedding model 'gone'"):
            await Embedders(Routing(()), upstream).embed("gone", ["a"])


@pytest.mark.parametrize(
    ("answer", "kind", "words"),
    [
        (lambda: embeddings([1, 2]), ModelUnavailable, "sent 1 embeddings for 2 texts"),
        (lambda: embeddings([1, 2], [1, 2], [1, 2]), ModelUnavailable, "sent 3 embeddings for 2 texts"),
        (lambda: embeddings([1, 2], [1, 2, 3]), ModelUnavailable, "of different lengths"),
        (lambda: embeddings([1, 2], []), ModelUnavailable, "not a list of embeddings"),
        (lambda: embeddings([1, 2], ["a"]), ModelUnavailable, "not a list of embeddings"),
        (lambda: embeddings([1, 2], [1e200, 1e300]), ModelUnavailable, None),
        (lambda: web.Response(body=b'{"data":[{"index":0,"embedding":[NaN]}]}'), ModelUnavailable, "not a list"),
        (lambda: web.Response(text="<html>"), ModelUnavailable, "not a list of embeddings"),
        (
            lambda: web.json_response({"error": {"message": f"slow down, {KEY}"}}, status=429),
            ModelRateLimited,
            r"slow down, \*\*\*",
        ),
        (lambda: web.json_response({"error": {"message": "bad key"}}, status=401), ModelRefused, "bad key"),
        (lambda: web.json_response({"error": "too long"}, status=400), ModelRefused, "too long"),
        (lambda: web.Response(status=503), ModelUnavailable, "status 503"),
    ],
)
async def test_a_wrong_answer_is_told_in_a_sentence(
    answer: Callable[[], web.Response], kind: type[ModelError], words: str | None
) -> None:
    async with serving(lambda body: answer()) as (embedders, _):
        if words is None:  # as large as it is, it has a direction
            vectors = await embedders.embed("their-model", ["a", "b"])
            assert json.loads(json.dumps(vectors))[1] == pytest.approx([0, 1])
            return
        with pytest.raises(kind, match=words):
            await embedders.embed("their-model", ["a", "b"])
