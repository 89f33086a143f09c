"""The first program of every sandbox, which leaves behind what the server has, and becomes the engine.

`python3 -c <this file> OPTIONS PROGRAM ARGUMENTS...`, with nothing of assistd around it. OPTIONS is a JSON object:

- `keep`: the descriptors, beside the standard three, that stay open;
- `members`: the file that lists the processes of the sandbox's control group; else "";
- `dies_with`: the server's process, when the program is to be killed with it; else null;
- `users`: ranges of users, each [first, length], when the program is to be an unprivileged one of its own; else [];
- `folder`: what that user is shown at /tmp, in a mount namespace of its own, because it may have no way through the
  folders above it. Among the arguments, the folder's place is called `{folder}`.

Sources: PR_SET_PDEATHSIG(2const), user_namespaces(7).
"""

from __future__ import annotations

import ctypes
import json
import os
import random
import signal
import sys
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any

PLACE = "{folder}"

_SHOWN_AT = "/tmp"
_CLONE_NEWNS = 0x00020000
_MS_BIND, _MS_REC, _MS_PRIVATE = 0x1000, 0x4000, 0x40000
_PR_SET_PDEATHSIG = 1
_FIRST_USER = 1000  # below are the system's


def main(options: dict[str, Any], command: list[str]) -> None:
    """Become the program. Raises OSError."""
    close_all_but(options["keep"])
    if members := options["members"]:
        join(members)
    if (server := options["dies_with"]) is not None:
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != server:  # which has died before it could matter
            return
    if not options["users"]:
        os.execv(command[0], command)
    # By its number, since /tmp hides what is below it, and since the way to it may not be for that user either.
    program = os.open(command[0], os.O_RDONLY | os.O_CLOEXEC)
    with suppress(OSError):  # the first to go where the machine runs out of memory; that user cannot take it back
        Path("/proc/self/oom_score_adj").write_text("1000")
    place = become(options["users"], options["folder"])
    command = [place if argument == PLACE else argument for argument in command]
    with suppress(OSError):  # a script can be started by its name alone
        os.execve(program, command, {})
    os.execve(command[0], command, {})


def close_all_but(kept: list[int]) -> None:
    """Close what the server, or whoever started it, had open. Raises OSError where that cannot be seen."""
    for number in [int(path.name) for path in Path("/proc/self/fd").iterdir()]:
        if number > 2 and number not in kept:
            with suppress(OSError):  # that of the listing itself
                os.close(number)


def join(members: str) -> None:
    """Join a control group. Ends this process where that is refused: outside of it there would be no bound."""
    try:
        Path(members).write_text("0")  # which stands for this process
    except OSError as fault:
        raise SystemExit(f"assistd cannot put a sandbox into its control group: {fault.strerror}") from None


def become(users: list[list[int]], folder: str) -> str:
    """Become another user, to whom `folder` is shown. Returns its place. Raises OSError."""
    uid = user(users, Path("/proc/self/uid_map").read_text().splitlines())
    place = _SHOWN_AT if _show(folder) else folder
    os.chdir("/")
    with suppress(PermissionError):  # where a container denies it there is nobody's group among them
        os.setgroups([])
    os.setresgid(uid, uid, uid)
    os.setresuid(uid, uid, uid)
    return place


def user(wanted: list[list[int]], uid_map: Iterable[str]) -> int:
    """Return the user to become: any of the first wanted range that this user namespace has, else the highest it has.

    Any, so that no two sandboxes have the same: what the kernel counts by user, one would take from the other. Where
    there is no user but root, and that is an ordinary one outside, this one is as unprivileged as it can be. Raises
    PermissionError where only the real root is left: as that, nothing may run what others wrote.
    """
    ranges = [(int(first), int(outside), int(length)) for first, outside, length in map(str.split, uid_map)]
    for begin, count in wanted:
        if any(first <= begin and begin + count <= first + length for first, _, length in ranges):
            return begin + random.randrange(count)
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
        main(json.loads(sys.argv[1]), sys.argv[2:])
    except OSError as fault:
        print(f"assistd cannot lower its rights for a sandbox: {fault.strerror}", file=sys.stderr)
        raise SystemExit(1) from None
