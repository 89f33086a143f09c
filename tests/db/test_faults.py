"""Whose fault an exception out of the database is."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Iterator

import asyncpg
import pytest

from assistd.db.faults import DatabaseUnavailable, Reason, is_away, reason_of
from assistd.db.pool import Database, open_pool
from tests.support.postgres_proxy import PostgresProxy


def _kinds() -> Iterator[type[asyncpg.PostgresError]]:
    """Every class of asyncpg's that has a SQLSTATE."""
    todo = [asyncpg.PostgresError]
    while todo:
        each = todo.pop()
        todo += each.__subclasses__()
        if isinstance(each.sqlstate, str):
            yield each


KINDS = sorted(set(_kinds()), key=lambda kind: (str(kind.sqlstate), kind.__name__))


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: f"{kind.sqlstate}")
def test_the_class_of_a_sqlstate_decides(kind: type[asyncpg.PostgresError]) -> None:
    state = str(kind.sqlstate)
    databases = state[:2] in ("08", "28", "40", "53", "55", "57", "58", "XX") or state in (
        "25006",  # read-only
        "25P03",  # idle in a transaction for too long
        "25P04",  # in a transaction for too long
        "3D000",  # the database is not there
    )
    stale_plan = issubclass(kind, asyncpg.InvalidCachedStatementError)  # after a migration
    assert (reason_of(kind("words")) is not None) == (databases or stale_plan)


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        (asyncpg.AdminShutdownError("terminating connection"), Reason.AWAY),
        (asyncpg.TooManyConnectionsError("sorry, too many clients already"), Reason.AWAY),
        (asyncpg.DiskFullError("could not extend file"), Reason.FULL),
        (asyncpg.OutOfMemoryError("out of memory"), Reason.EXHAUSTED),
        (asyncpg.ReadOnlySQLTransactionError("cannot execute INSERT"), Reason.READ_ONLY),
        (asyncpg.LockNotAvailableError("canceling statement due to lock timeout"), Reason.CONTENDED),
        (asyncpg.DeadlockDetectedError("deadlock detected"), Reason.CONTENDED),
        (asyncpg.QueryCanceledError("canceling statement due to statement timeout"), Reason.CANCELED),
        (asyncpg.InvalidPasswordError("password authentication failed"), Reason.REFUSED),
        (asyncpg.OutdatedSchemaCacheError("schema changed"), Reason.CONTENDED),
        (asyncpg.InternalClientError("cannot switch to state 12; another operation (2) is in progress"), Reason.AWAY),
        (asyncpg.ProtocolError("unexpected message"), Reason.AWAY),
        (asyncpg.InterfaceError("connection is closed"), Reason.AWAY),
        (asyncpg.InterfaceError("cannot perform operation: another operation is cancelling"), Reason.AWAY),
        (ConnectionResetError(), Reason.AWAY),
        (ssl.SSLError("decryption failed"), Reason.AWAY),
        (TimeoutError(), Reason.AWAY),
        (asyncio.IncompleteReadError(b"", 4), Reason.AWAY),
        (asyncpg.InterfaceError("the server expects 2 arguments for this query, 1 was passed"), None),
        (asyncpg.DataError("invalid input for query argument $1: 'connection is closed'"), None),
        (asyncpg.UniqueViolationError("duplicate key"), None),
        (ZeroDivisionError(), None),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else "",
)
def test_what_the_driver_makes_of_it(fault: Exception, reason: Reason | None) -> None:
    assert reason_of(fault) is reason
    assert is_away(fault) is (reason is Reason.AWAY)


def test_a_reason_is_a_sentence() -> None:
    assert all(reason.value.startswith("The database") or reason is Reason.CONTENDED for reason in Reason)
    assert all(reason.value.endswith(".") for reason in Reason)


# --- at the gate


async def test_what_the_database_refuses_comes_out_as_unavailable(database: Database) -> None:
    with pytest.raises(DatabaseUnavailable) as fault:
        async with database.acquire() as conn:
            await conn.execute("SET statement_timeout = '1ms'; SELECT pg_sleep(60)")
    assert fault.value.reason is Reason.CANCELED
    assert isinstance(fault.value.__cause__, asyncpg.QueryCanceledError)
    with pytest.raises(DatabaseUnavailable, match="read-only"):
        await _write_read_only(database)


async def _write_read_only(database: Database) -> None:
    async with database.transaction() as conn:
        await conn.execute("SET TRANSACTION READ ONLY")
        await conn.execute("CREATE TABLE t (id int)")


async def test_what_the_caller_did_wrong_comes_out_as_it_is(database: Database) -> None:
    for statement in ("SELECT 1/0", "no"):
        with pytest.raises(asyncpg.PostgresError):
            async with database.acquire() as conn:
                await conn.fetchval(statement)
    with pytest.raises(ZeroDivisionError):
        async with database.transaction():
            raise ZeroDivisionError


@pytest.fixture
async def proxy(database_url: str) -> AsyncIterator[PostgresProxy]:
    async with PostgresProxy(database_url) as opened:
        yield opened


@pytest.mark.parametrize("how", ["say_goodbye", "cut", "cut_in_an_answer"])
async def test_a_connection_that_is_being_lost_is_no_fault_of_the_program(proxy: PostgresProxy, how: str) -> None:
    """Between the server's last word and the end of the connection, asyncpg takes the statement for a mistake."""
    database = Database(await open_pool(proxy.dsn, size=1))
    try:
        async with database.acquire() as conn:
            assert await conn.fetchval("SELECT 1") == 1
        await getattr(proxy, how)()
        for _ in range(20):
            await asyncio.sleep(0)  # the driver reads what has come
        fault = await _fault_of_asking(database)
        # A connection that was reset may have been replaced before anybody asked for one.
        assert how == "cut" if fault is None else fault.reason is Reason.AWAY
        proxy.heal()
        async with asyncio.timeout(60):
            while await _fault_of_asking(database):  # until what is lost has been replaced
                await asyncio.sleep(0.05)
    finally:
        await database.close()


async def _fault_of_asking(database: Database) -> DatabaseUnavailable | None:
    """What one of some statements raises: the first ones may still get through."""
    for _ in range(50):
        try:
            async with database.acquire() as conn:
                await conn.fetchval("SELECT 1")
        except DatabaseUnavailable as fault:
            return fault
        await asyncio.sleep(0)
    return None
