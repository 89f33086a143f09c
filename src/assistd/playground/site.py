"""The playground page: files that the build of `playground/` left in this package, served at `/`.

The page is public, and what it shows comes through the API with the visitor's key. Models and files write most of it,
so its policy lets nothing run, load or be sent but what this host serves; even what slips through as HTML stays still.
"""

from __future__ import annotations

import asyncio
import gzip
import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from starlette.types import ASGIApp, Receive, Scope, Send

BUILT: Final = Path(__file__).with_name("dist")

_INDEX: Final = "/index.html"
# Names of files below the folder, and nothing else: no part begins with a dot.
_NAMES: Final = re.compile(r"(?:/[A-Za-z0-9_@~-][A-Za-z0-9._@~-]*)+\Z")
_HASHED: Final = re.compile(r"/assets/.*-[A-Za-z0-9_-]{8}\.[a-z0-9.]+\Z")  # the build puts a hash of the content there

# The system's own table differs from machine to machine, and a script of another type is not run.
_TYPES: Final = {
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".ico": "image/x-icon",
    ".js": "text/javascript; charset=utf-8",
    ".json": "application/json",
    ".map": "application/json",
    ".png": "image/png",
    ".svg": "image/svg+xml",
    ".ttf": "font/ttf",
    ".txt": "text/plain; charset=utf-8",
    ".webmanifest": "application/manifest+json",
    ".webp": "image/webp",
    ".woff": "font/woff",
    ".woff2": "font/woff2",
}
_PACKED: Final = frozenset({".css", ".html", ".js", ".json", ".map", ".svg", ".ttf", ".txt", ".webmanifest"})
_KEPT_FILES: Final = 500

_GUARDS: Final = {
    "content-security-policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; "
    "font-src 'self'; connect-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'; "
    "require-trusted-types-for 'script'; trusted-types 'none'",
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
}

_HOW_TO_BUILD: Final = b"""\
<!doctype html>
<html lang="en">
<meta charset="utf-8">
<title>assistd</title>
<p>assistd is running, and its API is at <code>/v1</code>. Its page, the playground, is not built yet: with Node.js
20.19, or 22.12 or newer, on the path, <code>make serve</code> builds it.</p>
"""
_NOT_BUILT: Final = 200, {"content-type": _TYPES[".html"], "cache-control": "no-cache"}, _HOW_TO_BUILD


@dataclass(frozen=True)
class _File:
    """A file of the page; `packed` is its content under gzip, where that makes it smaller, `tag` stands for both."""

    content: bytes
    packed: bytes | None
    tag: str


def is_built(folder: Path = BUILT) -> bool:
    """Say whether there is a page to be served."""
    return (folder / _INDEX[1:]).is_file()


class Site:
    """An ASGI application: the page's files, and `otherwise` for every other path."""

    def __init__(self, otherwise: ASGIApp, folder: Path = BUILT) -> None:
        self._otherwise = otherwise
        self._folder = folder
        self._files: dict[tuple[str, int, int], _File] = {}  # by path, time and size: a new build is seen at once

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"].startswith("/v1/"):
            return await self._otherwise(scope, receive, send)
        path = _INDEX if scope["path"] == "/" else scope["path"]
        file = await asyncio.to_thread(self._find, path)
        if file is None and path != _INDEX:
            return await self._otherwise(scope, receive, send)
        if scope["method"] not in ("GET", "HEAD"):
            return await _send(send, 405, {"allow": "GET, HEAD"}, b"")
        asked = {name.lower(): value.decode("latin-1") for name, value in scope["headers"]}
        status, headers, body = _NOT_BUILT if file is None else _answer(path, file, asked)
        return await _send(send, status, headers, body, whole=scope["method"] == "GET")

    def _find(self, path: str) -> _File | None:
        """Return the file of a path, if the page has it. Blocks."""
        if not _NAMES.match(path):
            return None
        try:
            place = self._folder / path[1:]
            found = place.stat()
            key = path, found.st_mtime_ns, found.st_size
            if key not in self._files:
                if len(self._files) >= _KEPT_FILES:
                    self._files.clear()
                self._files[key] = _read(place)
            return self._files[key]
        except (OSError, ValueError):  # not there, a folder, or a name that no file can have
            return None


def _read(place: Path) -> _File:
    content = place.read_bytes()
    packed = gzip.compress(content, mtime=0) if place.suffix in _PACKED else content
    tag = f'"{hashlib.sha256(content).hexdigest()[:20]}"'
    return _File(content, packed if len(packed) < len(content) else None, tag)


def _answer(path: str, file: _File, asked: Mapping[bytes, str]) -> tuple[int, dict[str, str], bytes]:
    """Return status, headers and body for a file of the page."""
    headers = {
        "content-type": _TYPES.get(path[path.rfind(".") :], "application/octet-stream"),
        "cache-control": "public, max-age=31536000, immutable" if _HASHED.match(path) else "no-cache",
        "etag": f"W/{file.tag}",  # a strong one would promise the same bytes, packed or not
        "vary": "accept-encoding",
    }
    if file.tag in asked.get(b"if-none-match", ""):
        return 304, headers, b""
    if file.packed is not None and _takes_gzip(asked.get(b"accept-encoding", "")):
        return 200, headers | {"content-encoding": "gzip"}, file.packed
    return 200, headers, file.content


def _takes_gzip(accepted: str) -> bool:
    for choice in accepted.lower().split(","):
        name, _, weight = choice.replace(" ", "").partition(";q=")
        if name in ("gzip", "*"):
            return weight.strip("0.") != "" or weight == ""
    return False


async def _send(send: Send, status: int, headers: Mapping[str, str], body: bytes, *, whole: bool = True) -> None:
    """Send an answer; without `whole` its head alone, as HEAD asks for."""
    told = {**headers, **_GUARDS}
    if status != 304:
        told["content-length"] = str(len(body))
    encoded = [(name.encode(), value.encode("latin-1")) for name, value in told.items()]
    await send({"type": "http.response.start", "status": status, "headers": encoded})
    await send({"type": "http.response.body", "body": body if whole else b""})
