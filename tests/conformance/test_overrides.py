"""What a run is told reaches the model: every override, seen in the request that the model received."""

from __future__ import annotations

import json
from typing import Any

import openai
import pytest

from tests.conformance.talk import NOW, OSLO, PARIS, TIME, WEATHER, Walk, script, text_of

REPORT = "/report"
SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {"answer": {"type": "integer", "minimum": 42}, "unit": {"enum": ["cm", "in"]}},
    "required": ["answer", "unit"],
    "additionalProperties": False,
}


@pytest.fixture
def walk(client: openai.OpenAI) -> Walk:
    return Walk(client, instructions="Be brief.", tools=[WEATHER, TIME])


def test_the_assistants_settings_are_the_runs(client: openai.OpenAI) -> None:
    walk = Walk(
        client,
        model="gpt-4o",
        instructions="Be brief.",
        tools=[WEATHER],
        temperature=0.25,
        top_p=0.5,
        reasoning_effort="low",
        response_format={"type": "json_object"},
    )
    run = walk.run(walk.thread(REPORT))
    body = walk.report(run)
    assert body["messages"] == [{"role": "system", "content": "Be brief."}, {"role": "user", "content": REPORT}]
    assert body["tools"] == [tool.to_dict() for tool in run.tools]
    assert {key: body.get(key) for key in ("model", "temperature", "top_p", "reasoning_effort", "response_format")} == {
        "model": "gpt-4o",
        "temperature": 0.25,
        "top_p": 0.5,
        "reasoning_effort": "low",
        "response_format": {"type": "json_object"},
    }


def test_a_runs_own_settings_win(walk: Walk) -> None:
    run = walk.run(
        walk.thread(REPORT),
        model="other",
        instructions="Be long.",
        tools=[TIME],
        temperature=1.5,
        top_p=0.75,
        extra_body={"reasoning_effort": "high"},
        metadata={"a": "1"},
    )
    assert (run.model, run.instructions, run.metadata) == ("other", "Be long.", {"a": "1"})
    body = walk.report(run)
    assert body["messages"][0] == {"role": "system", "content": "Be long."}
    assert [tool["function"]["name"] for tool in body["tools"]] == ["get_time"]
    assert (body["model"], body["temperature"], body["top_p"]) == ("other", 1.5, 0.75)
    assert body["reasoning_effort"] == "high"


def test_zero_and_nothing_are_values(client: openai.OpenAI) -> None:
    walk = Walk(client, instructions="Be brief.", tools=[WEATHER], temperature=0.5, top_p=0.5)
    run = walk.run(walk.thread(REPORT), temperature=0, top_p=0, tools=[], instructions="")
    assert (run.temperature, run.top_p, run.tools, run.instructions) == (0, 0, [], "")
    body = walk.report(run)
    assert (body["temperature"], body["top_p"]) == (0, 0)
    assert "tools" not in body
    assert body["messages"] == [{"role": "user", "content": REPORT}]


def test_an_assistants_zero_temperature_is_kept(client: openai.OpenAI) -> None:
    walk = Walk(client, temperature=0)
    run = walk.run(walk.thread(REPORT))
    assert run.temperature == 0
    assert walk.report(run)["temperature"] == 0


def test_explicit_nulls_mean_absent(walk: Walk) -> None:
    names = (
        *("model", "instructions", "additional_instructions", "additional_messages", "tools", "metadata"),
        *("temperature", "top_p", "stream", "max_prompt_tokens", "max_completion_tokens", "truncation_strategy"),
        *("tool_choice", "parallel_tool_calls", "response_format", "reasoning_effort"),
    )
    thread = walk.thread(REPORT)
    run = walk.run(thread, extra_body=dict.fromkeys(names))
    assert walk.report(run)["messages"][0] == {"role": "system", "content": "Be brief."}
    assert run.to_dict()["truncation_strategy"] == {"type": "auto", "last_messages": None}
    assert run.parallel_tool_calls is True


