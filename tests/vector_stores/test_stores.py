"""Vector stores: what they show, how they change, and what becomes of those who name one that goes."""

from __future__ import annotations

import asyncio
import json
import re
from typing import Any

import pytest

from assistd.errors import APIError
from assistd.vector_stores import store
from assistd.vector_stores.expiry import expire
from tests.support.errors import Error
from tests.vector_stores.room import EMBEDDING, Room

STORE_ID = re.compile(r"vs_[0-9A-Za-z]{24}")
NO_FILES = {"in_progress": 0, "completed": 0, "failed": 0, "cancelled": 0, "total": 0}
WEEK = {"anchor": "last_active_at", "days": 7}


def counts(**by_status: int) -> dict[str, int]:
    return {**NO_FILES, **by_status, "total": sum(by_status.values())}


def absent(id: str) -> Error:
    return Error(404, f"No vector store found with id '{id}'.")


def is_expired(id: str) -> Error:
    return Error(400, f"Vector store {id} is expired")


# --- what a store shows


async def test_an_empty_store_shows_every_field_and_is_completed(room: Room) -> None:
    made = (await room.post("/vector_stores", {})).ok
    assert list(made) == [
        *("id", "object", "created_at", "name", "description", "usage_bytes", "file_counts"),
        *("status", "expires_after", "expires_at", "last_active_at", "metadata"),
    ]
    assert STORE_ID.fullmatch(made["id"])
    assert made["object"] == "vector_store"
    assert made["last_active_at"] == made["created_at"]
    assert made["metadata"] == {}
    assert (made["status"], made["file_counts"], made["usage_bytes"]) == ("completed", NO_FILES, 0)
    assert (made["name"], made["description"], made["expires_after"], made["expires_at"]) == (None, None, None, None)
    assert (await room.get(f"/vector_stores/{made['id']}")).ok == made


async def test_a_store_keeps_what_it_was_made_with(room: Room) -> None:
    options = {"name": "N", "description": "D", "metadata": {"b": "1", "a": "2"}, "expires_after": WEEK}
    made = (await room.post("/vector_stores", options)).ok
    assert (made["name"], made["metadata"], made["expires_after"]) == ("N", {"b": "1", "a": "2"}, WEEK)
    assert list(made["metadata"]) == ["b", "a"]
    assert made["expires_at"] == made["last_active_at"] + 7 * 86400
    assert (await room.run("SELECT embedding_model FROM vector_stores WHERE id = $1", made["id"]))[0][0] == EMBEDDING


@pytest.mark.parametrize("description", ["D", "", "Ä 汉字\n" * 1000, None])
async def test_a_description_stands_in_every_answer(room: Room, description: str | None) -> None:
    made = (await room.post("/vector_stores", {"name": "N", "description": description})).ok
    path = f"/vector_stores/{made['id']}"
    changed = (await room.post(path, {"name": "M"})).ok
    listed = (await room.get("/vector_stores")).ok["data"]
    for shown in (made, changed, (await room.get(path)).ok, *listed):
        assert shown["description"] == description


async def test_nulls_are_as_good_as_nothing_in_a_new_store(room: Room) -> None:
    fields = ("name", "description", "file_ids", "chunking_strategy", "expires_after", "metadata")
    made = (await room.post("/vector_stores", dict.fromkeys(fields))).ok
    assert (made["status"], made["metadata"]) == ("completed", {})


async def test_status_and_counts_follow_the_files(room: Room) -> None:
    files = await room.files(4)
    made = (await room.post("/vector_stores", {"file_ids": files})).ok
    assert (made["status"], made["file_counts"]) == ("in_progress", counts(in_progress=4))
    id = made["id"]
    assert await room.jobs() == [(id, file) for file in files]
    await room.end(id, files[0])
    await room.end(id, files[1], status="failed")
    now = (await room.get(f"/vector_stores/{id}")).ok
    assert now["file_counts"] == counts(in_progress=2, completed=1, failed=1)
    assert (now["status"], now["usage_bytes"]) == ("in_progress", 200)
    await room.end(id, files[2])
    await room.end(id, files[3], status="cancelled")
    now = (await room.get(f"/vector_stores/{id}")).ok
    assert now["file_counts"] == counts(completed=2, failed=1, cancelled=1)
    assert now["status"] == "completed"
    assert (await room.get("/vector_stores")).ok["data"] == [now]


