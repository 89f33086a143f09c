"""Marks in an answer's text: what in it becomes an annotation, found while the text still comes.

There are two kinds, citations of search results and links to files that code
made. Either may arrive in pieces, so what could become one is held back until it
is one, or cannot be any more; then the mark and what it names go out together.

Pure: nothing in this file does I/O.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from enum import Enum
from typing import Final, Literal, Protocol

import msgspec


class Source(msgspec.Struct, frozen=True):
    """A search result that an answer may cite."""

    file_id: str
    filename: str
    text: str


class Mark(msgspec.Struct, frozen=True):
    """A mark that was recognised: where it ends in the text, and the result or the path that it names."""

    end: int
    source: Source | None = None
    path: str | None = None


class Doubt(Enum):
    """What stands at a place may be a mark, or a longer one, depending on what follows."""

    UNCLEAR = "unclear"


UNCLEAR: Final = Doubt.UNCLEAR


class Kind(Protocol):
    """A kind of marks; each begins with the same words."""

    @property
    def opening(self) -> str:
        """What every mark of this kind begins with."""

    def may_follow(self, before: str) -> bool:
        """Whether a mark may begin behind this character ("": the text begins with it)."""

    def read(self, text: str, at: int, ended: bool) -> Mark | Literal[Doubt.UNCLEAR] | None:
        """Recognise what begins at `at`, where the opening stands; `ended` says that no more text comes."""


class Piece(msgspec.Struct, frozen=True):
    """A piece of text that can go out; a mark comes as a piece of its own, with what it names."""

    text: str
    source: Source | None = None
    path: str | None = None


class Reader:
    """Reads one text as it comes in."""

    def __init__(self, kinds: Sequence[Kind]) -> None:
        self._kinds = {kind.opening: kind for kind in kinds}
        self._opening = re.compile("|".join(map(re.escape, self._kinds)))
        self._held = ""
        self._before = ""  # the character before what is held

    def feed(self, value: str) -> list[Piece]:
        """Take in a piece of text; return what can go out by now."""
        return self._read(self._held + value, ended=False)

    def flush(self) -> list[Piece]:
        """Return what was held back: the text has ended."""
        return self._read(self._held, ended=True)

    def _read(self, text: str, ended: bool) -> list[Piece]:
        pieces: list[Piece] = []
        said = at = 0
        until = len(text)
        while found := self._opening.search(text, at):
            kind = self._kinds[found[0]]
            begin = found.start()
            fits = kind.may_follow(text[begin - 1] if begin else self._before)
            mark = kind.read(text, begin, ended) if fits else None
            if mark is UNCLEAR:
                until = begin
                break
            if mark is None:
                at = begin + 1
                continue
            _add(pieces, text[said:begin])
            pieces.append(Piece(text[begin : mark.end], mark.source, mark.path))
            said = at = mark.end
        else:
            until = len(text) if ended else self._begun(text, said)
        _add(pieces, text[said:until])
        self._held = text[until:]
        self._before = text[until - 1] if until else self._before
        return pieces

    def _begun(self, text: str, said: int) -> int:
        """Return where in the text, behind what is said, the beginning of an opening stands at its end."""
        for opening, kind in self._kinds.items():
            for size in range(min(len(opening) - 1, len(text) - said), 0, -1):
                begin = len(text) - size
                fits = kind.may_follow(text[begin - 1] if begin else self._before)
                if fits and text.endswith(opening[:size]):
                    return begin
        return len(text)


def _add(pieces: list[Piece], text: str) -> None:
    if text:
        pieces.append(Piece(text))
