"""The interpreter for whoever needs it: found, or built once while all of them wait."""

from __future__ import annotations

import asyncio
from pathlib import Path

from assistd.fetching.progress import FetchProgress
from assistd.sandbox.faults import SandboxUnavailable
from assistd.sandbox.interpreter import Interpreter, InterpreterError, ensure


class Provision:
    """Finds the interpreter in a folder, or builds it there; call it to get it."""

    def __init__(self, folder: Path, report: FetchProgress) -> None:
        self._folder = folder
        self._report = report
        self._found: Interpreter | None = None
        self._work: asyncio.Task[Interpreter] | None = None

    async def __call__(self) -> Interpreter:
        """Return the interpreter. Raises SandboxUnavailable where it cannot be built; the next call tries again.

        A caller that is cancelled leaves the work to the others, and to the next.
        """
        if self._found is None:
            if self._work is None:
                self._work = asyncio.ensure_future(ensure(self._folder, self._report))
            work = self._work
            try:
                self._found = await asyncio.shield(work)
            except InterpreterError as fault:
                raise SandboxUnavailable(str(fault), "Run `assistd interpreter install` to build it.") from fault
            finally:
                if work.done() and self._work is work:
                    self._work = None
        return self._found

    async def close(self) -> None:
        """Stop building. What is half built is removed."""
        if self._work is not None:
            self._work.cancel()
            await asyncio.gather(self._work, return_exceptions=True)
