"""The newest official Python SDK through every path of vector stores, with its helpers. Files are truly read."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import openai
import pytest
from openai.types.vector_stores import VectorStoreFile

from tests.conformance.contract import Contract, read_specification
from tests.conformance.vector_store_walk import walk_vector_stores
from tests.conformance.wiretap import Wiretap
from tests.support.http import Api
from tests.support.waiting import eventually

SMALL: Any = {"type": "static", "static": {"max_chunk_size_tokens": 100, "chunk_overlap_tokens": 50}}
FACTS = {
    "cats.md": "# Cats\n\nCats sleep for most of the day. A cat purrs when it is content, and hisses when it is not.\n",
    "bread.txt": "Bread dough must rise twice before it is baked. Rye needs a sourdough starter.\n",
    "moon.html": "<html><body><h1>The Moon</h1><p>The moon raises the tides of the sea twice a day.</p></body></html>",
}
POLL = 20  # milliseconds


@pytest.fixture
def upload(client: openai.OpenAI) -> Any:
    """Uploads a text, and returns the file's id."""

    def send(text: str, filename: str = "notes.md") -> str:
        return client.files.create(file=(filename, text.encode()), purpose="assistants").id

    return send


@pytest.fixture
def facts(tmp_path: Path) -> list[Path]:
    """The facts as files of this machine."""
    for name, text in FACTS.items():
        (tmp_path / name).write_text(text, "utf-8")
    return [tmp_path / name for name in FACTS]


def completed(client: openai.OpenAI, store_id: str) -> Any:
    """Wait until nothing of a store is left to be read, and return it."""

    def look() -> Any:
        store = client.vector_stores.retrieve(store_id)
        return store if store.status == "completed" else None

    return eventually(look)


def test_stores(client: openai.OpenAI, upload: Any) -> None:
    stores = client.vector_stores
    made = stores.create(
        name="Facts",
        description="What is known.",
        file_ids=[upload(text, name) for name, text in FACTS.items()],
        chunking_strategy=SMALL,
        expires_after={"anchor": "last_active_at", "days": 3},
        metadata={"a": "1"},
    )
    assert (made.name, made.metadata, made.file_counts.total) == ("Facts", {"a": "1"}, 3)
    assert made.to_dict()["description"] == "What is known."
    assert made.expires_at == made.last_active_at + 3 * 86400
    done = completed(client, made.id)
    assert (done.file_counts.completed, done.file_counts.failed) == (3, 0)
    assert done.usage_bytes > sum(len(text) for text in FACTS.values()) / 2
    updated = stores.update(made.id, name=None, expires_after=None, metadata={"b": "2"})
    assert (updated.name, updated.expires_at, updated.metadata) == (None, None, {"b": "2"})
    assert [store.id for store in itertools.islice(stores.list(limit=1), 1)] == [made.id]
    gone = stores.delete(made.id)
    assert (gone.id, gone.deleted, gone.object) == (made.id, True, "vector_store.deleted")
    with pytest.raises(openai.NotFoundError, match=rf"No vector store found with id '{made.id}'\."):
        stores.retrieve(made.id)


def test_files_with_every_helper(client: openai.OpenAI, upload: Any, facts: list[Path]) -> None:
    store = client.vector_stores.create()
    assert store.name is None
    files = client.vector_stores.files
    attributes: dict[str, str | float | bool] = {"kind": "animal", "year": 2024, "checked": True}
    cats = files.create_and_poll(
        upload(FACTS["cats.md"], "cats.md"),
        vector_store_id=store.id,
        attributes=attributes,
        chunking_strategy=SMALL,
        poll_interval_ms=POLL,
    )
    assert (cats.status, cats.last_error, cats.attributes) == ("completed", None, attributes)
    assert cats.usage_bytes > 0
    assert cats.chunking_strategy is not None
    assert cats.chunking_strategy.to_dict() == SMALL
    bread = files.upload_and_poll(vector_store_id=store.id, file=facts[1], poll_interval_ms=POLL)
    assert bread.status == "completed"
    moon = files.upload(vector_store_id=store.id, file=facts[2])
    assert files.poll(moon.id, vector_store_id=store.id, poll_interval_ms=POLL).status == "completed"
    assert [file.id for file in files.list(store.id, order="asc", limit=1)] == [cats.id, bread.id, moon.id]
    assert [file.id for file in files.list(store.id, filter="completed", limit=2)] == [moon.id, bread.id, cats.id]
    assert list(files.list(store.id, filter="failed")) == []
    changed = files.update(bread.id, vector_store_id=store.id, attributes={"kind": "food"})
    assert changed.attributes == {"kind": "food"}
    assert files.retrieve(bread.id, vector_store_id=store.id) == changed
    (part,) = files.content(cats.id, vector_store_id=store.id)
    assert part.type == "text"
    assert "A cat purrs when it is content" in (part.text or "")
    gone = files.delete(moon.id, vector_store_id=store.id)
    assert (gone.id, gone.deleted, gone.object) == (moon.id, True, "vector_store.file.deleted")
    assert client.files.retrieve(moon.id).filename == "moon.html"
    client.files.delete(bread.id)
    with pytest.raises(openai.NotFoundError, match=f"No file found with id '{bread.id}' in vector store '{store.id}'"):
        files.retrieve(bread.id, vector_store_id=store.id)
    assert completed(client, store.id).file_counts.total == 1


