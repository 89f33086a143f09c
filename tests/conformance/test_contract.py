"""Every operation answers as the published schema has it, and the judge of that is no pushover.

All other conformance tests are judged too, by the fixture `judged`: whatever
passes the wiretap, from whichever SDK.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.conformance.contract import EXTENSIONS, STREAM_RELAXATIONS, Contract, Relaxation, read_specification
from tests.conformance.shapes import LATER
from tests.conformance.sse import recorded
from tests.conformance.talk import PARIS, WEATHER, script
from tests.conformance.vector_store_walk import walk_vector_stores
from tests.conformance.wiretap import Exchange, Wiretap
from tests.support.http import Api
from tests.support.talk import until, user
from tests.support.waiting import eventually

ROOMS = (
    *("/assistants", "/threads", "/models", "/chat/completions", "/embeddings"),
    *("/files", "/uploads", "/vector_stores"),
)
# A model of a route cannot be deleted: this one has no other answer than a refusal.
REFUSED = {("DELETE", "/models/{model}")}
STREAMS = ("v2-text", "v2-file_search", "v2-code_interpreter", "v2-function-1-create_thread_and_run")


@pytest.fixture(scope="module")
def exchanges(wiretap: Wiretap) -> list[Exchange]:
    """One walk through every operation, with empty lists, streams and refusals on the way."""
    wiretap.take()
    walk_everything(Api(wiretap.url))
    return wiretap.take()


def test_every_operation_keeps_the_contract(exchanges: list[Exchange]) -> None:
    contract = Contract()
    assert [fault for exchange in exchanges for fault in contract.faults(exchange)] == []
    published = {
        (method.upper(), path)
        for path, methods in read_specification()["paths"].items()
        for method in methods
        if path.startswith(ROOMS) and method in ("get", "post", "delete")
    }
    assert contract.seen == (published - REFUSED) | set(EXTENSIONS)
    assert all(exchange.complete for exchange in exchanges)


@pytest.mark.parametrize("name", [*STREAMS, "v2-function-2-submit_tool_outputs"])
def test_the_recorded_streams_keep_the_contract(contract: Contract, name: str) -> None:
    assert [fault for event in recorded(name) for fault in contract.event_faults(event)] == []


def test_of_the_oldest_stream_only_later_keys_are_missing(contract: Contract) -> None:
    faults = {fault for event in recorded("v2-max_tokens-2024-04-29") for fault in contract.event_faults(event)}
    missing = {fault.split("'")[1] for fault in faults if fault.endswith("is a required property")}
    assert len(faults) == len([fault for fault in faults if fault.endswith("is a required property")])
    assert missing <= LATER


@pytest.mark.parametrize("relaxation", range(len(STREAM_RELAXATIONS)))
def test_no_relaxation_is_without_need(exchanges: list[Exchange], relaxation: int) -> None:
    relax: Relaxation = STREAM_RELAXATIONS[relaxation]
    strict = Contract(without=relax)
    ours = (fault for exchange in exchanges for fault in strict.faults(exchange))
    theirs = (fault for name in STREAMS for event in recorded(name) for fault in strict.event_faults(event))
    assert next(ours, None) or next(theirs, None)


# --- the judge judged

Spoil = Callable[[Exchange], None]


def _edited(edit: Callable[[Any], Any]) -> Spoil:
    def spoil(exchange: Exchange) -> None:
        body = json.loads(exchange.body)
        edit(body)
        exchange.body = json.dumps(body).encode()

    return spoil


def _replaced(old: bytes, new: bytes) -> Spoil:
    def spoil(exchange: Exchange) -> None:
        assert old in exchange.body
        exchange.body = exchange.body.replace(old, new)

    return spoil


def _header(name: str, value: str | None) -> Spoil:
    def spoil(exchange: Exchange) -> None:
        if value is None:
            del exchange.headers[name]
        else:
            exchange.headers[name] = value

    return spoil


RUN = ("GET", "/v1/threads/thread_*/runs/run_*")
RUNS = ("GET", "/v1/threads/thread_*/runs")
STREAM = ("POST", "/v1/threads/runs")
CHUNKS = ("POST", "/v1/chat/completions")
STEP = ("GET", "/v1/threads/thread_*/runs/run_*/steps/step_*")
DOWNLOAD = ("GET", "/v1/files/file-*/content")
FILES = ("GET", "/v1/files")


@pytest.mark.parametrize(
    ("where", "spoil"),
    [
        (RUN, _edited(lambda run: run.update(extra=1))),
        (RUN, _edited(lambda run: run.pop("incomplete_details"))),
        (RUN, _edited(lambda run: run.update(status="done"))),
        (RUN, _edited(lambda run: run.update(created_at="now"))),
        (RUN, _edited(lambda run: run.update(tools=None))),
        (RUN, _edited(lambda run: run.update(model=None))),
        (RUN, _edited(lambda run: run.update(usage={"prompt_tokens": 1}))),
        (RUN, _edited(lambda run: run["truncation_strategy"].update(type="middle"))),
        (RUN, _edited(lambda run: run["tools"].append({"type": "retrieval"}))),
        (RUN, _header("x-request-id", "req_1")),
        (RUN, _header("openai-version", None)),
        (RUN, _header("openai-project", None)),
        (RUN, _header("content-type", "text/html")),
        (RUN, _header("x-ratelimit-limit-requests", "1")),
        (STEP, _edited(lambda step: step.pop("expired_at"))),
        (STEP, _edited(lambda step: step["step_details"].update(type="message_creation"))),
        (DOWNLOAD, _replaced(b"png", b"")),
        (DOWNLOAD, _header("content-length", None)),
        (DOWNLOAD, _header("content-disposition", "inline")),
        (DOWNLOAD, _header("content-disposition", "attachment; filename=a.png")),
        (FILES, _header("content-type", "application/octet-stream")),
        (FILES, _edited(lambda page: page["data"][0].update(purpose="other"))),
        (RUNS, _edited(lambda page: page.update(first_id=None))),
        (RUNS, _edited(lambda page: page["data"].append(page["data"][0]))),
        (RUNS, _edited(lambda page: page.pop("has_more"))),
        (STREAM, _replaced(b"\nid: 0-1\n", b"\n")),
        (STREAM, _replaced(b"\nid: 0-2\n", b"\nid: 0-1\n")),
        (STREAM, _replaced(b"event: thread.run.queued\n", b"event: thread.run.waiting\n")),
        (STREAM, _replaced(b'"annotations":[]}}]}}', b'"annotations":[],"more":1}}]}}')),
        (STREAM, _replaced(b"event: done\ndata: [DONE]\n\n", b"")),
        (STREAM, _replaced(b"event: done\ndata: [DONE]\n\n", b"event: done\ndata: [DONE]\n\n" * 2)),
        (CHUNKS, _replaced(b"data: [DONE]\n\n", b"")),
        (CHUNKS, _replaced(b'"finish_reason":"stop"', b'"finish_reason":"end"')),
    ],
)
def test_the_judge_notices(exchanges: list[Exchange], contract: Contract, where: tuple[str, str], spoil: Spoil) -> None:
    exchange = copy.deepcopy(next(_found(exchanges, *where)))
    assert contract.faults(exchange) == []
    spoil(exchange)
    assert contract.faults(exchange) != []


def test_the_judge_notices_errors_out_of_shape(exchanges: list[Exchange], contract: Contract) -> None:
    refusal = next(exchange for exchange in exchanges if exchange.status >= 400)
    for body in ({"error": "no"}, {"message": "no"}, {"error": {"message": "no"}}, {"error": {}, "detail": {}}):
        refusal = copy.deepcopy(refusal)
        refusal.body = json.dumps(body).encode()
        assert contract.faults(refusal) != []


def test_the_judge_notices_details_out_of_place(exchanges: list[Exchange], contract: Contract) -> None:
    refusal = next(exchange for exchange in exchanges if b'"detail"' in exchange.body)
    assert contract.faults(refusal) == []
    other = copy.deepcopy(refusal)
    other.target = "/v1/assistants/asst_1"
    assert contract.faults(other) != []
    for detail in ({}, {"message": "no", "code": None}, None):
        other = copy.deepcopy(refusal)
        other.body = json.dumps(json.loads(refusal.body) | {"detail": detail}).encode()
        assert contract.faults(other) != []


def test_the_judge_notices_an_answer_that_is_no_http(contract: Contract) -> None:
    assert contract.faults(Exchange("GET", "/v1/assistants", {}, fault="bad chunk")) != []
    assert contract.faults(Exchange("GET", "/v1/assistants", {}, status=200, body=b"{}", complete=True)) != []


def _found(exchanges: list[Exchange], method: str, path: str) -> Iterator[Exchange]:
    """Answers of an operation, those with the most in them first."""
    parts = path.split("/")
    found = [
        exchange
        for exchange in exchanges
        if exchange.method == method
        and exchange.status == 200
        and len(exchange.path.split("/")) == len(parts)
        and all(
            got.startswith(want.rstrip("*")) if want.endswith("*") else got == want
            for got, want in zip(exchange.path.split("/"), parts, strict=True)
        )
    ]
    yield from sorted(found, key=lambda exchange: -len(exchange.body))


# --- the walk


def walk_everything(api: Api) -> None:
    """Call every operation at least once."""
    assert api.get("/models").ok
    assert api.get("/models/scripted").ok
    assert api.delete("/models/scripted").status == 403
    question = {"model": "any", "messages": [user("hello")]}
    for more in ({}, {"stream": True}, {"stream": True, "stream_options": {"include_usage": True}}):
        assert api.post("/chat/completions", question | more).status == 200
    for more in ({}, {"encoding_format": "base64"}):
        assert api.post("/embeddings", {"model": "any", "input": "hello", "dimensions": 4} | more).status == 200
    text = _walk_files(api)
    _walk_uploads(api)
    walk_vector_stores(api, text)
    assistant = _walk_assistants(api)
    thread = _walk_threads(api, text)
    _walk_a_search(api, text)
    _walk_runs(api, assistant, thread)
    assert api.delete(f"/assistants/{assistant}").ok
    assert api.delete(f"/threads/{thread}").ok
    for method, path in (("GET", f"/assistants/{assistant}"), ("GET", "/nothing"), ("PUT", "/threads")):
        assert api(method, path).status >= 400
    assert Api(f"http://{api.address[0]}:{api.address[1]}/v1", key=None).get("/models").status == 401


def _walk_files(api: Api) -> str:
    """Call every operation on files, and return the id of a text."""
    assert api.get("/files?purpose=fine-tune").ok["data"] == []
    text: str = api.upload(b"The sky is blue.", "sky.txt").ok["id"]
    picture = api.upload(b"\x89png", "sky.png", purpose="vision").ok["id"]
    other = api.upload(b"{}", "sky.jsonl", purpose="evals").ok["id"]
    assert api.get("/files?limit=1").ok["data"][0]["id"] == other
    assert api.get("/files?purpose=vision").ok["data"][0]["id"] == picture
    assert api.get(f"/files/{text}").ok
    assert api.get(f"/files/{picture}/content").status == 200
    assert api.get(f"/files/{text}/content").status == 400
    assert api.delete(f"/files/{other}").ok
    assert api.get(f"/files/{other}").status == 404
    assert api.upload(b"x", purpose="nothing").status == 400
    assert api.post("/files", {}).status == 400
    return text


def _walk_uploads(api: Api) -> None:
    new = {"filename": "a.txt", "purpose": "assistants", "bytes": 6, "mime_type": "text/plain"}
    first, second = (f"/uploads/{api.post('/uploads', new).ok['id']}" for _ in range(2))
    parts = [api.upload(part, path=f"{first}/parts", name="data").ok["id"] for part in (b"abc", b"def")]
    assert api.post(f"{first}/complete", {"part_ids": parts[:1]}).status == 400
    assert api.post(f"{first}/complete", {"part_ids": parts}).ok["file"]
    assert api.post(f"{first}/cancel").status == 400
    assert api.post(f"{second}/cancel").ok


def _walk_assistants(api: Api) -> str:
    assistant: str = api.post(
        "/assistants",
        {
            "model": "scripted",
            "name": "A",
            "description": "B",
            "instructions": "C",
            "tools": [WEATHER, {"type": "code_interpreter"}, {"type": "file_search", "file_search": {}}],
            "response_format": {"type": "json_schema", "json_schema": {"name": "x", "schema": {}}},
            "reasoning_effort": "low",
        },
    ).ok["id"]
    assert api.get("/assistants?limit=1").ok["data"][0]["id"] == assistant
    assert api.get(f"/assistants?order=asc&after={assistant}").ok["data"] == []
    assert api.get(f"/assistants/{assistant}").ok
    assert api.post(
        f"/assistants/{assistant}", {"tools": [WEATHER], "response_format": "auto", "metadata": {"a": "1"}}
    ).ok
    return assistant


def _walk_threads(api: Api, text: str) -> str:
    store = api.post("/vector_stores").ok["id"]
    picture = api.upload(b"\x89png", "a.png", purpose="vision").ok["id"]
    thread: str = api.post("/threads").ok["id"]
    assert api.get(f"/threads/{thread}").ok
    resources = {"code_interpreter": {"file_ids": [text]}, "file_search": {"vector_store_ids": [store]}}
    assert api.post(f"/threads/{thread}", {"metadata": {"a": "1"}, "tool_resources": resources}).ok
    assert api.get("/threads?limit=1").ok["data"][0]["id"] == thread
    assert thread in [each["id"] for each in api.get("/threads?metadata[a]=1&q=1").ok["data"]]
    assert api.get("/threads?metadata[a]=nothing").ok["data"] == []
    messages = f"/threads/{thread}/messages"
    for page in ("runs", "messages"):
        assert api.get(f"/threads/{thread}/{page}").ok["data"] == []
    parts = [
        {"type": "text", "text": "look"},
        {"type": "image_url", "image_url": {"url": "https://example.com/a.png"}},
        {"type": "image_file", "image_file": {"file_id": picture}},
    ]
    attachments = [{"file_id": text, "tools": [{"type": "file_search"}, {"type": "code_interpreter"}]}]
    made = api.post(messages, {"role": "user", "content": parts, "attachments": attachments}).ok
    assert api.get(f"{messages}/{made['id']}").ok
    assert api.post(f"{messages}/{made['id']}", {"metadata": {"a": "1"}}).ok
    assert len(api.get(messages).ok["data"]) == 1
    assert api.delete(f"{messages}/{made['id']}").ok
    return thread


def _walk_a_search(api: Api, text: str) -> None:
    """A run that searches and cites, whole and as a stream, its steps with and without the words that were found."""
    new = {"model": "scripted", "tools": [{"type": "file_search"}]}
    resources = {"file_search": {"vector_stores": [{"file_ids": [text]}]}}
    assistant = api.post("/assistants", new | {"tool_resources": resources}).ok
    (store,) = assistant["tool_resources"]["file_search"]["vector_store_ids"]
    eventually(lambda: api.get(f"/vector_stores/{store}").ok["status"] == "completed")
    asked = user(script('/call file_search {"query": "sky"}', "/say It is blue【0:0†sky.txt】."))
    attached = asked | {"attachments": [{"file_id": text, "tools": [{"type": "file_search"}]}]}
    content = "include[]=step_details.tool_calls[*].file_search.results[*].content"
    body = {"assistant_id": assistant["id"], "thread": {"messages": [attached]}}
    run = until(api, api.post("/threads/runs", body).ok, "completed")
    thread = f"/threads/{run['thread_id']}"
    steps = f"{thread}/runs/{run['id']}/steps"
    (step,) = (step for step in api.get(f"{steps}?{content}").ok["data"] if step["type"] == "tool_calls")
    (call,) = step["step_details"]["tool_calls"]
    assert [part["text"] for part in call["file_search"]["results"][0]["content"]] == ["The sky is blue."]
    assert api.get(f"{steps}/{step['id']}").ok
    (part,) = api.get(f"{thread}/messages").ok["data"][0]["content"]
    assert part["text"]["annotations"]
    body = {"assistant_id": assistant["id"], "stream": True, "additional_messages": [asked]}
    assert b"thread.run.completed" in api.post(f"{thread}/runs?{content}", body).body
    assert api.delete(f"/vector_stores/{store}").ok


def _walk_runs(api: Api, assistant: str, thread: str) -> None:
    runs = f"/threads/{thread}/runs"

    def answer(run: Any, **options: Any) -> Any:
        calls = run["required_action"]["submit_tool_outputs"]["tool_calls"]
        outputs = [{"tool_call_id": call["id"], "output": "warm"} for call in calls]
        return api.post(f"{runs}/{run['id']}/submit_tool_outputs", {"tool_outputs": outputs, **options})

    assert api.post(f"/threads/{thread}/messages", user(script("/preamble Hm.", PARIS))).ok
    bare = api.post("/assistants", {"model": "scripted"}).ok["id"]
    run = until(api, api.post(runs, {"assistant_id": bare, "max_completion_tokens": 16}).ok, "completed")
    run = until(api, api.post(runs, {"assistant_id": assistant, "max_prompt_tokens": 200}).ok, "requires_action")
    assert answer(run).ok
    until(api, run, "completed")
    assert api.post(f"{runs}/{run['id']}", {"metadata": {"a": "1"}}).ok
    steps = api.get(f"{runs}/{run['id']}/steps").ok["data"]
    assert {step["type"] for step in steps} == {"message_creation", "tool_calls"}
    for step in steps:
        assert api.get(f"{runs}/{run['id']}/steps/{step['id']}").ok
    assert api.get(f"{runs}/{run['id']}/steps?after={steps[-1]['id']}").ok["data"] == []
    assert len(api.get(runs).ok["data"]) == 2
    assert api.get(f"{runs}/{run['id']}/events").status == 200
    assert [prompt["turn"] for prompt in api.get(f"{runs}/{run['id']}/prompts").ok["data"]] == [2, 1]
    assert api.get(f"{runs}/{run['id']}/prompts?order=asc&limit=1").ok["has_more"]

    calling = {"assistant_id": assistant, "additional_messages": [user(PARIS)]}
    run = until(api, api.post(runs, calling).ok, "requires_action")
    assert answer(run, stream=True).status == 200
    run = until(api, api.post(runs, calling).ok, "requires_action")
    assert api.post(f"{runs}/{run['id']}/cancel").ok
    until(api, run, "cancelled")
    new = {"assistant_id": assistant, "thread": {"messages": [user("hello")]}}
    assert api.post("/threads/runs", new).ok
    for content in ("hello", PARIS, "/fail 400 no"):
        new["thread"]["messages"][0]["content"] = content
        assert api.post("/threads/runs", new | {"stream": True}).status == 200
