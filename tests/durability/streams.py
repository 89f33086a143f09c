"""Server-sent events, and a strict judge of a run's whole stream.

What the judge enforces is what clients' accumulators rely on: objects open before anything is said of them and are
closed once, deltas join to what is closed, a run's statuses follow each other as they may, and the stream ends once.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import httpx2
import openai
from openai import AssistantEventHandler
from openai.types.beta import AssistantStreamEvent

_FIELDS = ("event", "data", "id")

# Which run event may follow which. A stream that is read over several requests goes on after `requires_action`.
_RUN = {
    None: {"created"},
    "created": {"queued"},
    "queued": {"in_progress", "cancelling", "expired"},
    "in_progress": {"requires_action", "cancelling", "completed", "failed", "incomplete", "expired"},
    "requires_action": {"queued", "cancelling", "expired"},
    "cancelling": {"cancelled"},
}
_ENDS = {"completed", "failed", "cancelled", "expired", "incomplete"}
_STEP_ENDS = {"completed", "failed", "cancelled", "expired"}


@dataclass(frozen=True)
class Event:
    """One event. `data` is decoded JSON, or the text `[DONE]`."""

    name: str
    data: Any
    id: str | None = None

    @property
    def place(self) -> tuple[int, int]:
        """The id as what orders events: lease and number."""
        assert self.id is not None, self
        lease, number = self.id.split("-")
        return int(lease), int(number)


def read_frame(lines: Sequence[str]) -> Event | None:
    """Read the lines of a frame; None for a comment."""
    fields: dict[str, str] = {}
    for line in lines:
        if line.startswith(":"):
            continue
        name, colon, value = line.partition(": ")
        assert colon, line
        assert name in _FIELDS, line
        assert name not in fields, line
        fields[name] = value
    if not fields:
        return None
    data = fields["data"]
    return Event(fields["event"], data if data == "[DONE]" else json.loads(data), fields.get("id"))


def judge(events: Sequence[Event], *, more_was_said: bool = False) -> None:
    """Raise AssertionError unless these are the events of a run from its creation to its end, and `done`.

    `more_was_said`: words that a dying process had sent and not logged may be missing from what is incomplete.
    """
    trace(events, more_was_said=more_was_said)
    absorb(events)


def trace(events: Sequence[Event], *, more_was_said: bool = False) -> None:
    """Judge a stream without asking the SDK."""
    assert events[-1] == Event("done", "[DONE]"), events[-3:]
    judged = _Judge(more_was_said)
    places = [event.place for event in events[:-1]]
    assert places == sorted(set(places)), f"out of order or twice: {places}"
    for event in events[:-1]:
        judged.take(event)
    judged.end()


def absorb(events: Sequence[Event]) -> AssistantEventHandler:
    """Let the official SDK's event handler take a stream in; it raises where it cannot."""
    body = "".join(
        f"event: {event.name}\ndata: {event.data if event.name == 'done' else json.dumps(event.data)}\n\n"
        for event in events
    )
    response = httpx2.Response(200, text=body, request=httpx2.Request("GET", "http://assistd.test"))
    nowhere = httpx2.Client(transport=httpx2.MockTransport(lambda _: response))
    with openai.OpenAI(api_key="none", base_url="http://assistd.test", http_client=nowhere) as client:
        stream: openai.Stream[AssistantStreamEvent] = openai.Stream(
            cast_to=AssistantStreamEvent,  # type: ignore[arg-type]
            response=response,
            client=client,
        )
        handler = AssistantEventHandler()
        handler._init(stream)
        handler.until_done()
    return handler


@dataclass
class _Part:
    """A part of a message as its deltas tell it."""

    kind: str
    pieces: list[str] = field(default_factory=list)

    @property
    def content(self) -> Any:
        if self.kind == "refusal":
            return {"type": "refusal", "refusal": "".join(self.pieces)}
        return {"type": "text", "text": {"value": "".join(self.pieces), "annotations": []}}


