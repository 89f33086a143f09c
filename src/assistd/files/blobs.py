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
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterable, Sequence
from contextlib import aclosing, asynccontextmanager, suppress
from datetime import timedelta
from pathlib import Path

import obstore
import structlog
from obstore import exceptions
from obstore.store import LocalStore, ObjectStore, from_url

from assistd.errors import APIError
from assistd.files.pieces import Pieces

log = structlog.get_logger("assistd.files")

# What is handed to the store in one piece. S3 takes at most 10,000 pieces of at least 5 MiB for a blob.
_PIECE_BYTES = 5 * 1024 * 1024
_PIECES_AT_ONCE = 2
_READ_BYTES = 1024 * 1024

# What an object store may take for an answer, for the next piece of one, or to take a piece. It says nothing of how far
# it is with a piece, so this is also a pace that it must keep: two pieces, about 1 MB a second.
ANSWER_SECONDS = 12.0
# The store's client gives up after us: then what we have left behind ends as well.
_SILENCE_SECONDS = ANSWER_SECONDS + 2
_CANCEL_SECONDS = 5.0
_RETRIES = 3
# A blob that a slow client reads is one long answer, so only silence counts.
_ANSWER_HOURS = 12

_DELETES_AT_ONCE = 10


class BlobsUnavailable(APIError):
    """The blob store does not answer, or refuses us: an error of ours that may pass. The door answers it as 503."""

    def __init__(self, reason: str, *, silent: bool = False) -> None:
        super().__init__(
            "The store of files is out of reach just now. Please try again soon.",
            status=503,
            type="server_error",
            headers={"retry-after": "1"},
        )
        self.reason = reason
        self.silent = silent  # it did not answer in time, and may not answer the next question either


class BlobMissing(Exception):
    """There is no blob under this key: it was deleted meanwhile, or the store lost it."""


