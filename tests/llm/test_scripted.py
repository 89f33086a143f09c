"""The scripted model as its clients see it: over HTTP, streamed and not."""

from __future__ import annotations

import asyncio
import base64
import json
import struct
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import jsonschema
import pytest

from assistd.llm.schema_instance import minimal_instance
from assistd.llm.script import WORDS, ScriptError, read_script
from assistd.llm.scripted import ScriptedModel, scripted_model

WEATHER = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    },
}
TIME = {"type": "function", "function": {"name": "get_time"}}


@pytest.fixture
async def scripted() -> AsyncIterator[ScriptedModel]:
    async with scripted_model() as running:
        yield running


@pytest.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as opened:
        yield opened


class Client:
    """A minimal client: one method for each way to ask."""

    def __init__(self, scripted: ScriptedModel, session: aiohttp.ClientSession) -> None:
        self._base_url = scripted.base_url
        self._session = session

    async def post(self, path: str, body: Any) -> tuple[int, Any, Any]:
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        async with self._session.post(f"{self._base_url}/{path}", data=data) as response:
            return response.status, response.headers, await response.json()

    async def get(self, path: str) -> Any:
        async with self._session.get(f"{self._base_url}/{path}") as response:
            return await response.json()

    async def whole(self, *lines: str, **fields: Any) -> dict[str, Any]:
        """The one choice of an answer that is not streamed, with the answer's usage."""
        status, _, body = await self.post("chat/completions", request(*lines, **fields))
        assert status == 200
        choice: dict[str, Any] = body["choices"][0]
        return choice | {"usage": body.get("usage")}

    async def chunks(self, *lines: str, **fields: Any) -> list[dict[str, Any]]:
        """The chunks of a streamed answer, which must end in [DONE]."""
        body = request(*lines, **{"stream": True, "stream_options": {"include_usage": True}} | fields)
        async with self._session.post(f"{self._base_url}/chat/completions", json=body) as response:
            assert response.status == 200
            assert response.content_type == "text/event-stream"
            events = (await response.read()).decode().split("\n\n")
        assert events[-2:] == ["data: [DONE]", ""]
        return [json.loads(event.removeprefix("data: ")) for event in events[:-2]]


@pytest.fixture
def client(scripted: ScriptedModel, session: aiohttp.ClientSession) -> Client:
    return Client(scripted, session)


def request(*lines: str, **fields: Any) -> dict[str, Any]:
    return {"model": "any", "messages": [{"role": "user", "content": "\n".join(lines)}]} | fields


