"""One completion as it comes in: deltas become steps, messages, tool calls and the events that tell of them.

A turn opens a message where the model speaks and a step of tool calls where it
asks for tools; speech before a call is a message of its own. Opening is a
`Change` that is committed before anything of it is announced; what closes the
turn is left to the executor, which commits it together with what follows.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

import msgspec
from msgspec import UNSET

from assistd import ids
from assistd.llm.protocol import CallArguments, CallStart, Delta, Finish, Refusal, Text, Usage
from assistd.runs import citations, wire
from assistd.runs.citations import Piece, Sources
from assistd.runs.frames import Scribe, content_part
from assistd.runs.machine import Status
from assistd.runs.progress import Change, CloseMessage, CloseStep, OpenStep
from assistd.runs.wire import Exchange, FileSearchCall, FunctionCall, LastError, Step, ToolCall
from assistd.threads.wire import IncompleteDetails, Message
from assistd.web.wire import EMPTY_LIST, EMPTY_MAP, to_json

_SENTENCE = 500  # characters
_SERVER_TOOLS = frozenset({"code_interpreter", "file_search"})


class ToolUnavailable(Exception):
    """The model called a tool of the server's that this version, or this run, does not have."""


class ToolSet(msgspec.Struct, frozen=True):
    """What a run's model may call: the client's functions by name, and file search with its ranking options."""

    functions: frozenset[str] = frozenset()
    file_search: Mapping[str, Any] | None = None

    def call(self, start: CallStart) -> ToolCall:
        """Make the call that begins. A name that nobody offered is left to the client to answer."""
        if start.name in self.functions or start.name not in _SERVER_TOOLS:
            return ToolCall(start.id, "function", function=FunctionCall(start.name, ""))
        if start.name == "file_search" and self.file_search is not None:
            return ToolCall(start.id, "file_search", file_search=FileSearchCall(dict(self.file_search)))
        if start.name == "file_search":
            raise ToolUnavailable("The model called file_search, which is not among the tools of this run.")
        raise ToolUnavailable(f"The {start.name} tool is not available in this version of assistd.")


class Scene(msgspec.Struct, frozen=True):
    """What every object of a run's turn carries."""

    run_id: str
    thread_id: str
    assistant_id: str
    expires_at: int


class OpenPart(msgspec.Struct):
    """A part of a message being written: text or a refusal."""

    kind: str
    pieces: list[str] = []
    annotations: list[dict[str, Any]] = []
    size: int = 0  # code points so far

    def add(self, value: str) -> None:
        self.pieces.append(value)
        self.size += len(value)

    def end(self) -> str:
        """The last words, as much as a sentence may have."""
        last: list[str] = []
        for piece in reversed(self.pieces):
            last.append(piece)
            if sum(map(len, last)) > _SENTENCE:
                break
        return "".join(reversed(last))[-_SENTENCE:]

    def shown(self) -> dict[str, Any]:
        return content_part(self.kind, "".join(self.pieces), self.annotations)


class OpenMessage(msgspec.Struct):
    """A message being written, with the step that creates it."""

    id: str
    step_id: str
    created_at: int
    parts: list[OpenPart] = []

    def content(self) -> list[dict[str, Any]]:
        return [part.shown() for part in self.parts]


class OpenCall(msgspec.Struct):
    """A tool call being named: as clients see it, and what the model says."""

    call: ToolCall
    name: str
    arguments: list[str] = []


class OpenCalls(msgspec.Struct):
    """A step of tool calls being named."""

    step_id: str
    created_at: int
    calls: dict[int, OpenCall] = {}

    def named(self) -> list[ToolCall]:
        """The calls as far as they are known."""
        for open_ in self.calls.values():
            if open_.call.function is not UNSET:
                open_.call.function.arguments = "".join(open_.arguments)
        return [open_.call for open_ in self.calls.values()]

    def take_in(self, answers: Sequence[tuple[FileSearchCall, Exchange]]) -> None:
        """Put what the server's own tools gave into their calls."""
        given = {said.id: found for found, said in answers}
        for open_ in self.calls.values():
            open_.call.file_search = given.get(open_.call.id, open_.call.file_search)

    def exchanges(self) -> list[Exchange]:
        """What the model said to the server's own tools."""
        return [
            Exchange(open_.call.id, open_.name, "".join(open_.arguments))
            for open_ in self.calls.values()
            if open_.call.function is UNSET
        ]


