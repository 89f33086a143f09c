"""Bodies that are no JSON, that could not be stored, or that are too large: refused, and never a server's fault."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from typing import Any

import pytest

from tests.faults.conftest import MAX_BODY_BYTES, Objects
from tests.support.errors import Error, shape_of
from tests.support.http import FORM, Api, form
from tests.support.talk import path_of, until
from tests.support.waiting import eventually

POSTS = [
    "/assistants",
    "/assistants/asst_1",
    "/threads",
    "/threads/thread_1",
    "/threads/thread_1/messages",
    "/threads/thread_1/messages/msg_1",
    "/threads/thread_1/runs",
    "/threads/thread_1/runs/run_1",
    "/threads/thread_1/runs/run_1/submit_tool_outputs",
    "/threads/runs",
    "/chat/completions",
    "/embeddings",
    "/uploads",
    "/uploads/upload_1/complete",
    "/vector_stores",
    "/vector_stores/vs_1",
    "/vector_stores/vs_1/files",
    "/vector_stores/vs_1/files/file-1",
    "/vector_stores/vs_1/file_batches",
    "/vector_stores/vs_1/search",
]
FORMS = {"/files": "file", "/uploads/{upload}/parts": "data"}
NOT_JSON = [
    b" ", b"{", b'{"metadata"', b'{"metadata": ', b"{}{}", b"{} x", b"{,}", b"{'a': 1}", b'{"a": 1,}', b"// {}\n{}",
    b"undefined", b"NaN", b'{"temperature": NaN}', b'{"temperature": Infinity}', b'{"temperature": .5}',
    b'{"a": "\x00"}', b'{"a": "\n"}', b"\x00", b"\xff\xfe{\x00}\x00", b"\xef\xbb\xbf{}",
    b'{"a": "\xff"}', b'{"metadata": {"a": "\xed\xa0\x80"}}', b'{"a": "\xc0\x80"}',
    b'{"metadata": {"a": "\\ud800"}}', b'{"metadata": {"a": "\\udc00\\ud800"}}', b'{"metadata": {"\\ud800": "a"}}',
    b'{"a": "\\x00"}', b'{"a": "\\u00"}',
    b'{"metadata": 5, "name": "\xff"}', b'{"metadata": 5, "name": "\\ud800"}',  # another fault, found first
    b'{"temperature": 1e400}', b'{"temperature": ' + b"9" * 5000 + b"}", b'{"max_prompt_tokens": -1e999}',
]  # fmt: skip


def nested(levels: int, inside: bytes = b"1") -> bytes:
    """Objects in objects."""
    return b'{"a":' * levels + inside + b"}" * levels


def with_parameters(inside: bytes) -> bytes:
    """An assistant whose function takes these parameters, the one place where JSON of any shape is kept."""
    parameters = b'{"type":"object","properties":' + inside + b"}"
    tool = b'{"type":"function","function":{"name":"f","parameters":' + parameters + b"}}"
    return b'{"model":"scripted","instructions":"Speak.","tools":[' + tool + b"]}"


NUL = Error(400, "Invalid body: the character U+0000 cannot be stored.", code="invalid_value")
TOO_DEEP = Error(400, "We could not parse the JSON body of your request: it is nested too deeply.")
TOO_LARGE = Error(413, f"The request body is too large: at most {MAX_BODY_BYTES} bytes are accepted.")


@pytest.mark.parametrize("path", POSTS)
def test_what_is_no_json_is_refused(api: Api, path: str) -> None:
    for body in NOT_JSON:
        answer = api.post(path, body)
        error = shape_of(answer)
        assert answer.status == 400, (body, answer.body)
        assert error["message"] is not None
        assert error["message"].startswith("We could not parse the JSON body of your request: "), (body, error)
        assert (error["type"], error["param"], error["code"]) == ("invalid_request_error", None, None)


@pytest.mark.parametrize("path", POSTS)
def test_nesting_without_end_is_refused(api: Api, path: str) -> None:
    for body in (nested(5000), b"[" * 100_000, b"[" * 5000 + b"]" * 5000, b'{"metadata":' + nested(5000) + b"}"):
        answer = api.post(path, body)
        shape_of(answer)
        assert answer.status == 400, answer.body


@pytest.mark.parametrize("levels", [196, 330, 500, 900, 970, 975, 980, 985, 990, 1000, 3000])
def test_a_schema_nested_too_deeply_is_refused(api: Api, levels: int) -> None:
    """Well before the stack ends: what is taken here must come back out of every other part."""
    TOO_DEEP.check(api.post("/assistants", with_parameters(nested(levels))))
    answer = api.post("/assistants", with_parameters(nested(levels, b'"\\u0000"')))
    assert answer.status == 400


def test_a_schema_nested_as_deeply_as_is_allowed_can_be_run(api: Api) -> None:
    made = api.post("/assistants", with_parameters(nested(195))).ok
    assert api.get(f"/assistants/{made['id']}").ok == made
    run = api.post("/threads/runs", {"assistant_id": made["id"], "stream": False}).ok
    assert until(api, run, "completed")["tools"] == made["tools"]
    assert api.get(f"{path_of(run)}/events").body.endswith(b"event: done\ndata: [DONE]\n\n")
    copied = api.post("/assistants", {"model": "scripted", "tools": made["tools"]}).ok
    assert copied["tools"] == made["tools"]


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/assistants", {"model": "a\0b"}),
        ("/assistants", {"model": "m", "name": "\0"}),
        ("/assistants", {"model": "m", "metadata": {"a\0": "b"}}),
        ("/assistants", {"model": "m", "metadata": {"a": "b\0"}}),
        ("/assistants", {"model": "m", "tool_resources": {"code_interpreter": {"file_ids": ["\0"]}}}),
        ("/threads", {"messages": [{"role": "user", "content": "\0"}]}),
        ("/threads", {"messages": [{"role": "user", "content": [{"type": "text", "text": "a\0"}]}]}),
        ("/threads", {"metadata": {"\0": ""}}),
        ("/threads/thread_1/messages", {"role": "user", "content": "x", "attachments": [{"file_id": "\0"}]}),
        ("/threads/thread_1/runs", {"assistant_id": "asst_\0"}),
        ("/threads/runs", {"assistant_id": "asst_1", "instructions": "\0"}),
        ("/vector_stores", {"name": "\0"}),
        ("/vector_stores", {"file_ids": ["file-\0"]}),
        ("/vector_stores/vs_1", {"metadata": {"\0": ""}}),
        ("/vector_stores/vs_1/files", {"file_id": "file-\0"}),
        ("/vector_stores/vs_1/files/file-1", {"attributes": {"a\0": 1}}),
        ("/vector_stores/vs_1/file_batches", {"files": [{"file_id": "a", "attributes": {"a": "\0"}}]}),
        ("/vector_stores/vs_1/search", {"query": "\0"}),
        ("/vector_stores/vs_1/search", {"query": "a", "filters": {"type": "eq", "key": "\0", "value": 1}}),
        ("/uploads", {"filename": "\0", "purpose": "vision", "bytes": 1, "mime_type": "a"}),
        ("/uploads/upload_1/complete", {"part_ids": ["\0"]}),
        ("/threads/thread_1/runs/run_1/submit_tool_outputs", {"tool_outputs": [{"tool_call_id": "\0"}]}),
        ("/threads/thread_1/runs/run_1/submit_tool_outputs", {"tool_outputs": [{"tool_call_id": "a", "output": "\0"}]}),
    ],
)
def test_the_one_character_that_postgresql_cannot_keep_is_refused(api: Api, path: str, body: Any) -> None:
    NUL.check(api.post(path, body))


CHARACTERS = [
    "\\u0000",
    "a\\\\u0000",
    "\x01\x1f\x7f\x80",
    "\u2028\u2029",
    "\U0001f600\U0001f3f3\ufe0f\u200d\U0001f308",
    "\ufeff\ufffe\uffff",
    "\u202eabc",
    "e\u0301",
    "\U0010ffff",
    "\r\n\t",
]


@pytest.mark.parametrize("text", CHARACTERS)
def test_every_other_character_comes_back_as_it_was(api: Api, text: str) -> None:
    """In values and keys, through the database, an answer and the model."""
    made = api.post("/threads", {"messages": [{"role": "user", "content": text}], "metadata": {text: text}}).ok
    assert made["metadata"] == {text: text}
    (message,) = api.get(f"/threads/{made['id']}/messages").ok["data"]
    assert message["content"][0]["text"]["value"] == text
    assert api.get(f"/threads/{made['id']}").ok["metadata"] == {text: text}


@pytest.mark.parametrize("text", CHARACTERS)
def test_every_other_character_comes_back_from_vector_stores_too(api: Api, objects: Objects, text: str) -> None:
    """In names, keys, attributes, and as what is searched for."""
    made = api.post("/vector_stores", {"name": text, "metadata": {text: text}}).ok
    store = f"/vector_stores/{made['id']}"
    assert [api.get(store).ok[key] for key in ("name", "metadata")] == [text, {text: text}]
    attached = {"file_id": objects.file_id, "attributes": {text: text}}
    assert api.post(f"{store}/files", attached).ok["attributes"] == {text: text}
    file = f"{store}/files/{objects.file_id}"
    eventually(lambda: api.get(file).ok["status"] == "completed")
    assert api.get(file).ok["attributes"] == {text: text}
    query = {"query": f"sky {text}", "filters": {"type": "eq", "key": text, "value": text}}
    found = api.post(f"{store}/search", query).ok
    assert found["search_query"] == [query["query"]]
    assert [(hit["file_id"], hit["attributes"]) for hit in found["data"]] == [(objects.file_id, {text: text})]


@pytest.mark.parametrize("text", CHARACTERS)
def test_a_document_of_any_characters_is_read(api: Api, text: str) -> None:
    """And what it says comes back, but for white space around it."""
    content = f"The sky {text} is blue." + " It is seldom green." * 10
    file = api.upload(content.encode(), "a.txt").ok["id"]
    store = f"/vector_stores/{api.post('/vector_stores', {'file_ids': [file]}).ok['id']}"
    eventually(lambda: api.get(f"{store}/files/{file}").ok["status"] != "in_progress")
    assert api.get(f"{store}/files/{file}").ok["last_error"] is None
    (part,) = api.get(f"{store}/files/{file}/content").ok["data"]
    assert part["text"].startswith("The sky ")
    assert f" is blue.{' It is seldom green.' * 10}" in part["text"]
    (hit,) = api.post(f"{store}/search", {"query": text}).ok["data"]
    assert hit["content"] == [part]


def test_numbers_of_every_size_come_back_from_a_schema(api: Api) -> None:
    parameters = b'{"a":-0.0,"b":1e308,"c":9007199254740993,"d":18446744073709551615,"e":1.5e-300,"f":-1}'
    (tool,) = api.post("/assistants", with_parameters(parameters)).ok["tools"]
    assert tool["function"]["parameters"]["properties"] == {
        "a": 0.0, "b": 1e308, "c": 9007199254740993, "d": 18446744073709551615, "e": 1.5e-300, "f": -1,
    }  # fmt: skip


def test_the_order_and_the_doubles_of_keys(api: Api) -> None:
    """Keys keep their order; of a key that comes twice, the last holds, as nearly everywhere."""
    made = api.post("/threads", b'{"metadata":{"z":"1","a":"2","m":"3","z":"4"}}').ok
    assert list(made["metadata"].items()) == [("z", "4"), ("a", "2"), ("m", "3")]


# --- forms


@pytest.mark.parametrize("path", FORMS)
def test_what_is_no_form_is_refused(api: Api, objects: Objects, path: str) -> None:
    """Whatever its label says, and however it breaks off; and no file is made of half a form."""
    at = path.format(upload=objects.upload_id)
    whole = form({} if "upload" in path else {"purpose": "assistants"}, FORMS[path], "a.txt", b"content")
    files = api.get("/files").ok
    no_form = "Invalid content type. Expected a body of type 'multipart/form-data'."
    for label in ("application/json", "text/plain", "application/x-www-form-urlencoded", "", None):
        answer = api.post(at, whole, headers={"Content-Type": label})
        Error(400, no_form, code="invalid_content_type").check(answer)
    for body in (b"", b"{}", b"\x00", b"--", b"--b0undary", whole[: len(whole) // 2], whole[:-4], b"x" * 100_000):
        answer = api.post(at, body, headers=FORM)
        assert shape_of(answer)["type"] == "invalid_request_error"
        assert answer.status == 400, (body, answer.body)
    for boundary in ("", "; boundary=", "; boundary=other", "; boundary=" + "b" * 1000, '; boundary="'):
        answer = api.post(at, whole, headers={"Content-Type": f"multipart/form-data{boundary}"})
        shape_of(answer)
        assert answer.status == 400, (boundary, answer.body)
    assert api.get("/files").ok == files


# --- size


def too_much(size: int) -> bytes:
    head, tail = b'{"metadata":{"a":"', b'"}}'
    return head + b"x" * (size - len(head) - len(tail)) + tail


@pytest.mark.parametrize("path", POSTS)
def test_a_body_that_is_too_large_is_refused(api: Api, path: str) -> None:
    """With its length told beforehand, and in chunks: the client gets to hear it even after megabytes."""
    for size in (MAX_BODY_BYTES + 1, 3 * MAX_BODY_BYTES):
        TOO_LARGE.check(api.post(path, too_much(size)))
        TOO_LARGE.check(api.post(path, pieces(too_much(size))))


def pieces(body: bytes) -> Iterator[bytes]:
    for start in range(0, len(body), 50_000):
        yield body[start : start + 50_000]


def test_the_largest_body_is_taken(api: Api) -> None:
    """Its fault is told, not its size."""
    for body in (too_much(MAX_BODY_BYTES), pieces(too_much(MAX_BODY_BYTES))):
        answer = api.post("/threads", body)
        assert (answer.status, answer.json["error"]["code"]) == (400, "string_above_max_length")


def test_a_body_is_no_matter_where_none_is_expected(api: Api) -> None:
    """What DELETE and GET bring along is not looked at, nor what `cancel` does."""
    made = api.post("/threads").ok["id"]
    assert api("GET", f"/threads/{made}", b"{").status == 200
    assert api.post(f"/threads/{made}/runs/run_1/cancel", b"{").status == 404
    assert api("DELETE", f"/threads/{made}", b"{").status == 200


def sent_raw(api: Api, head: str, body: bytes = b"") -> bytes:
    """Send bytes as they are, and return what comes back before the connection ends."""
    lines = ["POST /v1/threads HTTP/1.1", "Host: localhost", "Authorization: Bearer sk-any"]
    lines += ["OpenAI-Beta: assistants=v2", head]
    with socket.create_connection(api.address, timeout=30) as connection:
        connection.sendall("\r\n".join([*lines, "", ""]).encode() + body)
        connection.shutdown(socket.SHUT_WR)
        received = b""
        while part := connection.recv(65536):
            received += part
    return received


def test_whoever_announces_far_too_much_is_refused_before_it_comes(api: Api) -> None:
    for head in ("Content-Length: 99999999999", f"Content-Length: {MAX_BODY_BYTES + 1}\r\nExpect: 100-continue"):
        received = sent_raw(api, f"{head}\r\nConnection: close")
        assert received.startswith(b"HTTP/1.1 413 ")
        assert TOO_LARGE.message.encode() in received
        assert b"100 Continue" not in received


@pytest.mark.parametrize(
    "head",
    [
        "Content-Length: abc",
        "Content-Length: -1",
        "Content-Length: 999999999999999999999999",
        "Content-Length: 2\r\nContent-Length: 3",
        "Transfer-Encoding: chunked\r\nContent-Length: 5",
        "Transfer-Encoding: nonsense",
        "Content-Length: 500",  # and then hangs up
        "Transfer-Encoding: chunked",
    ],
)
def test_broken_http_harms_nobody_else(api: Api, head: str) -> None:
    """What happens to the request is HTTP's matter; the next one is served, and nothing was made of half a body."""
    received = sent_raw(api, head, b'{"metadata":{}}')
    assert not received.startswith(b"HTTP/1.1 5")
    if head.startswith("Content-Length: 500"):
        assert not received.startswith(b"HTTP/1.1 200")
    assert api.get("/assistants?limit=1").status == 200
