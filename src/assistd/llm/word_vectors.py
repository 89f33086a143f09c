"""Embeddings without a model: a hashed bag of words. Texts that share words lie close together."""

from __future__ import annotations

import math
import re
import zlib

_WORD = re.compile(r"\w+")


def word_vector(text: str, dimensions: int) -> list[float]:
    """The unit vector of a text; the same text always gives the same one."""
    vector = [0.0] * dimensions
    for word in _WORD.findall(text.lower()) or [""]:
        hashed = zlib.crc32(word.encode("utf-8", "replace"))
        # A bit that does not choose the place chooses the sign, so that words in one place can cancel out.
        vector[(hashed >> 1) % dimensions] += 1.0 if hashed & 1 else -1.0
    length = math.sqrt(sum(value * value for value in vector))
    return [value / length for value in vector] if length else [1.0, *vector[1:]]
