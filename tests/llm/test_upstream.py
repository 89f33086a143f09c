"""The client against real servers on loopback: the scripted model, and small ones that misbehave."""

from __future__ import annotations

import asyncio
import json
import re
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing, asynccontextmanager
from dataclasses import replace
from email.utils import formatdate
from typing import Any

import msgspec
import pytest
from aiohttp import web

from assistd.llm.constrained import ConstrainedModel
from assistd.llm.protocol import (
    CallArguments,
    CallStart,
    ChatRequest,
    Delta,
    Finish,
    ModelError,
    ModelRateLimited,
    ModelRefused,
    ModelUnavailable,
    Refusal,
    Text,
)
from assistd.llm.routing import Route, single_route
from assistd.llm.scripted import ScriptedModel, scripted_model
from assistd.llm.upstream import Timeouts, Upstream, UpstreamModel, open_upstream

KEY = "sk-very-secret-key"
HELLO: list[dict[str, Any]] = [{"role": "user", "content": "hello"}]
EVENTS = {"Content-Type": "text/event-stream"}
HELLO_CHUNK = b'data: {"choices":[{"delta":{"content":"hello"}}]}\n\n'
STOP_CHUNK = b'data: {"choices":[{"delta":{},"finish_reason":"stop"}]}\n\n'
WEATHER = {
    "type": "function",
    "function": {"name": "get_weather", "parameters": {"type": "object", "properties": {"city": {"type": "string"}}}},
}


@pytest.fixture
async def upstream() -> AsyncIterator[Upstream]:
    async with open_upstream() as opened:
        yield opened


@pytest.fixture
async def scripted() -> AsyncIterator[ScriptedModel]:
    async with scripted_model() as running:
        yield running


@asynccontextmanager
async def server(handler: Callable[[web.Request], Awaitable[web.StreamResponse]]) -> AsyncIterator[str]:
    """An HTTP server with one answer to everything; gives its base URL."""
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", handler)
    runner = web.AppRunner(app, access_log=None, handler_cancellation=True, shutdown_timeout=0)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        yield f"http://127.0.0.1:{runner.addresses[0][1]}/v1"
    finally:
        await runner.cleanup()


@asynccontextmanager
async def wire(answer: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]) -> AsyncIterator[str]:
    """A server that reads each request's head and body, and then writes whatever bytes `answer` likes."""

    writers: list[asyncio.StreamWriter] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writers.append(writer)
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                length = re.search(rb"(?i)content-length: (\d+)", head)
                await reader.readexactly(int(length.group(1)) if length else 0)
                await answer(reader, writer)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    async with listening(serve, writers) as base_url:
        yield base_url


@asynccontextmanager
async def listening(
    serve: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]], writers: list[asyncio.StreamWriter]
) -> AsyncIterator[str]:
    """A TCP server that closes what `serve` put into `writers` at the end, kept connections included."""
    running = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{running.sockets[0].getsockname()[1]}/v1"
    finally:
        running.close()
        for writer in writers:
            writer.close()
        await running.wait_closed()


def saying(*lines: str) -> ChatRequest:
    return ChatRequest("m", [{"role": "user", "content": "\n".join(lines)}])


async def ask(model: UpstreamModel, request: ChatRequest) -> list[Delta]:
    return [delta async for batch in model.stream(request) for delta in batch]


def text_of(deltas: list[Delta]) -> str:
    return "".join(delta.value for delta in deltas if isinstance(delta, Text))


async def failure(model: UpstreamModel, request: ChatRequest | None = None) -> ModelError:
    with pytest.raises(ModelError) as raised:
        await ask(model, request or ChatRequest("m", HELLO))
    return raised.value


# What a completion gives


