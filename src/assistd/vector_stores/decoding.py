"""From bytes to text: encodings, and what a database cannot store."""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterable, Iterator
from typing import BinaryIO

from assistd.vector_stores.documents import Unreadable

# Five million tokens, the limit of a file, have about half as many in the languages that people write.
MOST_CHARACTERS = 40_000_000

_PIECE = 1 << 20
_SAMPLE = 64 << 10
_BOMS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),  # before that of UTF-16, which it begins with
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_DECLARED = re.compile(
    rb"""<(?:meta\s[^>]{0,200}?charset|\?xml\s[^>]{0,100}?encoding)\s*=\s*["']?\s*([\w.:-]{2,40})""", re.I
)
# C0 controls that no text has any use for; U+0000 above all cannot be stored. Surrogates cannot be encoded.
_UNWANTED = re.compile("[\0-\x08\x0e-\x1a\x1c-\x1f\x7f\ud800-\udfff\ufffe\uffff]")
_CONTROLS = bytes(code for code in range(32) if code not in b"\t\n\v\f\r\x1b")
# It leaves five bytes without a meaning, which are controls in Latin-1.
_WINDOWS_1252 = "".join(bytes([code]).decode("cp1252", "ignore") or chr(code) for code in range(256))
# Random bytes have a tenth of them, pictures and programs more than a twentieth.
_MOST_CONTROLS = 0.02


def clean(text: str) -> str:
    """The text without what cannot be stored, and with plain line ends."""
    if "\r" in text:
        text = text.replace("\r\n", "\n").replace("\r", "\n")
    return _UNWANTED.sub("", text)


def decode(file: BinaryIO, *, declared: bool = False) -> str:
    """The text of a file, cleaned: UTF-8, UTF-16 or UTF-32 as its bytes show, else Windows-1252.

    `declared`: an HTML or XML document may name another encoding itself. Raises Unreadable where
    the file is no text, or too much.
    """
    file.seek(0)
    sample = file.read(_SAMPLE)
    encoding, skip = _recognized(sample)
    if encoding is None:
        encoding = (declared and _named(sample)) or "utf-8"
        if len(sample) - len(sample.translate(None, _CONTROLS)) > _MOST_CONTROLS * len(sample):
            raise Unreadable("invalid_file", "The file is not text.")
    try:
        return _read(file, skip, encoding, "strict")
    except UnicodeDecodeError:
        return _repaired(file, skip, encoding)


def _recognized(sample: bytes) -> tuple[str | None, int]:
    """The encoding that the first bytes show, and how many of them are a mark that is no text."""
    for bom, encoding in _BOMS:
        if sample.startswith(bom):
            return encoding, len(bom)
    # UTF-16 without a mark: blanks, digits and line ends of every language have a zero, always on the same side.
    even, odd = sample[0::2].count(0), sample[1::2].count(0)
    if max(even, odd) > 0.05 * (len(sample) // 2) and min(even, odd) * 10 < max(even, odd):
        return ("utf-16-le" if odd > even else "utf-16-be"), 0
    return None, 0


def _named(sample: bytes) -> str | None:
    found = _DECLARED.search(sample[:4096])
    if found is None:
        return None
    try:
        name = codecs.lookup(found[1].decode("ascii")).name
        # Some of Python's codecs do not make text, and a document that could be read by its declaration is not UTF-16.
        return name if isinstance(b"a".decode(name), str) and not name.startswith("utf-16") else None
    except (LookupError, UnicodeError, TypeError):
        return None


def _repaired(file: BinaryIO, skip: int, encoding: str) -> str:
    """The text of a file that is not quite in `encoding`."""
    if encoding.startswith(("utf-16", "utf-32")):
        return _read(file, skip, encoding, "replace")
    text = _read(file, skip, "utf-8", "replace")
    broken = text.count("\ufffd")
    # A few wrong bytes do not make a document another's. One in which most accents are wrong is of another encoding.
    if broken * 10 <= sum(1 for _ in re.finditer("[^\0-\x7f\ufffd]", text)):
        return text
    return _joined(codecs.charmap_decode(data, "strict", _WINDOWS_1252)[0] for data in _pieces(file, skip))


def _read(file: BinaryIO, skip: int, encoding: str, errors: str) -> str:
    decoder = codecs.getincrementaldecoder(encoding)(errors)
    return _joined(decoder.decode(data, final=not data) for data in _pieces(file, skip))


def _joined(decoded: Iterable[str]) -> str:
    pieces, length = [], 0
    for piece in decoded:
        pieces.append(piece)
        length += len(piece)
        if length > MOST_CHARACTERS:
            raise Unreadable("invalid_file", f"The file has more than {MOST_CHARACTERS:,} characters.")
    return clean("".join(pieces))


def _pieces(file: BinaryIO, skip: int) -> Iterator[bytes]:
    """The file's bytes in pieces, the last of which is empty."""
    file.seek(skip)
    while data := file.read(_PIECE):
        yield data
    yield b""
