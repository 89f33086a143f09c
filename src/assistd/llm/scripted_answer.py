"""What the scripted model answers to a Chat Completions request. No I/O."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from assistd.llm.plain_history import text_of
from assistd.llm.protocol import FinishReason
from assistd.llm.schema_instance import minimal_instance
from assistd.llm.script import Call, Script

_TOKEN: Final = re.compile(r"\s*\S+\s*|\s+")


@dataclass(frozen=True)
class Token:
    """One piece of an answer: of its text, of a refusal, or (`call` counts from 0) of a call's arguments."""

    value: str
    call: int | None = None
    refusal: bool = False


@dataclass(frozen=True)
class Answer:
    """One completion. `prompt_tokens` are the words of all messages; each `Token` counts as one."""

    tokens: tuple[Token, ...]
    calls: tuple[Call, ...]
    finish_reason: FinishReason
    prompt_tokens: int
    thoughts: str = ""


def last_user_text(body: dict[str, Any]) -> str:
    """The text of the last user message: the script."""
    for message in reversed(body["messages"]):
        if message.get("role") == "user":
            return text_of(message.get("content"))
    return ""


def answer(body: dict[str, Any], script: Script) -> Answer:
    """Make the answer that a script asks for, cut to the request's limit of tokens."""
    calls = _calls(body, script)
    if calls:
        tokens = _words(script.preamble) + [
            Token(piece, call=number) for number, call in enumerate(calls) for piece in _argument_pieces(call.arguments)
        ]
    elif script.refusal:
        tokens = [Token(token.value, refusal=True) for token in _words(script.refusal)]
    else:
        tokens = _words(_text(body, script))
    limit = body.get("max_completion_tokens", body.get("max_tokens"))
    finish_reason: FinishReason = "tool_calls" if calls else "stop"
    if limit is not None and len(tokens) > limit:
        tokens, finish_reason = tokens[:limit], "length"
        begun = {token.call for token in tokens}
        calls = tuple(call for number, call in enumerate(calls) if number in begun)
    return Answer(tuple(tokens), calls, finish_reason, _prompt_tokens(body["messages"]), script.think)


def _calls(body: dict[str, Any], script: Script) -> tuple[Call, ...]:
    """The calls to make: those of the script or, where the request insists on one, the least one that fits."""
    choice = body.get("tool_choice")
    functions = [tool["function"] for tool in body.get("tools") or () if tool.get("type") == "function"]
    rounds = sum(1 for message in _turn(body["messages"]) if message.get("tool_calls"))
    if not functions or choice == "none" or rounds >= (script.nexts + 1 if script.nexts else script.rounds):
        return ()
    if script.calls:
        return tuple(call for call in script.calls if call.round == (rounds if script.nexts else 0))
    if isinstance(choice, dict):
        name = choice.get("function", {}).get("name")
        functions = [function for function in functions if function["name"] == name]
    elif choice != "required":
        return ()
    return tuple(
        Call(function["name"], json.dumps(minimal_instance(function.get("parameters") or {"type": "object"})))
        for function in functions[:1]
    )


def _text(body: dict[str, Any], script: Script) -> str:
    if script.report:
        return json.dumps(body, ensure_ascii=False)
    if script.say is not None:
        return script.say
    if script.tokens is not None:
        return " ".join(f"w{number}" for number in range(script.tokens))
    response_format = body.get("response_format") or {}
    if response_format.get("type") == "json_schema":
        return json.dumps(minimal_instance(response_format["json_schema"].get("schema", {})), ensure_ascii=False)
    if response_format.get("type") == "json_object":
        return json.dumps({"echo": script.message}, ensure_ascii=False)
    results = [text_of(message.get("content")) for message in _turn(body["messages"]) if message.get("role") == "tool"]
    return f"RESULT: {' | '.join(results)}" if results else f"echo: {script.message}"


def _turn(messages: Sequence[dict[str, Any]]) -> Sequence[dict[str, Any]]:
    """What came after the last user message."""
    for at in range(len(messages) - 1, -1, -1):
        if messages[at].get("role") == "user":
            return messages[at + 1 :]
    return messages


def _words(text: str) -> list[Token]:
    return [Token(piece) for piece in _TOKEN.findall(text)]


def _argument_pieces(arguments: str) -> list[str]:
    """Cut into at least two pieces where there are two characters, and into 32 at most."""
    size = max(1, min(6, len(arguments) // 2), -(-len(arguments) // 32))
    return [arguments[at : at + size] for at in range(0, len(arguments), size)]


def _prompt_tokens(messages: Sequence[dict[str, Any]]) -> int:
    return sum(len(text_of(message.get("content")).split()) for message in messages)