async def test_text_streams_with_usage(upstream: Upstream, scripted: ScriptedModel) -> None:
    deltas = await ask(upstream.model(single_route(scripted.base_url), "m"), saying("one two three"))
    assert [delta.value for delta in deltas if isinstance(delta, Text)] == ["echo: ", "one ", "two ", "three"]
    finish = deltas[-1]
    assert isinstance(finish, Finish)
    assert finish.reason == "stop"
    assert finish.usage is not None
    assert (finish.usage.prompt_tokens, finish.usage.completion_tokens) == (3, 4)


@pytest.mark.parametrize("constrained", [False, True])
async def test_what_is_sent_is_told_to_the_letter(
    upstream: Upstream, scripted: ScriptedModel, constrained: bool
) -> None:
    """Before an answer comes, and with all that was made of the request on its way."""
    inner = upstream.model(single_route(scripted.base_url), "m")
    model = ConstrainedModel(inner) if constrained else inner
    told: list[bytes] = []
    request = msgspec.structs.replace(saying("/fail 500 Oops."), tools=[WEATHER])
    stream = model.stream(request, told.append)
    with pytest.raises(ModelUnavailable):
        await anext(stream)
    (received,) = scripted.received
    assert [json.loads(body) for body in told] == [received.body]
    assert ("response_format" in received.body) is constrained


async def test_batches_hold_what_arrived_together(upstream: Upstream) -> None:
    async def answer(request: web.Request) -> web.StreamResponse:
        return web.Response(body=HELLO_CHUNK * 50 + STOP_CHUNK + b"data: [DONE]\n\n", headers=EVENTS)

    async with server(answer) as base_url:
        model = upstream.model(single_route(base_url), "m")
        batches = [batch async for batch in model.stream(ChatRequest("m", HELLO))]
    assert sum(len(batch) for batch in batches) == 51
    assert len(batches) < 20
    assert all(batches)


async def test_parallel_calls_stream_in_pieces(upstream: Upstream, scripted: ScriptedModel) -> None:
    request = saying(
        '/call get_weather {"city": "Oslo"}', '/call get_weather {"city": "Rome"}', "/preamble Let me look."
    )
    deltas = await ask(
        upstream.model(single_route(scripted.base_url), "m"), msgspec.structs.replace(request, tools=[WEATHER])
    )
    assert text_of(deltas) == "Let me look."
    starts = [delta for delta in deltas if isinstance(delta, CallStart)]
    assert [(start.index, start.name) for start in starts] == [(0, "get_weather"), (1, "get_weather")]
    pieces = [delta for delta in deltas if isinstance(delta, CallArguments)]
    assert len(pieces) > 4
    assert "".join(piece.value for piece in pieces if piece.index == 1) == '{"city": "Rome"}'
    assert isinstance(deltas[-1], Finish)
    assert deltas[-1].reason == "tool_calls"


async def test_refusals_come_and_thoughts_do_not(upstream: Upstream, scripted: ScriptedModel) -> None:
    deltas = await ask(
        upstream.model(single_route(scripted.base_url), "m"), saying("/think Should I?", "/refusal No, sorry.")
    )
    assert "".join(delta.value for delta in deltas if isinstance(delta, Refusal)) == "No, sorry."
    assert text_of(deltas) == ""


async def test_a_server_that_does_not_stream_is_accepted(upstream: Upstream) -> None:
    async def answer(request: web.Request) -> web.StreamResponse:
        message = {"role": "assistant", "content": "whole"}
        return web.json_response({"choices": [{"message": message, "finish_reason": "length"}]})

    async with server(answer) as base_url:
        deltas = await ask(upstream.model(single_route(base_url), "m"), ChatRequest("m", HELLO))
    assert deltas == [Text("whole"), Finish("length", None)]


async def test_a_last_event_without_empty_line_counts(upstream: Upstream) -> None:
    async def answer(request: web.Request) -> web.StreamResponse:
        return web.Response(body=HELLO_CHUNK + STOP_CHUNK.strip(), headers=EVENTS)

    async with server(answer) as base_url:
        deltas = await ask(upstream.model(single_route(base_url), "m"), ChatRequest("m", HELLO))
    assert deltas == [Text("hello"), Finish("stop", None)]


