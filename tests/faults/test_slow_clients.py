"""Clients that begin and do not go on: what they hold is bounded in size and time, and others are served meanwhile."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import ExitStack, suppress

import psutil
import pytest

from tests.support.databases import new_database
from tests.support.errors import Error
from tests.support.http import FORM, Api, form
from tests.support.server import Server, serve
from tests.support.waiting import eventually

STALL_SECONDS = 1
TOO_SLOW = Error(
    408,
    "The request body did not arrive in time: a client may pause for 1 seconds, and must send at least 8192 bytes per "
    "second otherwise.",
)
MB = 1024 * 1024
MEMORY = 8 * MB


@pytest.fixture(scope="module")
def server(postgres: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server whose clients have little time and share little room."""
    folder = tmp_path_factory.mktemp("slow")
    settings = {"stall_seconds": STALL_SECONDS, "body_memory_bytes": MEMORY, "sandbox": "off"}
    with new_database(postgres) as dsn, serve(folder, database_url=dsn, **settings) as running:
        yield running


@pytest.fixture(scope="module")
def api(server: Server) -> Api:
    return Api(server.url)


class Unfinished:
    """A request whose body stops in the middle."""

    def __init__(self, api: Api, path: str, *headers: str, body: bytes = b"") -> None:
        self.socket = socket.create_connection(api.address, timeout=60)
        head = [f"POST /v1{path} HTTP/1.1", "Host: localhost", "Authorization: Bearer sk-any"]
        head += ["OpenAI-Beta: assistants=v2", *headers]
        self.socket.sendall("\r\n".join([*head, "", ""]).encode())
        self.socket.setblocking(False)
        self._left = memoryview(body)  # cutting it copies nothing
        self.push()

    def push(self) -> None:
        """Send what the server takes without waiting for it."""
        while self._left:
            try:
                self._left = self._left[self.socket.send(self._left) :]
            except BlockingIOError:
                return

    def give_up(self) -> None:
        self._left = self._left[:0]

    @property
    def sent(self) -> bool:
        return not self._left

    def answer(self) -> bytes:
        """Read to the connection's end."""
        self.socket.settimeout(60)
        received = b""
        while part := self.socket.recv(65536):
            received += part
        return received

    def __enter__(self) -> Unfinished:
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()


WHOLE = form({"purpose": "assistants"}, "file", "a.txt", b"x" * 500_000)
LABEL = f"Content-Type: {FORM['Content-Type']}"


@pytest.mark.parametrize(
    ("path", "headers", "body"),
    [
        ("/threads", ["Content-Length: 100"], b""),
        ("/threads", ["Content-Length: 100"], b'{"metadata": {'),
        ("/threads", ["Content-Length: 3000000"], b'{"metadata": {"a": "' + b"x" * 2_900_000),
        ("/threads", ["Transfer-Encoding: chunked"], b'c\r\n{"metadata":\r\n'),
        ("/threads", ["Content-Length: 100", "Expect: 100-continue"], b""),
        ("/threads/thread_1/messages", ["Content-Length: 100"], b"{"),
        ("/vector_stores", ["Content-Length: 100"], b"{"),
        ("/chat/completions", ["Content-Length: 100"], b"{"),
        ("/files", [f"Content-Length: {len(WHOLE)}", LABEL], WHOLE[:1000]),
        ("/files", [f"Content-Length: {len(WHOLE)}", LABEL], WHOLE[:-1]),
        ("/files", ["Transfer-Encoding: chunked", LABEL], b"64\r\n" + WHOLE[:100] + b"\r\n"),
    ],
    ids=lambda value: f"{len(value)} bytes" if isinstance(value, bytes) else None,
)
def test_a_body_that_stops_is_refused_and_its_connection_ends(
    api: Api, path: str, headers: list[str], body: bytes
) -> None:
    with Unfinished(api, path, *headers, body=body) as client:
        eventually(lambda: client.push() or client.sent)
        head, _, told = client.answer().removeprefix(b"HTTP/1.1 100 Continue\r\n\r\n").partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 408 ")
        assert TOO_SLOW.message.encode() in told


