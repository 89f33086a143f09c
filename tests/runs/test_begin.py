"""Beginning runs from within the program: how they are carried out, and those that have nothing to answer."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import msgspec
import pytest

from assistd.assistants import store as assistants
from assistd.db.pool import Database
from assistd.errors import APIError
from assistd.jobs.store import Claim
from assistd.runs.new_run import compose
from assistd.runs.progress import Claimed
from assistd.runs.routes import Runs
from assistd.runs.store import Manner
from assistd.runs.wire import CreateRun, CreateThreadAndRun, Run
from assistd.threads.wire import CreateMessage, CreateThread
from assistd.web.endpoint import Events
from tests.runs.conftest import PROJECT, Rows
from tests.runs.library import Library, Office


class BusyWorker:
    """Has no room for another run."""

    name = "busy"

    def claim(self, kind: str) -> None:
        return None


@pytest.fixture
def library(rows: Rows) -> Library:
    return Library(rows)


@pytest.fixture
def office(database: Database) -> Office:
    return Office(database)


@pytest.fixture
def runs(database: Database, office: Office) -> Runs:
    return Runs(database, BusyWorker(), office.executor, office.streams, 600, "m")  # type: ignore[arg-type]


def begun(answer: Run | Events) -> Run:
    assert isinstance(answer, Run)
    assert answer.status == "queued"
    return answer


@pytest.mark.parametrize("manner", [Manner(), Manner(retrieval=True), Manner(include_results=True)])
async def test_a_run_is_carried_out_as_it_was_begun(library: Library, runs: Runs, manner: Manner) -> None:
    assistant, thread = await library.assistant(), await library.thread()
    await library.rows.message(thread, "user", "Hello")
    message = CreateMessage(role="user", content="Hello")
    with_thread = CreateThreadAndRun(assistant_id=assistant, thread=CreateThread(messages=[message]))
    for answer in (
        await runs.begin(PROJECT, thread, CreateRun(assistant_id=assistant), manner),
        await runs.begin_with_thread(PROJECT, with_thread, manner),
    ):
        row = await library.rows.of(begun(answer).id)
        assert Manner(row["include_results"], row["retrieval"]) == manner
        assert row["file_ids"] == "[]"


async def test_one_that_its_creator_claims_is_carried_out_likewise(library: Library, database: Database) -> None:
    assistant = await library.assistant()
    async with database.acquire() as conn:
        found = await assistants.get(conn, PROJECT, assistant)
    claim, manner = Claim("busy", timedelta(seconds=15)), Manner(retrieval=True)
    options = CreateRun(assistant_id=assistant)
    new = compose(options, found, "thread_1", now=1000.0, life=600, claim=claim, manner=manner)
    assert Claimed.new(PROJECT, new).manner == manner


async def test_with_nothing_to_answer_a_run_is_refused_unless_it_may_be_empty(
    library: Library, runs: Runs, office: Office
) -> None:
    assistant, thread = await library.assistant(), await library.thread()
    on_thread = CreateRun(assistant_id=assistant)
    with_thread = CreateThreadAndRun(assistant_id=assistant)
    before = await library.rows.value("SELECT count(*) FROM threads")
    with pytest.raises(APIError, match=r"Run creation requires a Thread with a user message") as refused:
        await runs.begin(PROJECT, thread, on_thread, Manner())
    assert refused.value.code == "invalid_thread"
    with pytest.raises(APIError, match=r"Run creation requires a Thread with a user message"):
        await runs.begin_with_thread(PROJECT, with_thread, Manner())
    assert await library.rows.value("SELECT count(*) FROM runs") == 0
    assert await library.rows.value("SELECT count(*) FROM threads") == before

    for answer in (
        await runs.begin(PROJECT, thread, on_thread, Manner(), may_be_empty=True),
        await runs.begin_with_thread(PROJECT, with_thread, Manner(), may_be_empty=True),
    ):
        run = begun(answer)
        model = await office.execute(run.id, "Hello! How can I help you?")
        (told,) = model.asked[0].messages
        assert told["content"]
        assert (await library.rows.of(run.id))["status"] == "completed"
        content: Any = msgspec.json.decode(
            await library.rows.value("SELECT content FROM messages WHERE run_id = $1", run.id)
        )
        assert content[0]["text"]["value"] == "Hello! How can I help you?"
    # What is there is not made up for.
    thread = await library.thread()
    await library.rows.message(thread, "assistant", "Welcome.")
    run = begun(await runs.begin(PROJECT, thread, on_thread, Manner(), may_be_empty=True))
    assert (await office.execute(run.id, "Hello!")).asked[0].messages == [{"role": "assistant", "content": "Welcome."}]
