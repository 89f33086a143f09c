"""Streams of v1: beside the one that was recorded, and through the event handlers of openai 1.20.0."""

from __future__ import annotations

import json
import subprocess
from itertools import groupby
from pathlib import Path
from typing import Any

import pytest

from tests.conformance.shapes import assert_joined, assert_same, joined_text, names, shape
from tests.conformance.sse import Event, read_events, recorded
from tests.conformance.wiretap import Wiretap
from tests.support.environments import python_of
from tests.support.http import Api
from tests.support.talk import path_of, until, user

STREAM_WALK = Path(__file__).with_name("stream_walk.py")
TOOLS = [{"type": "code_interpreter"}, {"type": "retrieval"}]
WEATHER = {"type": "function", "function": {"name": "get_weather", "parameters": {"type": "object"}}}
ASKED = {
    "text": "/say one two",
    "limit": "/tokens 40",
    "code": '/code "1 + 1"\n/say It is two.',
    "picture": "/code \"from PIL import Image; Image.new('RGB', (1, 1))\"\n/say Look.",
    "functions": '/call get_weather {"city": "Paris"}\n/call get_weather {"city": "Oslo"}',
    "retrieval": '/call file_search {"query": "sky"}\n/say It is blue【0:0†sky.txt】.',
}
STARTED = ["thread.run.created", "thread.run.queued", "thread.run.in_progress"]
CALLED = ["thread.run.step.created", "thread.run.step.in_progress", "thread.run.step.delta"]
SAID = [
    *("thread.run.step.created", "thread.run.step.in_progress", "thread.message.created"),
    *("thread.message.in_progress", "thread.message.delta", "thread.message.completed", "thread.run.step.completed"),
]
ENDED = ["thread.run.completed", "done"]


@pytest.fixture(scope="module")
def reader(v1: Api) -> str:
    """The id of an assistant with both tools and a file."""
    file_id = v1.upload(b"The sky is blue.", "sky.txt").ok["id"]
    return str(v1.post("/assistants", {"model": "scripted", "tools": TOOLS, "file_ids": [file_id]}).ok["id"])


# --- the bytes, for a client that does not say what it is


def test_a_token_limit_streams_as_recorded(v1: Api) -> None:
    events = stream(v1, "/tokens 40", bare(v1), max_prompt_tokens=256, max_completion_tokens=16)
    assert_same(events, recorded("v1-max_tokens"))
    run, message = events[-2].data, events[-4].data
    assert events[-2].name == "thread.run.completed"
    assert run["status"] == "completed"
    assert run["incomplete_details"] == {"reason": "max_completion_tokens"}
    assert (message["status"], message["incomplete_details"]) == ("incomplete", {"reason": "max_tokens"})
    assert v1.get(path_of(run)).ok == run, "read, it says the same"
    assert v1.get(f"/threads/{run['thread_id']}/runs").ok["data"] == [run]


def test_a_text_streams_in_the_recorded_order(v1: Api) -> None:
    events = stream(v1, "/say one two three", bare(v1))
    assert names(events) == [*STARTED, *SAID, *ENDED]
    assert joined_text(events) == "one two three"
    theirs = recorded("v1-max_tokens")
    for name in ("thread.message.created", "thread.message.in_progress", "thread.message.delta", "thread.run.created"):
        ours, recording = (next(event for event in stream if event.name == name) for stream in (events, theirs))
        left_out = frozenset({"max_completion_tokens", "max_prompt_tokens"})  # which that run had
        assert shape(ours.data, left_out) == shape(recording.data, left_out)


def test_a_refusal_streams_as_a_text(v1: Api) -> None:
    events = stream(v1, "/refusal No, I will not.", bare(v1))
    assert names(events) == [*STARTED, *SAID, *ENDED]
    assert joined_text(events) == "No, I will not."


