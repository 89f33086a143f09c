"""What can go wrong with a sandbox."""

from __future__ import annotations


class SandboxUnavailable(Exception):
    """No sandbox can be had on this machine: why, and what would mend it, each a sentence."""

    def __init__(self, reason: str, remedy: str = "") -> None:
        super().__init__(f"{reason} {remedy}".strip())
        self.reason = reason
        self.remedy = remedy


class SessionLost(Exception):
    """The sandbox has ended, and what was in it is gone; the reason is a sentence."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class SandboxFull(Exception):
    """A file does not fit into the sandbox's disk."""


class SandboxRefused(Exception):
    """The sandbox could not do with a file what was asked; the message says why."""
