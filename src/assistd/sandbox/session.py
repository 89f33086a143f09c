"""A session: one sandbox with an IPython shell in it, spoken to over the pipes of its process.

What comes out of a sandbox is written by whoever's code runs in it: every frame is checked, every size bounded, and
nothing that is wrong does more than end the session. See kernel.py for the other side.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from typing import Any, Final

import msgspec

from assistd.sandbox import resting
from assistd.sandbox.faults import SandboxFull, SandboxRefused, SessionLost
from assistd.sandbox.limits import Limits
from assistd.sandbox.outputs import Call, Output
from assistd.sandbox.paths import checked, is_plain, readable
from assistd.sandbox.piped import Child
from assistd.sandbox.pipes import Body, Pipes

# What is asked of an idle shell is done at once, but by a hostile one.
_DEED_SECONDS: Final = 60.0
_CHUNK: Final = 1 << 18
# The kinds of frames that more will follow: any other is the last of an answer.
_MORE: Final = ("chunk", "picture")
# Threads of the code may show pictures at any time, but not many while nothing runs.
_STRAY: Final = 1000
_LAST_TIME: Final = 2**63
_listing = msgspec.json.Decoder(list[tuple[str, int, int]])


class SandboxFile(msgspec.Struct, frozen=True):
    """A regular file in /mnt/data: `path` is relative to it, `changed` the time of the last change in nanoseconds.

    `size` is in bytes, and what the sandbox says: a file with holes may be larger than the disk.
    """

    path: str
    size: int
    changed: int


class Session:
    """One sandbox. Its calls are made one after the other, by one holder at a time.

    A call that was left before its end, be it cancelled or an iterator not read to its end, is ended by the next one.
    """

    def __init__(
        self,
        process: Child,
        nonce: str,
        limits: Limits,
        *,
        own_kernel: bool = False,
        when_gone: Callable[[], None] = lambda: None,
    ) -> None:
        self.own_kernel = own_kernel  # which its processes call, in place of the host's
        self.id = secrets.token_hex(12)
        self._process = process
        self._limits = limits
        # A path takes twice its bytes at most, where every one of them has to be escaped.
        largest = max(limits.picture, _CHUNK, limits.listed * (2 * limits.path + 64))
        self._pipes = Pipes(process, nonce, largest, when_gone)
        self._asked = 0
        self._answered = 0
        self._resting = False

    @property
    def alive(self) -> bool:
        """Whether it can still be used."""
        return self._pipes.why is None and self._process.returncode is None

    @property
    def pid(self) -> int:
        """Its outermost process on the host."""
        return self._process.pid

    async def begin(self) -> str:
        """Wait until it is ready. Returns "", or what it said in place of that."""
        try:
            async with asyncio.timeout(self._limits.start_seconds):
                for kind in ("ready", "warm"):
                    if (await self._pipes.frame()).kind != kind:
                        raise SessionLost("It does not speak as it should.")
            return ""
        except (SessionLost, TimeoutError) as fault:
            said = await self._pipes.said()
            await self.close()
            return said or str(fault) or f"It did not begin within {self._limits.start_seconds:g} seconds."
        except BaseException:
            await self.close()
            raise

    async def end(self, reason: str) -> None:
        """End it and everything in it at once, for a reason that whoever waits for it is told."""
        await self._pipes.end(reason)

    async def close(self) -> None:
        """End it, and everything in it."""
        await self.end("The session was closed.")

    def rest(self) -> None:
        """Let nothing in it go on until `wake`: nobody uses it."""
        if self.alive and not self._resting:
            self._resting = True
            resting.stop(self.pid, own_kernel=self.own_kernel)

    def wake(self) -> None:
        """Let it go on."""
        if self._resting:
            self._resting = False
            resting.go_on(self.pid, own_kernel=self.own_kernel)

    # --- code

    async def run(self, code: str) -> AsyncIterator[Output]:
        """Run code and yield what it shows, as it comes. Raises SessionLost.

        Code that nobody listens to any more is interrupted.
        """
        number = await self._ask("run", code=code)
        call = Call(self._limits)
        try:
            await self._drain()
            while True:
                event = await self._next(call)
                shown: Output | None = None
                if isinstance(event, str):
                    shown = call.show(event)
                elif event.n == number and event.kind == "picture":
                    shown = call.show_picture(event.data)
                elif event.n == number and event.kind == "done":
                    break
                if shown is not None:
                    yield shown
        except BaseException:
            self._pipes.write("interrupt", n=number)
            raise
        self._answered = number
        if (words := call.last_words()) is not None:
            yield words

    async def _next(self, call: Call) -> str | Body:
        """Return what comes next, printed text or a frame; interrupt code that takes too long or shows too much."""
        while True:
            if call.is_due():
                if call.interrupted:
                    raise await self._lost(f"its code went on after it was interrupted ({call.why})")
                call.interrupt()
                self._pipes.write("interrupt", n=self._asked)
            with suppress(TimeoutError):
                async with asyncio.timeout(max(0.0, call.left())):
                    event = await self._pipes.next()
                    if isinstance(event, Body):
                        call.count(event.size)
                    return event

    # --- files

    async def put(self, path: str, chunks: AsyncIterator[bytes], size: int) -> SandboxFile:
        """Write a file of `size` bytes, over what may be there. Raises SandboxFull, SandboxRefused, SessionLost.

        Where reading `chunks` fails, nothing is written.
        """
        if size > self._limits.disk:
            raise SandboxFull
        number = await self._ask("put", path=checked(path, self._limits.path))
        try:
            async for chunk in chunks:
                for start in range(0, len(chunk), _CHUNK):
                    self._pipes.write("chunk", chunk[start : start + _CHUNK])
                    await self._drain()
        except BaseException:
            self._pipes.write("drop")
            raise
        self._pipes.write("end")
        done = await self._answer(number)
        return SandboxFile(path, *self._plausible(done.bytes, done.changed))

    async def link(self, path: str, target: str) -> None:
        """Make a symbolic link, both ends relative to /mnt/data. A file of the code's own that is there stays.

        Raises SandboxFull, SandboxRefused, SessionLost.
        """
        longest = self._limits.path
        await self._answer(await self._ask("link", path=checked(path, longest), target=checked(target, longest)))

    async def remove(self, path: str) -> None:
        """Remove a file or link, if it is there. Raises SandboxRefused, SessionLost."""
        await self._answer(await self._ask("remove", path=checked(path, self._limits.path)))

    async def files(self) -> list[SandboxFile]:
        """List the regular files in /mnt/data; links are not followed, and names that cannot be shown left out.

        At most `limits.listed` of them, each path once. Raises SandboxRefused, SessionLost.
        """
        answer = await self._answer(await self._ask("files"))
        try:
            listed = _listing.decode(answer.data)
        except (msgspec.MsgspecError, ValueError, RecursionError) as fault:
            raise await self._lost("it listed no files") from fault
        found = {
            path: SandboxFile(path, *self._plausible(size, changed))
            for path, size, changed in listed[: self._limits.listed]
            if is_plain(path, self._limits.path)
        }
        return list(found.values())

    async def read(self, path: str) -> AsyncIterator[bytes]:
        """Yield the bytes of a regular file, never more than the disk holds. Raises SandboxRefused, SessionLost."""
        number = await self._ask("read", path=checked(path, self._limits.path))
        size = 0
        while (answer := await self._answer(number)).kind == "chunk":
            size += len(answer.data)
            if size > self._limits.disk or not answer.data:
                raise await self._lost("a file has no end")
            yield answer.data

    def _plausible(self, size: int, changed: int) -> tuple[int, int]:
        """Return what a sandbox says of a file, within what can be."""
        return min(max(0, size), self._limits.disk), min(max(0, changed), _LAST_TIME - 1)

    # --- asking

    async def _ask(self, what: str, **members: Any) -> int:
        """Ask for something, without waiting until it is read. What was asked before is over then."""
        if self._answered < self._asked:
            await self._settle()
        self._asked += 1
        self._pipes.write(what, n=self._asked, **members)
        return self._asked

    async def _settle(self) -> None:
        """Wait until what was asked and left is over, and forget what comes of it."""
        try:
            async with asyncio.timeout(self._limits.grace_seconds):
                while True:
                    event = await self._pipes.next()
                    if isinstance(event, Body) and event.n == self._asked and event.kind not in _MORE:
                        break
        except TimeoutError as fault:
            raise await self._lost("what it was doing went on after nobody waited for it") from fault
        self._answered = self._asked

    async def _drain(self) -> None:
        try:
            async with asyncio.timeout(_DEED_SECONDS):
                await self._pipes.drain()
        except TimeoutError as fault:
            raise await self._lost("it does not take in what it is told") from fault
        self._pipes.check()

    async def _answer(self, number: int) -> Body:
        """Return the next frame of the answer to what was asked."""
        try:
            async with asyncio.timeout(_DEED_SECONDS):
                for _ in range(_STRAY):
                    if (answer := await self._pipes.frame()).n == number:
                        break
                else:
                    raise await self._lost("it tells what nobody asked")
        except TimeoutError as fault:
            raise await self._lost("it does not answer") from fault
        if answer.kind not in _MORE:
            self._answered = number
        if answer.kind == "full":
            raise SandboxFull
        if answer.kind == "failed":
            raise SandboxRefused(readable(answer.why, 200))
        return answer

    async def _lost(self, why: str) -> SessionLost:
        await self.end(f"The session was ended: {why}.")
        return SessionLost(self._pipes.why or "")
