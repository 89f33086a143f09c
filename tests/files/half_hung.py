"""Before an object store, a port that behaves as networks and stores do when they are half dead."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from typing import Literal, get_args
from urllib.parse import urlsplit

Way = Literal[
    "silent", "headers only", "trickling headers", "trickling body", "unavailable", "forbidden", "redirecting"
]
WAYS: tuple[Way, ...] = get_args(Way)

_HEAD = (
    b'HTTP/1.1 200 OK\r\nContent-Length: 100000\r\nETag: "x"\r\nLast-Modified: Thu, 01 Jan 2026 00:00:00 GMT\r\n\r\n'
)
_AT_ONCE = {
    "headers only": _HEAD,
    "unavailable": b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n",
    "forbidden": b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n",
    "redirecting": b"HTTP/1.1 307 Temporary Redirect\r\nLocation: /documents/again\r\nContent-Length: 0\r\n\r\n",
}
_TRICKLE_SECONDS = 0.05


class HalfHung:
    """The port, as `address`. While `way` is None it passes everything on to the store behind it.

    `after` requests, counted once a way is set, still pass.
    """

    def __init__(self, behind: str | None) -> None:
        self._behind = urlsplit(behind) if behind else None
        self._server: asyncio.Server | None = None
        self._started = threading.Event()
        self.way: Way | None = None if behind else "silent"
        self.after = 0
        self.asked = 0
        self.address = ""
        self._serving: set[asyncio.Task[None] | None] = set()  # the event loop's own references to tasks are weak
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()))
        self._thread.start()
        self._started.wait()

    def fail(self, way: Way | None, after: int = 0) -> None:
        self.asked, self.after, self.way = 0, after, way

    def close(self) -> None:
        self._loop.call_soon_threadsafe(self._closing.set)
        self._thread.join()

    async def _run(self) -> None:
        self._loop, self._closing = asyncio.get_running_loop(), asyncio.Event()
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.address = f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"
        self._started.set()
        await self._closing.wait()
        self._server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._serving.add(asyncio.current_task())
        with closing(writer), suppress(OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            while head := await reader.readuntil(b"\r\n\r\n"):
                self.asked += 1
                if self.way is None or self.asked <= self.after:
                    await self._pass_on(head, reader, writer)
                    return
                await self._fail(self.way, head, reader, writer)

    async def _fail(self, way: Way, head: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readexactly(_length(head))
        if way in _AT_ONCE:
            writer.write(_AT_ONCE[way])
            await writer.drain()
        if way == "trickling body":
            writer.write(_HEAD)
        while way in ("trickling headers", "trickling body"):
            writer.write(b"H")
            await writer.drain()
            await asyncio.sleep(_TRICKLE_SECONDS)
        if way in ("silent", "headers only"):
            await reader.read()

    async def _pass_on(self, head: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One request to the store behind, on a connection that ends with its answer."""
        assert self._behind is not None
        inner, outer = await asyncio.open_connection(self._behind.hostname, self._behind.port)
        with closing(outer):
            first, _, rest = head.partition(b"\r\n")
            kept = [line for line in rest.split(b"\r\n") if not line.lower().startswith(b"connection:")]
            outer.write(b"\r\n".join([first, b"Connection: close", *kept]))
            left = _length(head)
            while left:
                data = await reader.read(min(left, 65536))
                if not data:
                    return
                outer.write(data)
                await outer.drain()
                left -= len(data)
            while data := await inner.read(65536):
                writer.write(data)
                await writer.drain()


def _length(head: bytes) -> int:
    for line in head.split(b"\r\n"):
        name, _, value = line.partition(b":")
        if name.lower() == b"content-length":
            return int(value)
    return 0


@contextmanager
def half_hung(behind: str | None = None) -> Iterator[HalfHung]:
    """Yield a port before the store at an address, or before none."""
    made = HalfHung(behind)
    try:
        yield made
    finally:
        made.close()
