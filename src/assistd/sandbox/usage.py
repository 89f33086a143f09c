"""What a sandbox uses now, seen from the host: the memory of all its processes together, and how many files it has.

Its processes are the descendants of its outermost one: orphans fall to the sandbox's own first process, so none gets
out of that tree. Everything here may vanish between two reads, and counts for nothing then. Source: proc(5).
"""

from __future__ import annotations

import mmap
import os
import re
import time
from collections.abc import Iterable, Mapping, Sequence, Set
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final

# Places of the sandbox's root that may be disks of its own. The root is read-only: what is there is not the code's.
_DISKS: Final = ("mnt/data", "tmp", "dev/shm")

# In /proc/PID/status. Pages of the interpreter's files are everybody's, and the code can write none of them.
_RESIDENT: Final = re.compile(rb"^(?:RssAnon|RssShmem|VmSwap|VmPTE):\s*(\d+) kB$", re.MULTILINE)
# The same in /proc/PID/smaps_rollup, with its share alone of what it has in common with others.
_SHARE: Final = re.compile(rb"^(?:Pss_Anon|Pss_Shmem|SwapPss):\s*(\d+) kB$", re.MULTILINE)
# Its numbers in the namespaces it is in: more than one where it is in one below that of /proc.
_NUMBERS: Final = re.compile(rb"^NSpid:((?:\s+\d+)+)$", re.MULTILINE)

# After memory was read exactly, it is not for so many times the time that this took; unless more was allocated.
_RESTS: Final = 4

# What the kernel may hold and no process shows, as bytes at the most. A pipe has 16 pages, and what describes them; no
# call makes it larger. A file, of its name and what is known of it. See seccomp.py for what is refused to hold.
_PIPE: Final = 17 * mmap.PAGESIZE
_FILE: Final = 1536
# A lock of a part of a file.
_LOCK: Final = 256
# The machine's locks are looked at so far, those that came last first.
_LOCKS_READ: Final = 1 << 19
# A socket's sender may have net.core.wmem_default bytes on their way, and begin one more message when they are nearly
# used up. A datagram socket takes ten messages of senders that have gone since (net.unix.max_dgram_qlen), and theirs.
_MESSAGES: Final = {b"0001": 2, b"0005": 2, b"0002": 14}
_WMEM_DEFAULT: Final = Path("/proc/sys/net/core/wmem_default")
_LEAST_WMEM: Final = 212_992

# Linux builds without checkpoint and restore have no list of a thread's children.
_LISTS_CHILDREN: Final = Path(f"/proc/self/task/{os.getpid()}/children").exists()


@dataclass(frozen=True)
class Usage:
    """`memory` is in bytes. `files` is None where this process may not see the sandbox's disks."""

    memory: int
    files: int | None


class Meter:
    """Reads what one sandbox uses. `pid` is its outermost process; it is ready, and may take `memory` bytes.

    With a kernel of its own, which is one of its processes, it has nothing but files in the host's.
    """

    def __init__(self, pid: int, memory: int, *, own_kernel: bool = False) -> None:
        self._pid = pid
        self._own_kernel = own_kernel
        self._memory = memory
        self._exact = self._resident = 0  # when memory was last read exactly
        self._stale = 0.0

    def read(self) -> Usage:
        """Return what it uses now. Takes 0.15 ms where it uses little, and may take some 0.1 s where that is much.

        Up to the limit the memory may be too high, since what processes share is counted for each of them. Above, it
        is counted once, as far as this process may know.
        """
        told = [_told(one) for one in processes(self._pid)]
        found, statuses = [place for place, _ in told], [status for _, status in told]
        memory = sum(map(_resident, statuses))
        if memory > self._memory:
            memory = self._read_exactly(found, statuses, memory)
        inside = [place for place, status in told if _is_inside(status)]
        files = _files(inside)
        if not self._own_kernel:
            memory += sum(map(_pipes, found)) + _sockets(inside) + (files or 0) * _FILE
            memory += _locks({place.split("/")[2] for place in found}) * _LOCK
        return Usage(memory, files)

    def _read_exactly(self, found: Sequence[str], statuses: Sequence[bytes], resident: int) -> int:
        """Walk through all page tables, unless that was just done, and what came since is small enough."""
        began = time.monotonic()
        likely = self._exact + max(0, resident - self._resident)
        if likely <= self._memory and began < self._stale:
            return likely
        self._exact, self._resident = sum(map(_share, found, statuses)), resident
        ended = time.monotonic()
        self._stale = ended + _RESTS * (ended - began)
        return self._exact


# --- processes


def processes(pid: int) -> list[int]:
    """Return a process and all below it, parents before their children."""
    everybody = None if _LISTS_CHILDREN else _children_of_all()
    found, seen = [pid], {pid}
    for one in found:  # which grows meanwhile
        for child in children(one) if everybody is None else everybody.get(one, ()):
            if child not in seen:
                seen.add(child)
                found.append(child)
    return found


