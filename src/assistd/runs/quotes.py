"""Quotes: the sentence or two of a passage that a statement of an answer rests on.

The passage is cut into sentences, table rows, list items and headings; quoted is the one that shares most of the
statement's words, rare ones above all, and its neighbour where that has much of what is missing.

Pure: nothing in this file does I/O.
"""

from __future__ import annotations

import math
import re
import unicodedata
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from assistd.runs.sentences import Span, sentences

_LONGEST: Final = 480  # characters of a quote; a sentence alone has at most 320
_MOST_READ: Final = 32_000  # characters of a passage: the longest that are cut have hardly as many
_MARKER = re.compile(r"【[^【】]*】")

# How much a word counts that was said since the last marker; earlier in the same sentence; in sentences before it.
_HERE, _BESIDE, _BEFORE = 1.0, 0.3, 0.05
# How much of what a sentence shares its neighbour has to add; more across an empty line, where another thing begins.
_WORTH, _WORTH_ACROSS = 0.3, 0.6
_PER_CHARACTER = 0.001  # by how much a longer sentence that shares the same is worse

_STOPS: Final = frozenset(".!?…。！？")

_TOKEN = re.compile(r"\d(?:[\d.,]*\d)?|[^\W\d_]+")
# Scripts that put no spaces between words, and Hangul, whose endings stand at its words.
_UNSPACED = re.compile(
    "[\u0e00-\u0eff\u1000-\u109f\u1100-\u11ff\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af\uf900-\ufaff"
    "\U00020000-\U0003ffff]"
)


def quote(passage: str, said: str) -> str:
    """Return the part of a passage, word for word, that what was `said` before a marker rests on.

    Where it shares no word with the passage, that is the passage's first sentence, which a heading is not, if there is
    any; "" of an empty passage.
    """
    passage = passage.strip()[:_MOST_READ]
    spans = sentences(passage)
    if not spans:
        return ""
    words = [words_of(passage[span.start : span.end]) for span in spans]
    sought = _sought(said, words)
    shared = [sum(sought[word] for word in heard & sought.keys()) for heard in words]
    if not any(shared):
        whole = next((span for span in spans if passage[span.end - 1] in _STOPS), spans[0])
        return passage[whole.start : whole.end]
    best = max(range(len(spans)), key=lambda n: shared[n] / (1 + _PER_CHARACTER * spans[n].size))
    first, last = _with_neighbour(passage, spans, words, sought, best)
    return passage[spans[first].start : spans[last].end]


def words_of(text: str) -> frozenset[str]:
    """Return the words of a text, each in a form in which its inflections are alike, as a rule."""
    return frozenset(word for token in _TOKEN.findall(_plain(text)) for word in _forms(token))


def _sought(said: str, heard: Sequence[frozenset[str]]) -> Mapping[str, float]:
    """Return what each word of a statement counts that is in one of the sentences, and not in all alike."""
    counts: dict[str, float] = {}
    for text, factor in _parts(said):
        for word in words_of(text):
            counts.setdefault(word, factor)
    spread = Counter(word for words in heard for word in words & counts.keys())
    return {word: counts[word] * _weight(word) * math.log(1 + len(heard) / spread[word]) for word in spread}


def _parts(said: str) -> Iterator[tuple[str, float]]:
    """Yield the parts of what was said, the last one first, with how much their words count."""
    spans = [span for span in sentences(said) if _TOKEN.search(_MARKER.sub(" ", said[span.start : span.end]))]
    if not spans:
        return
    pieces = [piece for piece in _MARKER.split(said[spans[-1].start : spans[-1].end]) if _TOKEN.search(piece)]
    yield pieces[-1], _HERE
    yield " ".join(pieces), _BESIDE
    yield _MARKER.sub(" ", said[: spans[-1].start]), _BEFORE


def _with_neighbour(
    passage: str, spans: Sequence[Span], words: Sequence[frozenset[str]], sought: Mapping[str, float], best: int
) -> tuple[int, int]:
    """Return the first and the last of the sentences to be quoted: the best one, and maybe the one at its side."""
    shared = sum(sought[word] for word in words[best] & sought.keys())
    chosen, most = (best, best), 0.0
    for side in (best - 1, best + 1):
        if not 0 <= side < len(spans):
            continue
        first, last = sorted((best, side))
        more = (words[side] - words[best]) & sought.keys()
        added = sum(sought[word] for word in more) if sum(_weight(word) for word in more) >= 2 else 0.0
        across = passage[spans[first].end : spans[last].start].count("\n") > 1
        enough = shared * (_WORTH_ACROSS if across else _WORTH)
        if added > most and added >= enough and spans[last].end - spans[first].start <= _LONGEST:
            chosen, most = (first, last), added
    return chosen


def _plain(text: str) -> str:
    return unicodedata.normalize("NFKC", text).casefold()


def _forms(token: str) -> Iterator[str]:
    if token[0].isdecimal():
        yield token.replace(".", "").replace(",", "")
    elif token.isascii():
        yield _stem(token)
    elif _UNSPACED.match(token):
        yield from (token[at : at + 2] for at in range(max(1, len(token) - 1)))
    else:
        yield _stem("".join(c for c in unicodedata.normalize("NFKD", token) if not unicodedata.combining(c)))


def _stem(word: str) -> str:
    if len(word) > 6:
        return word[:6]
    return word.removesuffix("s") if len(word) > 3 else word


def _weight(word: str) -> float:
    """Return what a word counts by itself: short ones of alphabets are function words, as a rule."""
    if word[0].isdecimal() or (not word.isascii() and _UNSPACED.match(word)):
        return 1.0
    return 0.4 if len(word) < 4 else 1.0
