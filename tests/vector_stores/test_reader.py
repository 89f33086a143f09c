"""Reading files in child processes: what comes out, and what becomes of the children."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import psutil
import pytest

from assistd.llm import static_embedding
from assistd.vector_stores.reader import Passage, Reader, Unreadable
from tests.support.waiting import eventually
from tests.vector_stores.hostile import documents

WORDS = "The quick brown zebra jumps."
SLOW = "1,2,3\n" * 800_000  # as many tokens as a file may have, and the slowest kind to cut


@pytest.fixture
async def reader(tmp_path: Path) -> AsyncIterator[Reader]:
    async with Reader(1, folder=tmp_path) as reader:
        yield reader


def write(folder: Path, content: bytes | str) -> Path:
    path = folder / f"blob-{len(list(folder.iterdir()))}"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


async def passages(
    reader: Reader, paths: Sequence[Path], name: str, *, tokens: int = 800, overlap: int = 400, embed: bool = False
) -> list[Passage]:
    async with reader.read(paths, name, max_tokens=tokens, overlap=overlap, embed=embed) as reading:
        found = [passage async for batch in reading.batches() for passage in batch]
        assert len(found) == reading.chunks
        assert reading.bytes_of_text >= max(len(passage.text.encode()) for passage in found)
        return found


def spools(folder: Path) -> list[Path]:
    return list(folder.rglob("*.spool*"))


def children(of: int | None = None) -> list[psutil.Process]:
    """The reading processes of this test, or of another process; those of servers that run beside it are theirs."""
    found = []
    for process in psutil.Process(of).children():
        try:
            if "assistd.vector_stores.reading" in process.cmdline() and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
        except psutil.NoSuchProcess:
            continue
    return found


async def until_no_children() -> None:
    await asyncio.to_thread(eventually, lambda: not children())


@pytest.mark.parametrize("extension", documents.MAKERS)
async def test_documents_are_read(reader: Reader, tmp_path: Path, extension: str) -> None:
    path = write(tmp_path, documents.MAKERS[extension](WORDS))
    [passage] = await passages(reader, [path], f"some name.{extension}")
    assert WORDS.removesuffix(".") in passage.text
    assert passage.embedding is None


@pytest.mark.parametrize(
    ("name", "content", "text"),
    [
        ("a.md", "# Head\n\nwords", "# Head\n\nwords"),
        ("a.html", f"<title>T</title>{WORDS}<table><tr><td>1<td>2</table>", f"T\n\n{WORDS}\n\n1\t2"),
        ("a.csv", "a,b\n1,2\n", "a,b\n1,2"),
        ("a.json", '{"deep": [1]}', '{"deep": [1]}'),
        ("a.xml", '<?xml version="1.0"?><a b="c">words</a>', '<?xml version="1.0"?><a b="c">words</a>'),
        ("a.py", "def f():\n    return 1\n", "def f():\n    return 1"),
        ("a.ipynb", '{"cells":[{"cell_type":"markdown","source":["words"]}],"nbformat":4,"metadata":{}}', "words"),
        ("no extension", "words", "words"),
        ("line\nbreak/../\x01.txt", "words", "words"),
        ("x" * 255 + ".txt", "words", "words"),
    ],
)
async def test_texts_are_read(reader: Reader, tmp_path: Path, name: str, content: str, text: str) -> None:
    [passage] = await passages(reader, [write(tmp_path, content)], name)
    assert passage.text == text


async def test_a_pdf_has_its_pages_in_order(reader: Reader, tmp_path: Path) -> None:
    found = await passages(reader, [write(tmp_path, documents.pdf(WORDS, 300))], "a.pdf", tokens=100, overlap=0)
    text = "\n".join(passage.text for passage in found)
    places = [text.index(f"page {page}\n") for page in range(1, 300)]
    assert places == sorted(places)
    assert "\r" not in text


async def test_the_parts_of_a_file_are_one(reader: Reader, tmp_path: Path) -> None:
    content = documents.docx(WORDS)
    parts = [write(tmp_path, part) for part in (content[:100], b"", content[100:])]
    [passage] = await passages(reader, parts, "a.docx")
    assert passage.text == WORDS
    [passage] = await passages(reader, [parts[1], write(tmp_path, "é")], "a.txt")
    assert passage.text == "é"


async def test_embeddings_come_with_the_passages(reader: Reader, tmp_path: Path) -> None:
    text = "".join(f"Sentence number {number} is about zebras.\n" for number in range(3000))
    found = await passages(reader, [write(tmp_path, text)], "a.txt", tokens=200, overlap=100, embed=True)
    assert len(found) > 100
    for passage in (found[0], found[-1]):
        [expected] = static_embedding.embed([passage.text])
        assert passage.embedding == pytest.approx(expected, abs=1e-6)


async def test_a_reading_can_be_read_twice_and_leaves_nothing(reader: Reader, tmp_path: Path) -> None:
    path = write(tmp_path, "words " * 10_000)
    async with reader.read([path], "a.txt") as reading:
        once = [batch async for batch in reading.batches()]
        assert once == [batch async for batch in reading.batches()]
        assert spools(tmp_path)
    assert not spools(tmp_path)
    with pytest.raises(Unreadable):
        await passages(reader, [write(tmp_path, b""), write(tmp_path, b"")], "a.txt")
    assert not spools(tmp_path)


@pytest.mark.parametrize("name", ["a.txt", "a.pdf", "a.docx"])
async def test_a_file_that_is_gone_is_not_taken_for_a_broken_one(reader: Reader, tmp_path: Path, name: str) -> None:
    with pytest.raises(FileNotFoundError):
        await passages(reader, [tmp_path / "nowhere"], name)
    assert await passages(reader, [write(tmp_path, "words")], "a.txt")


# --- processes


async def test_a_child_is_started_on_demand_and_used_again(reader: Reader, tmp_path: Path) -> None:
    assert children() == []
    path = write(tmp_path, "words")
    await passages(reader, [path], "a.txt")
    first = children()
    await passages(reader, [path], "a.txt")
    assert children() == first


async def test_no_more_children_than_allowed(tmp_path: Path) -> None:
    path = write(tmp_path, "words")
    async with Reader(2, folder=tmp_path) as reader:
        found = await asyncio.gather(*(passages(reader, [path], "a.txt") for _ in range(10)))
        assert len(found) == 10
        assert len(children()) == 2
    assert children() == []
    assert list(tmp_path.rglob("*")) == [path]  # noqa: ASYNC240


async def test_a_child_that_has_read_enough_is_replaced(tmp_path: Path) -> None:
    path = write(tmp_path, "words")
    async with Reader(1, folder=tmp_path, files=2) as reader:
        seen = set()
        for _ in range(4):
            async with reader.read([path], "a.txt"):
                seen.update(child.pid for child in children())
        assert len(seen) == 2


async def test_a_child_without_work_ends(tmp_path: Path) -> None:
    path = write(tmp_path, "words")
    async with Reader(1, folder=tmp_path, idle_seconds=0.01) as reader:
        await passages(reader, [path], "a.txt")
        await until_no_children()
        assert await passages(reader, [path], "a.txt")


async def test_a_child_that_was_killed_while_idle_is_not_used(reader: Reader, tmp_path: Path) -> None:
    path = write(tmp_path, "words")
    await passages(reader, [path], "a.txt")
    [child] = children()
    child.kill()
    await until_no_children()  # the loop may or may not have heard of it
    assert await passages(reader, [path], "a.txt")


async def test_a_child_has_no_secrets_and_little_to_say(
    reader: Reader, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ASSISTD_MODEL_API_KEY", "hunter2")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "hunter2")
    await passages(reader, [write(tmp_path, "words")], "a.txt")
    [child] = children()
    assert "hunter2" not in str(child.environ())
    assert child.nice() > psutil.Process().nice()
    assert Path(child.cwd()).parent == tmp_path
    if sys.platform == "linux":
        assert child.rlimit(psutil.RLIMIT_CORE) == (0, 0)
        assert child.rlimit(psutil.RLIMIT_AS) == (1536 << 20, 1536 << 20)


async def test_a_file_that_takes_too_long_is_given_up(tmp_path: Path) -> None:
    async with Reader(1, folder=tmp_path, seconds=3) as reader:
        with pytest.raises(Unreadable, match="too long") as refusal:
            await passages(reader, [write(tmp_path, SLOW)], "slow.csv", tokens=800, overlap=200)
        assert refusal.value.code == "invalid_file"
        await until_no_children()
        assert await passages(reader, [write(tmp_path, "words")], "a.txt")


async def test_who_is_cancelled_takes_the_child_along(reader: Reader, tmp_path: Path) -> None:
    task = asyncio.create_task(passages(reader, [write(tmp_path, SLOW)], "slow.csv"))
    await asyncio.to_thread(eventually, lambda: spools(tmp_path))  # it cuts
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await until_no_children()
    assert await passages(reader, [write(tmp_path, "words")], "a.txt")
    assert not spools(tmp_path)


async def test_a_crash_in_a_parser_is_the_files_fault(reader: Reader, tmp_path: Path) -> None:
    task = asyncio.create_task(passages(reader, [write(tmp_path, SLOW)], "slow.csv"))
    await asyncio.to_thread(eventually, lambda: spools(tmp_path))
    [child] = children()
    child.send_signal(signal.SIGSEGV)
    with pytest.raises(Unreadable, match=r"^The file could not be parsed\.$") as refusal:
        await task
    assert refusal.value.code == "invalid_file"
    assert await passages(reader, [write(tmp_path, "words")], "a.txt")


async def test_a_file_is_not_blamed_for_a_child_that_was_killed(reader: Reader, tmp_path: Path) -> None:
    async def kill_next(*, after: set[int]) -> int:
        await asyncio.to_thread(eventually, lambda: any(child.pid not in after for child in children()))
        [child] = [child for child in children() if child.pid not in after]
        child.kill()
        return child.pid

    task = asyncio.create_task(passages(reader, [write(tmp_path, SLOW)], "slow.csv"))
    first = await kill_next(after=set())
    await kill_next(after={first})
    with pytest.raises(Unreadable) as refusal:
        await task
    assert refusal.value.code == "server_error"


async def test_a_child_leaves_ending_to_its_parent(reader: Reader, tmp_path: Path) -> None:
    path = write(tmp_path, "words")
    await passages(reader, [path], "a.txt")
    [child] = children()
    for ending in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        child.send_signal(ending)
    await passages(reader, [path], "a.txt")
    assert children() == [child]


PARENT = """
import asyncio, pathlib, sys
from assistd.vector_stores.reader import Reader

async def main():
    async with Reader(1, folder=pathlib.Path(sys.argv[1]).parent) as reader:
        async with reader.read([pathlib.Path(sys.argv[1])], "slow.csv"):
            pass

asyncio.run(main())
"""


def test_a_child_does_not_outlive_its_parent(tmp_path: Path) -> None:
    slow = write(tmp_path, SLOW)
    with subprocess.Popen([sys.executable, "-c", PARENT, str(slow)]) as parent:
        eventually(lambda: spools(tmp_path))
        [child] = children(parent.pid)
        os.kill(parent.pid, signal.SIGKILL)
    eventually(lambda: not child.is_running() or child.status() == psutil.STATUS_ZOMBIE)
