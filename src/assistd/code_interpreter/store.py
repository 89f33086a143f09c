"""The tables of the code interpreter. Every function takes the caller's connection and leaves the transaction to it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from assistd import errors
from assistd.db import sql
from assistd.errors import APIError
from assistd.files import intake
from assistd.files import store as files
from assistd.files.intake import LooseBlob
from assistd.files.wire import NOT_DOWNLOADABLE, OUTPUT_PURPOSE
from assistd.web.wire import to_json

SQL = sql.load(__package__)

# What is said here is the id of a thread that is gone, and with it whose its session is.
CHANNEL = "assistd_code_sessions"


class KeptFile(msgspec.Struct, frozen=True):
    """A file that the code wrote, kept for later sessions. `path` is below /mnt/data, `digest` its SHA-256."""

    path: str
    size: int
    digest: bytes
    blobs: Sequence[str]


class NewContent(msgspec.Struct, frozen=True):
    """What the code wrote under a path; an empty file has no blob."""

    path: str
    digest: bytes
    blob: LooseBlob | None

    @property
    def size(self) -> int:
        """Its bytes."""
        return self.blob.size if self.blob else 0


class Superseded(APIError):
    """The thread is gone, or another session has it: what this one does counts no more."""

    def __init__(self) -> None:
        super().__init__("The thread was deleted, or goes on elsewhere.", status=409)


# --- sessions


async def earlier_session(conn: Any, project_id: str, thread_id: str) -> str | None:
    """Return the session that has the thread's variables, if there was one. Only in a transaction.

    Nobody else can take it before the transaction ends. Raises APIError (404) where the thread is gone.
    """
    if await conn.fetchrow(SQL["lock_thread"], thread_id, project_id) is None:
        raise errors.not_found("thread", thread_id)
    session: str | None = await conn.fetchval(SQL["session"], thread_id)
    return session


async def take_session(conn: Any, thread_id: str, session: str, worker: str, inputs: Mapping[str, str]) -> None:
    """Make a session the thread's. `inputs`: the files that it is given, {name in /mnt/data: file id}."""
    await conn.execute(SQL["take_session"], thread_id, session, worker, to_json(inputs))


async def hold_session(conn: Any, project_id: str, thread_id: str, session: str) -> None:
    """Make sure that a session still is the thread's until the transaction ends. Raises Superseded."""
    if (
        await conn.fetchrow(SQL["lock_thread"], thread_id, project_id) is None
        or await conn.fetchval(SQL["hold_session"], thread_id, session) is None
    ):
        raise Superseded


async def holder(conn: Any, thread_id: str) -> str | None:
    """Return the worker whose process has the thread's variables, as far as is known."""
    worker: str | None = await conn.fetchval(SQL["holder"], thread_id)
    return worker


async def forget_other_holder(conn: Any, thread_id: str, worker: str) -> None:
    """Note that this worker takes a run of the thread because the holder did not when it was asked."""
    await conn.execute(SQL["forget_other_holder"], thread_id, worker)


# --- files


async def kept(conn: Any, thread_id: str) -> list[KeptFile]:
    """Fetch what the thread's code has written, by path."""
    rows = await conn.fetch(SQL["kept"], thread_id)
    return [KeptFile(row["path"], row["bytes"], row["digest"], row["blobs"]) for row in rows]


async def change(conn: Any, thread_id: str, gone: Sequence[str], new: Sequence[NewContent]) -> None:
    """Forget some paths and keep new content under others, which takes over the blobs. Only in a transaction."""
    if gone:
        await conn.execute(SQL["forget"], thread_id, gone)
    for content in new:
        if content.blob is not None:
            await intake.adopt(conn, content.blob)
    if new:
        await conn.execute(
            SQL["keep"],
            thread_id,
            [content.path for content in new],
            [content.size for content in new],
            [content.digest for content in new],
            [content.blob.key if content.blob else None for content in new],
        )


async def paths(conn: Any, thread_id: str) -> list[str]:
    """What an answer may name as `sandbox:/mnt/data/<path>`: files the code wrote, and inputs by id and by name.

    Of the inputs those that clients can download, or that the code has written to.
    """
    return [row["path"] for row in await conn.fetch(SQL["paths"], thread_id, list(NOT_DOWNLOADABLE))]


async def publish(conn: Any, project_id: str, thread_id: str, path: str) -> str | None:
    """Return the id of the file that clients know a path by; what the code wrote becomes one. Only in a transaction.

    The same content is published once. None where there is nothing under this path.
    """
    if await conn.fetchrow(SQL["lock_thread"], thread_id, project_id) is None:
        return None
    input_id = await conn.fetchval(SQL["input"], thread_id, path)
    # What the code writes to an input by its name is kept under its id, which the name is a link to.
    for place in filter(None, (path, input_id)):
        row = await conn.fetchrow(SQL["lock_file"], thread_id, place)
        if row is None:
            continue
        if row["file_id"] is not None:
            published: str = row["file_id"]
            return published
        name = path.rpartition("/")[2]
        file = await files.create_of(conn, project_id, name, OUTPUT_PURPOSE, row["blobs"], row["bytes"])
        await conn.execute(SQL["publish"], thread_id, place, file.id)
        return file.id
    found = await files.find(conn, project_id, [input_id] if input_id else [])
    return found[0].id if found and found[0].purpose not in NOT_DOWNLOADABLE else None


async def inputs(conn: Any, run_resources: msgspec.Raw | None, thread_id: str, assistant_id: str) -> list[str]:
    """Return the files that the code of a run is given, as it is now: the assistant's, then the thread's.

    `run_resources` are the run's own tool resources, which stand in for the assistant's where they name files.
    """
    row = await conn.fetchrow(SQL["resources"], thread_id, assistant_id)
    if row is None:  # the thread is gone, and the run with it
        return []
    own = _file_ids(run_resources) or _file_ids(row["assistant"])
    return list(dict.fromkeys((*own, *_file_ids(row["thread"]))))


def _file_ids(resources: msgspec.Raw | None) -> list[str]:
    if resources is None or bytes(resources) == b"{}":
        return []
    ids: list[str] = (msgspec.json.decode(resources).get("code_interpreter") or {}).get("file_ids") or []
    return ids
