"""A streamed completion, read: the data of its events in, `Delta`s out. No I/O.

Servers differ in what they send; what is tolerated here was seen somewhere:
content null or a list of parts; whole tool calls in one chunk; calls without
id, without index, or all with index 0; the name of a call again in later
chunks; a finish reason of "stop" although there were calls; usage in the last
chunk, in a chunk of its own, in every chunk or never.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any, Final

import msgspec

from assistd import ids
from assistd.llm import failures
from assistd.llm.keepable import keepable
from assistd.llm.protocol import CallArguments, CallStart, Delta, Finish, FinishReason, Refusal, Text, Usage
from assistd.llm.routing import Route

_DONE: Final = b"[DONE]"
_NUL: Final = "\0"
_REASONS: Final[dict[str, FinishReason]] = {
    "stop": "stop",
    "length": "length",
    "max_tokens": "length",
    "model_length": "length",
    "tool_calls": "tool_calls",
    "content_filter": "content_filter",
}


class _Function(msgspec.Struct, gc=False):
    name: str | None = None
    arguments: str | dict[str, Any] | None = None


class _Call(msgspec.Struct, gc=False):
    index: int | None = None
    id: str | None = None
    function: _Function | None = None


class _Message(msgspec.Struct, gc=False):
    """A delta or, where the server does not stream, the whole message."""

    content: str | list[Any] | None = None
    refusal: str | None = None
    tool_calls: list[_Call] | None = None


class _Choice(msgspec.Struct, gc=False):
    delta: _Message | None = None
    message: _Message | None = None
    finish_reason: str | None = None


class _Chunk(msgspec.Struct, gc=False):
    choices: list[_Choice] | None = None
    usage: msgspec.Raw = msgspec.Raw()
    error: Any = None


class _OpenCall:
    """A tool call that has begun, under the index and id the server gave it (-1 and "" for none)."""

    __slots__ = ("held", "id", "index", "name", "number")

    def __init__(self, index: int, id: str) -> None:
        self.index = index
        self.id = id
        self.name = ""
        self.held = ""  # arguments that came before the name
        self.number = -1  # ours: counts the calls of this completion


class CompletionReader:
    """Turns the chunks of one completion into deltas.

    `done` tells that the server said there is nothing more to come; `finished`
    that it gave a reason for the end, so that the completion is whole.
    """

    __slots__ = ("_calls", "_decode", "_pieces", "_reason", "_route", "_started", "_usage", "done")

    def __init__(self, route: Route) -> None:
        self._route = route
        self._decode = msgspec.json.Decoder(_Chunk).decode
        self._calls: list[_OpenCall] = []
        self._started: set[str] = set()
        self._pieces: list[Delta] = []
        self._reason = ""
        self._usage = b""
        self.done = False

    @property
    def finished(self) -> bool:
        """Whether the server gave a reason for the end."""
        return self._reason != ""

    def read(self, payloads: Iterable[bytes]) -> list[Delta]:
        """Take the data of some events. Raises ModelError where the server reports one or sends nonsense."""
        pieces = self._pieces = []
        for payload in payloads:
            if payload == _DONE:
                self.done = True
                break
            try:
                chunk = self._decode(payload)
            except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
                chunk = self._decode_odd(payload)
            if chunk.choices:
                choice = chunk.choices[0]
                message = choice.delta
                if message is not None:
                    content = message.content
                    if isinstance(content, str):
                        if content:
                            pieces.append(Text(content if _NUL not in content else keepable(content)))
                    elif content:
                        self._add_parts(content)
                    if message.tool_calls or message.refusal:
                        self._add_rest(message)
                if choice.finish_reason:
                    self._reason = choice.finish_reason
            if chunk.usage and (usage := bytes(chunk.usage)) != b"null":
                self._usage = usage
            if chunk.error:
                raise failures.of_payload(self._route, chunk.error)
        return pieces

    def read_whole(self, body: bytes) -> list[Delta]:
        """Take the one JSON object of a server that does not stream; the completion is finished then."""
        self._pieces = []
        try:
            chunk = self._decode(body)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            chunk = self._decode_odd(body)
        if chunk.error:
            raise failures.of_payload(self._route, chunk.error)
        message = chunk.choices[0].message or chunk.choices[0].delta if chunk.choices else None
        if not chunk.choices or message is None:
            raise failures.nonsense(self._route)
        if isinstance(message.content, str):
            self._add_text(message.content)
        elif message.content:
            self._add_parts(message.content)
        self._add_rest(message)
        self._reason = chunk.choices[0].finish_reason or "stop"
        self._usage = bytes(chunk.usage)
        self.done = True
        return self._pieces

    def finish(self) -> Finish:
        """The last delta. Raises ModelUnavailable for a completion that was cut or came out broken."""
        if not self._reason:
            raise failures.cut(self._route)
        reason = _REASONS.get(self._reason, "stop")
        if reason in ("stop", "tool_calls"):
            if self._reason == "error" or any(call.number < 0 for call in self._calls):
                raise failures.nonsense(self._route)
            reason = "tool_calls" if self._calls else "stop"
        return Finish(reason, _usage_of(self._usage))

    def _decode_odd(self, payload: bytes) -> _Chunk:
        """Decode what a strict decoder refuses: halves of surrogate pairs, invalid UTF-8, NaN."""
        try:
            value = json.loads(payload.decode("utf-8", "replace"), parse_constant=lambda _: None)
            text = json.dumps(value, ensure_ascii=False).encode("utf-16-le", "surrogatepass")
            return self._decode(text.decode("utf-16-le", "replace").encode())
        except (ValueError, RecursionError, msgspec.DecodeError) as fault:
            raise failures.nonsense(self._route) from fault

    def _add_text(self, text: str) -> None:
        if text:
            self._pieces.append(Text(keepable(text)))

    def _add_parts(self, parts: list[Any]) -> None:
        for part in parts:
            if isinstance(part, str):
                self._add_text(part)
            elif isinstance(part, dict) and isinstance(part.get("text"), str):
                self._add_text(part["text"])

    def _add_rest(self, message: _Message) -> None:
        if message.refusal:
            self._pieces.append(Refusal(keepable(message.refusal)))
        seen: set[int] = set()
        for part in message.tool_calls or ():
            self._add_call(part, seen)

    def _add_call(self, part: _Call, seen: set[int]) -> None:
        function = part.function or _Function()
        call = self._call_of(part, function.name or "", seen)
        seen.add(id(call))
        arguments = function.arguments or ""
        if isinstance(arguments, dict):
            arguments = msgspec.json.encode(arguments).decode()
        if call.number < 0:
            call.held += arguments
            if not function.name:
                return
            self._start(call, function.name)
            arguments, call.held = call.held, ""
        if arguments:
            self._pieces.append(CallArguments(call.number, keepable(arguments)))

    def _call_of(self, part: _Call, name: str, seen: set[int]) -> _OpenCall:
        """The call that a part belongs to, which may be a new one.

        Neither index nor id can be relied on alone. A part with a name begins a new
        call if anything speaks against the open one: another id, another name, no
        index to tell, or a part of the same chunk that was this call already.
        """
        index = -1 if part.index is None else part.index
        same_index = [call for call in self._calls if part.index is None or call.index == index]
        call = next((call for call in same_index if part.id and call.id == part.id), None)
        if call is None and same_index:
            call = same_index[-1]
            other_id = bool(part.id and call.id)
            other_name = bool(call.name) and call.name != name
            if name and (other_id or other_name or part.index is None):
                call = None
        if call is None or (name and id(call) in seen):
            call = _OpenCall(index, part.id or "")
            self._calls.append(call)
        return call

    def _start(self, call: _OpenCall, name: str) -> None:
        call.name = name
        call.number = len(self._started)
        # An id must name one call only: whoever submits outputs has nothing else to go by.
        id = keepable(call.id) if call.id and call.id not in self._started else ids.new("call_")
        self._started.add(id)
        self._pieces.append(CallStart(call.number, id, keepable(name)))


def _usage_of(raw: bytes) -> Usage | None:
    """The upstream's own count, or None where it gave none that can be read."""
    try:
        counts = msgspec.json.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    if not isinstance(counts, dict):
        return None
    return Usage(
        prompt_tokens=_count(counts, "prompt_tokens"),
        completion_tokens=_count(counts, "completion_tokens"),
        cached_tokens=_count(counts.get("prompt_tokens_details"), "cached_tokens"),
        reasoning_tokens=_count(counts.get("completion_tokens_details"), "reasoning_tokens"),
    )


def _count(counts: Any, name: str) -> int:
    value = counts.get(name) if isinstance(counts, dict) else None
    return int(value) if isinstance(value, int | float) and 0 < value < 2**53 else 0
