"""The pipes of a sandbox: commands in, frames and printed text out, the latter two put back into one order.

A frame that has its place in the text, such as a picture, comes behind a mark in the text: `NUL nonce:number NUL`.
Code that closes the pipe or forges marks gets its own output in a wrong order, and nothing worse.
"""

from __future__ import annotations

import asyncio
import re
from codecs import getincrementaldecoder
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final

import msgspec

from assistd.sandbox import ending
from assistd.sandbox.faults import SessionLost
from assistd.sandbox.piped import Child

_PIECE: Final = 1 << 16
# How long a frame and its mark may be apart, in seconds: one is written right after the other.
_APART: Final = 1.0
# How long what is left in the pipes of dead processes may take to be read.
_REST: Final = 5.0


class Body(msgspec.Struct, rename={"kind": "is"}):
    """A frame: its first line, and the `size` bytes behind it."""

    kind: str
    n: int = 0  # of the command that it answers
    size: int = 0
    mark: int = 0
    why: str = ""
    bytes: int = 0
    changed: int = 0
    data: Any = b""


_head = msgspec.json.Decoder(Body)


class Pipes:
    """What goes to a sandbox's process and comes from it.

    `largest` is the most that a frame may carry, in bytes; `when_gone` is called when it was ended.
    """

    def __init__(self, process: Child, nonce: str, largest: int, when_gone: Callable[[], None]) -> None:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stderr is not None
        self.why: str | None = None  # it was ended
        self._process = process
        self._in, self._frames, self._text = process.stdin, process.stdout, process.stderr
        self._largest = largest
        self._when_gone = when_gone
        # No raw literal: its escapes would reach into the nonce.
        self._mark = re.compile(b"\0" + re.escape(nonce.encode()) + b":([0-9]{1,18})\0")
        self._longest_mark = len(nonce) + 24
        self._decode = getincrementaldecoder("utf-8")("replace").decode
        self._held = b""
        self._silent = False  # the pipe of the text is closed
        self._framing: asyncio.Task[Body] | None = None
        self._reading: asyncio.Task[bytes] | None = None
        self._ending: asyncio.Task[None] | None = None

    def write(self, what: str, body: bytes = b"", **members: Any) -> None:
        """Write a command, without waiting."""
        if self.why is None and not self._in.is_closing():
            self._in.write(msgspec.json.encode({"do": what, "size": len(body), **members}) + b"\n" + body)

    async def drain(self) -> None:
        """Wait until what was written is on its way."""
        with suppress(ConnectionError):
            await self._in.drain()

    def check(self) -> None:
        """Raise SessionLost where it was ended."""
        if self.why is not None:
            raise SessionLost(self.why)

    async def frame(self) -> Body:
        """Return the next frame. Raises SessionLost. May be cancelled: no frame is lost by that."""
        await asyncio.wait([self._expect_frame()])
        return self._take_frame()

    async def next(self) -> str | Body:
        """Return the next piece of text or the next frame, in their order. Raises SessionLost. May be cancelled."""
        while True:
            text, mark = self._take_text()
            if text:
                return text
            framing = self._expect_frame()
            if mark is not None:  # the frame is right behind
                await asyncio.wait([framing], timeout=_APART)
                marked = _mark_of(framing)
                if marked is None or marked >= mark:
                    self._skip_mark()
                if framing.done() and (marked is None or marked <= mark):
                    return self._take_frame()
                # Else the mark is that of a frame that was taken without it, and what is printed goes on behind it.
            elif self._silent or _mark_of(framing) == 0:
                await asyncio.wait([framing])
                return self._take_frame()
            elif not await self._read_text(framing):  # a frame whose mark does not come
                return self._take_frame()

    async def _read_text(self, framing: asyncio.Task[Body]) -> bool:
        """Read a piece of text, or wait for a frame. Returns whether the frame is there for so long that it is next."""
        if self._reading is None:
            self._reading = asyncio.ensure_future(self._text.read(_PIECE))
        was_there = framing.done()
        await asyncio.wait(
            [self._reading] if was_there else [self._reading, framing],
            timeout=_APART if was_there else None,
            return_when=asyncio.FIRST_COMPLETED,
        )
        if not self._reading.done():
            return not was_there
        reading, self._reading = self._reading, None
        piece = b"" if reading.cancelled() else reading.result()
        self._held += piece
        self._silent = not piece
        return True

    async def said(self) -> str:
        """Return what was printed and not read yet, as far as it is there."""
        text = b""
        with suppress(TimeoutError):
            async with asyncio.timeout(_APART):
                while len(text) < _PIECE and (piece := await self._text.read(_PIECE)):
                    text += piece
        return text.decode("utf-8", "replace").replace("\0", "\ufffd").strip()

    async def end(self, reason: str) -> None:
        """Kill the process and everything below it; wait until it is gone. Goes on where this call is cancelled."""
        await asyncio.shield(self._begin_end(reason))

    def _begin_end(self, reason: str) -> asyncio.Task[None]:
        if self._ending is None or _has_failed(self._ending):
            self.why = self.why or reason
            self._ending = asyncio.create_task(self._end(), name="end of a sandbox")
        return self._ending

    async def _end(self) -> None:
        self._in.close()
        await ending.kill(self._process)
        self._when_gone()
        for task in (self._framing, self._reading):
            if task is not None:
                task.cancel()
                await asyncio.wait([task])
        # A pipe that was left full would stay open.
        with suppress(TimeoutError):
            async with asyncio.timeout(_REST):
                for pipe in (self._frames, self._text):
                    while await pipe.read(_PIECE):
                        pass
                await self._process.wait()

    # --- text

    def _take_text(self) -> tuple[str, int | None]:
        """Return the text that can be shown by now, and the number of the mark that comes behind it."""
        found = self._mark.search(self._held)
        if found is not None:
            text, self._held = self._held[: found.start()], self._held[found.start() :]
            return self._readable(text, final=True), int(found[1])
        last = self._held.rfind(b"\0")
        waits = last >= 0 and len(self._held) - last < self._longest_mark and not self._silent
        if not waits:
            last = len(self._held)
        text, self._held = self._held[:last], self._held[last:]
        return self._readable(text), None

    def _skip_mark(self) -> None:
        if found := self._mark.match(self._held):
            self._held = self._held[found.end() :]

    def _readable(self, text: bytes, *, final: bool = False) -> str:
        """Decode text; what no database keeps becomes U+FFFD."""
        return self._decode(text, final).replace("\0", "\ufffd")

    # --- frames

    def _expect_frame(self) -> asyncio.Task[Body]:
        if self._framing is None:
            self._framing = asyncio.ensure_future(self._read_frame())
            self._framing.add_done_callback(lambda task: task.cancelled() or task.exception())
        return self._framing

    def _take_frame(self) -> Body:
        framing, self._framing = self._framing, None
        self.check()
        assert framing is not None
        return framing.result()

    async def _read_frame(self) -> Body:
        try:
            frame = _head.decode(await self._frames.readuntil(b"\n"))
            if not 0 <= frame.size <= self._largest:
                raise ValueError(f"a frame of {frame.size} bytes")
            frame.data = await self._frames.readexactly(frame.size)
        except (asyncio.IncompleteReadError, ConnectionError) as cut:
            why = self.why or f"The session has ended: {await ending.reason(self._process)}."
            raise self._lost(why) from cut
        except (msgspec.MsgspecError, ValueError, RecursionError, asyncio.LimitOverrunError) as fault:
            raise self._lost("The session was ended: it does not speak as it should.") from fault
        return frame

    def _lost(self, why: str) -> SessionLost:
        """Whoever has closed its end, or speaks another language, is of no more use."""
        self._begin_end(why)
        return SessionLost(self.why or why)


def _has_failed(task: asyncio.Task[None]) -> bool:
    return task.done() and (task.cancelled() or task.exception() is not None)


def _mark_of(framing: asyncio.Task[Body]) -> int | None:
    """Return the number of the mark of a frame that is there: 0 where it belongs nowhere in the text."""
    if framing.done() and not framing.cancelled() and framing.exception() is None:
        return framing.result().mark
    return None