async def test_one_connection_serves_many_completions(upstream: Upstream, scripted: ScriptedModel) -> None:
    async with count_connections(scripted) as (base_url, connections):
        model = upstream.model(single_route(base_url), "m")
        for _ in range(5):
            await ask(model, saying("/tokens 50"))
    assert len(connections) == 1


async def test_a_connection_whose_end_comes_late_is_kept(upstream: Upstream) -> None:
    connections = set()
    read = asyncio.Event()

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connections.add(writer)
        body = HELLO_CHUNK + STOP_CHUNK + b"data: [DONE]\n\n"
        head = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
        writer.write(head + b"%x\r\n%s\r\n" % (len(body), body))
        await read.wait()
        read.clear()
        writer.write(b"0\r\n\r\n")

    async with wire(answer) as base_url:
        model = upstream.model(single_route(base_url), "m")
        for _ in range(5):
            async for _ in model.stream(ChatRequest("m", HELLO)):
                read.set()
    assert len(connections) < 5  # one, where nothing keeps this machine from answering within the time allowed


@asynccontextmanager
async def count_connections(scripted: ScriptedModel) -> AsyncIterator[tuple[str, list[asyncio.StreamWriter]]]:
    """A TCP relay in front of the scripted model that notes every connection."""
    host, port = scripted.base_url.removeprefix("http://").removesuffix("/v1").split(":")
    connections: list[asyncio.StreamWriter] = []

    async def pump(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
        while data := await source.read(65536):
            target.write(data)
            await target.drain()
        target.close()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connections.append(writer)
        inner_reader, inner_writer = await asyncio.open_connection(host, int(port))
        await asyncio.gather(pump(reader, inner_writer), pump(inner_reader, writer), return_exceptions=True)
        inner_writer.close()

    async with listening(serve, connections) as base_url:
        yield base_url, connections


# What a completion asks


async def sent(upstream: Upstream, scripted: ScriptedModel, route: dict[str, Any], **fields: Any) -> dict[str, Any]:
    """The body that reaches the server for a request with these fields, behind a route with these abilities."""
    model = upstream.model(replace(single_route(scripted.base_url), **route), "asked-for")
    await ask(model, ChatRequest("asked-for", **{"messages": HELLO} | fields))
    return scripted.received[-1].body


async def test_a_plain_request_says_nothing_that_was_not_said(upstream: Upstream, scripted: ScriptedModel) -> None:
    assert await sent(upstream, scripted, {}) == {
        "model": "asked-for",
        "messages": HELLO,
        "stream": True,
        "stream_options": {"include_usage": True},
    }


async def test_every_field_is_sent_and_zero_is_a_value(upstream: Upstream, scripted: ScriptedModel) -> None:
    body = await sent(
        upstream,
        scripted,
        {"model": "llama", "max_tokens_field": "max_completion_tokens"},
        messages=[msgspec.Raw(b'{"role":"user","content":"raw"}')],
        tools=[msgspec.Raw(msgspec.json.encode(WEATHER))],
        tool_choice="auto",
        parallel_tool_calls=False,
        response_format={"type": "json_object"},
        temperature=0.0,
        top_p=0.0,
        max_completion_tokens=7,
        reasoning_effort="low",
    )
    assert body == {
        "model": "llama",
        "messages": [{"role": "user", "content": "raw"}],
        "stream": True,
        "stream_options": {"include_usage": True},
        "tools": [WEATHER],
        "tool_choice": "auto",
        "parallel_tool_calls": False,
        "response_format": {"type": "json_object"},
        "temperature": 0.0,
        "top_p": 0.0,
        "max_completion_tokens": 7,
        "reasoning_effort": "low",
    }


async def test_what_the_server_cannot_take_is_left_out(upstream: Upstream, scripted: ScriptedModel) -> None:
    body = await sent(
        upstream,
        scripted,
        {"usage": False, "reasoning_effort": False, "tools": "none"},
        tools=[WEATHER],
        tool_choice="required",
        parallel_tool_calls=True,
        reasoning_effort="low",
        max_completion_tokens=7,
        response_format={"type": "text"},
    )
    assert body == {"model": "asked-for", "messages": HELLO, "stream": True, "max_tokens": 7}


async def test_tool_choice_is_not_sent_without_tools(upstream: Upstream, scripted: ScriptedModel) -> None:
    body = await sent(upstream, scripted, {}, tool_choice="none", parallel_tool_calls=True)
    assert "tool_choice" not in body
    assert "parallel_tool_calls" not in body


async def test_images_become_notes_where_there_are_none(upstream: Upstream, scripted: ScriptedModel) -> None:
    image = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}
    seen = {"role": "user", "content": [{"type": "text", "text": "what is"}, image, {"type": "text", "text": "?"}]}
    parts = {"role": "user", "content": [{"type": "text", "text": "no image"}]}
    assert (await sent(upstream, scripted, {}, messages=[seen, parts]))["messages"] == [seen, parts]
    assert (await sent(upstream, scripted, {"images": False}, messages=[seen, parts]))["messages"] == [
        {"role": "user", "content": "what is\n[image]\n?"},
        parts,
    ]


