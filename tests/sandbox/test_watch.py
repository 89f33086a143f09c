"""What sessions use together, and the end of those that use too much."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from assistd.sandbox import usage
from assistd.sandbox.faults import SessionLost
from assistd.sandbox.interpreter import Interpreter
from assistd.sandbox.limits import MB, Limits
from assistd.sandbox.pool import PoolLimits, Sandboxes
from assistd.sandbox.usage import Meter, Usage, processes
from assistd.sandbox.watch import Watch
from tests.sandbox.boxes import pool_of, printed

PATIENCE = 60.0  # seconds until what never comes is a failure

# `fill` takes memory that is really there; what is started last says that all is ready.
PREFACE = """
import os, sys, time
def fill(size):
    taken = bytearray(size)
    for place in range(0, size, 4096):
        taken[place] = 1
    return taken
def ready():
    print("ready", flush=True)
    sys.stdin.read()
    os._exit(0)
"""
ALONE = "kept = fill(64 << 20)\nready()"
FAMILY = """
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        kept = fill(64 << 20)
        ready()
    sys.stdin.read()
    os._exit(0)
sys.stdin.read()
"""
SHARED = """
kept = fill(64 << 20)
for _ in range(3):
    if os.fork() == 0:
        sys.stdin.read()
        os._exit(0)
ready()
"""
BY_A_THREAD = """
import threading
def family():
    if os.fork() == 0:
        kept = fill(64 << 20)
        ready()
    sys.stdin.read()
threading.Thread(target=family).start()
"""


@contextmanager
def running(code: str) -> Iterator[subprocess.Popen[bytes]]:
    """A Python process that has run `code`, with its children; all end with the context."""
    with subprocess.Popen(
        [sys.executable, "-c", PREFACE + code], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        yield process


class FakeSession:
    """A session that is a process of the test's own."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self.pid = process.pid
        self.own_kernel = False
        self.alive = True
        self.ended = asyncio.Event()
        self.why = ""

    async def end(self, reason: str) -> None:
        self.alive, self.why = False, reason
        self.ended.set()


@asynccontextmanager
async def watching(watch: Watch) -> AsyncIterator[None]:
    task = asyncio.create_task(watch.run())
    try:
        async with asyncio.timeout(PATIENCE):
            yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


# --- what is used


