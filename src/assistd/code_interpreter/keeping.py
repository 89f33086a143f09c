"""After the code has run: what it wrote to /mnt/data is kept for later sessions."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack

import msgspec

from assistd.code_interpreter import store
from assistd.code_interpreter.disk import Disk, first_of, in_words
from assistd.code_interpreter.store import KeptFile, NewContent
from assistd.db.pool import Database
from assistd.files import intake
from assistd.files.blobs import Blobs, BlobsUnavailable
from assistd.sandbox.faults import SandboxRefused
from assistd.sandbox.session import SandboxFile

# Of a thread.
MOST_FILES = 1_000

_MOST_NAMED = 5


class _Refused(msgspec.Struct):
    """Files that were not kept, by the reason."""

    files: dict[str, list[SandboxFile]] = msgspec.field(default_factory=dict)

    def add(self, reason: str, file: SandboxFile) -> None:
        """Take one more in."""
        self.files.setdefault(reason, []).append(file)

    def lines(self, disk: Disk) -> list[str]:
        """Return what the model should know of them, once."""
        new = {reason: [file for file in files if disk.refuse(file)] for reason, files in self.files.items()}
        return [f"[Not kept {reason}: {_named(files)}]" for reason, files in new.items() if files]


async def keep(db: Database, blobs: Blobs, disk: Disk, project_id: str, thread_id: str) -> list[str]:
    """Keep what is new or changed on a session's disk, and forget what is gone.

    Returns lines for the model about what could not be kept. The rows change at once, when all content is written.
    Raises SessionLost; Superseded, where nothing was changed.
    """
    refused = _Refused()
    try:
        changed, gone = await disk.look()
    except SandboxRefused as fault:
        return [f"[What is new in /mnt/data is not kept: it could not be listed ({fault})]"]
    wanted = _within_bounds(disk, changed, gone, refused)
    if wanted or gone:
        async with AsyncExitStack() as loose:
            taken: list[tuple[SandboxFile, NewContent]] = []
            for file in wanted:
                if await _is_the_same(disk, file):
                    disk.learn(file, disk.kept[file.path])
                elif (content := await _take_in(db, blobs, disk, file, loose, refused)) is not None:
                    taken.append((file, content))
            if taken or gone:
                async with db.transaction() as conn:
                    await store.hold_session(conn, project_id, thread_id, disk.session.id)
                    await store.change(conn, thread_id, gone, [content for _, content in taken])
        disk.forget(gone)
        for file, content in taken:
            keys = [content.blob.key] if content.blob else []
            disk.learn(file, KeptFile(file.path, content.size, content.digest, keys))
    return refused.lines(disk)


def _within_bounds(
    disk: Disk, changed: Sequence[SandboxFile], gone: Sequence[str], refused: _Refused
) -> list[SandboxFile]:
    """Return the files that may be kept: those that were before come first.

    All that is kept has to fit on one disk. Files with holes in them claim to be larger than what they take.
    """
    most = f"when this session ends, as at most {MOST_FILES:,} files and {in_words(disk.room)} are"
    sizes = {path: kept.size for path, kept in (disk.absent | disk.kept).items() if path not in gone}
    total = sum(sizes.values())
    wanted = []
    for file in sorted(changed, key=lambda file: (file.path not in sizes, file.path)):
        grown = total - sizes.get(file.path, 0) + file.size
        if grown > disk.room or (file.path not in sizes and len(sizes) >= MOST_FILES):
            refused.add(most, file)
            continue
        sizes[file.path], total = file.size, grown
        wanted.append(file)
    return wanted


async def _is_the_same(disk: Disk, file: SandboxFile) -> bool:
    """Whether a file was only written once more. Where it is, it stays the file that clients know."""
    kept = disk.kept.get(file.path)
    if kept is None or kept.size != file.size:
        return False
    digest = hashlib.sha256()
    try:
        async for chunk in disk.read(file.path):
            digest.update(chunk)
    except SandboxRefused:
        return False
    return digest.digest() == kept.digest


async def _take_in(
    db: Database, blobs: Blobs, disk: Disk, file: SandboxFile, loose: AsyncExitStack, refused: _Refused
) -> NewContent | None:
    """Write the content of a file; None where it could not be."""
    digest = hashlib.sha256()

    async def digested(chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        async for chunk in chunks:
            digest.update(chunk)
            yield chunk

    try:
        first, chunks = await first_of(digested(disk.read(file.path)))
        if not first:
            return NewContent(file.path, digest.digest(), None)
        blob = await loose.enter_async_context(intake.take_in(db, blobs, chunks))
    except SandboxRefused as fault:
        refused.add(f"as it could not be read ({fault})", file)
        return None
    except BlobsUnavailable:
        refused.add("as the store of files is out of reach", file)
        return None
    return NewContent(file.path, digest.digest(), blob)


def _named(files: Sequence[SandboxFile]) -> str:
    named = [f"{file.path} ({in_words(file.size)})" for file in files[:_MOST_NAMED]]
    more = len(files) - _MOST_NAMED
    return ", ".join(named) + (f" and {more:,} more" if more > 0 else "")
