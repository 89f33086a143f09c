"""The endpoints of vector stores, their files and batches. The official clients send the beta header; none needs to."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import get_args

import structlog

from assistd.db.pool import Database
from assistd.errors import APIError
from assistd.vector_stores import batches, files, store
from assistd.vector_stores.wire import (
    AttachFile,
    CreateFileBatch,
    CreateVectorStore,
    FileBatch,
    FileContent,
    FileStatus,
    ModifyVectorStore,
    UpdateAttributes,
    VectorStore,
    VectorStoreFile,
    file_of_request,
)
from assistd.web.endpoint import Path
from assistd.web.request import Request
from assistd.web.wire import Deleted, ListOf

log = structlog.get_logger("assistd.vector_stores")

# Removes what a search index holds of a store, by the store's key.
ForgetStore = Callable[[int], Awaitable[None]]


def paths(db: Database, embedding_model: str, forget_store: ForgetStore) -> list[Path]:
    """Return the room's paths, served from this database.

    `embedding_model` is what new stores remember. `forget_store` is called after a store was deleted.
    """
    return [*_store_paths(db, embedding_model, forget_store), *_file_paths(db), *_batch_paths(db)]


def _store_paths(db: Database, embedding_model: str, forget_store: ForgetStore) -> list[Path]:
    async def create(request: Request) -> VectorStore:
        new = request.body(CreateVectorStore)
        async with db.transaction() as conn:
            return await store.create(conn, request.project_id, new, embedding_model)

    async def list_page(request: Request) -> ListOf[VectorStore]:
        page = request.page()
        async with db.acquire() as conn:
            return await store.list_page(conn, request.project_id, page)

    async def get(request: Request) -> VectorStore:
        async with db.acquire() as conn:
            return await store.get(conn, *_store(request))

    async def modify(request: Request) -> VectorStore:
        change = request.body(ModifyVectorStore)
        async with db.transaction() as conn:
            return await store.modify(conn, *_store(request), change)

    async def delete(request: Request) -> Deleted:
        async with db.transaction() as conn:
            gone = await store.delete(conn, *_store(request))
        try:
            await forget_store(gone.key)
        except Exception as fault:
            # The store is gone all the same.
            log.warning("index of a deleted store not removed", store=gone.answer.id, key=gone.key, error=str(fault))
        return gone.answer

    return [
        Path("/vector_stores", {"GET": list_page, "POST": create}, beta=False),
        Path("/vector_stores/{vector_store_id}", {"GET": get, "POST": modify, "DELETE": delete}, beta=False),
    ]


def _file_paths(db: Database) -> list[Path]:
    async def attach(request: Request) -> VectorStoreFile:
        new = file_of_request(request.body(AttachFile))
        async with db.transaction() as conn:
            (file,) = await files.attach(conn, *_store(request), [new])
            return file

    async def list_page(request: Request) -> ListOf[VectorStoreFile]:
        page, status = request.page(), _status(request)
        async with db.acquire() as conn:
            return await files.list_page(conn, *_store(request), page, status)

    async def get(request: Request) -> VectorStoreFile:
        async with db.acquire() as conn:
            return await files.get(conn, *_file(request))

    async def update(request: Request) -> VectorStoreFile:
        change = request.body(UpdateAttributes)
        async with db.transaction() as conn:
            return await files.update_attributes(conn, *_file(request), change.attributes)

    async def remove(request: Request) -> Deleted:
        async with db.acquire() as conn:
            return await files.remove(conn, *_file(request))

    async def content(request: Request) -> FileContent:
        async with db.acquire() as conn:
            return await files.content(conn, *_file(request))

    of_store = "/vector_stores/{vector_store_id}/files"
    return [
        Path(of_store, {"GET": list_page, "POST": attach}, beta=False),
        Path(of_store + "/{file_id}", {"GET": get, "POST": update, "DELETE": remove}, beta=False),
        Path(of_store + "/{file_id}/content", {"GET": content}, beta=False),
    ]


def _batch_paths(db: Database) -> list[Path]:
    async def create(request: Request) -> FileBatch:
        new = request.body(CreateFileBatch)
        async with db.transaction() as conn:
            return await batches.create(conn, *_store(request), new)

    async def get(request: Request) -> FileBatch:
        async with db.acquire() as conn:
            return await batches.get(conn, *_batch(request))

    async def cancel(request: Request) -> FileBatch:
        async with db.transaction() as conn:
            return await batches.cancel(conn, *_batch(request))

    async def list_files(request: Request) -> ListOf[VectorStoreFile]:
        page, status = request.page(), _status(request)
        async with db.acquire() as conn:
            return await batches.list_files(conn, *_batch(request), page, status)

    of_store = "/vector_stores/{vector_store_id}/file_batches"
    return [
        Path(of_store, {"POST": create}, beta=False),
        Path(of_store + "/{batch_id}", {"GET": get}, beta=False),
        Path(of_store + "/{batch_id}/cancel", {"POST": cancel}, beta=False),
        Path(of_store + "/{batch_id}/files", {"GET": list_files}, beta=False),
    ]


def _store(request: Request) -> tuple[str, str]:
    return request.project_id, request.path["vector_store_id"]


def _file(request: Request) -> tuple[str, str, str]:
    return *_store(request), request.path["file_id"]


def _batch(request: Request) -> tuple[str, str, str]:
    return *_store(request), request.path["batch_id"]


def _status(request: Request) -> FileStatus | None:
    """The status by which a list is filtered."""
    value = request.query().get("filter", [""])[-1]
    statuses: tuple[FileStatus, ...] = get_args(FileStatus)
    for status in statuses:
        if value == status:
            return status
    if value:
        *first, last = (f"'{status}'" for status in statuses)
        raise APIError(
            f"Invalid value: '{value}'. Supported values are: {', '.join(first)}, and {last}.",
            param="filter",
            code="invalid_value",
        )
    return None
