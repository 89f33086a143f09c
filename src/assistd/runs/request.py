"""What a run asks of the model: its settings and the conversation, as one Chat Completions request."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from assistd.llm.protocol import ChatRequest, Model
from assistd.runs import file_search
from assistd.runs.calls import ToolSet
from assistd.runs.history import Window, estimate
from assistd.runs.machine import CallModel, Step
from assistd.runs.wire import Run, TruncationStrategy

# A client that is asked again and again can stop; the server's own tools would go on until the run expires.
_MOST_ROUNDS = 20

# Of an assistant without instructions, on a thread without a message. v1 took such runs; no model takes nothing.
_NOTHING_SAID = {"role": "system", "content": "Nothing has been said yet. Greet the user, and ask how you can help."}

_strategy = msgspec.json.Decoder(TruncationStrategy)


def compose(
    run: Run, functions: Mapping[str, Any], command: CallModel, steps: Sequence[Step], documents: str = ""
) -> ChatRequest:
    """Make the request but for the conversation, which `with_conversation` adds; `steps` are the run's so far.

    `functions` are the server's own tools as the model is offered them, by their types. `documents` are the words of
    files that stand behind the instructions, in the same message: many templates take only one of the system.

    A forced tool choice holds for the first turn only: the model must call a tool before it answers, not for ever.
    And a model that does nothing but search or run code, again and again, has to answer at some point.
    """
    tools = _tools(run, functions)
    system = "\n\n".join(words for words in (run.instructions, documents) if words)
    choice = _choice(msgspec.json.decode(run.tool_choice)) if tools else None
    if choice not in (None, "none") and any(step.type == "tool_calls" for step in steps):
        choice = None
    if tools and _rounds_without_client(steps) >= _MOST_ROUNDS:
        choice = "none"
    return ChatRequest(
        model=run.model,
        messages=[{"role": "system", "content": system}] if system else [],
        tools=tools,
        tool_choice=choice,
        parallel_tool_calls=False if tools and not run.parallel_tool_calls else None,
        response_format=_format(msgspec.json.decode(run.response_format)),
        temperature=run.temperature,
        top_p=run.top_p,
        max_completion_tokens=command.completion_tokens,
        reasoning_effort=run.reasoning_effort,
    )


def _rounds_without_client(steps: Sequence[Step]) -> int:
    """Count the turns in which the model has called nothing but the server's own tools, up to now."""
    rounds = 0
    for step in reversed(steps):
        if step.type == "tool_calls":
            if any(call.type == "function" for call in step.calls):
                break
            rounds += 1
    return rounds


def window(run: Run, model: Model, command: CallModel, chat: ChatRequest) -> Window:
    """Say how much of the thread fits beside the request's own weight and the answer."""
    system = "".join(message["content"] for message in chat.messages)
    strategy = _strategy.decode(run.truncation_strategy)
    room = model.context_length // 4
    answer = room if command.completion_tokens is None else min(command.completion_tokens, room)
    tokens = model.context_length - answer
    if command.prompt_tokens is not None:
        tokens = min(tokens, command.prompt_tokens)
    tokens -= estimate(len(system.encode())) + estimate(len(msgspec.json.encode(chat.tools)))
    return Window(tokens, strategy.last_messages if strategy.type == "last_messages" else None)


def with_conversation(chat: ChatRequest, conversation: Sequence[Any]) -> ChatRequest:
    """Put the conversation behind the instructions."""
    return msgspec.structs.replace(chat, messages=[*chat.messages, *conversation] or [_NOTHING_SAID])


def tool_set(run: Run) -> ToolSet:
    """Return what the run's model may call."""
    tools = msgspec.json.decode(run.tools)
    search = file_search.options_of(run)
    return ToolSet(
        frozenset(tool["function"]["name"] for tool in tools if tool["type"] == "function"),
        None if search is None else search.shown,
        any(tool["type"] == "code_interpreter" for tool in tools),
    )


def _tools(run: Run, functions: Mapping[str, Any]) -> list[Any]:
    offered = []
    for tool in msgspec.json.decode(run.tools):
        function = tool["function"] if tool["type"] == "function" else functions[tool["type"]]
        offered.append({"type": "function", "function": function})
    return offered


def _choice(choice: Any) -> Any:
    if isinstance(choice, dict):
        name = choice["function"]["name"] if choice["type"] == "function" else choice["type"]
        return {"type": "function", "function": {"name": name}}
    return None if choice == "auto" else choice


def _format(response_format: Any) -> Any:
    if isinstance(response_format, dict) and response_format["type"] != "text":
        return response_format
    return None
