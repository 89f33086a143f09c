"""What is wrong with tools, formats and choices that their types cannot say, in the words of the original service."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from assistd import errors
from assistd.errors import APIError
from assistd.web.strict_schema import Allowance, SchemaFault, check_object, check_strict
from assistd.web.tools import (
    CodeInterpreterTool,
    FileSearchTool,
    FunctionObject,
    FunctionTool,
    JsonSchema,
    JsonSchemaFormat,
    NamedCodeInterpreter,
    NamedFileSearch,
    NamedFunction,
    ResponseFormat,
    Tool,
    ToolChoice,
)


def check_tools(tools: Sequence[Tool] | None, response_format: ResponseFormat | None) -> None:
    """Check new tools and the format of answers, where they are given. Raises APIError.

    No two tools may have the same name, by which the model calls them; and a schema must be one that a model can be
    asked to fit.
    """
    allowance = Allowance()
    names = set[str]()
    for place, tool in enumerate(tools or ()):
        if isinstance(tool, FunctionTool):
            _check_function(tool.function, f"tools[{place}].function.parameters", allowance)
        if (name := _name(tool)) in names:
            raise APIError("Tool names must be unique.", param="tools", code="invalid_value")
        names.add(name)
    if isinstance(response_format, JsonSchemaFormat):
        _check_format(response_format.json_schema, allowance)


def check_choice(choice: ToolChoice | None, tools: Iterable[Mapping[str, Any]]) -> None:
    """Check that a tool choice can be met with tools, which are as they are shown. Raises APIError."""
    if choice is None or choice in ("auto", "none"):
        return
    functions, types = set[str](), set[str]()
    for tool in tools:
        types.add(tool["type"])
        if tool["type"] == "function":
            functions.add(tool["function"]["name"])
    if not types:
        raise _wrong_choice(
            "Invalid value for 'tool_choice': 'tool_choice' is only allowed when 'tools' are specified."
        )
    match choice:
        case NamedFunction(function=function) if function.name not in functions:
            raise _wrong_choice(
                f"Invalid value for 'tool_choice': no function named '{function.name}' was specified in the 'tools' "
                "parameter."
            )
        case NamedFileSearch() if "file_search" not in types:
            raise _wrong_choice("Tool choice 'file_search' not found in 'tools' parameter.")
        case NamedCodeInterpreter() if "code_interpreter" not in types:
            raise _wrong_choice("Tool choice 'code_interpreter' not found in 'tools' parameter.")


def _check_function(function: FunctionObject, param: str, allowance: Allowance) -> None:
    if function.parameters is None:
        return
    try:
        if function.strict:
            check_strict(function.parameters, allowance)
        else:
            check_object(function.parameters)
    except SchemaFault as fault:
        message = f"Invalid schema for function '{function.name}': {fault}"
        raise APIError(message, param=param, code="invalid_function_parameters") from fault


def _check_format(given: JsonSchema, allowance: Allowance) -> None:
    if not given.strict:
        return
    if given.schema is None:
        raise errors.missing("response_format.json_schema.schema")
    try:
        check_strict(given.schema, allowance)
    except SchemaFault as fault:
        raise APIError(
            f"Invalid schema for response_format '{given.name}': {fault}", param="response_format"
        ) from fault


def _name(tool: Tool) -> str:
    """Return the name by which the model calls a tool."""
    match tool:
        case FunctionTool(function=function):
            return function.name
        case FileSearchTool():
            return "file_search"
        case CodeInterpreterTool():
            return "code_interpreter"


def _wrong_choice(message: str) -> APIError:
    return APIError(message, param="tool_choice")
