"""Filters over the attributes of a store's files: their JSON, and the SQL condition they become.

`eq` and `in` compare type and value (numbers by value: 1 is 1.0), and an order exists only between two values of one
type. `ne` and `nin` let through just what `eq` and `in` do not: files without the attribute, too. There is no other way
to ask for those, and whoever wants the others only can add a comparison that they match.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import count
from typing import Annotated, TypeAlias

import msgspec
from msgspec import Meta

from assistd.errors import APIError
from assistd.web.wire import to_json

Value: TypeAlias = str | int | float | bool

MAX_CONDITIONS = 100
MAX_VALUES = 1000  # of all `in` and `nin` together
MAX_DEPTH = 10

Values: TypeAlias = Annotated[list[str | int | float], Meta(max_length=MAX_VALUES)]


class _Comparison(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="type"):
    key: str


class Eq(_Comparison, frozen=True, tag="eq"):
    """The attribute is the value."""

    value: Value


class Ne(_Comparison, frozen=True, tag="ne"):
    """The attribute is not the value, or is not there."""

    value: Value


class Gt(_Comparison, frozen=True, tag="gt"):
    """The attribute is above the value."""

    value: Value


class Gte(_Comparison, frozen=True, tag="gte"):
    """The attribute is the value or above it."""

    value: Value


class Lt(_Comparison, frozen=True, tag="lt"):
    """The attribute is below the value."""

    value: Value


class Lte(_Comparison, frozen=True, tag="lte"):
    """The attribute is the value or below it."""

    value: Value


class In(_Comparison, frozen=True, tag="in"):
    """The attribute is one of the values."""

    value: Values


class Nin(_Comparison, frozen=True, tag="nin"):
    """The attribute is none of the values, or is not there."""

    value: Values


class And(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="type", tag="and"):
    """All of the filters match."""

    filters: Annotated[list[Filter], Meta(min_length=1)]


class Or(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="type", tag="or"):
    """One of the filters matches, or more."""

    filters: Annotated[list[Filter], Meta(min_length=1)]


Filter: TypeAlias = Eq | Ne | Gt | Gte | Lt | Lte | In | Nin | And | Or

_ORDERS = {Gt: ">", Gte: ">=", Lt: "<", Lte: "<="}


def condition(filter: Filter, parameters: list[object], column: str = "attributes") -> str:
    """Return the SQL condition for a filter; its keys and values go to the end of `parameters`, never into the SQL.

    `column` is a json column. Raises APIError as `check`.
    """
    check(filter)
    return _Writer(parameters, f"{column}::jsonb").write(filter)


def check(filter: Filter) -> None:
    """Raise APIError for a filter that is nested too deeply or compares too much, whatever it is to be used on."""
    conditions = values = 0
    level: Sequence[Filter] = [filter]
    for depth in count(1):
        if not level:
            return
        if depth > MAX_DEPTH:
            raise _refused(f"at most {MAX_DEPTH} levels of filters are supported")
        conditions += sum(not isinstance(each, And | Or) for each in level)
        values += sum(len(each.value) for each in level if isinstance(each, In | Nin))
        if conditions > MAX_CONDITIONS:
            raise _refused(f"at most {MAX_CONDITIONS} comparisons are supported")
        if values > MAX_VALUES:
            raise _refused(f"at most {MAX_VALUES} values are supported in its lists")
        level = [inner for each in level if isinstance(each, And | Or) for inner in each.filters]


class _Writer:
    def __init__(self, parameters: list[object], attributes: str) -> None:
        self._parameters = parameters
        self._attributes = attributes

    def write(self, filter: Filter) -> str:
        if isinstance(filter, And | Or):
            word = " AND " if isinstance(filter, And) else " OR "
            return f"({word.join(map(self.write, filter.filters))})"
        found = f"({self._attributes} -> {self._add(filter.key)}::text)"
        match filter:
            case Eq(value=value):
                return f"{found} = {self._json(value)}"
            case Ne(value=value):
                return f"{found} IS DISTINCT FROM {self._json(value)}"
            case In(value=values):
                return f"{found} = ANY({self._array(values)})"
            case Nin(value=values):
                return f"({found} = ANY({self._array(values)})) IS NOT TRUE"
            case Gt(value=value) | Gte(value=value) | Lt(value=value) | Lte(value=value):
                bound = self._json(value)
                return f"(jsonb_typeof({found}) = jsonb_typeof({bound}) AND {found} {_ORDERS[type(filter)]} {bound})"

    def _json(self, value: Value) -> str:
        return f"{self._add(to_json(value))}::jsonb"

    def _array(self, values: Sequence[Value]) -> str:
        return f"{self._add([to_json(value) for value in values])}::jsonb[]"

    def _add(self, value: object) -> str:
        self._parameters.append(value)
        return f"${len(self._parameters)}"


def _refused(words: str) -> APIError:
    return APIError(f"Invalid 'filters': {words}.", param="filters", code="invalid_value")
