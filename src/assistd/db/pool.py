"""Connections to PostgreSQL: the pool, how JSON crosses it, and when an error means that the database is away."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import TypeAlias

import asyncpg
import asyncpg.pool
import msgspec

# A store takes either; asyncpg's own classes are generic for type checkers only.
Connection: TypeAlias = "asyncpg.Connection[asyncpg.Record] | asyncpg.pool.PoolConnectionProxy[asyncpg.Record]"
Pool: TypeAlias = "asyncpg.Pool[asyncpg.Record]"
Record: TypeAlias = asyncpg.Record

# Nothing of ours holds a lock while it waits for the outside. So what takes this long is stuck, and a process
# that was stopped in the middle of a transaction gives its locks back to those who go on.
SESSION_SETTINGS = {
    "application_name": "assistd",
    "timezone": "UTC",
    "jit": "off",
    "plan_cache_mode": "force_generic_plan",  # planning our larger statements costs more than running them
    "statement_timeout": "30s",
    "lock_timeout": "10s",
    "idle_in_transaction_session_timeout": "10s",
}
_ANSWER_SECONDS = 60.0  # longer than statement_timeout: only a dead network takes it
_CLOSE_SECONDS = 10.0
_JSONB_VERSION = b"\x01"


async def open_pool(dsn: str, size: int) -> Pool:
    """A pool of at most `size` connections on which json and jsonb are `msgspec.Raw`.

    Raises what `is_away` knows when the database cannot be reached. A connection goes back to the
    pool as it is: settings and locks of a session must be `LOCAL` or `xact` ones. Only an open
    transaction is rolled back. The reset that asyncpg does by default costs a round trip every time.
    """
    return await asyncpg.create_pool(
        dsn,
        min_size=min(2, size),
        max_size=size,
        max_queries=1_000_000,
        command_timeout=_ANSWER_SECONDS,
        statement_cache_size=500,
        max_cached_statement_lifetime=3600,
        server_settings=SESSION_SETTINGS,
        init=set_codecs,
        reset=_keep_session,
    )


async def set_codecs(conn: Connection) -> None:
    """Let json and jsonb come as `msgspec.Raw` (the JSON text) and go as Raw, bytes or str; None stays NULL."""
    await conn.set_type_codec("json", schema="pg_catalog", encoder=_encode_json, decoder=msgspec.Raw, format="binary")
    await conn.set_type_codec(
        "jsonb", schema="pg_catalog", encoder=_encode_jsonb, decoder=_decode_jsonb, format="binary"
    )


class Database:
    """The door to the pool: connections and transactions as context managers."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    def acquire(self) -> AbstractAsyncContextManager[Connection]:
        """A connection without a transaction: each statement commits by itself."""
        return self._pool.acquire()

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Connection]:
        """A connection in a transaction, committed at the end of the block, rolled back by an exception."""
        async with self._pool.acquire() as conn, conn.transaction():
            yield conn

    async def close(self) -> None:
        """Close every connection; those still in use after some seconds are cut off."""
        try:
            await asyncio.wait_for(self._pool.close(), _CLOSE_SECONDS)
        except TimeoutError:
            self._pool.terminate()


def is_away(fault: BaseException) -> bool:
    """Whether an exception out of a database call means that the database cannot be talked to just now.

    True for refused, lost and timed out connections, a server that starts, stops or is full, and a
    pool that is closed. The work was not done, or nobody knows: it may be tried again if it can be.
    """
    if isinstance(fault, _AWAY):
        return True
    # asyncpg uses the bare class for wrong calls too, so its words have to decide.
    return type(fault) is asyncpg.InterfaceError and any(words in str(fault) for words in _CLOSED)


def is_contended(fault: BaseException) -> bool:
    """Whether a statement was given up because others held what it needed. Nothing was done; it may be tried again."""
    return isinstance(fault, asyncpg.LockNotAvailableError | asyncpg.DeadlockDetectedError)


_AWAY = (
    OSError,  # TimeoutError included
    asyncpg.PostgresConnectionError,
    asyncpg.AdminShutdownError,
    asyncpg.CrashShutdownError,
    asyncpg.CannotConnectNowError,
    asyncpg.TooManyConnectionsError,
    asyncpg.IdleInTransactionSessionTimeoutError,
    asyncpg.IdleSessionTimeoutError,
)
_CLOSED = (
    "connection is closed",
    "pool is clos",  # closing, closed
    "released back to the pool",  # what a lost connection turns into while it is held
)


async def _keep_session(conn: Connection) -> None:
    """asyncpg has ended an open transaction before it calls this; the rest of the session stays."""


def _encode_json(value: msgspec.Raw | bytes | str) -> bytes:
    return value.encode() if isinstance(value, str) else bytes(value)


def _encode_jsonb(value: msgspec.Raw | bytes | str) -> bytes:
    return _JSONB_VERSION + (value.encode() if isinstance(value, str) else bytes(value))


def _decode_jsonb(value: bytes) -> msgspec.Raw:
    return msgspec.Raw(value[1:])
