"""Put files into a vector store of a real `assistd serve`, and print how fast they are read and what memory it takes.

    .venv/bin/python benchmarks/ingestion.py
    .venv/bin/python benchmarks/ingestion.py --files 2000 --kilobytes 8 --pdfs 40 --pages 25

The text files are of different words, some with headings; the PDFs are pages of such text, made with reportlab. They
are uploaded first, and that is not measured; then they come into a store by file batches. Server, PostgreSQL and this
client share the machine. Embeddings are the static ones, of the server's reading processes. The server's data go into
a folder that is removed afterwards.

Memory is resident memory: of the server process, and of its reading processes together. What it takes is flat where
the server's does not grow from a quarter of the files to their end.
"""

from __future__ import annotations

import argparse
import asyncio
import io
import os
import random
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import psutil
from serve import free_port, running

HEADERS = {"OpenAI-Beta": "assistants=v2", "Authorization": "Bearer sk-bench"}
BATCH = 500  # files
UPLOADS_AT_ONCE = 8
LOOK_SECONDS = 0.25
MEGABYTE = 1 << 20

_SYLLABLES = "ar ben co dal en fi gor ha is jun kel lo mar ne or pas qui ros sen tal un ver wen yor zan"
_COMMON = "the of and to in is that it was for on are with as be at by this from or have an not which"


def words(chance: random.Random) -> list[str]:
    """A vocabulary: 4,000 made-up words, after the common ones, which come more often."""
    made = {"".join(chance.choices(_SYLLABLES.split(), k=chance.randint(1, 3))) for _ in range(6_000)}
    return _COMMON.split() * 60 + sorted(made)[:4_000]


def document(chance: random.Random, vocabulary: Sequence[str], size: int) -> str:
    """A text of about `size` bytes, in sentences and paragraphs under headings."""
    lines: list[str] = []
    while size > 0:
        paragraph = " ".join(
            " ".join(chance.choices(vocabulary, k=chance.randint(6, 20))).capitalize() + "."
            for _ in range(chance.randint(2, 7))
        )
        if chance.random() < 0.2:
            paragraph = f"# {chance.choice(vocabulary).capitalize()} {chance.randint(1, 999)}\n\n{paragraph}"
        lines.append(paragraph)
        size -= len(paragraph) + 2
    return "\n\n".join(lines)


def pdf(chance: random.Random, vocabulary: Sequence[str], pages: int) -> bytes:
    """A PDF of so many pages, each full of text."""
    from reportlab.lib.pagesizes import A4
    from reportlab.pdfgen.canvas import Canvas

    out = io.BytesIO()
    canvas = Canvas(out, pagesize=A4)
    for _ in range(pages):
        text = canvas.beginText(50, 790)
        text.setFont("Helvetica", 10)
        for _ in range(58):
            text.textLine(" ".join(chance.choices(vocabulary, k=13)))
        canvas.drawText(text)
        canvas.showPage()
    canvas.save()
    return out.getvalue()


@dataclass
class Memory:
    """Resident bytes at one time, and how many reading processes there were."""

    share: float  # of the files, that were read by then
    seconds: float
    server: int
    readers: int
    children: int


class Client:
    """One client of the server."""

    def __init__(self, session: aiohttp.ClientSession, url: str, pid: int) -> None:
        self._session = session
        self._url = url
        self._server = psutil.Process(pid)

    async def upload(self, name: str, content: bytes) -> str:
        form = aiohttp.FormData({"purpose": "assistants"})
        form.add_field("file", content, filename=name)
        async with self._session.post(f"{self._url}/files", data=form) as response:
            response.raise_for_status()
            return str((await response.json())["id"])

    async def upload_all(self, contents: dict[str, bytes]) -> list[str]:
        limit = asyncio.Semaphore(UPLOADS_AT_ONCE)

        async def one(name: str, content: bytes) -> str:
            async with limit:
                return await self.upload(name, content)

        return list(await asyncio.gather(*(one(name, content) for name, content in contents.items())))

    async def call(self, method: str, path: str, body: object = None) -> dict[str, object]:
        async with self._session.request(method, self._url + path, json=body) as response:
            response.raise_for_status()
            answer: dict[str, object] = await response.json()
            return answer

    def memory(self, share: float, seconds: float) -> Memory:
        children = [child for child in self._server.children(recursive=True) if _reads(child)]
        readers = sum(_resident(child) for child in children)
        return Memory(share, seconds, self._server.memory_info().rss, readers, len(children))

    async def ingest(self, file_ids: Sequence[str]) -> tuple[float, list[Memory]]:
        """Put files into a new store; how many seconds they took, and what memory at which time."""
        seen = [self.memory(0.0, 0.0)]
        store = (await self.call("POST", "/vector_stores", {}))["id"]
        begun = time.perf_counter()
        for start in range(0, len(file_ids), BATCH):
            batch = {"file_ids": file_ids[start : start + BATCH]}
            await self.call("POST", f"/vector_stores/{store}/file_batches", batch)
        while True:
            counts = (await self.call("GET", f"/vector_stores/{store}"))["file_counts"]
            assert isinstance(counts, dict)
            if counts["failed"]:
                raise SystemExit(f"files have failed: {counts}")
            share = counts["completed"] / counts["total"]
            seconds = time.perf_counter() - begun
            seen.append(self.memory(share, seconds))
            if share == 1:
                return seconds, seen
            await asyncio.sleep(LOOK_SECONDS)


