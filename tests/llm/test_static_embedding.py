"""The static embedding: the library's own figures, made faster."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import wordllama

from assistd.llm.static_embedding import DIMENSIONS, embed

TEXTS = [
    "The harbour was dug in 1869.",
    "Hafen " * 3000,
    "你好, world",
    "",
    " \n",
    "a",
    *(f"Sentence {number} of a hundred." for number in range(100)),
]


def test_the_vectors_are_the_library_s_own() -> None:
    model = wordllama.WordLlama.load(cache_dir=Path(wordllama.__file__).parent, disable_download=True)
    filled = [text for text in TEXTS if text.strip()]
    assert np.abs(np.array(embed(filled)) - model.embed(filled, norm=True)).max() < 1e-5


def test_every_text_has_a_unit_vector() -> None:
    vectors = np.array(embed(TEXTS))
    assert vectors.shape == (len(TEXTS), DIMENSIONS)
    assert np.abs(np.linalg.norm(vectors, axis=1) - 1).max() < 1e-5
    assert embed([]) == []


def test_what_means_the_same_is_near() -> None:
    question, near, far = embed(
        ["How do I cook pasta?", "Boil the noodles in salted water.", "The senate voted on taxes."]
    )
    assert np.dot(question, near) > np.dot(question, far)
