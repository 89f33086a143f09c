"""Requests of v1 as requests of v2.

Pure: nothing in this file does I/O. What a message does with its files depends on their names, which are handed in
as `names`, by file id.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import msgspec
import msgspec.inspect

from assistd.assistants import wire as assistants
from assistd.runs import wire as runs
from assistd.threads import wire as threads
from assistd.threads.wire import Attachment, FileSearchTypeOnly
from assistd.v1 import wire
from assistd.v1.answers import shown_tool
from assistd.vector_stores import documents
from assistd.web import tools as v2
from assistd.web.faults import explain

Names = Mapping[str, str]


def check_texts(body: msgspec.Struct, longest: int) -> None:
    """Raise APIError for instructions or a message longer than the client's version of the service took."""
    for param, text in _texts(body):
        if fault := explain(text, msgspec.inspect.StrType(max_length=longest), param):
            raise fault


def file_ids(messages: Sequence[wire.CreateMessage] | None) -> list[str]:
    """Return the files that messages bring, each once."""
    return list(dict.fromkeys(id for message in messages or () for id in message.file_ids or ()))


def tool_types(tools: Sequence[wire.Tool]) -> frozenset[str]:
    """Return the types of tools as v2 calls them."""
    return frozenset(tool["type"] for tool in v2.normalize_tools(_tools(tools) or []))


def create_assistant(new: wire.CreateAssistant) -> assistants.CreateAssistant:
    """Translate a new assistant but for its files, which are links of their own."""
    return assistants.CreateAssistant(**_assistant(new))


def modify_assistant(change: wire.ModifyAssistant, tools: Sequence[dict[str, Any]] = ()) -> assistants.ModifyAssistant:
    """Translate a change of an assistant but for its files.

    Of the `tools` that it has, those that v1 sends back as it was shown them keep what v1 does not know of them.
    """
    return assistants.ModifyAssistant(**_assistant(change) | {"tools": _kept(_tools(change.tools), tools)})


def create_message(new: wire.CreateMessage, names: Names) -> threads.CreateMessage:
    """Translate a message; its files become attachments."""
    attachments = [_attachment(id, names[id]) for id in dict.fromkeys(new.file_ids or ())]
    return threads.CreateMessage(new.role, new.content, attachments or None, new.metadata)


def create_thread(new: wire.CreateThread, names: Names) -> threads.CreateThread:
    """Translate a thread with its messages."""
    return threads.CreateThread(messages=_messages(new.messages, names), metadata=new.metadata)


def create_run(new: wire.CreateRun, names: Names) -> runs.CreateRun:
    """Translate a run."""
    return runs.CreateRun(
        **_options(new),
        additional_instructions=new.additional_instructions,
        additional_messages=_messages(new.additional_messages, names),
    )


def create_thread_and_run(new: wire.CreateThreadAndRun, names: Names) -> runs.CreateThreadAndRun:
    """Translate a thread with a run on it."""
    return runs.CreateThreadAndRun(
        **_options(new), thread=None if new.thread is None else create_thread(new.thread, names)
    )


def _assistant(change: wire.ModifyAssistant) -> dict[str, Any]:
    return {
        "model": change.model,
        "name": change.name,
        "description": change.description,
        "instructions": change.instructions,
        "tools": _tools(change.tools),
        "metadata": change.metadata,
        "temperature": change.temperature,
        "top_p": change.top_p,
        "response_format": _format(change.response_format),
    }


def _options(new: wire.RunOptions) -> dict[str, Any]:
    return {
        "assistant_id": new.assistant_id,
        "model": new.model,
        "instructions": new.instructions,
        "tools": _tools(new.tools),
        "metadata": new.metadata,
        "temperature": new.temperature,
        "top_p": new.top_p,
        "stream": new.stream,
        "max_prompt_tokens": new.max_prompt_tokens,
        "max_completion_tokens": new.max_completion_tokens,
        "truncation_strategy": new.truncation_strategy,
        "tool_choice": _choice(new.tool_choice),
        "response_format": _format(new.response_format),
    }


def _tools(tools: Sequence[wire.Tool] | None) -> list[v2.Tool] | None:
    return None if tools is None else [_tool(tool) for tool in tools]


def _tool(tool: wire.Tool) -> v2.Tool:
    match tool:
        case wire.RetrievalTool():
            return v2.FileSearchTool()
        case wire.FunctionTool(function=f):
            return v2.FunctionTool(v2.FunctionObject(f.name, f.description, f.parameters))
        case _:
            return tool


def _kept(new: list[v2.Tool] | None, tools: Sequence[dict[str, Any]]) -> list[v2.Tool] | None:
    if new is None:
        return None
    known = {msgspec.json.encode(shown_tool(tool)): tool for tool in tools}
    shown = (msgspec.json.encode(shown_tool(tool)) for tool in v2.normalize_tools(new))
    return [
        msgspec.convert(known[form], v2.Tool) if form in known else tool for form, tool in zip(shown, new, strict=True)
    ]


def _choice(choice: wire.ToolChoice | None) -> v2.ToolChoice | None:
    return v2.NamedFileSearch() if isinstance(choice, wire.NamedRetrieval) else choice


def _format(given: wire.ResponseFormat | None) -> v2.ResponseFormat | None:
    return "auto" if given == "none" else given


def _messages(new: Sequence[wire.CreateMessage] | None, names: Names) -> list[threads.CreateMessage] | None:
    return None if new is None else [create_message(message, names) for message in new]


def _attachment(id: str, name: str) -> Attachment:
    """Give a file to every tool that can use it: in v1 it is the assistant that says which are used."""
    searched = [FileSearchTypeOnly()] if documents.is_supported(name) else []
    return Attachment(id, [v2.CodeInterpreterTool(), *searched])


def _texts(body: msgspec.Struct) -> Iterator[tuple[str, str]]:
    """Yield the texts of a request with their places in it."""
    for name in ("content", "instructions", "additional_instructions"):
        if isinstance(text := getattr(body, name, None), str):
            yield name, text
    for name in ("messages", "additional_messages"):
        for i, message in enumerate(getattr(body, name, None) or ()):
            yield f"{name}[{i}].content", message.content
    if (thread := getattr(body, "thread", None)) is not None:
        yield from ((f"thread.{place}", text) for place, text in _texts(thread))
