"""Reading documents: child processes that parse and cut files, started, bounded and ended here."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import tempfile
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Final, Self

import msgspec
import structlog

from assistd.child_processes import start_process
from assistd.vector_stores.documents import Unreadable
from assistd.vector_stores.reading import (
    LENGTH,
    OUT_OF_MEMORY,
    Answer,
    Faulty,
    Gone,
    Limits,
    Order,
    Passage,
    Read,
    Refused,
)
from assistd.vector_stores.scratch import Scratch

__all__ = ["Passage", "Reader", "Reading", "Unreadable"]

_log = structlog.get_logger("assistd.vector_stores")

_SERVER_ERROR: Final = "The file could not be read because of a fault of the server."
_TOO_SLOW: Final = "The file took too long to be parsed."
_TOO_LARGE: Final = "The file needs too much memory to be parsed."
_MOST_LOG: Final = 2000  # bytes of what a child that ended has said

# Of the parent's environment a child gets what Python may need to start, and no more: it may hold keys.
_PASSED_ON: Final = ("LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "PYTHONPATH", "PYTHONHOME", "PATH")
# As many processes as there are readers compute already; and threads that keep memory of their own have less of it.
_ENVIRONMENT: Final = {
    "LANG": "C.UTF-8",
    "PYTHONUTF8": "1",
    "MALLOC_ARENA_MAX": "2",
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "RAYON_NUM_THREADS": "1",
    "TOKENIZERS_PARALLELISM": "false",
    "HF_HUB_OFFLINE": "1",
}


class Reading:
    """A file that was read. Its passages are in a spool file, so that even many take no memory."""

    def __init__(self, chunks: int, bytes_of_text: int, spool: Path) -> None:
        self.chunks = chunks
        self.bytes_of_text = bytes_of_text
        self._spool = spool

    async def batches(self) -> AsyncIterator[Sequence[Passage]]:
        """Yield the passages in the document's order, some dozens at a time."""
        position = 0
        while found := await asyncio.to_thread(_batch, self._spool, position):
            batch, position = found
            yield batch


class Reader:
    """Reads files in up to `processes` child processes. Open it with `async with`; leaving ends the children.

    `seconds` is the time that a file may take, `memory` what a child may take, in bytes, `files` how many a child
    reads before another takes its place, `idle_seconds` how long one waits for the next file. Children
    work in a folder of their own in `folder` (default: where the system has its temporary files).
    """

    def __init__(
        self,
        processes: int,
        *,
        seconds: float = 300.0,
        memory: int = 1536 << 20,
        files: int = 200,
        idle_seconds: float = 60.0,
        folder: Path | None = None,
    ) -> None:
        self._seconds = seconds
        self._limits = Limits(memory, files)
        self._idle_seconds = idle_seconds
        self._scratch = Scratch(folder)
        self._slots = asyncio.Semaphore(processes)
        self._idle: dict[_Child, asyncio.TimerHandle] = {}
        self._children: set[_Child] = set()
        self._ending: set[asyncio.Task[None]] = set()
        self._reads = 0

    @property
    def folder(self) -> Path:
        """Where to put files that are to be read; it goes with the reader."""
        return self._scratch.path

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, fault: BaseException | None, traceback: TracebackType | None
    ) -> None:
        for child in list(self._children):
            self._end(child)
        if self._ending:
            await asyncio.wait(self._ending)
        self._scratch.close()

    @asynccontextmanager
    async def read(
        self,
        paths: Sequence[Path],
        filename: str,
        *,
        max_tokens: int = 800,
        overlap: int = 400,
        embed: bool = False,
    ) -> AsyncIterator[Reading]:
        """Yield the file whose content is in `paths`, one after the other, once it is parsed and cut.

        Its passages, of up to `max_tokens` tokens of which neighbours share up to `overlap`, can be read until
        the context is left; with `embed` they carry the vectors of the static embedding. `filename` is what its user
        calls it. Waits while all processes are busy. Raises Unreadable, and
        FileNotFoundError where the content is gone; when cancelled, the child is ended.
        """
        self._reads += 1
        spool = self._scratch.path / f"{self._reads}.spool"
        order = Order([str(path.absolute()) for path in paths], filename, max_tokens, overlap, embed, str(spool))
        try:
            async with self._slots:
                answer = await self._patient_answer(order)
            yield Reading(answer.chunks, answer.bytes_of_text, spool)
        finally:
            for left in (spool, Path(f"{spool}.whole")):
                left.unlink(missing_ok=True)

    async def _patient_answer(self, order: Order) -> Read:
        """The answer of a second child where the first was killed: by the system, perhaps for want of memory."""
        try:
            return await self._answer(order)
        except _Killed:
            pass
        try:
            return await self._answer(order)
        except _Killed:
            raise Unreadable("server_error", _SERVER_ERROR) from None

    async def _answer(self, order: Order) -> Read:
        child = await self._child()
        answer: Answer | None = None
        try:
            async with asyncio.timeout(self._seconds):
                answer = await child.ask(order)
        except TimeoutError:
            raise Unreadable("invalid_file", _TOO_SLOW) from None
        except _Ended as ended:
            _log.warning("a process ended while it read a file", status=ended.status, said=ended.said)
            if ended.status == -signal.SIGKILL:
                raise _Killed from ended
            raise Unreadable("invalid_file", *([_TOO_LARGE] if ended.is_for_memory else [])) from ended
        finally:
            if answer is None or isinstance(answer, Faulty | Gone) or answer.last:
                self._end(child)
            else:
                self._keep(child)
        if isinstance(answer, Gone):
            raise FileNotFoundError(order.paths)
        if isinstance(answer, Refused):
            raise Unreadable(answer.code, answer.message)
        if isinstance(answer, Faulty):
            _log.error("a file could not be read", why=answer.why)
            raise Unreadable("server_error", _SERVER_ERROR)
        return answer

    # --- children

    async def _child(self) -> _Child:
        """One that waits, else a new one."""
        while self._idle:
            child, timer = self._idle.popitem()
            timer.cancel()
            if child.is_running:
                return child
            self._end(child)
        try:
            child = await _Child.start(self._scratch.path, self._limits)
        except OSError as fault:
            _log.error("no process to read files could be started", why=str(fault))
            raise Unreadable("server_error", _SERVER_ERROR) from fault
        self._children.add(child)
        return child

    def _keep(self, child: _Child) -> None:
        self._idle[child] = asyncio.get_running_loop().call_later(self._idle_seconds, self._end, child)

    def _end(self, child: _Child) -> None:
        """Kill it, which takes no time, and see in the background that it is gone."""
        if timer := self._idle.pop(child, None):
            timer.cancel()
        child.kill()
        task = asyncio.create_task(child.gone(), name="end of a reading process")
        self._ending.add(task)
        task.add_done_callback(self._ending.discard)
        self._children.discard(child)


