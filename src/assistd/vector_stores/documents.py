"""Which files can be indexed: by their name when they are attached, by their content when they are read."""

from __future__ import annotations

import io
import re
from collections.abc import Sequence
from enum import Enum
from typing import BinaryIO, Literal
from zipfile import BadZipFile, ZipFile

from assistd.errors import APIError
from assistd.files.names import extension

# What `last_error` of a vector store's file may say.
Code = Literal["server_error", "unsupported_file", "invalid_file"]

UNPARSED = "The file could not be parsed."


class Unreadable(Exception):
    """A file without passages: `code` is for programs, `message` one sentence for people."""

    def __init__(self, code: Code, message: str = UNPARSED) -> None:
        super().__init__(message)
        self.code: Code = code
        self.message = message


class Kind(Enum):
    """How a file is read. The value of what a parser reads is its MIME type."""

    TEXT = "text/plain"
    MARKDOWN = "text/markdown"
    HTML = "text/html"
    NOTEBOOK = "application/x-ipynb+json"
    PDF = "application/pdf"
    DOC = "application/msword"
    DOCX = "application/vnd.openxmlformats-officedocument.wordprocessingml.document"
    PPTX = "application/vnd.openxmlformats-officedocument.presentationml.presentation"
    XLSX = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
    ODT = "application/vnd.oasis.opendocument.text"
    ODS = "application/vnd.oasis.opendocument.spreadsheet"
    EPUB = "application/epub+zip"
    EMAIL = "message/rfc822"
    RTF = "application/rtf"


# Those of the original service, but for the documents below.
_ORIGINAL = "c cpp cs css go java js json php py rb sh tex ts txt"
# What else is text. A table in commas and a tree in tags are searched as they were written.
_MORE_TEXT = (
    "adoc asm bash bat bib cc cfg clj cmake conf csv cxx dart diff erl ex exs f90 fs gradle graphql h hpp hs ini jl "
    "jsonl jsx kt log lua m ml mjs ndjson nim org patch pl pm properties proto ps1 r rs rst scala scss sql srt svelte "
    "swift tf toml tsv tsx vb vtt vue xml yaml yml zig"
)
_KINDS = {
    **dict.fromkeys(f"{_ORIGINAL} {_MORE_TEXT}".split(), Kind.TEXT),
    **dict.fromkeys(["md", "markdown", "mdx"], Kind.MARKDOWN),
    **dict.fromkeys(["html", "htm", "xhtml"], Kind.HTML),
    "ipynb": Kind.NOTEBOOK,
    "pdf": Kind.PDF,
    "doc": Kind.DOC,
    "docx": Kind.DOCX,
    "pptx": Kind.PPTX,
    "xlsx": Kind.XLSX,
    "odt": Kind.ODT,
    "ods": Kind.ODS,
    "epub": Kind.EPUB,
    "eml": Kind.EMAIL,
    "rtf": Kind.RTF,
}

EXTENSIONS = frozenset(_KINDS)

# Those that are zip archives.
ZIPPED = frozenset([Kind.DOCX, Kind.PPTX, Kind.XLSX, Kind.ODT, Kind.ODS, Kind.EPUB])


def is_supported(filename: str) -> bool:
    """Whether a file of this name can be indexed. One without an extension is judged when it is read."""
    found = extension(filename)
    return not found or found in EXTENSIONS


def unsupported(filenames: Sequence[str]) -> APIError:
    """The refusal of those files among `filenames` that are not supported."""
    extensions = sorted({f".{extension(name)}" for name in filenames if not is_supported(name)})
    return APIError(
        f"Files with extensions [{', '.join(extensions)}] are not supported for retrieval. "
        f"See which are: {', '.join(f'.{name}' for name in sorted(EXTENSIONS))}.",
        param="file_ids",
        code="unsupported_file",
    )


def check_supported(filenames: Sequence[str]) -> None:
    """Raise APIError when a file of one of these names cannot be indexed."""
    if not all(map(is_supported, filenames)):
        raise unsupported(filenames)


# --- by content

HEAD_BYTES = 4096  # what `kind_of` wants to see of a file's beginning

