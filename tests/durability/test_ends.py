"""Runs that do not get to an answer: they expire, are cancelled, or are deleted with their thread."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import asyncpg
import pytest

from assistd.llm.scripted import ScriptedModel
from tests.durability.api import ENDED, PATIENCE, Api, Follower, Refused, Run, eventually
from tests.durability.conftest import StartNode
from tests.durability.streams import Event, judge

pytestmark = pytest.mark.long

Settled = Callable[[Api, Run, str], Awaitable[list[Event]]]


def names(events: Sequence[Event]) -> list[str]:
    """The names of events, repeated ones once."""
    every = [event.name.removeprefix("thread.") for event in events]
    return [name for i, name in enumerate(every) if i == 0 or every[i - 1] != name]


QUEUED = ["created", "run.created", "run.queued"]
BEGUN = [*QUEUED, "run.in_progress"]
WORDS = ["run.step.created", "run.step.in_progress", "message.created", "message.in_progress", "message.delta"]
CALLS = ["run.step.created", "run.step.in_progress", "run.step.delta"]


async def test_expired_wherever_it_is(
    start: StartNode, settled: Settled, db: asyncpg.Connection, model: ScriptedModel
) -> None:
    node = await start(run_expires_seconds=3, run_concurrency=2)
    api = node.api
    waiting = await api.begin("/call look_up {}")
    await api.until(waiting, "requires_action")
    talking = await api.begin("/tokens 9", "/stall 3")
    silent = await api.begin("/stall 0")
    queued = await api.begin("/say never")
    assert (await api.get(queued.path))["status"] == "queued"
    # The others leave it a moment of life as a rule, in which it would be answered.
    await db.execute("UPDATE runs SET expires_at = unix_now() WHERE id = $1", queued.id)

    events = await settled(api, waiting, "expired")
    assert names(events) == [*BEGUN, *CALLS, "run.requires_action", "run.step.expired", "run.expired", "done"]
    events = await settled(api, talking, "expired")
    assert names(events) == [*BEGUN, *WORDS, "message.incomplete", "run.step.expired", "run.expired", "done"]
    (message,) = await api.messages(talking)
    assert (message["status"], message["incomplete_details"]) == ("incomplete", {"reason": "run_expired"})
    assert message["content"][0]["text"]["value"] == "w0 w1 w2 "
    (step,) = await api.steps(talking)
    assert step["status"] == "expired"
    assert step["expired_at"] is not None
    assert names(await settled(api, silent, "expired")) == [*BEGUN, "run.expired", "done"]
    assert names(await settled(api, queued, "expired")) == [*QUEUED, "run.expired", "done"]
    ended = await api.get(queued.path)
    assert ended["started_at"] is None
    assert ended["expires_at"] is None
    assert model.active == 0
    with pytest.raises(Refused, match=r'Runs in status "expired" do not accept tool outputs\.'):
        await api.post(f"{waiting.path}/submit_tool_outputs", {"tool_outputs": []})
    assert await db.fetchval("SELECT count(*) FROM runs WHERE status = 'expired' AND completed_at IS NOT NULL") == 0


async def test_cancelled_wherever_it_is(start: StartNode, settled: Settled, model: ScriptedModel) -> None:
    here, there = await asyncio.gather(start(run_concurrency=4), start(run_concurrency=4))
    api = here.api
    waiting = await api.begin("/call look_up {}")
    await api.until(waiting, "requires_action")
    talking, silent = await asyncio.gather(api.begin("/tokens 9", "/stall 3"), api.begin("/stall 0"))
    naming = await api.begin('/call look_up {"a": "bcdefghijklmnopqrs"}', "/stall 2")
    pausing = await api.begin("/fail 503 retry-after=60 Overloaded.", "/say never")
    await here.says("upstream failed")
    await asyncio.wait_for(model.until_active(3), PATIENCE)
    # Both processes are full, so that a run stays in the queue.
    others = await asyncio.gather(*(there.api.begin("/stall 0") for _ in range(4)))
    queued = await api.begin("/say never")
    assert (await api.get(queued.path))["status"] == "queued"
    heard = Follower(talking, [there.api])
    following = asyncio.create_task(heard.follow())
    await eventually(lambda: heard.heard("thread.message.delta") == 3)

    # The queued one first: the others, once cancelled, make room for it to begin.
    assert (await there.api.cancel(queued))["status"] == "cancelling"
    runs = [waiting, talking, silent, naming, pausing]
    # Half of them are cancelled at the process that does not execute them.
    answers = await asyncio.gather(*((api if n % 2 else there.api).cancel(run) for n, run in enumerate(runs)))
    assert {answer["status"] for answer in answers} == {"cancelling"}
    async with asyncio.timeout(PATIENCE):
        await model.until_active(4)  # the upstream calls of the cancelled ones are aborted; the others go on
    await following

    cancelled = ["run.cancelling", "run.cancelled", "done"]
    closed = ["run.cancelling", "run.step.cancelled", "run.cancelled", "done"]
    events = await settled(api, waiting, "cancelled")
    assert names(events) == [*BEGUN, *CALLS, "run.requires_action", *closed]
    events = await settled(api, talking, "cancelled")
    cut = ["run.cancelling", "message.incomplete", "run.step.cancelled", "run.cancelled", "done"]
    assert names(events) == [*BEGUN, *WORDS, *cut]
    assert events == heard.events
    (message,) = await api.messages(talking)
    assert (message["status"], message["incomplete_details"]) == ("incomplete", {"reason": "run_cancelled"})
    assert message["content"][0]["text"]["value"] == "w0 w1 w2 "
    assert names(await settled(api, naming, "cancelled")) == [*BEGUN, *CALLS, *closed]
    for run in (silent, pausing):
        assert names(await settled(api, run, "cancelled")) == [*BEGUN, *cancelled]
    assert names(await settled(api, queued, "cancelled")) == [*QUEUED, *cancelled]
    await asyncio.gather(*(api.cancel(run) for run in others))
    await asyncio.gather(*(settled(api, run, "cancelled") for run in others[:1]))
    await asyncio.gather(*(api.until(run, "cancelled") for run in others))
    assert model.active == 0


async def test_cancelling_races_with_ending(start: StartNode, settled: Settled, db: asyncpg.Connection) -> None:
    """At whatever moment the call comes, the run has one end, and it is the one that everybody was told of."""
    here, there = await asyncio.gather(start(), start())
    scripts = [
        ("/say hello there", "/pace 5 0"),
        ("/tokens 6", "/pace 5 2"),
        ("/preamble Let me see.", "/call look_up {}", "/pace 5 2"),
        ("/preamble Let me see.", "/call look_up {}", "/pace 5 0"),
        ("/fail 503 x1 retry-after=0.01 Overloaded.", "/tokens 3"),
    ]
    ends: list[str] = []

    async def race(number: int) -> None:
        api = here.api
        run = await api.begin(*scripts[number % len(scripts)], f"run {number}")
        await asyncio.sleep(0.002 * (number % 20))
        refused = ""
        try:
            await (here, there)[number % 2].api.cancel(run)
        except Refused as refusal:
            refused = refusal.message
        ended = await api.until(run, *ENDED, "requires_action")
        if ended["status"] == "requires_action":  # the call came before it asked: it is told by the time we look
            ended = await api.until(run, *ENDED)
        status = ended["status"]
        assert refused == ("" if status == "cancelled" else f"Cannot cancel run with status '{status}'.")
        ends.append(status)
        events = await api.replay(run)
        judge(events)
        assert events[-2].name == f"thread.run.{status}"
        assert [m["status"] for m in await api.messages(run)] != ["in_progress"]

    for begin in range(0, 160, 8):
        await asyncio.gather(*(race(number) for number in range(begin, begin + 8)))
    assert set(ends) == {"cancelled", "completed"}, "the race was no race"
    assert await db.fetchval("SELECT count(*) FROM jobs") == 0
    assert await db.fetchval("SELECT count(*) FROM threads WHERE active_run_id IS NOT NULL") == 0
    assert await db.fetchval("SELECT count(*) FROM steps WHERE status = 'in_progress'") == 0
    assert await db.fetchval("SELECT count(*) FROM messages WHERE status = 'in_progress'") == 0


async def test_a_thread_is_deleted_under_its_run(
    start: StartNode, db: asyncpg.Connection, model: ScriptedModel
) -> None:
    here, there = await asyncio.gather(start(), start())
    talking = await here.api.begin("/tokens 9", "/stall 3")
    waiting = await here.api.begin("/call look_up {}")
    await here.api.until(waiting, "requires_action")
    streams = [Stream(talking, api) for api in (here.api, there.api)]
    await eventually(lambda: all(len(stream.events) >= 10 for stream in streams))
    for run in (talking, waiting):
        await there.api.call("DELETE", f"/threads/{run.thread_id}")
    async with asyncio.timeout(PATIENCE):
        await model.until_active(0)
    for stream in streams:
        events = await stream.ended()
        assert [event.name for event in events[-2:]] == ["error", "done"]
    for table, column in [("runs", "id"), ("steps", "run_id"), ("messages", "run_id"), ("run_events", "run_id")]:
        assert await db.fetchval(f"SELECT count(*) FROM {table} WHERE {column} = $1", talking.id) == 0
    assert await db.fetchval("SELECT count(*) FROM jobs") == 0


async def test_threads_are_deleted_while_their_runs_end(start: StartNode, db: asyncpg.Connection) -> None:
    node = await start()

    async def race(number: int) -> Any:
        run = await node.api.begin("/tokens 4", f"/pace {number % 10} 1")
        await asyncio.sleep(0.002 * (number % 15))
        return await node.api.call("DELETE", f"/threads/{run.thread_id}")

    for begin in range(0, 120, 8):
        deleted = await asyncio.gather(*(race(number) for number in range(begin, begin + 8)))
        assert all(answer["deleted"] for answer in deleted)

    async def empty() -> bool:
        tables = ("runs", "steps", "messages", "threads", "jobs", "run_events")
        return not any([await db.fetchval(f"SELECT EXISTS (SELECT FROM {table})") for table in tables])

    await eventually(empty, "nothing is left of the threads")


class Stream:
    """A stream that is read in the background."""

    def __init__(self, run: Run, api: Api) -> None:
        self.events: list[Event] = []
        self._task = asyncio.create_task(self._read(run, api))

    async def _read(self, run: Run, api: Api) -> None:
        async for event in api.stream(f"{run.path}/events"):
            self.events.append(event)

    async def ended(self) -> list[Event]:
        await asyncio.wait_for(self._task, PATIENCE)
        return self.events
