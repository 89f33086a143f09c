"""From bytes to text: encodings, pages of HTML, and passages."""

from __future__ import annotations

import io
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from assistd.vector_stores import chunking, decoding
from assistd.vector_stores.decoding import decode
from assistd.vector_stores.documents import Unreadable
from assistd.vector_stores.page_text import text_of

WORDS = "Grüße, 漢字 and 🦓.\nSecond line 12."


@pytest.mark.parametrize(
    "content",
    [
        WORDS.encode(),
        b"\xef\xbb\xbf" + WORDS.encode(),
        WORDS.encode("utf-16"),
        b"\xfe\xff" + WORDS.encode("utf-16-be"),
        WORDS.encode("utf-16-le"),
        WORDS.encode("utf-16-be"),
        WORDS.encode("utf-32"),
        WORDS.replace("\n", "\r\n").encode(),
        WORDS.replace("\n", "\r").encode(),
    ],
)
def test_unicode_is_recognized(content: bytes) -> None:
    assert decode(io.BytesIO(content)) == WORDS


def test_an_old_encoding_is_the_last_resort() -> None:
    assert decode(io.BytesIO("“café” für 5 €\x81".encode("latin-1", "replace"))) == "?café? für 5 ?\x81"
    assert decode(io.BytesIO("“café” für 5 €".encode("cp1252") + b"\x81")) == "“café” für 5 €\x81"


def test_one_wrong_byte_does_not_spoil_a_document() -> None:
    assert decode(io.BytesIO("äöü".encode() * 20 + b"\xff")) == "äöü" * 20 + "\ufffd"


def test_a_character_may_lie_across_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decoding, "_PIECE", 3)
    assert decode(io.BytesIO(WORDS.encode())) == WORDS


def test_a_page_says_its_encoding() -> None:
    page = '<meta http-equiv="Content-Type" content="text/html; charset=windows-1251">Привет'.encode("cp1251")
    assert decode(io.BytesIO(page), declared=True).endswith("Привет")
    assert decode(io.BytesIO(b'<meta charset="no-such">caf\xc3\xa9'), declared=True).endswith("café")
    assert decode(io.BytesIO(b'<meta charset="rot13">caf\xc3\xa9'), declared=True).endswith("café")


def test_nothing_gets_out_that_a_database_cannot_store() -> None:
    assert decode(io.BytesIO(b"a\0b" + b"words " * 50)) == "ab" + "words " * 50
    assert decode(io.BytesIO("\ufeffa\ud800b \ufffe".encode("utf-16-le", "surrogatepass"))) == "a\ufffdb "
    assert decoding.clean("x\ud800\0y") == "xy"


@pytest.mark.parametrize("seed", range(5))
def test_random_bytes_are_no_text(seed: int) -> None:
    with pytest.raises(Unreadable, match="not text"):
        decode(io.BytesIO(random.Random(seed).randbytes(10_000)))


@given(st.binary(max_size=300))
def test_any_bytes_become_text_or_are_refused(content: bytes) -> None:
    try:
        text = decode(io.BytesIO(content), declared=True)
    except Unreadable:
        return
    assert "\0" not in text
    text.encode()


# --- pages


@pytest.mark.parametrize(
    ("page", "text"),
    [
        ("<title>T</title><h1>Head</h1><p>One\n two <b>bold</b>.<p>Next", "T\n\nHead\n\nOne two bold.\n\nNext"),
        ("bare<table><tr><td>a</td><td>b</td></tr><tr><td>c</td></tr></table>tail", "bare\n\na\tb\nc\n\ntail"),
        ("<ul><li>x</li><li>y</ul>a<br>b", "x\ny\n\na\nb"),
        ("<pre>if x:\n    y()</pre>", "if x:\n    y()"),
        ("a<script>if (1 < 2) '<p>'</script><style>p{}</style><!-- <p>no -->b", "ab"),
        ("caf&eacute; &amp; &#8364; &nosuch;", "café & € &nosuch;"),
        ("<p title=\"a > b\" data-x='>'>shown</p>", "shown"),
        ("<a href=x title=it's>one</a> don't", "one don't"),
        ("1 < 2 and 3 <4", "1 < 2 and 3 <4"),
        ("<nav>menu</nav><footer>foot</footer><a href='u'>link</a>", "menu\n\nfoot\n\nlink"),
        ("<p>cut <b", "cut"),
        ("a<!-- never ends <p>b", "a"),
        ("a<script>never ends", "a"),
        ("a<svg>never ends", "anever ends"),
        ("<svg><text>no</text></svg><svg/>yes", "yes"),
    ],
)
def test_a_page_becomes_what_a_reader_sees(page: str, text: str) -> None:
    assert text_of(page) == text


