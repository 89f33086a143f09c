"""The HTTP server: granian inside our own event loop, and the port it listens on."""

from __future__ import annotations

import asyncio
import errno
import socket
from typing import Any

from granian.constants import HTTPModes, Interfaces
from granian.server.embed import Server
from starlette.types import ASGIApp

from assistd.user_errors import UserError


class PortTaken(UserError):
    """The address cannot be listened on; the message says why and what to do."""


def reserve(host: str, port: int) -> socket.socket:
    """Bind the address, so that it is ours from now on, and return the socket; port 0 takes a free one.

    `host` may be a name: the socket knows the address. granian, which takes addresses only, listens on a socket of
    its own with SO_REUSEPORT, as every worker process does; this one stays bound and unused beside them.
    Raises PortTaken.
    """
    try:
        family, *_, place = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        address = place[0]
        # Without SO_REUSEPORT this fails where anybody listens, even another assistd of the same user.
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((address, port))
            port = probe.getsockname()[1]
        held = socket.socket(family, socket.SOCK_STREAM)
        held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        held.bind((address, port))
    except (OSError, UnicodeError) as fault:
        # What is wrong with the address itself no other port will mend.
        what = "port" if getattr(fault, "errno", None) in (errno.EADDRINUSE, errno.EACCES) else "host"
        why = getattr(fault, "strerror", None) or fault
        raise PortTaken(
            f"Cannot listen on {host}:{port}: {why}. Choose another with --{what} or ASSISTD_{what.upper()}."
        ) from fault
    return held


class HttpServer:
    """Serves an ASGI application until it is stopped."""

    def __init__(self, app: ASGIApp, host: str, port: int) -> None:
        self._server = Server(
            app,
            address=host,
            port=port,
            interface=Interfaces.ASGINL,
            http=HTTPModes.http1,
            websockets=False,
            backlog=2048,
            backpressure=10_000,
            log_enabled=False,
        )
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Begin to listen."""
        self._task = asyncio.create_task(self._server.serve())
        await asyncio.sleep(0)

    async def stop(self, seconds: float) -> None:
        """Take no more requests and give those under way some seconds to end."""
        if self._task is None:
            return
        self._server.stop()  # type: ignore[no-untyped-call]
        # Not cancelled where that takes longer: granian would have nothing to report its end to.
        _, late = await asyncio.wait([self._task], timeout=seconds)
        if late:  # the end of the loop cancels it
            asyncio.get_running_loop().set_exception_handler(_report)


def _report(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """Report a fault in a callback as ever, but for granian's late report of its end."""
    if not isinstance(context.get("exception"), asyncio.InvalidStateError):
        loop.default_exception_handler(context)
