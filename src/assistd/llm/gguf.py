"""The head of a GGUF file: what a model says about itself before its weights.

Source: the GGUF specification of the ggml project, versions 2 and 3, little endian.
"""

from __future__ import annotations

import mmap
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

MAGIC: Final = b"GGUF"
_STRING: Final = 8
_ARRAY: Final = 9
# The scalar kinds of value by their number in the format.
_SCALARS: Final = {
    number: struct.Struct("<" + code) for number, code in zip((*range(8), 10, 11, 12), "BbHhIif?Qqd", strict=True)
}
# Arrays of numbers say something per layer; longer ones belong to the tokenizer and are passed over.
_MAX_LAYERS: Final = 4096


class NotGguf(Exception):
    """The file is no GGUF file, or a damaged one; the message says what is wrong with it."""


@dataclass(frozen=True)
class GgufHeader:
    """What the head of a model's file says. Numbers are 0 where it does not say.

    `context_length` is how many tokens the model was trained for; `cache_bytes_per_token`
    what each token of context takes in memory at 16 bits a value.
    """

    architecture: str
    context_length: int
    cache_bytes_per_token: int


def read_header(path: Path) -> GgufHeader:
    """Read the head of a GGUF file. Raises NotGguf, and OSError where the file cannot be read."""
    with path.open("rb") as file:
        if file.read(4) != MAGIC:
            raise NotGguf(f"{path.name} is not a GGUF file.")
        try:
            with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
                return _header(_Values(data).read())
        except (struct.error, UnicodeDecodeError, IndexError, KeyError, TypeError, OverflowError) as fault:
            raise NotGguf(f"{path.name} is a damaged GGUF file.") from fault


def _header(values: dict[str, Any]) -> GgufHeader:
    architecture = values.get("general.architecture", "")

    def number(key: str) -> int:
        value = values.get(f"{architecture}.{key}", 0)
        # What differs between layers comes as a list; the largest is the safe one.
        return int(max(value, default=0) if isinstance(value, list) else value)

    heads = number("attention.head_count")
    head = number("embedding_length") // heads if heads else 0
    key, value = number("attention.key_length") or head, number("attention.value_length") or head
    heads_kept = number("attention.head_count_kv") or heads
    return GgufHeader(
        architecture=architecture,
        context_length=number("context_length"),
        cache_bytes_per_token=number("block_count") * heads_kept * (key + value) * 2,
    )


class _Values:
    """A reader of the key-value pairs at the start of a file."""

    def __init__(self, data: mmap.mmap) -> None:
        self._data = data
        self._at = 4

    def read(self) -> dict[str, Any]:
        version = self._scalar(4)
        if version not in (2, 3):
            raise NotGguf(f"The file is of GGUF version {version}; versions 2 and 3, little endian, can be read.")
        self._at += 8  # how many tensors
        return {self._string(): self._value(self._scalar(4)) for _ in range(self._scalar(10))}

    def _value(self, kind: int) -> Any:
        if kind == _STRING:
            return self._string()
        if kind == _ARRAY:
            return self._array(self._scalar(4), self._scalar(10))
        return self._scalar(kind)

    def _array(self, kind: int, length: int) -> list[Any] | None:
        if kind in _SCALARS and length > _MAX_LAYERS:
            self._at += length * _SCALARS[kind].size
            return None
        if kind == _STRING:
            for _ in range(length):
                self._at += 8 + _SCALARS[10].unpack_from(self._data, self._at)[0]
            return None
        return [self._value(kind) for _ in range(length)]

    def _string(self) -> str:
        length = self._scalar(10)
        start, self._at = self._at, self._at + length
        if self._at > len(self._data):
            raise IndexError(self._at)
        return self._data[start : self._at].decode()

    def _scalar(self, kind: int) -> Any:
        form = _SCALARS[kind]
        (value,) = form.unpack_from(self._data, self._at)
        self._at += form.size
        return value
