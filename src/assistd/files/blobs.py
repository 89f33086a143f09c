"""Where the bytes of files are: a folder of this machine, or an object store such as S3.

A blob is written once under a random key, read as a stream and deleted; which
file it belongs to stands in the database. An object store is named by its URL
(`s3://bucket/prefix`, also `gs://` and `az://`). Its address, keys and region
come from the environment variables that the tools of the store use themselves,
for S3 `AWS_ENDPOINT_URL`, `AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY`,
`AWS_SESSION_TOKEN` and `AWS_REGION`; a store without TLS is one whose address
begins with `http://`; without keys, those of the machine's or container's role.
"""

from __future__ import annotations

import asyncio
import os
import secrets
from collections.abc import AsyncGenerator, AsyncIterator, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import timedelta
from pathlib import Path
from typing import Literal

import obstore
import structlog
from obstore import exceptions
from obstore.store import LocalStore, ObjectStore, from_url

from assistd.errors import APIError

log = structlog.get_logger("assistd.files")

# What is handed to the store in one piece. S3 takes at most 10,000 pieces of at least 5 MiB for a blob.
_PIECE_BYTES = 8 * 1024 * 1024
_PIECES_AT_ONCE = 2
_READ_BYTES = 1024 * 1024

_RETRIES = 3
_RETRY_SECONDS = 15
# A blob that a slow client reads is one long answer, so only silence counts.
_ANSWER_HOURS = 12
_SILENCE_SECONDS = 60

_DELETES_AT_ONCE = 10


class BlobsUnavailable(APIError):
    """The blob store does not answer, or refuses us: an error of ours that may pass. The door answers it as 503."""

    def __init__(self, reason: str) -> None:
        super().__init__(
            "The store of files is out of reach just now. Please try again soon.",
            status=503,
            type="server_error",
            headers={"retry-after": "1"},
        )
        self.reason = reason


class BlobMissing(Exception):
    """There is no blob under this key: it was deleted meanwhile, or the store lost it."""


class Blobs:
    """A blob store. Every method raises BlobsUnavailable where the store cannot be talked to."""

    def __init__(self, store: ObjectStore, folder: Path | None = None) -> None:
        self._store = store
        self._folder = folder

    async def write(self, key: str, chunks: AsyncIterator[bytes]) -> int:
        """Write a blob as its bytes come, and return how many they were.

        It is there whole, or not at all: where `chunks` raises or the caller is cancelled, what was already sent
        is taken back, and the exception goes on.
        """
        pieces = _Pieces(chunks)
        writing = asyncio.ensure_future(self._put(key, pieces))
        try:
            await asyncio.shield(writing)
        except asyncio.CancelledError:
            # A put that is just dropped would leave its half behind in the store; one whose source fails cleans up.
            pieces.stop()
            with suppress(Exception):
                await writing
            raise
        if self._folder is not None:
            await asyncio.to_thread(_sync, self._folder / key)
        return pieces.size

    async def _put(self, key: str, pieces: _Pieces) -> None:
        with _faults(key, pieces):
            await obstore.put_async(
                self._store,
                key,
                pieces.read(),
                use_multipart=True,
                chunk_size=_PIECE_BYTES,
                max_concurrency=_PIECES_AT_ONCE,
            )

    async def read(self, keys: Sequence[str]) -> AsyncGenerator[bytes, None]:
        """Yield the bytes of blobs, one after the other, as far as they are asked for. Raises BlobMissing."""
        for key in keys:
            with _faults(key):
                found = await obstore.get_async(self._store, key)
                chunks = aiter(found.stream(min_chunk_size=_READ_BYTES))
            while True:
                with _faults(key):
                    chunk = await anext(chunks, None)
                if chunk is None:
                    break
                yield bytes(chunk)

    async def delete(self, keys: Iterable[str]) -> None:
        """Delete blobs; those that are not there are fine."""
        limit = asyncio.Semaphore(_DELETES_AT_ONCE)

        async def delete(key: str) -> None:
            async with limit:
                with suppress(BlobMissing), _faults(key):
                    await obstore.delete_async(self._store, key)
                if self._folder is not None:
                    await asyncio.to_thread(_clear_unfinished, self._folder / key)

        faults = await asyncio.gather(*(delete(key) for key in keys), return_exceptions=True)
        for fault in faults:
            if fault is not None:
                raise fault

    def local_path(self, key: str) -> Path | None:
        """Where this machine has the blob as a file, which must not be changed; None for a store elsewhere."""
        return None if self._folder is None else self._folder / key


