"""`expires_at` of steps: in answers it is there as long as their run goes on, in streams for ever."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

import pytest

from tests.conformance.sse import read_events
from tests.conformance.talk import PARIS, WEATHER, script
from tests.conformance.wiretap import Wiretap
from tests.support.http import Api
from tests.support.server import Server
from tests.support.talk import path_of, start, until

TWO_STEPS = script("/preamble One moment.", PARIS)
BETAS = ["assistants=v2", "assistants=v1"]


@pytest.fixture
def api(wiretap: Wiretap) -> Api:
    return Api(wiretap.url)


def begin(api: Api, *lines: str, **options: Any) -> Any:
    assistant = api.post("/assistants", {"model": "scripted", "tools": [WEATHER]}).ok["id"]
    return start(api, script(*lines), assistant, **options)


def shown(api: Api, run: Any, beta: str = "assistants=v2") -> list[tuple[str, str, int | None]]:
    """Type, status and time of expiry of a run's steps, which the list and each step by itself show alike."""
    headers = {"OpenAI-Beta": beta}
    steps = api.get(f"{path_of(run)}/steps?order=asc", headers=headers).ok["data"]
    for step in steps:
        assert api.get(f"{path_of(run)}/steps/{step['id']}", headers=headers).ok == step
    return [(step["type"], step["status"], step["expires_at"]) for step in steps]


def check_ended(api: Api, run: Any, status: str) -> None:
    """Wait for a run's end, and check that steps have no expiry any more, and that the stream keeps what it said."""
    until(api, run, status)
    for beta in BETAS:
        assert [expires_at for _, _, expires_at in shown(api, run, beta)] == [None] * len(shown(api, run))
    told = [event.data for event in read_events(api.get(f"{path_of(run)}/events").body) if "run.step." in event.name]
    assert {step["expires_at"] for step in told if step["object"] == "thread.run.step"} == {run["expires_at"]}


@pytest.mark.parametrize("beta", BETAS)
def test_a_completed_step_of_a_run_that_goes_on_still_has_its_expiry(api: Api, beta: str) -> None:
    run = until(api, begin(api, TWO_STEPS, "/say It is warm."), "requires_action")
    expires_at = run["created_at"] + 600
    assert shown(api, run, beta) == [
        ("message_creation", "completed", expires_at),
        ("tool_calls", "in_progress", expires_at),
    ]
    (call,) = run["required_action"]["submit_tool_outputs"]["tool_calls"]
    output = {"tool_outputs": [{"tool_call_id": call["id"], "output": "warm"}]}
    assert api.post(f"{path_of(run)}/submit_tool_outputs", output).ok["status"] == "queued"
    check_ended(api, run, "completed")


def test_a_cancelled_run_takes_it_from_all_its_steps(api: Api) -> None:
    run = until(api, begin(api, TWO_STEPS), "requires_action")
    assert api.post(f"{path_of(run)}/cancel").ok["status"] == "cancelling"
    check_ended(api, run, "cancelled")
    assert [status for _, status, _ in shown(api, run)] == ["completed", "cancelled"]


def test_a_run_that_is_cut_short_takes_it_from_all_its_steps(api: Api) -> None:
    run = begin(api, "/tokens 40", max_completion_tokens=16)
    check_ended(api, run, "incomplete")
    assert [status for _, status, _ in shown(api, run)] == ["completed"]


def test_an_expired_run_takes_it_from_all_its_steps(
    new_server: Callable[..., AbstractContextManager[Server]],
) -> None:
    with new_server(run_expires_seconds=1) as server:
        api = Api(server.url)
        run = begin(api, TWO_STEPS)
        check_ended(api, run, "expired")
        assert [status for _, status, _ in shown(api, run)] == ["completed", "expired"]
