"""Control groups: where they are made, what they hold that nobody can see, and that none is left."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from assistd.sandbox import control_groups
from assistd.sandbox.control_groups import ControlGroups, Parent, find_parent, places_of, vacate
from assistd.sandbox.faults import SessionLost
from assistd.sandbox.interpreter import Interpreter
from assistd.sandbox.limits import MB, Limits
from tests.sandbox.boxes import ENGINES, box, printed
from tests.support.waiting import eventually

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="control groups are Linux's")

SMALL = Limits(memory=96 * MB, disk=16 * MB, scratch_disk=16 * MB, shared_memory=16 * MB, call_seconds=60)

# Hardly any memory of their own, but 65,000 mappings in each of 60 processes: a gigabyte of the kernel's.
MAPPINGS = """
import ctypes, mmap, os, time
libc = ctypes.CDLL(None)
libc.mmap.restype = ctypes.c_void_p
libc.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int, ctypes.c_int, ctypes.c_int, ctypes.c_long]
libc.mprotect.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
pages = 64_000
start = libc.mmap(None, pages * 4096, 0, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS, -1, 0)
for page in range(0, pages, 2):
    libc.mprotect(start + page * 4096, 4096, mmap.PROT_READ)
made = 0
for _ in range(60):
    try:
        if os.fork() == 0:
            time.sleep(1000)
    except OSError:
        break
    made += 1
print("made", made)
"""


@pytest.fixture
def parent() -> Parent:
    """Where this process may make groups of its own."""
    found = find_parent(MB)
    if found is None:
        pytest.skip("this process may make no control groups: none was delegated to it")
    return found


def groups_in(folder: Path) -> list[str]:
    return sorted(group.name for group in folder.glob(f"assistd-sandbox-{os.getpid()}-*"))


def assert_nothing_is_left(folder: Path) -> None:
    """No group, or one whose processes are on their way out."""
    for name in groups_in(folder):
        members = folder / name / "cgroup.procs"
        eventually(lambda members=members: members.read_text() == "")
        members.parent.rmdir()


@pytest.mark.parametrize("engine", ENGINES)
async def test_a_sandbox_is_in_a_group_which_goes_with_it(
    engine: str, interpreter: Interpreter, parent: Parent
) -> None:
    async with box(engine, interpreter, SMALL) as session:
        (group,) = groups_in(parent.folder)
        assert str(session.pid) in (parent.folder / group / "cgroup.procs").read_text().split()
        (name, *_) = parent.settings
        assert int((parent.folder / group / name).read_text()) == SMALL.total_memory
        if engine == "bubblewrap":  # gVisor shows a kernel of its own
            shown = await printed(session, "print(open('/proc/self/cgroup').read())")
            assert "assistd" not in shown
    assert_nothing_is_left(parent.folder)


async def test_what_no_process_shows_is_bounded(interpreter: Interpreter, parent: Parent) -> None:
    async with box("bubblewrap", interpreter, SMALL) as session:
        with pytest.raises(SessionLost, match=r"killed|memory"):
            await printed(session, MAPPINGS)


async def test_a_start_that_fails_leaves_no_group(
    interpreter: Interpreter, parent: Parent, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(control_groups.ControlGroup, "members", parent.folder / "nowhere" / "cgroup.procs")
    with pytest.raises(Exception, match="cannot put a sandbox into its control group: No such file"):
        async with box("bubblewrap", interpreter, SMALL):
            pass
    assert groups_in(parent.folder) == []


def test_a_group_whose_processes_are_on_their_way_out_goes_later(parent: Parent) -> None:
    groups = ControlGroups(64 * MB)
    group = groups.make()
    assert group.members is not None
    with subprocess.Popen(["sleep", "100"]) as process:
        group.members.write_text(str(process.pid))
        groups.remove(group)
        assert len(groups_in(parent.folder)) == 1
        process.kill()
    groups.remove(groups.make())
    assert groups_in(parent.folder) == []


def test_what_killed_servers_left_is_removed(parent: Parent) -> None:
    with subprocess.Popen(["true"]) as process:
        process.wait()
        left = parent.folder / f"assistd-sandbox-{process.pid}-0"
        left.mkdir()
    group = ControlGroups(MB).make()
    assert not left.exists()
    assert len(groups_in(parent.folder)) == 1
    group.remove()
    assert groups_in(parent.folder) == []


# --- version 2


MOUNTS = """\
22 28 0:20 / /sys rw,nosuid - sysfs sysfs rw
25 22 0:22 /{root} /sys/fs/cgroup rw,nosuid,nodev - cgroup2 cgroup2 rw,nsdelegate,memory_recursiveprot
31 22 0:28 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory
32 22 0:29 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct
"""


def test_the_places_of_a_process() -> None:
    groups = "5:cpu,cpuacct:/a\n4:memory:/b/c\n1:name=systemd:/d\n0::/system.slice/assistd.service\n"
    assert places_of(MOUNTS.format(root=""), groups) == {
        "": Path("/sys/fs/cgroup/system.slice/assistd.service"),
        "memory": Path("/sys/fs/cgroup/memory/b/c"),
        "cpu": Path("/sys/fs/cgroup/cpu,cpuacct/a"),
        "cpuacct": Path("/sys/fs/cgroup/cpu,cpuacct/a"),
    }


def test_the_places_of_a_process_that_sees_a_part() -> None:
    assert places_of(MOUNTS.format(root="pod/one"), "0::/pod/one/two\n") == {"": Path("/sys/fs/cgroup/two")}
    assert places_of(MOUNTS.format(root="pod/one"), "0::/pod/oneself\n") == {}
    assert places_of("", "0::/\n") == {}


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A group of version 2 as files, which keep what is written to them; and the /proc of a process in it."""
    group = tmp_path / "cgroup"
    group.mkdir()
    (group / "cgroup.controllers").write_text("cpu memory pids\n")
    for name in ("cgroup.subtree_control", "cgroup.events", "cgroup.procs"):
        (group / name).write_text("")
    proc = tmp_path / "proc"
    proc.mkdir()
    (proc / "mountinfo").write_text(f"25 22 0:22 / {group} rw - cgroup2 cgroup2 rw\n")
    (proc / "cgroup").write_text("0::/\n")
    return group


