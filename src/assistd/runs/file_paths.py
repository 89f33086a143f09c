"""Links to files that code made: `sandbox:/mnt/data/x.csv` in an answer's text becomes an annotation.

Only paths that are known count, and of several that fit the longest. A model
writes them as they are, with %-escapes, with Markdown's backslashes, or with
both, and punctuation may follow: so the text is read against the paths, not cut
out of it. Each link is read in these four ways, and in each of them no character
twice, however the text is cut: a mixture of ways would be one of 2**n.

Pure: nothing in this file does I/O.
"""

from __future__ import annotations

import re
import string
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator
from contextlib import suppress
from typing import Any, Literal

from assistd.runs.marks import UNCLEAR, Doubt, Mark

PREFIX = "sandbox:/mnt/data/"

_ESCAPES = re.compile(r"%(?:[0-9A-Fa-f]{2}(?:%[0-9A-Fa-f]{2}){0,3})")
_BEGUN_ESCAPE = re.compile(r"%[0-9A-Fa-f]?\Z")
_PUNCTUATION = frozenset(string.punctuation)
_WORD = frozenset(string.ascii_letters + string.digits + "_")
# Behind a path these end a sentence or begin more of the name, as what follows them shows.
_JOINTS = frozenset(".-~+%")


class KnownPaths:
    """The marks that name one of these paths, which are relative to /mnt/data."""

    opening = PREFIX

    def __init__(self, paths: Iterable[str]) -> None:
        self._paths = sorted(set(paths) - {""})
        self._begun: _Link | None = None  # the one that was unclear
        self._seen = ""  # its text

    def may_follow(self, before: str) -> bool:
        """Whether a link may begin behind this character."""
        return before not in _WORD

    def read(self, text: str, at: int, ended: bool) -> Mark | Literal[Doubt.UNCLEAR] | None:
        """Recognise the link that begins at `at`; one that was unclear is read on from where that was seen."""
        link = self._begun
        if link is None or not text.startswith(self._seen, at):
            link = _Link(self._paths)
        mark = link.read(text, at, ended)
        self._begun, self._seen = (link, text[at:]) if mark is UNCLEAR else (None, "")
        return mark


class _Link:
    """One link, as far as it has been read. Its places are counted from its beginning."""

    def __init__(self, paths: list[str]) -> None:
        self._ways = [_Way(paths, backslashes, percents) for backslashes in (False, True) for percents in (False, True)]
        self._ends: dict[int, str] = {}  # where a known path ends, and which

    def read(self, text: str, at: int, ended: bool) -> Mark | Literal[Doubt.UNCLEAR] | None:
        for way in self._ways:
            for end, path in way.read(text, at, ended):
                self._ends[end] = max(self._ends.get(end, ""), path, key=len)  # rather as it stands than unescaped
        self._ways = [way for way in self._ways if way.goes_on]
        if self._ways and not ended:
            return UNCLEAR
        for end in sorted(self._ends, reverse=True):
            apart = _is_apart(text, at + end, ended)
            if apart is UNCLEAR:
                return UNCLEAR
            if apart:
                return Mark(at + end, path=self._ends[end])
        return None


class _Way:
    """A link read in one way: with or without a meaning of backslashes, and of percent signs."""

    def __init__(self, paths: list[str], backslashes: bool, percents: bool) -> None:
        self._paths = paths
        self._backslashes = backslashes
        self._percents = percents
        self._place = len(PREFIX)
        self._size = 0  # characters of a path that were read
        self._first, self._last = 0, len(paths)  # those that begin with them: they stand together

    @property
    def goes_on(self) -> bool:
        """Whether a known path begins with what was read and is longer."""
        return self._first < self._last and len(self._paths[self._last - 1]) > self._size

    def read(self, text: str, at: int, ended: bool) -> Iterator[tuple[int, str]]:
        """Read on as far as there are whole characters and a known path goes on; yield those that end, and where."""
        while self.goes_on and at + self._place < len(text):
            if not ended and self._is_open(text, at + self._place):
                return
            character, end = self._character(text, at + self._place)
            self._place = end - at
            self._narrow(character)
            if self._first < self._last and len(self._paths[self._first]) == self._size:
                yield self._place, self._paths[self._first]

    def _narrow(self, character: str) -> None:
        """Keep the paths that have this character next."""
        size, self._size = self._size, self._size + 1

        def following(path: str) -> str:
            return path[size : size + 1]

        self._first = bisect_left(self._paths, character, self._first, self._last, key=following)
        self._last = bisect_right(self._paths, character, self._first, self._last, key=following)

    def _character(self, text: str, at: int) -> tuple[str, int]:
        """Return the character that is meant by what stands at a place, and where it ends."""
        if self._backslashes and text[at] == "\\" and text[at + 1 : at + 2] in _PUNCTUATION:
            return text[at + 1], at + 2
        if self._percents and (found := _ESCAPES.match(text, at)):
            octets = bytes.fromhex(found[0].replace("%", ""))
            size = _octets(octets[0])
            with suppress(UnicodeDecodeError):
                return octets[:size].decode(), at + 3 * size
        return text[at], at + 1

    def _is_open(self, text: str, at: int) -> bool:
        """Whether the character at a place is not whole yet."""
        rest = text[at : at + 12]
        if rest == "\\":
            return self._backslashes
        if not self._percents:
            return False
        if _BEGUN_ESCAPE.match(rest):
            return True
        found = _ESCAPES.match(rest)
        if found is None or found.end() > 9:
            return False
        following = rest[found.end() :]
        return found.end() < 3 * _octets(int(rest[1:3], 16)) and (not following or bool(_BEGUN_ESCAPE.match(following)))


def annotation(text: str, file_id: str, start: int) -> dict[str, Any]:
    """Return the annotation of a link that begins at `start`, in code points."""
    return {
        "type": "file_path",
        "text": text,
        "start_index": start,
        "end_index": start + len(text),
        "file_path": {"file_id": file_id},
    }


def _octets(first: int) -> int:
    """Return how many octets a character has that begins with this one."""
    return 1 if first < 0xC0 else 2 if first < 0xE0 else 3 if first < 0xF0 else 4


def _is_apart(text: str, end: int, ended: bool) -> bool | Literal[Doubt.UNCLEAR]:
    """Whether the name ends where a known path does; it goes on in `x.csv.gz`, where only `x.csv` is known."""
    behind = text[end : end + 2]
    if (not behind or (len(behind) == 1 and behind in _JOINTS)) and not ended:
        return UNCLEAR
    if not behind:
        return True
    if behind[0] in _JOINTS:
        return behind[1:] not in _WORD or len(behind) == 1
    return behind[0] not in _WORD and behind[0] != "/"
