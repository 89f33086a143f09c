"""Small documents of every kind, made by hand, so that each test knows every byte of what it reads."""

from __future__ import annotations

import io
import struct
import zipfile
from collections.abc import Mapping
from email.message import EmailMessage

from reportlab.lib.pdfencrypt import StandardEncryption
from reportlab.pdfgen.canvas import Canvas

_TYPES = "http://schemas.openxmlformats.org/package/2006/content-types"
_RELATIONS = "http://schemas.openxmlformats.org/package/2006/relationships"
_OFFICE = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
_WORD = "http://schemas.openxmlformats.org/wordprocessingml/2006/main"
_SHEET = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
_SLIDE = "http://schemas.openxmlformats.org/presentationml/2006/main"
_DRAWING = "http://schemas.openxmlformats.org/drawingml/2006/main"
_ODF = "urn:oasis:names:tc:opendocument:xmlns"


def archive(entries: Mapping[str, str | bytes]) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as file:
        for name, content in entries.items():
            how = zipfile.ZIP_STORED if name == "mimetype" else zipfile.ZIP_DEFLATED
            # Without a time of its own, which would make the tests' names differ from one process to the next.
            file.writestr(zipfile.ZipInfo(name), content, how)
    return packed.getvalue()


def _types(main: str, kind: str) -> str:
    return (
        f'<Types xmlns="{_TYPES}"><Default Extension="rels" '
        'ContentType="application/vnd.openxmlformats-package.relationships+xml"/>'
        '<Default Extension="xml" ContentType="application/xml"/>'
        f'<Override PartName="/{main}" ContentType="application/vnd.openxmlformats-officedocument.{kind}.main+xml"/>'
        "</Types>"
    )


def _relation(kind: str, target: str) -> str:
    return (
        f'<Relationships xmlns="{_RELATIONS}"><Relationship Id="rId1" Type="{_OFFICE}/{kind}" Target="{target}"/>'
        "</Relationships>"
    )


def docx(text: str, *, prologue: str = "", more: Mapping[str, bytes] | None = None) -> bytes:
    """`prologue` comes before the document's root, `more` are further entries of the archive."""
    paragraphs = "".join(f"<w:p><w:r><w:t>{line}</w:t></w:r></w:p>" for line in text.split("\n"))
    return archive(
        {
            "[Content_Types].xml": _types("word/document.xml", "wordprocessingml.document"),
            "_rels/.rels": _relation("officeDocument", "word/document.xml"),
            "word/document.xml": (
                f'<?xml version="1.0"?>{prologue}<w:document xmlns:w="{_WORD}"><w:body>{paragraphs}</w:body>'
                "</w:document>"
            ),
            **(more or {}),
        }
    )


def xlsx(text: str) -> bytes:
    return xlsx_rows(f'<row r="1"><c r="A1" t="inlineStr"><is><t>{text}</t></is></c><c r="B1"><v>42.5</v></c></row>')


def xlsx_rows(rows: str) -> bytes:
    return archive(
        {
            "[Content_Types].xml": _types("xl/workbook.xml", "spreadsheetml.sheet"),
            "_rels/.rels": _relation("officeDocument", "xl/workbook.xml"),
            "xl/workbook.xml": (
                f'<workbook xmlns="{_SHEET}" xmlns:r="{_OFFICE}"><sheets>'
                '<sheet name="Prices" sheetId="1" r:id="rId1"/></sheets></workbook>'
            ),
            "xl/_rels/workbook.xml.rels": _relation("worksheet", "worksheets/sheet1.xml"),
            "xl/worksheets/sheet1.xml": f'<worksheet xmlns="{_SHEET}"><sheetData>{rows}</sheetData></worksheet>',
        }
    )


def pptx(text: str) -> bytes:
    return archive(
        {
            "[Content_Types].xml": _types("ppt/presentation.xml", "presentationml.presentation"),
            "_rels/.rels": _relation("officeDocument", "ppt/presentation.xml"),
            "ppt/presentation.xml": (
                f'<p:presentation xmlns:p="{_SLIDE}" xmlns:r="{_OFFICE}"><p:sldIdLst>'
                '<p:sldId id="256" r:id="rId1"/></p:sldIdLst></p:presentation>'
            ),
            "ppt/_rels/presentation.xml.rels": _relation("slide", "slides/slide1.xml"),
            "ppt/slides/slide1.xml": (
                f'<p:sld xmlns:p="{_SLIDE}" xmlns:a="{_DRAWING}"><p:cSld><p:spTree><p:sp><p:nvSpPr>'
                '<p:cNvPr id="2" name="T"/><p:cNvSpPr/><p:nvPr/></p:nvSpPr><p:txBody><a:bodyPr/>'
                f"<a:p><a:r><a:t>{text}</a:t></a:r></a:p></p:txBody></p:sp></p:spTree></p:cSld></p:sld>"
            ),
        }
    )


def odt(text: str, *, prologue: str = "") -> bytes:
    return _open_document("text", f"<office:text><text:p>{text}</text:p></office:text>", prologue)


def ods(text: str) -> bytes:
    cell = f'<table:table-cell office:value-type="string"><text:p>{text}</text:p></table:table-cell>'
    return _open_document(
        "spreadsheet",
        f'<office:spreadsheet><table:table table:name="S"><table:table-row>{cell}</table:table-row></table:table>'
        "</office:spreadsheet>",
        "",
    )


