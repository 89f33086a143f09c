"""How long a JSON body will take to be decoded, estimated while it arrives.

Decoding happens in one go, and nobody else is served meanwhile. What it costs has little to do with the body's
size: 30 MB of plain text take less than 1 MB of small objects. So every part is scanned as it comes, without building
anything of it, and a body that would take too long, or is nested too deeply, is refused before it has arrived.
"""

from __future__ import annotations

from typing import Final

from assistd import errors

# Levels of nesting in a body. Python's own limit is near a thousand and depends on who calls; no schema comes near.
MAX_DEPTH: Final = 200

# What decoding costs, in nanoseconds on a common core, measured by benchmarks/decoding.py: each is the worst of its
# kind. Twice the limit, because a body that has a fault is decoded once more to explain it, is still below 0.1 s.
LIMIT: Final = 50_000_000
_BYTE: Final = 1
_SPACE: Final = 2  # or any other byte outside of strings
_NOT_ASCII: Final = 3
_ESCAPE: Final = 10
_VALUE: Final = 100
_MEMBER: Final = 250
_CONTAINER: Final = 250
SLOW_NUMBER: Final = 20_000

_DIGITS: Final = bytes.maketrans(b"123456789.", b"0" * 10)
_LONG_NUMBER: Final = b"0" * 20
_ASCII: Final = bytes(range(128))
_OPENING: Final = b"[{"
_NO_BRACKETS: Final = bytes(set(range(256)) - set(b"[]{}"))


class JsonWeight:
    """The weight of one body, part by part."""

    def __init__(self) -> None:
        self._nanoseconds = 0
        self._depth = 0
        self._in_string = False
        self._held = b""  # a backslash whose other half comes with the next part

    def add(self, part: bytes) -> None:
        """Count the next part. Raises APIError: 413 for a body that is too heavy, 400 for one nested too deeply."""
        outside = self._outside(self._without_escapes(self._held + part))
        self._nanoseconds += (
            len(part) * _BYTE
            + len(outside) * _SPACE
            + outside.count(b",") * _VALUE
            + outside.count(b":") * _MEMBER
            + (outside.count(b"[") + outside.count(b"{")) * _CONTAINER
            + _slow_numbers(outside) * SLOW_NUMBER
        )
        if not part.isascii():
            self._nanoseconds += len(part.translate(None, _ASCII)) * _NOT_ASCII
        if self._nanoseconds > LIMIT:
            raise errors.body_too_heavy()
        self._descend(outside)

    def _without_escapes(self, part: bytes) -> bytes:
        """Drop what could be taken for the end of a string and is none."""
        self._held = b""
        if b"\\" not in part:
            return part
        if (len(part) - len(part.rstrip(b"\\"))) % 2:
            part, self._held = part[:-1], b"\\"
        self._nanoseconds += part.count(b"\\") * _ESCAPE
        return part.replace(b"\\\\", b"").replace(b'\\"', b"")

    def _outside(self, part: bytes) -> bytes:
        """Return what is not inside of strings."""
        pieces = part.split(b'"')
        outside = b"".join(pieces[self._in_string :: 2])
        self._in_string ^= len(pieces) % 2 == 0
        return outside

    def _descend(self, outside: bytes) -> None:
        depth = self._depth
        for bracket in outside.translate(None, _NO_BRACKETS):
            depth += 1 if bracket in _OPENING else -1
            if depth > MAX_DEPTH:
                raise errors.nested_too_deeply()
        self._depth = depth


def _slow_numbers(outside: bytes) -> int:
    """Return how many numbers have an exponent, or twenty digits; one with more counts once for every twenty."""
    exponents = outside.count(b"e") + outside.count(b"E") - outside.count(b"true") - outside.count(b"false")
    return max(0, exponents) + outside.translate(_DIGITS).count(_LONG_NUMBER)
