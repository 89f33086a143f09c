"""What was sent is written once a turn, under the run's lease, soon or with the change that ends the turn."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from assistd.db.pool import Database
from assistd.runs import progress, prompts, retention, store
from assistd.runs.machine import Status, Step
from assistd.runs.progress import Change
from assistd.runs.prompt_body import unpacked
from assistd.runs.prompts import Prompts, turn_after
from assistd.web.wire import Page
from tests.runs.conftest import PROJECT

NOW = 1_800_000_000
CALLS: dict[str, Any] = {"type": "tool_calls", "tool_calls": []}


def body(words: str = "hello") -> bytes:
    return json.dumps({"model": "m", "messages": [{"role": "user", "content": words}]}).encode()


@pytest.fixture
def kept(database: Database) -> Prompts:
    return Prompts(database, 10_000)


@pytest.fixture
async def running(kept: Prompts) -> AsyncIterator[Prompts]:
    task = asyncio.create_task(kept.run())
    yield kept
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def bodies(rows: Any, run_id: str) -> list[tuple[int, str]]:
    found = await rows.conn.fetch("SELECT turn, body FROM run_prompts WHERE run_id = $1 ORDER BY turn", run_id)
    return [(row["turn"], json.loads(unpacked(row["body"]))["messages"][0]["content"]) for row in found]


async def test_a_prompt_goes_with_the_change_that_ends_its_turn(rows, kept: Prompts, database: Database) -> None:
    run_id = await rows.run(status="in_progress", lease=1, attempt=1)
    kept.sent(run_id, 1, 1, NOW, body())
    assert await bodies(rows, run_id) == []
    taken = kept.take(run_id)
    assert taken is not None
    assert kept.take(run_id) is None
    prompt = await kept.kept(taken)
    failed = Change(old=Status.IN_PROGRESS, new=Status.FAILED, at=NOW)
    async with database.acquire() as conn:
        assert not await progress.write(conn, run_id, 2, failed, None, prompt)
        assert await bodies(rows, run_id) == []
        assert await progress.write(conn, run_id, 1, failed, None, prompt)
    assert await bodies(rows, run_id) == [(1, "hello")]
    assert await rows.value("SELECT created_at FROM run_prompts") == NOW


async def test_what_takes_long_is_written_meanwhile(rows, running: Prompts) -> None:
    one, two = [await rows.run(status="in_progress", lease=1, attempt=1) for _ in range(2)]
    running.sent(one, 1, 1, NOW, body("one"))
    running.sent(two, 1, 3, NOW, body("two"))
    async with asyncio.timeout(30):
        while not (await bodies(rows, one) and await bodies(rows, two)):
            await asyncio.sleep(0.01)
    assert (await bodies(rows, one), await bodies(rows, two)) == ([(1, "one")], [(3, "two")])


async def test_a_turn_that_is_done_again_has_what_was_sent_last(rows, kept: Prompts) -> None:
    run_id = await rows.run(status="in_progress", lease=1, attempt=1)
    for at, words in ((NOW, "first"), (NOW, "second"), (NOW + 1, "third"), (NOW, "late")):
        kept.sent(run_id, 1, 1, at, body(words))
        await kept.flush()
    assert await bodies(rows, run_id) == [(1, "third")]
    assert kept.take(run_id) is None


async def test_a_lost_lease_writes_nothing(rows, kept: Prompts) -> None:
    ours, lost = [await rows.run(status="in_progress", lease=2, attempt=2) for _ in range(2)]
    kept.sent(lost, 1, 1, NOW, body("of a worker that was presumed dead"))
    kept.sent(ours, 2, 1, NOW, body("of its successor"))
    kept.sent("run_gone", 1, 1, NOW, body())
    await kept.flush()
    assert (await bodies(rows, lost), await bodies(rows, ours)) == ([], [(1, "of its successor")])
    assert await rows.value("SELECT count(*) FROM run_prompts") == 1
    assert kept.take(lost) is None


async def test_while_the_database_is_away_nothing_is_lost(rows, database: Database) -> None:
    run_id = await rows.run(status="in_progress", lease=1, attempt=1)
    away = [True]

    class Moody:
        def acquire(self) -> Any:
            if away[0]:
                raise ConnectionRefusedError
            return database.acquire()

    kept = Prompts(Moody(), 10_000)  # type: ignore[arg-type]
    kept.sent(run_id, 1, 1, NOW, body())
    await kept.flush()
    away[0] = False
    await kept.flush()
    assert await bodies(rows, run_id) == [(1, "hello")]
    kept.sent(run_id, 1, 2, NOW, body("newer"))
    taken = kept.take(run_id)
    assert taken is not None
    kept.put_back(taken)
    kept.sent(run_id, 1, 2, NOW, body("newest"))
    kept.put_back(taken)
    await kept.flush()
    assert await bodies(rows, run_id) == [(1, "hello"), (2, "newest")]


async def test_long_ones_are_kept_as_well(rows, database: Database) -> None:
    run_id = await rows.run(status="in_progress", lease=1, attempt=1)
    kept = Prompts(database, 1_000_000)
    kept.sent(run_id, 1, 1, NOW, body("é and more " * 30_000))
    await kept.flush()
    (shown,) = await _listed(database, run_id, Page())
    assert (shown["messages"][0]["content"], shown["shortened"]) == ("é and more " * 30_000, False)
    assert await rows.value("SELECT octet_length(body) FROM run_prompts") < 10_000


async def test_none_is_kept_where_none_is_wanted(rows, database: Database) -> None:
    run_id = await rows.run(status="in_progress", lease=1, attempt=1)
    kept = Prompts(database, 0)
    kept.sent(run_id, 1, 1, NOW, body())
    assert kept.take(run_id) is None
    await kept.flush()
    assert await bodies(rows, run_id) == []


async def test_each_is_shown_with_the_last_step_that_came_of_it(rows, kept: Prompts, database: Database) -> None:
    run_id = await rows.run(status="in_progress", lease=1, attempt=1)
    said, _ = await rows.words(run_id, "Let me see.", "completed")
    first = await rows.step(run_id, CALLS, "completed")
    second = await rows.step(run_id, CALLS, "completed")
    for turn in (1, 2, 3):
        kept.sent(run_id, 1, turn, NOW + turn, body("x" * 20_000 if turn == 2 else f"turn {turn}"))
        await kept.flush()
    shown = await _listed(database, run_id, Page(order="asc"))
    assert [prompt["turn"] for prompt in shown] == [1, 2, 3]
    assert [prompt["step_id"] for prompt in shown] == [first, second, None]
    assert [prompt["shortened"] for prompt in shown] == [False, True, False]
    assert shown[0] == {
        "id": f"prompt_{run_id.removeprefix('run_')}_1",
        "object": "thread.run.prompt",
        "created_at": NOW + 1,
        "thread_id": await rows.value("SELECT thread_id FROM runs WHERE id = $1", run_id),
        "run_id": run_id,
        "turn": 1,
        "step_id": first,
        "shortened": False,
        "model": "m",
        "messages": [{"role": "user", "content": "turn 1"}],
    }
    assert said != first
    assert await _listed(database, run_id, Page()) == shown[::-1]
    assert await _listed(database, run_id, Page(order="asc", after=shown[0]["id"], limit=1)) == [shown[1]]
    assert await _listed(database, run_id, Page(after=shown[2]["id"], before=shown[0]["id"])) == [shown[1]]


async def _listed(database: Database, run_id: str, page: Page) -> list[Any]:
    async with database.acquire() as conn:
        thread_id = await conn.fetchval("SELECT thread_id FROM runs WHERE id = $1", run_id)
        run = await store.get(conn, PROJECT, thread_id, run_id)
        found = await prompts.list_page(conn, run, page)
    shown = [json.loads(bytes(prompt)) for prompt in found.data]
    assert [found.first_id, found.last_id] == [shown[0]["id"], shown[-1]["id"]]
    return shown


def test_a_turn_is_counted_by_the_calls_before_it() -> None:
    words, calls = Step("step_1", "message_creation", open=False), Step("step_2", "tool_calls", open=False)
    assert [turn_after(steps) for steps in ([], [words], [calls], [words, calls, calls])] == [1, 1, 2, 3]


async def test_they_are_kept_as_long_as_the_events(rows, database: Database) -> None:
    run_id = await rows.run(status="in_progress", lease=1, attempt=1)
    await rows.conn.execute(
        "INSERT INTO run_prompts SELECT $1, n, unix_now() - 60 * n, false, '{}' FROM generate_series(1, 2000) AS n",
        run_id,
    )
    await retention.prune(database, 60 * 1000 + 30)
    assert await rows.value("SELECT count(*) FROM run_prompts") == 1000
    assert await rows.value("SELECT max(turn) FROM run_prompts") == 1000


async def test_they_go_with_their_thread(rows, kept: Prompts) -> None:
    run_id = await rows.run(status="in_progress", lease=1, attempt=1)
    kept.sent(run_id, 1, 1, NOW, body())
    await kept.flush()
    await rows.conn.execute("DELETE FROM threads")
    assert await rows.value("SELECT count(*) FROM run_prompts") == 0


async def test_none_is_left_of_a_thread_that_goes_while_they_are_written(rows, database: Database) -> None:
    run_id = await rows.run(status="in_progress", lease=1, attempt=1)
    async with database.acquire() as other, other.transaction():
        await other.execute(prompts.SQL["write"], [run_id], [1], [1], [NOW], [False], [body()])
        deleting = asyncio.create_task(rows.conn.execute("DELETE FROM threads"))
        while not (deleting.done() or await _waits(other, rows.conn)):
            await asyncio.sleep(0.01)
    await deleting
    assert await rows.value("SELECT count(*) FROM run_prompts") == 0


async def _waits(conn: Any, other: Any) -> bool:
    """Say whether the other connection waits for a lock of this one."""
    return bool(await conn.fetchval("SELECT pg_backend_pid() = ANY (pg_blocking_pids($1))", other.get_server_pid()))
