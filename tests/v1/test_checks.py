"""Every check of a box notices when the box does not hold: what a walk saw is spoiled, once for each box."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from typing import Any

import pytest

from tests.conformance.wiretap import Exchange
from tests.v1 import checks_ground, checks_text, checks_tools
from tests.v1.boxes import CHECKS, Walked, read_boxes

MODULES = (checks_ground, checks_text, checks_tools)
Saw = dict[str, Any]
Exchanges = list[Exchange]


def put(*path: Any) -> Callable[[Saw, Exchanges], None]:
    """Spoil a value: the last of these is put where the others lead."""
    *way, last, value = path

    def spoil(saw: Saw, exchanges: Exchanges) -> None:
        place: Any = saw
        for key in way:
            place = place[key]
        place[last] = value

    return spoil


def more(*path: Any) -> Callable[[Saw, Exchanges], None]:
    """Spoil an object by one more key."""
    return put(*path, "usage", None)


def turned(*path: Any) -> Callable[[Saw, Exchanges], None]:
    """Spoil a list by its order."""

    def spoil(saw: Saw, exchanges: Exchanges) -> None:
        place: Any = saw
        for key in path:
            place = place[key]
        place.reverse()

    return spoil


def header(saw: Saw, exchanges: Exchanges) -> None:
    next(each for each in exchanges if each.path == "/v1/files").request_headers["openai-beta"] = "assistants=v1"


def no_body(saw: Saw, exchanges: Exchanges) -> None:
    next(each for each in exchanges if each.path == "/v1/threads").request_body = b""


def full_page(saw: Saw, exchanges: Exchanges) -> None:
    for each in exchanges:
        if each.method == "GET" and b'"data":[]' in each.body:
            each.body = each.body.replace(b'"first_id":null', b'"first_id":"msg_1"')


def no_form(saw: Saw, exchanges: Exchanges) -> None:
    next(each for each in exchanges if each.path == "/v1/files").request_headers["content-type"] = "application/pdf"


def waited(saw: Saw, exchanges: Exchanges) -> None:
    at = [each.path for each in exchanges].index("/v1/files")
    exchanges.insert(at + 2, Exchange("GET", f"/v1/files/{saw['file']['id']}", {}, status=200))


def file_ids_sent(saw: Saw, exchanges: Exchanges) -> None:
    path = f"/v1/assistants/{saw['assistant']['id']}"
    last = [each for each in exchanges if each.path == path][-1]
    last.request_body = json.dumps(json.loads(last.request_body) | {"file_ids": []}).encode()


FIRST_CALL = ("step_details", "tool_calls", 0)
SPOILS: dict[str, Callable[[Saw, Exchanges], None]] = {
    "0.1": header,
    "0.2": no_body,
    "0.3": more("graded", "page", "data", 0),
    "0.4": full_page,
    "0.5": put("graded", "steps", "data", 0, *FIRST_CALL, "id", "call-1"),
    "0.6": put("graded", "run", "model", "scripted"),
    "1.1": put("assistant", "file_ids", None),
    "1.2": put("thread", "tool_resources", {}),
    "1.3": put("message", "content", 0, "text", "value", "I need to solve the equation 3x + 11 = 14."),
    "2.1": more("run"),
    "2.2": put("asked", "created", "file_ids", []),
    "2.3": put("statuses", ["queued", "requires_action", "completed"]),
    "2.4": put("finished", "expires_at", 1_700_000_000),
    "2.5": turned("messages", "data"),
    "3.1": put("messages", "has_more", True),
    "3.2": put("messages", "data", 0, "run_id", None),
    "3.3": put("follow_up_run", "thread_id", "thread_1"),
    "3.4": put("after", "data", 0, "content", 0, "text", "value", '{"messages": [{"role": "system", "content": ""}]}'),
    "4.1": put("three", 1, "page", "data", 0, "content", 0, "text", "value", ""),
    "4.2": put("three", 2, "run", "status", "failed"),
    "4.3": put("paper", "page", "data", 0, "content", 0, "type", "image_file"),
    "4.4": turned("three", 0, "printed"),
    "4.5": put("thanks", "printed", []),
    "5.1": put("earlier_run", "tools", [{"type": "code_interpreter"}]),
    "5.2": put("fibonacci", "printed", 1, 1, "4180"),
    "5.3": turned("fibonacci", "steps", "data"),
    "5.4": put("fibonacci", "steps", "data", 0, *FIRST_CALL, "code_interpreter", "outputs", []),
    "5.5": put("fibonacci", "page", "data", 1, "id", "msg_1"),
    "6.1": no_form,
    "6.2": put("reader", "file_ids", []),
    "6.3": waited,
    "6.4": put("paper", "page", "data", 1, "run_id", "run_1"),
    "6.5": put("look", "steps", "data", 0, *FIRST_CALL, "code_interpreter", "outputs", 0, "logs", "b''"),
    "7.1": put("function", "parameters", "required", []),
    "7.2": file_ids_sent,
    "7.3": put("asked", "run", "status", "completed"),
    "7.4": put("asked", "run", "expires_at", None),
    "7.5": put(
        *("asked", "run", "required_action", "submit_tool_outputs", "tool_calls", 0, "function", "arguments", "{}")
    ),
    "7.6": put("asked", "run", "required_action", "submit_tool_outputs", "tool_calls", []),
    "7.7": put("submitted", "started_at", None),
    "7.8": put("graded", "printed", 1, 1, "Well done."),
}


@pytest.mark.parametrize("number", read_boxes())
def test_a_check_notices_what_is_wrong(number: str, scripted_walk: Callable[[str], Walked]) -> None:
    walked = scripted_walk("1.2.3")
    spoiled = Walked(walked.sdk, walked.scripted, copy.deepcopy(walked.saw), copy.deepcopy(walked.exchanges))
    SPOILS[number](spoiled.saw, spoiled.exchanges)
    CHECKS[number](walked)
    with pytest.raises(AssertionError):
        CHECKS[number](spoiled)


def test_every_check_is_known_to_notice() -> None:
    assert list(SPOILS) == list(read_boxes())
    assert {check.__module__ for check in CHECKS.values()} == {module.__name__ for module in MODULES}
