"""What every engine starts inside of its sandbox, and how that becomes a session."""

from __future__ import annotations

import asyncio
import json
import secrets
from asyncio.subprocess import PIPE, Process
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from assistd.sandbox.faults import SandboxUnavailable
from assistd.sandbox.interpreter import Interpreter
from assistd.sandbox.limits import Limits
from assistd.sandbox.session import Session

# Read once: this process stays what it is while an upgrade puts other files in place.
_KERNEL: Final = Path(__file__).with_name("kernel.py").read_text("utf-8")


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
        process: Process,
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


async def spawn(command: Sequence[str], inherited: Sequence[int] = ()) -> Process:
    """Start a program with three pipes, and nothing else of this process but the numbers of `inherited`."""
    return await asyncio.create_subprocess_exec(
        *command, stdin=PIPE, stdout=PIPE, stderr=PIPE, env={}, pass_fds=inherited, cwd="/"
    )
