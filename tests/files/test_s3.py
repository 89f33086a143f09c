"""A server whose files are in S3."""

from __future__ import annotations

import os
from pathlib import Path

import openai
import pytest

from assistd.db.pool import Database
from assistd.files.blobs import open_blobs
from assistd.files.sweeper import sweep
from tests.files.forms import TYPE, field, file, form
from tests.files.s3 import S3
from tests.support.http import KEY, Api
from tests.support.server import serve

MB = 1024 * 1024


@pytest.fixture(autouse=True)
def _as_client(s3: S3, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in s3.environ.items():
        monkeypatch.setenv(name, value)


async def test_files_in_s3(s3: S3, tmp_path: Path, database: Database, database_url: str) -> None:
    data = os.urandom(20 * MB)
    with (
        serve(tmp_path, database_url=database_url, blob_url=s3.url("files")) as server,
        openai.OpenAI(base_url=server.url, api_key=KEY) as client,
    ):
        made = client.files.create(file=data, purpose="vision")
        small = client.files.create(file=b"small", purpose="vision")
        assert client.files.content(made.id).content == data
        # The small one was sent in one request, the large one in parts of 5 MiB.
        assert sorted(tag.partition("-")[2] for tag in s3.etags("files")) == ["", "4"]
        upload = client.uploads.create(bytes=6, filename="x", mime_type="text/plain", purpose="vision")
        parts = [client.uploads.parts.create(upload.id, data=part).id for part in (b"abc", b"def")]
        whole = client.uploads.complete(upload.id, part_ids=parts).file
        assert whole is not None
        assert client.files.content(whole.id).content == b"abcdef"
        refused = Api(server.url).post("/files", form(file(os.urandom(20 * MB)), field("purpose", "x")), headers=TYPE)
        assert refused.status == 400
        assert (len(s3.stored("files")), s3.unfinished("files")) == (4, [])
        client.files.delete(made.id)
        client.files.delete(whole.id)
        await sweep(database, open_blobs(s3.url("files"), tmp_path))
        assert len(s3.stored("files")) == 1
        assert client.files.content(small.id).content == b"small"
    assert not (tmp_path / "data" / "blobs").exists()


async def test_s3_that_is_down(s3: S3, tmp_path: Path, database_url: str, database: Database) -> None:
    with (
        serve(tmp_path, database_url=database_url, blob_url=s3.url("down")) as server,
        openai.OpenAI(base_url=server.url, api_key=KEY, max_retries=0) as client,
    ):
        made = client.files.create(file=b"x", purpose="vision")
        s3.stop()
        with pytest.raises(openai.InternalServerError) as raised:
            client.files.create(file=b"y", purpose="vision")
        assert raised.value.status_code == 503
        assert raised.value.response.headers["retry-after"]
        with pytest.raises(openai.InternalServerError) as raised:
            client.files.content(made.id)
        assert raised.value.status_code == 503
        # What does not touch the bytes still works.
        assert client.files.retrieve(made.id) == made
        assert client.files.delete(made.id).deleted
        async with database.acquire() as conn:
            # One of the deleted file, due now; one of the write that failed, whose blob may be there for all we know.
            assert await conn.fetchval("SELECT count(*) FROM loose_blobs WHERE key NOT LIKE 'probes/%'") == 2
            await conn.execute("UPDATE loose_blobs SET due = now()")
        s3.start()
        await sweep(database, open_blobs(s3.url("down"), tmp_path))
        async with database.acquire() as conn:
            assert await conn.fetchval("SELECT count(*) FROM loose_blobs WHERE key NOT LIKE 'probes/%'") == 0
        assert client.files.content(client.files.create(file=b"z", purpose="vision").id).content == b"z"
