"""Lists by cursor, with the SDK's auto-pagination and by hand."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from typing import Any

import openai
import pytest
from openai.pagination import SyncCursorPage
from openai.types.beta import Thread

from tests.conformance.talk import Walk

COUNT = 23  # more than two pages of ten, and no whole number of them


@pytest.fixture
def listed(client: openai.OpenAI, request: pytest.FixtureRequest) -> tuple[Callable[..., Any], list[str]]:
    """A list by its endpoint, and the ids of what is in it, oldest first."""
    match request.param:
        case "threads":
            metadata = {"list": uuid.uuid4().hex}
            made = [client.beta.threads.create(metadata=metadata) for _ in range(COUNT)]
            return lambda **page: threads(client, metadata=metadata, **page), [item.id for item in made]
        case "messages":
            thread = client.beta.threads.create()
            made = [client.beta.threads.messages.create(thread.id, role="user", content=str(n)) for n in range(COUNT)]
            return lambda **page: client.beta.threads.messages.list(thread.id, **page), [item.id for item in made]
        case "runs":
            walk = Walk(client)
            thread = walk.thread("hello")
            runs = [walk.run(thread) for _ in range(COUNT)]
            return lambda **page: client.beta.threads.runs.list(thread.id, **page), [item.id for item in runs]
        case "steps":
            walk = Walk(client, tools=[{"type": "function", "function": {"name": "f"}}])
            run = walk.run(walk.thread(f"/call f\n/rounds {COUNT - 1}"))
            while run.status == "requires_action":
                run = walk.submit(run, "")
            made = walk.client.beta.threads.runs.steps.list(
                run.id, thread_id=run.thread_id, order="asc", limit=100
            ).data
            return (
                lambda **page: client.beta.threads.runs.steps.list(run.id, thread_id=run.thread_id, **page),
                [item.id for item in made],
            )
        case "store files" | "batch files":
            ids = [uploaded(client, n) for n in range(COUNT)]
            store = client.vector_stores.create(file_ids=ids if request.param == "store files" else [])
            if request.param == "store files":
                return lambda **page: client.vector_stores.files.list(store.id, **page), ids
            batches = client.vector_stores.file_batches
            batch = batches.create(store.id, file_ids=ids)
            return lambda **page: batches.list_files(batch.id, vector_store_id=store.id, **page), ids
        case kind:
            raise AssertionError(kind)


KINDS = pytest.mark.parametrize(
    "listed", ["threads", "messages", "runs", "steps", "store files", "batch files"], indirect=True
)


def threads(client: openai.OpenAI, **query: Any) -> SyncCursorPage[Thread]:
    """A list that is ours, through the SDK's own door for what it does not know."""
    options: Any = {"params": query, "headers": {"OpenAI-Beta": "assistants=v2"}}
    return client.get_api_list("/threads", page=SyncCursorPage[Thread], model=Thread, options=options)


def uploaded(client: openai.OpenAI, number: int) -> str:
    return client.files.create(file=(f"{number}.txt", f"File {number}.".encode()), purpose="user_data").id


@KINDS
def test_a_list_is_paged_through_in_both_orders(listed: tuple[Callable[..., Any], list[str]]) -> None:
    endpoint, ids = listed
    assert len(ids) == COUNT
    assert [item.id for item in endpoint(order="asc", limit=10)] == ids
    assert [item.id for item in endpoint(order="desc", limit=10)] == ids[::-1]
    assert [item.id for item in endpoint(limit=1)] == ids[::-1]  # newest first unless told otherwise
    sizes = [(len(page.data), page.has_more) for page in endpoint(limit=10).iter_pages()]
    assert sizes == [(10, True), (10, True), (3, False)]
    assert len(endpoint().data) == 20


