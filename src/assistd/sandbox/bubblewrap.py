"""Sandboxes by bubblewrap: namespaces, a root that is the interpreter and nothing else, no capabilities, a filter.

Source of the options: bwrap(1).
"""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Final

from assistd.sandbox import launcher, probe, seccomp
from assistd.sandbox.control_groups import NO_GROUP, ControlGroup, ControlGroups
from assistd.sandbox.faults import SandboxUnavailable
from assistd.sandbox.interpreter import Interpreter
from assistd.sandbox.launch import Shell, spawn
from assistd.sandbox.limits import HOST_UIDS, UID, Limits
from assistd.sandbox.piped import PipedProcess
from assistd.sandbox.session import Session

_INSTALL: Final = "Install bubblewrap 0.8 or newer (`apt-get install bubblewrap`, `dnf install bubblewrap`)."
_ALLOW: Final = (
    "Allow them: `sysctl user.max_user_namespaces=10000`, on Debian `sysctl kernel.unprivileged_userns_clone=1`, on "
    "Ubuntu `sysctl kernel.apparmor_restrict_unprivileged_userns=0`; in a container, start it with `--security-opt "
    "seccomp=unconfined --security-opt apparmor=unconfined --security-opt systempaths=unconfined`."
)
_BE_SOMEBODY: Final = "Run assistd as an ordinary user, or with the capabilities SETUID, SETGID and SYS_ADMIN."
# What the kernel answers where it does not make a namespace: EPERM, EACCES, ENOSPC (user.max_user_namespaces), EINVAL.
_FORBIDDEN: Final = ("ermission denied", "not permitted", "No space left", "namespace", "Invalid argument", "Read-only")


class Bubblewrap:
    """Starts sandboxes with `bwrap`; `interpreter` finds or builds the root that they have."""

    def __init__(self, interpreter: Callable[[], Awaitable[Interpreter]], limits: Limits) -> None:
        self._interpreter = interpreter
        self._limits = limits
        self._groups = ControlGroups(limits.total_memory)

    async def start(self) -> Session:
        """Start a session. Raises SandboxUnavailable."""
        program = find_program()
        interpreter = await self._interpreter()
        shell = Shell(interpreter, self._limits)
        group = self._groups.make()
        try:
            process = await self.spawn(program, interpreter.root, interpreter.environment, shell.command, group)
        except BaseException:
            self._groups.remove(group)
            raise
        return await shell.meet(process, explained, when_gone=partial(self._groups.remove, group))

    async def probe(self) -> None:
        """Find out whether sessions can be started; the interpreter need not be there. Raises SandboxUnavailable."""
        with probe.scratch() as (root, _):
            await probe.check(await self.spawn(find_program(), root, {}, [probe.NOTHING]), explained)

    async def spawn(
        self,
        program: str,
        root: Path,
        environment: Mapping[str, str],
        inside: Sequence[str],
        group: ControlGroup = NO_GROUP,
    ) -> PipedProcess:
        """Start a command in a sandbox with a root. Raises SandboxUnavailable."""
        as_root = os.geteuid() == 0
        walls = self.walls(launcher.PLACE if as_root else str(root), environment)
        with _pipe_with(seccomp.program()) as filter_fd:
            command = [program, *walls, "--seccomp", str(filter_fd), "--", *inside]
            try:
                if as_root:
                    return await spawn(command, group, keep=[filter_fd], users=HOST_UIDS, folder=root)
                return await spawn(command, group, keep=[filter_fd])
            except OSError as fault:
                raise SandboxUnavailable(f"bubblewrap did not start: {fault.strerror}.", _INSTALL) from fault

    def walls(self, root: str, environment: Mapping[str, str]) -> list[str]:
        """Return the options that make the walls."""
        limits = self._limits
        named = [part for name, value in environment.items() for part in ("--setenv", name, value)]
        return [
            *("--unshare-user", "--unshare-ipc", "--unshare-pid", "--unshare-net", "--unshare-uts", "--unshare-cgroup"),
            *("--disable-userns", "--uid", str(UID), "--gid", str(UID), "--hostname", "sandbox", "--cap-drop", "ALL"),
            *("--die-with-parent", "--new-session"),
            *("--ro-bind", root, "/", "--proc", "/proc", "--dev", "/dev"),
            # Both give zeros, and what is mapped from /dev/zero is memory that nothing counts.
            *("--dev-bind", "/dev/full", "/dev/zero"),
            *("--size", str(limits.shared_memory), "--tmpfs", "/dev/shm", "--remount-ro", "/dev"),
            *("--size", str(limits.scratch_disk), "--tmpfs", "/tmp"),
            *("--size", str(limits.disk), "--tmpfs", "/mnt/data", "--chdir", "/mnt/data"),
            *("--clearenv", *named),
        ]


def find_program() -> str:
    """Find `bwrap`. Raises SandboxUnavailable."""
    if sys.platform != "linux":
        raise SandboxUnavailable(
            "The code interpreter's sandbox needs Linux.", "Run assistd on Linux, for example in a virtual machine."
        )
    if not seccomp.is_known():
        raise SandboxUnavailable(
            f"The sandbox knows no filter of system calls for {os.uname().machine}.", "Run assistd on x86-64 or arm64."
        )
    program = shutil.which("bwrap")
    if program is None:
        raise SandboxUnavailable("bubblewrap is not installed.", _INSTALL)
    return program


def explained(said: str) -> SandboxUnavailable:
    """Say what keeps bubblewrap from working, and what would mend it."""
    words = said.splitlines()[-1][:300]
    if "nknown option" in said:
        return SandboxUnavailable("bubblewrap is too old.", _INSTALL)
    if "control group" in said:
        return SandboxUnavailable("The sandbox did not start.", f"{words}.")
    if "cannot lower its rights" in said:
        return SandboxUnavailable(f"{words}.", _BE_SOMEBODY)
    if any(sign in said for sign in _FORBIDDEN):
        return SandboxUnavailable(f"This machine does not let bubblewrap make namespaces ({words}).", _ALLOW)
    return SandboxUnavailable("The sandbox did not start.", f"bubblewrap says: {words}")


@contextmanager
def _pipe_with(content: bytes) -> Iterator[int]:
    """Give the reading end of a pipe that holds a few bytes, for a child to inherit."""
    end, other = os.pipe()
    try:
        with os.fdopen(other, "wb") as pipe:
            pipe.write(content)  # a few kilobytes, which a pipe takes at once
        yield end
    finally:
        os.close(end)
