"""Pictures in a conversation: uploaded files are put where the model can see them, or the run says that it cannot.

A model that cannot see must not answer about a picture as if it had: a run
whose question has one fails with a sentence. Pictures of turns that were
answered before are left to the route's note that there was one.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator, Sequence
from typing import Any

from assistd.db.pool import Database
from assistd.files import store
from assistd.files.blobs import Blobs
from assistd.llm.protocol import ModelRefused

# Pictures are held in memory while they are sent. Services that see take about this much.
_MOST_BYTES = 50 * 1024 * 1024

_TYPES = {"png": "image/png", "jpg": "image/jpeg", "jpeg": "image/jpeg", "gif": "image/gif", "webp": "image/webp"}


class Pictures:
    """Finds the pictures of a conversation in the files of its project."""

    def __init__(self, db: Database, blobs: Blobs) -> None:
        self._db = db
        self._blobs = blobs

    async def show(self, messages: Sequence[Any], project_id: str, *, model: str, can_see: bool) -> list[Any]:
        """Return the messages with every picture inside them. Raises ModelRefused where the question has one unseen."""
        if not can_see:
            if any(_pictures(message) for message in _question(messages)):
                raise ModelRefused(
                    f"The message has a picture, and the model '{model}' cannot see pictures. Use a model that can, "
                    "or set `images = true` on its route if it does."
                )
            return [_told(message) for message in messages]
        ids = list(dict.fromkeys(part["image_file"]["file_id"] for m in messages for part in _uploaded(m)))
        if not ids:
            return list(messages)
        urls = await self._urls(project_id, ids)
        return [_with_urls(message, urls) for message in messages]

    async def _urls(self, project_id: str, ids: Sequence[str]) -> dict[str, str]:
        """Return the pictures as data: URLs by their files' ids; files that are gone are missing."""
        async with self._db.acquire() as conn:
            files = await store.find(conn, project_id, ids)
        if sum(file.bytes for file in files) > _MOST_BYTES:
            raise ModelRefused(f"The pictures of the conversation are larger than {_MOST_BYTES >> 20} MB together.")
        urls = {}
        for file in files:
            content = b"".join([chunk async for chunk in self._blobs.read(file.blobs)])
            kind = _TYPES.get(file.filename.rpartition(".")[2].lower(), "image/png")
            urls[file.id] = f"data:{kind};base64,{base64.b64encode(content).decode()}"
        return urls


def _question(messages: Sequence[Any]) -> Iterator[Any]:
    """Yield what was said since the last answer."""
    for message in reversed(messages):
        if message["role"] == "assistant" and not message.get("tool_calls"):
            return
        yield message


def _pictures(message: Any) -> list[Any]:
    parts = message.get("content")
    return [p for p in parts if p["type"] in ("image_url", "image_file")] if isinstance(parts, list) else []


def _uploaded(message: Any) -> list[Any]:
    return [part for part in _pictures(message) if part["type"] == "image_file"]


def _told(message: Any) -> Any:
    """Return a message with a note in place of each uploaded picture."""
    if not _uploaded(message):
        return message
    note = {"type": "text", "text": "[image]"}
    return message | {"content": [note if p["type"] == "image_file" else p for p in message["content"]]}


def _with_urls(message: Any, urls: dict[str, str]) -> Any:
    if not _uploaded(message):
        return message
    return message | {"content": [_seen(part, urls) for part in message["content"]]}


def _seen(part: Any, urls: dict[str, str]) -> Any:
    if part["type"] != "image_file":
        return part
    image = part["image_file"]
    if image["file_id"] not in urls:
        return {"type": "text", "text": "[image that was deleted]"}
    return {"type": "image_url", "image_url": {"url": urls[image["file_id"]], "detail": image.get("detail", "auto")}}
