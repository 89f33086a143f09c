"""What the state of a run or thread does not allow."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.support.databases import query
from tests.support.errors import Error
from tests.support.http import Api
from tests.support.talk import FUNCTION, path_of, start, until, user
from tests.support.waiting import eventually

TWO_CALLS = "/call look_up {}\n/call look_up {}"


def busy_for_messages(run: Any) -> Error:
    return Error(400, f"Can't add messages to {run['thread_id']} while a run {run['id']} is active.")


def busy_for_runs(run: Any) -> Error:
    return Error(400, f"Thread {run['thread_id']} already has an active run {run['id']}.")


def no_outputs(status: str) -> Error:
    return Error(400, f'Runs in status "{status}" do not accept tool outputs.')


def no_cancel(status: str) -> Error:
    return Error(400, f"Cannot cancel run with status '{status}'.")


def no_update(status: str) -> Error:
    return Error(400, f"Cannot update run with status '{status}'.")


NOTHING_TO_RUN = Error(
    400,
    "Run creation requires a Thread with a user message or an assistant with instructions.",
    code="invalid_thread",
)


def outputs(*ids: str) -> dict[str, Any]:
    return {"tool_outputs": [{"tool_call_id": id, "output": "42"} for id in ids]}


def calls_of(run: Any) -> list[str]:
    return [call["id"] for call in run["required_action"]["submit_tool_outputs"]["tool_calls"]]


@pytest.fixture
def working(api: Api, assistant: str) -> Iterator[Any]:
    """A run that is writing its message and will not end by itself."""
    run = until(api, start(api, "/stall 1", assistant), "in_progress")
    eventually(lambda: len(api.get(f"/threads/{run['thread_id']}/messages").ok["data"]) == 2)
    yield run
    api.post(f"{path_of(run)}/cancel")


@pytest.fixture
def waiting(api: Api, assistant: str) -> Iterator[Any]:
    """A run that waits for the outputs of two calls."""
    run = until(api, start(api, TWO_CALLS, assistant), "requires_action")
    yield run
    api.post(f"{path_of(run)}/cancel")


@pytest.fixture(params=["completed", "failed", "cancelled", "incomplete"])
def ended(request: pytest.FixtureRequest, api: Api, assistant: str) -> Any:
    """A run in each of the statuses in which runs end soon."""
    match request.param:
        case "completed":
            run = start(api, "/say hi", assistant)
        case "failed":
            run = start(api, "/fail 400 no", assistant)
        case "incomplete":
            run = start(api, "/tokens 9", assistant, max_completion_tokens=3)
        case _:
            run = until(api, start(api, "/stall 1", assistant), "in_progress")
            assert api.post(f"{path_of(run)}/cancel").ok["status"] == "cancelling"
    return until(api, run, request.param)


@pytest.mark.parametrize("state", ["working", "waiting"])
def test_an_active_run_keeps_the_thread_to_itself(
    api: Api, assistant: str, state: str, request: pytest.FixtureRequest
) -> None:
    """No message and no second run, and nothing is left of the attempts."""
    run = request.getfixturevalue(state)
    thread = f"/threads/{run['thread_id']}"
    before = api.get(f"{thread}/messages").ok
    busy_for_messages(run).check(api.post(f"{thread}/messages", user("more")))
    busy_for_runs(run).check(api.post(f"{thread}/runs", {"assistant_id": assistant}))
    busy_for_runs(run).check(api.post(f"{thread}/runs", {"assistant_id": assistant, "stream": True}))
    also_messages = {"assistant_id": assistant, "additional_messages": [user("more")]}
    busy_for_runs(run).check(api.post(f"{thread}/runs", also_messages))
    assert api.get(f"{thread}/messages").ok == before
    assert [found["id"] for found in api.get(f"{thread}/runs").ok["data"]] == [run["id"]]


def test_a_run_being_cancelled_is_active(api: Api, assistant: str) -> None:
    """Until it is cancelled; then the thread is free."""
    run = until(api, start(api, "/stall 1", assistant), "in_progress")
    thread = f"/threads/{run['thread_id']}"
    assert api.post(f"{path_of(run)}/cancel").ok["status"] == "cancelling"
    refusal = api.post(f"{path_of(run)}/cancel")
    status = api.get(path_of(run)).ok["status"]
    assert status in ("cancelling", "cancelled")
    assert refusal.json["error"]["message"] in (no_cancel("cancelling").message, no_cancel("cancelled").message)
    until(api, run, "cancelled")
    assert api.post(f"{thread}/messages", user("/say free")).status == 200
    until(api, api.post(f"{thread}/runs", {"assistant_id": assistant}).ok, "completed")


def test_a_working_run_takes_neither_outputs_nor_changes(api: Api, working: Any) -> None:
    no_outputs("in_progress").check(api.post(f"{path_of(working)}/submit_tool_outputs", outputs("call_1")))
    no_update("in_progress").check(api.post(path_of(working), {"metadata": {"a": "b"}}))


def test_an_ended_run_takes_nothing_but_metadata(api: Api, ended: Any) -> None:
    status, path = ended["status"], path_of(ended)
    no_cancel(status).check(api.post(f"{path}/cancel"))
    no_outputs(status).check(api.post(f"{path}/submit_tool_outputs", outputs("call_1")))
    no_outputs(status).check(api.post(f"{path}/submit_tool_outputs", {**outputs("call_1"), "stream": True}))
    assert api.post(path, {"metadata": {"a": "b"}}).ok == {**ended, "metadata": {"a": "b"}}
    assert api.post(path, {}).ok["metadata"] == {"a": "b"}
    assert api.post(path, {"metadata": {}}).ok == ended


def test_an_expired_run_takes_no_outputs(api: Api, waiting: Any, database: str) -> None:
    """Not even in the moment between its deadline and the worker that notices."""
    query(database, "UPDATE runs SET expires_at = unix_now() - 1 WHERE id = $1", waiting["id"])
    submitted = api.post(f"{path_of(waiting)}/submit_tool_outputs", outputs(*calls_of(waiting)))
    no_outputs("expired").check(submitted)
    query(database, "UPDATE jobs SET due = now() WHERE key = $1", waiting["id"])
    query(database, "SELECT pg_notify('assistd_jobs', 'run')")
    until(api, waiting, "expired")
    no_outputs("expired").check(api.post(f"{path_of(waiting)}/submit_tool_outputs", outputs("call_1")))
    no_cancel("expired").check(api.post(f"{path_of(waiting)}/cancel"))


def test_the_outputs_must_be_those_that_are_asked_for(api: Api, waiting: Any) -> None:
    """One missing, one twice, one of a stranger, none: all of them are named, and the run goes on waiting."""
    one, two = calls_of(waiting)
    path = f"{path_of(waiting)}/submit_tool_outputs"
    for given in ([one], [], [one, one], [one, two, two], [one, "call_x"], [one, two, "call_x"], [""]):
        expected = f"Expected tool outputs for call_ids {[one, two]}, got {given}"
        Error(400, expected).check(api.post(path, outputs(*given)))
    assert api.get(path_of(waiting)).ok == waiting
    # In another order they are still those that are asked for.
    assert api.post(path, outputs(two, one)).ok["status"] == "queued"
    until(api, waiting, "completed")


def test_a_waiting_run_takes_metadata(api: Api, waiting: Any) -> None:
    assert api.post(path_of(waiting), {"metadata": {"a": "b"}}).ok == {**waiting, "metadata": {"a": "b"}}


def test_there_must_be_something_to_run(api: Api) -> None:
    """A user's message, or instructions: of the assistant, of the run, or added to it."""
    mute = api.post("/assistants", {"model": "scripted"}).ok["id"]
    empty = api.post("/threads").ok["id"]
    thread = f"/threads/{empty}/runs"
    NOTHING_TO_RUN.check(api.post(thread, {"assistant_id": mute}))
    NOTHING_TO_RUN.check(api.post(thread, {"assistant_id": mute, "additional_messages": []}))
    NOTHING_TO_RUN.check(api.post("/threads/runs", {"assistant_id": mute}))
    NOTHING_TO_RUN.check(api.post("/threads/runs", {"assistant_id": mute, "thread": {"messages": []}}))
    spoken = {"messages": [{"role": "assistant", "content": "An assistant's words ask for nothing."}]}
    NOTHING_TO_RUN.check(api.post("/threads/runs", {"assistant_id": mute, "thread": spoken}))
    NOTHING_TO_RUN.check(api.post(thread, {"assistant_id": mute, "additional_messages": spoken["messages"]}))
    told = api.post("/threads", spoken).ok["id"]
    NOTHING_TO_RUN.check(api.post(f"/threads/{told}/runs", {"assistant_id": mute}))
    assert api.get(thread).ok["data"] == []
    for enough in ({"instructions": "Speak."}, {"additional_instructions": "Speak."}):
        until(api, api.post(thread, {"assistant_id": mute, **enough}).ok, "completed")
    until(api, api.post("/threads/runs", {"assistant_id": mute, "instructions": "Speak."}).ok, "completed")


