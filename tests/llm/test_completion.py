"""Chunks into deltas: what servers send differently, and that nonsense is an error and never a crash."""

from __future__ import annotations

import contextlib
import json
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assistd.llm.completion import CompletionReader
from assistd.llm.protocol import (
    CallArguments,
    CallStart,
    Delta,
    Finish,
    ModelError,
    ModelRateLimited,
    ModelRefused,
    ModelUnavailable,
    Refusal,
    Text,
    Usage,
)
from assistd.llm.routing import Route

ROUTE = Route(patterns=("*",), base_url="http://models.example/v1", key="sk-very-secret")


def chunk(delta: dict[str, Any] | None = None, finish: str | None = None, **more: Any) -> bytes:
    choices = [] if delta is None else [{"index": 0, "delta": delta, "finish_reason": finish}]
    return json.dumps({"id": "x", "object": "chat.completion.chunk", "choices": choices, **more}).encode()


def calls(*parts: dict[str, Any]) -> bytes:
    return chunk({"tool_calls": list(parts)})


def part(index: int | None, id: str | None, name: str | None, arguments: Any) -> dict[str, Any]:
    """A part of a tool call, with what is None left out."""
    function = {key: value for key, value in (("name", name), ("arguments", arguments)) if value is not None}
    return {
        key: value for key, value in (("index", index), ("id", id), ("function", function or None)) if value is not None
    }


def read(*payloads: bytes) -> list[Delta]:
    reader = CompletionReader(ROUTE)
    deltas = reader.read(payloads)
    return [*deltas, reader.finish()]


def told(deltas: list[Delta]) -> list[tuple[str, str, str]]:
    """Each call's id, name and joined arguments; the indexes must count from 0."""
    starts = [delta for delta in deltas if isinstance(delta, CallStart)]
    assert [start.index for start in starts] == list(range(len(starts)))
    arguments = [delta for delta in deltas if isinstance(delta, CallArguments)]
    return [
        (start.id, start.name, "".join(piece.value for piece in arguments if piece.index == start.index))
        for start in starts
    ]


def test_text_comes_out_piece_by_piece() -> None:
    deltas = read(
        chunk({"role": "assistant", "content": ""}),
        chunk({"content": "Hel"}),
        chunk({"content": None}),
        chunk({"content": "lo"}),
        chunk({}, "stop"),
        b"[DONE]",
    )
    assert deltas == [Text("Hel"), Text("lo"), Finish("stop", None)]


def test_reasoning_is_not_answer_text() -> None:
    deltas = read(
        chunk({"reasoning_content": "hm", "content": None}),
        chunk({"reasoning": "hm"}),
        chunk({"content": [{"type": "thinking", "thinking": []}, {"type": "text", "text": "yes"}, 5, "!"]}),
        chunk({}, "stop"),
    )
    assert deltas == [Text("yes"), Text("!"), Finish("stop", None)]


def test_a_refusal_is_kept_apart() -> None:
    assert read(chunk({"refusal": "No."}), chunk({}, "stop")) == [Refusal("No."), Finish("stop", None)]


def test_what_cannot_be_kept_is_replaced() -> None:
    raw = rb'{"choices":[{"delta":{"content":"%s"}}]}'
    assert read(raw % rb"a\u0000b", chunk({}, "stop"))[0] == Text("a\ufffdb")
    assert read(raw % rb"a\ud800b\udc00", chunk({}, "stop"))[0] == Text("a\ufffdb\ufffd")
    assert read(raw % rb"\ud83d\ude00", chunk({}, "stop"))[0] == Text("\U0001f600")
    assert read(raw % b"a\xffb", chunk({}, "stop"))[0] == Text("a\ufffdb")
    assert read(b'{"logprobs":NaN,"choices":[{"delta":{"content":"a"}}]}', chunk({}, "stop"))[0] == Text("a")
    deltas = read(calls(part(0, "c\0", "f\0", '{"a":"\0"}')), chunk({"refusal": "\0"}), chunk({}, "stop"))
    assert told(deltas) == [("c\ufffd", "f\ufffd", '{"a":"\ufffd"}')]
    assert Refusal("\ufffd") in deltas


