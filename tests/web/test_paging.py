"""Pages of lists, against a list in memory: what a cursor, an order and a limit mean together."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any, Literal

import pytest

from assistd.errors import APIError
from assistd.web.paging import fetch_page
from assistd.web.wire import Page, page_of

OWNER = "owner_1"
QUERIES = {"things_place": "place", "things_asc": "asc", "things_desc": "desc"}


class Row:
    """An object of a list; `seq` is its place."""

    def __init__(self, seq: int) -> None:
        self.seq = seq
        self.id = f"thing_{seq}"


class Table:
    """A connection that knows just the four queries of a list of things. It notes every id that it is asked for."""

    def __init__(self, *places: int, deleted: Sequence[int] = ()) -> None:
        self.rows = [Row(seq) for seq in places]
        self.places = {f"thing_{seq}": seq for seq in (*places, *deleted)}
        self.asked: list[str] = []

    async def fetchval(self, query: str, id: str, owner: str) -> int | None:
        assert (query, owner) == ("place", OWNER)
        self.asked.append(id)
        return self.places.get(id)

    async def fetch(self, query: str, owner: str, above: int, below: int, limit: int, *filters: Any) -> list[Row]:
        assert owner == OWNER
        found = [row for row in self.rows if above < row.seq < below and (not filters or row.seq in filters[0])]
        return (found if query == "asc" else found[::-1])[:limit]


async def listed(table: Table, page: Page, *filters: Any) -> tuple[list[int], bool]:
    rows = await fetch_page(table, QUERIES, "things", "thing", OWNER, page, *filters)
    shown = page_of(rows, page)
    assert shown.first_id == (shown.data[0].id if shown.data else None)
    assert shown.last_id == (shown.data[-1].id if shown.data else None)
    return [row.seq for row in shown.data], shown.has_more


ORDERS: tuple[Literal["asc", "desc"], ...] = ("asc", "desc")
CURSORS = (None, "thing_10", "thing_30", "thing_50", "thing_25")


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize(("after", "before"), list(itertools.product(CURSORS, CURSORS)))
@pytest.mark.parametrize("limit", [1, 2, 5, 100])
async def test_a_page_is_a_cut_out_of_the_list(
    order: Literal["asc", "desc"], after: str | None, before: str | None, limit: int
) -> None:
    """After and before are exclusive, in the list's order; with `before` alone the page is the last before it."""
    table = Table(10, 20, 30, 40, 50, deleted=[25])
    places = [10, 20, 25, 30, 40, 50]
    if order == "desc":
        places.reverse()
    begin = 0 if after is None else places.index(table.places[after]) + 1
    end = len(places) if before is None else places.index(table.places[before])
    between = [place for place in places[begin:end] if place != 25]
    backward = before is not None and after is None
    expected = between[-limit:] if backward else between[:limit]
    assert await listed(table, Page(limit, order, after, before)) == (expected, len(between) > limit)


async def test_walking_from_page_to_page_shows_everything_once() -> None:
    table = Table(*range(1, 24))
    for order in ORDERS:
        seen: list[int] = []
        more, after = True, None
        while more:
            places, more = await listed(table, Page(5, order, after))
            seen += places
            after = f"thing_{seen[-1]}"
        assert seen == (list(range(1, 24)) if order == "asc" else list(range(23, 0, -1)))
        assert await listed(table, Page(5, order, after)) == ([], False)
        back: list[int] = []
        more, before = True, after
        while more:
            places, more = await listed(table, Page(5, order, None, before))
            back = places + back
            before = f"thing_{back[0]}"
        assert back == seen[:-1]


async def test_a_cursor_holds_its_place_when_its_object_is_deleted() -> None:
    table = Table(10, 20, 40, deleted=[30])
    assert await listed(table, Page(after="thing_30")) == ([20, 10], False)
    assert await listed(table, Page(order="asc", after="thing_30")) == ([40], False)


async def test_filters_are_passed_on() -> None:
    assert await listed(Table(10, 20, 30), Page(), {10, 30}) == ([30, 10], False)


@pytest.mark.parametrize(
    "cursor", ["thing_99", "other_1", "thing_10\0", "\0", "thing_10\n", "x" * 500, "é", "\ud800", " "]
)
@pytest.mark.parametrize("name", ["after", "before"])
async def test_a_cursor_on_nothing_is_not_found(name: str, cursor: str) -> None:
    """What is no id is not even asked for: a database may refuse to look at it."""
    table = Table(10, 20)
    with pytest.raises(APIError) as refusal:
        await listed(table, Page(**{name: cursor}))
    assert (refusal.value.status, refusal.value.message) == (404, f"No thing found with id '{cursor}'.")
    assert all(id.isascii() and id.isprintable() and len(id) < 200 for id in table.asked)