def test_a_thread_goes_with_its_active_run(api: Api, working: Any) -> None:
    """Deleting the thread is the way out that always works."""
    assert api.delete(f"/threads/{working['thread_id']}").ok["deleted"] is True
    gone = Error(404, f"No thread found with id '{working['thread_id']}'.")
    gone.check(api.get(path_of(working)))
    gone.check(api.post(f"{path_of(working)}/cancel"))
    gone.check(api.post(f"{path_of(working)}/submit_tool_outputs", outputs("call_1")))
    gone.check(api.get(f"{path_of(working)}/events"))


def test_an_assistant_may_go_while_its_run_goes_on(api: Api) -> None:
    """A run has a copy of what it needs."""
    passing = api.post("/assistants", {"model": "scripted", "tools": [FUNCTION]}).ok["id"]
    run = until(api, start(api, "/call look_up {}", passing), "requires_action")
    assert api.delete(f"/assistants/{passing}").ok["deleted"] is True
    api.post(f"{path_of(run)}/submit_tool_outputs", outputs(*calls_of(run))).ok  # noqa: B018
    assert until(api, run, "completed")["assistant_id"] == passing


def test_a_message_may_change_or_go_while_it_is_written(api: Api, working: Any) -> None:
    """The run ends as it would have."""
    messages = f"/threads/{working['thread_id']}/messages"
    opened = next(m for m in api.get(messages).ok["data"] if m["role"] == "assistant")
    changed = api.post(f"{messages}/{opened['id']}", {"metadata": {"a": "b"}}).ok
    assert changed == {**opened, "metadata": {"a": "b"}}
    assert api.post(f"{messages}/{opened['id']}", {}).ok == changed
    assert api.delete(f"{messages}/{opened['id']}").ok["deleted"] is True
    assert api.post(f"{path_of(working)}/cancel").ok["status"] == "cancelling"
    until(api, working, "cancelled")
    assert [m["role"] for m in api.get(messages).ok["data"]] == ["user"]