_PICTURE = "Pictures cannot be searched."
_ARCHIVE = "Archives cannot be searched: add the files inside."
_FOREIGN: Sequence[tuple[bytes, str]] = (
    (b"\x89PNG\r\n", _PICTURE),
    (b"\xff\xd8\xff", _PICTURE),
    (b"GIF8", _PICTURE),
    (b"II*\0", _PICTURE),
    (b"MM\0*", _PICTURE),
    (b"\x1f\x8b", _ARCHIVE),
    (b"7z\xbc\xaf\x27\x1c", _ARCHIVE),
    (b"Rar!\x1a", _ARCHIVE),
    (b"\xfd7zXZ\0", _ARCHIVE),
    (b"BZh9", _ARCHIVE),
    (b"\x28\xb5\x2f\xfd", _ARCHIVE),
    (b"\x7fELF", "Programs cannot be searched."),
    (b"MZ\x90\0", "Programs cannot be searched."),
    (b"SQLite format 3\0", "Databases cannot be searched."),
)
_MOST_COMPOUND = 100 << 20  # bytes: such a file is looked through as a whole
_OLE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
_HTML_START = re.compile(rb"\s*(?:<!--.{0,2000}?-->\s*)?(?:<!doctype\s+html|<html[\s>])", re.IGNORECASE | re.DOTALL)
_MAIL_START = re.compile(rb"(?:[!-9;-~]+:[^\n]*\n(?:[ \t][^\n]*\n)*)+", re.DOTALL)


def kind_of(filename: str, file: BinaryIO) -> Kind:
    """How to read an open file. Where its content contradicts its name, the content is believed.

    Raises Unreadable where it is nothing that can be indexed, or not what its name says.
    """
    named = _KINDS.get(extension(filename))
    if named is None and extension(filename):
        raise Unreadable("unsupported_file", "Files with this extension cannot be searched.")
    found = _recognized(file)
    if found is None:
        return _without_signature(named, filename, file)
    if found is Kind.HTML and named not in (None, Kind.DOC):
        return _without_signature(named, filename, file)
    return found


def _recognized(file: BinaryIO) -> Kind | None:
    """What a file's first bytes say that it is; None where they say nothing."""
    head = _head(file)
    for signature, sentence in _FOREIGN:
        if head.startswith(signature):
            raise Unreadable("unsupported_file", sentence)
    if b"%PDF-" in head[:1024]:
        return Kind.PDF
    if head.startswith(b"PK"):
        return _zipped(file)
    if head.startswith(_OLE):
        return _compound(file)
    if head.lstrip().startswith(b"{\\rtf"):
        return Kind.RTF
    return Kind.HTML if _HTML_START.match(head.removeprefix(b"\xef\xbb\xbf")) else None


def _without_signature(named: Kind | None, filename: str, file: BinaryIO) -> Kind:
    """What a file is that could be any text."""
    if named in (Kind.TEXT, Kind.MARKDOWN, Kind.HTML, Kind.NOTEBOOK):
        return named
    if named is Kind.EMAIL and _MAIL_START.match(_head(file)):
        return named
    if named is None:
        return Kind.TEXT
    raise Unreadable("invalid_file", f"The file is not a valid .{extension(filename)} file.")


def _head(file: BinaryIO) -> bytes:
    file.seek(0)
    return file.read(HEAD_BYTES)


def _zipped(file: BinaryIO) -> Kind:
    """Which kind of document a zip archive is. It reads names and one short entry, nothing else."""
    try:
        with ZipFile(file) as archive:
            names = frozenset(archive.namelist())
            mime = b""
            if "mimetype" in names:
                with archive.open("mimetype") as entry:
                    mime = entry.read(200)
    except (BadZipFile, OSError, EOFError, NotImplementedError, RuntimeError, ValueError) as fault:
        raise Unreadable("invalid_file") from fault
    for kind in ZIPPED:
        if mime.strip() == kind.value.encode():
            return kind
    for name, kind in (("word/", Kind.DOCX), ("xl/", Kind.XLSX), ("ppt/", Kind.PPTX)):
        if "[Content_Types].xml" in names and any(entry.startswith(name) for entry in names):
            return kind
    if "META-INF/container.xml" in names:
        return Kind.EPUB
    raise Unreadable("unsupported_file", _ARCHIVE)


def _compound(file: BinaryIO) -> Kind:
    """Which kind of document a compound file (the container of old Office) is: its directory has names in UTF-16."""
    file.seek(0, io.SEEK_END)
    if file.tell() > _MOST_COMPOUND:
        raise Unreadable("invalid_file", "The file is too large for its type.")
    file.seek(0)
    content = file.read()

    def has(*names: str) -> bool:
        return any(name.encode("utf-16-le") in content for name in names)

    if has("EncryptedPackage"):
        raise Unreadable("invalid_file", "The file is encrypted.")
    if has("WordDocument"):
        return Kind.DOC
    if has("Workbook", "PowerPoint Document", "__substg1.0"):
        raise Unreadable("unsupported_file", "Old Office files can be searched only when they are of Word.")
    raise Unreadable("invalid_file")
