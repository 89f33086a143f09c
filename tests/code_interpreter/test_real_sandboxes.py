"""Workspaces in real sandboxes: real Python, a real disk, real ends."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from typing import Any

import pytest

from assistd.code_interpreter.publishing import Publisher
from assistd.code_interpreter.workspace import STATE_GONE, Image
from assistd.sandbox.faults import SandboxUnavailable
from assistd.sandbox.interpreter import Interpreter
from assistd.sandbox.limits import MB, Limits
from assistd.sandbox.pool import PoolLimits, Sandboxes
from tests.code_interpreter.room import PROJECT, Room, images, ran, said
from tests.sandbox.boxes import pool_of

Processes = Callable[..., Any]


@pytest.fixture
async def processes(interpreter: Interpreter) -> AsyncIterator[Processes]:
    """Make the sandboxes of one more process."""
    async with AsyncExitStack() as stack:

        async def process(limits: Limits | None = None) -> Sandboxes:
            return await stack.enter_async_context(_sandboxes(interpreter, limits or Limits()))

        yield process


def _sandboxes(interpreter: Interpreter, limits: Limits) -> AbstractAsyncContextManager[Sandboxes]:
    return pool_of(interpreter, limits, PoolLimits(sessions=4, warm=0))


async def test_from_data_to_chart_and_file(room: Room, processes: Processes) -> None:
    """Inputs by id and by name, state from call to call, a plot, a file that is handed out byte for byte."""
    node, thread = room.node(await processes()), await room.thread()
    data = await room.file("x,y\n1,2\n3,4\n", "my data.csv")
    async with node.open(thread, PROJECT, [data]) as workspace:
        assert workspace.notes == []
        told = await said(
            workspace, f"import pandas as pd; pd.read_csv('/mnt/data/{data}').equals(pd.read_csv('my data.csv'))"
        )
        assert told == "True"
        await said(workspace, "df = pd.read_csv('my data.csv'); df['z'] = df.x * df.y")
        await said(workspace, "df.to_csv('out.csv', index=False)")
        code = "import matplotlib.pyplot as plt; print('before'); plt.plot(df.x, df.y); plt.show(); print('behind')"
        shown = [output async for output in workspace.run(code)]
    assert [output if isinstance(output, Image) else output.text for output in shown] == [
        "before\n",
        Image(*images(shown)),
        "behind\n",
    ]
    assert (await room.content(*images(shown))).startswith(b"\x89PNG\r\n\x1a\n")
    assert await room.paths(thread) == {data, "my data.csv", "out.csv"}
    file = await Publisher(room.db).publish(thread, PROJECT, "out.csv")
    assert file is not None
    assert await room.content(file) == b"x,y,z\n1,2,2\n3,4,12\n"
    await room.check_blobs()


async def test_another_process_finds_the_files(room: Room, processes: Processes) -> None:
    """Folders, odd names, every byte, an empty file, an overwritten input; and the stale session is not used."""
    one, two = room.node(await processes(), "one"), room.node(await processes(), "two")
    thread, data = await room.thread(), await room.file("input", "data.txt")
    write = """
import os
x = 1
os.makedirs('a b/c'); open('a b/c/bytes', 'wb').write(bytes(range(256)) * 5000); open('empty', 'w').close()
open('日本 é.txt', 'w').write('name'); open('data.txt', 'a').write(' and more')
"""
    await ran(one, thread, write, [data])
    read = """