@pytest.mark.parametrize("code", [ALONE, FAMILY, BY_A_THREAD])
@pytest.mark.parametrize("lists_children", [True, False])
def test_memory_of_all_descendants_counts(code: str, lists_children: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(usage, "_LISTS_CHILDREN", lists_children)
    with running(code) as process:
        for limit in (0, 1024 * MB):  # counted exactly, and quickly
            assert 64 * MB < Meter(process.pid, limit).read().memory < 128 * MB


def test_shared_memory_counts_once_where_it_would_be_too_much() -> None:
    with running(SHARED) as process:
        assert Meter(process.pid, 1024 * MB).read().memory > 4 * 64 * MB
        assert 64 * MB < Meter(process.pid, 128 * MB).read().memory < 128 * MB


def test_memory_is_not_read_exactly_all_the_time_but_where_more_was_allocated(monkeypatch: pytest.MonkeyPatch) -> None:
    exact: list[int] = []
    share = usage._share

    def counted(pid: int, status: bytes) -> int:
        exact.append(pid)
        return share(pid, status)

    monkeypatch.setattr(usage, "_share", counted)
    monkeypatch.setattr(usage, "_RESTS", 1_000_000)
    with running(SHARED) as process:
        meter = Meter(process.pid, 128 * MB)
        for _ in range(2):
            assert meter.read().memory < 128 * MB
            assert len(exact) == 4
        monkeypatch.setattr(usage, "_resident", lambda _: 200 * MB)
        assert meter.read().memory < 128 * MB
        assert len(exact) == 8


def test_a_process_whose_share_is_secret_counts_with_all_that_it_reaches(monkeypatch: pytest.MonkeyPatch) -> None:
    read = usage._must_read

    def secretive(path: str) -> bytes:
        if path.endswith("smaps_rollup"):
            raise PermissionError
        return read(path)

    monkeypatch.setattr(usage, "_must_read", secretive)
    with running(SHARED) as process:
        assert Meter(process.pid, 0).read().memory > 4 * 64 * MB


def test_a_process_that_is_gone_uses_nothing() -> None:
    with running(ALONE) as process:
        pass
    assert Meter(process.pid, 0).read() == Usage(0, None)


def test_processes_that_come_and_go_between_two_reads_do_no_harm() -> None:
    churn = """
print("ready", flush=True)
while True:
    if os.fork() == 0:
        os._exit(0)
    os.wait()
"""
    with running(churn) as process:
        for limit in (0, 1024 * MB) * 200:
            assert Meter(process.pid, limit).read().memory < 128 * MB
        process.kill()


# --- who is ended


async def test_a_session_that_uses_too_much_is_ended_and_told_why() -> None:
    with running(FAMILY) as large, running("ready()") as small:
        sessions = [FakeSession(large), FakeSession(small)]
        found = asyncio.Event()
        watch = Watch(Limits(memory=48 * MB), found.set)
        async with watching(watch):
            for session in sessions:
                watch.add(session)
                watch.set_busy(session, True)
            await sessions[0].ended.wait()
            await found.wait()
        assert sessions[0].why == "The session was ended: it used more memory than 48 MB."
        assert sessions[1].alive


async def test_an_idle_session_is_looked_at_too() -> None:
    with running(ALONE) as process:
        session = FakeSession(process)
        watch = Watch(Limits(memory=48 * MB))
        async with watching(watch):
            watch.add(session)
            await session.ended.wait()


async def test_a_session_that_has_died_by_itself_is_told_of() -> None:
    with running("ready()") as process:
        session = FakeSession(process)
        found = asyncio.Event()
        watch = Watch(Limits(), found.set)
        async with watching(watch):
            watch.add(session)
            session.alive = False
            await found.wait()
        assert session.why == ""


async def test_a_session_that_is_taken_away_is_left_alone() -> None:
    with running(ALONE) as process, running(ALONE) as other:
        left, session = FakeSession(process), FakeSession(other)
        watch = Watch(Limits(memory=48 * MB))
        async with watching(watch):
            for one in (left, session):
                watch.add(one)
            watch.remove(left)
            await session.ended.wait()
        assert left.alive


async def test_where_there_is_no_session_there_is_nothing_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    with running("ready()") as process:
        session = FakeSession(process)
        watch = Watch(Limits())
        async with watching(watch):
            await asyncio.sleep(0)
            assert not _threads()
            watch.add(session)
            watch.set_busy(session, True)
            while not _threads():
                await asyncio.sleep(0.01)
            watch.remove(session)
            looks: list[object] = []
            monkeypatch.setattr(Watch, "_look", lambda *_: looks.append(_))
            await asyncio.sleep(0.3)  # three times as long as a busy one is left alone
            assert looks == []
    while _threads():
        await asyncio.sleep(0.01)


async def test_a_session_that_cannot_be_ended_does_not_end_the_watch() -> None:
    with running(ALONE) as process, running(ALONE) as other:
        stubborn, session = FakeSession(process), FakeSession(other)

        async def fails(reason: str) -> None:
            raise OSError(reason)

        stubborn.end = fails  # type: ignore[method-assign]
        watch = Watch(Limits(memory=48 * MB))
        async with watching(watch):
            watch.add(stubborn)
            watch.set_busy(stubborn, True)
            watch.add(session)
            await session.ended.wait()


async def test_a_session_that_could_not_be_ended_is_ended_the_next_time() -> None:
    with running(ALONE) as process:
        session = FakeSession(process)
        end, tried = session.end, 0

        async def fails_once(reason: str) -> None:
            nonlocal tried
            tried += 1
            if tried == 1:
                raise OSError(reason)
            await end(reason)

        session.end = fails_once  # type: ignore[method-assign]
        watch = Watch(Limits(memory=48 * MB))
        async with watching(watch):
            watch.add(session)
            await session.ended.wait()
        assert tried == 2


@pytest.mark.parametrize("fault", [RuntimeError("can't start new thread"), MemoryError(), OSError(24, "no more files")])
async def test_a_watch_that_fails_says_so_and_goes_on(fault: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    look, looks = Watch._look, 0

    async def fails_at_first(self: Watch, *arguments: Any) -> None:
        nonlocal looks
        looks += 1
        if looks <= 2:
            raise fault
        await look(self, *arguments)

    monkeypatch.setattr(Watch, "_look", fails_at_first)
    with running(ALONE) as process, capture_logs() as logs:
        session = FakeSession(process)
        watch = Watch(Limits(memory=48 * MB))
        async with watching(watch):
            watch.add(session)
            await session.ended.wait()
    assert "more memory" in session.why
    assert [log["log_level"] for log in logs if "has failed, and begins again" in log["event"]] == ["error"] * 2


async def test_what_cannot_be_watched_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(self: Meter) -> Usage:
        raise KeyError(self)

    monkeypatch.setattr(Meter, "read", fails)
    with running("ready()") as process:
        session = FakeSession(process)
        watch = Watch(Limits())
        async with watching(watch):
            watch.add(session)
            await session.ended.wait()
    assert session.why == "The session was ended: what it uses could not be watched."


async def test_a_watch_that_fails_for_good_leaves_no_session_unwatched(monkeypatch: pytest.MonkeyPatch) -> None:
    async def fails(self: Watch, *arguments: Any) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(Watch, "_look", fails)
    with running("ready()") as process, running("ready()") as other:
        sessions = [FakeSession(process), FakeSession(other)]
        watch = Watch(Limits())
        async with watching(watch):
            for session in sessions:
                watch.add(session)
            for session in sessions:
                await session.ended.wait()


async def test_a_look_that_does_not_end_ends_its_session(monkeypatch: pytest.MonkeyPatch) -> None:
    stuck, read = threading.Event(), Meter.read

    def hangs(self: Meter) -> Usage:
        if self._pid == hanging.pid:
            stuck.wait()
        return read(self)

    monkeypatch.setattr(Meter, "read", hangs)
    monkeypatch.setattr("assistd.sandbox.watch._LOOK_SECONDS", 0.2)
    with running("ready()") as hanging, running("ready()") as small, running(ALONE) as large:
        watch = Watch(Limits(memory=48 * MB))
        async with watching(watch):
            watch.add(before := FakeSession(small))
            watch.add(session := FakeSession(hanging))
            watch.add(after := FakeSession(small))
            await session.ended.wait()
            watch.add(another := FakeSession(large))  # the watch goes on
            await another.ended.wait()
        stuck.set()
    assert before.alive
    assert after.alive
    assert "could not be watched" in session.why
    assert "more memory" in another.why


def _threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name.startswith("sandbox-watch")]


# --- real sandboxes


def sandboxes(interpreter: Interpreter, limits: Limits) -> AbstractAsyncContextManager[Sandboxes]:
    return pool_of(interpreter, limits, PoolLimits(warm=0))


FORKS = """
import os, time
for _ in range(20):
    if os.fork() == 0:
        kept = bytearray(64 << 20)
        for place in range(0, len(kept), 4096):
            kept[place] = 1
        time.sleep(1000)
time.sleep(1000)
"""
LEFT = f"""
import subprocess, sys
subprocess.Popen([sys.executable, "-c", {FORKS!r}], start_new_session=True)
"""
DETACHED = """
import os, time
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        kept = bytearray(200 << 20)
        for place in range(0, len(kept), 4096):
            kept[place] = 1
        open("/tmp/full", "w").close()
        time.sleep(1000)
    os._exit(0)
os.wait()
while not os.path.exists("/tmp/full"):
    time.sleep(0.01)
"""
FILES = """
import os
number = 0
while True:
    os.{make}
    number += 1
"""


async def test_memory_of_many_processes_ends_a_session(interpreter: Interpreter) -> None:
    async with sandboxes(interpreter, Limits(memory=512 * MB)) as pool, pool.hold("a", "p") as session:
        with pytest.raises(SessionLost, match="used more memory than 512 MB"):
            await printed(session, FORKS)
        assert not session.alive


async def test_what_code_has_left_behind_is_watched(interpreter: Interpreter) -> None:
    async with sandboxes(interpreter, Limits(memory=512 * MB)) as pool:
        async with pool.hold("a", "p") as session:
            await printed(session, LEFT)
        while session.alive:  # at rest it takes nothing more; what it does later counts as well
            async with pool.hold("a", "p") as again:
                await asyncio.sleep(0.01)
                assert again is session or not session.alive
        async with pool.hold("a", "p") as another:
            assert another is not session
            assert "2" in await printed(another, "1 + 1")


async def test_orphans_and_files_are_seen(interpreter: Interpreter) -> None:
    async with sandboxes(interpreter, Limits()) as pool, pool.hold("a", "p") as session:
        before = Meter(session.pid, 1024 * MB).read()
        assert before.files is not None
        assert before.files < 50
        await printed(session, DETACHED)
        await printed(session, "for n in range(100): open(f'/mnt/data/{n}', 'w').close()")
        after = Meter(session.pid, 1024 * MB).read()
        assert after.memory > 200 * MB
        assert after.files == before.files + 101


@pytest.mark.parametrize(
    "make",
    [
        "close(os.open(f'/mnt/data/{number}', os.O_CREAT))",
        "mkdir(f'/tmp/{number}')",
        "symlink('/mnt/data', f'/dev/shm/{number}')",
    ],
)
async def test_too_many_files_end_a_session(interpreter: Interpreter, make: str) -> None:
    async with sandboxes(interpreter, Limits(files=2000)) as pool, pool.hold("a", "p") as session:
        with pytest.raises(SessionLost, match="made more than 2,000 files"):
            await printed(session, FILES.replace("{make}", make))


async def test_everything_is_gone_after_the_end_of_the_pool(interpreter: Interpreter) -> None:
    async with sandboxes(interpreter, Limits()) as pool:
        async with pool.hold("a", "p") as first, pool.hold("b", "p") as second:
            await printed(first, DETACHED)
            family = [*processes(first.pid), *processes(second.pid)]
            assert len(family) >= 6
            await pool.close()
        assert [pid for pid in family if _is_there(pid)] == []


def _is_there(pid: int) -> bool:
    with suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    return False