async def test_a_store_of_failures_is_completed(room: Room) -> None:
    file = await room.file()
    id = await room.store(file_ids=[file])
    await room.end(id, file, status="failed")
    assert (await room.get(f"/vector_stores/{id}")).ok["status"] == "completed"


async def test_files_of_a_new_store_get_its_chunking(room: Room) -> None:
    file = await room.file()
    chunking = {"type": "static", "static": {"max_chunk_size_tokens": 200, "chunk_overlap_tokens": 100}}
    id = await room.store(file_ids=[file], chunking_strategy=chunking)
    assert (await room.get(f"/vector_stores/{id}/files/{file}")).ok["chunking_strategy"] == chunking


async def test_no_store_is_made_where_a_file_is_not_there(room: Room) -> None:
    file, foreign = await room.file(), await room.file(project="proj_theirs")
    for wrong in (foreign, "file-none", "nothing at all", ""):
        answer = await room.post("/vector_stores", {"file_ids": [file, wrong]})
        Error(400, f"The following files were not found: {wrong}", param="file_ids").check(answer)
    assert (await room.get("/vector_stores")).ok["data"] == []
    assert await room.jobs() == []


TOO_LONG = "Expected an array with maximum length 500, but got an array with length 501 instead."


@pytest.mark.parametrize(
    ("body", "message", "param", "code"),
    [
        (
            {"file_ids": ["file-a"] * 501},
            f"Invalid 'file_ids': array too long. {TOO_LONG}",
            "file_ids",
            "array_above_max_length",
        ),
        (
            {"chunking_strategy": {"type": "static"}},
            "Missing required parameter: 'chunking_strategy.static'.",
            "chunking_strategy.static",
            "missing_required_parameter",
        ),
        (
            {"chunking_strategy": {"type": "other"}},
            "Invalid value: 'other'. Supported values are: 'auto' and 'static'.",
            "chunking_strategy.type",
            "invalid_value",
        ),
        (
            {"expires_after": {"anchor": "created_at", "days": 1}},
            "Invalid value: 'created_at'. Supported values are: 'last_active_at'.",
            "expires_after.anchor",
            "invalid_value",
        ),
        (
            {"expires_after": {"anchor": "last_active_at", "days": 0}},
            "Invalid 'expires_after.days': integer below minimum value. Expected a value >= 1, but got 0 instead.",
            "expires_after.days",
            "integer_below_min_value",
        ),
        (
            {"expires_after": {"anchor": "last_active_at", "days": 366}},
            "Invalid 'expires_after.days': integer above maximum value. Expected a value <= 365, but got 366 instead.",
            "expires_after.days",
            "integer_above_max_value",
        ),
        ({"files": []}, "Unknown parameter: 'files'.", "files", "unknown_parameter"),
    ],
)
async def test_what_a_store_cannot_be_made_of(
    room: Room, body: dict[str, Any], message: str, param: str, code: str
) -> None:
    Error(400, message, param, code).check(await room.post("/vector_stores", body))


@pytest.mark.parametrize(
    ("sizes", "field", "message"),
    [
        ((99, 0), "max_chunk_size_tokens", "integer below minimum value. Expected a value >= 100, but got 99 instead."),
        (
            (4097, 0),
            "max_chunk_size_tokens",
            "integer above maximum value. Expected a value <= 4096, but got 4097 instead.",
        ),
        ((800, -1), "chunk_overlap_tokens", "integer below minimum value. Expected a value >= 0, but got -1 instead."),
        (
            (101, 51),
            "chunk_overlap_tokens",
            "integer above maximum value. Expected a value <= 50 (half of max_chunk_size_tokens), but got 51 instead.",
        ),
    ],
)
async def test_the_limits_of_chunking(room: Room, sizes: tuple[int, int], field: str, message: str) -> None:
    static = {"max_chunk_size_tokens": sizes[0], "chunk_overlap_tokens": sizes[1]}
    body = {"file_ids": [await room.file()], "chunking_strategy": {"type": "static", "static": static}}
    param = f"chunking_strategy.static.{field}"
    code = "integer_below_min_value" if "below" in message else "integer_above_max_value"
    Error(400, f"Invalid '{param}': {message}", param, code).check(await room.post("/vector_stores", body))


