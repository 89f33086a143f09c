"""Every path of files, on a real server, through the newest SDK and byte for byte."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import openai
import pytest

from tests.files.forms import TYPE, field, file, form, part
from tests.support.databases import query
from tests.support.http import KEY, Answer, Api
from tests.support.server import Server

PURPOSES = ["fine-tune", "assistants", "batch", "user_data", "vision", "evals"]
MB = 1024 * 1024


def refused(answer: Answer, status: int, message: str, param: str | None = None, code: str | None = None) -> None:
    """Check an error of the files' own, which has a sibling `detail`."""
    error = {"message": message, "type": "invalid_request_error", "param": param, "code": code}
    assert answer.status == status
    assert answer.json == {"error": error, "detail": {"message": message, "code": code}}


def error_of(answer: Answer) -> dict[str, Any]:
    assert answer.status == 400, answer.body
    error: dict[str, Any] = answer.json["error"]
    return error


def loose(dsn: str) -> list[str]:
    """Blobs that were written and that nothing owns; those of deleted files, which are due at once, are not meant."""
    return [row["key"] for row in query(dsn, "SELECT key FROM loose_blobs WHERE due > now()")]


def upload(api: Api, body: bytes, **headers: str) -> Answer:
    return api.post("/files", body, headers={**TYPE, **headers})


# --- the SDK's way


@pytest.mark.parametrize("purpose", PURPOSES)
def test_a_file_as_the_sdk_sees_it(client: openai.OpenAI, purpose: Any, dsn: str) -> None:
    made = client.files.create(file=("naïve 文書.txt", b"some text"), purpose=purpose)
    assert made.id.startswith("file-")
    assert len(made.id) == len("file-") + 24
    assert made.id[5:].isalnum()
    assert (made.object, made.bytes, made.filename, made.purpose) == ("file", 9, "naïve 文書.txt", purpose)
    assert made.status == "processed"
    assert (made.expires_at is not None) == (purpose == "batch")
    assert client.files.retrieve(made.id) == made
    assert client.files.wait_for_processing(made.id) == made
    assert made.id in [listed.id for listed in client.files.list(purpose=purpose)]
    assert client.files.delete(made.id).model_dump() == {"id": made.id, "object": "file", "deleted": True}
    with pytest.raises(openai.NotFoundError, match=f"No such File object: {made.id}"):
        client.files.retrieve(made.id)
    assert query(dsn, "SELECT FROM files WHERE id = $1", made.id) == []


@pytest.mark.parametrize("purpose", ["fine-tune", "batch", "vision", "evals"])
def test_content_comes_back(client: openai.OpenAI, api: Api, purpose: Any) -> None:
    data = os.urandom(3 * MB + 17)
    made = client.files.create(file=('a "b" é.bin', data), purpose=purpose)
    answer = client.files.content(made.id)
    assert answer.content == data
    with client.files.with_streaming_response.content(made.id) as response:
        assert b"".join(response.iter_bytes()) == data
    headers = api.get(f"/files/{made.id}/content").headers
    assert headers["content-type"] == "application/octet-stream"
    assert headers["content-length"] == str(len(data))
    expected = "attachment; filename=\"a _b_ _.bin\"; filename*=UTF-8''a%20%22b%22%20%C3%A9.bin"
    assert headers["content-disposition"] == expected


@pytest.mark.parametrize("purpose", ["assistants", "user_data"])
def test_content_that_is_not_given_back(client: openai.OpenAI, api: Api, purpose: Any) -> None:
    made = client.files.create(file=b"x", purpose=purpose)
    refused(api.get(f"/files/{made.id}/content"), 400, f"Not allowed to download files of purpose: {purpose}")


def test_what_the_server_makes_can_be_downloaded(client: openai.OpenAI, dsn: str) -> None:
    made = client.files.create(file=b"x", purpose="vision")
    query(dsn, "UPDATE files SET purpose = 'assistants_output' WHERE id = $1", made.id)
    assert client.files.content(made.id).content == b"x"


def test_a_path_and_an_open_file_can_be_sent(client: openai.OpenAI, tmp_path: Path) -> None:
    path = tmp_path / "notes.md"
    path.write_bytes(b"# notes")
    with path.open("rb") as opened:
        for given in (path, opened):
            made = client.files.create(file=given, purpose="assistants")
            assert (made.filename, made.bytes) == ("notes.md", 7)


def test_the_body_of_a_file(api: Api) -> None:
    made = upload(api, form(field("purpose", "assistants"), file(b"12345", "x.txt"))).ok
    assert made == {
        "id": made["id"],
        "object": "file",
        "bytes": 5,
        "created_at": made["created_at"],
        "expires_at": None,
        "filename": "x.txt",
        "purpose": "assistants",
        "status": "processed",
        "status_details": None,
    }
    assert api.get(f"/files/{made['id']}").ok == made


