"""Which faults of a database a start waits out, and which end it at once."""

from __future__ import annotations

import asyncpg
import pytest

from assistd.db.waiting import when_reachable


class Attempts:
    """Fails once, and then does not."""

    def __init__(self, fault: Exception) -> None:
        self._fault = fault
        self.made = 0

    async def __call__(self) -> str:
        self.made += 1
        if self.made == 1:
            raise self._fault
        return "there"


@pytest.mark.parametrize(
    "fault",
    [
        ConnectionResetError(),
        asyncpg.CannotConnectNowError("the database system is starting up"),
        asyncpg.TooManyConnectionsError("sorry, too many clients already"),
        asyncpg.InternalClientError("cannot switch to state 12; another operation (2) is in progress"),
        asyncpg.QueryCanceledError("canceling statement due to user request"),
        asyncpg.LockNotAvailableError("canceling statement due to lock timeout"),
        asyncpg.ReadOnlySQLTransactionError("cannot execute UPDATE in a read-only transaction"),
        asyncpg.OutOfMemoryError("out of memory"),
    ],
)
async def test_what_passes_is_waited_out(fault: Exception) -> None:
    attempts = Attempts(fault)
    assert await when_reachable(attempts, 60, "the database") == "there"
    assert attempts.made == 2


@pytest.mark.parametrize(
    "fault",
    [
        asyncpg.InvalidPasswordError("password authentication failed"),
        asyncpg.InvalidCatalogNameError("database does not exist"),
        asyncpg.UndefinedTableError("relation does not exist"),
    ],
)
async def test_what_time_does_not_mend_is_raised_at_once(fault: Exception) -> None:
    attempts = Attempts(fault)
    with pytest.raises(type(fault)):
        await when_reachable(attempts, 60, "the database")
    assert attempts.made == 1
