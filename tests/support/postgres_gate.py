"""A port before PostgreSQL that lets nobody in until it is opened, in the ways that PostgreSQL and networks have."""

from __future__ import annotations

import asyncio
import struct
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from typing import Literal
from urllib.parse import parse_qs, urlsplit

Mode = Literal["open", "refusing", "silent", "cutting", "starting", "crowded", "wrong password", "no entry"]

_FATAL: dict[str, tuple[str, str]] = {
    "starting": ("57P03", "the database system is starting up"),
    "crowded": ("53300", "sorry, too many clients already"),
    "wrong password": ("28P01", 'password authentication failed for user "postgres"'),
    "no entry": ("28000", 'no pg_hba.conf entry for host "127.0.0.1", user "postgres", no encryption'),
}


class PostgresGate:
    """The port. `dsn` is PostgreSQL's, and `url` the same database by way of the gate, with a password in it."""

    def __init__(self, dsn: str, mode: Mode) -> None:
        parts = urlsplit(dsn)
        query = parse_qs(parts.query)
        self._socket = f"{query['host'][0]}/.s.PGSQL.{query['port'][0]}"
        self._database = parts.path.lstrip("/")
        self._server: asyncio.Server | None = None
        self.mode: Mode = mode
        self.port = 0
        self.tries = 0
        self.cut_after = 0  # bytes that PostgreSQL says in a connection before it is cut, while `cutting`
        self._started = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()))
        self._thread.start()
        self._started.wait()

    @property
    def url(self) -> str:
        return f"postgresql://postgres:s3cret@127.0.0.1:{self.port}/{self._database}?sslmode=disable"

    def open(self) -> None:
        """Let everybody in from now on."""
        self.mode = "open"
        asyncio.run_coroutine_threadsafe(self._listen(), self._loop).result(30)

    def close(self) -> None:
        self._loop.call_soon_threadsafe(self._closing.set)
        self._thread.join()

    async def _run(self) -> None:
        self._loop, self._closing = asyncio.get_running_loop(), asyncio.Event()
        await self._listen()
        if self.mode == "refusing":
            self._stop()
        self._started.set()
        await self._closing.wait()
        self._stop()

    async def _listen(self) -> None:
        if self._server is None:
            self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)
            self.port = self._server.sockets[0].getsockname()[1]

    def _stop(self) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.tries += 1
        with closing(writer), suppress(OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            if self.mode in _FATAL:
                (length,) = struct.unpack("!I", await reader.readexactly(4))
                await reader.readexactly(length - 4)
                writer.write(_fatal(*_FATAL[self.mode]))
                await writer.drain()
            elif self.mode == "silent":
                await reader.read()
            else:
                await self._relay(reader, writer)

    async def _relay(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        inner, outer = await asyncio.open_unix_connection(self._socket)
        with closing(outer):
            await self._both_ways(reader, writer, inner, outer)

    async def _both_ways(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        inner: asyncio.StreamReader,
        outer: asyncio.StreamWriter,
    ) -> None:
        left = self.cut_after if self.mode == "cutting" else None

        async def up() -> None:
            while data := await reader.read(65536):
                outer.write(data)

        async def down() -> None:
            nonlocal left
            while data := await inner.read(65536 if left is None else left):
                writer.write(data)
                await writer.drain()
                if left is not None and (left := left - len(data)) <= 0:
                    return

        tasks = [asyncio.ensure_future(up()), asyncio.ensure_future(down())]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)


@contextmanager
def postgres_gate(dsn: str, mode: Mode) -> Iterator[PostgresGate]:
    """Yield a gate, which is gone at the end."""
    gate = PostgresGate(dsn, mode)
    try:
        yield gate
    finally:
        gate.close()


def _fatal(code: str, words: str) -> bytes:
    fields = "".join(f"{kind}{text}\0" for kind, text in (("S", "FATAL"), ("V", "FATAL"), ("C", code), ("M", words)))
    body = fields.encode() + b"\0"
    return b"E" + struct.pack("!I", len(body) + 4) + body
