"""Processes that die at the worst moments: the run ends as it should, and says everything once."""

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


async def test_killed_while_runs_are_queued(start: StartNode, settled: Settled) -> None:
    first = await start(run_concurrency=1)
    slow = await first.api.begin(*TALK)
    queued = [await first.api.begin("/say hello") for _ in range(3)]
    assert {(await first.api.get(run.path))["status"] for run in queued} == {"queued"}
    first.kill()
    second = await start()
    for run in queued:
        await settled(second.api, run, "completed")
        assert await second.api.words(run) == ["hello"]
    await settled(second.api, slow, "completed")
    assert await second.api.words(slow) == [SAID]


async def test_killed_in_the_middle_of_a_stream(start: StartNode, settled: Settled) -> None:
    first, second = await asyncio.gather(start(), start())
    run = await first.api.begin(*TALK)
    moving, staying = Follower(run, [first.api, second.api]), Follower(run, [second.api])
    following = asyncio.gather(moving.follow(), staying.follow())
    await eventually(lambda: min(f.heard("thread.message.delta") for f in (moving, staying)) >= 3)
    first.kill()
    await following
    logged = await settled(second.api, run, "completed")
    assert await second.api.words(run) == [SAID]
    assert [event.name for event in logged].count("thread.message.incomplete") == 1
    assert staying.connections == 1
    assert staying.events == logged
    # Who followed the first process heard a little more than it had logged, and nothing twice.
    assert moving.connections == 2
    judge(moving.events, more_was_said=True)
    assert {event.id for event in logged} <= {event.id for event in moving.events}


async def test_killed_while_tools_are_awaited(start: StartNode, settled: Settled) -> None:
    first, second = await asyncio.gather(start(), start())
    run = await first.api.begin("/preamble Let me see.", "/call look_up {}", "/call look_up {}")
    await first.api.until(run, "requires_action")
    first.kill()
    assert (await second.api.get(run.path))["status"] == "requires_action"
    await second.api.submit(run)
    await settled(second.api, run, "completed")
    assert await second.api.words(run) == ["Let me see.", "RESULT: 42 | 42"]


async def test_killed_between_words_and_calls(start: StartNode, settled: Settled, model: ScriptedModel) -> None:
    """The words before calls are part of the turn: done again, they stand once."""
    first, second = await asyncio.gather(start(), start())
    run = await first.api.begin("/preamble Let me see.", '/call look_up {"a": "bcdefghijklmnopqrs"}', "/pace 0 150")
    listener = Follower(run, [first.api])
    following = asyncio.create_task(listener.follow())
    await eventually(lambda: listener.heard("thread.run.step.delta") >= 2)
    first.kill()
    following.cancel()
    await second.api.until(run, "requires_action")
    await second.api.submit(run)
    await settled(second.api, run, "completed")
    assert await second.api.words(run) == ["Let me see.", "RESULT: 42"]
    assert [step["type"] for step in await second.api.steps(run)] == [
        "message_creation",
        "tool_calls",
        "message_creation",
    ]


WAITING = "SELECT pid FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"


async def test_killed_between_the_last_token_and_the_commit(
    start: StartNode, settled: Settled, db: asyncpg.Connection
) -> None:
    first = await start()
    runs = await asyncio.gather(*(first.api.begin("/say done", "/pace 500 0") for _ in range(2)))
    async with db.transaction():
        # What ends a run frees its thread, and waits for this lock; nothing else of a run does.
        threads = [run.thread_id for run in runs]
        await db.execute("SELECT FROM threads WHERE id = ANY ($1) FOR NO KEY UPDATE", threads)

        async def waiting() -> Any:
            await db.execute("SELECT pg_stat_clear_snapshot()")  # within a transaction, the view does not change
            pids = await db.fetch(WAITING)
            return len(pids) == len(runs) and pids

        pids = await eventually(waiting, "both runs at their last statement")
        first.kill()
        # One of the statements dies with its process; the other is carried out although nobody waits for it.
        await db.execute("SELECT pg_terminate_backend($1, 10000)", pids[0]["pid"])  # and wait until it is gone

    async def ended() -> Any:
        return await db.fetchval("SELECT count(*) FROM runs WHERE status = 'completed'")

    # Nobody can take over before this, however slow the machine is.
    await eventually(ended, "the statement that nobody waits for")
    second = await start()
    for run in runs:
        await settled(second.api, run, "completed")
        assert await second.api.words(run) == ["done"]
    leases = [await db.fetchval("SELECT lease FROM runs WHERE id = $1", run.id) for run in runs]
    assert sorted(leases) == [1, 2]


async def test_killed_during_a_retry_pause(start: StartNode, settled: Settled, model: ScriptedModel) -> None:
    first, second = await asyncio.gather(start(), start())
    run = await first.api.begin("/fail 503 x1 retry-after=300 Overloaded.", "/say at last")
    await first.says("upstream failed")
    first.kill()
    await settled(second.api, run, "completed")
    assert await second.api.words(run) == ["at last"]
    assert len(model.received) == 3  # the third is of the run that `settled` makes


async def test_fifty_runs_on_two_processes_and_one_dies(start: StartNode, settled: Settled, db: Any) -> None:
    first, second = await asyncio.gather(start(), start())
    nodes = [first, second]

    async def begin(number: int) -> Run:
        kind = number % 3
        script = [("/say {0}", "/pace 0 30"), ("/tokens 20", "/pace 0 60"), ("/call look_up {{}}", "/pace 0 300")][kind]
        return await nodes[number % 2].api.begin(*(line.format(number) for line in script))

    runs = await asyncio.gather(*(begin(number) for number in range(50)))
    followers = [Follower(run, [second.api]) for run in runs]
    following = asyncio.gather(*(follower.follow() for follower in followers))
    await eventually(lambda: sum(follower.heard("thread.message.delta") for follower in followers) > 50)
    first.kill()
    await following

    async def finish(number: int, run: Run) -> None:
        if number % 3 == 2:
            await second.api.until(run, "requires_action")
            await second.api.submit(run)
        assert (await second.api.until(run))["status"] == "completed"
        said = (str(number), " ".join(f"w{n}" for n in range(20)), "RESULT: 42")[number % 3]
        assert await second.api.words(run) == [said]
        logged = await second.api.replay(run)
        judge(logged)
        heard = followers[number].events
        if number % 3 == 2:
            assert heard[:-1] == logged[: len(heard) - 1]
        else:
            assert heard == logged

    await asyncio.gather(*(finish(number, run) for number, run in enumerate(runs)))
    assert await db.fetchval("SELECT count(*) FROM jobs") == 0
    assert await db.fetchval("SELECT count(*) FROM threads WHERE active_run_id IS NOT NULL") == 0
    assert await db.fetchval("SELECT count(*) FROM steps WHERE status = 'in_progress'") == 0
    assert await db.fetchval("SELECT count(*) FROM messages WHERE status = 'in_progress'") == 0