def open_blobs(url: str, data_dir: Path) -> Blobs:
    """The store at a URL, or the folder `blobs` under `data_dir` where the URL is empty.

    `file:///folder` names another folder. Nothing is sent yet. Raises ValueError for a URL that names no store.
    """
    folder = data_dir / "blobs" if not url else None
    if url.startswith("file://"):
        folder = Path(url.removeprefix("file://"))
    if folder is not None:
        folder = folder.absolute()
        try:
            return Blobs(LocalStore(folder, mkdir=True), folder)
        except (exceptions.BaseError, OSError) as fault:
            raise ValueError(f"the folder {folder} cannot be used: {_first_line(fault)}") from None
    try:
        return Blobs(
            from_url(
                url,
                # Options given here replace what the environment says about them, so this one is passed on.
                client_options={
                    "allow_http": _allows_http(),
                    "connect_timeout": timedelta(seconds=5),
                    "read_timeout": timedelta(seconds=_SILENCE_SECONDS),
                    "timeout": timedelta(hours=_ANSWER_HOURS),
                },
                retry_config={"max_retries": _RETRIES, "retry_timeout": timedelta(seconds=_RETRY_SECONDS)},
            )
        )
    except (exceptions.BaseError, ValueError) as fault:
        raise ValueError(f"no blob store at {url!r}: {_first_line(fault)}") from None


async def probe(blobs: Blobs) -> None:
    """Write a blob, read it and delete it: rights differ for each. Raises BlobsUnavailable."""
    key = new_key()

    async def chunks() -> AsyncIterator[bytes]:
        yield b"assistd"

    await blobs.write(key, chunks())
    found = b"".join([chunk async for chunk in blobs.read([key])])
    await blobs.delete([key])
    if found != b"assistd":
        raise BlobsUnavailable("it does not give back what was written to it")


def _allows_http() -> bool:
    """Whether the store may be spoken to without TLS: where that is said, or where its address says http."""
    addresses = (os.environ.get(name, "") for name in ("AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT"))
    said = os.environ.get("AWS_ALLOW_HTTP", "").lower() in ("1", "true", "yes", "on")
    return said or any(address.startswith("http://") for address in addresses)


def new_key() -> str:
    """Make a fresh random key of a blob: 32 hexadecimal digits, in a folder named by their first two."""
    key = secrets.token_hex(16)
    return f"{key[:2]}/{key}"


class _Pieces:
    """The chunks of a blob on their way: gathered to a size worth a hand-over, counted, and stoppable.

    `fault` is what the source raised, so that it is not mistaken for a fault of the store.
    """

    def __init__(self, chunks: AsyncIterator[bytes]) -> None:
        self._chunks = chunks
        self._stopped = asyncio.Event()
        self.size = 0
        self.fault: BaseException | None = None

    def stop(self) -> None:
        """Let whoever reads, or waits for the next chunk, fail."""
        self._stopped.set()

    async def read(self) -> AsyncIterator[bytes]:
        stopped = asyncio.create_task(self._stopped.wait())
        try:
            held = bytearray()
            while (chunk := await self._next(stopped)) is not None:
                self.size += len(chunk)
                held += chunk
                if len(held) >= _READ_BYTES:
                    yield bytes(held)
                    held.clear()
            if held:
                yield bytes(held)
        except Exception as fault:
            self.fault = fault
            raise
        finally:
            stopped.cancel()

    async def _next(self, stopped: asyncio.Task[Literal[True]]) -> bytes | None:
        coming = asyncio.create_task(self._pull())
        try:
            await asyncio.wait((coming, stopped), return_when=asyncio.FIRST_COMPLETED)
        finally:
            if not coming.done():
                coming.cancel()
        if stopped.done():
            await asyncio.gather(coming, return_exceptions=True)
            raise _Stopped
        return coming.result()

    async def _pull(self) -> bytes | None:
        return await anext(self._chunks, None)


class _Stopped(Exception):
    """The writer of a blob was cancelled."""


@contextmanager
def _faults(key: str, pieces: _Pieces | None = None) -> Iterator[None]:
    try:
        yield
    except Exception as fault:
        if pieces is not None and pieces.fault is not None:
            raise pieces.fault from None
        # Where something is written, it is the bucket that is not found.
        if isinstance(fault, FileNotFoundError) and pieces is None:
            raise BlobMissing(key) from fault
        if isinstance(fault, exceptions.BaseError | OSError):
            raise _unavailable(key, fault) from fault
        raise


def _unavailable(key: str, fault: Exception) -> BlobsUnavailable:
    reason = _first_line(fault)
    log.error("blob store out of reach", key=key, error=reason)
    return BlobsUnavailable(reason)


def _first_line(fault: Exception) -> str:
    return next(iter(str(fault).splitlines()), "") or type(fault).__name__


def _sync(path: Path) -> None:
    """Put a file and its name on the disk, before a row says that it is there."""
    for place in (path, path.parent, path.parent.parent):
        handle = os.open(place, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def _clear_unfinished(path: Path) -> None:
    """Remove what a process that was killed left of the blob: the local store writes `name#1` and renames it."""
    for half in path.parent.glob(f"{path.name}#*"):
        half.unlink(missing_ok=True)
