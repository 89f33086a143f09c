"""The code of a call, read while the model still writes its arguments. Pure: nothing in this file does I/O.

The arguments should be `{"code": "..."}`. Weak models write other keys, the code
as a list of lines, JSON within JSON, or plain code and no JSON at all. What is
certain to be code comes out as it arrives; the rest when the arguments have ended.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import msgspec

from assistd.llm.json_scan import StringScanner, ValueScanner
from assistd.llm.keepable import keepable

# Under these keys a text is the code, the best name first.
_KEYS = ("code", "input", "source", "python", "script")
_KEY_SIZE = 10  # characters of a key that are looked at, more than any of these has
_SPACE = " \t\r\n"
_DEEPEST = 8  # levels of nesting in which code is looked for
_FENCE = "```"
_FENCE_LINE = re.compile(r"```[\w+-]*+[ \t]*+\n")  # possessive: nothing is tried twice


class CodeReader:
    """Reads the arguments of one call. How they are cut into pieces makes no difference to what comes out."""

    def __init__(self) -> None:
        self._step: Callable[[str, int], int] = self._before
        self._seen: list[str] = []  # everything, as long as it may turn out to be no JSON
        self._out: list[str] = []
        self._key = ""
        self._string = StringScanner()
        self._value = ValueScanner()
        self._found = False  # whether the code has begun to come out

    def feed(self, text: str) -> str:
        """Take the next piece of the arguments; return the piece of code that is certain by now."""
        self._out = []
        if not self._found:
            self._seen.append(text)
        at = 0
        while at < len(text):
            at = self._step(text, at)
        return "".join(self._out)

    def finish(self) -> str:
        """The arguments have ended: return what of the code has not come out yet."""
        if self._found:
            return ""
        self._found = True
        return keepable(_code_in("".join(self._seen)))

    # Each step reads on from a position and returns the next; which step comes then, it has set itself.

    def _before(self, text: str, at: int) -> int:
        if text[at] in _SPACE:
            return at + 1
        if text[at] == "{":
            self._step = self._before_key
            return at + 1
        if text[at] == '"':  # the code in quotes, or a text that the code begins with
            self._step = self._to_the_end
            return len(text)
        return self._is_plain(text, at)

    def _is_plain(self, text: str, at: int) -> int:
        """It is no JSON, so it is code: all of it, from its first character on."""
        self._found = True
        self._out.append(keepable("".join(self._seen)))
        self._seen = []
        self._step = self._plain
        return len(text)

    def _plain(self, text: str, at: int) -> int:
        self._out.append(keepable(text[at:]))
        return len(text)

    def _to_the_end(self, text: str, at: int) -> int:
        return len(text)

    def _before_key(self, text: str, at: int) -> int:
        if text[at] in _SPACE + ",":
            return at + 1
        if text[at] == "}":
            self._step = self._to_the_end
            return at + 1
        if text[at] != '"':
            return self._is_plain(text, at)
        self._key, self._string, self._step = "", StringScanner(), self._in_key
        return at + 1

    def _in_key(self, text: str, at: int) -> int:
        piece, at = self._string.feed(text, at)
        self._key = (self._key + piece)[:_KEY_SIZE]
        if self._string.done:
            self._step = self._before_colon
        return at

    def _before_colon(self, text: str, at: int) -> int:
        if text[at] in _SPACE:
            return at + 1
        if text[at] != ":":
            return self._is_plain(text, at)
        self._step = self._before_value
        return at + 1

    def _before_value(self, text: str, at: int) -> int:
        if text[at] in _SPACE:
            return at + 1
        if text[at] == '"' and self._key in _KEYS:
            self._found, self._seen = True, []
            self._string, self._step = StringScanner(), self._in_code
            return at + 1
        self._value, self._step = ValueScanner(), self._in_value
        return at

    def _in_code(self, text: str, at: int) -> int:
        piece, at = self._string.feed(text, at)
        self._out.append(piece)
        if self._string.done:
            self._step = self._to_the_end
        return at

    def _in_value(self, text: str, at: int) -> int:
        at = self._value.feed(text, at)
        if self._value.done:
            self._step = self._before_key
        return at


def runnable(code: str) -> str:
    """Return what is to be run of what the model wrote: the inside of a Markdown fence, where it stands in one."""
    stripped = code.strip()
    begins = _FENCE_LINE.match(stripped)
    if begins is None or not stripped.endswith(_FENCE):
        return code
    return stripped[begins.end() : -len(_FENCE)].rstrip(" \t").removesuffix("\n")


def _code_in(arguments: str, depth: int = _DEEPEST) -> str:
    """Find the code in arguments that have it in no usual place."""
    try:
        given = msgspec.json.decode(arguments)
    except (msgspec.DecodeError, RecursionError):
        return "" if arguments.lstrip(_SPACE).startswith("{") else arguments
    return _text_of(given, depth)


def _text_of(value: Any, depth: int) -> str:
    if depth == 0:
        return ""
    if isinstance(value, str):
        return (_code_in(value, depth - 1) or value) if value.lstrip(_SPACE).startswith('{"') else value
    if isinstance(value, list) and all(isinstance(line, str) for line in value):
        return "\n".join(value)
    if isinstance(value, dict):
        keys = dict.fromkeys((*_KEYS, *value))  # each once: what is done twice on a level is done 2**8 times on eight
        return next(filter(None, (_text_of(value.get(key), depth - 1) for key in keys)), "")
    return ""
