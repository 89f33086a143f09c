"""A request as a handler sees it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from assistd.errors import APIError
from assistd.threads.wire import CreateThread
from assistd.web.request import NOUNS, PREFIXES, Request, check_id, decode
from assistd.web.tools import FunctionObject
from assistd.web.wire import Page


def request(query: str = "", body: bytes = b"") -> Request:
    return Request("req_1", "proj_1", {}, query, {}, body)


# --- ids


@pytest.mark.parametrize("param", PREFIXES)
def test_ids_of_the_right_kind_pass(param: str) -> None:
    prefix = PREFIXES[param]
    for id in (f"{prefix}_abc", f"{prefix}_" + "x" * 100, f"{prefix}_a-b_c", prefix):
        assert check_id(param, id) == id


@pytest.mark.parametrize("param", PREFIXES)
@pytest.mark.parametrize("id", ["", "undefined", "file-1", "\0", "\ud800", " {prefix}_1"])
def test_ids_of_the_wrong_kind_are_named(param: str, id: str) -> None:
    prefix = PREFIXES[param]
    id = id.format(prefix=prefix)
    with pytest.raises(APIError) as refusal:
        check_id(param, id)
    assert (refusal.value.status, refusal.value.param, refusal.value.code) == (400, param, "invalid_value")
    assert refusal.value.message == f"Invalid '{param}': '{id}'. Expected an ID that begins with '{prefix}'."


@pytest.mark.parametrize("param", PREFIXES)
@pytest.mark.parametrize("rest", ["\0", "\n", "a b", "é", "\ud800", "x" * 129, "a/b", "a.b", "%"])
def test_what_no_id_can_be_is_not_there(param: str, rest: str) -> None:
    """So that nothing of it reaches the database."""
    id = f"{PREFIXES[param]}_{rest}"
    with pytest.raises(APIError) as refusal:
        check_id(param, id)
    assert (refusal.value.status, refusal.value.code) == (404, None)
    assert refusal.value.message == f"No {NOUNS[param]} found with id '{id}'."


# --- the query


@pytest.mark.parametrize(
    ("query", "page"),
    [
        ("", Page()),
        ("limit=&order=&after=&before=", Page()),
        ("limit=7&order=asc&after=a&before=b", Page(7, "asc", "a", "b")),
        ("limit=1", Page(limit=1)),
        ("limit=100", Page(limit=100)),
        ("limit=5&limit=6&order=asc&order=desc", Page(limit=6)),
        ("after=a%2Fb%20c", Page(after="a/b c")),
        ("unknown=1&limit", Page()),
    ],
)
def test_the_parameters_of_a_list(query: str, page: Page) -> None:
    assert request(query).page() == page


@pytest.mark.parametrize(
    ("query", "param", "code"),
    [
        ("limit=0", "limit", "integer_below_min_value"),
        ("limit=101", "limit", "integer_above_max_value"),
        (f"limit={'9' * 100}", "limit", "integer_above_max_value"),
        (f"limit=-{'9' * 100}", "limit", "integer_below_min_value"),
        (f"limit={'9' * 101}", "limit", "invalid_type"),
        ("limit=%D9%A3", "limit", "invalid_type"),  # an Arabic 3, which Python's int takes
        ("limit=1_0", "limit", "invalid_type"),
        ("limit=5%0A", "limit", "invalid_type"),
        ("order=Asc", "order", "invalid_value"),
    ],
)
def test_parameters_that_cannot_be(query: str, param: str, code: str) -> None:
    with pytest.raises(APIError) as refusal:
        request(query).page()
    assert (refusal.value.status, refusal.value.param, refusal.value.code) == (400, param, code)


@pytest.mark.parametrize("name", ["include[]", "include%5B%5D", "include[0]", "include"])
def test_lists_in_a_query_come_in_several_spellings(name: str) -> None:
    assert request(f"{name}=a&{name}=b").query() == {"include": ["a", "b"]}


@pytest.mark.parametrize(
    ("query", "members"),
    [
        ("", {}),
        ("limit=1&metadat[a]=b&q=metadata[a]", {}),
        ("metadata[a]=b&metadata%5Bc%5D=d%20e", {"a": "b", "c": "d e"}),
        ("metadata[a]=b&metadata[a]=c", {"a": "c"}),
        ("metadata[]=b&metadata[a[b]]=c&metadata[d]=", {"": "b", "a[b]": "c", "d": ""}),
    ],
)
def test_objects_in_a_query_are_read_by_their_keys(query: str, members: dict[str, str]) -> None:
    assert request(query).members("metadata") == members


@pytest.mark.parametrize("query", ["metadata=a", "metadata", "metadata[a=b", "metadata[a]=b&metadata[c]d=e"])
def test_an_object_in_a_query_without_a_key_is_refused(query: str) -> None:
    with pytest.raises(APIError) as refusal:
        request(query).members("metadata")
    assert (refusal.value.status, refusal.value.param, refusal.value.code) == (400, "metadata", "invalid_type")


# --- the body


def nested(levels: int) -> Any:
    value: Any = 1
    for _ in range(levels):
        value = [value]
    return value


def parameters(value: Any) -> bytes:
    return json.dumps({"name": "f", "parameters": {"x": value}}).encode()


def test_a_body_may_be_empty() -> None:
    assert request(body=b"").body(CreateThread) == CreateThread()


def test_nesting_beyond_what_python_can_take_is_told() -> None:
    """The door lets far less in (`json_weight`)."""
    assert decode(parameters(nested(197)), FunctionObject).parameters is not None
    for levels in (1100, 50_000):
        body = parameters(None).replace(b"null", b"[" * levels + b"1" + b"]" * levels)
        with pytest.raises(APIError, match="nested too deeply") as refusal:
            decode(body, FunctionObject)
        assert refusal.value.status == 400


def test_many_brackets_side_by_side_are_no_nesting() -> None:
    value = [[{"a": [n]}] for n in range(5000)]
    assert decode(parameters(value), FunctionObject).parameters == {"x": value}


@pytest.mark.parametrize("value", ["\0", ["a", {"b": "\0"}], {"\0": 1}, {"a": {"b\0": None}}])
def test_the_character_that_cannot_be_kept_is_found_anywhere(value: Any) -> None:
    with pytest.raises(APIError, match=r"U\+0000"):
        decode(parameters(value), FunctionObject)


def test_what_only_looks_like_it_is_no_fault() -> None:
    """An escaped backslash before `u0000`."""
    assert decode(parameters("\\u0000"), FunctionObject).parameters == {"x": "\\u0000"}


LONE = [
    *(rb'"\ud800"', rb'"\uDFFF"', rb'"\udc00\ud800"', rb'"\ud83d\ud83d\ude00"', rb'"\ud83d\n"', rb'"a\ud83dx"'),
    b'"\xed\xa0\x80"',
]
PLACES = [
    *(b'{"name": %b}', b'{"name": "f", %b: 1}', b'{"name": "f", "parameters": {"a": [{%b: 1}]}}'),
    *(b'{"name": 5, "description": %b}', b'{"name": "f", "unknown": %b}'),
    rb'{"description": "\ud83d\ude00 \\ud800", "name": %b}',
]


@pytest.mark.parametrize("lone", LONE)
@pytest.mark.parametrize("body", PLACES)
def test_half_of_a_surrogate_pair_gets_its_own_words(body: bytes, lone: bytes) -> None:
    """Wherever it stands, as an escape or as bytes, and whatever else is wrong."""
    with pytest.raises(APIError, match=r"(\\u[dD][89a-fA-F]..|0xeda080) is half of a surrogate pair") as refusal:
        decode(body % lone, FunctionObject)
    assert refusal.value.message.startswith("We could not parse the JSON body of your request: ")
    assert (refusal.value.status, refusal.value.param, refusal.value.code) == (400, None, None)


@pytest.mark.parametrize("text", [r"\ud83d\ude00", r"\\ud800", r"\\\ud83d\uDE00", r"\ue000\ud7ff"])
def test_what_only_looks_like_a_lone_surrogate_is_none(text: str) -> None:
    assert decode(b'{"name": "f", "description": "%b"}' % text.encode(), FunctionObject).description == json.loads(
        f'"{text}"'
    )
    with pytest.raises(APIError, match=r"^We could not parse") as refusal:
        decode(b'{"name": "f", "description": "%b" "' % text.encode(), FunctionObject)
    assert "surrogate" not in refusal.value.message


@pytest.mark.parametrize(
    "body", [b"{", b"\xff", b'{"name": "\xff"}', b'{"name": 5, "x": "\xff"}', b'{"name": "\\ud800"}']
)
def test_what_is_no_json_is_told(body: bytes) -> None:
    with pytest.raises(APIError, match=r"^We could not parse the JSON body of your request: ") as refusal:
        decode(body, FunctionObject)
    assert (refusal.value.status, refusal.value.param, refusal.value.code) == (400, None, None)