def test_no_beta_header_is_needed(api: Api) -> None:
    body = form(field("purpose", "assistants"), file(b"x"))
    made = api.post("/files", body, headers={**TYPE, "OpenAI-Beta": None}).ok
    assert api.get(f"/files/{made['id']}", headers={"OpenAI-Beta": None}).ok == made
    assert api.get("/files", headers={"OpenAI-Beta": None}).status == 200


# --- expiry


def test_a_file_with_an_expiry(client: openai.OpenAI, api: Api, dsn: str) -> None:
    made = client.files.create(file=b"x", purpose="vision", expires_after={"anchor": "created_at", "seconds": 3600})
    assert made.expires_at == made.created_at + 3600
    query(dsn, "UPDATE files SET expires_at = unix_now() WHERE id = $1", made.id)
    for answer in (api.get(f"/files/{made.id}"), api.get(f"/files/{made.id}/content")):
        refused(answer, 404, f"No such File object: {made.id}", "id")
    assert made.id not in [listed.id for listed in client.files.list()]


def test_batch_files_expire_by_default(client: openai.OpenAI) -> None:
    made = client.files.create(file=b"x", purpose="batch")
    assert made.expires_at == made.created_at + 30 * 86_400


# --- what is refused


@pytest.mark.parametrize("behind", [True, False])
def test_a_wrong_purpose(api: Api, dsn: str, blob_folder: Path, behind: bool) -> None:
    before = sorted(blob_folder.rglob("*"))
    parts = [file(b"x" * 100_000), field("purpose", "mischief")]
    answer = upload(api, form(*(parts if behind else parts[::-1])))
    refused(answer, 400, f"'mischief' is not one of {PURPOSES} - 'purpose'", "purpose")
    assert loose(dsn) == []
    assert [path for path in sorted(blob_folder.rglob("*")) if path.is_file()] == [p for p in before if p.is_file()]


def test_a_purpose_of_the_servers_own_is_refused(api: Api) -> None:
    assert upload(api, form(field("purpose", "assistants_output"), file(b"x"))).status == 400


def test_the_sdk_can_match_on_the_error(client: openai.OpenAI) -> None:
    with pytest.raises(openai.BadRequestError) as raised:
        client.files.create(file=b"x", purpose="mischief")  # type: ignore[arg-type]
    assert raised.value.param == "purpose"
    assert raised.value.code is None


@pytest.mark.parametrize(
    ("parts", "message", "param", "code"),
    [
        ([field("purpose", "vision")], "Missing required parameter: 'file'.", "file", "missing_required_parameter"),
        ([file(b"x")], "Missing required parameter: 'purpose'.", "purpose", "missing_required_parameter"),
        (
            [file(b"x"), field("purpose", "vision"), field("color", "red")],
            "Unknown parameter: 'color'.",
            "color",
            "unknown_parameter",
        ),
        (
            [field("purpose", "vision"), field("file", "text")],
            "Invalid type for 'file': expected a file, but got a string instead.",
            "file",
            "invalid_type",
        ),
        (
            [field("purpose", "vision"), part('form-data; name="file"; filename=""', b"x")],
            "Invalid 'file': the file has no name.",
            "file",
            "invalid_value",
        ),
        (
            [field("purpose", "vision"), part("form-data; name=\"file\"; filename*=UTF-8''a%00b", b"x")],
            "Invalid 'file': the file name has control characters.",
            "file",
            "invalid_value",
        ),
        (
            [field("purpose", "vision"), field("expires_after[anchor]", "created_at"), file(b"x")],
            "Missing required parameter: 'expires_after.seconds'.",
            "expires_after.seconds",
            "missing_required_parameter",
        ),
    ],
)
def test_forms_that_are_refused(api: Api, dsn: str, parts: list[bytes], message: str, param: str, code: str) -> None:
    files = query(dsn, "SELECT count(*) FROM files")
    error = error_of(upload(api, form(*parts)))
    assert error == {"message": message, "type": "invalid_request_error", "param": param, "code": code}
    assert query(dsn, "SELECT count(*) FROM files") == files
    assert loose(dsn) == []


def test_an_empty_file(api: Api, dsn: str) -> None:
    refused(upload(api, form(field("purpose", "vision"), file(b""))), 400, "File is empty.", "file")
    assert loose(dsn) == []


def test_two_files(api: Api, dsn: str) -> None:
    error = error_of(upload(api, form(field("purpose", "vision"), file(b"1"), file(b"2"))))
    assert "send one file at a time" in error["message"]
    assert loose(dsn) == []


def test_a_form_that_ends_in_the_middle(api: Api, dsn: str) -> None:
    body = form(field("purpose", "vision"), file(b"x" * 100_000))
    for cut in (10, 100, 50_000, len(body) - 10):
        assert error_of(upload(api, body[:cut]))["message"].endswith("it ends in the middle.")
    assert loose(dsn) == []


