"""The newest Python SDK's helpers for runs: polling, tools in several rounds, steps, changes, and the async client."""

from __future__ import annotations

import json

import openai
import pytest
from openai.types.beta.threads import Run

from tests.conformance.talk import NOW, OSLO, PARIS, POLL, TIME, WEATHER, Walk, outputs_for, script, text_of


@pytest.fixture
def walk(client: openai.OpenAI) -> Walk:
    return Walk(client, tools=[WEATHER, TIME])


def test_a_run_is_queued_at_once_and_completes(walk: Walk) -> None:
    runs = walk.client.beta.threads.runs
    thread = walk.thread("hello")
    made = runs.create(thread.id, assistant_id=walk.assistant.id)
    assert (made.status, made.object, made.started_at, made.usage) == ("queued", "thread.run", None, None)
    assert made.expires_at == made.created_at + 600
    assert (made.completed_at, made.failed_at, made.cancelled_at, made.required_action) == (None, None, None, None)
    assert (made.model, made.instructions) == ("scripted", None)
    assert [tool.to_dict() for tool in made.tools] == [tool.to_dict() for tool in walk.assistant.tools]
    done = runs.poll(made.id, thread_id=thread.id, poll_interval_ms=POLL)
    assert (done.status, done.expires_at, done.last_error) == ("completed", None, None)
    assert done.started_at is not None
    assert done.completed_at is not None
    assert made.created_at <= done.started_at <= done.completed_at
    assert walk.answer(done) == "echo: hello"
    assert runs.retrieve(made.id, thread_id=thread.id) == done


def test_the_defaults_of_a_run_are_shown(walk: Walk) -> None:
    run = walk.run(walk.thread("hello"))
    shown = run.to_dict()
    expected = {
        "temperature": 1.0,
        "top_p": 1.0,
        "tool_choice": "auto",
        "response_format": "auto",
        "parallel_tool_calls": True,
        "truncation_strategy": {"type": "auto", "last_messages": None},
        "max_prompt_tokens": None,
        "max_completion_tokens": None,
        "incomplete_details": None,
        "metadata": {},
        "tool_resources": {},
    }
    assert {key: shown[key] for key in expected} == expected


def test_create_and_run_poll_makes_its_thread(walk: Walk) -> None:
    run = walk.client.beta.threads.create_and_run_poll(
        assistant_id=walk.assistant.id,
        thread={"messages": [{"role": "user", "content": "hello"}], "metadata": {"of": "thread"}},
        metadata={"of": "run"},
        poll_interval_ms=POLL,
    )
    assert walk.answer(run) == "echo: hello"
    assert run.metadata == {"of": "run"}
    assert walk.client.beta.threads.retrieve(run.thread_id).metadata == {"of": "thread"}


def test_create_and_run_answers_at_once(walk: Walk) -> None:
    file_id = walk.client.files.create(file=("a.csv", b"a,b"), purpose="assistants").id
    made = walk.client.beta.threads.create_and_run(
        assistant_id=walk.assistant.id,
        thread={"messages": [{"role": "user", "content": "hello"}]},
        tool_resources={"code_interpreter": {"file_ids": [file_id]}},
    )
    assert made.status == "queued"
    assert made.to_dict()["tool_resources"] == {"code_interpreter": {"file_ids": [file_id]}}
    done = walk.client.beta.threads.runs.poll(made.id, thread_id=made.thread_id, poll_interval_ms=POLL)
    assert walk.answer(done) == "echo: hello"


# --- tools


