"""What a program or library for Linux says of itself in its ELF header: its loader, and the libraries it needs."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, NamedTuple

_PT_LOAD, _PT_DYNAMIC, _PT_INTERP = 1, 2, 3
_DT_NULL, _DT_NEEDED, _DT_STRTAB = 0, 1, 5


class Elf(NamedTuple):
    """`loader` is the path of the dynamic loader ("" for a library), `needed` are names such as `libm.so.6`."""

    loader: str
    needed: tuple[str, ...]


def read(path: Path) -> Elf | None:
    """Read a file's header; None where it is something else than ELF of 64 bits, or is damaged."""
    with path.open("rb") as file:
        if file.read(6) != b"\x7fELF\x02\x01":  # 64 bits, little-endian: every Linux that wheels are made for
            return None
        try:
            return _read(file)
        except (struct.error, StopIteration, ValueError):
            return None


def _read(file: BinaryIO) -> Elf:
    loads: list[tuple[int, int, int]] = []
    dynamic = loader = b""
    for kind, offset, address, size in list(_segments(file)):
        if kind == _PT_LOAD:
            loads.append((address, offset, size))
        elif kind == _PT_DYNAMIC:
            dynamic = _at(file, offset, size)
        elif kind == _PT_INTERP:
            loader = _at(file, offset, size).rstrip(b"\0")
    entries = [(tag, value) for tag, value in struct.iter_unpack("<qQ", dynamic[: len(dynamic) // 16 * 16])]
    entries = entries[: next((at for at, (tag, _) in enumerate(entries) if tag == _DT_NULL), len(entries))]
    names = [value for tag, value in entries if tag == _DT_NEEDED]
    if not names:
        return Elf(loader.decode(), ())
    strings = next(value for tag, value in entries if tag == _DT_STRTAB)
    start = next(strings - address + offset for address, offset, size in loads if address <= strings < address + size)
    return Elf(loader.decode(), tuple(_at(file, start + name, 4096).split(b"\0", 1)[0].decode() for name in names))


def _segments(file: BinaryIO) -> Iterator[tuple[int, int, int, int]]:
    """Kind, offset in the file, address and size in the file of every segment."""
    (table,) = struct.unpack("<Q", _at(file, 32, 8))
    each, count = struct.unpack("<HH", _at(file, 54, 4))
    for index in range(count):
        kind, _, offset, address, _, size = struct.unpack("<IIQQQQ", _at(file, table + index * each, 40))
        yield kind, offset, address, size


def _at(file: BinaryIO, offset: int, size: int) -> bytes:
    if offset >= 1 << 40 or size > 1 << 20:  # no table is there, nor that large
        raise ValueError
    file.seek(offset)
    return file.read(size)
