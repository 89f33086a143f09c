"""One completion as it comes in: deltas become steps, messages, tool calls and the events that tell of them.

A turn opens a message where the model speaks and a step of tool calls where it
asks for tools; speech before a call is a message of its own. Opening is a
`Change` that is committed before anything of it is announced; what closes the
turn is left to the executor, which commits it together with what follows.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import msgspec

from assistd import ids
from assistd.llm.protocol import CallArguments, CallStart, Delta, Finish, Refusal, Text, Usage
from assistd.runs import citations, file_paths, wire
from assistd.runs.calls import OpenCall, OpenCalls, OpenCode, ToolSet
from assistd.runs.citations import Citations, Sources
from assistd.runs.file_paths import KnownPaths
from assistd.runs.frames import Scribe
from assistd.runs.machine import Status
from assistd.runs.marks import Kind, Piece, Reader
from assistd.runs.progress import Change, CloseMessage, CloseStep, OpenStep
from assistd.runs.said import OpenMessage, OpenPart
from assistd.runs.wire import Exchange, LastError, Step
from assistd.threads.wire import IncompleteDetails, Message
from assistd.web.wire import EMPTY_LIST, EMPTY_MAP, to_json


class Scene(msgspec.Struct, frozen=True):
    """What every object of a run's turn carries."""

    run_id: str
    thread_id: str
    assistant_id: str
    expires_at: int


async def _no_file(path: str) -> str | None:
    return None


class Material(msgspec.Struct, frozen=True):
    """What the tools have given that an answer may use.

    It may cite `sources` and hand back files by their `paths` in /mnt/data: `file_of` makes of a path the file that
    clients get, or None where nothing is there. And it begins with `images`, by their files.
    """

    sources: Sources = {}
    paths: Sequence[str] = ()
    file_of: Callable[[str], Awaitable[str | None]] = _no_file
    images: Sequence[str] = ()

    def reader(self) -> Reader | None:
        """Return what reads the answer's text; without anything to name, nothing is held back."""
        kinds: list[Kind] = []
        if self.sources:
            kinds.append(Citations(self.sources))
        if self.paths:
            kinds.append(KnownPaths(self.paths))
        return Reader(kinds) if kinds else None


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
        material: Material,
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
        self._material = material
        self._images = material.images  # that no message has shown yet
        self._reader = material.reader()

    async def feed(self, deltas: Sequence[Delta]) -> None:
        """Take in deltas, in order. Raises ToolUnavailable where the model calls a tool that is not there."""
        for delta in deltas:
            match delta:
                case Text(value=value):
                    if self.message is None and self.calls is None:
                        await self._open_message()
                    if self._reader is None:
                        self._speak("text", value)
                    elif self.message is not None:
                        await self._say(self._reader.feed(value))
                case CallArguments(index=index, value=value):
                    self._argue(index, value)
                case CallStart():
                    await self._call(delta)
                case Refusal(value=value):
                    await self._say_held()
                    if self.message is None and self.calls is None:
                        await self._open_message()
                    self._speak("refusal", value)
                case Finish():
                    await self._say_held()
                    self._finish_calls()
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

    async def _say_held(self) -> None:
        """Say what was held back: no more text comes behind it."""
        if self._reader is not None and self.message is not None:
            await self._say(self._reader.flush())

    async def _say(self, pieces: Sequence[Piece]) -> None:
        """Say pieces of text, each mark together with its annotation. One that names nothing is text like any other."""
        for piece in pieces:
            file_id = None if piece.path is None else await self._file_of(piece.path)
            if piece.source is not None:
                part = self._text_part()
                self._annotate(piece.text, citations.annotation(piece.text, piece.source, part.size, part.end()))
            elif file_id is not None:
                self._annotate(piece.text, file_paths.annotation(piece.text, file_id, self._text_part().size))
            else:
                self._speak("text", piece.text)

    async def _file_of(self, path: str) -> str | None:
        self._publish()  # the run may be interrupted here; what was said stays said
        return await self._material.file_of(path)

    def _text_part(self) -> OpenPart:
        assert self.message is not None
        return self.message.part("text")[1]

    def _annotate(self, text: str, annotation: dict[str, Any]) -> None:
        message = self.message
        assert message is not None
        index, part, _ = message.part("text")
        part.add(text)
        part.annotations.append(annotation)
        self._scribe.annotated_delta(message.id, index, text, len(part.annotations) - 1, annotation)

    def _speak(self, kind: str, value: str) -> None:
        message = self.message
        if message is None:
            return  # some models end with a line break after their calls; nothing is said before the outputs are there
        place, part, begins = message.part(kind)
        part.add(value)
        if kind == "text":
            self._scribe.text_delta(message.id, place, value, begins=begins)
        else:
            self._scribe.refusal_delta(message.id, place, value)

    async def _open_message(self) -> None:
        message = OpenMessage(id=ids.new("msg_"), step_id=ids.new("step_"), created_at=self._clock())
        details = wire.message_details(message.id)
        step = self._step(message.step_id, "message_creation", message.created_at, "in_progress", details)
        self._scribe.event("thread.run.step.created", step)
        self._scribe.event("thread.run.step.in_progress", step)
        shown = self._shown_message(message, "in_progress", [])
        self._scribe.event("thread.message.created", shown)
        self._scribe.event("thread.message.in_progress", shown)
        for index, file_id in enumerate(self._images):
            message.parts.append(OpenPart("image_file", file_id=file_id))
            self._scribe.image_delta(message.id, index, file_id)
        await self._commit(self._change(open_step=OpenStep(message.step_id, "message_creation", details, message.id)))
        self.message, self._images = message, ()

    async def _call(self, start: CallStart) -> None:
        call = self._tools.open(start, 0 if self.calls is None else len(self.calls.calls))
        if self.calls is None:
            await self._say_held()
            await self._open_calls()
        assert self.calls is not None
        self.calls.calls[start.index] = call
        self._tell_call(call, call.begin())

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
        call = None if self.calls is None else self.calls.calls.get(index)
        if call is not None:  # arguments of a call that was never begun belong to nothing
            self._tell_call(call, call.argue(value))

    def _finish_calls(self) -> None:
        """Tell what was held back of the calls: no more is said of them."""
        for call in self.calls.calls.values() if self.calls is not None else ():
            self._tell_call(call, call.finish())

    def tell_outputs(self, call: OpenCode, outputs: Sequence[Any]) -> None:
        """Tell at once what code has given."""
        if outputs:
            self._tell_call(call, {"type": call.type, "code_interpreter": {"outputs": outputs}})
            self._publish()

    def _tell_call(self, call: OpenCall, told: dict[str, Any] | None) -> None:
        if told is not None:
            assert self.calls is not None
            self._scribe.call_delta(self.calls.step_id, {"index": call.place, **told})

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
