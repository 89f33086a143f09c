"""What a data folder says about the PostgreSQL server on it: who it is, and whether it lives."""

from __future__ import annotations

import os
import socket
import struct
import subprocess
from dataclasses import dataclass
from pathlib import Path

# "May we talk TLS?": every server answers it with one byte, before all else and without a line in its log.
_SSL_REQUEST = struct.pack("!ii", 8, 80877103)
_ANSWER_SECONDS = 5


@dataclass(frozen=True)
class Postmaster:
    """The contents of `postmaster.pid`. The process may be gone, and its pid may be another's by now."""

    folder: Path
    pid: int
    socket_folder: Path
    port: int
    status: str  # starting, ready, standby or stopping

    @property
    def socket(self) -> Path:
        return self.socket_folder / f".s.PGSQL.{self.port}"


def read(folder: Path) -> Postmaster | None:
    """The server that last started on the data folder and did not stop in order; None without one.

    A file that is still being written counts as none.
    """
    try:
        lines = (folder / "postmaster.pid").read_text("utf-8").splitlines()
    except FileNotFoundError:
        return None
    # Lines: pid, data folder, start time, port, socket folder, listen address, shared memory, status.
    if len(lines) < 8 or not lines[0].lstrip("-").isdigit() or not lines[4]:
        return None
    return Postmaster(
        folder=folder,
        pid=abs(int(lines[0])),
        socket_folder=Path(lines[4]),
        port=int(lines[3]),
        status=lines[7].strip(),
    )


def answers(server: Postmaster) -> bool:
    """Whether a server answers on the socket: true even from another container on the same folder.

    An answer, not a connection: the kernel goes on accepting for a process that is about to die.
    """
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(_ANSWER_SECONDS)
        try:
            probe.connect(str(server.socket))
            probe.sendall(_SSL_REQUEST)
            return probe.recv(1) != b""
        except (FileNotFoundError, ConnectionError):
            return False
        except OSError:
            return True  # too busy to answer in time: nobody there would have refused


def is_process(server: Postmaster) -> bool:
    """Whether the pid is, on this machine and now, a postmaster of this folder.

    A bare pid proves nothing: after a reboot, and in a container after every start, it is soon another process's.
    """
    return f"-D {server.folder} " in _command_line(server.pid)


def pid_exists(pid: int) -> bool:
    """Whether any process has the pid, a zombie included."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _command_line(pid: int) -> str:
    """The arguments of a process, each followed by a space; empty for a zombie and for no process."""
    if Path("/proc/self/cmdline").exists():
        try:
            raw = Path(f"/proc/{pid}/cmdline").read_bytes()
        except (FileNotFoundError, ProcessLookupError, PermissionError):
            return ""
        return os.fsdecode(raw).replace("\0", " ")
    listed = subprocess.run(["ps", "-o", "args=", "-p", str(pid)], capture_output=True, text=True, check=False)
    return listed.stdout.rstrip("\n") + " "
