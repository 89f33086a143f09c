"""What a session leaves behind: nothing, however it ends, and whatever its code does to stay."""

from __future__ import annotations

import asyncio
import gc
import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from assistd.sandbox import probe
from assistd.sandbox.faults import SessionLost
from assistd.sandbox.interpreter import Interpreter
from assistd.sandbox.session import Session
from assistd.sandbox.usage import processes
from tests.sandbox.boxes import ENGINES, SMALL, box, engine_of, printed
from tests.support.waiting import eventually

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the sandbox needs Linux")

# Processes that want to stay: out of every group and session, deaf to signals, and their parent gone.
STAY = """
import os, signal, time
for _ in range(3):
    if os.fork() == 0:
        os.setsid()
        for number in range(1, 65):
            try: signal.signal(number, signal.SIG_IGN)
            except (OSError, ValueError): pass
        if os.fork() == 0:
            for descriptor in range(3, 64):
                try: os.close(descriptor)
                except OSError: pass
            while True: time.sleep(1000)
        os._exit(0)
    os.wait()
print("stayed")
"""
# The sandbox's first process is told not to die with its parent, by a program that is put into its memory.
CAPTURE = """
with open("/proc/1/maps") as maps:
    code = next(line.split() for line in maps if "r-xp" in line)
with open("/proc/1/mem", "r+b", buffering=0) as memory:
    low, high = (int(part, 16) for part in code[0].split("-"))
    body = bytes.fromhex("b89d000000bf0100000031f60f05" "b822000000" "0f05" "ebf7")  # prctl(1, 0); pause() for ever
    memory.seek(low)
    memory.write(bytes([0x90]) * (high - low - len(body)) + body)
import os, time
if os.fork() == 0:
    if os.fork() == 0:
        time.sleep(0.2)  # until it is an orphan, which the first process collects, and wakes up for
    os._exit(0)
time.sleep(0.5)
print("captured")
"""


def is_there(pid: int) -> bool:
    """Whether a process lives."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


@pytest.fixture
def traces(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Fail where the test leaves a mount, a folder or an open file."""
    # Other tests have sandboxes at the same time, and folders of theirs.
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))

    def seen() -> tuple[int, list[str], int]:
        gc.collect()
        there = [path.name for path in Path(tempfile.gettempdir()).iterdir()]
        left = [name for name in there if name.startswith(("assistd-gvisor", "assistd-probe"))]
        return (
            sum(1 for _ in Path("/proc/self/fd").iterdir()),
            left,
            len(Path("/proc/self/mountinfo").read_text().splitlines()),
        )

    before = seen()
    yield
    after = seen()
    assert after[0] <= before[0] + 2  # of the loop
    assert after[1:] == before[1:]


@pytest.mark.usefixtures("traces")
@pytest.mark.parametrize("engine", ENGINES)
async def test_processes_that_want_to_stay_do_not(engine: str, interpreter: Interpreter) -> None:
    async with box(engine, interpreter) as session:
        assert await printed(session, STAY) == "stayed\n"
        family = processes(session.pid)
        assert len(family) >= 3
    assert [pid for pid in family if is_there(pid)] == []
    assert len(asyncio.all_tasks()) == 1


@pytest.mark.usefixtures("traces")
@pytest.mark.parametrize("engine", ENGINES)
async def test_sessions_leave_nothing_however_they_end(engine: str, interpreter: Interpreter) -> None:
    ends = [
        "1 + 1",
        "import os\nos._exit(1)",
        "import os, signal\nos.kill(os.getpid(), signal.SIGKILL)",
        "import os\nos.closerange(0, 100)",
        "import ctypes\nctypes.string_at(0)",
        "import os\nwhile True: os.write(1, bytes(1 << 16))",
    ]
    families: list[int] = []
    for code in ends:
        async with box(engine, interpreter) as session:
            running = asyncio.create_task(printed(session, code))
            families += processes(session.pid)
            await asyncio.wait([running], timeout=1.0)
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)
    assert [pid for pid in families if is_there(pid)] == []
    assert len(asyncio.all_tasks()) == 1
    async with box(engine, interpreter) as session:
        assert await printed(session, "'still here'") == "'still here'"


@pytest.mark.usefixtures("traces")
@pytest.mark.parametrize("engine", ENGINES)
async def test_a_start_that_is_cancelled_leaves_nothing(engine: str, interpreter: Interpreter) -> None:
    before = set(processes(os.getpid()))
    for pause in (0.0, 0.01, 0.03, 0.06, 0.1, 0.2):
        starting = asyncio.create_task(engine_of(engine, interpreter, SMALL).start())
        await asyncio.wait([starting], timeout=pause)
        starting.cancel()
        (outcome,) = await asyncio.gather(starting, return_exceptions=True)
        if isinstance(outcome, Session):  # it was quicker
            await outcome.close()
    eventually(lambda: set(filter(is_there, processes(os.getpid()))) <= before)


