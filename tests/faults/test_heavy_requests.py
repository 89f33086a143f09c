"""Requests that would keep everybody waiting while they are looked at: refused at once, and nobody notices."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import asyncpg
import pytest

from tests.faults.conftest import Objects
from tests.support.databases import new_database
from tests.support.errors import Error, shape_of
from tests.support.http import Api
from tests.support.server import Server, serve

TOO_HEAVY = Error(413, "The request body has too many values to be decoded in one go. Send them in several requests.")
HELLO = {"role": "user", "content": "hello"}
MOST_MESSAGES = 100_000


@pytest.fixture(scope="module")
def wide_server(postgres: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server that takes bodies of the usual size."""
    folder = tmp_path_factory.mktemp("heavy")
    with new_database(postgres) as dsn, serve(folder, database_url=dsn, sandbox="off") as running:
        yield running


@pytest.fixture(scope="module")
def wide(wide_server: Server) -> Api:
    return Api(wide_server.url)


def repeated(item: bytes, count: int, before: bytes, after: bytes) -> bytes:
    return before + b",".join([item] * count) + after


def schema(inside: bytes) -> bytes:
    """An assistant whose function has this in its schema."""
    tool = b'{"type":"function","function":{"name":"f","parameters":{"x":' + inside + b"}}}"
    return b'{"model":"m","tools":[' + tool + b"]}"


COMPARISON = b'{"type":"eq","key":"a","value":1}'
# Made when they are sent: together they are half a gigabyte.
HEAVY: dict[str, tuple[str, Callable[[], bytes]]] = {
    "messages of a thread": (
        "/threads",
        lambda: repeated(b'{"role":"user","content":"a"}', 900_000, b'{"messages":[', b"]}"),
    ),
    "messages of which the last is wrong": (
        "/threads",
        lambda: repeated(b'{"role":"user","content":"a"}', 900_000, b'{"messages":[', b",5]}"),
    ),
    "parts of a message": (
        "/threads/thread_1/messages",
        lambda: repeated(b'{"type":"text","text":"a"}', 900_000, b'{"role":"user","content":[', b"]}"),
    ),
    "attachments": (
        "/threads/thread_1/messages",
        lambda: repeated(b'{"file_id":"file-1"}', 900_000, b'{"role":"user","content":"a","attachments":[', b"]}"),
    ),
    "objects in a schema": ("/assistants", lambda: schema(repeated(b'{"a":1}', 3_000_000, b"[", b"]"))),
    "lists in a schema": ("/assistants", lambda: schema(repeated(b"[]", 8_000_000, b"[", b"]"))),
    "numbers that are slow to read": (
        "/assistants",
        lambda: schema(repeated(b"1.79769313486e308", 1_000_000, b"[", b"]")),
    ),
    "keys of metadata": (
        "/threads",
        lambda: b'{"metadata":{' + b",".join(b'"%d":""' % n for n in range(2_000_000)) + b"}}",
    ),
    "escapes": ("/threads", lambda: b'{"metadata":{"a":"' + b"\\n" * 15_000_000 + b'"}}'),
    "messages of a completion": (
        "/chat/completions",
        lambda: repeated(b"{}", 8_000_000, b'{"model":"m","messages":[', b"]}"),
    ),
    "inputs to be embedded": ("/embeddings", lambda: repeated(b"[1]", 6_000_000, b'{"model":"m","input":[', b"]}")),
    "comparisons of a filter": (
        "/vector_stores/vs_1/search",
        lambda: repeated(COMPARISON, 900_000, b'{"query":"a","filters":{"type":"and","filters":[', b"]}}"),
    ),
    "files of a batch": (
        "/vector_stores/vs_1/file_batches",
        lambda: repeated(b'"file-1"', 2_000_000, b'{"file_ids":[', b"]}"),
    ),
    "outputs of tools": (
        "/threads/thread_1/runs/run_1/submit_tool_outputs",
        lambda: repeated(b'{"tool_call_id":"a","output":"b"}', 900_000, b'{"tool_outputs":[', b"]}"),
    ),
    "parts of an upload": (
        "/uploads/upload_1/complete",
        lambda: repeated(b'"part_1"', 2_000_000, b'{"part_ids":[', b"]}"),
    ),
}


