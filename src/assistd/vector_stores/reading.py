"""The process in which files are read: `python -m assistd.vector_stores.reading`.

Files come from strangers and parsers have faults, so this process has little to lose: no secrets in its
environment, limits on its memory and on what it may write, the lowest claim on processor and memory. It reads
an `Order` for each file as a line of standard input, writes the passages to the order's spool, and answers
with `Read`, `Refused` or `Faulty` as a line of standard output. When its input ends, the parent is gone, and
so is this process, whatever it does at that time.
"""

from __future__ import annotations

import os
import queue
import resource
import signal
import struct
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from itertools import islice
from pathlib import Path
from typing import BinaryIO, Final

import msgspec

from assistd.vector_stores.documents import Code, Kind, Unreadable

_BATCH_TOKENS: Final = 32_000  # that are embedded and kept together; each takes some kilobytes for the while
LENGTH: Final = struct.Struct("<I")  # in the spool, before each batch: its size in bytes
OUT_OF_MEMORY: Final = 66  # the exit status

_MOST_FILE: Final = 512 << 20  # bytes, the limit of a file that is to be searched
_MOST_WRITTEN: Final = 1 << 30
_LOW_PRIORITY: Final = 10
_WATCH_SECONDS: Final = 0.2
_GROWN: Final = 0.5  # of the memory limit: what a process may keep from one file to the next


class Order(msgspec.Struct, frozen=True):
    """A file to read: the content of `paths`, one after the other. `out` is where its passages go."""

    paths: Sequence[str]
    filename: str
    max_tokens: int
    overlap: int
    embed: bool
    out: str


class Limits(msgspec.Struct, frozen=True):
    """The first line: `memory` is in bytes, and `files` are read before the process ends."""

    memory: int
    files: int


class Passage(msgspec.Struct, frozen=True, array_like=True):
    """A part of a document's text, and the static embedding's vector of it where that was asked for."""

    text: str
    embedding: list[float] | None = None


class Read(msgspec.Struct, frozen=True, tag="read"):
    """The passages are in the spool. `bytes_of_text` is the text's size in UTF-8; `last`: the process ends."""

    chunks: int
    bytes_of_text: int
    last: bool


class Refused(msgspec.Struct, frozen=True, tag="refused"):
    """The file has no passages, and why."""

    code: Code
    message: str
    last: bool


class Faulty(msgspec.Struct, frozen=True, tag="faulty"):
    """The reading itself has a fault, which is for the log. The process ends."""

    why: str


class Gone(msgspec.Struct, frozen=True, tag="gone"):
    """The content was deleted before it was read. The process ends."""


Answer = Read | Refused | Faulty | Gone


def main() -> int:
    """Read files until told otherwise; the exit status."""
    answers = os.fdopen(os.dup(1), "wb", buffering=0)
    os.dup2(2, 1)  # nothing but answers may come out there
    lines: queue.SimpleQueue[bytes] = queue.SimpleQueue()
    limits = msgspec.json.decode(sys.stdin.buffer.readline(), type=Limits)
    _restrict(limits.memory)
    threading.Thread(target=_receive, args=(lines,), daemon=True).start()
    threading.Thread(target=_watch, args=(limits.memory,), daemon=True).start()
    for number in range(1, limits.files + 1):
        order = msgspec.json.decode(lines.get(), type=Order)
        answer = _carry_out(order, limits, number == limits.files)
        answers.write(msgspec.json.encode(answer) + b"\n")
        if isinstance(answer, Faulty | Gone) or answer.last:
            break
    sys.stdout.flush()
    os._exit(0)  # threads of the libraries run, and there is nothing to save


def _carry_out(order: Order, limits: Limits, last: bool) -> Answer:
    try:
        chunks, size = _read(order)
    except Exception as fault:
        # A parser tells of a file that is not there as of one that is broken.
        return Gone() if not all(map(os.path.exists, order.paths)) else _told(fault, limits, last)
    return Read(chunks, size, last or _has_grown(limits.memory))


