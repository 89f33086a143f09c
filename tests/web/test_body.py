"""A request's body: its limits, and what becomes of the rest of one that is refused."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from typing import Any

import pytest

from assistd import errors
from assistd.errors import APIError
from assistd.web import body as module
from assistd.web.body import SLOWEST_BYTES_PER_SECOND, Body, Patience
from assistd.web.memory import Memory

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


CHUNKED = {"transfer-encoding": "chunked"}


def body(wire: Wire, headers: Mapping[str, str] = CHUNKED, **options: Any) -> Body:
    return Body(wire, headers, **options)


async def streamed(given: Body, limit: int = 10) -> list[bytes]:
    return [chunk async for chunk in given.stream(limit, TOO_LARGE, Memory(), "proj_1")]


async def whole(given: Body, limit: int = 10) -> bytes:
    """Take it as the door does: what is left of a refused one is thrown away."""
    try:
        return await given.whole(limit, Memory(), "proj_1")
    except APIError:
        await given.drain()
        raise


async def test_it_is_passed_on_as_it_comes() -> None:
    assert await streamed(body(Wire([b"abc", b"", b"def"]))) == [b"abc", b"def"]


async def test_nothing_is_a_body_too() -> None:
    assert await streamed(body(Wire([]))) == []
    assert await whole(body(Wire([]))) == b""


async def test_exactly_the_limit_is_fine() -> None:
    assert await streamed(body(Wire([b"12345", b"67890"]))) == [b"12345", b"67890"]
    assert await whole(body(Wire([b"12345", b"67890"]))) == b"1234567890"


async def test_too_much_is_found_out_on_the_way() -> None:
    got: list[bytes] = []
    given = body(Wire([b"12345", b"678901", b"more"]))

    async def read() -> None:
        async for chunk in given.stream(10, TOO_LARGE, Memory(), "proj_1"):
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
    for headers in (CHUNKED, {"content-length": "12"}):
        wire = Wire([b"123456"] * 2)
        with pytest.raises(APIError) as refused:
            await whole(body(wire, headers))
        assert (refused.value.status, wire.left) == (413, 0)


async def test_who_waits_for_a_word_hears_it_at_once() -> None:
    wire = Wire([b"123456"] * 2)
    with pytest.raises(APIError):
        await whole(body(wire, {"content-length": "12", "expect": "100-continue"}))
    assert wire.left == 3


async def test_who_has_far_too_much_hears_it_at_once() -> None:
    wire = Wire([b"123456"] * 2)
    with pytest.raises(APIError):
        await whole(body(wire, {"content-length": str(10**10)}))
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
    for ending in (streamed, whole):
        with pytest.raises(APIError) as refused:
            await ending(body(Wire([b"x", None], ends=False)))
        assert refused.value.message == errors.gone().message


@pytest.mark.parametrize("read", [streamed, whole])
async def test_a_client_that_pauses_too_long(read: Any) -> None:
    given = body(Wire([b"x"], ends=False), stall_seconds=0.01)
    with pytest.raises(APIError, match="did not arrive in time") as refused:
        await read(given)
    assert refused.value.status == 408
    await given.drain()  # which waits for nothing more
    await given.close()


def endured(bytes_a_second: int, most: int) -> int:
    """Return after how many seconds a client that sends at this pace is given up, or the most that is looked at."""
    patience = Patience(30)
    for second in range(most):
        if patience.left <= 0:
            return second
        patience.spend(1, bytes_a_second)
    return most


def test_a_slow_client_uses_up_its_pause() -> None:
    assert endured(0, 100) == 30
    assert endured(1, 100) == 31
    assert endured(SLOWEST_BYTES_PER_SECOND // 2, 100) == 60
    assert endured(SLOWEST_BYTES_PER_SECOND, 10_000) == 10_000


def test_who_was_quick_may_pause_no_longer_than_anybody() -> None:
    """Thirty megabytes at once do not buy an hour of silence."""
    patience = Patience(30)
    patience.spend(1, 30_000_000)
    assert patience.left == 30
    patience.spend(29, 0)
    assert patience.left == 1


async def test_a_body_holds_room_until_it_is_closed() -> None:
    """All that it may take, asked for before it comes; a small one needs none."""
    memory = Memory(100_000)
    for headers in ({"content-length": "40000"}, CHUNKED):
        given = body(Wire([b"x" * 40_000]), headers)
        await given.whole(50_000, memory, "a")
        other = asyncio.ensure_future(body(Wire([b"x" * 40_000]), headers).whole(50_000, memory, "a"))
        assert await body(Wire([b"x"])).whole(50_000, memory, "a") == b"x"
        assert not other.done()
        await given.close()
        assert len(await other) == 40_000
        memory = Memory(100_000)