def test_functions_stream_in_two_streams(v1: Api) -> None:
    assistant = v1.post("/assistants", {"model": "scripted", "tools": [WEATHER]}).ok["id"]
    thread = {"messages": [user(f"{ASKED['functions']}\n/say Wear a hat.")]}
    body = {"assistant_id": assistant, "thread": thread, "stream": True}
    first = as_recorded(read(v1.post("/threads/runs", body).body))
    assert names(first) == names(recorded("v2-function-1-create_thread_and_run"))
    assert list(first[0].data) == ["id", "object", "created_at", "metadata"]
    waiting = first[-2].data
    assert waiting["status"] == "requires_action"
    assert waiting["tools"] == [WEATHER | {"function": waiting["tools"][0]["function"]}]
    assert "strict" not in waiting["tools"][0]["function"]
    asked = waiting["required_action"]["submit_tool_outputs"]["tool_calls"]
    joined = {}
    for index, pieces in groupby(calls(first), key=lambda call: call["index"]):
        begun, *later = pieces
        assert begun["function"] == {"name": "get_weather", "arguments": "", "output": None}
        assert {(*call, *call["function"]) for call in later} == {("index", "type", "function", "arguments")}
        joined[index] = (begun["id"], "".join(call["function"]["arguments"] for call in later))
    assert list(joined) == [0, 1]
    assert list(joined.values()) == [(call["id"], call["function"]["arguments"]) for call in asked]

    outputs = [{"tool_call_id": call["id"], "output": f"warm {at}"} for at, call in enumerate(asked)]
    body = {"tool_outputs": outputs, "stream": True}
    second = as_recorded(read(v1.post(f"{path_of(waiting)}/submit_tool_outputs", body).body))
    assert names(second) == names(recorded("v2-function-2-submit_tool_outputs"))
    assert [call["function"]["output"] for call in second[0].data["step_details"]["tool_calls"]] == ["warm 0", "warm 1"]
    assert joined_text(second) == "Wear a hat."


def test_code_streams_with_its_outputs(v1: Api, reader: str) -> None:
    events = stream(v1, ASKED["code"], reader)
    assert names(events) == [*STARTED, *CALLED, "thread.run.step.completed", *SAID, *ENDED]
    assert names(events) == names(recorded("v2-code_interpreter"))
    begun, *pieces = calls(events)
    assert (list(begun), begun["code_interpreter"]) == (
        ["index", "id", "type", "code_interpreter"],
        {"input": "", "outputs": []},
    )
    assert "".join(call["code_interpreter"].get("input", "") for call in pieces) == "1 + 1"
    outputs = [output for call in pieces for output in call["code_interpreter"].get("outputs", [])]
    assert outputs == [{"index": 0, "type": "logs", "logs": "2"}]
    (call,) = done(events, "tool_calls")["tool_calls"]
    assert call["code_interpreter"] == {"input": "1 + 1", "outputs": [{"type": "logs", "logs": "2"}]}
    assert joined_text(events) == "It is two."


def test_retrieval_streams_without_what_it_found(v1: Api, reader: str) -> None:
    events = stream(v1, ASKED["retrieval"], reader)
    assert names(events) == [*STARTED, *CALLED, "thread.run.step.completed", *SAID, *ENDED]
    assert names(events) == names(recorded("v2-file_search"))
    (call,) = calls(events)
    assert call == {"index": 0, "id": call["id"], "type": "retrieval", "retrieval": {}}
    assert done(events, "tool_calls")["tool_calls"] == [{"id": call["id"], "type": "retrieval", "retrieval": {}}]
    assert b"file_search" not in json.dumps([event.data for event in events]).encode()
    (final,) = (event.data["content"] for event in events if event.name == "thread.message.completed")
    (cited,) = final[0]["text"]["annotations"]
    assert list(cited) == ["type", "text", "start_index", "end_index", "file_citation"]
    assert cited["file_citation"] == {"file_id": events[0].data["file_ids"][0], "quote": "The sky is blue."}
    assert final[0]["text"]["value"][cited["start_index"] : cited["end_index"]] == cited["text"]
    told = [
        annotation
        for event in events
        if event.name == "thread.message.delta"
        for part in event.data["delta"]["content"]
        for annotation in part["text"].get("annotations", [])
    ]
    assert told == [{"index": 0, **cited}]


