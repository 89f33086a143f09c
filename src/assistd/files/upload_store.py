"""The uploads' tables: files that come in parts. Functions take the caller's connection, as in `store`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from assistd import errors, ids
from assistd.db import sql
from assistd.files import intake, store
from assistd.files.intake import LooseBlob
from assistd.files.wire import MAX_UPLOAD_BYTES, CreateUpload, File, Upload, UploadPart, lifetime

SQL = sql.load(Path(__file__).with_name("uploads.sql"))

_EXPIRES_SECONDS = 3600


async def create(conn: Any, project_id: str, filename: str, new: CreateUpload) -> Upload:
    """Add an upload, pending for an hour."""
    row = await conn.fetchrow(
        SQL["create"],
        ids.new("upload_"),
        project_id,
        new.bytes,
        filename,
        new.purpose,
        new.mime_type,
        lifetime(new.purpose, new.expires_after),
        _EXPIRES_SECONDS,
    )
    return upload_of(row, row["status"])


async def check_takes_parts(conn: Any, project_id: str, id: str) -> None:
    """Raise APIError where an upload is not there (404) or takes no parts any more (400)."""
    _takes_parts(id, await conn.fetchrow(SQL["get"], id, project_id))


async def add_part(conn: Any, project_id: str, id: str, blob: LooseBlob) -> UploadPart:
    """Add the part that a blob is. Only in a transaction. Raises APIError as `check_takes_parts`, and for too much."""
    _takes_parts(id, await conn.fetchrow(SQL["lock"], id, project_id))
    if await conn.fetchval(SQL["received"], id) + blob.size > MAX_UPLOAD_BYTES:
        raise errors.parts_too_large(MAX_UPLOAD_BYTES)
    await intake.adopt(conn, blob)
    row = await conn.fetchrow(SQL["add_part"], ids.new("part_"), id, blob.size, blob.key)
    return UploadPart(id=row["id"], created_at=row["created_at"], upload_id=row["upload_id"])


async def blobs_of(conn: Any, project_id: str, id: str, part_ids: Sequence[str]) -> list[str]:
    """The blobs of a pending upload's parts in this order. Raises APIError for whatever completing it would refuse."""
    blobs, _ = await _content(conn, id, await conn.fetchrow(SQL["get"], id, project_id), part_ids)
    return blobs


async def complete(conn: Any, project_id: str, id: str, part_ids: Sequence[str]) -> Upload:
    """Make the file of an upload's parts, which takes over their blobs; the other parts go.

    Only in a transaction. Raises APIError (404, or 400 for a state or parts that do not allow it).
    """
    row = await conn.fetchrow(SQL["lock"], id, project_id)
    blobs, size = await _content(conn, id, row, part_ids)
    await conn.execute(SQL["release_parts"], id, list(part_ids))
    await conn.execute(SQL["drop_parts"], id)
    file = await store.create_of(
        conn, project_id, row["filename"], row["purpose"], blobs, size, row["file_expires_seconds"]
    )
    await conn.execute(SQL["set_status"], id, "completed", file.id)
    return upload_of(row, "completed", file)


async def cancel(conn: Any, project_id: str, id: str) -> Upload:
    """Cancel a pending upload; its parts go. Only in a transaction. Raises APIError (404, 400)."""
    row = await conn.fetchrow(SQL["lock"], id, project_id)
    if row is None:
        raise errors.not_found("upload", id)
    if row["shown_status"] != "pending":
        raise errors.cannot_cancel_upload(row["shown_status"])
    await conn.execute(SQL["drop_parts"], id)
    await conn.execute(SQL["set_status"], id, "cancelled", None)
    return upload_of(row, "cancelled")


async def expire(conn: Any, limit: int) -> int:
    """End uploads that are past their time; return how many there were."""
    return len(await conn.fetch(SQL["expire"], limit))


async def _content(conn: Any, id: str, row: Any, part_ids: Sequence[str]) -> tuple[list[str], int]:
    """The blobs of the parts in their order, and their bytes together, if the upload can be completed with them."""
    if row is None:
        raise errors.not_found("upload", id)
    if row["shown_status"] != "pending":
        raise errors.cannot_complete_upload(row["shown_status"])
    asked = [part_id for part_id in part_ids if ids.is_plain(part_id)]
    parts = {part["id"]: part for part in await conn.fetch(SQL["parts"], id, asked)}
    if unknown := [part_id for part_id in part_ids if part_id not in parts]:
        raise errors.unknown_parts(id, unknown[:10])
    twice, count = Counter(part_ids).most_common(1)[0]
    if count > 1:
        raise errors.part_named_twice(twice)
    size = sum(part["bytes"] for part in parts.values())
    if size != row["bytes"]:
        raise errors.wrong_total(row["bytes"], size)
    return [parts[part_id]["blob"] for part_id in part_ids], size


def _takes_parts(id: str, row: Any) -> None:
    if row is None:
        raise errors.not_found("upload", id)
    if row["shown_status"] != "pending":
        raise errors.takes_no_parts(row["shown_status"])


def upload_of(row: Any, status: str, file: File | None = None) -> Upload:
    """Make an upload of its row, in this status."""
    return Upload(
        id=row["id"],
        bytes=row["bytes"],
        created_at=row["created_at"],
        filename=row["filename"],
        purpose=row["purpose"],
        status=status,
        expires_at=row["expires_at"],
        file=file,
    )