def test_json_is_no_form(api: Api) -> None:
    answer = api.post("/files", {"purpose": "assistants", "file": "x"})
    assert error_of(answer)["code"] == "invalid_content_type"
    assert error_of(upload(api, b"x", **{"Content-Type": "multipart/form-data"}))["message"].endswith("no boundary.")


@pytest.mark.parametrize("id", ["file-none", "file-" + "x" * 22, "none", "asst_1", "file-a.b", "x" * 300, "file-é"])
def test_files_that_are_not_there(api: Api, id: str) -> None:
    for answer in (
        api.get(f"/files/{quote(id)}"),
        api.get(f"/files/{quote(id)}/content"),
        api.delete(f"/files/{quote(id)}"),
    ):
        refused(answer, 404, f"No such File object: {id}", "id")


def test_a_file_that_is_said_to_be_too_large(api: Api) -> None:
    """A client that waits for a word hears it before it sends anything."""
    headers = {**TYPE, "Content-Length": str(600 * MB), "Expect": "100-continue"}
    answer = api.post("/files", b"", headers=headers)
    assert answer.status == 413
    assert answer.json["error"]["message"] == f"The file is too large: at most {512 * MB} bytes are accepted."


def test_methods(api: Api) -> None:
    made = upload(api, form(field("purpose", "vision"), file(b"x"))).ok
    assert api("PUT", "/files").status == 405
    assert api.post(f"/files/{made['id']}").status == 405
    assert api.delete(f"/files/{made['id']}/content").status == 405


# --- lists


@pytest.fixture(scope="module")
def many(server: Server, client: openai.OpenAI) -> Iterator[list[str]]:
    """Files of the purpose `evals` in the order in which they came."""
    for listed in client.files.list(purpose="evals"):
        client.files.delete(listed.id)
    made = [client.files.create(file=b"x", purpose="evals").id for _ in range(7)]
    yield made
    for id in made:
        client.files.delete(id)


def test_pages(client: openai.OpenAI, many: list[str]) -> None:
    for order, expected in (("asc", many), ("desc", many[::-1])):
        pages = client.files.list(purpose="evals", order=order, limit=3)  # type: ignore[arg-type]
        assert [listed.id for listed in pages] == expected


def test_the_shape_of_a_page(api: Api, many: list[str]) -> None:
    page = api.get(f"/files?purpose=evals&limit=2&order=asc&after={many[1]}").ok
    assert [listed["id"] for listed in page["data"]] == many[2:4]
    assert {k: v for k, v in page.items() if k != "data"} == {
        "object": "list",
        "first_id": many[2],
        "last_id": many[3],
        "has_more": True,
    }
    assert api.get(f"/files?purpose=evals&order=asc&after={many[-1]}").ok["data"] == []


def test_before_is_nothing_here(api: Api, many: list[str]) -> None:
    assert len(api.get(f"/files?purpose=evals&before={many[3]}").ok["data"]) == 7


def test_a_cursor_on_a_deleted_file_still_works(client: openai.OpenAI, api: Api, many: list[str]) -> None:
    made = client.files.create(file=b"x", purpose="evals").id
    client.files.delete(made)
    assert [f["id"] for f in api.get(f"/files?purpose=evals&limit=2&after={made}").ok["data"]] == many[:-3:-1]


@pytest.mark.parametrize("purpose", ["nothing", "%00", "'", "x" * 300])
def test_a_purpose_that_no_file_has(api: Api, purpose: str) -> None:
    assert api.get(f"/files?purpose={purpose}").ok["data"] == []


@pytest.mark.parametrize(("limit", "fine"), [(1, True), (10_000, True), (0, False), (10_001, False)])
def test_limits_of_a_page(api: Api, limit: int, fine: bool) -> None:
    assert (api.get(f"/files?limit={limit}").status == 200) is fine


def test_more_than_a_hundred_without_a_limit(api: Api, dsn: str) -> None:
    query(
        dsn,
        "INSERT INTO files (id, project_id, bytes, filename, purpose, blobs) "
        "SELECT 'file-many' || n, 'proj_default', 1, 'x', 'many', '{}' FROM generate_series(1, 500) AS n",
    )
    page = api.get("/files?purpose=many").ok
    assert len(page["data"]) == 500
    assert not page["has_more"]
    query(dsn, "DELETE FROM files WHERE purpose = 'many'")


# --- the Python SDK without blocking


async def test_the_asynchronous_sdk(server: Server) -> None:
    async with openai.AsyncOpenAI(base_url=server.url, api_key=KEY) as client:
        made = await client.files.create(file=("x.txt", b"abc"), purpose="vision")
        assert (await client.files.content(made.id)).content == b"abc"
        assert (await client.files.delete(made.id)).deleted
