"""Processes that are stopped for longer than their lease, as a suspended machine is, and wake up again."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import asyncpg

from assistd.llm.scripted import ScriptedModel
from tests.durability.api import Api, Follower, Run, eventually
from tests.durability.conftest import StartNode
from tests.durability.streams import Event, judge

Settled = Callable[[Api, Run, str], Awaitable[list[Event]]]

TALK = ("/tokens 30", "/pace 0 40")
SAID = " ".join(f"w{number}" for number in range(30))


async def everything(db: asyncpg.Connection, runs: list[Run]) -> list[Any]:
    """All rows of some runs."""
    return [
        await db.fetch(f"SELECT * FROM {table} t WHERE {column} = ANY ($1) ORDER BY t::text", ids(runs))
        for table, column in [("runs", "id"), ("steps", "run_id"), ("messages", "run_id"), ("run_events", "run_id")]
    ]


async def test_a_worker_that_wakes_after_another_took_over_changes_nothing(
    start: StartNode, settled: Settled, db: asyncpg.Connection
) -> None:
    sleeper, other = await asyncio.gather(start(), start())
    talking = [await sleeper.api.begin(*TALK) for _ in range(3)]
    calling = await sleeper.api.begin("/preamble I look.", '/call look_up {"a": "bcdefghijklmnopqrs"}', "/pace 0 150")
    runs = [*talking, calling]
    followers = [Follower(run, [other.api]) for run in runs]
    following = asyncio.gather(*(follower.follow() for follower in followers))
    await eventually(lambda: all(f.heard("thread.message.delta") for f in followers))
    await eventually(lambda: followers[-1].heard("thread.run.step.delta"))
    sleeper.pause()
    await following
    await other.api.until(calling, "requires_action")
    before = await everything(db, runs)
    sleeper.wake()
    await eventually(lambda: sleeper.server.log.count("taken over by another worker") + _lost(sleeper.server.log) >= 4)
    assert await everything(db, runs) == before
    await sleeper.api.submit(calling)
    for run, follower in zip(runs, followers, strict=True):
        logged = await settled(sleeper.api, run, "completed")
        assert follower.events[:-1] == logged[: len(follower.events) - 1]
    for run in talking:
        assert await other.api.words(run) == [SAID]
    assert await other.api.words(calling) == ["I look.", "RESULT: 42"]


def _lost(log: str) -> int:
    return log.count('"lease lost"')


async def test_a_lone_process_takes_over_from_itself(
    start: StartNode, settled: Settled, db: asyncpg.Connection, model: ScriptedModel
) -> None:
    """A suspended machine wakes up, and looks at the queue before it renews its leases: its own runs are due."""
    node = await start(lease_seconds=600)
    runs = [await node.api.begin(*TALK) for _ in range(5)]
    followers = [Follower(run, [node.api]) for run in runs]
    following = asyncio.gather(*(follower.follow() for follower in followers))
    await eventually(lambda: all(follower.heard("thread.message.delta") >= 3 for follower in followers))
    await db.execute("UPDATE jobs SET due = now() - interval '1 second'")
    await db.execute("SELECT pg_notify('assistd_jobs', 'run')")
    await following
    for run, follower in zip(runs, followers, strict=True):
        logged = await settled(node.api, run, "completed")
        assert await node.api.words(run) == [SAID]
        judge(follower.events, more_was_said=True)
        assert {event.id for event in logged} <= {event.id for event in follower.events}
    assert {row["lease"] for row in await db.fetch("SELECT lease FROM runs WHERE id = ANY ($1)", ids(runs))} == {2}
    assert model.active == 0


def ids(runs: list[Run]) -> list[str]:
    return [run.id for run in runs]
