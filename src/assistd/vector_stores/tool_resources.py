"""What the tools of an assistant or a thread may use: files, and a vector store, named or made on the way."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

from msgspec import Meta

from assistd.errors import APIError
from assistd.files import store as files
from assistd.vector_stores import store
from assistd.vector_stores.wire import ChunkingStrategy, CreateVectorStore, ExpiresAfter
from assistd.web.request import check_id
from assistd.web.wire import Metadata, RequestBody

MAX_CODE_FILES = 20

# A store that was made for a thread goes when the thread has been left alone for so long.
THREAD_STORE_DAYS = 7


class CodeInterpreterResources(RequestBody, frozen=True):
    """Files that the code interpreter sees."""

    file_ids: Annotated[list[str], Meta(max_length=MAX_CODE_FILES)] | None = None


class NewVectorStore(RequestBody, frozen=True):
    """A vector store to be made together with the object."""

    file_ids: Annotated[list[str], Meta(max_length=10_000)] | None = None
    chunking_strategy: ChunkingStrategy | None = None
    expires_after: ExpiresAfter | None = None
    metadata: Metadata | None = None


class FileSearchResources(RequestBody, frozen=True):
    """The vector store that file search looks into."""

    vector_store_ids: Annotated[list[str], Meta(max_length=1)] | None = None
    vector_stores: Annotated[list[NewVectorStore], Meta(max_length=1)] | None = None


class ToolResources(RequestBody, frozen=True):
    """What the tools of an assistant or thread may use."""

    code_interpreter: CodeInterpreterResources | None = None
    file_search: FileSearchResources | None = None


async def settle(
    conn: Any, project_id: str, resources: ToolResources | None, embedding_model: str, *, days: int | None = None
) -> dict[str, Any]:
    """Return tool resources as they are kept and shown; makes the vector stores that are asked for.

    `days`: after how many days without use a store made here expires, unless the request says. Run it in a
    transaction where `resources` is not None. Raises APIError for files and stores that are not there.
    """
    shown: dict[str, Any] = {}
    if resources is None:
        return shown
    if resources.code_interpreter is not None:
        file_ids = resources.code_interpreter.file_ids or []
        await files.require(conn, project_id, file_ids)
        shown["code_interpreter"] = {"file_ids": file_ids}
    if resources.file_search is not None:
        ids = await _stores(conn, project_id, resources.file_search, embedding_model, days)
        shown["file_search"] = {"vector_store_ids": ids}
    return shown


async def _stores(
    conn: Any, project_id: str, wanted: FileSearchResources, embedding_model: str, days: int | None
) -> list[str]:
    if wanted.vector_stores and wanted.vector_store_ids:
        raise APIError(
            "Only one of 'vector_store_ids' and 'vector_stores' can be given.",
            param="tool_resources.file_search",
            code="invalid_value",
        )
    if wanted.vector_stores:
        return [await _make(conn, project_id, new, embedding_model, days) for new in wanted.vector_stores]
    ids = wanted.vector_store_ids or []
    for id in ids:
        check_id("vector_store_id", id)
    await store.require_usable(conn, project_id, ids)
    return ids


async def _make(conn: Any, project_id: str, new: NewVectorStore, embedding_model: str, days: int | None) -> str:
    policy = new.expires_after
    if policy is None and days is not None:
        policy = ExpiresAfter(anchor="last_active_at", days=days)
    made = await store.create(
        conn,
        project_id,
        CreateVectorStore(
            file_ids=new.file_ids,
            chunking_strategy=new.chunking_strategy,
            expires_after=policy,
            metadata=new.metadata,
        ),
        embedding_model,
    )
    return made.id


def with_defaults_for(tools: Sequence[dict[str, Any]], resources: dict[str, Any]) -> dict[str, Any]:
    """Add the empty resources that the service shows for every enabled tool."""
    enabled = {tool["type"] for tool in tools}
    shown = dict(resources)
    if "code_interpreter" in enabled:
        shown.setdefault("code_interpreter", {"file_ids": []})
    if "file_search" in enabled:
        shown.setdefault("file_search", {"vector_store_ids": []})
    return shown
