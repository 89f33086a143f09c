"""Assistants on the wire."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

from assistd.vector_stores.tool_resources import ToolResources
from assistd.web.tools import Instructions, ReasoningEffort, ResponseFormat, Temperature, Tool, TopP
from assistd.web.wire import Metadata, RequestBody

Name = Annotated[str, Meta(max_length=256)]
Description = Annotated[str, Meta(max_length=512)]
ModelName = Annotated[str, Meta(min_length=1)]


class Assistant(msgspec.Struct, frozen=True, kw_only=True):
    """An assistant as clients see it. The JSON members come from the database as they are."""

    id: str
    object: Literal["assistant"] = "assistant"
    created_at: int
    name: str | None
    description: str | None
    model: str
    instructions: str | None
    tools: msgspec.Raw
    top_p: float
    temperature: float
    reasoning_effort: str | None
    tool_resources: msgspec.Raw
    metadata: msgspec.Raw
    response_format: msgspec.Raw


class ModifyAssistant(RequestBody, frozen=True, kw_only=True):
    """Changes to an assistant. What is absent stays as it is.

    So does what is null, but for what may be null in an answer: that becomes null.
    """

    model: ModelName | None = None
    name: Name | UnsetType | None = UNSET
    description: Description | UnsetType | None = UNSET
    instructions: Instructions | UnsetType | None = UNSET
    reasoning_effort: ReasoningEffort | UnsetType | None = UNSET
    tools: Annotated[list[Tool], Meta(max_length=128)] | None = None
    tool_resources: ToolResources | None = None
    metadata: Metadata | None = None
    temperature: Temperature | None = None
    top_p: TopP | None = None
    response_format: ResponseFormat | None = None


class CreateAssistant(ModifyAssistant, frozen=True, kw_only=True):
    """A new assistant: the same, with a model."""

    model: ModelName
