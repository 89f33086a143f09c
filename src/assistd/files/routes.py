"""The files' endpoints. They want no `OpenAI-Beta` header: SDKs send none here."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from urllib.parse import quote

import msgspec

from assistd import errors, ids
from assistd.db.pool import Database
from assistd.files import intake, multipart, store
from assistd.files.blobs import BlobMissing, Blobs
from assistd.files.multipart import Form
from assistd.files.names import base_name, check_name
from assistd.files.wire import (
    MAX_FILE_BYTES,
    NOT_DOWNLOADABLE,
    PURPOSES,
    File,
    FileFields,
    lifetime,
)
from assistd.web.endpoint import Path, Relayed
from assistd.web.request import Request
from assistd.web.wire import Deleted, ListOf

_LIST_LIMIT = 10_000


def paths(db: Database, blobs: Blobs) -> list[Path]:
    """Return the room's paths, served from this database and this blob store."""
    files = Files(db, blobs)
    return [
        Path("/files", {"GET": files.list_page, "POST": files.create}, beta=False, streamed=True),
        Path("/files/{file_id}", {"GET": files.get, "DELETE": files.delete}, beta=False),
        Path("/files/{file_id}/content", {"GET": files.content}, beta=False),
    ]


class Files:
    """The handlers of `/files`."""

    def __init__(self, db: Database, blobs: Blobs) -> None:
        self._db = db
        self._blobs = blobs

    async def create(self, request: Request) -> File:
        too_large = errors.file_too_large("file", MAX_FILE_BYTES)
        body = request.stream(MAX_FILE_BYTES + multipart.OVERHEAD_BYTES, too_large)
        form = Form(request.headers, body, "file")
        file = await form.open()
        filename = check_name(file.filename, "file")
        if "purpose" in form.fields:  # a wrong one is told before a large file is taken in
            _check_purpose(form.fields["purpose"])
        chunks = intake.bounded(file.chunks(), MAX_FILE_BYTES, too_large)
        async with intake.take_in(self._db, self._blobs, chunks) as blob:
            await form.finish()
            fields = multipart.decode_fields(form.fields, FileFields)
            _check_purpose(fields.purpose)
            if blob.size == 0:
                raise errors.file_is_empty("file")
            expires = lifetime(fields.purpose, fields.expires_after)
            async with self._db.transaction() as conn:
                return await store.create(conn, request.project_id, filename, fields.purpose, blob, expires)

    async def list_page(self, request: Request) -> ListOf[File]:
        # There is no `before` here: it counts as nothing, like every parameter that a list does not have.
        page = msgspec.structs.replace(request.page(_LIST_LIMIT, _LIST_LIMIT), before=None)
        purpose = (request.query().get("purpose") or [""])[-1] or None
        if purpose is not None and not ids.is_plain(purpose):
            purpose = "-"  # no file has it, and PostgreSQL is not asked for what it would refuse
        async with self._db.acquire() as conn:
            return await store.list_page(conn, request.project_id, page, purpose)

    async def get(self, request: Request) -> File:
        async with self._db.acquire() as conn:
            return await store.get(conn, request.project_id, request.path["file_id"])

    async def delete(self, request: Request) -> Deleted:
        async with self._db.transaction() as conn:
            return await store.delete(conn, request.project_id, request.path["file_id"])

    async def content(self, request: Request) -> Relayed:
        id = request.path["file_id"]
        async with self._db.acquire() as conn:
            file = await store.get_stored(conn, request.project_id, id)
        if file.purpose in NOT_DOWNLOADABLE:
            raise errors.not_downloadable(file.purpose)
        headers = {"content-length": str(file.bytes), "content-disposition": disposition(file.filename)}
        chunks = self._blobs.read(file.blobs)
        try:
            # The first bytes before the answer's head: until then a fault can still be told.
            first = await anext(chunks, b"")
        except BlobMissing:
            async with self._db.acquire() as conn:
                await store.get(conn, request.project_id, id)  # deleted meanwhile: 404
            raise
        return Relayed(200, "application/octet-stream", headers, _from(first, chunks))


def disposition(filename: str) -> str:
    """The header that lets a browser keep a download under its name, whatever the name has in it, in one folder."""
    name = base_name(filename) or "file"
    plain = "".join(c if " " <= c <= "~" and c not in '"\\%' else "_" for c in name)
    return f"attachment; filename=\"{plain}\"; filename*=UTF-8''{quote(name, safe='')}"


def _check_purpose(purpose: str) -> None:
    if purpose not in PURPOSES:
        raise errors.wrong_purpose(purpose, PURPOSES)


async def _from(first: bytes, rest: AsyncGenerator[bytes, None]) -> AsyncIterator[bytes]:
    async with aclosing(rest):
        yield first
        async for chunk in rest:
            yield chunk
