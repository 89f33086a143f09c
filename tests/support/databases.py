"""Databases for fixtures that outlive a test: one on the run's server for a module's server process."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Iterator
from contextlib import contextmanager

import asyncpg

MIGRATED = "assistd_template"  # made by the fixture `postgres`
EMPTY = "template0"


@contextmanager
def new_database(postgres: str, template: str = MIGRATED) -> Iterator[str]:
    """Yield the DSN of a new database on the server whose DSN is given; it goes away at the end."""
    name = f"test_{uuid.uuid4().hex[:16]}"
    asyncio.run(_run(postgres, f"CREATE DATABASE {name} TEMPLATE {template}"))
    try:
        yield postgres.replace("/postgres?", f"/{name}?", 1)
    finally:
        asyncio.run(_run(postgres, f"DROP DATABASE {name} WITH (FORCE)"))


def query(dsn: str, statement: str, *values: object) -> list[asyncpg.Record]:
    """Run one statement in a database and return its rows."""

    async def run() -> list[asyncpg.Record]:
        conn = await asyncpg.connect(dsn)
        try:
            return await conn.fetch(statement, *values)
        finally:
            await conn.close()

    return asyncio.run(run())


async def _run(dsn: str, statement: str) -> None:
    conn = await asyncpg.connect(dsn)
    try:
        await conn.execute(statement)
    finally:
        await conn.close()
