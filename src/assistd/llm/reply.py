"""A constrained reply, read while it streams: `{"tool": ..., "arguments": ...}` or `{"answer": ...}`. No I/O."""

from __future__ import annotations

from collections.abc import Callable

from assistd import ids
from assistd.llm.json_scan import StringScanner, ValueScanner
from assistd.llm.protocol import CallArguments, CallStart, Delta, Text

_SPACE = " \t\r\n"


class NotAReply(ValueError):
    """The text is not one of the two objects."""


class ReplyReader:
    """Turns the pieces of a reply's text into deltas, as early as they are certain.

    An answer's text comes out decoded where `answer_is_text`; otherwise, and for
    arguments always, the JSON text of the value comes out as it stands. A text that
    is no JSON object at all is taken for an answer: that is what a server writes
    which does not keep to the schema.
    """

    def __init__(self, answer_is_text: bool) -> None:
        self._answer_is_text = answer_is_text
        self._step: Callable[[str, int], int] = self._before_object
        self._out: list[Delta] = []
        self._key = ""
        self._name: list[str] = []
        self._held: list[str] = []  # arguments that came before the tool's name
        self._string = StringScanner()
        self._value = ValueScanner()
        self._answered = False
        self._argued = False
        self.called = False

    def feed(self, text: str) -> list[Delta]:
        """Take the next piece of text. Raises NotAReply."""
        out = self._out = []
        at = 0
        while at < len(text):
            at = self._step(text, at)
        return out

    def finish(self, whole: bool) -> list[Delta]:
        """The text ended; `whole` says that it was not cut. Return what is left. Raises NotAReply."""
        self._out = []
        if whole and self._step not in (self._before_object, self._after_object, self._plain):
            raise NotAReply("The reply is not complete.")
        if whole and self._step == self._after_object and not (self.called or self._answered):
            raise NotAReply("The reply is neither a call nor an answer.")
        if whole and self.called and not self._argued:
            self._out.append(CallArguments(0, "{}"))
        return self._out

    # Each step reads on from a position and returns the next; which step comes then, it has set itself.

    def _before_object(self, text: str, at: int) -> int:
        if text[at] in _SPACE:
            return at + 1
        if text[at] == "{":
            self._step = self._before_key
            return at + 1
        self._answered = True
        self._step = self._plain
        return at

    def _plain(self, text: str, at: int) -> int:
        self._out.append(Text(text[at:]))
        return len(text)

    def _before_key(self, text: str, at: int) -> int:
        if text[at] == '"':
            self._key = ""
            self._string = StringScanner()
            self._step = self._in_key
        elif text[at] == "}":
            self._step = self._after_object
        elif text[at] not in _SPACE + ",":
            raise NotAReply("The reply has something else where a key must stand.")
        return at + 1

    def _in_key(self, text: str, at: int) -> int:
        piece, at = self._string.feed(text, at)
        self._key += piece
        if self._string.done:
            self._step = self._before_value
        return at

    def _before_value(self, text: str, at: int) -> int:
        if text[at] in _SPACE + ":":
            return at + 1
        decoded = self._key == "tool" or (self._key == "answer" and self._answer_is_text)
        if decoded and text[at] == '"':
            self._string = StringScanner()
            self._step = self._in_string
            return at + 1
        self._value = ValueScanner()
        self._step = self._in_value
        return at

    def _in_string(self, text: str, at: int) -> int:
        piece, at = self._string.feed(text, at)
        if self._key == "tool":
            self._name.append(piece)
        else:
            self._answer(piece)
        if self._string.done:
            self._step = self._before_key
            if self._key == "tool":
                self._call()
        return at

    def _in_value(self, text: str, at: int) -> int:
        end = self._value.feed(text, at)
        if self._key == "answer":
            self._answer(text[at:end])
        elif self._key == "arguments":
            self._argue(text[at:end])
        if self._value.done:
            self._step = self._before_key
        return end

    def _after_object(self, text: str, at: int) -> int:
        return len(text)  # spaces as a rule; whatever a server adds, the reply is complete

    def _answer(self, piece: str) -> None:
        self._answered = True
        if piece:
            self._out.append(Text(piece))

    def _call(self) -> None:
        if self.called or self._answered:
            raise NotAReply("The reply is more than one call or answer.")
        self.called = True
        self._out.append(CallStart(0, ids.new("call_"), "".join(self._name)))
        for piece in self._held:
            self._argue(piece)

    def _argue(self, piece: str) -> None:
        if not piece:
            return
        if not self.called:
            self._held.append(piece)
            return
        self._argued = True
        self._out.append(CallArguments(0, piece))
