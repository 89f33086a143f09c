"""Files that are made to break who reads them. Each is small; what it unpacks to is not."""

from __future__ import annotations

import io
import zipfile
import zlib
from collections.abc import Callable

from tests.vector_stores.hostile import documents

_MANY = "lorem ipsum " * 20_000_000  # 240 MB

# A billion "lol": each entity is ten of the one before.
LAUGHS = (
    '<!DOCTYPE lolz [<!ENTITY l0 "lol">'
    + "".join(f'<!ENTITY l{level} "{f"&l{level - 1};" * 10}">' for level in range(1, 10))
    + "]>"
)


def overlapping(names: int = 5000) -> bytes:
    """A document whose directory leads many times to the same bytes, so that its own size says nothing."""
    content = documents.docx("hello", more={"word/media.xml": b" " * 5_000_000})
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        start = archive.start_dir
    directory, end = content[start:-22], content[-22:]
    records = directory.split(b"PK\1\2")[1:]
    bomb = b"".join(b"PK\1\2" + record for record in records) + (b"PK\1\2" + records[-1]) * names
    count = len(records) + names
    return (
        content[:start] + bomb + end[:8] + count.to_bytes(2, "little") * 2 + len(bomb).to_bytes(4, "little") + end[16:]
    )


def lying() -> bytes:
    """A document whose directory says that its largest entry is small."""
    content = documents.docx(_MANY)
    size = next(
        e for e in zipfile.ZipFile(io.BytesIO(content)).infolist() if e.filename == "word/document.xml"
    ).file_size
    return content.replace(size.to_bytes(4, "little"), (1000).to_bytes(4, "little"))


def nested() -> bytes:
    inner = documents.archive({"zeros.txt": b"0" * 50_000_000})
    for level in range(6):
        inner = documents.archive({f"{level}-{copy}.zip": inner for copy in range(10)})
    return documents.docx("outer", more={"word/embeddings/inner.zip": inner})


def pdf_stream(content: bytes, *, twice: bool) -> bytes:
    """A PDF of one page with this content, compressed, and again where `twice`."""
    packed = zlib.compress(content, 9)
    packed = zlib.compress(packed, 9) if twice else packed
    filters = b"[/FlateDecode /FlateDecode]" if twice else b"/FlateDecode"
    objects = [
        b"<</Type/Catalog/Pages 2 0 R>>",
        b"<</Type/Pages/Kids[3 0 R]/Count 1>>",
        b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 595 842]/Contents 4 0 R/Resources<</Font<</F 5 0 R>>>>>>",
        b"<</Length %d/Filter %s>>stream\n%s\nendstream" % (len(packed), filters, packed),
        b"<</Type/Font/Subtype/Type1/BaseFont/Helvetica>>",
    ]
    file, places = io.BytesIO(), []
    file.write(b"%PDF-1.4\n")
    for number, body in enumerate(objects, 1):
        places.append(file.tell())
        file.write(b"%d 0 obj\n%s\nendobj\n" % (number, body))
    table = file.tell()
    file.write(b"xref\n0 6\n0000000000 65535 f \n" + b"".join(b"%010d 00000 n \n" % place for place in places))
    file.write(b"trailer<</Size 6/Root 1 0 R>>\nstartxref\n%d\n%%%%EOF" % table)
    return file.getvalue()


TOO_MUCH = "The file unpacks to too much data."

# What must be refused before it is unpacked: name, content.
ZIP_BOMBS: dict[str, Callable[[], bytes]] = {
    "bomb.docx": lambda: documents.docx(_MANY),
    "bomb.xlsx": lambda: documents.xlsx(_MANY),
    "bomb.pptx": lambda: documents.pptx(_MANY),
    "bomb.odt": lambda: documents.odt(_MANY),
    "bomb.epub": lambda: documents.epub(_MANY),
    "bomb.pdf": lambda: documents.docx(_MANY),  # whatever it is called
    "overlapping.docx": overlapping,
}