def test_a_run_waits_for_tool_outputs_and_goes_on_with_them(walk: Walk) -> None:
    runs = walk.client.beta.threads.runs
    thread = walk.thread(script(PARIS, "/say It is warm."))
    waiting = walk.run(thread)
    assert waiting.status == "requires_action"
    assert (waiting.usage, waiting.completed_at) == (None, None)
    assert waiting.expires_at == waiting.created_at + 600
    assert waiting.required_action is not None
    (call,) = waiting.required_action.submit_tool_outputs.tool_calls
    assert call.id.startswith("call_")
    assert (call.type, call.function.name) == ("function", "get_weather")
    assert json.loads(call.function.arguments) == {"city": "Paris", "unit": "c"}
    (step,) = walk.steps(waiting)
    assert (step.status, step.type, step.completed_at) == ("in_progress", "tool_calls", None)
    assert step.step_details.tool_calls[0].function.output is None

    queued = runs.submit_tool_outputs(waiting.id, thread_id=thread.id, tool_outputs=outputs_for(waiting, "25 C"))
    assert (queued.id, queued.status, queued.required_action) == (waiting.id, "queued", None)
    assert (queued.started_at, queued.expires_at) == (waiting.started_at, waiting.expires_at)
    done = runs.poll(waiting.id, thread_id=thread.id, poll_interval_ms=POLL)
    assert walk.answer(done) == "It is warm."
    called, spoke = walk.steps(done)
    assert (called.status, spoke.status) == ("completed", "completed")
    assert called.step_details.tool_calls[0].function.output == "25 C"
    assert called.step_details.tool_calls[0].id == call.id
    assert spoke.type == "message_creation"
    (message,) = walk.client.beta.threads.messages.list(thread.id, run_id=done.id).data
    assert spoke.step_details.message_creation.message_id == message.id


def test_parallel_calls_stand_in_one_step(walk: Walk) -> None:
    waiting = walk.run(walk.thread(script(PARIS, OSLO, NOW)))
    assert waiting.required_action is not None
    calls = waiting.required_action.submit_tool_outputs.tool_calls
    assert [call.function.name for call in calls] == ["get_weather", "get_weather", "get_time"]
    assert len({call.id for call in calls}) == 3
    done = walk.submit(waiting, "warm", "cold", "noon")
    assert walk.answer(done) == "RESULT: warm | cold | noon"
    called, _ = walk.steps(done)
    assert [call.function.output for call in called.step_details.tool_calls] == ["warm", "cold", "noon"]


def test_outputs_may_come_in_any_order_but_must_be_all(walk: Walk) -> None:
    runs = walk.client.beta.threads.runs
    waiting = walk.run(walk.thread(script(PARIS, OSLO)))
    outputs = outputs_for(waiting, "warm", "cold")
    ids = [output["tool_call_id"] for output in outputs]
    for wrong in (outputs[:1], [*outputs, outputs[0]], [outputs[0], {"tool_call_id": "call_x", "output": ""}], []):
        got = [output["tool_call_id"] for output in wrong]
        with pytest.raises(openai.BadRequestError) as refused:
            runs.submit_tool_outputs(waiting.id, thread_id=waiting.thread_id, tool_outputs=wrong)
        assert f"Expected tool outputs for call_ids {ids}, got {got}" in refused.value.message
    done = runs.submit_tool_outputs_and_poll(
        run_id=waiting.id, thread_id=waiting.thread_id, tool_outputs=outputs[::-1], poll_interval_ms=POLL
    )
    assert walk.answer(done) == "RESULT: warm | cold"
    with pytest.raises(openai.BadRequestError, match='Runs in status "completed" do not accept'):
        runs.submit_tool_outputs(done.id, thread_id=done.thread_id, tool_outputs=outputs)


def test_text_before_a_call_is_a_message_of_its_own(walk: Walk) -> None:
    waiting = walk.run(walk.thread(script("/preamble Let me look.", PARIS, "/say Warm.")))
    (first,) = walk.client.beta.threads.messages.list(waiting.thread_id, run_id=waiting.id).data
    assert text_of(first) == "Let me look."
    done = walk.submit(waiting, "25 C")
    said = walk.client.beta.threads.messages.list(done.thread_id, run_id=done.id, order="asc").data
    assert [text_of(message) for message in said] == ["Let me look.", "Warm."]
    assert said[0].id == first.id
    assert [step.type for step in walk.steps(done)] == ["message_creation", "tool_calls", "message_creation"]


