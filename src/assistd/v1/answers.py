"""Objects of v2 as objects of v1, in answers and in streams alike.

Pure: nothing in this file does I/O. The files of assistants and runs are links of v1's own, handed in by object id.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from assistd.v1.clients import Client

# What v1 shows of an object: from the beginning, and since later.
_ASSISTANT = ("id", "object", "created_at", "name", "description", "model", "instructions", "tools")
_ASSISTANT_LATER = ("top_p", "temperature", "response_format")
_THREAD = ("id", "object", "created_at", "metadata")
_MESSAGE = ("id", "object", "created_at", "assistant_id", "thread_id", "run_id")
_MESSAGE_STATUS = ("status", "incomplete_details", "incomplete_at", "completed_at")
_RUN = (
    *("id", "object", "created_at", "assistant_id", "thread_id", "status", "started_at", "expires_at"),
    *("cancelled_at", "failed_at", "completed_at", "required_action", "last_error", "model", "instructions"),
)
_RUN_LATER = (
    *("top_p", "max_completion_tokens", "max_prompt_tokens", "truncation_strategy", "incomplete_details"),
    "response_format",
)
_USAGE = ("prompt_tokens", "completion_tokens", "total_tokens")

FileIds = Mapping[str, Sequence[str]]


def translate(shown: dict[str, Any], client: Client, files: FileIds) -> dict[str, Any]:
    """Return an object, or a list of them, as this client of v1 is to see it.

    `files` are those linked to the assistants and runs in it, by their ids (see `holders`).
    """
    kind = shown["object"]
    if kind == "list":
        return {**shown, "data": [translate(each, client, files) for each in shown["data"]]}
    translator = _TRANSLATORS.get(kind)
    return shown if translator is None else translator(shown, client, files)


def holders(shown: dict[str, Any]) -> Iterable[dict[str, Any]]:
    """Yield the assistants and runs among what is shown: they have files."""
    for each in shown["data"] if shown["object"] == "list" else (shown,):
        if each["object"] in ("assistant", "thread.run"):
            yield each


def message_file_ids(message: Mapping[str, Any]) -> list[str]:
    """Return the files of a v2 message as v1 counts them: those attached, and those that its text links to."""
    attached = [attachment["file_id"] for attachment in message["attachments"]]
    linked = [
        annotation["file_path"]["file_id"]
        for part in message["content"]
        if part["type"] == "text"
        for annotation in part["text"]["annotations"]
        if annotation["type"] == "file_path"
    ]
    return list(dict.fromkeys((*attached, *linked)))


def _assistant(assistant: dict[str, Any], client: Client, files: FileIds) -> dict[str, Any]:
    return {
        **_picked(assistant, _ASSISTANT),
        "tools": _tools(assistant["tools"]),
        "file_ids": files.get(assistant["id"], ()),
        "metadata": assistant["metadata"],
        **(_picked(assistant, _ASSISTANT_LATER) if client.limits else {}),
    }


def _thread(thread: dict[str, Any], client: Client, files: FileIds) -> dict[str, Any]:
    return _picked(thread, _THREAD)


def _message(message: dict[str, Any], client: Client, files: FileIds) -> dict[str, Any]:
    return {
        **_picked(message, _MESSAGE),
        **(_picked(message, _MESSAGE_STATUS) if client.message_status else {}),
        "role": message["role"],
        "content": [_part(part) for part in message["content"]],
        "file_ids": message_file_ids(message),
        "metadata": message["metadata"],
    }


def _run(run: dict[str, Any], client: Client, files: FileIds) -> dict[str, Any]:
    shown = {
        **_picked(run, _RUN),
        "tools": _tools(run["tools"]),
        "file_ids": files.get(run["id"], ()),
        "metadata": run["metadata"],
    }
    if run["status"] == "incomplete":  # which v1 tells by the details alone
        shown["status"] = "completed"
    if not client.usage and run["required_action"] is None:
        del shown["required_action"]
    if client.temperature:
        shown["temperature"] = run["temperature"]
    if client.limits:
        shown |= _picked(run, _RUN_LATER)
        shown["tool_choice"] = _choice(run["tool_choice"])
    if client.usage:
        shown["usage"] = _usage(run["usage"])
    return shown


def _step(step: dict[str, Any], client: Client, files: FileIds) -> dict[str, Any]:
    shown = {**step, "step_details": _details(step["step_details"])}
    del shown["usage"]
    if client.usage:
        shown["usage"] = _usage(step["usage"])
    return shown


def _step_delta(delta: dict[str, Any], client: Client, files: FileIds) -> dict[str, Any]:
    return {**delta, "delta": {**delta["delta"], "step_details": _details(delta["delta"]["step_details"])}}


def _message_delta(delta: dict[str, Any], client: Client, files: FileIds) -> dict[str, Any]:
    content = [_part(part) for part in delta["delta"]["content"]]
    return {**delta, "delta": {**delta["delta"], "content": content}}


_Translator = Callable[[dict[str, Any], Client, FileIds], dict[str, Any]]

_TRANSLATORS: Mapping[str, _Translator] = {
    "assistant": _assistant,
    "thread": _thread,
    "thread.message": _message,
    "thread.message.delta": _message_delta,
    "thread.run": _run,
    "thread.run.step": _step,
    "thread.run.step.delta": _step_delta,
}


def _picked(shown: Mapping[str, Any], names: Iterable[str]) -> dict[str, Any]:
    return {name: shown[name] for name in names}


def _usage(usage: Mapping[str, Any] | None) -> dict[str, Any] | None:
    return None if usage is None else _picked(usage, _USAGE)


def _tools(tools: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    return [shown_tool(tool) for tool in tools]


def shown_tool(tool: dict[str, Any]) -> dict[str, Any]:
    """Return a tool as v1 shows it."""
    match tool["type"]:
        case "file_search":
            return {"type": "retrieval"}
        case "function":
            function = {name: value for name, value in tool["function"].items() if name != "strict"}
            return {"type": "function", "function": function}
        case _:
            return tool


def _choice(choice: Any) -> Any:
    return {"type": "retrieval"} if choice == {"type": "file_search"} else choice


def _details(details: dict[str, Any]) -> dict[str, Any]:
    """Translate the details of a step, or a piece of them: what file search does is none of v1's business."""
    if details["type"] != "tool_calls":
        return details
    return {**details, "tool_calls": [_call(call) for call in details["tool_calls"]]}


def _call(call: dict[str, Any]) -> dict[str, Any]:
    if call["type"] != "file_search":
        return call
    place: dict[str, Any] = {name: call[name] for name in ("index", "id") if name in call}
    return {**place, "type": "retrieval", "retrieval": {}}


def _part(part: dict[str, Any]) -> dict[str, Any]:
    """Translate a part of a message, or a piece of one. v1 knows texts, and pictures that are files.

    What it does not know becomes text: its readers look for that, and stumble where it is missing.
    """
    match part["type"]:
        case "refusal":
            text = part["refusal"]
        case "image_url":
            url = part["image_url"]["url"]
            text = "[picture]" if url.startswith("data:") else url
        case "image_file":
            return {**part, "image_file": {"file_id": part["image_file"]["file_id"]}}
        case _:
            return part
    place: dict[str, Any] = {"index": part["index"]} if "index" in part else {}
    return {**place, "type": "text", "text": {"value": text, "annotations": []}}
