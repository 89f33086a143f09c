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

_BATCH = 64


def embed(texts: Sequence[str]) -> list[list[float]]:
    """Return a unit vector of 256 numbers for every text. It computes, so call it where that may take time.

    A text's vector is the mean of its words' vectors. wordllama's own `embed` pads all texts of a batch to the
    longest and gathers every occurrence of every word: the same figures, for seven times the time and the memory.
    """
    model = _model()
    vectors = np.zeros((len(texts), DIMENSIONS), dtype=np.float32)
    # A batch may be long: what the tokenizer makes of it takes more memory than the texts.
    for start in range(0, len(texts), _BATCH):
        batch = model.tokenizer.encode_batch_fast(list(texts[start : start + _BATCH]), add_special_tokens=False)
        for at, encoded in enumerate(batch, start):
            words, counts = np.unique(np.array(encoded.ids, dtype=np.int64), return_counts=True)
            vectors[at] = counts.astype(np.float32) @ model.embedding[words]
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
    model = wordllama.WordLlama.load(cache_dir=folder, disable_download=True)
    model.tokenizer.no_padding()
    return model
