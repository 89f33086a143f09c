"""Small files in GGUF form: a true head, and no weights that anybody could run."""

from __future__ import annotations

import struct
from typing import Any

DEFAULT_VALUES: dict[str, Any] = {
    "general.architecture": "llama",
    "llama.context_length": 4096,
    "llama.block_count": 2,
    "llama.embedding_length": 64,
    "llama.attention.head_count": 4,
    "llama.attention.head_count_kv": 2,
    "tokenizer.ggml.tokens": ["<s>", "</s>", "fox"],
    "tokenizer.chat_template": "{{ messages }}",
}


def tiny_gguf(size: int = 0, version: int = 3, values: dict[str, Any] | None = None) -> bytes:
    """A GGUF file that says `values` of itself, filled up with different bytes to `size` if it is less."""
    values = DEFAULT_VALUES if values is None else values
    head = b"GGUF" + struct.pack("<IQQ", version, 0, len(values))
    head += b"".join(_string(key) + _value(value) for key, value in values.items())
    return head + bytes(index * 7 % 251 for index in range(size - len(head)))


def _string(text: str) -> bytes:
    return struct.pack("<Q", len(text.encode())) + text.encode()


def _value(value: Any) -> bytes:
    return struct.pack("<I", _kind(value)) + _plain(value)


def _kind(value: Any) -> int:
    return {bool: 7, int: 4, float: 6, str: 8, list: 9}[type(value)]


def _plain(value: Any) -> bytes:
    if isinstance(value, str):
        return _string(value)
    if isinstance(value, list):
        return struct.pack("<IQ", _kind(value[0]), len(value)) + b"".join(map(_plain, value))
    return struct.pack({bool: "<?", int: "<I", float: "<f"}[type(value)], value)
