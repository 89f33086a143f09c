"""Markers in an answer become annotations, however the text is cut."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from assistd.runs.citations import Citations, annotation, document_marker, marker, shown_name
from assistd.runs.marks import Piece, Reader, Source

FOODS = Source("file-1", "favorite_foods.txt", "The favorite food of several people:\n- Ada: tacos\n- Filip: cake")
NOTES = Source("file-2", "notes of 【May】.pdf", "Rain.")
SOURCES = {(4, 0): FOODS, (4, 11): NOTES}

CITED = "【4:0†favorite_foods.txt】"


def read(*pieces: str) -> list[Piece]:
    reader = Reader([Citations(SOURCES)])
    return [piece for value in pieces for piece in reader.feed(value)] + reader.flush()


def cited(*pieces: str) -> list[str]:
    return [piece.text for piece in read(*pieces) if piece.source is not None]


def test_a_marker_goes_out_whole_with_what_it_cites() -> None:
    assert read("Cake", "【4", ":0†favorite_", "foods.txt】.") == [Piece("Cake"), Piece(CITED, FOODS), Piece(".")]


def test_the_older_form_names_no_file() -> None:
    assert read("【4:0†source】") == [Piece("【4:0†source】", FOODS)]


def test_a_file_s_name_is_shown_so_that_it_can_stand_in_a_marker() -> None:
    assert marker(4, 11, NOTES.filename) == "【4:11†notes of May .pdf】"
    assert cited(marker(4, 11, NOTES.filename)) == [marker(4, 11, NOTES.filename)]
    assert shown_name("a\nb†c.txt") == "a b c.txt"
    assert shown_name("docs/2024/notes.txt") == "docs/2024/notes.txt"
    assert shown_name("x" * 255) == "x" * 255
    long = shown_name("begin" + "x" * 1000 + "end.txt")
    assert (len(long), long[:5], long[-7:]) == (255, "begin", "end.txt")


def test_what_names_no_result_stays_text() -> None:
    for invented in (
        "【4:1†favorite_foods.txt】",  # no such result
        "【5:0†favorite_foods.txt】",  # no such search
        "【4:0†other.txt】",  # another file's name
        "【4:0】",
        "【x】",
        "【٤:٠†source】",  # the digits of another script
        "【】",
        "【4:0†favorite_foods.txt",  # never closed
        "【4:0†" + "x" * 400 + "】",
    ):
        assert "".join(piece.text for piece in read(invented)) == invented
        assert cited(invented) == []


def test_one_that_was_never_closed_does_not_hide_the_next() -> None:
    assert cited(f"【4:0†no 【see {CITED}") == [CITED]
    assert cited("【4:", CITED) == [CITED]


def test_text_is_held_back_no_longer_than_it_may_become_a_marker() -> None:
    reader = Reader([Citations(SOURCES)])
    assert reader.feed("Cake 【") == [Piece("Cake ")]
    assert reader.feed("12") == []
    assert reader.feed(" apples") == [Piece("【12 apples")]
    assert reader.flush() == []
    assert reader.feed("【4:0†" + "x" * 400) == [Piece("【4:0†" + "x" * 400)]


@given(
    st.lists(
        st.sampled_from([CITED, "【4:11†source】", "【", "】", "4", ":", "0", "†", "source", "word ", "é", "😀", "\n"])
    ),
    st.lists(st.integers(0, 200)),
)
def test_how_the_text_is_cut_makes_no_difference(words: list[str], cuts: list[int]) -> None:
    text = "".join(words)
    places = sorted({cut for cut in cuts if cut < len(text)})
    pieces = [text[a:b] for a, b in zip([0, *places], [*places, len(text)], strict=True)]
    assert "".join(piece.text for piece in read(*pieces)) == text
    assert cited(*pieces) == cited(text)


def test_offsets_are_code_points_and_half_open() -> None:
    said = "Filip's 😀 food is cake"
    made = annotation(CITED, FOODS, len(said), said)
    assert (said + CITED + ".")[made["start_index"] : made["end_index"]] == CITED == made["text"]
    assert made["type"] == "file_citation"
    assert made["file_citation"] == {"file_id": "file-1", "quote": "- Filip: cake"}


def test_a_part_of_a_document_has_a_marker_of_one_number() -> None:
    documents = Citations({(13,): FOODS, (4, 0): NOTES})
    assert document_marker(13, NOTES.filename) == "【13†notes of May .pdf】"

    def found(*pieces: str) -> list[Piece]:
        reader = Reader([documents])
        return [piece for value in pieces for piece in reader.feed(value)] + reader.flush()

    whole, old = Piece("【13†favorite_foods.txt】", FOODS), Piece("【13†source】", FOODS)
    assert found("Cake【13†favorite_foods.txt】.") == [Piece("Cake"), whole, Piece(".")]
    for at in range(1, len(old.text)):
        assert found(old.text[:at], old.text[at:]) == [old]
    assert found("【4:0†source】") == [Piece("【4:0†source】", NOTES)]
    for invented in (
        "【14†source】",
        "【4†source】",
        "【13:0†source】",
        "【13†other.txt】",
        "【13】",
        "【13:†source】",
    ):
        assert found(invented) == [Piece(invented)]
