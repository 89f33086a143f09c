"""Tool calls from models that cannot make them: the reply is held to a JSON schema.

The tools are told in the prompt, and `response_format` lets the model write
nothing but a call of one of them or a final answer. That works with any model
behind a server that obeys `json_schema`, however weak and whatever its template.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from typing import Any, Final

import msgspec

from assistd.llm import failures
from assistd.llm.plain_history import Message, call_text, decoded, plain
from assistd.llm.protocol import ChatRequest, Delta, Finish, ModelRefused, Sent, Text
from assistd.llm.reply import NotAReply, ReplyReader
from assistd.llm.reply_schema import Schema, reply_schema
from assistd.llm.request_body import with_system_note
from assistd.llm.upstream import UpstreamModel

_TEXT_ANSWER: Final[Schema] = {"type": "string"}

# A weak model may call, and call again, for ever. After so many rounds of calls it has to answer.
_MOST_ROUNDS = 5


class ConstrainedModel:
    """An upstream model whose tools go through `response_format`; implements `protocol.Model`.

    A completion makes one call at most, so `parallel_tool_calls` changes nothing: the
    model may ask for the next tool once it has seen what the first one gave.
    """

    def __init__(self, model: UpstreamModel) -> None:
        self._model = model

    @property
    def context_length(self) -> int:
        """Tokens that prompt and completion may take together."""
        return self._model.context_length

    @property
    def images(self) -> bool:
        """Whether image parts may be sent; where not, they become the words `[image]`."""
        return self._model.images

    async def stream(self, request: ChatRequest, sent: Sent | None = None) -> AsyncGenerator[Sequence[Delta], None]:
        """Make one completion. Raises `ModelError`. Closing the iterator aborts the upstream call."""
        messages = decoded(request.messages)
        history = plain(messages)
        functions = _offered(request)
        stuck = bool(functions) and _goes_in_circles(request, messages)
        reader = None
        if functions:
            reader = ReplyReader(answer_is_text=_answer_schema(request.response_format) is _TEXT_ANSWER)
            inner = _constrained(request, history, functions, stuck)
        else:
            inner = msgspec.structs.replace(request, messages=history, tools=(), tool_choice=None)
        async with aclosing(self._model.stream(inner, sent)) as batches:
            async for batch in batches:
                told = batch if reader is None else self._told(reader, batch)
                if told:
                    yield told

    def _told(self, reader: ReplyReader, batch: Sequence[Delta]) -> list[Delta]:
        told: list[Delta] = []
        try:
            for delta in batch:
                if isinstance(delta, Text):
                    told += reader.feed(delta.value)
                elif isinstance(delta, Finish):
                    told += reader.finish(whole=delta.reason == "stop")
                    called = reader.called and delta.reason == "stop"
                    told.append(Finish("tool_calls" if called else delta.reason, delta.usage))
                else:
                    told.append(delta)
        except NotAReply as fault:
            raise failures.off_schema(self._model.route) from fault
        return told


def _goes_in_circles(request: ChatRequest, messages: Sequence[Message]) -> bool:
    """Say whether the model has called often enough since the user spoke, or just made the same call twice."""
    if request.tool_choice not in (None, "auto", "none"):
        return False
    rounds: list[Any] = []
    for message in messages:
        if message.get("role") == "user":
            rounds = []
        elif message.get("tool_calls"):
            rounds.append([call["function"] for call in message["tool_calls"]])
    return len(rounds) >= _MOST_ROUNDS or (len(rounds) >= 2 and rounds[-1] == rounds[-2])


def _offered(request: ChatRequest) -> list[Schema]:
    """The functions that may be called, as on the wire: all, one that is named, or none."""
    tools = msgspec.json.decode(msgspec.json.encode(request.tools))
    functions = [tool["function"] for tool in tools if tool.get("type") == "function"]
    choice = request.tool_choice
    if choice == "none":
        return []
    if isinstance(choice, dict):
        name = choice.get("function", {}).get("name")
        functions = [function for function in functions if function["name"] == name]
        if not functions:
            raise ModelRefused(
                f"tool_choice names the function {name!r}, which is not among the tools.", "invalid_prompt"
            )
    return functions


def _constrained(request: ChatRequest, history: list[Message], functions: list[Schema], stuck: bool) -> ChatRequest:
    must_call = request.tool_choice not in (None, "auto")
    answer = None if must_call else _answer_schema(request.response_format)
    schema = {"name": "reply", "strict": True, "schema": reply_schema([] if stuck else functions, answer)}
    return msgspec.structs.replace(
        request,
        messages=with_system_note(history, _prompt(functions, answer)),
        tools=(),
        tool_choice=None,
        parallel_tool_calls=None,
        response_format={"type": "json_schema", "json_schema": schema},
    )


def _answer_schema(response_format: Any) -> Schema:
    """What the final answer must fit: the schema that the user asked for, any object, or a text."""
    kind = response_format.get("type") if isinstance(response_format, dict) else None
    if kind == "json_schema":
        return dict(response_format["json_schema"].get("schema") or {"type": "object"})
    return {"type": "object"} if kind == "json_object" else _TEXT_ANSWER


def _prompt(functions: list[Schema], answer: Schema | None) -> str:
    lines = [
        "You can call these tools. Each line has a tool, what it is for, and the JSON schema of its arguments.",
        "",
    ]
    for function in functions:
        words = function.get("description") or "no description"
        parameters = msgspec.json.encode(function.get("parameters") or {}).decode()
        lines.append(f"- {function['name']}: {words} Arguments: {parameters}")
    lines += ["", "Reply with one JSON object and nothing else. To call a tool:", call_text("NAME", "{...}")]
    if answer is _TEXT_ANSWER:
        lines += ["Where no tool is needed, or its result is there already, to answer the user:", '{"answer": "..."}']
    elif answer is not None:
        fit = msgspec.json.encode(answer).decode()
        lines += [f"Where no tool is needed, or its result is there already, with an answer that fits {fit}:"]
        lines += ['{"answer": {...}}']
    return "\n".join(lines)
