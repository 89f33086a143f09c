"""What a piece of code shows, and how much of that may be seen."""

from __future__ import annotations

import time
from typing import Final

import msgspec

from assistd.sandbox.limits import Limits

_PNG: Final = b"\x89PNG\r\n\x1a\n"


class Logs(msgspec.Struct, frozen=True):
    """A piece of what the code printed, the values and tracebacks that IPython shows among it."""

    text: str


class Picture(msgspec.Struct, frozen=True):
    """A picture that the code showed, as PNG."""

    data: bytes


Output = Logs | Picture


class Call:
    """What one piece of code has shown so far, and how long it may go on."""

    def __init__(self, limits: Limits) -> None:
        self.why = ""  # it was interrupted
        self._limits = limits
        self._until = time.monotonic() + limits.call_seconds
        self._sent = self._pictures = 0

    @property
    def interrupted(self) -> bool:
        """Whether it was told to stop."""
        return bool(self.why)

    def left(self) -> float:
        """Return the seconds that it has, below 0 where they are over."""
        return self._until - time.monotonic()

    def is_due(self) -> bool:
        """Whether it must not go on: the first time it is interrupted, the second time ended."""
        return self.left() <= 0 or (self._sent > self._limits.flood and not self.interrupted)

    def interrupt(self) -> None:
        """Give it a last while, to stop in."""
        late = self.left() <= 0
        self.why = f"it took longer than {self._limits.call_seconds:g} seconds" if late else "it printed without end"
        self._until = time.monotonic() + self._limits.grace_seconds

    def count(self, size: int) -> None:
        """Count bytes that came, whatever they were."""
        self._sent += size

    def show(self, text: str) -> Logs | None:
        """Count printed text; return what is shown of it."""
        self.count(len(text))
        return Logs(text) if text else None

    def show_picture(self, data: bytes) -> Output | None:
        """Count a picture; return what is shown of it."""
        self._pictures += 1
        if self._pictures > self._limits.pictures:
            if self._pictures > self._limits.pictures + 1:
                return None
            return Logs(f"\n[More pictures are left out: a call shows {self._limits.pictures}.]\n")
        if len(data) > self._limits.picture or not data.startswith(_PNG):
            return Logs("\n[A picture is left out: it is too large, or no picture.]\n")
        return Picture(data)

    def last_words(self) -> Logs | None:
        """Return what is said at the end of code that was interrupted."""
        return Logs(f"\n[The code was interrupted: {self.why}.]\n") if self.interrupted else None