SCHEMA = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}
SCHEMA_FORMAT = {"type": "json_schema", "json_schema": {"name": "n", "schema": SCHEMA}}


async def test_a_schema_is_told_where_it_cannot_be_enforced(upstream: Upstream, scripted: ScriptedModel) -> None:
    assert (await sent(upstream, scripted, {}, response_format=SCHEMA_FORMAT))["response_format"] == SCHEMA_FORMAT
    body = await sent(
        upstream,
        scripted,
        {"json_schema": False},
        response_format=SCHEMA_FORMAT,
        messages=[{"role": "system", "content": "Be brief."}, *HELLO],
    )
    assert body["response_format"] == {"type": "json_object"}
    assert [message["role"] for message in body["messages"]] == ["system", "user"]
    assert body["messages"][0]["content"].startswith("Be brief.\n\n")
    assert json.loads(body["messages"][0]["content"].rpartition("\n")[2]) == SCHEMA


async def test_a_history_with_calls_is_told_where_there_are_none(upstream: Upstream, scripted: ScriptedModel) -> None:
    call = {"id": "c1", "type": "function", "function": {"name": "get_weather", "arguments": '{"city":"Oslo"}'}}
    again = call | {"id": "c2"}
    history = [
        {"role": "user", "content": "weather?"},
        {"role": "assistant", "content": "Let me look.", "tool_calls": [call, again]},
        {"role": "tool", "tool_call_id": "c1", "content": "sunny"},
        {"role": "tool", "tool_call_id": "c2", "content": [{"type": "text", "text": "rainy"}]},
        {"role": "assistant", "content": "Mixed."},
        {"role": "user", "content": "thanks"},
    ]
    assert (await sent(upstream, scripted, {}, messages=history))["messages"] == history
    made = '{"tool": "get_weather", "arguments": {"city":"Oslo"}}'
    assert (await sent(upstream, scripted, {"tools": "none"}, messages=history))["messages"] == [
        history[0],
        {"role": "assistant", "content": f"Let me look.\n{made}\n{made}"},
        {"role": "user", "content": "Result of get_weather:\nsunny\n\nResult of get_weather:\nrainy"},
        history[4],
        history[5],
    ]


