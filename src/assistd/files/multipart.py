"""multipart/form-data as it comes: a few small fields, and one file that is passed on and never held.

The caller reads the body only as far as it takes the form: `Form.open` up to the
file's first byte, `FormFile.chunks` the file, `Form.finish` the rest. Fields may
stand before or behind the file. Every fault is an APIError that says what is wrong.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar
from urllib.parse import unquote_to_bytes

import msgspec
from python_multipart.exceptions import FormParserError, MultipartParseError
from python_multipart.multipart import MultipartParser

from assistd import errors
from assistd.errors import APIError
from assistd.web.request import decode

T = TypeVar("T")

_MAX_PARTS = 32
_MAX_VALUE_BYTES = 4096
# A long name of a file stands there twice, and percent-encoded.
_MAX_HEADER_BYTES = 32 * 1024

# What the form adds around the file, at most: for the limit of the whole body.
OVERHEAD_BYTES = 256 * 1024

_PARAMETER = re.compile(r';\s*([A-Za-z0-9!#$&+.^_`|~*-]+)\s*=\s*("(?:[^"\\]|\\.)*"|[^;]*)', re.DOTALL)
_PLAIN_ENCODINGS = ("", "binary", "8bit", "7bit")


@dataclass
class _Part:
    """One part: what its headers say, and its value, unless it is the file."""

    name: str
    filename: str | None
    value: bytearray


class FormFile:
    """The file of a form. `filename` is as sent; None where the part came without one."""

    def __init__(self, form: Form, filename: str | None) -> None:
        self._form = form
        self.filename = filename

    async def chunks(self) -> AsyncIterator[bytes]:
        """Yield the file's bytes, to its end."""
        while (chunk := await self._form.file_chunk()) is not None:
            yield chunk


class Form:
    """One form on its way in. `file_field` is the one field that may be a file.

    `fields` has what came so far; it is complete after `finish`.
    """

    def __init__(self, headers: Mapping[str, str], chunks: AsyncIterator[bytes], file_field: str) -> None:
        self._chunks = chunks
        self._file_field = file_field
        self._file: FormFile | None = None
        self._file_open = False
        self._passing: deque[bytes] = deque()
        self._part: _Part | None = None
        self._parts = 0
        self._header: tuple[bytearray, bytearray] = (bytearray(), bytearray())
        self._headers: dict[str, str] = {}
        self._ended = False
        self.fields: dict[str, str] = {}
        self._parser = _parser_for(headers, self)

    async def open(self) -> FormFile:
        """Read up to the file. Raises APIError where the form has none."""
        while self._file is None and await self._advance():
            pass
        if self._file is None:
            self._check_ended()
            raise errors.missing(self._file_field)
        return self._file

    async def file_chunk(self) -> bytes | None:
        """The next bytes of the file, None at its end."""
        while not self._passing:
            if not self._file_open:
                return None
            if not await self._advance():
                self._check_ended()
        return self._passing.popleft()

    async def finish(self) -> None:
        """Read the rest, which may only be fields."""
        while await self._advance():
            pass
        self._check_ended()

    async def _advance(self) -> bool:
        """Parse the next piece of the body; False at its end."""
        async for chunk in self._chunks:
            try:
                self._parser.write(chunk)
            except MultipartParseError as fault:
                raise errors.broken_form(f"{fault}.") from None
            return True
        return False

    def _check_ended(self) -> None:
        if not self._ended:
            raise errors.broken_form("it ends in the middle.")

    # --- what the parser says

    def callbacks(self) -> Any:
        return {
            "on_part_begin": self._on_part_begin,
            "on_header_field": self._on_header_field,
            "on_header_value": self._on_header_value,
            "on_header_end": self._on_header_end,
            "on_headers_finished": self._on_headers_finished,
            "on_part_data": self._on_part_data,
            "on_part_end": self._on_part_end,
            "on_end": self._on_end,
        }

    def _on_part_begin(self) -> None:
        self._parts += 1
        if self._parts > _MAX_PARTS:
            raise errors.broken_form(f"it has more than {_MAX_PARTS} parts.")
        self._headers = {}

    def _on_header_field(self, data: bytes, start: int, end: int) -> None:
        self._header[0].extend(data[start:end])

    def _on_header_value(self, data: bytes, start: int, end: int) -> None:
        self._header[1].extend(data[start:end])

    def _on_header_end(self) -> None:
        name, value = self._header
        self._headers[name.decode("latin-1").lower()] = _decoded(bytes(value))
        self._header = (bytearray(), bytearray())

    def _on_headers_finished(self) -> None:
        name, filename = _disposition(self._headers.get("content-disposition", ""))
        if self._headers.get("content-transfer-encoding", "").strip().lower() not in _PLAIN_ENCODINGS:
            raise errors.broken_form(f"the part '{name}' has a transfer encoding; send its bytes as they are.")
        if name == self._file_field:
            if self._file is not None:
                raise errors.broken_form(f"it has more than one '{name}'; send one file at a time.")
            self._file = FormFile(self, filename)
            self._file_open = True
            return
        if name in self.fields:
            raise errors.broken_form(f"it has more than one '{name}'.")
        self._part = _Part(name, filename, bytearray())

    def _on_part_data(self, data: bytes, start: int, end: int) -> None:
        if self._part is None:
            self._passing.append(data[start:end])
            return
        self._part.value += data[start:end]
        if len(self._part.value) > _MAX_VALUE_BYTES:
            raise APIError(
                f"Invalid '{self._part.name}': the value is longer than {_MAX_VALUE_BYTES} bytes.",
                param=self._part.name,
                code="string_above_max_length",
            )

    def _on_part_end(self) -> None:
        if self._part is None:
            self._file_open = False
            return
        self.fields[self._part.name] = _decoded(bytes(self._part.value))
        self._part = None

    def _on_end(self) -> None:
        self._ended = True


