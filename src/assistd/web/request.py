"""One request as a handler sees it: who asks, the ids in the path, the query, the body."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Callable, Mapping
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

# What an id in a path or a body must begin with, by parameter. Files and steps are not here: the service looked for
# whatever a client called one, and said that there is none.
PREFIXES = {
    "assistant_id": "asst",
    "thread_id": "thread",
    "message_id": "msg",
    "run_id": "run",
    "upload_id": "upload",
    "vector_store_id": "vs",
    "batch_id": "vsfb",
}
NOUNS = {
    "assistant_id": "assistant",
    "thread_id": "thread",
    "message_id": "message",
    "run_id": "run",
    "upload_id": "upload",
    "vector_store_id": "vector store",
    "batch_id": "file batch",
}

_MAX_PARAMETERS = 1000

_INTEGER = re.compile(r"-?[0-9]{1,100}\Z")

# U+0000 as JSON has it: behind an even number of backslashes.
_NUL = re.compile(rb"(?<!\\)(?:\\\\)*+\\u0000")
# Everything up to the first half of a pair that stands alone, which is the group.
_LONE_SURROGATE = re.compile(
    rb"(?:[^\\]++|\\[^u]|\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|\\u(?![dD][89a-fA-F]))*+"
    rb"(\\u[dD][89a-fA-F][0-9a-fA-F]{2})"
)
_ENCODED_SURROGATE = re.compile(rb"\xed[\xa0-\xbf][\x80-\xbf]")
# Where msgspec says that a fault is.
_PLACE = re.compile(r" - at `\$\.?([^`]*)`\Z")

# What decoding raises besides a ValidationError, which is a DecodeError too.
_UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


class Request(msgspec.Struct, frozen=True):
    """An authenticated request. `path` holds the ids of the URL, checked for their kind.

    Of a path that is `streamed`, `raw_body` is empty, and `stream` gives the body.
    """

    id: str
    project_id: str
    path: Mapping[str, str]
    query_string: str
    headers: Mapping[str, str]
    raw_body: bytes
    chunks: Callable[[int, APIError], AsyncIterator[bytes]] | None = None

    def stream(self, limit: int, too_large: APIError | None = None) -> AsyncIterator[bytes]:
        """The body as it comes, once. Only for a path that is `streamed`.

        Raises `too_large` (default: the 413 of any body) as soon as it is known that more than `limit` bytes come;
        APIError (408) for a client that stops sending; APIError (400) for one that is gone.
        """
        if self.chunks is None:
            raise TypeError("This path takes its body whole: it is not declared as streamed.")
        return self.chunks(limit, too_large or errors.body_too_large(limit))

    def body(self, kind: type[T]) -> T:
        """Decode and check the JSON body. Raises APIError in the words of the original service."""
        return decode(self.raw_body, kind)

    def query(self) -> dict[str, list[str]]:
        """The query by name; `include[]=a&include[]=b` and `include[0]=a` are both `include`."""
        found: dict[str, list[str]] = {}
        for name, value in self._pairs():
            found.setdefault(name.partition("[")[0], []).append(value)
        return found

    def _pairs(self) -> list[tuple[str, str]]:
        """The query's names and values. Raises APIError for more than anybody means."""
        try:
            return parse_qsl(self.query_string, keep_blank_values=True, max_num_fields=_MAX_PARAMETERS)
        except ValueError:
            raise APIError(f"Invalid query: at most {_MAX_PARAMETERS} parameters are accepted.") from None

    def members(self, name: str) -> dict[str, str]:
        """The query's `name[key]=value` by key; where a key comes twice, its last value. Raises APIError for no key."""
        found = {}
        for parameter, value in self._pairs():
            within = parameter.startswith(f"{name}[")
            if parameter == name or (within and not parameter.endswith("]")):
                raise APIError(
                    f"Invalid type for '{name}': expected an object, but got a string instead.",
                    param=name,
                    code="invalid_type",
                )
            if within:
                found[parameter[len(name) + 1 : -1]] = value
        return found

    def page(self, default: int = 20, most: int = 100) -> Page:
        """The list parameters. Raises APIError for a limit out of range or an unknown order."""
        query = self.query()
        return Page(
            limit=_limit(query.get("limit", []), default, most),
            order=_order(query.get("order", [])),
            after=_last(query.get("after", [])),
            before=_last(query.get("before", [])),
        )


def check_id(param: str, value: str, *, any_prefix: bool = False) -> str:
    """Return an id that may exist. Raises APIError for one of another kind, or 404 for what no id can be.

    `any_prefix`: also one of another kind, which nothing will be found by.
    """
    prefix = PREFIXES[param]
    if not any_prefix and not value.startswith(prefix):
        raise errors.wrong_id(param, value, prefix)
    if not ids.is_plain(value):
        raise errors.not_found(NOUNS[param], value)
    return value


def decode(body: bytes, kind: type[T]) -> T:
    """Decode JSON into a struct. An empty body counts as `{}`, as `POST /threads` may have none.

    Raises APIError in the words of the original service, and for what could be decoded and not be kept.
    """
    body = body or b"{}"
    try:
        value = msgspec.json.decode(body, type=kind)
    except msgspec.ValidationError as refusal:
        raise _explained(_read_json(body), kind, refusal) from None
    except _UNREADABLE as fault:
        raise _broken(body, fault) from None
    if b"\\u0000" in body and _NUL.search(body):
        raise APIError("Invalid body: the character U+0000 cannot be stored.", code="invalid_value")
    return value


def _read_json(body: bytes) -> Any:
    """Decode JSON of any kind. Raises APIError for what is none."""
    try:
        return msgspec.json.decode(body)
    except _UNREADABLE as fault:
        raise _broken(body, fault) from None


def _broken(body: bytes, fault: Exception) -> APIError:
    if isinstance(fault, RecursionError):
        return errors.nested_too_deeply()
    if (half := _half_of_a_pair(body, fault)) is not None:
        return errors.broken_json(f"{half} is half of a surrogate pair, and no character without the other half.")
    return errors.broken_json(str(fault))


def _half_of_a_pair(body: bytes, fault: Exception) -> str | None:
    """Return the lone surrogate that made a body unreadable, as it stands there."""
    if isinstance(fault, UnicodeDecodeError):
        found = fault.object[fault.start : fault.start + 3]
        return f"0x{found.hex()}" if _ENCODED_SURROGATE.fullmatch(found) else None
    match = _LONE_SURROGATE.match(body)
    return None if match is None else match[1].decode()


def _explained(value: Any, kind: type[Any], refusal: msgspec.ValidationError) -> APIError:
    place = _PLACE.search(str(refusal))
    found = explain(value, _descriptions(kind), passed=place[1] if place else "")
    # The walk knows every constraint in use; should a type ever say more than it knows, msgspec's words do.
    return found or APIError(f"Invalid body: {refusal}", code="invalid_value")


_descriptions: Callable[[Any], msgspec.inspect.Type] = cache(msgspec.inspect.type_info)


def _limit(values: list[str], default: int, most: int) -> int:
    if not values or values[-1] == "":
        return default
    if not _INTEGER.match(values[-1]):
        raise APIError(
            "Invalid type for 'limit': expected an integer, but got a string instead.",
            param="limit",
            code="invalid_type",
        )
    value = int(values[-1])
    fault = explain(value, msgspec.inspect.IntType(ge=1, le=most), "limit")
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
