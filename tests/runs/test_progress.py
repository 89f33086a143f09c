"""What an executor writes happens as a whole, under its lease and from the expected status, or not at all."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import asyncpg
import pytest

from assistd.db.pool import set_codecs
from assistd.llm.protocol import Usage
from assistd.runs import progress
from assistd.runs.frames import Scribe
from assistd.runs.machine import IllegalTransition, Status
from assistd.runs.progress import Change, CloseMessage, CloseStep, OpenStep
from assistd.runs.wire import LastError


@pytest.fixture
async def writer(database_url: str) -> AsyncIterator[asyncpg.Connection]:
    """A connection as the program's own are."""
    conn = await asyncpg.connect(database_url)
    await set_codecs(conn)
    yield conn
    await conn.close()


NOW = 1_800_000_000
OPEN = OpenStep("step_a", "message_creation", {"type": "message_creation"}, "msg_a")


def change(old: Status, new: Status, **parts: Any) -> Change:
    return Change(old=old, new=new, at=NOW, **parts)


def said(run_id: str, lease: int, number: int = 0) -> Any:
    scribe = Scribe(run_id, lease, number)
    scribe.event("thread.run.in_progress", {"id": run_id})
    return scribe.take()


FINISH = change(
    Status.IN_PROGRESS,
    Status.COMPLETED,
    usage=Usage(10, 5, 2, 1),
    close_step=CloseStep("step_a", "completed", {"type": "message_creation"}, Usage(10, 5, 2, 1)),
    close_message=CloseMessage("msg_a", [{"type": "text", "text": {"value": "hi", "annotations": []}}]),
)


async def test_an_answer_and_the_end_of_its_run_are_one(rows, writer) -> None:
    run_id = await rows.run(status="in_progress", lease=3, attempt=3)
    opened = change(Status.IN_PROGRESS, Status.IN_PROGRESS, open_step=OPEN)
    assert await progress.write(writer, run_id, 3, opened, said(run_id, 3))
    assert await rows.value("SELECT status FROM messages WHERE id = 'msg_a'") == "in_progress"
    assert await progress.write(writer, run_id, 3, FINISH, said(run_id, 3, 1))
    run = await rows.of(run_id)
    assert (run["status"], run["completed_at"], run["prompt_tokens"], run["reasoning_tokens"]) == (
        "completed",
        NOW,
        10,
        1,
    )
    message = await rows.conn.fetchrow("SELECT * FROM messages WHERE id = 'msg_a'")
    assert (message["status"], message["completed_at"], message["incomplete_at"]) == ("completed", NOW, None)
    assert json.loads(message["content"])[0]["text"]["value"] == "hi"
    step = await rows.conn.fetchrow("SELECT * FROM steps WHERE id = 'step_a'")
    assert (step["status"], step["completed_at"], step["completion_tokens"]) == ("completed", NOW, 5)
    assert await rows.job(run_id) is None
    assert await rows.value("SELECT active_run_id FROM threads WHERE id = $1", run["thread_id"]) is None
    assert await rows.value("SELECT sum(last_number - first_number + 1) FROM run_events WHERE run_id = $1", run_id) == 2


@pytest.mark.parametrize("lease", [2, 4])
async def test_under_another_lease_nothing_is_written(rows, writer, lease: int) -> None:
    run_id = await rows.run(status="in_progress", lease=3, attempt=3)
    before = await rows.everything(run_id)
    for attempt in (
        change(Status.IN_PROGRESS, Status.IN_PROGRESS, open_step=OPEN),
        FINISH,
        change(Status.IN_PROGRESS, Status.REQUIRES_ACTION, required_action={"type": "submit_tool_outputs"}),
        change(Status.IN_PROGRESS, Status.FAILED, last_error=LastError("server_error", "no")),
        change(Status.IN_PROGRESS, Status.IN_PROGRESS, discard_step="step_a", discard_message="msg_a"),
    ):
        assert not await progress.write(writer, run_id, lease, attempt, said(run_id, lease))
    assert await rows.everything(run_id) == before


async def test_from_another_status_nothing_is_written(rows, writer) -> None:
    run_id = await rows.run(status="cancelling", lease=3, attempt=3)
    before = await rows.everything(run_id)
    assert not await progress.write(writer, run_id, 3, FINISH, said(run_id, 3))
    assert await rows.everything(run_id) == before
    cancelled = change(Status.CANCELLING, Status.CANCELLED)
    assert await progress.write(writer, run_id, 3, cancelled, None)
    assert (await rows.of(run_id))["cancelled_at"] == NOW


async def test_what_the_table_forbids_is_not_tried(rows, writer) -> None:
    run_id = await rows.run(status="in_progress", lease=3, attempt=3)
    with pytest.raises(IllegalTransition):
        await progress.write(writer, run_id, 3, change(Status.COMPLETED, Status.IN_PROGRESS), None)
    with pytest.raises(IllegalTransition):
        await progress.write(writer, run_id, 3, change(Status.QUEUED, Status.COMPLETED), None)


async def test_a_run_that_waits_for_its_client_has_a_job_due_at_its_end(rows, writer) -> None:
    run_id = await rows.run(status="in_progress", lease=3, attempt=3, life=500)
    waits = change(Status.IN_PROGRESS, Status.REQUIRES_ACTION, required_action={"type": "submit_tool_outputs"})
    assert await progress.write(writer, run_id, 3, waits, None)
    job = await rows.job(run_id)
    assert job["worker"] is None
    assert 490 < job["seconds"] <= 500


async def test_a_claim_voids_the_one_before(rows, writer) -> None:
    run_id = await rows.run(status="in_progress", lease=3, attempt=3)
    await rows.events(run_id, 3, 1, "event: a\ndata: {}\nid: 3-1\n\n", "event: b\ndata: {}\nid: 3-2\n\n")
    assert await progress.claim(writer, run_id, 3) is None
    claimed = await progress.claim(writer, run_id, 4)
    assert claimed is not None
    assert (claimed.lease, claimed.last_number, claimed.run.status) == (4, 2, "in_progress")
    assert await progress.reload(writer, run_id, 3) is None
    assert await progress.status(writer, run_id, 3) is None
    assert await progress.status(writer, run_id, 4) == "in_progress"
    assert not await progress.write(writer, run_id, 3, FINISH, None)


async def test_an_open_step_is_found_by_the_next_claim(rows, writer) -> None:
    run_id = await rows.run(status="in_progress", lease=1, attempt=1)
    step, message = await rows.words(run_id)
    claimed = await progress.claim(writer, run_id, 2)
    assert claimed is not None
    assert [row["id"] for row in claimed.steps] == [step]
    taken_back = change(Status.IN_PROGRESS, Status.IN_PROGRESS, discard_step=step, discard_message=message)
    assert await progress.write(writer, run_id, 2, taken_back, None)
    assert await rows.value("SELECT count(*) FROM messages WHERE run_id = $1", run_id) == 0
    assert await rows.value("SELECT count(*) FROM steps WHERE run_id = $1", run_id) == 0
