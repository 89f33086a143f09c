"""What a session of the code interpreter may use: every limit, in one place.

How each is held: `rlimits` are set inside, before the first line of the code (kernel.py); sizes of disks are those
of the tmpfs mounts; memory of all processes together and the number of files are watched from outside (watch.py);
times and outputs are counted where they arrive (session.py).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

MB: Final = 1 << 20

# The host's users that sandboxes run as where the server is root, each as any one of the first range that there is:
# numbers that systems give to nobody, and in a container with fewer users, those of systemd's dynamic users.
HOST_UIDS: Final = (range(1_900_000_000, 2_100_000_000), range(61_184, 65_520))

# What the engine takes for itself, gVisor's kernel with its tables foremost.
_ENGINE: Final = 128 * MB

# The user inside, as /etc/passwd of the interpreter has it.
UID: Final = 1000


@dataclass(frozen=True)
class Limits:
    """Limits of one session. Sizes are bytes, times seconds."""

    # Of all its processes together.
    memory: int = 1024 * MB
    # A thread counts as a process.
    processes: int = 128
    open_files: int = 512
    # Of each process, over its life; the time of a call is bounded by the clock.
    cpu_seconds: int = 3600

    # Files in /mnt/data; /tmp and /dev/shm have their own, smaller disks. All of them are kept in memory.
    disk: int = 512 * MB
    scratch_disk: int = 128 * MB
    shared_memory: int = 64 * MB
    # How many files, on all disks together.
    files: int = 50_000

    # A call that takes longer is interrupted, and where it goes on in spite of that, the session ends.
    call_seconds: float = 120.0
    grace_seconds: float = 5.0
    start_seconds: float = 60.0

    # Of what a call prints, so many characters are shown as they come, and so many of its end: a traceback stands
    # there. A call that prints more than `flood` is interrupted.
    first_logs: int = 80_000
    last_logs: int = 8_000
    flood: int = 64 * MB
    picture: int = 16 * MB
    pictures: int = 50
    # How many files can be handed out, and how long their paths may be.
    listed: int = 10_000
    path: int = 512

    @property
    def total_memory(self) -> int:
        """The bytes that a sandbox of these limits can have at the most: its processes, its disks, its engine."""
        return self.memory + self.disk + self.scratch_disk + self.shared_memory + _ENGINE

    def rlimits(self) -> dict[str, tuple[int, int]]:
        """The limits that a process sets for itself and its children, by their names in Python's `resource`.

        Each twice, as the kernel has them: what stops a process, and what it could raise that to.
        """
        limits = {
            # Libraries reserve much more than they use, threads foremost; what is used is watched.
            "RLIMIT_AS": self.memory + 4096 * MB,
            "RLIMIT_NPROC": self.processes,
            "RLIMIT_NOFILE": self.open_files,
            "RLIMIT_FSIZE": self.disk,
            "RLIMIT_CORE": 0,
            "RLIMIT_MEMLOCK": 0,
            "RLIMIT_MSGQUEUE": 0,
            "RLIMIT_SIGPENDING": 1024,
        }
        # A process is told that it has used up its time before it is killed for that, so that it shows why it ended.
        cpu = {"RLIMIT_CPU": (self.cpu_seconds, self.cpu_seconds + int(self.grace_seconds))}
        return {name: (most, most) for name, most in limits.items()} | cpu
