"""What a JSON body weighs: by what is in it, and however it is cut into parts."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assistd.errors import APIError
from assistd.web.json_weight import MAX_DEPTH, SLOW_NUMBER, JsonWeight

MB = 1_000_000


def weigh(*parts: bytes) -> JsonWeight:
    weight = JsonWeight()
    for part in parts:
        weight.add(part)
    return weight


def cut(body: bytes, size: int = 65_536) -> list[bytes]:
    return [body[start : start + size] for start in range(0, len(body), size)]


HEAVY = {
    "objects": b'{"a":1},' * 200_000,
    "empty lists": b"[]," * 400_000,
    "members": b'"a":1,' * 200_000,
    "numbers": b"1," * 600_000,
    "texts": b'"a",' * 600_000,
    "numbers that are slow to read": b"1e308," * 3_000,
    "numbers of many digits": b"0." + b"1" * MB,
    "escapes": b'"' + b"\\n" * 5 * MB,
    "letters beyond ASCII": b'"' + "ж".encode() * 8 * MB,
    "spaces": b" " * 20 * MB,
    "texts with brackets in them, and then objects": b'["' + b'[{\\"' * 10 + b'",' + b"{}," * 200_000,
}


@pytest.mark.parametrize("kind", HEAVY)
def test_what_would_take_long_to_decode_is_refused(kind: str) -> None:
    for parts in ([HEAVY[kind]], cut(HEAVY[kind])):
        with pytest.raises(APIError, match="too many values") as refused:
            weigh(*parts)
        assert refused.value.status == 413


LIGHT = {
    "a picture": b'{"url":"data:image/png;base64,' + b"iVBORw0K" * 4 * MB + b'"}',
    "a text": b'"' + b'She said: \\"Well, {x}: [1, 2, 3]\\".\\n' * 300_000 + b'"',
    "the tokens of many texts": b'{"input":[' + b"12345," * 300_000 + b"1]}",
    "two thousand files with attributes": json.dumps(
        [{"file_id": f"file-{n}", "attributes": {f"key{k}": "v" for k in range(16)}} for n in range(2000)]
    ).encode(),
    "messages in another script": json.dumps({"messages": ["Привет, мир! " * 5000] * 32}).encode(),
    "many functions": json.dumps(
        [{"name": f"f{n}", "properties": {f"p{k}": {"type": "string"} for k in range(100)}} for n in range(128)]
    ).encode(),
}


@pytest.mark.parametrize("kind", LIGHT)
def test_what_people_send_is_taken(kind: str) -> None:
    weigh(LIGHT[kind])
    weigh(*cut(LIGHT[kind], 417_792))


def test_depth_counts_outside_of_texts_only() -> None:
    weigh(b"[" * MAX_DEPTH, b"]" * MAX_DEPTH)
    weigh(b'{"a":"' + b"[" * 5000 + b'\\"' + b"{" * 5000 + b'"}')
    weigh(b"[[]]," * 5000)
    for deep in (b"[" * (MAX_DEPTH + 1), b'{"a":' * 5000, b'["[]]]]",' * (MAX_DEPTH + 1), b'"\\\\"' + b"[" * 300):
        with pytest.raises(APIError, match="nested too deeply") as refused:
            weigh(*cut(deep, 7))
        assert refused.value.status == 400


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text('a"\\[]{},:\né\U0001f600'),
    lambda inner: st.lists(inner) | st.dictionaries(st.text('k"\\,:'), inner),
)


@given(value=JSON, ascii_only=st.booleans(), size=st.integers(1, 40))
def test_the_weight_does_not_depend_on_the_parts(value: Any, ascii_only: bool, size: int) -> None:
    """But for numbers and words that are cut in two."""
    body = json.dumps(value, ensure_ascii=ascii_only).encode()
    whole, pieces = weigh(body), weigh(*cut(body, size))
    assert (whole._depth, whole._in_string, whole._held) == (0, False, b"")
    assert (pieces._depth, pieces._in_string, pieces._held) == (0, False, b"")
    assert abs(pieces._nanoseconds - whole._nanoseconds) <= len(cut(body, size)) * SLOW_NUMBER
