"""Files and uploads on the wire."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from assistd.web.wire import RequestBody

# What a client may give a file, in the order in which the original service lists them.
PURPOSES = ("fine-tune", "assistants", "batch", "user_data", "vision", "evals")
# What only the server makes.
OUTPUT_PURPOSE = "assistants_output"
# What was given is not given back: it would be the user's way to content that an application holds.
NOT_DOWNLOADABLE = frozenset({"assistants", "user_data"})

MAX_FILE_BYTES = 512 * 1024 * 1024
MAX_PART_BYTES = 64 * 1024 * 1024
MAX_UPLOAD_BYTES = 8 * 1024 * 1024 * 1024
MAX_PARTS = 10_000

_BATCH_EXPIRES_SECONDS = 30 * 86_400


class File(msgspec.Struct, frozen=True, kw_only=True):
    """A file as clients see it. `status` is deprecated there, and a file that is kept is always processed."""

    id: str
    object: Literal["file"] = "file"
    bytes: int
    created_at: int
    expires_at: int | None
    filename: str
    purpose: str
    status: Literal["processed"] = "processed"
    status_details: None = None


class StoredFile(msgspec.Struct, frozen=True, kw_only=True):
    """A file as other rooms use it: `blobs` are the keys whose content, one after the other, is the file's."""

    id: str
    filename: str
    bytes: int
    purpose: str
    blobs: list[str]


class ExpiresAfter(RequestBody, frozen=True):
    """When a file goes away by itself: so many seconds after it was created."""

    anchor: Literal["created_at"]
    seconds: Annotated[int, Meta(ge=3600, le=2_592_000)]


class FileFields(RequestBody, frozen=True):
    """The fields of a form that brings a file, besides the file."""

    purpose: str
    expires_after: ExpiresAfter | None = None


class NoFields(RequestBody, frozen=True):
    """The fields of a form that brings a part of an upload: none besides the part."""


class CreateUpload(RequestBody, frozen=True, kw_only=True):
    """An upload to come in parts."""

    filename: Annotated[str, Meta(min_length=1)]
    purpose: Literal["fine-tune", "assistants", "batch", "user_data", "vision", "evals"]
    bytes: Annotated[int, Meta(ge=1, le=MAX_UPLOAD_BYTES)]
    mime_type: Annotated[str, Meta(min_length=1, max_length=255)]
    expires_after: ExpiresAfter | None = None


class CompleteUpload(RequestBody, frozen=True):
    """The parts of an upload in their order, and what their content should be."""

    part_ids: Annotated[list[str], Meta(min_length=1, max_length=MAX_PARTS)]
    md5: str | None = None


class Upload(msgspec.Struct, frozen=True, kw_only=True):
    """An upload as clients see it; `file` is there when it is completed."""

    id: str
    object: Literal["upload"] = "upload"
    bytes: int
    created_at: int
    filename: str
    purpose: str
    status: str
    expires_at: int
    file: File | None = None


class UploadPart(msgspec.Struct, frozen=True, kw_only=True):
    """A part of an upload."""

    id: str
    object: Literal["upload.part"] = "upload.part"
    created_at: int
    upload_id: str


def lifetime(purpose: str, expires_after: ExpiresAfter | None) -> int | None:
    """After how many seconds a file expires, None for never: batch files do by default."""
    if expires_after is not None:
        return expires_after.seconds
    return _BATCH_EXPIRES_SECONDS if purpose == "batch" else None
