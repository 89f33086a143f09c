"""Forms as bytes, well formed or not."""

from __future__ import annotations

from collections.abc import Mapping

BOUNDARY = "b0undary"
TYPE = {"Content-Type": f"multipart/form-data; boundary={BOUNDARY}"}


def field(name: str, value: str) -> bytes:
    return part(f'form-data; name="{name}"', value.encode())


def file(content: bytes, filename: str = "a.txt", name: str = "file") -> bytes:
    return part(f'form-data; name="{name}"; filename="{filename}"', content)


def part(disposition: str, content: bytes, headers: Mapping[str, str] | None = None) -> bytes:
    lines = [f"Content-Disposition: {disposition}", *(f"{k}: {v}" for k, v in (headers or {}).items())]
    return f"--{BOUNDARY}\r\n".encode() + "\r\n".join(lines).encode() + b"\r\n\r\n" + content + b"\r\n"


def form(*parts: bytes) -> bytes:
    return b"".join(parts) + f"--{BOUNDARY}--\r\n".encode()
