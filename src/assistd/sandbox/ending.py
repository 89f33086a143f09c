"""How a sandbox is ended: its processes first, and the outermost one, which waits for them, by that."""

from __future__ import annotations

import asyncio
import os
import signal
from asyncio.subprocess import Process
from contextlib import suppress
from typing import Final

from assistd.sandbox.usage import processes

# What takes processes to their end is the freeing of their memory.
_PATIENCE: Final = 5.0
# How long a process may have none below it, as one that is just being started.
_ALONE: Final = 0.2
_LOOK: Final = 0.05


async def kill(process: Process) -> None:
    """Kill a process and all below it; wait until they are gone.

    The outermost process collects the others and goes then. It is killed only where it does not: nobody would collect
    them then but the host's first process, which may be assistd itself.
    """
    patience, alone = _PATIENCE, _ALONE
    while process.returncode is None:
        below = processes(process.pid)[1:]
        for pid in below:
            with suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)
        patience -= _LOOK
        alone = _ALONE if below else alone - _LOOK
        if patience < 0 or alone < 0:
            with suppress(ProcessLookupError):
                process.kill()
        # Not for longer: it waits for what is in the pipes, too, and that nobody reads by now.
        with suppress(TimeoutError):
            async with asyncio.timeout(_LOOK):
                await process.wait()
