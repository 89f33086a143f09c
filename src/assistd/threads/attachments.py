"""Files that come with messages: given to the thread's tools, or shown to the model as pictures."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import msgspec

from assistd.db import sql
from assistd.errors import APIError
from assistd.files import store as files
from assistd.files.names import extension
from assistd.threads.wire import CreateMessage, ImageFilePart
from assistd.vector_stores import store as vector_stores
from assistd.vector_stores.tool_resources import MAX_CODE_FILES, THREAD_STORE_DAYS
from assistd.vector_stores.wire import CreateVectorStore, ExpiresAfter
from assistd.web.wire import to_json

SQL = sql.load(__package__)

_PICTURES = ("jpg", "jpeg", "png", "gif", "webp")


class Terms(msgspec.Struct, frozen=True):
    """On what terms a thread takes the files that come with messages.

    `embedding_model` is what a vector store made on the way remembers. `implicit`: the client knows of no stores, and
    of no limit to the files of a thread (v1): the store does not expire, and goes with the thread.
    """

    embedding_model: str
    implicit: bool = False


def bring_files(messages: Iterable[CreateMessage]) -> bool:
    """Say whether any of these messages has files, which makes adding it more than one statement."""
    return any(message.attachments or _pictures(message) for message in messages)


async def take_in(conn: Any, project_id: str, thread_id: str, messages: Sequence[CreateMessage], terms: Terms) -> None:
    """Give the attachments of new messages to the thread's tools, and make sure of their pictures.

    The thread's vector store is made on first use. Runs in the caller's transaction, which holds the thread. Raises
    APIError for files that are not there or cannot be used.
    """
    await _check_pictures(conn, project_id, [file_id for message in messages for file_id in _pictures(message)])
    to_run, to_search = _wanted(messages)
    attached = [a.file_id for message in messages for a in message.attachments or ()]
    await files.require(conn, project_id, list(dict.fromkeys(attached)))
    if not (to_run or to_search):
        return
    resources = msgspec.json.decode(await conn.fetchval(SQL["lock_resources"], thread_id))
    if to_run:
        known = resources.setdefault("code_interpreter", {"file_ids": []})["file_ids"]
        known += [id for id in to_run if id not in known]
        if len(known) > MAX_CODE_FILES and not terms.implicit:
            raise APIError(
                f"A thread can have at most {MAX_CODE_FILES} files for the code interpreter.",
                param="attachments",
                code="array_above_max_length",
            )
    if to_search:
        await _index(conn, project_id, resources, to_search, terms)
    await conn.execute(SQL["set_resources"], thread_id, to_json(resources))


async def _index(conn: Any, project_id: str, resources: dict[str, Any], file_ids: Sequence[str], terms: Terms) -> None:
    """Put files into the thread's vector store, which is made where there is none."""
    resources.setdefault("code_interpreter", {"file_ids": []})
    ids = resources.setdefault("file_search", {"vector_store_ids": []})["vector_store_ids"]
    if ids:
        await vector_stores.attach(conn, project_id, ids[0], file_ids)
        return
    policy = None if terms.implicit else ExpiresAfter(anchor="last_active_at", days=THREAD_STORE_DAYS)
    new = CreateVectorStore(file_ids=list(file_ids), expires_after=policy)
    made = await vector_stores.create(conn, project_id, new, terms.embedding_model, implicit=terms.implicit)
    ids.append(made.id)


def _wanted(messages: Sequence[CreateMessage]) -> tuple[list[str], list[str]]:
    """Return the files for the code interpreter and those for file search, each once, in their order."""
    by_tool: dict[str, dict[str, None]] = {"code_interpreter": {}, "file_search": {}}
    for message in messages:
        for attachment in message.attachments or ():
            for tool in attachment.tools or ():
                by_tool[msgspec.to_builtins(tool)["type"]][attachment.file_id] = None
    return list(by_tool["code_interpreter"]), list(by_tool["file_search"])


def _pictures(message: CreateMessage) -> list[str]:
    parts = () if isinstance(message.content, str) else message.content
    return [part.image_file.file_id for part in parts if isinstance(part, ImageFilePart)]


async def _check_pictures(conn: Any, project_id: str, file_ids: Sequence[str]) -> None:
    """Refuse pictures that are not there, or are none."""
    for file in await files.require(conn, project_id, list(dict.fromkeys(file_ids))):
        if extension(file.filename) not in _PICTURES:
            kinds = ", ".join(f".{kind}" for kind in _PICTURES)
            raise APIError(
                f"Invalid message content: Expected file type to be a supported format: {kinds} but got "
                f"{extension(file.filename) or 'none'}.",
                param="content",
                code="invalid_value",
            )
