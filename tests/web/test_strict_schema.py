"""Which JSON schemas a model can be held to, and what is said of the others."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assistd.web.strict_schema import Allowance, SchemaFault, check_object, check_strict

TEXT = {"type": "string"}
AT_X = "In context=('properties', 'x'), "
REQUIRED = "'required' is required to be supplied and to be an array including every key in properties."


def an_object(**properties: Any) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


def fault_of(schema: dict[str, Any], allowance: Allowance | None = None) -> str | None:
    try:
        check_strict(schema, allowance or Allowance())
    except SchemaFault as fault:
        return str(fault)
    return None


def nested(levels: int) -> dict[str, Any]:
    """An object in an object and so on, with so many of them."""
    schema: Any = an_object()
    for _ in range(levels - 1):
        schema = an_object(x=schema)
    return schema


@pytest.mark.parametrize(
    "schema",
    [
        an_object(),
        {"type": "object", "properties": {}, "additionalProperties": False},
        an_object(x=TEXT | {"description": "d", "title": "t", "pattern": "^a$", "minLength": 1}),
        an_object(x={"type": ["string", "null"]}, y={"type": "array", "items": TEXT, "minItems": 1}),
        an_object(x={"enum": ["a", 1, None]}, y={"type": "string", "const": "a"}),
        an_object(x={"anyOf": [an_object(a=TEXT), {"type": "null"}]}),
        an_object(x=TEXT | {"format": "date-time"}),
        an_object(x={"$ref": "#/$defs/a~1b"}) | {"$defs": {"a/b": an_object(c={"$ref": "#"})}},
        an_object(x={"$ref": "#/definitions/a"}) | {"definitions": {"a": TEXT}},
        # Names of keywords as names of properties are names.
        an_object(default=TEXT, oneOf=TEXT, **{"$ref": TEXT, "": TEXT}),
        nested(10),
    ],
)
def test_what_a_model_can_be_held_to(schema: dict[str, Any]) -> None:
    assert fault_of(schema) is None


@pytest.mark.parametrize(
    ("schema", "fault"),
    [
        # the whole
        ({}, "schema must be a JSON Schema of 'type: \"object\"', got 'type: \"None\"'."),
        (
            {"type": "array", "items": TEXT},
            "schema must be a JSON Schema of 'type: \"object\"', got 'type: \"array\"'.",
        ),
        ({"type": ["object"]}, "schema must be a JSON Schema of 'type: \"object\"', got 'type: \"['object']\"'."),
        (
            an_object() | {"anyOf": [an_object()]},
            "schema must have type 'object' and not have 'oneOf'/'anyOf'/'allOf'/'enum'/'not' at the top level. "
            "Found 'anyOf'.",
        ),
        (nested(11), "11 levels of nesting exceeds limit of 10."),
        (an_object(**{f"p{n}": TEXT for n in range(6000)}), "6000 parameters exceeds limit of 5000."),
        (
            an_object(x=TEXT | {"enum": ["a"] * 600}, y=TEXT | {"enum": ["a"] * 600}),
            "Expected at most 1000 enum values in total within a schema when using structured outputs, but got 1200.",
        ),
        # objects
        ({"type": "object"}, "In context=(), object schema missing properties."),
        (
            {"type": "object", "properties": {}},
            "In context=(), 'additionalProperties' is required to be supplied and to be false.",
        ),
        (
            an_object() | {"additionalProperties": True},
            "In context=(), 'additionalProperties' is required to be supplied and to be false.",
        ),
        (
            {"type": "object", "properties": {"x": TEXT, "y": TEXT}, "additionalProperties": False, "required": ["x"]},
            f"In context=(), {REQUIRED} Missing 'y'.",
        ),
        (
            {"type": "object", "properties": {"x": TEXT}, "additionalProperties": False},
            f"In context=(), {REQUIRED} Missing 'x'.",
        ),
        (an_object() | {"required": ["z"]}, f"In context=(), {REQUIRED} Extra required key 'z' supplied."),
        (an_object() | {"required": [["z"]]}, f"In context=(), {REQUIRED} Extra required key ['z'] supplied."),
        ({"type": "object", "properties": []}, "[] is not of type 'object'."),
        (an_object() | {"required": None}, "None is not of type 'array'."),
        # what is within
        (an_object(x={}), AT_X + "schema must have a 'type' key."),
        (an_object(x=True), AT_X + "schema must have a 'type' key."),
        (an_object(x={"const": "a"}), AT_X + "schema must have a 'type' key."),
        (an_object(x=[]), AT_X + "[] is not of type 'object', 'boolean'."),
        (an_object(x={"type": "strin"}), AT_X + "'strin' is not valid under any of the given schemas."),
        (an_object(x={"type": []}), AT_X + "[] is not valid under any of the given schemas."),
        (an_object(x={"type": {"a": 1}}), AT_X + "{'a': 1} is not valid under any of the given schemas."),
        (an_object(x={"type": "array"}), AT_X + "array schema missing items."),
        (an_object(x={"oneOf": [TEXT]}), AT_X + "'oneOf' is not permitted."),
        (an_object(x=TEXT | {"default": "a"}), AT_X + "'default' is not permitted."),
        (
            an_object(x={"type": "array", "items": TEXT, "uniqueItems": True}),
            AT_X + "'uniqueItems' is not permitted.",
        ),
        (an_object(x=TEXT | {"format": "uri"}), AT_X + "'uri' is not a valid format."),
        (an_object(x={"type": "string", "enum": []}), AT_X + "[] should be non-empty."),
        (an_object(x={"type": "string", "enum": "a"}), AT_X + "'a' is not of type 'array'."),
        (an_object(x={"anyOf": []}), AT_X + "[] should be non-empty."),
        (
            an_object(x={"anyOf": [TEXT, {"type": "array", "items": {"type": "object"}}]}),
            "In context=('properties', 'x', 'anyOf', '1', 'items'), object schema missing properties.",
        ),
        (
            an_object(x={"type": "array", "items": {"type": "object", "properties": {}}}),
            "In context=('properties', 'x', 'items'), "
            "'additionalProperties' is required to be supplied and to be false.",
        ),
        # references
        (
            an_object(x={"$ref": "#/$defs/a", "description": "d"}) | {"$defs": {"a": TEXT}},
            "context=('properties', 'x'), $ref cannot have keywords {'description'}.",
        ),
        *(
            (
                an_object(x={"$ref": reference}) | {"$defs": {"a": an_object(b=TEXT)}},
                AT_X + "reference can only point to definitions defined at the top level of the schema.",
            )
            for reference in ("#/$defs/b", "#/properties/x", "#/$defs/a/properties/b", "https://x.org/a", 7)
        ),
        (
            an_object() | {"$defs": {"a": {"type": "object"}}},
            "In context=('$defs', 'a'), object schema missing properties.",
        ),
        (an_object() | {"$defs": []}, "In context=(), [] is not of type 'object'."),
    ],
)
def test_what_a_model_cannot_be_held_to(schema: dict[str, Any], fault: str) -> None:
    assert fault_of(schema) == fault


def test_what_any_function_takes_is_an_object() -> None:
    check_object({"type": "object"})
    check_object({"type": "object", "properties": {"x": {"oneOf": [{}]}}, "anyOf": []})
    for schema in ({}, {"type": "string"}, {"type": "object", "properties": []}):
        with pytest.raises(SchemaFault):
            check_object(schema)


def test_the_schemas_of_a_request_are_counted_together() -> None:
    """However they are spread: over tools, over choices, over definitions."""
    allowance = Allowance()
    assert fault_of(an_object(x={"anyOf": [TEXT] * 6_000}), allowance) is None
    told = fault_of(an_object() | {"$defs": {str(n): TEXT for n in range(6_000)}}, allowance)
    assert told == "the strict schemas of a request may have 10000 schemas in them together."


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["type", "properties", "required", "items", "anyOf", "enum", "$ref", "$defs", "format", "x", "not"]
            ),
            inner | st.sampled_from(["object", "array", "#/$defs/x", "string"]),
            max_size=5,
        )
    ),
    max_leaves=30,
)


@given(JSON)
def test_of_anything_else_a_short_sentence_is_said(value: Any) -> None:
    schema = an_object(x=value) | {"$defs": {"x": value}}
    fault = fault_of(schema)
    assert fault is None or (fault.endswith(".") and len(fault) < 2_000)


@pytest.mark.parametrize("word", ["x" * 10**6, "😀" * 10**5])
def test_long_words_of_a_schema_are_shortened(word: str) -> None:
    long = {word: [word] * 10_000}
    for schema in (
        {"type": word},
        an_object(**{word: {}}),
        an_object(x={"$ref": "#", **{f"{word}{n}": 1 for n in range(50)}}),
        an_object(x={"type": long}),
        an_object(x={"type": "string", "format": word}),
        an_object() | {"required": [word]},
        an_object(x={"type": "string", "enum": long}),
        {"type": "object", "properties": [word] * 10_000},
    ):
        fault = fault_of(schema)
        assert fault is not None
        assert len(fault) < 4_000