def _open_document(kind: str, body: str, prologue: str) -> bytes:
    return archive(
        {
            "mimetype": f"application/vnd.oasis.opendocument.{kind}",
            "META-INF/manifest.xml": (
                f'<manifest:manifest xmlns:manifest="{_ODF}:manifest:1.0"><manifest:file-entry '
                f'manifest:full-path="/" manifest:media-type="application/vnd.oasis.opendocument.{kind}"/>'
                "</manifest:manifest>"
            ),
            "content.xml": (
                f'<?xml version="1.0"?>{prologue}<office:document-content xmlns:office="{_ODF}:office:1.0" '
                f'xmlns:text="{_ODF}:text:1.0" xmlns:table="{_ODF}:table:1.0"><office:body>{body}</office:body>'
                "</office:document-content>"
            ),
        }
    )


def epub(text: str, *, prologue: str = "") -> bytes:
    return archive(
        {
            "mimetype": "application/epub+zip",
            "META-INF/container.xml": (
                '<container version="1.0" xmlns="urn:oasis:names:tc:opendocument:xmlns:container"><rootfiles>'
                '<rootfile full-path="book/content.opf" media-type="application/oebps-package+xml"/></rootfiles>'
                "</container>"
            ),
            "book/content.opf": (
                '<package xmlns="http://www.idpf.org/2007/opf" version="3.0"><manifest>'
                '<item id="c1" href="c1.xhtml" media-type="application/xhtml+xml"/></manifest>'
                '<spine><itemref idref="c1"/></spine></package>'
            ),
            "book/c1.xhtml": (
                f'{prologue}<html xmlns="http://www.w3.org/1999/xhtml"><body>bare <p>{text}</p></body></html>'
            ),
        }
    )


def eml(text: str) -> bytes:
    message = EmailMessage()
    message["From"] = "Ann <ann@example.org>"
    message["Subject"] = "Café news"
    message.set_content(text)
    message.add_attachment(docx("inside"), maintype="application", subtype="zip", filename="a.zip")
    return bytes(message)


def rtf(text: str) -> bytes:
    return (r"{\rtf1\ansi{\fonttbl{\f0 Arial;}}\f0 " + text + r" caf\'e9 \u8364?\par}").encode()


def pdf(text: str, pages: int = 1, *, password: str | None = None) -> bytes:
    file = io.BytesIO()
    lock = StandardEncryption(password, "owner") if password is not None else None
    canvas = Canvas(file, pagesize=(595, 842), encrypt=lock)
    for page in range(1, pages + 1):
        canvas.drawString(72, 700, f"{text} page {page}")
        canvas.showPage()
    canvas.save()
    return file.getvalue()


def doc(text: str) -> bytes:
    """What Word 97 wrote: a header, a table with one piece, and the text."""
    raw, text_at = text.encode("cp1252"), 0x800
    pieces = b"\2" + struct.pack("<I II HIH", 16, 0, len(raw), 0, 0x40000000 | text_at * 2, 0)
    header = struct.pack("<HHHHHHHIBBHHII", 0xA5EC, 0xC1, 0, 0x409, 0, 0x200, 0xBF, 0, 0, 0, 0, 0, text_at, 0)
    lengths, places = [0] * 22, [0] * 186
    lengths[3], places[67] = len(raw), len(pieces)
    header += struct.pack("<H28xH22IH186IH", 14, 22, *lengths, 93, *places, 0)
    return compound({"WordDocument": header.ljust(text_at, b"\0") + raw, "1Table": pieces})


def compound(streams: Mapping[str, bytes]) -> bytes:
    """A compound file, the container of old Office: sectors of 512 bytes, chained in a table."""
    free, last, table = 0xFFFFFFFF, 0xFFFFFFFE, 0xFFFFFFFD
    sectors: list[bytes] = []
    chain: list[int] = []

    def add(content: bytes) -> int:
        start, count = len(sectors), -(-len(content) // 512)
        sectors.extend(content[at * 512 : at * 512 + 512].ljust(512, b"\0") for at in range(count))
        chain.extend([*range(start + 1, start + count), last])
        return start

    def entry(name: str, kind: int, right: int, child: int, start: int, size: int) -> bytes:
        raw = name.encode("utf-16-le") + b"\0\0"
        return raw.ljust(64, b"\0") + struct.pack("<HBBIII36xIQ", len(raw), kind, 1, free, right, child, start, size)

    names = sorted(streams, key=lambda name: (len(name), name))
    directory = entry("Root Entry", 5, free, 1, last, 0)
    for number, name in enumerate(names, 1):
        content = streams[name].ljust(4096, b"\0")
        following = number + 1 if number < len(names) else free
        directory += entry(name, 2, following, free, add(content), len(content))
    first = add(directory)
    chain.append(table)
    sectors.append(struct.pack("<128I", *chain, *[free] * (128 - len(chain))))
    head = struct.pack("<8s16xHHHHH6xIIIIIIIII", _MAGIC, 0x3E, 3, 0xFFFE, 9, 6, 0, 1, first, 0, 4096, last, 0, last, 0)
    return head + struct.pack("<109I", len(sectors) - 1, *[free] * 108) + b"".join(sectors)


_MAGIC = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"

MAKERS = {
    "pdf": pdf,
    "doc": doc,
    "docx": docx,
    "pptx": pptx,
    "xlsx": xlsx,
    "odt": odt,
    "ods": ods,
    "epub": epub,
    "eml": eml,
    "rtf": rtf,
}
