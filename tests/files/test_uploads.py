"""Uploads: files that come in parts, in any order, and every way in which that may go wrong."""

from __future__ import annotations

import hashlib
import io
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import openai
import pytest

from tests.files.forms import TYPE, field, file, form, part
from tests.support.databases import query
from tests.support.errors import Error
from tests.support.http import Answer, Api

MB = 1024 * 1024


def create(api: Api, size: int = 6, **more: Any) -> str:
    body = {"filename": "x.txt", "purpose": "vision", "bytes": size, "mime_type": "text/plain", **more}
    id: str = api.post("/uploads", body).ok["id"]
    return id


def send(api: Api, upload: str, content: bytes) -> Answer:
    return api.post(f"/uploads/{upload}/parts", form(file(content, "blob", "data")), headers=TYPE)


def add(api: Api, upload: str, content: bytes) -> str:
    id: str = send(api, upload, content).ok["id"]
    return id


def complete(api: Api, upload: str, *parts: str, **more: Any) -> Answer:
    return api.post(f"/uploads/{upload}/complete", {"part_ids": list(parts), **more})


def parts_of(dsn: str, upload: str) -> list[str | None]:
    return [row["blob"] for row in query(dsn, "SELECT blob FROM upload_parts WHERE upload_id = $1", upload)]


def expire(dsn: str, upload: str) -> None:
    query(dsn, "UPDATE uploads SET expires_at = unix_now() WHERE id = $1", upload)


# --- how it goes


def test_an_upload_as_the_sdk_sees_it(client: openai.OpenAI) -> None:
    upload = client.uploads.create(bytes=6, filename="é.txt", mime_type="text/plain", purpose="vision")
    assert upload.id.startswith("upload_")
    assert len(upload.id) == len("upload_") + 24
    assert (upload.object, upload.status, upload.bytes, upload.filename) == ("upload", "pending", 6, "é.txt")
    assert (upload.purpose, upload.expires_at, upload.file) == ("vision", upload.created_at + 3600, None)
    second = client.uploads.parts.create(upload.id, data=b"def")
    first = client.uploads.parts.create(upload.id, data=b"abc")
    unused = client.uploads.parts.create(upload.id, data=b"unused")
    assert (first.object, first.upload_id) == ("upload.part", upload.id)
    assert first.id.startswith("part_")
    assert len(first.id) == len("part_") + 24
    done = client.uploads.complete(upload.id, part_ids=[first.id, second.id])
    assert (done.id, done.status, unused.upload_id) == (upload.id, "completed", upload.id)
    assert done.file is not None
    assert (done.file.bytes, done.file.filename, done.file.purpose) == (6, "é.txt", "vision")
    assert client.files.retrieve(done.file.id) == done.file
    assert client.files.content(done.file.id).content == b"abcdef"


def test_the_bodies(api: Api) -> None:
    sent = {"filename": "x.txt", "purpose": "assistants", "bytes": 3, "mime_type": "text/plain"}
    made = api.post("/uploads", sent, headers={"OpenAI-Beta": None}).ok
    assert made == {
        "id": made["id"],
        "object": "upload",
        "bytes": 3,
        "created_at": made["created_at"],
        "filename": "x.txt",
        "purpose": "assistants",
        "status": "pending",
        "expires_at": made["created_at"] + 3600,
        "file": None,
    }
    added = send(api, made["id"], b"abc").ok
    assert added == {
        "id": added["id"],
        "object": "upload.part",
        "created_at": added["created_at"],
        "upload_id": made["id"],
    }
    done = complete(api, made["id"], added["id"]).ok
    assert done == {**made, "status": "completed", "file": api.get(f"/files/{done['file']['id']}").ok}


def test_a_file_in_chunks_by_the_helper(client: openai.OpenAI, tmp_path: Path) -> None:
    data = os.urandom(5 * MB + 3)
    path = tmp_path / "data.bin"
    path.write_bytes(data)
    md5 = hashlib.md5(data, usedforsecurity=False).hexdigest()
    done = client.uploads.upload_file_chunked(
        file=path, mime_type="application/octet-stream", purpose="vision", part_size=2 * MB, md5=md5
    )
    assert done.file is not None
    assert client.files.content(done.file.id).content == data


def test_parts_at_the_same_time(client: openai.OpenAI, api: Api) -> None:
    contents = [os.urandom(MB) for _ in range(8)]
    upload = create(api, 8 * MB)
    with ThreadPoolExecutor(8) as pool:
        added = list(pool.map(lambda c: client.uploads.parts.create(upload, data=io.BytesIO(c)).id, contents))
    file = complete(api, upload, *added).ok["file"]
    assert client.files.content(file["id"]).content == b"".join(contents)