def decode_fields(fields: dict[str, str], kind: type[T]) -> T:
    """Decode a form's fields; `a[b]` is the member b of a. Raises APIError in the words of the original service."""
    found: dict[str, Any] = {}
    for name, value in fields.items():
        outer, bracket, inner = name.partition("[")
        if not bracket:
            found[name] = value
        elif inner.endswith("]") and isinstance(members := found.setdefault(outer, {}), dict):
            members[inner[:-1]] = _number(value) if inner == "seconds]" else value
        else:
            raise errors.unknown_param(name)
    return decode(msgspec.json.encode(found), kind)


def _number(value: str) -> int | str:
    """A number as forms have it, which know only text."""
    return int(value) if value.isascii() and value.isdigit() and len(value) < 19 else value


def _parser_for(headers: Mapping[str, str], form: Form) -> MultipartParser:
    given = headers.get("content-type", "")
    if given.partition(";")[0].strip().lower() != "multipart/form-data":
        raise errors.no_form()
    boundary = _parameters(given).get("boundary", "")
    if not boundary:
        raise errors.broken_form("its content type names no boundary.")
    try:
        return MultipartParser(boundary.encode("latin-1"), form.callbacks(), max_header_size=_MAX_HEADER_BYTES)
    except FormParserError:
        raise errors.broken_form("its boundary is too long.") from None


def _disposition(header: str) -> tuple[str, str | None]:
    """Return the field's name and the file's name of a part."""
    if header.partition(";")[0].strip().lower() != "form-data":
        raise errors.broken_form("a part is no form-data.")
    parameters = _parameters(header)
    if not parameters.get("name"):
        raise errors.broken_form("a part has no name.")
    filename = parameters.get("filename")
    if filename is not None:
        filename = _unescaped(filename)
    if "filename*" in parameters:
        filename = _extended(parameters["filename*"])
    return _unescaped(parameters["name"]), filename


def _parameters(header: str) -> dict[str, str]:
    """The parameters behind a header's value, by lower-case name; the first of a name counts."""
    found: dict[str, str] = {}
    for name, value in _PARAMETER.findall(header):
        value = value.strip()
        if value.startswith('"'):
            # Only what is escaped by rule: a folder of Windows may stand here with plain backslashes.
            value = re.sub(r'\\(["\\])', r"\1", value[1:-1] if value.endswith('"') and len(value) > 1 else value[1:])
        found.setdefault(name.lower(), value)
    return found


def _unescaped(value: str) -> str:
    """Undo what browsers and HTTP clients do to quotes in a name.

    They encode control characters in the same way. Those stay encoded: nothing else could be kept of them, and a name
    may have had a percent sign in that place.
    """
    return value.replace("%22", '"')


def _extended(value: str) -> str:
    """Decode `charset'language'percent-encoded`, the form of `filename*`."""
    charset, _, rest = value.partition("'")
    encoded = unquote_to_bytes(rest.partition("'")[2])
    try:
        if charset.lower() == "iso-8859-1":
            return encoded.decode("latin-1")
        if charset.lower() != "utf-8":
            raise errors.broken_form(f"a file name is in '{charset}'; UTF-8 is expected.")
        return encoded.decode()
    except UnicodeDecodeError:
        raise errors.broken_form("a file name is not UTF-8.") from None


def _decoded(value: bytes) -> str:
    try:
        return value.decode()
    except UnicodeDecodeError:
        raise errors.broken_form("a name or value is not UTF-8.") from None
