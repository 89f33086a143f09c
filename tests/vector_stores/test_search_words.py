"""Words, rewriting and ranking: the parts of search that are pure."""

from __future__ import annotations

import pytest

from assistd.vector_stores import ranking
from assistd.vector_stores.words import rewrite, searchable


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("os.path.join(a_b, 'c-d')", "os path join a b c d"),
        ("ﬁle Ｎo．1", "file No 1"),
        ("你好世界, hello", "你好 好世 世界 hello"),
        ("的", "的"),
        ("snake_case 東京へ", "snake case 東京 京へ"),
        ("... --- !!!", ""),
        ("", ""),
    ],
)
def test_a_text_is_cut_into_words(text: str, words: str) -> None:
    assert searchable(text) == words


@pytest.mark.parametrize(
    ("query", "rewritten"),
    [
        ("Could you please tell me how I can cancel my order?", "cancel order"),
        ("What is the height of the main office building?", "height main office building"),
        ("I'd like to know about refunds, thanks!", "refunds"),
        ("error E4711 in foo.bar()", "error E4711 foo.bar"),
        ("Wie lösche ich eine Datei?", "Wie lösche ich eine Datei"),
        ("Why?", "Why?"),
        ("  ", ""),
    ],
)
def test_a_query_is_rewritten(query: str, rewritten: str) -> None:
    assert rewrite(query) == rewritten


def test_what_both_lists_have_comes_before_what_one_has() -> None:
    assert ranking.fuse("abcd", "cxyz", 1, 1)[0] == "c"
    assert ranking.fuse("ab", "cd", 1, 1) == ["a", "c", "b", "d"]
    assert ranking.fuse("ab", "cd", 1, 3) == ["c", "d", "a", "b"]
    assert ranking.fuse("ab", "cd", 1, 0) == ["a", "b"]


def test_a_score_is_between_0_and_1_and_grows_with_both() -> None:
    assert ranking.score(-1, 0, 1, 1) == 0
    assert ranking.score(1, 100, 1, 1) == pytest.approx(1)
    assert ranking.score(0.5, 1, 1, 1) > ranking.score(0.4, 1, 1, 1)
    assert ranking.score(0.5, 1, 1, 1) > ranking.score(0.5, 0.9, 1, 1)
    assert ranking.score(0.25, 9, 1, 0) == 0.5


def test_a_rarer_word_tells_more() -> None:
    assert ranking.rarity(0, 100) > ranking.rarity(1, 100) > ranking.rarity(100, 100) > 0
    assert ranking.rarity(128, 100) > 0  # an estimate may be above the truth
