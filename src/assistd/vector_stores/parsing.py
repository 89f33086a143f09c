"""From a file to its text. It may take much time and memory: call it in a process that can be ended."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, BinaryIO
from zipfile import BadZipFile, ZipFile

from assistd.vector_stores.decoding import MOST_CHARACTERS, clean, decode
from assistd.vector_stores.documents import ZIPPED, Kind, Unreadable, kind_of
from assistd.vector_stores.page_text import text_of

if TYPE_CHECKING:
    from kreuzberg import ExtractionConfig

_TEXTS = frozenset([Kind.TEXT, Kind.MARKDOWN])

# What a zipped document may unpack to, in bytes. Its pictures hardly shrink, so they hardly count.
_MOST_ENTRIES = 20_000
_MOST_ENTRY = 100 << 20
_MOST_INFLATED = 256 << 20
# Word processors shrink their XML to a tenth, sometimes to a fiftieth; a bomb to a thousandth.
_MOST_RATIO = 200
_RATIO_FROM = 10 << 20

_EXTENSIONS = {Kind.EMAIL: "eml", Kind.NOTEBOOK: "ipynb"}  # where they are not the kind's name

_TOO_MUCH = "The file unpacks to too much data."
_ENCRYPTED = "The file is encrypted."


def parse(path: Path, filename: str) -> tuple[Kind, str]:
    """What the file is and its text, which is not blank. `filename` is only what its user calls it.

    Raises Unreadable; MemoryError where the process has not enough.
    """
    with path.open("rb") as file:
        if not file.read(1):
            raise Unreadable("invalid_file", "The file is empty.")
        kind = kind_of(filename, file)
        text = _text(path, kind, file)
    if len(text) > MOST_CHARACTERS:
        raise Unreadable("invalid_file", f"The file has more than {MOST_CHARACTERS:,} characters.")
    if not text or text.isspace():
        hint = " Pictures of text are not read." if kind is Kind.PDF else ""
        raise Unreadable("invalid_file", f"The file has no text.{hint}")
    return kind, text


def _text(path: Path, kind: Kind, file: BinaryIO) -> str:
    if kind in _TEXTS:
        return decode(file, declared=True)
    if kind is Kind.HTML:
        return text_of(decode(file, declared=True))
    if kind in ZIPPED:
        _check_archive(file)
    return clean(_extracted(path, kind))


def _check_archive(file: BinaryIO) -> None:
    """Refuse a zip archive that says that it is a bomb. One that says nothing meets the limits of the process."""
    try:
        with ZipFile(file) as archive:
            entries = archive.infolist()
    except (BadZipFile, OSError, EOFError, NotImplementedError, ValueError) as fault:
        raise Unreadable("invalid_file") from fault
    if any(entry.flag_bits & 1 for entry in entries):
        raise Unreadable("invalid_file", _ENCRYPTED)
    inflated = sum(max(entry.file_size - entry.compress_size, 0) for entry in entries)
    if len(entries) > _MOST_ENTRIES or inflated > _MOST_INFLATED:
        raise Unreadable("invalid_file", _TOO_MUCH)
    for entry in entries:
        shrunk = entry.file_size > max(entry.compress_size, 1) * _MOST_RATIO
        if (shrunk and entry.file_size > _RATIO_FROM) or (entry.file_size > _MOST_ENTRY > entry.compress_size):
            raise Unreadable("invalid_file", _TOO_MUCH)


def _extracted(path: Path, kind: Kind) -> str:
    """The text of a document, by its parser."""
    # The parser reads a sheet by another, weaker way where the path does not end as that of a sheet does.
    with TemporaryDirectory(prefix="document-") as folder:
        named = Path(folder, f"document.{_EXTENSIONS.get(kind) or kind.name.lower()}")
        named.symlink_to(path.absolute())
        return _extracted_named(named, kind)


def _extracted_named(path: Path, kind: Kind) -> str:
    import kreuzberg

    try:
        return kreuzberg.extract_file_sync(path, kind.value, _config()).content
    except (kreuzberg.KreuzbergError, kreuzberg.ParsingError, ValueError, RuntimeError, OSError) as fault:
        said = str(fault).lower()
        if "password" in said or "encrypted" in said:
            raise Unreadable("invalid_file", _ENCRYPTED) from fault
        if "security limit" in said:
            raise Unreadable("invalid_file", _TOO_MUCH) from fault
        raise Unreadable("invalid_file") from fault


@cache
def _config() -> ExtractionConfig:
    """Text only: no recognition of pictures, no models, no files in files, nothing that needs a network or is kept."""
    import kreuzberg

    config = kreuzberg.ExtractionConfig(  # type: ignore[call-arg]  # its stub does not know disable_ocr
        use_cache=False,
        enable_quality_processing=False,
        disable_ocr=True,
        pdf_options=kreuzberg.PdfConfig(extract_images=False, extract_metadata=False),
        content_filter=kreuzberg.ContentFilterConfig(strip_repeating_text=False),
        concurrency=kreuzberg.ConcurrencyConfig(max_threads=1),
    )
    config.max_archive_depth = 0
    return config
