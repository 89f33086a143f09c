"""Attacks on the sandbox, each of which gets through where its wall is missing: see `counter`."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from assistd.sandbox import session as a_module_of_the_server
from assistd.sandbox.interpreter import Interpreter
from assistd.sandbox.limits import Limits
from tests.sandbox.attacks import ATTACKS, wrapped
from tests.sandbox.boxes import ENGINES, SMALL, box, printed, without_filter

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the sandbox needs Linux")
_IO_URING = Path("/proc/sys/kernel/io_uring_disabled")  # since Linux 6.6
IO_URING_IS_OFF = _IO_URING.exists() and _IO_URING.read_text().strip() != "0"
HIGH = 300  # a descriptor that is far from others
AS_ROOT = hasattr(os, "geteuid") and os.geteuid() == 0


def _has_capability(number: int) -> bool:
    status = Path("/proc/self/status")
    held = int(status.read_text().split("CapEff:")[1].split()[0], 16) if status.exists() else 0
    return bool(held >> number & 1)


@pytest.fixture(scope="module")
def targets(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Any]]:
    """What the server has, and an attacker would like to reach."""
    folder = tmp_path_factory.mktemp("server")
    (folder / "data").write_text("the server's data")
    marker = f"assistd-victim-{os.getpid()}"
    address = next(
        (
            one.address
            for name, addresses in psutil.net_if_addrs().items()
            for one in addresses
            if one.family == socket.AF_INET and not one.address.startswith("127.")
        ),
        "127.0.0.1",
    )
    with (
        socket.create_server(("127.0.0.1", 0)) as loopback,
        socket.socket(socket.AF_UNIX) as unix,
        socket.socket(socket.AF_UNIX) as abstract,
        subprocess.Popen([sys.executable, "-c", "input()", marker], stdin=subprocess.PIPE) as victim,
    ):
        unix.bind(str(folder / "s"))
        unix.listen()
        abstract.bind(f"\0{marker}")
        abstract.listen()
        yield {
            "source": a_module_of_the_server.__file__,
            "data": str(folder / "data"),
            "unix": str(folder / "s"),
            "abstract": marker,
            "marker": marker,
            "victim": victim.pid,
            "port": loopback.getsockname()[1],
            "address": address,
        }
        victim.kill()


@pytest.fixture(scope="module")
def verdicts(interpreter: Interpreter, targets: dict[str, Any]) -> dict[str, dict[str, str]]:
    """What came of every attack, by engine; filled by `verdict`, a session for all attacks of an engine."""
    return {}


async def tried(engine: str, interpreter: Interpreter, targets: dict[str, Any], names: list[str]) -> dict[str, str]:
    """Run attacks one after the other in one session."""
    async with box(engine, interpreter, Limits(call_seconds=20)) as session:
        return {name: (await printed(session, wrapped(name, targets))).strip() for name in names}


# What gVisor's own kernel allows reaches nothing but that.
@pytest.mark.parametrize(
    ("engine", "name"),
    [(engine, name) for engine in ENGINES for name, attack in ATTACKS.items() if attack.gvisor or engine != "gvisor"],
)
async def test_an_attack_does_not_get_through(
    engine: str,
    name: str,
    interpreter: Interpreter,
    targets: dict[str, Any],
    verdicts: dict[str, dict[str, str]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("ASSISTD_ATTACKED", "a key")
    if engine not in verdicts:
        theirs = [one for one, attack in ATTACKS.items() if attack.gvisor or engine != "gvisor"]
        verdicts[engine] = await tried(engine, interpreter, targets, theirs)
    assert verdicts[engine][name].startswith("held"), verdicts[engine][name]


@pytest.mark.parametrize("name", [name for name, attack in ATTACKS.items() if attack.counter == "host"])
def test_the_attack_gets_through_outside(name: str, targets: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    if ATTACKS[name].root and not AS_ROOT:
        pytest.skip("outside of the sandbox it takes root")
    if name == "read a disk" and not Path("/sys/block").exists():
        pytest.skip("this machine has no /sys")
    done = subprocess.run(
        [sys.executable, "-c", wrapped(name, targets)],
        env={**os.environ, "ASSISTD_ATTACKED": "a key"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == "through"


@pytest.mark.parametrize("name", [name for name, attack in ATTACKS.items() if attack.counter == "weak"])
async def test_the_attack_gets_through_where_walls_are_missing(
    name: str,
    interpreter: Interpreter,
    targets: dict[str, Any],
    verdicts: dict[str, dict[str, str]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if "weak" not in verdicts:
        theirs = [one for one, attack in ATTACKS.items() if attack.counter == "weak"]
        async with without_filter(monkeypatch):
            verdicts["weak"] = await tried("weak", interpreter, targets, theirs)
    if name == "use io_uring" and IO_URING_IS_OFF:
        pytest.skip("this machine has turned io_uring off")
    assert verdicts["weak"][name] == "through"


# --- what a process finds of itself


@pytest.mark.parametrize("engine", ENGINES)
async def test_a_process_has_no_capabilities_and_gets_none(engine: str, interpreter: Interpreter) -> None:
    async with box(engine, interpreter) as session:
        status = await printed(session, "print(open('/proc/self/status').read())")
        lines = dict(line.split(":\t", 1) for line in status.splitlines() if ":\t" in line)
        assert {lines[name].strip() for name in ("CapEff", "CapPrm", "CapInh")} == {"0" * 16}
        if engine == "bubblewrap":
            assert lines["CapBnd"] == lines["CapAmb"] == "0" * 16
            assert (lines["NoNewPrivs"], lines["Seccomp"]) == ("1", "2")
        ids = await printed(session, "import os\nprint(os.getresuid(), os.getresgid(), os.getgroups())")
        assert ids.startswith("(1000, 1000, 1000) (1000, 1000, 1000)")


@pytest.mark.parametrize("engine", ENGINES)
async def test_a_process_inherits_three_pipes_and_nothing_else(engine: str, interpreter: Interpreter) -> None:
    keys = os.open(__file__, os.O_RDONLY)
    os.set_inheritable(keys, True)
    os.dup2(keys, HIGH, inheritable=True)
    try:
        async with box(engine, interpreter) as session:
            code = """
