"""What the tests of the room share: threads, files, nodes, and what code says."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

from assistd import ids
from assistd.code_interpreter.store import paths
from assistd.code_interpreter.workspace import Image, Workspace, Workspaces
from assistd.db.pool import Database
from assistd.files import intake, store, sweeper
from assistd.files.blobs import Blobs
from assistd.sandbox.limits import Limits
from assistd.sandbox.outputs import Logs

PROJECT, OTHER = "proj_default", "proj_other"


async def chunks(content: bytes) -> AsyncIterator[bytes]:
    for start in range(0, len(content), 1000):
        yield content[start : start + 1000]


class Room:
    """A database and a blob store, and what is in them."""

    def __init__(self, db: Database, blobs: Blobs, folder: Path) -> None:
        self.db = db
        self.blobs = blobs
        self.folder = folder

    def node(self, sandboxes: Any, worker: str = "w", limits: Limits | None = None) -> Workspaces:
        return Workspaces(self.db, self.blobs, sandboxes, worker, limits)

    async def query(self, statement: str, *values: Any) -> list[Any]:
        async with self.db.acquire() as conn:
            return [row[0] if len(row) == 1 else tuple(row) for row in await conn.fetch(statement, *values)]

    async def thread(self, project: str = PROJECT, file_ids: Sequence[str] = ()) -> str:
        id = ids.new("thread_")
        resources = {"code_interpreter": {"file_ids": list(file_ids)}} if file_ids else {}
        await self.query(
            "INSERT INTO threads (id, project_id, tool_resources, metadata) VALUES ($1, $2, $3, '{}')",
            id,
            project,
            json.dumps(resources),
        )
        return id

    async def file(
        self, content: bytes | str, name: str = "x.txt", project: str = PROJECT, purpose: str = "vision"
    ) -> str:
        content = content.encode() if isinstance(content, str) else content
        async with intake.take_in(self.db, self.blobs, chunks(content)) as blob, self.db.transaction() as conn:
            return (await store.create(conn, project, name, purpose, blob)).id

    async def content(self, file_id: str, project: str = PROJECT) -> bytes:
        async with self.db.acquire() as conn:
            file = await store.get_stored(conn, project, file_id)
        return b"".join([chunk async for chunk in self.blobs.read(file.blobs)])

    async def name_of(self, file_id: str) -> tuple[str, str]:
        (row,) = await self.query("SELECT filename, purpose FROM files WHERE id = $1", file_id)
        return row

    async def delete_file(self, file_id: str) -> None:
        async with self.db.transaction() as conn:
            await store.delete(conn, PROJECT, file_id)

    async def delete_thread(self, thread_id: str) -> None:
        await self.query("DELETE FROM threads WHERE id = $1", thread_id)

    async def kept(self, thread_id: str) -> dict[str, bytes]:
        """What is kept of the thread's code, by path."""
        rows = await self.query(
            "SELECT c.path, COALESCE(f.blobs, c.blobs) FROM code_files c LEFT JOIN files f ON f.id = c.file_id "
            "WHERE c.thread_id = $1",
            thread_id,
        )
        return {path: b"".join([chunk async for chunk in self.blobs.read(blobs)]) for path, blobs in rows}

    async def paths(self, thread_id: str) -> set[str]:
        async with self.db.acquire() as conn:
            return set(await paths(conn, thread_id))

    # --- blobs

    def blobs_there(self) -> list[str]:
        return sorted(path.name for path in (self.folder / "blobs").rglob("*") if path.is_file())

    async def blobs_owned(self) -> list[str]:
        keys = await self.query("SELECT unnest(blobs) FROM files UNION ALL SELECT unnest(blobs) FROM code_files")
        return sorted(key.rpartition("/")[2] for key in keys)

    async def blobs_noted(self) -> list[str]:
        return sorted(key.rpartition("/")[2] for key in await self.query("SELECT key FROM loose_blobs"))

    async def check_blobs(self) -> None:
        """Every row has its blobs, every blob has one owner or is noted, and the sweep leaves those with an owner."""
        owned = await self.blobs_owned()
        assert len(owned) == len(set(owned)), "a blob has two owners"
        noted = set(await self.blobs_noted())
        assert not noted & set(owned), "a blob that is owned is to be swept"
        assert set(owned) <= set(self.blobs_there()), "a row without its blob"
        assert set(self.blobs_there()) <= noted | set(owned), "a blob that nobody knows of"
        await self.query("UPDATE loose_blobs SET due = now()")
        await sweeper.sweep(self.db, self.blobs)
        assert (self.blobs_there(), await self.blobs_noted()) == (owned, [])


async def said(workspace: Workspace, code: str) -> str:
    """What the code printed, and our lines. Pictures are not expected."""
    shown = [output async for output in workspace.run(code)]
    assert all(isinstance(output, Logs) for output in shown), shown
    return "".join(output.text for output in shown)


async def ran(node: Workspaces, thread: str, code: str, file_ids: Sequence[str] = ()) -> tuple[list[str], str]:
    """Open the workspace, run code, and leave: notes, and what was said."""
    async with node.open(thread, PROJECT, file_ids) as workspace:
        return workspace.notes, await said(workspace, code)


def images(shown: Sequence[Logs | Image]) -> list[str]:
    return [output.file_id for output in shown if isinstance(output, Image)]
