"""Machines that allow no sandbox: why, and what would mend it; and users that start one."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Container
from pathlib import Path

import pytest

from assistd.sandbox import launcher, seccomp
from assistd.sandbox.bubblewrap import explained
from assistd.sandbox.engine import Engine
from assistd.sandbox.engines import engine_of as by_name
from assistd.sandbox.faults import SandboxUnavailable
from assistd.sandbox.interpreter import Interpreter
from assistd.sandbox.limits import HOST_UIDS, Limits
from tests.sandbox.boxes import ENGINES, SMALL, engine_of

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the sandbox needs Linux")
AS_ROOT = os.geteuid() == 0 if hasattr(os, "geteuid") else False


async def no_interpreter() -> Interpreter:
    raise AssertionError("a probe needs no interpreter")


def bubblewrap() -> Engine:
    return by_name("bubblewrap", no_interpreter, Limits())


@pytest.mark.parametrize("engine", ENGINES)
async def test_a_machine_that_allows_sandboxes(engine: str, interpreter: Interpreter) -> None:
    await engine_of(engine, interpreter, SMALL).probe()


async def test_bubblewrap_may_be_where_the_interpreter_is_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = shutil.which("bwrap")
    assert found is not None
    shutil.copy(found, tmp_path / "bwrap")
    monkeypatch.setenv("PATH", str(tmp_path))  # below /tmp, and closed to other users
    await bubblewrap().probe()


@pytest.mark.parametrize(("engine", "name"), [("bubblewrap", "bubblewrap"), ("gvisor", "runsc")])
async def test_a_program_that_is_missing(
    engine: str, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(SandboxUnavailable, match="is not installed") as found:
        await by_name(engine, no_interpreter, Limits()).probe()
    assert name in found.value.reason
    assert "apt-get install" in found.value.remedy


async def test_an_architecture_without_a_filter(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(seccomp, "is_known", lambda: False)
    with pytest.raises(SandboxUnavailable, match="no filter of system calls for"):
        await bubblewrap().probe()


async def test_another_system(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    with pytest.raises(SandboxUnavailable, match="needs Linux"):
        await bubblewrap().probe()


@pytest.mark.parametrize(
    ("said", "reason", "remedy"),
    [
        ("bwrap: Unknown option --disable-userns", "too old", "0.8 or newer"),
        ("bwrap: setting up uid map: Permission denied", "does not let bubblewrap make namespaces", "apparmor"),
        ("bwrap: No permissions to create a new namespace, likely", "does not let", "unprivileged_userns_clone"),
        ("bwrap: Can't mount proc on /newroot/proc: Operation not permitted", "does not let", "systempaths=unconfined"),
        ("bwrap: something else", "did not start.", "bwrap: something else"),
    ],
)
async def test_what_bubblewrap_says_is_explained(said: str, reason: str, remedy: str) -> None:
    fault = explained(f"a first line\n{said}")
    assert reason in fault.reason
    assert remedy in fault.remedy


# No user namespaces below one of the test's own, whose limit is its own too.
NO_NAMESPACES = """
import asyncio, ctypes, os, sys
from assistd.sandbox.engines import engine_of
from assistd.sandbox.faults import SandboxUnavailable
from assistd.sandbox.limits import HOST_UIDS, Limits
uid, ready, go = os.getuid(), os.pipe(), os.pipe()
child = os.fork()
if child:
    os.read(ready[0], 1)
    if uid:
        open(f"/proc/{child}/setgroups", "w").write("deny")
    for kind in ("uid", "gid"):
        open(f"/proc/{child}/{kind}_map", "w").write("0 0 65536" if uid == 0 else f"0 {uid} 1")
    os.write(go[1], b"x")
    sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
if ctypes.CDLL(None).unshare(0x10000000) != 0:
    print("this machine makes no user namespaces at all")
    os._exit(0)
os.write(ready[1], b"x")
os.read(go[0], 1)
with open("/proc/sys/user/max_user_namespaces", "w") as most:
    most.write("0")
try:
    asyncio.run(engine_of("bubblewrap", None, Limits()).probe())
