"""A proxy before PostgreSQL that does to connections what networks and administrators do to them."""

from __future__ import annotations

import asyncio
import contextlib
import struct
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.parse import parse_qs, urlsplit, urlunsplit

_GOODBYE_SECONDS = 0.5
_READY_AND_IDLE = b"Z\x00\x00\x00\x05I"


def _fatal() -> bytes:
    fields = {
        "S": "FATAL",
        "V": "FATAL",
        "C": "57P01",
        "M": "terminating connection due to administrator command",
    }
    body = b"".join(key.encode() + value.encode() + b"\0" for key, value in fields.items()) + b"\0"
    return b"E" + struct.pack("!I", len(body) + 4) + body


class _Link:
    """One client's connection and its counterpart at the server."""

    def __init__(self, client: asyncio.StreamWriter, server: asyncio.StreamWriter) -> None:
        self.client = client
        self.server = server
        self.idle = False
        self.deaf = False  # what comes from either side goes nowhere

    def close(self) -> None:
        for writer in (self.client, self.server):
            writer.transport.abort()


class PostgresProxy:
    """Forwards to the server of a DSN; an async context manager. `dsn` leads through it."""

    def __init__(self, dsn: str) -> None:
        self._target = urlsplit(dsn)
        self._links: set[_Link] = set()
        self._halve_answers = False

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        port = self._server.sockets[0].getsockname()[1]
        user = self._target.netloc.rpartition("@")[0]
        self.dsn = urlunsplit(self._target._replace(netloc=f"{user}@127.0.0.1:{port}", query=""))
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, fault: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.close()
        await self.cut()

    async def say_goodbye(self) -> None:
        """Send every idle connection what `pg_terminate_backend` has it sent, and close it a moment later."""
        loop = asyncio.get_running_loop()
        for link in self._links:
            if link.idle:
                link.deaf = True
                link.client.write(_fatal())
                loop.call_later(_GOODBYE_SECONDS, link.close)

    async def cut(self) -> None:
        """Reset every connection."""
        for link in self._links:
            link.close()

    async def cut_in_an_answer(self) -> None:
        """Reset each connection in the middle of what it is answered next."""
        self._halve_answers = True

    def heal(self) -> None:
        """Let new connections be."""
        self._halve_answers = False

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        from_server, to_server = await self._connect()
        link = _Link(writer, to_server)
        self._links.add(link)
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._up(link, reader))
                group.create_task(self._down(link, from_server))
        except* OSError:
            pass
        finally:
            link.close()
            self._links.discard(link)

    async def _connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        if self._target.hostname:
            return await asyncio.open_connection(self._target.hostname, self._target.port or 5432)
        options = parse_qs(self._target.query)
        socket = Path(options["host"][0]) / f".s.PGSQL.{options.get('port', ['5432'])[0]}"
        return await asyncio.open_unix_connection(socket)

    async def _up(self, link: _Link, reader: asyncio.StreamReader) -> None:
        while data := await reader.read(65536):
            link.idle = False
            if not link.deaf:
                link.server.write(data)
        link.close()

    async def _down(self, link: _Link, reader: asyncio.StreamReader) -> None:
        while data := await reader.read(65536):
            if link.deaf:
                continue
            if self._halve_answers:
                link.client.write(data[: len(data) // 2])
                with contextlib.suppress(OSError):
                    await link.client.drain()
                link.close()
                return
            link.client.write(data)
            link.idle = data.endswith(_READY_AND_IDLE)
        link.close()
