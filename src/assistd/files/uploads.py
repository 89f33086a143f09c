"""The uploads' endpoints: a file that comes in parts. They want no `OpenAI-Beta` header, as files."""

from __future__ import annotations

import asyncio
import hashlib

from assistd import errors
from assistd.db.pool import Database
from assistd.files import intake, multipart
from assistd.files import upload_store as store
from assistd.files.blobs import Blobs
from assistd.files.multipart import Form
from assistd.files.names import check_name
from assistd.files.wire import (
    MAX_PART_BYTES,
    CompleteUpload,
    CreateUpload,
    NoFields,
    Upload,
    UploadPart,
)
from assistd.web.endpoint import Path
from assistd.web.request import Request


def paths(db: Database, blobs: Blobs) -> list[Path]:
    """Return the room's paths, served from this database and this blob store."""
    uploads = Uploads(db, blobs)
    return [
        Path("/uploads", {"POST": uploads.create}, beta=False),
        Path("/uploads/{upload_id}/parts", {"POST": uploads.add_part}, beta=False, streamed=True),
        Path("/uploads/{upload_id}/complete", {"POST": uploads.complete}, beta=False),
        Path("/uploads/{upload_id}/cancel", {"POST": uploads.cancel}, beta=False),
    ]


class Uploads:
    """The handlers of `/uploads`."""

    def __init__(self, db: Database, blobs: Blobs) -> None:
        self._db = db
        self._blobs = blobs

    async def create(self, request: Request) -> Upload:
        new = request.body(CreateUpload)
        filename = check_name(new.filename, "filename")
        async with self._db.acquire() as conn:
            return await store.create(conn, request.project_id, filename, new)

    async def add_part(self, request: Request) -> UploadPart:
        id = request.path["upload_id"]
        async with self._db.acquire() as conn:
            await store.check_takes_parts(conn, request.project_id, id)
        too_large = errors.file_too_large("data", MAX_PART_BYTES)
        body = request.stream(MAX_PART_BYTES + multipart.OVERHEAD_BYTES, too_large)
        form = Form(request.headers, body, "data")
        part = await form.open()
        chunks = intake.bounded(part.chunks(), MAX_PART_BYTES, too_large)
        async with intake.take_in(self._db, self._blobs, chunks) as blob:
            await form.finish()
            multipart.decode_fields(form.fields, NoFields)
            if blob.size == 0:
                raise errors.file_is_empty("data")
            async with self._db.transaction() as conn:
                return await store.add_part(conn, request.project_id, id, blob)

    async def complete(self, request: Request) -> Upload:
        id, asked = request.path["upload_id"], request.body(CompleteUpload)
        if asked.md5 is not None:
            # Before the transaction, for it takes long. Parts do not change, so it still holds inside.
            async with self._db.acquire() as conn:
                blobs = await store.blobs_of(conn, request.project_id, id, asked.part_ids)
            found = await self._md5(blobs)
            if found != asked.md5.strip().lower():
                raise errors.wrong_md5(asked.md5, found)
        async with self._db.transaction() as conn:
            return await store.complete(conn, request.project_id, id, asked.part_ids)

    async def cancel(self, request: Request) -> Upload:
        async with self._db.transaction() as conn:
            return await store.cancel(conn, request.project_id, request.path["upload_id"])

    async def _md5(self, keys: list[str]) -> str:
        checksum = hashlib.md5(usedforsecurity=False)
        async for chunk in self._blobs.read(keys):
            await asyncio.to_thread(checksum.update, chunk)
        return checksum.hexdigest()
