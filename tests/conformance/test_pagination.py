"""Lists by cursor, with the SDK's auto-pagination and by hand."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import openai
import pytest

from tests.conformance.talk import Walk

COUNT = 23  # more than two pages of ten, and no whole number of them


@pytest.fixture
def listed(client: openai.OpenAI, request: pytest.FixtureRequest) -> tuple[Callable[..., Any], list[str]]:
    """A list by its endpoint, and the ids of what is in it, oldest first."""
    match request.param:
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
        case kind:
            raise AssertionError(kind)


KINDS = pytest.mark.parametrize("listed", ["messages", "runs", "steps"], indirect=True)


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
    thread = client.beta.threads.create(messages=[{"role": "user", "content": str(n)} for n in range(40)])
    messages = list(client.beta.threads.messages.list(thread.id, order="asc", limit=9))
    assert len({message.created_at for message in messages}) == 1
    assert [message.content[0].to_dict()["text"] for message in messages] == [
        {"value": str(n), "annotations": []} for n in range(40)
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
