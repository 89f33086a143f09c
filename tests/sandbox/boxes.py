"""Sandboxes for the tests that attack them: of each engine, and with walls taken away."""

from __future__ import annotations

import asyncio
import shutil
import struct
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

import pytest

from assistd.sandbox import seccomp
from assistd.sandbox.bubblewrap import Bubblewrap
from assistd.sandbox.engine import Engine
from assistd.sandbox.gvisor import Gvisor
from assistd.sandbox.interpreter import Interpreter
from assistd.sandbox.limits import MB, Limits
from assistd.sandbox.outputs import Logs
from assistd.sandbox.pool import PoolLimits, Sandboxes
from assistd.sandbox.session import Session
from assistd.sandbox.watch import Watch

PATIENCE = 120.0  # seconds until what never comes is a failure
ENGINES = ("bubblewrap", "gvisor")
SMALL = Limits(memory=256 * MB, disk=64 * MB, scratch_disk=16 * MB, files=2000, call_seconds=20, grace_seconds=1)


class Weak(Bubblewrap):
    """bubblewrap without a filter of calls, on the host's network, and with user namespaces inside."""

    def walls(self, root: str, environment: Mapping[str, str]) -> list[str]:
        """Return what is left of the walls."""
        walls = super().walls(root, environment)
        at = walls.index("/dev/full")
        walls[at - 1 : at + 2] = []
        return [wall for wall in walls if wall not in ("--unshare-net", "--disable-userns")]


def allow_everything(machine: str = "") -> bytes:
    """Return a filter of system calls that filters nothing."""
    return struct.pack("=HBBI", 0x06, 0, 0, 0x7FFF0000)


def engine_of(name: str, interpreter: Interpreter, limits: Limits) -> Engine:
    """Return an engine; skip the test where it is not there."""

    async def found() -> Interpreter:
        return interpreter

    if name == "gvisor" and shutil.which("runsc") is None:
        pytest.skip("gVisor's runsc is not installed here")
    return {"bubblewrap": Bubblewrap, "gvisor": Gvisor, "weak": Weak}[name](found, limits)


@asynccontextmanager
async def box(name: str, interpreter: Interpreter, limits: Limits = SMALL) -> AsyncIterator[Session]:
    """Give a session, watched as the server's are."""
    watch = Watch(limits)
    watching = asyncio.create_task(watch.run())
    session = await engine_of(name, interpreter, limits).start()
    try:
        watch.add(session)
        watch.set_busy(session, True)
        async with asyncio.timeout(PATIENCE):
            yield session
    finally:
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)
        await session.close()


@asynccontextmanager
async def pool_of(interpreter: Interpreter, limits: Limits, room: PoolLimits) -> AsyncIterator[Sandboxes]:
    """Give a pool of real sandboxes, kept up as the server's is."""
    pool = Sandboxes(engine_of("bubblewrap", interpreter, limits), room, limits)
    upkeep = asyncio.create_task(pool.run())
    try:
        async with asyncio.timeout(PATIENCE):
            yield pool
    finally:
        upkeep.cancel()
        await asyncio.gather(upkeep, return_exceptions=True)
        await pool.close()


async def printed(session: Session, code: str) -> str:
    """Run code and return what it printed."""
    return "".join([shown.text async for shown in session.run(code) if isinstance(shown, Logs)])


@asynccontextmanager
async def without_filter(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[None]:
    """Take away the filter of system calls."""
    with monkeypatch.context() as patch:
        patch.setattr(seccomp, "program", allow_everything)
        yield