def test_a_run_goes_through_several_rounds_of_tools(walk: Walk) -> None:
    run = walk.run(walk.thread(script(PARIS, NOW, "/rounds 3")))
    seen: set[str] = set()
    for number in range(3):
        assert run.required_action is not None
        seen |= {call.id for call in run.required_action.submit_tool_outputs.tool_calls}
        run = walk.submit(run, f"warm {number}", f"noon {number}")
    assert len(seen) == 6
    assert walk.answer(run) == "RESULT: warm 0 | noon 0 | warm 1 | noon 1 | warm 2 | noon 2"
    assert [step.type for step in walk.steps(run)] == ["tool_calls"] * 3 + ["message_creation"]


def test_usage_is_summed_over_the_steps(walk: Walk) -> None:
    waiting = walk.run(walk.thread(script("/preamble Let me look.", PARIS, "/rounds 2", "/say Warm and nice.")))
    done = walk.submit(walk.submit(waiting, "25 C"), "26 C")
    assert done.usage is not None
    steps = walk.steps(done)
    for count in ("prompt_tokens", "completion_tokens", "total_tokens"):
        assert getattr(done.usage, count) == sum(getattr(step.usage, count) for step in steps)
    assert done.usage.total_tokens == done.usage.prompt_tokens + done.usage.completion_tokens
    # Two completions with three words and some arguments, then three words: every turn has spent something.
    assert steps[-1].usage.completion_tokens == 3
    assert all(step.usage.prompt_tokens for step in steps if step.type == "tool_calls")
    assert done.to_dict()["usage"]["prompt_token_details"] == {"cached_tokens": 0}
    assert done.to_dict()["usage"]["completion_tokens_details"] == {"reasoning_tokens": 0}


# --- reading and changing


def test_steps_and_runs_are_read_singly_and_listed(walk: Walk) -> None:
    runs = walk.client.beta.threads.runs
    thread = walk.thread(script(PARIS))
    first = walk.submit(walk.run(thread), "warm")
    walk.say(thread, "again")
    second = walk.run(thread)
    assert [run.id for run in runs.list(thread.id)] == [second.id, first.id]
    assert [run.id for run in runs.list(thread.id, order="asc")] == [first.id, second.id]
    newest_first = runs.steps.list(first.id, thread_id=thread.id).data
    assert [step.type for step in newest_first] == ["message_creation", "tool_calls"]
    for step in newest_first:
        assert runs.steps.retrieve(step.id, thread_id=thread.id, run_id=first.id) == step
        assert (step.run_id, step.thread_id, step.assistant_id) == (first.id, thread.id, walk.assistant.id)
        assert (step.object, step.metadata, step.to_dict()["expires_at"]) == ("thread.run.step", {}, None)
    with_content = runs.steps.list(
        first.id, thread_id=thread.id, include=["step_details.tool_calls[*].file_search.results[*].content"]
    )
    assert with_content.data == newest_first


def test_metadata_of_a_run_is_replaced_once_it_rests(walk: Walk) -> None:
    runs = walk.client.beta.threads.runs
    waiting = walk.run(walk.thread(script(PARIS)), metadata={"a": "1"})
    assert waiting.metadata == {"a": "1"}
    assert runs.update(waiting.id, thread_id=waiting.thread_id, metadata={"b": "2"}).metadata == {"b": "2"}
    done = walk.submit(waiting, "warm")
    assert done.metadata == {"b": "2"}
    assert runs.update(done.id, thread_id=done.thread_id, metadata={}).metadata == {}


def test_a_run_is_cancelled_while_it_is_worked_on(walk: Walk) -> None:
    runs = walk.client.beta.threads.runs
    thread = walk.thread(script("/say one two three", "/stall 2"))
    with runs.stream(thread_id=thread.id, assistant_id=walk.assistant.id) as stream:
        deltas = iter(stream.text_deltas)
        assert [next(deltas), next(deltas)] == ["one ", "two "]
        run = stream.current_run
        assert run is not None
        with pytest.raises(openai.BadRequestError, match="Cannot update run with status 'in_progress'"):
            runs.update(run.id, thread_id=thread.id, metadata={})
        with pytest.raises(openai.BadRequestError, match=f"Can't add messages to {thread.id} while a run {run.id} is"):
            walk.say(thread, "not now")
        with pytest.raises(openai.BadRequestError, match=f"Thread {thread.id} already has an active run {run.id}."):
            runs.create(thread.id, assistant_id=walk.assistant.id)
        cancelling = runs.cancel(run.id, thread_id=thread.id)
        assert (cancelling.status, cancelling.cancelled_at) == ("cancelling", None)
        assert cancelling.expires_at == run.expires_at
        final = stream.get_final_run()
    assert final.status == "cancelled"
    assert final.cancelled_at is not None
    read = runs.retrieve(run.id, thread_id=thread.id)
    assert (read.status, read.cancelled_at, read.expires_at) == ("cancelled", final.cancelled_at, None)
    with pytest.raises(openai.BadRequestError, match="Cannot cancel run with status 'cancelled'"):
        runs.cancel(run.id, thread_id=thread.id)
    walk.say(thread, "the thread is free")
    assert walk.answer(walk.run(thread)) == "echo: the thread is free"


