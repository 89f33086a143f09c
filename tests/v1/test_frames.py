"""Streams of v2 as v1 shows them, frame by frame."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

from assistd.v1.clients import Client
from assistd.v1.frames import translated
from tests.v1.test_answers import RUN

TEXT = (
    b'event: thread.message.delta\ndata: {"id":"msg_1","object":"thread.message.delta","delta":{"content":'
    b'[{"index":0,"type":"text","text":{"value":"x  y","annotations":[]}}]}}\nid: 1-4\n\n'
)
PING = b": still here\n"
DONE = b"event: done\ndata: [DONE]\n\n"
ERROR = b'event: error\ndata: {"error":{"message":"m","type":"server_error","param":null,"code":null}}\n\n'


def frame(name: str, data: dict[str, Any], id: str = "1-2") -> bytes:
    return f"event: {name}\ndata: {json.dumps(data)}\nid: {id}\n\n".encode()


class Stream:
    """The frames of v2; it knows whether it was closed."""

    def __init__(self, *chunks: bytes) -> None:
        self.chunks = chunks
        self.closed = False

    async def frames(self) -> AsyncIterator[bytes]:
        try:
            for chunk in self.chunks:
                yield chunk
        finally:
            self.closed = True


async def read(*chunks: bytes) -> list[bytes]:
    asked: list[str] = []

    async def find(shown: dict[str, Any]) -> dict[str, list[str]]:
        asked.append(shown["object"])
        return {"run_1": ["file-1"]}

    return [chunk async for chunk in translated(Stream(*chunks).frames(), Client(), find)]


async def test_what_is_the_same_goes_through_byte_for_byte() -> None:
    chunks = [TEXT, TEXT + TEXT, PING, ERROR, b"", DONE]
    assert await read(*chunks) == chunks


async def test_objects_are_translated_and_keep_their_place() -> None:
    [sent] = await read(frame("thread.run.created", RUN, "0-1") + TEXT)
    first, _, rest = sent.partition(b"\n\n")
    name, data, id = first.split(b"\n")
    assert (name, id) == (b"event: thread.run.created", b"id: 0-1")
    shown = json.loads(data.removeprefix(b"data: "))
    assert shown["file_ids"] == ["file-1"]
    assert shown["tools"][0] == {"type": "retrieval"}
    assert rest == TEXT


async def test_a_run_cut_short_ends_with_the_event_of_a_completed_one() -> None:
    cut = RUN | {"status": "incomplete", "incomplete_details": {"reason": "max_completion_tokens"}}
    [sent] = await read(frame("thread.run.incomplete", cut))
    assert sent.startswith(b"event: thread.run.completed\n")
    assert b'"status":"completed"' in sent


async def test_a_text_that_only_looks_like_another_part_stays_the_same() -> None:
    delta = {"content": [{"index": 0, "type": "text", "text": {"value": 'a "type":"refusal" b'}}]}
    said = {"id": "msg_1", "object": "thread.message.delta", "delta": delta}
    [sent] = await read(frame("thread.message.delta", said))
    assert json.loads(sent.split(b"\n")[1].removeprefix(b"data: ")) == said


def refusal(text: str, part: int = 0, message: str = "msg_1") -> bytes:
    delta = {"content": [{"index": part, "type": "refusal", "refusal": text}]}
    said = {"id": message, "object": "thread.message.delta", "delta": delta}
    return f"event: thread.message.delta\ndata: {json.dumps(said, separators=(',', ':'))}\nid: 1-5\n\n".encode()


async def test_pieces_of_a_refusal_become_text_that_begins_once() -> None:
    sent = await read(refusal("I "), refusal("will") + refusal(" not", part=1), refusal("no", message="msg_2"))
    frames = [frame for frame in b"".join(sent).split(b"\n\n") if frame]
    parts = [json.loads(f.split(b"\n")[1].removeprefix(b"data: "))["delta"]["content"][0]["text"] for f in frames]
    assert parts == [
        {"value": "I ", "annotations": []},
        {"value": "will"},
        {"value": " not", "annotations": []},
        {"value": "no", "annotations": []},
    ]


async def test_a_client_that_goes_away_closes_the_stream_behind() -> None:
    stream = Stream(TEXT, TEXT)

    async def find(shown: dict[str, Any]) -> dict[str, list[str]]:
        return {}

    reading = translated(stream.frames(), Client(), find)
    assert await anext(reading) == TEXT
    await reading.aclose()  # type: ignore[attr-defined]
    assert stream.closed
