"""What a JSON schema has to be so that a model can be held to it: the rules of `strict: true`, in the service's words.

A strict schema is of a subset of JSON Schema: every object lists its properties, requires all of them and allows no
others, and keywords that no grammar can be made of are not permitted.

Pure: nothing in this file does I/O.
"""

from __future__ import annotations

import reprlib
from collections.abc import Mapping
from typing import Any, Final

_MOST_LEVELS: Final = 10
_MOST_PROPERTIES: Final = 5_000
_MOST_ENUM_VALUES: Final = 1_000
# Ours: schemas within the strict schemas of one request, together. That many take some 0.05 s.
_MOST_SCHEMAS: Final = 10_000

_TYPES: Final = frozenset({"array", "boolean", "integer", "null", "number", "object", "string"})
_FORMATS: Final = frozenset(
    {"date", "date-time", "duration", "email", "hostname", "ipv4", "ipv6", "time", "uuid"},
)
_NOT_AT_THE_TOP: Final = ("oneOf", "anyOf", "allOf", "enum", "not")
_NOT_PERMITTED: Final = frozenset(
    {
        *("additionalItems", "allOf", "contains", "default", "dependencies", "dependentRequired", "dependentSchemas"),
        *("else", "if", "maxContains", "maxProperties", "minContains", "minProperties", "not", "oneOf"),
        *("patternProperties", "prefixItems", "propertyNames", "then", "unevaluatedItems", "unevaluatedProperties"),
        "uniqueItems",
    }
)
_DEFINITIONS: Final = ("$defs", "definitions")

Context = tuple[str, ...]


class SchemaFault(Exception):
    """What is wrong with a schema; `str()` is the service's sentence, to stand behind the name of what has it."""


class Allowance:
    """How many schemas may still be looked at in one request, those within others included."""

    def __init__(self) -> None:
        self._left = _MOST_SCHEMAS

    def spend(self) -> None:
        """Count one schema. Raises SchemaFault once there are too many."""
        self._left -= 1
        if self._left < 0:
            raise SchemaFault(f"the strict schemas of a request may have {_MOST_SCHEMAS} schemas in them together.")


def check_object(schema: Mapping[str, Any]) -> None:
    """Check what any schema of a function's parameters must be: of an object. Raises SchemaFault."""
    if (kind := schema.get("type")) != "object":
        raise SchemaFault(f"schema must be a JSON Schema of 'type: \"object\"', got 'type: \"{_plain(kind)}\"'.")
    if "properties" in schema and not isinstance(schema["properties"], dict):
        raise SchemaFault(f"{shown(schema['properties'])} is not of type 'object'.")
    if "required" in schema and not isinstance(schema["required"], list):
        raise SchemaFault(f"{shown(schema['required'])} is not of type 'array'.")


def check_strict(schema: Mapping[str, Any], allowance: Allowance) -> None:
    """Check a schema that a model is to be held to. Raises SchemaFault."""
    check_object(schema)
    if found := next((word for word in _NOT_AT_THE_TOP if word in schema), None):
        raise SchemaFault(
            "schema must have type 'object' and not have 'oneOf'/'anyOf'/'allOf'/'enum'/'not' at the top level. "
            f"Found '{found}'."
        )
    _Strict(schema, allowance).check()


def shown(value: Any) -> str:
    """Return a value of the schema as the service's sentences show it, shortened where it is long."""
    return _short.repr(value)