def test_the_file_takes_the_blobs_over(api: Api, dsn: str) -> None:
    upload = create(api)
    parts = [add(api, upload, content) for content in (b"abc", b"unused", b"def")]
    rows = query(dsn, "SELECT id, blob FROM upload_parts WHERE upload_id = $1", upload)
    blobs = {row["id"]: row["blob"] for row in rows}
    file = complete(api, upload, parts[2], parts[0]).ok["file"]
    [row] = query(dsn, "SELECT blobs FROM files WHERE id = $1", file["id"])
    assert row["blobs"] == [blobs[parts[2]], blobs[parts[0]]]
    assert api.get(f"/files/{file['id']}/content").body == b"defabc"
    assert parts_of(dsn, upload) == []
    loose = {row["key"] for row in query(dsn, "SELECT key FROM loose_blobs WHERE due <= now()")}
    assert loose & set(blobs.values()) == {blobs[parts[1]]}


def test_a_part_without_a_name(api: Api) -> None:
    upload = create(api, 3)
    body = form(field("data", "abc"))
    added = api.post(f"/uploads/{upload}/parts", body, headers=TYPE).ok
    assert complete(api, upload, added["id"]).ok["status"] == "completed"


def test_a_file_that_expires(api: Api) -> None:
    upload = create(api, 3, expires_after={"anchor": "created_at", "seconds": 7200})
    file = complete(api, upload, add(api, upload, b"abc")).ok["file"]
    assert file["expires_at"] == file["created_at"] + 7200


def test_an_upload_whose_file_is_deleted(api: Api, dsn: str) -> None:
    upload = create(api, 3)
    file = complete(api, upload, add(api, upload, b"abc")).ok["file"]
    api.delete(f"/files/{file['id']}").ok  # noqa: B018
    assert query(dsn, "SELECT file_id, status FROM uploads WHERE id = $1", upload) == [(None, "completed")]


def test_cancelling(client: openai.OpenAI, api: Api, dsn: str) -> None:
    upload = create(api)
    add(api, upload, b"abc")
    [blob] = parts_of(dsn, upload)
    cancelled = client.uploads.cancel(upload)
    assert (cancelled.id, cancelled.status, cancelled.file) == (upload, "cancelled", None)
    assert parts_of(dsn, upload) == []
    assert len(query(dsn, "SELECT FROM loose_blobs WHERE key = $1 AND due <= now()", blob)) == 1


# --- what is refused


@pytest.mark.parametrize(
    ("change", "param", "code"),
    [
        ({"filename": None}, "filename", "invalid_type"),
        ({"filename": ""}, "filename", "empty_string"),
        ({"filename": "a\nb"}, "filename", "invalid_value"),
        ({"filename": " "}, "filename", "invalid_value"),
        ({"filename": "x" * 1025}, "filename", "invalid_value"),
        ({"purpose": "assistants_output"}, "purpose", "invalid_value"),
        ({"bytes": 0}, "bytes", "integer_below_min_value"),
        ({"bytes": 8 * 1024 * MB + 1}, "bytes", "integer_above_max_value"),
        ({"bytes": "3"}, "bytes", "invalid_type"),
        ({"mime_type": ""}, "mime_type", "empty_string"),
        ({"colour": "red"}, "colour", "unknown_parameter"),
        ({"expires_after": {"anchor": "created_at"}}, "expires_after.seconds", "missing_required_parameter"),
    ],
)
def test_uploads_that_are_refused(api: Api, change: dict[str, Any], param: str, code: str) -> None:
    body = {"filename": "x.txt", "purpose": "vision", "bytes": 3, "mime_type": "text/plain", **change}
    answer = api.post("/uploads", body)
    assert (answer.status, answer.json["error"]["param"], answer.json["error"]["code"]) == (400, param, code)


def test_the_largest_upload(api: Api) -> None:
    assert create(api, 8 * 1024 * MB)


@pytest.mark.parametrize("how", ["parts", "complete", "cancel"])
@pytest.mark.parametrize("state", ["completed", "cancelled", "expired"])
def test_an_upload_that_is_over(api: Api, dsn: str, how: str, state: str) -> None:
    upload = create(api, 3)
    part_id = add(api, upload, b"abc")
    if state == "completed":
        complete(api, upload, part_id).ok  # noqa: B018
    elif state == "cancelled":
        api.post(f"/uploads/{upload}/cancel").ok  # noqa: B018
    else:
        expire(dsn, upload)  # which shows at once, before any sweep
    told = {
        "parts": f"Cannot add parts to upload with status '{state}'.",
        "complete": f"Cannot complete upload with status '{state}'.",
        "cancel": f"Cannot cancel upload with status '{state}'.",
    }
    calls = {
        "parts": lambda: send(api, upload, b"x" * 100_000),
        "complete": lambda: complete(api, upload, part_id),
        "cancel": lambda: api.post(f"/uploads/{upload}/cancel"),
    }
    Error(400, told[how]).check(calls[how]())


