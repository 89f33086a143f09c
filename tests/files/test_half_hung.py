"""An object store that is half dead: every operation ends soon, what goes on goes on, and nothing hangs afterwards."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from assistd.db.pool import Database
from assistd.errors import APIError
from assistd.files import blobs as module
from assistd.files import intake, sweeper
from assistd.files.blobs import Blobs, BlobsUnavailable, new_key, open_blobs, probe
from assistd.files.pieces import Pieces
from tests.files.half_hung import WAYS, HalfHung, Way, half_hung
from tests.files.s3 import S3
from tests.support.waiting import PATIENCE

MB = 1024 * 1024
SOON = 1.0  # seconds of silence, instead of the true dozen


@pytest.fixture
def gate(s3: S3, monkeypatch: pytest.MonkeyPatch) -> Iterator[HalfHung]:
    """A port before a true store, which fails when it is told to."""
    with half_hung(s3.address) as made:
        for name, value in {**s3.environ, "AWS_ENDPOINT_URL": made.address}.items():
            monkeypatch.setenv(name, value)
        yield made


@pytest.fixture
def blobs(gate: HalfHung, s3: S3, tmp_path: Path) -> Blobs:
    """The store for whoever is impatient: it is used while it fails."""
    return open_blobs(s3.url("half-hung"), tmp_path, SOON)


@pytest.fixture
def sound(gate: HalfHung, s3: S3, tmp_path: Path) -> Blobs:
    """The same store for whoever waits as long as true nodes do: it is used while it works."""
    return open_blobs(s3.url("half-hung"), tmp_path)


async def chunks(size: int) -> AsyncIterator[bytes]:
    for _ in range(0, size, 65_536):
        yield os.urandom(min(65_536, size))


async def read(blobs: Blobs, key: str) -> bytes:
    return b"".join([chunk async for chunk in blobs.read([key])])


def test_the_bound_is_what_was_promised() -> None:
    assert module.ANSWER_SECONDS + intake._DROP_SECONDS <= 15


@pytest.mark.parametrize("way", WAYS)
async def test_every_operation_ends(gate: HalfHung, blobs: Blobs, sound: Blobs, way: Way) -> None:
    """Small blobs go in one request, which the head of the answer ends; large ones in several."""
    key = new_key()
    sizes = (12 * MB,) if way in ("headers only", "trickling body") else (1000, 12 * MB)
    await sound.write(key, chunks(12 * MB))
    async with asyncio.timeout(PATIENCE):
        gate.fail(way)
        for size in sizes:
            with pytest.raises(BlobsUnavailable):
                await blobs.write(new_key(), chunks(size))
        with pytest.raises(BlobsUnavailable):
            await read(blobs, key)
        with pytest.raises(BlobsUnavailable):
            await blobs.delete([key, *(new_key() for _ in range(100))])
        with pytest.raises(BlobsUnavailable):
            await probe(blobs, new_key())
    gate.fail(None)
    assert len(await read(sound, key)) == 12 * MB
    await sound.delete([key])


@pytest.mark.parametrize("after", [1, 2, 3, 4])
async def test_a_write_ends_wherever_it_hangs(gate: HalfHung, blobs: Blobs, after: int) -> None:
    """While a blob in parts is begun, while its parts are sent, and while it is completed."""
    async with asyncio.timeout(PATIENCE):
        gate.fail("silent", after)
        with pytest.raises(BlobsUnavailable) as raised:
            await blobs.write(new_key(), chunks(12 * MB))
    assert raised.value.reason == "it does not answer"


async def test_a_slow_client_is_no_silent_store() -> None:
    """While more is waited for from the client, the store is not waited for."""
    more = asyncio.Event()

    async def slow() -> AsyncIterator[bytes]:
        yield bytes(MB)
        await more.wait()
        yield bytes(MB)

    pieces = Pieces(slow(), MB)
    reading = pieces.read()
    assert await anext(reading) == bytes(MB)
    await asyncio.sleep(0.001)
    assert pieces.awaited() > 0  # the store has a piece, and has not asked for the next
    second = asyncio.ensure_future(anext(reading))
    await asyncio.sleep(0.001)
    assert pieces.awaited() == 0
    more.set()
    assert await second == bytes(MB)
    assert await anext(reading, None) is None
    await asyncio.sleep(0.001)
    assert pieces.awaited() > 0  # all is sent, and the store has to say that it has it


async def test_a_client_that_fails_is_told_of_its_own_fault(gate: HalfHung, blobs: Blobs) -> None:
    """Though what it had sent cannot be removed from a store that hangs."""
    failed = APIError("no")

    async def failing() -> AsyncIterator[bytes]:
        for _ in range(12):
            yield bytes(MB)
        gate.fail("silent")
        raise failed

    with pytest.raises(APIError) as raised:
        async with asyncio.timeout(PATIENCE):
            await blobs.write(new_key(), failing())
    assert raised.value is failed


async def test_a_cancelled_write_does_not_wait_for_a_store_that_hangs(gate: HalfHung, blobs: Blobs) -> None:
    gate.fail("silent", after=1)
    writing = asyncio.create_task(blobs.write(new_key(), chunks(50 * MB)))
    while gate.asked < 2:
        await asyncio.sleep(0.01)
    writing.cancel()
    with pytest.raises(asyncio.CancelledError):
        async with asyncio.timeout(PATIENCE):
            await writing


async def test_what_cannot_be_written_is_left_to_the_sweep(
    gate: HalfHung, blobs: Blobs, sound: Blobs, database: Database
) -> None:
    """The client gets its answer without a second wait, and the sweep does not hang either; later it succeeds."""
    gate.fail("silent")
    async with asyncio.timeout(PATIENCE):
        with pytest.raises(BlobsUnavailable):
            async with intake.take_in(database, blobs, chunks(1000)):
                raise AssertionError
        async with database.acquire() as conn:
            await conn.execute("UPDATE loose_blobs SET due = now()")
        with pytest.raises(BlobsUnavailable):
            await sweeper.sweep(database, blobs)
    gate.fail(None)
    async with database.acquire() as conn:
        assert await conn.fetchval("SELECT count(*) FROM loose_blobs") == 1
        await conn.execute("UPDATE loose_blobs SET due = now()")
    await sweeper.sweep(database, sound)
    async with database.acquire() as conn:
        assert await conn.fetchval("SELECT count(*) FROM loose_blobs") == 0


async def test_a_missing_bucket_is_not_a_missing_blob(gate: HalfHung, tmp_path: Path) -> None:
    """Else every file in it would be given up for good."""
    elsewhere = open_blobs("s3://no-such-bucket/x", tmp_path)
    for operation in (read(elsewhere, new_key()), elsewhere.write(new_key(), chunks(10)), probe(elsewhere, "x")):
        with pytest.raises(BlobsUnavailable):
            await operation
