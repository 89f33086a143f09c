"""Two projects on one server: neither can see or touch the other's files and uploads."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import openai
import pytest

from assistd.db.pool import Database, open_pool
from assistd.web import keys
from tests.files.forms import TYPE, file, form
from tests.support.databases import new_database
from tests.support.http import Api
from tests.support.server import serve


@pytest.fixture(scope="module")
def owners(postgres: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[openai.OpenAI, openai.OpenAI]]:
    folder: Path = tmp_path_factory.mktemp("projects")
    with new_database(postgres) as dsn:
        ours, theirs = asyncio.run(_keys(dsn))
        with (
            serve(folder, database_url=dsn) as server,
            openai.OpenAI(base_url=server.url, api_key=ours) as we,
            openai.OpenAI(base_url=server.url, api_key=theirs) as they,
        ):
            yield we, they


async def _keys(dsn: str) -> tuple[str, str]:
    db = Database(await open_pool(dsn, 2))
    try:
        async with db.acquire() as conn:
            return await keys.create(conn, "a", "ours"), await keys.create(conn, "b", "theirs")
    finally:
        await db.close()


def api_of(client: openai.OpenAI) -> Api:
    return Api(str(client.base_url).rstrip("/"), client.api_key)


def test_files(owners: tuple[openai.OpenAI, openai.OpenAI]) -> None:
    we, they = owners
    made = we.files.create(file=b"secret", purpose="vision")
    assert [listed.id for listed in they.files.list()] == []
    unknown = api_of(they).get("/files/file-unknown").json
    for answer in (
        api_of(they).get(f"/files/{made.id}"),
        api_of(they).get(f"/files/{made.id}/content"),
        api_of(they).delete(f"/files/{made.id}"),
    ):
        assert answer.status == 404
        # Nothing tells it from a file that never was.
        assert (
            answer.body.decode().replace(made.id, "file-unknown")
            == api_of(they).get("/files/file-unknown").body.decode()
        )
        assert answer.json["detail"]["code"] == unknown["detail"]["code"]
    assert api_of(they).get(f"/files?after={made.id}").status == 404
    assert we.files.content(made.id).content == b"secret"


def test_uploads(owners: tuple[openai.OpenAI, openai.OpenAI]) -> None:
    we, they = owners
    upload = we.uploads.create(bytes=3, filename="x", mime_type="text/plain", purpose="vision")
    part = we.uploads.parts.create(upload.id, data=b"abc")
    path = f"/uploads/{upload.id}"
    for answer in (
        api_of(they).post(path + "/parts", form(file(b"abc", "x", "data")), headers=TYPE),
        api_of(they).post(path + "/complete", {"part_ids": [part.id]}),
        api_of(they).post(path + "/cancel"),
    ):
        assert answer.status == 404
        assert answer.json["error"]["message"] == f"No upload found with id '{upload.id}'."
    own = they.uploads.create(bytes=3, filename="x", mime_type="text/plain", purpose="vision")
    answer = api_of(they).post(f"/uploads/{own.id}/complete", {"part_ids": [part.id]})
    assert answer.json["error"]["message"] == f"Invalid 'part_ids': no part '{part.id}' in upload '{own.id}'."
    assert we.uploads.complete(upload.id, part_ids=[part.id]).status == "completed"