# --- lists


async def test_pages_of_stores_also_beside_deleted_ones(room: Room) -> None:
    made = [await room.store(name=str(number)) for number in range(5)]
    await room.post("/vector_stores", {}, key="theirs")
    assert [one["id"] for one in (await room.get("/vector_stores")).ok["data"]] == made[::-1]
    page = (await room.get("/vector_stores?limit=2&order=asc")).ok
    assert ([one["id"] for one in page["data"]], page["has_more"]) == (made[:2], True)
    assert (await room.delete(f"/vector_stores/{made[1]}")).ok
    page = (await room.get(f"/vector_stores?limit=3&order=asc&after={made[1]}")).ok
    assert ([one["id"] for one in page["data"]], page["has_more"]) == (made[2:], False)
    page = (await room.get(f"/vector_stores?order=asc&before={made[1]}")).ok
    assert [one["id"] for one in page["data"]] == made[:1]
    absent("vs_none").check(await room.get("/vector_stores?after=vs_none"))


# --- changes


async def test_modify_changes_what_is_named(room: Room) -> None:
    id = await room.store(name="N", metadata={"a": "1"}, expires_after=WEEK)
    same = (await room.post(f"/vector_stores/{id}", {})).ok
    assert (same["name"], same["metadata"], same["expires_after"]) == ("N", {"a": "1"}, WEEK)
    changed = (await room.post(f"/vector_stores/{id}", {"name": "M", "metadata": {"b": "2"}})).ok
    assert (changed["name"], changed["metadata"], changed["expires_after"]) == ("M", {"b": "2"}, WEEK)
    cleared = (await room.post(f"/vector_stores/{id}", {"name": None, "expires_after": None, "metadata": None})).ok
    assert (cleared["name"], cleared["expires_after"], cleared["expires_at"]) == (None, None, None)
    assert cleared["metadata"] == {"b": "2"}
    assert (await room.get(f"/vector_stores/{id}")).ok == cleared


async def test_a_policy_that_is_set_begins_now(room: Room) -> None:
    id = await room.store()
    await room.age(id, days=30)
    before = (await room.get(f"/vector_stores/{id}")).ok
    named = (await room.post(f"/vector_stores/{id}", {"name": "N"})).ok
    assert named["last_active_at"] == before["last_active_at"]
    limited = (await room.post(f"/vector_stores/{id}", {"expires_after": WEEK})).ok
    assert limited["status"] == "completed"
    assert limited["last_active_at"] >= before["last_active_at"] + 30 * 86400
    assert limited["expires_at"] == limited["last_active_at"] + 7 * 86400


@pytest.mark.parametrize("field", ["file_ids", "description", "chunking_strategy"])
async def test_what_cannot_be_modified(room: Room, field: str) -> None:
    answer = await room.post(f"/vector_stores/{await room.store()}", {field: None})
    Error(400, f"Unknown parameter: '{field}'.", field, "unknown_parameter").check(answer)


# --- ids and projects


async def test_stores_of_another_project_are_not_there(room: Room) -> None:
    file = await room.file()
    id = await room.store(file_ids=[file])
    batch = (await room.post(f"/vector_stores/{id}/file_batches", {"file_ids": [file]})).ok["id"]
    theirs = await room.file(project="proj_theirs")
    attributes = {"attributes": {}}
    for method, path, body in (
        ("GET", "", None),
        ("POST", "", {"name": "x"}),
        ("DELETE", "", None),
        ("GET", "/files", None),
        ("POST", "/files", {"file_id": theirs}),
        ("GET", f"/files/{file}", None),
        ("POST", f"/files/{file}", attributes),
        ("DELETE", f"/files/{file}", None),
        ("GET", f"/files/{file}/content", None),
        ("POST", "/file_batches", {"file_ids": [theirs]}),
        ("GET", f"/file_batches/{batch}", None),
        ("POST", f"/file_batches/{batch}/cancel", None),
        ("GET", f"/file_batches/{batch}/files", None),
    ):
        absent(id).check(await room(method, f"/vector_stores/{id}{path}", body, key="theirs"))
    assert (await room.get("/vector_stores", key="theirs")).ok["data"] == []
    absent(id).check(await room.get(f"/vector_stores?after={id}", key="theirs"))
    assert (await room.get(f"/vector_stores/{id}")).ok["name"] is None
    assert (await room.get(f"/vector_stores/{id}")).ok["file_counts"] == counts(in_progress=1)


