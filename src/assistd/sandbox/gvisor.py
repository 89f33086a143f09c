"""Sandboxes by gVisor: a kernel of its own between the code and the host's, in a process without rights.

The root, the disks and the limits are those of bubblewrap.py. Sources: the OCI runtime specification, `runsc flags`.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from assistd.sandbox import probe
from assistd.sandbox.control_groups import NO_GROUP, ControlGroup, ControlGroups
from assistd.sandbox.faults import SandboxUnavailable
from assistd.sandbox.interpreter import Interpreter
from assistd.sandbox.launch import Shell, spawn
from assistd.sandbox.limits import UID, Limits
from assistd.sandbox.piped import PipedProcess
from assistd.sandbox.private_folders import GVISOR, PrivateFolders
from assistd.sandbox.session import Session

_INSTALL: Final = "Install gVisor's runsc (`apt-get install runsc`, or see gvisor.dev), or use bubblewrap."
_SWITCH: Final = "Set ASSISTD_SANDBOX to bubblewrap, or see gvisor.dev for what runsc needs."


class Gvisor:
    """Starts sandboxes with `runsc`; `interpreter` finds or builds the root that they have."""

    def __init__(self, interpreter: Callable[[], Awaitable[Interpreter]], limits: Limits) -> None:
        self._interpreter = interpreter
        self._limits = limits
        self._folders = PrivateFolders(GVISOR)
        self._groups = ControlGroups(limits.total_memory)

    async def start(self) -> Session:
        """Start a session. Raises SandboxUnavailable."""
        program = find_program()
        interpreter = await self._interpreter()
        shell = Shell(interpreter, self._limits)
        bundle, group = self._folders.make(), self._groups.make()

        def clean_up() -> None:
            self._folders.remove(bundle)
            self._groups.remove(group)

        try:
            process = await self.spawn(program, bundle, interpreter.root, interpreter.environment, shell.command, group)
        except BaseException:
            clean_up()
            raise
        return await shell.meet(process, explained, own_kernel=True, when_gone=clean_up)

    async def probe(self) -> None:
        """Find out whether sessions can be started; the interpreter need not be there. Raises SandboxUnavailable."""
        with probe.scratch() as (root, bundle):
            await probe.check(await self.spawn(find_program(), bundle, root, {}, [probe.NOTHING]), explained)

    async def spawn(
        self,
        program: str,
        bundle: Path,
        root: Path,
        environment: Mapping[str, str],
        inside: Sequence[str],
        group: ControlGroup = NO_GROUP,
    ) -> PipedProcess:
        """Start a command in a sandbox with a root; `bundle` is a private folder. Raises SandboxUnavailable."""
        state = bundle / "state"
        state.mkdir()
        (bundle / "config.json").write_text(json.dumps(self.config(root, environment, inside)), "utf-8")
        options = [f"--root={state}", "--network=none", "--ignore-cgroups"]
        if os.geteuid() != 0:
            options.append("--rootless")
        command = [program, *options, "run", f"--bundle={bundle}", f"assistd-{os.urandom(12).hex()}"]
        try:
            return await spawn(command, group, dies_with=os.getpid())
        except OSError as fault:
            raise SandboxUnavailable(f"runsc did not start: {fault.strerror}.", _INSTALL) from fault

    def config(self, root: Path, environment: Mapping[str, str], inside: Sequence[str]) -> dict[str, Any]:
        """Return the bundle's configuration, which is what makes the walls."""
        limits = self._limits
        return {
            "ociVersion": "1.0.2",
            "process": {
                "terminal": False,
                "user": {"uid": UID, "gid": UID},
                "args": list(inside),
                "env": [f"{name}={value}" for name, value in environment.items()],
                "cwd": "/mnt/data",
                "capabilities": {},
                "noNewPrivileges": True,
            },
            "root": {"path": str(root), "readonly": True},
            "hostname": "sandbox",
            "mounts": [
                {"destination": "/proc", "type": "proc", "source": "proc"},
                {"destination": "/dev", "type": "tmpfs", "source": "tmpfs"},
                _disk("/dev/shm", limits.shared_memory),
                _disk("/tmp", limits.scratch_disk),
                _disk("/mnt/data", limits.disk),
            ],
            "linux": {"namespaces": [{"type": kind} for kind in ("pid", "network", "ipc", "uts", "mount")]},
        }


def _disk(place: str, size: int) -> dict[str, Any]:
    return {"destination": place, "type": "tmpfs", "source": "tmpfs", "options": [f"size={size}", "mode=1777"]}


def find_program() -> str:
    """Find `runsc`. Raises SandboxUnavailable."""
    if sys.platform != "linux":
        raise SandboxUnavailable("gVisor needs Linux.", "Run assistd on Linux, for example in a virtual machine.")
    program = shutil.which("runsc")
    if program is None:
        raise SandboxUnavailable("gVisor's runsc is not installed.", _INSTALL)
    return program


def explained(said: str) -> SandboxUnavailable:
    """Say what keeps gVisor from working."""
    return SandboxUnavailable(f"gVisor's sandbox did not start ({said.splitlines()[-1][:300]}).", _SWITCH)
