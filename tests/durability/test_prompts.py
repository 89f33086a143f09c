"""What the model was sent can be looked at: to the letter, whatever happens to the worker that sent it."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Awaitable, Callable
from typing import Any

import asyncpg
import pytest

from assistd.llm.scripted import ScriptedModel
from tests.durability.api import Api, Refused, Run, eventually
from tests.durability.conftest import StartNode
from tests.durability.streams import Event

Settled = Callable[[Api, Run, str], Awaitable[list[Event]]]

pytestmark = [pytest.mark.long, pytest.mark.usefixtures("database_url")]

OURS = {"id", "object", "created_at", "thread_id", "run_id", "turn", "step_id", "shortened"}


async def prompts(api: Api, run: Run) -> list[Any]:
    listed = await api.get(f"{run.path}/prompts?order=asc")
    return list(listed["data"])


def as_sent(prompt: Any) -> Any:
    """The body of a request, without what is told of it."""
    assert set(prompt) >= OURS
    return {name: value for name, value in prompt.items() if name not in OURS}


async def test_every_turn_shows_what_the_model_received(start: StartNode, model: ScriptedModel) -> None:
    api = (await start()).api
    run = await api.begin("/preamble Let me see.", "/call look_up {}", "/rounds 2", temperature=0.5, instructions="Be.")
    for _ in range(2):
        await api.until(run, "requires_action")
        await api.submit(run)
    await api.until(run, "completed")
    listed = await prompts(api, run)
    assert [as_sent(prompt) for prompt in listed] == [request.body for request in model.received]
    assert [prompt["turn"] for prompt in listed] == [1, 2, 3]
    assert not any(prompt["shortened"] for prompt in listed)
    steps = [step["id"] for step in await api.steps(run)]
    assert [prompt["step_id"] for prompt in listed] == [steps[1], steps[3], steps[4]]
    assert listed[0]["temperature"] == 0.5
    assert [message["role"] for message in listed[2]["messages"]] == ["system", "user", *["assistant", "tool"] * 2]


async def test_a_run_that_waits_for_its_model_shows_it_already(start: StartNode, model: ScriptedModel) -> None:
    """Also on another node; and one that fails or is cancelled keeps it."""
    first, second = await asyncio.gather(start(), start())
    waiting = await first.api.begin("/pace 600000 0")
    refused = await first.api.begin("/fail 400 Too long.")
    (seen,) = await eventually(lambda: prompts(second.api, waiting), "the prompt of a run that goes on")
    assert seen["messages"][-1]["content"] == "/pace 600000 0"
    assert seen["step_id"] is None
    await first.api.cancel(waiting)
    await first.api.until(waiting, "cancelled")
    await first.api.until(refused, "failed")
    assert await prompts(first.api, waiting) == [seen]
    (failed,) = await prompts(second.api, refused)
    assert failed["messages"][-1]["content"] == "/fail 400 Too long."


async def test_a_worker_that_dies_leaves_what_it_sent(start: StartNode, settled: Settled, model: ScriptedModel) -> None:
    first, second = await asyncio.gather(start(), start())
    run = await first.api.begin("/call look_up {}", "/pace 0 200", "/tokens 30")
    await first.api.until(run, "requires_action")
    before = await prompts(second.api, run)
    await first.api.submit(run)

    async def second_turn() -> bool:
        return len(await prompts(second.api, run)) == 2

    await eventually(second_turn, "the second turn's prompt, while it goes on")
    first.kill()
    await settled(second.api, run, "completed")
    after = await prompts(second.api, run)
    assert after[:1] == before
    assert [prompt["turn"] for prompt in after] == [1, 2]
    steps = [step["id"] for step in await second.api.steps(run)]
    assert [prompt["step_id"] for prompt in after] == steps
    of_run = [request.body for request in model.received if len(request.body["messages"]) > 1]
    assert len(of_run) >= 2  # the second turn was done twice
    assert as_sent(after[1]) == of_run[0] == of_run[1]


async def test_a_try_that_failed_is_the_same_turn(start: StartNode, settled: Settled, model: ScriptedModel) -> None:
    api = (await start()).api
    run = await api.begin("/fail 503 x1 Overloaded.", "/cut 2 x1", "/tokens 5")
    await settled(api, run, "completed")
    (prompt,) = await prompts(api, run)
    (step,) = await api.steps(run)
    assert (prompt["turn"], prompt["step_id"]) == (1, step["id"])


async def test_pictures_are_told_by_their_size(start: StartNode, model: ScriptedModel, tmp_path: Any) -> None:
    routes = tmp_path / "routes.toml"
    routes.write_text(f'[[routes]]\nnames = ["*"]\nbase_url = "{model.base_url}"\nimages = true\n')
    api = (await start(models_file=routes)).api
    data = base64.b64encode(bytes(3000)).decode()
    parts = [
        {"type": "text", "text": "What is this?"},
        {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{data}"}},
    ]
    thread = await api.post("/threads", {"messages": [{"role": "user", "content": parts}]})
    made = await api.post(f"/threads/{thread['id']}/runs", {"assistant_id": await api.assistant()})
    run = Run(thread["id"], made["id"])
    await api.until(run, "completed")
    (received,) = model.received
    assert received.body["messages"][-1]["content"][1]["image_url"]["url"].endswith(data)
    (prompt,) = await prompts(api, run)
    assert prompt["shortened"]
    assert prompt["messages"][-1]["content"][1]["image_url"]["url"] == "[image/png, 3000 bytes]"


async def test_a_prompt_is_kept_up_to_the_size_that_is_set(start: StartNode) -> None:
    little, nothing = await asyncio.gather(start(kept_prompt_bytes=3000), start(kept_prompt_bytes=0))
    long = await little.api.begin("/say hello", "x" * 10_000)
    await little.api.until(long, "completed")
    (prompt,) = await prompts(little.api, long)
    assert prompt["shortened"]
    assert "characters are left out here" in prompt["messages"][-1]["content"]
    none = await nothing.api.begin("/say hello")
    await nothing.api.until(none, "completed")
    assert await prompts(nothing.api, none) == []


async def test_they_go_with_their_thread(start: StartNode, db: asyncpg.Connection) -> None:
    api = (await start()).api
    run = await api.begin("/say hello")
    await api.until(run, "completed")
    assert len(await prompts(api, run)) == 1
    await api.call("DELETE", f"/threads/{run.thread_id}")
    with pytest.raises(Refused, match="No thread found"):
        await prompts(api, run)
    assert await db.fetchval("SELECT count(*) FROM run_prompts") == 0