USAGE = {
    "prompt_tokens": 10,
    "completion_tokens": 5,
    "total_tokens": 15,
    "prompt_tokens_details": {"cached_tokens": 4},
    "completion_tokens_details": {"reasoning_tokens": 2},
}
COUNTED = Usage(prompt_tokens=10, completion_tokens=5, cached_tokens=4, reasoning_tokens=2)


@pytest.mark.parametrize(
    ("payloads", "usage"),
    [
        ([chunk({}, "stop"), chunk(usage=USAGE)], COUNTED),
        ([chunk({}, "stop", usage=USAGE)], COUNTED),
        ([chunk({}, "stop", usage=USAGE), chunk(usage=None)], COUNTED),
        ([chunk({"content": ""}, usage={"prompt_tokens": 1}), chunk({}, "stop", usage=USAGE)], COUNTED),
        ([chunk({}, "stop")], None),
        ([chunk({}, "stop", usage=None)], None),
        ([chunk({}, "stop", usage="many")], None),
        ([chunk({}, "stop", usage={"prompt_tokens": 3, "prompt_tokens_details": None})], Usage(prompt_tokens=3)),
        ([chunk({}, "stop", usage={"prompt_tokens": 3.0, "completion_tokens": None})], Usage(prompt_tokens=3)),
        ([chunk({}, "stop", usage={"prompt_tokens": -3, "completion_tokens": "x"})], Usage()),
    ],
)
def test_usage_comes_where_it_likes(payloads: list[bytes], usage: Usage | None) -> None:
    assert read(*payloads) == [Finish("stop", usage)]


@pytest.mark.parametrize(
    ("said", "meant"),
    [
        ("stop", "stop"),
        ("length", "length"),
        ("content_filter", "content_filter"),
        ("max_tokens", "length"),
        ("eos", "stop"),
        ("tool_calls", "stop"),
        ("function_call", "stop"),
    ],
)
def test_finish_reasons(said: str, meant: str) -> None:
    finish = read(chunk({"content": "a"}), chunk({}, said))[-1]
    assert isinstance(finish, Finish)
    assert finish.reason == meant


@pytest.mark.parametrize(
    ("said", "meant"), [("stop", "tool_calls"), ("tool_calls", "tool_calls"), ("length", "length")]
)
def test_finish_reasons_with_calls(said: str, meant: str) -> None:
    finish = read(calls(part(0, "c1", "f", "{}")), chunk({}, said))[-1]
    assert isinstance(finish, Finish)
    assert finish.reason == meant


def test_calls_as_the_original_service_sends_them() -> None:
    deltas = read(
        calls(part(0, "c1", "f", "")),
        calls(part(0, None, None, '{"a"')),
        calls(part(0, None, None, ":1}")),
        calls(part(1, "c2", "g", "")),
        calls(part(1, None, None, "{}")),
        chunk({}, "tool_calls"),
    )
    assert deltas == [
        CallStart(0, "c1", "f"),
        CallArguments(0, '{"a"'),
        CallArguments(0, ":1}"),
        CallStart(1, "c2", "g"),
        CallArguments(1, "{}"),
        Finish("tool_calls", None),
    ]


TWO = [("c1", "f", '{"a":1}'), ("c2", "g", "{}")]