def test_a_run_can_be_followed_and_gone_on_with(v1: Api) -> None:
    events = stream(v1, "/say one two three", bare(v1))
    path = f"{path_of(events[0].data)}/events"
    replayed = v1.get(path).body
    assert [(event.name, event.data) for event in read(replayed)] == [(event.name, event.data) for event in events]
    rest = read_events(v1.get(path, headers={"Last-Event-ID": str(events[4].id)}).body)
    assert [(event.name, event.data) for event in rest] == [(event.name, event.data) for event in events[5:]]


def test_a_cancelled_and_a_failed_stream_end_as_v1_ended(v1: Api) -> None:
    failed = stream(v1, "/fail 400 That is nonsense.", bare(v1))
    assert names(failed) == [*STARTED, "thread.run.failed", "done"]
    assert failed[-2].data["last_error"]["message"] == "That is nonsense."
    run = v1.post("/threads/runs", {"assistant_id": bare(v1), "thread": {"messages": [user("/stall 0")]}}).ok
    assert v1.post(f"{path_of(run)}/cancel").ok["status"] == "cancelling"
    until(v1, run, "cancelled")
    assert names(read(v1.get(f"{path_of(run)}/events").body))[-2:] == ["thread.run.cancelled", "done"]


# --- what the SDKs of the years between are sent

FIRST = {
    "thread.run": {
        *("id", "object", "created_at", "assistant_id", "thread_id", "status", "started_at", "expires_at"),
        *("cancelled_at", "failed_at", "completed_at", "last_error", "model", "instructions", "tools", "file_ids"),
        *("metadata", "required_action"),
    },
    "thread.message": {
        *("id", "object", "created_at", "assistant_id", "thread_id", "run_id", "role", "content", "file_ids"),
        "metadata",
    },
    "assistant": {
        *("id", "object", "created_at", "name", "description", "model", "instructions", "tools", "file_ids"),
        "metadata",
    },
    "thread.run.step": {
        *("id", "object", "created_at", "run_id", "assistant_id", "thread_id", "type", "status", "cancelled_at"),
        *("completed_at", "expires_at", "failed_at", "last_error", "step_details", "expired_at", "metadata"),
    },
}
USAGE = {"thread.run": {"usage"}, "thread.run.step": {"usage"}}
STATUS = {"thread.message": {"status", "incomplete_details", "incomplete_at", "completed_at"}}
TEMPERATURE = {"thread.run": {"temperature"}}
LIMITS = {
    "thread.run": {
        *("incomplete_details", "max_completion_tokens", "max_prompt_tokens", "truncation_strategy", "tool_choice"),
        *("response_format", "top_p"),
    },
    "assistant": {"temperature", "top_p", "response_format"},
}
TIMES = [
    ("python", "1.2.3", []),
    ("python", "1.8.0", []),
    ("python", "1.9.0", [USAGE]),
    ("python", "1.13.4", [USAGE]),
    ("python", "1.14.0", [USAGE, STATUS]),
    ("python", "1.15.0", [USAGE, STATUS]),
    ("python", "1.16.0", [USAGE, STATUS, TEMPERATURE]),
    ("python", "1.17.1", [USAGE, STATUS, TEMPERATURE]),
    ("python", "1.18.0", [USAGE, STATUS, TEMPERATURE, LIMITS]),
    ("python", "1.20.0", [USAGE, STATUS, TEMPERATURE, LIMITS]),
    ("js", "4.24.7", []),
    ("js", "4.25.0", [USAGE]),
    ("js", "4.28.5", [USAGE]),
    ("js", "4.29.0", [USAGE, STATUS]),
    ("js", "4.30.0", [USAGE, STATUS]),
    ("js", "4.31.0", [USAGE, STATUS, TEMPERATURE]),
    ("js", "4.33.0", [USAGE, STATUS, TEMPERATURE]),
    ("js", "4.34.0", [USAGE, STATUS, TEMPERATURE, LIMITS]),
    ("js", "4.36.0", [USAGE, STATUS, TEMPERATURE, LIMITS]),
    ("", "", [USAGE, STATUS, TEMPERATURE, LIMITS]),
]


