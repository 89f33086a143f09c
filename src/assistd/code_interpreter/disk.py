"""What is in the /mnt/data of a session: files that were put there, and what the code made of them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from contextlib import aclosing

import msgspec
import structlog

from assistd.code_interpreter.layout import shown_name
from assistd.code_interpreter.store import KeptFile
from assistd.files.blobs import BlobMissing, Blobs, BlobsUnavailable
from assistd.files.wire import StoredFile
from assistd.sandbox.faults import SandboxFull, SandboxRefused
from assistd.sandbox.limits import MB, Limits
from assistd.sandbox.session import SandboxFile, Session

log = structlog.get_logger("assistd.code_interpreter")

KB = 1 << 10

# File systems of many kernels see two changes as one moment when they are less than this apart, in seconds.
_TICK = 0.01


class Wanted(msgspec.Struct, frozen=True):
    """What is to be there: inputs and their names (`layout.names`), those that are gone, and what the code wrote."""

    inputs: Sequence[StoredFile]
    missing: Sequence[str]
    names: Mapping[str, str]
    kept: Sequence[KeptFile]


class Disk:
    """The disk of one session, as this process knows it. What is known is sent only where it differs.

    `room`: how many bytes it holds.
    """

    def __init__(self, session: Session, limits: Limits) -> None:
        self.session = session
        self.room = limits.disk
        self._most_found = limits.listed
        self._links: dict[str, str] = {}
        self._told: set[str] = set()
        self._settled = 0.0
        # Regular files as they were when they were last put or kept, and all that were there at the last look.
        self._seen: dict[str, SandboxFile] = {}
        self._there: set[str] = set()
        # Files that were not kept as they are, which the model was told.
        self._refused: dict[str, SandboxFile] = {}
        # Inputs that were put here; the code may have changed or removed them since.
        self._inputs: set[str] = set()
        # What is kept of the thread and also here, and what could not be put here.
        self.kept: dict[str, KeptFile] = {}
        self.absent: dict[str, KeptFile] = {}

    # --- in

    async def make(self, blobs: Blobs, wanted: Wanted) -> list[str]:
        """Put there what is to be there and is not, and remove what is not to be there any more.

        Returns what the model should know of files that could not be put there. Raises SessionLost.
        """
        await self._remove_old(wanted)
        notes = []
        # What the code wrote comes first: it was on one disk before, so it fits. Inputs may be more than that.
        for kept in wanted.kept:
            if kept.path not in self.kept:
                notes.append(await self._restore(blobs, kept))
        for file in wanted.inputs:
            notes.append(await self._give(blobs, file))
        for id in wanted.missing:
            notes.append(self._tell(id, f"{id} is no longer there."))
        for name, id in wanted.names.items():
            if name != id and self._links.get(name) != id and id in self._inputs:
                await self._link(name, id)
        return [note for note in notes if note]

    async def _remove_old(self, wanted: Wanted) -> None:
        keeps, inputs = {kept.path for kept in wanted.kept}, {file.id for file in wanted.inputs}
        for path in [path for path in self.kept if path not in keeps]:
            await self._remove(path)
            del self.kept[path]
        self.absent = {path: kept for path, kept in self.absent.items() if path in keeps}
        for id in self._inputs - inputs:
            if id not in keeps:
                await self._remove(id)
            self._inputs.discard(id)
        for name in [name for name, id in self._links.items() if wanted.names.get(name) != id]:
            # Unless the code has put a file of its own there.
            if name not in self._there:
                await self._remove(name)
            del self._links[name]

    async def _restore(self, blobs: Blobs, kept: KeptFile) -> str | None:
        fault = None
        if kept.path not in self._there:  # else something newer is there that could not be kept
            fault = await self._put(kept.path, blobs, kept.blobs, kept.size)
        if fault is None:
            self.kept[kept.path] = kept
            self.absent.pop(kept.path, None)
            return None
        self.absent[kept.path] = kept
        return self._tell(kept.path, f"/mnt/data/{kept.path}, which an earlier session saved, {fault}")

    async def _give(self, blobs: Blobs, file: StoredFile) -> str | None:
        if file.id in self._inputs:
            return None
        fault = None
        if file.id not in self.kept:  # what the code made of it
            fault = await self._put(file.id, blobs, file.blobs, file.bytes)
        if fault is None:
            self._inputs.add(file.id)
            return None
        return self._tell(file.id, f"{file.id} ({shown_name(file.filename)}) {fault}")

    async def _put(self, path: str, blobs: Blobs, keys: Sequence[str], size: int) -> str | None:
        """Put a file there. Returns the end of a sentence where it cannot be done."""
        try:
            async with aclosing(blobs.read(keys)) as chunks:
                self._seen[path] = await self.session.put(path, chunks, size)
            self._settled = time.monotonic() + _TICK
        except SandboxFull:
            return f"has {in_words(size)}, which is more than the code interpreter's disk has left, and is not there."
        except SandboxRefused as fault:
            return f"could not be put there ({fault})."
        except (BlobMissing, BlobsUnavailable) as fault:
            log.warning("file not put into the sandbox", path=path, error=str(fault) or type(fault).__name__)
            return "could not be read and is not there."
        return None

    async def _link(self, name: str, id: str) -> None:
        try:
            await self.session.link(name, id)
        except (SandboxFull, SandboxRefused) as fault:
            log.info("file has no name in the sandbox", id=id, error=str(fault))
            return
        self._links[name] = id

    async def _remove(self, path: str) -> None:
        try:
            await self.session.remove(path)
        except SandboxRefused as fault:  # the code made a folder of it
            log.info("file not removed from the sandbox", path=path, error=str(fault))
        self._seen.pop(path, None)

    def _tell(self, about: str, note: str) -> str | None:
        """Return a note, the first time that it is about this."""
        known = about in self._told
        self._told.add(about)
        return None if known else note

    async def settle(self) -> None:
        """Wait until a file that changes will be seen to have changed."""
        await asyncio.sleep(max(0.0, self._settled - time.monotonic()))

    # --- out

    async def look(self) -> tuple[list[SandboxFile], list[str]]:
        """Return the files that are not as they were, and the paths of kept files that are gone.

        Raises SessionLost, SandboxRefused.
        """
        found = await self.session.files()
        self._there = {file.path for file in found}
        self._refused = {path: file for path, file in self._refused.items() if path in self._there}
        # A list that may have been cut says nothing of what is not on it.
        gone = [path for path in self.kept if path not in self._there] if len(found) < self._most_found else []
        return [file for file in found if self._seen.get(file.path) != file], gone

    def read(self, path: str) -> AsyncIterator[bytes]:
        """Yield the bytes of a file. Raises SandboxRefused where it is gone, SessionLost."""
        return self.session.read(path)

    def forget(self, paths: Sequence[str]) -> None:
        """Take in that files are gone."""
        for path in paths:
            self.kept.pop(path, None)
            self._seen.pop(path, None)

    def learn(self, file: SandboxFile, kept: KeptFile) -> None:
        """Take in that a file is kept as it is now."""
        self._seen[file.path] = file
        self._settled = time.monotonic() + _TICK
        self.kept[file.path] = kept
        self.absent.pop(file.path, None)

    def refuse(self, file: SandboxFile) -> bool:
        """Take in that a file cannot be kept; say whether that is news."""
        known = self._refused.get(file.path) == file
        self._refused[file.path] = file
        return not known


def in_words(size: int) -> str:
    """Return a size as people write it."""
    if size < 10_000:
        return f"{size:,} byte{'' if size == 1 else 's'}"
    return f"{size / KB:,.0f} KB" if size < MB else f"{size / MB:,.0f} MB"


async def first_of(chunks: AsyncIterator[bytes]) -> tuple[bytes, AsyncGenerator[bytes, None]]:
    """Return the first bytes, b"" where there are none, and an iterator over all of them."""
    first = b""
    async for first in chunks:
        if first:
            break

    async def everything() -> AsyncGenerator[bytes, None]:
        if first:
            yield first
        async for chunk in chunks:
            yield chunk

    return first, everything()
