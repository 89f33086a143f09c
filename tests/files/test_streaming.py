"""Large files, clients that go away, and a server that is killed: nothing is held, and nothing is left."""

from __future__ import annotations

import asyncio
import hashlib
import os
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from assistd.db.pool import Database, open_pool
from assistd.files.blobs import open_blobs
from assistd.files.sweeper import sweep
from tests.files.forms import BOUNDARY, TYPE, field, file, form
from tests.support.databases import new_database, query
from tests.support.http import KEY, Api
from tests.support.server import Server, serve
from tests.support.waiting import eventually

MB = 1024 * 1024

# Far below what is sent, and above what buffers, pieces on their way and allocators take.
MOST_GROWTH = 80 * MB


def kept(blob_folder: Path) -> list[str]:
    """The files in the blob folder, half-written ones too."""
    return [path.name for path in blob_folder.rglob("*") if path.is_file()]


def loose(dsn: str) -> list[str]:
    return [row["key"] for row in query(dsn, "SELECT key FROM loose_blobs")]


@contextmanager
def watched(server: Server) -> Iterator[list[int]]:
    """Yield the resident bytes of the server, looked at all the time: the first, and the most."""
    process = psutil.Process(server.process.pid)
    seen = [process.memory_info().rss] * 2
    done = threading.Event()

    def watch() -> None:
        while not done.wait(0.005):
            seen[1] = max(seen[1], process.memory_info().rss)

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield seen
    finally:
        done.set()
        thread.join()


def large(size: int) -> Iterator[bytes]:
    """A form with a file of so many bytes, as it is sent."""
    start, end = form(field("purpose", "vision"), file(b"|", "large.bin")).split(b"|")
    yield start
    block = os.urandom(MB)
    for _ in range(size // MB):
        yield block
    yield end


@contextmanager
def half_sent(server: Server, head: str, body: bytes) -> Iterator[socket.socket]:
    """Yield a connection on which the first part of an upload was sent."""
    host, port = Api(server.url).address
    assert host is not None
    with socket.create_connection((host, port), timeout=60) as connection:
        lines = [
            "POST /v1/files HTTP/1.1",
            f"Host: {host}",
            f"Authorization: Bearer {KEY}",
            f"Content-Type: multipart/form-data; boundary={BOUNDARY}",
            head,
        ]
        connection.sendall("\r\n".join(lines).encode() + b"\r\n\r\n" + body)
        yield connection


def unfinished() -> bytes:
    """The beginning of a form, with enough of the file that some of it goes on to the store."""
    return form(field("purpose", "vision"), file(os.urandom(30 * MB)))[: -5 * MB]


def test_a_large_file_is_not_held(server: Server, api: Api, dsn: str) -> None:
    api.post("/files", large(10 * MB), headers=TYPE).ok  # noqa: B018  # what is loaded once is loaded
    with watched(server) as seen:
        made = api.post("/files", large(200 * MB), headers=TYPE).ok
        assert made["bytes"] == 200 * MB
        assert seen[1] - seen[0] < MOST_GROWTH
    with watched(server) as seen:
        got = 0
        with api.open("GET", f"/files/{made['id']}/content") as response:
            while chunk := response.read(MB):
                got += len(chunk)
        assert got == 200 * MB
        assert seen[1] - seen[0] < MOST_GROWTH
    api.delete(f"/files/{made['id']}").ok  # noqa: B018


def test_a_large_upload_is_not_held_while_it_is_checked(server: Server, api: Api) -> None:
    part = os.urandom(60 * MB)
    sent = {"filename": "x", "purpose": "vision", "bytes": 180 * MB, "mime_type": "text/plain"}
    upload = api.post("/uploads", sent).ok["id"]
    body = form(file(part, "x", "data"))
    md5 = hashlib.md5(part * 3, usedforsecurity=False).hexdigest()
    with watched(server) as seen:
        parts = [api.post(f"/uploads/{upload}/parts", body, headers=TYPE).ok["id"] for _ in range(3)]
        assert api.post(f"/uploads/{upload}/complete", {"part_ids": parts, "md5": md5}).ok["status"] == "completed"
        assert seen[1] - seen[0] < MOST_GROWTH


def test_a_file_that_turns_out_too_large(
    server: Server, api: Api, dsn: str, blob_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a declared length, it is found out on the way; what was written goes."""
    before = sorted(kept(blob_folder))
    with watched(server) as seen:
        answer = api.post("/files", large(513 * MB), headers=TYPE)
        assert answer.status == 413
        assert answer.json["error"]["message"] == f"The file is too large: at most {512 * MB} bytes are accepted."
        assert answer.json["detail"]["message"] == answer.json["error"]["message"]
        assert seen[1] - seen[0] < MOST_GROWTH
    assert sorted(kept(blob_folder)) == before
    assert query(dsn, "SELECT FROM loose_blobs WHERE due > now()") == []


@pytest.mark.parametrize("chunked", [False, True])
def test_a_client_that_goes_leaves_nothing(server: Server, dsn: str, blob_folder: Path, chunked: bool) -> None:
    before, files = sorted(kept(blob_folder)), query(dsn, "SELECT id FROM files")
    body = unfinished()
    head = "Transfer-Encoding: chunked" if chunked else f"Content-Length: {len(body) + 5 * MB}"
    framed = b"%x\r\n" % len(body) + body + b"\r\n" if chunked else body
    with half_sent(server, head, framed):
        eventually(lambda: [name for name in kept(blob_folder) if "#" in name])
    eventually(lambda: query(dsn, "SELECT FROM loose_blobs WHERE due > now()") == [])
    assert sorted(kept(blob_folder)) == before
    assert query(dsn, "SELECT id FROM files") == files


def test_a_server_that_is_killed_leaves_nothing_after_the_sweep(postgres: str, tmp_path: Path) -> None:
    blob_folder = tmp_path / "data" / "blobs"
    with new_database(postgres) as dsn:
        with serve(tmp_path, database_url=dsn) as server:
            stays = Api(server.url).post("/files", form(field("purpose", "vision"), file(b"stays")), headers=TYPE).ok
            body = unfinished()
            with half_sent(server, f"Content-Length: {len(body) + 5 * MB}", body):
                eventually(lambda: [name for name in kept(blob_folder) if "#" in name])
                server.kill()
        assert len(kept(blob_folder)) == 2
        assert len(loose(dsn)) == 1
        with serve(tmp_path, database_url=dsn) as server:
            api = Api(server.url)
            assert [listed["id"] for listed in api.get("/files").ok["data"]] == [stays["id"]]
            query(dsn, "UPDATE loose_blobs SET due = now()")
            sweep_once(dsn, tmp_path / "data")
            assert len(kept(blob_folder)) == 1
            assert loose(dsn) == []
            assert api.get(f"/files/{stays['id']}/content").body == b"stays"


def sweep_once(dsn: str, data_dir: Path) -> None:
    """What the server does every minute, now."""

    async def run() -> None:
        db = Database(await open_pool(dsn, 2))
        try:
            await sweep(db, open_blobs("", data_dir))
        finally:
            await db.close()

    asyncio.run(run())