@pytest.mark.parametrize(("language", "version", "added"), TIMES)
def test_an_sdk_is_sent_what_its_types_have(v1: Api, language: str, version: str, added: list[Any]) -> None:
    expected = {kind: keys.union(*(more.get(kind, ()) for more in added)) for kind, keys in FIRST.items()}
    said = {"X-Stainless-Lang": language, "X-Stainless-Package-Version": version} if language else {}
    assistant = v1.post("/assistants", {"model": "scripted"}, headers=said).ok
    body = {"assistant_id": assistant["id"], "stream": True}
    body["thread"] = {"messages": [user("/say one two")]}
    events = read(v1.post("/threads/runs", body, headers=said).body)
    path = path_of(events[1].data)
    shown = [
        assistant,
        *(event.data for event in events if event.name != "done"),
        v1.get(path, headers=said).ok,
        *v1.get(f"{path}/steps", headers=said).ok["data"],
        *v1.get(f"{path.rpartition('/runs')[0]}/messages", headers=said).ok["data"],
    ]
    optional = {"thread.run.step": {"expired_at", "metadata"}, "thread.run": set()}
    if USAGE not in added:  # the wire of then had it only where it said something
        optional["thread.run"] = {"required_action"}
    seen = set()
    for printed in shown:
        if printed["object"] in expected:
            kind = printed["object"]
            seen.add(kind)
            missing = expected[kind] - set(printed)
            assert missing <= optional.get(kind, set())
            assert set(printed) <= expected[kind]
            usage = printed.get("usage")
            assert usage is None or list(usage) == ["prompt_tokens", "completion_tokens", "total_tokens"]
    assert seen == set(expected)


# --- through the SDK


