"""Citations: markers in an answer's text that name a search result become annotations.

The model is shown every result behind a marker, `【4:0†notes.pdf】` (search 4 of
the thread, its result 0, the file's name), and told to cite by copying it. Parts
of documents that stand whole in the prompt have markers of one number,
`【13†notes.pdf】`. A marker that names neither stays text.

Pure: nothing in this file does I/O.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Literal

from assistd.runs.marks import UNCLEAR, Doubt, Mark, Source
from assistd.runs.quotes import quote

_OPEN = "【"
_CLOSE = "】"
_MARKER = re.compile(r"【([0-9]{1,9})(?::([0-9]{1,4}))?†([^【】]*)】")
# What may still become a marker.
_BEGINNING = re.compile(r"【(?:[0-9]{1,9}(?::[0-9]{0,4}|(?::[0-9]{1,4})?†[^【】]*)?)?\Z")
_LONGEST = 300  # characters
_LONGEST_NAME = 255  # of those; a longer one is shown without its middle

# The service's older form has this word in place of the name, and models remember it.
_ANY_NAME = "source"


# Results by the number of their search in the thread, and their place in it; parts of documents by their one number.
Sources = Mapping[tuple[int, ...], Source]


def marker(search: int, place: int, filename: str) -> str:
    """Return the marker of a search result."""
    return f"{_OPEN}{search}:{place}†{shown_name(filename)}{_CLOSE}"


def document_marker(number: int, filename: str) -> str:
    """Return the marker of a part of a document."""
    return f"{_OPEN}{number}†{shown_name(filename)}{_CLOSE}"


def shown_name(filename: str) -> str:
    """Return a file's name as it can stand in a marker, of a length that a model can repeat."""
    name = re.sub(r"[【】†\s]+", " ", filename).strip()
    return name if len(name) <= _LONGEST_NAME else f"{name[: _LONGEST_NAME // 2]}…{name[-_LONGEST_NAME // 2 + 1 :]}"


class Citations:
    """The marks that cite one of these results."""

    opening = _OPEN

    def __init__(self, sources: Sources) -> None:
        self._sources = sources

    def may_follow(self, before: str) -> bool:
        """Whether a marker may begin behind this character: behind any."""
        return True

    def read(self, text: str, at: int, ended: bool) -> Mark | Literal[Doubt.UNCLEAR] | None:
        """Recognise the marker that begins at `at`."""
        if found := _MARKER.match(text, at):
            source = self._cited(found)
            return None if source is None else Mark(found.end(), source=source)
        waits = not ended and len(text) - at <= _LONGEST and _BEGINNING.match(text, at)
        return UNCLEAR if waits else None

    def _cited(self, found: re.Match[str]) -> Source | None:
        source = self._sources.get(tuple(int(number) for number in found.group(1, 2) if number is not None))
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
