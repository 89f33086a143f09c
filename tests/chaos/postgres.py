"""A PostgreSQL of the chaos's own, and what an operator, a migration or a full house do to it."""

from __future__ import annotations

import asyncio
import os
import signal
from contextlib import suppress
from pathlib import Path
from typing import Any

import asyncpg
import psutil

from assistd.db import cluster, migrate
from assistd.db.cluster import Cluster

_NAME = "chaos"
_USER = "assistd"
_SETTINGS = {"fsync": "off", "full_page_writes": "off", "max_connections": "70", "superuser_reserved_connections": "5"}

FAST = signal.SIGINT  # what `pg_ctl stop` sends with `-m fast` and `-m immediate`
IMMEDIATE = signal.SIGQUIT
CRASH = signal.SIGKILL


class Postgres:
    """The server and its one database. Nodes come by proxies, as a user without special rights."""

    def __init__(self, folder: Path) -> None:
        self._cluster = Cluster(folder / "postgres", _SETTINGS)
        self._server: Any = None

    @property
    def socket(self) -> Path:
        return Path(self._server.socket)

    @property
    def dsn(self) -> str:
        """The database by its Unix socket, for the superuser."""
        return cluster.dsn(self._server, _NAME)

    def url(self, port: int) -> str:
        """The database by a proxy, for a node."""
        return f"postgresql://{_USER}@127.0.0.1:{port}/{_NAME}"

    async def create(self) -> None:
        """Start the server with an empty, migrated database."""
        await self.start()
        await _execute(cluster.dsn(self._server), f"CREATE ROLE {_USER} LOGIN")
        await _execute(cluster.dsn(self._server), f"CREATE DATABASE {_NAME} OWNER {_USER}")
        await _execute(self.dsn, "CREATE EXTENSION vector")
        conn = await asyncpg.connect(self.dsn, user=_USER)
        try:
            await migrate.migrate(conn)
        finally:
            await conn.close()

    async def start(self) -> None:
        self._server = await asyncio.to_thread(self._cluster.start)

    async def stop(self) -> None:
        await asyncio.to_thread(self._cluster.stop)

    async def connect(self) -> asyncpg.Connection:
        """A connection that may write whatever the server's settings say. Raises what asyncpg does."""
        return await asyncpg.connect(
            self.dsn, timeout=10, server_settings={"default_transaction_read_only": "off", "application_name": "chaos"}
        )

    async def restart(self, how: signal.Signals, seconds: float) -> None:
        """Let the server end in one of three ways, and start it again after so many seconds."""
        os.kill(self._server.pid, how)
        while self._cluster.running() is not None:
            await asyncio.sleep(0.05)
        await asyncio.sleep(seconds)
        await self.start()

    async def pause(self, seconds: float) -> None:
        """Stop every process of the server, as a suspended machine does."""
        postmaster = psutil.Process(self._server.pid)
        stopped = [postmaster, *postmaster.children()]
        try:
            for process in stopped:
                with suppress(psutil.NoSuchProcess):
                    process.suspend()
            await asyncio.sleep(seconds)
        finally:
            for process in stopped:
                with suppress(psutil.NoSuchProcess):
                    process.resume()

    async def lock(self, table: str, seconds: float) -> None:
        """Hold a table as a `CREATE INDEX` on it does: it can be read, and not written."""
        conn = await self.connect()
        try:
            async with conn.transaction():
                await conn.execute("SET LOCAL lock_timeout = '10s'")
                await conn.execute(f"LOCK TABLE {table} IN SHARE MODE")
                await asyncio.sleep(seconds)
        finally:
            await conn.close(timeout=5)

    async def signal(self, function: str) -> None:
        """Call `pg_cancel_backend` or `pg_terminate_backend` for all connections of nodes."""
        await _execute(self.dsn, f"SELECT {function}(pid) FROM pg_stat_activity WHERE usename = '{_USER}'")

    async def read_only(self, seconds: float) -> None:
        """Let the server refuse to write, as one does whose place another has taken."""
        conn = await self.connect()
        try:
            await conn.execute("ALTER SYSTEM SET default_transaction_read_only = on")
            await conn.execute("SELECT pg_reload_conf()")
            await asyncio.sleep(seconds)
        finally:
            await conn.execute("ALTER SYSTEM RESET default_transaction_read_only")
            await conn.execute("SELECT pg_reload_conf()")
            await conn.close(timeout=5)

    async def mend(self) -> None:
        """Let the server run, and write."""
        await self.start()
        conn = await self.connect()
        await conn.execute("ALTER SYSTEM RESET default_transaction_read_only")
        await conn.execute("SELECT pg_reload_conf()")
        await conn.close()

    async def fill(self, seconds: float) -> None:
        """Take every connection that is left."""
        taken: list[asyncpg.Connection] = []
        try:
            with suppress(asyncpg.TooManyConnectionsError):
                while True:
                    taken.append(await asyncpg.connect(self.dsn, user=_USER, timeout=10))
            await asyncio.sleep(seconds)
        finally:
            await asyncio.gather(*(conn.close(timeout=5) for conn in taken), return_exceptions=True)


async def _execute(dsn: str, statement: str) -> None:
    conn = await asyncpg.connect(dsn, timeout=10)
    try:
        await conn.execute(statement)
    finally:
        await conn.close()
