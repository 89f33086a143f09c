"""Vector stores, their files and batches on the wire."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta, UnsetType

from assistd.errors import APIError
from assistd.web.wire import Metadata, RequestBody

MAX_FILES = 10_000  # in one store
MAX_FILES_AT_CREATION = 500
MAX_BATCH = 2_000

FileStatus = Literal["in_progress", "completed", "failed", "cancelled"]

_Number = Annotated[int, Meta(ge=-(2**63) + 1, le=2**63 - 1)] | float
Attributes = Annotated[
    dict[Annotated[str, Meta(max_length=64)], Annotated[str, Meta(max_length=512)] | bool | _Number],
    Meta(max_length=16),
]


# --- what comes in


class ChunkSizes(RequestBody, frozen=True):
    """How long the passages of a file are and how much neighbours share, in tokens."""

    max_chunk_size_tokens: Annotated[int, Meta(ge=100, le=4096)]
    chunk_overlap_tokens: Annotated[int, Meta(ge=0)]


DEFAULT_SIZES = ChunkSizes(800, 400)


class AutoChunking(RequestBody, frozen=True, tag_field="type", tag="auto"):
    """The default sizes."""


class StaticChunking(RequestBody, frozen=True, tag_field="type", tag="static"):
    """Sizes of the caller's own."""

    static: ChunkSizes


ChunkingStrategy = AutoChunking | StaticChunking


class ExpiresAfter(RequestBody, frozen=True):
    """Without use for so many days, a store expires."""

    anchor: Literal["last_active_at"]
    days: Annotated[int, Meta(ge=1, le=365)]


class CreateVectorStore(RequestBody, frozen=True, kw_only=True):
    """A new vector store, maybe with files."""

    name: str | None = None
    description: str | None = None
    file_ids: Annotated[list[str], Meta(max_length=MAX_FILES_AT_CREATION)] | None = None
    chunking_strategy: ChunkingStrategy | None = None
    expires_after: ExpiresAfter | None = None
    metadata: Metadata | None = None


class ModifyVectorStore(RequestBody, frozen=True, kw_only=True):
    """Changes to a vector store. What is absent stays as it is; name and policy may be null, and metadata may not."""

    name: str | UnsetType | None = msgspec.UNSET
    expires_after: ExpiresAfter | UnsetType | None = msgspec.UNSET
    metadata: Metadata | None = None


class AttachFile(RequestBody, frozen=True):
    """A file to put into a vector store."""

    file_id: str
    attributes: Attributes | None = None
    chunking_strategy: ChunkingStrategy | None = None


class UpdateAttributes(RequestBody, frozen=True):
    """The attributes of a vector store's file, as a whole; null for none."""

    attributes: Attributes | None


class CreateFileBatch(RequestBody, frozen=True, kw_only=True):
    """Files to put into a vector store together: by id, all alike, or each with its own attributes and chunking."""

    file_ids: Annotated[list[str], Meta(min_length=1, max_length=MAX_BATCH)] | None = None
    files: Annotated[list[AttachFile], Meta(min_length=1, max_length=MAX_BATCH)] | None = None
    attributes: Attributes | None = None
    chunking_strategy: ChunkingStrategy | None = None


# --- what goes out


class FileCounts(msgspec.Struct, frozen=True, kw_only=True):
    """Files by status."""

    in_progress: int = 0
    completed: int = 0
    failed: int = 0
    cancelled: int = 0
    total: int = 0


class VectorStore(msgspec.Struct, frozen=True, kw_only=True):
    """A vector store as clients see it."""

    id: str
    object: Literal["vector_store"] = "vector_store"
    created_at: int
    name: str | None
    description: str | None
    usage_bytes: int
    file_counts: FileCounts
    status: Literal["in_progress", "completed", "expired"]
    expires_after: ExpiresAfter | None
    expires_at: int | None
    last_active_at: int
    metadata: msgspec.Raw


class VectorStoreFile(msgspec.Struct, frozen=True, kw_only=True):
    """A file of a vector store as clients see it. Its id is the file's own."""

    id: str
    object: Literal["vector_store.file"] = "vector_store.file"
    usage_bytes: int
    created_at: int
    vector_store_id: str
    status: FileStatus
    last_error: msgspec.Raw | None
    chunking_strategy: msgspec.Raw
    attributes: msgspec.Raw


class FileBatch(msgspec.Struct, frozen=True, kw_only=True):
    """A file batch as clients see it. The schema spells its `object` otherwise; the service never did."""

    id: str
    object: Literal["vector_store.file_batch"] = "vector_store.file_batch"
    created_at: int
    vector_store_id: str
    status: FileStatus
    file_counts: FileCounts


class Text(msgspec.Struct, frozen=True):
    """A piece of a document's text."""

    text: str
    type: Literal["text"] = "text"


class FileContent(msgspec.Struct, frozen=True):
    """A document's text, all of it: the pages of the official clients know no next one."""

    data: list[Text]
    has_more: bool = False
    next_page: str | None = None
    object: Literal["vector_store.file_content.page"] = "vector_store.file_content.page"


# --- what the schema cannot say


class NewFile(msgspec.Struct, frozen=True):
    """A file to put into a store, checked. Without sizes or attributes, those that it has stay, or the defaults."""

    file_id: str
    attributes: Attributes | None = None
    sizes: ChunkSizes | None = None


def sizes_of(strategy: ChunkingStrategy | None, path: str = "chunking_strategy") -> ChunkSizes | None:
    """Return the chunk sizes that a request asks for. Raises APIError where neighbours share more than half."""
    if not isinstance(strategy, StaticChunking):
        return None if strategy is None else DEFAULT_SIZES
    sizes = strategy.static
    most = sizes.max_chunk_size_tokens // 2
    if sizes.chunk_overlap_tokens > most:
        param = f"{path}.static.chunk_overlap_tokens"
        raise APIError(
            f"Invalid '{param}': integer above maximum value. Expected a value <= {most} (half of "
            f"max_chunk_size_tokens), but got {sizes.chunk_overlap_tokens} instead.",
            param=param,
            code="integer_above_max_value",
        )
    return sizes


def file_of_request(new: AttachFile, path: str = "") -> NewFile:
    """Return the file that a request names. Raises APIError for chunk sizes that cannot be."""
    return NewFile(new.file_id, new.attributes, sizes_of(new.chunking_strategy, path + "chunking_strategy"))


def files_of_batch(new: CreateFileBatch) -> list[NewFile]:
    """Return the files of a new batch. Raises APIError unless they are given in one of the two ways."""
    if new.file_ids is None and new.files is None:
        raise APIError("Missing required parameter: 'file_ids'.", param="file_ids", code="missing_required_parameter")
    if new.file_ids is not None and new.files is not None:
        raise APIError(
            "Mutually exclusive parameters: 'file_ids' and 'files'. Ensure you are only providing one of: "
            "'file_ids' or 'files'.",
            param="files",
            code="mutually_exclusive_parameters",
        )
    if new.files is not None:
        return [file_of_request(file, f"files[{at}].") for at, file in enumerate(new.files)]
    sizes = sizes_of(new.chunking_strategy)
    return [NewFile(id, new.attributes, sizes) for id in new.file_ids or ()]


def shown_sizes(sizes: ChunkSizes) -> dict[str, Any]:
    """Return chunk sizes as they are shown, and kept."""
    return msgspec.to_builtins(StaticChunking(sizes))  # type: ignore[no-any-return]
