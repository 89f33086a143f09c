"""The files that v1 links to assistants: what runs keep of them, and what is left where one goes."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator

import asyncpg
import pytest


class Desk:
    """Assistants, files and links, made by hand."""

    def __init__(self, conn: asyncpg.Connection) -> None:
        self.conn = conn

    async def assistant(self, id: str) -> None:
        await self.conn.execute(
            "INSERT INTO assistants (id, project_id, model, tools, tool_resources, metadata, temperature, top_p, "
            "response_format) VALUES ($1, 'proj_1', 'm', '[]', '{}', '{}', 1, 1, '\"auto\"')",
            id,
        )

    async def link(self, assistant_id: str, *file_ids: str) -> None:
        for file_id in file_ids:
            await self.conn.execute(
                "INSERT INTO files (id, project_id, bytes, filename, purpose, blobs) "
                "VALUES ($1, 'proj_1', 1, 'x', 'assistants', '{}') ON CONFLICT DO NOTHING",
                file_id,
            )
            await self.conn.execute(
                "INSERT INTO assistant_files (assistant_id, file_id) VALUES ($1, $2)", assistant_id, file_id
            )

    async def run(self, id: str, assistant_id: str) -> list[str]:
        """Add a run, and return the files that it keeps."""
        await self.conn.execute(
            "INSERT INTO threads (id, project_id, tool_resources, metadata) VALUES ('thread_1', 'proj_1', '{}', '{}') "
            "ON CONFLICT DO NOTHING"
        )
        await self.conn.execute(
            "INSERT INTO runs (id, project_id, thread_id, assistant_id, expires_at, model, tools, tool_resources, "
            "metadata, temperature, top_p, truncation_strategy, tool_choice, parallel_tool_calls, response_format) "
            "VALUES ($1, 'proj_1', 'thread_1', $2, 0, 'm', '[]', '{}', '{}', 1, 1, '{}', '\"auto\"', true, '\"auto\"')",
            id,
            assistant_id,
        )
        return await self.kept(id)

    async def kept(self, run_id: str) -> list[str]:
        kept: list[str] = json.loads(await self.conn.fetchval("SELECT file_ids FROM runs WHERE id = $1", run_id))
        return kept

    async def tombstones(self) -> dict[str, int]:
        return {row["id"]: row["seq"] for row in await self.conn.fetch("SELECT id, seq FROM tombstones")}

    async def places(self) -> dict[str, int]:
        rows = await self.conn.fetch("SELECT assistant_id || '/' || file_id AS id, seq FROM assistant_files")
        return {row["id"]: row["seq"] for row in rows}


@pytest.fixture
async def desk(database_url: str) -> AsyncIterator[Desk]:
    conn = await asyncpg.connect(database_url)
    yield Desk(conn)
    await conn.close()


async def test_a_run_keeps_the_files_that_its_assistant_had(desk: Desk) -> None:
    for id in ("asst_1", "asst_2"):
        await desk.assistant(id)
    await desk.link("asst_1", "file-c", "file-a", "file-b")
    await desk.link("asst_2", "file-a")
    assert await desk.run("run_1", "asst_1") == ["file-c", "file-a", "file-b"]
    assert await desk.run("run_2", "asst_gone") == []
    await desk.conn.execute("DELETE FROM files WHERE id = 'file-c'")
    await desk.conn.execute('UPDATE runs SET metadata = \'{"a":"b"}\'')
    assert await desk.kept("run_1") == ["file-c", "file-a", "file-b"]
    assert await desk.run("run_3", "asst_1") == ["file-a", "file-b"]


async def test_a_link_that_goes_leaves_its_place(desk: Desk) -> None:
    await desk.assistant("asst_1")
    await desk.link("asst_1", "file-a", "file-b", "file-c")
    places = await desk.places()
    await desk.conn.execute("DELETE FROM assistant_files WHERE file_id = 'file-a'")
    await desk.conn.execute("DELETE FROM files WHERE id = 'file-b'")
    gone = {id: places[id] for id in ("asst_1/file-a", "asst_1/file-b")}
    assert await desk.tombstones() == gone
    assert list(await desk.places()) == ["asst_1/file-c"]
    # It may come and go again: the last place counts.
    await desk.link("asst_1", "file-a")
    later = (await desk.places())["asst_1/file-a"]
    await desk.conn.execute("DELETE FROM assistant_files WHERE file_id = 'file-a'")
    assert await desk.tombstones() == gone | {"asst_1/file-a": later}
    assert later > gone["asst_1/file-a"]


async def test_with_its_assistant_nothing_of_it_is_left(desk: Desk) -> None:
    await desk.assistant("asst_1")
    await desk.link("asst_1", "file-a")
    await desk.conn.execute("DELETE FROM assistants")
    assert (await desk.places(), await desk.tombstones()) == ({}, {})
    assert await desk.conn.fetchval("SELECT count(*) FROM files") == 1
