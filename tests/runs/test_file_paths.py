"""Links to files in an answer become annotations, however the model writes them and however the text is cut."""

from __future__ import annotations

from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assistd.runs.citations import Citations
from assistd.runs.file_paths import PREFIX, KnownPaths, annotation
from assistd.runs.marks import UNCLEAR, Mark, Piece, Reader, Source
from tests.runs.steps import steps

PATHS = [
    "x.csv",
    "x.csv.gz",
    "my table (1).csv",
    "out/plot.png",
    "100%.txt",
    "100%25.txt",
    "Über 😀.csv",
    "a_b.csv",
    "x",
]
FOODS = Source("file-1", "foods.txt", "Cake.")
CITED = "【0:0†foods.txt】"


def read(*pieces: str) -> list[Piece]:
    reader = Reader([Citations({(0, 0): FOODS}), KnownPaths(PATHS)])
    return [piece for value in pieces for piece in reader.feed(value)] + reader.flush()


def linked(*pieces: str) -> list[tuple[str, str]]:
    return [(piece.text, piece.path) for piece in read(*pieces) if piece.path is not None]


def test_a_link_goes_out_whole_with_its_path() -> None:
    assert read("Here: [x](sand", "box:/mnt/da", "ta/x.c", "sv", ").") == [
        Piece("Here: [x]("),
        Piece("sandbox:/mnt/data/x.csv", path="x.csv"),
        Piece(")."),
    ]


@pytest.mark.parametrize(
    ("written", "path"),
    [
        ("x.csv", "x.csv"),
        ("x.csv.gz", "x.csv.gz"),  # the longest that is known
        ("out/plot.png", "out/plot.png"),
        ("my table (1).csv", "my table (1).csv"),
        ("my%20table%20%281%29.csv", "my table (1).csv"),
        ("my%20table%20(1).csv", "my table (1).csv"),
        ("my table \\(1\\).csv", "my table (1).csv"),
        ("a\\_b.csv", "a_b.csv"),
        ("100%.txt", "100%.txt"),
        ("100%25.txt", "100%25.txt"),
        ("100%2525.txt", "100%25.txt"),
        ("%C3%9Cber%20%F0%9F%98%80.csv", "Über 😀.csv"),
        ("%c3%9cber 😀.csv", "Über 😀.csv"),
        ("a\\_b%2Ecsv", "a_b.csv"),
    ],
)
@pytest.mark.parametrize(
    ("before", "behind"),
    [
        ("", ""),
        ("[here](", ")"),
        ("[here](<", ">)"),
        ("See ", "."),
        ("See ", ". It has all."),
        ("**", "**"),
        ("“", "”"),
        ("", ", and"),
        ("", "?download=1"),
        ("", " - the table"),
        ("", " table"),
    ],
)
def test_how_links_are_written(written: str, path: str, before: str, behind: str) -> None:
    text = before + PREFIX + written + behind
    assert linked(text) == linked(*text) == [(PREFIX + written, path)]
    assert "".join(piece.text for piece in read(*text)) == text


@pytest.mark.parametrize(
    "text",
    [
        "sandbox:/mnt/data/",
        "sandbox:/mnt/data/y.csv",
        "sandbox:/mnt/data/x.csv2",
        "sandbox:/mnt/data/x.csv.bz2",  # another file, which is not there
        "sandbox:/mnt/data/x.csv/more",
        "sandbox:/mnt/data/x-2",
        "sandbox:/mnt/data/x%20y",
        "sandbox:/mnt/data/../x.csv",
        "sandbox:/mnt/data//x.csv",
        "sandbox:/mnt/data/X.csv",
        "sandbox:/mnt/x.csv",
        "/mnt/data/x.csv",
        "mysandbox:/mnt/data/x.csv",
        "sandbox:/mnt/data/%",
        "sandbox:/mnt/data/%C3",
        "sandbox:/mnt/data/my table",
    ],
)
def test_what_names_no_file_stays_text(text: str) -> None:
    assert linked(text) == linked(*text) == []
    assert "".join(piece.text for piece in read(*text)) == text


