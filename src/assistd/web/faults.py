"""What is wrong with a request's JSON, in the words of the original service.

msgspec says that a body does not fit its type, fast, and stops there. Clients
of the original match on its validator's texts and codes, so a body that msgspec
refused is walked once more beside the type's own description, and the first
fault is told in those words. Within each object, missing parameters come first,
then unknown ones, then wrong types and ranges.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from functools import cache
from typing import Any, Literal, get_args, get_origin, get_type_hints

import msgspec.inspect as ms

from assistd.errors import APIError


def explain(value: Any, kind: ms.Type, path: str = "", order: Sequence[Any] = (), passed: str = "") -> APIError | None:
    """Return the first fault of a decoded JSON value against a type, or None if it has none.

    `order`: how the choices of an enumeration are listed; msgspec's description has them sorted.
    `passed`: the path up to which the value is known to fit, so that what stands before it in lists is not looked at.
    """
    kinds = [k for k in _alternatives(kind) if not isinstance(k, ms.NoneType)]
    if value is None:
        return None if len(kinds) < len(_alternatives(kind)) else _wrong_type(value, kinds, path, order)
    if any(isinstance(k, ms.AnyType | ms.RawType) for k in kinds):
        return None
    fitting = [k for k in kinds if _fits(value, k)]
    if not fitting:
        return _wrong_type(value, kinds, path, order)
    if isinstance(value, str) and all(isinstance(k, ms.LiteralType) for k in fitting):
        allowed = _in_order([v for k in fitting if isinstance(k, ms.LiteralType) for v in k.values], order)
        return None if value in allowed else _not_among(value, allowed, path)
    structs = [k for k in fitting if isinstance(k, ms.StructType)]
    if structs:
        return _explain_object(value, structs, path, passed)
    return _explain_plain(value, fitting[0], path, order, passed)


def _explain_object(value: dict[str, Any], structs: list[ms.StructType], path: str, passed: str) -> APIError | None:
    struct, tag_field = structs[0], structs[0].tag_field
    if tag_field is not None:
        tags = [s.tag for s in structs]
        if tag_field not in value:
            return _missing(_join(path, tag_field))
        if not isinstance(value[tag_field], str):
            return _wrong_type(value[tag_field], [ms.LiteralType(tuple(tags))], _join(path, tag_field), tags)
        if value[tag_field] not in tags:
            return _not_among(value[tag_field], tags, _join(path, tag_field))
        struct = structs[tags.index(value[tag_field])]
    known = {f.encode_name: f for f in struct.fields}
    for name, field in known.items():
        if field.required and name not in value:
            return _missing(_join(path, name))
    if struct.forbid_unknown_fields:
        for name in value:
            if name not in known and name != tag_field:
                return _unknown(_join(path, name))
    for name, item in value.items():
        if name not in known:
            continue
        order = _choices(struct.cls, known[name].name)
        if fault := explain(item, known[name].type, _join(path, name), order, passed):
            return fault
    return None


@cache
def _choices(struct: type, field: str) -> list[Any]:
    """Return the choices that a field's annotation spells out, in its order."""

    def of(hint: Any) -> list[Any]:
        if get_origin(hint) is Literal:
            return list(get_args(hint))
        return [choice for argument in get_args(hint) for choice in of(argument)]

    return of(get_type_hints(struct, include_extras=True)[field])


def _explain_plain(value: Any, kind: ms.Type, path: str, order: Sequence[Any], passed: str) -> APIError | None:
    match kind:
        case ms.StrType():
            return _explain_string(value, kind, path)
        case ms.IntType() | ms.FloatType():
            return _explain_number(value, kind, path)
        case ms.ListType():
            if fault := _explain_length(value, kind, path):
                return fault
            first = _index(path, passed)
            items = enumerate(value[first:], first)
            return _first(explain(item, kind.item_type, f"{path}[{i}]", order, passed) for i, item in items)
        case ms.DictType():
            return _explain_map(value, kind, path)
    return None


def _index(path: str, passed: str) -> int:
    """Return the index of a list's first item that may have a fault."""
    digits = passed[len(path) + 1 :].partition("]")[0] if passed.startswith(f"{path}[") else ""
    return int(digits) if digits.isdecimal() else 0


def _explain_string(value: str, kind: ms.StrType, path: str) -> APIError | None:
    if kind.max_length is not None and len(value) > kind.max_length:
        return APIError(
            f"Invalid '{path}': string too long. Expected a string with maximum length {kind.max_length}, "
            f"but got a string with length {len(value)} instead.",
            param=path,
            code="string_above_max_length",
        )
    if kind.min_length is not None and len(value) < kind.min_length:
        return APIError(
            f"Invalid '{path}': empty string. Expected a string with minimum length {kind.min_length}, "
            "but got an empty string instead.",
            param=path,
            code="empty_string",
        )
    if kind.pattern is not None and not re.search(kind.pattern, value):
        # Python's `$` would let a line break pass; in the dialect that is shown, it does not.
        shown = kind.pattern.replace(r"\Z", "$")
        return APIError(
            f"Invalid '{path}': string does not match pattern. Expected a string that matches the pattern '{shown}'.",
            param=path,
            code="invalid_value",
        )
    return None


