"""What the door makes of faults that are nobody's doing: an answer that says whether to try again."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import asyncpg
import pytest
from starlette.types import Message

from assistd.web.endpoint import Door, Endpoint, Path
from assistd.web.request import Request


class AnyKey:
    async def project_of(self, key: str | None, headers: Mapping[str, str]) -> str:
        return "proj_1"


async def ask(fault: Exception) -> tuple[int, Any, dict[bytes, bytes]]:
    """Call an endpoint whose handler raises."""

    async def handler(request: Request) -> Any:
        raise fault

    sent: list[Message] = []

    async def receive() -> Message:
        return {"type": "http.disconnect"}

    async def send(message: Message) -> None:
        sent.append(dict(message))

    endpoint = Endpoint(Path("/x", {"GET": handler}, beta=False), Door(AnyKey(), 1000))
    scope = {"type": "http", "method": "GET", "path": "/v1/x", "path_params": {}, "query_string": b"", "headers": []}
    await endpoint(scope, receive, send)
    return sent[0]["status"], json.loads(sent[1]["body"])["error"], dict(sent[0]["headers"])


@pytest.mark.parametrize(
    "fault",
    [
        asyncpg.DeadlockDetectedError("deadlock detected"),
        asyncpg.LockNotAvailableError("canceling statement due to lock timeout"),
        asyncpg.CannotConnectNowError("the database system is starting up"),
        ConnectionRefusedError("nobody there"),
    ],
)
async def test_what_passes_is_to_be_tried_again(fault: Exception) -> None:
    status, error, headers = await ask(fault)
    assert (status, error["type"], headers[b"retry-after"]) == (503, "server_error", b"1")
    assert "again" in error["message"]


async def test_what_does_not_is_the_service_s_own_500(caplog: pytest.LogCaptureFixture) -> None:
    status, error, headers = await ask(KeyError("a bug"))
    assert (status, error["type"]) == (500, "server_error")
    assert headers[b"x-request-id"].decode() in error["message"]
    assert "a bug" not in error["message"]