SERVER = """
import asyncio, json, sys
from pathlib import Path
from assistd.sandbox.interpreter import Interpreter
from assistd.sandbox.usage import processes
from tests.sandbox.boxes import SMALL, engine_of, printed

async def main(engine, root, *codes):
    session = await engine_of(engine, Interpreter(Path(root)), SMALL).start()
    said = [await printed(session, code) for code in codes]
    print(json.dumps([said, processes(session.pid)]), flush=True)
    await asyncio.sleep(1000)

asyncio.run(main(*sys.argv[1:]))
"""


@pytest.mark.parametrize("engine", ENGINES)
def test_nothing_outlives_a_server_that_is_killed(engine: str, interpreter: Interpreter, tmp_path: Path) -> None:
    engine_of(engine, interpreter, SMALL)
    codes = [STAY, CAPTURE] if engine == "bubblewrap" and os.uname().machine == "x86_64" else [STAY]
    with subprocess.Popen(
        [sys.executable, "-c", SERVER, engine, str(interpreter.root), *codes],
        stdout=subprocess.PIPE,
        env={**os.environ, "TMPDIR": str(tmp_path), "PYTHONPATH": str(Path(__file__).parents[2])},
    ) as server:
        assert server.stdout is not None
        said, family = json.loads(server.stdout.readline())
        assert said == ["stayed\n", "captured\n"][: len(codes)]
        assert len(family) >= 3
        server.send_signal(signal.SIGKILL)
    eventually(lambda: not any(is_there(pid) for pid in family))


async def test_the_next_server_removes_what_a_killed_one_left(
    interpreter: Interpreter, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def modes() -> dict[str, int]:
        return {path.name: path.stat().st_mode & 0o777 for path in tmp_path.iterdir()}

    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    (tmp_path / "assistd-gvisor-killed" / "bundle" / "state").mkdir(parents=True)
    async with box("gvisor", interpreter) as session:
        assert await printed(session, "1 + 1") == "2"
        (mine,) = modes()
        assert mine != "assistd-gvisor-killed"
        assert modes()[mine] == 0o700
        async with box("gvisor", interpreter):
            assert mine in modes()
    assert modes() == {}


PROBING = """
import asyncio, sys
from assistd.sandbox import probe
with probe.scratch() as (root, private):
    print(root, flush=True)
    sys.stdin.read()
"""


def test_a_start_removes_what_killed_ones_left_of_any_kind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    kinds = ["assistd-gvisor-", "assistd-probe-", "assistd-routes-"]
    environ = {**os.environ, "TMPDIR": str(tmp_path)}
    with subprocess.Popen(
        [sys.executable, "-c", PROBING], stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environ
    ) as starting:
        assert starting.stdout is not None
        root = Path(starting.stdout.readline().decode().strip())
        for kind in kinds:
            (tmp_path / f"{kind}killed" / "some" / "thing").mkdir(parents=True)
        with probe.scratch() as (mine, _):
            assert root.is_dir()  # that start goes on
            assert {path.name.removesuffix("killed") for path in tmp_path.iterdir()}.isdisjoint(kinds)
            assert mine.parents[1].stat().st_mode & 0o777 == 0o755
        starting.kill()
    assert root.is_dir()
    with probe.scratch():
        assert not root.exists()
    assert list(tmp_path.iterdir()) == []


async def test_memory_of_the_server_does_not_grow(interpreter: Interpreter) -> None:
    def used() -> int:
        gc.collect()
        return int(Path("/proc/self/statm").read_text().split()[1]) * 4096

    async def use() -> None:
        async with box("bubblewrap", interpreter) as session:
            with pytest.raises(SessionLost):
                await printed(session, "import os\nos.write(1, bytes(1 << 25))\nos._exit(0)")

    await use()
    before = used()
    for _ in range(5):
        await use()
    assert used() - before < 16 << 20


# A thread and a process that go on when the call is over, and tell of it.
GO_ON = """
import os, threading, time
def count():
    n = 0
    while True:
        n += 1
        open(f"/mnt/data/{os.getpid()}", "w").write(str(n))
threading.Thread(target=count, daemon=True).start()
if os.fork() == 0:
    count()
time.sleep(0.1)
"""
COUNTED = "import os; print(*os.listdir('/mnt/data'))"


def uses_time(pids: list[int]) -> float:
    """The processor time that processes have used, in clock ticks."""
    total = 0
    for pid in pids:
        with suppress(OSError):
            total += sum(map(int, Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[11:13]))
    return total


@pytest.mark.parametrize("engine", ENGINES)
async def test_what_a_call_leaves_running_rests_with_its_session(engine: str, interpreter: Interpreter) -> None:
    async with box(engine, interpreter) as session:
        await printed(session, GO_ON)
        family = processes(session.pid)[1:]
        before = uses_time(family)
        while uses_time(family) < before + 10:  # it does go on
            await asyncio.sleep(0.01)
        session.rest()
        await asyncio.sleep(0.1)  # the last of it is counted
        before = uses_time(family)
        await asyncio.sleep(0.5)
        assert uses_time(family) <= before + 1
        session.wake()
        while uses_time(family) < before + 10:
            await asyncio.sleep(0.01)
        assert len((await printed(session, COUNTED)).split()) == 2
        session.rest()  # and its end does not wait for anything
    assert [pid for pid in family if is_there(pid)] == []
