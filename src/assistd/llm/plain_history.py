"""A conversation with tool calls, told in plain messages, for models whose templates know nothing of tools."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

Message = dict[str, Any]


def decoded(messages: Sequence[Any]) -> list[Message]:
    """The messages as plain dictionaries, whatever `msgspec.Raw` parts they were made of."""
    return msgspec.json.decode(msgspec.json.encode(messages), type=list[Message])


def plain(messages: Sequence[Message]) -> list[Message]:
    """Tell calls as the JSON that makes them, and tool results as words of the user.

    The results of one round stand in one message: many templates insist that user
    and assistant take turns.
    """
    names: dict[str, str] = {}
    told: list[Message] = []
    results = False  # whether the last told message is one of results
    for message in messages:
        if message.get("role") == "tool":
            result = _result(message, names)
            if results:
                result = told.pop()["content"] + "\n\n" + result
            told.append({"role": "user", "content": result})
            results = True
            continue
        results = False
        calls = message.get("tool_calls")
        told.append(_calls(message, names) if calls else message)
    return told


def text_of(content: Any) -> str:
    """The text of a message's content: itself, or its text parts, one a line."""
    if isinstance(content, str):
        return content
    parts = content if isinstance(content, list) else []
    return "\n".join(part["text"] for part in parts if isinstance(part, dict) and isinstance(part.get("text"), str))


def call_text(name: str, arguments: str) -> str:
    """How a call is written: `{"tool": ..., "arguments": ...}`, the arguments as they came."""
    return f'{{"tool": {msgspec.json.encode(name).decode()}, "arguments": {arguments or "{}"}}}'


def _calls(message: Message, names: dict[str, str]) -> Message:
    lines = [text] if (text := text_of(message.get("content"))) else []
    for call in message["tool_calls"]:
        function = call.get("function", {})
        name = names[call.get("id", "")] = function.get("name", "")
        lines.append(call_text(name, function.get("arguments", "")))
    return {"role": "assistant", "content": "\n".join(lines)}


def _result(message: Message, names: dict[str, str]) -> str:
    name = names.get(message.get("tool_call_id", ""), "the tool")
    return f"Result of {name}:\n{text_of(message.get('content'))}"
