"""The database that the settings name: started where it is the embedded one, waited for, checked."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TypeVar

from assistd.db import migrate
from assistd.db.address import address_of
from assistd.db.embedded import embedded_postgres
from assistd.db.pool import Connection, open_pool
from assistd.db.waiting import when_reachable
from assistd.settings import Settings

T = TypeVar("T")

# How long PostgreSQL may take to let one connection in, or out.
_CONNECT_SECONDS = 10.0


@asynccontextmanager
async def open_database(settings: Settings) -> AsyncIterator[str]:
    """Yield the DSN of a database whose schema fits. The embedded one is started and migrated on the way.

    Raises SchemaMismatch where a database of the user's own is older or newer than this program.
    """
    async with _dsn(settings) as dsn:
        async with connect_to(settings, dsn, migrated=True):
            pass
        yield dsn


@asynccontextmanager
async def connect(settings: Settings, *, migrated: bool = False) -> AsyncIterator[Connection]:
    """Yield one connection to the database, for a command; with `migrated`, only if its schema fits."""
    async with _dsn(settings) as dsn, connect_to(settings, dsn, migrated=migrated) as conn:
        yield conn


@asynccontextmanager
async def _dsn(settings: Settings) -> AsyncIterator[str]:
    async with AsyncExitStack() as stack:
        yield settings.database_url or await stack.enter_async_context(embedded_postgres(settings.data_dir))


@asynccontextmanager
async def connect_to(settings: Settings, dsn: str, *, migrated: bool = False) -> AsyncIterator[Connection]:
    """Wait for the database at a DSN and yield one connection to it; with `migrated`, only if its schema fits."""

    async def attempt() -> tuple[Connection, AsyncExitStack]:
        async with AsyncExitStack() as opened:
            conn = await opened.enter_async_context(_connection(dsn))
            if migrated:
                if not settings.database_url:
                    await migrate.migrate(conn)
                await migrate.check(conn)
            return conn, opened.pop_all()

    conn, opened = await patiently(settings, attempt)
    async with opened:
        yield conn


async def ask(settings: Settings, dsn: str, question: Callable[[Connection], Awaitable[T]]) -> T:
    """Ask a database one question, and again where the connection is lost meanwhile, as long as the settings say."""

    async def attempt() -> T:
        async with _connection(dsn) as conn:
            return await question(conn)

    return await patiently(settings, attempt)


async def patiently(settings: Settings, attempt: Callable[[], Awaitable[T]]) -> T:
    """Wait for the database as long as the settings say."""
    return await when_reachable(attempt, settings.database_wait_seconds, name_of(settings))


def name_of(settings: Settings) -> str:
    """How sentences name the database: never by its password."""
    if not settings.database_url:
        return f"the embedded one in {settings.data_dir}"
    return str(address_of(settings.database_url, os.environ))


@asynccontextmanager
async def _connection(dsn: str) -> AsyncIterator[Connection]:
    async with asyncio.timeout(_CONNECT_SECONDS):
        pool = await open_pool(dsn, 1)
    try:
        async with pool.acquire() as conn:
            yield conn
    finally:
        try:
            async with asyncio.timeout(_CONNECT_SECONDS):
                await pool.close()
        except TimeoutError:
            pool.terminate()
