"""The blob store, in a folder and in S3: whole or not at all."""

from __future__ import annotations

import asyncio
import gc
import hashlib
import os
import uuid
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from assistd.errors import APIError
from assistd.files.blobs import BlobMissing, Blobs, BlobsUnavailable, new_key, open_blobs
from tests.files.s3 import S3

MB = 1024 * 1024


class Place:
    """A store, and what is in it by another way."""

    def __init__(self, blobs: Blobs, stored: Callable[[], list[str]], unfinished: Callable[[], list[str]]) -> None:
        self.blobs = blobs
        self.stored = stored
        self.unfinished = unfinished


@pytest.fixture(params=["folder", "s3"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    if request.param == "folder":
        return folder_place(tmp_path)
    s3: S3 = request.getfixturevalue("as_client")
    prefix = f"kept/{uuid.uuid4().hex}"
    blobs = open_blobs(s3.url(prefix), tmp_path)
    return Place(blobs, lambda: s3.stored(prefix), lambda: s3.unfinished(prefix))


@pytest.fixture
def as_client(s3: S3, monkeypatch: pytest.MonkeyPatch) -> S3:
    """The server, with the environment of its clients."""
    for name, value in s3.environ.items():
        monkeypatch.setenv(name, value)
    return s3


def folder_place(tmp_path: Path) -> Place:
    root = tmp_path / "blobs"

    def names() -> list[str]:
        return sorted(str(path.relative_to(root)) for path in root.rglob("*") if path.is_file())

    return Place(
        open_blobs("", tmp_path),
        lambda: [name for name in names() if "#" not in name],
        lambda: [name for name in names() if "#" in name],
    )


async def chunks(*given: bytes) -> AsyncIterator[bytes]:
    for chunk in given:
        yield chunk


async def content(blobs: Blobs, *keys: str) -> bytes:
    return b"".join([chunk async for chunk in blobs.read(keys)])


@pytest.mark.parametrize("size", [0, 1, MB, 3 * MB + 1, 20 * MB])
async def test_what_is_written_is_read(place: Place, size: int) -> None:
    data = os.urandom(size)
    key = new_key()
    pieces = [data[i : i + 70_000] for i in range(0, size, 70_000)]
    assert await place.blobs.write(key, chunks(*pieces)) == size
    assert hashlib.sha256(await content(place.blobs, key)).digest() == hashlib.sha256(data).digest()
    assert place.stored() == [key]


async def test_several_are_read_one_after_the_other(place: Place) -> None:
    keys = [new_key() for _ in range(3)]
    for number, key in enumerate(keys):
        await place.blobs.write(key, chunks(b"%d" % number))
    assert await content(place.blobs, *keys) == b"012"
    assert await content(place.blobs, keys[2], keys[0], keys[2]) == b"202"
    assert await content(place.blobs) == b""


@pytest.mark.parametrize("fault", [APIError("no"), ValueError("broken"), OSError("gone"), FileNotFoundError("gone")])
async def test_a_source_that_fails_leaves_nothing(place: Place, fault: Exception) -> None:
    async def source() -> AsyncIterator[bytes]:
        for _ in range(20):
            yield bytes(MB)
        raise fault

    with pytest.raises(type(fault)) as raised:
        await place.blobs.write(new_key(), source())
    assert raised.value is fault
    assert (place.stored(), place.unfinished()) == ([], [])


async def test_a_write_that_is_cancelled_leaves_nothing(place: Place) -> None:
    sent = asyncio.Event()

    async def source() -> AsyncIterator[bytes]:
        for _ in range(20):
            yield bytes(MB)
        sent.set()
        await asyncio.Event().wait()

    writing = asyncio.create_task(place.blobs.write(new_key(), source()))
    await sent.wait()
    while not place.unfinished():  # it is on its way
        await asyncio.sleep(0.01)
    writing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await writing
    assert (place.stored(), place.unfinished()) == ([], [])


async def test_deleting(place: Place) -> None:
    keys = [new_key() for _ in range(30)]
    for key in keys:
        await place.blobs.write(key, chunks(b"x"))
    await place.blobs.delete(keys[1:])
    await place.blobs.delete([*keys[1:], new_key()])
    assert place.stored() == [keys[0]]


async def test_what_is_missing_is_told(place: Place) -> None:
    key = new_key()
    await place.blobs.write(key, chunks(b"x"))
    with pytest.raises(BlobMissing):
        await content(place.blobs, key, new_key())


async def test_a_reader_that_stops_is_fine(place: Place) -> None:
    key = new_key()
    await place.blobs.write(key, chunks(*[bytes(MB)] * 5))
    reading = place.blobs.read([key])
    assert await anext(reading)
    await reading.aclose()
    gc.collect()


async def test_a_file_of_a_folder_is_read_in_place(tmp_path: Path) -> None:
    blobs = open_blobs("", tmp_path)
    key = new_key()
    await blobs.write(key, chunks(b"here"))
    path = blobs.local_path(key)
    assert path is not None
    assert path.read_bytes() == b"here"
    assert path.is_relative_to(tmp_path / "blobs")


async def test_another_folder(tmp_path: Path) -> None:
    blobs = open_blobs(f"file://{tmp_path}/else where", tmp_path)
    await blobs.write("ab/cd", chunks(b"here"))
    assert (tmp_path / "else where" / "ab" / "cd").read_bytes() == b"here"


async def test_what_a_killed_writer_left_goes_with_its_key(tmp_path: Path) -> None:
    place = folder_place(tmp_path)
    half, other = tmp_path / "blobs" / "ab" / "abc#1", tmp_path / "blobs" / "ab" / "abcd#1"
    half.parent.mkdir()
    half.write_bytes(b"half")
    other.write_bytes(b"another's")
    await place.blobs.delete(["ab/abc"])
    assert place.unfinished() == ["ab/abcd#1"]


async def test_large_blobs_go_to_s3_in_parts(as_client: S3, tmp_path: Path) -> None:
    await open_blobs(as_client.url("large"), tmp_path).write(new_key(), chunks(*[bytes(MB)] * 20))
    assert [tag.rpartition("-")[2] for tag in as_client.etags("large")] == ["4"]
    assert as_client.unfinished("large") == []


async def test_a_store_that_is_down_may_come_back(as_client: S3, tmp_path: Path) -> None:
    blobs = open_blobs(as_client.url("down"), tmp_path)
    assert blobs.local_path("ab/cd") is None
    key = new_key()
    as_client.stop()
    for call in (blobs.write(key, chunks(b"x")), content(blobs, key), blobs.delete([key])):
        with pytest.raises(BlobsUnavailable) as refused:
            await call
        assert refused.value.status == 503
        assert refused.value.type == "server_error"
        assert refused.value.headers["retry-after"]
        assert "127.0.0.1" not in refused.value.message  # where it is, is no client's business
        assert as_client.address in refused.value.reason
    as_client.start()
    assert await blobs.write(key, chunks(b"x")) == 1
    assert await content(blobs, key) == b"x"


@pytest.mark.usefixtures("as_client")
async def test_a_bucket_that_is_not_there_is_no_missing_blob(tmp_path: Path) -> None:
    with pytest.raises(BlobsUnavailable):
        await open_blobs("s3://nowhere/x", tmp_path).write(new_key(), chunks(b"x"))


@pytest.mark.parametrize("url", ["s3://", "nonsense", "ftp://host/x", "s4://bucket"])
def test_urls_that_name_no_store(url: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no blob store at"):
        open_blobs(url, tmp_path)