def deltas(chunks: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [choice["delta"] for chunk in chunks for choice in chunk["choices"]]


def text_of(chunks: list[dict[str, Any]]) -> str:
    return "".join(delta.get("content") or "" for delta in deltas(chunks))


async def test_it_echoes(client: Client) -> None:
    choice = await client.whole("hello", "there")
    assert choice["message"] == {"role": "assistant", "content": "echo: hello\nthere", "refusal": None}
    assert choice["finish_reason"] == "stop"
    parts = [{"type": "text", "text": "a"}, {"type": "image_url", "image_url": {"url": "x"}}]
    choice = await client.whole(messages=[{"role": "user", "content": parts}])
    assert choice["message"]["content"] == "echo: a"


async def test_it_streams_a_chunk_for_each_word(client: Client) -> None:
    chunks = await client.chunks("one two")
    assert deltas(chunks) == [
        {"role": "assistant", "content": ""},
        {"content": "echo: "},
        {"content": "one "},
        {"content": "two"},
        {},
    ]
    assert chunks[-2]["choices"][0]["finish_reason"] == "stop"
    assert chunks[-1]["choices"] == []
    assert chunks[-1]["usage"]["prompt_tokens"] == 2
    assert chunks[-1]["usage"]["completion_tokens"] == 3
    assert len({chunk["id"] for chunk in chunks}) == 1
    assert {chunk["model"] for chunk in chunks} == {"any"}


async def test_usage_is_given_where_it_was_asked_for(client: Client) -> None:
    assert all("usage" not in chunk for chunk in await client.chunks("a", stream_options=None))
    assert all("usage" not in chunk for chunk in await client.chunks("/no-usage"))
    assert (await client.whole("/no-usage"))["usage"] is None
    messages = [{"role": "system", "content": "be very brief"}, {"role": "user", "content": "/tokens 4"}]
    usage = (await client.whole(messages=messages))["usage"]
    assert (usage["prompt_tokens"], usage["completion_tokens"], usage["total_tokens"]) == (5, 4, 9)


async def test_say_and_tokens(client: Client) -> None:
    assert (await client.whole("/say  Good day. "))["message"]["content"] == "Good day."
    assert (await client.whole('/say "two\\nlines "'))["message"]["content"] == "two\nlines "
    assert (await client.whole("/tokens 3"))["message"]["content"] == "w0 w1 w2"
    assert text_of(await client.chunks("/tokens 3")) == "w0 w1 w2"
    assert (await client.whole("/tokens 0"))["message"]["content"] is None


async def test_a_pace_changes_nothing_but_time(client: Client) -> None:
    assert deltas(await client.chunks("/tokens 5", "/pace 1 1")) == deltas(await client.chunks("/tokens 5"))
    assert (await client.whole("/tokens 2", "/pace 1"))["message"]["content"] == "w0 w1"


async def test_a_paced_token_is_sent_before_the_next_is_due(
    scripted: ScriptedModel, session: aiohttp.ClientSession
) -> None:
    body = request("/tokens 5", "/pace 0 60000", stream=True)
    async with session.post(f"{scripted.base_url}/chat/completions", json=body) as response:
        seen = b""
        while b'"w0 "' not in seen:
            seen += await response.content.readany()
        assert b'"w1 "' not in seen
    await scripted.until_active(0)


async def test_calls(client: Client) -> None:
    lines = ("/preamble Let me see.", '/call get_weather {"city": "Oslo"}', "/call get_time")
    choice = await client.whole(*lines, tools=[WEATHER, TIME])
    assert choice["finish_reason"] == "tool_calls"
    assert choice["message"]["content"] == "Let me see."
    first, second = choice["message"]["tool_calls"]
    assert first["function"] == {"name": "get_weather", "arguments": '{"city": "Oslo"}'}
    assert second["function"] == {"name": "get_time", "arguments": "{}"}
    assert first["id"] != second["id"]


async def test_calls_stream_in_pieces(client: Client) -> None:
    lines = ('/call get_weather {"city": "Oslo"}', "/call get_time")
    chunks = await client.chunks(*lines, tools=[WEATHER, TIME])
    parts = [part for delta in deltas(chunks) for part in delta.get("tool_calls", ())]
    starts = [part for part in parts if "id" in part]
    assert [(start["index"], start["function"]) for start in starts] == [
        (0, {"name": "get_weather", "arguments": ""}),
        (1, {"name": "get_time", "arguments": ""}),
    ]
    for index, arguments in enumerate(['{"city": "Oslo"}', "{}"]):
        pieces = [part["function"]["arguments"] for part in parts if part["index"] == index][1:]
        assert len(pieces) > 1
        assert "".join(pieces) == arguments
    assert chunks[-2]["choices"][0]["finish_reason"] == "tool_calls"


async def test_no_calls_where_none_can_be_made(client: Client) -> None:
    assert (await client.whole("hi", "/call get_time"))["message"]["content"] == "echo: hi"
    choice = await client.whole("hi", "/call get_time", tools=[TIME], tool_choice="none")
    assert choice["message"]["content"] == "echo: hi"


async def test_a_choice_that_insists_gets_a_call(client: Client) -> None:
    choice = await client.whole("hi", tools=[WEATHER, TIME], tool_choice="required")
    assert choice["message"]["tool_calls"][0]["function"] == {"name": "get_weather", "arguments": '{"city": ""}'}
    named = {"type": "function", "function": {"name": "get_time"}}
    choice = await client.whole("hi", tools=[WEATHER, TIME], tool_choice=named)
    assert choice["message"]["tool_calls"][0]["function"] == {"name": "get_time", "arguments": "{}"}
    assert (await client.whole("hi", tools=[WEATHER]))["finish_reason"] == "stop"


async def test_rounds_of_tools_and_then_their_results(client: Client) -> None:
    earlier = [{"role": "assistant", "tool_calls": [{}]}, {"role": "tool", "content": "old"}]
    messages = [{"role": "user", "content": "before"}, *earlier]
    messages.append({"role": "user", "content": "/call get_time\n/rounds 2"})
    for number in range(2):
        choice = await client.whole(messages=messages, tools=[TIME])
        assert choice["finish_reason"] == "tool_calls"
        messages.append(choice["message"])
        messages.append({"role": "tool", "tool_call_id": "x", "content": f"out {number}"})
    choice = await client.whole(messages=messages, tools=[TIME])
    assert choice["message"]["content"] == "RESULT: out 0 | out 1"
    messages[3] = {"role": "user", "content": "/call get_time\n/rounds 2\n/say done"}
    assert (await client.whole(messages=messages, tools=[TIME]))["message"]["content"] == "done"


async def test_rounds_of_different_calls(client: Client) -> None:
    code = {"type": "function", "function": {"name": "code_interpreter"}}
    text = '/code "a\\nb"\n/next\n/call get_time\n/code print("ü")\n/say done'
    messages: list[Any] = [{"role": "user", "content": text}]
    made = []
    while (choice := await client.whole(messages=messages, tools=[TIME, code]))["finish_reason"] == "tool_calls":
        messages += [choice["message"], {"role": "tool", "tool_call_id": "x", "content": "out"}]
        made.append(
            [(call["function"]["name"], call["function"]["arguments"]) for call in choice["message"]["tool_calls"]]
        )
    assert made == [
        [("code_interpreter", '{"code": "a\\nb"}')],
        [("get_time", "{}"), ("code_interpreter", '{"code": "print(\\"ü\\")"}')],
    ]
    assert choice["message"]["content"] == "done"


async def test_failures_are_counted_by_message(client: Client) -> None:
    body = request("a", "/fail 429 x2 retry-after=3 code=busy Too busy now.")
    for _ in range(2):
        status, headers, answer = await client.post("chat/completions", body)
        assert (status, headers["Retry-After"]) == (429, "3")
        assert answer["error"]["message"] == "Too busy now."
        assert answer["error"]["code"] == "busy"
    for _ in range(2):
        status, _, answer = await client.post("chat/completions", body)
        assert (status, answer["choices"][0]["message"]["content"]) == (200, "echo: a")
    other = request("b", "/fail 429 x2 retry-after=3 code=busy Too busy now.")
    assert (await client.post("chat/completions", other))[0] == 429


async def test_failures_without_a_count_stay(client: Client) -> None:
    for status in (400, 401, 500, 400):
        got, headers, answer = await client.post("chat/completions", request(f"/fail {status}", stream=True))
        assert got == status
        assert str(status) in answer["error"]["message"]
        assert "Retry-After" not in headers


@pytest.mark.parametrize("stream", [True, False])
async def test_cuts_are_counted_too(client: Client, stream: bool) -> None:
    lines = ("/tokens 5", "/cut 2 x1")
    with pytest.raises(aiohttp.ClientError):
        await (client.chunks(*lines) if stream else client.whole(*lines))
    assert text_of(await client.chunks(*lines)) == "w0 w1 w2 w3 w4"


async def test_a_stalled_stream_shows_as_active(scripted: ScriptedModel, session: aiohttp.ClientSession) -> None:
    for stream in (True, False):
        body = request("/stall 1", stream=stream)
        asking = asyncio.create_task(session.post(f"{scripted.base_url}/chat/completions", json=body))
        await scripted.until_active(1)
        if stream:
            (await asking).close()
        asking.cancel()
        await scripted.until_active(0)


@pytest.mark.parametrize("field", ["max_tokens", "max_completion_tokens"])
async def test_it_keeps_to_a_limit(client: Client, field: str) -> None:
    choice = await client.whole("/tokens 9", **{field: 4})
    assert (choice["message"]["content"], choice["finish_reason"]) == ("w0 w1 w2 w3 ", "length")
    assert choice["usage"]["completion_tokens"] == 4
    assert (await client.whole("/tokens 9", **{field: 9}))["finish_reason"] == "stop"
    lines = ('/call get_weather {"city": "Oslo"}', "/call get_time", "/preamble One two")
    choice = await client.whole(*lines, tools=[WEATHER, TIME], **{field: 3})
    assert choice["finish_reason"] == "length"
    (call,) = choice["message"]["tool_calls"]
    assert '{"city": "Oslo"}'.startswith(call["function"]["arguments"])


SCHEMA = {
    "type": "object",
    "properties": {
        "name": {"type": "string", "minLength": 2},
        "kind": {"enum": ["a", "b"]},
        "count": {"type": ["integer", "null"], "minimum": 3},
        "above": {"type": "number", "exclusiveMinimum": 1},
        "places": {"type": "array", "items": {"$ref": "#/$defs/Place"}, "minItems": 1},
        "either": {"anyOf": [{"type": "boolean"}, {"type": "null"}]},
        "both": {"allOf": [{"$ref": "#/$defs/Place"}, {"required": ["x"], "properties": {"x": {"const": 5}}}]},
        "nothing": {"type": "null"},
        "optional": {"type": "string"},
    },
    "required": ["name", "kind", "count", "above", "places", "either", "both", "nothing"],
    "$defs": {"Place": {"type": "object", "properties": {"lat": {"type": "number"}}, "required": ["lat"]}},
}


async def test_it_answers_in_the_format_that_was_asked_for(client: Client) -> None:
    choice = await client.whole("hi", response_format={"type": "json_object"})
    assert json.loads(choice["message"]["content"]) == {"echo": "hi"}
    response_format = {"type": "json_schema", "json_schema": {"name": "x", "schema": SCHEMA}}
    answer = json.loads((await client.whole("hi", response_format=response_format))["message"]["content"])
    jsonschema.Draft202012Validator(SCHEMA).validate(answer)
    assert "optional" not in answer
    choice = await client.whole('/say {"a": 1}', response_format=response_format)
    assert choice["message"]["content"] == '{"a": 1}'


def test_an_endless_schema_has_an_end() -> None:
    node = {"type": "object", "properties": {"next": {"$ref": "#"}}, "required": ["next"]}
    assert minimal_instance(node)["next"]["next"] is not None


async def test_refusals_and_thoughts(client: Client) -> None:
    message = (await client.whole("/refusal I will not.", "/think Hm."))["message"]
    assert message == {"role": "assistant", "content": None, "refusal": "I will not.", "reasoning_content": "Hm."}
    parts = deltas(await client.chunks("/refusal I will not.", "/think Hm."))
    assert {"reasoning_content": "Hm."} in parts
    assert "".join(part.get("refusal", "") for part in parts) == "I will not."


async def test_it_reports_what_it_was_sent(client: Client) -> None:
    body = request("/report", temperature=0, top_p=0.5, tools=[TIME], tool_choice="none", reasoning_effort="low")
    _, _, answer = await client.post("chat/completions", body)
    assert json.loads(answer["choices"][0]["message"]["content"]) == body


async def test_what_was_received_can_be_read(client: Client, scripted: ScriptedModel) -> None:
    await client.whole("hi")
    received = scripted.received[-1]
    assert received.path == "/v1/chat/completions"
    assert received.body == request("hi")
    assert "Content-Length" in received.headers


async def test_embeddings(client: Client) -> None:
    texts = ["the cat sat", "the cat sat down", "stock prices fell", ""]
    status, _, body = await client.post("embeddings", {"model": "m", "input": texts})
    assert status == 200
    assert body["usage"]["prompt_tokens"] == 10
    vectors = [entry["embedding"] for entry in body["data"]]
    assert [entry["index"] for entry in body["data"]] == [0, 1, 2, 3]
    assert {len(vector) for vector in vectors} == {1536}
    assert all(sum(value * value for value in vector) == pytest.approx(1) for vector in vectors)

    def alike(a: int, b: int) -> float:
        return float(sum(x * y for x, y in zip(vectors[a], vectors[b], strict=True)))

    assert alike(0, 1) > 0.8
    assert alike(0, 2) < 0.2
    again = (await client.post("embeddings", {"model": "m", "input": "the cat sat"}))[2]
    assert again["data"][0]["embedding"] == vectors[0]


async def test_embeddings_in_the_other_forms(client: Client) -> None:
    body = {"input": "a b", "dimensions": 16, "encoding_format": "base64"}
    (entry,) = (await client.post("embeddings", body))[2]["data"]
    packed = struct.unpack("<16f", base64.b64decode(entry["embedding"]))
    (plain,) = (await client.post("embeddings", {"input": "a b", "dimensions": 16}))[2]["data"]
    assert packed == pytest.approx(plain["embedding"])
    (numbers,) = (await client.post("embeddings", {"input": [1, 2], "dimensions": 16}))[2]["data"]
    (listed,) = (await client.post("embeddings", {"input": [[1, 2]], "dimensions": 16}))[2]["data"]
    assert numbers["embedding"] == listed["embedding"]


async def test_models(client: Client) -> None:
    assert [model["id"] for model in (await client.get("models"))["data"]] == ["scripted"]


@pytest.mark.parametrize("body", [b"{", b"[]", b"{}", b'{"messages":5}', b'{"messages":["a"]}'])
async def test_a_request_that_is_none(client: Client, body: bytes) -> None:
    assert (await client.post("chat/completions", body))[0] == 400
    assert (await client.post("embeddings", body))[0] == 400


@pytest.mark.parametrize(
    "line",
    [
        "/tokens",
        "/tokens many",
        "/pace x",
        "/call",
        "/call f {",
        "/rounds -1",
        "/fail 200",
        "/fail no",
        "/cut",
        "/stall",
    ],
)
async def test_a_direction_that_cannot_be_followed(client: Client, line: str) -> None:
    with pytest.raises(ScriptError):
        read_script(line)
    status, _, answer = await client.post("chat/completions", request(line))
    assert status == 400
    assert line.split()[0] in answer["error"]["message"]


def test_other_lines_are_the_message() -> None:
    script = read_script("/etc/hosts is a file\n/unknown 5\n /say no\n/say yes\r\nand more")
    assert script.message == "/etc/hosts is a file\n/unknown 5\n /say no\nand more"
    assert script.say == "yes"


async def test_it_runs_on_its_own() -> None:
    arguments = (sys.executable, "-m", "assistd.llm.scripted", "--port", "0")
    process = await asyncio.create_subprocess_exec(*arguments, stdout=asyncio.subprocess.PIPE)
    try:
        assert process.stdout is not None
        base_url = (await process.stdout.readline()).decode().split()[-1]
        async with aiohttp.ClientSession() as session, session.get(f"{base_url}/models") as response:
            assert response.status == 200
    finally:
        process.terminate()
        await process.wait()


def test_every_direction_is_in_the_manual() -> None:
    manual = Path(__file__).parents[2] / "docs" / "how-to" / "scripted-model.md"
    text = manual.read_text("utf-8")
    assert [word for word in WORDS if f"`/{word}" not in text] == []
