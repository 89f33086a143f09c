"""Tools, formats and choices that no model can be asked for, refused where they are named first, in both versions."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.faults.bodies import MODEL, function
from tests.faults.refusals import empty_string, missing
from tests.support.errors import Error
from tests.support.http import Api
from tests.support.talk import start, until, user

SEARCH, CODE = {"type": "file_search"}, {"type": "code_interpreter"}
STRICT = {"type": "object", "properties": {}, "additionalProperties": False, "required": []}
UNIQUE = Error(400, "Tool names must be unique.", "tools", "invalid_value")
NO_TOOLS = "Invalid value for 'tool_choice': 'tool_choice' is only allowed when 'tools' are specified."


def wrong_schema(words: str, place: int = 0) -> Error:
    message = f"Invalid schema for function 'f': {words}"
    return Error(400, message, f"tools[{place}].function.parameters", "invalid_function_parameters")


def wrong_format(words: str) -> Error:
    return Error(400, f"Invalid schema for response_format 'f': {words}", "response_format")


def wrong_choice(message: str) -> Error:
    return Error(400, message, "tool_choice")


def answer_in(schema: Any, strict: bool = True) -> Any:
    return {"type": "json_schema", "json_schema": {"name": "f", "strict": strict, "schema": schema}}


def chosen(name: str) -> Any:
    return {"type": "function", "function": {"name": name}}


@pytest.fixture(scope="module")
def v1(api: Api) -> Api:
    return Api(f"http://{api.address[0]}:{api.address[1]}/v1", beta="assistants=v1")


@pytest.fixture
def made(api: Api) -> Iterator[str]:
    """The id of an assistant."""
    id = api.post("/assistants", MODEL).ok["id"]
    yield id
    api.delete(f"/assistants/{id}")


@pytest.fixture
def places(made: str, thread: str) -> list[tuple[str, dict[str, Any]]]:
    """Where tools are named, and what else has to be said there."""
    run = {"assistant_id": made}
    return [
        ("/assistants", MODEL),
        (f"/assistants/{made}", {}),
        (f"/threads/{thread}/runs", run),
        ("/threads/runs", run | {"thread": {"messages": [user("hi")]}}),
    ]


BAD_TOOLS = [
    (
        [function(name="f", parameters={})],
        wrong_schema("schema must be a JSON Schema of 'type: \"object\"', got 'type: \"None\"'."),
    ),
    (
        [CODE, function(name="f", parameters={"type": "array"})],
        wrong_schema("schema must be a JSON Schema of 'type: \"object\"', got 'type: \"array\"'.", 1),
    ),
    (
        [function(name="f", parameters={"type": "object", "properties": []})],
        wrong_schema("[] is not of type 'object'."),
    ),
    ([function(name="f"), function(name="g"), function(name="f")], UNIQUE),
    ([CODE, CODE], UNIQUE),
]


@pytest.mark.parametrize(("tools", "refusal"), BAD_TOOLS)
def test_tools_that_cannot_be(api: Api, v1: Api, places: Any, tools: Any, refusal: Error) -> None:
    for path, body in places:
        for version in (api, v1):
            refusal.check(version.post(path, {**body, "tools": tools}))


@pytest.mark.parametrize(
    ("tools", "refusal"),
    [
        ([SEARCH, SEARCH], UNIQUE),
        ([SEARCH, function(name="file_search")], UNIQUE),
        (
            [function(name="f", strict=True, parameters={"type": "object", "properties": {}})],
            wrong_schema("In context=(), 'additionalProperties' is required to be supplied and to be false."),
        ),
        (
            [
                function(
                    name="f",
                    strict=True,
                    parameters={**STRICT, "properties": {"x": {"type": "array"}}, "required": ["x"]},
                )
            ],
            wrong_schema("In context=('properties', 'x'), array schema missing items."),
        ),
    ],
)
def test_tools_that_v1_cannot_name(api: Api, places: Any, tools: Any, refusal: Error) -> None:
    for path, body in places:
        refusal.check(api.post(path, {**body, "tools": tools}))


@pytest.mark.parametrize(
    ("given", "refusal"),
    [
        (answer_in({"type": "object"}), wrong_format("In context=(), object schema missing properties.")),
        (answer_in({}), wrong_format("schema must be a JSON Schema of 'type: \"object\"', got 'type: \"None\"'.")),
        (answer_in(None), missing("response_format.json_schema.schema")),
    ],
)
def test_formats_that_cannot_be(api: Api, v1: Api, places: Any, given: Any, refusal: Error) -> None:
    for path, body in places:
        for version in (api, v1):
            refusal.check(version.post(path, {**body, "response_format": given}))


def test_what_just_fits_is_shown_as_it_came(api: Api, v1: Api) -> None:
    """What is not strict may be looser; and a schema that is left out is completed where it has to be."""
    loose = {"type": "object", "properties": {"x": {"oneOf": [{}]}}}
    made = api.post("/assistants", MODEL | {"response_format": answer_in(loose, strict=False)}).ok
    assert made["response_format"] == answer_in(loose, strict=False)
    tools = [CODE, SEARCH, function(name="f", parameters=loose), function(name="g", strict=True, parameters=STRICT)]
    made = api.post("/assistants", MODEL | {"tools": [*tools, function(name="h", strict=True)]}).ok
    assert [tool["function"] for tool in made["tools"] if tool["type"] == "function"] == [
        {"name": "f", "parameters": loose, "strict": False},
        {"name": "g", "parameters": STRICT, "strict": True},
        {"name": "h", "parameters": STRICT, "strict": True},
    ]
    shown = v1.get(f"/assistants/{made['id']}").ok["tools"]
    assert v1.post(f"/assistants/{made['id']}", {"tools": shown}).ok["tools"] == shown


def test_the_schemas_of_a_request_are_a_limited_work(api: Api) -> None:
    """A schema may be hostile: wide, deep, or one that names itself."""
    wide = {"anyOf": [{"type": "null"}] * 2_500}
    tools = [
        function(name=f"f{n}", strict=True, parameters={**STRICT, "properties": {"x": wide}, "required": ["x"]})
        for n in range(8)
    ]
    answer = api.post("/assistants", MODEL | {"tools": tools})
    assert answer.status == 400
    assert answer.json["error"]["message"].startswith("Invalid schema for function 'f3': ")
    inner: Any = {"type": "null"}
    for _ in range(90):
        inner = {"anyOf": [inner]}
    deep = {**STRICT, "properties": {"x": inner}, "required": ["x"]}
    assert api.post("/assistants", MODEL | {"tools": [function(name="f", strict=True, parameters=deep)]}).ok
    self_named = {
        **STRICT,
        "properties": {"x": {"$ref": "#/$defs/a"}},
        "required": ["x"],
        "$defs": {"a": {"$ref": "#/$defs/a"}},
    }
    assert api.post("/assistants", MODEL | {"tools": [function(name="f", strict=True, parameters=self_named)]}).ok
    long = {"type": "x" * 900_000}
    refused = api.post("/assistants", MODEL | {"tools": [function(name="f", parameters=long)]})
    assert refused.status == 400
    assert len(json.dumps(refused.json)) < 1_000


@pytest.mark.parametrize(
    ("tools", "choice", "message"),
    [
        ([], "required", NO_TOOLS),
        ([], chosen("f"), NO_TOOLS),
        ([], SEARCH, NO_TOOLS),
        (
            [function(name="f")],
            chosen("g"),
            "Invalid value for 'tool_choice': no function named 'g' was specified in the 'tools' parameter.",
        ),
        (
            [SEARCH],
            chosen("file_search"),
            "Invalid value for 'tool_choice': no function named 'file_search' was specified in the 'tools' parameter.",
        ),
        ([CODE], SEARCH, "Tool choice 'file_search' not found in 'tools' parameter."),
        ([SEARCH], CODE, "Tool choice 'code_interpreter' not found in 'tools' parameter."),
        ([function(name="code_interpreter")], CODE, "Tool choice 'code_interpreter' not found in 'tools' parameter."),
    ],
)
def test_a_choice_that_cannot_be_met(api: Api, tools: Any, choice: Any, message: str) -> None:
    """With the tools of the assistant, and with the run's own in their place; nothing is made of the request."""
    having = api.post("/assistants", MODEL | {"tools": tools}).ok["id"]
    other = api.post("/assistants", MODEL | {"tools": [] if tools else [function(name="z")]}).ok["id"]
    thread = api.post("/threads", {"messages": [user("hi")]}).ok["id"]
    for run in ({"assistant_id": having}, {"assistant_id": other, "tools": tools}):
        body = {**run, "tool_choice": choice}
        wrong_choice(message).check(api.post(f"/threads/{thread}/runs", body))
        wrong_choice(message).check(api.post("/threads/runs", {**body, "thread": {"messages": [user("hi")]}}))
    assert api.get(f"/threads/{thread}/runs").ok["data"] == []