@pytest.mark.parametrize(
    "piece", ["<", "<a ", "<!--", "<a ='", '<a ="', "<svg>", "<iframe>", "</", "&", "<div>", "<![CDATA["]
)
def test_no_page_takes_longer_than_its_length(piece: str) -> None:
    text_of(piece * 500_000)  # a test that does not end is what a quadratic search would look like


# --- passages


def _prose(seed: int, length: int) -> str:
    random_ = random.Random(seed)
    words = ["the", "pump", "station", "Überlauf", "draws", "4.5", "kW", "漢字", "from", "mains", "(see", "below)"]
    return "".join(random_.choice(words) + random_.choice([" ", " ", " ", ". ", "\n", ".\n\n"]) for _ in range(length))


@pytest.mark.parametrize("markdown", [False, True])
@pytest.mark.parametrize(("tokens", "overlap"), [(800, 400), (800, 100), (100, 0), (100, 50), (101, 1), (4096, 2048)])
def test_passages_cover_the_text_in_order(tokens: int, overlap: int, markdown: bool) -> None:
    text = _prose(1, 6000)
    place = covered = 0
    found = list(chunking.passages(text, tokens, overlap, markdown=markdown))
    for passage in found:
        assert passage
        assert passage == passage.strip()
        assert chunking.count_tokens(passage) <= tokens
        place = text.index(passage, place)
        assert not text[covered:place].strip(), "words are missing between passages"
        covered = max(covered, place + len(passage))
    assert not text[covered:].strip()
    assert len(set(found)) == len(found)


def test_neighbours_share_what_they_may() -> None:
    text = _prose(2, 4000)
    first, second, *_ = chunking.passages(text, 200, 80)
    shared = max(length for length in range(len(first)) if second.startswith(first[len(first) - length :]))
    assert 20 < chunking.count_tokens(first[len(first) - shared :]) <= 80
    first, second, *_ = chunking.passages(text, 200, 0)
    assert text.index(second) >= len(first)


def test_a_short_text_is_one_passage() -> None:
    assert list(chunking.passages("  One. \n\nTwo.\n", 800, 400)) == ["One. \n\nTwo."]
    assert list(chunking.passages(" \n ", 800, 400)) == []


def test_markdown_is_cut_before_headings() -> None:
    text = "".join(f"# Part {number}\n\n" + "some words " * 60 + "\n\n" for number in range(20))
    assert all(passage.startswith("# Part") for passage in chunking.passages(text, 200, 0, markdown=True))


@pytest.mark.parametrize("unit", ["a", "漢", " ", "\n", "x\n", "\u0301", "👩‍👩‍👧", "1,2\n"])
def test_monotonous_texts_are_cut_too(unit: str) -> None:
    text = f"start {unit * 60_000} end"
    found = list(chunking.passages(text, 100, 50))
    assert found[0].startswith("start")
    assert found[-1].endswith("end")
    assert all(chunking.count_tokens(passage) <= 100 for passage in random.Random(3).sample(found, min(20, len(found))))


@settings(deadline=None)
@given(st.text(max_size=2000), st.integers(100, 120), st.integers(0, 50))
def test_any_text_can_be_cut(text: str, tokens: int, overlap: int) -> None:
    found = list(chunking.passages(text, tokens, overlap))
    assert bool(found) == bool(text.strip())
    assert all(passage in text and passage.strip() == passage for passage in found)


def test_too_many_tokens_are_refused() -> None:
    chunking.check_tokens("word " * 3_000_000)
    with pytest.raises(Unreadable, match="more than 5,000,000 tokens"):
        chunking.check_tokens("a b c " * 2_000_000)


def test_tokens_are_counted() -> None:
    assert [chunking.count_tokens(text) for text in ("", "a", "Hello world", "Hello world " * 50)] == [0, 1, 2, 101]
