"""A request's body: its limits, and what becomes of the rest of one that is refused."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from typing import Any

import pytest

from assistd import errors
from assistd.errors import APIError
from assistd.web import body as module
from assistd.web.body import Body

TOO_LARGE = APIError("too large", status=413)


class Wire:
    """A client that sends these pieces, and then nothing."""

    def __init__(self, pieces: Iterable[bytes | None], *, ends: bool = True) -> None:
        self._messages: list[dict[str, Any]] = [
            {"type": "http.disconnect"} if piece is None else {"type": "http.request", "body": piece, "more_body": True}
            for piece in pieces
        ]
        if ends:
            self._messages.append({"type": "http.request", "body": b"", "more_body": False})
        self.left = len(self._messages)

    async def __call__(self) -> dict[str, Any]:
        if not self.left:
            await asyncio.Event().wait()
        message = self._messages[-self.left]
        self.left -= 1
        return message


def body(wire: Wire, headers: Mapping[str, str] | None = None) -> Body:
    return Body(wire, headers or {})


async def streamed(given: Body, limit: int = 10) -> list[bytes]:
    return [chunk async for chunk in given.stream(limit, TOO_LARGE)]


async def test_it_is_passed_on_as_it_comes() -> None:
    assert await streamed(body(Wire([b"abc", b"", b"def"]))) == [b"abc", b"def"]


async def test_nothing_is_a_body_too() -> None:
    assert await streamed(body(Wire([]))) == []
    assert await body(Wire([])).whole(10) == b""


async def test_exactly_the_limit_is_fine() -> None:
    assert await streamed(body(Wire([b"12345", b"67890"]))) == [b"12345", b"67890"]
    assert await body(Wire([b"12345", b"67890"])).whole(10) == b"1234567890"


async def test_too_much_is_found_out_on_the_way() -> None:
    got: list[bytes] = []
    given = body(Wire([b"12345", b"678901", b"more"]))

    async def read() -> None:
        async for chunk in given.stream(10, TOO_LARGE):
            got.append(chunk)

    with pytest.raises(APIError) as refused:
        await read()
    assert refused.value is TOO_LARGE
    assert got == [b"12345"]


async def test_too_much_that_is_declared_is_not_even_read() -> None:
    wire = Wire([b"x"])
    with pytest.raises(APIError) as refused:
        await streamed(body(wire, {"content-length": "11"}))
    assert refused.value is TOO_LARGE
    assert wire.left == 2


async def test_too_much_of_a_whole_body_is_taken_off_the_wire() -> None:
    for headers in ({}, {"content-length": "12"}):
        wire = Wire([b"123456"] * 2)
        with pytest.raises(APIError) as refused:
            await body(wire, headers).whole(10)
        assert (refused.value.status, wire.left) == (413, 0)


async def test_who_waits_for_a_word_hears_it_at_once() -> None:
    wire = Wire([b"123456"] * 2)
    with pytest.raises(APIError):
        await body(wire, {"content-length": "12", "expect": "100-continue"}).whole(10)
    assert wire.left == 3


async def test_who_has_far_too_much_hears_it_at_once() -> None:
    wire = Wire([b"123456"] * 2)
    with pytest.raises(APIError):
        await body(wire, {"content-length": str(10**10)}).whole(10)
    assert wire.left == 3


async def test_a_rest_is_taken_within_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_DRAINED_BYTES", 10)
    wire = Wire([b"12345"] * 5)
    await body(wire).drain()
    assert wire.left == 4
    monkeypatch.setattr(module, "_DRAINING_SECONDS", 0.01)
    wire = Wire([b"1"], ends=False)
    await body(wire).drain()
    assert wire.left == 0


async def test_what_has_ended_is_not_waited_for() -> None:
    given = body(Wire([b"x"]))
    assert await streamed(given) == [b"x"]
    await given.drain()


async def test_a_client_that_is_gone() -> None:
    for ending in (streamed, lambda given: given.whole(10)):
        with pytest.raises(APIError) as refused:
            await ending(body(Wire([b"x", None], ends=False)))
        assert refused.value.message == errors.gone().message


async def test_a_client_that_pauses_too_long(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_PAUSE_SECONDS", 0.01)
    with pytest.raises(APIError) as refused:
        await streamed(body(Wire([b"x"], ends=False)))
    assert refused.value.status == 408
