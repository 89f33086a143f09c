"""The vector stores that v1 makes on the way: nobody is asked to delete what nobody was told of."""

from __future__ import annotations

from typing import Any

import pytest

from tests.conformance.wiretap import Wiretap
from tests.support.http import Api
from tests.support.waiting import eventually

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


@pytest.mark.parametrize("version", ["assistants=v1", "assistants=v2"])
def test_the_store_of_an_assistant_goes_with_it_and_its_files_stay(v1: Api, v2: Api, file: str, version: str) -> None:
    id = assistant(v1, file_ids=[file])
    [store] = stores_of(v2, f"/assistants/{id}")
    assert v2.get(f"/vector_stores/{store}").ok["expires_after"] is None
    deleted = v1.delete(f"/assistants/{id}", headers={"OpenAI-Beta": version}).ok
    assert deleted == {"id": id, "object": "assistant.deleted", "deleted": True}
    assert not exists(v2, store)
    assert v1.get(f"/files/{file}").status == 200
    assert v2.get(f"/vector_stores?after={store}").status == 200  # its place in the list is known


def test_a_store_that_others_use_stays_until_the_last_of_them(v1: Api, v2: Api, file: str) -> None:
    id = assistant(v1, file_ids=[file])
    [store] = stores_of(v2, f"/assistants/{id}")
    resources = {"file_search": {"vector_store_ids": [store]}}
    thread = v2.post("/threads", {"tool_resources": resources}).ok["id"]
    assert v1.delete(f"/assistants/{id}").status == 200
    assert exists(v2, store)
    assert v1.delete(f"/threads/{thread}").status == 200
    assert not exists(v2, store)


def test_a_store_that_v2_made_stays_whatever_is_in_it(v1: Api, v2: Api, file: str) -> None:
    for file_ids in ([], [file]):
        store = v2.post("/vector_stores", {"file_ids": file_ids}).ok["id"]
        resources = {"file_search": {"vector_store_ids": [store]}}
        id = v2.post("/assistants", {"model": "m", "tools": [{"type": "file_search"}], "tool_resources": resources}).ok[
            "id"
        ]
        thread = v2.post("/threads", {"tool_resources": resources}).ok["id"]
        v1.post(f"/assistants/{id}", {"file_ids": [file]}).ok  # noqa: B018
        assert v1.delete(f"/assistants/{id}").status == 200
        assert v1.delete(f"/threads/{thread}").status == 200
        assert exists(v2, store)


def test_files_of_v1_come_into_a_store_of_their_own(v1: Api, v2: Api, file: str) -> None:
    """The store of v2 may be used by others: nothing is put into it, and nothing taken out."""
    theirs = v2.post("/vector_stores", {"file_ids": [file]}).ok["id"]
    resources = {"file_search": {"vector_store_ids": [theirs]}}
    made = {"model": "m", "tools": [{"type": "file_search"}], "tool_resources": resources}
    id = v2.post("/assistants", made).ok["id"]
    more = v1.upload(b"More.", "more.txt").ok["id"]
    for linked in (file, more):
        assert v1.post(f"/assistants/{id}/files", {"file_id": linked}).status == 200
    first, own = stores_of(v2, f"/assistants/{id}")
    assert first == theirs
    assert {f["id"] for f in v2.get(f"/vector_stores/{own}/files").ok["data"]} == {file, more}
    for linked in (file, more):
        assert v1.delete(f"/assistants/{id}/files/{linked}").status == 200
    assert [f["id"] for f in v2.get(f"/vector_stores/{theirs}/files").ok["data"]] == [file]
    assert v2.get(f"/vector_stores/{own}/files").ok["data"] == []


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


# --- what v2 did in between


def waited(v1: Api, run: Any) -> Any:
    return eventually(
        lambda: now if (now := v1.get(f"/threads/{run['thread_id']}/runs/{run['id']}").ok)["completed_at"] else None
    )


