"""Processes that are stopped in order, and clients that hang up."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from tests.durability.api import Api, Follower, Run, eventually
from tests.durability.conftest import StartNode
from tests.durability.streams import Event, judge

pytestmark = pytest.mark.long

Settled = Callable[[Api, Run, str], Awaitable[list[Event]]]

TALK = ("/tokens 30", "/pace 0 40")
SAID = " ".join(f"w{number}" for number in range(30))


async def test_a_stopping_process_hands_its_runs_over_at_once(start: StartNode, settled: Settled) -> None:
    # With a lease of ten minutes nothing but being handed over brings the runs to the other process in time.
    leaving, staying = await asyncio.gather(start(lease_seconds=600), start(lease_seconds=600))
    talking = await leaving.api.begin(*TALK)
    pausing = await leaving.api.begin("/fail 503 x1 retry-after=300 Overloaded.", "/say at last")
    calling = await leaving.api.begin("/call look_up {}")
    moving, watching = Follower(talking, [leaving.api, staying.api]), Follower(talking, [staying.api])
    following = asyncio.gather(moving.follow(), watching.follow())
    await leaving.says("upstream failed")
    await leaving.api.until(calling, "requires_action")
    await eventually(lambda: min(moving.heard("thread.message.delta"), watching.heard("thread.message.delta")) >= 3)
    await leaving.stop()
    await following
    await staying.api.submit(calling)
    logged = await settled(staying.api, talking, "completed")
    assert await staying.api.words(talking) == [SAID]
    assert watching.events == logged
    judge(moving.events, more_was_said=True)
    assert {event.id for event in logged} <= {event.id for event in moving.events}
    await settled(staying.api, pausing, "completed")
    await settled(staying.api, calling, "completed")


async def test_a_worker_without_a_door_executes_what_a_server_queues(start: StartNode, settled: Settled) -> None:
    door, worker = await asyncio.gather(start(run_concurrency=1), start("worker"))
    await worker.says("worker ready")
    stalled = await door.api.begin("/stall 1")  # takes the server's one place
    run = await door.api.begin("/tokens 5", "/call look_up {}")
    follower = Follower(run, [door.api])
    await follower.follow()
    await door.api.submit(run)
    await settled(door.api, run, "completed")
    await door.api.cancel(stalled)
    await settled(door.api, stalled, "cancelled")
    await worker.stop()


async def test_a_client_that_hangs_up_changes_nothing(start: StartNode, settled: Settled) -> None:
    node = await start()
    message = {"role": "user", "content": "\n".join(TALK)}
    body = {"assistant_id": await node.api.assistant(), "stream": True, "thread": {"messages": [message]}}
    deltas = 0
    run = None
    async for event in node.api.stream("/threads/runs", body):
        if event.name == "thread.run.created":
            run = Run(event.data["thread_id"], event.data["id"])
        deltas += event.name == "thread.message.delta"
        if deltas == 3:
            last_id = event.id
            break  # the connection is closed with the iterator
    assert run is not None
    assert last_id is not None
    rest = await node.api.replay(run, last_id)
    logged = await settled(node.api, run, "completed")
    assert await node.api.words(run) == [SAID]
    place = [event.id for event in logged].index(last_id)
    assert rest == logged[place + 1 :]
    assert await node.api.replay(run, logged[-2].id or "") == logged[-1:]
