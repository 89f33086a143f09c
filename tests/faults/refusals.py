"""The refusals that many tests expect, by what is wrong."""

from __future__ import annotations

from assistd.vector_stores.documents import EXTENSIONS
from tests.support.errors import Error

NAME_PATTERN = "^[a-zA-Z0-9_-]+$"

# Kinds of objects by the prefix of their ids: what they are called in sentences.
NOUNS = {
    "asst": "assistant",
    "thread": "thread",
    "msg": "message",
    "run": "run",
    "step": "run step",
    "upload": "upload",
    "vs": "vector store",
    "vsfb": "file batch",
}


def not_found(kind: str, id: str) -> Error:
    return Error(404, f"No {NOUNS[kind]} found with id '{id}'.")


def no_file(id: str) -> Error:
    return Error(404, f"No such File object: {id}", "id", detail=True)


def not_in_store(id: str, store: str) -> Error:
    return Error(404, f"No file found with id '{id}' in vector store '{store}'.")


def files_not_found(*ids: str) -> Error:
    return Error(400, f"The following files were not found: {', '.join(ids)}", "file_ids")


def unsupported(*extensions: str) -> Error:
    """The files' extensions, with their dots."""
    return Error(
        400,
        f"Files with extensions [{', '.join(extensions)}] are not supported for retrieval. "
        f"See which are: {', '.join(f'.{name}' for name in sorted(EXTENSIONS))}.",
        "file_ids",
        "unsupported_file",
    )


def wrong_kind(param: str, id: str, prefix: str) -> Error:
    return Error(400, f"Invalid '{param}': '{id}'. Expected an ID that begins with '{prefix}'.", param, "invalid_value")


def missing(path: str) -> Error:
    return Error(400, f"Missing required parameter: '{path}'.", path, "missing_required_parameter")


def unknown(path: str) -> Error:
    return Error(400, f"Unknown parameter: '{path}'.", path, "unknown_parameter")


def wrong_type(path: str, expected: str, got: str) -> Error:
    message = f"Invalid type for '{path}': expected {expected}, but got {got} instead."
    return Error(400, message, path, "invalid_type")


def not_among(path: str, value: str, choices: str) -> Error:
    return Error(400, f"Invalid value: '{value}'. Supported values are: {choices}.", path, "invalid_value")


def out_of_range(path: str, kind: str, side: str, limit: str, got: str) -> Error:
    word, sign, code = {"above": ("above maximum", "<=", "above_max"), "below": ("below minimum", ">=", "below_min")}[
        side
    ]
    message = f"Invalid '{path}': {kind} {word} value. Expected a value {sign} {limit}, but got {got} instead."
    return Error(400, message, path, f"{kind}_{code}_value")


def too_long(path: str, most: int, got: int) -> Error:
    message = (
        f"Invalid '{path}': string too long. Expected a string with maximum length {most}, "
        f"but got a string with length {got} instead."
    )
    return Error(400, message, path, "string_above_max_length")


def empty_string(path: str) -> Error:
    message = (
        f"Invalid '{path}': empty string. Expected a string with minimum length 1, but got an empty string instead."
    )
    return Error(400, message, path, "empty_string")


def too_many(path: str, most: int, got: int) -> Error:
    message = (
        f"Invalid '{path}': array too long. Expected an array with maximum length {most}, "
        f"but got an array with length {got} instead."
    )
    return Error(400, message, path, "array_above_max_length")


def empty_array(path: str) -> Error:
    message = f"Invalid '{path}': empty array. Expected an array with minimum length 1, but got an empty array instead."
    return Error(400, message, path, "empty_array")


def too_many_keys(path: str, got: int) -> Error:
    message = (
        f"Invalid '{path}': too many properties. Expected an object with at most 16 properties, "
        f"but got an object with {got} properties instead."
    )
    return Error(400, message, path, "object_above_max_properties")


def long_key(path: str, key: str) -> Error:
    message = (
        f"Invalid property name in '{path}': '{key[:3]}...{key[-3:]}' is too long. Expected a string "
        f"with maximum length 64, but got a string with length {len(key)} instead."
    )
    return Error(400, message, f"{path}.{key}", "property_name_above_max_length")


def no_match(path: str) -> Error:
    message = (
        f"Invalid '{path}': string does not match pattern. Expected a string that matches the pattern '{NAME_PATTERN}'."
    )
    return Error(400, message, path, "invalid_value")