class Blobs:
    """A blob store. Every method raises BlobsUnavailable where the store cannot be talked to.

    `answer_seconds` bounds how long it may be silent; None waits, as for a disk. `on_fault` is called with every
    BlobsUnavailable before it is raised.
    """

    def __init__(self, store: ObjectStore, folder: Path | None = None, answer_seconds: float | None = None) -> None:
        self._store = store
        self._folder = folder
        self._answer_seconds = answer_seconds
        self._left: set[asyncio.Future[None]] = set()
        self.on_fault: Callable[[BlobsUnavailable], None] = lambda fault: None

    async def write(self, key: str, chunks: AsyncIterator[bytes]) -> int:
        """Write a blob as its bytes come, and return how many they were.

        It is there whole, or not at all: where `chunks` raises or the caller is cancelled, what was already sent
        is removed again, and the exception goes on.
        """
        pieces = Pieces(chunks, _READ_BYTES)
        writing = asyncio.ensure_future(self._put(key, pieces))
        try:
            await self._watch(key, writing, pieces)
        except asyncio.CancelledError:
            # A put that is just dropped would leave its half behind in the store; one whose source fails cleans up.
            pieces.stop()
            await asyncio.wait({writing}, timeout=None if self._answer_seconds is None else _CANCEL_SECONDS)
            self._leave(writing)
            raise
        if self._folder is not None:
            await asyncio.to_thread(_sync, self._folder / key)
        return pieces.size

    async def _watch(self, key: str, writing: asyncio.Future[None], pieces: Pieces) -> None:
        """Wait for a put. The source may take its time; a store that is silent for too long is left alone."""
        bound = self._answer_seconds
        while True:
            await asyncio.wait({writing}, timeout=None if bound is None else max(bound - pieces.awaited(), 0.01))
            if writing.done():
                return writing.result()
            if bound is not None and pieces.awaited() >= bound:
                pieces.stop()
                self._leave(writing)
                raise pieces.fault or self._unavailable(key, TimeoutError())

    def _leave(self, writing: asyncio.Future[None]) -> None:
        """Let a put whose end nobody waits for clean up behind itself, if the store lets it."""

        def forget(ended: asyncio.Future[None]) -> None:
            self._left.discard(ended)
            if not ended.cancelled() and (fault := ended.exception()):
                log.debug("a blob was given up", error=str(fault))

        self._left.add(writing)
        writing.add_done_callback(forget)

    async def _put(self, key: str, pieces: Pieces) -> None:
        """Send a blob in parts, or in one request where it is small: a part that was begun outlives a kill."""
        try:
            async with aclosing(pieces.read()) as reading:
                head = bytearray()
                async for piece in reading:
                    head += piece
                    if len(head) >= _PIECE_BYTES:
                        break
                if len(head) < _PIECE_BYTES:
                    await obstore.put_async(self._store, key, bytes(head), use_multipart=False)
                    return
                await obstore.put_async(
                    self._store,
                    key,
                    _chained(bytes(head), reading),
                    use_multipart=True,
                    chunk_size=_PIECE_BYTES,
                    max_concurrency=_PIECES_AT_ONCE,
                )
        except (exceptions.BaseError, OSError) as fault:
            # Where something is written, it is the bucket that is not found.
            raise pieces.fault or self._unavailable(key, fault) from fault
        except Exception:
            if pieces.fault is not None:
                raise pieces.fault from None
            raise

    async def read(self, keys: Sequence[str]) -> AsyncGenerator[bytes, None]:
        """Yield the bytes of blobs, one after the other, as far as they are asked for. Raises BlobMissing."""
        for key in keys:
            async with self._answer(key):
                found = await obstore.get_async(self._store, key)
            chunks = aiter(found.stream(min_chunk_size=_READ_BYTES))
            while True:
                async with self._answer(key):
                    chunk = await anext(chunks, None)
                if chunk is None:
                    break
                yield bytes(chunk)

    async def delete(self, keys: Iterable[str]) -> None:
        """Delete blobs; those that are not there are fine. A store that is silent is not asked for the rest."""
        limit = asyncio.Semaphore(_DELETES_AT_ONCE)
        silent = False

        async def delete(key: str) -> None:
            nonlocal silent
            async with limit:
                if silent:
                    return
                try:
                    with suppress(BlobMissing):
                        async with self._answer(key):
                            await obstore.delete_async(self._store, key)
                except BlobsUnavailable as fault:
                    silent = silent or fault.silent
                    raise
                if self._folder is not None:
                    await asyncio.to_thread(_clear_unfinished, self._folder / key)

        faults = await asyncio.gather(*(delete(key) for key in keys), return_exceptions=True)
        for fault in faults:
            if fault is not None:
                raise fault

    @asynccontextmanager
    async def _answer(self, key: str) -> AsyncIterator[None]:
        """Bound one answer of the store, and translate its faults."""
        try:
            async with asyncio.timeout(self._answer_seconds):
                yield
        except (exceptions.BaseError, OSError) as fault:
            if isinstance(fault, FileNotFoundError) and "NoSuchBucket" not in str(fault):
                raise BlobMissing(key) from fault
            raise self._unavailable(key, fault) from fault

    def _unavailable(self, key: str, fault: Exception) -> BlobsUnavailable:
        silent = isinstance(fault, TimeoutError)
        unavailable = BlobsUnavailable("it does not answer" if silent else _first_line(fault), silent=silent)
        log.error("blob store out of reach", key=key, error=unavailable.reason)
        self.on_fault(unavailable)
        return unavailable

    @property
    def is_remote(self) -> bool:
        """Whether it is an object store, and no folder of this machine."""
        return self._folder is None

    def local_path(self, key: str) -> Path | None:
        """Where this machine has the blob as a file, which must not be changed; None for a store elsewhere."""
        return None if self._folder is None else self._folder / key


def open_blobs(url: str, data_dir: Path, answer_seconds: float = ANSWER_SECONDS) -> Blobs:
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
                retry_config={"max_retries": _RETRIES, "retry_timeout": timedelta(seconds=ANSWER_SECONDS)},
            ),
            answer_seconds=answer_seconds,
        )
    except (exceptions.BaseError, ValueError) as fault:
        raise ValueError(f"no blob store at {url!r}: {_first_line(fault)}") from None


async def probe(blobs: Blobs, key: str) -> None:
    """Write a blob, read it and delete it: rights differ for each. Raises BlobsUnavailable."""

    async def chunks() -> AsyncIterator[bytes]:
        yield b"assistd"

    try:
        async with asyncio.timeout(ANSWER_SECONDS):
            await blobs.write(key, chunks())
            found = b"".join([chunk async for chunk in blobs.read([key])])
            await blobs.delete([key])
    except TimeoutError as fault:
        raise BlobsUnavailable("it does not answer", silent=True) from fault
    except BlobMissing as fault:
        raise BlobsUnavailable("it does not have what was just written to it") from fault
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


async def _chained(first: bytes, rest: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    yield first
    async for piece in rest:
        yield piece


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
