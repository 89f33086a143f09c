"""Which files can be indexed: the names that are taken, and the content that is believed."""

from __future__ import annotations

import io
from pathlib import Path

import pytest

from assistd.errors import APIError
from assistd.vector_stores.documents import EXTENSIONS, Kind, Unreadable, check_supported, is_supported, kind_of
from tests.vector_stores.hostile import documents

LISTED = "c cpp cs css doc docx go html java js json md pdf php pptx py rb sh tex ts txt".split()  # noqa: SIM905


def test_every_listed_extension_is_taken() -> None:
    assert set(LISTED) <= EXTENSIONS
    check_supported([f"Some file.v2.{extension.upper()}" for extension in LISTED])


@pytest.mark.parametrize(
    "name",
    ["README", "no dot", ".profile", "ends with a dot.", "a/b", "line\nbreak", "a.zip/b", "a.zip\\b", "a.zip/"],
)
def test_a_name_without_extension_is_judged_later(name: str) -> None:
    assert is_supported(name)


def test_the_refusal_begins_as_that_of_the_service_and_names_what_is_supported() -> None:
    with pytest.raises(APIError) as refusal:
        check_supported(["a.png", "b.txt", "c.ZIP", "d.zip", "e"])
    beginning, _, listed = refusal.value.message.partition(" See which are: ")
    assert beginning == "Files with extensions [.png, .zip] are not supported for retrieval."
    assert set(listed.removesuffix(".").split(", ")) == {f".{name}" for name in EXTENSIONS}
    assert (refusal.value.status, refusal.value.param, refusal.value.code) == (400, "file_ids", "unsupported_file")


@pytest.mark.parametrize("extension", documents.MAKERS)
@pytest.mark.parametrize("named", ["same", "none", "other"])
def test_documents_are_known_by_their_content(extension: str, named: str) -> None:
    name = {"same": f"a.{extension}", "none": "a", "other": "a.txt"}[named]
    if extension == "eml" and named != "same":
        expected = Kind.TEXT  # a mail's content is like any text's
    else:
        expected = {"eml": Kind.EMAIL}.get(extension) or Kind[extension.upper()]
    assert kind_of(name, io.BytesIO(documents.MAKERS[extension]("words"))) is expected


@pytest.mark.parametrize(
    ("name", "content", "kind"),
    [
        ("page.html", b"anything", Kind.HTML),
        ("page", b"\xef\xbb\xbf<!DOCTYPE html><p>x", Kind.HTML),
        ("saved-by-word.doc", b"<html><body>x", Kind.HTML),
        ("page.txt", b"<html>source", Kind.TEXT),
        ("letter.doc", b"{\\rtf1 x}", Kind.RTF),
        ("notes", b"just words", Kind.TEXT),
        ("notes.md", b"# words", Kind.MARKDOWN),
        ("a.ipynb", b'{"cells": []}', Kind.NOTEBOOK),
        ("table.csv", b"a,b", Kind.TEXT),
    ],
)
def test_text_goes_by_its_name(name: str, content: bytes, kind: Kind) -> None:
    assert kind_of(name, io.BytesIO(content)) is kind


@pytest.mark.parametrize(
    ("name", "content", "code"),
    [
        ("picture.txt", b"\x89PNG\r\n\x1a\n...", "unsupported_file"),
        ("a.bin", b"words", "unsupported_file"),
        ("archive.pdf", documents.archive({"a.txt": "words"}), "unsupported_file"),
        ("sheet.doc", documents.compound({"Workbook": b"x"}), "unsupported_file"),
        ("locked.docx", documents.compound({"EncryptedPackage": b"x"}), "invalid_file"),
        ("words.pdf", b"just words", "invalid_file"),
        ("words.docx", b"just words", "invalid_file"),
        ("words.rtf", b"just words", "invalid_file"),
        ("words.eml", b"just words", "invalid_file"),
        ("page.pdf", b"<html>", "invalid_file"),
        ("cut.docx", documents.docx("words")[:500], "invalid_file"),
    ],
)
def test_what_cannot_be_searched_is_refused_with_a_sentence(name: str, content: bytes, code: str) -> None:
    with pytest.raises(Unreadable) as refusal:
        kind_of(name, io.BytesIO(content))
    assert refusal.value.code == code
    assert refusal.value.message.endswith(".")


def test_the_page_lists_what_is_read() -> None:
    page = (Path(__file__).parents[2] / "docs" / "how-to" / "search-your-files.md").read_text("utf-8")
    table = page.partition("## What is read")[2].partition("\n\n")[2].partition("\n\n")[0]
    listed = [name.strip() for row in table.splitlines()[2:] for name in row.split("|")[2].split(",")]
    assert sorted(listed) == sorted(EXTENSIONS)
