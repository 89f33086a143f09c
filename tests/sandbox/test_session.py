"""One session after the other, with honest code, and calls that are left before their end."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from assistd.sandbox.faults import SandboxRefused, SessionLost
from assistd.sandbox.interpreter import Interpreter
from assistd.sandbox.limits import MB
from assistd.sandbox.outputs import Picture
from assistd.sandbox.session import Session
from tests.sandbox.boxes import ENGINES, SMALL, box, printed


@pytest.fixture(params=ENGINES)
async def session(request: pytest.FixtureRequest, interpreter: Interpreter) -> AsyncIterator[Session]:
    limits = replace(SMALL, memory=1024 * MB)
    async with box(request.param, interpreter, limits) as session:
        yield session


async def chunks(count: int, size: int = 1 * MB) -> AsyncIterator[bytes]:
    for at in range(count):
        yield bytes([at]) * size


async def test_values_prints_errors_and_pictures(session: Session) -> None:
    assert await printed(session, "x = [i for i in range(3)]\nx") == "[0, 1, 2]"
    assert await printed(session, "print('a', end='')\nprint('b')\nx[1] + 1") == "ab\n2"
    assert "ZeroDivisionError: division by zero" in await printed(session, "1 / 0")
    assert "SyntaxError" in await printed(session, "1 +")
    assert "EOFError" in await printed(session, "input()")
    code = "import matplotlib.pyplot as plt\nprint('before')\nplt.plot(x)\nplt.show()\nprint('after')"
    shown = [output async for output in session.run(code)]
    assert [type(output).__name__ for output in shown] == ["Logs", "Picture", "Logs"]
    assert isinstance(shown[1], Picture)
    assert shown[1].data.startswith(b"\x89PNG")


async def test_what_other_programs_print_keeps_its_place(session: Session) -> None:
    code = """
import subprocess, sys
print(1)
done = subprocess.run(["/usr/bin/python3", "-c", "print(2)"])
print(3, file=sys.stderr)
print(4)
"""
    assert await printed(session, code) == "1\n2\n3\n4\n"


async def test_files_go_in_and_out(session: Session) -> None:
    file = await session.put("a/b.bin", chunks(3), 3 * MB)
    assert await session.files() == [file]
    assert b"".join([chunk async for chunk in session.read("a/b.bin")]) == b"".join([c async for c in chunks(3)])
    await session.link("name", "a/b.bin")
    assert await printed(session, "import os\nprint(os.path.getsize('/mnt/data/name'))") == f"{3 * MB}\n"
    assert await session.files() == [file]
    await session.remove("name")
    await session.remove("name")
    await session.put("a/b.bin", chunks(1, 2), 2)
    assert [file.size for file in await session.files()] == [2]
    with pytest.raises(SandboxRefused, match="Not a directory"):
        await session.put("a/b.bin/c", chunks(1), 1 * MB)
    with pytest.raises(SandboxRefused, match="No such file"):
        assert [chunk async for chunk in session.read("none")]


@pytest.mark.parametrize(
    "path", ["", ".", "..", "../x", "a/../x", "/x", "a//b", "a\nb", "a\0b", "x" * 600, "a/", "\ud800", "\u2028"]
)
async def test_names_that_are_none_are_not_asked_for(path: str, interpreter: Interpreter) -> None:
    async with box("bubblewrap", interpreter) as session:
        for deed in (
            session.put(path, chunks(1), 1),
            session.link(path, "x"),
            session.link("x", path),
            session.remove(path),
        ):
            with pytest.raises(ValueError, match="names no file"):
                await deed
        with pytest.raises(ValueError, match="names no file"):
            assert [chunk async for chunk in session.read(path)]
        assert await printed(session, "1") == "1"


async def test_odd_names_are_left_out(session: Session) -> None:
    code = """
