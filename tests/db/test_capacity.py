"""PostgreSQL lets no further connection in: those that are there do the work."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator
from urllib.parse import urlsplit, urlunsplit

import asyncpg
import pytest

from assistd.db.capacity import Capacity
from assistd.db.faults import DatabaseUnavailable
from assistd.db.pool import Database, open_pool

ROOM = 3


@pytest.fixture
async def limited_url(database_url: str) -> AsyncIterator[str]:
    """DSN of a role that may have three connections."""
    role = f"limited_{uuid.uuid4().hex[:8]}"
    conn = await asyncpg.connect(database_url)
    await conn.execute(f"CREATE ROLE {role} LOGIN PASSWORD 'p' CONNECTION LIMIT {ROOM}")
    parts = urlsplit(database_url)
    host = parts.netloc.rpartition("@")[2]
    yield urlunsplit(parts._replace(netloc=f"{role}:p@{host}"))
    await conn.execute(f"DROP ROLE {role}")
    await conn.close()


async def test_requests_share_the_connections_that_are_there(limited_url: str) -> None:
    database = Database(await open_pool(limited_url, size=16))

    async def ask() -> int:
        async with database.acquire() as conn:
            return await conn.fetchval("SELECT count(*) FROM pg_stat_activity, pg_sleep(0.01) WHERE usename = user")

    try:
        answers = await asyncio.gather(*(ask() for _ in range(60)))
        assert max(answers) <= ROOM
        answers = await asyncio.gather(*(ask() for _ in range(60)))  # and none is lost on the way
        assert max(answers) == ROOM
    finally:
        await database.close()


async def test_a_connection_that_dies_meanwhile_is_made_up_for(limited_url: str, database_url: str) -> None:
    database = Database(await open_pool(limited_url, size=16))
    admin = await asyncpg.connect(database_url)

    async def ask() -> int:
        async with database.acquire() as conn:
            await conn.execute("SELECT pg_sleep(0.01)")
            return conn.get_server_pid()

    try:
        first = set(await asyncio.gather(*(ask() for _ in range(20))))
        for pid in first - {max(first)}:
            assert await admin.fetchval("SELECT pg_terminate_backend($1, 10000)", pid)
        again = set(await asyncio.gather(*(ask() for _ in range(60))))
        assert again - first
        assert len(again) <= ROOM + 2  # those that were cut are seen to be gone only when their end is read
    finally:
        await admin.close()
        await database.close()


async def test_where_there_is_none_at_all_it_is_said_at_once(limited_url: str) -> None:
    database = Database(await asyncpg.create_pool(limited_url, min_size=0, max_size=4))
    others = [await asyncpg.connect(limited_url) for _ in range(ROOM)]
    try:
        with pytest.raises(DatabaseUnavailable, match="too many connections"):
            await database.acquire().__aenter__()
    finally:
        for conn in others:
            await conn.close()
        await database.close()


async def test_who_is_cancelled_while_waiting_takes_no_place() -> None:
    capacity = Capacity(2)
    await capacity.enter()
    await capacity.enter()
    impatient, patient = (asyncio.create_task(capacity.enter()) for _ in range(2))
    await asyncio.sleep(0)
    impatient.cancel()
    capacity.leave()
    async with asyncio.timeout(10):
        await patient
    capacity.leave()
    capacity.leave()
    async with asyncio.timeout(10):
        await asyncio.gather(capacity.enter(), capacity.enter())
    # One whose turn has come in the moment in which it is cancelled hands it on.
    late = asyncio.create_task(capacity.enter())
    await asyncio.sleep(0)
    capacity.leave()
    late.cancel()
    with pytest.raises(asyncio.CancelledError):
        await late
    async with asyncio.timeout(10):
        await capacity.enter()


async def test_a_limit_is_lifted_step_by_step(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("assistd.db.capacity._RETRY_SECONDS", 0.01)
    capacity = Capacity(4)
    await capacity.enter()
    capacity.limit_to(1)
    waiting = [asyncio.create_task(capacity.enter()) for _ in range(3)]
    await asyncio.sleep(0)
    assert not any(task.done() for task in waiting)
    async with asyncio.timeout(10):
        await asyncio.gather(*waiting)
    last = asyncio.create_task(capacity.enter())
    await asyncio.sleep(0.1)
    assert not last.done()
    last.cancel()
