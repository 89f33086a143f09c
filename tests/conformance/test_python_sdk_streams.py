"""The newest Python SDK's stream helpers: every callback of an event handler, and what it accumulates."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

import openai
import pytest
from httpx2 import ReadTimeout, Timeout
from openai import AssistantEventHandler, AsyncAssistantEventHandler
from openai.types.beta.threads import Message, Run

from tests.conformance.contract import Contract
from tests.conformance.sse import read_events
from tests.conformance.talk import OSLO, PARIS, TIME, WEATHER, Walk, outputs_for, script, text_of
from tests.conformance.wiretap import Wiretap
from tests.support.http import Api
from tests.support.server import Server

CALLBACKS = [name for name in vars(AssistantEventHandler) if name.startswith("on_")]


class Diary(AssistantEventHandler):
    """Writes down which callbacks were called, in order, and what with."""

    def __init__(self) -> None:
        super().__init__()
        self.entries: list[tuple[str, tuple[Any, ...]]] = []

    def called(self, *names: str) -> list[str]:
        """The names of the callbacks, without `on_`; of those that are asked for, else of all but `event`."""
        called = [name.removeprefix("on_") for name, _ in self.entries]
        return [name for name in called if (name in names if names else name != "event")]

    def given(self, name: str) -> list[Any]:
        """What the callback of this name was called with first, each time."""
        return [arguments[0] for called, arguments in self.entries if called == f"on_{name}"]


class AsyncDiary(AsyncAssistantEventHandler):
    """The same for the asynchronous client."""

    def __init__(self) -> None:
        super().__init__()
        self.entries: list[str] = []


def _note(name: str) -> Callable[..., None]:
    def note(self: Diary, *arguments: Any) -> None:
        copied = tuple(item.model_copy(deep=True) if hasattr(item, "model_copy") else item for item in arguments)
        self.entries.append((name, copied))

    return note


def _note_async(name: str) -> Callable[..., Any]:
    async def note(self: AsyncDiary, *_: Any) -> None:
        self.entries.append(name.removeprefix("on_"))

    return note


for _name in CALLBACKS:
    setattr(Diary, _name, _note(_name))
    setattr(AsyncDiary, _name, _note_async(_name))

TEXT = [
    "run_step_created",
    "message_created",
    *("text_created", "text_delta", "message_delta"),
    *("text_delta", "message_delta"),
    "text_done",
    "message_done",
    "run_step_done",
    "end",
]


@pytest.fixture
def walk(client: openai.OpenAI) -> Walk:
    return Walk(client, tools=[WEATHER, TIME])


def test_a_streamed_text_calls_back(walk: Walk) -> None:
    diary = Diary()
    thread = walk.thread("/say one two")
    with walk.client.beta.threads.runs.stream(
        thread_id=thread.id, assistant_id=walk.assistant.id, event_handler=diary
    ) as stream:
        stream.until_done()
    assert diary.called() == TEXT
    assert [event.event for event in diary.given("event")] == [
        "thread.run.created",
        "thread.run.queued",
        "thread.run.in_progress",
        "thread.run.step.created",
        "thread.run.step.in_progress",
        "thread.message.created",
        "thread.message.in_progress",
        "thread.message.delta",
        "thread.message.delta",
        "thread.message.completed",
        "thread.run.step.completed",
        "thread.run.completed",
    ]
    assert [delta.value for delta in diary.given("text_delta")] == ["one ", "two"]
    assert [snapshot.value for name, (_, snapshot) in _pairs(diary, "text_delta")] == ["one ", "one two"]
    assert [text.value for text in diary.given("text_done")] == ["one two"]
    (message,) = diary.given("message_done")
    assert text_of(message) == "one two"
    _same_as_read(walk, stream.get_final_run(), stream.get_final_messages())


def test_a_stream_may_be_iterated_by_text_or_by_event(walk: Walk) -> None:
    runs = walk.client.beta.threads.runs
    thread = walk.thread("/tokens 200")
    with runs.stream(thread_id=thread.id, assistant_id=walk.assistant.id) as stream:
        deltas = list(stream.text_deltas)
    assert len(deltas) == 200
    (message,) = stream.get_final_messages()
    assert "".join(deltas) == text_of(message) == " ".join(f"w{n}" for n in range(200))
    raw = runs.create(thread.id, assistant_id=walk.assistant.id, stream=True)
    names = [event.event for event in raw]
    assert names[0] == "thread.run.created"
    assert names[-1] == "thread.run.completed"


def test_streamed_calls_call_back_and_the_next_stream_goes_on(walk: Walk) -> None:
    diary = Diary()
    thread = walk.thread(script(PARIS, OSLO, "/say one two"))
    with walk.client.beta.threads.runs.stream(
        thread_id=thread.id, assistant_id=walk.assistant.id, event_handler=diary
    ) as stream:
        waiting = stream.get_final_run()
    assert waiting.status == "requires_action"
    called = diary.called()
    assert called[:3] == ["run_step_created", "tool_call_created", "run_step_delta"]
    assert called[-2:] == ["tool_call_done", "end"]
    assert diary.called("tool_call_created", "tool_call_done") == ["tool_call_created", "tool_call_done"] * 2
    # Arguments come in pieces, and join to the call that the run then waits for.
    assert len(diary.given("tool_call_delta")) > 4
    assert waiting.required_action is not None
    asked = waiting.required_action.submit_tool_outputs.tool_calls
    done = diary.given("tool_call_done")
    assert [call.id for call in done] == [call.id for call in asked]
    assert [call.function.arguments for call in done] == [call.function.arguments for call in asked]
    assert [json.loads(call.function.arguments)["city"] for call in asked] == ["Paris", "Oslo"]

    second = Diary()
    with walk.client.beta.threads.runs.submit_tool_outputs_stream(
        run_id=waiting.id,
        thread_id=thread.id,
        tool_outputs=outputs_for(waiting, "warm", "cold"),
        event_handler=second,
    ) as stream:
        stream.until_done()
    assert second.called() == ["run_step_done", *TEXT]
    assert [event.event for event in second.given("event")][:3] == [
        "thread.run.step.completed",
        "thread.run.queued",
        "thread.run.in_progress",
    ]
    outputs = second.given("run_step_done")[0].step_details.tool_calls
    assert [call.function.output for call in outputs] == ["warm", "cold"]
    _same_as_read(walk, stream.get_final_run(), stream.get_final_messages())


def test_a_streamed_text_before_a_call_is_closed_before_the_call(walk: Walk) -> None:
    diary = Diary()
    thread = walk.thread(script("/preamble Let me", PARIS))
    with walk.client.beta.threads.runs.stream(
        thread_id=thread.id, assistant_id=walk.assistant.id, event_handler=diary
    ) as stream:
        stream.until_done()
    assert diary.called("run_step_created", "message_done", "run_step_done", "tool_call_created") == [
        "run_step_created",
        "message_done",
        "run_step_done",
        "run_step_created",
        "tool_call_created",
    ]
    assert [text_of(message) for message in stream.get_final_messages()] == ["Let me"]
    assert [step.type for step in stream.get_final_run_steps()] == ["message_creation", "tool_calls"]


def test_create_and_run_stream_begins_with_its_thread(walk: Walk) -> None:
    diary = Diary()
    with walk.client.beta.threads.create_and_run_stream(
        assistant_id=walk.assistant.id,
        thread={"messages": [{"role": "user", "content": "/say one two"}], "metadata": {"a": "1"}},
        event_handler=diary,
    ) as stream:
        run = stream.get_final_run()
    first = diary.given("event")[0]
    assert (first.event, first.data.id, first.data.metadata) == ("thread.created", run.thread_id, {"a": "1"})
    assert diary.called() == TEXT
    raw = walk.client.beta.threads.create_and_run(
        assistant_id=walk.assistant.id, thread={"messages": [{"role": "user", "content": "x"}]}, stream=True
    )
    assert [event.event for event in raw][:2] == ["thread.created", "thread.run.created"]


def test_a_refusal_streams_as_a_refusal(walk: Walk) -> None:
    thread = walk.thread("/refusal I will not.")
    with walk.client.beta.threads.runs.stream(thread_id=thread.id, assistant_id=walk.assistant.id) as stream:
        run = stream.get_final_run()
        (message,) = stream.get_final_messages()
    assert run.status == "completed"
    assert message.content[0].to_dict() == {"type": "refusal", "refusal": "I will not."}
    (read,) = walk.client.beta.threads.messages.list(thread.id, run_id=run.id).data
    assert read.content == message.content


def test_a_failed_run_ends_its_stream(walk: Walk) -> None:
    thread = walk.thread("/fail 400 nonsense")
    with walk.client.beta.threads.runs.stream(thread_id=thread.id, assistant_id=walk.assistant.id) as stream:
        names = [event.event for event in stream]
        run = stream.get_final_run()
    assert names[-1] == "thread.run.failed"
    assert run.last_error is not None
    assert (run.last_error.code, run.last_error.message) == ("invalid_prompt", "nonsense")


def test_a_client_that_hangs_up_or_times_out_changes_nothing(walk: Walk) -> None:
    runs = walk.client.beta.threads.runs
    diary = Diary()
    thread = walk.thread(script("/say one two", "/stall 1"))
    with (
        pytest.raises(ReadTimeout),
        runs.stream(
            thread_id=thread.id,
            assistant_id=walk.assistant.id,
            event_handler=diary,
            timeout=Timeout(30, read=2),
        ) as stream,
    ):
        stream.until_done()
    assert diary.called("text_delta", "timeout", "exception", "end") == ["text_delta", "timeout", "exception", "end"]
    run = stream.current_run
    assert run is not None
    assert runs.retrieve(run.id, thread_id=thread.id).status == "in_progress"
    runs.cancel(run.id, thread_id=thread.id)

    other = walk.thread("/pace 10 5\n/tokens 20")
    with runs.stream(thread_id=other.id, assistant_id=walk.assistant.id) as stream:
        next(iter(stream.text_deltas))
        left = stream.current_run
    assert left is not None
    done = runs.poll(left.id, thread_id=other.id, poll_interval_ms=20)
    assert walk.answer(done).split() == [f"w{n}" for n in range(20)]


def test_a_server_that_stops_says_so_in_an_error_event(
    new_server: Callable[..., AbstractContextManager[Server]], contract: Contract
) -> None:
    diary = Diary()
    with new_server() as server, Wiretap(server.url) as tap:
        with openai.OpenAI(base_url=tap.url, api_key="sk-x", max_retries=0) as client:
            walk = Walk(client)
            thread = walk.thread(script("/say one two", "/stall 1"))
            with walk.client.beta.threads.runs.stream(
                thread_id=thread.id, assistant_id=walk.assistant.id, event_handler=diary
            ) as stream:
                next(iter(stream.text_deltas))
                run = stream.current_run
                assert run is not None
                # Another follower, which unlike the SDK reads on after an error.
                with Api(tap.url).open("GET", f"/threads/{thread.id}/runs/{run.id}/events") as followed:
                    followed.read(100)
                    server.process.terminate()
                    rest = followed.read()
                with pytest.raises(openai.APIError, match="shutting down") as stopped:
                    stream.until_done()
        assert server.process.wait(30) == 0
        exchanges = tap.take()
    assert stopped.value.type == "server_error"
    assert diary.called("exception", "end") == ["exception", "end"]
    assert [event.name for event in read_events(rest[rest.index(b"\n\n") + 2 :])][-2:] == ["error", "done"]
    assert [fault for exchange in exchanges for fault in contract.faults(exchange)] == []


async def test_the_asynchronous_client_streams_too(async_client: openai.AsyncOpenAI) -> None:
    beta = async_client.beta
    assistant = await beta.assistants.create(model="scripted", tools=[WEATHER])
    thread = await beta.threads.create(messages=[{"role": "user", "content": script(PARIS, "/say one two")}])
    first, second = AsyncDiary(), AsyncDiary()
    async with beta.threads.runs.stream(thread_id=thread.id, assistant_id=assistant.id, event_handler=first) as stream:
        waiting = await stream.get_final_run()
    assert [name for name in first.entries if name in ("tool_call_created", "tool_call_done", "end")] == [
        "tool_call_created",
        "tool_call_done",
        "end",
    ]
    async with beta.threads.runs.submit_tool_outputs_stream(
        run_id=waiting.id,
        thread_id=thread.id,
        tool_outputs=outputs_for(waiting, "warm"),
        event_handler=second,
    ) as stream:
        await stream.until_done()
    assert [name for name in second.entries if name != "event"] == ["run_step_done", *TEXT]
    async with beta.threads.create_and_run_stream(
        assistant_id=assistant.id, thread={"messages": [{"role": "user", "content": "/say one two"}]}
    ) as stream:
        assert [delta async for delta in stream.text_deltas] == ["one ", "two"]


def _pairs(diary: Diary, name: str) -> list[tuple[str, tuple[Any, ...]]]:
    return [entry for entry in diary.entries if entry[0] == f"on_{name}"]


def _same_as_read(walk: Walk, run: Run, messages: list[Message]) -> None:
    """What a stream ended with must be what reading says afterwards."""
    read = walk.client.beta.threads.runs.retrieve(run.id, thread_id=run.thread_id)
    # A run's resources are shown in two ways: bare when read, and with the interpreter's when streamed.
    assert {**read.to_dict(), "tool_resources": None} == {**run.to_dict(), "tool_resources": None}
    stored = walk.client.beta.threads.messages.list(run.thread_id, run_id=run.id, order="asc").data
    assert [message.to_dict() for message in stored] == [message.to_dict() for message in messages]
