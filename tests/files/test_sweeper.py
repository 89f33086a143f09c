"""What goes away by itself, and what a crash at any point leaves: nothing."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from assistd.db.pool import Database
from assistd.errors import APIError
from assistd.files import intake, store, sweeper, upload_store
from assistd.files.blobs import Blobs, BlobsUnavailable, open_blobs
from assistd.files.wire import CreateUpload, File

PROJECT = "proj_default"


@pytest.fixture
def blobs(tmp_path: Path) -> Blobs:
    return open_blobs("", tmp_path)


def kept(tmp_path: Path) -> list[str]:
    """What is in the folder, half-written or whole."""
    return sorted(path.name for path in (tmp_path / "blobs").rglob("*") if path.is_file())


async def noted(db: Database) -> int:
    async with db.acquire() as conn:
        count: int = await conn.fetchval("SELECT count(*) FROM loose_blobs")
        return count


async def run(db: Database, statement: str, *values: Any) -> None:
    async with db.acquire() as conn:
        await conn.execute(statement, *values)


async def chunks(content: bytes = b"content") -> AsyncIterator[bytes]:
    yield content


async def save(db: Database, blobs: Blobs, expires: int | None = None) -> File:
    async with intake.take_in(db, blobs, chunks()) as blob, db.transaction() as conn:
        return await store.create(conn, PROJECT, "x.txt", "vision", blob, expires)


async def pending(db: Database, blobs: Blobs) -> str:
    """An upload with one part."""
    async with db.acquire() as conn:
        new = CreateUpload(filename="x", purpose="vision", bytes=7, mime_type="text/plain")
        upload = await upload_store.create(conn, PROJECT, "x", new)
    async with intake.take_in(db, blobs, chunks()) as blob, db.transaction() as conn:
        await upload_store.add_part(conn, PROJECT, upload.id, blob)
    return upload.id


async def test_what_is_owned_stays(database: Database, blobs: Blobs, tmp_path: Path) -> None:
    await save(database, blobs, 3600)
    await pending(database, blobs)
    await run(database, "UPDATE loose_blobs SET due = now()")
    await sweeper.sweep(database, blobs)
    assert len(kept(tmp_path)) == 2
    assert await noted(database) == 0


async def test_deleted_files_lose_their_blobs(database: Database, blobs: Blobs, tmp_path: Path) -> None:
    file = await save(database, blobs)
    async with database.transaction() as conn:
        await store.delete(conn, PROJECT, file.id)
    assert len(kept(tmp_path)) == 1
    await sweeper.sweep(database, blobs)
    assert (kept(tmp_path), await noted(database)) == ([], 0)


async def test_expired_files_go(database: Database, blobs: Blobs, tmp_path: Path) -> None:
    late, living = await save(database, blobs, 3600), await save(database, blobs, 3600)
    await run(database, "UPDATE files SET expires_at = unix_now() WHERE id = $1", late.id)
    await sweeper.sweep(database, blobs)
    async with database.acquire() as conn:
        assert [row["id"] for row in await conn.fetch("SELECT id FROM files")] == [living.id]
    assert len(kept(tmp_path)) == 1


async def test_uploads_past_their_time_go(database: Database, blobs: Blobs, tmp_path: Path) -> None:
    late, living = await pending(database, blobs), await pending(database, blobs)
    await run(database, "UPDATE uploads SET expires_at = unix_now() WHERE id = $1", late)
    await sweeper.sweep(database, blobs)
    async with database.acquire() as conn:
        states = {row["id"]: row["status"] for row in await conn.fetch("SELECT id, status FROM uploads")}
        parts = [row["upload_id"] for row in await conn.fetch("SELECT upload_id FROM upload_parts")]
    assert (states, parts) == ({late: "expired", living: "pending"}, [living])
    assert len(kept(tmp_path)) == 1


async def test_more_than_one_round(database: Database, blobs: Blobs, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sweeper, "_AT_ONCE", 2)
    for _ in range(5):
        await save(database, blobs, 3600)
        await pending(database, blobs)
    await run(database, "UPDATE files SET expires_at = unix_now()")
    await run(database, "UPDATE uploads SET expires_at = unix_now()")
    await sweeper.sweep(database, blobs)
    async with database.acquire() as conn:
        assert await conn.fetchval("SELECT count(*) FROM files") == 0
        assert await conn.fetchval("SELECT count(*) FROM uploads WHERE status = 'expired'") == 5
    assert await noted(database) == 0


# --- a blob on its way


async def test_a_writer_that_vanished(database: Database, blobs: Blobs, tmp_path: Path) -> None:
    """Killed between blob and row: the blob stays until it is due, and no longer."""
    with pytest.raises(KeyboardInterrupt):
        async with intake.take_in(database, blobs, chunks()):
            raise KeyboardInterrupt
    await sweeper.sweep(database, blobs)
    assert (len(kept(tmp_path)), await noted(database)) == (1, 1)
    await run(database, "UPDATE loose_blobs SET due = now()")
    await sweeper.sweep(database, blobs)
    assert (kept(tmp_path), await noted(database)) == ([], 0)


async def test_a_transaction_that_fails_with_an_unknown_end(database: Database, blobs: Blobs, tmp_path: Path) -> None:
    """Perhaps it was committed: only the note may say that the blob can go."""
    made: list[File] = []

    async def lose_the_answer() -> None:
        async with intake.take_in(database, blobs, chunks()) as blob:
            async with database.transaction() as conn:
                made.append(await store.create(conn, PROJECT, "x", "vision", blob))
            raise ConnectionError

    with pytest.raises(ConnectionError):
        await lose_the_answer()
    assert (len(kept(tmp_path)), await noted(database)) == (1, 0)
    async with database.acquire() as conn:
        assert await store.get(conn, PROJECT, made[0].id) == made[0]


async def test_a_refusal_drops_the_blob(database: Database, blobs: Blobs, tmp_path: Path) -> None:
    with pytest.raises(APIError):
        async with intake.take_in(database, blobs, chunks()):
            raise APIError("no")
    assert (kept(tmp_path), await noted(database)) == ([], 0)


async def test_a_writer_that_is_too_late(database: Database, blobs: Blobs, tmp_path: Path) -> None:
    """Once the sweep has taken a blob, no row may come to own it."""

    async def dawdle() -> None:
        async with intake.take_in(database, blobs, chunks()) as blob:
            await run(database, "UPDATE loose_blobs SET due = now()")
            async with database.acquire() as conn:
                assert await intake.take_due(conn, 10, 600) == [blob.key]
            async with database.transaction() as conn:
                await store.create(conn, PROJECT, "x", "vision", blob)

    with pytest.raises(APIError):
        await dawdle()
    async with database.acquire() as conn:
        assert await conn.fetchval("SELECT count(*) FROM files") == 0
    assert (kept(tmp_path), await noted(database)) == ([], 0)


async def test_sweepers_share(database: Database, blobs: Blobs) -> None:
    await run(
        database, "INSERT INTO loose_blobs SELECT 'ab/' || n, now() - interval '1 s' FROM generate_series(1, 300) AS n"
    )

    async def take() -> list[str]:
        async with database.acquire() as conn:
            return await intake.take_due(conn, 100, 600)

    taken = [key for keys in await asyncio.gather(*(take() for _ in range(4))) for key in keys]
    assert len(taken) == len(set(taken)) == 300


async def test_a_sweeper_that_vanished_is_followed_by_another(database: Database, blobs: Blobs) -> None:
    await run(database, "INSERT INTO loose_blobs VALUES ('ab/x', now())")
    async with database.acquire() as conn:
        assert await intake.take_due(conn, 10, 600) == ["ab/x"]
        assert await intake.take_due(conn, 10, 600) == []
        await conn.execute("UPDATE loose_blobs SET due = due - interval '600 s'")
        assert await intake.take_due(conn, 10, 600) == ["ab/x"]


class _Down(Blobs):
    def __init__(self) -> None:
        pass

    async def delete(self, keys: Any) -> None:
        raise BlobsUnavailable("down")


async def test_a_store_that_is_down_keeps_the_notes(database: Database, blobs: Blobs) -> None:
    file = await save(database, blobs)
    async with database.transaction() as conn:
        await store.delete(conn, PROJECT, file.id)
    with pytest.raises(BlobsUnavailable):
        await sweeper.sweep(database, _Down())
    assert await noted(database) == 1


async def test_it_goes_on_after_a_fault(database: Database, blobs: Blobs, tmp_path: Path) -> None:
    class Failing(_Down):
        calls = 0

        async def delete(self, keys: Any) -> None:
            self.calls += 1
            if self.calls == 1:
                raise BlobsUnavailable("down")
            await blobs.delete(keys)

    await run(database, "INSERT INTO loose_blobs VALUES ('ab/x', now()), ('ab/y', now())")
    failing = Failing()
    sweeping = asyncio.create_task(sweeper.keep_sweeping(database, failing, every_seconds=0.01))
    while not failing.calls:
        await asyncio.sleep(0.01)
    await run(database, "UPDATE loose_blobs SET due = now()")
    while await noted(database):
        await asyncio.sleep(0.01)
    sweeping.cancel()
    await asyncio.gather(sweeping, return_exceptions=True)
    assert failing.calls == 2
