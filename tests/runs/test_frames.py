"""Frames, batches of them, and places between them."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from openai._streaming import SSEDecoder

from assistd.runs.frames import DONE, PING, Batch, Position, Scribe, error_frame, told_content


def scribe(lease: int = 3, number: int = 10) -> Scribe:
    return Scribe("run_1", lease, number)


def taken(made: Scribe) -> Batch:
    batch = made.take()
    assert batch is not None
    return batch


def frames(count: int, lease: int = 3, number: int = 10) -> Batch:
    """A batch of so many events, the first of which has the next number."""
    made = scribe(lease, number)
    for n in range(count):
        made.event("thread.message.delta", {"text": f"line\n\nline {n}"})
    return taken(made)


def ids(data: bytes) -> list[str]:
    return [line.removeprefix(b"id: ").decode() for line in data.split(b"\n") if line.startswith(b"id: ")]


# --- places


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("0-1", Position(0, 1)),
        ("12-345", Position(12, 345)),
        (" 1-2 ", Position(1, 2)),
        ("1-2\n", Position(1, 2)),
        ("", None),
        ("1", None),
        ("1-", None),
        ("-1-2", None),
        ("1-2-3", None),
        ("1-2x", None),
        ("a-b", None),
        ("1.0-2", None),
        ("9" * 19 + "-1", None),  # more than the database's numbers hold
        ("9" * 18 + "-1", Position(int("9" * 18), 1)),
    ],
)
def test_a_last_event_id_is_read_or_refused(text: str, place: Position | None) -> None:
    assert Position.parse(text) == place


@given(st.text(max_size=30))
def test_a_foreign_last_event_id_is_none_of_ours(text: str) -> None:
    place = Position.parse(text)
    assert place is None or Position(0, 0) <= place < Position(10**18, 10**18)


def test_places_are_ordered_by_lease_first() -> None:
    places = [Position(1, 9), Position(2, 4), Position(1, 10), Position(0, 99), Position()]
    assert sorted(places) == [Position(), Position(0, 99), Position(1, 9), Position(1, 10), Position(2, 4)]


# --- batches


@given(count=st.integers(1, 8), lease=st.integers(2, 4), number=st.integers(0, 20))
def test_what_comes_after_a_place(count: int, lease: int, number: int) -> None:
    batch = frames(4)  # 3-11 to 3-14
    rest = batch.after(Position(lease, number))
    expected = [n for n in range(11, 15) if Position(3, n) > Position(lease, number)]
    assert ids(rest) == [f"3-{n}" for n in expected]
    assert batch.frames.endswith(rest)
    assert rest == b"" or rest.endswith(b"\n\n")


def test_a_batch_ends_where_its_successor_begins() -> None:
    made = scribe()
    made.event("a", {})
    made.event("b", {})
    first = taken(made)
    made.event("c", {})
    second = taken(made)
    assert (first.first, first.last, second.first, second.last) == (11, 12, 13, 13)
    assert first.end == Position(3, 12)
    assert made.position == second.end


@pytest.mark.parametrize(
    ("names", "is_end"),
    [
        (["thread.run.completed"], True),
        (["thread.run.step.completed", "thread.run.requires_action"], True),
        (["thread.run.failed"], True),
        (["thread.run.incomplete"], True),
        (["thread.run.expired"], True),
        (["thread.run.cancelling", "thread.run.cancelled"], True),
        (["thread.run.cancelling"], False),
        (["thread.run.step.completed"], False),
        (["thread.message.completed"], False),
        (["thread.run.requires_action", "thread.run.queued"], False),
        (["thread.run.created"], False),
    ],
)
def test_a_stream_ends_with_the_end_of_its_run(names: list[str], is_end: bool) -> None:
    made = scribe()
    for name in names:
        made.event(name, {"text": "event: thread.run.completed"})
    assert taken(made).is_end is is_end


# --- the scribe


def test_a_frame_is_one_event() -> None:
    made = scribe()
    made.event("thread.run.queued", {"a": "b\n\nevent: c"})
    assert taken(made).frames == b'event: thread.run.queued\ndata: {"a":"b\\n\\nevent: c"}\nid: 3-11\n\n'
    assert made.take() is None


def test_what_a_refused_change_told_is_forgotten() -> None:
    made = scribe()
    made.event("a", {})
    before = taken(made)
    made.event("b", {})
    refused = taken(made)
    made.rewind(refused.first - 1)
    made.event("c", {})
    after = taken(made)
    assert (before.last, after.first, ids(after.frames)) == (11, 12, ["3-12"])


def test_what_was_not_taken_can_be_dropped() -> None:
    made = scribe()
    made.event("a", {})
    taken(made)
    made.event("b", {})
    made.event("c", {})
    made.drop()
    assert made.take() is None
    made.event("d", {})
    assert ids(taken(made).frames) == ["3-12"]
    made.drop()
    assert made.position == Position(3, 12)


def data_of(frame: bytes) -> Any:
    return json.loads(frame.split(b"\n")[1].removeprefix(b"data: "))


@given(st.text())
def test_a_text_delta_is_the_json_it_stands_for(value: str) -> None:
    made = scribe()
    made.text_delta("msg_1", 0, value, begins=True)
    made.text_delta("msg_1", 0, value, begins=False)
    batch = taken(made)
    first, second = batch.frames.split(b"\n\n")[:-1]
    for frame, more in [(first, {"annotations": []}), (second, {})]:
        assert frame.startswith(b"event: thread.message.delta\n")
        content = [{"index": 0, "type": "text", "text": {"value": value, **more}}]
        assert data_of(frame) == {"id": "msg_1", "object": "thread.message.delta", "delta": {"content": content}}
    assert len(ids(batch.frames)) == 2


def test_a_call_delta_and_a_refusal_delta() -> None:
    made = scribe()
    made.call_delta("step_1", {"index": 0, "type": "function", "function": {"arguments": "{"}})
    made.refusal_delta("msg_1", 1, "No.")
    call, refusal = (data_of(frame) for frame in taken(made).frames.split(b"\n\n")[:-1])
    assert call == {
        "id": "step_1",
        "object": "thread.run.step.delta",
        "delta": {
            "step_details": {
                "type": "tool_calls",
                "tool_calls": [{"index": 0, "type": "function", "function": {"arguments": "{"}}],
            }
        },
    }
    assert refusal["delta"] == {"content": [{"index": 1, "type": "refusal", "refusal": "No."}]}


@given(st.lists(st.tuples(st.sampled_from(["text", "refusal", "image_file"]), st.text(min_size=1)), max_size=8))
def test_content_is_put_together_from_its_deltas(parts: list[tuple[str, str]]) -> None:
    made = scribe()
    made.event("thread.message.created", {"id": "msg_1"})
    content: list[Any] = []
    for index, (kind, words) in enumerate(parts):
        made.text_delta("msg_other", 0, "not this", begins=False)
        if kind == "image_file":
            made.image_delta("msg_1", index, words)
            content.append({"type": "image_file", "image_file": {"file_id": words}})
            continue
        for begin in range(len(words)):
            if kind == "text":
                made.text_delta("msg_1", index, words[begin], begins=begin == 0)
            else:
                made.refusal_delta("msg_1", index, words[begin])
        shown = {"refusal": words} if kind == "refusal" else {"text": {"value": words, "annotations": []}}
        content.append({"type": kind, **shown})
    batch = made.take()
    assert batch is not None
    nothing = [{"type": "text", "text": {"value": "", "annotations": []}}]
    assert told_content(batch.frames, "msg_1") == (content or nothing)


def test_annotations_are_put_together_without_their_indexes() -> None:
    made = scribe()
    link = {"type": "file_path", "text": "x", "start_index": 1, "end_index": 2, "file_path": {"file_id": "file-1"}}
    made.text_delta("msg_1", 0, "a", begins=True)
    made.annotated_delta("msg_1", 0, "x", 0, link)
    assert told_content(taken(made).frames, "msg_1") == [
        {"type": "text", "text": {"value": "ax", "annotations": [link]}}
    ]


def test_an_error_is_wrapped_and_a_stream_ends_with_done() -> None:
    assert data_of(error_frame("Too bad.")) == {
        "error": {"message": "Too bad.", "type": "server_error", "param": None, "code": None}
    }
    assert error_frame("Too bad.").startswith(b"event: error\n")
    assert DONE == b"event: done\ndata: [DONE]\n\n"


def test_a_sign_of_life_is_no_event_to_the_sdk() -> None:
    writer = scribe()
    writer.event("thread.run.queued", {"n": 1})
    first = writer.take()
    writer.event("thread.run.in_progress", {"n": 2})
    second = writer.take()
    assert first is not None
    assert second is not None
    sent = [first.frames, PING, PING, second.frames, PING, DONE]
    for chunks in (sent, [b"".join(sent)], [bytes([byte]) for byte in b"".join(sent)]):
        heard = [(event.event, event.data) for event in SSEDecoder().iter_bytes(iter(chunks))]
        assert heard == [("thread.run.queued", '{"n":1}'), ("thread.run.in_progress", '{"n":2}'), ("done", "[DONE]")]
