"""The code interpreter's sandbox beside the same Python without one: first output, many sessions, two kinds of work.

    .venv/bin/python benchmarks/code_interpreter.py
    .venv/bin/python benchmarks/code_interpreter.py --sandbox gvisor --sessions 20

Inside and outside take turns, with the same Python, packages and environment: outside it is the interpreter's own
program, started without walls. Times of the two jobs are taken by the code itself. The job of many files writes to
/mnt/data inside, and outside to a folder in memory (/dev/shm), as /mnt/data is one.

Memory of a session is the proportional set size (PSS) of all its processes: what they share is counted once.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import statistics
import tempfile
import time
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

import psutil

from assistd.fetching.progress import console_progress
from assistd.sandbox.engine import Engine
from assistd.sandbox.engines import engine_of
from assistd.sandbox.interpreter import Interpreter, ensure
from assistd.sandbox.interpreter_elf import read
from assistd.sandbox.limits import Limits
from assistd.sandbox.outputs import Logs
from assistd.sandbox.session import Session

FOLDER = Path(os.environ.get("ASSISTD_INTERPRETER_DIR") or Path(__file__).parent.parent / ".interpreter")
MEGABYTE = 1 << 20

NUMPY = """
import time, numpy
began = time.perf_counter()
chance = numpy.random.default_rng(1)
a = chance.random((1500, 1500))
for _ in range(3):
    a = a @ a / numpy.linalg.norm(a)
    numpy.sort(chance.random(2_000_000)).sum()
print(time.perf_counter() - began)
"""

FILES = """
import os, time, pathlib
began = time.perf_counter()
folder = pathlib.Path("many")
folder.mkdir()
for n in range(4000):
    (folder / f"{n}.txt").write_bytes(b"x" * 4096)
for path in folder.iterdir():
    assert len(path.read_bytes()) == path.stat().st_size
    path.unlink()
folder.rmdir()
print(time.perf_counter() - began)
"""


def outside(interpreter: Interpreter) -> tuple[list[str], dict[str, str]]:
    """The interpreter's Python as a program of this machine: its command, and its environment."""
    root = interpreter.root
    program = root / interpreter.python.lstrip("/")
    head = read(program)
    assert head is not None
    command = [str(root / head.loader.lstrip("/")), "--library-path", str(root / "usr/lib"), str(program)]
    own = {"PYTHONHOME": str(root / "usr"), "HOME": "/nonexistent", "MPLBACKEND": "agg"}
    kept = {name: value for name, value in interpreter.environment.items() if "THREADS" in name or name == "LANG"}
    return command, own | kept


async def first_words(session: Session, code: str) -> str:
    """Run code; return all that it printed."""
    return "".join([piece.text async for piece in session.run(code) if isinstance(piece, Logs)])


async def timed(work: Callable[[], Awaitable[object]]) -> float:
    """The seconds that some work takes."""
    began = time.perf_counter()
    await work()
    return time.perf_counter() - began


async def first_output(engine: Engine, interpreter: Interpreter, rounds: int) -> None:
    """Compare the time to the first output of `1+1`."""
    command, environ = outside(interpreter)

    async def plain() -> None:
        with tempfile.TemporaryDirectory() as home:
            process = await asyncio.create_subprocess_exec(
                *command,
                *("-m", "IPython", "--no-banner", "-c", "print(1+1)"),
                env=environ | {"HOME": home, "IPYTHONDIR": home},
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
            )
            assert process.stdout is not None
            assert b"2" in await process.stdout.readline()
            await process.communicate()

    sessions: list[Session] = []

    async def cold() -> None:
        sessions.append(await engine.start())
        assert await first_words(sessions[-1], "1+1") == "2"

    async def warm() -> None:
        assert await first_words(sessions[-1], "1+1") == "2"

    took: dict[str, list[float]] = {"plain IPython": [], "cold session": [], "warm session": []}
    for _ in range(rounds):
        for name, work in zip(took, (plain, cold, warm), strict=True):
            took[name].append(await timed(work))
        await sessions.pop().close()
    print(f"first output of 1+1, p50 of {rounds}:")
    for name, times in took.items():
        print(f"  {name:14} {statistics.median(times) * 1000:8.1f} ms")


async def many(engine: Engine, count: int, rounds: int) -> None:
    """Start many sessions and use them all at once."""
    sessions: list[Session] = []
    began = time.perf_counter()
    two = asyncio.Semaphore(os.cpu_count() or 1)

    async def start() -> None:
        async with two:
            sessions.append(await engine.start())

    await asyncio.gather(*(start() for _ in range(count)))
    print(f"{count} sessions: started in {time.perf_counter() - began:.1f} s")
    print(f"  memory of one, idle                  {memory(sessions):6.1f} MB")
    took: list[float] = []
    for _ in range(rounds):
        took += await asyncio.gather(*(timed(lambda each=each: first_words(each, "1+1")) for each in sessions))  # type: ignore[misc]
    took.sort()
    print(f"  1+1 in all at once, p50 / p95        {middle(took):6.1f} / {took[int(len(took) * 0.95)] * 1000:.1f} ms")
    await asyncio.gather(*(first_words(each, "import numpy, pandas") for each in sessions))
    print(f"  memory of one, with numpy and pandas {memory(sessions):6.1f} MB")
    await asyncio.gather(*(each.close() for each in sessions))


def middle(times: Sequence[float]) -> float:
    """The median, in milliseconds."""
    return statistics.median(times) * 1000


def memory(sessions: Sequence[Session]) -> float:
    """The memory that a session takes, on average, in MB."""
    total = 0
    for session in sessions:
        outermost = psutil.Process(session.pid)
        total += sum(each.memory_full_info().pss for each in (outermost, *outermost.children(recursive=True)))
    return total / len(sessions) / MEGABYTE


async def slowdown(engine: Engine, interpreter: Interpreter, name: str, code: str, rounds: int) -> None:
    """Compare a job inside and outside."""
    command, environ = outside(interpreter)

    async def plain() -> float:
        with tempfile.TemporaryDirectory(dir="/dev/shm") as folder:
            process = await asyncio.create_subprocess_exec(
                *command, "-c", code, env=environ, cwd=folder, stdout=asyncio.subprocess.PIPE
            )
            said, _ = await process.communicate()
        return float(said)

    async def walled() -> float:
        session = await engine.start()  # a new one, as the process outside is
        said = await first_words(session, code)
        await session.close()
        return float(said)

    inside: list[float] = []
    beside: list[float] = []
    for _ in range(rounds):
        inside.append(await walled())
        beside.append(await plain())
    ratio = statistics.median(each / other for each, other in zip(inside, beside, strict=True))
    print(f"{name}: inside {middle(inside):.0f} ms, outside {middle(beside):.0f} ms, ratio {ratio:.2f}")


async def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--sandbox", default="bubblewrap", choices=("bubblewrap", "gvisor"))
    parser.add_argument("--sessions", type=int, default=50)
    parser.add_argument("--rounds", type=int, default=15)
    options = parser.parse_args()
    interpreter = await ensure(FOLDER, console_progress())

    async def found() -> Interpreter:
        return interpreter

    engine = engine_of(options.sandbox, found, Limits())
    await first_output(engine, interpreter, options.rounds)
    await many(engine, options.sessions, 10)
    await slowdown(engine, interpreter, "numpy job", NUMPY, options.rounds)
    await slowdown(engine, interpreter, "many files", FILES, options.rounds)


if __name__ == "__main__":
    asyncio.run(main())