def test_a_containers_outermost_group_takes_sandboxes(tree: Path) -> None:
    found = find_parent(7 * MB, tree.parent / "proc")
    assert found is not None
    assert found.folder == tree
    assert found.settings == {"memory.max": str(7 * MB), "memory.oom.group": "1"}
    assert found.optional == {"memory.swap.max": "0"}
    assert (tree / "cgroup.subtree_control").read_text() == "+memory"
    assert (tree / "assistd-server").is_dir()


@pytest.mark.parametrize("missing", ["cgroup.events", "memory", "mark"])
def test_other_groups_are_left_alone(tree: Path, missing: str) -> None:
    """The machine's own; one without the controller; one below others that nobody has delegated."""
    if missing == "cgroup.events":
        (tree / missing).unlink()
    elif missing == "memory":
        (tree / "cgroup.controllers").write_text("cpu pids\n")
    else:
        (tree.parent / "cgroup.procs").write_text("")
    assert find_parent(7 * MB, tree.parent / "proc") is None
    assert (tree / "cgroup.subtree_control").read_text() == ""
    assert not (tree / "assistd-server").exists()


def test_processes_make_room() -> None:
    """In the kernel's own hierarchy, where that is for this process to change."""
    root = places_of(Path("/proc/self/mountinfo").read_text(), Path("/proc/self/cgroup").read_text()).get("")
    if root is None or not os.access(root / "cgroup.procs", os.W_OK):
        pytest.skip("this process may make no groups of version 2")
    group = root / f"assistd-test-{os.getpid()}"
    group.mkdir()
    with subprocess.Popen(["sleep", "100"]) as process:
        try:
            (group / "cgroup.procs").write_text(str(process.pid))
            vacate(group)
            assert (group / "cgroup.procs").read_text() == ""
            assert (group / "assistd-server" / "cgroup.procs").read_text().split() == [str(process.pid)]
        finally:
            process.kill()
            process.wait()
            eventually(lambda: (group / "assistd-server" / "cgroup.procs").read_text() == "")
            for folder in (group / "assistd-server", group):
                folder.rmdir()