@pytest.mark.parametrize(
    ("payloads", "expected"),
    [
        pytest.param([calls(part(0, "c1", "f", '{"a":1}'), part(1, "c2", "g", "{}"))], TWO, id="whole calls at once"),
        pytest.param([calls(part(0, "c1", "f", '{"a":1}')), calls(part(0, "c2", "g", "{}"))], TWO, id="index always 0"),
        pytest.param([calls(part(0, "c1", "f", '{"a":1}'), part(0, "c2", "g", "{}"))], TWO, id="index 0, one chunk"),
        pytest.param(
            [calls(part(0, "c1", "f", "{}")), calls(part(0, "c2", "f", "{}"))],
            [("c1", "f", "{}"), ("c2", "f", "{}")],
            id="index always 0, same name",
        ),
        pytest.param(
            [calls(part(0, "c1", "f", '{"a":1}')), calls(part(0, None, "g", "{}"), part(0, "c2", None, None))],
            [TWO[0], ("ANY", "g", "{}")],
            id="index always 0, another name",
        ),
        pytest.param([calls(part(None, "c1", "f", '{"a":1}'), part(None, "c2", "g", "{}"))], TWO, id="no index"),
        pytest.param(
            [
                calls(part(None, "c1", "f", '{"a"')),
                calls(part(None, None, None, ":1}")),
                calls(part(None, "c2", "g", "{")),
                calls(part(None, "c2", "g", "}")),
            ],
            TWO,
            id="no index, in pieces",
        ),
        pytest.param(
            [calls(part(0, "c1", "f", '{"a"')), calls(part(0, "c1", "f", ":1}")), calls(part(1, "c2", "g", "{}"))],
            TWO,
            id="name and id repeated",
        ),
        pytest.param(
            [calls(part(0, "c1", "f", '{"a"')), calls(part(0, "", "f", ":1}")), calls(part(1, "c2", "g", "{}"))],
            TWO,
            id="name repeated, id empty",
        ),
        pytest.param(
            [calls(part(0, "c1", "f", '{"a"')), calls(part(0, "other", None, ":1}")), calls(part(1, "c2", "g", "{}"))],
            TWO,
            id="another id in every chunk, no name",
        ),
        pytest.param(
            [
                calls(part(0, "c1", "f", '{"a"'), part(1, "c2", "g", "{")),
                calls(part(1, None, None, "}"), part(0, None, None, ":1}")),
            ],
            TWO,
            id="interleaved",
        ),
        pytest.param([calls(part(0, "c1", "f", {"a": 1}), part(3, "c2", "g", "{}"))], TWO, id="arguments as an object"),
        pytest.param([calls(part(0, "c1", None, '{"a"')), calls(part(0, "c1", "f", ":1}"))], TWO[:1], id="name later"),
        pytest.param([calls({"id": "c1", "function": {"name": "f"}})], [("c1", "f", "")], id="no arguments"),
    ],
)
def test_calls_as_others_send_them(payloads: list[bytes], expected: list[tuple[str, str, str]]) -> None:
    got = told(read(*payloads, chunk({}, "stop")))
    assert [(id if id in ("c1", "c2") else "ANY", name, arguments) for id, name, arguments in got] == expected


@pytest.mark.parametrize(
    "payloads",
    [
        [calls(part(None, None, "f", "{}"), part(None, None, "f", "{}"))],
        [calls(part(0, None, "f", "{}"), part(0, None, "f", "{}"))],
        [calls(part(None, None, "f", "{}")), calls(part(None, None, "f", "{}"))],
        [calls(part(0, None, "f", "{}")), calls(part(1, None, "f", "{}"))],
        [calls(part(0, "", "f", "{}")), calls(part(1, "", "f", "{}"))],
        [calls(part(0, "same", "f", "{}"), part(1, "same", "f", "{}"))],
    ],
)
def test_every_call_has_an_id_of_its_own(payloads: list[bytes]) -> None:
    first, second = told(read(*payloads, chunk({}, "stop")))
    assert first[1:] == second[1:] == ("f", "{}")
    assert first[0] != second[0]
    assert first[0] == "same" or re.fullmatch("call_[0-9A-Za-z]{24}", first[0])
    assert re.fullmatch("call_[0-9A-Za-z]{24}", second[0])


def test_a_call_that_never_got_a_name_is_no_call() -> None:
    with pytest.raises(ModelUnavailable):
        read(calls(part(0, "c1", None, "{}")), chunk({}, "tool_calls"))
    assert read(calls(part(0, "c1", None, "{}")), chunk({}, "length")) == [Finish("length", None)]


