"""The requests of v1, and the objects that v2 has no counterpart of."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

from assistd.assistants.wire import Description, ModelName, Name
from assistd.runs.wire import TokenBudget, TruncationStrategy
from assistd.threads.wire import MAX_ADDITIONAL_MESSAGES, MAX_INITIAL_MESSAGES, MessageText, Role
from assistd.web.tools import (
    CodeInterpreterTool,
    FunctionName,
    Instructions,
    JsonObjectFormat,
    JsonSchemaFormat,
    NamedCodeInterpreter,
    NamedFunction,
    Temperature,
    TextFormat,
    TopP,
)
from assistd.web.wire import Metadata, RequestBody

MAX_ASSISTANT_FILES = 20
MAX_MESSAGE_FILES = 10

# --- what comes in


class RetrievalTool(RequestBody, frozen=True, tag_field="type", tag="retrieval"):
    """Look things up in the files."""


class FunctionObject(RequestBody, frozen=True):
    """A function of the client's, which the model may ask it to call."""

    name: FunctionName
    description: str | None = None
    parameters: dict[str, Any] | None = None


class FunctionTool(RequestBody, frozen=True, tag_field="type", tag="function"):
    """A function tool."""

    function: FunctionObject


class NamedRetrieval(RequestBody, frozen=True, tag_field="type", tag="retrieval"):
    """Use retrieval."""


Tool = CodeInterpreterTool | RetrievalTool | FunctionTool
Tools = Annotated[list[Tool], Meta(max_length=128)]
ToolChoice = Literal["none", "auto"] | NamedFunction | NamedCodeInterpreter | NamedRetrieval
# A schema is none of v1's; it is shown of what v2 made, and may come back.
ResponseFormat = Literal["none", "auto"] | TextFormat | JsonObjectFormat | JsonSchemaFormat


class ModifyAssistant(RequestBody, frozen=True, kw_only=True):
    """Changes to an assistant: of what may be null, null too. Files and tools are replaced as a whole."""

    model: ModelName | None = None
    name: Name | UnsetType | None = UNSET
    description: Description | UnsetType | None = UNSET
    instructions: Instructions | UnsetType | None = UNSET
    tools: Tools | None = None
    file_ids: Annotated[list[str], Meta(max_length=MAX_ASSISTANT_FILES)] | None = None
    metadata: Metadata | None = None
    temperature: Temperature | None = None
    top_p: TopP | None = None
    response_format: ResponseFormat | None = None


class CreateAssistant(ModifyAssistant, frozen=True, kw_only=True):
    """A new assistant: the same, with a model."""

    model: ModelName


class CreateAssistantFile(RequestBody, frozen=True):
    """A file to be linked to an assistant."""

    file_id: str


class CreateMessage(RequestBody, frozen=True):
    """A new message."""

    role: Role
    content: MessageText
    file_ids: Annotated[list[str], Meta(max_length=MAX_MESSAGE_FILES)] | None = None
    metadata: Metadata | None = None


class CreateThread(RequestBody, frozen=True):
    """A new thread, maybe with messages."""

    messages: Annotated[list[CreateMessage], Meta(max_length=MAX_INITIAL_MESSAGES)] | None = None
    metadata: Metadata | None = None


class SetMetadata(RequestBody, frozen=True):
    """A change to a thread, a message or a run: its metadata, as a whole."""

    metadata: Metadata | None = None


class RunOptions(RequestBody, frozen=True, kw_only=True):
    """What both ways of creating a run may say; what is absent or null is the assistant's or the default.

    So is an empty model, and so are empty instructions beside one: of clients that send every field they know.
    """

    assistant_id: str
    model: str | None = None
    instructions: Instructions | None = None
    tools: Tools | None = None
    metadata: Metadata | None = None
    temperature: Temperature | None = None
    top_p: TopP | None = None
    stream: bool | None = None
    max_prompt_tokens: TokenBudget | None = None
    max_completion_tokens: TokenBudget | None = None
    truncation_strategy: TruncationStrategy | None = None
    tool_choice: ToolChoice | None = None
    response_format: ResponseFormat | None = None


class CreateRun(RunOptions, frozen=True, kw_only=True):
    """A new run on a thread."""

    additional_instructions: Instructions | None = None
    additional_messages: Annotated[list[CreateMessage], Meta(max_length=MAX_ADDITIONAL_MESSAGES)] | None = None


class CreateThreadAndRun(RunOptions, frozen=True, kw_only=True):
    """A new thread and a run on it."""

    thread: CreateThread | None = None


# --- what goes out


class AssistantFile(msgspec.Struct, frozen=True, kw_only=True):
    """The link of a file to an assistant. It has the file's id."""

    id: str
    object: Literal["assistant.file"] = "assistant.file"
    created_at: int
    assistant_id: str


class MessageFile(msgspec.Struct, frozen=True, kw_only=True):
    """The link of a file to a message. It has the file's id."""

    id: str
    object: Literal["thread.message.file"] = "thread.message.file"
    created_at: int
    message_id: str