found = open('a b/c/bytes', 'rb').read() == bytes(range(256)) * 5000
print('x' in globals(), found, open('empty').read() == '', open('日本 é.txt').read(), open('data.txt').read())
"""
    expected = "True name input and more\n"
    assert await ran(two, thread, read, [data]) == ([STATE_GONE], f"False True {expected}")
    assert await ran(two, thread, "y = 2; open('empty', 'w').write('full');", [data]) == ([], "")
    assert await ran(one, thread, read.replace("== ''", "== 'full'"), [data]) == (
        [STATE_GONE],
        f"False True {expected}",
    )
    await room.check_blobs()


async def test_nothing_is_read_again_that_did_not_change(
    room: Room, processes: Processes, monkeypatch: pytest.MonkeyPatch
) -> None:
    node, thread, data = room.node(await processes()), await room.thread(), await room.file("input", "data.txt")
    await ran(node, thread, "open('a', 'w').write('1')", [data])
    async with node.open(thread, PROJECT, [data]) as workspace:
        assert workspace._disk is not None
        session = type(workspace._disk.session)
        monkeypatch.setattr(session, "read", None)
        monkeypatch.setattr(session, "put", None)
        assert await said(workspace, "print(open('a').read(), open('data.txt').read())") == "1 input\n"


async def test_too_much_memory(room: Room, processes: Processes) -> None:
    node, thread = room.node(await processes(Limits(memory=300 * MB))), await room.thread()
    async with node.open(thread, PROJECT, []) as workspace:
        await said(workspace, "x = 1; open('kept', 'w').write('kept')")
        told = await said(
            workspace, "open('lost', 'w').write('lost'); hoard = [bytearray(b'x' * 1000000) for _ in range(900)]"
        )
        assert "memory" in told
        assert told.endswith(" Variables are gone; files saved by earlier calls are still in /mnt/data.]\n")
        assert await said(workspace, "import os; print('x' in globals(), os.listdir('.'))") == "False ['kept']\n"


async def test_code_that_ends_its_own_interpreter(room: Room, processes: Processes) -> None:
    node, thread = room.node(await processes()), await room.thread()
    async with node.open(thread, PROJECT, []) as workspace:
        told = await said(workspace, "print('here', end='', flush=True); import os; os._exit(1)")
        assert told.startswith("here\n[The session ")
        assert await said(workspace, "print(1)") == "1\n"


async def test_a_run_that_is_cancelled(room: Room, processes: Processes) -> None:
    node, thread = room.node(await processes()), await room.thread()
    begun = asyncio.Event()

    async def endless() -> None:
        async with node.open(thread, PROJECT, []) as workspace:
            async for _ in workspace.run("print('begun', flush=True)\nwhile True: pass"):
                begun.set()

    running = asyncio.create_task(endless())
    await begun.wait()
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert await ran(node, thread, "print(1)") == ([STATE_GONE], "1\n")


async def test_files_that_do_not_fit(room: Room, processes: Processes) -> None:
    """What was kept has room before what is given; a full disk is told by Python, and by us where it was ours."""
    limits = Limits(disk=4 * MB)
    thread, big = await room.thread(), await room.file(b"x" * 3 * MB, "big.bin")
    full = "open('a', 'wb').write(b'x' * 3000000); open('b', 'wb').write(b'x' * 3000000)"
    _, told = await ran(room.node(await processes(limits), limits=limits), thread, full)
    assert "No space left on device" in told
    assert len((await room.kept(thread))["a"]) == 3_000_000
    node = room.node(await processes(limits), limits=limits)
    notes, told = await ran(node, thread, "import os; print(os.path.getsize('a'), os.path.exists('big.bin'))", [big])
    assert notes[0] == STATE_GONE
    assert any(note.startswith(f"{big} (big.bin) has ") for note in notes)
    assert told == "3000000 False\n"
    # Once there is room, it comes.
    await ran(node, thread, "for name in os.listdir('.'): os.remove(name)", [big])
    assert (await ran(node, thread, "print(os.path.getsize('big.bin'))", [big]))[1] == f"{3 * MB}\n"


async def test_no_way_out_through_links_and_holes(room: Room, processes: Processes) -> None:
    limits = Limits(disk=4 * MB)
    node, thread = room.node(await processes(limits), limits=limits), await room.thread()
    code = r"""
import os
os.symlink('/etc/passwd', 'passwd'); os.symlink('/', 'root'); os.mkfifo('pipe')
os.symlink('/proc/self/environ', 'environ')
open('hole', 'wb').truncate(4 << 20); open('hole 2', 'wb').truncate(4 << 20)
open('line\nbreak', 'w').write('1'); open(b'\xff\xfe', 'w').write('1'); open('x' * 255, 'w').write('long');
"""
    _, told = await ran(node, thread, code)
    # The first of the two that claim the whole disk, or neither beside the long one: never more than the disk.
    assert told.startswith("[Not kept when this session ends, as at most 1,000 files and 4 MB are: ")
    kept = await room.kept(thread)
    assert set(kept) <= {"hole", "hole 2", "x" * 255}
    assert sum(map(len, kept.values())) <= limits.disk


async def test_there_is_no_sandbox(room: Room) -> None:
    class Nowhere:
        async def start(self) -> Any:
            raise SandboxUnavailable("bubblewrap is not installed.", "Install it.")

    sandboxes = Sandboxes(Nowhere(), PoolLimits())  # type: ignore[arg-type]
    with pytest.raises(SandboxUnavailable, match=r"bubblewrap is not installed\. Install it\."):
        await ran(room.node(sandboxes), await room.thread(), "")
    await sandboxes.close()
