"""Connections to PostgreSQL: the pool, and how JSON crosses it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from types import TracebackType
from typing import TypeAlias

import asyncpg
import asyncpg.pool
import msgspec

from .capacity import Capacity
from .faults import DatabaseUnavailable, reason_of

log = logging.getLogger(__name__)

# A store takes either; asyncpg's own classes are generic for type checkers only.
Connection: TypeAlias = "asyncpg.Connection[asyncpg.Record] | asyncpg.pool.PoolConnectionProxy[asyncpg.Record]"
PooledConnection: TypeAlias = "asyncpg.pool.PoolConnectionProxy[asyncpg.Record]"
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
_CONNECT_SECONDS = 15.0
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
        timeout=_CONNECT_SECONDS,
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
    """The gate to the pool: connections and transactions as context managers.

    What is raised inside of them for a reason of the database's comes out as DatabaseUnavailable. So nothing but
    the database is talked to inside.
    """

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._capacity = Capacity(pool.get_max_size())

    def acquire(self) -> AbstractAsyncContextManager[Connection]:
        """A connection without a transaction: each statement commits by itself."""
        return _Acquired(self)

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Connection]:
        """A connection in a transaction, committed at the end of the block, rolled back by an exception."""
        async with self.acquire() as conn, conn.transaction():
            yield conn

    async def take(self) -> PooledConnection:
        """Take a connection, for `give_back`.

        Where PostgreSQL lets no further one in, or not for now, one of those that are in is waited for.
        """
        while True:
            await self._capacity.enter()
            try:
                return await self._pool.acquire()
            except BaseException as fault:
                self._capacity.leave()
                connections = self._pool.get_size()
                if reason_of(fault) is None or not connections or self._pool.is_closing():
                    raise
                log.debug("no further connection to PostgreSQL beside %d: %s", connections, fault)
                self._capacity.limit_to(connections)

    async def give_back(self, conn: PooledConnection) -> None:
        """Return a connection to the pool."""
        try:
            await self._pool.release(conn)
        finally:
            self._capacity.leave()

    async def close(self) -> None:
        """Close every connection; those still in use after some seconds are cut off."""
        try:
            await asyncio.wait_for(self._pool.close(), _CLOSE_SECONDS)
        except TimeoutError:
            self._pool.terminate()


class _Acquired:
    """A connection taken for a block."""

    __slots__ = ("_conn", "_db")

    def __init__(self, db: Database) -> None:
        self._db = db

    async def __aenter__(self) -> Connection:
        try:
            self._conn = await self._db.take()
        except Exception as fault:
            raise _translated(fault) from fault
        return self._conn

    async def __aexit__(
        self, kind: type[BaseException] | None, fault: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            await self._db.give_back(self._conn)
        except Exception as lost:
            if fault is None:
                raise _translated(lost) from lost
        if isinstance(fault, Exception) and (translated := _translated(fault)) is not fault:
            raise translated from fault


def _translated(fault: Exception) -> Exception:
    reason = None if isinstance(fault, DatabaseUnavailable) else reason_of(fault)
    return fault if reason is None else DatabaseUnavailable(reason, str(fault) or type(fault).__name__)


async def _keep_session(conn: Connection) -> None:
    """asyncpg has ended an open transaction before it calls this; the rest of the session stays."""


def _encode_json(value: msgspec.Raw | bytes | str) -> bytes:
    return value.encode() if isinstance(value, str) else bytes(value)


def _encode_jsonb(value: msgspec.Raw | bytes | str) -> bytes:
    return _JSONB_VERSION + (value.encode() if isinstance(value, str) else bytes(value))


def _decode_jsonb(value: bytes) -> msgspec.Raw:
    return msgspec.Raw(value[1:])
