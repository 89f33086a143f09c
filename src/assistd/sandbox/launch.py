"""What every engine starts inside of its sandbox, and how that becomes a session."""

from __future__ import annotations

import json
import os
import secrets
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from assistd.sandbox.control_groups import ControlGroup
from assistd.sandbox.faults import SandboxUnavailable
from assistd.sandbox.interpreter import Interpreter
from assistd.sandbox.limits import Limits
from assistd.sandbox.piped import Child, PipedProcess, start_piped
from assistd.sandbox.session import Session

# Read once: this process stays what it is while an upgrade puts other files in place.
_KERNEL: Final = Path(__file__).with_name("kernel.py").read_text("utf-8")
_LAUNCHER: Final = Path(__file__).with_name("launcher.py").read_text("utf-8")


class Shell:
    """The shell's command line, for one session."""

    def __init__(self, interpreter: Interpreter, limits: Limits) -> None:
        self.nonce = secrets.token_hex(16)
        self._limits = limits
        options = {
            "nonce": self.nonce,
            "rlimits": limits.rlimits(),
            "listed": limits.listed,
            "path": limits.path,
            "picture": limits.picture,
        }
        self.command = [interpreter.python, "-c", _KERNEL, json.dumps(options)]

    async def meet(
        self,
        process: Child,
        explained: Callable[[str], SandboxUnavailable],
        *,
        own_kernel: bool = False,
        when_gone: Callable[[], None] = lambda: None,
    ) -> Session:
        """Wait until the shell in a new process is ready. Raises what `explained` makes of what it said instead."""
        session = Session(process, self.nonce, self._limits, own_kernel=own_kernel, when_gone=when_gone)
        if said := await session.begin():
            raise explained(said)
        return session


async def spawn(
    command: Sequence[str],
    group: ControlGroup,
    *,
    keep: Sequence[int] = (),
    dies_with: int | None = None,
    users: Sequence[range] = (),
    folder: Path | None = None,
) -> PipedProcess:
    """Start an engine's program in a group, with three pipes, and of this process only the descriptors to `keep`.

    See launcher.py for what the others mean. Raises OSError.
    """
    options = {
        "keep": keep,
        "members": str(group.members or ""),
        "dies_with": dies_with,
        "users": [[one.start, len(one)] for one in users],
        "folder": str(folder) if folder is not None else "",
    }
    if not os.access(sys.executable, os.X_OK):
        # A process that became another user after its start may not run its own Python again. Nothing is lost but a
        # descriptor that a library opened in this moment: all others are closed by their marks.
        return await start_piped(command, keep)
    launcher = [sys.executable, "-I", "-S", "-c", _LAUNCHER, json.dumps(options)]
    return await start_piped([*launcher, *command], keep)