def _reads(process: psutil.Process) -> bool:
    with suppress(psutil.Error):
        return "assistd.vector_stores.reading" in process.cmdline()
    return False


def _resident(process: psutil.Process) -> int:
    with suppress(psutil.Error):
        return int(process.memory_info().rss)
    return 0


def table(what: str, seen: Sequence[Memory]) -> None:
    """Print memory at the start, at a quarter, at half, at three quarters and at the end, and the highest."""
    print(f"\n| {what}: files read | after s | server MB | reading processes | their MB |")
    print("| --- | --- | --- | --- | --- |")
    for share in (0.0, 0.25, 0.5, 0.75, 1.0):
        at = next(memory for memory in seen if memory.share >= share)
        server, readers = at.server / MEGABYTE, at.readers / MEGABYTE
        print(f"| {at.share:.0%} | {at.seconds:.1f} | {server:.0f} | {at.children} | {readers:.0f} |")
    highest = max(memory.server for memory in seen), max(memory.readers for memory in seen)
    print(f"| highest | | {highest[0] / MEGABYTE:.0f} | | {highest[1] / MEGABYTE:.0f} |")


async def measure(url: str, pid: int, options: argparse.Namespace) -> None:
    chance = random.Random(options.seed)
    vocabulary = words(chance)
    texts = {
        f"{number}.{'md' if number % 2 else 'txt'}": document(
            chance, vocabulary, round(options.kilobytes * 1024 * chance.uniform(0.2, 1.8))
        ).encode()
        for number in range(options.files)
    }
    pdfs = {f"{number}.pdf": pdf(chance, vocabulary, options.pages) for number in range(options.pdfs)}
    async with aiohttp.ClientSession(headers=HEADERS, timeout=aiohttp.ClientTimeout(total=600)) as session:
        client = Client(session, url, pid)
        for what, contents in (("text", texts), ("PDF", pdfs)):
            if not contents:
                continue
            begun = time.perf_counter()
            ids = await client.upload_all(contents)
            uploading = time.perf_counter() - begun
            seconds, seen = await client.ingest(ids)
            size = sum(map(len, contents.values()))
            print(f"\n{what}: {len(ids)} files, {size / MEGABYTE:.1f} MB, uploaded in {uploading:.1f} s")
            rates = f"{len(ids) / seconds:.1f} files/s, {size / MEGABYTE / seconds:.2f} MB/s"
            if what == "PDF":
                rates += f", {options.pages * len(ids) / seconds:.0f} pages/s"
            print(f"read in {seconds:.1f} s: {rates}")
            table(what, seen)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--files", type=int, default=2000, help="text files (default: %(default)s)")
    parser.add_argument("--kilobytes", type=float, default=8, help="of each on average (default: %(default)s)")
    parser.add_argument("--pdfs", type=int, default=40, help="PDFs (default: %(default)s)")
    parser.add_argument("--pages", type=int, default=25, help="of each (default: %(default)s)")
    parser.add_argument("--concurrency", type=int, default=0, help="ASSISTD_INGEST_CONCURRENCY (default: a core each)")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    port = free_port()
    with tempfile.TemporaryDirectory(prefix="assistd-bench-") as folder:
        environ = {k: v for k, v in os.environ.items() if not k.startswith("ASSISTD_")}
        environ |= {
            "ASSISTD_DATA_DIR": str(Path(folder) / "data"),
            "ASSISTD_MODEL_BASE_URL": "scripted:",
            "ASSISTD_LOG_LEVEL": "warning",
            "ASSISTD_SANDBOX": "off",
            "ASSISTD_INGEST_CONCURRENCY": str(options.concurrency),
        }
        server = [sys.executable, "-m", "assistd.cli", "serve", "--port", str(port)]
        with running(server, "assistd is ready", environ) as pid:
            asyncio.run(measure(f"http://127.0.0.1:{port}/v1", pid, options))


if __name__ == "__main__":
    main()
