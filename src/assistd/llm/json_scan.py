"""JSON read while it is still being written: one string, or one value of any kind. No I/O.

Both scanners take text in pieces split anywhere, even inside an escape, and
say where in a piece their value ended. They are lenient: what follows the
value, and whether a container's inside is sound, is not their business.
"""

from __future__ import annotations

import re
from typing import Final

from assistd.llm.keepable import keepable

_QUOTE_OR_ESCAPE: Final = re.compile(r'["\\]')
_STRUCTURE: Final = re.compile(r'["\\{}\[\]]')
_SCALAR_END: Final = re.compile(r"[\s,:}\]]")
_SIMPLE_ESCAPES: Final = {"b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t"}
_REPLACEMENT: Final = "\ufffd"


class StringScanner:
    """Decodes a JSON string, from behind its opening quote to its closing one.

    What cannot be kept (U+0000, halves of surrogate pairs) comes out as U+FFFD.
    """

    __slots__ = ("_escape", "_high", "done")

    def __init__(self) -> None:
        self._escape = ""  # a begun escape: "\", "\u", "\u1", ...
        self._high = 0  # the first half of a surrogate pair, waiting for the second
        self.done = False

    def feed(self, text: str, at: int = 0) -> tuple[str, int]:
        """Read `text` from position `at`; return what it decodes to and the position behind what was read."""
        out: list[str] = []
        while at < len(text) and not self.done:
            if self._escape:
                self._escape += text[at]
                at += 1
                self._end_escape(out)
                continue
            special = _QUOTE_OR_ESCAPE.search(text, at)
            stop = special.start() if special else len(text)
            if stop > at:
                self._plain(text[at:stop], out)
            at = stop
            if special:
                at += 1
                if special.group() == "\\":
                    self._escape = "\\"
                else:
                    self._plain("", out)
                    self.done = True
        return "".join(out), at

    def _plain(self, text: str, out: list[str]) -> None:
        if self._high:
            self._high = 0
            out.append(_REPLACEMENT)
        if text:
            out.append(keepable(text))

    def _end_escape(self, out: list[str]) -> None:
        escape = self._escape
        if escape == "\\u" or (escape[1] == "u" and len(escape) < 6):
            return
        self._escape = ""
        if escape[1] != "u":
            self._plain(_SIMPLE_ESCAPES.get(escape[1], escape[1]), out)
            return
        try:
            unit = int(escape[2:], 16)
        except ValueError:
            unit = 0xFFFD
        if 0xDC00 <= unit < 0xE000 and self._high:
            out.append(chr(0x10000 + ((self._high - 0xD800) << 10) + unit - 0xDC00))
            self._high = 0
        elif 0xD800 <= unit < 0xDC00:
            self._plain("", out)
            self._high = unit
        else:
            self._plain(chr(unit), out)


class ValueScanner:
    """Finds the end of a JSON value of any kind, from its first character on; the text itself stays as it is."""

    __slots__ = ("_depth", "_escaped", "_in_string", "_kind", "done")

    def __init__(self) -> None:
        self._kind = ""
        self._depth = 0
        self._in_string = False
        self._escaped = False
        self.done = False

    def feed(self, text: str, at: int = 0) -> int:
        """Read `text` from position `at`; return the position behind what belongs to the value."""
        if not self._kind and at < len(text):
            self._kind = "nested" if text[at] in '{["' else "scalar"
        if self._kind == "scalar":
            end = _SCALAR_END.search(text, at)
            self.done = end is not None
            return end.start() if end else len(text)
        while at < len(text) and not self.done:
            at = self._step(text, at)
        return at

    def _step(self, text: str, at: int) -> int:
        if self._escaped:
            self._escaped = False
            return at + 1
        found = _STRUCTURE.search(text, at)
        if found is None:
            return len(text)
        character = found.group()
        if self._in_string:
            if character == "\\":
                self._escaped = True
            elif character == '"':
                self._in_string = False
                self.done = self._depth == 0
        elif character == '"':
            self._in_string = True
        elif character in "{[":
            self._depth += 1
        elif character in "}]":
            self._depth -= 1
            self.done = self._depth == 0
        return found.end()
