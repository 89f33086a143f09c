"""The files of a v1 assistant as what the tools of a v2 assistant may use."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import suppress
from typing import Any

import msgspec

from assistd.assistants import store as assistants
from assistd.assistants.wire import Assistant, ModifyAssistant
from assistd.errors import APIError
from assistd.files.wire import StoredFile
from assistd.v1.wire import MAX_ASSISTANT_FILES
from assistd.vector_stores import documents
from assistd.vector_stores import files as store_files
from assistd.vector_stores import store as vector_stores
from assistd.vector_stores.tool_resources import (
    CodeInterpreterResources,
    FileSearchResources,
    NewVectorStore,
    ToolResources,
)


async def give(
    conn: Any,
    project_id: str,
    assistant: Assistant,
    given: Sequence[StoredFile],
    taken: Sequence[str],
    embedding_model: str,
    more_tools: Iterable[str] = (),
) -> Assistant:
    """Let the tools that an assistant has, and `more_tools`, use the files `given`, and not those `taken` any more.

    What v2 gave them stays; their vector store is made on first use. Returns the assistant as it is then. Raises
    APIError for files that no tool of it can use. The caller holds the assistant, in a transaction.
    """
    tools = {tool["type"] for tool in msgspec.json.decode(assistant.tools)}.union(more_tools)
    resources = msgspec.json.decode(assistant.tool_resources)
    change = ToolResources(
        code_interpreter=_to_run(tools, resources, given, taken),
        file_search=await _to_search(conn, project_id, tools, resources, given, taken),
    )
    if change == ToolResources():
        return assistant
    return await assistants.modify(
        conn, project_id, assistant.id, ModifyAssistant(tool_resources=change), embedding_model
    )


def _to_run(
    tools: set[str], resources: dict[str, Any], given: Sequence[StoredFile], taken: Sequence[str]
) -> CodeInterpreterResources | None:
    """Return the files of the code interpreter, or None where they stay the same."""
    known: list[str] = resources.get("code_interpreter", {}).get("file_ids", [])
    file_ids = [id for id in known if id not in taken]
    if "code_interpreter" in tools:
        file_ids += [file.id for file in given if file.id not in file_ids]
    if len(file_ids) > MAX_ASSISTANT_FILES:
        raise APIError(
            f"An assistant can have at most {MAX_ASSISTANT_FILES} files for the code interpreter.",
            param="file_ids",
            code="array_above_max_length",
        )
    return None if file_ids == known else CodeInterpreterResources(file_ids)


async def _to_search(
    conn: Any,
    project_id: str,
    tools: set[str],
    resources: dict[str, Any],
    given: Sequence[StoredFile],
    taken: Sequence[str],
) -> FileSearchResources | None:
    """Change what is in the assistant's vector store; return one to be made where there is none, or else None."""
    store_ids: list[str] = resources.get("file_search", {}).get("vector_store_ids", [])
    for store_id in store_ids:
        for file_id in taken:
            with suppress(APIError):  # it never came in, or v2 has taken it out
                await store_files.remove(conn, project_id, store_id, file_id)
    if "file_search" not in tools:
        return None
    if "code_interpreter" not in tools:
        documents.check_supported([file.filename for file in given])
    readable = [file.id for file in given if documents.is_supported(file.filename)]
    if not readable:
        return None
    if store_ids and await _is_usable(conn, project_id, store_ids[0]):
        await vector_stores.attach(conn, project_id, store_ids[0], readable)
        return None
    return FileSearchResources(vector_stores=[NewVectorStore(file_ids=readable)])


async def _is_usable(conn: Any, project_id: str, store_id: str) -> bool:
    try:
        await vector_stores.require_usable(conn, project_id, [store_id])
    except APIError:
        return False
    return True