@pytest.mark.parametrize("kind", HEAVY)
def test_too_much_to_be_looked_at_is_refused(wide: Api, wide_server: Server, kind: str) -> None:
    """And it is the request's fault, not the database's."""
    path, made = HEAVY[kind]
    body = made()
    assert len(body) < 32 * 1024 * 1024
    TOO_HEAVY.check(wide.post(path, body))
    assert wide.get("/threads?limit=1").status == 200
    assert "out of reach" not in wide_server.log
    assert "Traceback" not in wide_server.log


def test_a_large_request_of_what_people_send_is_taken(wide: Api) -> None:
    """Pictures, long texts, and as many files as a batch may have."""
    picture = {"type": "image_url", "image_url": {"url": "data:image/png;base64," + "iVBORw0K" * 1_000_000}}
    text = {"type": "text", "text": 'She said: "Привет, [мир]!"\n' * 9_000}
    made = wide.post("/threads", {"messages": [{"role": "user", "content": [picture, text, text]}] * 2}).ok
    (message, _) = wide.get(f"/threads/{made['id']}/messages").ok["data"]
    assert message["content"][1]["text"]["value"] == text["text"]
    attributes = {f"key{n}": "value" for n in range(16)}
    files = [{"file_id": f"file-{n}", "attributes": attributes} for n in range(2000)]
    store = wide.post("/vector_stores").ok["id"]
    refused = shape_of(wide.post(f"/vector_stores/{store}/file_batches", {"files": files}))
    assert refused["message"] is not None
    assert refused["message"].startswith("The following files were not found")


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/threads", {"x" * 900_000: 1}),
        ("/threads", {"messages": [{"role": "r" * 900_000, "content": "x"}]}),
        ("/threads/thread_1/runs", {"assistant_id": "x" * 900_000}),
        ("/threads/runs", {"assistant_id": "asst_" + "x" * 900_000}),
        ("/vector_stores", {"file_ids": ["x" * 900_000]}),
        ("/uploads", {"filename": "a", "purpose": "\n" * 400_000, "bytes": 1, "mime_type": "a"}),
    ],
)
def test_a_refusal_does_not_say_all_that_was_sent(api: Api, path: str, body: Any) -> None:
    answer = api.post(path, body)
    shape_of(answer)
    assert 400 <= answer.status < 500
    assert len(answer.json["error"]["message"]) < 21_000
    assert len(answer.json["error"]["param"] or "") < 21_000


@pytest.mark.parametrize("version", ["v1", "v2"])
def test_tools_and_formats_are_of_a_size_that_can_be_shown_again(wide: Api, version: str) -> None:
    """With every assistant and run that has them, up to a hundred times in a list."""
    beta = {"OpenAI-Beta": f"assistants={version}"}
    made = wide.post("/assistants", {"model": "m"}, headers=beta).ok["id"]
    thread = wide.post("/threads", {"messages": [HELLO]}, headers=beta).ok["id"]
    schema = {"type": "object", "properties": {"a": {"type": "string", "description": "x" * 600_000}}}
    function = {"type": "function", "function": {"name": "f", "parameters": schema}}
    response_format = {"type": "json_schema", "json_schema": {"name": "s", "schema": schema}}
    for path, body in (
        ("/assistants", {"model": "m"}),
        (f"/assistants/{made}", {}),
        (f"/threads/{thread}/runs", {"assistant_id": made}),
    ):
        other = {"type": "function", "function": {"name": "g", "parameters": schema}}
        two = {**body, "tools": [function, other]}
        told = shape_of(wide.post(path, two, headers=beta))
        assert (told["param"], told["code"]) == ("tools", "invalid_value")
        assert (told["message"] or "").startswith("Invalid 'tools': too large. Expected at most 1048576 bytes of JSON")
        schema_of_two = {**schema, "description": "y" * 600_000}
        large = {**response_format, "json_schema": {"name": "s", "schema": schema_of_two}}
        if version == "v2":
            assert shape_of(wide.post(path, {**body, "response_format": large}))["param"] == "response_format"
        assert wide.post(path, {**body, "tools": [function]}, headers=beta).status == 200


