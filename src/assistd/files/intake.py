"""How bytes come in: a blob without an owner first, then the row that owns it.

A blob's key is noted in `loose_blobs` before its first byte is written, and taken
out by the transaction that writes the row which owns it. Wherever a process dies
in between, the key is still noted, and the sweeper deletes the blob when it is due.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import structlog

from assistd import errors
from assistd.db import sql
from assistd.db.pool import Database
from assistd.errors import APIError
from assistd.files.blobs import Blobs, BlobsUnavailable, new_key, probe

log = structlog.get_logger("assistd.files")

SQL = sql.load(Path(__file__).with_name("blobs.sql"))

# When an honest write must have ended.
_DUE_SECONDS = 86_400
_PROBE_DUE_SECONDS = 600
_DROP_SECONDS = 2.0


@dataclass(frozen=True)
class LooseBlob:
    """A blob that was written and that no row owns yet; `size` in bytes."""

    key: str
    due: datetime
    size: int


@asynccontextmanager
async def take_in(db: Database, blobs: Blobs, chunks: AsyncIterator[bytes]) -> AsyncIterator[LooseBlob]:
    """Write a blob, and hand it over inside the block, which is to `adopt` it in a transaction.

    Where its source fails or the block refuses (APIError), the blob is dropped. Any other fault may come from a commit
    whose answer was lost: then the note decides, in the sweep.
    """
    key = new_key()
    async with db.acquire() as conn:
        due = await conn.fetchval(SQL["announce"], key, _DUE_SECONDS)
    try:
        size = await blobs.write(key, chunks)
    except BlobsUnavailable:
        raise  # it could not delete it either; the note stays for the sweep
    except Exception:
        await _drop(db, blobs, key)
        raise
    try:
        yield LooseBlob(key, due, size)
    except APIError:
        await _drop(db, blobs, key)
        raise


async def adopt(conn: Any, blob: LooseBlob) -> None:
    """Take a blob out of the loose ones, in the transaction that writes its owner."""
    if await conn.fetchval(SQL["adopt"], blob.key, blob.due) is None:
        raise errors.upload_too_slow()


async def take_due(conn: Any, limit: int, lease_seconds: int) -> list[str]:
    """Take the keys of blobs that nobody owns and that are due, so that no other sweeper does."""
    return [row["key"] for row in await conn.fetch(SQL["take_due"], limit, lease_seconds)]


async def forget(conn: Any, keys: list[str]) -> None:
    """Take blobs that were deleted off the list."""
    await conn.execute(SQL["forget"], keys)


async def try_store(db: Database, blobs: Blobs, key: str) -> None:
    """Write a blob, read it and delete it, noted as loose meanwhile: nothing is left if this process is killed.

    The key is the caller's own, to be used again: where the store fails, the note of it stays, and no further one is
    added. Raises BlobsUnavailable.
    """
    async with db.acquire() as conn:
        await note_probe(conn, key)
    await probe(blobs, key)
    async with db.acquire() as conn:
        await forget(conn, [key])


async def note_probe(conn: Any, key: str) -> None:
    """Note the blob of a trial as loose, before it is written."""
    await conn.execute(SQL["note_probe"], key, _PROBE_DUE_SECONDS)


def probe_key() -> str:
    """Make a key to try a store with."""
    return f"probes/{secrets.token_hex(16)}"


async def bounded(chunks: AsyncIterator[bytes], limit: int, refusal: APIError) -> AsyncIterator[bytes]:
    """Pass chunks on, and raise once they are more than `limit` bytes."""
    size = 0
    async for chunk in chunks:
        size += len(chunk)
        if size > limit:
            raise refusal
        yield chunk


async def _drop(db: Database, blobs: Blobs, key: str) -> None:
    """Delete a blob that nobody will own. What does not work now, the sweeper does."""
    try:
        async with asyncio.timeout(_DROP_SECONDS):  # the client waits for its answer meanwhile
            await blobs.delete([key])
            async with db.acquire() as conn:
                await forget(conn, [key])
    except (Exception, asyncio.CancelledError) as fault:
        log.warning("blob left to the sweeper", key=key, error=str(fault) or type(fault).__name__)
        if isinstance(fault, asyncio.CancelledError):
            raise