async def test_key_and_headers_are_sent(upstream: Upstream, scripted: ScriptedModel) -> None:
    await sent(upstream, scripted, {"key": KEY, "headers": {"X-Team": "blue"}})
    headers = scripted.received[-1].headers
    assert headers["Authorization"] == f"Bearer {KEY}"
    assert headers["X-Team"] == "blue"
    assert headers["Content-Type"] == "application/json"
    await sent(upstream, scripted, {"base_url": scripted.base_url.replace("//", "//user:pass@")})
    assert scripted.received[-1].headers["Authorization"] == "Basic dXNlcjpwYXNz"
    await sent(upstream, scripted, {})
    assert "Authorization" not in scripted.received[-1].headers


def test_a_model_knows_its_limits() -> None:
    route = Route(patterns=("*",), base_url="http://h/v1", model="gpt-4o", images=False)
    model = UpstreamModel(None, route, "x")  # type: ignore[arg-type]
    assert (model.context_length, model.images) == (128_000, False)


# What goes wrong


@pytest.mark.parametrize(
    ("status", "kind", "code"),
    [
        (301, ModelRefused, "server_error"),
        (400, ModelRefused, "invalid_prompt"),
        (401, ModelRefused, "server_error"),
        (402, ModelRefused, "rate_limit_exceeded"),
        (403, ModelRefused, "server_error"),
        (404, ModelRefused, "server_error"),
        (407, ModelRefused, "server_error"),
        (408, ModelUnavailable, None),
        (409, ModelUnavailable, None),
        (413, ModelRefused, "invalid_prompt"),
        (418, ModelRefused, "server_error"),
        (422, ModelRefused, "invalid_prompt"),
        (425, ModelUnavailable, None),
        (429, ModelRateLimited, None),
        (500, ModelUnavailable, None),
        (503, ModelUnavailable, None),
        (529, ModelUnavailable, None),
    ],
)
async def test_each_status_is_one_of_three_kinds(
    upstream: Upstream, status: int, kind: type[ModelError], code: str | None
) -> None:
    async def answer(request: web.Request) -> web.StreamResponse:
        return web.json_response({"error": {"message": "So it is.", "code": None}}, status=status)

    async with server(answer) as base_url:
        raised = await failure(upstream.model(single_route(base_url), "m"))
    assert type(raised) is kind
    assert str(raised).endswith("So it is.")
    assert ("not accept the API key of its route" in str(raised)) == (status in (401, 407))
    assert getattr(raised, "code", None) == code


async def test_a_redirect_is_not_followed_with_a_key(upstream: Upstream) -> None:
    async def answer(request: web.Request) -> web.StreamResponse:
        paths.append(request.path)
        return web.Response(status=307, headers={"Location": "/elsewhere"})

    paths: list[str] = []
    async with server(answer) as base_url:
        raised = await failure(upstream.model(single_route(base_url, KEY), "m"))
    assert isinstance(raised, ModelRefused)
    assert "status 307" in str(raised)
    assert paths == ["/v1/chat/completions"]


async def test_a_spent_quota_is_no_reason_to_wait(upstream: Upstream, scripted: ScriptedModel) -> None:
    model = upstream.model(single_route(scripted.base_url), "m")
    raised = await failure(model, saying("/fail 429 code=insufficient_quota You exceeded your current quota."))
    assert isinstance(raised, ModelRefused)
    assert (raised.code, str(raised)) == ("rate_limit_exceeded", "You exceeded your current quota.")


@pytest.mark.parametrize(
    ("headers", "least", "most"),
    [
        ({"Retry-After": "2"}, 2, 2),
        ({"Retry-After": "0.5"}, 0.5, 0.5),
        ({"Retry-After": "-1"}, 0, 0),
        ({"Retry-After": "5", "retry-after-ms": "250"}, 0.25, 0.25),
        ({"Retry-After": formatdate(time.time() + 3600, usegmt=True)}, 600, 3600),
        ({"Retry-After": formatdate(time.time() - 3600, usegmt=True)}, 0, 0),
    ],
)
async def test_how_long_to_wait(upstream: Upstream, headers: dict[str, str], least: float, most: float) -> None:
    for status in (429, 503):

        async def answer(request: web.Request, status: int = status) -> web.StreamResponse:
            return web.json_response({"error": {"message": "Wait."}}, status=status, headers=headers)

        async with server(answer) as base_url:
            raised = await failure(upstream.model(single_route(base_url), "m"))
        assert isinstance(raised, ModelUnavailable)
        assert raised.retry_after is not None
        assert least <= raised.retry_after <= most