def test_a_stream_without_finish_reason_is_cut() -> None:
    for payloads in ([], [chunk({"content": "a"})], [chunk({"content": "a"}), b"[DONE]"], [chunk({}, "error")]):
        with pytest.raises(ModelUnavailable, match=re.escape("models.example")):
            read(*payloads)


@pytest.mark.parametrize(
    ("error", "kind", "code"),
    [
        ({"message": "Busy.", "type": "server_error", "code": None}, ModelUnavailable, None),
        ("Busy.", ModelUnavailable, None),
        ({"message": "Busy.", "code": 503}, ModelUnavailable, None),
        ({"message": "Busy.", "code": 429}, ModelRateLimited, None),
        ({"message": "Busy.", "code": "rate_limit_exceeded"}, ModelRateLimited, None),
        ({"message": "Busy.", "status": "400"}, ModelRefused, "invalid_prompt"),
        ({"message": "Busy.", "code": "context_length_exceeded"}, ModelRefused, "invalid_prompt"),
        ({"message": "Busy.", "type": "insufficient_quota"}, ModelRefused, "rate_limit_exceeded"),
        ({"message": "Busy.", "code": 401}, ModelRefused, "server_error"),
    ],
)
def test_an_error_inside_the_stream(error: Any, kind: type[ModelError], code: str | None) -> None:
    with pytest.raises(ModelError, match=r"Busy\.") as raised:
        read(chunk({"content": "a"}), json.dumps({"error": error}).encode())
    assert type(raised.value) is kind
    assert getattr(raised.value, "code", None) == code


@pytest.mark.parametrize(
    "payload", [b"", b"{", b"[]", b"1", b"nonsense", b'{"choices":5}', b'{"choices":[{"delta":[]}]}', b"[" * 100_000]
)
def test_nonsense_is_an_error(payload: bytes) -> None:
    with pytest.raises(ModelUnavailable, match="not a chat completion"):
        read(payload)


def test_a_whole_answer_instead_of_a_stream() -> None:
    message = {"role": "assistant", "content": "Look:", "tool_calls": [part(None, "c1", "f", "{}")]}
    reader = CompletionReader(ROUTE)
    body = {"choices": [{"index": 0, "message": message, "finish_reason": "tool_calls"}], "usage": USAGE}
    deltas = [*reader.read_whole(json.dumps(body).encode()), reader.finish()]
    assert deltas == [Text("Look:"), CallStart(0, "c1", "f"), CallArguments(0, "{}"), Finish("tool_calls", COUNTED)]


@pytest.mark.parametrize("body", [b"{}", b'{"choices":[]}', b'{"choices":[{}]}', b"<html>", b'{"error":"down"}'])
def test_a_whole_answer_that_is_none(body: bytes) -> None:
    with pytest.raises(ModelUnavailable):
        CompletionReader(ROUTE).read_whole(body)


KEYS = ["choices", "delta", "message", "content", "tool_calls", "function", "name", "arguments", "id", "index", "usage"]
KEYS += ["error", "finish_reason", "refusal", "text", "type", "code", "prompt_tokens", "prompt_tokens_details"]
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(KEYS),
            inner,
            max_size=4,
        )
    ),
    max_leaves=25,
)


@given(st.lists(st.binary(max_size=40) | JSON.map(lambda value: json.dumps(value).encode()), max_size=4))
def test_whatever_a_server_sends_ends_in_deltas_or_a_model_error(payloads: list[bytes]) -> None:
    reader = CompletionReader(ROUTE)
    try:
        deltas = [*reader.read(payloads), reader.finish()]
    except ModelError:
        return
    assert isinstance(deltas[-1], Finish)
    assert all(delta.value for delta in deltas if isinstance(delta, Text | Refusal | CallArguments))


@given(st.binary(max_size=40) | JSON.map(lambda value: json.dumps(value).encode()))
def test_whatever_body_a_server_sends_ends_in_deltas_or_a_model_error(body: bytes) -> None:
    reader = CompletionReader(ROUTE)
    with contextlib.suppress(ModelError):
        assert isinstance([*reader.read_whole(body), reader.finish()][-1], Finish)
