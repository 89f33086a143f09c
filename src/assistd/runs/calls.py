"""The tool calls of a turn while they are being named, and while the server's own tools answer them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from assistd.llm.protocol import CallStart
from assistd.runs.code_input import CodeReader
from assistd.runs.code_outputs import CodeOutputs
from assistd.runs.wire import CodeInterpreterCall, Exchange, FileSearchCall, FunctionCall, ToolCall

# The server's own tools, by the types of their calls, and how the text names them.
_SERVER_TOOLS = frozenset({"code_interpreter", "file_search"})


class ToolUnavailable(Exception):
    """The model called a tool of the server's that this run does not have."""


class ToolSet(msgspec.Struct, frozen=True):
    """What a run's model may call: the client's functions by name, and the server's own tools.

    File search comes with its ranking options, as calls show them.
    """

    functions: frozenset[str] = frozenset()
    file_search: Mapping[str, Any] | None = None
    code_interpreter: bool = False

    def open(self, start: CallStart, place: int) -> OpenCall:
        """Begin a call, the `place`th of its step. A name that nobody offered is left to the client to answer."""
        if start.name in self.functions or start.name not in _SERVER_TOOLS:
            return OpenFunction(place, start.id, start.name)
        if start.name == "file_search" and self.file_search is not None:
            return OpenSearch(place, start.id, FileSearchCall(dict(self.file_search)))
        if start.name == "code_interpreter" and self.code_interpreter:
            return OpenCode(place, start.id)
        raise ToolUnavailable(f"The model called {start.name}, which is not among the tools of this run.")


class OpenFunction:
    """A call of a function of the client's."""

    type = "function"

    def __init__(self, place: int, id: str, name: str) -> None:
        self.place = place
        self.id = id
        self._name = name
        self._arguments: list[str] = []

    @property
    def shown(self) -> ToolCall:
        """The call as far as it is known."""
        return ToolCall(self.id, self.type, function=FunctionCall(self._name, "".join(self._arguments)))

    def begin(self) -> dict[str, Any]:
        """Return the first delta that tells of the call, without its place."""
        return {"id": self.id, "type": self.type, "function": {"name": self._name, "arguments": "", "output": None}}

    def argue(self, value: str) -> dict[str, Any] | None:
        """Take in a piece of the arguments; return the delta that tells of it, if it is told."""
        self._arguments.append(value)
        return {"type": self.type, "function": {"arguments": value}}

    def finish(self) -> dict[str, Any] | None:
        """The arguments have ended; return the delta that tells of what was held back."""
        return None


class OpenSearch:
    """A call of file search. What is searched for is not told, and what is found when the step is closed."""

    type = "file_search"

    def __init__(self, place: int, id: str, call: FileSearchCall) -> None:
        self.place = place
        self.id = id
        self.found = call
        self._arguments: list[str] = []

    @property
    def shown(self) -> ToolCall:
        """The call as far as it is known."""
        return ToolCall(self.id, self.type, file_search=self.found)

    @property
    def exchange(self) -> Exchange:
        """What the model said."""
        return Exchange(self.id, self.type, "".join(self._arguments))

    def begin(self) -> dict[str, Any]:
        """Return the first delta that tells of the call, without its place."""
        return {"id": self.id, "type": self.type, "file_search": self.found}

    def argue(self, value: str) -> None:
        """Take in a piece of the arguments."""
        self._arguments.append(value)

    def finish(self) -> None:
        """The arguments have ended."""


class OpenCode:
    """A call of the code interpreter: its code is told as it is written, its outputs as they come."""

    type = "code_interpreter"

    def __init__(self, place: int, id: str) -> None:
        self.place = place
        self.id = id
        self.outputs = CodeOutputs()
        self._reader = CodeReader()
        self._code: list[str] = []

    @property
    def code(self) -> str:
        """The code as far as it was told."""
        return "".join(self._code)

    @property
    def shown(self) -> ToolCall:
        """The call as far as it is known."""
        return ToolCall(self.id, self.type, code_interpreter=CodeInterpreterCall(self.code, self.outputs.shown))

    def begin(self) -> dict[str, Any]:
        """Return the first delta that tells of the call, without its place."""
        return {"id": self.id, "type": self.type, "code_interpreter": {"input": "", "outputs": []}}

    def argue(self, value: str) -> dict[str, Any] | None:
        """Take in a piece of the arguments; return the delta that tells of the code in it."""
        return self._write(self._reader.feed(value))

    def finish(self) -> dict[str, Any] | None:
        """The arguments have ended; return the delta that tells of what was held back."""
        return self._write(self._reader.finish())

    def _write(self, piece: str) -> dict[str, Any] | None:
        if not piece:
            return None
        self._code.append(piece)
        return {"type": self.type, "code_interpreter": {"input": piece}}


OpenCall = OpenFunction | OpenSearch | OpenCode


class OpenCalls(msgspec.Struct):
    """A step of tool calls being named."""

    step_id: str
    created_at: int
    calls: dict[int, OpenCall] = {}

    def named(self) -> list[ToolCall]:
        """The calls as far as they are known."""
        return [call.shown for call in self.calls.values()]

    def searches(self) -> list[OpenSearch]:
        """The calls of file search."""
        return [call for call in self.calls.values() if isinstance(call, OpenSearch)]

    def codes(self) -> list[OpenCode]:
        """The calls of the code interpreter."""
        return [call for call in self.calls.values() if isinstance(call, OpenCode)]
