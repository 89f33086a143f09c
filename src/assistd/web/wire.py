"""The JSON shapes that every room uses: lists, deletions, metadata."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Generic, Literal, Protocol, TypeVar

import msgspec
from msgspec import Meta, UnsetType

T = TypeVar("T")

Metadata = Annotated[
    dict[Annotated[str, Meta(max_length=64)], Annotated[str, Meta(max_length=512)]],
    Meta(max_length=16),
]

EMPTY_MAP = msgspec.Raw(b"{}")
EMPTY_LIST = msgspec.Raw(b"[]")


class HasId(Protocol):
    """Anything that a list can hold."""

    @property
    def id(self) -> str: ...


class RequestBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Base of every request body: what it does not name is refused."""


def changed(value: T | UnsetType, kept: T) -> T:
    """Return what a modification makes of a member that may be null: null if it says so, as it is if it says nothing.

    What is never null in an answer has no need of this: null says nothing there.
    """
    return kept if isinstance(value, UnsetType) else value


class Page(msgspec.Struct, frozen=True):
    """Which part of a list is wanted: cursors are object ids, both exclusive."""

    limit: int = 20
    order: Literal["asc", "desc"] = "desc"
    after: str | None = None
    before: str | None = None


class ListOf(msgspec.Struct, Generic[T], frozen=True, kw_only=True):
    """A page of objects. `first_id` and `last_id` are null where the page is empty."""

    object: Literal["list"] = "list"
    data: Sequence[T]
    first_id: str | None
    last_id: str | None
    has_more: bool


class Deleted(msgspec.Struct, frozen=True):
    """The answer to a deletion; `object` is the kind with `.deleted` behind it."""

    id: str
    object: str
    deleted: bool = True


def page_of(rows: Sequence[Any], page: Page) -> ListOf[Any]:
    """Make a list page of objects fetched with one more than `page.limit`, which tells whether there is more.

    With only `before` given, the page is the one just before the cursor: it was fetched backwards.
    """
    data = list(rows[: page.limit])
    if is_backward(page):
        data.reverse()
    return ListOf(
        data=data,
        first_id=data[0].id if data else None,
        last_id=data[-1].id if data else None,
        has_more=len(rows) > page.limit,
    )


def is_backward(page: Page) -> bool:
    """Say whether a page must be fetched against its order, from the `before` cursor back."""
    return page.before is not None and page.after is None


def to_json(value: Any) -> msgspec.Raw:
    """Encode a value for a `json` column or to stand inside a larger object."""
    return msgspec.Raw(msgspec.json.encode(value))
