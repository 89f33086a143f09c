"""Servers that a test may stop, kill and start."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import pytest

from assistd.db import cluster
from assistd.db.embedded import EmbeddedServer

Eventually = Callable[[Callable[[], "Awaitable[bool] | bool"]], Awaitable[None]]

_PATIENCE = 60.0  # seconds until something that never comes is a failure; nothing waits that long otherwise


@pytest.fixture(scope="session")
def _toy() -> Iterator[EmbeddedServer]:
    folder = Path(tempfile.mkdtemp(prefix="assistd-toy-"))
    server = EmbeddedServer(folder)
    with server:
        yield server
    shutil.rmtree(folder)


@pytest.fixture
def toy(_toy: EmbeddedServer) -> EmbeddedServer:
    """A running server that the test may stop and start; one for all tests of this process."""
    _toy.cluster.start()
    return _toy


@pytest.fixture
def toy_url(toy: EmbeddedServer) -> str:
    running = toy.cluster.running()
    assert running is not None
    return cluster.dsn(running)


@pytest.fixture
def data_dir() -> Iterator[Path]:
    """An empty data folder, not below pytest's own, which other users may not enter."""
    folder = Path(tempfile.mkdtemp(prefix="assistd-data-"))
    yield folder
    cluster.Cluster(folder / "postgres").stop()
    shutil.rmtree(folder)


@pytest.fixture
def eventually() -> Eventually:
    """Wait until a condition holds; errors on the way count as not yet."""

    async def wait(condition: Callable[[], Awaitable[bool] | bool]) -> None:
        deadline = time.monotonic() + _PATIENCE
        while True:
            with contextlib.suppress(Exception):
                answer = condition()
                if answer if isinstance(answer, bool) else await answer:
                    return
            assert time.monotonic() < deadline, "waited in vain"
            await asyncio.sleep(0.01)

    return wait


USER = """
import asyncio, sys
from pathlib import Path
import asyncpg
from assistd.db.embedded import embedded_postgres

async def main():
    async with embedded_postgres(Path(sys.argv[1])) as dsn:
        print(dsn, flush=True)
        try:
            await asyncio.get_running_loop().run_in_executor(None, sys.stdin.readline)
        finally:
            conn = await asyncpg.connect(dsn)
            print("still there:", await conn.fetchval("SELECT 1"), flush=True)
            await conn.close()

asyncio.run(main())
"""


class User:
    """Another process that uses the server of a data folder until it is told to leave."""

    def __init__(self, data_dir: Path) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", USER, str(data_dir)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        assert self.process.stdout is not None
        self.dsn = self.process.stdout.readline().strip()
        assert self.dsn, self.finish()

    def finish(self) -> tuple[str, str]:
        """Let it leave; what it wrote to stdout and stderr."""
        return self.process.communicate("\n", timeout=_PATIENCE)


@pytest.fixture
def user() -> Iterator[Callable[[Path], User]]:
    users: list[User] = []

    def start(data_dir: Path) -> User:
        users.append(User(data_dir))
        return users[-1]

    yield start
    for each in users:
        each.process.kill()
        each.process.communicate()