@dataclass
class _Judge:
    more_was_said: bool
    run: str | None = None
    queued: Any = None
    steps: dict[str, Any] = field(default_factory=dict)  # open ones, as last shown
    closed: set[str] = field(default_factory=set)
    message: str | None = None  # the open one
    parts: list[_Part] = field(default_factory=list)
    calls: dict[str, list[Any]] = field(default_factory=dict)  # by step

    def take(self, event: Event) -> None:
        kind, _, what = event.name.removeprefix("thread.").rpartition(".")
        match kind:
            case "run":
                self._run(what, event.data)
            case "run.step":
                self._step(what, event.data)
            case "message":
                self._message(what, event.data)
            case "":
                assert (event.name, self.run) == ("thread.created", None), event
            case _:
                raise AssertionError(f"unknown event {event}")

    def end(self) -> None:
        assert self.run in _ENDS | {"requires_action"}, self.run
        if self.run in _ENDS:
            assert not self.steps, f"left open: {self.steps}"
        assert self.message is None, f"left open: {self.message}"

    # --- the run

    def _run(self, what: str, run: Any) -> None:
        assert what in _RUN.get(self.run, set()), f"{self.run} -> {what}"
        assert run["status"] == ("queued" if what == "created" else what), run
        if what == "created":
            self.queued = run
        elif what == "queued" and self.run == "created":
            assert run == self.queued
        assert (run["required_action"] is not None) == (what == "requires_action"), run
        assert (run["usage"] is not None) == (what in _ENDS), run
        assert (run["expires_at"] is None) == (what in _ENDS), run
        assert (run["last_error"] is not None) == (what == "failed"), run
        if what == "requires_action":
            self._asked(run["required_action"]["submit_tool_outputs"]["tool_calls"])
        if what in _ENDS:
            assert not self.steps, f"{what} leaves open: {self.steps}"
        self.run = what

    def _asked(self, asked: Sequence[Any]) -> None:
        (step_id,) = self.steps
        told = [
            {"id": c["id"], "type": c["type"], "function": _but(c["function"], "output")} for c in self.calls[step_id]
        ]
        assert told == list(asked), "the deltas do not join to what is asked for"

    # --- steps

    def _step(self, what: str, step: Any) -> None:
        id = step["id"]
        if what == "created":
            assert self.run == "in_progress", f"a step is created while the run is {self.run}"
            assert not self.steps, "two steps are open"
            assert id not in self.closed
            assert step["status"] == "in_progress"
            assert step["usage"] is None
            self.steps[id] = step
            self.calls[id] = []
            return
        assert id in self.steps, f"{what} of a step that is not open"
        match what:
            case "in_progress":
                assert step == self.steps[id]
            case "delta":
                assert self.run == "in_progress"
                assert step["delta"]["step_details"]["type"] == "tool_calls"
                for call in step["delta"]["step_details"]["tool_calls"]:
                    self._call(self.calls[id], call)
            case _:
                assert what in _STEP_ENDS, what
                assert step["status"] == what
                assert self.message is None, "a step ends before its message"
                assert step["usage"] is not None
                assert (step["last_error"] is not None) == (what == "failed"), step
                self._named(what, step)
                del self.steps[id]
                self.closed.add(id)

    def _call(self, calls: list[Any], call: Any) -> None:
        assert call["type"] == "function"
        if call["index"] == len(calls):
            assert call["function"].keys() == {"name", "arguments", "output"}
            assert (call["function"]["arguments"], call["function"]["output"]) == ("", None)
            calls.append({"id": call["id"], "type": "function", "function": dict(call["function"])})
            return
        assert call.keys() == {"index", "type", "function"}, call
        assert call["function"].keys() == {"arguments"}, call
        calls[call["index"]]["function"]["arguments"] += call["function"]["arguments"]

    def _named(self, what: str, step: Any) -> None:
        if step["type"] != "tool_calls":
            return
        shown = step["step_details"]["tool_calls"]
        if what == "completed":
            assert all(call["function"]["output"] is not None for call in shown), step
        if shown or what == "completed":  # one whose worker died shows no calls: none were committed
            told = [_but(call["function"], "output") for call in self.calls[step["id"]]]
            assert told == [_but(call["function"], "output") for call in shown], "the deltas do not join"

    # --- messages

    def _message(self, what: str, message: Any) -> None:
        if what == "created":
            assert self.message is None, "two messages are open"
            (step,) = self.steps.values()
            assert step["step_details"]["message_creation"]["message_id"] == message["id"]
            self.message, self.parts = message["id"], []
        assert message["id"] == self.message, f"{what} of a message that is not open"
        match what:
            case "created" | "in_progress":
                assert message["status"] == "in_progress"
                assert message["content"] == []
            case "delta":
                for part in message["delta"]["content"]:
                    self._delta(part)
            case "completed" | "incomplete":
                assert message["status"] == what
                assert (message["incomplete_details"] is not None) == (what == "incomplete")
                told = [part.content for part in self.parts]
                if self.more_was_said and what == "incomplete":
                    told = _cut_like(told, message["content"])
                # A message always shows a part, even where its worker died before the first word.
                assert message["content"] == (told or [_Part("text").content]), "the deltas do not join"
                self.message = None
            case _:
                raise AssertionError(f"unknown event {what}")

    def _delta(self, part: Any) -> None:
        begins = part["index"] == len(self.parts)
        if begins:
            self.parts.append(_Part(part["type"]))
        assert part["index"] == len(self.parts) - 1, part
        current = self.parts[-1]
        assert part["type"] == current.kind
        if part["type"] == "text":
            assert ("annotations" in part["text"]) == begins, part
        current.pieces.append(part["refusal"] if part["type"] == "refusal" else part["text"]["value"])


def _but(value: dict[str, Any], key: str) -> dict[str, Any]:
    return {k: v for k, v in value.items() if k != key}


def _cut_like(told: list[Any], shown: list[Any]) -> list[Any]:
    """Cut what was told to the length of what is shown."""
    value = "".join(part["text"]["value"] for part in shown)
    assert "".join(part["text"]["value"] for part in told).startswith(value)
    return [_Part("text", [value]).content]
