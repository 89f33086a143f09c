"""How a sandbox is ended: its processes first, and the outermost one, which waits for them, by that."""

from __future__ import annotations

import asyncio
import os
import signal
from contextlib import suppress
from pathlib import Path
from typing import Final

from assistd.sandbox.piped import Child
from assistd.sandbox.usage import processes

# What takes processes to their end is the freeing of their memory.
_PATIENCE: Final = 5.0
# How long a process may have none below it, as one that is just being started.
_ALONE: Final = 0.2
_LOOK: Final = 0.05

# A process that has closed its pipes has ended, or ends in a moment.
_LOOKS, _SHORT = 50, 0.01


async def kill(process: Child) -> None:
    """Kill a process and all below it; wait until they are gone.

    The outermost process collects the others and goes then. It is killed only where it does not: nobody would collect
    them then but the host's first process, which may be assistd itself.
    """
    patience, alone = _PATIENCE, _ALONE
    seen: set[int] = set()
    while process.returncode is None:
        below = processes(process.pid)[1:]
        seen.update(below)
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
    # One whose parent went first, as gVisor's may, is collected by another, and may still be on its way out.
    for _ in range(_LOOKS):
        if not any(map(_lives, seen)):
            break
        await asyncio.sleep(_SHORT)


def _lives(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()[0] not in (b"Z", b"X")
    except OSError:
        return False


async def reason(process: Child) -> str:
    """Return why a process has ended whose pipes are closed, as the end of a sentence, and leave it to be collected.

    Sandboxes end as the program in them did: with its status, or with 128 and the number of the signal that killed it.
    """
    status = await _status(process)
    if status is None:
        return "its shell has closed its pipes"
    match status - 128:
        case signal.SIGXCPU:
            return "its process had used up its processor time"
        case signal.SIGKILL:
            return "its process was killed, perhaps because there was no more memory for it"
        case signal.SIGSEGV | signal.SIGBUS | signal.SIGILL | signal.SIGFPE | signal.SIGABRT as number:
            return f"its process has crashed ({signal.Signals(number).name})"
    return f"its process has ended with status {status}"


async def _status(process: Child) -> int | None:
    for _ in range(_LOOKS):
        if (status := process.returncode) is not None:
            return status if status >= 0 else 128 - status
        if (seen := _seen(process.pid)) is not None:
            return seen
        await asyncio.sleep(_SHORT)
    return None


def _seen(pid: int) -> int | None:
    """Look at how a process has ended, without collecting it."""
    try:
        seen = os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:  # it was collected just now
        return None
    if seen is None:
        return None
    return seen.si_status if seen.si_code == os.CLD_EXITED else 128 + seen.si_status
