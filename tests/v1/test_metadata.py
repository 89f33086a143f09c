"""Metadata of v1: what is no text becomes one, in every object; in v2 it is refused."""

from __future__ import annotations

import json
from typing import Any

import pytest

from assistd.v1.metadata import with_texts
from tests.conformance.wiretap import Wiretap
from tests.support.errors import Error
from tests.support.http import Api
from tests.v1.asking import SKY
from tests.v1.old_sdk import OldSdk

GIVEN: dict[str, Any] = {
    "yes": True,
    "no": False,
    "null": None,
    "int": 1,
    "negative": -2,
    "float": 1.5,
    "round": 2.0,
    "large": 12345678901234567890,
    "list": [1, "a", None],
    "object": {"a": True},
    "text": "true",
    "empty": "",
}
KEPT = {
    "yes": "True",
    "no": "False",
    "null": "None",
    "int": "1",
    "negative": "-2",
    "float": "1.5",
    "round": "2.0",
    "large": "12345678901234567890",
    "list": "[1, 'a', None]",
    "object": "{'a': True}",
    "text": "true",
    "empty": "",
}
SAID = {"role": "user", "content": "hello", "metadata": GIVEN}


@pytest.fixture(scope="module")
def v2(tap: Wiretap) -> Api:
    return Api(tap.url)


@pytest.fixture
def places(v1: Api) -> dict[str, tuple[str, Any]]:
    """Where metadata can be given: paths and bodies, by the parameter's place in the body and the object."""
    assistant = v1.post("/assistants", {"model": "scripted"}).ok["id"]
    thread = v1.post("/threads", {}).ok["id"]
    message = v1.post(f"/threads/{thread}/messages", {"role": "user", "content": "x"}).ok["id"]
    run = {"assistant_id": assistant}
    return {
        "a new assistant": ("/assistants", {"model": "scripted", "metadata": GIVEN}),
        "an assistant": (f"/assistants/{assistant}", {"metadata": GIVEN}),
        "a new thread": ("/threads", {"metadata": GIVEN}),
        "a message of a new thread": ("/threads", {"messages": [SAID]}),
        "a thread": (f"/threads/{thread}", {"metadata": GIVEN}),
        "a new message": (f"/threads/{thread}/messages", SAID),
        "a message": (f"/threads/{thread}/messages/{message}", {"metadata": GIVEN}),
        "a new run": ("/threads/runs", {**run, "metadata": GIVEN}),
        "the thread of a new run": ("/threads/runs", {**run, "thread": {"metadata": GIVEN}}),
        "a message of the thread of a new run": ("/threads/runs", {**run, "thread": {"messages": [SAID]}}),
        "a further message": (f"/threads/{thread}/runs", {**run, "additional_messages": [SAID]}),
    }


PLACES = [
    *("a new assistant", "an assistant", "a new thread", "a message of a new thread", "a thread", "a new message"),
    *("a message", "a new run", "the thread of a new run", "a message of the thread of a new run"),
    "a further message",
]


@pytest.mark.parametrize("place", PLACES)
def test_what_is_no_text_becomes_one_everywhere(v1: Api, places: Any, place: str) -> None:
    path, body = places[place]
    made = v1.post(path, body).ok
    thread = made["thread_id"] if made["object"] == "thread.run" else made["id"]
    if "message of" in place or place == "a further message":
        made = next(one for one in v1.get(f"/threads/{thread}/messages").ok["data"] if one["role"] == "user")
    elif place == "the thread of a new run":
        made = v1.get(f"/threads/{thread}").ok
    assert made["metadata"] == KEPT
    assert list(made["metadata"]) == list(KEPT)


@pytest.mark.parametrize("place", PLACES)
def test_v2_refuses_it_everywhere(v2: Api, places: Any, place: str) -> None:
    path, body = places[place]
    answer = v2.post(path, body)
    error = answer.json["error"]
    assert (answer.status, error["code"]) == (400, "invalid_type")
    assert error["param"].endswith("metadata.yes")
    assert error["message"] == f"Invalid type for '{error['param']}': expected a string, but got a boolean instead."


def test_a_run_that_has_ended(v1: Api) -> None:
    assistant = v1.post("/assistants", {"model": "scripted", "instructions": "A"}).ok["id"]
    thread = v1.post("/threads", {"messages": [{"role": "user", "content": "hello"}]}).ok["id"]
    stream = {"assistant_id": assistant, "stream": True, "metadata": {"a": 1}}
    assert v1.post(f"/threads/{thread}/runs", stream).status == 200
    run = v1.get(f"/threads/{thread}/runs").ok["data"][0]
    assert run["metadata"] == {"a": "1"}
    path = f"/threads/{thread}/runs/{run['id']}"
    assert v1.post(path, {"metadata": {"modified": True}}).ok["metadata"] == {"modified": "True"}


def test_sdks_of_v1_may_send_it(november: OldSdk) -> None:
    made = november.beta.threads.create(metadata={"modified": True, "n": 3})
    assert made["metadata"] == {"modified": "True", "n": "3"}
    changed = november.beta.threads.update(made["id"], metadata={"half": 0.5})
    assert changed["metadata"] == november.beta.threads.retrieve(made["id"])["metadata"] == {"half": "0.5"}


def test_the_limits_are_those_of_texts(v1: Api) -> None:
    told = "string too long. Expected a string with maximum length 512, but got a string with length 600 instead."
    answer = v1.post("/threads", {"metadata": {"a": [1] * 200}})
    Error(400, f"Invalid 'metadata.a': {told}", "metadata.a", "string_above_max_length").check(answer)
    answer = v1.post("/threads", {"metadata": {str(n): n for n in range(17)}})
    assert answer.json["error"]["code"] == "object_above_max_properties"
    for wrong in (True, 1, "text", [{"a": 1}]):
        answer = v1.post("/threads", {"metadata": wrong})
        assert (answer.status, answer.json["error"]["param"], answer.json["error"]["code"]) == (
            *(400, "metadata"),
            "invalid_type",
        )


@pytest.mark.parametrize(
    "value",
    ['"\\u0000"', '["\\u0000"]', "[" * 100_000, "[" * 150 + "]" * 150, "[" * 900 + "]" * 900, "1e400", '"\\ud800"'],
)
def test_no_value_does_harm(v1: Api, value: str) -> None:
    answer = v1.post("/threads", f'{{"metadata": {{"a": {value}}}}}'.encode())
    assert answer.status in (200, 400), answer.body


def test_vector_stores_and_files_know_no_version(v1: Api) -> None:
    assert v1.post("/vector_stores", {"metadata": {"a": True}}).json["error"]["code"] == "invalid_type"
    assert v1.upload(SKY, "sky.txt").ok["filename"] == "sky.txt"


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{}",
        b'{"metadata": {"a": "1"},  "n": 1.0}',
        b'{"metadata": null}',
        b'{"metadata"',
        b'["metadata"]',
        b'{"tools": [{"metadata": {"a": 1}}]}',
        b'{"content": "\\"metadata\\": {\\"a\\": 1}"}',
    ],
)
def test_a_body_that_needs_no_change_stays_as_it_is(body: bytes) -> None:
    assert with_texts(body) is body


def test_only_metadata_changes() -> None:
    body = {"n": 1, "thread": {"messages": [{"metadata": {"a": 1}}, "no message"], "metadata": {"b": False}}}
    changed = json.loads(with_texts(json.dumps(body).encode()))
    assert changed == {
        "n": 1,
        "thread": {"messages": [{"metadata": {"a": "1"}}, "no message"], "metadata": {"b": "False"}},
    }
