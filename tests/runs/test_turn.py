"""Deltas of a completion become steps, messages, calls and events, each change committed before it is told."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from assistd.llm.protocol import CallArguments, CallStart, Delta, Finish, Refusal, Text, Usage
from assistd.runs.calls import ToolSet, ToolUnavailable
from assistd.runs.citations import Sources
from assistd.runs.frames import Batch, Scribe
from assistd.runs.marks import Source
from assistd.runs.progress import Change
from assistd.runs.turn import Material, Scene, Turn
from assistd.runs.wire import Exchange, FileSearchCall, LastError

SCENE = Scene("run_1", "thread_1", "asst_1", 1600)
NOW = 1000
RANKING = {"ranker": "default_2024_08_21", "score_threshold": 0.0}


class Moved(Exception):
    """The change was refused."""


class Stage:
    """A turn with a commit that is a list, and with followers that are another."""

    def __init__(
        self,
        functions: frozenset[str] = frozenset(),
        *,
        search: bool = False,
        code: bool = False,
        sources: Sources | None = None,
        files: Mapping[str, str | None] | None = None,
        images: Sequence[str] = (),
    ) -> None:
        self.scribe = Scribe("run_1", 1, 0)
        self.changes: list[Change] = []
        self.told: list[tuple[str, Any]] = []  # events that go with a change, or were published
        self.refuse = False
        self.files = dict(files or {})  # by their paths; None: it is gone
        self.asked: list[tuple[str, str]] = []  # the files asked for, and what was told before
        tools = ToolSet(functions, RANKING if search else None, code)
        material = Material(sources or {}, list(self.files), self.file_of, images)
        self.turn = Turn(SCENE, self.scribe, lambda: NOW, self.commit, self.publish, tools, material)

    async def file_of(self, path: str) -> str | None:
        self.asked.append((path, said(self.told)))
        return self.files[path]

    async def commit(self, change: Change) -> None:
        batch = self.scribe.take()
        if self.refuse:
            assert batch is not None
            self.scribe.rewind(batch.first - 1)
            raise Moved
        self.changes.append(change)
        self.told += events(batch)

    def publish(self) -> None:
        self.told += events(self.scribe.take())

    async def feed(self, *deltas: Delta) -> None:
        await self.turn.feed(deltas)
        self.publish()

    @property
    def names(self) -> list[str]:
        return [name.removeprefix("thread.") for name, _ in self.told]


def events(batch: Batch | None) -> list[tuple[str, Any]]:
    if batch is None:
        return []
    found = []
    for frame in batch.frames.split(b"\n\n")[:-1]:
        name, data, _ = frame.decode().split("\n")
        found.append((name.removeprefix("event: "), json.loads(data.removeprefix("data: "))))
    return found


def said(told: Sequence[tuple[str, Any]]) -> str:
    """The text that deltas join to."""
    return "".join(part["text"]["value"] for part in content_deltas(told) if part["type"] == "text")


def content_deltas(told: Sequence[tuple[str, Any]]) -> list[Any]:
    return [data["delta"]["content"][0] for name, data in told if name == "thread.message.delta"]


def call_deltas(told: Sequence[tuple[str, Any]]) -> list[Any]:
    return [data["delta"]["step_details"]["tool_calls"][0] for name, data in told if name == "thread.run.step.delta"]


WORDS = ["run.step.created", "run.step.in_progress", "message.created", "message.in_progress"]
CALLS = ["run.step.created", "run.step.in_progress"]


async def test_words_open_a_message_once() -> None:
    stage = Stage()
    await stage.feed(Text("Hel"), Text("lo"))
    await stage.feed(Text("!"))
    await stage.feed(Finish("stop", Usage(3, 2)))
    assert stage.names == [*WORDS, *["message.delta"] * 3]
    (change,) = stage.changes
    assert change.open_step is not None
    assert stage.turn.message is not None
    assert change.open_step.message_id == stage.turn.message.id
    assert change.open_step.type == "message_creation"
    assert stage.turn.message.content() == [{"type": "text", "text": {"value": "Hello!", "annotations": []}}]
    assert stage.turn.finish == Finish("stop", Usage(3, 2))
    assert stage.turn.is_open


async def test_what_is_opened_is_shown_as_open() -> None:
    stage = Stage()
    await stage.feed(Text("Hello"))
    created, in_progress, message, begun = (data for _, data in stage.told[:4])
    assert created == in_progress
    assert message == begun
    assert created["status"] == "in_progress"
    assert created["usage"] is None
    assert created["expires_at"] == 1600
    assert created["step_details"]["message_creation"]["message_id"] == message["id"]
    assert (message["status"], message["content"], message["role"]) == ("in_progress", [], "assistant")
    assert (message["run_id"], message["thread_id"], message["assistant_id"]) == ("run_1", "thread_1", "asst_1")


async def test_nothing_is_told_before_it_is_committed() -> None:
    stage = Stage()
    stage.refuse = True
    with pytest.raises(Moved):
        await stage.turn.feed([Text("Hello")])
    stage.publish()
    assert stage.told == []
    assert not stage.turn.is_open


async def test_parts_alternate_between_text_and_refusal() -> None:
    stage = Stage()
    await stage.feed(Text("Well. "), Refusal("I "), Refusal("won't."), Text("Sorry."))
    deltas = [data["delta"]["content"][0] for name, data in stage.told if name.endswith("delta")]
    assert [(delta["index"], delta["type"]) for delta in deltas] == [
        (0, "text"),
        (1, "refusal"),
        (1, "refusal"),
        (2, "text"),
    ]
    assert ["annotations" in delta.get("text", {}) for delta in deltas] == [True, False, False, True]
    assert stage.turn.message is not None
    assert [part["type"] for part in stage.turn.message.content()] == ["text", "refusal", "text"]


async def test_calls_are_named_piece_by_piece() -> None:
    stage = Stage(frozenset({"look_up"}))
    await stage.feed(CallStart(0, "call_a", "look_up"), CallArguments(0, '{"a"'), CallArguments(0, ": 1}"))
    await stage.feed(CallStart(1, "call_b", "look_up"), CallArguments(1, "{}"))
    assert stage.names == [*CALLS, *["run.step.delta"] * 5]
    deltas = [data["delta"]["step_details"]["tool_calls"][0] for name, data in stage.told[2:]]
    first = {"name": "look_up", "arguments": "", "output": None}
    assert deltas[0] == {"index": 0, "id": "call_a", "type": "function", "function": first}
    assert deltas[1] == {"index": 0, "type": "function", "function": {"arguments": '{"a"'}}
    assert deltas[3] == {"index": 1, "id": "call_b", "type": "function", "function": first}
    assert deltas[4] == {"index": 1, "type": "function", "function": {"arguments": "{}"}}
    assert stage.turn.calls is not None
    named = [(call.id, call.function.arguments) for call in stage.turn.calls.named()]
    assert named == [("call_a", '{"a": 1}'), ("call_b", "{}")]
    (change,) = stage.changes
    assert change.open_step is not None
    assert change.open_step.type == "tool_calls"
    assert change.open_step.details["tool_calls"] == []  # filled when they are all named


async def test_words_before_calls_are_a_message_of_their_own() -> None:
    stage = Stage(frozenset({"look_up"}))
    await stage.feed(Text("Let me "), Text("see."), CallStart(0, "call_a", "look_up"), CallArguments(0, "{}"))
    completed = ["message.completed", "run.step.completed"]
    assert stage.names == [*WORDS, *["message.delta"] * 2, *completed, *CALLS, *["run.step.delta"] * 2]
    opened, changed = stage.changes
    assert opened.open_step is not None
    assert changed.close_step is not None
    assert changed.close_message is not None
    assert changed.open_step is not None
    assert changed.close_step.id == opened.open_step.id
    assert changed.close_message.reason is None
    assert changed.close_message.content == [{"type": "text", "text": {"value": "Let me see.", "annotations": []}}]
    assert stage.turn.message is None


async def test_words_stay_told_where_their_calls_are_refused() -> None:
    """A run is cancelled between its words and its calls: its followers have heard all the words it will show."""
    stage = Stage(frozenset({"look_up"}))
    await stage.feed(Text("Let "))
    stage.refuse = True
    with pytest.raises(Moved):
        await stage.turn.feed([Text("me "), Text("see."), CallStart(0, "call_a", "look_up")])
    stage.publish()
    assert stage.names == [*WORDS, *["message.delta"] * 3]
    stage.refuse = False
    step, message = stage.turn.close_message("cancelled", "run_cancelled")
    stage.publish()
    assert stage.names[-2:] == ["message.incomplete", "run.step.cancelled"]
    assert message.content == [{"type": "text", "text": {"value": "Let me see.", "annotations": []}}]
    assert (step.status, message.reason) == ("cancelled", "run_cancelled")


@pytest.mark.parametrize("after", [Text("\n"), Text("So."), Refusal("No.")])
async def test_nothing_is_said_after_calls(after: Delta) -> None:
    """Some models end with a line break behind their calls. A message of it would stay open for ever."""
    stage = Stage(frozenset({"look_up"}))
    await stage.feed(CallStart(0, "call_a", "look_up"), after, CallArguments(0, "{}"), after)
    assert stage.names == [*CALLS, *["run.step.delta"] * 2]
    assert stage.turn.message is None
    assert len(stage.changes) == 1


@pytest.mark.parametrize("name", ["code_interpreter", "file_search"])
async def test_a_tool_that_is_not_there(name: str) -> None:
    stage = Stage()
    with pytest.raises(ToolUnavailable, match=name):
        await stage.turn.feed([CallStart(0, "call_a", name)])
    stage = Stage(frozenset({name}))  # a client may call its own function so
    await stage.feed(CallStart(0, "call_a", name))
    assert stage.turn.calls is not None


async def test_a_search_is_told_once_and_what_it_looks_for_is_not() -> None:
    stage = Stage(frozenset({"look_up"}), search=True)
    await stage.feed(CallStart(0, "call_a", "file_search"), CallStart(1, "call_b", "look_up"))
    await stage.feed(CallArguments(0, '{"query": '), CallArguments(1, "{}"), CallArguments(0, '"cake"}'))
    calls = [data["delta"]["step_details"]["tool_calls"][0] for name, data in stage.told if name.endswith("delta")]
    assert calls == [
        {
            "index": 0,
            "id": "call_a",
            "type": "file_search",
            "file_search": {"ranking_options": RANKING, "results": []},
        },
        {
            "index": 1,
            "id": "call_b",
            "type": "function",
            "function": {"name": "look_up", "arguments": "", "output": None},
        },
        {"index": 1, "type": "function", "function": {"arguments": "{}"}},
    ]
    assert stage.turn.calls is not None
    (search,) = stage.turn.calls.searches()
    assert search.exchange == Exchange("call_a", "file_search", '{"query": "cake"}')

    search.found = FileSearchCall({"ranker": "x"})
    first, second = stage.turn.calls.named()
    assert (first.file_search, second.type) == (FileSearchCall({"ranker": "x"}), "function")


async def test_code_is_told_as_it_is_written_and_its_outputs_as_they_come() -> None:
    stage = Stage(frozenset({"look_up"}), code=True)
    await stage.feed(CallStart(0, "call_a", "code_interpreter"), CallStart(1, "call_b", "look_up"))
    await stage.feed(CallArguments(0, '{"code": "pri'), CallArguments(1, "{}"), CallArguments(0, 'nt(1)\\n"}'))
    await stage.feed(CallStart(2, "call_c", "code_interpreter"), CallArguments(2, '"pass"'), Finish("tool_calls", None))
    code = {"type": "code_interpreter"}
    assert call_deltas(stage.told) == [
        {"index": 0, "id": "call_a", **code, "code_interpreter": {"input": "", "outputs": []}},
        {
            "index": 1,
            "id": "call_b",
            "type": "function",
            "function": {"name": "look_up", "arguments": "", "output": None},
        },
        {"index": 0, **code, "code_interpreter": {"input": "pri"}},
        {"index": 1, "type": "function", "function": {"arguments": "{}"}},
        {"index": 0, **code, "code_interpreter": {"input": "nt(1)\n"}},
        {"index": 2, "id": "call_c", **code, "code_interpreter": {"input": "", "outputs": []}},
        {"index": 2, **code, "code_interpreter": {"input": "pass"}},
    ]
    assert stage.turn.calls is not None
    first, last = stage.turn.calls.codes()
    assert (first.code, last.code) == ("print(1)\n", "pass")

    before = len(stage.told)
    stage.turn.tell_outputs(first, first.outputs.logs("1"))
    stage.turn.tell_outputs(first, first.outputs.logs("\n"))
    stage.turn.tell_outputs(first, first.outputs.logs(""))
    stage.turn.tell_outputs(last, last.outputs.image("file-1"))
    # They are told at once, not when the next turn begins.
    assert call_deltas(stage.told[before:]) == [
        {"index": 0, **code, "code_interpreter": {"outputs": [{"index": 0, "type": "logs", "logs": "1"}]}},
        {"index": 0, **code, "code_interpreter": {"outputs": [{"index": 0, "type": "logs", "logs": "\n"}]}},
        {
            "index": 2,
            **code,
            "code_interpreter": {"outputs": [{"index": 0, "type": "image", "image": {"file_id": "file-1"}}]},
        },
    ]
    stage.turn.close_calls("cancelled")
    stage.publish()
    shown = stage.told[-1][1]["step_details"]["tool_calls"]
    assert shown[0] == {
        "id": "call_a",
        **code,
        "code_interpreter": {"input": "print(1)\n", "outputs": [{"type": "logs", "logs": "1\n"}]},
    }
    assert shown[2]["code_interpreter"]["outputs"] == [{"type": "image", "image": {"file_id": "file-1"}}]


async def test_a_message_begins_with_the_pictures_that_no_message_has_shown() -> None:
    stage = Stage(frozenset({"look_up"}), images=("file-1", "file-2"))
    await stage.feed(Text("See"), Text(" this."), CallStart(0, "call_a", "look_up"))
    assert [name for name in stage.names if name.startswith("message")] == [
        "message.created",
        "message.in_progress",
        *["message.delta"] * 4,
        "message.completed",
    ]
    created = next(data for name, data in stage.told if name == "thread.message.created")
    assert created["content"] == []
    assert content_deltas(stage.told) == [
        {"index": 0, "type": "image_file", "image_file": {"file_id": "file-1"}},
        {"index": 1, "type": "image_file", "image_file": {"file_id": "file-2"}},
        {"index": 2, "type": "text", "text": {"value": "See", "annotations": []}},
        {"index": 2, "type": "text", "text": {"value": " this."}},
    ]
    closed = stage.changes[-1].close_message
    assert closed is not None
    assert closed.content == [
        {"type": "image_file", "image_file": {"file_id": "file-1"}},
        {"type": "image_file", "image_file": {"file_id": "file-2"}},
        {"type": "text", "text": {"value": "See this.", "annotations": []}},
    ]


async def test_pictures_are_shown_even_where_nothing_is_said() -> None:
    stage = Stage(images=("file-1",))
    await stage.feed(Finish("stop", None))
    await stage.turn.say_nothing()
    stage.publish()
    assert [part["type"] for part in content_deltas(stage.told)] == ["image_file", "text"]
    assert stage.turn.message is not None
    assert [part["type"] for part in stage.turn.message.content()] == ["image_file", "text"]


async def test_a_link_and_its_annotation_come_in_the_same_delta() -> None:
    stage = Stage(
        files={"x.csv": "file-x", "gone.csv": None},
        sources={(0, 0): Source("file-1", "a.txt", "The sky is blue.")},
        images=("file-1",),
    )
    text = "[x](sandbox:/mnt/data/x.csv), 😀【0:0†a.txt】 sandbox:/mnt/data/gone.csv sandbox:/mnt/data/x.csv"
    await stage.feed(*(Text(text[at : at + 5]) for at in range(0, len(text), 5)))
    await stage.feed(Finish("stop", Usage()))
    assert said(stage.told) == text
    # Whatever was said before a file is asked for is told by then: the run may be interrupted meanwhile.
    assert [(path, before) for path, before in stage.asked] == [
        ("x.csv", "[x]("),
        ("gone.csv", text[: text.index("sandbox:/mnt/data/gone")]),
        ("x.csv", text[: text.rindex("sandbox")]),
    ]
    stage.turn.close_message("completed")
    stage.publish()
    message = next(data for name, data in stage.told if name == "thread.message.completed")
    annotations = message["content"][1]["text"]["annotations"]
    assert [(a["type"], a["text"]) for a in annotations] == [
        ("file_path", "sandbox:/mnt/data/x.csv"),
        ("file_citation", "【0:0†a.txt】"),
        ("file_path", "sandbox:/mnt/data/x.csv"),
    ]
    for annotation in annotations:
        assert text[annotation["start_index"] : annotation["end_index"]] == annotation["text"]
    assert annotations[0] == {
        "type": "file_path",
        "text": "sandbox:/mnt/data/x.csv",
        "start_index": 4,
        "end_index": 27,
        "file_path": {"file_id": "file-x"},
    }
    told = [part["text"] for part in content_deltas(stage.told) if part.get("text", {}).get("annotations")]
    assert [(part["value"], part["annotations"]) for part in told] == [
        (annotation["text"], [{"index": place, **annotation}]) for place, annotation in enumerate(annotations)
    ]


async def test_a_marker_and_its_annotation_come_in_the_same_delta() -> None:
    stage = Stage(sources={(0, 0): Source("file-1", "a.txt", "The sky is blue.")})
    for piece in ("The sky ", "is blue【0", ":0†a.", "txt】", ", and【1", ":0†a.txt】 so on【0:"):
        await stage.feed(Text(piece))
    await stage.feed(Finish("stop", Usage()))
    deltas = [data["delta"]["content"][0]["text"] for name, data in stage.told if name.endswith("delta")]
    cited = {
        "type": "file_citation",
        "text": "【0:0†a.txt】",
        "start_index": 15,
        "end_index": 26,
        "file_citation": {"file_id": "file-1", "quote": "The sky is blue."},
    }
    assert deltas == [
        {"value": "The sky ", "annotations": []},
        {"value": "is blue"},
        {"value": "【0:0†a.txt】", "annotations": [{"index": 0, **cited}]},
        {"value": ", and"},
        {"value": "【1:0†a.txt】 so on"},
        {"value": "【0:"},
    ]
    stage.turn.close_message("completed")
    stage.publish()
    message = next(data for name, data in stage.told if name == "thread.message.completed")
    (part,) = message["content"]
    assert part["text"] == {"value": "The sky is blue【0:0†a.txt】, and【1:0†a.txt】 so on【0:", "annotations": [cited]}


async def test_arguments_of_no_call_belong_to_nothing() -> None:
    stage = Stage(frozenset({"look_up"}))
    await stage.feed(CallArguments(0, "{}"), CallStart(0, "call_a", "look_up"), CallArguments(7, "{}"))
    assert stage.names == [*CALLS, "run.step.delta"]


async def test_an_answer_without_a_word_is_an_empty_message() -> None:
    stage = Stage()
    await stage.feed(Finish("stop", None))
    assert not stage.turn.is_open
    await stage.turn.say_nothing()
    stage.publish()
    assert stage.names == [*WORDS, "message.delta"]
    assert stage.turn.message is not None
    assert stage.turn.message.content() == [{"type": "text", "text": {"value": "", "annotations": []}}]


@pytest.mark.parametrize(
    ("status", "reason", "error"),
    [
        ("completed", None, None),
        ("completed", "max_tokens", None),
        ("cancelled", "run_cancelled", None),
        ("expired", "run_expired", None),
        ("failed", "run_failed", LastError("server_error", "Oh.")),
    ],
)
async def test_a_message_closes_with_its_step(status: str, reason: str | None, error: LastError | None) -> None:
    stage = Stage()
    await stage.feed(Text("Hello"))
    begin = len(stage.told)
    closed, message = stage.turn.close_message(status, reason, Usage(7, 5, 3, 2), error)
    stage.publish()
    (told_message, told_step) = stage.told[begin:]
    word = "completed" if reason is None else "incomplete"
    assert told_message[0] == f"thread.message.{word}"
    assert told_message[1]["status"] == word
    assert told_message[1]["incomplete_details"] == (None if reason is None else {"reason": reason})
    assert told_message[1][f"{word}_at"] == NOW
    assert told_message[1]["content"] == message.content
    assert told_step[0] == f"thread.run.step.{status}"
    assert told_step[1][f"{status}_at"] == NOW
    assert told_step[1]["usage"] == {
        "prompt_tokens": 7,
        "completion_tokens": 5,
        "total_tokens": 12,
        "prompt_token_details": {"cached_tokens": 3},
        "completion_tokens_details": {"reasoning_tokens": 2},
    }
    assert told_step[1]["last_error"] == (None if error is None else {"code": "server_error", "message": "Oh."})
    assert (closed.status, closed.usage, message.reason) == (status, Usage(7, 5, 3, 2), reason)


@pytest.mark.parametrize("status", ["cancelled", "failed", "expired"])
async def test_calls_close_with_what_was_named(status: str) -> None:
    stage = Stage(frozenset({"look_up"}))
    await stage.feed(CallStart(0, "call_a", "look_up"), CallArguments(0, '{"a'))
    closed = stage.turn.close_calls(status)
    stage.publish()
    name, step = stage.told[-1]
    assert name == f"thread.run.step.{status}"
    (call,) = step["step_details"]["tool_calls"]
    assert call["function"] == {"name": "look_up", "arguments": '{"a', "output": None}
    assert closed.details["tool_calls"][0].function.arguments == '{"a'


async def test_calls_that_await_their_outputs_stay_open() -> None:
    stage = Stage(frozenset({"look_up"}))
    await stage.feed(CallStart(0, "call_a", "look_up"), CallArguments(0, "{}"))
    begin = len(stage.told)
    closed = stage.turn.close_calls("in_progress", Usage(1, 1))
    stage.publish()
    assert stage.told[begin:] == []
    assert (closed.status, closed.usage) == ("in_progress", Usage(1, 1))


@pytest.mark.parametrize(
    "batches",
    [
        [[Text("a"), Text("b"), CallStart(0, "c", "f"), CallArguments(0, "{}"), Finish("tool_calls", None)]],
        [[Text("a")], [Text("b")], [CallStart(0, "c", "f")], [CallArguments(0, "{}")], [Finish("tool_calls", None)]],
    ],
)
async def test_it_does_not_matter_how_deltas_arrive(batches: Sequence[Sequence[Delta]]) -> None:
    stage = Stage(frozenset({"f"}))
    for batch in batches:
        await stage.feed(*batch)
    completed = ["message.completed", "run.step.completed"]
    assert stage.names == [*WORDS, *["message.delta"] * 2, *completed, *CALLS, *["run.step.delta"] * 2]
