"""Models that fail: what passes is waited for inside the run, what does not ends it with the upstream's words."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from assistd.llm.scripted import ScriptedModel, scripted_model
from tests.durability.api import Api, Run
from tests.durability.conftest import StartNode
from tests.durability.streams import Event

Settled = Callable[[Api, Run, str], Awaitable[list[Event]]]


def count(events: list[Event], name: str) -> int:
    return sum(1 for event in events if event.name == name)


@pytest.fixture
def free_port() -> int:
    """A port on which nobody listens; connections to it are refused until the test listens itself."""
    with socket.socket() as held:
        held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        held.bind(("127.0.0.1", 0))
        return int(held.getsockname()[1])


async def test_what_passes_is_waited_for(
    start: StartNode, settled: Settled, model: ScriptedModel, free_port: int, tmp_path: Path
) -> None:
    routes = tmp_path / "routes.toml"
    routes.write_text(
        f'[[routes]]\nnames = ["late"]\nbase_url = "http://127.0.0.1:{free_port}/v1"\n'
        f'[[routes]]\nnames = ["*"]\nbase_url = "{model.base_url}"\n'
    )
    node = await start(models_file=routes)
    api = node.api
    limited, broken, cut, cut_calls, cut_twice, late = runs = await asyncio.gather(
        api.begin("/fail 429 x2 retry-after=0.2 Slow down.", "/say patience"),
        api.begin("/fail 500 x1 Oops.", "/say patience"),
        api.begin("/cut 3 x1", "/tokens 6"),
        api.begin("/cut 2 x1", "/preamble Wait.", '/call look_up {"a": "bcdefghijklmnopqrs"}'),
        api.begin("/cut 1 x2", "/call look_up {}", "/rounds 2"),
        api.begin("/say patience", model="late"),
    )
    await node.says("cannot be reached")
    async with scripted_model(port=free_port):
        await api.until(late)
    for run in (cut_calls, cut_twice):
        await api.until(run, "requires_action")
        await api.submit(run)
    await api.until(cut_twice, "requires_action")
    await api.submit(cut_twice)
    streams = {run: await settled(api, run, "completed") for run in runs}
    assert [await api.words(run) for run in runs] == [
        ["patience"],
        ["patience"],
        ["w0 w1 w2 w3 w4 w5"],
        ["Wait.", "RESULT: 42"],
        ["RESULT: 42 | 42"],
        ["patience"],
    ]
    for run in (limited, broken, late):
        assert count(streams[run], "thread.message.incomplete") == 0
    assert count(streams[cut], "thread.message.incomplete") == 1
    assert count(streams[cut], "thread.run.step.failed") == 1
    assert count(streams[cut_calls], "thread.run.step.failed") == 1
    assert count(streams[cut_twice], "thread.run.step.failed") == 2
    asked = [request.body["messages"][-1]["content"] for request in model.received]
    assert sum(1 for content in asked if content.startswith("/fail 429")) == 3


async def test_what_does_not_pass_in_time_fails_the_run(start: StartNode, settled: Settled, free_port: int) -> None:
    node, alone = await asyncio.gather(
        start(run_expires_seconds=3),
        start(run_expires_seconds=3, model_base_url=f"http://127.0.0.1:{free_port}/v1"),
    )
    api = node.api
    limited, broken, cut, patient, refused = await asyncio.gather(
        api.begin("/fail 429 retry-after=1 Slow down."),
        api.begin("/fail 503 Overloaded."),
        api.begin("/cut 2", "/tokens 5"),
        api.begin("/fail 429 retry-after=3600 Come back in an hour."),
        alone.api.begin("/say never"),
    )
    expected = {
        limited: ("rate_limit_exceeded", "Slow down."),
        broken: ("server_error", "Overloaded."),
        cut: ("server_error", "model server"),
        patient: ("rate_limit_exceeded", "Come back in an hour."),
        refused: ("server_error", "cannot be reached"),
    }
    for run, (code, words) in expected.items():
        ended = await api.until(run)
        assert (ended["status"], ended["last_error"]["code"]) == ("failed", code)
        assert words in ended["last_error"]["message"]
        assert ended["failed_at"] <= ended["created_at"] + 3
    for run in set(expected) - {refused}:
        events = await api.replay(run)
        assert [event.name for event in events[-2:]] == ["thread.run.failed", "done"]
    assert await api.words(cut) == ["w0 w1 "]  # what it said last stands, as incomplete
    (message,) = await api.messages(cut)
    assert (message["status"], message["incomplete_details"]) == ("incomplete", {"reason": "run_failed"})


async def test_what_is_refused_for_good_fails_at_once(
    start: StartNode, settled: Settled, model: ScriptedModel, tmp_path: Path
) -> None:
    routes = tmp_path / "routes.toml"
    routes.write_text(f'[[routes]]\nnames = ["scripted"]\nbase_url = "{model.base_url}"\n')
    node = await start(models_file=routes)
    api = node.api
    key, unknown, invalid, quota, no_route = runs = await asyncio.gather(
        api.begin("/fail 401 code=invalid_api_key Incorrect API key provided."),
        api.begin("/fail 404 code=model_not_found The model does not exist here."),
        api.begin("/fail 400 Your messages are too long."),
        api.begin("/fail 429 code=insufficient_quota You exceeded your current quota."),
        api.begin("/say never", model="nobody"),
    )
    expected = {
        key: (
            "server_error",
            f"The model server {urlsplit(model.base_url).netloc} does not accept the API key of its route, which is "
            "this server's key for it and not yours. It says: Incorrect API key provided.",
        ),
        unknown: ("server_error", "The model does not exist here."),
        invalid: ("invalid_prompt", "Your messages are too long."),
        quota: ("rate_limit_exceeded", "You exceeded your current quota."),
        no_route: ("server_error", "The model 'nobody' does not exist"),
    }
    for run in runs:
        ended = await api.until(run)
        code, message = expected[run]
        assert ended["status"] == "failed"
        assert ended["last_error"] == {"code": code, "message": message}
    assert len(model.received) == 4, "something was tried again"
    for run in runs[:4]:
        # The thread goes on with the model that there is.
        await settled(api, run, "failed")
