"""Code that takes all it can get: the session may end over it, the server must not notice."""

from __future__ import annotations

import asyncio
import sys
from dataclasses import replace

import pytest

from assistd.sandbox import usage
from assistd.sandbox.faults import SandboxFull, SessionLost
from assistd.sandbox.interpreter import Interpreter
from assistd.sandbox.limits import MB
from assistd.sandbox.usage import processes
from tests.sandbox.boxes import ENGINES, SMALL, box, printed

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the sandbox needs Linux")

# Each fills memory for good, in a way that a glance at a process's own figures does not show, or not all of it.
HOARDS = {
    "in one process": "hoard = []\nwhile True: hoard.append(bytearray(1 << 24))",
    "in many processes": """
import os, time
for _ in range(30):
    if os.fork() == 0:
        hoard = bytearray(40 << 20)
        for at in range(0, len(hoard), 4096): hoard[at] = 1
        time.sleep(1000)
time.sleep(1000)
""",
    "in a process whose first thread has ended": """
import ctypes, os, threading, time
if os.fork() == 0:
    def fill():
        time.sleep(0.5)
        hoard = bytearray(600 << 20)
        for at in range(0, len(hoard), 4096): hoard[at] = 1
        time.sleep(1000)
    threading.Thread(target=fill).start()
    exit_thread = {"x86_64": 60, "aarch64": 93}[os.uname().machine]
    ctypes.CDLL(None).syscall(exit_thread, 0)
time.sleep(1000)
""",
    "in sockets": """
import os, socket, time
for _ in range(60):
    if os.fork() == 0:
        pairs = []
        try:
            while True:
                pair = socket.socketpair()
                pairs.append(pair)
                for end in pair:
                    end.setblocking(False)
                    try:
                        while True: end.send(bytes(1 << 16))
                    except BlockingIOError: pass
        except OSError: pass
        time.sleep(1000)
time.sleep(1000)
""",
}


# In what the host's kernel keeps for sockets and pipes; gVisor keeps that in its own memory, which shows.
QUEUES = {
    "in open sockets": """
import socket, time
kept = []
for _ in range(1000):
    try: pair = socket.socketpair()
    except OSError: break
    kept.append(pair)
    pair[0].setblocking(False)
    try:
        while True: pair[0].send(bytes(1 << 16))
    except BlockingIOError: pass
time.sleep(1000)
""",
    "in sockets that nobody accepts": """
import socket, time
door = socket.socket(socket.AF_UNIX)
door.bind("\\0door")
door.listen(4096)
for _ in range(4000):
    with socket.socket(socket.AF_UNIX) as one:
        one.setblocking(False)
        try:
            one.connect("\\0door")
            while True: one.send(bytes(1 << 16))
        except OSError: pass
time.sleep(1000)
""",
    "in datagrams of sockets that are gone": """
import socket, time
kept = []
for number in range(400):
    kept.append(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM))
    kept[-1].bind(f"\\0{number}")
    for _ in range(11):
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as one:
            one.setblocking(False)
            try: one.sendto(bytes(200_000), f"\\0{number}")
            except OSError: pass
time.sleep(1000)
""",
    "in pipes": """
import os, time
for _ in range(100):
    if os.fork() == 0:
        try:
            while True:
                end = os.pipe()[1]
                os.set_blocking(end, False)
                try:
                    while True: os.write(end, bytes(1 << 16))
                except BlockingIOError: pass
        except OSError: pass
        time.sleep(1000)
time.sleep(1000)
""",
}


@pytest.mark.parametrize("queue", QUEUES)
async def test_what_the_kernel_keeps_is_bounded(queue: str, interpreter: Interpreter) -> None:
    async with box("bubblewrap", interpreter, replace(SMALL, call_seconds=100)) as session:
        with pytest.raises(SessionLost, match="more memory"):
            await printed(session, QUEUES[queue])


