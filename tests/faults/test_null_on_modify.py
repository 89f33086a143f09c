"""Null in a modification: of what answers may show as null it makes null, and of anything else it says nothing."""

from __future__ import annotations

from typing import Any

import pytest

from tests.faults.conftest import Objects
from tests.support.http import Api
from tests.support.server import Server
from tests.support.talk import FUNCTION, path_of, start, until
from tests.support.waiting import eventually

SCHEMA = {"type": "json_schema", "json_schema": {"name": "s", "schema": {"type": "object"}}}
TEXTS = {"name": "N", "description": "D", "instructions": "I"}
ASSISTANT: dict[str, Any] = {
    **TEXTS,
    "model": "scripted",
    "reasoning_effort": "high",
    "tools": [FUNCTION, {"type": "code_interpreter"}],
    "metadata": {"a": "1"},
    "temperature": 0.5,
    "top_p": 0.25,
    "response_format": SCHEMA,
}
OF_V1 = {name: value for name, value in ASSISTANT.items() if name not in ("reasoning_effort", "response_format")}
NULLABLE = {*TEXTS, "reasoning_effort"}
WEEK = {"anchor": "last_active_at", "days": 7}


@pytest.fixture(params=["assistants=v2", "assistants=v1"])
def either(request: pytest.FixtureRequest, server: Server) -> Api:
    """A client of either version."""
    return Api(server.url, beta=request.param)


def changed(api: Api, path: str, change: Any) -> dict[str, Any]:
    """What a modification changes, also for whoever reads the object afterwards."""
    before = api.get(path).ok
    answer = api.post(path, change).ok
    after: dict[str, Any] = api.get(path).ok
    for name in change:
        assert answer.get(name) == after.get(name)
    return {name: value for name, value in after.items() if value != before[name]}


@pytest.mark.parametrize("name", [*ASSISTANT, "tool_resources"])
def test_an_assistant(api: Api, objects: Objects, name: str) -> None:
    resources = {"code_interpreter": {"file_ids": [objects.file_id]}}
    path = f"/assistants/{api.post('/assistants', {**ASSISTANT, 'tool_resources': resources}).ok['id']}"
    assert changed(api, path, {name: None}) == ({name: None} if name in NULLABLE else {})


@pytest.mark.parametrize("name", [*OF_V1, "file_ids"])
def test_an_assistant_of_v1(server: Server, objects: Objects, name: str) -> None:
    v1 = Api(server.url, beta="assistants=v1")
    path = f"/assistants/{v1.post('/assistants', {**OF_V1, 'file_ids': [objects.file_id]}).ok['id']}"
    assert changed(v1, path, {name: None}) == ({name: None} if name in NULLABLE else {})


def test_all_of_an_assistant_at_once(either: Api) -> None:
    """As clients do that send whatever they have."""
    path = f"/assistants/{either.post('/assistants', OF_V1).ok['id']}"
    gone = dict.fromkeys(TEXTS)
    assert changed(either, path, dict.fromkeys(OF_V1)) == gone
    assert changed(either, path, dict.fromkeys(OF_V1)) == {}
    assert changed(either, path, TEXTS) == TEXTS
    assert changed(either, path, {"description": None, "name": "M"}) == {"description": None, "name": "M"}
    assert changed(either, path, {}) == {}


def test_texts_can_be_emptied_in_words_too(either: Api) -> None:
    path = f"/assistants/{either.post('/assistants', OF_V1).ok['id']}"
    empty = dict.fromkeys(TEXTS, "")
    assert changed(either, path, empty) == empty
    store = f"/vector_stores/{either.post('/vector_stores', {'name': 'N'}).ok['id']}"
    assert changed(either, store, {"name": ""}) == {"name": ""}


def test_what_is_never_null_is_emptied_by_what_is_empty(api: Api) -> None:
    path = f"/assistants/{api.post('/assistants', ASSISTANT).ok['id']}"
    assert changed(api, path, {"tools": [], "metadata": {}}) == {"tools": [], "metadata": {}}


def test_a_new_object_takes_null_for_nothing(either: Api) -> None:
    made = either.post("/assistants", {**dict.fromkeys(OF_V1), "model": "scripted"}).ok
    assert {made[name] for name in TEXTS} == {None}
    assert (made["tools"], made["metadata"], made["temperature"]) == ([], {}, 1.0)
    assert either.post("/threads", {"metadata": None, "messages": None}).ok["metadata"] == {}


def test_threads_messages_and_runs(either: Api, assistant: str) -> None:
    run = until(either, start(either, "/say hello", assistant), "completed")
    thread = f"/threads/{run['thread_id']}"
    message = f"{thread}/messages/{either.get(thread + '/messages').ok['first_id']}"
    for path in (thread, message, path_of(run)):
        assert changed(either, path, {"metadata": {"a": "1"}}) == {"metadata": {"a": "1"}}
        assert changed(either, path, {"metadata": None}) == {}
        assert changed(either, path, {}) == {}
        assert changed(either, path, {"metadata": {}}) == {"metadata": {}}


def test_the_resources_of_a_thread(api: Api, objects: Objects) -> None:
    resources = {
        "code_interpreter": {"file_ids": [objects.file_id]},
        "file_search": {"vector_store_ids": [objects.vector_store_id]},
    }
    path = f"/threads/{api.post('/threads', {'tool_resources': resources}).ok['id']}"
    for nothing in (None, {}, {"code_interpreter": None}, {"code_interpreter": None, "file_search": None}):
        assert changed(api, path, {"tool_resources": nothing}) == {}
    emptied = {**resources, "file_search": {"vector_store_ids": []}}
    change = {"file_search": {"vector_store_ids": []}}
    assert changed(api, path, {"tool_resources": change}) == {"tool_resources": emptied}


def test_a_vector_store_and_its_files(api: Api, objects: Objects) -> None:
    new = {"name": "N", "description": "D", "expires_after": WEEK, "metadata": {"a": "1"}}
    path = f"/vector_stores/{api.post('/vector_stores', {**new, 'file_ids': [objects.file_id]}).ok['id']}"
    eventually(lambda: api.get(path).ok["status"] == "completed")
    assert changed(api, path, {"metadata": None}) == {}
    assert changed(api, path, {"name": None}) == {"name": None}
    assert changed(api, path, {"expires_after": None}) == {"expires_after": None, "expires_at": None}
    assert changed(api, path, {"metadata": {}}) == {"metadata": {}}
    file = f"{path}/files/{objects.file_id}"
    # It has to be named, so null cannot be as good as nothing.
    for nothing in (None, {}):
        assert changed(api, file, {"attributes": {"a": 1}}) == {"attributes": {"a": 1}}
        assert changed(api, file, {"attributes": nothing}) == {"attributes": {}}