@pytest.mark.parametrize("value", ["soon", "nan", "inf", ""])
async def test_no_word_on_how_long_to_wait(upstream: Upstream, value: str) -> None:
    async def answer(request: web.Request) -> web.StreamResponse:
        return web.json_response({}, status=429, headers={"Retry-After": value})

    async with server(answer) as base_url:
        raised = await failure(upstream.model(single_route(base_url), "m"))
    assert isinstance(raised, ModelRateLimited)
    assert raised.retry_after is None


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b'{"error":{"message":"Words."}}', "Words."),
        (b'{"error":"Words."}', "Words."),
        (b'{"object":"error","message":"Words.","code":400}', "Words."),
        (b'{"detail":"Words."}', "Words."),
        (b'{"detail":[{"loc":["body"],"msg":"Words."}]}', '[{"loc":["body"],"msg":"Words."}]'),
        (b'[{"error":{"message":"Words."}}]', "Words."),
        (b'{"error":{"message":"W\\u0000rds."}}', "W\ufffdrds."),
        (b'{"error":{"message":"' + b"x" * 5000 + b'"}}', "x" * 1000 + "..."),
        (b'{"error":{"message":"Bad key sk-very-secret-key, sorry."}}', "Bad key ***, sorry."),
        (b"<html>Bad</html>", "The model server HOST answered with status 400."),
        (b"", "The model server HOST answered with status 400."),
        (b"\xff", "The model server HOST answered with status 400."),
        (b'{"error":{"message":null}}', "The model server HOST answered with status 400."),
        (b'{"error":{}}', "The model server HOST answered with status 400."),
        (b"[" * 60_000, "The model server HOST answered with status 400."),
    ],
)
async def test_the_servers_own_words_where_it_has_some(upstream: Upstream, body: bytes, words: str) -> None:
    async def answer(request: web.Request) -> web.StreamResponse:
        return web.Response(body=body, status=400)

    async with server(answer) as base_url:
        route = single_route(base_url.replace("//", "//user:password@"), KEY)
        raised = await failure(upstream.model(route, "m"))
    assert str(raised) == words.replace("HOST", route.host)
    assert "password" not in str(raised)
    assert KEY not in str(raised)


async def test_nobody_listens(upstream: Upstream) -> None:
    async with scripted_model() as gone:
        base_url = gone.base_url
    raised = await failure(upstream.model(single_route(base_url.replace("//", "//user:password@")), "m"))
    assert type(raised) is ModelUnavailable
    assert str(raised) == f"The model server {single_route(base_url).host} cannot be reached."


async def test_an_unknown_host(upstream: Upstream) -> None:
    raised = await failure(upstream.model(single_route("http://no-such-host.invalid/v1"), "m"))
    assert type(raised) is ModelUnavailable
    assert "no-such-host.invalid cannot be reached" in str(raised)


async def test_a_server_without_tls(upstream: Upstream, scripted: ScriptedModel) -> None:
    raised = await failure(upstream.model(single_route(scripted.base_url.replace("http:", "https:")), "m"))
    assert type(raised) is ModelUnavailable
    assert str(raised).startswith("No TLS connection can be made to the model server 127.0.0.1:")


async def test_silence_is_an_end(scripted: ScriptedModel) -> None:
    async with open_upstream(Timeouts(read=0.05)) as upstream:
        model = upstream.model(single_route(scripted.base_url), "m")
        for directions in ("/pace 60000", "/stall 2"):
            raised = await failure(model, saying(directions))
            assert type(raised) is ModelUnavailable
            assert "did not answer in time" in str(raised)
    await scripted.until_active(0)


