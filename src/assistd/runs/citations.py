"""Citations: markers in an answer's text that name a search result become annotations.

The model is shown every result behind a marker, `【4:0†notes.pdf】` (search 4 of
the thread, its result 0, the file's name), and told to cite by copying it. Here
the answer is read as it comes. A marker may arrive in pieces, so what could
become one is held back until it is one, or cannot be any more; then marker and
annotation go out together. A marker that names no result stays text.

Pure: nothing in this file does I/O.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import msgspec

_OPEN = "【"
_CLOSE = "】"
_MARKER = re.compile(r"【([0-9]{1,9}):([0-9]{1,4})†([^【】]*)】")
# What may still become a marker.
_BEGINNING = re.compile(r"【(?:[0-9]{1,9}(?::(?:[0-9]{1,4}(?:†[^【】]*)?)?)?)?\Z")
_LONGEST = 300  # characters; a file's name has at most 255

# The service's older form has this word in place of the name, and models remember it.
_ANY_NAME = "source"

_QUOTE = 320  # characters of a passage that a citation quotes, about
_SENTENCE = re.compile(r"(?<=[.!?。！？])\s+|\n+")
_WORD = re.compile(r"\w+")


class Source(msgspec.Struct, frozen=True):
    """A search result that an answer may cite."""

    file_id: str
    filename: str
    text: str


# Results by the number of their search in the thread, and their place in it.
Sources = Mapping[tuple[int, int], Source]


class Piece(msgspec.Struct, frozen=True):
    """A piece of text that can go out; a marker comes as a piece of its own, with what it cites."""

    text: str
    source: Source | None = None


def marker(search: int, place: int, filename: str) -> str:
    """Return the marker of a search result."""
    return f"{_OPEN}{search}:{place}†{shown_name(filename)}{_CLOSE}"


def shown_name(filename: str) -> str:
    """Return a file's name as it can stand in a marker."""
    return re.sub(r"[【】†\s]+", " ", filename).strip()


class Reader:
    """Reads one text part as it comes in."""

    def __init__(self, sources: Sources) -> None:
        self._sources = sources
        self._held = ""

    def feed(self, value: str) -> list[Piece]:
        """Take in a piece of text; return what can go out by now."""
        text = self._held + value
        # What stands before the last bracket is a marker by now, or none.
        last = text.rfind(_OPEN)
        waits = last >= 0 and len(text) - last <= _LONGEST and _BEGINNING.match(text, last)
        ready, self._held = (text[:last], text[last:]) if waits else (text, "")
        pieces: list[Piece] = []
        start = 0
        for found in _MARKER.finditer(ready):
            source = self._cited(found)
            if source is None:
                continue
            if found.start() > start:
                pieces.append(Piece(ready[start : found.start()]))
            pieces.append(Piece(found[0], source))
            start = found.end()
        if start < len(ready):
            pieces.append(Piece(ready[start:]))
        return pieces

    def flush(self) -> list[Piece]:
        """Return what was held back: the text has ended, so it is no marker."""
        held, self._held = self._held, ""
        return [Piece(held)] if held else []

    def _cited(self, found: re.Match[str]) -> Source | None:
        source = self._sources.get((int(found[1]), int(found[2])))
        if source is None or found[3].strip() not in (shown_name(source.filename), _ANY_NAME):
            return None
        return source


def annotation(text: str, source: Source, start: int, said: str) -> dict[str, Any]:
    """Return the annotation of a marker that begins at `start`, in code points, behind the words `said`.

    `quote` is ours: the words of the passage that the answer rests on, as v1 had it.
    """
    return {
        "type": "file_citation",
        "text": text,
        "start_index": start,
        "end_index": start + len(text),
        "file_citation": {"file_id": source.file_id, "quote": quote(source.text, said)},
    }


def quote(passage: str, said: str) -> str:
    """Return the part of a passage, word for word, that shares most with what was said before the marker."""
    claim = _words(_SENTENCE.split(said.rstrip(" .。"))[-1])
    spans = _sentences(passage)
    if not spans:
        return ""
    best, best_score = (0, 0), -1.0
    for first in range(len(spans)):
        last = first
        while last + 1 < len(spans) and spans[last + 1][1] - spans[first][0] <= _QUOTE:
            last += 1
        heard = _words(passage[spans[first][0] : spans[last][1]])
        score = len(claim & heard) / (1 + 0.01 * len(heard))
        if score > best_score:
            best, best_score = (first, last), score
    first, last = best
    return passage[spans[first][0] : min(spans[last][1], spans[first][0] + 2 * _QUOTE)].strip()


def _sentences(passage: str) -> list[tuple[int, int]]:
    """Return where the sentences of a passage begin and end."""
    spans, start = [], 0
    for gap in [*_SENTENCE.finditer(passage), None]:
        end = len(passage) if gap is None else gap.start()
        if passage[start:end].strip():
            spans.append((start, end))
        start = end if gap is None else gap.end()
    return spans


def _words(text: str) -> set[str]:
    return {word for word in _WORD.findall(text.casefold()) if len(word) > 2}
