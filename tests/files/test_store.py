"""The files' table as other rooms use it, and what deleting a file takes with it."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import msgspec
import pytest

from assistd import ids
from assistd.db.pool import Database
from assistd.errors import APIError
from assistd.files import store

OURS, THEIRS = "proj_default", "proj_other"


async def make(conn: Any, project: str = OURS) -> str:
    return (await store.create_of(conn, project, "x.txt", "assistants", ["ab/1", "ab/2"], 12)).id


async def name_them(conn: Any, table: str, project: str, resources: Any) -> str:
    """Add an assistant or thread with these tool resources."""
    id = ids.new("asst_" if table == "assistants" else "thread_")
    values = {"id": id, "project_id": project, "tool_resources": resources, "metadata": {}}
    if table == "assistants":
        values |= {"model": "m", "tools": [], "temperature": 1, "top_p": 1, "response_format": "auto"}
    names = ", ".join(values)
    await conn.execute(
        f"INSERT INTO {table} ({names}) SELECT {names} FROM json_populate_record(NULL::{table}, $1)",
        json.dumps(values),
    )
    return id


async def resources_of(conn: Any, table: str, id: str) -> str:
    raw: msgspec.Raw = await conn.fetchval(f"SELECT tool_resources FROM {table} WHERE id = $1", id)
    return bytes(raw).decode()


@pytest.mark.parametrize("table", ["assistants", "threads"])
async def test_a_deleted_file_leaves_the_lists(database: Database, table: str) -> None:
    async with database.transaction() as conn:
        gone, stays = await make(conn), await make(conn)
        given = {"file_search": {"vector_store_ids": ["vs_1"]}, "code_interpreter": {"file_ids": [stays, gone]}}
        named = await name_them(conn, table, OURS, given)
        only = await name_them(conn, table, OURS, {"code_interpreter": {"file_ids": [gone]}})
        other = await name_them(conn, table, OURS, {"code_interpreter": {"file_ids": [stays]}})
        foreign = await name_them(conn, table, THEIRS, {"code_interpreter": {"file_ids": [gone]}})
    async with database.transaction() as conn:
        await store.delete(conn, OURS, gone)
    async with database.acquire() as conn:
        # The order of keys is as it was.
        expected = f'{{"file_search":{{"vector_store_ids":["vs_1"]}},"code_interpreter":{{"file_ids":["{stays}"]}}}}'
        assert await resources_of(conn, table, named) == expected
        assert await resources_of(conn, table, only) == '{"code_interpreter":{"file_ids":[]}}'
        for untouched, id in ((other, stays), (foreign, gone)):
            assert json.loads(await resources_of(conn, table, untouched))["code_interpreter"]["file_ids"] == [id]


@pytest.mark.parametrize("table", ["assistants", "threads"])
async def test_the_lists_are_found_by_their_index(database: Database, table: str) -> None:
    async with database.acquire() as conn:
        await name_them(conn, table, OURS, {"code_interpreter": {"file_ids": ["file-1"]}})
        names = await conn.fetchval(
            "SELECT string_agg(attname, ', ') FROM pg_attribute "
            "WHERE attrelid = $1::text::regclass AND attnum > 0 AND attname NOT IN ('id', 'seq', 'tool_resources')",
            table,
        )
        await conn.execute(
            f"INSERT INTO {table} (id, tool_resources, {names}) SELECT 'x_' || n, "
            "json_build_object('code_interpreter', json_build_object('file_ids', json_build_array('file-x' || n))), "
            f"{names} FROM {table}, generate_series(1, 5000) AS n"
        )
        await conn.execute(f"ANALYZE {table}")
        await conn.execute("PREPARE naming (text, text) AS " + store.SQL[f"{table}_naming"])
        plan = await conn.fetch("EXPLAIN EXECUTE naming ('file-1', 'proj_default')")
        await conn.execute("DEALLOCATE naming")
    assert f"Bitmap Index Scan on {table}_files" in "\n".join(row[0] for row in plan)


async def test_whoever_names_a_file_meanwhile_loses_it_too(database: Database) -> None:
    """A list that is committed while the deletion waits for its writer is cleaned as well."""
    async with database.transaction() as conn:
        file = await make(conn)
    deleted = None
    async with database.transaction() as conn:
        await store.require(conn, OURS, [file])
        thread = await name_them(conn, "threads", OURS, {"code_interpreter": {"file_ids": [file]}})

        async def delete() -> None:
            async with database.transaction() as other:
                await store.delete(other, OURS, file)

        deleted = asyncio.create_task(delete())
        waiting = "SELECT count(*) FROM pg_locks WHERE NOT granted"
        while not await conn.fetchval(waiting):
            await asyncio.sleep(0.01)
    await deleted
    async with database.acquire() as conn:
        assert await resources_of(conn, "threads", thread) == '{"code_interpreter":{"file_ids":[]}}'


async def test_finding(database: Database) -> None:
    async with database.transaction() as conn:
        first, second, foreign = await make(conn), await make(conn), await make(conn, THEIRS)
        found = await store.find(conn, OURS, [second, "file-none", first, foreign, "\0", second])
        assert [file.id for file in found] == [second, first]
        assert (found[0].filename, found[0].bytes, found[0].purpose) == ("x.txt", 12, "assistants")
        assert found[0].blobs == ["ab/1", "ab/2"]
        assert await store.find(conn, OURS, []) == []


async def test_requiring(database: Database) -> None:
    async with database.transaction() as conn:
        file, foreign = await make(conn), await make(conn, THEIRS)
        assert [found.id for found in await store.require(conn, OURS, [file])] == [file]
        assert await store.require(conn, OURS, []) == []
        with pytest.raises(APIError) as refused:
            await store.require(conn, OURS, [file, "file-none", foreign, "file-none"])
    assert refused.value.status == 400
    assert refused.value.message == f"The following files were not found: file-none, {foreign}"


async def test_an_expired_file_is_not_there(database: Database) -> None:
    async with database.transaction() as conn:
        file = await make(conn)
        await conn.execute("UPDATE files SET expires_at = unix_now() WHERE id = $1", file)
        assert await store.find(conn, OURS, [file]) == []
        with pytest.raises(APIError):
            await store.require(conn, OURS, [file])
        with pytest.raises(APIError):
            await store.get_stored(conn, OURS, file)


async def test_another_projects_file_cannot_be_deleted(database: Database) -> None:
    async with database.transaction() as conn:
        file = await make(conn, THEIRS)
        with pytest.raises(APIError):
            await store.delete(conn, OURS, file)
        assert (await store.get(conn, THEIRS, file)).id == file
