"""Every method of v1 in openai 1.2.3 and 1.20.0, called at least once: what it prints, and what it pages through."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.http import Api
from tests.v1.asking import CODE, NO_FILE, TOOLS, WEATHER, answers, refusal, run_on, said, upload, wait
from tests.v1.boxes import PRINTED
from tests.v1.old_sdk import OldSdk

STALL = "/say one two\n/stall 1"


@pytest.fixture(params=["1.2.3", "1.20.0"])
def version(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def sdk(version: str, request: pytest.FixtureRequest) -> OldSdk:
    found: OldSdk = request.getfixturevalue({"1.2.3": "november", "1.20.0": "april"}[version])
    return found


@pytest.fixture
def shown(version: str) -> Any:
    """Checks that an object shows what its SDK's time knew of it, and returns it."""

    def check(printed: Any) -> Any:
        known, extras = PRINTED[version][printed["object"]]
        assert list(printed)[: len(known)] == known
        assert set(list(printed)[len(known) :]) == extras
        for each in printed["data"] if printed["object"] == "list" else ():
            check(each)
        return printed

    return check


def test_assistants(sdk: OldSdk, shown: Any) -> None:
    assistants = sdk.beta.assistants
    made = shown(
        assistants.create(
            model="gpt-4-1106-preview", name="A", description="B", instructions="C", tools=TOOLS, metadata={"a": "1"}
        )
    )
    assert (made["name"], made["description"], made["instructions"]) == ("A", "B", "C")
    assert (made["metadata"], made["tools"], made["file_ids"]) == ({"a": "1"}, TOOLS, [])
    assert shown(assistants.retrieve(made["id"])) == made
    changed = shown(assistants.update(made["id"], model="gpt-4", name="D", metadata={"b": "2"}, tools=[CODE]))
    expected = {"model": "gpt-4", "name": "D", "metadata": {"b": "2"}, "tools": [CODE]}
    assert changed == made | expected, "what is given is replaced as a whole, and nothing else"
    more = [assistants.create(model="scripted")["id"] for _ in range(3)]
    page = shown(assistants.list(limit=2))
    assert [each["id"] for each in page["data"]] == more[:0:-1]
    assert (page["first_id"], page["last_id"], page["has_more"]) == (more[2], more[1], True)
    assert [each["id"] for each in assistants.list.each(order="asc", after=made["id"], limit=2)] == more
    assert [each["id"] for each in assistants.list(order="asc", before=more[1], limit=1)["data"]] == more[:1]
    for id in (made["id"], *more):
        gone = assistants.delete(id)
        assert (list(gone), gone["deleted"]) == (["id", "deleted", "object"], True)
    assert refusal(assistants.retrieve, made["id"]).error == said(f"No assistant found with id '{made['id']}'.")


def test_threads_and_messages(sdk: OldSdk, shown: Any) -> None:
    threads = sdk.beta.threads
    made = shown(threads.create(messages=[{"role": "user", "content": "one"}], metadata={"a": "1"}))
    assert shown(threads.retrieve(made["id"])) == made
    assert shown(threads.update(made["id"], metadata={"b": "2"})) == made | {"metadata": {"b": "2"}}
    two = shown(threads.messages.create(made["id"], role="user", content="two", metadata={"c": "3"}))
    assert shown(threads.messages.retrieve(two["id"], thread_id=made["id"])) == two
    changed = shown(threads.messages.update(two["id"], thread_id=made["id"], metadata={"d": "4"}))
    assert changed == two | {"metadata": {"d": "4"}}
    for number in range(3):
        threads.messages.create(made["id"], role="user", content=str(number))
    page = shown(threads.messages.list(made["id"], limit=2))
    assert [each["content"][0]["text"]["value"] for each in page["data"]] == ["2", "1"]
    listed = threads.messages.list.each(made["id"], order="asc", limit=2)
    assert [each["content"][0]["text"]["value"] for each in listed] == ["one", "two", "0", "1", "2"]
    gone = threads.delete(made["id"])
    assert gone == {"id": made["id"], "deleted": True, "object": "thread.deleted"}
    for gone in (made["id"], "asst_6Q9UMEOKnWWiF14RejDVCn6N", "undefined"):
        assert refusal(threads.retrieve, gone).error == said(f"No thread found with id '{gone}'.")
    assert refusal(threads.messages.create, made["id"], role="user", content="x").status == 404