@KINDS
def test_cursors_are_exclusive_and_follow_the_order(listed: tuple[Callable[..., Any], list[str]]) -> None:
    endpoint, ids = listed
    newest_first = ids[::-1]

    def page(**query: Any) -> tuple[list[str], bool]:
        found = endpoint(**query)
        return [item.id for item in found.data], found.has_more

    assert page(order="asc", after=ids[4], limit=3) == (ids[5:8], True)
    assert page(order="desc", after=newest_first[4], limit=3) == (newest_first[5:8], True)
    assert page(order="asc", after=ids[19], limit=10) == (ids[20:], False)
    assert page(order="asc", after=ids[-1]) == ([], False)
    assert page(order="desc", after=ids[0]) == ([], False)
    # The page before a cursor is the one that ends just before it.
    assert page(order="asc", before=ids[10], limit=3) == (ids[7:10], True)
    assert page(order="desc", before=newest_first[10], limit=3) == (newest_first[7:10], True)
    assert page(order="asc", before=ids[2]) == (ids[:2], False)
    assert page(order="asc", before=ids[0]) == ([], False)
    assert page(order="asc", after=ids[2], before=ids[6]) == (ids[3:6], False)
    assert page(order="asc", after=ids[2], before=ids[6], limit=2) == (ids[3:5], True)
    assert page(limit=100) == (newest_first, False)


def test_assistants_are_paged_through(client: openai.OpenAI) -> None:
    before = [assistant.id for assistant in client.beta.assistants.list(limit=1)][:1]
    ids = [client.beta.assistants.create(model="scripted", name=str(n)).id for n in range(COUNT)]
    oldest_first = client.beta.assistants.list(order="asc", limit=7, **({"after": before[0]} if before else {}))
    assert [assistant.id for assistant in oldest_first] == ids
    newest_first = client.beta.assistants.list(limit=7)
    assert [next(iter(newest_first)).id, newest_first.data[-1].id] == [ids[-1], ids[-7]]
    assert [assistant.id for _, assistant in zip(range(COUNT), newest_first, strict=False)] == ids[::-1]


def test_threads_are_found_by_metadata_and_by_text(client: openai.OpenAI) -> None:
    mark = uuid.uuid4().hex
    made = [
        client.beta.threads.create(metadata={"mark": mark, "title": f"Plan {n}", "user": f"user {n % 2}"}).id
        for n in range(5)
    ]
    assert [thread.id for thread in threads(client, q=mark.upper(), limit=2)] == made[::-1]
    assert [thread.id for thread in threads(client, q=mark, metadata={"user": "user 1"})] == [made[3], made[1]]
    assert [thread.id for thread in threads(client, q="plan 3", metadata={"mark": mark, "user": "user 1"})] == [made[3]]
    assert threads(client, q="plan 3", metadata={"mark": mark, "user": "user 0"}).data == []
    (newest,) = threads(client, limit=1).data
    assert (newest.id, newest.metadata) == (made[-1], {"mark": mark, "title": "Plan 4", "user": "user 0"})
    deleted = []
    for thread in threads(client, q=mark, limit=2):
        client.beta.threads.delete(thread.id)
        deleted.append(thread.id)
    assert deleted == made[::-1]


def test_vector_stores_are_paged_through(client: openai.OpenAI) -> None:
    stores = client.vector_stores
    start = stores.create().id
    ids = [stores.create(name=str(n)).id for n in range(COUNT)]
    assert [store.id for store in stores.list(order="asc", limit=7, after=start)] == ids
    assert [store.id for store in stores.list(limit=7, before=start).data] == ids[6::-1]
    assert [store.id for _, store in zip(range(COUNT), stores.list(limit=7), strict=False)] == ids[::-1]
    assert len(stores.list().data) == 20


