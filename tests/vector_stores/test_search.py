"""What a search finds and what it must not, on a real PostgreSQL with the embedding that needs no server."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any

import pytest

from assistd.db.pool import Database
from assistd.errors import APIError
from assistd.llm import static_embedding
from assistd.llm.embedding import Embedders
from assistd.llm.protocol import ModelRefused, ModelUnavailable
from assistd.llm.routing import Routing, single_route
from assistd.llm.upstream import open_upstream
from assistd.vector_stores import chunks, search
from assistd.vector_stores.filters import Eq, Lt
from assistd.vector_stores.search import Hit, Query, Searcher

PROJECT = "proj_own"
ANIMALS = {
    "cats.txt": ["Cats sleep for most of the day and hunt at night.", "A kitten drinks milk until it is weaned."],
    "cars.txt": ["The engine of a car needs oil.", "Error E4711 means that the brake fluid is low."],
    "tea.txt": ["Green tea is made with water of eighty degrees."],
}


@pytest.fixture
async def searcher(database: Database) -> AsyncIterator[Searcher]:
    async with open_upstream() as upstream:
        yield Searcher(database, Embedders(Routing(()), upstream))


async def make_store(
    database: Database,
    files: Mapping[str, Sequence[str]],
    *,
    id: str = "vs_one",
    project: str = PROJECT,
    attributes: Mapping[str, Mapping[str, Any]] | None = None,
    model: str = static_embedding.NAME,
) -> int:
    """A store with files in it, as ingestion leaves them; returns its key."""
    async with database.transaction() as conn:
        store: int = await conn.fetchval(
            "INSERT INTO vector_stores (id, project_id, metadata, embedding_model) VALUES ($1, $2, '{}', $3) "
            "RETURNING key",
            id,
            project,
            model,
        )
        for name, texts in files.items():
            await conn.execute(
                "INSERT INTO files (id, project_id, bytes, filename, purpose, blobs) "
                "VALUES ($1, $2, 1, $3, 'assistants', '{}') ON CONFLICT DO NOTHING",
                f"file-{name}",
                project,
                name,
            )
            key = await conn.fetchval(
                "INSERT INTO vector_store_files (store_key, file_id, status, chunks, chunking_strategy, attributes) "
                "VALUES ($1, $2, 'completed', $3, '{}', $4) RETURNING key",
                store,
                f"file-{name}",
                len(texts),
                json.dumps((attributes or {}).get(name, {})),
            )
            await chunks.write_chunks(conn, key, store, 0, texts, static_embedding.embed(texts))
    return store


async def find(searcher: Searcher, text: str, *ids: str, **options: Any) -> list[Hit]:
    return await searcher.search(PROJECT, ids or ["vs_one"], Query([text], **options))


async def test_the_passage_that_answers_comes_first_with_all_that_a_client_is_shown(
    database: Database, searcher: Searcher
) -> None:
    await make_store(database, ANIMALS, attributes={"cats.txt": {"kind": "pet"}})
    first, *others = await find(searcher, "When do cats hunt?")
    assert first.text == ANIMALS["cats.txt"][0]
    assert (first.store_id, first.file_id, first.filename, first.number) == ("vs_one", "file-cats.txt", "cats.txt", 0)
    assert json.loads(bytes(first.attributes)) == {"kind": "pet"}
    assert others
    scores = [hit.score for hit in (first, *others)]
    assert scores == sorted(scores, reverse=True)
    assert all(0 <= score <= 1 for score in scores)


async def test_a_score_says_how_close_a_passage_is_whatever_else_there_is(
    database: Database, searcher: Searcher
) -> None:
    await make_store(database, {"tea.txt": ANIMALS["tea.txt"]})
    [plain] = await find(searcher, "How many degrees has the water for green tea?")
    [unrelated] = await find(searcher, "Who won the football championship?")
    assert plain.score > 0.6
    assert unrelated.score < 0.3
    assert await find(searcher, "Who won the football championship?", score_threshold=0.5) == []


async def test_words_find_what_no_embedding_knows(database: Database, searcher: Searcher) -> None:
    await make_store(database, ANIMALS)
    [hit, *_] = await find(searcher, "e4711", embedding_weight=0)
    assert "E4711" in hit.text
    assert [found.text for found in await find(searcher, "e4711", embedding_weight=0)] == [hit.text]


async def test_embeddings_find_what_shares_no_word(database: Database, searcher: Searcher) -> None:
    await make_store(database, ANIMALS)
    [hit, *_] = await find(searcher, "automobile motor lubricant", text_weight=0)
    assert hit.filename == "cars.txt"
    assert await find(searcher, "automobile motor lubricant", embedding_weight=0) == []


async def test_both_weights_cannot_be_zero(database: Database, searcher: Searcher) -> None:
    await make_store(database, ANIMALS)
    with pytest.raises(APIError, match="cannot both be zero"):
        await find(searcher, "cats", embedding_weight=0, text_weight=0)


async def test_of_several_texts_the_best_score_counts(database: Database, searcher: Searcher) -> None:
    await make_store(database, ANIMALS)
    both = await searcher.search(PROJECT, ["vs_one"], Query(["green tea water", "brake fluid error"]))
    tea, cars = await find(searcher, "green tea water"), await find(searcher, "brake fluid error")
    best = {hit.text: hit.score for hit in tea}
    for hit in cars:
        best[hit.text] = max(best.get(hit.text, 0), hit.score)
    assert {hit.text: hit.score for hit in both} == best


async def test_fewer_hits_are_the_first_of_more(database: Database, searcher: Searcher) -> None:
    await make_store(database, {f"{n}.txt": [f"Note {n} about cats number {n % 7}."] for n in range(60)})
    most = await find(searcher, "cats number 3", limit=50)
    assert len(most) == 50
    assert await find(searcher, "cats number 3", limit=5) == most[:5]
    assert await find(searcher, "cats number 3", limit=50) == most


async def test_equal_passages_of_two_stores_are_two_hits(database: Database, searcher: Searcher) -> None:
    await make_store(database, ANIMALS)
    await make_store(database, {"cats.txt": ANIMALS["cats.txt"]}, id="vs_two")
    hits = await find(searcher, "When do cats hunt?", "vs_two", "vs_one", "vs_two")
    assert [(hit.store_id, hit.number) for hit in hits[:2]] == [("vs_one", 0), ("vs_two", 0)]
    assert hits[0].text == hits[1].text


@pytest.mark.parametrize("weights", [(1, 0), (0, 1), (1, 1)])
async def test_other_stores_stay_out_of_it(
    database: Database, searcher: Searcher, weights: tuple[float, float]
) -> None:
    await make_store(database, {"tea.txt": ["Nothing but green tea."]})
    await make_store(database, ANIMALS, id="vs_two")
    hits = await find(searcher, "cats hunt", embedding_weight=weights[0], text_weight=weights[1])
    assert {hit.store_id for hit in hits} <= {"vs_one"}


async def test_a_store_that_is_not_the_projects_is_not_there(database: Database, searcher: Searcher) -> None:
    await make_store(database, ANIMALS)
    await make_store(database, {"secret.txt": ["Cats hunt at night."]}, id="vs_theirs", project="proj_other")
    for ids in (["vs_theirs"], ["vs_one", "vs_theirs"], ["vs_none"]):
        with pytest.raises(APIError, match=f"No vector store found with id '{ids[-1]}'.") as refusal:
            await find(searcher, "cats", *ids)
        assert refusal.value.status == 404


async def test_an_expired_store_is_refused(database: Database, searcher: Searcher) -> None:
    await make_store(database, ANIMALS)
    async with database.acquire() as conn:
        await conn.execute("UPDATE vector_stores SET expires_days = 1, last_active_at = unix_now() - 86400")
    with pytest.raises(APIError, match="vs_one is expired"):
        await find(searcher, "cats")


async def test_an_empty_store_has_no_hits_and_asks_no_model(database: Database, searcher: Searcher) -> None:
    await make_store(database, {}, model="nobody-answers-for-this")
    assert await find(searcher, "cats") == []


async def test_a_filter_is_part_of_the_search(database: Database, searcher: Searcher) -> None:
    files = {f"{n}.txt": [f"Cats and number {n}."] for n in range(300)}
    attributes = {f"{n}.txt": {"n": n} for n in range(300)}
    await make_store(database, files, attributes=attributes)
    hits = await find(searcher, "cats and number 7", filters=Lt(key="n", value=3), limit=50)
    assert {hit.filename for hit in hits} == {"0.txt", "1.txt", "2.txt"}
    assert await find(searcher, "cats", filters=Eq(key="n", value=1000)) == []


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "the of and",
        "'",
        "\\",
        "a'b & !c | (d:*)",
        "'); DROP TABLE chunks; --",
        "\u2603",
        "x" * 5000,
        "a b " * 300,
    ],
)
async def test_any_text_can_be_searched_for(database: Database, searcher: Searcher, text: str) -> None:
    await make_store(database, ANIMALS)
    assert len(await find(searcher, text)) == 5
    await find(searcher, text, embedding_weight=0)


@pytest.mark.parametrize(
    ("passage", "query"),
    [
        ("发票必须在三十天内付款。", "多少天内付款"),
        ("東京タワーは東京都港区にある。", "東京タワー"),
        ("인터넷 연결을 확인하십시오.", "인터넷 연결"),
        ("Die Rechnung ist binnen dreißig Tagen zu zahlen.", "Rechnung zahlen"),
        ("Счёт должен быть оплачен в течение месяца.", "оплачен счёт"),
        ("ใบแจ้งหนี้ต้องชำระภายในสามสิบวัน", "ใบแจ้งหนี้"),
    ],
)
async def test_words_of_other_languages_are_found(
    database: Database, searcher: Searcher, passage: str, query: str
) -> None:
    await make_store(database, {**ANIMALS, "other.txt": [passage]})
    assert [hit.text for hit in await find(searcher, query, embedding_weight=0)] == [passage]


async def test_a_store_keeps_to_its_embedding(database: Database, searcher: Searcher) -> None:
    await make_store(database, ANIMALS, model="gone-model")
    with pytest.raises(ModelRefused, match="No route answers for the embedding model 'gone-model'"):
        await find(searcher, "cats")


async def test_a_model_that_is_away_is_no_empty_result(database: Database) -> None:
    await make_store(database, ANIMALS, model="far-model")
    async with open_upstream() as upstream:
        routing = Routing([single_route("http://127.0.0.1:1/v1")])
        with pytest.raises(ModelUnavailable, match="cannot be reached"):
            await find(Searcher(database, Embedders(routing, upstream)), "cats")


async def test_frequent_words_find_together_and_rare_ones_alone(
    database: Database, searcher: Searcher, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = {f"{n}.txt": [f"common {'shared' if n % 2 else ''} text {n}"] for n in range(200)}
    await make_store(database, {**files, "rare.txt": ["a zyzzyva"], "both.txt": ["common shared zyzzyva"]})
    expected = [hit.filename for hit in await find(searcher, "common shared zyzzyva", embedding_weight=0, limit=2)]
    assert expected[0] == "both.txt"
    for name, value in {"_FREQUENT": 50, "_SCORED": 120}.items():
        monkeypatch.setattr(search, name, value)
    hits = await find(searcher, "common shared zyzzyva", embedding_weight=0, limit=50)
    assert [hit.filename for hit in hits[:2]] == expected
    assert all("shared" in hit.text or "zyzzyva" in hit.text for hit in hits)
    assert len(await find(searcher, "common", embedding_weight=0, limit=50)) == 50


@pytest.mark.parametrize("scored", [5, 100])
async def test_frequent_words_find_the_files_that_a_filter_lets_through(
    database: Database, searcher: Searcher, monkeypatch: pytest.MonkeyPatch, scored: int
) -> None:
    files = {f"{n}.txt": [f"common shared text {n}"] for n in range(200)}
    await make_store(database, files, attributes={f"{n}.txt": {"n": n} for n in range(200)})
    monkeypatch.setattr(search, "_FREQUENT", 2)
    monkeypatch.setattr(search, "_SCORED", scored)
    hits = await find(searcher, "common", filters=Lt(key="n", value=20), embedding_weight=0, limit=50)
    assert len(hits) == min(scored, 20)
    assert {hit.filename for hit in hits} <= {f"{n}.txt" for n in range(20)}


async def test_a_large_stores_words_are_counted_in_a_sample(
    database: Database, searcher: Searcher, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = {f"{n}.txt": [f"common text {n}"] for n in range(400)}
    await make_store(database, {**files, "rare.txt": ["common zyzzyva"]})
    for name, value in {"_COUNTED": 100, "_FREQUENT": 20, "_SCORED": 100}.items():
        monkeypatch.setattr(search, name, value)
    [hit, *_] = await find(searcher, "common zyzzyva", embedding_weight=0)
    assert hit.filename == "rare.txt"


class TestIndexed:
    """A store past the limit, which is lowered here."""

    @pytest.fixture(autouse=True)
    def low_limit(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(chunks, "EXACT_LIMIT", 100)
        monkeypatch.setattr(search, "EXACT_LIMIT", 100)

    @pytest.fixture
    async def store(self, database: Database) -> int:
        words = ["cat", "dog", "tea", "oil", "car", "milk", "night", "water", "engine", "brake", "green", "day", "low"]
        files = {f"{n}.txt": [f"{words[n % 13]} {words[n // 13 % 13]} {words[n * 7 % 11]} {n}"] for n in range(300)}
        attributes = {f"{n}.txt": {"part": n % 100} for n in range(300)}
        await make_store(database, {"other.txt": ["cat dog"]}, id="vs_other")
        return await make_store(database, files, attributes=attributes)

    async def test_finds_what_reading_everything_finds(
        self, database: Database, searcher: Searcher, store: int
    ) -> None:
        scopes = [None, Lt(key="part", value=50), Lt(key="part", value=1)]
        exact = [await find(searcher, "cat milk 5", filters=scope, text_weight=0, limit=20) for scope in scopes]
        assert [len(hits) for hits in exact] == [20, 20, 3]
        assert await chunks.ensure_index(database, store)
        assert await scans(database, store) == 0
        for scope, hits in zip(scopes, exact, strict=True):
            assert await find(searcher, "cat milk 5", filters=scope, text_weight=0, limit=20) == hits
        assert await scans(database, store) == 2  # the last has so few files that it reads them

    async def test_is_built_once_by_whoever_comes_first(self, database: Database, store: int) -> None:
        built = await asyncio.gather(*(chunks.ensure_index(database, store) for _ in range(3)))
        assert True in built
        assert await chunks.ensure_index(database, store)
        async with database.acquire() as conn:
            assert await conn.fetchval("SHOW statement_timeout") == "30s"
            held = (
                "SELECT count(*) FROM pg_locks JOIN pg_database ON pg_database.oid = database "
                "WHERE locktype = 'advisory' AND datname = current_database()"
            )
            assert await conn.fetchval(held) == 0

    async def test_half_built_is_built_anew(self, database: Database, store: int) -> None:
        assert await chunks.ensure_index(database, store)
        name = chunks.index_name(store)
        async with database.acquire() as conn:
            await conn.execute("UPDATE pg_index SET indisvalid = false WHERE indexrelid = to_regclass($1)", name)
        assert await chunks.ensure_index(database, store)
        async with database.acquire() as conn:
            assert await conn.fetchval("SELECT indisvalid FROM pg_index WHERE indexrelid = to_regclass($1)", name)

    async def test_goes_with_the_store(self, database: Database, store: int) -> None:
        assert await chunks.ensure_index(database, store)
        assert await chunks.drop_orphans(database) == 0
        async with database.acquire() as conn:
            await conn.execute("DELETE FROM vector_stores WHERE key = $1", store)
        assert await chunks.drop_orphans(database) == 1
        await chunks.drop_index(database, store)
        async with database.acquire() as conn:
            assert await conn.fetchval("SELECT to_regclass($1)::text", chunks.index_name(store)) is None

    async def test_a_small_store_has_none(self, database: Database) -> None:
        assert not await chunks.ensure_index(database, await make_store(database, ANIMALS))
        assert not await chunks.ensure_index(database, 999_999)


async def test_passages_of_another_length_are_refused(database: Database) -> None:
    store = await make_store(database, ANIMALS)
    async with database.transaction() as conn:
        key = await conn.fetchval("SELECT min(key) FROM vector_store_files")
        with pytest.raises(chunks.WrongDimensions, match="256 dimensions, and its model now gives 2"):
            await chunks.write_chunks(conn, key, store, 9, ["x"], [[1.0, 0.0]])
        await chunks.forget_chunks(conn, key)
        assert await conn.fetchval("SELECT count(*) FROM chunks WHERE file_key = $1", key) == 0


async def scans(database: Database, store: int) -> int:
    """How often the store's index was used, by the time that all backends have said so."""
    async with database.acquire() as conn:
        await conn.fetchval("SELECT pg_stat_force_next_flush()")
        return int(
            await conn.fetchval(
                "SELECT idx_scan FROM pg_stat_user_indexes WHERE indexrelname = $1", chunks.index_name(store)
            )
        )