async def test_a_cut_stream(upstream: Upstream, scripted: ScriptedModel) -> None:
    model = upstream.model(single_route(scripted.base_url), "m")
    request = saying("/tokens 10", "/cut 4 x1")
    told: list[Delta] = []

    async def read() -> None:
        async for batch in model.stream(request):
            told.extend(batch)

    with pytest.raises(ModelUnavailable, match="was lost"):
        await read()
    assert text_of(told) == "w0 w1 w2 w3 "
    assert text_of(await ask(model, request)) == "w0 w1 w2 w3 w4 w5 w6 w7 w8 w9"


async def test_a_proper_end_in_the_middle_is_a_cut_too(upstream: Upstream) -> None:
    async def answer(request: web.Request) -> web.StreamResponse:
        return web.Response(body=HELLO_CHUNK, headers=EVENTS)

    async with server(answer) as base_url:
        raised = await failure(upstream.model(single_route(base_url), "m"))
    assert type(raised) is ModelUnavailable
    assert "ended its answer early" in str(raised)


async def test_a_loss_after_the_finish_reason_loses_nothing(upstream: Upstream) -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        body = HELLO_CHUNK + STOP_CHUNK
        head = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
        writer.write(head + b"%x\r\n%s\r\n" % (len(body), body))
        await writer.drain()
        writer.close()

    async with wire(answer) as base_url:
        deltas = await ask(upstream.model(single_route(base_url), "m"), ChatRequest("m", HELLO))
    assert deltas == [Text("hello"), Finish("stop", None)]


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nrubbish",
        b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{",
        b"HTTP/1.1 500 Oh\r\nContent-Length: 100\r\n\r\n{",
        b"SSH-2.0-no\r\n\r\n",
        b"",
    ],
)
async def test_broken_http(upstream: Upstream, answer: bytes) -> None:
    async def write(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(answer)
        await writer.drain()
        writer.close()

    async with wire(write) as base_url:
        assert type(await failure(upstream.model(single_route(base_url), "m"))) is ModelUnavailable


async def test_an_event_that_never_ends(upstream: Upstream) -> None:
    async def answer(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers=EVENTS)
        await response.prepare(request)
        while True:
            await response.write(b"data: " + b"x" * 1_000_000)

    async with server(answer) as base_url:
        raised = await failure(upstream.model(single_route(base_url), "m"))
    assert type(raised) is ModelUnavailable
    assert "not a chat completion" in str(raised)


async def test_an_error_inside_the_stream(upstream: Upstream) -> None:
    async def answer(request: web.Request) -> web.StreamResponse:
        error = b'data: {"error":{"message":"Too long.","code":400}}\n\n'
        return web.Response(body=HELLO_CHUNK + error, headers=EVENTS)

    async with server(answer) as base_url:
        raised = await failure(upstream.model(single_route(base_url), "m"))
    assert isinstance(raised, ModelRefused)
    assert (raised.code, str(raised)) == ("invalid_prompt", "Too long.")


async def test_a_kept_connection_that_was_closed_is_replaced(upstream: Upstream) -> None:
    requests = 0

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal requests
        requests += 1
        if requests == 2:
            writer.close()  # took the request on a kept connection, and hung up
            return
        body = HELLO_CHUNK + STOP_CHUNK
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nContent-Length: %d\r\n\r\n" % len(body))
        writer.write(body)

    async with wire(answer) as base_url:
        model = upstream.model(single_route(base_url), "m")
        for _ in range(2):
            assert text_of(await ask(model, ChatRequest("m", HELLO))) == "hello"
    assert requests == 3


async def test_closing_the_stream_hangs_up(upstream: Upstream, scripted: ScriptedModel) -> None:
    model = upstream.model(single_route(scripted.base_url), "m")
    async with aclosing(model.stream(saying("/stall 1"))) as batches:
        assert await anext(batches) == [Text("echo: ")]
        assert scripted.active == 1
    await scripted.until_active(0)


async def test_cancelling_the_reader_hangs_up(upstream: Upstream, scripted: ScriptedModel) -> None:
    model = upstream.model(single_route(scripted.base_url), "m")
    for directions in ("/pace 60000", "/stall 1"):
        reading = asyncio.create_task(ask(model, saying(directions)))
        await scripted.until_active(1)
        reading.cancel()
        with pytest.raises(asyncio.CancelledError):
            await reading
        await scripted.until_active(0)


# Passing requests on


async def relayed(upstream: Upstream, route: Route, path: str, body: dict[str, Any]) -> tuple[int, str, bytes]:
    async with upstream.relay(route, "asked-for", path, body) as answer:
        return answer.status, answer.content_type, b"".join([chunk async for chunk in answer.chunks])


async def test_a_stream_is_passed_on_untouched(upstream: Upstream) -> None:
    async def answer(request: web.Request) -> web.StreamResponse:
        seen.append((request.path, request.headers["Authorization"], await request.json()))
        return web.Response(body=b": odd\r\n\r\n" + HELLO_CHUNK, headers={"Content-Type": "text/event-stream; x=y"})

    seen: list[Any] = []
    async with server(answer) as base_url:
        route = replace(single_route(base_url, KEY), model="llama")
        body = {"model": "asked-for", "stream": True, "odd": msgspec.Raw(b'[1,  {"a":0}]')}
        got = await relayed(upstream, route, "chat/completions", body)
    assert got == (200, "text/event-stream; x=y", b": odd\r\n\r\n" + HELLO_CHUNK)
    sent_body = {"model": "llama", "stream": True, "odd": [1, {"a": 0}]}
    assert seen == [("/v1/chat/completions", f"Bearer {KEY}", sent_body)]


async def test_embeddings_are_passed_on(upstream: Upstream, scripted: ScriptedModel) -> None:
    body = {"model": "asked-for", "input": ["a", "b"], "dimensions": 8}
    status, content_type, answer = await relayed(upstream, single_route(scripted.base_url), "embeddings", body)
    assert (status, content_type) == (200, "application/json")
    assert len(json.loads(answer)["data"]) == 2


async def test_errors_are_passed_on_without_secrets(upstream: Upstream) -> None:
    async def answer(request: web.Request) -> web.StreamResponse:
        return web.json_response({"error": request.headers["Authorization"]}, status=429, headers={"Retry-After": "7"})

    async with server(answer) as base_url:
        route = single_route(base_url, KEY)
        async with upstream.relay(route, "m", "chat/completions", {}) as passed:
            assert passed.status == 429
            assert passed.headers == {"Retry-After": "7"}
            assert json.loads(b"".join([chunk async for chunk in passed.chunks])) == {"error": "Bearer ***"}


async def test_a_relay_that_fails(upstream: Upstream, scripted: ScriptedModel) -> None:
    with pytest.raises(ModelUnavailable, match="cannot be reached"):
        await relayed(upstream, single_route("http://127.0.0.1:1/v1"), "embeddings", {})
    body = {"messages": [{"role": "user", "content": "/cut 1"}], "stream": True}
    with pytest.raises(ModelUnavailable, match="was lost"):
        await relayed(upstream, single_route(scripted.base_url), "chat/completions", body)


async def test_leaving_a_relay_hangs_up(upstream: Upstream, scripted: ScriptedModel) -> None:
    body = {"messages": [{"role": "user", "content": "/stall 1"}], "stream": True}
    async with upstream.relay(single_route(scripted.base_url), "m", "chat/completions", body) as passed:
        await anext(passed.chunks)
        assert scripted.active == 1
    await scripted.until_active(0)
