"""Which engines there are, by the names that a setting has for them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from assistd.sandbox.bubblewrap import Bubblewrap
from assistd.sandbox.engine import Engine
from assistd.sandbox.faults import SandboxUnavailable
from assistd.sandbox.gvisor import Gvisor
from assistd.sandbox.interpreter import Interpreter
from assistd.sandbox.limits import Limits
from assistd.sandbox.session import Session


class Off:
    """No engine, because that is what was asked for."""

    async def start(self) -> Session:
        """Start nothing. Raises SandboxUnavailable."""
        raise SandboxUnavailable("It is turned off.", "Set ASSISTD_SANDBOX to bubblewrap or gvisor.")

    async def probe(self) -> None:
        """Raise SandboxUnavailable."""
        await self.start()


def engine_of(name: str, interpreter: Callable[[], Awaitable[Interpreter]], limits: Limits) -> Engine:
    """Return the engine of this name: bubblewrap, gvisor or off. `interpreter` finds or builds what code runs in."""
    if name == "off":
        return Off()
    return Gvisor(interpreter, limits) if name == "gvisor" else Bubblewrap(interpreter, limits)