async def test_ids_of_another_kind(room: Room) -> None:
    wrong = "Expected an ID that begins with"
    answer = await room.get("/vector_stores/asst_1")
    Error(400, f"Invalid 'vector_store_id': 'asst_1'. {wrong} 'vs'.", "vector_store_id", "invalid_value").check(answer)
    answer = await room.get(f"/vector_stores/{await room.store()}/file_batches/batch_1")
    Error(400, f"Invalid 'batch_id': 'batch_1'. {wrong} 'vsfb'.", "batch_id", "invalid_value").check(answer)
    absent("vs_none").check(await room.get("/vector_stores/vs_none"))


# --- deletion


async def test_a_deleted_store_is_gone_and_its_files_stay(room: Room) -> None:
    file = await room.file()
    id = await room.store(file_ids=[file])
    await room.end(id, file, passages=["one", "two"])
    batch = (await room.post(f"/vector_stores/{id}/file_batches", {"file_ids": [file]})).ok["id"]
    (key,) = (await room.run("SELECT key FROM vector_stores WHERE id = $1", id))[0]
    answer = (await room.delete(f"/vector_stores/{id}")).ok
    assert answer == {"id": id, "object": "vector_store.deleted", "deleted": True}
    assert room.forgotten == [key]
    for path in ("", "/files", f"/files/{file}", f"/file_batches/{batch}"):
        absent(id).check(await room.get(f"/vector_stores/{id}{path}"))
    absent(id).check(await room.delete(f"/vector_stores/{id}"))
    assert room.forgotten == [key]
    for table in ("vector_store_files", "vector_store_batches", "vector_store_batch_files", "chunks"):
        assert await room.run(f"SELECT FROM {table}") == []
    assert len(await room.run("SELECT FROM files WHERE id = $1", file)) == 1


async def _name(room: Room, table: str, id: str, resources: dict[str, Any], project: str = "proj_mine") -> None:
    columns = {
        "threads": ("id, project_id, tool_resources, metadata", "$1, $2, $3, '{}'"),
        "assistants": (
            "id, project_id, tool_resources, metadata, model, tools, temperature, top_p, response_format",
            "$1, $2, $3, '{}', 'm', '[]', 1, 1, '\"auto\"'",
        ),
    }
    names, values = columns[table]
    await room.run(f"INSERT INTO {table} ({names}) VALUES ({values})", id, project, json.dumps(resources))


@pytest.mark.parametrize("table", ["assistants", "threads"])
async def test_who_names_a_deleted_store_loses_it_and_nothing_else(room: Room, table: str) -> None:
    id, other = await room.store(), await room.store()

    def resources(*stores: str) -> dict[str, Any]:
        return {"z": 1, "file_search": {"b": 1, "vector_store_ids": list(stores), "a": 2}, "code_interpreter": {}}

    await _name(room, table, "both", resources(id, other))
    await _name(room, table, "only", resources(id))
    await _name(room, table, "other", resources(other))
    await _name(room, table, "bare", {})
    await _name(room, table, "foreign", resources(id), "proj_theirs")
    assert (await room.delete(f"/vector_stores/{id}")).ok
    kept = {
        row["id"]: bytes(row["tool_resources"]) for row in await room.run(f"SELECT id, tool_resources FROM {table}")
    }
    expected = {"both": resources(other), "only": resources(), "other": resources(other), "bare": {}}
    assert {name: list(json.loads(kept[name]).items()) for name in expected} == {
        name: list(value.items()) for name, value in expected.items()
    }
    assert list(json.loads(kept["both"])["file_search"]) == ["b", "vector_store_ids", "a"]
    assert json.loads(kept["foreign"]) == resources(id)


