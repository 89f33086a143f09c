from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable

import asyncpg
import msgspec
import pytest

from assistd.db.faults import is_away
from assistd.db.pool import Database, open_pool

# A NUL that jsonb would refuse, keys out of order, a double key, odd spaces: json keeps every byte.
TEXT = '{"z": "a\\u0000b",  "a": 1.50, "z": "ü 😀", "n": null}'


@pytest.fixture
async def pool(toy_url):
    database = Database(await open_pool(toy_url, size=3))
    yield database
    await database.close()


@pytest.mark.parametrize("value", [TEXT, TEXT.encode(), msgspec.Raw(TEXT.encode())], ids=["str", "bytes", "Raw"])
async def test_json_comes_back_as_it_went(database, value):
    async with database.acquire() as conn:
        back = await conn.fetchval("SELECT $1::json", value)
        assert isinstance(back, msgspec.Raw)
        assert bytes(back) == TEXT.encode()
        # And PostgreSQL has seen JSON, not a string with JSON in it.
        assert await conn.fetchval("SELECT json_typeof($1::json)", value) == "object"


@pytest.mark.parametrize("value", ['{"a": [1, 2]}', b'{"a": [1, 2]}', msgspec.Raw(b'{"a": [1, 2]}')])
async def test_jsonb_comes_back_as_raw(database, value):
    async with database.acquire() as conn:
        back = await conn.fetchval("SELECT $1::jsonb", value)
        assert isinstance(back, msgspec.Raw)
        assert json.loads(bytes(back)) == {"a": [1, 2]}
        assert [bytes(each) for each in await conn.fetchval("SELECT ARRAY[$1::jsonb]", value)] == [b'{"a": [1, 2]}']


async def test_null_and_json_null_are_two_things(database):
    async with database.acquire() as conn:
        assert await conn.fetchval("SELECT $1::json", None) is None
        assert bytes(await conn.fetchval("SELECT 'null'::json")) == b"null"
        assert bytes(await conn.fetchval("SELECT 'null'::jsonb")) == b"null"


async def test_raw_goes_into_structs_and_out_again(database):
    class Row(msgspec.Struct):
        metadata: msgspec.Raw

    async with database.acquire() as conn:
        row = Row(metadata=await conn.fetchval("SELECT $1::json", TEXT))
    assert msgspec.json.encode(row) == b'{"metadata":' + TEXT.encode() + b"}"


async def test_broken_json_is_refused_by_the_database(database):
    async with database.acquire() as conn:
        with pytest.raises(asyncpg.InvalidTextRepresentationError):
            await conn.fetchval("SELECT $1::json", b"{")


async def test_a_transaction_commits_or_leaves_nothing(database):
    async with database.transaction() as conn:
        await conn.execute("CREATE TABLE kept (id int)")

    async def fail() -> None:
        async with database.transaction() as conn:
            await conn.execute("INSERT INTO kept VALUES (1)")
            raise ZeroDivisionError

    assert isinstance(await _fault_of(fail()), ZeroDivisionError)
    async with database.acquire() as conn:
        assert await conn.fetchval("SELECT count(*) FROM kept") == 0


async def test_a_cancelled_query_gives_back_a_connection_that_works(database_url, eventually):
    database = Database(await open_pool(database_url, size=1))

    async def sleep() -> None:
        async with database.transaction() as conn:
            await conn.execute("SELECT pg_sleep(60)")

    task = asyncio.create_task(sleep())
    await eventually(lambda: _is_sleeping(database_url))
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    async with database.acquire() as conn:
        assert not conn.is_in_transaction()
        assert await conn.fetchval("SELECT 1") == 1
    await database.close()


async def test_sessions_are_named_and_limited(database):
    async with database.acquire() as conn:
        assert await conn.fetchval("SHOW application_name") == "assistd"
        assert await conn.fetchval("SHOW statement_timeout") == "30s"
        assert await conn.fetchval("SHOW idle_in_transaction_session_timeout") == "10s"
        assert await conn.fetchval("SHOW timezone") == "UTC"


