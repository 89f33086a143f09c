"""A small program that starts another one as an unprivileged user, where the server is root.

`python3 -c <this file> UID FOLDER PROGRAM ARGUMENTS...` shows FOLDER at /tmp, in a mount namespace of its own, because
the new user may have no way through the folders above it; then it becomes that user, and PROGRAM. Among the arguments,
FOLDER's place is called `{folder}`.
"""

from __future__ import annotations

import ctypes
import os
import sys
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

PLACE = "{folder}"

_SHOWN_AT = "/tmp"
_CLONE_NEWNS = 0x00020000
_MS_BIND, _MS_REC, _MS_PRIVATE = 0x1000, 0x4000, 0x40000
_FIRST_USER = 1000  # below are the system's


def main(wanted: int, folder: str, command: list[str]) -> None:
    """Become the user and the program. Raises OSError."""
    # By its number, since /tmp hides what is below it, and since the way to it may not be for that user either.
    program = os.open(command[0], os.O_RDONLY | os.O_CLOEXEC)
    with suppress(OSError):  # the first to go where the machine runs out of memory; that user cannot take it back
        Path("/proc/self/oom_score_adj").write_text("1000")
    uid = user(wanted, Path("/proc/self/uid_map").read_text().splitlines())
    place = _SHOWN_AT if _show(folder) else folder
    os.chdir("/")
    with suppress(PermissionError):  # where a container denies it there is nobody's group among them
        os.setgroups([])
    os.setresgid(uid, uid, uid)
    os.setresuid(uid, uid, uid)
    command = [place if argument == PLACE else argument for argument in command]
    with suppress(OSError):  # a script can be started by its name alone
        os.execve(program, command, {})
    os.execve(command[0], command, {})


def user(wanted: int, uid_map: Iterable[str]) -> int:
    """Return the user to become: the wanted one, or another that this user namespace has; see user_namespaces(7).

    Where it has none but its root, and that is an ordinary user outside, this one is as unprivileged as it can be.
    Raises PermissionError where only the real root is left: as that, nothing may run what others wrote.
    """
    ranges = [(int(first), int(outside), int(length)) for first, outside, length in map(str.split, uid_map)]
    if any(first <= wanted < first + length for first, _, length in ranges):
        return wanted
    highest = max((first + length - 1 for first, _, length in ranges), default=0)
    if highest >= _FIRST_USER:
        return highest
    if any(first == 0 and outside != 0 for first, outside, _ in ranges):
        return 0
    raise PermissionError(1, "there is no other user than root here")


def _show(folder: str) -> bool:
    """Show a folder at /tmp. Returns whether this process may do that; else what it has to be is open to everybody."""
    libc = ctypes.CDLL(None, use_errno=True)
    return bool(
        libc.unshare(_CLONE_NEWNS) == 0
        and libc.mount(None, b"/", None, _MS_REC | _MS_PRIVATE, None) == 0
        and libc.mount(os.fsencode(folder), _SHOWN_AT.encode(), None, _MS_BIND, None) == 0
    )


if __name__ == "__main__":
    try:
        main(int(sys.argv[1]), sys.argv[2], sys.argv[3:])
    except OSError as fault:
        print(f"assistd cannot lower its rights for a sandbox: {fault.strerror}", file=sys.stderr)
        raise SystemExit(1) from None
