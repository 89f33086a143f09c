"""Runs and run steps on the wire."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

from assistd.threads.wire import MAX_ADDITIONAL_MESSAGES, CreateMessage, CreateThread, IncompleteDetails
from assistd.vector_stores.tool_resources import ToolResources
from assistd.web.tools import (
    Instructions,
    ReasoningEffort,
    ResponseFormat,
    Temperature,
    Tool,
    ToolChoice,
    TopP,
)
from assistd.web.wire import Metadata, RequestBody

MAX_OUTPUTS = 1_000  # far above what a model calls at once; what the original's limit was is not known

INCLUDE_CONTENT = "step_details.tool_calls[*].file_search.results[*].content"

# The schema says 256 and more; the service took 16, and code that relies on it exists.
TokenBudget = Annotated[int, Meta(ge=1, le=2**31 - 1)]


# --- what comes in


class TruncationStrategy(RequestBody, frozen=True):
    """Which part of a thread the model is shown."""

    type: Literal["auto", "last_messages"]
    last_messages: Annotated[int, Meta(ge=1, le=2**31 - 1)] | None = None


class RunOptions(RequestBody, frozen=True, kw_only=True):
    """What both ways of creating a run may say; what is absent or null is the assistant's or the default.

    So is an empty model, and so are empty instructions beside one: of clients that send every field they know.
    """

    assistant_id: str
    model: str | None = None
    instructions: Instructions | None = None
    tools: Annotated[list[Tool], Meta(max_length=128)] | None = None
    metadata: Metadata | None = None
    temperature: Temperature | None = None
    top_p: TopP | None = None
    reasoning_effort: ReasoningEffort | None = None
    stream: bool | None = None
    max_prompt_tokens: TokenBudget | None = None
    max_completion_tokens: TokenBudget | None = None
    truncation_strategy: TruncationStrategy | None = None
    tool_choice: ToolChoice | None = None
    parallel_tool_calls: bool | None = None
    response_format: ResponseFormat | None = None


class CreateRun(RunOptions, frozen=True, kw_only=True):
    """A new run on a thread."""

    additional_instructions: Instructions | None = None
    additional_messages: Annotated[list[CreateMessage], Meta(max_length=MAX_ADDITIONAL_MESSAGES)] | None = None


class CreateThreadAndRun(RunOptions, frozen=True, kw_only=True):
    """A new thread and a run on it."""

    thread: CreateThread | None = None
    tool_resources: ToolResources | None = None


class ModifyRun(RequestBody, frozen=True):
    """A change to a run: its metadata, as a whole."""

    metadata: Metadata | None = None


class ToolOutput(RequestBody, frozen=True):
    """The output of one tool call; null counts as an empty one."""

    tool_call_id: str
    output: str | None = None


class SubmitToolOutputs(RequestBody, frozen=True):
    """The outputs a run waits for, all of them."""

    tool_outputs: Annotated[list[ToolOutput], Meta(max_length=MAX_OUTPUTS)]
    stream: bool | None = None


# --- what goes out


class CachedTokens(msgspec.Struct, frozen=True):
    """Prompt tokens that the upstream had cached."""

    cached_tokens: int


class ReasoningTokens(msgspec.Struct, frozen=True):
    """Completion tokens that went into reasoning."""

    reasoning_tokens: int


class Usage(msgspec.Struct, frozen=True):
    """Tokens used. `prompt_token_details` is spelt as the service did, singular."""

    prompt_tokens: int
    completion_tokens: int
    total_tokens: int
    prompt_token_details: CachedTokens
    completion_tokens_details: ReasoningTokens


class LastError(msgspec.Struct, frozen=True):
    """Why a run or step failed."""

    code: str
    message: str


class Run(msgspec.Struct, frozen=True, kw_only=True):
    """A run as clients see it. The JSON members come from the database as they are."""

    id: str
    object: Literal["thread.run"] = "thread.run"
    created_at: int
    assistant_id: str
    thread_id: str
    status: str
    started_at: int | None
    expires_at: int | None
    cancelled_at: int | None
    failed_at: int | None
    completed_at: int | None
    required_action: msgspec.Raw | None
    last_error: msgspec.Raw | None
    model: str
    instructions: str | None
    tools: msgspec.Raw
    tool_resources: msgspec.Raw
    metadata: msgspec.Raw
    temperature: float
    top_p: float
    reasoning_effort: str | None
    max_completion_tokens: int | None
    max_prompt_tokens: int | None
    truncation_strategy: msgspec.Raw
    incomplete_details: IncompleteDetails | None
    usage: Usage | None
    response_format: msgspec.Raw
    tool_choice: msgspec.Raw
    parallel_tool_calls: bool


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """A run step. Streams leave out `metadata` and, unless it has expired, `expired_at`, as the recorded ones do."""

    id: str
    object: Literal["thread.run.step"] = "thread.run.step"
    created_at: int
    run_id: str
    assistant_id: str
    thread_id: str
    type: str
    status: str
    cancelled_at: int | None
    completed_at: int | None
    expired_at: int | UnsetType | None
    expires_at: int | None
    failed_at: int | None
    last_error: msgspec.Raw | None
    step_details: msgspec.Raw
    metadata: dict[str, str] | UnsetType
    usage: Usage | None


# --- the details of steps, as kept in the database and shown


class FunctionCall(msgspec.Struct):
    """A function the client is asked to call; `output` is null until it has answered."""

    name: str
    arguments: str
    output: str | None = None


class ResultText(msgspec.Struct, frozen=True):
    """The words of a search result."""

    text: str
    type: Literal["text"] = "text"


class SearchResult(msgspec.Struct, frozen=True, kw_only=True):
    """A passage that file search found; `content` is shown to those who ask for it."""

    file_id: str
    file_name: str
    score: float
    attributes: msgspec.Raw
    content: Sequence[ResultText] | UnsetType = UNSET


class FileSearchCall(msgspec.Struct, frozen=True):
    """What a search was asked for and what it found, best first."""

    ranking_options: dict[str, Any]
    results: Sequence[SearchResult] = ()


class LogsOutput(msgspec.Struct, frozen=True, tag_field="type", tag="logs"):
    """What code printed."""

    logs: str


class ImageFile(msgspec.Struct, frozen=True):
    """A picture that is kept as a file."""

    file_id: str


class ImageOutput(msgspec.Struct, frozen=True, tag_field="type", tag="image"):
    """A picture that code made."""

    image: ImageFile


CodeOutput = LogsOutput | ImageOutput


class CodeInterpreterCall(msgspec.Struct, frozen=True):
    """Code that the model wrote, and what it gave."""

    input: str = ""
    outputs: Sequence[CodeOutput] = ()

    @property
    def images(self) -> list[str]:
        """The files of the pictures that the code made."""
        return [output.image.file_id for output in self.outputs if isinstance(output, ImageOutput)]


class ToolCall(msgspec.Struct):
    """A tool call of a step: of a function of the client's, or of a tool of the server's."""

    id: str
    type: str
    function: FunctionCall | UnsetType = UNSET
    file_search: FileSearchCall | UnsetType = UNSET
    code_interpreter: CodeInterpreterCall | UnsetType = UNSET

    @property
    def done(self) -> bool:
        """Whether its output is there. A call of the server's own is written together with what it gave."""
        return self.function is UNSET or self.function.output is not None


