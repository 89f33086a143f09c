"""What clients do with files: bring them in, let vector stores read them, search, and delete them again."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable
from typing import Any

import aiohttp

from tests.chaos.clients import Answer, Client
from tests.chaos.history import Asked, Attempt, Violation
from tests.durability.documents import prose

_PATIENCE = 150.0


class Librarian:
    """One client that fills vector stores until it is told to stop."""

    def __init__(self, name: str, client: Client) -> None:
        self.name = name
        self._client = client
        self._chance: random.Random = client.chance
        self._tags = 0

    async def fill_a_store(self) -> None:
        """Bring in some files, have them read into a new store, and delete some of it."""
        files = [await self.upload() for _ in range(self._chance.randint(1, 3))]
        store = await self._new_store(files)
        await self._until_read(store)
        body = {"query": "whatever there is", "max_num_results": 3}
        found = await self._client.insist(lambda: self._client.raw("POST", f"/vector_stores/{store}/search", body))
        if not found.body["data"]:
            self._client.history.add([Violation("what was read is found", f"nothing in {store}, {files}")])
        kind = self._chance.random()
        if kind < 0.3:
            await self._delete(f"/vector_stores/{store}")
        elif kind < 0.6:
            await self._delete(f"/files/{files[0]}")

    async def upload(self) -> str:
        def make() -> tuple[Attempt, Awaitable[Answer]]:
            name = f"{self._tag()}.txt"
            text = prose(self._chance.randint(500, 8000), self._chance.randrange(10**6))
            self._client.history.texts[name] = text

            def form() -> aiohttp.FormData:
                form = aiohttp.FormData({"purpose": "assistants"})
                form.add_field("file", text.encode(), filename=name, content_type="text/plain")
                return form

            return self._client.history.attempt(name, "file"), self._client.raw("POST", "/files", data=form)

        attempt, _ = await self._client.create(make)
        return attempt.id

    async def _new_store(self, files: list[str]) -> str:
        def make() -> tuple[Attempt, Awaitable[Answer]]:
            tag = self._tag()
            attempt = self._client.history.attempt(tag, "vector store")
            if self._chance.random() < 0.5:
                body = {"file_ids": files, "metadata": {"tag": tag}}
                return attempt, self._client.raw("POST", "/vector_stores", body)
            return attempt, self._client.sdk(
                "vector_stores.create", lambda sdk: sdk.vector_stores.create(file_ids=files, metadata={"tag": tag})
            )

        attempt, _ = await self._client.create(make)
        return attempt.id

    async def _until_read(self, store: str) -> None:
        begin = time.monotonic()
        while True:
            shown: Any = (await self._client.get(f"/vector_stores/{store}")).body
            if not shown["file_counts"]["in_progress"]:
                break
            if self._client.history.overdue(begin, _PATIENCE):
                self._client.history.add([Violation("every file is read", f"{shown}")])
                return
            await asyncio.sleep(self._chance.uniform(0.1, 0.5))
        self._client.history.counts["files read"] += shown["file_counts"]["completed"]
        if shown["file_counts"]["completed"] != shown["file_counts"]["total"]:
            self._client.history.add([Violation("every file is read", f"{shown}")])

    async def _delete(self, path: str) -> None:
        id = path.rpartition("/")[2]
        deleted = self._client.history.deleted
        deleted[id] = Asked.MAYBE
        await self._client.insist(lambda: self._client.raw("DELETE", path, allowed=(404,)))
        deleted[id] = Asked.YES

    def _tag(self) -> str:
        self._tags += 1
        return f"{self.name}-{self._tags}"
