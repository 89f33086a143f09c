"""Pictures in a conversation: uploaded files are put where the model can see them, or the run says that it cannot.

A model that cannot see must not answer about a picture as if it had: a run
whose question has one fails with a sentence. Pictures of turns that were
answered before are left to the route's note that there was one.
"""

from __future__ import annotations

import base64
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from assistd.db.pool import Database
from assistd.files import store
from assistd.files.blobs import BlobMissing, Blobs, BlobsUnavailable
from assistd.files.names import extension
from assistd.files.wire import StoredFile
from assistd.llm.protocol import ModelRefused, ModelUnavailable

# Pictures are held in memory while they are sent. Services that see take about this much.
_MOST_BYTES = 50 * 1024 * 1024

_TYPES = {"png": "image/png", "jpg": "image/jpeg", "jpeg": "image/jpeg", "gif": "image/gif", "webp": "image/webp"}


class Pictures:
    """Finds the pictures of a conversation in the files of its project."""

    def __init__(self, db: Database, blobs: Blobs, most_bytes: int = _MOST_BYTES) -> None:
        self._db = db
        self._blobs = blobs
        self._most_bytes = most_bytes

    async def show(self, messages: Sequence[Any], project_id: str, *, model: str, can_see: bool) -> list[Any]:
        """Return the messages with every uploaded picture inside them.

        Raises ModelRefused where the question has a picture that the model cannot be shown, ModelUnavailable where
        the store of files is out of reach.
        """
        if not can_see:
            if any(_pictures(message) for message in _question(messages)):
                raise ModelRefused(
                    f"The message has a picture, and the model '{model}' cannot see pictures. Use a model that can, "
                    "or set `images = true` on its route if it does."
                )
            return list(messages)
        asked = _ids(_question(messages))
        # The newest first: of pictures that were answered about, those that no longer fit are told of in words.
        ids = list(dict.fromkeys((*asked, *_ids(reversed(messages)))))
        if not ids:
            return list(messages)
        urls = await self._urls(project_id, ids, set(asked))
        return [_with_urls(message, urls) for message in messages]

    async def _urls(self, project_id: str, ids: Sequence[str], asked: set[str]) -> dict[str, str]:
        """Return the pictures as data: URLs by their files' ids; missing are files that are gone or do not fit."""
        async with self._db.acquire() as conn:
            files = await store.find(conn, project_id, ids)
        urls: dict[str, str] = {}
        room = self._most_bytes
        for file in files:
            if file.bytes > room:
                if file.id in asked:
                    raise ModelRefused(f"The message's pictures have more than {self._most_bytes >> 20} MB together.")
                break
            room -= file.bytes
            try:
                urls[file.id] = await self._url(file)
            except BlobMissing as fault:
                if file.id in asked:
                    raise ModelRefused(f"The content of the picture {file.id} is lost.") from fault
        return urls

    async def _url(self, file: StoredFile) -> str:
        try:
            content = b"".join([chunk async for chunk in self._blobs.read(file.blobs)])
        except BlobsUnavailable as fault:
            raise ModelUnavailable("The store of files is out of reach.") from fault
        kind = _TYPES.get(extension(file.filename), "image/png")
        return f"data:{kind};base64,{base64.b64encode(content).decode()}"


def _question(messages: Sequence[Any]) -> Iterator[Any]:
    """Yield what was said since the last answer."""
    for message in reversed(messages):
        if message["role"] == "assistant" and not message.get("tool_calls"):
            return
        yield message


def _ids(messages: Iterable[Any]) -> list[str]:
    return [part["image_file"]["file_id"] for message in messages for part in _uploaded(message)]


def _pictures(message: Any) -> list[Any]:
    parts = message.get("content")
    return [p for p in parts if p["type"] in ("image_url", "image_file")] if isinstance(parts, list) else []


def _uploaded(message: Any) -> list[Any]:
    return [part for part in _pictures(message) if part["type"] == "image_file"]


def _with_urls(message: Any, urls: Mapping[str, str]) -> Any:
    if not _uploaded(message):
        return message
    return message | {"content": [_seen(part, urls) for part in message["content"]]}


def _seen(part: Any, urls: Mapping[str, str]) -> Any:
    if part["type"] != "image_file":
        return part
    image = part["image_file"]
    if image["file_id"] not in urls:
        return {"type": "text", "text": "[image that is no longer shown]"}
    return {"type": "image_url", "image_url": {"url": urls[image["file_id"]], "detail": image.get("detail", "auto")}}
