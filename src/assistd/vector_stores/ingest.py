"""Ingestion: the job that reads a file into its vector store.

The file is parsed and cut in a child process, its passages wait in a spool file
while they are embedded, and then one transaction writes them together with the
file's completion. So a file is searchable as a whole or not at all, a worker
that dies has written nothing, and whoever takes the job over begins anew. The
transaction holds the job: a worker that was presumed dead cannot write.
"""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
import structlog

from assistd.db import sql
from assistd.db.pool import Database
from assistd.files.blobs import BlobMissing, Blobs, BlobsUnavailable
from assistd.files.wire import MAX_FILE_BYTES
from assistd.jobs import store as jobs
from assistd.jobs.store import Job
from assistd.llm import static_embedding
from assistd.llm.embedding import Embedders
from assistd.llm.protocol import ModelRefused, ModelUnavailable
from assistd.vector_stores import chunks
from assistd.vector_stores.chunks import WrongDimensions
from assistd.vector_stores.reader import Passage, Reader, Unreadable
from assistd.web.wire import to_json

log = structlog.get_logger("assistd.vector_stores")

SQL = sql.load(Path(__file__).with_name("ingest.sql"))

# A job that so many workers never came back from has taken them with it. One that was given back, because the database
# or the store of files was away, has not; and what a file does to its reader ends there, so this is seldom the file's.
_MOST_LOST = 50

# Pauses between tries of an embedding server that fails without saying how long to wait, in seconds.
_PAUSES = (0.5, 1.0, 2.0, 4.0, 8.0, 15.0, 30.0)

# Before a job is given back whose file is out of reach, in seconds: it has only so many attempts.
_BLOBS_PAUSE = 10.0

_SERVER_ERROR = "The file could not be processed because of a fault of the server."


