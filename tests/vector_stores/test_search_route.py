"""The endpoint that searches a vector store: what goes to the search, and what comes back of it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Any

import pytest

from assistd.db.pool import Database
from assistd.llm.embedding import Embedders
from assistd.llm.protocol import ModelError, ModelRateLimited, ModelRefused, ModelUnavailable
from assistd.llm.routing import Routing
from assistd.llm.upstream import open_upstream
from assistd.vector_stores import search_route
from assistd.vector_stores.search import Hit, Query, Searcher
from tests.conformance.contract import Contract
from tests.support.errors import Error
from tests.vector_stores.room import Room, open_room

CATS = ["Cats sleep for most of the day.", "A cat purrs when it is content."]
BREAD = ["Bread dough must rise twice before it is baked."]


class Watched(Searcher):
    """A searcher that notes what it is asked, and fails when it is told to."""

    def __init__(self, db: Database, embedders: Embedders) -> None:
        super().__init__(db, embedders)
        self.asked: list[Query] = []
        self.fault: ModelError | None = None

    async def search(self, project_id: str, store_ids: Sequence[str], query: Query) -> list[Hit]:
        self.asked.append(query)
        if self.fault is not None:
            raise self.fault
        return await super().search(project_id, store_ids, query)


@pytest.fixture
async def searcher(database: Database) -> AsyncIterator[Watched]:
    async with open_upstream() as upstream:
        yield Watched(database, Embedders(Routing([]), upstream))


@pytest.fixture
async def room(database: Database, contract: Contract, searcher: Watched) -> AsyncIterator[Room]:
    async with open_room(database, contract, search_route.paths(database, searcher)) as opened:
        yield opened


async def filled(room: Room) -> tuple[str, str, str]:
    """Return a store with a file about cats and one about bread."""
    cats, bread = await room.file("cats.md"), await room.file("bread.txt")
    store = await room.store()
    for file, passages, year in ((cats, CATS, 2001), (bread, BREAD, 2002)):
        body = {"file_id": file, "attributes": {"year": year}}
        assert (await room.post(f"/vector_stores/{store}/files", body)).ok
        await room.end(store, file, passages=passages)
    return store, cats, bread


async def search(room: Room, store: str, query: Any, **options: Any) -> Any:
    return (await room.post(f"/vector_stores/{store}/search", {"query": query, **options})).ok


async def test_hits_have_their_file_and_their_words(room: Room) -> None:
    store, cats, bread = await filled(room)
    page = await search(room, store, "how long do cats sleep")
    assert {name: value for name, value in page.items() if name != "data"} == {
        "search_query": ["how long do cats sleep"],
        "has_more": False,
        "next_page": None,
        "object": "vector_store.search_results.page",
    }
    assert {hit["file_id"] for hit in page["data"]} == {cats, bread}
    first = page["data"][0]
    assert first == {
        "file_id": cats,
        "filename": "cats.md",
        "score": first["score"],
        "attributes": {"year": 2001},
        "content": [{"text": CATS[0], "type": "text"}],
    }
    scores = [hit["score"] for hit in page["data"]]
    assert scores == sorted(scores, reverse=True)


async def test_the_options_of_a_search_reach_it(room: Room, searcher: Watched) -> None:
    store, cats, bread = await filled(room)
    assert [hit["file_id"] for hit in (await search(room, store, "cats", max_num_results=1))["data"]] == [cats]
    only = {"type": "and", "filters": [{"type": "gt", "key": "year", "value": 2001}]}
    assert [hit["file_id"] for hit in (await search(room, store, "cats", filters=only))["data"]] == [bread]
    strict = {"ranker": "default-2024-11-15", "score_threshold": 1}
    assert (await search(room, store, "entirely different", ranking_options=strict))["data"] == []
    assert await search(room, store, "cats", ranking_options={"ranker": "none"})
    assert await search(room, store, "cats", filters=None, ranking_options=None, max_num_results=None)
    limits = [query.limit for query in searcher.asked]
    thresholds = [query.score_threshold for query in searcher.asked]
    weights = [(query.embedding_weight, query.text_weight) for query in searcher.asked]
    assert limits == [1, 10, 10, 10, 10]
    assert thresholds == [0, 0, 1, 0, 0]
    assert weights == [(1, 1), (1, 1), (1, 1), (1, 0), (1, 1)]


async def test_several_queries_and_rewritten_ones(room: Room, searcher: Watched) -> None:
    store, _, _ = await filled(room)
    page = await search(room, store, ["cats", "bread"])
    assert page["search_query"] == ["cats", "bread"]
    alone = [(await search(room, store, query))["data"] for query in ("cats", "bread")]
    for hit in page["data"]:
        scores = [other["score"] for hits in alone for other in hits if other["content"] == hit["content"]]
        assert hit["score"] == max(scores) > min(scores), "of several queries, the one that fits best counts"
    asked = "Could you please tell me how long cats sleep?"
    page = await search(room, store, asked, rewrite_query=True)
    assert page["search_query"] == list(searcher.asked[-1].texts) != [asked]
    assert (await search(room, store, asked))["search_query"] == [asked]


async def test_an_empty_store_has_no_hits(room: Room) -> None:
    assert (await search(room, await room.store(), "anything"))["data"] == []
    store = await room.store(file_ids=[await room.file()])
    assert (await search(room, store, "anything"))["data"] == []
    assert (await search(room, store, " ", rewrite_query=True))["data"] == []


async def test_a_search_is_a_use_of_the_store(room: Room) -> None:
    store = await room.store(expires_after={"anchor": "last_active_at", "days": 7})
    await room.age(store, days=6)
    before = (await room.get(f"/vector_stores/{store}")).ok
    await search(room, store, "anything")
    after = (await room.get(f"/vector_stores/{store}")).ok
    assert after["last_active_at"] >= before["last_active_at"] + 6 * 86400
    await room.age(store, days=7)
    expired = (await room.get(f"/vector_stores/{store}")).ok
    answer = await room.post(f"/vector_stores/{store}/search", {"query": "anything"})
    Error(400, f"Vector store {store} is expired").check(answer)
    assert (await room.get(f"/vector_stores/{store}")).ok == expired


async def test_stores_of_another_project_are_not_searched(room: Room, searcher: Watched) -> None:
    store, _, _ = await filled(room)
    answer = await room.post(f"/vector_stores/{store}/search", {"query": "cats"}, key="theirs")
    Error(404, f"No vector store found with id '{store}'.").check(answer)
    assert searcher.asked == []


TOO_MANY = "Expected an array with maximum length 32, but got an array with length 33 instead."


@pytest.mark.parametrize(
    ("body", "message", "param", "code"),
    [
        ({}, "Missing required parameter: 'query'.", "query", "missing_required_parameter"),
        (
            {"query": []},
            "Invalid 'query': empty array. Expected an array with minimum length 1, but got an empty array instead.",
            "query",
            "empty_array",
        ),
        (
            {"query": ["a", ""]},
            "Invalid 'query[1]': empty string. Expected a string with minimum length 1, but got an empty string "
            "instead.",
            "query[1]",
            "empty_string",
        ),
        ({"query": ["a"] * 33}, f"Invalid 'query': array too long. {TOO_MANY}", "query", "array_above_max_length"),
        (
            {"query": "a", "max_num_results": 51},
            "Invalid 'max_num_results': integer above maximum value. Expected a value <= 50, but got 51 instead.",
            "max_num_results",
            "integer_above_max_value",
        ),
        (
            {"query": "a", "ranking_options": {"ranker": "default_2024_08_21"}},
            "Invalid value: 'default_2024_08_21'. Supported values are: 'none', 'auto', and 'default-2024-11-15'.",
            "ranking_options.ranker",
            "invalid_value",
        ),
        (
            {"query": "a", "filters": {"type": "eq", "key": "a"}},
            "Missing required parameter: 'filters.value'.",
            "filters.value",
            "missing_required_parameter",
        ),
    ],
)
async def test_what_is_no_search(room: Room, body: Any, message: str, param: str, code: str) -> None:
    answer = await room.post(f"/vector_stores/{await room.store()}/search", body)
    Error(400, message, param, code).check(answer)


@pytest.mark.parametrize(
    ("fault", "status", "type", "code", "pause"),
    [
        (ModelUnavailable("Gone."), 503, "server_error", None, "1"),
        (ModelRateLimited("Slow.", 7.0), 429, "requests", "rate_limit_exceeded", "7"),
        (ModelRefused("No."), 400, "invalid_request_error", None, None),
    ],
)
async def test_a_query_that_cannot_be_embedded_is_no_search_without_hits(
    room: Room, searcher: Watched, fault: ModelError, status: int, type: str, code: str | None, pause: str | None
) -> None:
    searcher.fault = fault
    answer = await room.post(f"/vector_stores/{await room.store()}/search", {"query": "a"})
    Error(status, f"The query could not be embedded: {fault}", None, code, type).check(answer)
    assert answer.headers.get("retry-after") == pause
