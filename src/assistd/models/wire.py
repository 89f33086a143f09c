"""Models, and what of a completion's request assistd itself looks at."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta


class ModelInfo(msgspec.Struct, frozen=True, kw_only=True):
    """A model as clients list it."""

    id: str
    object: Literal["model"] = "model"
    created: int
    owned_by: str = "assistd"


class ModelList(msgspec.Struct, frozen=True, kw_only=True):
    """All models; this list has no pages."""

    object: Literal["list"] = "list"
    data: Sequence[ModelInfo]


class ChatCompletion(msgspec.Struct, frozen=True):
    """A request for a chat completion. What else it says is the upstream's to judge."""

    model: str
    messages: Annotated[list[dict[str, Any]], Meta(min_length=1)]
    stream: bool | None = None


class Embedding(msgspec.Struct, frozen=True):
    """A request for embeddings: of a text, of tokens, or of several of either."""

    model: str
    input: str | Annotated[list[str | int | list[int]], Meta(min_length=1)]
    dimensions: Annotated[int, Meta(ge=1, le=65_536)] | None = None
