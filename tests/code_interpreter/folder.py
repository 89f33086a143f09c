"""A session without walls, for tests of what happens around it: a folder, and `exec` in this process.

It has the face of a real one. `print`, open files below the folder, `show()` for a picture; `die()` ends it.
"""

from __future__ import annotations

import asyncio
import contextlib
import io
import os
import secrets
import tempfile
import traceback
import warnings
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from assistd.sandbox.faults import SandboxFull, SandboxRefused, SessionLost
from assistd.sandbox.outputs import Logs, Output, Picture
from assistd.sandbox.session import SandboxFile

PNG = b"\x89PNG\r\n\x1a\n a picture"


class FolderSession:
    """One session; `disk` is how many bytes it holds."""

    def __init__(self, disk: int = 1 << 20) -> None:
        self.id = secrets.token_hex(12)
        self.alive = True
        self._why = "The session was closed."
        self.disk = disk
        self.sent: list[tuple[str, str]] = []  # what was asked of it: (what, path)
        self._folder = tempfile.TemporaryDirectory()
        self.root = Path(self._folder.name).resolve()
        self._shown: list[Output] = []
        self._names: dict[str, Any] = {"show": lambda: self._shown.append(Picture(PNG)), "die": self._die}

    def rest(self) -> None:
        """Do nothing, which is what it does anyway."""

    def wake(self) -> None:
        """Do nothing."""

    def end(self, reason: str) -> None:
        """End it, as the watch on its memory does."""
        self.alive = False
        self._why = reason

    def _die(self) -> None:
        self.end("The session was ended: it used more memory than 1,000 MB.")
        self._check()

    def _check(self) -> None:
        if not self.alive:
            raise SessionLost(self._why)

    async def run(self, code: str) -> AsyncIterator[Output]:
        self._check()
        before, self._shown = Path.cwd(), []
        printed = io.StringIO()
        os.chdir(self.root)
        try:
            with contextlib.redirect_stdout(printed), warnings.catch_warnings():
                warnings.simplefilter("ignore", ResourceWarning)  # `open(...).write(...)` is fine here
                exec(code, self._names)
        except SessionLost:
            raise
        except Exception:
            printed.write(traceback.format_exc())
        finally:
            os.chdir(before)
        await asyncio.sleep(0)
        if printed.getvalue():
            yield Logs(printed.getvalue())
        for output in self._shown:
            yield output

    async def put(self, path: str, chunks: AsyncIterator[bytes], size: int) -> SandboxFile:
        self._check()
        self.sent.append(("put", path))
        if size + sum(file.size for file in await self.files()) > self.disk:
            raise SandboxFull
        content = b"".join([chunk async for chunk in chunks])
        place = self.root / path
        place.parent.mkdir(parents=True, exist_ok=True)
        beside = place.with_name(".partial")
        beside.write_bytes(content)
        beside.replace(place)
        return self._file(place)

    async def link(self, path: str, target: str) -> None:
        self._check()
        self.sent.append(("link", path))
        place = self.root / path
        if place.is_symlink():
            place.unlink()
        if not place.exists():
            place.symlink_to(self.root / target)

    async def remove(self, path: str) -> None:
        self._check()
        self.sent.append(("remove", path))
        try:
            (self.root / path).unlink(missing_ok=True)
        except OSError as fault:
            raise SandboxRefused(str(fault)) from fault

    async def files(self) -> list[SandboxFile]:
        self._check()
        return [self._file(path) for path in self.root.rglob("*") if path.is_file() and not path.is_symlink()]

    async def read(self, path: str) -> AsyncIterator[bytes]:
        self._check()
        self.sent.append(("read", path))
        try:
            content = (self.root / path).read_bytes()
        except OSError as fault:
            raise SandboxRefused(str(fault)) from fault
        for start in range(0, len(content), 1 << 16):
            yield content[start : start + (1 << 16)]

    async def close(self) -> None:
        self.alive = False
        self._folder.cleanup()

    def _file(self, path: Path) -> SandboxFile:
        seen = path.stat()
        return SandboxFile(str(path.relative_to(self.root)), seen.st_size, seen.st_mtime_ns)


class FolderSandboxes:
    """The sandboxes of one process: one session an owner."""

    def __init__(self, disk: int = 1 << 20) -> None:
        self.disk = disk
        self.sessions: dict[str, FolderSession] = {}
        self.held: set[str] = set()
        self._locks: dict[str, asyncio.Lock] = {}

    @asynccontextmanager
    async def hold(self, owner: str, project_id: str, *, comes_back: bool = False) -> AsyncIterator[FolderSession]:
        async with self._locks.setdefault(owner, asyncio.Lock()):
            session = self.sessions.get(owner)
            if session is None or not session.alive:
                session = self.sessions[owner] = FolderSession(self.disk)
            self.held.add(owner)
            try:
                yield session
            finally:
                self.held.discard(owner)

    async def drop(self, owner: str) -> None:
        session = self.sessions.pop(owner, None)
        if session is not None:
            await session.close()

    async def close(self) -> None:
        for owner in list(self.sessions):
            await self.drop(owner)