async def test_locks_of_files_are_counted(interpreter: Interpreter) -> None:
    code = """
import fcntl, time
file = open("locked", "w")
for at in range(2000, 0, -2): fcntl.lockf(file, fcntl.LOCK_EX, 1, at)
time.sleep(1000)
"""
    async with box("bubblewrap", interpreter) as session:
        running = asyncio.create_task(printed(session, code))
        while (held := usage._locks({str(pid) for pid in processes(session.pid)})) < 1000 and not running.done():
            await asyncio.sleep(0.05)
        assert held == 1000
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


async def test_everyday_programs_do_without_what_is_refused(interpreter: Interpreter) -> None:
    code = """
import concurrent.futures, multiprocessing, shutil, socket, sqlite3, subprocess
with open("a", "w") as file: file.write("x" * 100_000)
shutil.copy("a", "b")
subprocess.run("cp b c", shell=True, check=True)
print(len(open("c").read()))
table = sqlite3.connect("d")
table.execute("CREATE TABLE t (n)")
table.commit()
def double(n): return 2 * n
with concurrent.futures.ProcessPoolExecutor(2) as pool: print(list(pool.map(double, [1, 2])))
with multiprocessing.Pool(2) as pool: print(pool.map(double, [3, 4]))
one, other = multiprocessing.Pipe()
one.send("hello")
print(other.recv())
"""
    async with box("bubblewrap", interpreter) as session:
        assert (await printed(session, code)).split("\n") == ["100000", "[2, 4]", "[6, 8]", "hello", ""]


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("hoard", HOARDS)
async def test_memory_is_bounded(engine: str, hoard: str, interpreter: Interpreter) -> None:
    async with box(engine, interpreter) as session:
        with pytest.raises(SessionLost, match="more memory"):
            await printed(session, HOARDS[hoard])
        assert not session.alive


@pytest.mark.parametrize("engine", ENGINES)
async def test_what_cannot_be_had_is_refused(engine: str, interpreter: Interpreter) -> None:
    async with box(engine, interpreter) as session:
        assert "MemoryError" in await printed(session, "bytearray(100 << 30)")
        assert "MemoryError" in await printed(session, "import numpy\nnumpy.ones(100 * 2**27)")
        assert await printed(session, "print('still here')") == "still here\n"


@pytest.mark.parametrize("engine", ENGINES)
async def test_processes_are_bounded(engine: str, interpreter: Interpreter) -> None:
    code = """
import os, signal, time
children = []
try:
    for _ in range(300):
        child = os.fork()
        if child == 0:
            time.sleep(1000)
        children.append(child)
except OSError: pass
print(len(children))
for child in children:
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
"""
    limits = replace(SMALL, processes=40, memory=1024 * MB)
    async with box(engine, interpreter, limits) as session:
        assert 10 < int(await printed(session, code)) < 40
        assert await printed(session, "print('still here')") == "still here\n"


@pytest.mark.parametrize("engine", ENGINES)
async def test_a_fork_bomb_ends_with_its_session(engine: str, interpreter: Interpreter) -> None:
    limits = replace(SMALL, processes=60, call_seconds=2, memory=1024 * MB)
    async with box(engine, interpreter, limits) as session:
        deaf = "import os, signal\nsignal.signal(signal.SIGINT, signal.SIG_IGN)\n"
        code = deaf + "while True:\n try: os.fork()\n except OSError: pass"
        with pytest.raises(SessionLost):
            await printed(session, code)


