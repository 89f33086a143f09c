"""The interpreter for whoever needs it: found, or built once while all of them wait."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Final

from assistd.fetching.progress import FetchProgress
from assistd.sandbox.faults import SandboxUnavailable
from assistd.sandbox.interpreter import Interpreter, InterpreterError, ensure

# How long a build that has failed is not tried again.
_PAUSE_SECONDS: Final = 30.0


class Provision:
    """Finds the interpreter in a folder, or builds it there; call it to get it."""

    def __init__(self, folder: Path, report: FetchProgress) -> None:
        self._folder = folder
        self._report = report
        self._found: Interpreter | None = None
        self._work: asyncio.Task[Interpreter] | None = None
        self._fault: SandboxUnavailable | None = None
        self._again = 0.0  # when to try again

    async def __call__(self) -> Interpreter:
        """Return the interpreter. Raises SandboxUnavailable where it cannot be built.

        A caller that is cancelled leaves the work to the others, and to the next.
        """
        if self._found is not None and self._found.root.is_dir():  # whoever has removed it gets it built anew
            return self._found
        if self._fault is not None and time.monotonic() < self._again:
            raise self._fault
        if self._work is None:
            self._work = asyncio.ensure_future(ensure(self._folder, self._report))
        work = self._work
        try:
            self._found = await asyncio.shield(work)
        except InterpreterError as fault:
            remedy = f"{fault} `assistd interpreter install` builds it ahead of time."
            self._fault = SandboxUnavailable("What it runs code in could not be built.", remedy)
            self._again = time.monotonic() + _PAUSE_SECONDS
            raise self._fault from fault
        finally:
            if work.done() and self._work is work:
                self._work = None
        return self._found

    async def close(self) -> None:
        """Stop building. What is half built is removed."""
        if self._work is not None:
            self._work.cancel()
            await asyncio.gather(self._work, return_exceptions=True)