except SandboxUnavailable as fault:
    print(fault.reason, fault.remedy)
"""


def test_a_machine_without_user_namespaces() -> None:
    done = subprocess.run([sys.executable, "-c", NO_NAMESPACES], capture_output=True, text=True, check=False)
    assert "does not let bubblewrap make namespaces" in done.stdout, done
    assert "user.max_user_namespaces" in done.stdout


AS_ORDINARY = """
import asyncio, ctypes, json, os, sys
from pathlib import Path
from assistd.sandbox.interpreter import Interpreter
from tests.sandbox.boxes import SMALL, box, printed
from tests.sandbox.attacks import ATTACKS, wrapped

async def main(names, targets):
    async with box("bubblewrap", Interpreter(Path("/mnt")), SMALL) as session:
        said = {name: (await printed(session, wrapped(name, targets))).strip() for name in names}
        said["whoami"] = await printed(session, "import os\\nprint(os.getuid(), os.getgid())")
        said["hoard"] = "ended"
        try:
            said["hoard"] = await printed(session, "hoard = []\\nwhile True: hoard.append(bytearray(1 << 24))")
        except Exception as lost:
            said["hoard"] = str(lost)
    print(json.dumps(said))

libc = ctypes.CDLL(None)
assert libc.unshare(0x20000) == 0 and libc.mount(None, b"/", None, 0x44000, None) == 0
assert libc.mount(os.fsencode(sys.argv[1]), b"/mnt", None, 0x1000, None) == 0
import assistd.sandbox.launch as launch
launch.Shell(Interpreter(Path("/mnt")), SMALL)  # what it needs is read before it may not be any more
os.setgroups([]); os.setresgid(61742, 61742, 61742); os.setresuid(61742, 61742, 61742)
libc.prctl(4, 1)  # PR_SET_DUMPABLE, as for a process that was this user's from the beginning
try:
    Path(launch.__file__).read_bytes()
except PermissionError:
    print(json.dumps("closed"))
else:
    asyncio.run(main(json.loads(sys.argv[2]), json.loads(sys.argv[3])))
"""


@pytest.mark.skipif(not AS_ROOT, reason="all tests run as an ordinary user here")
def test_an_ordinary_user_has_the_same_walls(interpreter: Interpreter) -> None:
    names = [
        *("read /etc/shadow", "read the environment of others", "make a user namespace", "mount a disk", "become root"),
        *(
            "write to its interpreter",
            "write to /dev",
            "write to the kernel's settings",
            "keep memory in a nameless file",
        ),
        *("ask the kernel for its routes", "use io_uring", "raise a limit", "become another user"),
    ]
    done = subprocess.run(
        [sys.executable, "-c", AS_ORDINARY, str(interpreter.root), json.dumps(names), json.dumps({})],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2]), "ASSISTD_ATTACKED": "a key"},
    )
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout.splitlines()[-1])
    if said == "closed":
        pytest.skip("another user may not read the checkout here")
    assert said.pop("whoami") == "1000 1000\n"
    assert "more memory" in said.pop("hoard")
    assert [name for name in names if not said[name].startswith("held")] == []


WANTED = [[users.start, len(users)] for users in HOST_UIDS]


@pytest.mark.parametrize(
    ("uid_map", "users"),
    [
        (["         0          0 4294967295"], range(1_900_000_000, 2_100_000_000)),
        (["0 100000 65536"], range(61_184, 65_520)),
        (["0 1000 1", "1 100000 65536"], range(61_184, 65_520)),
        (["0 100000 10000"], [9999]),
        (["0 1000 1"], [0]),  # an ordinary user outside, and the only one
    ],
)
def test_root_becomes_a_user_that_is_there(uid_map: list[str], users: Container[int]) -> None:
    assert all(launcher.user(WANTED, uid_map) in users for _ in range(100))


def test_the_real_root_runs_nothing() -> None:
    for uid_map in (["0 0 1"], ["0 0 500"], []):
        with pytest.raises(PermissionError):
            launcher.user(WANTED, uid_map)
