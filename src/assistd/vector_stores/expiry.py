"""What expired stores still hold goes away. The stores stay, empty, for those who ask what became of them."""

from __future__ import annotations

import asyncio
import random
import time

import structlog

from assistd.db import sql
from assistd.db.pool import Database
from assistd.vector_stores.chunks import drop_orphans
from assistd.vector_stores.routes import ForgetStore

log = structlog.get_logger("assistd.vector_stores")

SQL = sql.load(__package__)

_EVERY_SECONDS = 600
# The first look is at all that ever expired; later ones go back this far, in case some before them failed.
_LOOK_BACK_SECONDS = 86_400
_STEP = 20  # files, each with up to thousands of chunks


async def keep_expiring(db: Database, forget_store: ForgetStore) -> None:
    """Empty the stores that have expired, and remove the indexes of those that are gone, until cancelled."""
    since = 0
    while True:
        # Many processes start together; they need not look together.
        await asyncio.sleep(_EVERY_SECONDS * random.uniform(0.5, 1.5))
        now = int(time.time())
        try:
            await expire(db, forget_store, since)
            await drop_orphans(db)
            since = now - _LOOK_BACK_SECONDS
        except Exception as fault:
            log.warning("expired vector stores not emptied", error=str(fault))


async def expire(db: Database, forget_store: ForgetStore, since: int = 0) -> None:
    """Empty the stores that expired after `since` (Unix seconds), in steps that hold nobody up for long."""
    async with db.acquire() as conn:
        keys = [row["key"] for row in await conn.fetch(SQL["expired_with_files"], since)]
    for key in keys:
        async with db.acquire() as conn:
            while await conn.execute(SQL["empty_expired"], key, _STEP) != "DELETE 0":
                pass
        await forget_store(key)