@pytest.mark.parametrize("md5", [None, "0" * 32])
def test_completing_with_the_wrong_parts(api: Api, md5: str | None) -> None:
    more = {} if md5 is None else {"md5": md5}
    ours, other = create(api, 6), create(api, 6)
    first, second = add(api, ours, b"abc"), add(api, ours, b"def")
    foreign = add(api, other, b"def")
    too_few = "The parts have 3 bytes in total, but the upload was created for 6 bytes."
    empty = "Invalid 'part_ids': empty array. Expected an array with minimum length 1, but got an empty array instead."
    for parts, error in (
        ([first], Error(400, too_few, "part_ids")),
        ([], Error(400, empty, "part_ids", "empty_array")),
        (
            [first, first],
            Error(400, f"Invalid 'part_ids': '{first}' is named more than once.", "part_ids", "invalid_value"),
        ),
        ([first, foreign], Error(400, f"Invalid 'part_ids': no part '{foreign}' in upload '{ours}'.", "part_ids")),
        ([first, "a'; --"], Error(400, f"Invalid 'part_ids': no part 'a'; --' in upload '{ours}'.", "part_ids")),
    ):
        error.check(complete(api, ours, *parts, **more))
    assert complete(api, ours, first, second).ok["status"] == "completed"


def test_a_wrong_checksum_leaves_the_upload_as_it_was(api: Api) -> None:
    upload = create(api, 3)
    part_id = add(api, upload, b"abc")
    md5 = hashlib.md5(b"abc", usedforsecurity=False).hexdigest()
    told = f"The content has the md5 checksum '{md5}', expected was '{'0' * 32}'."
    Error(400, told, "md5").check(complete(api, upload, part_id, md5="0" * 32))
    assert complete(api, upload, part_id, md5=md5.upper()).ok["status"] == "completed"


def test_uploads_that_are_not_there(api: Api) -> None:
    for path, body in (("parts", None), ("complete", {"part_ids": ["part_x"]}), ("cancel", None)):
        Error(404, "No upload found with id 'upload_none'.").check(api.post(f"/uploads/upload_none/{path}", body))
        told = "Invalid 'upload_id': 'none'. Expected an ID that begins with 'upload'."
        Error(400, told, "upload_id", "invalid_value").check(api.post(f"/uploads/none/{path}", body))


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (form(), "Missing required parameter: 'data'."),
        (form(field("x", "y"))[:-10], "We could not parse the multipart form of your request: it ends in the middle."),
        (form(field("x", "y")), "Missing required parameter: 'data'."),
        (form(file(b"", "blob", "data")), "File is empty."),
        (form(file(b"abc", "blob", "data"), field("x", "y")), "Unknown parameter: 'x'."),
        (form(part("form-data", b"abc")), "We could not parse the multipart form of your request: a part has no name."),
    ],
)
def test_parts_that_are_refused(api: Api, dsn: str, body: bytes, says: str) -> None:
    upload = create(api)
    answer = api.post(f"/uploads/{upload}/parts", body, headers=TYPE)
    assert (answer.status, answer.json["error"]["message"]) == (400, says)
    assert parts_of(dsn, upload) == []
    assert query(dsn, "SELECT FROM loose_blobs WHERE due > now()") == []


def test_a_part_that_is_too_large(api: Api, dsn: str) -> None:
    upload = create(api, 100 * MB)
    answer = send(api, upload, bytes(64 * MB + 1))
    assert answer.status == 413
    assert answer.json["error"]["message"] == f"The file is too large: at most {64 * MB} bytes are accepted."
    assert parts_of(dsn, upload) == []
    assert send(api, upload, bytes(64 * MB)).status == 200


def test_parts_that_are_too_large_together(api: Api, dsn: str) -> None:
    upload = create(api)
    add(api, upload, b"abc")
    query(dsn, "UPDATE upload_parts SET bytes = $2 WHERE upload_id = $1", upload, 8 * 1024 * MB)
    told = f"The parts of this upload are too large: at most {8 * 1024 * MB} bytes are accepted in total."
    Error(400, told).check(send(api, upload, b"d"))
    assert len(parts_of(dsn, upload)) == 1


def test_of_all_who_end_an_upload_one_wins(api: Api, dsn: str) -> None:
    for _ in range(5):
        upload = create(api, 3)
        part_id = add(api, upload, b"abc")

        def end(number: int, upload: str = upload, part_id: str = part_id) -> Answer:
            return api.post(f"/uploads/{upload}/cancel") if number % 2 else complete(api, upload, part_id)

        with ThreadPoolExecutor(8) as pool:
            answers = list(pool.map(end, range(8)))
        [won] = [answer.json for answer in answers if answer.status == 200]
        assert all(answer.status == 400 for answer in answers if answer.status != 200)
        assert query(dsn, "SELECT status FROM uploads WHERE id = $1", upload) == [(won["status"],)]
        assert (won["file"] is not None) == (won["status"] == "completed")
