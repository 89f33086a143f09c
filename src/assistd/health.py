"""`/healthz` and `/readyz`: whether the process lives, and whether it has what it needs.

Alive is not ready: the one is about the process, the other about its database, its store of files and its disks.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from pathlib import Path

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from assistd import disk
from assistd.db.pool import Database
from assistd.files.store_watch import StoreWatch

_ANSWER_SECONDS = 2.0
_TRUST_SECONDS = 1.0


def routes(db: Database, store: StoreWatch | None, disks: Disks) -> list[Route]:
    """The two paths. What is amiss stands in the answer of `/readyz` under `database`, `files` and `disk`."""

    async def alive(request: Request) -> Response:
        return JSONResponse({"status": "ok"})

    async def ready(request: Request) -> Response:
        database, full = await asyncio.gather(_database(db), disks.amiss())
        files = None if store is None else store.reason
        found = {"database": database, "files": files, "disk": full}
        if amiss := {name: reason for name, reason in found.items() if reason is not None}:
            return JSONResponse({"status": "unavailable", **amiss}, status_code=503)
        return JSONResponse({"status": "ok"})

    return [Route("/healthz", alive), Route("/readyz", ready)]


async def _database(db: Database) -> str | None:
    try:
        async with asyncio.timeout(_ANSWER_SECONDS), db.acquire() as conn:
            await conn.fetchval("SELECT 1")
    except Exception as fault:
        return str(fault) or type(fault).__name__
    return None


class Disks:
    """The folders that a node writes to. They are looked at once a second at most, however often that is asked.

    `written` are tried; of `others`, which another user's programs write to, only the room is looked at.
    """

    def __init__(self, written: list[Path], others: list[Path]) -> None:
        self._looks: list[tuple[Callable[[Path], str | None], Path]] = [
            *((disk.unwritable, folder) for folder in written),
            *((disk.full, folder) for folder in others),
        ]
        self._look: asyncio.Future[str | None] | None = None
        self._known_until = 0.0

    async def amiss(self) -> str | None:
        """Say what is wrong with a disk; None where nothing is. A disk that does not answer is one finding."""
        if self._look is None or (self._look.done() and time.monotonic() >= self._known_until):
            self._look = asyncio.ensure_future(asyncio.to_thread(self._examine))
            self._known_until = time.monotonic() + _TRUST_SECONDS
        try:
            async with asyncio.timeout(_ANSWER_SECONDS):
                return await asyncio.shield(self._look)
        except TimeoutError:
            return "a disk does not answer"

    def _examine(self) -> str | None:
        findings = (look(folder) for look, folder in self._looks)
        return next((finding for finding in findings if finding is not None), None)
