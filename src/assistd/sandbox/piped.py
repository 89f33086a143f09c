"""A process with three pipes, whatever the event loop: uvloop makes sockets for what asyncio calls a pipe.

By a socket more comes in than bytes, and its buffers are not the sandbox's. A pipe carries bytes, and one way.
"""

from __future__ import annotations

import asyncio
import os
from asyncio import StreamReader, StreamReaderProtocol, StreamWriter
from asyncio.subprocess import Process
from collections.abc import Sequence
from contextlib import ExitStack
from functools import partial
from typing import Protocol

from assistd.child_processes import start_process


class Child(Protocol):
    """A process with pipes: one of these, or asyncio's own."""

    @property
    def pid(self) -> int: ...
    @property
    def returncode(self) -> int | None: ...
    @property
    def stdin(self) -> StreamWriter | None: ...
    @property
    def stdout(self) -> StreamReader | None: ...
    @property
    def stderr(self) -> StreamReader | None: ...

    async def wait(self) -> int: ...

    def kill(self) -> None: ...


class PipedProcess:
    """A process, and this side of its pipes."""

    def __init__(self, process: Process, stdin: StreamWriter, stdout: StreamReader, stderr: StreamReader) -> None:
        self._process = process
        self.stdin, self.stdout, self.stderr = stdin, stdout, stderr

    @property
    def pid(self) -> int:
        """Its number."""
        return self._process.pid

    @property
    def returncode(self) -> int | None:
        """Its status; None while it runs."""
        return self._process.returncode

    async def wait(self) -> int:
        """Wait until it has ended. Returns its status."""
        return await self._process.wait()

    def kill(self) -> None:
        """Kill it. Raises ProcessLookupError."""
        self._process.kill()


async def start_piped(command: Sequence[str], keep: Sequence[int]) -> PipedProcess:
    """Start a program in `/` with an empty environment, three pipes, and the descriptors to `keep`. Raises OSError."""
    with ExitStack() as undo:
        theirs: list[int] = []
        with ExitStack() as handed_over:
            ends = [os.pipe(), os.pipe()[::-1], os.pipe()[::-1]]
            for their, _ in ends:
                handed_over.callback(os.close, their)
                theirs.append(their)
            files = [os.fdopen(ours, "wb" if at == 0 else "rb", 0) for at, (_, ours) in enumerate(ends)]
            loop = asyncio.get_running_loop()
            for file in files:
                undo.callback(file.close)
            outgoing, protocol = await loop.connect_write_pipe(lambda: StreamReaderProtocol(StreamReader()), files[0])
            undo.callback(outgoing.abort)
            readers = [StreamReader(), StreamReader()]
            for file, reader in zip(files[1:], readers, strict=True):
                incoming, _ = await loop.connect_read_pipe(partial(_Incoming, reader), file)
                undo.callback(incoming.close)
            stdin, stdout, stderr = theirs
            process = await start_process(
                *command, stdin=stdin, stdout=stdout, stderr=stderr, env={}, cwd="/", pass_fds=keep
            )
        undo.pop_all()
    return PipedProcess(process, StreamWriter(outgoing, protocol, None, loop), *readers)


class _Incoming(StreamReaderProtocol):
    """Bytes from a pipe. At its end nothing is left to be done with it, so that it is closed."""

    def eof_received(self) -> bool:
        super().eof_received()
        return False
