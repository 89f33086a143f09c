"""Cutting a text into passages of so many tokens, which overlap."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache
from itertools import pairwise
from typing import Final

from semantic_text_splitter import MarkdownSplitter, TextSplitter

from assistd.vector_stores.documents import Unreadable

MOST_TOKENS: Final = 5_000_000  # of a file
_MODEL: Final = "gpt-4"  # of its family of tokens, cl100k, are also those of OpenAI's embeddings
# The splitter takes longer for each character the more it is given, by far longer where there are no blanks. So it
# gets a window at a time, which holds some pieces of any text: most tokens are 1 to 6 characters long.
_WINDOW_CHARACTERS: Final = 12  # for each token of a piece
_LONGEST_TOKEN: Final = 128  # characters
# No passage goes across so much of nothing, which takes the splitter long. A run is tried once, at its beginning.
_WIDE_BLANK: Final = re.compile(r"(?<!\s)\s{500}\s*+")
_SAMPLES: Final = 40
_SAMPLE_CHARACTERS: Final = 2000


def passages(text: str, max_tokens: int, overlap: int, *, markdown: bool = False) -> Iterator[str]:
    """The passages of `text`, in its order: substrings without outer blanks, none empty, of at most `max_tokens`.

    Neighbours share up to `overlap` tokens. Cuts come at ends of paragraphs, else of lines, sentences,
    words, and for `markdown` before headings rather than after. Takes time in proportion to the text's length.
    """
    for part in _WIDE_BLANK.split(text):
        yield from _overlapping(part, max_tokens, overlap, markdown)


def _overlapping(text: str, max_tokens: int, overlap: int, markdown: bool) -> Iterator[str]:
    # The splitter can make passages that overlap, but takes up to thirty times as long for it. Here it makes only
    # the pieces by which passages advance; each passage is a piece with the end of the one before.
    held: tuple[int, int] | None = None
    before: tuple[int, int] | None = None
    for start, end in _pieces(text, max_tokens - overlap, markdown):
        if text[start:end].isspace():
            before = None
            continue
        first = start if before is None else _tail(text, before, max_tokens - overlap, overlap)
        if held is not None and held[0] < first:  # else all of it is in the next one
            yield text[slice(*held)].strip()
        held, before = (first, end), (start, end)
    if held is not None:
        yield text[slice(*held)].strip()


def _pieces(text: str, tokens: int, markdown: bool) -> Iterator[tuple[int, int]]:
    """Where the pieces of a text begin and end: all of it, in pieces of at most `tokens`."""
    splitter = _splitter(tokens, markdown)
    start, size = 0, tokens * _WINDOW_CHARACTERS
    window = size
    while start < len(text):
        end = min(start + window, len(text))
        starts = [start + offset for offset, _ in splitter.chunk_indices(text[start:end])]
        if end < len(text) and len(starts) == 1 and window < tokens * _LONGEST_TOKEN:
            window *= 2
            continue
        # The last one is cut by the window, not by the text: the next window begins with it.
        last = end if end == len(text) or len(starts) == 1 else starts.pop()
        yield from pairwise([*starts, last])
        start, window = last, size


def _tail(text: str, piece: tuple[int, int], tokens: int, overlap: int) -> int:
    """Where the last part of a piece begins that has at most `overlap` tokens."""
    start, end = piece
    if overlap >= tokens:
        return start
    if not overlap:
        return end
    halves = _splitter(max(overlap // 2, 1), False).chunk_indices(text[start:end])
    return start + halves[-min(2, overlap, len(halves))][0]


def check_tokens(text: str) -> None:
    """Raise Unreadable for a text of more than five million tokens.

    They are counted only where there may be as many, and then by samples: to a few in a hundred.
    """
    if len(text) * 3 <= MOST_TOKENS or len(text.encode()) <= MOST_TOKENS:  # a token has a byte at least
        return
    step = len(text) // _SAMPLES
    samples = [text[start : start + _SAMPLE_CHARACTERS] for start in range(0, step * _SAMPLES, step)]
    tokens = sum(map(count_tokens, samples))
    if tokens * len(text) > MOST_TOKENS * sum(map(len, samples)):
        raise Unreadable("invalid_file", f"The file has more than {MOST_TOKENS:,} tokens.")


def count_tokens(text: str) -> int:
    """How many tokens a short text has. The splitter does not say it, only whether they are more than so many."""
    least, most = min(len(text), 1), len(text.encode())
    while least < most:
        middle = (least + most) // 2
        fits = len(_splitter(middle, False).chunks(text)) <= 1
        least, most = (least, middle) if fits else (middle + 1, most)
    return least


@lru_cache(maxsize=64)
def _splitter(tokens: int, markdown: bool) -> TextSplitter | MarkdownSplitter:
    kind = MarkdownSplitter if markdown else TextSplitter
    return kind.from_tiktoken_model(_MODEL, tokens, 0, False)