def test_a_choice_of_v1_that_cannot_be_met(v1: Api) -> None:
    retrieval = {"type": "retrieval"}
    plain, coder = (v1.post("/assistants", MODEL | {"tools": tools}).ok["id"] for tools in ([], [CODE]))
    thread = v1.post("/threads", {"messages": [user("hi")]}).ok["id"]
    for assistant, choice, message in (
        (plain, chosen("f"), NO_TOOLS),
        (
            coder,
            chosen("f"),
            "Invalid value for 'tool_choice': no function named 'f' was specified in the 'tools' parameter.",
        ),
        (coder, retrieval, "Tool choice 'retrieval' not found in 'tools' parameter."),
    ):
        run = {"assistant_id": assistant, "tool_choice": choice}
        wrong_choice(message).check(v1.post(f"/threads/{thread}/runs", run))
        wrong_choice(message).check(v1.post("/threads/runs", {**run, "thread": {"messages": [user("hi")]}}))


def test_choices_that_can_be_met(api: Api, assistant: str) -> None:
    """`none` and `auto` ask for nothing, so they need no tools."""
    plain = api.post("/assistants", MODEL).ok["id"]
    for id, choice in ((plain, "none"), (plain, "auto"), (assistant, "required"), (assistant, chosen("look_up"))):
        run = start(api, "/say hi", id, tool_choice=choice)
        assert run["tool_choice"] == choice
        until(api, run, "completed", "requires_action")


