"""A wiretap: every byte between clients and a server goes through it untouched, and every exchange is kept.

It sits below HTTP, so that what a client gets is what the server sent, chunk by
chunk, whatever the client is written in. A copy of the bytes is read as HTTP;
what is no valid HTTP shows as a fault of its exchange.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from urllib.parse import urlsplit

import h11


@dataclass
class Exchange:
    """One request and its answer. `complete` tells whether the answer was read to its end."""

    method: str
    target: str
    request_headers: dict[str, str]
    request_body: bytes = b""
    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    complete: bool = False
    fault: str = ""

    @property
    def path(self) -> str:
        return urlsplit(self.target).path

    def __str__(self) -> str:
        return f"{self.method} {self.target} -> {self.status}"


class _Conversation:
    """The exchanges of one connection, read from copies of its bytes."""

    def __init__(self, kept: list[Exchange]) -> None:
        self._kept = kept
        self._asked = h11.Connection(h11.SERVER)
        self._answered = h11.Connection(h11.CLIENT)
        self._exchange: Exchange | None = None

    def asks(self, data: bytes) -> None:
        """Take in what the client sent; b"" for the end."""
        with self._noting_faults():
            self._asked.receive_data(data)
            self._read_requests()

    def answers(self, data: bytes) -> None:
        """Take in what the server sent; b"" for the end."""
        with self._noting_faults():
            self._answered.receive_data(data)
            self._read_responses()

    @contextlib.contextmanager
    def _noting_faults(self) -> Iterator[None]:
        try:
            yield
        except h11.ProtocolError as fault:
            if self._exchange is not None and not self._exchange.complete:
                self._exchange.fault = str(fault)

    def _read_requests(self) -> None:
        while (event := self._asked.next_event()) is not h11.NEED_DATA:
            if event is h11.PAUSED:
                return  # the next request waits for this one's answer
            if isinstance(event, h11.Request):
                self._exchange = Exchange(event.method.decode(), event.target.decode(), _headers(event.headers))
                self._kept.append(self._exchange)
            elif isinstance(event, h11.Data) and self._exchange is not None:
                self._exchange.request_body += event.data
            elif isinstance(event, h11.ConnectionClosed):
                return
            self._answered.send(event)

    def _read_responses(self) -> None:
        while (event := self._answered.next_event()) is not h11.NEED_DATA:
            exchange = self._exchange
            if exchange is None or event is h11.PAUSED or isinstance(event, h11.ConnectionClosed):
                return
            if isinstance(event, h11.Response):
                exchange.status, exchange.headers = event.status_code, _headers(event.headers)
            elif isinstance(event, h11.Data):
                exchange.body += event.data
            self._asked.send(event)
            if isinstance(event, h11.EndOfMessage):
                exchange.complete = True
                if self._answered.our_state is h11.DONE and self._answered.their_state is h11.DONE:
                    self._answered.start_next_cycle()
                    self._asked.start_next_cycle()
                    self._read_requests()


def _headers(pairs: Iterable[tuple[bytes, bytes]]) -> dict[str, str]:
    return {name.decode().lower(): value.decode("latin-1") for name, value in pairs}


class Wiretap:
    """Listens on a free port of loopback and passes everything on. `url` is what an SDK takes as `base_url`."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self._upstream = parts.hostname, parts.port
        self._path = parts.path
        self._kept: list[Exchange] = []
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="wiretap")

    def __enter__(self) -> Wiretap:
        self._thread.start()
        self._server = asyncio.run_coroutine_threadsafe(self._listen(), self._loop).result()
        host, port = self._server.sockets[0].getsockname()
        self.url = f"http://{host}:{port}{self._path}"
        return self

    def __exit__(self, *_: object) -> None:
        asyncio.run_coroutine_threadsafe(self._hang_up(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def take(self) -> list[Exchange]:
        """Return the exchanges begun since the last call."""
        # What a client has received was read here before it was passed on.
        taken, self._kept[:] = list(self._kept), []
        return taken

    async def _listen(self) -> asyncio.Server:
        return await asyncio.start_server(self._converse, "127.0.0.1", 0)

    async def _hang_up(self) -> None:
        self._server.close()
        await asyncio.sleep(0)  # what was accepted just now begins its conversation, which has to be ended as well
        while others := asyncio.all_tasks() - {asyncio.current_task()}:
            for task in others:
                task.cancel()
            await asyncio.gather(*others, return_exceptions=True)
        await asyncio.sleep(0)  # connections close in callbacks

    async def _converse(self, client: asyncio.StreamReader, to_client: asyncio.StreamWriter) -> None:
        conversation = _Conversation(self._kept)
        writers = [to_client]
        ways: list[asyncio.Future[None]] = []
        try:
            server, to_server = await asyncio.open_connection(*self._upstream)
            writers.append(to_server)
            ways += [
                asyncio.ensure_future(_pass(client, to_server, conversation.asks)),
                asyncio.ensure_future(_pass(server, to_client, conversation.answers)),
            ]
            # Neither SDK nor server speaks on after the other has gone.
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        except (asyncio.CancelledError, OSError):
            pass  # hung up on, or nobody is there; asyncio's streams would complain of a handler that says so
        finally:
            for way in ways:
                way.cancel()
            await asyncio.gather(*ways, return_exceptions=True)
            for writer in writers:
                writer.close()
            for writer in writers:
                with contextlib.suppress(OSError):
                    await writer.wait_closed()


async def _pass(source: asyncio.StreamReader, target: asyncio.StreamWriter, copy: Callable[[bytes], None]) -> None:
    with contextlib.suppress(OSError):
        while data := await source.read(65536):
            copy(data)
            target.write(data)
            await target.drain()
        copy(b"")
