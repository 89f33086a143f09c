"""A small program that starts another one which dies with the server: `python3 -c <this file> SERVER PROGRAM ...`.

SERVER is the number of the server's process. Source: PR_SET_PDEATHSIG(2const).
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1


def main(server: int, command: list[str]) -> None:
    """Become the program. Raises OSError."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != server:  # which has died before it could matter
        return
    os.execv(command[0], command)


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2:])