async def test_the_pool_works_again_after_a_restart_of_the_server(toy, pool):
    async def ask() -> int:
        async with pool.acquire() as conn:
            return await conn.fetchval("SELECT 1")

    async with asyncio.TaskGroup() as group:  # fill the pool
        for _ in range(3):
            group.create_task(ask())

    await asyncio.to_thread(toy.cluster.stop)
    assert is_away(await _fault_of(ask()))

    await asyncio.to_thread(toy.cluster.start)
    assert [await ask() for _ in range(6)] == [1] * 6


async def test_connections_that_were_cut_while_idle_are_not_handed_out(database, postgres):
    async with database.acquire() as conn:
        pid = conn.get_server_pid()
    admin = await asyncpg.connect(postgres)
    assert await admin.fetchval("SELECT pg_terminate_backend($1, 10000)", pid)
    await admin.close()
    async with database.acquire() as conn:
        assert await conn.fetchval("SELECT pg_backend_pid()") != pid


async def test_a_connection_that_is_cut_while_held_means_away(database, postgres):
    async def cut_by_the_server() -> None:
        async with database.transaction() as conn:
            admin = await asyncpg.connect(postgres)
            assert await admin.fetchval("SELECT pg_terminate_backend($1, 10000)", conn.get_server_pid())
            await admin.close()
            await conn.fetchval("SELECT 1")

    async def cut_by_the_network() -> None:
        async with database.acquire() as conn:
            conn.terminate()
            await asyncio.sleep(0)
            await conn.fetchval("SELECT 1")

    assert is_away(await _fault_of(cut_by_the_server()))
    assert is_away(await _fault_of(cut_by_the_network()))


async def test_a_forgotten_transaction_loses_its_locks(database):
    async def sleep_in_a_transaction() -> None:
        async with database.transaction() as conn:
            lost = asyncio.Event()
            conn.add_termination_listener(lambda _: lost.set())
            await conn.execute("SET LOCAL idle_in_transaction_session_timeout = '1ms'")
            await lost.wait()
            await conn.fetchval("SELECT 1")

    assert is_away(await _fault_of(sleep_in_a_transaction()))


async def test_what_is_not_away(database):
    async with database.acquire() as conn:
        for statement, arguments in [
            ("SELECT 1/0", ()),
            ("SELECT $1::int", ("x",)),
            ("SELECT $1::int", ()),
            ("no", ()),
        ]:
            with pytest.raises((asyncpg.PostgresError, asyncpg.InterfaceError)) as fault:
                await conn.fetchval(statement, *arguments)
            assert not is_away(fault.value)
        with pytest.raises(asyncpg.QueryCanceledError) as fault:
            await conn.execute("SET statement_timeout = '1ms'; SELECT pg_sleep(60)")
        assert not is_away(fault.value)


async def test_unreachable_and_closed_are_away(tmp_path, database_url):
    with pytest.raises(OSError, match="No such file") as fault:
        await open_pool(f"postgresql://postgres@/postgres?host={tmp_path}", size=1)
    assert is_away(fault.value)

    database = Database(await open_pool(database_url, size=1))
    await database.close()
    assert is_away(await _fault_of(database.acquire().__aenter__()))


async def test_closing_does_not_wait_for_ever(database_url, monkeypatch):
    monkeypatch.setattr("assistd.db.pool._CLOSE_SECONDS", 0.05)
    database = Database(await open_pool(database_url, size=1))

    async def hold() -> None:
        async with database.acquire() as conn:
            await database.close()
            await conn.fetchval("SELECT 1")

    assert is_away(await _fault_of(hold()))


async def _fault_of(work: Awaitable[object]) -> Exception:
    try:
        await work
    except Exception as fault:
        return fault
    pytest.fail("nothing was raised")


async def _is_sleeping(dsn: str) -> bool:
    conn = await asyncpg.connect(dsn)
    try:
        return await conn.fetchval(
            "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event = 'PgSleep')"
        )
    finally:
        await conn.close()
