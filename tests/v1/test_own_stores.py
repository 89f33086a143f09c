"""The vector stores that v1 makes on the way: nobody is asked to delete what nobody was told of."""

from __future__ import annotations

from typing import Any

import pytest

from tests.conformance.wiretap import Wiretap
from tests.support.http import Api

RETRIEVAL = [{"type": "retrieval"}]


@pytest.fixture(scope="module")
def v2(tap: Wiretap) -> Api:
    return Api(tap.url)


@pytest.fixture
def file(v1: Api) -> str:
    return str(v1.upload(b"Poseidonia is the capital of Atlantis.", "atlantis.txt").ok["id"])


def stores_of(v2: Api, path: str) -> list[str]:
    found: list[str] = v2.get(path).ok["tool_resources"].get("file_search", {}).get("vector_store_ids", [])
    return found


def exists(v2: Api, store: str) -> bool:
    return v2.get(f"/vector_stores/{store}").status == 200


def assistant(v1: Api, **members: Any) -> str:
    return str(v1.post("/assistants", {"model": "scripted", "tools": RETRIEVAL, **members}).ok["id"])


def test_the_store_of_an_assistant_goes_with_it_and_its_files_stay(v1: Api, v2: Api, file: str) -> None:
    id = assistant(v1, file_ids=[file])
    [store] = stores_of(v2, f"/assistants/{id}")
    assert v2.get(f"/vector_stores/{store}").ok["expires_after"] is None
    assert v1.delete(f"/assistants/{id}").ok == {"id": id, "object": "assistant.deleted", "deleted": True}
    assert not exists(v2, store)
    assert v1.get(f"/files/{file}").status == 200


def test_deleted_by_v2_it_stays(v1: Api, v2: Api, file: str) -> None:
    id = assistant(v1, file_ids=[file])
    [store] = stores_of(v2, f"/assistants/{id}")
    assert v2.delete(f"/assistants/{id}").status == 200
    assert exists(v2, store)


def test_a_store_that_others_use_stays(v1: Api, v2: Api, file: str) -> None:
    id = assistant(v1, file_ids=[file])
    [store] = stores_of(v2, f"/assistants/{id}")
    resources = {"file_search": {"vector_store_ids": [store]}}
    thread = v2.post("/threads", {"tool_resources": resources}).ok["id"]
    assert v1.delete(f"/assistants/{id}").status == 200
    assert exists(v2, store)
    assert v1.delete(f"/threads/{thread}").status == 200
    assert exists(v2, store)  # its file came from elsewhere


def test_a_store_that_holds_more_stays(v1: Api, v2: Api, file: str) -> None:
    id = assistant(v1, file_ids=[file])
    [store] = stores_of(v2, f"/assistants/{id}")
    more = v1.upload(b"More.", "more.txt").ok["id"]
    v2.post(f"/vector_stores/{store}/files", {"file_id": more}).ok  # noqa: B018
    assert v1.delete(f"/assistants/{id}").status == 200
    assert exists(v2, store)


def test_the_store_of_a_thread_does_not_expire_and_goes_with_it(v1: Api, v2: Api, file: str) -> None:
    message = {"role": "user", "content": "look", "file_ids": [file]}
    begun = v1.post("/threads", {"messages": [message]}).ok["id"]
    late = v1.post("/threads").ok["id"]
    assert v1.post(f"/threads/{late}/messages", message).status == 200
    for thread in (begun, late):
        [store] = stores_of(v2, f"/threads/{thread}")
        assert v2.get(f"/vector_stores/{store}").ok["expires_after"] is None
        assert v1.delete(f"/threads/{thread}").ok["object"] == "thread.deleted"
        assert not exists(v2, store)


def test_the_store_of_a_thread_that_a_run_begins_does_not_expire(v1: Api, v2: Api, file: str) -> None:
    message = {"role": "user", "content": "look", "file_ids": [file]}
    id = assistant(v1)
    run = v1.post("/threads/runs", {"assistant_id": id, "thread": {"messages": [message]}}).ok
    late = v1.post("/threads").ok["id"]
    added = {"assistant_id": id, "additional_messages": [message]}
    assert v1.post(f"/threads/{late}/runs", added).status == 200
    for thread in (run["thread_id"], late):
        [store] = stores_of(v2, f"/threads/{thread}")
        assert v2.get(f"/vector_stores/{store}").ok["expires_after"] is None


def test_what_is_not_there_is_not_found(v1: Api) -> None:
    for kind, id in (("assistant", "asst_none"), ("thread", "thread_none")):
        answer = v1.delete(f"/{kind}s/{id}")
        assert (answer.status, answer.json["error"]["message"]) == (404, f"No {kind} found with id '{id}'.")
