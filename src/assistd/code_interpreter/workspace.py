"""A thread's workspace: a sandbox session with the thread's files, in which the code of its runs is run.

Variables live in one session of one process, and go with it. Files are kept: every session of the thread, on
whatever machine, finds those that the code of earlier ones wrote.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import AsyncExitStack, aclosing, asynccontextmanager

import msgspec
import structlog

from assistd import ids
from assistd.code_interpreter import keeping, layout, store
from assistd.code_interpreter.disk import Disk, Wanted
from assistd.code_interpreter.store import Superseded
from assistd.db.pool import Database
from assistd.files import intake
from assistd.files import store as files
from assistd.files.blobs import Blobs, BlobsUnavailable
from assistd.files.wire import OUTPUT_PURPOSE
from assistd.sandbox.faults import SandboxUnavailable, SessionLost
from assistd.sandbox.limits import Limits
from assistd.sandbox.outputs import Logs, Picture
from assistd.sandbox.pool import Sandboxes
from assistd.sandbox.session import Session

log = structlog.get_logger("assistd.code_interpreter")

# How often a session may end, or be another's already, before it is of any use.
_TRIES = 3

STATE_GONE = "The earlier session has ended: variables and imports are gone. Files in /mnt/data are still there."


class Image(msgspec.Struct, frozen=True):
    """A picture that the code showed, kept as a file of purpose `assistants_output`."""

    file_id: str


class Workspaces:
    """The workspaces of threads, over the sandboxes of this process.

    `worker` is how other processes know this one, `limits` are those of each session.
    """

    def __init__(
        self, db: Database, blobs: Blobs, sandboxes: Sandboxes, worker: str = "", limits: Limits | None = None
    ) -> None:
        self.db = db
        self.blobs = blobs
        self.sandboxes = sandboxes
        self.worker = worker
        self._limits = limits or Limits()
        self._disks: dict[str, Disk] = {}

    @asynccontextmanager
    async def open(self, thread_id: str, project_id: str, file_ids: Sequence[str]) -> AsyncIterator[Workspace]:
        """Open a thread's workspace with these files, of those the project has; waits for room.

        It is kept for the thread's next call until `done`. Raises SandboxUnavailable; APIError (404) where the thread
        is gone.
        """
        workspace = Workspace(self, thread_id, project_id, file_ids)
        try:
            await workspace.begin()
            yield workspace
        finally:
            await workspace.leave()

    def done(self, thread_id: str) -> None:
        """Say that no call of the thread is to come soon: its session may make room for others."""
        self.sandboxes.done(thread_id)

    def known(self, thread_id: str, session: Session) -> Disk | None:
        """Return what this process knows of a session's disk, if the session was the thread's before."""
        disk = self._disks.get(thread_id)
        return disk if disk is not None and disk.session is session else None

    def meet(self, thread_id: str, session: Session) -> Disk:
        """Begin to know a session's disk; what is known of sessions that have ended is forgotten."""
        self._disks = {id: disk for id, disk in self._disks.items() if disk.session.alive}
        disk = self._disks[thread_id] = Disk(session, self._limits)
        return disk


