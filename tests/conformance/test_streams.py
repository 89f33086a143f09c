"""Our streams beside the recorded ones: the same events, in the same order, of the same shapes."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import AbstractContextManager
from itertools import groupby
from typing import Any

import pytest

from tests.conformance.contract import Contract
from tests.conformance.shapes import LATER, assert_joined, assert_same, joined_text, names
from tests.conformance.sse import Event, read_events, recorded
from tests.conformance.talk import NOW, OSLO, PARIS, TIME, WEATHER, script
from tests.conformance.wiretap import Wiretap
from tests.support.http import Api
from tests.support.server import Server
from tests.support.talk import path_of, until, user

RUN_WEATHER = {
    "type": "function",
    "function": {"name": "get_current_weather", "description": "Gets the user's current weather"},
}


@pytest.fixture
def api(wiretap: Wiretap) -> Api:
    return Api(wiretap.url)


# --- beside the recorded streams


def test_a_text_streams_as_recorded(api: Api) -> None:
    ours = stream_run(api, "/say Hello! How can I assist you today?")
    assert_same(ours, recorded("v2-text"))


def test_a_function_call_streams_as_recorded(api: Api) -> None:
    assistant = make_assistant(api, tools=[RUN_WEATHER])
    thread = {"messages": [user(script("/call get_current_weather {}", "/say Wear a hat."))]}
    first = stream(api, "/threads/runs", {"assistant_id": assistant, "thread": thread, "stream": True})
    assert_same(first, recorded("v2-function-1-create_thread_and_run"))

    waiting = first[-2].data
    (call,) = waiting["required_action"]["submit_tool_outputs"]["tool_calls"]
    outputs = {"tool_outputs": [{"tool_call_id": call["id"], "output": "warm and sunny"}], "stream": True}
    path = f"/threads/{waiting['thread_id']}/runs/{waiting['id']}/submit_tool_outputs"
    second = stream(api, path, outputs)
    assert_same(second, recorded("v2-function-2-submit_tool_outputs"))
    step = second[0].data["step_details"]["tool_calls"][0]
    assert (step["id"], step["function"]["output"]) == (call["id"], "warm and sunny")
    # The second stream goes on counting where the first one ended.
    assert number(second[0]) == number(first[-2]) + 1


def test_a_token_limit_streams_as_recorded(api: Api) -> None:
    ours = stream_run(
        api,
        "/tokens 40",
        assistant={"instructions": "You are a Ruby dev bot."},
        max_prompt_tokens=256,
        max_completion_tokens=16,
    )
    theirs = recorded("v2-max_tokens-2024-04-29")
    # The recording is of the days between the status and the event of its name.
    assert theirs[-2].name == "thread.run.completed"
    theirs[-2] = Event("thread.run.incomplete", theirs[-2].data)
    assert_same(ours, theirs, later=LATER)
    assert ours[-4].data["incomplete_details"] == {"reason": "max_tokens"}
    assert ours[-2].data["incomplete_details"] == {"reason": "max_completion_tokens"}


def test_the_comparison_tells_streams_apart() -> None:
    theirs = recorded("v2-text")
    assert_same(theirs, theirs)
    for spoil in (_without_an_event, _without_a_key, _with_a_key, _with_a_null, _with_another_delta, _out_of_order):
        with pytest.raises(AssertionError):
            assert_same(spoil(recorded("v2-text")), theirs)


# --- what no recording shows, as the documents have it


def test_parallel_calls_stream_with_rising_indexes(api: Api) -> None:
    events = stream_run(api, script(PARIS, OSLO, NOW), assistant={"tools": [WEATHER, TIME]})
    deltas = [event.data["delta"]["step_details"]["tool_calls"] for event in events if event.name.endswith("delta")]
    assert all(len(calls) == 1 for calls in deltas)
    indexes = [calls[0]["index"] for calls in deltas]
    assert indexes == sorted(indexes)
    joined = {}
    for index, group in groupby((calls[0] for calls in deltas), key=lambda call: call["index"]):
        first, *later = group
        assert set(first) == {"index", "id", "type", "function"}
        assert first["function"] == {"name": first["function"]["name"], "arguments": "", "output": None}
        assert all(set(call) == {"index", "type", "function"} for call in later)
        assert all(set(call["function"]) == {"arguments"} for call in later)
        joined[index] = (first["id"], first["function"]["name"], "".join(c["function"]["arguments"] for c in later))
    asked = events[-2].data["required_action"]["submit_tool_outputs"]["tool_calls"]
    assert list(joined.values()) == [
        (call["id"], call["function"]["name"], call["function"]["arguments"]) for call in asked
    ]
    assert list(joined) == [0, 1, 2]
    assert len(indexes) > 6, "arguments come in pieces"


def test_a_text_before_a_call_is_closed_before_it(api: Api) -> None:
    events = stream_run(api, script("/preamble One moment.", PARIS), assistant={"tools": [WEATHER]})
    assert names(events) == [
        *STARTED,
        *OPENED,
        "thread.message.delta",
        "thread.message.completed",
        "thread.run.step.completed",
        "thread.run.step.created",
        "thread.run.step.in_progress",
        "thread.run.step.delta",
        "thread.run.requires_action",
        "done",
    ]


def test_a_cancelled_stream_closes_what_is_open(api: Api) -> None:
    def cancel(run: Any) -> None:
        assert api.post(f"{path_of(run)}/cancel").ok["status"] == "cancelling"

    events = stream_run(api, script("/say one two three", "/stall 2"), once_it_speaks=cancel)
    assert names(events) == [
        *STARTED,
        *OPENED,
        "thread.message.delta",
        "thread.run.cancelling",
        "thread.message.incomplete",
        "thread.run.step.cancelled",
        "thread.run.cancelled",
        "done",
    ]
    message = events[-4].data
    assert message["incomplete_details"] == {"reason": "run_cancelled"}
    assert message["content"][0]["text"]["value"] == joined_text(events) == "one two "


def test_a_failed_stream_closes_what_is_open(api: Api) -> None:
    events = stream_run(api, "/fail 400 That is nonsense.")
    assert names(events) == [*STARTED, "thread.run.failed", "done"]
    assert events[-2].data["last_error"] == {"code": "invalid_prompt", "message": "That is nonsense."}


def test_a_cut_answer_is_taken_back_and_given_again(api: Api) -> None:
    events = stream_run(api, script("/say one two three", "/cut 2 x1"))
    assert names(events) == [
        *STARTED,
        *OPENED,
        "thread.message.delta",
        "thread.message.incomplete",
        "thread.run.step.failed",
        *OPENED,
        "thread.message.delta",
        "thread.message.completed",
        "thread.run.step.completed",
        "thread.run.completed",
        "done",
    ]
    run = events[-2].data
    (message,) = api.get(f"/threads/{run['thread_id']}/messages?run_id={run['id']}").ok["data"]
    assert message["content"][0]["text"]["value"] == "one two three"
    (step,) = api.get(f"{path_of(run)}/steps").ok["data"]
    assert step["step_details"]["message_creation"]["message_id"] == message["id"]


def test_an_expired_run_ends_its_stream(
    new_server: Callable[..., AbstractContextManager[Server]], contract: Contract
) -> None:
    with new_server(run_expires_seconds=1) as server, Wiretap(server.url) as tap:
        api = Api(tap.url)
        speaking = stream_run(api, script("/say one two three", "/stall 2"))
        waiting = stream_run(api, PARIS, assistant={"tools": [WEATHER]})[-2].data
        assert waiting["status"] == "requires_action"
        expired = until(api, waiting, "expired")
        replayed = read_events(api.get(f"{path_of(waiting)}/events").body)
        faults = [fault for exchange in tap.take() for fault in contract.faults(exchange)]
    assert names(speaking) == [
        *STARTED,
        *OPENED,
        "thread.message.delta",
        "thread.message.incomplete",
        "thread.run.step.expired",
        "thread.run.expired",
        "done",
    ]
    assert speaking[-4].data["incomplete_details"] == {"reason": "run_expired"}
    assert names(replayed)[-3:] == ["thread.run.step.expired", "thread.run.expired", "done"]
    assert (expired["required_action"], expired["expires_at"]) == (None, None)
    assert faults == []


# --- following and replaying


def test_a_stream_is_replayed_as_it_was(api: Api) -> None:
    assistant = make_assistant(api, tools=[WEATHER])
    thread = api.post("/threads", {"messages": [user(script(PARIS, "/tokens 30"))]}).ok
    first = api.post(f"/threads/{thread['id']}/runs", {"assistant_id": assistant, "stream": True}).body
    run = read_events(first)[-2].data
    (call,) = run["required_action"]["submit_tool_outputs"]["tool_calls"]
    outputs = {"tool_outputs": [{"tool_call_id": call["id"], "output": "warm"}], "stream": True}
    second = api.post(f"{path_of(run)}/submit_tool_outputs", outputs).body
    done = b"event: done\ndata: [DONE]\n\n"
    whole = first.removesuffix(done) + second
    assert api.get(f"{path_of(run)}/events").body == whole

    events = read_events(whole)
    for at in (0, len(events) // 2, len(events) - 2):
        rest = api.get(f"{path_of(run)}/events", headers={"Last-Event-ID": events[at].id}).body
        assert read_events(rest) == events[at + 1 :]
        assert api.get(f"{path_of(run)}/events?last_event_id={events[at].id}").body == rest
    assert api.get(f"{path_of(run)}/events", headers={"Last-Event-ID": "nonsense"}).status == 400


def test_a_run_without_a_stream_can_be_followed(api: Api) -> None:
    assistant = make_assistant(api)
    thread = {"messages": [user(script("/pace 5 5", "/tokens 20"))]}
    run = api.post("/threads/runs", {"assistant_id": assistant, "thread": thread}).ok
    events = read_events(api.get(f"{path_of(run)}/events").body)
    assert names(events)[0] == "thread.created"
    assert names(events)[-2:] == ["thread.run.completed", "done"]
    assert joined_text(events) == " ".join(f"w{n}" for n in range(20))


# --- helpers

STARTED = ["thread.run.created", "thread.run.queued", "thread.run.in_progress"]
OPENED = [
    "thread.run.step.created",
    "thread.run.step.in_progress",
    "thread.message.created",
    "thread.message.in_progress",
]


def make_assistant(api: Api, **options: Any) -> str:
    return str(api.post("/assistants", {"model": "scripted", **options}).ok["id"])


def stream(api: Api, path: str, body: Any, once_it_speaks: Callable[[Any], None] | None = None) -> list[Event]:
    """Read a stream to its end; do something else once the model has spoken."""
    received, run = b"", None
    with api.open("POST", path, body) as response:
        assert response.status == 200
        while piece := response.read1(65536):
            received += piece
            if once_it_speaks is not None and b"thread.message.delta" in received:
                run = json.loads(received.split(b"\ndata: ", 1)[1].split(b"\n", 1)[0])
                once_it_speaks(run)
                once_it_speaks = None
    events = read_events(received)
    assert events[-1] == Event("done", "[DONE]")
    assert_joined(events)
    return events


def stream_run(
    api: Api,
    content: str,
    assistant: dict[str, Any] | None = None,
    once_it_speaks: Callable[[Any], None] | None = None,
    **options: Any,
) -> list[Event]:
    """Stream a run on a new thread with one message."""
    thread = api.post("/threads", {"messages": [user(content)]}).ok
    body = {"assistant_id": make_assistant(api, **(assistant or {})), "stream": True, **options}
    return stream(api, f"/threads/{thread['id']}/runs", body, once_it_speaks)


def number(event: Event) -> int:
    """The place of an event in its run's stream."""
    assert event.id is not None
    return int(event.id.partition("-")[2])


# --- ways to spoil a stream, so that the comparison is known to notice


def _without_an_event(events: list[Event]) -> list[Event]:
    return [event for event in events if event.name != "thread.run.step.in_progress"]


def _without_a_key(events: list[Event]) -> list[Event]:
    del events[0].data["truncation_strategy"]["last_messages"]
    return events


def _with_a_key(events: list[Event]) -> list[Event]:
    events[-2].data["usage"]["more"] = 0
    return events


def _with_a_null(events: list[Event]) -> list[Event]:
    events[2].data["started_at"] = None
    return events


def _with_another_delta(events: list[Event]) -> list[Event]:
    at = next(at for at, event in enumerate(events) if event.name == "thread.message.delta") + 1
    events[at].data["delta"]["content"][0]["text"]["annotations"] = []
    return events


def _out_of_order(events: list[Event]) -> list[Event]:
    events[-3], events[-4] = events[-4], events[-3]
    return events