class ToolCalls(msgspec.Struct):
    """The details of a `tool_calls` step."""

    tool_calls: list[ToolCall]
    type: Literal["tool_calls"] = "tool_calls"


class Exchange(msgspec.Struct, frozen=True):
    """What the model said when it called a tool of the server's. It is told to the model again, not to clients.

    `search` is the search's number in its thread, by which its results are cited; `error` is what the model was
    told in place of results, `note` what it was told beside them. Code is told again as its call's input.
    """

    id: str
    name: str
    arguments: str
    search: int | None = None
    error: str | None = None
    note: str | None = None


def shown_details(details: msgspec.Raw, *, with_content: bool) -> msgspec.Raw:
    """Return the details of a step as they are shown: search results without their words, unless asked for."""
    if with_content or b'"file_search"' not in bytes(details):
        return details
    calls = msgspec.json.decode(details, type=ToolCalls)
    for call in calls.tool_calls:
        if call.file_search is not UNSET:
            bare = [msgspec.structs.replace(result, content=UNSET) for result in call.file_search.results]
            call.file_search = msgspec.structs.replace(call.file_search, results=bare)
    return msgspec.Raw(msgspec.json.encode(tool_call_details(calls.tool_calls)))


def tool_call_details(calls: Sequence[ToolCall]) -> dict[str, Any]:
    """Return the `step_details` of tool calls."""
    return {"type": "tool_calls", "tool_calls": calls}


def message_details(message_id: str) -> dict[str, Any]:
    """Return the `step_details` of a message."""
    return {"type": "message_creation", "message_creation": {"message_id": message_id}}


def required_action(calls: Sequence[ToolCall]) -> dict[str, Any]:
    """Return the `required_action` that asks for the outputs of these calls."""
    asked = [
        {"id": c.id, "type": c.type, "function": {"name": c.function.name, "arguments": c.function.arguments}}
        for c in calls
        if c.function is not UNSET
    ]
    return {"type": "submit_tool_outputs", "submit_tool_outputs": {"tool_calls": asked}}


def usage(prompt: int, completion: int, cached: int, reasoning: int) -> Usage:
    """Make the usage of token counts."""
    return Usage(prompt, completion, prompt + completion, CachedTokens(cached), ReasoningTokens(reasoning))