@pytest.mark.parametrize("table", ["assistants", "threads"])
async def test_who_names_a_store_is_found_by_an_index(room: Room, table: str) -> None:
    await _name(room, table, "0", {})
    names = [
        row[0]
        for row in await room.run(
            f"SELECT attname FROM pg_attribute WHERE attrelid = '{table}'::regclass "
            "AND attnum > 0 AND attname NOT IN ('id', 'seq', 'tool_resources')"
        )
    ]
    others = ", ".join(names)
    await room.run(
        f"INSERT INTO {table} (id, tool_resources, {others}) "
        "SELECT n, json_build_object('file_search', json_build_object('vector_store_ids', json_build_array('vs_'||n))),"
        f" {others} FROM {table}, generate_series(1, 5000) n"
    )
    await room.run(f"ANALYZE {table}")
    plan = await room.run("EXPLAIN " + store.SQL[f"{table}_naming"], "proj_mine", "vs_1")
    assert f"{table}_stores" in "\n".join(row[0] for row in plan)


async def test_who_comes_to_name_a_store_while_it_goes_loses_it_or_is_refused(room: Room) -> None:
    id = await room.store()
    async with room.db.transaction() as conn:
        await store.require(conn, "proj_mine", [id])
        deletion = asyncio.create_task(room.delete(f"/vector_stores/{id}"))
        await _waiting(room)
        await conn.execute(
            "INSERT INTO threads (id, project_id, tool_resources, metadata) VALUES ('thread_1', 'proj_mine', $1, '{}')",
            json.dumps({"file_search": {"vector_store_ids": [id]}}),
        )
    assert (await deletion).ok
    (row,) = await room.run("SELECT tool_resources FROM threads")
    assert json.loads(bytes(row[0])) == {"file_search": {"vector_store_ids": []}}
    async with room.db.transaction() as conn:
        with pytest.raises(APIError, match="No vector store found"):
            await store.require(conn, "proj_mine", [id])


async def test_a_store_goes_although_its_index_stays(room: Room, monkeypatch: pytest.MonkeyPatch) -> None:
    id = await room.store()
    monkeypatch.delattr(room, "forgotten")  # forgetting fails
    assert (await room.delete(f"/vector_stores/{id}")).ok["deleted"]
    absent(id).check(await room.get(f"/vector_stores/{id}"))


# --- expiry


async def test_an_expired_store_can_be_read_and_deleted_and_nothing_else(room: Room) -> None:
    file, other = await room.files(2)
    id = await room.store(file_ids=[file], expires_after={"anchor": "last_active_at", "days": 1})
    batch = (await room.post(f"/vector_stores/{id}/file_batches", {"file_ids": [file]})).ok["id"]
    await room.end(id, file, passages=["text"])
    await room.age(id, days=1)
    shown = (await room.get(f"/vector_stores/{id}")).ok
    assert shown["status"] == "expired"
    assert shown["expires_at"] == shown["last_active_at"] + 86400
    assert (await room.get("/vector_stores")).ok["data"] == [shown]
    for path, body in (
        ("", {"name": "x"}),
        ("", {"expires_after": None}),
        ("/files", {"file_id": other}),
        (f"/files/{file}", {"attributes": {"a": 1}}),
        ("/file_batches", {"file_ids": [other]}),
    ):
        is_expired(id).check(await room.post(f"/vector_stores/{id}{path}", body))
    for path in ("/files", f"/files/{file}", f"/files/{file}/content", f"/file_batches/{batch}"):
        assert (await room.get(f"/vector_stores/{id}{path}")).ok
    assert (await room.get(f"/vector_stores/{id}")).ok == shown
    assert (await room.delete(f"/vector_stores/{id}")).ok["deleted"]