import os
os.chdir(b"/mnt/data")
good = (b"ok", b"'\\"\\\\", "caf\\u00e9 \\u3000".encode(), b"x" * 255)
for name in (*good, b"a\\nb", b"\\xff\\xfe", "\\u2028".encode(), b"\\x7f"):
    open(name, "w").close()
deep = "/mnt/data"
for _ in range(20):
    os.mkdir("y" * 200); os.chdir("y" * 200)
open("deep", "w").close()
os.chdir("/mnt/data")
"""
    assert await printed(session, code) == ""
    assert {file.path for file in await session.files()} == {"ok", "'\"\\", "café \u3000", "x" * 255}


async def test_links_lead_nowhere_outside(session: Session, tmp_path_factory: pytest.TempPathFactory) -> None:
    secret = tmp_path_factory.mktemp("host") / "secret"
    secret.write_text("the host's")
    code = f"""
import os
os.chdir("/mnt/data")
os.symlink({str(secret)!r}, "link"); os.symlink("/etc", "folder"); os.mkfifo("pipe")
os.symlink("/proc/self/environ", "self")
os.symlink("/dev", "devices")
try: os.link({str(secret)!r}, "hard")
except OSError as fault: print(fault.errno)
"""
    assert (await printed(session, code)).strip() == "2"
    assert await session.files() == []
    for path in ("link", "self", "hard"):
        with pytest.raises(SandboxRefused):
            assert [chunk async for chunk in session.read(path)]
    assert [chunk async for chunk in session.read("pipe")] == []
    with pytest.raises(SandboxRefused):
        await session.put("folder/x", chunks(1), 1)
    with pytest.raises(SandboxRefused):
        assert [chunk async for chunk in session.read("folder/shadow")]
    assert await printed(session, "1") == "1"
    with pytest.raises(SessionLost, match="a file has no end"):
        assert [len(chunk) async for chunk in session.read("devices/zero")] == []


async def test_code_that_nobody_listens_to_is_interrupted(session: Session) -> None:
    async def listen() -> None:
        async for _ in session.run("kept = 1\nprint('begun')\nwhile True: pass"):
            begun.set()

    begun = asyncio.Event()
    listening = asyncio.create_task(listen())
    await begun.wait()
    listening.cancel()
    await asyncio.gather(listening, return_exceptions=True)
    assert await printed(session, "kept") == "1"


async def test_calls_that_are_left_do_not_disturb_the_next(session: Session) -> None:
    await session.put("large", chunks(20), 20 * MB)
    async for _ in session.read("large"):
        break
    await session.put("other", chunks(20), 20 * MB)

    async def endless() -> AsyncIterator[bytes]:
        yield bytes(1 * MB)
        reached.set()
        await asyncio.Event().wait()

    reached = asyncio.Event()
    putting = asyncio.create_task(session.put("third", endless(), 5 * MB))
    await reached.wait()
    putting.cancel()
    await asyncio.gather(putting, return_exceptions=True)
    for deed in (session.files(), session.remove("none"), session.put("fourth", chunks(1), 1 * MB)):
        task = asyncio.create_task(deed)  # type: ignore[arg-type]
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    assert await printed(session, "1 + 1") == "2"
    assert {"large", "other"} <= {file.path for file in await session.files()} <= {"large", "other", "fourth"}


async def test_a_picture_that_is_too_large_is_left_out(interpreter: Interpreter) -> None:
    async with box("bubblewrap", interpreter, replace(SMALL, picture=1000)) as session:
        assert "A picture is left out" in await printed(
            session, "import matplotlib.pyplot as plt\nplt.plot([1])\nplt.show()"
        )
        assert await printed(session, "1") == "1"


async def test_pictures_of_many_threads_come_whole(session: Session) -> None:
    code = """
import threading
from IPython.display import Image, display
png = b"\\x89PNG\\r\\n\\x1a\\n" + bytes(100_000)
threads = [threading.Thread(target=lambda: [display(Image(png, format="png")) for _ in range(5)]) for _ in range(4)]
for thread in threads: thread.start()
for thread in threads: thread.join()
"""
    shown = [output async for output in session.run(code)]
    assert [len(output.data) for output in shown if isinstance(output, Picture)] == [100_008] * 20
