"""Threads are found by their metadata and by text in it, in their project, whatever else is there."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from assistd import ids
from assistd.db.pool import Connection, Database
from assistd.threads import store
from assistd.threads.attachments import Terms
from assistd.threads.sought import EVERY_THREAD, Sought
from assistd.threads.wire import CreateThread, ModifyThread
from assistd.web.wire import Page

OURS = "proj_ours"


@pytest.fixture
async def conn(database: Database) -> AsyncIterator[Connection]:
    async with database.acquire() as conn:
        yield conn


async def add(conn: Connection, project: str = OURS, **metadata: str) -> str:
    return (await store.create_thread(conn, project, CreateThread(metadata=metadata), Terms(""))).id


async def found(conn: Connection, text: str = "", project: str = OURS, /, **metadata: str) -> list[str]:
    """The ids of what is found, newest first; all of it, through pages of three."""
    wanted, page, listed = Sought(metadata, text), Page(limit=3), list[str]()
    while True:
        part = await store.list_threads(conn, project, page, wanted)
        listed += [thread.id for thread in part.data]
        if not part.has_more:
            return listed
        page = Page(limit=3, after=part.last_id)


async def test_every_pair_must_be_there(conn: Connection) -> None:
    both = await add(conn, user="ann", app="web")
    web = await add(conn, user="bob", app="web")
    await add(conn, user="Ann", app="Web")
    await add(conn, ann="user")
    await add(conn)
    assert await found(conn, user="ann") == [both]
    assert await found(conn, app="web") == [web, both]
    assert await found(conn, app="web", user="ann") == [both]
    for nothing in ({"user": "an"}, {"user": ""}, {"user": "ann", "app": "mail"}, {"a": "b"}):
        assert await found(conn, **nothing) == []
    assert len((await store.list_threads(conn, OURS, Page(), EVERY_THREAD)).data) == 5


async def test_keys_and_values_may_be_anything(conn: Connection) -> None:
    odd = {"": "", "a=b": "c", "'; --": '"quoted" \\ and more', "%_": "100%_", "é\n": "日本語", "x" * 64: "y" * 512}
    thread = await add(conn, **odd)
    await add(conn, a="b=c")
    for key, value in odd.items():
        assert await found(conn, **{key: value}) == [thread], key
    for text in ('"quoted" \\', "0%_", "本", "日本", "y" * 512, "%_", "\\", "b=c", "a=b"):
        expected = text not in ("b=c", "a=b")
        assert (thread in await found(conn, text)) is expected, text  # a text is looked for in values, not in keys


async def test_a_text_is_found_within_any_value_whatever_its_case(conn: Connection) -> None:
    trip = await add(conn, title="Trip to Österreich", user="ann")
    plan = await add(conn, title="A plan", note="before the TRIP")
    await add(conn, trip="none has one")
    for text in ("trip", "TRIP", "tRi", "rip"):
        assert await found(conn, text) == [plan, trip], text
    assert await found(conn, "ÖSTERREICH") == [trip]
    assert await found(conn, "to Ö") == [trip]
    assert await found(conn, "t") == [plan, trip]
    assert await found(conn, "trip", user="ann") == [trip]
    for nothing in ("plan a", "trip  to", "tr%p", "t_ip", "z", "title"):
        assert await found(conn, nothing) == [], nothing


async def test_what_changes_is_found_as_it_is_now(conn: Connection) -> None:
    thread = await add(conn, title="first")
    await store.modify_thread(conn, OURS, thread, ModifyThread(metadata={"title": "second"}), "")
    assert (await found(conn, "first"), await found(conn, "second")) == ([], [thread])
    await store.modify_thread(conn, OURS, thread, ModifyThread(metadata={}), "")
    assert await found(conn, "second") == []
    await store.modify_thread(conn, OURS, thread, ModifyThread(metadata={"title": "third"}), "")
    await store.delete_thread(conn, OURS, thread)
    assert await found(conn, "third") == []


async def many(conn: Connection, count: int, project: str = OURS) -> None:
    """Add threads by the thousand: of a kind, some of a rarer kind, and one old one of its own."""
    rows = [
        {"title": f"Conversation {n % 97}", "app": "web", "user": f"user {n % (count // 20)}"}
        | ({"rare": "yes", "title": "The zebra"} if n == 3 else {})
        for n in range(count)
    ]
    await conn.execute(
        "INSERT INTO threads (id, project_id, tool_resources, metadata)"
        " SELECT id, $1, '{}', metadata FROM unnest($2::text[], $3::json[]) AS new (id, metadata)",
        project,
        [ids.new("thread_") for _ in rows],
        [json.dumps(row) for row in rows],
    )


async def test_what_is_rare_and_what_is_common_is_found_among_thousands(conn: Connection) -> None:
    await many(conn, 3000)
    await many(conn, 1000, "proj_theirs")
    for wanted, count in (
        (Sought({"app": "web"}), 3000),
        (Sought({"user": "user 7"}), 20),
        (Sought({"rare": "yes"}), 1),
        (Sought({}, "zebra"), 1),
        (Sought({}, "conversation 96"), 30),
        (Sought({"user": "user 7"}, "conversation"), 20),
        (Sought({}, "giraffe"), 0),
    ):
        pages = {order: await _walk(conn, wanted, order) for order in ("asc", "desc")}
        assert len(pages["asc"]) == count, wanted
        assert pages["asc"] == pages["desc"][::-1], wanted


async def _walk(conn: Connection, wanted: Sought, order: Any) -> list[str]:
    listed, after = list[str](), None
    while True:
        part = await store.list_threads(conn, OURS, Page(limit=100, order=order, after=after), wanted)
        listed += [thread.id for thread in part.data]
        after = part.last_id
        if not part.has_more:
            return listed


@pytest.mark.parametrize("order", ["asc", "desc"])
async def test_what_is_rare_is_found_by_the_index(conn: Connection, order: str) -> None:
    """Not by a look at every thread: of these, a page and 25 times as many are looked at, wherever the rare one is."""
    await many(conn, 5000)
    await conn.execute("VACUUM ANALYZE threads")
    for metadata, text in (({"rare": "yes"}, None), ({}, "zebra"), ({}, "zebra quagga"), ({"no": "such"}, None)):
        (plan,) = await conn.fetchrow(
            "EXPLAIN (ANALYZE, TIMING OFF, FORMAT JSON) " + store.SQL[f"found_{order}"],
            *(OURS, 0, 2**63 - 1, 21, json.dumps(metadata), text),
        )
        scans = list(_scans(json.loads(bytes(plan))[0]["Plan"]))
        assert "threads_terms" in {scan.get("Index Name") for scan in scans}
        looked_at = sum(s["Actual Rows"] + s.get("Rows Removed by Filter", 0) for s in scans if s["Alias"] != "near")
        assert looked_at < 5000 / 2, scans


def _scans(plan: Any) -> Any:
    if "Scan" in plan["Node Type"] and ("Relation Name" in plan or "Index Name" in plan):
        yield {"Alias": "", "Index Name": None, **plan}
    for part in plan.get("Plans", ()):
        yield from _scans(part)
