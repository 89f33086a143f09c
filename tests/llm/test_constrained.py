"""Constrained calls: the schema, the prompt, and replies read while they stream."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator
from contextlib import aclosing, suppress
from dataclasses import replace
from typing import Any

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from assistd.llm.constrained import ConstrainedModel
from assistd.llm.json_scan import StringScanner, ValueScanner
from assistd.llm.protocol import (
    CallArguments,
    CallStart,
    ChatRequest,
    Delta,
    Finish,
    ModelError,
    ModelRefused,
    ModelUnavailable,
    Text,
)
from assistd.llm.reply import NotAReply, ReplyReader
from assistd.llm.reply_schema import reply_schema
from assistd.llm.routing import single_route
from assistd.llm.scripted import ScriptedModel, scripted_model
from assistd.llm.upstream import open_upstream

CITY = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
WEATHER = {"name": "get_weather", "description": "Tells the weather.", "parameters": CITY}
TIME = {"name": "get_time"}
TOOLS = [{"type": "function", "function": WEATHER}, {"type": "function", "function": TIME}]


def cut_up(text: str, data: st.DataObject) -> list[str]:
    cuts = sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=12)))
    return [text[a:b] for a, b in zip([0, *cuts], [*cuts, len(text)], strict=True)]


# Scanning


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=10,
)


@given(JSON, st.booleans(), st.sampled_from([" ", ",", "}", "]", "\n"]), st.data())
def test_the_end_of_a_value_is_found_wherever_it_is_split(
    value: Any, ascii: bool, tail: str, data: st.DataObject
) -> None:
    text = json.dumps(value, ensure_ascii=ascii)
    scanner = ValueScanner()
    read = ""
    for piece in cut_up(text + tail + '"{[', data):
        if not scanner.done:
            read += piece[: scanner.feed(piece)]
    assert scanner.done
    assert read == text


ANY_TEXT = st.text(st.characters(exclude_categories=[]) | st.sampled_from('"\\\0\n\u2028\ud83d\ude00\U0001f600'))


@given(ANY_TEXT, st.booleans(), st.data())
def test_a_string_is_decoded_wherever_it_is_split(value: str, ascii: bool, data: st.DataObject) -> None:
    text = json.dumps(value, ensure_ascii=ascii)
    expected = value if not ascii else json.loads(text)  # two halves that happen to meet are a pair in JSON
    expected = re.sub("[\0\ud800-\udfff]", "\ufffd", expected)
    scanner = StringScanner()
    decoded = ""
    for piece in cut_up(text[1:] + '"more', data):
        if not scanner.done:
            decoded += scanner.feed(piece)[0]
    assert scanner.done
    assert decoded == expected


@pytest.mark.parametrize(
    ("text", "decoded"),
    [
        (r'\b\f\n\r\t\"\\\/"', '\b\f\n\r\t"\\/'),
        (r'\u00e9\ud83d\ude00"', "\u00e9\U0001f600"),
        (r'\ud83dx\ude00"', "\ufffdx\ufffd"),
        (r'\ud83d\n"', "\ufffd\n"),
        (r'\ud83d\ud83d\ude00"', "\ufffd\U0001f600"),
        (r'\ud83d"', "\ufffd"),
        (r'\u0000\uzzzz\x"', "\ufffd\ufffdx"),
    ],
)
def test_escapes(text: str, decoded: str) -> None:
    for pieces in ([text], list(text)):
        scanner = StringScanner()
        assert "".join(scanner.feed(piece)[0] for piece in pieces) == decoded
        assert scanner.done


# Replies


def read(pieces: list[str], answer_is_text: bool = True) -> list[Delta]:
    reader = ReplyReader(answer_is_text)
    deltas = [delta for piece in pieces for delta in reader.feed(piece)]
    return deltas + reader.finish(whole=True)


def joined(deltas: list[Delta]) -> tuple[str, list[str], str]:
    """Answer, names of calls, arguments."""
    return (
        "".join(delta.value for delta in deltas if isinstance(delta, Text)),
        [delta.name for delta in deltas if isinstance(delta, CallStart)],
        "".join(delta.value for delta in deltas if isinstance(delta, CallArguments)),
    )


@given(st.text(), st.booleans(), st.sampled_from([None, 2]), st.data())
def test_answers_come_out_whole(answer: str, ascii: bool, indent: int | None, data: st.DataObject) -> None:
    text = json.dumps({"answer": answer}, ensure_ascii=ascii, indent=indent)
    deltas = read(cut_up(f" \n{text}\n", data))
    assert joined(deltas) == (answer.replace("\0", "\ufffd"), [], "")
    assert all(delta.value for delta in deltas if isinstance(delta, Text))


@given(st.dictionaries(st.text(max_size=3), JSON, max_size=3), st.booleans(), st.booleans(), st.data())
def test_calls_come_out_whole(arguments: Any, named_first: bool, spaced: bool, data: st.DataObject) -> None:
    raw = json.dumps(arguments, indent=1 if spaced else None)
    gap = " \n" if spaced else ""
    parts = [f'"tool"{gap}:{gap}"get_weather"', f'"arguments"{gap}:{gap}{raw}']
    text = f"{{{gap}" + f"{gap},{gap}".join(parts if named_first else parts[::-1]) + f"{gap}}}"
    deltas = read(cut_up(text, data))
    assert joined(deltas) == ("", ["get_weather"], raw)
    assert isinstance(deltas[0], CallStart)
    assert all(delta.value for delta in deltas if isinstance(delta, CallArguments))


@given(JSON, st.data())
def test_an_answer_that_is_json_comes_out_as_it_stands(answer: Any, data: st.DataObject) -> None:
    raw = json.dumps(answer)
    assert joined(read(cut_up(f'{{"answer": {raw}}}', data), answer_is_text=False)) == (raw, [], "")


def test_pieces_come_out_as_early_as_they_are_certain() -> None:
    reader = ReplyReader(answer_is_text=True)
    assert reader.feed('{"ans') == []
    assert reader.feed('wer": "Hel') == [Text("Hel")]
    assert reader.feed("lo\\u00") == [Text("lo")]
    assert reader.feed("e9!") == [Text("\u00e9!")]
    reader = ReplyReader(answer_is_text=True)
    assert reader.feed('{"tool": "f"') != []
    assert reader.feed(', "arguments": {"a') == [CallArguments(0, '{"a')]
    assert reader.feed('":1}}  ') == [CallArguments(0, '":1}')]


def test_what_does_not_keep_to_the_schema() -> None:
    assert joined(read(["  Just ", "text {}"])) == ("Just text {}", [], "")
    assert joined(read([""])) == ("", [], "")
    assert joined(read(['{"tool": "f"}'])) == ("", ["f"], "{}")
    assert joined(read(['{"thought": {"a": "}"}, "answer": "yes"} bye'])) == ("yes", [], "")
    assert joined(read(['{"answer": 42}'])) == ("42", [], "")
    for text in ("{}", '{"a":1}', "{answer}", '{"answer": "a', '{"tool": "f", "arguments": {', '{"answer"', "{"):
        with pytest.raises(NotAReply):
            read([text])
    with pytest.raises(NotAReply):
        read(['{"tool": "f", "tool": "g"}'])


@given(st.text(st.sampled_from('{}[]",:\\ toolanswergumets123\n'), max_size=60), st.data())
def test_any_text_ends_in_deltas_or_not_a_reply_however_split(text: str, data: st.DataObject) -> None:
    def outcome(pieces: list[str]) -> Any:
        try:
            return joined(read(pieces))
        except NotAReply:
            return None

    assert outcome(cut_up(text, data)) == outcome([text])


# The schema


def test_one_alternative_for_each_tool_and_one_for_the_answer() -> None:
    schema = reply_schema([WEATHER, TIME], {"type": "string"})
    jsonschema.Draft202012Validator.check_schema(schema)
    accept = jsonschema.Draft202012Validator(schema).is_valid
    assert accept({"tool": "get_weather", "arguments": {"city": "Oslo"}})
    assert accept({"tool": "get_time", "arguments": {}})
    assert accept({"answer": "hello"})
    for wrong in (
        {"tool": "get_weather", "arguments": {}},
        {"tool": "get_weather", "arguments": {"city": 1}},
        {"tool": "get_time", "arguments": {"a": 1}},
        {"tool": "other", "arguments": {}},
        {"tool": "get_time"},
        {"answer": 1},
        {"answer": "a", "tool": "get_time", "arguments": {}},
        {},
    ):
        assert not accept(wrong)
    assert "anyOf" not in reply_schema([TIME], None)
    assert not jsonschema.Draft202012Validator(reply_schema([TIME], None)).is_valid({"answer": "hello"})


def test_definitions_of_different_tools_do_not_mix() -> None:
    def tool(name: str, place: dict[str, Any], key: str) -> dict[str, Any]:
        reference = {"$ref": f"#/{key}/Place"}
        return {
            "name": name,
            "parameters": {
                "type": "object",
                "properties": {"at": reference, "near": {"type": "array", "items": reference}},
                "required": ["at"],
                key: {"Place": place},
            },
        }

    schema = reply_schema(
        [tool("go", {"type": "string"}, "$defs"), tool("fly", {"type": "integer"}, "definitions")],
        {"type": "object", "properties": {"a": {"$ref": "#/$defs/Place"}}, "$defs": {"Place": {"type": "null"}}},
    )
    jsonschema.Draft202012Validator.check_schema(schema)
    accept = jsonschema.Draft202012Validator(schema).is_valid
    assert accept({"tool": "go", "arguments": {"at": "home", "near": ["a"]}})
    assert not accept({"tool": "go", "arguments": {"at": 1}})
    assert accept({"tool": "fly", "arguments": {"at": 1, "near": [2]}})
    assert not accept({"tool": "fly", "arguments": {"at": "home"}})
    assert accept({"answer": {"a": None}})
    assert not accept({"answer": {"a": "b"}})
    references = re.findall(r'"\$ref": "([^"]+)"', json.dumps(schema))
    assert {reference.rpartition("/")[0] for reference in references} == {"#/$defs"}


@pytest.mark.parametrize("root", ["#", "#/$defs/Node"])
def test_a_schema_that_refers_to_itself(root: str) -> None:
    node = {
        "type": "object",
        "properties": {"value": {"type": "integer"}, "next": {"$ref": root}},
        "required": ["value"],
    }
    parameters = node if root == "#" else {"$ref": root, "$defs": {"Node": node}}
    accept = jsonschema.Draft202012Validator(reply_schema([{"name": "f", "parameters": parameters}], None)).is_valid
    assert accept({"tool": "f", "arguments": {"value": 1, "next": {"value": 2, "next": {"value": 3}}}})
    assert not accept({"tool": "f", "arguments": {"value": 1, "next": {"value": 2, "next": {"value": "3"}}}})


def test_references_into_other_places() -> None:
    parameters = {
        "type": "object",
        "properties": {
            "a/b": {"type": "integer"},
            "same": {"$ref": "#/properties/a~1b"},
            "one": {"$ref": "#/properties/listed/prefixItems/0"},
            "listed": {"prefixItems": [{"type": "boolean"}]},
            "other": {"$ref": "https://schemas.example/x"},
            "gone": {"$ref": "#/$defs/Nowhere"},
        },
    }
    accept = jsonschema.Draft202012Validator(reply_schema([{"name": "f", "parameters": parameters}], None)).is_valid
    assert accept({"tool": "f", "arguments": {"same": 1, "one": True, "other": "anything", "gone": [1]}})
    assert not accept({"tool": "f", "arguments": {"same": "1"}})
    assert not accept({"tool": "f", "arguments": {"one": 1}})


def test_definitions_of_one_name_in_one_tool_do_not_mix() -> None:
    inner = {"$defs": {"Place": {"type": "integer"}}, "type": "object"}
    properties = {"a": {"$ref": "#/$defs/Place"}, "b": {"$ref": "#/properties/c/$defs/Place"}, "c": inner}
    parameters = {"type": "object", "properties": properties, "$defs": {"Place": {"type": "string"}}}
    accept = jsonschema.Draft202012Validator(reply_schema([{"name": "f", "parameters": parameters}], None)).is_valid
    assert accept({"tool": "f", "arguments": {"a": "x", "b": 1}})
    assert not accept({"tool": "f", "arguments": {"a": 1}})
    assert not accept({"tool": "f", "arguments": {"b": "x"}})


def test_the_tools_schemas_are_left_as_they_were() -> None:
    parameters = {"type": "object", "properties": {"a": {"$ref": "#/$defs/A"}}, "$defs": {"A": {"type": "string"}}}
    before = json.dumps(parameters)
    reply_schema([{"name": "f", "parameters": parameters}], None)
    assert json.dumps(parameters) == before


# The model


@pytest.fixture
async def scripted() -> AsyncIterator[ScriptedModel]:
    async with scripted_model() as running:
        yield running


@pytest.fixture
async def model(scripted: ScriptedModel) -> AsyncIterator[ConstrainedModel]:
    async with open_upstream() as upstream:
        route = replace(single_route(scripted.base_url, context_length=4096), tools="constrained", images=False)
        yield ConstrainedModel(upstream.model(route, "m"))


async def ask(model: ConstrainedModel, *lines: str, **fields: Any) -> list[Delta]:
    request = ChatRequest("m", [{"role": "user", "content": "\n".join(lines)}], **{"tools": TOOLS} | fields)
    return [delta async for batch in model.stream(request) for delta in batch]


def say(value: Any) -> str:
    return f"/say {json.dumps(json.dumps(value))}"


async def test_a_call(model: ConstrainedModel, scripted: ScriptedModel) -> None:
    deltas = await ask(model, say({"tool": "get_weather", "arguments": {"city": "New York"}}))
    assert joined(deltas) == ("", ["get_weather"], '{"city": "New York"}')
    start, *pieces, finish = deltas
    assert isinstance(start, CallStart)
    assert re.fullmatch("call_[0-9A-Za-z]{24}", start.id)
    assert len(pieces) > 1
    assert isinstance(finish, Finish)
    assert finish.reason == "tool_calls"
    assert finish.usage is not None
    assert finish.usage.completion_tokens > 0


def rounds(*cities: str) -> list[Any]:
    """A question, and calls that were made and answered since."""
    messages: list[Any] = [{"role": "user", "content": "/say the end"}]
    for number, city in enumerate(cities):
        arguments = json.dumps({"city": city})
        call = {"id": f"c{number}", "type": "function", "function": {"name": "get_weather", "arguments": arguments}}
        messages.append({"role": "assistant", "content": None, "tool_calls": [call]})
        messages.append({"role": "tool", "tool_call_id": f"c{number}", "content": "sunny"})
    return messages


@pytest.mark.parametrize(
    ("cities", "must_answer"),
    [("a", False), ("aba", False), ("abcd", False), ("aa", True), ("abb", True), ("abcde", True)],
)
async def test_a_model_that_goes_in_circles_has_to_answer(
    model: ConstrainedModel, scripted: ScriptedModel, cities: str, must_answer: bool
) -> None:
    async def asked(messages: list[Any], choice: Any = None) -> bool:
        request = ChatRequest("m", messages, tools=TOOLS, tool_choice=choice)
        with suppress(ModelError):  # the script's words are no reply of the schema's
            async for _ in model.stream(request):
                pass
        schema = scripted.received[-1].body["response_format"]["json_schema"]["schema"]
        return bool(schema == reply_schema([], {"type": "string"}))

    assert await asked(rounds(*cities)) == must_answer
    # What was called for an earlier question does not count, and who insists on a call gets one.
    assert not await asked([*rounds(*cities), {"role": "user", "content": "/say more"}])
    assert not await asked(rounds(*cities), "required")


async def test_an_answer_streams(model: ConstrainedModel, scripted: ScriptedModel) -> None:
    deltas = await ask(model, say({"answer": "It is sunny\nin \u00d6sterreich."}))
    assert joined(deltas) == ("It is sunny\nin \u00d6sterreich.", [], "")
    assert len(deltas) > 3
    assert isinstance(deltas[-1], Finish)
    assert deltas[-1].reason == "stop"


async def test_what_is_asked_of_the_server(model: ConstrainedModel, scripted: ScriptedModel) -> None:
    await ask(model, "hi", temperature=0.0, max_completion_tokens=500, parallel_tool_calls=True)
    body = scripted.received[-1].body
    assert set(body) == {
        "model", "messages", "stream", "stream_options", "temperature", "max_tokens", "response_format"
    }  # fmt: skip
    assert body["response_format"]["type"] == "json_schema"
    assert body["response_format"]["json_schema"]["schema"] == reply_schema([WEATHER, TIME], {"type": "string"})
    system, user = body["messages"]
    assert user == {"role": "user", "content": "hi"}
    assert system["role"] == "system"
    for words in ("get_weather", "Tells the weather.", json.dumps(CITY, separators=(",", ":")), "get_time", '"answer"'):
        assert words in system["content"]


async def test_tools_join_the_instructions_that_are_there(model: ConstrainedModel, scripted: ScriptedModel) -> None:
    request = ChatRequest("m", [{"role": "system", "content": "Be kind."}, {"role": "user", "content": "hi"}], TOOLS)
    async for _ in model.stream(request):
        pass
    messages = scripted.received[-1].body["messages"]
    assert [message["role"] for message in messages] == ["system", "user"]
    assert messages[0]["content"].startswith("Be kind.\n\n")


def alternatives(scripted: ScriptedModel) -> list[Any]:
    """What the model could answer: names of tools, None for an answer."""
    schema = scripted.received[-1].body["response_format"]["json_schema"]["schema"]
    return [one["properties"].get("tool", {}).get("const") for one in schema.get("anyOf", [schema])]


@pytest.mark.parametrize(
    ("choice", "expected"),
    [
        (None, ["get_weather", "get_time", None]),
        ("auto", ["get_weather", "get_time", None]),
        ("required", ["get_weather", "get_time"]),
        ({"type": "function", "function": {"name": "get_time"}}, ["get_time"]),
    ],
)
async def test_tool_choice(model: ConstrainedModel, scripted: ScriptedModel, choice: Any, expected: list[Any]) -> None:
    deltas = await ask(model, "hi", tool_choice=choice)
    assert alternatives(scripted) == expected
    assert joined(deltas)[1] == [expected[0]]  # the scripted model takes the first alternative


async def test_no_tools_no_constraint(model: ConstrainedModel, scripted: ScriptedModel) -> None:
    without: list[dict[str, Any]] = [{"tool_choice": "none"}, {"tools": []}]
    for fields in without:
        deltas = await ask(model, "hi", **fields)
        assert joined(deltas) == ("echo: hi", [], "")
        assert "response_format" not in scripted.received[-1].body
        assert len(scripted.received[-1].body["messages"]) == 1


async def test_a_choice_that_is_not_there(model: ConstrainedModel) -> None:
    with pytest.raises(ModelRefused, match="other") as raised:
        await ask(model, "hi", tool_choice={"type": "function", "function": {"name": "other"}})
    assert raised.value.code == "invalid_prompt"


@pytest.mark.parametrize(
    ("response_format", "expected"),
    [
        ({"type": "json_object"}, {"type": "object"}),
        ({"type": "json_schema", "json_schema": {"name": "x", "schema": CITY}}, CITY),
        ({"type": "text"}, {"type": "string"}),
    ],
)
async def test_the_answer_has_the_format_that_was_asked_for(
    model: ConstrainedModel, scripted: ScriptedModel, response_format: Any, expected: Any
) -> None:
    await ask(model, "hi", response_format=response_format)
    schema = scripted.received[-1].body["response_format"]["json_schema"]["schema"]
    assert schema["anyOf"][-1]["properties"] == {"answer": expected}


async def test_a_json_answer_comes_out_as_json(model: ConstrainedModel, scripted: ScriptedModel) -> None:
    answer = {"city": "S\u00e3o Paulo", "list": [1, {"a": None}]}
    deltas = await ask(model, say({"answer": answer}), response_format={"type": "json_object"})
    assert json.loads(joined(deltas)[0]) == answer


async def test_a_json_answer_without_tools_is_the_servers_business(
    model: ConstrainedModel, scripted: ScriptedModel
) -> None:
    response_format = {"type": "json_schema", "json_schema": {"name": "x", "schema": CITY}}
    deltas = await ask(model, "hi", tools=[], response_format=response_format)
    assert scripted.received[-1].body["response_format"] == response_format
    assert json.loads(joined(deltas)[0]) == {"city": ""}


async def test_the_history_of_calls_is_told_in_words(model: ConstrainedModel, scripted: ScriptedModel) -> None:
    call = {"id": "c1", "type": "function", "function": {"name": "get_weather", "arguments": '{"city":"Oslo"}'}}
    history = [
        {"role": "user", "content": "weather?"},
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "c1", "content": "sunny"},
    ]
    async for _ in model.stream(ChatRequest("m", history, TOOLS)):
        pass
    assert scripted.received[-1].body["messages"][1:] == [
        {"role": "user", "content": "weather?"},
        {"role": "assistant", "content": '{"tool": "get_weather", "arguments": {"city":"Oslo"}}'},
        {"role": "user", "content": "Result of get_weather:\nsunny"},
    ]


async def test_a_reply_cut_by_its_length(model: ConstrainedModel) -> None:
    called = say({"tool": "get_weather", "arguments": {"city": "a b c d e f g h"}})
    deltas = await ask(model, called, max_completion_tokens=6)
    assert joined(deltas)[1] == ["get_weather"]
    assert isinstance(deltas[-1], Finish)
    assert deltas[-1].reason == "length"
    deltas = await ask(model, say({"answer": "a b c d e f g h"}), max_completion_tokens=3)
    assert joined(deltas)[0].startswith("a b")
    assert isinstance(deltas[-1], Finish)
    assert deltas[-1].reason == "length"


async def test_a_server_that_does_not_hold_the_model_to_it(model: ConstrainedModel) -> None:
    assert joined(await ask(model, "/say I do as I like.")) == ("I do as I like.", [], "")
    for broken in ('/say {"answer": "ha', "/say {}"):
        with pytest.raises(ModelUnavailable, match="did not hold the model"):
            await ask(model, broken)


async def test_closing_the_stream_hangs_up(model: ConstrainedModel, scripted: ScriptedModel) -> None:
    request = ChatRequest("m", [{"role": "user", "content": "/say words of plain text\n/stall 2"}], TOOLS)
    async with aclosing(model.stream(request)) as batches:
        assert joined(list(await anext(batches)))[0] == "words of "
    await scripted.until_active(0)


async def test_a_model_knows_its_limits(model: ConstrainedModel) -> None:
    assert (model.context_length, model.images) == (4096, False)
