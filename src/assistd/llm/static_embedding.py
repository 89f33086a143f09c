"""The embedding that needs no server: averaged word vectors, whose weights come inside a package.

It is fast and small rather than clever; beside full-text search it finds what a
question is about. Any `/embeddings` route can take its place.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

# What a vector store remembers of its embedding; the number is that of the dimensions.
NAME = "wordllama-256"
DIMENSIONS = 256


def embed(texts: Sequence[str]) -> list[list[float]]:
    """Return a unit vector of 256 numbers for every text. It computes, so call it where that may take time."""
    if not texts:
        return []
    vectors = _model().embed(list(texts))
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    # A text without a known word has no direction, and no distance from anything: it gets one like any other.
    vectors[lengths[:, 0] == 0, 0] = lengths[lengths == 0] = 1.0
    unit: list[list[float]] = (vectors / lengths).tolist()
    return unit


@cache
def _model() -> Any:
    # Imported late: half a second and 60 MB that a process without files does not need.
    import wordllama

    # The weights are in the package; without these two it would look for them in the user's home, or fetch them.
    folder = Path(wordllama.__file__).parent
    return wordllama.WordLlama.load(cache_dir=folder, disable_download=True)
