"""What code gives is told piece by piece, kept whole, and cut where there is too much of it."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assistd.runs.code_outputs import CodeOutputs, omission, shortened, told, within
from assistd.runs.wire import CodeOutput, Exchange, ImageFile, ImageOutput, LogsOutput
from assistd.web.wire import to_json

SAID = Exchange("call_a", "code_interpreter", "")


def image(file_id: str) -> ImageOutput:
    return ImageOutput(ImageFile(file_id))


def join(deltas: list[dict[str, Any]]) -> list[CodeOutput]:
    """What deltas join to."""
    whole: list[Any] = []
    for delta in deltas:
        if delta["index"] == len(whole):
            whole.append(image(delta["image"]["file_id"]) if delta["type"] == "image" else LogsOutput(delta["logs"]))
        else:
            assert delta["type"] == "logs"
            assert delta["index"] == len(whole) - 1
            whole[-1] = LogsOutput(whole[-1].logs + delta["logs"])
    return whole


def test_logs_in_a_row_are_one_output() -> None:
    outputs = CodeOutputs()
    assert outputs.logs("a") == [{"index": 0, "type": "logs", "logs": "a"}]
    assert outputs.logs("b\n") == [{"index": 0, "type": "logs", "logs": "b\n"}]
    assert outputs.logs("") == []
    assert outputs.image("file-1") == [{"index": 1, "type": "image", "image": {"file_id": "file-1"}}]
    assert outputs.image("file-2") == [{"index": 2, "type": "image", "image": {"file_id": "file-2"}}]
    assert outputs.logs("c") == [{"index": 3, "type": "logs", "logs": "c"}]
    assert outputs.finish() == []
    assert outputs.shown == [LogsOutput("ab\n"), image("file-1"), image("file-2"), LogsOutput("c")]
    assert bytes(to_json(outputs.shown[:2])) == (
        b'[{"type":"logs","logs":"ab\\n"},{"type":"image","image":{"file_id":"file-1"}}]'
    )


def test_of_long_logs_beginning_and_end_are_kept() -> None:
    outputs = CodeOutputs(first=5, last=3)
    assert [delta["logs"] for delta in outputs.logs("abcdefg")] == ["abcde"]
    assert outputs.logs("hijk") == []
    outputs.image("file-1")
    assert outputs.logs("lm") == []
    (last,) = outputs.finish()
    assert last == {"index": 2, "type": "logs", "logs": "\n[5 characters are left out here]\nklm"}
    assert outputs.finish() == []


def test_logs_that_just_fit_are_whole() -> None:
    outputs = CodeOutputs(first=5, last=3)
    outputs.logs("abcdefgh")
    outputs.finish()
    assert outputs.shown == [LogsOutput("abcdefgh")]


@given(st.lists(st.one_of(st.text(max_size=8), st.none())), st.integers(0, 20), st.integers(1, 10))
def test_what_is_told_joins_to_what_is_kept(given: list[str | None], first: int, last: int) -> None:
    outputs = CodeOutputs(first, last)
    deltas = [delta for one in given for delta in (outputs.image("file-1") if one is None else outputs.logs(one))]
    assert join(deltas) == outputs.shown, "at any time"
    deltas += outputs.finish()
    assert join(deltas) == outputs.shown
    logs = [output.logs for output in outputs.shown if isinstance(output, LogsOutput)]
    assert sum(map(len, logs)) <= first + last + len(omission(10**6))


def test_what_cannot_be_kept_is_replaced() -> None:
    outputs = CodeOutputs()
    outputs.logs("a\0b\ud800")
    assert outputs.shown == [LogsOutput("a\ufffdb\ufffd")]


@given(st.text(), st.integers(0, 100))
def test_a_shortened_text_has_its_beginning_and_its_end(text: str, room: int) -> None:
    short = shortened(text, room)
    if len(text.encode()) <= room:
        assert short == text
    else:
        head, _, rest = short.partition("\n[")
        assert text.startswith(head)
        assert text.endswith(rest.partition(" characters are left out here]\n")[2])
        assert len(short) <= room + len(omission(len(text)))


@pytest.mark.parametrize(
    ("sizes", "room", "kept"),
    [
        ([10, 20], 30, [10, 20]),
        ([10, 200], 110, [10, 100]),
        ([200, 10, 200], 110, [50, 10, 50]),
        ([100, 100], 0, [0, 0]),
        ([], 0, []),
    ],
)
def test_what_is_short_stays_whole(sizes: list[int], room: int, kept: list[int]) -> None:
    found = within([LogsOutput("x" * size) for size in sizes], room)
    assert [output.logs.count("x") for output in found if isinstance(output, LogsOutput)] == kept
    assert within([image("file-1")], 0) == [image("file-1")]


def test_what_the_model_is_told() -> None:
    outputs = [LogsOutput("a\n"), image("file-1"), LogsOutput("b")]
    assert told(outputs, SAID) == "a\n[image file-1 shown to the user]\nb"
    assert told([LogsOutput("a"), image("file-1")], SAID) == "a\n[image file-1 shown to the user]\n"
    noted = Exchange("call_a", "code_interpreter", "", note="State is gone.")
    assert told([LogsOutput("a")], noted) == "State is gone.\n\na"
    assert told([], noted) == "State is gone.\n\n[The code has printed nothing.]"
    assert told([], Exchange("call_a", "code_interpreter", "", error="No code.")) == "No code."