class _Killed(Exception):
    """A child was killed from outside, which says nothing about the file."""


class _Ended(Exception):
    """A child ended instead of answering. `said` is the end of what it and its libraries wrote about it."""

    def __init__(self, status: int, said: str) -> None:
        super().__init__(f"status {status}")
        self.status = status
        self.said = said

    @property
    def is_for_memory(self) -> bool:
        return self.status == OUT_OF_MEMORY or "memory allocation" in self.said


class _Child:
    """A process that reads one file at a time."""

    def __init__(self, process: Process, log: Path) -> None:
        self._process = process
        self._log = log

    @classmethod
    async def start(cls, folder: Path, limits: Limits) -> _Child:
        descriptor, name = await asyncio.to_thread(tempfile.mkstemp, ".log", "", folder)
        try:
            process = await start_process(
                *(sys.executable, "-P", "-m", "assistd.vector_stores.reading"),
                stdin=PIPE,
                stdout=PIPE,
                stderr=descriptor,
                cwd=folder,
                env=_environment(folder),
                start_new_session=True,  # an interrupt from the keyboard is for the parent
            )
        finally:
            os.close(descriptor)
        child = cls(process, Path(name))
        child._send(limits)
        return child

    @property
    def is_running(self) -> bool:
        return self._process.returncode is None

    async def ask(self, order: Order) -> Answer:
        """Its answer to an order. Raises _Ended."""
        assert self._process.stdout is not None
        self._send(order)
        line = await self._process.stdout.readline()
        if not line.endswith(b"\n"):
            raise _Ended(await self._process.wait(), self._last_words())
        answer: Answer = msgspec.json.decode(line, type=Answer)
        return answer

    def kill(self) -> None:
        with suppress(ProcessLookupError):
            self._process.kill()

    async def gone(self) -> None:
        """Return when the process is gone, and its log with it."""
        await self._process.wait()
        self._log.unlink(missing_ok=True)

    def _send(self, line: Limits | Order) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(msgspec.json.encode(line) + b"\n")

    def _last_words(self) -> str:
        with suppress(OSError), self._log.open("rb") as log:
            log.seek(max(0, self._log.stat().st_size - _MOST_LOG))
            return log.read().decode("utf-8", "replace").strip()
        return ""


def _environment(folder: Path) -> dict[str, str]:
    passed_on = {name: os.environ[name] for name in _PASSED_ON if name in os.environ}
    return {**passed_on, **_ENVIRONMENT, "HOME": str(folder), "TMPDIR": str(folder)}


def _batch(spool: Path, position: int) -> tuple[list[Passage], int] | None:
    """The batch at a place of the spool, and where the next one is; None at its end."""
    with spool.open("rb") as file:
        file.seek(position)
        length = file.read(LENGTH.size)
        if not length:
            return None
        batch = msgspec.msgpack.decode(file.read(*LENGTH.unpack(length)), type=list[Passage])
        return batch, file.tell()
