"""How two rankings of passages become one, and the score that a client sees. No I/O.

Passages are found twice, by the angle between their embedding and the query's and by the words they share. The two
lists are fused by reciprocal rank, which needs no common scale, and the best of that are put in order by a score
between 0 and 1, which has one: it says how close a passage is, whatever else there is in the store.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Hashable, Sequence
from typing import TypeVar

K = TypeVar("K", bound=Hashable)

# The larger, the less the very first places of a list count above the next. Measured: benchmarks/retrieval_quality.py.
RANK_CONSTANT = 15


def fuse(by_embedding: Sequence[K], by_words: Sequence[K], embedding_weight: float, text_weight: float) -> list[K]:
    """Fuse two lists, best first, by weighted reciprocal rank. Of equals, the first of the first list comes first."""
    sums: dict[K, float] = defaultdict(float)
    for ranked, weight in ((by_embedding, embedding_weight), (by_words, text_weight)):
        if weight:
            for rank, key in enumerate(ranked, 1):
                sums[key] += weight / (RANK_CONSTANT + rank)
    return sorted(sums, key=lambda key: -sums[key])


def score(cosine: float, text: float, embedding_weight: float, text_weight: float) -> float:
    """The score of a passage: 0 for nothing in common, 1 for the same meaning and every word.

    `cosine` is that of the angle between the embeddings; its root spreads the low end, where the cosines of a question
    and its answer are. `text` is 0 or more, as the full text search has it.
    """
    similarity = math.sqrt(max(0.0, min(1.0, cosine)))
    return (embedding_weight * similarity + text_weight * (1 - math.exp(-text))) / (embedding_weight + text_weight)


def rarity(count: float, passages: int) -> float:
    """How much a word tells that `count` of a store's passages have (inverse document frequency, above 0)."""
    return math.log(1 + (max(passages, count) - count + 0.5) / (count + 0.5))
