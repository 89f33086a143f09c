"""A document's text out of its passages, which overlap."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

# A shorter match may be chance: to say a word twice is better than to leave one out.
_SURE = 12
# Of a text that repeats itself endlessly not every place is tried.
_TRIES = 1_000


def pieces_of(passages: Sequence[str], *, overlapping: bool) -> Iterator[str]:
    """Yield passages in their order, each without what the one before it had already.

    `overlapping`: whether neighbours may share text at all. Where a text repeats itself at a seam, more than was
    shared may be taken for shared.
    """
    before = ""
    for passage in passages:
        rest = passage[_shared(before, passage) :] if overlapping else passage
        if rest:
            yield rest
        before = passage


def _shared(before: str, after: str) -> int:
    """Return how many characters at the end of one text are the beginning of the other."""
    probe = after[:_SURE]
    if len(probe) < _SURE:
        return 0
    at = max(len(before) - len(after), 0) - 1
    for _ in range(_TRIES):
        at = before.find(probe, at + 1)
        if at < 0:
            return 0
        if after.startswith(before[at:]):
            return len(before) - at
    return 0
