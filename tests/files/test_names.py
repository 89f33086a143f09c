"""Names of files: kept as they were sent, and what is made of them where a path is needed."""

from __future__ import annotations

from urllib.parse import unquote

import openai
import pytest
from hypothesis import given
from hypothesis import strategies as st

from assistd.errors import APIError
from assistd.files.names import base_name, check_name, extension
from assistd.files.routes import disposition
from tests.support.http import Api

# Names as clients send them, with what can stand in a folder, and the extension.
NAMES = [
    ("plain.txt", "plain.txt", "txt"),
    ("text/csv", "csv", ""),
    ("/etc/passwd", "passwd", ""),
    ("docs/2024/Report.PDF", "Report.PDF", "pdf"),
    ("../../../x.txt", "x.txt", "txt"),
    ("C:\\Users\\me\\x.txt", "x.txt", "txt"),
    ("..\\..\\x.txt", "x.txt", "txt"),
    ("\\\\server\\share\\a.b\\c", "c", ""),
    ("v1.2/notes", "notes", ""),
    ("folder.txt/", "", ""),
    ("..", "", ""),
    (".", "", ""),
    ("a/..", "", ""),
    (".hidden", ".hidden", ""),
    ("...", "...", ""),
    ("archive.tar.GZ", "archive.tar.GZ", "gz"),
    (" spaces .txt ", "spaces .txt", "txt"),
    ("%2e%2e%2fx.txt", "%2e%2e%2fx.txt", "txt"),
    ("a%00b.txt", "a%00b.txt", "txt"),
    ('a "b"; c=d.txt', 'a "b"; c=d.txt', "txt"),
    ("naïve 文書 \U0001f600.md", "naïve 文書 \U0001f600.md", "md"),
    ("<script>alert(1)</script>.html", "script>.html", "html"),
    ("x" * 1020 + ".txt", "x" * 1020 + ".txt", "txt"),
]
SENT = [name for name, *_ in NAMES]


@pytest.mark.parametrize(("name", "base", "ending"), NAMES)
def test_what_is_made_of_a_name(name: str, base: str, ending: str) -> None:
    assert check_name(name, "file") == name
    assert (base_name(name), extension(name)) == (base, ending)


@given(st.text())
def test_nothing_that_is_made_of_a_name_is_a_path(name: str) -> None:
    base = base_name(name)
    assert base not in (".", "..")
    assert not {"/", "\\"} & set(base)
    assert name.rstrip().endswith(base)
    assert base.lower().endswith(extension(name))


@pytest.mark.parametrize("name", ["", " ", "a\0b", "a\rb", "a\nb", "\x1b[31m", "\x7f", "\x9b", "x" * 1025, "\ud800"])
def test_names_that_cannot_be_kept_are_refused(name: str) -> None:
    with pytest.raises(APIError) as refused:
        check_name(name, "file")
    assert (refused.value.status, refused.value.param, refused.value.code) == (400, "file", "invalid_value")


def test_a_file_that_is_a_string() -> None:
    with pytest.raises(APIError, match="expected a file, but got a string") as refused:
        check_name(None, "file")
    assert refused.value.code == "invalid_type"


@pytest.mark.parametrize(("name", "base"), [(name, base) for name, base, _ in NAMES])
def test_a_download_is_kept_in_one_folder(name: str, base: str) -> None:
    plain, _, encoded = disposition(name).removeprefix('attachment; filename="').partition("\"; filename*=UTF-8''")
    assert unquote(encoded) == (base or "file")
    assert not set('/\\"%') & set(plain)
    assert plain.isascii()
    assert plain.isprintable()


def test_a_name_stands_in_every_answer_as_it_was_sent(client: openai.OpenAI, api: Api) -> None:
    for name in SENT:
        made = client.files.create(file=(name, b"x"), purpose="vision")
        assert made.filename == name
        assert client.files.retrieve(made.id).filename == name
        assert client.files.list(limit=1).data[0].filename == name
        sent = api.get(f"/files/{made.id}/content")
        assert (sent.status, sent.body, sent.headers["content-disposition"]) == (200, b"x", disposition(name))
        upload = client.uploads.create(bytes=1, filename=name, mime_type="text/plain", purpose="vision")
        assert upload.filename == name
        part = client.uploads.parts.create(upload.id, data=b"x")
        done = client.uploads.complete(upload.id, part_ids=[part.id])
        assert (done.filename, done.file and done.file.filename) == (name, name)


@pytest.mark.parametrize("name", ["", " ", "a\nb.txt", "\u0080", "x" * 1025])
def test_an_upload_has_to_have_a_name_too(api: Api, name: str) -> None:
    body = {"filename": name, "purpose": "vision", "bytes": 1, "mime_type": "text/plain"}
    answer = api.post("/uploads", body)
    assert (answer.status, answer.json["error"]["param"]) == (400, "filename")
