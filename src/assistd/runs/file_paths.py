"""Links to files that code made: `sandbox:/mnt/data/x.csv` in an answer's text becomes an annotation.

Only paths that are known count, and of several that fit the longest. A model
writes them as they are, with %-escapes, or with Markdown's backslashes, and
punctuation may follow: so the text is read against the paths, not cut out of it.

Pure: nothing in this file does I/O.
"""

from __future__ import annotations

import re
import string
from bisect import bisect_left
from collections.abc import Iterable, Iterator
from typing import Any, Literal

from assistd.runs.marks import UNCLEAR, Doubt, Mark

PREFIX = "sandbox:/mnt/data/"

_ESCAPES = re.compile(r"%(?:[0-9A-Fa-f]{2}(?:%[0-9A-Fa-f]{2}){0,3})")
_BEGUN_ESCAPE = re.compile(r"%[0-9A-Fa-f]?\Z")
_WORD = frozenset(string.ascii_letters + string.digits + "_")
# Behind a path these end a sentence or begin more of the name, as what follows them shows.
_JOINTS = frozenset(".-~+%")


class KnownPaths:
    """The marks that name one of these paths, which are relative to /mnt/data."""

    opening = PREFIX

    def __init__(self, paths: Iterable[str]) -> None:
        self._paths = sorted(set(paths) - {""})

    def may_follow(self, before: str) -> bool:
        """Whether a link may begin behind this character."""
        return before not in _WORD

    def read(self, text: str, at: int, ended: bool) -> Mark | Literal[Doubt.UNCLEAR] | None:
        """Recognise the link that begins at `at`."""
        ends: dict[int, str] = {}  # where a known path ends, and which
        states = {(at + len(PREFIX), "")}
        while states:
            following = set()
            for place, path in states:
                if self._is_known(path):
                    ends[place] = max(ends.get(place, ""), path, key=len)  # rather as it stands than unescaped
                goes_on = self._begins(path, longer=True)
                if not ended and goes_on and _is_open(text, place):
                    return UNCLEAR
                if goes_on:
                    following |= {(end, path + c) for c, end in _characters(text, place) if self._begins(path + c)}
            states = following
        for end in sorted(ends, reverse=True):
            apart = _is_apart(text, end, ended)
            if apart is UNCLEAR:
                return UNCLEAR
            if apart:
                return Mark(end, path=ends[end])
        return None

    def _is_known(self, path: str) -> bool:
        place = bisect_left(self._paths, path)
        return place < len(self._paths) and self._paths[place] == path

    def _begins(self, path: str, *, longer: bool = False) -> bool:
        """Whether a known path begins so; with `longer`, whether one begins so and goes on."""
        place = bisect_left(self._paths, path)
        if longer and place < len(self._paths) and self._paths[place] == path:
            place += 1
        return place < len(self._paths) and self._paths[place].startswith(path)


def annotation(text: str, file_id: str, start: int) -> dict[str, Any]:
    """Return the annotation of a link that begins at `start`, in code points."""
    return {
        "type": "file_path",
        "text": text,
        "start_index": start,
        "end_index": start + len(text),
        "file_path": {"file_id": file_id},
    }


def _characters(text: str, at: int) -> Iterator[tuple[str, int]]:
    """Yield the characters that may be meant by what stands at a place, each with where it ends."""
    if at >= len(text):
        return
    yield text[at], at + 1
    if text[at] == "\\" and text[at + 1 : at + 2] in string.punctuation and at + 1 < len(text):
        yield text[at + 1], at + 2
    if found := _ESCAPES.match(text, at):
        octets = bytes.fromhex(found[0].replace("%", ""))
        for size in range(1, len(octets) + 1):
            try:
                character = octets[:size].decode()
            except UnicodeDecodeError:
                continue
            yield character, at + 3 * size
            return


def _is_open(text: str, at: int) -> bool:
    """Whether the character at a place is not whole yet."""
    rest = text[at : at + 12]
    if not rest or rest == "\\" or _BEGUN_ESCAPE.match(rest):
        return True
    found = _ESCAPES.match(rest)
    if found is None or found.end() > 9:
        return False
    size = _octets(int(rest[1:3], 16))
    following = rest[found.end() :]
    return found.end() < 3 * size and (not following or _BEGUN_ESCAPE.match(following) is not None)


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
