"""A sandbox that nobody uses rests: what its code has left behind must not go on, and use a processor for an hour."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterable
from contextlib import suppress
from typing import Final

from assistd.sandbox.usage import children, processes

# Processes may be made while others are stopped; whoever makes them quicker than this is stopped the next time.
_ROUNDS: Final = 20


def stop(pid: int, *, own_kernel: bool = False) -> None:
    """Stop every process below the outermost one. With a kernel of its own, that is stopped, and all stands still."""
    stopped: set[int] = set()
    for _ in range(_ROUNDS):
        running = [one for one in _below(pid, own_kernel) if one not in stopped]
        if not running:
            return
        _signal(running, signal.SIGSTOP)
        stopped.update(running)


def go_on(pid: int, *, own_kernel: bool = False) -> None:
    """Let them go on, those that wait for others first."""
    _signal(_below(pid, own_kernel), signal.SIGCONT)


def _below(pid: int, own_kernel: bool) -> list[int]:
    # What gVisor traces is its own business.
    return children(pid) if own_kernel else processes(pid)[1:]


def _signal(pids: Iterable[int], number: signal.Signals) -> None:
    for pid in pids:
        with suppress(ProcessLookupError, PermissionError):
            os.kill(pid, number)
