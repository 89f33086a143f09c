"""Child processes of the server: each gets its own pipes, and no other descriptor that is open here."""

from __future__ import annotations

import asyncio
import ctypes
import os
import sys
from asyncio.subprocess import Process
from collections.abc import Collection, Mapping
from contextlib import suppress
from pathlib import Path
from typing import IO, Final

_CLOSE_RANGE: Final = 436  # the same on every architecture
_CLOEXEC: Final = 4  # in close_range(2), since Linux 5.11
_FIRST, _LAST = 3, 2**32 - 1

_Stream = int | IO[bytes] | None


async def start_process(
    *command: str,
    stdin: _Stream = None,
    stdout: _Stream = None,
    stderr: _Stream = None,
    env: Mapping[str, str] | None = None,
    cwd: str | Path | None = None,
    start_new_session: bool = False,
    pass_fds: Collection[int] = (),
) -> Process:
    """Start a program, as `asyncio.create_subprocess_exec` does. Raises OSError.

    Not every event loop closes descriptors in the child: uvloop passes on all that are inheritable, which those are
    that whoever started this server had open. They are marked here instead, whatever the loop.
    """
    close_on_exec()
    return await asyncio.create_subprocess_exec(  # noqa: TID251
        *command,
        stdin=stdin,
        stdout=stdout,
        stderr=stderr,
        env=env,
        cwd=cwd,
        start_new_session=start_new_session,
        pass_fds=tuple(pass_fds),
    )


def close_on_exec() -> None:
    """Mark every descriptor of this process to be closed in its children, but the standard three."""
    if _marks_by_range():
        return
    with suppress(FileNotFoundError):  # Windows passes on what it is told to
        for number in [int(path.name) for path in Path("/dev/fd").iterdir()]:
            if number >= _FIRST:
                with suppress(OSError):  # that of the listing itself
                    os.set_inheritable(number, False)


def _marks_by_range() -> bool:
    """Mark all of them by one call, where the kernel has it. Returns whether it does."""
    if sys.platform != "linux":
        return False
    syscall = ctypes.CDLL(None).syscall
    return bool(syscall(ctypes.c_long(_CLOSE_RANGE), _FIRST, ctypes.c_uint(_LAST), _CLOEXEC) == 0)
