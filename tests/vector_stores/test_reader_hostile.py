"""Files that are made to break who reads them end with the right code, in bounded memory, and harm no other file."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Protocol

import psutil
import pytest

from assistd.vector_stores.reader import Reader, Unreadable
from tests.vector_stores.hostile import bombs, documents
from tests.vector_stores.test_reader import WORDS, children, passages, write

MEMORY = 1536 << 20  # the default


@pytest.fixture
async def reader(tmp_path: Path) -> AsyncIterator[Reader]:
    async with Reader(1, folder=tmp_path) as reader:
        yield reader


class Maker(Protocol):
    __name__: str

    def __call__(self, text: str, *, prologue: str) -> bytes: ...


class Peak:
    """The most memory that reading processes took, in bytes, as far as it was seen."""

    bytes = 0


@asynccontextmanager
async def watched() -> AsyncIterator[Peak]:
    peak = Peak()

    async def watch() -> None:
        while True:
            for child in children():
                with suppress(psutil.NoSuchProcess):
                    peak.bytes = max(peak.bytes, child.memory_info().rss)
            await asyncio.sleep(0.02)

    task = asyncio.create_task(watch())
    try:
        yield peak
    finally:
        task.cancel()


async def refused(reader: Reader, folder: Path, name: str, content: bytes | str, code: str) -> tuple[str, int]:
    """The sentence and the peak memory of a refusal; the reader goes on afterwards."""
    path = write(folder, content)
    async with watched() as peak:
        with pytest.raises(Unreadable) as refusal:
            await passages(reader, [path], name)
    assert refusal.value.code == code
    assert refusal.value.message.endswith(".")
    assert peak.bytes < MEMORY
    [passage] = await passages(reader, [write(folder, WORDS)], "good.txt")
    assert passage.text == WORDS
    return refusal.value.message, peak.bytes


@pytest.mark.parametrize("name", bombs.ZIP_BOMBS)
async def test_zip_bombs_are_refused_before_they_are_unpacked(reader: Reader, tmp_path: Path, name: str) -> None:
    sentence, peak = await refused(reader, tmp_path, name, bombs.ZIP_BOMBS[name](), "invalid_file")
    assert sentence == bombs.TOO_MUCH
    assert peak < 100 << 20


async def test_a_zip_that_lies_about_its_size_is_harmless(reader: Reader, tmp_path: Path) -> None:
    await refused(reader, tmp_path, "lying.docx", bombs.lying(), "invalid_file")


async def test_archives_in_documents_are_not_unpacked(reader: Reader, tmp_path: Path) -> None:
    async with watched() as peak:
        [passage] = await passages(reader, [write(tmp_path, bombs.nested())], "nested.docx")
    assert passage.text == "outer"
    assert peak.bytes < 200 << 20


@pytest.mark.parametrize("make", [documents.docx, documents.odt, documents.epub], ids=lambda make: make.__name__)
async def test_entities_do_not_multiply(reader: Reader, tmp_path: Path, make: Maker) -> None:
    content = make("laughs: &l9;", prologue=bombs.LAUGHS)
    found = []
    async with watched() as peak:
        with suppress(Unreadable):
            found = await passages(reader, [write(tmp_path, content)], f"a.{make.__name__}")
    assert sum(len(passage.text) for passage in found) < 1000
    assert peak.bytes < 200 << 20


@pytest.mark.parametrize("name", ["laughs.html", "laughs.xml", "laughs.txt"])
async def test_entities_in_text_are_text(reader: Reader, tmp_path: Path, name: str) -> None:
    page = bombs.LAUGHS + "<html><body>&l9;</body></html>"
    found = await passages(reader, [write(tmp_path, page)], name)
    assert sum(len(passage.text) for passage in found) <= len(page)


async def test_ten_thousand_pages_are_read(reader: Reader, tmp_path: Path) -> None:
    path = write(tmp_path, documents.pdf("words", 10_000))
    async with watched() as peak:
        found = await passages(reader, [path], "long.pdf")
    assert "page 10000" in found[-1].text
    assert peak.bytes < 500 << 20


async def test_a_pdf_that_unpacks_to_a_gigabyte_is_refused(reader: Reader, tmp_path: Path) -> None:
    await refused(reader, tmp_path, "a.pdf", bombs.pdf_stream(b" " * 1_000_000_000, twice=True), "invalid_file")


async def test_a_parser_without_memory_ends_alone(tmp_path: Path) -> None:
    content = bombs.pdf_stream(b"BT /F 12 Tf " + b"(hello) Tj 0 -1 Td " * 3_000_000 + b" ET", twice=True)
    async with Reader(1, folder=tmp_path, memory=600 << 20) as reader:
        await refused(reader, tmp_path, "a.pdf", content, "invalid_file")


def _short(value: object) -> str:
    """Name a test by its words: an encrypted file is another in every process."""
    return value if isinstance(value, str) else ""


@pytest.mark.parametrize(
    ("name", "content", "sentence"),
    [
        ("empty.pdf", b"", "The file is empty."),
        ("empty.txt", b"", "The file is empty."),
        ("blank.txt", b" \n\t" * 100_000, "The file has no text."),
        ("blank.pdf", bombs.pdf_stream(b"", twice=False), "The file has no text. Pictures of text are not read."),
        ("locked.pdf", documents.pdf("words", password="secret"), "The file is encrypted."),
        ("cut.pdf", documents.pdf("words", 20)[:3000], "The file could not be parsed."),
        ("cut.docx", documents.docx("words")[:700], "The file could not be parsed."),
        ("cut.doc", documents.doc("words")[:6000], "The file could not be parsed."),
        ("bad.docx", documents.docx("</w:t>" + "<w:r>" * 100_000), "The file could not be parsed."),
    ],
    ids=_short,
)
async def test_broken_files_are_refused_with_a_reason(
    reader: Reader, tmp_path: Path, name: str, content: bytes, sentence: str
) -> None:
    assert (await refused(reader, tmp_path, name, content, "invalid_file"))[0] == sentence


async def test_a_pdf_that_only_forbids_copying_is_read(reader: Reader, tmp_path: Path) -> None:
    [passage] = await passages(reader, [write(tmp_path, documents.pdf("words", password=""))], "a.pdf")
    assert passage.text == "words page 1"


@pytest.mark.parametrize("unit", [b"word ", b"a", "漢".encode(), b"\x00\x01"])
async def test_fifty_megabytes_in_one_line_are_refused(reader: Reader, tmp_path: Path, unit: bytes) -> None:
    await refused(reader, tmp_path, "line.txt", unit * (50_000_000 // len(unit)), "invalid_file")


async def test_a_file_beyond_the_limit_is_not_even_opened(reader: Reader, tmp_path: Path) -> None:
    path = tmp_path / "sparse"
    with path.open("wb") as file:
        file.truncate((512 << 20) + 1)
    with pytest.raises(Unreadable, match="more than 512 MB"):
        await passages(reader, [path], "a.txt")


async def test_random_bytes_are_refused_under_every_name(reader: Reader, tmp_path: Path) -> None:
    from assistd.vector_stores.documents import EXTENSIONS

    content = b"\xfe" + random.Random(4).randbytes(50_000)
    for extension in [*sorted(EXTENSIONS), ""]:
        with pytest.raises(Unreadable) as refusal:
            await passages(reader, [write(tmp_path, content)], f"a.{extension}".removesuffix("."))
        assert refusal.value.code == "invalid_file"
    assert await passages(reader, [write(tmp_path, WORDS)], "good.txt")


@pytest.mark.parametrize("extension", ["pdf", "doc", "docx", "xlsx", "pptx", "odt", "ods", "epub", "eml", "rtf"])
async def test_damaged_documents_are_read_or_refused(reader: Reader, tmp_path: Path, extension: str) -> None:
    dice = random.Random(extension)
    for _ in range(15):
        content = bytearray(documents.MAKERS[extension](WORDS))
        for _ in range(dice.randint(1, 20)):
            content[dice.randrange(8, len(content))] = dice.randrange(256)
        with suppress(Unreadable):
            await passages(reader, [write(tmp_path, bytes(content))], f"a.{extension}")
    assert await passages(reader, [write(tmp_path, WORDS)], "good.txt")


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("deep.html", "<div>" * 500_000 + WORDS),
        ("deep table.html", "<table><tr><td>" * 100_000 + WORDS),
        ("attributes.html", "<p " + "a=b " * 1_000_000 + ">" + WORDS),
        ("deep.json", "[" * 200_000 + f'"{WORDS}"' + "]" * 200_000),
        ("deep.xml", "<a>" * 200_000 + WORDS),
        ("deep.ipynb", '{"cells":' + "[" * 100_000),
        ("deep.rtf", "{\\rtf1" + "{" * 1_000_000 + WORDS),
        (
            "deep.eml",
            "Subject: x\r\n"
            + "".join(
                f"Content-Type: multipart/mixed; boundary=b{level}\r\n\r\n--b{level}\r\n" for level in range(2000)
            )
            + f"\r\n{WORDS}",
        ),
    ],
)
async def test_deep_nesting_is_read_or_refused(reader: Reader, tmp_path: Path, name: str, content: str) -> None:
    async with watched() as peak:
        with suppress(Unreadable):
            await passages(reader, [write(tmp_path, content)], name)
    assert peak.bytes < MEMORY
    assert await passages(reader, [write(tmp_path, WORDS)], "good.txt")


async def test_a_sheet_may_name_cells_far_apart(reader: Reader, tmp_path: Path) -> None:
    rows = '<row r="1"><c r="A1"><v>1</v></c></row><row r="1048576"><c r="XFD1048576"><v>2</v></c></row>'
    async with watched() as peak:
        [passage] = await passages(reader, [write(tmp_path, documents.xlsx_rows(rows))], "sparse.xlsx")
    assert passage.text.split() == ["Prices", "1", "2"]
    assert peak.bytes < 500 << 20


async def test_the_largest_passages_are_embedded_in_bounded_memory(reader: Reader, tmp_path: Path) -> None:
    dice = random.Random(5)
    text = "".join(chr(dice.randrange(0x4E00, 0x9FA5)) for _ in range(60_000))
    async with watched() as peak:
        found = await passages(reader, [write(tmp_path, text)], "a.txt", tokens=4096, overlap=2048, embed=True)
    assert len(found) > 40
    assert all(passage.embedding for passage in found)
    assert peak.bytes < 700 << 20
