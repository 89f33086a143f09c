"""Who may come in: the key of a request, and the project that it opens."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, suppress
from typing import Final, NamedTuple, Protocol, TypeVar

import structlog

from assistd import errors
from assistd.db.pool import Database
from assistd.web import keys
from assistd.web.guesses import Guesses
from assistd.web.visitor import stranger

log = structlog.get_logger("assistd.web")

T = TypeVar("T")

# A key is looked up again after this long, should the announcement of its revocation be lost.
_TRUST_SECONDS = 10.0
# Keys of a kind: right ones, wrong ones.
_REMEMBERED = 10_000
# Keys that nobody knows are looked up so many at a time, whoever asks: most connections are for those who have one.
_STRANGERS_AT_ONCE = 4


class Keyring(Protocol):
    """Maps a key to its project, or refuses."""

    async def project_of(self, key: str | None, headers: Mapping[str, str], address: str = "") -> str:
        """Return the project id.

        Raises APIError: 401 for a missing or wrong key, 403 for whom no key would help, 429 where too many wrong ones
        came from the address. `headers` are the request's, their names in lower case.
        """

    def watch(self, key: str) -> AbstractContextManager[asyncio.Future[None]]:
        """Give a future that is done within seconds after a key was revoked, while the block runs."""


class _Found(NamedTuple):
    """What a key opens; `open_door` says that it does so only because no key was ever created."""

    project_id: str
    open_door: bool
    until: float = 0.0  # on the monotonic clock


_NOTHING: Final = _Found("", open_door=False)


class StoredKeys:
    """The keys in the database, remembered for a few seconds: right ones, and wrong ones.

    While no key was ever created, any key opens the default project: `serve`
    allows that on loopback only, and it is open to this machine's own programs
    and pages only. Creating the first key closes that door.
    """

    def __init__(self, db: Database) -> None:
        self._db = db
        # By what is stored of a key: clients may send long ones.
        self._known: dict[bytes, _Found] = {}
        self._wrong: dict[bytes, float] = {}  # until when
        self._familiar: dict[bytes, None] = {}  # were right when they were last looked up
        self._guesses = Guesses()
        self._strangers = asyncio.Semaphore(_STRANGERS_AT_ONCE)
        self._watched: dict[bytes, set[asyncio.Future[None]]] = {}
        self._news = asyncio.Event()

    async def project_of(self, key: str | None, headers: Mapping[str, str], address: str = "") -> str:
        if key is None:
            raise errors.no_api_key()
        digest = keys.digest(key)
        found = self._known.get(digest)
        if found is None or time.monotonic() >= found.until:
            if time.monotonic() < self._wrong.get(digest, 0):
                raise errors.wrong_api_key(key)
            found = await self._remembered(digest, address)
        if found is None:
            raise errors.wrong_api_key(key)
        if found.open_door and (name := stranger(headers)) is not None:
            raise errors.no_key_yet(name)
        return found.project_id

    async def _remembered(self, digest: bytes, address: str) -> _Found | None:
        """Look a key up, and remember what was found."""
        known, wrong = self._known, self._wrong
        found = await (self._look_up(digest) if digest in self._familiar else self._look_up_strange(digest, address))
        # Where `forget` came in between, this goes into the dictionaries that it threw away: an answer that was read
        # just before a revocation, or a creation, must not outlive it.
        until = time.monotonic() + _TRUST_SECONDS
        if found is None:
            self._familiar.pop(digest, None)
            _keep(wrong, digest, until)
        else:
            _keep(self._familiar, digest, None)
            _keep(known, digest, found._replace(until=until))
        return found

    async def _look_up_strange(self, digest: bytes, address: str) -> _Found | None:
        """Look up a key that was never right before, if its address may try another one."""
        self._guesses.begin(address)
        found: _Found | None = _NOTHING
        try:
            async with self._strangers:
                found = await self._look_up(digest)
        finally:
            if found is not None:  # right, or nobody knows
                self._guesses.was_none(address)
        return found

    async def _look_up(self, digest: bytes) -> _Found | None:
        async with self._db.acquire() as conn:
            if project_id := await keys.project_of(conn, digest):
                return _Found(project_id, open_door=False)
            return None if await keys.any_created(conn) else _Found(keys.DEFAULT_PROJECT, open_door=True)

    def forget(self) -> None:
        """Look every key up again: one was created or revoked, or such news may have been missed."""
        self._known = {}
        self._wrong = {}
        self._news.set()

    # --- what goes on after a request was let in

    @contextmanager
    def watch(self, key: str) -> Iterator[asyncio.Future[None]]:
        digest, revoked = keys.digest(key), asyncio.get_running_loop().create_future()
        self._watched.setdefault(digest, set()).add(revoked)
        try:
            yield revoked
        finally:
            self._watched[digest].discard(revoked)
            if not self._watched[digest]:
                del self._watched[digest]

    async def run(self) -> None:
        """Look up the keys that are watched, again and again, until cancelled."""
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(_TRUST_SECONDS):
                    await self._news.wait()
            self._news.clear()
            try:
                await self._look_again()
            except Exception as fault:  # the next look is soon
                log.warning("keys in use could not be looked up", error=str(fault) or type(fault).__name__)

    async def _look_again(self) -> None:
        for digest in list(self._watched):
            if await self._look_up(digest) is None:
                for revoked in self._watched.get(digest, ()):
                    if not revoked.done():
                        revoked.set_result(None)


def _keep(memory: dict[bytes, T], digest: bytes, value: T) -> None:
    """Put something into a memory that has an end."""
    if len(memory) >= _REMEMBERED:
        memory.clear()
    memory[digest] = value
