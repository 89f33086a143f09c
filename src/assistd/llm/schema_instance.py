"""The smallest value that fits a JSON schema, as far as a scripted model needs to know schemas."""

from __future__ import annotations

from typing import Any

_DEEPEST = 40
_BY_TYPE: dict[str, Any] = {"string": "", "integer": 0, "number": 0, "boolean": False, "null": None}


def minimal_instance(schema: Any) -> Any:
    """Make a value with nothing in it that the schema does not require."""
    return _instance(schema, schema, 0)


def _instance(schema: Any, root: Any, depth: int) -> Any:
    if not isinstance(schema, dict) or depth > _DEEPEST:
        return None
    if "const" in schema:
        return schema["const"]
    if schema.get("enum"):
        return schema["enum"][0]
    if isinstance(schema.get("$ref"), str):
        return _instance(_followed(schema["$ref"], root), root, depth + 1)
    for key in ("anyOf", "oneOf"):
        if schema.get(key):
            return _instance(schema[key][0], root, depth + 1)
    if schema.get("allOf"):
        return _all_of(schema["allOf"], root, depth)
    return _typed(schema, root, depth)


def _all_of(schemas: list[Any], root: Any, depth: int) -> Any:
    instances = [_instance(schema, root, depth + 1) for schema in schemas]
    objects = [instance for instance in instances if isinstance(instance, dict)]
    if not objects:
        return instances[0]
    return {key: value for instance in objects for key, value in instance.items()}


def _typed(schema: dict[str, Any], root: Any, depth: int) -> Any:
    kind = schema.get("type") or ("object" if "properties" in schema else "string")
    kind = kind[0] if isinstance(kind, list) else kind
    if kind == "object":
        properties = schema.get("properties", {})
        return {name: _instance(properties.get(name, {}), root, depth + 1) for name in schema.get("required", ())}
    if kind == "array":
        return [_instance(schema.get("items", {}), root, depth + 1) for _ in range(schema.get("minItems", 0))]
    if kind == "string":
        return "x" * schema.get("minLength", 0)
    if kind in ("integer", "number"):
        above = schema.get("exclusiveMinimum")
        return above + 1 if above is not None else schema.get("minimum", 0)
    return _BY_TYPE.get(kind)


def _followed(reference: str, root: Any) -> Any:
    value = root
    for part in reference.removeprefix("#").split("/")[1:]:
        value = value.get(part.replace("~1", "/").replace("~0", "~")) if isinstance(value, dict) else None
    return value
