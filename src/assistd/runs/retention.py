"""How long events and prompts are kept: long enough to replay a stream and to ask why, not for ever."""

from __future__ import annotations

import asyncio
import random

import structlog

from assistd.db import sql
from assistd.db.pool import Database
from assistd.runs import prompts

log = structlog.get_logger("assistd.runs")

SQL = sql.load(__package__)

_EVERY_SECONDS = 600


async def keep_pruning(db: Database, seconds: int) -> None:
    """Remove the events and prompts written longer ago than this, every few minutes, until cancelled."""
    while True:
        # Many processes start together; they need not prune together.
        await asyncio.sleep(_EVERY_SECONDS * random.uniform(0.5, 1.5))
        try:
            await prune(db, seconds)
        except Exception as fault:
            log.warning("events not pruned", error=str(fault))


async def prune(db: Database, seconds: int) -> None:
    """Remove the events and prompts written longer ago than this."""
    async with db.acquire() as conn:
        pruned = None
        while pruned != "DELETE 0":
            pruned = await conn.execute(SQL["prune_events"], seconds)
        await prompts.prune(conn, seconds)