@pytest.mark.parametrize("number", [{}, {"last_messages": None}])
def test_the_last_messages_are_a_number_of_messages(
    api: Api, v1: Api, assistant: str, thread: str, number: Any
) -> None:
    strategy = {"type": "last_messages", **number}
    run = {"assistant_id": assistant, "truncation_strategy": strategy}
    for version in (api, v1):
        for path in (f"/threads/{thread}/runs", "/threads/runs"):
            missing("truncation_strategy.last_messages").check(version.post(path, run))


@pytest.mark.parametrize(
    ("given", "instructions"),
    [
        ({"model": ""}, "Be brief."),
        ({"model": "", "instructions": None}, "Be brief."),
        ({"model": "", "instructions": "", "additional_instructions": ""}, "Be brief."),
        ({"model": "", "instructions": "Be long."}, "Be long."),
        ({"instructions": ""}, ""),
    ],
)
def test_an_empty_model_of_a_run_is_the_assistants(api: Api, v1: Api, given: dict[str, Any], instructions: str) -> None:
    """Clients that send every field mean nothing by the empty ones; instructions alone may be emptied on purpose."""
    made = api.post("/assistants", MODEL | {"instructions": "Be brief."}).ok["id"]
    with_thread = {name: value for name, value in given.items() if name != "additional_instructions"}
    for version in (api, v1):
        thread = api.post("/threads", {"messages": [user("/say hi")]}).ok["id"]
        for path, body in (
            (f"/threads/{thread}/runs", given),
            ("/threads/runs", {**with_thread, "thread": {"messages": [user("/say hi")]}}),
        ):
            run = version.post(path, {"assistant_id": made, **body}).ok
            assert (run["model"], run["instructions"]) == ("scripted", instructions)
            until(api, run, "completed")


def test_an_assistant_has_a_model_of_its_own(api: Api, v1: Api, made: str) -> None:
    for version in (api, v1):
        empty_string("model").check(version.post("/assistants", {"model": ""}))
        empty_string("model").check(version.post(f"/assistants/{made}", {"model": ""}))
