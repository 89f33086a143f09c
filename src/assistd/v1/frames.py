"""Streams of v2 as streams of v1: frame by frame, ids and all, so that a stream can be gone on with."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing
from typing import Any, cast

import msgspec

from assistd.v1.answers import FileIds, translate
from assistd.v1.clients import Client

_END = b"\n\n"
_DATA = b"data: "

# Finds the files of the assistants and runs in what is shown.
FindFiles = Callable[[dict[str, Any]], Awaitable[FileIds]]

# Pieces of text, by far the most frames, are the same in both versions; so is what says that a stream is at its end.
_SAME = (b"event: done\n", b"event: error\n")
_TEXT = b"event: thread.message.delta\n"
_OTHER_PARTS = (b'"type":"refusal"', b'"type":"image_file"')

# v1 has no event of its own for a run that is cut short by its token limits.
_RENAMED = {b"event: thread.run.incomplete": b"event: thread.run.completed"}


async def translated(frames: AsyncIterator[bytes], client: Client, find_files: FindFiles) -> AsyncIterator[bytes]:
    """Yield the frames of a stream as this client of v1 is to see them."""
    stream = _Stream(client, find_files)
    async with aclosing(cast(Any, frames)) as chunks:
        async for chunk in chunks:
            *whole, rest = chunk.split(_END)
            yield b"".join([await stream.frame(frame) for frame in whole]) + rest


class _Stream:
    """One stream: what came before decides how a piece of text looks."""

    def __init__(self, client: Client, find_files: FindFiles) -> None:
        self._client = client
        self._find_files = find_files
        self._begun: set[tuple[str, int]] = set()  # messages and their parts that texts of another kind became

    async def frame(self, frame: bytes) -> bytes:
        """Translate a frame."""
        if frame.startswith(_SAME) or (frame.startswith(_TEXT) and not any(part in frame for part in _OTHER_PARTS)):
            return frame + _END
        return b"\n".join([await self._line(line) for line in frame.split(b"\n")]) + _END

    async def _line(self, line: bytes) -> bytes:
        if not line.startswith(_DATA):
            return _RENAMED.get(line, line)
        shown = msgspec.json.decode(line[len(_DATA) :])
        told = translate(shown, self._client, await self._find_files(shown))
        if told["object"] == "thread.message.delta":
            self._begin(told["id"], told["delta"]["content"])
        return _DATA + msgspec.json.encode(told)

    def _begin(self, message_id: str, content: list[dict[str, Any]]) -> None:
        """Leave the empty annotations to the piece that begins a part."""
        for part in content:
            place = message_id, part["index"]
            if part["type"] == "text" and place in self._begun and part["text"].get("annotations") == []:
                del part["text"]["annotations"]
            self._begun.add(place)
