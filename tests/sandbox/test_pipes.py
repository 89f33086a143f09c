"""What a sandbox says is written by whoever's code runs in it: whatever that is, the server stays as it was."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from pathlib import Path

import pytest

from assistd.sandbox.faults import SandboxRefused, SessionLost
from assistd.sandbox.limits import MB, Limits
from assistd.sandbox.outputs import Logs, Picture
from assistd.sandbox.piped import start_piped
from assistd.sandbox.session import Session
from assistd.sandbox.usage import processes

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the sandbox needs Linux")

LIMITS = Limits(disk=1 * MB, picture=1 * MB, call_seconds=0.4, grace_seconds=0.2, start_seconds=60, flood=8 * MB)
PATIENCE = 30.0
NONCE = "07" * 16
PNG = b"\x89PNG\r\n\x1a\n"

# A shell that begins as it should; `head` sends a frame's first line, `mark` marks the text.
BEGINNING = """
import json, os, sys, time
def out(data, to=1):
    while data: data = data[os.write(to, data):]
def head(**members): out(json.dumps(members).encode() + b"\\n")
def mark(n, nonce=sys.argv[1]): out(f"\\0{nonce}:{n}\\0".encode(), 2)
def asked():
    line = sys.stdin.buffer.readline()
    if not line: os._exit(0)
    command = json.loads(line); sys.stdin.buffer.read(command["size"]); return command
head(**{"is": "ready"}); head(**{"is": "warm"})
"""


def files_open() -> int:
    """How many files this process has open."""
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


@asynccontextmanager
async def shell(code: str, limits: Limits = LIMITS, beginning: str = BEGINNING) -> AsyncIterator[Session]:
    """Give a session with a shell of the test's own, in no sandbox."""
    process = await start_piped([sys.executable, "-c", beginning + code, NONCE], [])
    session = Session(process, NONCE, limits)
    try:
        async with asyncio.timeout(PATIENCE):
            assert await session.begin() == ""
            yield session
    finally:
        await session.close()
    assert process.returncode is not None


async def run(session: Session) -> None:
    async for _ in session.run("code"):
        pass


async def read(session: Session) -> None:
    assert sum([len(chunk) async for chunk in session.read("file")]) <= LIMITS.disk


async def put(session: Session) -> None:
    async def chunks() -> AsyncIterator[bytes]:
        for _ in range(4):
            yield bytes(1 << 18)

    file = await session.put("file", chunks(), 1 << 20)
    assert 0 <= file.size <= LIMITS.disk
    assert 0 <= file.changed < 2**63


async def files(session: Session) -> None:
    for file in await session.files():
        assert ".." not in file.path
        assert file.path.isprintable()
        assert 0 <= file.size <= LIMITS.disk
        assert 0 <= file.changed < 2**63


DEEDS = [run, read, put, files]

LIES = {
    "nothing": "time.sleep(1000)",
    "the end": "os._exit(0)",
    "the end of one pipe": "os.close(1)\ntime.sleep(1000)",
    "the end of the text": "os.close(2)\nasked()\nhead(**{'is': 'done', 'n': 1, 'mark': 1})\ntime.sleep(1000)",
    "no line": "out(b'x' * (1 << 22))\ntime.sleep(1000)",
    "no frame": "out(b'hello\\n')\ntime.sleep(1000)",
    "a number": "out(b'1\\n')\ntime.sleep(1000)",
    "deep nesting": "out(b'[' * 60000 + b'\\n')\ntime.sleep(1000)",
    "not UTF-8": 'out(b\'{"is":"\\xff\\xfe"}\\n\')\ntime.sleep(1000)',
    "a huge frame": "head(**{'is': 'did', 'n': 1, 'size': 1 << 40})\nout(bytes(1 << 22))\ntime.sleep(1000)",
    "a negative frame": "head(**{'is': 'did', 'n': 1, 'size': -1})\ntime.sleep(1000)",
    "a frame cut short": "head(**{'is': 'did', 'n': 1, 'size': 100})\nout(b'x')\nos._exit(0)",
    "a size that is none": 'out(b\'{"is":"did","n":1,"size":1e999}\\n\')\ntime.sleep(1000)',
    "a number too large": 'out(b\'{"is":"did","n":1,"bytes":\' + b\'9\' * 4000 + b\'}\\n\')\ntime.sleep(1000)',
    "data in the head": "head(**{'is': 'chunk', 'n': 1, 'data': {'a': 1}})\ntime.sleep(1000)",
    "impossible files": "head(**{'is': 'did', 'n': 1, 'bytes': -5, 'changed': 2**63 - 1})\ntime.sleep(1000)",
    "other answers": "while True: head(**{'is': 'did', 'n': 99})",
    "large other answers": "while True:\n head(**{'is': 'chunk', 'n': 99, 'size': 1 << 18}); out(bytes(1 << 18))",
    "empty chunks": "while True: head(**{'is': 'chunk', 'n': 1})",
    "endless chunks": "while True:\n head(**{'is': 'chunk', 'n': 1, 'size': 1 << 18}); out(bytes(1 << 18))",
    "endless pictures": "while True:\n head(**{'is': 'picture', 'n': 1, 'size': 1 << 18}); out(bytes(1 << 18))",
    "endless marks": "while True: mark(1)",
    "endless text": "while True: out(b'x' * 60000, 2)",
    "done many times": "asked()\nfor n in range(500): mark(n); head(**{'is': 'done', 'n': 1, 'mark': n})\nasked()",
    "done for later": "for n in range(1, 9): mark(n); head(**{'is': 'done', 'n': n, 'mark': n})\ntime.sleep(1000)",
    "files that are none": (
        "asked()\nbody = json.dumps([['../../etc/passwd', 1, 1], ['/etc/passwd', 1, 1], ['a//b', 1, 1], ['.', 1, 1], "
        "['a\\nb', 1, 1], ['a\\0b', 1, 1], ['x' * 4000, 1, 1], ['', 1, 1], ['ok', -1, -1], ['ok', 1 << 62, 1 << 62], "
        "['\\u2028', 1, 1], ['a/../b', 1, 1]]).encode()\n"
        "head(**{'is': 'files', 'n': 1, 'size': len(body)}); out(body)\ntime.sleep(1000)"
    ),
    "half a character": (
        "asked()\nbody = b'[[\"\\\\udc80\",1,1]]'\n"
        "head(**{'is': 'files', 'n': 1, 'size': len(body)}); out(body)\ntime.sleep(1000)"
    ),
    "a long listing": (
        "asked()\nbody = json.dumps([[f'{n}', 1, 1] for n in range(200000)]).encode()\n"
        "head(**{'is': 'files', 'n': 1, 'size': len(body)}); out(body)\ntime.sleep(1000)"
    ),
    "a long reason": "asked()\nhead(**{'is': 'failed', 'n': 1, 'why': '\\0\\n' * 20000})\ntime.sleep(1000)",
    "another kind": "asked()\nhead(**{'is': 'ready', 'n': 1})\ntime.sleep(1000)",
}


