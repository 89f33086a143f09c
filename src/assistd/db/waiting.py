"""Waiting for a database that is not there yet: it may start after us, or just now be too busy for us."""

from __future__ import annotations

import asyncio
import ssl
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

import asyncpg
import structlog

from assistd.db.faults import Reason, reason_of

T = TypeVar("T")

log = structlog.get_logger("assistd.db")

_FIRST_PAUSE, _LONGEST_PAUSE = 0.1, 2.0


async def when_reachable(attempt: Callable[[], Awaitable[T]], seconds: float, where: str) -> T:
    """Return what `attempt` returns, which is tried again for so long while the database is away.

    The last fault is raised when the time is over, and at once where time would not mend it: a wrong password, a
    missing database, a certificate that is not trusted. `where` names the database in the log.
    """
    deadline = time.monotonic() + seconds
    pause = _FIRST_PAUSE
    waited = False
    while True:
        try:
            found = await attempt()
        except Exception as fault:
            left = deadline - time.monotonic()
            if not may_pass(fault) or left <= 0:
                raise
            if not waited:
                log.warning("waiting for the database", database=where, error=words_of(fault), seconds=seconds)
            waited = True
            await asyncio.sleep(min(pause, left))
            pause = min(pause * 2, _LONGEST_PAUSE)
        else:
            if waited:
                log.warning("the database is there", database=where)
            return found


def may_pass(fault: BaseException) -> bool:
    """Whether a database that could not be reached may be there soon, without anybody changing a setting."""
    if isinstance(fault, asyncpg.TargetServerAttributeNotMatched):  # no server of several is the primary yet
        return True
    if isinstance(fault, ssl.SSLCertVerificationError | PermissionError):
        return False
    if isinstance(fault, FileNotFoundError) and fault.filename is not None:  # a certificate, not a socket
        return False
    return reason_of(fault) not in (None, Reason.REFUSED)


def words_of(fault: BaseException) -> str:
    """What a fault of the database says, in a form that can end a sentence."""
    if isinstance(fault, TimeoutError) and not str(fault):
        return "it does not answer"
    return str(fault) or type(fault).__name__