class _Strict:
    """One look at a strict schema. References are not followed, so each definition is looked at once."""

    def __init__(self, root: Mapping[str, Any], allowance: Allowance) -> None:
        self._root = root
        self._allowance = allowance
        self._properties = 0
        self._enum_values = 0
        self._levels = 0

    def check(self) -> None:
        self._schema(self._root, (), 0)
        for word in _DEFINITIONS:
            for name, definition in _members(self._root, word, ()):
                self._schema(definition, (word, name), 0)
        if self._levels > _MOST_LEVELS:
            raise SchemaFault(f"{self._levels} levels of nesting exceeds limit of {_MOST_LEVELS}.")

    def _schema(self, schema: Any, context: Context, level: int) -> None:
        """Check one schema; `level` counts the objects and arrays that it stands in."""
        self._allowance.spend()
        if isinstance(schema, bool):
            raise _fault(context, "schema must have a 'type' key.")
        if not isinstance(schema, dict):
            raise _fault(context, f"{shown(schema)} is not of type 'object', 'boolean'.")
        if "$ref" in schema:
            self._reference(schema, context)
            return
        if word := next((word for word in schema if word in _NOT_PERMITTED), None):
            raise _fault(context, f"'{word}' is not permitted.")
        types = _types(schema, context)
        if "enum" in schema:
            self._enum(schema["enum"], context)
        if "format" in schema and not _is_among(schema["format"], _FORMATS):
            raise _fault(context, f"{shown(schema['format'])} is not a valid format.")
        if "object" in types or "properties" in schema:
            self._object(schema, context, level + 1)
        if "array" in types or "items" in schema:
            self._array(schema, context, level + 1)
        if "anyOf" in schema:
            self._any_of(schema["anyOf"], context, level)

    def _reference(self, schema: Mapping[str, Any], context: Context) -> None:
        if others := sorted(schema.keys() - {"$ref"}):
            words = ", ".join(map(shown, others[:20]))
            raise SchemaFault(f"context={shown(context)}, $ref cannot have keywords {{{words}}}.")
        if not self._is_definition(schema["$ref"]):
            raise _fault(context, "reference can only point to definitions defined at the top level of the schema.")

    def _is_definition(self, reference: Any) -> bool:
        if reference == "#":
            return True
        match reference.split("/") if isinstance(reference, str) else ():
            case ["#", word, name] if word in _DEFINITIONS:
                definitions = self._root.get(word)
                name = name.replace("~1", "/").replace("~0", "~")
                return isinstance(definitions, dict) and name in definitions
        return False

    def _object(self, schema: Mapping[str, Any], context: Context, level: int) -> None:
        self._levels = max(self._levels, level)
        if "properties" not in schema:
            raise _fault(context, "object schema missing properties.")
        properties = _members(schema, "properties", context)
        self._properties += len(properties)
        if self._properties > _MOST_PROPERTIES:
            raise SchemaFault(f"{self._properties} parameters exceeds limit of {_MOST_PROPERTIES}.")
        if schema.get("additionalProperties") is not False:
            raise _fault(context, "'additionalProperties' is required to be supplied and to be false.")
        _check_required(schema.get("required"), schema["properties"], context)
        for name, property in properties:
            self._schema(property, (*context, "properties", name), level)

    def _array(self, schema: Mapping[str, Any], context: Context, level: int) -> None:
        self._levels = max(self._levels, level)
        if "items" not in schema:
            raise _fault(context, "array schema missing items.")
        self._schema(schema["items"], (*context, "items"), level)

    def _any_of(self, choices: Any, context: Context, level: int) -> None:
        if not isinstance(choices, list):
            raise _fault(context, f"{shown(choices)} is not of type 'array'.")
        if not choices:
            raise _fault(context, "[] should be non-empty.")
        for place, choice in enumerate(choices):
            self._schema(choice, (*context, "anyOf", str(place)), level)

    def _enum(self, values: Any, context: Context) -> None:
        if not isinstance(values, list):
            raise _fault(context, f"{shown(values)} is not of type 'array'.")
        if not values:
            raise _fault(context, "[] should be non-empty.")
        self._enum_values += len(values)
        if self._enum_values > _MOST_ENUM_VALUES:
            raise SchemaFault(
                f"Expected at most {_MOST_ENUM_VALUES} enum values in total within a schema when using structured "
                f"outputs, but got {self._enum_values}."
            )


def _types(schema: Mapping[str, Any], context: Context) -> tuple[Any, ...]:
    """Return the types that a schema names. Raises SchemaFault for one that names none, or one that does not exist."""
    if "type" not in schema:
        if "anyOf" in schema or "enum" in schema:
            return ()
        raise _fault(context, "schema must have a 'type' key.")
    kind = schema["type"]
    types = tuple(kind) if isinstance(kind, list) else (kind,)
    if not types or not all(_is_among(name, _TYPES) for name in types):
        raise _fault(context, f"{shown(kind)} is not valid under any of the given schemas.")
    return types


def _members(schema: Mapping[str, Any], word: str, context: Context) -> list[tuple[str, Any]]:
    """Return the named schemas that stand under a keyword. Raises SchemaFault where that is no object."""
    members = schema.get(word, {})
    if not isinstance(members, dict):
        raise _fault(context, f"{shown(members)} is not of type 'object'.")
    return list(members.items())


def _check_required(required: Any, properties: Mapping[str, Any], context: Context) -> None:
    listed = {name for name in required if isinstance(name, str)} if isinstance(required, list) else set[str]()
    rule = "'required' is required to be supplied and to be an array including every key in properties."
    missing = next((name for name in properties if name not in listed), None)
    if missing is not None:
        raise _fault(context, f"{rule} Missing {shown(missing)}.")
    if required is not None and not isinstance(required, list):
        raise _fault(context, rule)
    for name in required or ():
        if not isinstance(name, str) or name not in properties:
            raise _fault(context, f"{rule} Extra required key {shown(name)} supplied.")


def _is_among(value: Any, known: frozenset[str]) -> bool:
    return isinstance(value, str) and value in known


def _fault(context: Context, sentence: str) -> SchemaFault:
    return SchemaFault(f"In context={shown(context)}, {sentence}")


def _plain(kind: Any) -> str:
    return kind[: _short.maxstring] if isinstance(kind, str) else shown(kind)


_short = reprlib.Repr()
_short.maxstring = 100
_short.maxtuple = 24  # places of a context: each level has at most two
_short.maxlist = 10