def test_text_is_held_back_no_longer_than_it_may_become_a_link() -> None:
    reader = Reader([KnownPaths(["a.csv"])])
    assert reader.feed("It is a box, s") == [Piece("It is a box, ")]
    assert reader.feed("ee: class") == [Piece("see: class")]  # within a word nothing begins
    assert reader.feed("es sand") == [Piece("es ")]
    assert reader.feed("box:/mnt/data/") == []
    assert reader.feed("b") == [Piece("sandbox:/mnt/data/b")]
    assert reader.feed(" sandbox:/mnt/data/a.csv") == [Piece(" ")]
    assert reader.feed(".") == []
    assert reader.feed(" ") == [Piece("sandbox:/mnt/data/a.csv", path="a.csv"), Piece(". ")]
    assert reader.feed("sandbox:/mnt/data/a.csv") == []
    assert reader.flush() == [Piece("sandbox:/mnt/data/a.csv", path="a.csv")]


def test_both_kinds_stand_in_one_text() -> None:
    link = PREFIX + "x.csv"
    named = Piece(link, path="x.csv")
    assert read(f"{link}{CITED}【4:0†{link} {link}】") == [
        named,
        Piece(CITED, FOODS),
        Piece("【4:0†"),  # no marker, for it names no result
        named,
        Piece(" "),
        named,
        Piece("】"),
    ]


def test_offsets_are_code_points_and_half_open() -> None:
    said = "😀 [x]("
    made = annotation(PREFIX + "x.csv", "file-1", len(said))
    assert (said + PREFIX + "x.csv)")[made["start_index"] : made["end_index"]] == made["text"] == PREFIX + "x.csv"
    assert (made["type"], made["file_path"]) == ("file_path", {"file_id": "file-1"})


WORDS = [PREFIX, "sandbox:", "sand", "s", "/mnt/data/", "x", ".csv", ".gz", "my table (1).csv", "%", "%2", "%20", "%C3"]
WORDS += [
    "%9C",
    "ber",
    "\\",
    "(",
    ")",
    ".",
    " ",
    "100",
    "25",
    ".txt",
    CITED,
    "【",
    "0:0†",
    "】",
    "Über 😀.csv",
    "%F0%9F",
]


@given(st.lists(st.sampled_from(WORDS)), st.lists(st.integers(0, 300)))
def test_how_the_text_is_cut_makes_no_difference(words: list[str], cuts: list[int]) -> None:
    text = "".join(words)
    places = sorted({cut for cut in cuts if cut < len(text)})
    pieces = [text[a:b] for a, b in zip([0, *places], [*places, len(text)], strict=True)]
    assert "".join(piece.text for piece in read(*pieces)) == text
    assert linked(*pieces) == linked(*text) == linked(text)


@pytest.mark.parametrize("written", ["\\", "\\\\", "%5C", "\\%5C"])
@pytest.mark.parametrize("size", [1, 7, 10_000])
def test_every_character_is_read_once_however_the_text_is_cut(written: str, size: int) -> None:
    def read_link(length: int) -> None:
        reader = Reader([KnownPaths(["\\" * length + "/" + "\\" * length])])
        text = PREFIX + written * length + "/" + written * length
        for at in range(0, len(text), size):
            reader.feed(text[at : at + size])
        reader.flush()

    assert steps(lambda: read_link(80)) < 5 * steps(lambda: read_link(20))


def test_a_reader_of_links_keeps_apart_what_it_is_given() -> None:
    known = KnownPaths(["x.csv", "y.csv"])  # one that was left unclear is not gone on with in another text
    assert known.read(PREFIX + "x.c", 0, False) is UNCLEAR
    assert known.read(" " + PREFIX + "y.csv", 1, True) == Mark(1 + len(PREFIX + "y.csv"), path="y.csv")
    assert known.read(PREFIX + "x.c", 0, False) is UNCLEAR
    assert known.read("  " + PREFIX + "x.csv ", 2, False) == Mark(2 + len(PREFIX + "x.csv"), path="x.csv")


NAMES = st.text(st.characters(exclude_categories=["Cc", "Cs"], exclude_characters="/"), min_size=1).filter(
    lambda name: name not in (".", "..")
)


@given(st.lists(NAMES, min_size=1, unique=True), st.data())
def test_every_known_path_is_found_escaped_or_not(names: list[str], data: st.DataObject) -> None:
    name = data.draw(st.sampled_from(names))
    escaped = PREFIX + quote(name)
    for text in (escaped, PREFIX + name):
        reader = Reader([KnownPaths(names)])
        found = [piece for c in text for piece in reader.feed(c)] + reader.flush()
        (piece,) = [piece for piece in found if piece.path is not None]
        assert piece.text == text
    # Read as an escape or as it stands, both may be known; the name itself is one of them.
    assert piece.path is not None
    assert piece.path in names
