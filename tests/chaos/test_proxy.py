"""The proxy before PostgreSQL does to connections what it says."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import asyncpg
import pytest

from tests.chaos.proxy import Proxy

# What asyncpg makes of a connection that it loses, in one moment or another.
LOST = (asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError, OSError)


@pytest.fixture
async def proxy(database_url: str) -> AsyncIterator[Proxy]:
    query = parse_qs(urlsplit(database_url).query)
    proxy = Proxy(Path(query["host"][0]) / f".s.PGSQL.{query['port'][0]}")
    await proxy.open()
    yield proxy
    await proxy.close()


@pytest.fixture
async def conn(proxy: Proxy, database_url: str) -> AsyncIterator[asyncpg.Connection]:
    conn = await connect(proxy, database_url)
    yield conn
    with contextlib.suppress(*LOST):
        await conn.close(timeout=1)


async def connect(proxy: Proxy, database_url: str) -> asyncpg.Connection:
    name = urlsplit(database_url).path
    return await asyncpg.connect(f"postgresql://postgres@127.0.0.1:{proxy.port}{name}", timeout=20)


async def until_closed(conn: asyncpg.Connection) -> None:
    while not conn.is_closed():
        await asyncio.sleep(0.01)


async def test_passes_everything_on(conn: asyncpg.Connection) -> None:
    assert await conn.fetchval("SELECT sum(n) FROM generate_series(1, 1000) n") == 500500
    assert len(await conn.fetch("SELECT repeat('x', 1000) FROM generate_series(1, 1000)")) == 1000


@pytest.mark.parametrize("seconds", [0.0, 0.2])
async def test_terminates_idle_connections(proxy: Proxy, conn: asyncpg.Connection, seconds: float) -> None:
    proxy.terminate(seconds)
    with pytest.raises(LOST):
        await conn.fetchval("SELECT 1")
    await until_closed(conn)
    assert not proxy.links


async def test_resets(proxy: Proxy, conn: asyncpg.Connection) -> None:
    asking = asyncio.ensure_future(conn.fetchval("SELECT pg_sleep(60)"))
    await asyncio.sleep(0)
    proxy.reset()
    with pytest.raises(LOST):
        await asking
    assert not proxy.links


async def test_passes_half_an_answer_on_to_what_was_done(
    proxy: Proxy, conn: asyncpg.Connection, database_url: str
) -> None:
    await conn.execute("CREATE TABLE noted (n int)")
    proxy.halve()
    with pytest.raises(LOST):
        await conn.execute("INSERT INTO noted VALUES (1)")
    await until_closed(conn)
    other = await connect(proxy, database_url)
    assert await other.fetchval("SELECT count(*) FROM noted") == 1
    await other.close()


async def test_silence_holds_back_and_passes_on(proxy: Proxy, conn: asyncpg.Connection) -> None:
    proxy.silence(True)
    asking = asyncio.ensure_future(conn.fetchval("SELECT 1"))
    done, _ = await asyncio.wait([asking], timeout=0.2)
    assert not done
    proxy.silence(False)
    assert await asking == 1


async def test_is_slow_and_in_order(proxy: Proxy, conn: asyncpg.Connection) -> None:
    proxy.delay = 0.05
    assert [row["n"] for row in await conn.fetch("SELECT n FROM generate_series(1, 20000) n")] == list(range(1, 20001))


async def test_refuses_connections(proxy: Proxy, database_url: str) -> None:
    proxy.refusing = True
    with pytest.raises(LOST):
        await connect(proxy, database_url)
    proxy.refusing = False
    await (await connect(proxy, database_url)).close()
