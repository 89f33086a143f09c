"""The files of a v1 assistant as what the tools of a v2 assistant may use."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import msgspec

from assistd.assistants import store as assistants
from assistd.assistants.wire import Assistant, ModifyAssistant
from assistd.errors import APIError
from assistd.files import store as files
from assistd.files.wire import StoredFile
from assistd.v1.wire import MAX_ASSISTANT_FILES
from assistd.vector_stores import documents
from assistd.vector_stores import files as store_files
from assistd.vector_stores import store as vector_stores
from assistd.vector_stores.tool_resources import CodeInterpreterResources, FileSearchResources, ToolResources
from assistd.vector_stores.wire import CreateVectorStore


class Given(msgspec.Struct, frozen=True):
    """Files that `tools` (types) may use, and the ids of those that they may not use any more.

    `judged` are those whose names are refused where no tool can use them: what was given before stays, whatever
    became of the tools since.
    """

    tools: frozenset[str]
    files: Sequence[StoredFile]
    taken: Sequence[str] = ()
    judged: Sequence[str] = ()


def tools_of(assistant: Assistant) -> frozenset[str]:
    """Return the types of an assistant's tools."""
    return frozenset(tool["type"] for tool in msgspec.json.decode(assistant.tools))


async def give(conn: Any, project_id: str, assistant: Assistant, given: Given, embedding_model: str) -> Assistant:
    """Give files to an assistant's tools; what v2 gave them stays. Returns the assistant as it is then.

    To search them it gets a vector store of v1's own, beside that of v2 if it has one: others may use that. Raises
    APIError for files that no tool can use. The caller holds the assistant, in a transaction.
    """
    resources = msgspec.json.decode(assistant.tool_resources)
    change = ToolResources(
        code_interpreter=await _to_run(conn, project_id, resources, given),
        file_search=await _to_search(conn, project_id, resources, given, embedding_model),
    )
    if change == ToolResources():
        return assistant
    return await assistants.modify(
        conn, project_id, assistant.id, ModifyAssistant(tool_resources=change), embedding_model
    )


async def is_given(conn: Any, project_id: str, assistant: Assistant, tools: frozenset[str], linked: set[str]) -> bool:
    """Say whether these tools have been given the files linked to an assistant, as far as its resources tell."""
    resources = msgspec.json.decode(assistant.tool_resources)
    if "code_interpreter" in tools and not linked <= set(_code_files(resources)):
        return False
    return "file_search" not in tools or bool(await _own_stores(conn, project_id, resources))


async def _to_run(
    conn: Any, project_id: str, resources: dict[str, Any], given: Given
) -> CodeInterpreterResources | None:
    """Return the files of the code interpreter, or None where they stay the same."""
    known = _code_files(resources)
    file_ids = [id for id in known if id not in given.taken]
    if "code_interpreter" in given.tools:
        file_ids += [file.id for file in given.files if file.id not in file_ids]
    if file_ids == known:
        return None
    if len(file_ids) > MAX_ASSISTANT_FILES:
        raise APIError(
            f"An assistant can have at most {MAX_ASSISTANT_FILES} files for the code interpreter.",
            param="file_ids",
            code="array_above_max_length",
        )
    there = {file.id for file in await files.find(conn, project_id, file_ids)}  # one may have expired just now
    return CodeInterpreterResources([id for id in file_ids if id in there])


async def _to_search(
    conn: Any, project_id: str, resources: dict[str, Any], given: Given, embedding_model: str
) -> FileSearchResources | None:
    """Change what is in v1's own store; where there is none yet, make it and return it with the others."""
    own = await _own_stores(conn, project_id, resources)
    for store_id in own:
        for file_id in given.taken:
            with suppress(APIError):  # v2 has taken it out
                await store_files.remove(conn, project_id, store_id, file_id)
    if "file_search" not in given.tools:
        return None
    if "code_interpreter" not in given.tools:
        documents.check_supported([file.filename for file in given.files if file.id in given.judged])
    readable = [file.id for file in given.files if documents.is_supported(file.filename)]
    if own or not readable:
        for store_id in own[:1]:
            await vector_stores.attach(conn, project_id, store_id, readable)
        return None
    made = await vector_stores.create(
        conn, project_id, CreateVectorStore(file_ids=readable), embedding_model, implicit=True
    )
    return FileSearchResources([*_stores(resources), made.id])


async def _own_stores(conn: Any, project_id: str, resources: dict[str, Any]) -> list[str]:
    stores = _stores(resources)
    return await vector_stores.implicit(conn, project_id, stores) if stores else []


def _code_files(resources: dict[str, Any]) -> list[str]:
    file_ids: list[str] = resources.get("code_interpreter", {}).get("file_ids", [])
    return file_ids


def _stores(resources: dict[str, Any]) -> list[str]:
    store_ids: list[str] = resources.get("file_search", {}).get("vector_store_ids", [])
    return store_ids
