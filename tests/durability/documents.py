"""Files and vector stores in the durability tests: brought in over plain HTTP, checked in the database."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any

import aiohttp
import asyncpg
import msgspec
import psutil
from aiohttp import web

from assistd.llm.word_vectors import word_vector
from assistd.vector_stores import chunking
from tests.durability.api import HEADERS, Api, Refused, eventually
from tests.durability.conftest import Node

EMBEDDING = "held-embedding"
_DIMENSIONS = 32
_WORDS = [f"{a}{b}{c}" for a in ("ber", "lo", "ma", "ti", "stra") for b in ("no", "ve", "ga") for c in ("ra", "n", "s")]


# --- what is embedded


class HeldEmbeddings:
    """A server of `/embeddings` that answers when it is let to. `waiting` counts the requests it holds back."""

    def __init__(self) -> None:
        self.base_url = ""
        self.waiting = 0
        self.asked: list[list[str]] = []
        self._free = asyncio.Event()

    def hold(self) -> None:
        """Answer nobody from now on."""
        self._free.clear()

    def answer(self) -> None:
        """Answer who waits, and everybody from now on."""
        self._free.set()

    async def until_waiting(self, count: int) -> None:
        """Wait until exactly so many requests are held back."""
        await eventually(lambda: self.waiting == count, f"{count} requests for embeddings; there are {self.waiting}")

    async def _embeddings(self, request: web.Request) -> web.Response:
        texts = (await request.json())["input"]
        self.asked.append(texts)
        self.waiting += 1
        try:
            await self._free.wait()
        finally:
            self.waiting -= 1
        data = [{"index": at, "embedding": word_vector(text, _DIMENSIONS)} for at, text in enumerate(texts)]
        return web.Response(body=msgspec.json.encode({"data": data}), content_type="application/json")


@asynccontextmanager
async def held_embeddings(port: int = 0) -> AsyncIterator[HeldEmbeddings]:
    """Run such a server in this process. It answers until it is told to hold back."""
    server = HeldEmbeddings()
    server.answer()
    app = web.Application(client_max_size=64 << 20)
    app.router.add_post("/v1/embeddings", server._embeddings)
    runner = web.AppRunner(app, access_log=None, handler_cancellation=True, shutdown_timeout=0)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", port).start()
        server.base_url = f"http://127.0.0.1:{runner.addresses[0][1]}/v1"
        yield server
    finally:
        server.answer()
        await runner.cleanup()


def write_routes(file: Path, model_url: str, embeddings_url: str) -> Path:
    """Write a models file: one server for `EMBEDDING`, another for all else."""
    file.write_text(
        f'[[routes]]\nnames = ["{EMBEDDING}"]\nbase_url = "{embeddings_url}"\n'
        f'[[routes]]\nnames = ["*"]\nbase_url = "{model_url}"\n'
    )
    return file


# --- what is brought in


def prose(size: int, seed: int = 0) -> str:
    """A text of so many characters, about, in sentences and paragraphs that no two seeds share."""
    chance = random.Random(seed)
    sentences = []
    while size > 0:
        words = chance.choices(_WORDS, k=chance.randint(5, 15))
        sentence = f"{words[0].title()} {seed} {' '.join(words[1:])}."
        sentences.append(sentence + ("\n\n" if chance.random() < 0.1 else " "))
        size -= len(sentence) + 1
    return "".join(sentences).strip()


async def upload(session: aiohttp.ClientSession, node: Node, name: str, content: str | bytes) -> str:
    """Upload a file and return its id. Raises Refused, and what aiohttp raises where nobody answers."""
    content = content.encode() if isinstance(content, str) else content
    return str((await send(session, node, "/files", "file", name, content, purpose="assistants"))["id"])


async def send(
    session: aiohttp.ClientSession,
    node: Node,
    path: str,
    field: str,
    name: str,
    content: bytes | AsyncIterator[bytes],
    **fields: str,
) -> Any:
    """Post a form with a file in it; content that comes in pieces is sent as it comes."""
    form = aiohttp.FormData(fields)
    form.add_field(field, content, filename=name, content_type="application/octet-stream")
    headers = {"Authorization": HEADERS["Authorization"]}
    async with session.post(node.server.url + path, data=form, headers=headers) as response:
        answer = await response.json()
        if response.status >= 300:
            raise Refused(response.status, answer["error"]["message"])
        return answer


async def new_store(api: Api, *file_ids: str) -> str:
    return str((await api.post("/vector_stores", {"file_ids": file_ids}))["id"])


async def until_read(api: Api, store_id: str) -> Any:
    """Wait until no file of a store is in progress, and return the store."""

    async def ended() -> Any:
        store = await api.get(f"/vector_stores/{store_id}")
        return None if store["file_counts"]["in_progress"] else store

    return await eventually(ended, f"the end of reading into {store_id}")


# --- what must have become of it


async def check_store(db: asyncpg.Connection, api: Api, store_id: str, texts: dict[str, str], failed: int = 0) -> None:
    """Check that a store has read these files, by id with their text, each passage once; and so many have failed."""
    store = await until_read(api, store_id)
    counts = {"in_progress": 0, "completed": len(texts), "failed": failed, "cancelled": 0, "total": len(texts) + failed}
    assert store["file_counts"] == counts, store
    assert store["status"] == "completed"
    key = await db.fetchval("SELECT key FROM vector_stores WHERE id = $1", store_id)
    rows = await db.fetch("SELECT * FROM vector_store_files WHERE store_key = $1", key)
    for row in rows:
        passages = await db.fetch("SELECT number, text FROM chunks WHERE file_key = $1 ORDER BY number", row["key"])
        assert [passage["number"] for passage in passages] == list(range(row["chunks"])), row
        if row["status"] == "completed":
            assert [passage["text"] for passage in passages] == passages_of(texts[row["file_id"]])
            assert row["usage_bytes"] > 0
        else:
            assert (passages, row["usage_bytes"]) == ([], 0)
    assert store["usage_bytes"] == sum(row["usage_bytes"] for row in rows)
    held = await db.fetchval("SELECT count(*) FROM chunks WHERE store_key = $1", key)
    assert held == sum(row["chunks"] for row in rows)
    assert await db.fetchval("SELECT count(*) FROM jobs WHERE kind = 'ingest'") == 0


def passages_of(text: str) -> list[str]:
    """What a text that nobody disturbs is cut into."""
    return list(chunking.passages(text, 800, 400))


async def contents(db: asyncpg.Connection) -> list[Any]:
    """All that reading files writes."""
    tables = ("vector_stores", "vector_store_files", "chunks", "jobs")
    return [await db.fetch(f"SELECT *, xmin, ctid FROM {table} ORDER BY ctid") for table in tables]


# --- who reads


def readers(pid: int) -> list[psutil.Process]:
    """The reading processes of a server that live."""
    return [child for child in psutil.Process(pid).children(recursive=True) if is_reader(child)]


def is_reader(process: psutil.Process) -> bool:
    """Whether this is a reading process that lives."""
    try:
        return "assistd.vector_stores.reading" in process.cmdline() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


async def until_gone(processes: Sequence[psutil.Process]) -> None:
    """Wait until these reading processes are gone."""
    await eventually(lambda: not any(map(is_reader, processes)), "the end of reading processes")


def spooled(temporary: Path) -> int:
    """How many bytes of passages reading processes have written by now."""
    return sum(_size(spool) for spool in temporary.glob("assistd-reading-*/*.spool"))


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0


def in_order(events: Sequence[Any]) -> bool:
    """Whether events, `done` at the end, have ids that only grow."""
    return all(first.place < second.place for first, second in pairwise(events[:-1]))