async def test_expired_stores_are_emptied_and_stay(room: Room) -> None:
    day = {"anchor": "last_active_at", "days": 1}
    files = await room.files(45)
    ids = [await room.store(file_ids=files, expires_after=policy) for policy in (day, day, None)]
    expired_id, live_id, forever_id = ids
    for id in ids:
        await room.end(id, *files, passages=["one", "two"])
        await room.age(id, days=0.9 if id == live_id else 1.1)
    await expire(room.db, room._forget)
    (key,) = (await room.run("SELECT key FROM vector_stores WHERE id = $1", expired_id))[0]
    assert room.forgotten == [key]
    left = {id: (await room.get(f"/vector_stores/{id}")).ok for id in ids}
    assert (left[expired_id]["status"], left[expired_id]["file_counts"]) == ("expired", NO_FILES)
    assert left[expired_id]["usage_bytes"] == 0
    for id in (live_id, forever_id):
        assert (left[id]["status"], left[id]["file_counts"]) == ("completed", counts(completed=45))
    assert [tuple(row) for row in await room.run("SELECT count(*) FROM chunks")] == [(2 * 45 * 2,)]
    await expire(room.db, room._forget)
    assert room.forgotten == [key]


async def test_a_store_that_expired_before_the_last_look_is_not_looked_at_again(room: Room) -> None:
    file = await room.file()
    id = await room.store(file_ids=[file], expires_after={"anchor": "last_active_at", "days": 1})
    await room.age(id, days=3)
    (since,) = (await room.run("SELECT unix_now()"))[0]
    await expire(room.db, room._forget, since - 86400)
    assert (await room.get(f"/vector_stores/{id}")).ok["file_counts"]["total"] == 1
    await expire(room.db, room._forget, since - 3 * 86400)
    assert (await room.get(f"/vector_stores/{id}")).ok["file_counts"]["total"] == 0


# --- for those who use stores


async def test_require_and_require_usable(room: Room) -> None:
    mine, gone = await room.store(), await room.store(expires_after=WEEK)
    theirs = str((await room.post("/vector_stores", {}, key="theirs")).ok["id"])
    await room.age(gone, days=8)
    async with room.db.acquire() as conn:
        await store.require(conn, "proj_mine", [])
        await store.require(conn, "proj_mine", [mine, gone])
        await store.require_usable(conn, "proj_mine", [mine])
        for wrong in (theirs, "vs_none", "vs_\0"):
            with pytest.raises(APIError, match="No vector store found with id") as refusal:
                await store.require(conn, "proj_mine", [mine, wrong])
            assert refusal.value.status == 404
        with pytest.raises(APIError, match=f"Vector store {gone} is expired"):
            await store.require_usable(conn, "proj_mine", [mine, gone])


async def test_touch_moves_the_expiry_and_revives_nothing(room: Room) -> None:
    alive, dead, other = [await room.store(expires_after=WEEK) for _ in range(3)]
    await room.age(alive, days=6)
    await room.age(dead, days=8)
    await room.age(other, days=6)
    before = {id: (await room.get(f"/vector_stores/{id}")).ok for id in (alive, dead, other)}
    async with room.db.acquire() as conn:
        await store.touch(conn, "proj_theirs", [alive, dead, other])
        assert (await room.get(f"/vector_stores/{alive}")).ok == before[alive]
        await store.touch(conn, "proj_mine", [alive, dead])
        await store.touch(conn, "proj_mine", [])
    after = {id: (await room.get(f"/vector_stores/{id}")).ok for id in (alive, dead, other)}
    assert after[alive]["last_active_at"] >= before[alive]["last_active_at"] + 6 * 86400
    assert after[alive]["expires_at"] == after[alive]["last_active_at"] + 7 * 86400
    assert (after[dead], after[other]) == (before[dead], before[other])
    assert after[dead]["status"] == "expired"


async def test_in_progress_counts_over_stores(room: Room) -> None:
    files = await room.files(3)
    one, two, three = await room.store(file_ids=files), await room.store(file_ids=files[:2]), await room.store()
    await room.end(one, files[0])
    async with room.db.acquire() as conn:
        assert await store.in_progress(conn, [one, two, three]) == 4
        assert await store.in_progress(conn, [three]) == 0
        assert await store.in_progress(conn, []) == 0


async def _waiting(room: Room) -> None:
    """Wait until some statement waits for another's transaction."""
    async with asyncio.timeout(60):
        while not await room.run(
            "SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
        ):
            await asyncio.sleep(0.01)