class Ingest:
    """The handler of `ingest` jobs. A job's key is that of its row in `vector_store_files`."""

    def __init__(self, db: Database, blobs: Blobs, reader: Reader, embedders: Embedders) -> None:
        self._db = db
        self._blobs = blobs
        self._reader = reader
        self._embedders = embedders

    async def handle(self, job: Job) -> None:
        """Read a file, or end its job where there is nothing to read any more."""
        async with self._db.acquire() as conn:
            row = await conn.fetchrow(SQL["find"], int(job.key))
            if row is None:
                await jobs.complete(conn, job)
                return
        with structlog.contextvars.bound_contextvars(vector_store_id=row["store_id"], file_id=row["file_id"]):
            try:
                await self._read(job, row)
            except Unreadable as fault:
                await self._fail(job, row, fault.code, str(fault))
            except (BlobMissing, FileNotFoundError):
                await self._fail(job, row, "server_error", "The content of the file is not in the store of files.")
            except BlobsUnavailable:
                await asyncio.sleep(_BLOBS_PAUSE)
                raise  # the job goes back to the queue
            except (ModelRefused, ModelUnavailable, WrongDimensions) as fault:
                await self._fail(job, row, "server_error", f"The file could not be embedded: {fault}")
        await chunks.ensure_index(self._db, row["store_key"])

    async def _read(self, job: Job, row: Any) -> None:
        if row["lost"] > _MOST_LOST:
            raise Unreadable("server_error", _SERVER_ERROR)
        if row["bytes"] > MAX_FILE_BYTES:  # an upload in parts may be larger
            raise Unreadable("invalid_file", f"The file is larger than {MAX_FILE_BYTES >> 20} MB.")
        sizes = msgspec.json.decode(row["chunking_strategy"])["static"]
        is_static = row["embedding_model"] == static_embedding.NAME
        async with (
            self._local(row["blobs"]) as paths,
            self._reader.read(
                paths,
                row["filename"],
                max_tokens=sizes["max_chunk_size_tokens"],
                overlap=sizes["chunk_overlap_tokens"],
                embed=is_static,
            ) as reading,
            self._embedded(reading.batches(), row["embedding_model"]) as batches,
        ):
            await self._write(job, row, batches)

    @asynccontextmanager
    async def _local(self, keys: Sequence[str]) -> AsyncIterator[list[Path]]:
        """Yield the file's blobs as files of this machine; those of an object store are fetched for the while."""
        paths = [self._blobs.local_path(key) for key in keys]
        if all(path is not None for path in paths):
            yield [path for path in paths if path is not None]
            return
        with tempfile.TemporaryDirectory(dir=self._reader.folder) as folder:
            fetched = Path(folder) / "content"
            with fetched.open("wb") as file:
                async for chunk in self._blobs.read(keys):
                    file.write(chunk)
            yield [fetched]

    @asynccontextmanager
    async def _embedded(
        self, batches: AsyncIterator[Sequence[Passage]], model: str
    ) -> AsyncIterator[AsyncIterator[Sequence[Passage]]]:
        """Yield the passages with their embeddings.

        Those of a route's model wait in a second spool until all are there, so that no transaction waits for it.
        """
        if model == static_embedding.NAME:
            yield batches
            return
        with tempfile.TemporaryFile() as spool:
            async for batch in batches:
                vectors = await self._embed(model, [passage.text for passage in batch])
                whole = [Passage(p.text, vector) for p, vector in zip(batch, vectors, strict=True)]
                spool.write(msgspec.json.encode(whole) + b"\n")
            spool.seek(0)

            async def embedded() -> AsyncIterator[Sequence[Passage]]:
                for line in spool:
                    yield msgspec.json.decode(line, type=list[Passage])

            yield embedded()

    async def _embed(self, model: str, texts: Sequence[str]) -> list[list[float]]:
        """Embed, and try again as long as there is hope."""
        for pause in _PAUSES:
            try:
                return await self._embedders.embed(model, texts)
            except ModelUnavailable as fault:
                wait = pause if fault.retry_after is None else fault.retry_after
                log.warning("embedding failed, trying again", error=str(fault), pause=wait)
                await asyncio.sleep(min(wait, 60.0))
        return await self._embedders.embed(model, texts)

    async def _write(self, job: Job, row: Any, batches: AsyncIterator[Sequence[Passage]]) -> None:
        """Write all passages and the file's completion, if the job is still ours."""
        count = usage = 0
        batch = await anext(batches, None)
        if batch is None:
            raise Unreadable("invalid_file", "The file has no text.")
        # By itself, because it locks the store, which nobody is to wait for until all passages are written.
        async with self._db.acquire() as conn:
            await chunks.expect_dimensions(conn, row["store_key"], [_vector(passage) for passage in batch])
        async with self._db.transaction() as conn:
            if await conn.fetchval(SQL["hold"], row["key"], job.attempt) is None:
                await jobs.complete(conn, job)
                return
            await chunks.forget_chunks(conn, row["key"])
            while batch is not None:
                texts, vectors = [passage.text for passage in batch], [_vector(passage) for passage in batch]
                await chunks.write_chunks(conn, row["key"], row["store_key"], count, texts, vectors)
                count += len(batch)
                usage += sum(len(text.encode()) for text in texts) + sum(2 * len(vector) for vector in vectors)
                batch = await anext(batches, None)
            await conn.execute(SQL["complete"], row["key"], count, usage)
            await jobs.complete(conn, job)
        log.info("file read", chunks=count)

    async def _fail(self, job: Job, row: Any, code: str, message: str) -> None:
        async with self._db.transaction() as conn:
            if await conn.fetchval(SQL["hold"], row["key"], job.attempt) is not None:
                await conn.execute(SQL["fail"], row["key"], to_json({"code": code, "message": message}))
            await jobs.complete(conn, job)
        log.info("file not read", code=code, reason=message)


def _vector(passage: Passage) -> Sequence[float]:
    assert passage.embedding is not None
    return passage.embedding
