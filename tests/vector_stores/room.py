"""The endpoints of vector stores as an application within the test, on a real database.

Nothing reads files here: a test writes what their reading would have come to, in the words of its handler. Every
answer is judged by the published schema.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import httpx2
import openai
from starlette.routing import Router

from assistd import ids
from assistd.db.pool import Database
from assistd.errors import no_api_key
from assistd.llm import static_embedding
from assistd.vector_stores import chunks, routes
from assistd.web import endpoint
from assistd.web.endpoint import Door
from tests.conformance.contract import Contract
from tests.conformance.wiretap import Exchange
from tests.support.http import Answer

EMBEDDING = static_embedding.NAME
BASE = "http://assistd.test/v1"


class Keys:
    """Every key opens the project that is called like it."""

    async def project_of(self, key: str | None, headers: Mapping[str, str], address: str = "") -> str:
        if key is None:
            raise no_api_key()
        return f"proj_{key}"

    @contextmanager
    def watch(self, key: str) -> Iterator[asyncio.Future[None]]:
        yield asyncio.Future()


class Room:
    """The application, and what a test does behind its back."""

    def __init__(self, db: Database, contract: Contract, extra: Sequence[endpoint.Path]) -> None:
        self.db = db
        self.forgotten: list[int] = []
        paths = [*routes.paths(db, EMBEDDING, self._forget), *extra]
        served = endpoint.routes(paths, Door(Keys(), 1_000_000))
        self._app = Router(served, redirect_slashes=False, default=endpoint.not_found)
        self._contract = contract
        self._http = {key: self._client(key) for key in ("mine", "theirs")}
        self.sdk = openai.AsyncOpenAI(base_url=BASE, api_key="mine", max_retries=0, http_client=self._http["mine"])

    async def __call__(self, method: str, path: str, body: Any = None, *, key: str = "mine") -> Answer:
        """Send a request as a project."""
        content = None if body is None else json.dumps(body).encode()
        headers = {"authorization": f"Bearer {key}"}
        got = await self._http[key].request(method, BASE + path, content=content, headers=headers)
        return Answer(got.status_code, dict(got.headers), got.content)

    async def get(self, path: str, **options: Any) -> Answer:
        return await self("GET", path, **options)

    async def post(self, path: str, body: Any = None, **options: Any) -> Answer:
        return await self("POST", path, body, **options)

    async def delete(self, path: str, **options: Any) -> Answer:
        return await self("DELETE", path, **options)

    # --- what is not this room's to do

    async def file(self, filename: str = "notes.md", *, project: str = "proj_mine") -> str:
        """Enter a file, as uploading it would."""
        return (await self.files(1, filename, project=project))[0]

    async def files(self, count: int, filename: str = "notes.md", *, project: str = "proj_mine") -> list[str]:
        new = [ids.new("file-") for _ in range(count)]
        await self.run(
            "INSERT INTO files (id, project_id, bytes, filename, purpose, blobs) "
            "SELECT id, $2, 7, $3, 'assistants', '{}' FROM unnest($1::text[]) AS id",
            new,
            project,
            filename,
        )
        return new

    async def store(self, **options: Any) -> str:
        """Create a vector store and return its id."""
        return str((await self.post("/vector_stores", options)).ok["id"])

    async def end(self, store_id: str, *file_ids: str, status: str = "completed", passages: Sequence[str] = ()) -> None:
        """Have files of a store read, to this end."""
        error = '{"code":"invalid_file","message":"The file could not be parsed."}' if status == "failed" else None
        keys = await self.run(
            "UPDATE vector_store_files f SET status = $3, usage_bytes = 100, chunks = $4, last_error = $5 "
            "FROM vector_stores s WHERE s.key = f.store_key AND s.id = $1 AND f.file_id = ANY ($2::text[]) "
            "AND f.status = 'in_progress' RETURNING f.key, f.store_key",
            store_id,
            list(file_ids),
            status,
            len(passages),
            error,
        )
        assert len(keys) == len(file_ids)
        for key, store_key in keys:
            await self.run("DELETE FROM jobs WHERE kind = 'ingest' AND key = $1", str(key))
            async with self.db.transaction() as conn:
                vectors = static_embedding.embed(passages)
                await chunks.write_chunks(conn, key, store_key, 0, passages, vectors)

    async def jobs(self) -> list[tuple[str, str]]:
        """The files that wait to be read: (store, file) of each job, oldest first."""
        return [
            (row["id"], row["file_id"])
            for row in await self.run(
                "SELECT s.id, f.file_id FROM jobs j JOIN vector_store_files f ON f.key::text = j.key "
                "JOIN vector_stores s ON s.key = f.store_key WHERE j.kind = 'ingest' ORDER BY f.seq"
            )
        ]

    async def age(self, store_id: str, days: float) -> None:
        """Let a store have been left alone for so long."""
        await self.run(
            "UPDATE vector_stores SET last_active_at = unix_now() - $2 WHERE id = $1", store_id, int(days * 86400)
        )

    async def run(self, statement: str, *values: Any) -> list[Any]:
        async with self.db.acquire() as conn:
            return await conn.fetch(statement, *values)

    async def _forget(self, store_key: int) -> None:
        self.forgotten.append(store_key)

    def _client(self, key: str) -> httpx2.AsyncClient:
        transport = httpx2.ASGITransport(app=self._app)
        return httpx2.AsyncClient(transport=transport, event_hooks={"response": [self._judge]})

    async def _judge(self, response: httpx2.Response) -> None:
        body = await response.aread()
        request = response.request
        exchange = Exchange(
            request.method,
            request.url.raw_path.decode(),
            dict(request.headers),
            status=response.status_code,
            headers=dict(response.headers),
            body=body,
            complete=True,
        )
        assert self._contract.faults(exchange) == []

    async def close(self) -> None:
        for client in self._http.values():
            await client.aclose()


@asynccontextmanager
async def open_room(db: Database, contract: Contract, extra: Sequence[endpoint.Path] = ()) -> AsyncIterator[Room]:
    """Yield the application, with `extra` paths beside the room's own."""
    room = Room(db, contract, extra)
    try:
        yield room
    finally:
        await room.close()
