"""Whose fault an exception out of a database call is: the database's, for the moment, or the caller's for good.

PostgreSQL says it by SQLSTATE. What asyncpg makes of a connection that is being lost depends on the moment: where it
has read the server's last word but not yet the end of the connection, it complains about its own state
(`InternalClientError: cannot switch to state ...`), as if the program were wrong.
"""

from __future__ import annotations

from enum import Enum

import asyncpg


class Reason(Enum):
    """Why the database does not do its work just now; the value is the sentence for whoever waits for it."""

    AWAY = "The database is out of reach just now."
    REFUSED = "The database does not let this server in just now."
    CONTENDED = "Others are changing the same objects just now."
    CANCELED = "The database gave up on a statement that took too long."
    FULL = "The database has no room left on its disk."
    EXHAUSTED = "The database is short of memory or other resources just now."
    READ_ONLY = "The database is read-only just now."
    BROKEN = "The database reports a fault of its own."


class DatabaseUnavailable(Exception):
    """The database did not do a statement, or nobody knows, for a reason of its own: it may be tried again later."""

    def __init__(self, reason: Reason, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason


def reason_of(fault: BaseException) -> Reason | None:
    """Return why the database is at fault in an exception that a database call raised, or None where it is not.

    OSError and TimeoutError count as a lost connection here, so ask only about what came out of the driver.
    """
    match fault:
        case DatabaseUnavailable():
            return fault.reason
        case asyncpg.OutdatedSchemaCacheError() | asyncpg.InvalidCachedStatementError():
            return Reason.CONTENDED  # with a migration
        case asyncpg.PostgresError():
            return _of_sqlstate(fault.sqlstate or "")
        case OSError() | EOFError() | asyncpg.InternalClientError():
            return Reason.AWAY
    # The bare class stands for wrong calls too, so its words have to decide.
    if type(fault) is asyncpg.InterfaceError and any(words in str(fault) for words in _LOST):
        return Reason.AWAY
    return None


def is_away(fault: BaseException) -> bool:
    """Say whether the database cannot be talked to just now: refused, lost and silent connections, a server that
    starts, stops or takes no more connections, and a pool that is closed."""
    return reason_of(fault) is Reason.AWAY


def _of_sqlstate(state: str) -> Reason | None:
    return _BY_STATE.get(state) or _BY_CLASS.get(state[:2])


_BY_STATE = {
    "25006": Reason.READ_ONLY,  # read_only_sql_transaction
    "25P03": Reason.AWAY,  # idle_in_transaction_session_timeout
    "25P04": Reason.CANCELED,  # transaction_timeout
    "3D000": Reason.REFUSED,  # invalid_catalog_name: the database is not there
    "53100": Reason.FULL,  # disk_full
    "53300": Reason.AWAY,  # too_many_connections
    "57014": Reason.CANCELED,  # query_canceled
    "57P04": Reason.REFUSED,  # database_dropped
}
_BY_CLASS = {
    "08": Reason.AWAY,  # connection exception
    "28": Reason.REFUSED,  # invalid authorization specification
    "40": Reason.CONTENDED,  # transaction rollback: serialization failure, deadlock
    "53": Reason.EXHAUSTED,  # insufficient resources
    "55": Reason.CONTENDED,  # object not in prerequisite state: lock not available, object in use
    "57": Reason.AWAY,  # operator intervention: shutdown, crash, cannot connect now
    "58": Reason.BROKEN,  # system error: I/O
    "XX": Reason.BROKEN,  # internal error, data corrupted
}
_LOST = (
    "connection is closed",
    "pool is clos",  # closing, closed
    "released back to the pool",  # what a lost connection turns into while it is held
    "another operation is cancelling",  # the statement before got no answer
)