@pytest.fixture(scope="module")
def saw(tap: Wiretap) -> Any:
    """What the handlers of openai 1.20.0 saw."""
    done = subprocess.run(
        [str(python_of("openai-1.20.0")), str(STREAM_WALK), tap.url],
        input=json.dumps(ASKED),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


TEXT_CALLBACKS = [
    *("run_step_created", "message_created", "text_created", "text_delta", "message_delta", "text_delta"),
    *("message_delta", "text_done", "message_done", "run_step_done", "end"),
]


def test_the_handler_gets_through_a_text(saw: Any) -> None:
    for walk in (saw["text"], saw["asynchronously"]):
        assert walk["run"]["status"] == "completed"
        assert texts(walk["messages"]) == ["one two"]
        assert walk["called"] == TEXT_CALLBACKS
        expected = [*STARTED, *SAID, *ENDED[:1]]
        expected.insert(expected.index("thread.message.delta"), "thread.message.delta")
        assert walk["events"] == expected
    assert saw["text"]["text"] == "one two"
    events = [event["event"] for event in saw["events"]]
    assert events == saw["text"]["events"]


def test_the_handler_gets_through_a_token_limit(saw: Any) -> None:
    limit = saw["limit"]
    assert (limit["run"]["status"], limit["run"]["incomplete_details"]) == (
        "completed",
        {"reason": "max_completion_tokens"},
    )
    (message,) = limit["messages"]
    assert (message["status"], message["incomplete_details"]) == ("incomplete", {"reason": "max_tokens"})
    assert texts([message]) == [limit["text"]]
    assert limit["events"][-3:] == ["thread.message.incomplete", "thread.run.step.completed", "thread.run.completed"]


def test_the_handler_gets_through_code(saw: Any) -> None:
    code = saw["code"]
    (call,) = code["steps"][0]["step_details"]["tool_calls"]
    assert call["code_interpreter"]["input"] == "1 + 1"
    assert [output["logs"] for output in call["code_interpreter"]["outputs"]] == ["2"]
    assert texts(code["messages"]) == [code["text"]] == ["It is two."]
    assert {"tool_call_created", "tool_call_delta", "tool_call_done", "run_step_delta"} <= set(code["called"])
    assert code["called"][-1] == "end"

    picture = saw["picture"]
    (call,) = picture["steps"][0]["step_details"]["tool_calls"]
    (output,) = call["code_interpreter"]["outputs"]
    (message,) = picture["messages"]
    shown, said = message["content"]
    assert shown == {"image_file": {"file_id": output["image"]["file_id"]}, "type": "image_file"}
    assert said["text"]["value"] == picture["text"] == "Look."
    assert "image_file_done" in picture["called"]


def test_the_handler_gets_through_functions(saw: Any) -> None:
    first, second = saw["functions"]["first"], saw["functions"]["second"]
    assert first["events"][0] == "thread.created"
    calls = first["run"]["required_action"]["submit_tool_outputs"]["tool_calls"]
    assert [json.loads(call["function"]["arguments"]) for call in calls] == [{"city": "Paris"}, {"city": "Oslo"}]
    built = first["steps"][0]["step_details"]["tool_calls"]
    assert [(call["id"], call["function"]["arguments"]) for call in built] == [
        (call["id"], call["function"]["arguments"]) for call in calls
    ]
    assert first["called"].count("tool_call_created") == first["called"].count("tool_call_done") == 2
    assert second["events"][0] == "thread.run.step.completed"
    assert second["run"]["status"] == "completed"
    assert texts(second["messages"]) == [second["text"]] == ["RESULT: warm 0 | warm 1"]


def test_the_handler_gets_through_retrieval(saw: Any) -> None:
    retrieval = saw["retrieval"]
    (call,) = retrieval["steps"][0]["step_details"]["tool_calls"]
    assert (call["type"], call["retrieval"]) == ("retrieval", {})
    assert retrieval["run"]["file_ids"] == [saw["file"]]
    (message,) = retrieval["messages"]
    assert texts([message]) == [retrieval["text"]]
    (cited,) = message["content"][0]["text"]["annotations"]
    assert cited["file_citation"] == {"file_id": saw["file"], "quote": "The sky is blue."}


# --- helpers


def bare(api: Api) -> str:
    return str(api.post("/assistants", {"model": "scripted"}).ok["id"])


def stream(api: Api, content: str, assistant_id: str, **options: Any) -> list[Event]:
    """Stream a run on a new thread with one message."""
    thread = api.post("/threads", {"messages": [user(content)]}).ok
    answer = api.post(f"/threads/{thread['id']}/runs", {"assistant_id": assistant_id, "stream": True, **options})
    assert answer.headers["content-type"] == "text/event-stream; charset=utf-8"
    return as_recorded(read(answer.body))


def read(body: bytes) -> list[Event]:
    """Read a stream to its end; its deltas must join."""
    events = read_events(body)
    assert events[-1] == Event("done", "[DONE]")
    assert_joined(events)
    return events


def as_recorded(events: list[Event]) -> list[Event]:
    """Every object must have the fields that it has in the recorded stream, no more and no less."""
    known = {event.data["object"]: set(event.data) for event in recorded("v1-max_tokens") if event.name != "done"}
    for event in events[:-1]:
        kind = event.data["object"]
        assert set(event.data) == known.get(kind, set(event.data)), kind
    return events


def calls(events: list[Event]) -> list[Any]:
    """The pieces of tool calls, as they came."""
    deltas = [event.data["delta"]["step_details"] for event in events if event.name == "thread.run.step.delta"]
    return [call for details in deltas for call in details["tool_calls"]]


def done(events: list[Event], kind: str) -> Any:
    """The details of the step of a kind that was completed."""
    (details,) = (
        event.data["step_details"]
        for event in events
        if event.name == "thread.run.step.completed" and event.data["type"] == kind
    )
    return details


def texts(messages: list[Any]) -> list[str]:
    return [part["text"]["value"] for message in messages for part in message["content"] if part["type"] == "text"]
