"""A proxy before PostgreSQL, one for each node, that loses connections in every way that a network can."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections import deque
from pathlib import Path
from typing import Any, cast

_READY = b"Z\x00\x00\x00\x05"


def _fields(**fields: str) -> bytes:
    body = b"".join(kind.encode() + value.encode() + b"\0" for kind, value in fields.items()) + b"\0"
    return b"E" + struct.pack("!I", len(body) + 4) + body


# What a connection reads whose backend was ended by `pg_terminate_backend`.
TERMINATED = _fields(S="FATAL", V="FATAL", C="57P01", M="terminating connection due to administrator command")


class Proxy:
    """Passes connections on to PostgreSQL's Unix socket; `port` is where it listens on loopback."""

    def __init__(self, upstream: Path) -> None:
        self._upstream = upstream
        self._server: asyncio.Server | None = None
        self.links: set[Link] = set()
        self.refusing = False
        self.silent = False
        self.delay = 0.0
        self.port = 0

    async def open(self) -> None:
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: _Client(self), "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]

    async def close(self) -> None:
        if self._server is not None:
            self._server.close()
        self.reset()

    def reset(self) -> None:
        """Cut all connections without a word (RST)."""
        for link in list(self.links):
            link.reset()

    def terminate(self, seconds: float) -> None:
        """Send idle connections the FATAL of an administrator's command, and close them so many seconds later."""
        for link in list(self.links):
            link.terminate(seconds)

    def halve(self) -> None:
        """Pass on half of the next answer of each connection, and cut it there."""
        for link in self.links:
            link.halving = True

    def silence(self, silent: bool) -> None:
        """Hold back everything, or pass on what was held back."""
        self.silent = silent
        for link in self.links:
            link.flush()

    async def _connect(self, link: Link) -> None:
        loop = asyncio.get_running_loop()
        try:
            await loop.create_unix_connection(lambda: _Upstream(link), str(self._upstream))
        except OSError:
            link.reset()


class Link:
    """One connection through the proxy."""

    def __init__(self, proxy: Proxy, client: asyncio.Transport) -> None:
        self.proxy = proxy
        self.halving = False
        self._idle = False
        self._cut = False
        self._up = _Pipe(proxy)
        self._down = _Pipe(proxy)
        self._down.end = client
        proxy.links.add(self)

    def connected(self, upstream: asyncio.Transport) -> None:
        self._up.end = upstream
        if self._down.end is None:
            upstream.abort()
        self._up.flush()

    def asked(self, data: bytes) -> None:
        """Data came from the node."""
        self._idle = False
        if not self._cut:
            self._up.write(data)

    def answered(self, data: bytes) -> None:
        """Data came from PostgreSQL."""
        if self._cut:
            return
        if self.halving:
            self._down.write(data[: len(data) // 2])
            self._down.flush(at_once=True)
            self._cut = True
            asyncio.get_running_loop().call_later(0.01, self.reset)
            return
        self._idle = data[-6:-1] == _READY
        self._down.write(data)

    def terminate(self, seconds: float) -> None:
        if self._idle and not self._cut:
            self._down.write(TERMINATED)
            self._cut = True
            asyncio.get_running_loop().call_later(seconds, self.close)

    def flush(self) -> None:
        self._up.flush()
        self._down.flush()

    def close(self) -> None:
        """Close both ends in order (FIN)."""
        self.proxy.links.discard(self)
        for pipe in (self._down, self._up):
            if pipe.end is not None:
                pipe.end.close()
                pipe.end = None

    def reset(self) -> None:
        """Cut both ends (RST)."""
        self.proxy.links.discard(self)
        for pipe in (self._down, self._up):
            if pipe.end is not None:
                linger = pipe.end.get_extra_info("socket")
                if linger is not None and linger.family != socket.AF_UNIX:
                    linger.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                pipe.end.abort()
                pipe.end = None


class _Pipe:
    """One direction of a connection: in order, as late as the proxy is slow, and not at all while it is silent."""

    def __init__(self, proxy: Proxy) -> None:
        self.end: asyncio.Transport | None = None
        self._proxy = proxy
        self._held: deque[tuple[float, bytes]] = deque()
        self._timer: asyncio.TimerHandle | None = None

    def write(self, data: bytes) -> None:
        if not self._held and not self._proxy.delay and not self._proxy.silent and self.end is not None:
            self.end.write(data)
            return
        self._held.append((asyncio.get_running_loop().time() + self._proxy.delay, data))
        self.flush()

    def flush(self, *, at_once: bool = False) -> None:
        loop = asyncio.get_running_loop()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._proxy.silent or self.end is None:
            return
        while self._held:
            due, data = self._held[0]
            if due > loop.time() and not at_once:
                self._timer = loop.call_at(due, self.flush)
                return
            self._held.popleft()
            self.end.write(data)


class _Client(asyncio.Protocol):
    """The node's end."""

    def __init__(self, proxy: Proxy) -> None:
        self._proxy = proxy
        self._link: Link | None = None
        self._connecting: asyncio.Task[None] | None = None

    def connection_made(self, transport: Any) -> None:
        if self._proxy.refusing:
            transport.abort()
            return
        self._link = Link(self._proxy, cast("asyncio.Transport", transport))
        self._connecting = asyncio.ensure_future(self._proxy._connect(self._link))

    def data_received(self, data: bytes) -> None:
        if self._link is not None:
            self._link.asked(data)

    def connection_lost(self, exc: Exception | None) -> None:
        if self._link is not None:
            self._link.close()


class _Upstream(asyncio.Protocol):
    """PostgreSQL's end."""

    def __init__(self, link: Link) -> None:
        self._link = link

    def connection_made(self, transport: Any) -> None:
        self._link.connected(cast("asyncio.Transport", transport))

    def data_received(self, data: bytes) -> None:
        self._link.answered(data)

    def connection_lost(self, exc: Exception | None) -> None:
        self._link.close()