def test_additional_instructions_are_appended(walk: Walk) -> None:
    run = walk.run(walk.thread(REPORT), additional_instructions="The user is Ada.")
    assert run.instructions == "Be brief.\nThe user is Ada."
    assert walk.report(run)["messages"][0]["content"] == run.instructions
    run = walk.run(walk.thread(REPORT), instructions="Be long.", additional_instructions="The user is Ada.")
    assert run.instructions == "Be long.\nThe user is Ada."


def test_additional_messages_are_added_to_the_thread_first(walk: Walk) -> None:
    thread = walk.thread("first")
    run = walk.run(
        thread,
        additional_messages=[
            {"role": "assistant", "content": "second"},
            {"role": "user", "content": [{"type": "text", "text": REPORT}], "metadata": {"added": "yes"}},
        ],
    )
    assert [message["content"] for message in walk.report(run)["messages"]] == ["Be brief.", "first", "second", REPORT]
    stored = walk.client.beta.threads.messages.list(thread.id, order="asc").data
    assert [message.role for message in stored] == ["user", "assistant", "user", "assistant"]
    assert [text_of(message) for message in stored[:3]] == ["first", "second", REPORT]
    assert stored[2].metadata == {"added": "yes"}
    assert walk.run(walk.thread("x"), additional_messages=[]).status == "completed"


def test_additional_messages_alone_are_enough(client: openai.OpenAI) -> None:
    walk = Walk(client)
    thread = client.beta.threads.create()
    with pytest.raises(openai.BadRequestError, match="Run creation requires a Thread with a user message") as refused:
        walk.run(thread)
    assert refused.value.code == "invalid_thread"
    run = walk.run(thread, additional_messages=[{"role": "user", "content": "hi"}])
    assert walk.answer(run) == "echo: hi"


# --- tools


@pytest.mark.parametrize(
    ("choice", "called"),
    [
        ("none", []),
        ("auto", ["get_weather", "get_time"]),
        ("required", ["get_weather", "get_time"]),
        ({"type": "function", "function": {"name": "get_time"}}, ["get_weather", "get_time"]),
    ],
)
def test_tool_choice_reaches_the_model(walk: Walk, choice: Any, called: list[str]) -> None:
    # The script calls both functions whatever the choice, unless it may call none.
    run = walk.run(walk.thread(script(PARIS, NOW, REPORT)), tool_choice=choice)
    shown = run.to_dict()["tool_choice"]
    assert shown == choice
    if called:
        assert run.required_action is not None
        calls = run.required_action.submit_tool_outputs.tool_calls
        assert [call.function.name for call in calls] == called
        return
    assert walk.report(run)["tool_choice"] == "none"


@pytest.mark.parametrize(
    ("choice", "expected"),
    [("required", "get_weather"), ({"type": "function", "function": {"name": "get_time"}}, "get_time")],
)
def test_a_forced_choice_holds_until_the_model_has_called(walk: Walk, choice: Any, expected: str) -> None:
    # Without a script the model calls only what it is forced to, and would for ever if it went on being forced.
    run = walk.run(walk.thread(REPORT), tool_choice=choice)
    assert run.required_action is not None
    (call,) = run.required_action.submit_tool_outputs.tool_calls
    assert call.function.name == expected
    body = walk.report(walk.submit(run, "done"))
    assert body.get("tool_choice") in (None, "auto")
    assert body["messages"][-1] == {"role": "tool", "tool_call_id": call.id, "content": "done"}


def test_parallel_tool_calls_may_be_forbidden(walk: Walk) -> None:
    run = walk.run(walk.thread(REPORT), parallel_tool_calls=False)
    assert run.parallel_tool_calls is False
    assert walk.report(run)["parallel_tool_calls"] is False
    run = walk.run(walk.thread(REPORT))
    assert walk.report(run).get("parallel_tool_calls") in (None, True)


# --- formats


@pytest.mark.parametrize(
    ("response_format", "sent"),
    [
        ("auto", None),
        ({"type": "text"}, None),
        ({"type": "json_object"}, {"type": "json_object"}),
    ],
)
def test_response_formats_reach_the_model(walk: Walk, response_format: Any, sent: Any) -> None:
    run = walk.run(walk.thread(REPORT), response_format=response_format)
    assert run.to_dict()["response_format"] == response_format
    assert walk.report(run).get("response_format") == sent


