"""A process that dies at any moment: no row without its blob, no blob that nobody knows of, all or nothing kept."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any

from assistd.code_interpreter.publishing import Publisher
from assistd.code_interpreter.workspace import STATE_GONE, Workspaces
from tests.code_interpreter.folder import PNG, FolderSandboxes
from tests.code_interpreter.room import PROJECT, Room, ran

Processes = Callable[..., FolderSandboxes]

BEFORE = {"old": b"old", "gone": b"gone"}
AFTER = {"old": b"changed", "new": b"new", "empty": b""}
CODE = """
import os
os.remove('gone'); open('old', 'w').write('changed'); open('new', 'w').write('new'); open('empty', 'w'); show()
"""


class Killed(BaseException):
    """The process is dead: nothing that it does from now on has any effect."""


class Life:
    """How many more effects a process has, or, where it is only `cancelled`, what it does until then."""

    def __init__(self, left: int, *, cancelled: bool = False) -> None:
        self.left = left
        self._cancelled = cancelled

    def step(self) -> None:
        self.left -= 1
        if self._cancelled and self.left == -1:
            raise asyncio.CancelledError
        if not self._cancelled and self.left < 0:
            raise Killed


class MortalConnection:
    def __init__(self, conn: Any, life: Life) -> None:
        self._conn = conn
        self._life = life

    def __getattr__(self, name: str) -> Any:
        async def call(*arguments: Any) -> Any:
            self._life.step()
            answer = await getattr(self._conn, name)(*arguments)
            self._life.step()
            return answer

        return call


class MortalDatabase:
    def __init__(self, db: Any, life: Life) -> None:
        self._db = db
        self._life = life

    @asynccontextmanager
    async def acquire(self) -> AsyncIterator[MortalConnection]:
        async with self._db.acquire() as conn:
            yield MortalConnection(conn, self._life)

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[MortalConnection]:
        async with self._db.transaction() as conn:
            yield MortalConnection(conn, self._life)
            self._life.step()  # before the commit
        self._life.step()  # behind it


class MortalBlobs:
    def __init__(self, blobs: Any, life: Life) -> None:
        self._blobs = blobs
        self._life = life

    async def write(self, key: str, chunks: AsyncIterator[bytes]) -> int:
        self._life.step()
        size: int = await self._blobs.write(key, chunks)
        self._life.step()
        return size

    async def read(self, keys: list[str]) -> AsyncIterator[bytes]:
        async for chunk in self._blobs.read(keys):
            self._life.step()
            yield chunk

    async def delete(self, keys: list[str]) -> None:
        self._life.step()
        await self._blobs.delete(keys)


async def test_killed_anywhere(room: Room, processes: Processes) -> None:
    steps = 0
    outcomes: set[str] = set()
    finished = False
    while not finished:
        thread, file = await room.thread(), await room.file("input", "in.txt")
        await ran(room.node(processes()), thread, "open('old', 'w').write('old'); open('gone', 'w').write('gone')")
        life = Life(steps)
        db: Any = MortalDatabase(room.db, life)
        blobs: Any = MortalBlobs(room.blobs, life)
        with suppress(Killed):
            await ran_with_pictures(Workspaces(db, blobs, processes()), thread, file)
            await Publisher(db).publish(thread, PROJECT, "new")
            finished = True
        kept = await room.kept(thread)
        assert kept in (BEFORE, AFTER), steps
        outcomes.add("before" if kept == BEFORE else "after")
        await room.check_blobs()
        # The next process goes on.
        notes, read = await ran(
            room.node(processes()), thread, "print(open('old').read(), open('in.txt').read())", [file]
        )
        assert (notes, read) == ([STATE_GONE], f"{kept['old'].decode()} input\n")
        published = await Publisher(room.db).publish(thread, PROJECT, "old")
        assert published is not None
        assert await room.content(published) == kept["old"]
        await room.check_blobs()
        await room.delete_thread(thread)
        steps += 1
    assert outcomes == {"before", "after"}
    assert steps > 40


async def test_cancelled_anywhere(room: Room, processes: Processes) -> None:
    """The process lives on, and what it knows of the thread must be true."""
    steps = 0
    outcomes: set[str] = set()
    finished = False
    while not finished:
        thread, file = await room.thread(), await room.file("input", "in.txt")
        life = Life(1 << 30, cancelled=True)
        db: Any = MortalDatabase(room.db, life)
        blobs: Any = MortalBlobs(room.blobs, life)
        node = Workspaces(db, blobs, sandboxes := processes())
        await ran(node, thread, "x = 1; open('old', 'w').write('old'); open('gone', 'w').write('gone')")
        life.left = steps
        with suppress(asyncio.CancelledError):
            await ran_with_pictures(node, thread, file)
            finished = life.left >= 0
        life.left = 1 << 30
        assert sandboxes.held == set()
        kept = await room.kept(thread)
        assert kept in (BEFORE, AFTER), steps
        outcomes.add("before" if kept == BEFORE else "after")
        code = "print(open('old').read(), open('in.txt').read(), 'x' in globals())"
        notes, read = await ran(node, thread, code, [file])
        # It was told if, and only if, the variables are gone.
        assert notes in ([], [STATE_GONE])
        assert read == f"{kept['old'].decode()} input {not notes}\n"
        assert await room.kept(thread) == kept
        await room.check_blobs()
        await room.delete_thread(thread)
        steps += 1
    assert outcomes == {"before", "after"}
    assert steps > 40


async def ran_with_pictures(node: Workspaces, thread: str, file: str) -> None:
    async with node.open(thread, PROJECT, [file]) as workspace:
        shown = [output async for output in workspace.run(CODE)]
        assert len(shown) == 1, shown


async def test_a_picture_is_whole_or_not_there(room: Room, processes: Processes) -> None:
    thread = await room.thread()
    async with room.node(processes()).open(thread, PROJECT, []) as workspace:
        (image,) = [output async for output in workspace.run("show()")]
    assert await room.content(image.file_id) == PNG