def test_runs_and_steps(sdk: OldSdk, shown: Any) -> None:
    runs = sdk.beta.threads.runs
    assistant = sdk.beta.assistants.create(model="scripted", tools=[WEATHER], instructions="A")["id"]
    run = shown(run_on(sdk, assistant, '/preamble Hm.\n/call get_weather {"city": "Paris"}'))
    place: dict[str, Any] = {"thread_id": run["thread_id"]}
    assert run["status"] == "requires_action"
    (call,) = run["required_action"]["submit_tool_outputs"]["tool_calls"]
    refused = refusal(runs.create, run["thread_id"], assistant_id=assistant)
    assert refused.error == said(f"Thread {run['thread_id']} already has an active run {run['id']}.")
    refused = refusal(sdk.beta.threads.messages.create, run["thread_id"], role="user", content="x")
    assert refused.error == said(f"Can't add messages to {run['thread_id']} while a run {run['id']} is active.")
    outputs = [{"tool_call_id": call["id"], "output": "warm"}]
    assert shown(runs.submit_tool_outputs(run["id"], tool_outputs=outputs, **place))["status"] == "queued"
    done = shown(wait(sdk, run))
    assert (done["status"], answers(sdk, done)) == ("completed", ["Hm.", "RESULT: warm"])
    refused = refusal(runs.submit_tool_outputs, run["id"], tool_outputs=outputs, **place)
    assert refused.error == said('Runs in status "completed" do not accept tool outputs.')
    assert shown(runs.update(run["id"], metadata={"a": "1"}, **place)) == done | {"metadata": {"a": "1"}}

    steps = shown(runs.steps.list(run["id"], order="asc", **place))["data"]
    assert [step["type"] for step in steps] == ["message_creation", "tool_calls", "message_creation"]
    (called,) = steps[1]["step_details"]["tool_calls"]
    assert called == {
        "id": call["id"],
        "function": {"arguments": '{"city": "Paris"}', "name": "get_weather", "output": "warm"},
        "type": "function",
    }
    assert list(called["function"]) == ["arguments", "name", "output"]
    assert shown(runs.steps.retrieve(steps[1]["id"], run_id=run["id"], **place)) == steps[1]
    assert [step["id"] for step in runs.steps.list.each(run["id"], limit=1, **place)] == [
        step["id"] for step in steps[::-1]
    ]

    sdk.beta.threads.messages.create(run["thread_id"], role="user", content=STALL)
    other = runs.create(
        assistant_id=assistant, model="other", instructions="B", tools=[CODE], metadata={"b": "2"}, **place
    )
    assert shown(other)["status"] == "queued"
    assert (other["model"], other["instructions"], other["tools"]) == ("other", "B", [CODE])
    assert shown(runs.cancel(other["id"], **place))["status"] == "cancelling"
    cancelled = shown(wait(sdk, other))
    assert (cancelled["status"], type(cancelled["cancelled_at"]), cancelled["expires_at"]) == ("cancelled", int, None)
    assert refusal(runs.cancel, other["id"], **place).error == said("Cannot cancel run with status 'cancelled'.")
    assert [each["id"] for each in shown(runs.list(run["thread_id"]))["data"]] == [other["id"], run["id"]]
    assert [each["id"] for each in runs.list.each(run["thread_id"], limit=1)] == [other["id"], run["id"]]

    thread = {"messages": [{"role": "user", "content": "/say Hi."}], "metadata": {"c": "3"}}
    both = shown(sdk.beta.threads.create_and_run(assistant_id=assistant, thread=thread))
    assert both["status"] == "queued"
    assert answers(sdk, wait(sdk, both)) == ["Hi."]
    failed = shown(run_on(sdk, assistant, "/fail 400 That is nonsense."))
    assert (failed["status"], failed["completed_at"]) == ("failed", None)
    assert failed["last_error"]["message"] == "That is nonsense."


