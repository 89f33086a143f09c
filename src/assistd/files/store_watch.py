"""Whether the object store of files works, found out by trying it, so that a node knows before a client does."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from contextlib import suppress

import structlog

from assistd.db.pool import Database
from assistd.files.blobs import Blobs, BlobsUnavailable
from assistd.files.intake import probe_key, try_store

log = structlog.get_logger("assistd.files")

_EVERY_SECONDS = 30.0
_AGAIN_SECONDS = 3.0


class StoreWatch:
    """Tries the store now and then, and at once where an operation has found it out of reach.

    `reason` says why it cannot be used, and is None while it can. `on_change` is called when one becomes the other.
    """

    def __init__(self, db: Database, blobs: Blobs, on_change: Callable[[bool], None]) -> None:
        self._db = db
        self._blobs = blobs
        self._on_change = on_change
        self._key = probe_key()
        self._trying = False
        self._suspected = asyncio.Event()
        self._is_known = False
        self.reason: str | None = "it has not been tried yet"
        blobs.on_fault = self._suspect

    async def first_look(self, seconds: float) -> None:
        """Try the store for so long; what is not known then, `run` finds out."""
        try:
            async with asyncio.timeout(seconds):
                await self.look()
        except TimeoutError:
            self._found("it does not answer")
        except Exception as fault:  # of the database
            log.debug("the store of files was not tried", error=str(fault) or type(fault).__name__)

    async def look(self) -> None:
        """Try the store now. Raises what the database raises."""
        self._trying = True
        try:
            await try_store(self._db, self._blobs, self._key)
        except BlobsUnavailable as fault:
            self._found(fault.reason)
        else:
            self._found(None)
        finally:
            self._trying = False
            self._suspected.clear()

    async def run(self) -> None:
        """Try it every so often, until cancelled."""
        while True:
            pause = _EVERY_SECONDS if self.reason is None else _AGAIN_SECONDS
            with suppress(TimeoutError):
                async with asyncio.timeout(pause * random.uniform(0.7, 1.3)):
                    await self._suspected.wait()
            try:
                await self.look()
            except Exception as fault:  # of the database, without which nothing is known of the store
                log.debug("the store of files was not tried", error=str(fault) or type(fault).__name__)
                await asyncio.sleep(_AGAIN_SECONDS)

    def _suspect(self, fault: BlobsUnavailable) -> None:
        if not self._trying:
            self._found(fault.reason)
            self._suspected.set()

    def _found(self, reason: str | None) -> None:
        changed = not self._is_known or (self.reason is None) != (reason is None)
        recovered = self._is_known and changed and reason is None
        self.reason, self._is_known = reason, True
        if not changed:
            return
        if recovered:
            log.warning("the store of files works again")
        elif reason is not None:
            log.error("the store of files cannot be used; `assistd doctor` looks again", error=reason)
        self._on_change(reason is None)