class Turn:
    """The state of one completion, and what it has opened."""

    def __init__(
        self,
        scene: Scene,
        scribe: Scribe,
        clock: Callable[[], int],
        commit: Callable[[Change], Awaitable[None]],
        publish: Callable[[], None],
        tools: ToolSet,
        sources: Sources,
    ) -> None:
        self.message: OpenMessage | None = None
        self.calls: OpenCalls | None = None
        self.finish: Finish | None = None
        self._scene = scene
        self._scribe = scribe
        self._clock = clock
        self._commit = commit
        self._publish = publish
        self._tools = tools
        # Without anything to cite, nothing is held back.
        self._citing = citations.Reader(sources) if sources else None

    async def feed(self, deltas: Sequence[Delta]) -> None:
        """Take in deltas, in order. Raises ToolUnavailable where the model calls a tool that is not there."""
        for delta in deltas:
            match delta:
                case Text(value=value):
                    if self.message is None and self.calls is None:
                        await self._open_message()
                    self._say(value)
                case CallArguments(index=index, value=value):
                    self._argue(index, value)
                case CallStart():
                    await self._call(delta)
                case Refusal(value=value):
                    self._say_held()
                    if self.message is None and self.calls is None:
                        await self._open_message()
                    self._speak("refusal", value)
                case Finish():
                    self._say_held()
                    self.finish = delta

    @property
    def is_open(self) -> bool:
        """Whether the turn has opened something that is not closed yet."""
        return self.message is not None or self.calls is not None

    # --- what opens

    async def say_nothing(self) -> None:
        """Open an empty message: a model that ends without a word has still answered."""
        await self._open_message()
        self._speak("text", "")

    def _say(self, value: str) -> None:
        """Say a piece of text; what may become a marker waits until that is known."""
        if self._citing is None:
            self._speak("text", value)
        elif self.message is not None:
            for piece in self._citing.feed(value):
                self._say_piece(piece)

    def _say_held(self) -> None:
        """Say what was held back: no more text comes behind it."""
        if self._citing is not None and self.message is not None:
            for piece in self._citing.flush():
                self._say_piece(piece)

    def _say_piece(self, piece: Piece) -> None:
        if piece.source is None:
            return self._speak("text", piece.text)
        message = self.message
        assert message is not None
        part, _ = self._part(message, "text")
        annotation = citations.annotation(piece.text, piece.source, part.size, part.end())
        part.add(piece.text)
        place = len(part.annotations)
        part.annotations.append(annotation)
        self._scribe.annotated_delta(message.id, len(message.parts) - 1, piece.text, place, annotation)
        return None

    def _speak(self, kind: str, value: str) -> None:
        message = self.message
        if message is None:
            return  # some models end with a line break after their calls; nothing is said before the outputs are there
        part, begins = self._part(message, kind)
        part.add(value)
        index = len(message.parts) - 1
        if kind == "text":
            self._scribe.text_delta(message.id, index, value, begins=begins)
        else:
            self._scribe.refusal_delta(message.id, index, value)

    def _part(self, message: OpenMessage, kind: str) -> tuple[OpenPart, bool]:
        """Return the part that is being written, and whether it has just begun."""
        begins = not message.parts or message.parts[-1].kind != kind
        if begins:
            message.parts.append(OpenPart(kind))
        return message.parts[-1], begins

    async def _open_message(self) -> None:
        message = OpenMessage(id=ids.new("msg_"), step_id=ids.new("step_"), created_at=self._clock())
        details = wire.message_details(message.id)
        step = self._step(message.step_id, "message_creation", message.created_at, "in_progress", details)
        self._scribe.event("thread.run.step.created", step)
        self._scribe.event("thread.run.step.in_progress", step)
        shown = self._shown_message(message, "in_progress", [])
        self._scribe.event("thread.message.created", shown)
        self._scribe.event("thread.message.in_progress", shown)
        await self._commit(self._change(open_step=OpenStep(message.step_id, "message_creation", details, message.id)))
        self.message = message

    async def _call(self, start: CallStart) -> None:
        call = self._tools.call(start)
        if self.calls is None:
            self._say_held()
            await self._open_calls()
            assert self.calls is not None
        place = len(self.calls.calls)
        self.calls.calls[start.index] = OpenCall(call, start.name)
        shown = {"index": place, "id": call.id, "type": call.type}
        if call.function is UNSET:
            shown |= {"file_search": call.file_search}
        else:
            shown |= {"function": {"name": start.name, "arguments": "", "output": None}}
        self._scribe.call_delta(self.calls.step_id, shown)

    async def _open_calls(self) -> None:
        self._publish()  # what was said stays said, even where the change is refused
        closed_step, closed_message = self.close_message("completed") if self.message else (None, None)
        calls = OpenCalls(step_id=ids.new("step_"), created_at=self._clock())
        details = wire.tool_call_details([])
        step = self._step(calls.step_id, "tool_calls", calls.created_at, "in_progress", details)
        self._scribe.event("thread.run.step.created", step)
        self._scribe.event("thread.run.step.in_progress", step)
        await self._commit(
            self._change(
                open_step=OpenStep(calls.step_id, "tool_calls", details),
                close_step=closed_step,
                close_message=closed_message,
            )
        )
        self.message, self.calls = None, calls

    def _argue(self, index: int, value: str) -> None:
        if self.calls is None or index not in self.calls.calls:
            return  # arguments of a call that was never begun belong to nothing
        open_ = self.calls.calls[index]
        open_.arguments.append(value)
        if open_.call.function is UNSET:
            return  # what the server's own tools are asked for is not told piece by piece
        place = list(self.calls.calls).index(index) if index else 0
        self._scribe.call_delta(
            self.calls.step_id, {"index": place, "type": "function", "function": {"arguments": value}}
        )

    # --- what closes; each tells its events and returns what the next change is to write. The turn itself stays
    # as it is: the change may be refused, and then what is open is closed in another way.

    def close_message(
        self,
        step_status: str,
        reason: str | None = None,
        usage: Usage | None = None,
        error: LastError | None = None,
    ) -> tuple[CloseStep, CloseMessage]:
        """Close the open message, as complete or, with a reason, as incomplete, and its step."""
        message = self.message
        assert message is not None
        content = message.content()
        status = "completed" if reason is None else "incomplete"
        self._scribe.event(f"thread.message.{status}", self._shown_message(message, status, content, reason))
        details = wire.message_details(message.id)
        closed = CloseStep(message.step_id, step_status, details, usage or Usage(), error)
        self._tell_step(closed, "message_creation", message.created_at)
        return closed, CloseMessage(message.id, content, reason)

    def close_calls(
        self,
        step_status: str,
        usage: Usage | None = None,
        error: LastError | None = None,
        exchange: Sequence[Exchange] = (),
    ) -> CloseStep:
        """Close the open step of tool calls; `in_progress` keeps it open for outputs that are missing."""
        calls = self.calls
        assert calls is not None
        details = wire.tool_call_details(calls.named())
        closed = CloseStep(calls.step_id, step_status, details, usage or Usage(), error, exchange)
        if step_status != "in_progress":
            self._tell_step(closed, "tool_calls", calls.created_at)
        return closed

    def _tell_step(self, closed: CloseStep, kind: str, created_at: int) -> None:
        step = self._step(closed.id, kind, created_at, closed.status, closed.details, closed.usage, closed.last_error)
        self._scribe.event(f"thread.run.step.{closed.status}", step)

    # --- shapes

    def _change(self, **parts: Any) -> Change:
        return Change(old=Status.IN_PROGRESS, new=Status.IN_PROGRESS, at=self._clock(), **parts)

    def _step(
        self,
        id: str,
        kind: str,
        created_at: int,
        status: str,
        details: Any,
        usage: Usage | None = None,
        error: LastError | None = None,
    ) -> Step:
        return shown_step(self._scene, id, kind, created_at, status, details, self._clock(), usage, error)

    def _shown_message(
        self, message: OpenMessage, status: Any, content: list[dict[str, Any]], reason: str | None = None
    ) -> Message:
        now = self._clock()
        return Message(
            id=message.id,
            created_at=message.created_at,
            assistant_id=self._scene.assistant_id,
            thread_id=self._scene.thread_id,
            run_id=self._scene.run_id,
            status=status,
            incomplete_details=None if reason is None else IncompleteDetails(reason),
            incomplete_at=now if status == "incomplete" else None,
            completed_at=now if status == "completed" else None,
            role="assistant",
            content=to_json(content) if content else EMPTY_LIST,
            attachments=EMPTY_LIST,
            metadata=EMPTY_MAP,
        )


def shown_step(
    scene: Scene,
    id: str,
    kind: str,
    created_at: int,
    status: str,
    details: Any,
    now: int,
    usage: Usage | None = None,
    error: LastError | None = None,
) -> Step:
    """Make a step as streams show it; the time of its end is `now`."""
    return Step(
        id=id,
        created_at=created_at,
        run_id=scene.run_id,
        assistant_id=scene.assistant_id,
        thread_id=scene.thread_id,
        type=kind,
        status=status,
        cancelled_at=now if status == "cancelled" else None,
        completed_at=now if status == "completed" else None,
        expires_at=scene.expires_at,
        failed_at=now if status == "failed" else None,
        last_error=None if error is None else to_json(error),
        step_details=to_json(details),
        usage=None
        if status == "in_progress"
        else wire.usage(
            *((usage.prompt_tokens, usage.completion_tokens, usage.cached_tokens, usage.reasoning_tokens))
            if usage
            else (0, 0, 0, 0)
        ),
        expired_at=now if status == "expired" else msgspec.UNSET,
        metadata=msgspec.UNSET,
    )
