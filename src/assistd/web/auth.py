"""Who may come in: the key of a request, and the project that it opens."""

from __future__ import annotations

import time
from typing import Protocol

from assistd import errors
from assistd.db.pool import Database
from assistd.web import keys

# A key is looked up again after this long, should the announcement of its revocation be lost.
_TRUST_SECONDS = 10.0
_REMEMBERED = 10_000


class Keyring(Protocol):
    """Maps a key to its project, or refuses."""

    async def project_of(self, key: str | None) -> str:
        """Return the project id. Raises APIError (401) for a missing or wrong key."""


class StoredKeys:
    """The keys in the database, remembered for a few seconds.

    While no key was ever created, any key opens the default project: `serve`
    allows that on loopback only. Creating the first key closes that door.
    """

    def __init__(self, db: Database) -> None:
        self._db = db
        self._known: dict[str, tuple[str, float]] = {}

    async def project_of(self, key: str | None) -> str:
        if key is None:
            raise errors.no_api_key()
        known = self._known
        project_id, until = known.get(key, ("", 0.0))
        if time.monotonic() < until:
            return project_id
        found = await self._look_up(key)
        if found is None:
            raise errors.wrong_api_key(key)
        # Where `forget` came in between, this goes into the dictionary that it threw away: an answer that was
        # read just before a revocation must not outlive it.
        if len(known) >= _REMEMBERED:
            known.clear()
        known[key] = (found, time.monotonic() + _TRUST_SECONDS)
        return found

    async def _look_up(self, key: str) -> str | None:
        async with self._db.acquire() as conn:
            if project_id := await keys.project_of(conn, key):
                return project_id
            return None if await keys.any_created(conn) else keys.DEFAULT_PROJECT

    def forget(self) -> None:
        """Look every key up again: one was created or revoked, or such news may have been missed."""
        self._known = {}
