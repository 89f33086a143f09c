"""What makes sandboxes: bubblewrap, or another engine behind the same face."""

from __future__ import annotations

from typing import Protocol

from assistd.sandbox.session import Session


class Engine(Protocol):
    """Starts sessions."""

    async def start(self) -> Session:
        """Start a session. Raises SandboxUnavailable."""
        ...

    async def probe(self) -> None:
        """Find out whether sessions can be started; the interpreter need not be there. Raises SandboxUnavailable."""
        ...
