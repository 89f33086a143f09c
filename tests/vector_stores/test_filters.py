"""Filters as JSON and as SQL."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest

from assistd.db.pool import Database
from assistd.errors import APIError
from assistd.vector_stores.filters import MAX_CONDITIONS, MAX_DEPTH, Filter, condition
from assistd.web.request import decode

FILES: dict[str, dict[str, Any]] = {
    "none": {},
    "one": {"n": 1, "s": "apple", "b": True},
    "two": {"n": 2.5, "s": "pear", "b": False},
    "text": {"n": "1"},
    "quoted": {'it\'s $1 "quoted"': "x' OR true --"},
}


class Body(msgspec.Struct, forbid_unknown_fields=True):
    filters: Filter | None = None


def of(value: Any) -> Filter:
    filter = decode(json.dumps({"filters": value}).encode(), Body).filters
    assert filter is not None
    return filter


def compare(type: str, key: str, value: Any) -> dict[str, Any]:
    return {"type": type, "key": key, "value": value}


async def matches(database: Database, filter: Any) -> set[str]:
    async with database.transaction() as conn:
        await conn.execute("CREATE TEMP TABLE f (name text, attributes json) ON COMMIT DROP")
        for name, attributes in FILES.items():
            await conn.execute("INSERT INTO f VALUES ($1, $2)", name, json.dumps(attributes))
        parameters: list[object] = ["never"]
        where = condition(of(filter), parameters)
        return {
            row["name"] for row in await conn.fetch(f"SELECT name FROM f WHERE name <> $1 AND {where}", *parameters)
        }


@pytest.mark.parametrize(
    ("filter", "found"),
    [
        (compare("eq", "n", 1), {"one"}),
        (compare("eq", "n", 1.0), {"one"}),
        (compare("eq", "n", "1"), {"text"}),
        (compare("eq", "b", True), {"one"}),
        (compare("eq", "missing", 1), set()),
        (compare("ne", "n", 1), {"none", "two", "text", "quoted"}),
        (compare("ne", "missing", 1), set(FILES)),
        (compare("ne", "b", True), {"none", "two", "text", "quoted"}),
        (compare("gt", "n", 1), {"two"}),
        (compare("gte", "n", 1), {"one", "two"}),
        (compare("lt", "n", 2.5), {"one"}),
        (compare("lte", "n", 2.5), {"one", "two"}),
        (compare("gt", "s", "banana"), {"two"}),
        (compare("gt", "n", "0"), {"text"}),
        (compare("in", "s", ["apple", "plum"]), {"one"}),
        (compare("in", "n", [1, "1"]), {"one", "text"}),
        (compare("in", "n", []), set()),
        (compare("nin", "s", ["apple"]), {"none", "two", "text", "quoted"}),
        (compare("nin", "n", [1, "1"]), {"none", "two", "quoted"}),
        (compare("nin", "n", []), set(FILES)),
        (compare("nin", "missing", ["apple", 1]), set(FILES)),
        ({"type": "and", "filters": [compare("ne", "n", 1), compare("gte", "n", -1e300)]}, {"two"}),
        (compare("eq", 'it\'s $1 "quoted"', "x' OR true --"), {"quoted"}),
        (compare("eq", "n' OR '1'='1", 1), set()),
        ({"type": "and", "filters": [compare("gte", "n", 1), compare("eq", "b", False)]}, {"two"}),
        ({"type": "or", "filters": [compare("eq", "s", "apple"), compare("eq", "n", "1")]}, {"one", "text"}),
        (
            {
                "type": "or",
                "filters": [
                    {"type": "and", "filters": [compare("eq", "n", 1), compare("eq", "s", "pear")]},
                    compare("eq", "n", 2.5),
                ],
            },
            {"two"},
        ),
    ],
)
async def test_a_filter_matches(database: Database, filter: Any, found: set[str]) -> None:
    assert await matches(database, filter) == found


@pytest.mark.parametrize("key", ["n", "s", "b", "missing", 'it\'s $1 "quoted"'])
@pytest.mark.parametrize("value", [1, 2.5, "1", "apple", "pear", True, False, ""])
async def test_ne_and_nin_are_what_eq_and_in_are_not(database: Database, key: str, value: Any) -> None:
    equal = await matches(database, compare("eq", key, value))
    assert await matches(database, compare("ne", key, value)) == set(FILES) - equal
    if not isinstance(value, bool):
        assert await matches(database, compare("in", key, [value, "plum"])) == equal
        assert await matches(database, compare("nin", key, [value, "plum"])) == set(FILES) - equal


@pytest.mark.parametrize(
    ("filter", "message"),
    [
        ({"key": "a", "value": 1}, "Missing required parameter: 'filters.type'."),
        ({"type": "eq", "key": "a"}, "Missing required parameter: 'filters.value'."),
        ({"type": "eq", "key": "a", "value": 1, "more": 2}, "Unknown parameter: 'filters.more'."),
        ({"type": "like", "key": "a", "value": 1}, "Invalid value: 'like'. Supported values are: 'eq', 'ne', 'gt'"),
        ({"type": "and", "filters": []}, "Invalid 'filters.filters': empty array."),
        ({"type": "or", "filters": [{"type": "eq"}]}, "Missing required parameter: 'filters.filters[0].key'."),
        (compare("in", "a", 1), "Invalid type for 'filters.value': expected an array"),
        (compare("eq", "a", [1]), "Invalid type for 'filters.value'"),
        (compare("eq", "a", None), "Invalid type for 'filters.value'"),
        ([], "Invalid type for 'filters': expected an object, but got an array instead."),
    ],
)
def test_a_wrong_filter_is_refused_in_the_services_words(filter: Any, message: str) -> None:
    with pytest.raises(APIError) as refusal:
        of(filter)
    assert refusal.value.message.startswith(message)
    assert refusal.value.status == 400


def test_depth_and_number_are_bounded() -> None:
    wide = of({"type": "or", "filters": [compare("eq", "a", n) for n in range(MAX_CONDITIONS)]})
    condition(wide, [])
    with pytest.raises(APIError, match=f"at most {MAX_CONDITIONS} comparisons"):
        condition(of({"type": "or", "filters": [compare("eq", "a", n) for n in range(MAX_CONDITIONS + 1)]}), [])
    deep: Any = compare("eq", "a", 1)
    for _ in range(MAX_DEPTH - 1):
        deep = {"type": "and", "filters": [deep]}
    condition(of(deep), [])
    with pytest.raises(APIError, match=f"at most {MAX_DEPTH} levels"):
        condition(of({"type": "and", "filters": [deep]}), [])
