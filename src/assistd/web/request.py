"""One request as a handler sees it: who asks, the ids in the path, the query, the body."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from typing import Any, Literal, TypeVar
from urllib.parse import parse_qsl

import msgspec
import msgspec.inspect

from assistd import errors, ids
from assistd.errors import APIError
from assistd.web.faults import explain
from assistd.web.wire import Page

T = TypeVar("T")

# What an id in a path or a body must begin with, by parameter.
PREFIXES = {
    "assistant_id": "asst",
    "thread_id": "thread",
    "message_id": "msg",
    "run_id": "run",
    "step_id": "step",
}
NOUNS = {
    "assistant_id": "assistant",
    "thread_id": "thread",
    "message_id": "message",
    "run_id": "run",
    "step_id": "run step",
}


class Request(msgspec.Struct, frozen=True):
    """An authenticated request. `path` holds the ids of the URL, checked for their kind."""

    id: str
    project_id: str
    path: Mapping[str, str]
    query_string: str
    headers: Mapping[str, str]
    raw_body: bytes

    def body(self, kind: type[T]) -> T:
        """Decode and check the JSON body. Raises APIError in the words of the original service."""
        return decode(self.raw_body, kind)

    def query(self) -> dict[str, list[str]]:
        """The query by name; `include[]=a&include[]=b` and `include[0]=a` are both `include`."""
        found: dict[str, list[str]] = {}
        for name, value in parse_qsl(self.query_string, keep_blank_values=True):
            found.setdefault(name.partition("[")[0], []).append(value)
        return found

    def page(self) -> Page:
        """The list parameters. Raises APIError for a limit out of range or an unknown order."""
        query = self.query()
        return Page(
            limit=_limit(query.get("limit", [])),
            order=_order(query.get("order", [])),
            after=_last(query.get("after", [])),
            before=_last(query.get("before", [])),
        )


def check_id(param: str, value: str) -> str:
    """Return an id that may exist. Raises APIError for one of another kind, or 404 for what no id can be."""
    prefix = PREFIXES[param]
    if not value.startswith(prefix):
        raise errors.wrong_id(param, value, prefix)
    if not ids.is_plain(value):
        raise errors.not_found(NOUNS[param], value)
    return value


def decode(body: bytes, kind: type[T]) -> T:
    """Decode JSON into a struct. An empty body counts as `{}`, as `POST /threads` may have none."""
    body = body or b"{}"
    try:
        value = msgspec.json.decode(body, type=kind)
    except msgspec.ValidationError as refusal:
        raise _explained(body, kind, refusal) from None
    except (msgspec.DecodeError, UnicodeDecodeError) as fault:
        raise errors.broken_json(str(fault)) from None
    except RecursionError:
        raise errors.broken_json("it is nested too deeply.") from None
    if b"\\u0000" in body and _has_nul(msgspec.json.decode(body)):
        raise APIError("Invalid body: the character U+0000 cannot be stored.", code="invalid_value")
    return value


def _explained(body: bytes, kind: type[Any], refusal: msgspec.ValidationError) -> APIError:
    try:
        value = msgspec.json.decode(body)
    except (msgspec.DecodeError, RecursionError) as unreadable:
        return errors.broken_json(str(unreadable))
    # The walk knows every constraint in use; should a type ever say more than it knows, msgspec's words do.
    return explain(value, _descriptions(kind)) or APIError(f"Invalid body: {refusal}", code="invalid_value")


_descriptions: Callable[[Any], msgspec.inspect.Type] = cache(msgspec.inspect.type_info)


def _has_nul(value: Any) -> bool:
    match value:
        case str():
            return "\x00" in value
        case list():
            return any(map(_has_nul, value))
        case dict():
            return any("\x00" in k or _has_nul(v) for k, v in value.items())
    return False


def _limit(values: list[str]) -> int:
    if not values or values[-1] == "":
        return 20
    try:
        value = int(values[-1])
    except ValueError:
        raise APIError(
            "Invalid type for 'limit': expected an integer, but got a string instead.",
            param="limit",
            code="invalid_type",
        ) from None
    fault = explain(value, msgspec.inspect.IntType(ge=1, le=100), "limit")
    if fault:
        raise fault
    return value


def _order(values: list[str]) -> Literal["asc", "desc"]:
    match values:
        case [] | [*_, ""]:
            return "desc"
        case [*_, ("asc" | "desc") as order]:
            return order
    raise APIError(
        f"Invalid value: '{values[-1]}'. Supported values are: 'asc' and 'desc'.", param="order", code="invalid_value"
    )


def _last(values: list[str]) -> str | None:
    return values[-1] or None if values else None
