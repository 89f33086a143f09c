"""Requests of v1 as requests of v2."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from assistd.errors import APIError
from assistd.v1 import requests, wire
from assistd.web.request import decode

SAID = {"role": "user", "content": "x"}
NAMES = {"file-1": "notes.txt", "file-2": "picture.png", "file-3": "no extension"}


def read(kind: type[Any], **members: Any) -> Any:
    return decode(msgspec.json.encode(members), kind)


def plain(value: Any) -> Any:
    """The members of a request that are not null."""
    return {k: v for k, v in msgspec.to_builtins(value).items() if v is not None}


def test_an_assistant() -> None:
    new = read(
        wire.CreateAssistant,
        model="gpt-4-1106-preview",
        tools=[
            {"type": "retrieval"},
            {"type": "code_interpreter"},
            {"type": "function", "function": {"name": "f", "description": "d", "parameters": {"type": "object"}}},
        ],
        file_ids=["file-1"],
        response_format="none",
        temperature=0.5,
    )
    made = plain(requests.create_assistant(new))
    assert made["model"] == "gpt-4-1106-preview"
    assert [tool["type"] for tool in made["tools"]] == ["file_search", "code_interpreter", "function"]
    assert made["tools"][2]["function"]["parameters"] == {"type": "object"}
    assert (made["temperature"], made["response_format"]) == (0.5, "auto")
    assert "tool_resources" not in made  # files are links, which are no part of a translation


def test_what_is_left_out_is_left_out() -> None:
    assert plain(requests.modify_assistant(read(wire.ModifyAssistant))) == {}
    assert plain(requests.create_thread(read(wire.CreateThread), {})) == {}
    assert plain(requests.create_run(read(wire.CreateRun, assistant_id="asst_1"), {})) == {"assistant_id": "asst_1"}


def test_files_of_a_message_go_to_the_tools_that_can_use_them() -> None:
    new = read(wire.CreateMessage, role="user", content="look", file_ids=["file-1", "file-2", "file-3", "file-1"])
    attachments = plain(requests.create_message(new, NAMES))["attachments"]
    code, search = {"type": "code_interpreter"}, {"type": "file_search"}
    assert [(a["file_id"], a["tools"]) for a in attachments] == [
        ("file-1", [code, search]),
        ("file-2", [code]),
        ("file-3", [code, search]),
    ]
    assert requests.file_ids([new, new]) == ["file-1", "file-2", "file-3"]
    assert requests.file_ids(None) == []


def test_a_run_with_all_that_it_may_say() -> None:
    new = read(
        wire.CreateThreadAndRun,
        assistant_id="asst_1",
        thread={"messages": [{"role": "user", "content": "hi", "file_ids": ["file-1"]}], "metadata": {"a": "b"}},
        instructions="be brief",
        tools=[{"type": "retrieval"}],
        tool_choice={"type": "retrieval"},
        max_completion_tokens=16,
        truncation_strategy={"type": "last_messages", "last_messages": 3},
        stream=True,
    )
    made = plain(requests.create_thread_and_run(new, NAMES))
    assert made["tools"][0]["type"] == "file_search"
    assert made["tool_choice"] == {"type": "file_search"}
    assert (made["max_completion_tokens"], made["stream"], made["instructions"]) == (16, True, "be brief")
    assert made["truncation_strategy"]["last_messages"] == 3
    assert made["thread"]["metadata"] == {"a": "b"}
    assert made["thread"]["messages"][0]["attachments"][0]["file_id"] == "file-1"
    assert requests.tool_types(new.tools) == {"file_search"}


@pytest.mark.parametrize(
    ("kind", "members", "param", "code"),
    [
        (wire.CreateAssistant, {"model": "m", "tools": [{"type": "file_search"}]}, "tools[0].type", "invalid_value"),
        (wire.CreateAssistant, {"model": "m", "tool_resources": {}}, "tool_resources", "unknown_parameter"),
        (
            wire.CreateAssistant,
            {"model": "m", "tools": [{"type": "function", "function": {"name": "f", "strict": True}}]},
            "tools[0].function.strict",
            "unknown_parameter",
        ),
        (wire.CreateAssistant, {"model": "m", "file_ids": ["f"] * 21}, "file_ids", "array_above_max_length"),
        (
            wire.CreateMessage,
            {"role": "user", "content": "x", "file_ids": ["f"] * 11},
            "file_ids",
            "array_above_max_length",
        ),
        (wire.CreateThread, {"messages": [SAID] * 33}, "messages", "array_above_max_length"),
        (
            wire.CreateThreadAndRun,
            {"assistant_id": "a", "thread": {"messages": [SAID] * 33}},
            "thread.messages",
            "array_above_max_length",
        ),
        (wire.CreateMessage, {"role": "user", "content": [{"type": "text", "text": "x"}]}, "content", "invalid_type"),
        (wire.CreateMessage, {**SAID, "attachments": []}, "attachments", "unknown_parameter"),
        (
            wire.CreateRun,
            {"assistant_id": "a", "parallel_tool_calls": True},
            "parallel_tool_calls",
            "unknown_parameter",
        ),
        (wire.SetMetadata, {"tool_resources": {}}, "tool_resources", "unknown_parameter"),
    ],
)
def test_what_v1_did_not_have_is_refused(kind: type[Any], members: dict[str, Any], param: str, code: str) -> None:
    with pytest.raises(APIError) as refusal:
        read(kind, **members)
    assert (refusal.value.param, refusal.value.code) == (param, code)


@pytest.mark.parametrize(
    ("body", "param"),
    [
        (wire.CreateMessage(role="user", content="x" * 11), "content"),
        (wire.ModifyAssistant(instructions="x" * 11), "instructions"),
        (wire.CreateRun(assistant_id="asst_1", additional_instructions="x" * 11), "additional_instructions"),
        (
            wire.CreateThread([wire.CreateMessage("user", "x"), wire.CreateMessage("user", "x" * 11)]),
            "messages[1].content",
        ),
        (
            wire.CreateThreadAndRun(assistant_id="a", thread=wire.CreateThread([wire.CreateMessage("user", "x" * 11)])),
            "thread.messages[0].content",
        ),
        (
            wire.CreateRun(assistant_id="a", additional_messages=[wire.CreateMessage("user", "x" * 11)]),
            "additional_messages[0].content",
        ),
    ],
)
def test_texts_have_the_limit_of_their_time(body: msgspec.Struct, param: str) -> None:
    requests.check_texts(body, 11)
    with pytest.raises(APIError) as refusal:
        requests.check_texts(body, 10)
    assert refusal.value.message == (
        f"Invalid '{param}': string too long. Expected a string with maximum length 10, but got a string with "
        "length 11 instead."
    )
    assert (refusal.value.param, refusal.value.code) == (param, "string_above_max_length")
