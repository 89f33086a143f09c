"""What is kept of a request is what was sent, but for the bytes of pictures and what is too long."""

from __future__ import annotations

import base64
import json
from typing import Any

import msgspec
import pytest

from assistd.llm.protocol import ChatRequest
from assistd.llm.request_body import request_body
from assistd.llm.routing import single_route
from assistd.runs.prompt_body import kept, packed, unpacked

MOST = 20_000
ROUTE = single_route("http://127.0.0.1:9/v1")


def sent(*messages: Any, **fields: Any) -> bytes:
    """A body as it goes out."""
    return request_body(ROUTE, ChatRequest(model="m", messages=messages, **fields))


def user(content: Any) -> Any:
    return {"role": "user", "content": content}


def picture(url: str, detail: str = "auto") -> Any:
    return {"type": "image_url", "image_url": {"url": url, "detail": detail}}


@pytest.mark.parametrize(
    "body",
    [
        sent(user("hello")),
        sent(user('It says "image_url":{"url":"data:image/png;base64,AAAA"}'), temperature=0.5),
        sent(user([picture("https://example.com/a.png"), {"type": "text", "text": "data:image/png;base64,AAAA"}])),
        sent({"role": "system", "content": "é\n\u2028\0😀"}, user("x" * 10_000)),
    ],
)
def test_what_is_not_too_long_is_kept_byte_for_byte(body: bytes) -> None:
    assert kept(body, MOST) is body


@pytest.mark.parametrize("size", [0, 1, 2, 3, 100, 5_000_000])
def test_of_a_picture_its_kind_and_size_are_kept(size: int) -> None:
    url = f"data:image/webp;base64,{base64.b64encode(bytes(size)).decode()}"
    text = {"type": "text", "text": "What is this?"}
    found = kept(sent(user([picture(url), text, picture("https://example.com/a.png"), picture(url, "low")])), MOST)
    told = json.loads(found)
    note = f"[image/webp, {size} bytes]"
    shown = [picture(note), text, picture("https://example.com/a.png"), picture(note, "low")]
    assert told["messages"][0]["content"] == shown
    assert {**told, "messages": []} == {**json.loads(sent()), "messages": []}


@pytest.mark.parametrize(
    ("url", "note"),
    [
        ('data:image/png;base64,AA"BB', "[image/png, 4 bytes]"),
        ("data:image/png;base64,AAAA\\", "[image/png, 4 bytes]"),
        ('data:\n"', "[, 3 bytes]"),
        ("data:", "[, 0 bytes]"),
        ("data:" + "x" * 1000, f"[{'x' * 100}, 675 bytes]"),
    ],
)
def test_what_only_begins_like_a_picture_ends_where_its_text_ends(url: str, note: str) -> None:
    tool = {"type": "function", "function": {"name": "f", "parameters": {"default": picture(url)}}}
    told = json.loads(kept(sent(user([picture(url)]), tools=[tool]), MOST))
    assert told["messages"] == [user([picture(note)])]
    assert told["tools"][0]["function"]["parameters"]["default"] == picture(note)


def test_of_long_texts_the_ends_are_kept() -> None:
    long = "begin " + "x" * 50_000 + " end"
    tool = {"type": "function", "function": {"name": "f", "description": long, "parameters": {"type": "object"}}}
    found = kept(sent({"role": "system", "content": long}, user("short"), user([{"type": "text", "text": long}])), MOST)
    told = json.loads(found)
    for text in (told["messages"][0]["content"], told["messages"][2]["content"][0]["text"]):
        assert text.startswith("begin xxx")
        assert text.endswith("xxx end")
        assert f" [{len(long) - 4000} characters are left out here] " in text
    assert told["messages"][1] == user("short")
    told = json.loads(kept(sent(user("hi"), tools=[tool]), MOST))
    assert told["tools"][0]["function"]["name"] == "f"
    assert "characters are left out here" in told["tools"][0]["function"]["description"]


def test_of_many_messages_the_first_and_the_newest_are_kept() -> None:
    messages = [user(f"{n} " + "x" * 50) for n in range(1000)]
    found = kept(sent(*messages), MOST)
    assert len(found) <= MOST
    first, note, *newest = json.loads(found)["messages"]
    assert first == messages[0]
    assert newest == messages[-len(newest) :]
    assert note == {"role": "left_out", "content": f"{1000 - 1 - len(newest)} messages are left out here"}
    assert len(newest) > 50


@pytest.mark.parametrize("most", [1, 500, 2000, 50_000, 1_000_000])
def test_nothing_makes_it_longer_than_it_may_be(most: int) -> None:
    """Whatever it is that is long; a little more than next to nothing has to be allowed."""
    hostile: list[bytes] = [
        sent(*(user("x") for _ in range(50_000))),
        sent(user('\\"\n' * 500_000)),
        sent(user("hi"), tools=[{"type": "function", "function": {"name": f"f{n}"}} for n in range(30_000)]),
        sent(user("hi"), response_format={"type": "json_schema", "json_schema": {"enum": list(range(300_000))}}),
        sent(*(user([picture("data:image/png;base64," + "A" * 4000)] * 50) for _ in range(200))),
        sent({"role": "system", "content": "x" * 2_000_000}, *(user("y" * 5000) for _ in range(300))),
    ]
    for body in hostile:
        assert len(body) > most
        found = kept(body, most)
        assert len(found) <= max(most, 3000)
        told = msgspec.json.decode(found)
        assert (told["model"], told["stream"]) == ("m", True)


@pytest.mark.parametrize("size", [0, 10, 999, 1000, 5000, 1_000_000])
def test_what_is_packed_is_unpacked(size: int) -> None:
    body = sent(user("é" * size))
    assert unpacked(packed(body)) == body
    assert len(packed(body)) <= max(len(body) // 10, 1000)
