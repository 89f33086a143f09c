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
    async with aclosing(cast(Any, frames)) as chunks:
        async for chunk in chunks:
            *whole, rest = chunk.split(_END)
            yield b"".join([await _frame(frame, client, find_files) for frame in whole]) + rest


async def _frame(frame: bytes, client: Client, find_files: FindFiles) -> bytes:
    if frame.startswith(_SAME) or (frame.startswith(_TEXT) and not any(part in frame for part in _OTHER_PARTS)):
        return frame + _END
    return b"\n".join([await _line(line, client, find_files) for line in frame.split(b"\n")]) + _END


async def _line(line: bytes, client: Client, find_files: FindFiles) -> bytes:
    if not line.startswith(_DATA):
        return _RENAMED.get(line, line)
    shown = msgspec.json.decode(line[len(_DATA) :])
    return _DATA + msgspec.json.encode(translate(shown, client, await find_files(shown)))
