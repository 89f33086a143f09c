"""The shapes that assistants and runs share: tools, formats and choices.

Requests are decoded into these structs, so that they are checked; what is kept
and shown again is the normalised JSON that the functions below make of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Literal, TypeVar

import msgspec
from msgspec import Meta

from assistd.errors import APIError
from assistd.web.wire import RequestBody

T = TypeVar("T")

FunctionName = Annotated[str, Meta(min_length=1, max_length=64, pattern=r"^[a-zA-Z0-9_-]+\Z")]
Detail = Literal["auto", "low", "high"]
ReasoningEffort = Literal["none", "minimal", "low", "medium", "high", "xhigh", "max"]
Temperature = Annotated[float, Meta(ge=0, le=2)]
TopP = Annotated[float, Meta(ge=0, le=1)]
Instructions = Annotated[str, Meta(max_length=256_000)]

# Of all tools of an assistant or a run, and of a response format: each list of runs may have a hundred of them.
MAX_BYTES = 1024 * 1024

_DEFAULT_RANKING = {"ranker": "default_2024_08_21", "score_threshold": 0.0, "hybrid_search": None}


# --- tools


class CodeInterpreterTool(RequestBody, frozen=True, tag_field="type", tag="code_interpreter"):
    """Run Python in a sandbox."""


class HybridSearch(RequestBody, frozen=True):
    """How much meaning and words weigh in a search."""

    embedding_weight: Annotated[float, Meta(ge=0)]
    text_weight: Annotated[float, Meta(ge=0)]


class RankingOptions(RequestBody, frozen=True):
    """How search results are ranked and which are good enough."""

    score_threshold: Annotated[float, Meta(ge=0, le=1)] = 0.0
    ranker: Literal["auto", "default_2024_08_21"] | None = None
    hybrid_search: HybridSearch | None = None


class FileSearchOptions(RequestBody, frozen=True):
    """Overrides of the file search tool."""

    max_num_results: Annotated[int, Meta(ge=1, le=50)] | None = None
    ranking_options: RankingOptions | None = None


class FileSearchTool(RequestBody, frozen=True, tag_field="type", tag="file_search"):
    """Search the vector stores of the assistant and the thread."""

    file_search: FileSearchOptions | None = None


class FunctionObject(RequestBody, frozen=True):
    """A function of the client's, which the model may ask it to call."""

    name: FunctionName
    description: str | None = None
    parameters: dict[str, Any] | None = None
    strict: bool | None = None


class FunctionTool(RequestBody, frozen=True, tag_field="type", tag="function"):
    """A function tool."""

    function: FunctionObject


Tool = CodeInterpreterTool | FileSearchTool | FunctionTool


def normalize_tools(tools: Sequence[Tool]) -> list[dict[str, Any]]:
    """Return tools as they are shown: defaults filled in, what was left out left out. Raises APIError for too much."""
    return _bounded([_normalize_tool(tool) for tool in tools], "tools")


def _normalize_tool(tool: Tool) -> dict[str, Any]:
    match tool:
        case FunctionTool(function=f):
            shown: dict[str, Any] = {"name": f.name}
            if f.description is not None:
                shown["description"] = f.description
            shown["parameters"] = _no_parameters(f.strict) if f.parameters is None else f.parameters
            return {"type": "function", "function": {**shown, "strict": bool(f.strict)}}
        case FileSearchTool(file_search=options):
            return {"type": "file_search", "file_search": _normalize_search(options or FileSearchOptions())}
        case CodeInterpreterTool():
            return {"type": "code_interpreter"}


def _no_parameters(strict: bool | None) -> dict[str, Any]:
    """Return the schema of a function that names none; a strict one has to be complete."""
    schema = {"type": "object", "properties": {}}
    return {**schema, "required": [], "additionalProperties": False} if strict else schema


def _normalize_search(options: FileSearchOptions) -> dict[str, Any]:
    given = options.ranking_options
    ranking = dict(_DEFAULT_RANKING)
    if given is not None:
        ranking["score_threshold"] = given.score_threshold
        ranking["hybrid_search"] = given.hybrid_search
        if given.ranker is not None:
            ranking["ranker"] = given.ranker
    shown: dict[str, Any] = {"ranking_options": ranking}
    if options.max_num_results is not None:
        shown["max_num_results"] = options.max_num_results
    return shown


# --- response format


class TextFormat(RequestBody, frozen=True, tag_field="type", tag="text"):
    """Free text."""


class JsonObjectFormat(RequestBody, frozen=True, tag_field="type", tag="json_object"):
    """Any JSON object."""


class JsonSchema(RequestBody, frozen=True):
    """A named JSON schema that the answer obeys."""

    name: FunctionName
    description: str | None = None
    schema: dict[str, Any] | None = None
    strict: bool | None = None


class JsonSchemaFormat(RequestBody, frozen=True, tag_field="type", tag="json_schema"):
    """JSON that obeys a schema."""

    json_schema: JsonSchema


ResponseFormat = Literal["auto"] | TextFormat | JsonObjectFormat | JsonSchemaFormat


def normalize_format(response_format: ResponseFormat | None) -> Any:
    """Return a response format as it is shown: as given, without what was left out. Raises APIError for too much."""
    shown = _without_nulls("auto" if response_format is None else msgspec.to_builtins(response_format))
    return _bounded(shown, "response_format")


# --- tool choice


class FunctionChoice(RequestBody, frozen=True):
    """The function that must be called."""

    name: str


class NamedFunction(RequestBody, frozen=True, tag_field="type", tag="function"):
    """Call this function."""

    function: FunctionChoice


class NamedCodeInterpreter(RequestBody, frozen=True, tag_field="type", tag="code_interpreter"):
    """Use the code interpreter."""


class NamedFileSearch(RequestBody, frozen=True, tag_field="type", tag="file_search"):
    """Use file search."""


ToolChoice = Literal["none", "auto", "required"] | NamedFunction | NamedCodeInterpreter | NamedFileSearch


def normalize_choice(choice: ToolChoice | None) -> Any:
    """Return a tool choice as it is shown."""
    return "auto" if choice is None else msgspec.to_builtins(choice)


def _bounded(shown: T, param: str) -> T:
    """Return what is shown again with every object that has it. Raises APIError where that would be too much."""
    size = len(msgspec.json.encode(shown))
    if size > MAX_BYTES:
        raise APIError(
            f"Invalid '{param}': too large. Expected at most {MAX_BYTES} bytes of JSON, but got {size} instead.",
            param=param,
            code="invalid_value",
        )
    return shown


def _without_nulls(value: Any) -> Any:
    """Drop null members of an object, one level of nesting down too: a null in a request means absent."""
    if not isinstance(value, dict):
        return value
    return {
        k: {n: m for n, m in v.items() if m is not None} if k == "json_schema" else v
        for k, v in value.items()
        if v is not None
    }