class Workspace:
    """A thread's session, held, with its files in place.

    `notes` are sentences that the model must be told: that earlier variables are gone, which files are not there.
    """

    def __init__(self, home: Workspaces, thread_id: str, project_id: str, file_ids: Sequence[str]) -> None:
        self.notes: list[str] = []
        self._home = home
        self._thread_id = thread_id
        self._project_id = project_id
        self._file_ids = file_ids
        self._hold = AsyncExitStack()
        self._disk: Disk | None = None
        self._running = False

    async def begin(self) -> None:
        """Hold a session and make its disk ready. Raises as `Workspaces.open`."""
        state_gone, notes = await self._begin()
        self.notes = [STATE_GONE, *notes] if state_gone else notes

    async def leave(self) -> None:
        """Let the session go, for the thread's next run; one that is in the middle of code is ended."""
        if self._running:
            await self._end_session()
        else:
            await self._hold.aclose()

    async def run(self, code: str) -> AsyncGenerator[Logs | Image, None]:
        """Run code, and yield what it shows as it comes. Before the end, the files that it wrote are kept.

        Where the session ends, that is told in Logs, and the next run has a new one. Who stops listening before the
        end ends the session.
        """
        told = _Told()
        self._running = True
        try:
            for line in await self._ensure_session():
                yield told.line(line)
            if self._disk is not None:
                async with aclosing(self._run(self._disk, code, told)) as shown:
                    async for piece in shown:
                        yield piece
            self._running = False
        finally:
            if self._running:
                self._running = False
                await self._end_session()

    async def _run(self, disk: Disk, code: str, told: _Told) -> AsyncGenerator[Logs | Image, None]:
        await disk.settle()
        try:
            async for output in disk.session.run(code):
                yield told.piece(output) if isinstance(output, Logs) else await self._image(disk.session, output, told)
            for line in await keeping.keep(self._home.db, self._home.blobs, disk, self._project_id, self._thread_id):
                yield told.line(line)
        except SessionLost as lost:
            log.info("session lost", thread_id=self._thread_id, reason=lost.reason)
            await self._end_session()
            words = f"{lost.reason} Variables are gone; files saved by earlier calls are still in /mnt/data."
            yield told.line(f"[{words}]")
        except Superseded as fault:
            await self._end_session()
            yield told.line(f"[{fault.message}]")

    async def _image(self, session: Session, picture: Picture, told: _Told) -> Logs | Image:
        async def chunks() -> AsyncIterator[bytes]:
            yield picture.data

        name = f"{ids.new('', 8)}.png"
        try:
            async with (
                intake.take_in(self._home.db, self._home.blobs, chunks()) as blob,
                self._home.db.transaction() as conn,
            ):
                await store.hold_session(conn, self._project_id, self._thread_id, session.id)
                file = await files.create(conn, self._project_id, name, OUTPUT_PURPOSE, blob)
        except BlobsUnavailable:
            return told.line("[A picture is lost: the store of files is out of reach.]")
        return Image(file.id)

    # --- the session

    async def _ensure_session(self) -> list[str]:
        """Begin anew where an earlier run lost the session. Returns lines for the model."""
        if self._disk is not None:
            return []
        try:
            # That its variables are gone was told when it was lost.
            _, notes = await self._begin()
            return notes
        except SandboxUnavailable as fault:
            return [f"The code interpreter is unavailable on this server: {fault.reason}"]

    async def _begin(self) -> tuple[bool, list[str]]:
        """Hold a session that may go on where the thread's last one was. Returns whether variables are gone, notes."""
        reason = ""
        for _ in range(_TRIES):
            try:
                session = await self._hold.enter_async_context(
                    self._home.sandboxes.hold(self._thread_id, self._project_id, comes_back=True)
                )
                entered = await self._enter(session)
                if entered is not None:
                    return entered
            except SessionLost as lost:
                reason = lost.reason
            except SandboxUnavailable:
                raise
            except BaseException:
                await self._end_session()
                raise
            await self._end_session()
        raise SandboxUnavailable(f"Its sandboxes end before they can be used. {reason}".strip())

    async def _enter(self, session: Session) -> tuple[bool, list[str]] | None:
        """Make the session the thread's, and its disk ready; None where another process has run code since."""
        disk = self._home.known(self._thread_id, session)
        async with self._home.db.transaction() as conn:
            earlier = await store.earlier_session(conn, self._project_id, self._thread_id)
            if disk is not None and earlier != session.id:
                return None
            given = await files.find(conn, self._project_id, self._file_ids)
            kept = await store.kept(conn, self._thread_id)
            names = layout.names(given, [file.path for file in kept])
            if disk is None:
                disk = self._home.meet(self._thread_id, session)
            await store.take_session(conn, self._thread_id, session.id, self._home.worker, names)
        found = {file.id for file in given}
        missing = [id for id in self._file_ids if id not in found]
        notes = await disk.make(self._home.blobs, Wanted(given, missing, names, kept))
        self._disk = disk
        return earlier not in (None, session.id), notes

    async def _end_session(self) -> None:
        """End the session and let go of it, whatever happens meanwhile."""
        self._disk = None
        ending = asyncio.ensure_future(self._home.sandboxes.drop(self._thread_id))
        try:
            await asyncio.shield(ending)
        finally:
            await self._hold.aclose()


class _Told:
    """What a call has shown so far: whether a line of ours must begin a new one."""

    def __init__(self) -> None:
        self._open = False

    def piece(self, logs: Logs) -> Logs:
        self._open = not logs.text.endswith("\n")
        return logs

    def line(self, text: str) -> Logs:
        begin = "\n" if self._open else ""
        self._open = False
        return Logs(f"{begin}{text}\n")
