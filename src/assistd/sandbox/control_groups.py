"""Control groups: where the kernel lets this process make them, a bound of its own over all memory of a sandbox.

The watch (watch.py) reads what processes and disks show. The kernel keeps more on their behalf: mappings, what an
epoll looks at, messages on their way. A control group counts that, too, and holds without a look.

Groups of version 2 are made only below one that was delegated to this program: by systemd (`Delegate=yes`), or as the
outermost one of a container. A group with processes cannot hand on controllers, so that those in it move to a group
beside the sandboxes first. In version 1, which has no such rule, any group that can be written to will do.
Sources: cgroups(7), cgroup_namespaces(7), the kernel's "Control Group v2", systemd's "Control Group APIs and
Delegation".
"""

from __future__ import annotations

import itertools
import os
import sys
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import structlog

_log = structlog.get_logger("assistd.sandbox")

_SERVER: Final = "assistd-server"
_SANDBOX: Final = "assistd-sandbox-"
# Processes may begin others while they are moved, which then are still in the group.
_MOVES: Final = 10


@dataclass(frozen=True)
class Parent:
    """The group below which those of sandboxes are made, and which file of each is set to what.

    `optional` are those that not every kernel has.
    """

    folder: Path
    settings: Mapping[str, str]
    optional: Mapping[str, str]


class ControlGroup:
    """The group of one sandbox, or none, where there is no `folder`."""

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder

    @property
    def members(self) -> Path | None:
        """The file to write the number of a process to, so that it and all that it starts belong to this group."""
        return None if self._folder is None else self._folder / "cgroup.procs"

    def remove(self) -> bool:
        """Remove it, where its processes have ended. Returns whether it is gone."""
        if self._folder is not None:
            try:
                self._folder.rmdir()
            except FileNotFoundError:
                return True
            except OSError:
                return False
        return True


NO_GROUP: Final = ControlGroup(None)


class ControlGroups:
    """Makes groups for sandboxes that have `memory` bytes at the most, everything included."""

    _numbers = itertools.count()

    def __init__(self, memory: int) -> None:
        self._memory = memory
        self._parent: Parent | None = None
        self._sought = False
        self._leaving: list[ControlGroup] = []

    def make(self) -> ControlGroup:
        """Make a group, where that is for this process to do."""
        if not self._sought:
            self._sought = True
            self._parent = find_parent(self._memory)
            if self._parent is not None:
                _sweep(self._parent.folder)
        self._leaving = [group for group in self._leaving if not group.remove()]
        if self._parent is None:
            return NO_GROUP
        folder = self._parent.folder / f"{_SANDBOX}{os.getpid()}-{next(self._numbers)}"
        try:
            folder.mkdir()
            there = {name: value for name, value in self._parent.optional.items() if (folder / name).exists()}
            for name, value in {**self._parent.settings, **there}.items():
                (folder / name).write_text(value)
        except OSError as fault:
            _log.warning("a sandbox has no control group", why=f"{fault.filename}: {fault.strerror}")
            with suppress(OSError):
                folder.rmdir()
            return NO_GROUP
        return ControlGroup(folder)

    def remove(self, group: ControlGroup) -> None:
        """Remove a group: now, or where the last of its processes are still on their way out, with the next."""
        self._leaving = [one for one in (*self._leaving, group) if not one.remove()]


def find_parent(memory: int, proc: Path = Path("/proc/self")) -> Parent | None:
    """Find where groups of `memory` bytes can be made, and make it ready; None where nowhere."""
    if sys.platform != "linux":
        return None
    try:
        places = places_of((proc / "mountinfo").read_text(), (proc / "cgroup").read_text())
        if (folder := places.get("")) is not None and (parent := delegated(folder)) is not None:
            settings = {"memory.max": str(memory), "memory.oom.group": "1"}
            return Parent(parent, settings, {"memory.swap.max": "0"})
        if (folder := places.get("memory")) is not None and os.access(folder, os.W_OK):
            settings = {"memory.limit_in_bytes": str(memory)}
            return Parent(folder, settings, {"memory.memsw.limit_in_bytes": str(memory)})
    except OSError as fault:
        _log.warning("sandboxes have no control groups", why=f"{fault.filename}: {fault.strerror}")
    return None


def places_of(mountinfo: str, groups: str) -> dict[str, Path]:
    """Return this process's group by controller; that of version 2 by the name ""."""
    mounts: dict[str, tuple[str, str]] = {}
    for line in mountinfo.splitlines():
        before, _, after = line.partition(" - ")
        root, point = before.split()[3:5]
        kind, _, options = after.split()[:3]
        if kind == "cgroup2":
            mounts.setdefault("", (root, point))
        elif kind == "cgroup":
            mounts.update((option, (root, point)) for option in options.split(","))
    found = {}
    for line in groups.splitlines():
        _, controllers, path = line.split(":", 2)
        for controller in controllers.split(","):
            root, point = mounts.get(controller, ("", ""))
            if point and (path + "/").startswith(root.rstrip("/") + "/"):
                found[controller] = Path(point, path[len(root.rstrip("/")) :].lstrip("/"))
    return found


# --- version 2


def delegated(folder: Path) -> Path | None:
    """Return the delegated group that this process is in, ready to limit the memory of others. Raises OSError."""
    parent = folder.parent if folder.name == _SERVER else folder
    if "memory" not in (parent / "cgroup.controllers").read_text().split():
        return None
    if not (_is_marked(parent) or _is_outermost(parent)):
        return None
    if "memory" not in (parent / "cgroup.subtree_control").read_text().split():
        vacate(parent)
        (parent / "cgroup.subtree_control").write_text("+memory")
    return parent


def _is_marked(folder: Path) -> bool:
    """Whether systemd says that a group was delegated."""
    for name in ("user.delegate", "trusted.delegate"):
        with suppress(OSError):
            return os.getxattr(folder, name) == b"1"
    return False


def _is_outermost(folder: Path) -> bool:
    """Whether a group is the outermost one that is seen from here, as in a container, and not the machine's."""
    seen_from = (folder.parent / "cgroup.procs").exists()
    machines = not (folder / "cgroup.events").exists()
    return not seen_from and not machines and os.access(folder / "cgroup.subtree_control", os.W_OK)


def vacate(parent: Path) -> None:
    """Move the processes of a group, this one among them, to one below. Raises OSError."""
    server = parent / _SERVER
    server.mkdir(exist_ok=True)
    for _ in range(_MOVES):
        numbers = (parent / "cgroup.procs").read_text().split()
        if not numbers:
            return
        for number in numbers:
            with suppress(ProcessLookupError):
                (server / "cgroup.procs").write_text(number)


def _sweep(folder: Path) -> None:
    """Remove the groups of servers that were killed."""
    for left in folder.glob(f"{_SANDBOX}*"):
        number = left.name.removeprefix(_SANDBOX).partition("-")[0]
        if not Path("/proc", number).exists():
            with suppress(OSError):  # what was in it is still on its way out
                left.rmdir()
