"""Threads and messages on the wire."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from assistd.errors import APIError
from assistd.vector_stores.tool_resources import ToolResources
from assistd.web.tools import CodeInterpreterTool, Detail
from assistd.web.wire import Metadata, RequestBody

MAX_CONTENT = 256_000
MAX_MESSAGES = 100_000  # in one thread
MAX_INITIAL_MESSAGES = 32  # of a thread's creation
# What the original's limits were is not known; these are far above what anybody sends.
MAX_ADDITIONAL_MESSAGES = 500
MAX_PARTS = 1_000
MAX_ATTACHMENTS = 500
MAX_ATTACHMENT_TOOLS = 20

Role = Literal["user", "assistant"]
MessageStatus = Literal["in_progress", "completed", "incomplete"]
MessageText = Annotated[str, Meta(max_length=MAX_CONTENT)]

# The kinds of picture that a model takes; a data: URL carries its kind itself.
_PICTURES = (".png", ".jpg", ".jpeg", ".gif", ".webp")


# --- what comes in


class TextPart(RequestBody, frozen=True, tag_field="type", tag="text"):
    """Text."""

    text: MessageText


class ImageURL(RequestBody, frozen=True):
    """A picture somewhere on the web, or inside a data: URL."""

    url: str
    detail: Detail | None = None


class ImageURLPart(RequestBody, frozen=True, tag_field="type", tag="image_url"):
    """A picture by its address."""

    image_url: ImageURL


class ImageFile(RequestBody, frozen=True):
    """A picture that was uploaded."""

    file_id: str
    detail: Detail | None = None


class ImageFilePart(RequestBody, frozen=True, tag_field="type", tag="image_file"):
    """A picture by its file."""

    image_file: ImageFile


class FileSearchTypeOnly(RequestBody, frozen=True, tag_field="type", tag="file_search"):
    """The file search tool, by name only."""


class Attachment(RequestBody, frozen=True):
    """A file given to tools together with a message."""

    file_id: str
    tools: Annotated[list[CodeInterpreterTool | FileSearchTypeOnly], Meta(max_length=MAX_ATTACHMENT_TOOLS)] | None = (
        None
    )


Parts = list[TextPart | ImageURLPart | ImageFilePart]


class CreateMessage(RequestBody, frozen=True):
    """A new message."""

    role: Role
    content: MessageText | Annotated[Parts, Meta(min_length=1, max_length=MAX_PARTS)]
    attachments: Annotated[list[Attachment], Meta(max_length=MAX_ATTACHMENTS)] | None = None
    metadata: Metadata | None = None


class ModifyMessage(RequestBody, frozen=True):
    """A change to a message: its metadata, as a whole."""

    metadata: Metadata | None = None


class CreateThread(RequestBody, frozen=True):
    """A new thread, maybe with messages."""

    messages: Annotated[list[CreateMessage], Meta(max_length=MAX_INITIAL_MESSAGES)] | None = None
    tool_resources: ToolResources | None = None
    metadata: Metadata | None = None


class ModifyThread(RequestBody, frozen=True):
    """A change to a thread. What is absent or null stays as it is."""

    tool_resources: ToolResources | None = None
    metadata: Metadata | None = None


# --- what goes out


class Thread(msgspec.Struct, frozen=True, kw_only=True):
    """A thread as clients see it."""

    id: str
    object: Literal["thread"] = "thread"
    created_at: int
    metadata: msgspec.Raw
    tool_resources: msgspec.Raw


class IncompleteDetails(msgspec.Struct, frozen=True):
    """Why a message or run is incomplete."""

    reason: str


class Message(msgspec.Struct, frozen=True, kw_only=True):
    """A message as clients see it, in answers and in streams."""

    id: str
    object: Literal["thread.message"] = "thread.message"
    created_at: int
    assistant_id: str | None
    thread_id: str
    run_id: str | None
    status: MessageStatus
    incomplete_details: IncompleteDetails | None
    incomplete_at: int | None
    completed_at: int | None
    role: Role
    content: msgspec.Raw
    attachments: msgspec.Raw
    metadata: msgspec.Raw


def shown_content(new: CreateMessage) -> list[dict[str, Any]]:
    """Return a new message's content as it is shown. Raises APIError for a picture no model could take."""
    if isinstance(new.content, str):
        return [text_part(new.content)]
    return [_shown_part(part, i) for i, part in enumerate(new.content)]


def text_part(value: str) -> dict[str, Any]:
    """Return a text part without annotations."""
    return {"type": "text", "text": {"value": value, "annotations": []}}


def shown_attachments(attachments: Sequence[Attachment] | None) -> list[dict[str, Any]]:
    """Return attachments as they are shown: as sent."""
    return [{"file_id": a.file_id, "tools": msgspec.to_builtins(a.tools or [])} for a in attachments or ()]


def _shown_part(part: TextPart | ImageURLPart | ImageFilePart, index: int) -> dict[str, Any]:
    match part:
        case TextPart():
            return text_part(part.text)
        case ImageURLPart(image_url=image):
            _check_url(image.url, index)
            return {"type": "image_url", "image_url": {"url": image.url, "detail": image.detail or "auto"}}
        case ImageFilePart(image_file=image):
            return {"type": "image_file", "image_file": {"file_id": image.file_id, "detail": image.detail or "auto"}}


def _check_url(url: str, index: int) -> None:
    path = url.partition("?")[0].partition("#")[0].lower()
    if url.startswith("data:image/") or (url.startswith(("http://", "https://")) and path.endswith(_PICTURES)):
        return
    # Addresses without an ending are common (signed links, image services), so only a wrong ending is refused.
    name = path.rpartition("/")[2]
    if url.startswith(("http://", "https://")) and "." not in name:
        return
    param = f"content[{index}].image_url.url"
    raise APIError(
        f"Invalid '{param}'. Expected url to end in a supported format: png, jpg, jpeg, gif, webp.",
        param=param,
        code="invalid_value",
    )