def test_a_json_schema_reaches_the_model_and_is_obeyed(walk: Walk) -> None:
    response_format: Any = {
        "type": "json_schema",
        "json_schema": {"name": "answer", "description": "An answer.", "schema": SCHEMA, "strict": True},
    }
    run = walk.run(walk.thread("How much?"), response_format=response_format)
    assert run.to_dict()["response_format"] == response_format
    assert json.loads(walk.answer(run)) == {"answer": 42, "unit": "cm"}
    reported = walk.report(walk.run(walk.thread(REPORT), response_format=response_format))
    assert reported["response_format"] == response_format


# --- what of the thread the model is shown


def test_the_history_holds_earlier_tool_calls_and_outputs(walk: Walk) -> None:
    thread = walk.thread(script("/preamble Let me look.", PARIS, OSLO, "/say Mixed."))
    first = walk.run(thread)
    assert first.required_action is not None
    calls = first.required_action.submit_tool_outputs.tool_calls
    walk.submit(first, "warm", "cold")
    walk.say(thread, REPORT)
    messages = walk.report(walk.run(thread))["messages"]
    assert [message["role"] for message in messages] == [
        *("system", "user", "assistant", "tool", "tool", "assistant", "user"),
    ]
    asked = messages[2]
    assert asked["content"] == "Let me look."
    assert asked["tool_calls"] == [
        {
            "id": call.id,
            "type": "function",
            "function": {"name": call.function.name, "arguments": call.function.arguments},
        }
        for call in calls
    ]
    assert messages[3:5] == [
        {"role": "tool", "tool_call_id": calls[0].id, "content": "warm"},
        {"role": "tool", "tool_call_id": calls[1].id, "content": "cold"},
    ]
    assert messages[5] == {"role": "assistant", "content": "Mixed."}


def test_the_history_is_the_threads_order_with_both_roles(walk: Walk) -> None:
    thread = walk.thread("one")
    walk.run(thread)
    walk.client.beta.threads.messages.create(thread.id, role="assistant", content="I said this.")
    gone = walk.say(thread, "forget this")
    walk.client.beta.threads.messages.delete(gone.id, thread_id=thread.id)
    walk.say(thread, REPORT)
    messages = walk.report(walk.run(thread))["messages"][1:]
    assert messages == [
        {"role": "user", "content": "one"},
        {"role": "assistant", "content": "echo: one"},
        {"role": "assistant", "content": "I said this."},
        {"role": "user", "content": REPORT},
    ]


def test_pictures_reach_the_model(walk: Walk) -> None:
    thread = walk.client.beta.threads.create()
    walk.client.beta.threads.messages.create(
        thread.id,
        role="user",
        content=[
            {"type": "text", "text": REPORT},
            {"type": "image_url", "image_url": {"url": "https://example.com/a.png", "detail": "low"}},
        ],
    )
    assert walk.report(walk.run(thread))["messages"][1]["content"] == [
        {"type": "text", "text": REPORT},
        {"type": "image_url", "image_url": {"url": "https://example.com/a.png", "detail": "low"}},
    ]


def test_last_messages_shows_the_newest(walk: Walk) -> None:
    thread = walk.thread(*(f"message {n}" for n in range(30)), REPORT)
    run = walk.run(thread, truncation_strategy={"type": "last_messages", "last_messages": 4})
    assert run.to_dict()["truncation_strategy"] == {"type": "last_messages", "last_messages": 4}
    contents = [message["content"] for message in walk.report(run)["messages"]]
    assert contents == ["Be brief.", "message 27", "message 28", "message 29", REPORT]


