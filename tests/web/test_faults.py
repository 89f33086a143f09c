"""The walk that tells what is wrong: every kind of type, and that it and the decoder always agree."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import Annotated, Any, Literal

import msgspec
import msgspec.inspect
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import Meta

from assistd.assistants.wire import CreateAssistant, ModifyAssistant
from assistd.errors import APIError
from assistd.models.wire import ChatCompletion, Embedding
from assistd.runs.wire import CreateRun, CreateThreadAndRun, SubmitToolOutputs
from assistd.threads.wire import CreateMessage, CreateThread
from assistd.web.faults import explain
from assistd.web.request import decode
from assistd.web.wire import RequestBody

BODIES = [
    CreateAssistant,
    ModifyAssistant,
    CreateThread,
    CreateMessage,
    CreateRun,
    CreateThreadAndRun,
    SubmitToolOutputs,
    ChatCompletion,
    Embedding,
]


class Cat(RequestBody, frozen=True, tag_field="kind", tag="cat"):
    lives: Annotated[int, Meta(ge=1, le=9)] = 9


class Dog(RequestBody, frozen=True, tag_field="kind", tag="dog"):
    name: Annotated[str, Meta(min_length=1, max_length=5, pattern=r"^[a-z]+\Z")]


class Home(RequestBody, frozen=True):
    pets: Annotated[list[Cat | Dog], Meta(min_length=1, max_length=2)]
    size: Literal["small", "big", "huge"] = "small"
    rooms: dict[str, Annotated[float, Meta(ge=0)]] | None = None
    owner: str | list[str] | None = None
    notes: Any = None
    open: bool = True


def told(body: Any, kind: Any = Home) -> tuple[str, str | None, str | None]:
    with pytest.raises(APIError) as refusal:
        decode(json.dumps(body).encode(), kind)
    assert (refusal.value.status, refusal.value.type) == (400, "invalid_request_error")
    return refusal.value.message, refusal.value.param, refusal.value.code


CAT = {"kind": "cat"}


@pytest.mark.parametrize(
    ("body", "message", "param", "code"),
    [
        ({}, "Missing required parameter: 'pets'.", "pets", "missing_required_parameter"),
        ({"pets": [CAT], "pest": 1}, "Unknown parameter: 'pest'.", "pest", "unknown_parameter"),
        (
            {"pets": [CAT, {}]},
            "Missing required parameter: 'pets[1].kind'.",
            "pets[1].kind",
            "missing_required_parameter",
        ),
        (
            {"pets": [{"kind": "cow"}]},
            "Invalid value: 'cow'. Supported values are: 'cat' and 'dog'.",
            "pets[0].kind",
            "invalid_value",
        ),
        (
            {"pets": [{"kind": None}]},
            "Invalid type for 'pets[0].kind': expected one of 'cat' or 'dog', but got null instead.",
            "pets[0].kind",
            "invalid_type",
        ),
        (
            {"pets": [{"kind": "cat", "name": "x"}]},
            "Unknown parameter: 'pets[0].name'.",
            "pets[0].name",
            "unknown_parameter",
        ),
        (
            {"pets": [{"kind": "dog"}]},
            "Missing required parameter: 'pets[0].name'.",
            "pets[0].name",
            "missing_required_parameter",
        ),
        (
            {"pets": CAT},
            "Invalid type for 'pets': expected an array of objects, but got an object instead.",
            "pets",
            "invalid_type",
        ),
        (
            {"pets": ["cat"]},
            "Invalid type for 'pets[0]': expected an object, but got a string instead.",
            "pets[0]",
            "invalid_type",
        ),
        (
            {"pets": []},
            "Invalid 'pets': empty array. Expected an array with minimum length 1, but got an empty array instead.",
            "pets",
            "empty_array",
        ),
        (
            {"pets": [CAT] * 3},
            "Invalid 'pets': array too long. Expected an array with maximum length 2, but got an array "
            "with length 3 instead.",
            "pets",
            "array_above_max_length",
        ),
        (
            {"pets": [{"kind": "cat", "lives": 10}]},
            "Invalid 'pets[0].lives': integer above maximum value. Expected a value <= 9, but got 10 instead.",
            "pets[0].lives",
            "integer_above_max_value",
        ),
        (
            {"pets": [{"kind": "cat", "lives": 0}]},
            "Invalid 'pets[0].lives': integer below minimum value. Expected a value >= 1, but got 0 instead.",
            "pets[0].lives",
            "integer_below_min_value",
        ),
        (
            {"pets": [{"kind": "cat", "lives": 1.5}]},
            "Invalid type for 'pets[0].lives': expected an integer, but got a decimal number instead.",
            "pets[0].lives",
            "invalid_type",
        ),
        (
            {"pets": [{"kind": "dog", "name": ""}]},
            "Invalid 'pets[0].name': empty string. Expected a string with minimum length 1, but got an "
            "empty string instead.",
            "pets[0].name",
            "empty_string",
        ),
        (
            {"pets": [{"kind": "dog", "name": "rex\n"}]},
            "Invalid 'pets[0].name': string does not match pattern. Expected a string that matches the "
            "pattern '^[a-z]+$'.",
            "pets[0].name",
            "invalid_value",
        ),
        (
            {"pets": [{"kind": "dog", "name": "r" * 6}]},
            "Invalid 'pets[0].name': string too long. Expected a string with maximum length 5, but got a "
            "string with length 6 instead.",
            "pets[0].name",
            "string_above_max_length",
        ),
        (
            {"pets": [CAT], "size": "tiny"},
            "Invalid value: 'tiny'. Supported values are: 'small', 'big', and 'huge'.",
            "size",
            "invalid_value",
        ),
        (
            {"pets": [CAT], "size": 5},
            "Invalid type for 'size': expected one of 'small', 'big', or 'huge', but got an integer instead.",
            "size",
            "invalid_type",
        ),
        (
            {"pets": [CAT], "rooms": {"a": -0.5}},
            "Invalid 'rooms.a': decimal below minimum value. Expected a value >= 0, but got -0.5 instead.",
            "rooms.a",
            "decimal_below_min_value",
        ),
        (
            {"pets": [CAT], "owner": 7},
            "Invalid type for 'owner': expected one of a string or array of strings, but got an integer instead.",
            "owner",
            "invalid_type",
        ),
        (
            {"pets": [CAT], "owner": ["a", False]},
            "Invalid type for 'owner[1]': expected a string, but got a boolean instead.",
            "owner[1]",
            "invalid_type",
        ),
        (
            {"pets": [CAT], "open": None},
            "Invalid type for 'open': expected a boolean, but got null instead.",
            "open",
            "invalid_type",
        ),
        (
            {"pets": [CAT], "open": 1},
            "Invalid type for 'open': expected a boolean, but got an integer instead.",
            "open",
            "invalid_type",
        ),
        ([CAT], "Invalid type: expected an object, but got an array instead.", None, "invalid_type"),
        (None, "Invalid type: expected an object, but got null instead.", None, "invalid_type"),
    ],
)
def test_each_fault_in_its_words(body: Any, message: str, param: str | None, code: str) -> None:
    assert told(body) == (message, param, code)


def test_the_first_fault_is_told_from_the_outside_in() -> None:
    """Of an object: first what is missing, then what is unknown, then what is wrong with its members in their order."""
    bad_pets = [{"kind": "cow"}]
    assert told({"size": "tiny", "pest": 1})[1] == "pets"
    assert told({"size": "tiny", "pets": bad_pets, "pest": 1})[1] == "pest"
    assert told({"size": "tiny", "pets": bad_pets})[1] == "size"
    assert told({"pets": bad_pets, "size": "tiny"})[1] == "pets[0].kind"


def test_what_fits_has_no_fault() -> None:
    home = {"pets": [CAT, {"kind": "dog", "name": "rex"}], "rooms": None, "owner": ["a"], "notes": {"x": [1, None]}}
    assert explain(home, msgspec.inspect.type_info(Home)) is None
    assert decode(json.dumps(home).encode(), Home).owner == ["a"]


# --- the walk against the decoder

scalars = st.none() | st.booleans() | st.integers(-3, 300) | st.floats(allow_nan=False, allow_infinity=False)
words = st.sampled_from(
    ["user", "auto", "function", "text", "x", "", "asst_1", "last_messages", "json_schema", "code_interpreter", "f g"]
)


def _names(kind: Any) -> list[str]:
    """Every name of a member that occurs anywhere below a type."""
    found: dict[str, None] = {}

    def walk(node: Any, seen: frozenset[Any]) -> None:
        if isinstance(node, msgspec.inspect.StructType):
            if node.cls in seen:
                return
            if node.tag_field:
                found[node.tag_field] = None
            for field in node.fields:
                found[field.encode_name] = None
                walk(field.type, seen | {node.cls})
        for part in ("type", "item_type", "value_type"):
            if hasattr(node, part):
                walk(getattr(node, part), seen)
        for each in getattr(node, "types", ()):
            walk(each, seen)

    walk(msgspec.inspect.type_info(kind), frozenset())
    return list(found)


def json_like(kind: Any) -> st.SearchStrategy[Any]:
    """JSON whose names and words are those of a type, so that it often nearly fits."""
    names = st.sampled_from([*_names(kind), "zzz"])
    return st.recursive(
        scalars | words,
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=6),
        max_leaves=12,
    )


@pytest.mark.parametrize("kind", BODIES, ids=lambda kind: kind.__name__)
def test_the_walk_finds_a_fault_just_where_the_decoder_refuses(kind: Any) -> None:
    """And tells it of a place that is there, or that ought to be."""
    description = msgspec.inspect.type_info(kind)

    @settings(max_examples=150, deadline=None, database=None, derandomize=True)
    @given(st.dictionaries(st.sampled_from([*_names(kind), "zzz"]), json_like(kind), max_size=5) | json_like(kind))
    def check(value: Any) -> None:
        body = json.dumps(value).encode()
        fault = explain(msgspec.json.decode(body), description)
        assert (fault is not None) == refuses(body), (value, fault)
        if fault is not None:
            assert fault.code is not None
            assert fault.param is None or fault.message.count("'") >= 2

    def refuses(body: bytes) -> bool:
        with suppress(msgspec.ValidationError):
            msgspec.json.decode(body, type=kind)
            return False
        return True

    check()
