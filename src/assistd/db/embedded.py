"""PostgreSQL without an installation: a server of our own in the data folder, shared by all who use it.

Whoever uses the server holds a shared file lock, and whoever starts or stops it an exclusive one.
The kernel drops both with the process, so that a SIGKILL leaves nothing to clean up: the server
goes on, the next process finds it, and the last one to leave in order stops it.
"""

from __future__ import annotations

import asyncio
import fcntl
import logging
import os
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import TypeVar

from . import cluster, postmaster
from .account import EmbeddedError
from .cluster import Cluster

__all__ = ["EmbeddedError", "EmbeddedServer", "embedded_postgres"]

T = TypeVar("T")

_GATE_SECONDS = 120
_WATCH_SECONDS = 1.0
_log = logging.getLogger(__name__)


@asynccontextmanager
async def embedded_postgres(data_dir: Path, settings: Mapping[str, str] | None = None) -> AsyncIterator[str]:
    """The DSN of the PostgreSQL in `data_dir`, which runs as long as anybody is in here.

    `settings` are PostgreSQL's, on top of our own; they count when this call starts the server.
    A server that dies meanwhile is started again. Raises EmbeddedError with what would help.
    """
    server = EmbeddedServer(data_dir, settings)
    try:
        dsn = await _to_the_end(server.enter)
        watch = asyncio.create_task(_watch(server), name="embedded postgres watch")
        try:
            yield dsn
        finally:
            watch.cancel()
            await asyncio.wait([watch])
    finally:
        await _to_the_end(server.leave)


class EmbeddedServer:
    """One use of the server in `data_dir`. Every method blocks; also a plain context manager."""

    def __init__(self, data_dir: Path, settings: Mapping[str, str] | None = None) -> None:
        self.cluster = Cluster(data_dir / "postgres", settings)
        self._use: int | None = None

    def enter(self) -> str:
        """Join the users of the server, starting it if need be; the DSN of its database."""
        folder = self.cluster.folder.parent
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as fault:
            raise EmbeddedError(f"The data folder {folder} cannot be made: {fault.strerror}.") from fault
        with self._gate():
            self._use = self._open("postgres.users")
            fcntl.flock(self._use, fcntl.LOCK_SH)
            try:
                return cluster.dsn(self.cluster.start())
            except OSError as fault:
                raise EmbeddedError(f"PostgreSQL cannot be set up in {folder}: {fault}.") from fault

    def leave(self) -> None:
        """Leave the users of the server; the last one stops it. Harmless when not entered."""
        if self._use is None:
            return
        with self._gate():
            use, self._use = self._use, None
            try:
                if _try_exclusive(use):
                    self.cluster.stop()
            finally:
                os.close(use)

    def revive(self) -> bool:
        """Start the server again; False when it lives after all, or somebody else was faster."""
        with self._gate():
            if self.cluster.running() is not None:
                return False
            self.cluster.start()
            return True

    def __enter__(self) -> str:
        try:
            return self.enter()
        except BaseException:
            self.leave()
            raise

    def __exit__(self, *_: object) -> None:
        self.leave()

    @contextmanager
    def _gate(self) -> Iterator[None]:
        gate = self._open("postgres.lock")
        try:
            deadline = time.monotonic() + _GATE_SECONDS
            while not _try_exclusive(gate):
                if time.monotonic() > deadline:
                    raise EmbeddedError(
                        f"Another assistd has been starting or stopping PostgreSQL in {self.cluster.folder.parent} "
                        f"for {_GATE_SECONDS} seconds. Look for a process that hangs, and end it."
                    )
                time.sleep(0.01)
            yield
        finally:
            os.close(gate)

    def _open(self, name: str) -> int:
        path = self.cluster.folder.parent / name
        try:
            return os.open(path, os.O_RDONLY | os.O_CREAT | os.O_CLOEXEC, 0o644)
        except OSError as fault:
            raise EmbeddedError(f"{path} cannot be opened: {fault.strerror}.") from fault


async def _watch(server: EmbeddedServer) -> None:
    """Start the server again when it has been gone for two looks in a row: a restart by hand is left alone."""
    gone = 0
    while True:
        await asyncio.sleep(_WATCH_SECONDS)
        known = postmaster.read(server.cluster.folder)
        gone = 0 if known is not None and postmaster.pid_exists(known.pid) else gone + 1
        if gone < 2:
            continue
        gone = 0
        try:
            if await _to_the_end(server.revive):
                _log.warning("PostgreSQL had ended by itself and was started again.")
        except (EmbeddedError, OSError) as fault:
            _log.error("PostgreSQL is gone and does not start again: %s", fault)
            await asyncio.sleep(10 * _WATCH_SECONDS)


def _try_exclusive(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


async def _to_the_end(work: Callable[[], T]) -> T:
    """Run blocking work in a thread. A cancellation is obeyed when the work is done, never half-way."""
    thread = asyncio.get_running_loop().run_in_executor(None, work)
    cancelled: asyncio.CancelledError | None = None
    while not thread.done():
        try:
            await asyncio.wait([thread])
        except asyncio.CancelledError as request:
            cancelled = request
    if cancelled is not None:
        thread.exception()
        raise cancelled
    return thread.result()