def test_auto_drops_from_the_middle_to_fit_the_context(client: openai.OpenAI) -> None:
    walk = Walk(client, model="scripted-small", instructions="Be brief.")  # 2000 tokens
    words = "lorem ipsum dolor sit amet " * 4
    thread = walk.thread(*(f"message {n} {words}" for n in range(100)), REPORT)
    contents = [message["content"] for message in walk.report(walk.run(thread))["messages"]]
    assert contents[0] == "Be brief."
    assert contents[-1] == REPORT
    shown = [int(content.split()[1]) for content in contents[1:-1]]
    assert shown[0] == 0, "the first message is kept"
    assert shown[1:] == list(range(shown[1], 100)), "and then the newest, without a gap"
    assert 10 < len(shown) < 60
    assert sum(len(content) for content in contents) < 2000 * 4

    short = walk.thread(*(f"message {n}" for n in range(20)), REPORT)
    assert len(walk.report(walk.run(short))["messages"]) == 22


# --- budgets


def test_the_completion_budget_ends_the_run_incomplete(walk: Walk) -> None:
    run = walk.run(walk.thread("/tokens 50"), max_completion_tokens=16)
    assert (run.status, run.max_completion_tokens, run.expires_at) == ("incomplete", 16, None)
    assert run.incomplete_details is not None
    assert run.incomplete_details.reason == "max_completion_tokens"
    assert run.usage is not None
    assert run.usage.completion_tokens == 16
    assert run.completed_at is not None
    (message,) = walk.client.beta.threads.messages.list(run.thread_id, run_id=run.id).data
    assert text_of(message).split() == [f"w{n}" for n in range(16)]
    assert message.status == "incomplete"
    assert message.incomplete_details is not None
    assert message.incomplete_details.reason == "max_tokens"
    assert message.incomplete_at is not None
    (step,) = walk.steps(run)
    assert step.status == "completed"
    # The thread is free again.
    walk.say(walk.client.beta.threads.retrieve(run.thread_id), "go on")


def test_the_completion_budget_is_spent_down_turn_by_turn(walk: Walk) -> None:
    spent = walk.run(walk.thread(script(NOW, "/tokens 30")))
    spent = walk.submit(spent, "noon")
    assert spent.usage is not None
    in_calls = spent.usage.completion_tokens - 30
    assert in_calls > 0
    run = walk.run(walk.thread(script(NOW, "/tokens 30")), max_completion_tokens=in_calls + 10)
    run = walk.submit(run, "noon")
    assert run.status == "incomplete"
    assert run.usage is not None
    assert run.usage.completion_tokens == in_calls + 10
    (message,) = walk.client.beta.threads.messages.list(run.thread_id, run_id=run.id).data
    assert len(text_of(message).split()) == 10


def test_a_budget_that_suffices_changes_nothing(walk: Walk) -> None:
    run = walk.run(walk.thread("/tokens 10"), max_completion_tokens=10, max_prompt_tokens=5000)
    assert run.status == "completed"
    assert run.incomplete_details is None


@pytest.mark.parametrize("call", [NOW, ""])
def test_the_prompt_budget_ends_the_run_incomplete(walk: Walk, call: str) -> None:
    # The newest message is always shown, so this one alone is more than the budget.
    run = walk.run(walk.thread(script("word " * 200, call)), max_prompt_tokens=64)
    assert run.max_prompt_tokens == 64
    if call:
        run = walk.submit(run, "noon")
        assert [step.type for step in walk.steps(run)] == ["tool_calls"], "there was nothing left for another turn"
    assert run.status == "incomplete"
    assert run.incomplete_details is not None
    assert run.incomplete_details.reason == "max_prompt_tokens"
    assert run.usage is not None
    assert run.usage.prompt_tokens > 64


def test_the_prompt_budget_also_shortens_the_thread(walk: Walk) -> None:
    thread = walk.thread(*(f"message {n} {'word ' * 50}" for n in range(20)), REPORT)
    whole = walk.report(walk.run(thread))
    walk.say(thread, REPORT)
    run = walk.run(thread, max_prompt_tokens=500)
    assert run.status == "completed"
    assert run.usage is not None
    assert run.usage.prompt_tokens <= 500
    assert len(walk.report(run)["messages"]) < len(whole["messages"])
