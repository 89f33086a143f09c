"""What nobody will ask for again goes away: expired files, uploads past their time, blobs without an owner."""

from __future__ import annotations

import asyncio
import random
from contextlib import suppress

import structlog

from assistd.db.pool import Database
from assistd.errors import APIError
from assistd.files import intake, store, upload_store
from assistd.files.blobs import Blobs

log = structlog.get_logger("assistd.files")

_EVERY_SECONDS = 60.0
_AT_ONCE = 100
# For how long a sweeper that takes blobs keeps the others off them.
_LEASE_SECONDS = 600


async def keep_sweeping(db: Database, blobs: Blobs, every_seconds: float = _EVERY_SECONDS) -> None:
    """Sweep every so often, until cancelled. Any number of processes may: they share what there is to do."""
    while True:
        # Many processes start together; they need not sweep together.
        await asyncio.sleep(every_seconds * random.uniform(0.5, 1.5))
        try:
            await sweep(db, blobs)
        except Exception as fault:
            log.warning("files not swept", error=str(fault) or type(fault).__name__)


async def sweep(db: Database, blobs: Blobs) -> None:
    """Do all there is to do now."""
    await _delete_expired(db)
    await _expire_uploads(db)
    await _delete_loose(db, blobs)


async def _delete_expired(db: Database) -> None:
    while True:
        async with db.acquire() as conn:
            late = await store.expired(conn, _AT_ONCE)
        for id, project_id in late:
            # One transaction each: a file may be in many lists and large stores.
            with suppress(APIError):  # somebody else was faster
                async with db.transaction() as conn:
                    await store.delete(conn, project_id, id)
        if len(late) < _AT_ONCE:
            return


async def _expire_uploads(db: Database) -> None:
    while True:
        async with db.transaction() as conn:
            if await upload_store.expire(conn, _AT_ONCE) < _AT_ONCE:
                return


async def _delete_loose(db: Database, blobs: Blobs) -> None:
    while True:
        async with db.acquire() as conn:
            keys = await intake.take_due(conn, _AT_ONCE, _LEASE_SECONDS)
        if not keys:
            return
        # The blob first, then its note: who dies in between leaves the note, and the blob is deleted once more.
        await blobs.delete(keys)
        async with db.acquire() as conn:
            await intake.forget(conn, keys)
        log.info("blobs swept", count=len(keys))