def test_files_are_paged_through(client: openai.OpenAI) -> None:
    start = client.files.create(file=b"x", purpose="user_data").id
    ids = [uploaded(client, n) for n in range(COUNT)]
    assert [file.id for file in client.files.list(order="asc", limit=7, after=start)] == ids
    assert [file.id for file in client.files.list(order="asc", limit=7, after=start, purpose="user_data")] == ids
    assert [file.id for file in client.files.list(order="asc", after=start, purpose="evals")] == []
    # All of them, unless told otherwise: clients of the time asked for no second page.
    everything = client.files.list()
    assert ([file.id for file in everything.data[:COUNT]], everything.has_more) == (ids[::-1], False)


def test_files_are_deleted_while_their_lists_are_paged_through(client: openai.OpenAI) -> None:
    """The list of all, that of a store, and the list of stores; and each file is gone from the others."""
    start = client.files.create(file=b"x", purpose="user_data").id
    first_store = client.vector_stores.create().id
    ids = [uploaded(client, n) for n in range(12)]
    stores = [client.vector_stores.create(file_ids=ids).id for _ in range(3)]
    removed = []
    for in_store in client.vector_stores.files.list(stores[0], limit=5):
        client.vector_stores.files.delete(in_store.id, vector_store_id=stores[0])
        removed.append(in_store.id)
    assert removed == ids[::-1]
    for in_store in client.vector_stores.files.list(stores[1], limit=5, order="asc"):
        client.files.delete(in_store.id)
        removed.append(in_store.id)
    assert removed == [*ids[::-1], *ids]
    assert list(client.files.list(after=start, order="asc")) == []
    deleted = []
    for store in client.vector_stores.list(after=first_store, order="asc", limit=2):
        assert store.file_counts.total == 0
        client.vector_stores.delete(store.id)
        deleted.append(store.id)
    assert deleted == stores
    more = [uploaded(client, n) for n in range(12)]
    gone = []
    for file in client.files.list(after=start, order="asc", limit=5):
        client.files.delete(file.id)
        gone.append(file.id)
    assert gone == more


def test_objects_are_deleted_while_their_list_is_paged_through(client: openai.OpenAI) -> None:
    thread = client.beta.threads.create()
    ids = [client.beta.threads.messages.create(thread.id, role="user", content=str(n)).id for n in range(COUNT)]
    deleted = []
    for message in client.beta.threads.messages.list(thread.id, order="asc", limit=5):
        client.beta.threads.messages.delete(message.id, thread_id=thread.id)
        deleted.append(message.id)
    assert deleted == ids
    assert client.beta.threads.messages.list(thread.id).data == []


def test_assistants_are_deleted_while_their_list_is_paged_through(client: openai.OpenAI) -> None:
    ids = [client.beta.assistants.create(model="scripted").id for _ in range(12)]
    deleted = []
    for assistant in client.beta.assistants.list(limit=5):
        if len(deleted) == len(ids):
            break
        client.beta.assistants.delete(assistant.id)
        deleted.append(assistant.id)
    assert deleted == ids[::-1]


def test_objects_of_one_second_keep_their_order(client: openai.OpenAI) -> None:
    thread = client.beta.threads.create(messages=[{"role": "user", "content": str(n)} for n in range(32)])
    messages = list(client.beta.threads.messages.list(thread.id, order="asc", limit=9))
    assert len({message.created_at for message in messages}) == 1
    assert [message.content[0].to_dict()["text"] for message in messages] == [
        {"value": str(n), "annotations": []} for n in range(32)
    ]


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ({"limit": 0}, "Invalid 'limit': integer below minimum value. Expected a value >= 1, but got 0 instead."),
        ({"limit": 101}, "Invalid 'limit': integer above maximum value. Expected a value <= 100, but got 101 instead."),
        ({"order": "up"}, "Invalid value: 'up'. Supported values are: 'asc' and 'desc'."),
    ],
)
def test_a_page_that_cannot_be_is_refused(client: openai.OpenAI, query: dict[str, Any], words: str) -> None:
    with pytest.raises(openai.BadRequestError) as refused:
        client.beta.assistants.list(**query)
    assert words in refused.value.message
