"""Server-sent events: what counts as one, and that it does not matter where the stream is split."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assistd.llm.sse import EventTooLong, SseParser


def by_the_book(stream: bytes) -> list[bytes]:
    """The specification's algorithm, line by line, over a whole stream; empty data left out."""
    payloads: list[bytes] = []
    data: list[bytes] = []
    *lines, _ = re.split(rb"\r\n|\n|\r", stream)
    for line in lines:
        if not line:
            if b"\n".join(data):
                payloads.append(b"\n".join(data))
            data = []
            continue
        name, _, value = line.partition(b":")
        if name == b"data":
            data.append(value[1:] if value.startswith(b" ") else value)
    return payloads


def read(pieces: list[bytes]) -> list[bytes]:
    parser = SseParser()
    return [payload for piece in pieces for payload in parser.feed(piece)]


@pytest.mark.parametrize(
    ("stream", "payloads"),
    [
        (b"data: a\n\ndata: b\n\n", [b"a", b"b"]),
        (b"data:a\n\n", [b"a"]),
        (b"data:  a\n\n", [b" a"]),
        (b"data: a\r\n\r\ndata: b\r\n\r\n", [b"a", b"b"]),
        (b"data: a\r\rdata: b\r\r", [b"a", b"b"]),
        (b"\n\n\ndata: a\n\n\n\ndata: b\n\n", [b"a", b"b"]),
        (b": a comment\n\n: another\ndata: a\n\n", [b"a"]),
        (b"event: x\nid: 1\nretry: 5\ndata: a\n\n", [b"a"]),
        (b"data: a\ndata: b\n\n", [b"a\nb"]),
        (b"data: a\nevent: x\n\n", [b"a"]),
        (b"datax: a\n\ndata\n\ndata:\n\n", []),
        (b"data: a", []),
        (b"data: a\n", []),
        (b"", []),
    ],
)
def test_what_an_event_is(stream: bytes, payloads: list[bytes]) -> None:
    assert by_the_book(stream) == payloads
    assert read([stream]) == payloads


LINES = st.sampled_from(
    [b"data: a", b"data: [DONE]", b"data:b", b"data", b": c", b"event: x", b"", b"", b"d: e", b"\xff"]
)
ENDS = st.sampled_from([b"\n", b"\n", b"\r\n", b"\r"])


@given(st.lists(st.tuples(LINES, ENDS), max_size=20), st.data())
def test_it_does_not_matter_where_the_stream_is_split(lines: list[tuple[bytes, bytes]], data: st.DataObject) -> None:
    stream = b"".join(line + end for line, end in lines)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=12)))
    pieces = [stream[a:b] for a, b in zip([0, *cuts], [*cuts, len(stream)], strict=True)]
    assert read(pieces) == by_the_book(stream)


@given(st.lists(st.tuples(LINES, ENDS), max_size=20))
def test_byte_by_byte(lines: list[tuple[bytes, bytes]]) -> None:
    stream = b"".join(line + end for line, end in lines)
    assert read([stream[at : at + 1] for at in range(len(stream))]) == by_the_book(stream)


@pytest.mark.parametrize("tail", [b"data: b", b"data: b\n", b"data: b\r", b"data: b\r\n", b"data: b\n\n"])
def test_a_proper_end_ends_the_last_event(tail: bytes) -> None:
    parser = SseParser()
    assert parser.feed(b"data: a\n\n" + tail) + parser.end() == [b"a", b"b"]
    assert parser.end() == []


def test_an_event_without_end_is_not_kept_forever() -> None:
    parser = SseParser(max_event_bytes=100)
    parser.feed(b"data: " + b"x" * 90 + b"\n\n")
    for _ in range(10):
        assert parser.feed(b"x" * 10) == []
    with pytest.raises(EventTooLong):
        parser.feed(b"x")
