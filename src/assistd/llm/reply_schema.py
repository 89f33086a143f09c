"""The one JSON schema that a constrained reply must fit: a call of one of the tools, or a final answer.

{"anyOf": [{"tool": "get_weather", "arguments": {...}}, ..., {"answer": "..."}], "$defs": {...}}
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any
from urllib.parse import unquote

Schema = dict[str, Any]

_NO_ARGUMENTS: Schema = {"type": "object", "properties": {}, "additionalProperties": False}


def reply_schema(functions: Sequence[Schema], answer: Any) -> Schema:
    """Make the schema for these functions (as on the Chat Completions wire).

    `answer` is the schema of the final answer, None where only a call will do.
    """
    definitions = _Definitions()
    alternatives = [
        _object(
            tool={"const": function["name"]},
            arguments=definitions.hoist(function["name"], function.get("parameters")) or _NO_ARGUMENTS,
        )
        for function in functions
    ]
    if answer is not None:
        alternatives.append(_object(answer=definitions.hoist("answer", answer)))
    schema: Schema = {"anyOf": alternatives} if len(alternatives) > 1 else dict(alternatives[0])
    if definitions.schemas:
        schema["$defs"] = definitions.schemas
    return schema


def _object(**properties: Any) -> Schema:
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


class _Definitions:
    """The `$defs` of the whole, gathered from schemas that each had their own.

    A reference points into the document it stands in, so a schema that moves into
    another one loses what it refers to. Each thing referred to, wherever it stood,
    becomes a definition of the whole, under a name no other has: grammar builders
    name their rules after the last part of a reference.
    """

    def __init__(self) -> None:
        self.schemas: dict[str, Any] = {}

    def hoist(self, owner: str, schema: Any) -> Any:
        """Return the schema with its references pointing into `$defs` of the whole."""
        if not isinstance(schema, dict):
            return schema
        return _Hoisting(self.schemas, owner, schema).result()


class _Hoisting:
    """The references of one schema, being moved."""

    def __init__(self, schemas: dict[str, Any], owner: str, root: Schema) -> None:
        self._schemas = schemas
        self._owner = owner
        self._root = root
        self._names: dict[str, str] = {}

    def result(self) -> Any:
        return self._moved({key: value for key, value in self._root.items() if key not in ("$defs", "definitions")})

    def _moved(self, value: Any) -> Any:
        if isinstance(value, list):
            return [self._moved(item) for item in value]
        if not isinstance(value, dict):
            return value
        reference = value.get("$ref")
        if not isinstance(reference, str):
            return {key: self._moved(item) for key, item in value.items()}
        name = self._name_of(reference)
        # A reference to another document cannot be followed; anything goes there.
        return {} if name is None else {"$ref": f"#/$defs/{name}"}

    def _name_of(self, reference: str) -> str | None:
        if reference in self._names:
            return self._names[reference]
        found, target = _resolve(self._root, reference)
        if not found:
            return None
        last = reference.rsplit("/", 1)[-1] if "/" in reference else "root"
        name = base = re.sub(r"[^A-Za-z0-9-]", "-", f"{self._owner}-{last}")
        number = 2
        while name in self._schemas:
            name = f"{base}-{number}"
            number += 1
        self._names[reference] = name
        self._schemas[name] = {}  # takes the name before what is inside asks for one
        if target is self._root:
            target = {key: value for key, value in self._root.items() if key not in ("$defs", "definitions")}
        self._schemas[name] = self._moved(target)
        return name


def _resolve(root: Schema, reference: str) -> tuple[bool, Any]:
    """Follow a JSON pointer in a fragment (`#`, `#/$defs/Place`)."""
    if reference != "#" and not reference.startswith("#/"):
        return False, None
    value: Any = root
    for part in unquote(reference[1:]).split("/")[1:]:
        key = part.replace("~1", "/").replace("~0", "~")
        if isinstance(value, dict) and key in value:
            value = value[key]
        elif isinstance(value, list) and key.isdecimal() and int(key) < len(value):
            value = value[int(key)]
        else:
            return False, None
    return True, value