def test_a_hundred_unfinished_bodies_hold_no_more_than_they_may(api: Api, server: Server) -> None:
    """Three gigabytes are announced. Small requests are served, and large ones when their turn comes."""
    process = psutil.Process(server.process.pid)
    api.post("/threads", {"metadata": {"a": "b"}})
    before = process.memory_info().rss
    body = b'{"metadata": {"a": "' + b"x" * 30_000_000
    with ExitStack() as stack:
        clients = [
            stack.enter_context(Unfinished(api, "/threads", f"Content-Length: {len(body) + 1}", body=body))
            for _ in range(100)
        ]
        most = 0
        for _ in range(50):
            for client in clients:
                try:
                    client.push()
                except OSError:  # refused, and hung up on
                    client.give_up()
            most = max(most, process.memory_info().rss)
            assert api.post("/threads", {"metadata": {"a": "b"}}).status == 200
        assert most - before < 400 * MB
        # Who is refused makes room for the next, until the last: 408 for those who had it, 503 for who waited in vain.
        assert clients[0].answer().startswith(b"HTTP/1.1 408 ")
    large = {"messages": [{"role": "user", "content": "x" * 200_000}]}
    assert api.post("/threads", large).status == 200


# --- requests that are refused before their body is looked at


@pytest.mark.parametrize(
    ("method", "path", "headers", "status"),
    [
        ("POST", "/threads", {"Authorization": None}, 401),
        ("POST", "/files", {"Authorization": None}, 401),
        ("POST", "/nothing", {}, 404),
        ("PUT", "/threads", {}, 405),
        ("POST", "/threads", {"OpenAI-Beta": None}, 400),
        ("POST", "/threads/nothing", {}, 400),
        ("POST", "/uploads/upload_1/parts", {}, 404),
        ("GET", "/assistants/asst_1", {}, 404),
        ("DELETE", "/assistants/asst_1", {}, 404),
    ],
)
def test_who_sends_megabytes_in_vain_hears_why(
    api: Api, method: str, path: str, headers: dict[str, str | None], status: int
) -> None:
    """Most clients listen only when they have sent everything; a reset in the middle would say nothing to them."""
    for body in (b"x" * 5_000_000, (b"x" * 50_000 for _ in range(100))):
        assert api(method, path, body, headers=headers).status == status


def test_a_body_without_end_is_refused(api: Api) -> None:
    """Nobody has to read all of it to say so."""

    def endless() -> Iterator[bytes]:
        while True:
            yield b"x" * 100_000

    for path in ("/threads", "/nothing"):
        with suppress(OSError):  # being hung up on in the middle is an answer, too
            assert api.post(path, endless()).status in (404, 413)
    assert api.get("/threads").status == 200


# --- clients that do not take their answer


def test_a_client_that_takes_nothing_of_its_answer_is_given_up(api: Api, server: Server) -> None:
    """A download, and a list that is too long for the buffers on the way; what it held is free again."""
    file = api.upload(b"x" * 12_000_000, "large.png", purpose="vision").ok["id"]
    thread = api.post("/threads").ok["id"]
    for _ in range(30):
        api.post(f"/threads/{thread}/messages", {"role": "user", "content": "x" * 256_000})
    for path in (f"/files/{file}/content", f"/threads/{thread}/messages?limit=100"):
        before = server.log.count("a client does not take its answer")
        with socket.create_connection(api.address, timeout=60) as connection:
            head = [f"GET /v1{path} HTTP/1.1", "Host: localhost", "Authorization: Bearer sk-any"]
            connection.sendall("\r\n".join([*head, "OpenAI-Beta: assistants=v2", "", ""]).encode())
            eventually(lambda seen=before: server.log.count("a client does not take its answer") > seen)
            connection.settimeout(60)
            received = 0
            with suppress(ConnectionResetError):
                while part := connection.recv(1_000_000):
                    received += len(part)
            assert received < 12_000_000
        assert len(api.get(path).body) >= 7_000_000