def test_the_content_of_a_file_of_many_passages_is_its_text(client: openai.OpenAI, upload: Any) -> None:
    store = client.vector_stores.create()
    text = " ".join(f"Sentence number {number} is about the number {number * 7}." for number in range(400))
    file = client.vector_stores.files.create_and_poll(
        upload(text, "numbers.txt"), vector_store_id=store.id, chunking_strategy=SMALL, poll_interval_ms=POLL
    )
    parts = [part.text or "" for part in client.vector_stores.files.content(file.id, vector_store_id=store.id)]
    assert len(parts) > 10
    assert " ".join(" ".join(parts).split()) == text


def test_a_file_that_cannot_be_read_fails_with_a_sentence(client: openai.OpenAI) -> None:
    store = client.vector_stores.create()
    broken = client.files.create(file=("broken.pdf", b"%PDF-1.7\nnothing more"), purpose="assistants")
    file = client.vector_stores.files.create_and_poll(broken.id, vector_store_id=store.id, poll_interval_ms=POLL)
    assert file.status == "failed"
    assert file.last_error is not None
    assert file.last_error.code in ("invalid_file", "unsupported_file")
    assert file.last_error.message.endswith(".")
    assert client.vector_stores.retrieve(store.id).status == "completed"
    with pytest.raises(openai.BadRequestError, match=r"Files with extensions \[\.png\] are not supported") as refusal:
        client.vector_stores.files.upload(vector_store_id=store.id, file=("cat.png", b"\x89PNG\r\n\x1a\n"))
    assert refusal.value.code == "unsupported_file"


def test_batches_with_every_helper(client: openai.OpenAI, upload: Any, facts: list[Path]) -> None:
    store = client.vector_stores.create()
    batches = client.vector_stores.file_batches
    ids = [upload(text, name) for name, text in FACTS.items()]
    batch = batches.create_and_poll(store.id, file_ids=ids, attributes={"a": 1}, poll_interval_ms=POLL)
    assert (batch.status, batch.file_counts.completed, batch.file_counts.total) == ("completed", 3, 3)
    assert batch.to_dict()["object"] == "vector_store.file_batch"
    listed = list(batches.list_files(batch.id, vector_store_id=store.id, order="asc", limit=2))
    assert [file.id for file in listed] == ids
    assert [file.attributes for file in listed] == [{"a": 1}] * 3
    assert list(batches.list_files(batch.id, vector_store_id=store.id, filter="failed")) == []
    assert batches.cancel(batch.id, vector_store_id=store.id) == batch
    each: Any = [{"file_id": ids[0], "attributes": {"b": True}}, {"file_id": ids[1], "chunking_strategy": SMALL}]
    again = batches.create(store.id, files=each)
    again = batches.poll(again.id, vector_store_id=store.id, poll_interval_ms=POLL)
    assert batches.retrieve(again.id, vector_store_id=store.id) == again
    assert client.vector_stores.files.retrieve(ids[0], vector_store_id=store.id).attributes == {"b": True}
    uploaded = batches.upload_and_poll(store.id, files=facts, file_ids=ids[:1], poll_interval_ms=POLL)
    assert (uploaded.status, uploaded.file_counts.completed) == ("completed", 4)
    assert completed(client, store.id).file_counts.total == 6


