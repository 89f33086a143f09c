"""Processes that die while files come in: rows have their bytes, bytes without a row go, clients may try again."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import aiohttp
import asyncpg
import pytest

from assistd.db.pool import Database
from assistd.files import sweeper
from assistd.files.blobs import open_blobs
from tests.durability.api import HEADERS, eventually
from tests.durability.conftest import Node, StartNode
from tests.durability.documents import send

pytestmark = pytest.mark.long

PIECE = b"0123456789abcdef" * 65_536  # 1 MiB
PARTS = [bytes([letter]) * 300_000 for letter in b"abc"]
WHOLE = b"".join(PARTS)
Attempt = Callable[[Node], Awaitable[Any]]


@pytest.fixture
def blobs(tmp_path: Path) -> Path:
    return tmp_path / "blobs"


@pytest.fixture
def start_here(start: StartNode, blobs: Path) -> Callable[[], Awaitable[Node]]:
    """Start a node; all have one folder for the blobs."""
    return lambda: start(blob_url=f"file://{blobs}")


def kept(blobs: Path) -> set[str]:
    """The keys of what is in the folder; a blob that is half written has a name of its own."""
    return {str(path.relative_to(blobs)) for path in blobs.rglob("*") if path.is_file()}


async def owned(db: asyncpg.Connection) -> set[str]:
    """The keys of the blobs that rows own."""
    rows = await db.fetch("SELECT unnest(blobs) AS key FROM files UNION ALL SELECT blob FROM upload_parts")
    return {row["key"] for row in rows if row["key"] is not None}


async def sweep(db: asyncpg.Connection, database: Database, blobs: Path) -> None:
    """Sweep, a day later."""
    await db.execute("UPDATE loose_blobs SET due = now() - interval '1 second'")
    await sweeper.sweep(database, open_blobs(f"file://{blobs}", blobs))


async def check_whole(db: asyncpg.Connection, database: Database, blobs: Path) -> None:
    """Check that every row has its bytes, now and when the sweep is through, and that nothing else is left then."""
    assert await owned(db) <= kept(blobs)
    await sweep(db, database, blobs)
    assert kept(blobs) == await owned(db)
    assert await db.fetchval("SELECT count(*) FROM loose_blobs") == 0
    for row in await db.fetch("SELECT bytes, blobs FROM files"):
        assert sum((blobs / key).stat().st_size for key in row["blobs"]) == row["bytes"]
    for row in await db.fetch("SELECT bytes, blob FROM upload_parts WHERE blob IS NOT NULL"):
        assert (blobs / row["blob"]).stat().st_size == row["bytes"]


class Slow:
    """Content that comes in pieces: after some, no more until it is told to."""

    def __init__(self, before: int) -> None:
        self._before = before
        self.stuck = asyncio.Event()
        self.go_on = asyncio.Event()

    async def pieces(self) -> AsyncIterator[bytes]:
        for _ in range(self._before):
            yield PIECE
        self.stuck.set()
        await self.go_on.wait()
        yield b"end"


async def download(session: aiohttp.ClientSession, node: Node, file_id: str) -> bytes:
    async with session.get(f"{node.server.url}/files/{file_id}/content", headers=HEADERS) as response:
        assert response.status == 200
        return await response.read()


async def lost(attempt: asyncio.Task[Any]) -> None:
    """Wait for a request whose server is gone."""
    with pytest.raises((aiohttp.ClientError, ConnectionError)):
        await attempt


async def begin(node: Node, size: int = len(WHOLE)) -> str:
    new = {"filename": "whole.bin", "purpose": "vision", "bytes": size, "mime_type": "application/octet-stream"}
    return str((await node.api.post("/uploads", new))["id"])


async def add(session: aiohttp.ClientSession, node: Node, upload_id: str, content: Any) -> str:
    return str((await send(session, node, f"/uploads/{upload_id}/parts", "data", "part", content))["id"])


# --- in the middle of the bytes


@pytest.mark.parametrize("pieces", [0, 1, 20])
async def test_killed_while_a_file_comes_in(
    start_here: Callable[[], Awaitable[Node]],
    session: aiohttp.ClientSession,
    db: asyncpg.Connection,
    database: Database,
    blobs: Path,
    pieces: int,
) -> None:
    node = await start_here()
    slow = Slow(pieces)
    coming = asyncio.create_task(send(session, node, "/files", "file", "a.bin", slow.pieces(), purpose="vision"))
    await eventually(lambda: db.fetchval("SELECT count(*) FROM loose_blobs"), "the note of a blob") if pieces else None
    await slow.stuck.wait()
    if pieces > 8:  # so much is handed to the store in one piece
        await eventually(lambda: kept(blobs), "a blob that is half written")
    node.kill()
    await lost(coming)
    node = await start_here()
    assert (await node.api.get("/files"))["data"] == []
    await check_whole(db, database, blobs)
    assert kept(blobs) == set()
    file = await send(session, node, "/files", "file", "a.bin", WHOLE, purpose="vision")
    assert await download(session, node, file["id"]) == WHOLE
    await check_whole(db, database, blobs)


async def test_killed_while_a_part_comes_in(
    start_here: Callable[[], Awaitable[Node]],
    session: aiohttp.ClientSession,
    db: asyncpg.Connection,
    database: Database,
    blobs: Path,
) -> None:
    node = await start_here()
    upload_id = await begin(node)
    first = await add(session, node, upload_id, PARTS[0])
    slow = Slow(10)
    coming = asyncio.create_task(add(session, node, upload_id, slow.pieces()))
    await slow.stuck.wait()
    await eventually(lambda: len(kept(blobs)) == 2, "a blob that is half written")
    node.kill()
    await lost(coming)
    node = await start_here()
    await check_whole(db, database, blobs)
    assert len(kept(blobs)) == 1
    rest = [await add(session, node, upload_id, part) for part in PARTS[1:]]
    done = await node.api.post(f"/uploads/{upload_id}/complete", {"part_ids": [first, *rest]})
    assert await download(session, node, done["file"]["id"]) == WHOLE
    await check_whole(db, database, blobs)


# --- between the bytes and their row


@pytest.mark.parametrize("paused", [False, True])
async def test_killed_while_the_row_of_a_file_is_written(
    start_here: Callable[[], Awaitable[Node]],
    session: aiohttp.ClientSession,
    db: asyncpg.Connection,
    database: Database,
    blobs: Path,
    paused: bool,
) -> None:
    """The blob is there; its row is about to be, and its client does not hear of it."""
    node = await start_here()
    async with db.transaction():
        await db.execute("LOCK TABLE files IN SHARE MODE")
        coming = asyncio.create_task(send(session, node, "/files", "file", "a.bin", WHOLE, purpose="vision"))
        await eventually(lambda: _waiting(db), "the statement that writes the row")
        node.pause() if paused else node.kill()
    if paused:
        # What had been sent is carried out; the commit is never sent.
        node.kill()
    await lost(coming)
    node = await start_here()
    await eventually(lambda: _no_others(db), "the end of the dead process's transaction")
    await check_whole(db, database, blobs)
    assert kept(blobs) == set()
    file = await send(session, node, "/files", "file", "a.bin", WHOLE, purpose="vision")
    assert await download(session, node, file["id"]) == WHOLE
    await check_whole(db, database, blobs)


async def test_killed_while_an_upload_is_completed(
    start_here: Callable[[], Awaitable[Node]],
    session: aiohttp.ClientSession,
    db: asyncpg.Connection,
    database: Database,
    blobs: Path,
) -> None:
    node = await start_here()
    upload_id = await begin(node)
    parts = [await add(session, node, upload_id, part) for part in PARTS]
    unused = await add(session, node, upload_id, b"not needed")
    body = {"part_ids": parts, "md5": hashlib.md5(WHOLE, usedforsecurity=False).hexdigest()}
    async with db.transaction():
        await db.execute("LOCK TABLE files IN SHARE MODE")
        coming = asyncio.create_task(node.api.post(f"/uploads/{upload_id}/complete", body))
        await eventually(lambda: _waiting(db), "the statement that writes the file")
        node.kill()
    await lost(coming)
    node = await start_here()
    await eventually(lambda: _no_others(db), "the end of the dead process's transaction")
    # It is as it was: no part is lost, and it can be completed.
    await check_whole(db, database, blobs)
    assert len(kept(blobs)) == 4
    assert (await node.api.get("/files"))["data"] == []
    done = await node.api.post(f"/uploads/{upload_id}/complete", body)
    assert (done["status"], done["file"]["bytes"]) == ("completed", len(WHOLE))
    assert await download(session, node, done["file"]["id"]) == WHOLE
    await check_whole(db, database, blobs)
    assert len(kept(blobs)) == 3, unused


@pytest.mark.parametrize("round_trip", range(6))
async def test_killed_at_any_time(
    start_here: Callable[[], Awaitable[Node]],
    session: aiohttp.ClientSession,
    db: asyncpg.Connection,
    database: Database,
    blobs: Path,
    round_trip: int,
) -> None:
    """Several clients upload as fast as they can, and the server dies when so many requests were answered."""
    node = await start_here()
    answered: list[str] = []

    async def client(number: int) -> None:
        while True:
            file = await send(session, node, "/files", "file", f"{number}.bin", PARTS[number], purpose="vision")
            answered.append(file["id"])
            upload_id = await begin(node)
            parts = [await add(session, node, upload_id, part) for part in PARTS]
            done = await node.api.post(f"/uploads/{upload_id}/complete", {"part_ids": parts})
            answered.append(done["file"]["id"])

    clients = [asyncio.create_task(client(number)) for number in range(3)]
    await eventually(lambda: len(answered) > 2 * round_trip, "answers")
    node.kill()
    for task in clients:
        with suppress(aiohttp.ClientError, ConnectionError):
            await task
    node = await start_here()
    await eventually(lambda: _no_others(db), "the end of the dead process's transactions")
    await check_whole(db, database, blobs)
    # What a client was told is there.
    for id in answered:
        file = await node.api.get(f"/files/{id}")
        assert len(await download(session, node, id)) == file["bytes"]
    pending = await db.fetch("SELECT id FROM uploads WHERE status = 'pending'")
    for row in pending:
        await node.api.post(f"/uploads/{row['id']}/cancel")
    await check_whole(db, database, blobs)


async def _waiting(db: asyncpg.Connection) -> Any:
    await db.execute("SELECT pg_stat_clear_snapshot()")  # else it is the same all through a transaction
    return await db.fetch(
        "SELECT pid FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
    )


async def _no_others(db: asyncpg.Connection) -> bool:
    """Whether nobody but this connection is in a transaction."""
    others = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
    return await db.fetchval(others + " AND xact_start IS NOT NULL") == 0