def test_what_came_to_v1_before_its_end(april: OldSdk) -> None:
    threads = april.beta.threads
    assistant = april.beta.assistants.create(
        model="scripted",
        tools=TOOLS,
        extra_body={"temperature": 0.5, "top_p": 0.5, "response_format": {"type": "text"}},
    )
    assert (assistant["temperature"], assistant["top_p"], assistant["response_format"]) == (0.5, 0.5, {"type": "text"})
    thread = threads.create()["id"]
    threads.messages.create(thread, role="assistant", content="I am here.")
    run = threads.runs.create_and_poll(
        thread_id=thread,
        assistant_id=assistant["id"],
        additional_instructions="Be kind.",
        additional_messages=[{"role": "user", "content": "/say Hello."}, {"role": "user", "content": "/report"}],
        max_prompt_tokens=300,
        max_completion_tokens=500,
        temperature=0.25,
        tool_choice={"type": "retrieval"},
        truncation_strategy={"type": "last_messages", "last_messages": 2},
        response_format="auto",
        poll_interval_ms=20,
        extra_body={"top_p": 0.75},
    )
    expected = {
        "status": "completed",
        "temperature": 0.25,
        "top_p": 0.75,
        "max_prompt_tokens": 300,
        "max_completion_tokens": 500,
        "tool_choice": {"type": "retrieval", "function": None},
        "truncation_strategy": {"type": "last_messages", "last_messages": 2},
        "response_format": "auto",
        "incomplete_details": None,
    }
    assert {key: run[key] for key in expected} == expected
    usage = run["usage"]
    assert list(usage) == ["completion_tokens", "prompt_tokens", "total_tokens"]
    assert usage["total_tokens"] == usage["completion_tokens"] + usage["prompt_tokens"] > 0
    assert "Be kind." in answers(april, run)[-1]
    assert threads.messages.list(thread, run_id=run["id"])["data"][0]["run_id"] == run["id"]
    asked = threads.runs.create_and_poll(
        thread_id=thread,
        assistant_id=assistant["id"],
        tools=[WEATHER],
        additional_messages=[{"role": "user", "content": "/call get_weather {}"}],
        poll_interval_ms=20,
    )
    (call,) = asked["required_action"]["submit_tool_outputs"]["tool_calls"]
    done = threads.runs.submit_tool_outputs_and_poll(
        run_id=asked["id"],
        thread_id=thread,
        tool_outputs=[{"tool_call_id": call["id"], "output": "warm"}],
        poll_interval_ms=20,
    )
    assert (done["status"], answers(april, done)) == ("completed", ["RESULT: warm"])
    assert refusal(threads.messages.create, thread, role="system", content="x").error == said(
        "Invalid value: 'system'. Supported values are: 'user' and 'assistant'.", "role", "invalid_value"
    )


def test_files(sdk: OldSdk, v1: Api) -> None:
    file_id = upload(v1, "sky.txt")
    read = sdk.files.retrieve(file_id)
    assert (read["id"], read["filename"], read["purpose"], read["status"]) == (
        file_id,
        "sky.txt",
        "assistants",
        "processed",
    )
    assert file_id in [file["id"] for file in sdk.files.list.each(purpose="assistants")]
    assert sdk.files.delete(file_id) == {"id": file_id, "deleted": True, "object": "file"}
    refused = refusal(sdk.files.retrieve, file_id)
    assert (refused.kind, refused.error) == ("NotFoundError", said(f"No such File object: {file_id}", "id"))
    assert refusal(sdk.files.delete, NO_FILE).status == 404
