"""What the door makes of faults that are nobody's doing: an answer that says whether to try again."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import pytest
from starlette.types import Message

from assistd.db.faults import DatabaseUnavailable, Reason
from assistd.web.endpoint import Door, Endpoint, Path
from assistd.web.request import Request


class AnyKey:
    async def project_of(self, key: str | None, headers: Mapping[str, str], address: str = "") -> str:
        return "proj_1"

    @contextmanager
    def watch(self, key: str) -> Iterator[asyncio.Future[None]]:
        yield asyncio.Future()


async def ask(fault: Exception) -> tuple[int, Any, dict[bytes, bytes]]:
    """Call an endpoint whose handler raises."""

    async def handler(request: Request) -> Any:
        raise fault

    status, answer, headers = await call(Path("/x", {"GET": handler}, beta=False))
    return status, answer["error"], headers


async def call(
    path: Path, method: str = "GET", beta: str | None = None, query: bytes = b""
) -> tuple[int, Any, dict[bytes, bytes]]:
    """Call the endpoint of a path."""
    sent: list[Message] = []

    async def receive() -> Message:
        return {"type": "http.disconnect"}

    async def send(message: Message) -> None:
        sent.append(dict(message))

    headers = [] if beta is None else [(b"openai-beta", beta.encode())]
    scope = {"type": "http", "method": method, "path": "/v1/x", "path_params": {}, "query_string": query}
    await Endpoint(path, Door(AnyKey(), 1000))({**scope, "headers": headers}, receive, send)
    return sent[0]["status"], json.loads(sent[1]["body"]), dict(sent[0]["headers"])


# --- faults


@pytest.mark.parametrize("reason", Reason)
async def test_what_passes_is_to_be_tried_again(reason: Reason) -> None:
    status, error, headers = await ask(DatabaseUnavailable(reason, "in the words of PostgreSQL"))
    assert (status, error["type"], headers[b"retry-after"]) == (503, "server_error", b"1")
    assert error["message"] == f"{reason.value} Please try again soon."


async def test_a_fault_of_another_part_is_not_said_to_be_the_database_s() -> None:
    status, error, _ = await ask(ConnectionResetError("by somebody else"))
    assert status == 500
    assert "database" not in error["message"]


async def test_what_does_not_is_the_service_s_own_500(caplog: pytest.LogCaptureFixture) -> None:
    status, error, headers = await ask(KeyError("a bug"))
    assert (status, error["type"]) == (500, "server_error")
    assert headers[b"x-request-id"].decode() in error["message"]
    assert "a bug" not in error["message"]


# --- requests


@pytest.mark.parametrize("query", ["q=Ü+é".encode(), b"q=%C3%9C+%C3%A9"])
async def test_a_query_need_not_be_escaped(query: bytes) -> None:
    """Shells and simple clients send it as it was typed."""

    async def handler(request: Request) -> Any:
        return dict(request.query())

    assert (await call(Path("/x", {"GET": handler}, beta=False), query=query))[:2] == (200, {"q": ["Ü é"]})


# --- versions


def says(word: str) -> Any:
    """Make a handler whose answer is this word."""

    async def handler(request: Request) -> Any:
        return {"said": word}

    return handler


async def test_the_beta_header_chooses_the_version() -> None:
    path = Path("/x", {"GET": says("v2")}, v1={"GET": says("v1")})
    for beta, word in (
        ("assistants=v2", "v2"),
        ("assistants=v1", "v1"),
        ("realtime=v1, assistants=v1", "v1"),
        ("assistants=v1,assistants=v2", "v2"),
    ):
        assert (await call(path, beta=beta))[:2] == (200, {"said": word})
    for other in (None, "", "realtime=v1", "assistants=v11", "assistants"):
        status, answer, _ = await call(path, beta=other)
        assert (status, answer["error"]["code"]) == (400, "invalid_beta")
        assert "You must provide" in answer["error"]["message"]


async def test_a_path_without_the_older_version_says_so() -> None:
    status, answer, _ = await call(Path("/x", {"GET": says("v2")}), beta="assistants=v1")
    assert (status, answer["error"]["code"]) == (400, "invalid_beta")
    assert "v1" in answer["error"]["message"]
    assert (await call(Path("/x", {"GET": says("v2")}, beta=False), beta="assistants=v1"))[:2] == (200, {"said": "v2"})


async def test_each_version_has_its_own_methods() -> None:
    path = Path("/x", {"GET": says("v2"), "DELETE": says("gone")}, v1={"GET": says("v1")})
    status, answer, headers = await call(path, "DELETE", "assistants=v1")
    assert (status, answer["error"]["code"], headers[b"allow"]) == (405, "method_not_supported", b"GET")
    assert (await call(path, "DELETE", "assistants=v2"))[1] == {"said": "gone"}
    status, _, headers = await call(path, "PUT")
    assert (status, headers[b"allow"]) == (405, b"DELETE, GET")


async def test_a_path_of_the_older_version_alone_is_not_there_in_the_newer() -> None:
    path = Path("/x", {}, v1={"GET": says("v1")})
    status, answer, _ = await call(path, beta="assistants=v2")
    assert (status, answer["error"]["message"]) == (404, "Invalid URL (GET /v1/x)")
    assert (await call(path, beta="assistants=v1"))[1] == {"said": "v1"}