def _explain_number(value: float, kind: ms.IntType | ms.FloatType, path: str) -> APIError | None:
    noun = "integer" if isinstance(kind, ms.IntType) else "decimal"
    if kind.le is not None and value > kind.le:
        return APIError(
            f"Invalid '{path}': {noun} above maximum value. Expected a value <= {_number(kind.le)}, "
            f"but got {_number(value)} instead.",
            param=path,
            code=f"{noun}_above_max_value",
        )
    if kind.ge is not None and value < kind.ge:
        return APIError(
            f"Invalid '{path}': {noun} below minimum value. Expected a value >= {_number(kind.ge)}, "
            f"but got {_number(value)} instead.",
            param=path,
            code=f"{noun}_below_min_value",
        )
    if abs(value) > 2**63 - 1:
        return APIError(f"Invalid '{path}': number out of range.", param=path, code="invalid_value")
    return None


def _explain_length(value: list[Any], kind: ms.ListType, path: str) -> APIError | None:
    if kind.max_length is not None and len(value) > kind.max_length:
        return APIError(
            f"Invalid '{path}': array too long. Expected an array with maximum length {kind.max_length}, "
            f"but got an array with length {len(value)} instead.",
            param=path,
            code="array_above_max_length",
        )
    if kind.min_length is not None and len(value) < kind.min_length:
        return APIError(
            f"Invalid '{path}': empty array. Expected an array with minimum length {kind.min_length}, "
            "but got an empty array instead.",
            param=path,
            code="empty_array",
        )
    return None


def _explain_map(value: dict[str, Any], kind: ms.DictType, path: str) -> APIError | None:
    if kind.max_length is not None and len(value) > kind.max_length:
        return APIError(
            f"Invalid '{path}': too many properties. Expected an object with at most {kind.max_length} properties, "
            f"but got an object with {len(value)} properties instead.",
            param=path,
            code="object_above_max_properties",
        )
    longest = kind.key_type.max_length if isinstance(kind.key_type, ms.StrType) else None
    for key, item in value.items():
        if longest is not None and len(key) > longest:
            return APIError(
                f"Invalid property name in '{path}': '{key[:3]}...{key[-3:]}' is too long. Expected a string "
                f"with maximum length {longest}, but got a string with length {len(key)} instead.",
                param=f"{path}.{key}",
                code="property_name_above_max_length",
            )
        if fault := explain(item, kind.value_type, f"{path}.{key}"):
            return fault
    return None


# --- the sentences that several faults share


def _missing(path: str) -> APIError:
    return APIError(f"Missing required parameter: '{path}'.", param=path, code="missing_required_parameter")


def _unknown(path: str) -> APIError:
    return APIError(f"Unknown parameter: '{path}'.", param=path, code="unknown_parameter")


def _wrong_type(value: Any, kinds: Iterable[ms.Type], path: str, order: Sequence[Any] = ()) -> APIError:
    first, *others = dict.fromkeys(_name(k, order) for k in kinds)
    bare = [name.removeprefix("a ").removeprefix("an ") for name in others]
    expected = f"one of {_listed([first, *bare], 'or')}" if others else first
    where = f" for '{path}'" if path else ""
    return APIError(
        f"Invalid type{where}: expected {expected}, but got {_name_of(value)} instead.",
        param=path or None,
        code="invalid_type",
    )


def _not_among(value: str, allowed: Iterable[Any], path: str) -> APIError:
    choices = _listed([f"'{a}'" for a in allowed], "and")
    return APIError(f"Invalid value: '{value}'. Supported values are: {choices}.", param=path, code="invalid_value")


# --- JSON values and types by name


def _alternatives(kind: ms.Type) -> list[ms.Type]:
    if isinstance(kind, ms.Metadata):
        return _alternatives(kind.type)
    if isinstance(kind, ms.UnionType):
        return [a for t in kind.types for a in _alternatives(t)]
    return [kind]


def _fits(value: Any, kind: ms.Type) -> bool:
    match kind:
        case ms.StrType() | ms.LiteralType():
            return isinstance(value, str)
        case ms.BoolType():
            return isinstance(value, bool)
        case ms.IntType():
            return isinstance(value, int) and not isinstance(value, bool)
        case ms.FloatType():
            return isinstance(value, int | float) and not isinstance(value, bool)
        case ms.ListType():
            return isinstance(value, list)
        case ms.StructType() | ms.DictType():
            return isinstance(value, dict)
    return False


def _name(kind: ms.Type, order: Sequence[Any]) -> str:
    match kind:
        case ms.LiteralType(values=values):
            choices = [f"'{v}'" for v in _in_order(values, order)]
            return f"one of {_listed(choices, 'or')}" if len(choices) > 1 else choices[0]
        case ms.BoolType():
            return "a boolean"
        case ms.IntType():
            return "an integer"
        case ms.FloatType():
            return "a decimal"
        case ms.ListType(item_type=item):
            items = _alternatives(item)
            if all(isinstance(k, ms.StructType | ms.DictType) for k in items):
                return "an array of objects"
            return "an array of strings" if all(isinstance(k, ms.StrType) for k in items) else "an array"
        case ms.StructType() | ms.DictType():
            return "an object"
    return "a string"


def _in_order(choices: Iterable[Any], order: Sequence[Any]) -> list[Any]:
    return sorted(choices, key=lambda choice: order.index(choice) if choice in order else len(order))


def _name_of(value: Any) -> str:
    match value:
        case None:
            return "null"
        case bool():
            return "a boolean"
        case int():
            return "an integer"
        case float():
            return "a decimal number"
        case str():
            return "a string"
        case list():
            return "an array"
    return "an object"


def _listed(words: list[str], last: str) -> str:
    if len(words) < 3:
        return f" {last} ".join(words)
    return f"{', '.join(words[:-1])}, {last} {words[-1]}"


def _number(value: float) -> str:
    return f"{value:g}" if isinstance(value, float) and value.is_integer() else str(value)


def _join(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name


def _first(faults: Iterable[APIError | None]) -> APIError | None:
    return next((f for f in faults if f is not None), None)
