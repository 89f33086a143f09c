"""A node whose object store fails says so, leaves reading to other nodes, and comes back by itself."""

from __future__ import annotations

import os
import threading
import uuid
from collections.abc import Iterator
from contextlib import suppress
from http.client import HTTPException
from pathlib import Path
from typing import Any

import pytest

from assistd.db.pool import Database
from assistd.files.blobs import open_blobs
from assistd.files.sweeper import sweep
from tests.files.half_hung import HalfHung, Way, half_hung
from tests.files.s3 import S3
from tests.support.databases import query
from tests.support.http import Api
from tests.support.program import assistd
from tests.support.server import Server, serve
from tests.support.waiting import eventually


@pytest.fixture
def gate(s3: S3, monkeypatch: pytest.MonkeyPatch) -> Iterator[HalfHung]:
    """A port before a true store, which fails when it is told to."""
    with half_hung(s3.address) as made:
        for name, value in {**s3.environ, "AWS_ENDPOINT_URL": made.address}.items():
            monkeypatch.setenv(name, value)
        yield made


@pytest.fixture
def place() -> str:
    return f"watched/{uuid.uuid4().hex}"


def ready(server: Server) -> Any:
    return Api(server.url.removesuffix("/v1")).get("/readyz")


def state_of(api: Api, store: str, file: str) -> str:
    return str(api.get(f"/vector_stores/{store}/files/{file}").ok["status"])


@pytest.mark.parametrize("way", ["silent", "forbidden"])
def test_a_node_that_starts_before_a_broken_store(
    tmp_path: Path, gate: HalfHung, s3: S3, place: str, database_url: str, way: Way
) -> None:
    """It serves what needs no files, is not ready, and claims nothing to read until the store works."""
    with serve(tmp_path, database_url=database_url, blob_url=s3.url(place)) as server:
        assert ready(server).ok == {"status": "ok"}
        file = Api(server.url).upload(b"Foxes live in dens.").ok["id"]
    gate.fail(way)
    with serve(tmp_path, database_url=database_url, blob_url=s3.url(place)) as server:
        api = Api(server.url)
        refused = ready(server)
        assert (refused.status, refused.json["status"], list(refused.json)) == (503, "unavailable", ["status", "files"])
        store = api.post("/vector_stores", {"file_ids": [file]}).ok["id"]
        tried = server.log.count("blob store out of reach")
        eventually(lambda: server.log.count("blob store out of reach") > tried + 1)
        assert [row["attempt"] for row in query(database_url, "SELECT attempt FROM jobs")] == [0]
        assert state_of(api, store, file) == "in_progress"
        gate.fail(None)
        eventually(lambda: state_of(api, store, file) == "completed")
        eventually(lambda: ready(server).status == 200)
        assert "the store of files works again" in server.log


def test_a_node_whose_store_breaks_later(tmp_path: Path, gate: HalfHung, s3: S3, place: str, database_url: str) -> None:
    """The first operation that meets it makes it known; what was claimed is given back, and done later."""
    with serve(tmp_path, database_url=database_url, blob_url=s3.url(place)) as server:
        api = Api(server.url)
        file = api.upload(b"Foxes live in dens.").ok["id"]
        gate.fail("unavailable")
        assert api.upload(b"another").status == 503
        refused = eventually(lambda: answer if (answer := ready(server)).status == 503 else None)
        assert refused.json["files"]
        store = api.post("/vector_stores", {"file_ids": [file]}).ok["id"]
        gate.fail(None)
        eventually(lambda: ready(server).status == 200)
        eventually(lambda: state_of(api, store, file) == "completed")


async def test_what_a_killed_start_has_written_to_try_the_store_is_swept(
    tmp_path: Path, gate: HalfHung, s3: S3, place: str, database_url: str, database: Database
) -> None:
    gate.fail("silent", after=1)  # it is written, and then nothing is answered any more
    with serve(tmp_path, database_url=database_url, blob_url=s3.url(place)) as server:
        assert gate.asked > 1
        server.kill()
    gate.fail(None)
    (left,) = s3.everything(place)
    assert left.startswith("probes/")
    async with database.acquire() as conn:
        assert [row["key"] for row in await conn.fetch("SELECT key FROM loose_blobs")] == [left]
        await conn.execute("UPDATE loose_blobs SET due = now()")
    await sweep(database, open_blobs(s3.url(place), tmp_path))
    assert s3.everything(place) == []


def test_a_node_ends_while_its_store_hangs(
    tmp_path: Path, gate: HalfHung, s3: S3, place: str, database_url: str
) -> None:
    """With a write on its way, an answer that waits, and a file that is being read."""
    with serve(tmp_path, database_url=database_url, blob_url=s3.url(place)) as server:
        api = Api(server.url)
        file = api.upload(b"Foxes live in dens.", purpose="vision").ok["id"]
        gate.fail("silent")
        asking = [
            threading.Thread(target=_ignore, args=(api.upload, os.urandom(20_000_000))),
            threading.Thread(target=_ignore, args=(api.get, f"/files/{file}/content")),
        ]
        for thread in asking:
            thread.start()
        eventually(lambda: gate.asked > 1)
        assert server.stop() == 0
        for thread in asking:
            thread.join()


def test_doctor_and_a_store_that_hangs(tmp_path: Path, gate: HalfHung, s3: S3, place: str, database_url: str) -> None:
    gate.fail("silent")
    settings = {"database_url": database_url, "model_base_url": "scripted:", "port": 0, "sandbox": "off"}
    done = assistd(tmp_path, "doctor", **settings, blob_url=s3.url(place))
    said = f"AMISS  files: {s3.url(place)} cannot be used: it does not answer. Look at ASSISTD_BLOB_URL and at "
    assert said in done.stdout
    assert done.stdout.endswith("\n1 of 9 checks found something.\n")


def _ignore(ask: Any, argument: Any) -> None:
    """The server goes in the middle of its answer."""
    with suppress(OSError, HTTPException):
        ask(argument)