@pytest.mark.parametrize("engine", ENGINES)
async def test_endless_code_is_interrupted_and_then_ended(engine: str, interpreter: Interpreter) -> None:
    async with box(engine, interpreter, replace(SMALL, call_seconds=1)) as session:
        said = await printed(session, "while True: pass")
        assert "KeyboardInterrupt" in said
        assert "[The code was interrupted: it took longer than 1 seconds.]" in said
        assert await printed(session, "1 + 1") == "2"
        code = "import signal\nsignal.signal(signal.SIGINT, signal.SIG_IGN)\nwhile True: pass"
        with pytest.raises(SessionLost, match="it took longer than 1 seconds"):
            await printed(session, code)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize(
    "code",
    [
        "while True: print('x' * 1000)",
        "import os\nwhile True: os.write(1, b'x' * 65536)",
        "import subprocess\nsubprocess.run(['/usr/bin/python3', '-c', 'while True: print(1)'])",
    ],
)
async def test_endless_output_is_interrupted(engine: str, code: str, interpreter: Interpreter) -> None:
    limits = replace(SMALL, flood=1 * MB)
    async with box(engine, interpreter, limits) as session:
        said = await printed(session, code)
        assert 1 * MB < len(said) < 100 * MB
        assert said.endswith("[The code was interrupted: it printed without end.]\n")
        assert (await printed(session, "print('still here')")).endswith("still here\n")


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize(
    ("place", "size"), [("/mnt/data", "disk"), ("/tmp", "scratch_disk"), ("/dev/shm", "shared_memory")]
)
async def test_disks_are_bounded(engine: str, place: str, size: str, interpreter: Interpreter) -> None:
    code = f"""
import os
written = 0
for n in range(100):
    try:
        with open(f"{place}/{{n}}", "wb", buffering=0) as file:
            while True: written += file.write(bytes(1 << 20))
    except OSError: pass
print(written)
"""
    limits = replace(SMALL, shared_memory=8 * MB, memory=1024 * MB)
    async with box(engine, interpreter, limits) as session:
        assert getattr(limits, size) // 2 <= int(await printed(session, code)) <= getattr(limits, size)
        assert await printed(session, "print('still here')") == "still here\n"


@pytest.mark.parametrize("engine", ENGINES)
async def test_a_full_disk_says_so(engine: str, interpreter: Interpreter) -> None:
    async def chunks(count: int):  # type: ignore[no-untyped-def]
        for _ in range(count):
            yield bytes(1 * MB)

    async with box(engine, interpreter, replace(SMALL, memory=1024 * MB)) as session:
        await session.put("first", chunks(40), 40 * MB)
        with pytest.raises(SandboxFull):
            await session.put("second", chunks(40), 40 * MB)
        with pytest.raises(SandboxFull):
            await session.put("third", chunks(65), 65 * MB)
        assert [file.path for file in await session.files()] == ["first"]


@pytest.mark.parametrize("engine", ENGINES)
async def test_a_file_with_holes_is_no_larger_than_the_disk(engine: str, interpreter: Interpreter) -> None:
    async with box(engine, interpreter) as session:
        code = """
for size in (1 << 50, 1 << 40, 64 << 20):
    try: open("/mnt/data/holes", "wb").truncate(size)
    except OSError: print("refused")
"""
        assert (await printed(session, code)).count("refused") == 2
        (file,) = await session.files()
        assert file.size == 64 * MB
        assert sum([len(chunk) async for chunk in session.read("holes")]) == 64 * MB


async def test_a_million_files_end_a_session(interpreter: Interpreter) -> None:
    code = "n = 0\nwhile True:\n    n += 1\n    open(f'/mnt/data/{n}', 'w').close()"
    async with box("bubblewrap", interpreter) as session:
        with pytest.raises(SessionLost, match="more than 2,000 files"):
            await printed(session, code)


@pytest.mark.parametrize("engine", ENGINES)
async def test_of_many_files_not_all_are_listed(engine: str, interpreter: Interpreter) -> None:
    limits = replace(SMALL, listed=100, path=50)
    async with box(engine, interpreter, limits) as session:
        await printed(session, "for n in range(300): open(f'/mnt/data/{n:040}', 'w').close()")
        assert len(await session.files()) == 100


@pytest.mark.parametrize("engine", ENGINES)
async def test_processor_time_is_bounded(engine: str, interpreter: Interpreter) -> None:
    async with box(engine, interpreter, replace(SMALL, cpu_seconds=2)) as session:
        with pytest.raises(SessionLost, match="used up its processor time"):
            await printed(session, "while True: pass")
    async with box(engine, interpreter, replace(SMALL, cpu_seconds=3)) as session:
        with pytest.raises(SessionLost):
            await printed(session, "import signal\nsignal.signal(signal.SIGXCPU, signal.SIG_IGN)\nwhile True: pass")