def _told(pid: int) -> tuple[str, bytes]:
    """Return where /proc tells of a process, and its status there.

    Where its first thread has ended before others, only at theirs can be seen what memory it has.
    """
    place = f"/proc/{pid}"
    status = _read(f"{place}/status")
    if b"\nVmSize:" in status:
        return place, status
    try:
        with os.scandir(f"{place}/task") as threads:
            for thread in threads:
                if b"\nVmSize:" in (alive := _read(f"{thread.path}/status")):
                    return thread.path, alive
    except OSError:
        pass
    return place, status


def children(pid: int) -> list[int]:
    """Return the processes that a process has started, or that fell to it; none where Linux does not list them."""
    try:
        with os.scandir(f"/proc/{pid}/task") as threads:
            return [int(child) for thread in threads for child in _read(f"{thread.path}/children").split()]
    except OSError:
        return []


def _children_of_all() -> Mapping[int, list[int]]:
    """Return the children of every process there is."""
    children: dict[int, list[int]] = {}
    for folder in Path("/proc").glob("[0-9]*"):
        # "PID (name) state parent ...", and a name may hold anything
        if rest := _read(f"{folder}/stat").rpartition(b")")[2].split():
            children.setdefault(int(rest[1]), []).append(int(folder.name))
    return children


def _is_inside(status: bytes) -> bool:
    """Whether a process is in a namespace of its own; the outermost one, which makes the sandbox, is not."""
    numbers = _NUMBERS.search(status)
    return numbers is not None and len(numbers[1].split()) > 1


# --- memory


def _resident(status: bytes) -> int:
    return sum(map(int, _RESIDENT.findall(status))) * 1024


def _pipes(place: str) -> int:
    """Return what the kernel may hold for a process if all its open files are pipes."""
    folder = Path(place, "fd")
    try:
        held = folder.stat().st_size  # how many; 0 where Linux is older than 6.2
        return (held or sum(1 for _ in folder.iterdir())) * _PIPE
    except OSError:
        return 0


def _sockets(inside: Iterable[str]) -> int:
    """Return what the kernel may hold in all sockets of a sandbox, whether a process has them open or not.

    A socket that waits to be accepted is in no process's table, but in that of the sandbox's network.
    """
    for place in inside:
        if table := _read(f"{place}/net/unix"):
            # A name may hold anything, other lines too: there are never fewer than there are sockets.
            kinds = [fields[4] for line in table.splitlines()[1:] if len(fields := line.split(maxsplit=5)) > 4]
            return sum(_MESSAGES.get(kind, 0) for kind in kinds) * _message()
    return 0


@cache
def _message() -> int:
    with suppress(OSError, ValueError):
        return max(_LEAST_WMEM, int(_WMEM_DEFAULT.read_text()))
    return _LEAST_WMEM


def _locks(pids: Set[str]) -> int:
    """Return how many locks of files some processes hold, as far as that is looked at."""
    with suppress(OSError), Path("/proc/locks").open("rb", buffering=_LOCKS_READ) as locks:
        lines = locks.read(_LOCKS_READ).decode("ascii", "replace").splitlines()
        return sum(1 for line in lines if len(words := line.split(maxsplit=5)) > 4 and words[4] in pids)
    return 0


def _share(place: str, status: bytes) -> int:
    """Return its share, or all that it can reach where its share is not for this process to know."""
    try:
        shares = _SHARE.findall(_must_read(f"{place}/smaps_rollup"))
    except PermissionError:
        return _resident(status)
    except OSError:
        return 0
    return sum(map(int, shares)) * 1024


# --- files


def _files(inside: Iterable[str]) -> int | None:
    """Return the number of files on the disks that the first of these processes sees whom this one may ask."""
    for place in inside:
        try:
            return _files_of(f"{place}/root")
        except OSError:
            continue
    return None


def _files_of(root: str) -> int:
    """Return the number of files on the disks of its own that a root has. Raises OSError."""
    outer = os.lstat(f"{root}/.").st_dev
    counts: dict[int, int] = {}
    for place in _DISKS:
        try:
            device = os.lstat(f"{root}/{place}").st_dev
            if device != outer and device not in counts:
                disk = os.statvfs(f"{root}/{place}")
                counts[device] = disk.f_files - disk.f_ffree
        except FileNotFoundError:
            continue
    return sum(counts.values())


def _read(path: str) -> bytes:
    """Return what a file of /proc says; nothing where it is gone."""
    try:
        return _must_read(path)
    except OSError:
        return b""


def _must_read(path: str) -> bytes:
    number = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        text = b""
        while piece := os.read(number, 1 << 16):
            text += piece
        return text
    finally:
        os.close(number)