def _told(fault: Exception, limits: Limits, last: bool) -> Answer:
    if isinstance(fault, Unreadable):
        return Refused(fault.code, fault.message, last or _has_grown(limits.memory))
    if isinstance(fault, MemoryError):
        return Refused("invalid_file", "The file needs too much memory to be parsed.", last=True)
    return Faulty(f"{type(fault).__name__}: {fault}"[:1000])


def _read(order: Order) -> tuple[int, int]:
    """Write a file's passages to the spool; how many they are, and the bytes of its text."""
    paths = [Path(path) for path in order.paths]
    if sum(path.stat().st_size for path in paths) > _MOST_FILE:
        raise Unreadable("invalid_file", f"The file has more than {_MOST_FILE >> 20} MB.")
    # Imported late: the parent imports this module too, and needs none of it.
    from assistd.vector_stores import chunking
    from assistd.vector_stores.parsing import parse

    whole = Path(f"{order.out}.whole")
    try:
        kind, text = parse(_joined(paths, whole), order.filename)
    finally:
        whole.unlink(missing_ok=True)
    chunking.check_tokens(text)
    found = chunking.passages(text, order.max_tokens, order.overlap, markdown=kind is Kind.MARKDOWN)
    with Path(order.out).open("wb") as out:
        return _spool(found, max(_BATCH_TOKENS // order.max_tokens, 1), order.embed, out), len(text.encode())


def _joined(paths: Sequence[Path], whole: Path) -> Path:
    """One file with the content of all: their own where it is only one, else `whole`."""
    if len(paths) == 1:
        return paths[0]
    with whole.open("wb") as out:
        for path in paths:
            with path.open("rb") as part:
                while data := part.read(1 << 20):
                    out.write(data)
    return whole


def _spool(found: Iterator[str], size: int, embed: bool, out: BinaryIO) -> int:
    encoder, count = msgspec.msgpack.Encoder(), 0
    while texts := list(islice(found, size)):
        batch = encoder.encode(_passages(texts, embed))
        out.write(LENGTH.pack(len(batch)) + batch)
        count += len(texts)
    return count


def _passages(texts: Sequence[str], embed: bool) -> list[Passage]:
    if not embed:
        return [Passage(text) for text in texts]
    from assistd.llm import static_embedding

    return [Passage(text, vector) for text, vector in zip(texts, static_embedding.embed(texts), strict=True)]


# --- limits


def _restrict(memory: int) -> None:
    """Bound what this process can take. What a system does not know, it does without."""
    for ending in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(ending, signal.SIG_IGN)  # who stops a service may send it to all; the parent has files to finish
    with suppress(OSError):
        os.nice(_LOW_PRIORITY)
    with suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("1000")  # should the machine have too little, this goes first
    for limit, value in (
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_FSIZE, _MOST_WRITTEN),
        (resource.RLIMIT_AS, memory),
    ):
        with suppress(OSError, ValueError):
            resource.setrlimit(limit, (value, value))
    _die_with_parent()


def _die_with_parent() -> None:
    """On Linux even when it is stopped, or stuck in a parser that holds the interpreter."""
    if sys.platform == "linux":
        import ctypes

        parent_death_signal = 1
        ctypes.CDLL(None).prctl(parent_death_signal, signal.SIGKILL)


def _receive(lines: queue.SimpleQueue[bytes]) -> None:
    while line := sys.stdin.buffer.readline():
        lines.put(line)
    os._exit(0)


def _watch(memory: int) -> None:
    """End the process when it grows too large, also where the system does not bound it."""
    while resident() < memory:
        time.sleep(_WATCH_SECONDS)
    os._exit(OUT_OF_MEMORY)


def _has_grown(memory: int) -> bool:
    return resident() > memory * _GROWN


def resident() -> int:
    """The memory this process takes, in bytes. Where only its highest is known, that."""
    try:
        pages = int(Path("/proc/self/statm").read_bytes().split()[1])
    except OSError:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    return pages * resource.getpagesize()


if __name__ == "__main__":
    sys.exit(main())