def test_a_query_has_so_many_parameters_at_most(api: Api) -> None:
    assert api.get("/threads?" + "&".join(["a=1"] * 1000)).status == 200
    many = "&".join(["a=1"] * 1001)
    for path in ("/threads", "/assistants", "/files", "/threads/thread_1/messages"):
        Error(400, "Invalid query: at most 1000 parameters are accepted.").check(api.get(f"{path}?{many}"))


# --- filters


def compare(key: str) -> dict[str, Any]:
    return {"type": "eq", "key": key, "value": 1}


@pytest.mark.parametrize(
    ("filters", "words"),
    [
        ({"type": "or", "filters": [compare("a")] * 101}, "at most 100 comparisons are supported"),
        (
            {"type": "and", "filters": [{"type": "or", "filters": [compare("a")] * 60}] * 2},
            "at most 100 comparisons are supported",
        ),
        ({"type": "and", "filters": [compare("a")] * 20_000}, "at most 100 comparisons are supported"),
        (
            {"type": "and", "filters": [{"type": "in", "key": "a", "value": list(range(600))}] * 2},
            "at most 1000 values are supported in its lists",
        ),
    ],
)
def test_a_filter_that_compares_too_much_is_refused_whatever_the_store_holds(
    api: Api, wide: Api, objects: Objects, filters: Any, words: str
) -> None:
    """Nothing, files that were read, or not even there."""
    refused = Error(400, f"Invalid 'filters': {words}.", "filters", "invalid_value")
    empty = api.post("/vector_stores").ok["id"]
    for store in (empty, objects.vector_store_id, "vs_none"):
        refused.check(api.post(f"/vector_stores/{store}/search", {"query": "sky", "filters": filters}))
    hundred_thousand = {"type": "or", "filters": [compare("a")] * 100_000}
    for store in (wide.post("/vector_stores").ok["id"], "vs_none"):
        answer = wide.post(f"/vector_stores/{store}/search", {"query": "sky", "filters": hundred_thousand})
        assert answer.status in (400, 413)


# --- the messages of a thread


@pytest.fixture
async def full(api: Api, database: str) -> str:
    """A thread that lacks one message of all that it may have."""
    thread = str(api.post("/threads").ok["id"])
    conn = await asyncpg.connect(database)
    try:
        await conn.execute(
            "INSERT INTO messages (id, thread_id, role, content, attachments, metadata) "
            "SELECT 'msg_full' || n, $1, 'user', '[]', '[]', '{}' FROM generate_series(1, $2::int) n",
            thread,
            MOST_MESSAGES - 1,
        )
    finally:
        await conn.close()
    return thread


async def test_a_thread_takes_so_many_messages_and_no_more(api: Api, full: str, assistant: str) -> None:
    refused = Error(400, f"Can't add messages to {full}: a thread has {MOST_MESSAGES} messages at most.")
    run = {"assistant_id": assistant, "additional_messages": [HELLO, HELLO]}
    refused.check(api.post(f"/threads/{full}/runs", run))
    assert api.get(f"/threads/{full}/runs").ok["data"] == []
    assert api.post(f"/threads/{full}/messages", HELLO).status == 200
    for version in ("v1", "v2"):
        beta = {"OpenAI-Beta": f"assistants={version}"}
        refused.check(api.post(f"/threads/{full}/messages", HELLO, headers=beta))
        refused.check(api.post(f"/threads/{full}/runs", {**run, "additional_messages": [HELLO]}, headers=beta))
    newest = api.get(f"/threads/{full}/messages?limit=1").ok["first_id"]
    assert api.delete(f"/threads/{full}/messages/{newest}").status == 200
    assert api.post(f"/threads/{full}/messages", HELLO).status == 200
    assert api.post(f"/threads/{api.post('/threads').ok['id']}/messages", HELLO).status == 200
