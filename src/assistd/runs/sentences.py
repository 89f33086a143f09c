"""Where the sentences of a text begin and end: those of prose, and what stands in lines of their own.

Pure: nothing in this file does I/O.
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple

LONGEST: Final = 320  # characters; what is longer is cut at a comma or a space

# Spaces between sentences, or the full stops of scripts that put none behind them.
_GAP = re.compile(r"\s+|[。！？｡।॥۔؟።။]+[」』”’）)]*")
_LINE_BREAKS = frozenset("\n\r\v\f\x85\u2028\u2029")
_NARROWEST: Final = 30  # characters of a line that is broken for want of room
# How much of the longest line a line has with the next one's first word, at least, if that had no room in it.
_FULL, _RAGGED = 0.9, 0.6
_CLOSING = "\"'”’»›)]}*_`"
_ENDS = ".!?…"
_CUT = re.compile(r"[,;:，、；：]|\s")

# Words that end in a dot which is no full stop.
_ABBREVIATIONS = frozenset(
    {
        *("al", "approx", "art", "bzw", "ca", "capt", "cf", "cit", "co", "col", "corp", "dept", "dr", "e.g", "ed"),
        *("eds", "eg", "est", "etc", "fig", "figs", "gen", "gov", "i.e", "ie", "inc", "jr", "lt", "ltd", "max", "min"),
        *("mr", "mrs", "ms", "nr", "op", "pp", "prof", "pt", "rev", "sec", "sen", "sgt", "sr", "st", "str", "tel"),
        *("u.a", "usw", "vgl", "vol", "vs", "z.b"),
    }
)
_BEFORE_NUMBERS = frozenset({"no", "nos"})  # words of their own where none follows


class Span(NamedTuple):
    """A part of a text, without the spaces around it."""

    start: int
    end: int

    @property
    def size(self) -> int:
        return self.end - self.start


def sentences(text: str) -> list[Span]:
    """Return the sentences of a text in their order; lines of tables and lists, and headings, are sentences too."""
    found: list[Span] = []
    start = 0
    width = max(map(len, text.splitlines()), default=0)
    for gap in _GAP.finditer(text):
        spaces = gap[0].isspace()
        if spaces and not _is_end(text, start, gap, width):
            continue
        _add(found, text, start, gap.start() if spaces else gap.end())
        start = gap.end()
    _add(found, text, start, len(text))
    return found


def _is_end(text: str, start: int, gap: re.Match[str], width: int) -> bool:
    """Whether a sentence that began at `start` ends before these spaces; no line is longer than `width` characters."""
    breaks = sum(c in _LINE_BREAKS for c in gap[0].replace("\r\n", "\n"))
    if breaks > 1:
        return True
    before = text[max(start, gap.start() - 40) : gap.start()].rstrip(_CLOSING)
    ended = before[-1:] in _ENDS if before else False
    if not ended:
        return breaks == 1 and not _goes_on(text, gap, width)
    if text[gap.end() : gap.end() + 1].islower():
        return False
    after = text[gap.end() : gap.end() + 1]
    return bool(breaks) or before[-1] != "." or not _is_abbreviated(before.split()[-1], after)


def _goes_on(text: str, gap: re.Match[str], width: int) -> bool:
    """Whether a line goes on in the next one: its last word is none that ends it, and the next had no room in it.

    Where the next begins with a small letter, it may have had some: margins are ragged.
    """
    before, after = text[gap.start() - 1 : gap.start()], text[gap.end() : gap.end() + 40]
    if width < _NARROWEST or not (before.isalnum() or before in (",", "-")) or not after[:1].isalnum():
        return False
    start = max(text.rfind(c, max(0, gap.start() - width), gap.start()) for c in _LINE_BREAKS)
    line = gap.start() - 1 - start if start >= 0 else min(width, gap.start())
    return line + 1 + len(after.split()[0]) > width * (_RAGGED if after[0].islower() else _FULL)


def _is_abbreviated(word: str, after: str) -> bool:
    """Whether a word that ends in a dot is cut short, or a number in an order; `after` begins the next word."""
    bare = word.lstrip("([{\"'“‘«*_`-").rstrip(".").casefold()
    if bare in _BEFORE_NUMBERS and after.isdecimal():
        return True
    numbered = bare.isdecimal() and len(bare) < 3  # `1. First`, `3. Mai`
    return numbered or (len(bare) == 1 and bare.isalpha()) or bare in _ABBREVIATIONS


def _add(found: list[Span], text: str, start: int, end: int) -> None:
    """Add the sentence between two places, in parts where it is too long."""
    while start < end and text[start].isspace():
        start += 1
    while end > start and text[end - 1].isspace():
        end -= 1
    while end - start > LONGEST:
        cut = start + LONGEST
        for place in _CUT.finditer(text, start + LONGEST // 2, cut):
            cut = place.end()
        _add(found, text, start, cut)
        start = cut
        while start < end and text[start].isspace():
            start += 1
    if start < end:
        found.append(Span(start, end))
