"""A real PostgreSQL for every test that wants one, and what the code interpreter runs code in.

One embedded server per test run, shared by all pytest-xdist workers, in a folder that goes away
with the run. A test gets a database of its own, copied from a migrated template.
"""

from __future__ import annotations

import asyncio
import shutil
import sys
import tempfile
import uuid
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from assistd.db import migrate
from assistd.db.embedded import EmbeddedServer
from assistd.db.pool import Database, open_pool
from assistd.fetching.progress import console_progress
from assistd.sandbox.interpreter import Interpreter, ensure
from tests.support import interpreters

# No test cuts the power, and a database per test is mostly fsync.
FAST = {"fsync": "off", "full_page_writes": "off", "autovacuum_naptime": "60s"}
TEMPLATE = "assistd_template"

_FOLDER = pytest.StashKey[Path]()


def pytest_configure(config: pytest.Config) -> None:
    given = getattr(config, "workerinput", None)
    folder = Path(given["assistd_folder"]) if given else Path(tempfile.mkdtemp(prefix="assistd-tests-"))
    config.stash[_FOLDER] = folder


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """pytest-xdist: tell a worker where the run's server is."""
    node.workerinput["assistd_folder"] = str(node.config.stash[_FOLDER])


def pytest_unconfigure(config: pytest.Config) -> None:
    if not hasattr(config, "workerinput"):
        shutil.rmtree(config.stash[_FOLDER], ignore_errors=True)


@pytest.fixture(scope="session")
def postgres(pytestconfig: pytest.Config) -> Iterator[str]:
    """DSN of the run's server: of its own database `postgres`, which no test should fill."""
    with EmbeddedServer(pytestconfig.stash[_FOLDER], FAST) as dsn:
        asyncio.run(_make_template(dsn))
        yield dsn


@pytest.fixture
async def database_url(postgres: str) -> AsyncIterator[str]:
    """DSN of a new, migrated database."""
    async with _new_database(postgres, TEMPLATE) as dsn:
        yield dsn


@pytest.fixture
async def empty_database_url(postgres: str) -> AsyncIterator[str]:
    """DSN of a new database without anything in it."""
    async with _new_database(postgres, "template0") as dsn:
        yield dsn


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    """A pool on a new, migrated database."""
    database = Database(await open_pool(database_url, size=4))
    yield database
    await database.close()


@pytest.fixture(scope="session")
def interpreter() -> Interpreter:
    """What the code interpreter runs code in; built where `make test` has not. Test servers have the same."""
    if sys.platform != "linux":
        pytest.skip("the code interpreter needs Linux")
    return asyncio.run(ensure(interpreters.FOLDER, console_progress()))


class _new_database:
    def __init__(self, server: str, template: str) -> None:
        self._server, self._template = server, template
        self._name = f"test_{uuid.uuid4().hex[:16]}"

    async def __aenter__(self) -> str:
        await self._run(f"CREATE DATABASE {self._name} TEMPLATE {self._template}")
        return _in_database(self._server, self._name)

    async def __aexit__(self, *_: object) -> None:
        await self._run(f"DROP DATABASE {self._name} WITH (FORCE)")

    async def _run(self, statement: str) -> None:
        conn = await asyncpg.connect(self._server)
        try:
            await conn.execute(statement)
        finally:
            await conn.close()


async def _make_template(server: str) -> None:
    conn = await asyncpg.connect(server)
    try:
        await conn.execute("SELECT pg_advisory_lock(1)")  # until this connection ends
        if await conn.fetchval("SELECT EXISTS (SELECT FROM pg_database WHERE datname = $1)", TEMPLATE):
            return
        await conn.execute("CREATE DATABASE assistd_unfinished TEMPLATE template0")
        inside = await asyncpg.connect(_in_database(server, "assistd_unfinished"))
        try:
            await migrate.migrate(inside)
        finally:
            await inside.close()
        await conn.execute(f"ALTER DATABASE assistd_unfinished RENAME TO {TEMPLATE}")
    finally:
        await conn.close()


def _in_database(dsn: str, name: str) -> str:
    return dsn.replace("/postgres?", f"/{name}?", 1)
