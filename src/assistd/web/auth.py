"""Who may come in: the key of a request, and the project that it opens."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import NamedTuple, Protocol

from assistd import errors
from assistd.db.pool import Database
from assistd.web import keys
from assistd.web.visitor import stranger

# A key is looked up again after this long, should the announcement of its revocation be lost.
_TRUST_SECONDS = 10.0
_REMEMBERED = 10_000


class Keyring(Protocol):
    """Maps a key to its project, or refuses."""

    async def project_of(self, key: str | None, headers: Mapping[str, str]) -> str:
        """Return the project id. Raises APIError: 401 for a missing or wrong key, 403 for whom no key would help.

        `headers` are the request's, their names in lower case.
        """


class _Found(NamedTuple):
    """What a key opens; `open_door` says that it does so only because no key was ever created."""

    project_id: str
    open_door: bool
    until: float = 0.0  # on the monotonic clock


class StoredKeys:
    """The keys in the database, remembered for a few seconds.

    While no key was ever created, any key opens the default project: `serve`
    allows that on loopback only, and it is open to this machine's own programs
    and pages only. Creating the first key closes that door.
    """

    def __init__(self, db: Database) -> None:
        self._db = db
        self._known: dict[str, _Found] = {}

    async def project_of(self, key: str | None, headers: Mapping[str, str]) -> str:
        if key is None:
            raise errors.no_api_key()
        found = self._known.get(key)
        if found is None or time.monotonic() >= found.until:
            found = await self._remembered(key)
        if found.open_door and (name := stranger(headers)) is not None:
            raise errors.no_key_yet(name)
        return found.project_id

    async def _remembered(self, key: str) -> _Found:
        """Look a key up, and remember it."""
        known = self._known
        found = await self._look_up(key)
        if found is None:
            raise errors.wrong_api_key(key)
        # Where `forget` came in between, this goes into the dictionary that it threw away: an answer that was
        # read just before a revocation must not outlive it.
        if len(known) >= _REMEMBERED:
            known.clear()
        known[key] = found._replace(until=time.monotonic() + _TRUST_SECONDS)
        return found

    async def _look_up(self, key: str) -> _Found | None:
        async with self._db.acquire() as conn:
            if project_id := await keys.project_of(conn, key):
                return _Found(project_id, open_door=False)
            return None if await keys.any_created(conn) else _Found(keys.DEFAULT_PROJECT, open_door=True)

    def forget(self) -> None:
        """Look every key up again: one was created or revoked, or such news may have been missed."""
        self._known = {}