import os
for n in range(512):
    try: print(n, os.readlink(f"/proc/self/fd/{n}"))
    except OSError: pass
"""
            held = dict(line.split(" ", 1) for line in (await printed(session, code)).splitlines())
    finally:
        os.close(keys)
        os.close(HIGH)
    assert set(held) == {"0", "1", "2", "3", "4", "5"}  # 0 to 2 are there for the code
    assert "null" in held["0"]
    if engine == "bubblewrap":
        assert all("pipe:" in held[n] for n in "12345")


async def test_nothing_can_be_written_but_the_three_disks(interpreter: Interpreter) -> None:
    async with box("bubblewrap", interpreter) as session:
        mounts = [
            line.split() for line in (await printed(session, "print(open('/proc/self/mountinfo').read())")).splitlines()
        ]
    options = {mount[4]: mount[5].split(",") for mount in mounts if mount}
    writable = {place for place, words in options.items() if "ro" not in words}
    devices = {f"/dev/{name}" for name in ("null", "zero", "full", "random", "urandom", "tty", "pts")}
    assert writable - devices == {"/mnt/data", "/tmp", "/dev/shm", "/proc"}
    assert all("nosuid" in words for words in options.values())
    assert all("nodev" in words for place, words in options.items() if place not in devices)


@pytest.mark.parametrize("engine", ENGINES)
async def test_the_environment_is_the_interpreter_s(
    engine: str, interpreter: Interpreter, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ASSISTD_ATTACKED", "a key")
    async with box(engine, interpreter) as session:
        names = set((await printed(session, "import os\nprint(*os.environ)")).split())
    of_its_own = {
        "PWD",
        "MPLBACKEND",
        "COLUMNS",
        "LINES",
        "PAGER",
        "GIT_PAGER",
        "CLICOLOR",
        "FORCE_COLOR",
        "CLICOLOR_FORCE",
    }
    assert names - set(interpreter.environment) <= of_its_own


async def test_calls_of_32_bits_kill_their_process(interpreter: Interpreter) -> None:
    if os.uname().machine != "x86_64":
        pytest.skip("only x86-64 has another table of calls")
    code = """
import ctypes, mmap, os
if (child := os.fork()) == 0:
    page = mmap.mmap(-1, 4096, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS, 7)
    page.write(bytes.fromhex("b814000000cd80c3"))  # mov eax, 20 (getpid); int 0x80; ret
    ctypes.CFUNCTYPE(ctypes.c_long)(ctypes.addressof(ctypes.c_char.from_buffer(page)))()
    os._exit(0)
print(os.WTERMSIG(os.waitpid(child, 0)[1]))
"""
    async with box("bubblewrap", interpreter) as session:
        assert (await printed(session, code)).strip() == str(int(signal.SIGSYS))


@pytest.mark.skipif(not _has_capability(24), reason="it takes CAP_SYS_RESOURCE to set it for good")
async def test_the_first_to_go_cannot_change_that(interpreter: Interpreter) -> None:
    code = "open('/proc/self/oom_score_adj', 'w').write('0')"
    async with box("bubblewrap", interpreter) as session:
        assert "PermissionError" in await printed(session, code)
        assert await printed(session, "print(open('/proc/self/oom_score_adj').read())") == "1000\n\n"


@pytest.mark.parametrize("engine", ENGINES)
async def test_sessions_do_not_see_each_other(engine: str, interpreter: Interpreter) -> None:
    async with box(engine, interpreter) as first, box(engine, interpreter) as second:
        await printed(
            first, "secret = 'plum'\nfor f in ('/mnt/data/s', '/tmp/s', '/dev/shm/s'): open(f, 'w').write(secret)"
        )
        code = (
            "import os\nprint('secret' in globals(), "
            "[os.path.exists(f) for f in ('/mnt/data/s', '/tmp/s', '/dev/shm/s')], "
            "sum(name.isdigit() and int(name) > 1 for name in os.listdir('/proc')))"
        )
        seen = await printed(second, code)
        alone = "1" if engine == "bubblewrap" else "0"
        assert seen.split() == ["False", "[False,", "False,", "False]", alone]
        assert await second.files() == []


@pytest.mark.parametrize("engine", ENGINES)
async def test_the_limits_of_a_process_are_those_of_the_file(engine: str, interpreter: Interpreter) -> None:
    of_no_use = {"RLIMIT_MSGQUEUE", "RLIMIT_SIGPENDING"} if engine == "gvisor" else set()
    wanted = {name: limit for name, limit in SMALL.rlimits().items() if name not in of_no_use}
    code = f"import resource\nfor name in {list(wanted)}: print(name, *resource.getrlimit(getattr(resource, name)))"
    async with box(engine, interpreter) as session:
        found = [line.split() for line in (await printed(session, code)).splitlines()]
    assert {name: (int(soft), int(hard)) for name, soft, hard in found} == wanted