@pytest.mark.parametrize("lie", LIES)
async def test_whatever_a_sandbox_says_does_no_harm(lie: str, monkeypatch: pytest.MonkeyPatch) -> None:
    async def try_out(deed: Callable[[Session], Awaitable[None]]) -> None:
        async with shell(LIES[lie]) as session:
            with suppress(SessionLost, SandboxRefused):
                await deed(session)

    monkeypatch.setattr("assistd.sandbox.session._DEED_SECONDS", 0.6)
    async with shell(""):  # with its first process, the loop opens something that stays
        pass
    descriptors = files_open()
    await asyncio.gather(*map(try_out, DEEDS))
    assert files_open() <= descriptors
    assert len(asyncio.all_tasks()) == 1


async def test_a_sandbox_that_does_not_begin_says_why() -> None:
    for code, said in {
        "import sys; sys.exit('bwrap: no')": "bwrap: no",
        "": "The session has ended: its process has ended with status 0.",
        "import sys, time; print('hello', flush=True); time.sleep(1000)": "does not speak as it should",
        "import time; time.sleep(1000)": "It did not begin within 1 seconds.",
        "import sys; sys.stderr.write('x' * 10_000_000)  # 1000": "xxx",
    }.items():
        process = await start_piped([sys.executable, "-c", code], [])
        session = Session(process, NONCE, replace(LIMITS, start_seconds=1 if "1000" in code else 60))
        assert said in (found := await session.begin())
        assert len(found) < 200_000
        assert not session.alive
        assert process.returncode is not None


@pytest.mark.parametrize("nonce", ["07" * 16, "12" * 16, "52299e44d1c696b936fa46d7d687a9fa", "a" * 32])
async def test_text_and_pictures_keep_their_order(nonce: str) -> None:
    code = """
for at in range(3):
    asked_for = asked() if at == 0 else None
    out(b"before", 2); mark(at); body = b"\\x89PNG\\r\\n\\x1a\\n" + bytes([at])
    head(**{"is": "picture", "n": 1, "mark": at, "size": len(body)}); out(body)
out(b"\\0 \\xc3", 2); time.sleep(0.1); out(b"\\xa9 end", 2); mark(9); head(**{"is": "done", "n": 1, "mark": 9})
asked()
"""
    process = await start_piped([sys.executable, "-c", BEGINNING + code, nonce], [])
    session = Session(process, nonce, LIMITS)
    assert await session.begin() == ""
    shown = [output async for output in session.run("code")]
    pictures = [at for at, output in enumerate(shown) if isinstance(output, Picture)]
    assert [output.data[-1] for output in shown if isinstance(output, Picture)] == [0, 1, 2]
    texts = [
        "".join(o.text for o in shown[a:b] if isinstance(o, Logs))
        for a, b in zip([0, *pictures], [*pictures, None], strict=True)
    ]
    assert texts == ["before", "before", "before", "\ufffd é end"]
    await session.close()


async def test_who_waits_is_told_why_it_ended() -> None:
    async with shell("time.sleep(1000)", replace(LIMITS, call_seconds=60)) as session:
        waiting = asyncio.create_task(run(session))
        await asyncio.sleep(0)
        await session.end("Because.")
        with pytest.raises(SessionLost, match="Because"):
            await waiting
        for deed in DEEDS:
            with pytest.raises(SessionLost, match="Because"):
                await deed(session)


async def test_an_end_goes_on_when_nobody_waits_for_it() -> None:
    async with shell("time.sleep(1000)") as session:
        ending = asyncio.create_task(session.close())
        await asyncio.sleep(0)
        ending.cancel()
        with pytest.raises(asyncio.CancelledError):
            await ending
        await session.close()
        assert processes(session.pid) == [session.pid]
        with pytest.raises(ProcessLookupError):
            os.kill(session.pid, 0)