def test_a_run_finds_the_files_of_its_assistant_whatever_v2_did(v1: Api, v2: Api, file: str) -> None:
    """Tools that v2 switched on, and a store that it deleted: links are the truth of v1."""
    id = assistant(v1, tools=[], file_ids=[file])
    asked = {"assistant_id": id, "thread": {"messages": [{"role": "user", "content": "Atlantis?"}]}}
    for change in range(2):
        if change:
            [store] = stores_of(v2, f"/assistants/{id}")
            assert v2.delete(f"/vector_stores/{store}").status == 200
        else:
            v2.post(f"/assistants/{id}", {"tools": [{"type": "file_search"}]}).ok  # noqa: B018
        assert stores_of(v2, f"/assistants/{id}") == []
        waited(v1, v1.post("/threads/runs", asked).ok)
        [store] = stores_of(v2, f"/assistants/{id}")
        assert [f["id"] for f in v2.get(f"/vector_stores/{store}/files").ok["data"]] == [file]


def test_a_run_with_tools_of_its_own_may_use_the_files(v1: Api, v2: Api, file: str) -> None:
    id = assistant(v1, tools=[], file_ids=[file])
    asked = {"assistant_id": id, "thread": {"messages": [{"role": "user", "content": "Atlantis?"}]}}
    waited(v1, v1.post("/threads/runs", asked).ok)
    assert v2.get(f"/assistants/{id}").ok["tool_resources"] == {}
    tools = [{"type": "retrieval"}, {"type": "code_interpreter"}]
    waited(v1, v1.post("/threads/runs", {**asked, "tools": tools}).ok)
    assert v2.get(f"/assistants/{id}").ok["tool_resources"]["code_interpreter"] == {"file_ids": [file]}
    assert len(stores_of(v2, f"/assistants/{id}")) == 1


def test_a_file_that_no_tool_can_use_any_more_is_in_nobody_s_way(v1: Api, v2: Api, file: str) -> None:
    picture = v1.upload(b"\x89PNG", "p.png").ok["id"]
    id = assistant(v1, tools=[{"type": "code_interpreter"}], file_ids=[picture, file])
    v2.post(f"/assistants/{id}", {"tools": [{"type": "file_search"}]}).ok  # noqa: B018
    more = v1.upload(b"More.", "more.txt").ok["id"]
    assert v1.post(f"/assistants/{id}/files", {"file_id": more}).status == 200
    assert v1.delete(f"/assistants/{id}/files/{file}").status == 200
    assert v1.get(f"/assistants/{id}").ok["file_ids"] == [picture, more]
    refused = v1.post(f"/assistants/{id}/files", {"file_id": v1.upload(b"GIF", "g.gif").ok["id"]})
    assert (refused.status, refused.json["error"]["code"]) == (400, "unsupported_file")
    refused = v1.post(f"/assistants/{id}", {"tools": RETRIEVAL})
    assert (refused.status, refused.json["error"]["code"]) == (400, "unsupported_file")


def test_a_thread_takes_more_than_twenty_files(v1: Api, v2: Api) -> None:
    ids = [v1.upload(b"x", f"{number}.txt").ok["id"] for number in range(25)]
    thread = v1.post("/threads").ok["id"]
    for first in (0, 10, 20):
        message = {"role": "user", "content": "look", "file_ids": ids[first : first + 10]}
        assert v1.post(f"/threads/{thread}/messages", message).status == 200
    assert v2.get(f"/threads/{thread}").ok["tool_resources"]["code_interpreter"]["file_ids"] == ids


def test_tools_sent_back_as_they_were_shown_keep_what_v1_does_not_know(v1: Api, v2: Api) -> None:
    function = {"type": "function", "function": {"name": "f", "strict": True}}
    search = {"type": "file_search", "file_search": {"max_num_results": 3}}
    made = v2.post("/assistants", {"model": "m", "tools": [function, search]}).ok
    shown = v1.get(f"/assistants/{made['id']}").ok["tools"]
    v1.post(f"/assistants/{made['id']}", {"tools": [*shown, {"type": "code_interpreter"}]}).ok  # noqa: B018
    assert v2.get(f"/assistants/{made['id']}").ok["tools"] == [*made["tools"], {"type": "code_interpreter"}]
    other = {"type": "function", "function": {"name": "f", "parameters": {"type": "object", "properties": {}}}}
    v1.post(f"/assistants/{made['id']}", {"tools": [other]}).ok  # noqa: B018
    assert v2.get(f"/assistants/{made['id']}").ok["tools"][0]["function"]["strict"] is False