def test_a_run_that_waits_for_outputs_is_cancelled(walk: Walk) -> None:
    runs = walk.client.beta.threads.runs
    waiting = walk.run(walk.thread(script(PARIS)))
    assert runs.cancel(waiting.id, thread_id=waiting.thread_id).status == "cancelling"
    done = _until_ended(walk, waiting)
    assert (done.status, done.required_action) == ("cancelled", None)
    (step,) = walk.steps(done)
    assert step.status == "cancelled"
    assert step.cancelled_at is not None
    walk.say(walk.client.beta.threads.retrieve(done.thread_id), "free")


def test_a_failed_run_says_why(walk: Walk) -> None:
    run = walk.run(walk.thread("/fail 401 code=invalid_api_key Incorrect API key provided: nobody"))
    assert (run.status, run.completed_at, run.expires_at) == ("failed", None, None)
    assert run.failed_at is not None
    assert run.last_error is not None
    assert run.last_error.code == "server_error"
    assert "Incorrect API key provided: nobody" in run.last_error.message


# --- the asynchronous client


async def test_the_asynchronous_client_walks_the_runs_too(async_client: openai.AsyncOpenAI) -> None:
    beta = async_client.beta
    assistant = await beta.assistants.create(model="scripted", tools=[WEATHER])
    thread = await beta.threads.create(messages=[{"role": "user", "content": script(PARIS)}])
    runs = beta.threads.runs
    run = await runs.create_and_poll(thread_id=thread.id, assistant_id=assistant.id, poll_interval_ms=POLL)
    run = await runs.submit_tool_outputs_and_poll(
        run_id=run.id, thread_id=thread.id, tool_outputs=outputs_for(run, "warm"), poll_interval_ms=POLL
    )
    assert run.status == "completed"
    messages = await beta.threads.messages.list(thread.id, run_id=run.id)
    assert [text_of(message) for message in messages.data] == ["RESULT: warm"]
    run = await runs.update(run.id, thread_id=thread.id, metadata={"a": "1"})
    assert (await runs.retrieve(run.id, thread_id=thread.id)).metadata == {"a": "1"}
    steps = [step async for step in runs.steps.list(run.id, thread_id=thread.id, limit=1)]
    assert [step.type for step in steps] == ["message_creation", "tool_calls"]
    assert await runs.steps.retrieve(steps[0].id, thread_id=thread.id, run_id=run.id) == steps[0]
    assert [listed.id async for listed in runs.list(thread.id)] == [run.id]
    second = await beta.threads.create_and_run_poll(
        assistant_id=assistant.id, thread={"messages": [{"role": "user", "content": "hi"}]}, poll_interval_ms=POLL
    )
    assert second.status == "completed"
    third = await beta.threads.create_and_run(
        assistant_id=assistant.id, thread={"messages": [{"role": "user", "content": script(PARIS)}]}
    )
    third = await runs.poll(third.id, thread_id=third.thread_id, poll_interval_ms=POLL)
    assert (await runs.cancel(third.id, thread_id=third.thread_id)).status == "cancelling"


def _until_ended(walk: Walk, run: Run) -> Run:
    """Wait for the end of a run that is being cancelled: SDK polling goes on while it is `cancelling`."""
    return walk.client.beta.threads.runs.poll(run.id, thread_id=run.thread_id, poll_interval_ms=POLL)
