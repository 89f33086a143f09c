"""How much of this machine a local model may take: context, threads, memory."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from assistd.llm.gguf import GgufHeader

_MOST_CONTEXT: Final = 32768
_LEAST_CONTEXT: Final = 2048
_UNKNOWN_CONTEXT: Final = 8192
_MOST_THREADS: Final = 16


@dataclass(frozen=True)
class LocalPlan:
    """Completions at the same time, tokens of context each of them has to itself, and threads.

    `threads` compute single tokens and `batch_threads` prompts and several completions at once.
    """

    slots: int
    context_length: int
    threads: int
    batch_threads: int


def plan(header: GgufHeader, weights: int, available: int, cores: int, slots: int = 4) -> LocalPlan:
    """Choose for a model of `weights` bytes on a machine with `available` bytes of memory left.

    The context is what the model was trained for, up to 32768, and less where four of it would
    take more than a quarter of the memory left. It is allocated whole at the start, one part for
    each completion: in a shared part, long completions at the same time make each other fail.

    One core is left to the server for single tokens: measured on two cores, a second thread gains a
    tenth when the machine is idle, and makes it three times slower when anything else runs.
    """
    context = min(header.context_length or _UNKNOWN_CONTEXT, _MOST_CONTEXT)
    budget = max(0, available - weights) // 4
    while context > _LEAST_CONTEXT and context * slots * header.cache_bytes_per_token > budget:
        context //= 2
    threads = min(cores, _MOST_THREADS)
    return LocalPlan(slots, context, max(1, threads - 1), threads)


def usable_cores() -> int:
    """The cores that this process may use."""
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # not on macOS
        return os.cpu_count() or 1


def available_memory(root: Path = Path("/")) -> int:
    """Bytes of memory that could still be taken, by the machine and by the container's limit.

    `root` is the root folder of the system whose files are asked.
    """
    free = _meminfo(root).get("MemAvailable")
    if free is None:  # not Linux: half of what is built in
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2
    return min(free, _container_left(root / "sys/fs/cgroup", free))


def _meminfo(root: Path) -> Mapping[str, int]:
    try:
        lines = (root / "proc/meminfo").read_text().splitlines()
    except OSError:
        return {}
    pairs = (line.split(":", 1) for line in lines if line.endswith("kB"))
    return {name: int(value.split()[0]) * 1024 for name, value in pairs}


def _container_left(cgroup: Path, otherwise: int) -> int:
    try:
        limit = int((cgroup / "memory.max").read_text())
        used = int((cgroup / "memory.current").read_text())
        kept = dict(line.split() for line in (cgroup / "memory.stat").read_text().splitlines())
    except (OSError, ValueError):  # no container, no limit ("max"), or the older kind of control group
        return otherwise
    # Cached files count as used, and give way.
    return max(0, limit - used + int(kept.get("inactive_file", 0)))
