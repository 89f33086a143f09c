"""Pages of lists by cursor, the same for every kind of object.

A cursor is an object's id; the list goes by insertion sequence. A cursor on an
object that was deleted meanwhile still marks its place (`tombstones`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from assistd import errors, ids
from assistd.web.wire import Page, is_backward

_BEYOND = 2**63 - 1


async def fetch_page(
    conn: Any, queries: Mapping[str, str], list_name: str, noun: str, owner_id: str, page: Page, *filters: Any
) -> Sequence[Any]:
    """Fetch the rows of a page, and one more if there is more.

    `queries` has `{list_name}_asc` and `{list_name}_desc` taking (owner, above, below, limit, *filters), and
    `{list_name}_place` taking (id, owner) and giving the sequence number of a cursor. Raises APIError (404) for a
    cursor on nothing.
    """
    above, below = 0, _BEYOND
    forward = page.order == "asc"
    for cursor, ahead in ((page.after, forward), (page.before, not forward)):
        if cursor is None:
            continue
        # What is no id at all is not asked for: PostgreSQL would refuse some of it.
        known = ids.is_plain(cursor)
        place = await conn.fetchval(queries[f"{list_name}_place"], cursor, owner_id) if known else None
        if place is None:
            raise errors.not_found(noun, cursor)
        if ahead:
            above = max(above, place)
        else:
            below = min(below, place)
    ascending = forward != is_backward(page)
    direction = "asc" if ascending else "desc"
    rows: Sequence[Any] = await conn.fetch(
        queries[f"{list_name}_{direction}"], owner_id, above, below, page.limit + 1, *filters
    )
    return rows