def test_search(client: openai.OpenAI, facts: list[Path]) -> None:
    store = client.vector_stores.create(expires_after={"anchor": "last_active_at", "days": 1})
    client.vector_stores.file_batches.upload_and_poll(store.id, files=facts, poll_interval_ms=POLL)
    cats = next(
        file for file in client.vector_stores.files.list(store.id) if _content(client, file).startswith("# Cats")
    )
    client.vector_stores.files.update(cats.id, vector_store_id=store.id, attributes={"kind": "animal", "legs": 4})
    hits = list(client.vector_stores.search(store.id, query="what raises the tides"))
    assert hits[0].filename == "moon.html"
    assert "The moon raises the tides" in hits[0].content[0].text
    assert [hit.score for hit in hits] == sorted((hit.score for hit in hits), reverse=True)
    found = client.vector_stores.search(
        store.id,
        query=["Could you please tell me when a cat purrs?", "sleep"],
        rewrite_query=True,
        max_num_results=5,
        filters={
            "type": "or",
            "filters": [
                {"type": "gte", "key": "legs", "value": 4},
                {"type": "and", "filters": [{"type": "eq", "key": "kind", "value": "tree"}]},
            ],
        },
        ranking_options={"ranker": "auto", "score_threshold": 0.1},
    )
    assert {hit.file_id for hit in found} == {cats.id}
    assert found.data[0].attributes == {"kind": "animal", "legs": 4}
    plain = client.vector_stores.search(store.id, query="tides", ranking_options={"ranker": "none"})
    assert plain.data[0].filename == "moon.html"
    assert list(client.vector_stores.search(client.vector_stores.create().id, query="anything")) == []


def test_every_operation_keeps_the_contract(wiretap: Wiretap, upload: Any) -> None:
    file_id = upload(FACTS["bread.txt"], "bread.txt")
    wiretap.take()
    walk_vector_stores(Api(wiretap.url), file_id)
    contract = Contract()
    assert [fault for exchange in wiretap.take() for fault in contract.faults(exchange)] == []
    assert contract.seen == {
        (method.upper(), path)
        for path, methods in read_specification()["paths"].items()
        for method in methods
        if path.startswith("/vector_stores") and method in ("get", "post", "delete")
    }


def test_no_beta_header_is_needed(wiretap: Wiretap) -> None:
    api = Api(wiretap.url)
    assert api.get("/vector_stores", headers={"OpenAI-Beta": None}).ok
    assert api.post("/vector_stores", {}, headers={"OpenAI-Beta": None}).ok


def test_a_store_that_goes_is_gone_from_assistants_and_threads(client: openai.OpenAI) -> None:
    store = client.vector_stores.create()
    resources: Any = {"file_search": {"vector_store_ids": [store.id]}}
    assistant = client.beta.assistants.create(
        model="scripted", tools=[{"type": "file_search"}], tool_resources=resources
    )
    thread = client.beta.threads.create(tool_resources=resources)
    client.vector_stores.delete(store.id)
    for holder in (client.beta.assistants.retrieve(assistant.id), client.beta.threads.retrieve(thread.id)):
        assert holder.tool_resources is not None
        assert holder.tool_resources.file_search is not None
        assert holder.tool_resources.file_search.vector_store_ids == []


async def test_the_asynchronous_client(async_client: openai.AsyncOpenAI, facts: list[Path]) -> None:
    store = await async_client.vector_stores.create(name="async")
    files, batches = async_client.vector_stores.files, async_client.vector_stores.file_batches
    one = await files.upload_and_poll(vector_store_id=store.id, file=facts[0], poll_interval_ms=POLL)
    assert one.status == "completed"
    batch = await batches.upload_and_poll(store.id, files=facts[1:], poll_interval_ms=POLL)
    assert (batch.status, batch.file_counts.completed) == ("completed", 2)
    listed = [file.id async for file in files.list(store.id, order="asc", limit=1)]
    assert (listed[0], len(listed)) == (one.id, 3)
    hits = [hit async for hit in async_client.vector_stores.search(store.id, query="rye sourdough")]
    assert hits[0].filename == "bread.txt"
    parts = [part.text async for part in files.content(one.id, vector_store_id=store.id)]
    assert "".join(text or "" for text in parts).startswith("# Cats")


def _content(client: openai.OpenAI, file: VectorStoreFile) -> str:
    parts = client.vector_stores.files.content(file.id, vector_store_id=file.vector_store_id)
    return "".join(part.text or "" for part in parts)
