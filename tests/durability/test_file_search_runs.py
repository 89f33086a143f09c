"""Runs that search files, whose process dies or whose embeddings do not come."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import aiohttp
import asyncpg
import pytest

from assistd.llm.scripted import ScriptedModel
from tests.durability.api import Api, Follower, Run, eventually
from tests.durability.conftest import Node, StartNode
from tests.durability.documents import (
    EMBEDDING,
    HeldEmbeddings,
    held_embeddings,
    in_order,
    new_store,
    until_read,
    upload,
    write_routes,
)
from tests.durability.streams import Event, absorb

pytestmark = pytest.mark.long

SEARCH = {"type": "file_search"}
FOODS = "Filip Carola's favorite food is cake. Ana likes plums."
FIND = '/call file_search {"query": "What is the favorite food of Filip Carola?"}'
MARKER = "【0:0†foods.txt】"
ANSWER = f"Filip likes cake{MARKER}."
ENDS = {"completed", "failed", "cancelled", "expired"}
Settings = dict[str, Any]


@pytest.fixture
async def embeddings() -> AsyncIterator[HeldEmbeddings]:
    async with held_embeddings() as server:
        yield server


@pytest.fixture
def routed(tmp_path: Path, model: ScriptedModel, embeddings: HeldEmbeddings) -> Settings:
    """Settings by which stores embed with a model that can be held back. All nodes have one folder, for the blobs."""
    routes = write_routes(tmp_path / "models.toml", model.base_url, embeddings.base_url)
    return {"models_file": routes, "embedding_model": EMBEDDING, "blob_url": f"file://{tmp_path / 'blobs'}"}


class Library:
    """A node's assistant that searches a file."""

    def __init__(self, node: Node, file_id: str, store_id: str, assistant_id: str) -> None:
        self.node = node
        self.file_id = file_id
        self.store_id = store_id
        self.assistant_id = assistant_id

    async def begin(self, *script: str, **thread: Any) -> Run:
        message = {"role": "user", "content": "\n".join(script)}
        body = {"assistant_id": self.assistant_id, "thread": {"messages": [message], **thread}}
        run = await self.node.api.post("/threads/runs", body)
        return Run(run["thread_id"], run["id"])


async def library(session: aiohttp.ClientSession, node: Node) -> Library:
    file_id = await upload(session, node, "foods.txt", FOODS)
    store_id = await new_store(node.api, file_id)
    assert (await until_read(node.api, store_id))["file_counts"]["completed"] == 1
    resources = {"file_search": {"vector_store_ids": [store_id]}}
    assistant = await node.api.post(
        "/assistants", {"model": "scripted", "tools": [SEARCH], "tool_resources": resources}
    )
    return Library(node, file_id, store_id, assistant["id"])


async def check_run(db: asyncpg.Connection, api: Api, run: Run, file_id: str, turns: int = 1) -> list[Event]:
    """Check that a run is completed, with one step and one search for each turn, and an answer that cites the file.

    Returns the events of its log, in which each object is created once, ends once, and nothing is told twice.
    """
    ended = await api.until(run)
    assert ended["status"] == "completed", ended
    steps = await api.steps(run)
    assert [step["type"] for step in steps] == ["tool_calls"] * turns + ["message_creation"]
    assert {step["status"] for step in steps} == {"completed"}
    for step in steps[:-1]:
        (call,) = step["step_details"]["tool_calls"]
        assert call["file_search"]["results"][0]["file_id"] == file_id
    (message,) = await api.messages(run)
    text = message["content"][0]["text"]
    assert text["value"] == ANSWER
    (cited,) = text["annotations"]
    assert cited["file_citation"]["file_id"] == file_id
    assert text["value"][cited["start_index"] : cited["end_index"]] == cited["text"] == MARKER
    await check_left(db, run)
    events = await api.replay(run)
    check_stream(events)
    told = [event.data for event in events if event.name == "thread.message.completed"]
    assert [(shown["id"], shown["content"]) for shown in told] == [(message["id"], message["content"])]
    completed = [event.data["id"] for event in events if event.name == "thread.run.step.completed"]
    assert completed == [step["id"] for step in steps]
    return events


async def check_left(db: asyncpg.Connection, run: Run) -> None:
    """Check that an ended run has left nothing open, and its thread free."""
    assert await db.fetchval("SELECT count(*) FROM jobs WHERE kind = 'run'") == 0
    assert await db.fetchval("SELECT active_run_id FROM threads WHERE id = $1", run.thread_id) is None
    for table in ("steps", "messages"):
        left = f"SELECT count(*) FROM {table} WHERE thread_id = $1 AND status = 'in_progress'"
        assert await db.fetchval(left, run.thread_id) == 0


def check_stream(events: Sequence[Event]) -> None:
    """Check that a stream tells everything once: ids that grow, and every object from its creation to one end."""
    assert events[-1].name == "done"
    assert in_order(events)
    assert [event.name for event in events].count("thread.run.created") == 1
    for kind in ("thread.run.step", "thread.message"):
        of_kind = [event for event in events if event.name.rpartition(".")[0] == kind]
        created = [event.data["id"] for event in of_kind if event.name.endswith(".created")]
        ended = [event.data["id"] for event in of_kind if event.name.rpartition(".")[2] in ENDS | {"incomplete"}]
        assert len(created) == len(set(created))
        assert sorted(ended) == sorted(created)
    absorb(events)


# --- killed


async def test_killed_while_the_query_is_embedded(
    start: StartNode, routed: Settings, embeddings: HeldEmbeddings, session: aiohttp.ClientSession, db: Any
) -> None:
    first, second = await asyncio.gather(start(**routed), start(**routed))
    books = await library(session, first)
    embeddings.hold()
    run = await books.begin(FIND, f"/say {ANSWER}")
    follower = Follower(run, [first.api, second.api])
    following = asyncio.create_task(follower.follow())
    await embeddings.until_waiting(1)
    # The call was told; it is not committed before its results are.
    await eventually(lambda: follower.heard("thread.run.step.created"), "the step")
    first.kill()
    await eventually(lambda: len(embeddings.asked) >= 3, "the query of whoever took over")
    embeddings.answer()
    events = await check_run(db, second.api, run, books.file_id)
    assert [event.name for event in events].count("thread.run.step.created") == 3  # one was taken back
    await following
    check_stream(follower.events)
    assert {event.id for event in events} <= {event.id for event in follower.events}


@pytest.mark.parametrize("pace", ["/pace 300 0", "/pace 300 300"])
async def test_killed_between_the_search_and_the_answer(
    start: StartNode,
    routed: Settings,
    embeddings: HeldEmbeddings,
    model: ScriptedModel,
    session: aiohttp.ClientSession,
    db: Any,
    pace: str,
) -> None:
    """Before the first word of the answer, and in the middle of it: the search is made once, and is still cited."""
    first, second = await asyncio.gather(start(**routed), start(**routed))
    books = await library(session, first)
    asked = len(embeddings.asked)
    run = await books.begin(FIND, f"/say {ANSWER}", pace)
    follower = Follower(run, [second.api])
    following = asyncio.create_task(follower.follow())
    begun = "thread.run.step.completed" if pace.endswith(" 0") else "thread.message.delta"
    await eventually(lambda: follower.heard(begun), begun)
    first.kill()
    events = await check_run(db, second.api, run, books.file_id)
    assert len(embeddings.asked) == asked + 1
    await following
    assert follower.events == events
    assert [event.name for event in events].count("thread.run.step.completed") == 2


async def test_killed_between_two_searches(
    start: StartNode, routed: Settings, embeddings: HeldEmbeddings, session: aiohttp.ClientSession, db: Any
) -> None:
    first, second = await asyncio.gather(start(**routed), start(**routed))
    books = await library(session, first)
    asked = len(embeddings.asked)
    run = await books.begin(FIND, "/rounds 3", f"/say {ANSWER}", "/pace 200 0")
    follower = Follower(run, [second.api])
    following = asyncio.create_task(follower.follow())
    await eventually(lambda: follower.heard("thread.run.step.completed"), "the first search")
    first.kill()
    await check_run(db, second.api, run, books.file_id, turns=3)
    await following
    assert len(embeddings.asked) <= asked + 4  # the one that was cut is made again
    # Its searches are numbered on, so that each can be cited.
    numbers = [row["last_search"] for row in await db.fetch("SELECT last_search FROM steps ORDER BY seq")]
    assert numbers[:3] == [0, 1, 2]


async def test_stopped_while_the_query_is_embedded(
    start: StartNode, routed: Settings, embeddings: HeldEmbeddings, session: aiohttp.ClientSession, db: Any
) -> None:
    leaving, staying = await asyncio.gather(start(lease_seconds=600, **routed), start(lease_seconds=600, **routed))
    books = await library(session, leaving)
    embeddings.hold()
    run = await books.begin(FIND, f"/say {ANSWER}")
    await embeddings.until_waiting(1)
    await leaving.stop()
    await eventually(lambda: len(embeddings.asked) >= 3, "the query of whoever took over")
    embeddings.answer()
    await check_run(db, staying.api, run, books.file_id)


async def test_cancelled_while_the_query_is_embedded(
    start: StartNode, routed: Settings, embeddings: HeldEmbeddings, session: aiohttp.ClientSession, db: Any
) -> None:
    node = await start(**routed)
    books = await library(session, node)
    embeddings.hold()
    run = await books.begin(FIND, f"/say {ANSWER}")
    await embeddings.until_waiting(1)
    await node.api.cancel(run)
    assert (await node.api.until(run))["status"] == "cancelled"
    await embeddings.until_waiting(0)
    assert [step["status"] for step in await node.api.steps(run)] == ["cancelled"]
    await check_left(db, run)
    check_stream(await node.api.replay(run))
    assert '"level": "error"' not in node.server.log


async def test_a_process_that_slept_past_its_lease_says_nothing(
    start: StartNode, routed: Settings, embeddings: HeldEmbeddings, session: aiohttp.ClientSession, db: Any
) -> None:
    sleeper, other = await asyncio.gather(start(**routed), start(**routed))
    books = await library(session, sleeper)
    embeddings.hold()
    run = await books.begin(FIND, f"/say {ANSWER}")
    await embeddings.until_waiting(1)
    sleeper.pause()
    await embeddings.until_waiting(2)
    embeddings.answer()
    events = await check_run(db, other.api, run, books.file_id)
    sleeper.wake()
    await sleeper.says("taken over by another worker")
    assert await check_run(db, sleeper.api, run, books.file_id) == events


# --- embeddings that do not come


async def test_without_embeddings_the_run_fails_and_says_why(
    start: StartNode, routed: Settings, session: aiohttp.ClientSession, db: Any, tmp_path: Path, model: ScriptedModel
) -> None:
    async with held_embeddings() as server:
        port = int(server.base_url.rpartition(":")[2].removesuffix("/v1"))
        write_routes(tmp_path / "models.toml", model.base_url, server.base_url)
        node = await start(**routed)
        books = await library(session, node)
    run = await books.begin(FIND, f"/say {ANSWER}")
    ended = await node.api.until(run)
    assert (ended["status"], ended["last_error"]["code"]) == ("failed", "server_error")
    assert "cannot be reached" in ended["last_error"]["message"]
    assert ended["last_error"]["message"].startswith("File search failed: ")
    assert ended["failed_at"] - ended["created_at"] < 60
    (step,) = await node.api.steps(run)
    assert (step["type"], step["status"]) == ("tool_calls", "failed")
    assert step["last_error"]["message"] == ended["last_error"]["message"]
    await check_left(db, run)
    events = await node.api.replay(run)
    check_stream(events)
    assert [event.name for event in events[-3:]] == ["thread.run.step.failed", "thread.run.failed", "done"]
    # The thread is not lost: with the server there again, it goes on.
    async with held_embeddings(port):
        body = {"assistant_id": books.assistant_id, "additional_messages": [_user(FIND, f"/say {ANSWER}")]}
        again = await node.api.post(f"/threads/{run.thread_id}/runs", body)
        await check_run(db, node.api, Run(run.thread_id, again["id"]), books.file_id)


def _user(*script: str) -> dict[str, str]:
    return {"role": "user", "content": "\n".join(script)}


# --- files that are not there yet, or no more


async def test_killed_while_a_run_waits_for_the_files_of_its_thread(
    start: StartNode, routed: Settings, embeddings: HeldEmbeddings, session: aiohttp.ClientSession, db: Any
) -> None:
    first, second = await asyncio.gather(start(**routed), start(**routed))
    file_id = await upload(session, first, "foods.txt", FOODS)
    assistant = await first.api.post("/assistants", {"model": "scripted", "tools": [SEARCH]})
    embeddings.hold()
    message = _user(FIND, f"/say {ANSWER}") | {"attachments": [{"file_id": file_id, "tools": [SEARCH]}]}
    body = {"assistant_id": assistant["id"], "thread": {"messages": [message]}}
    made = await first.api.post("/threads/runs", body)
    run = Run(made["thread_id"], made["id"])
    await embeddings.until_waiting(1)
    await first.api.until(run, "in_progress")
    first.kill()
    await eventually(lambda: db.fetchval("SELECT lease > 1 FROM runs"), "whoever took over")
    await embeddings.until_waiting(1)
    assert (await second.api.get(run.path))["status"] == "in_progress"
    embeddings.answer()
    await check_run(db, second.api, run, file_id)


async def test_files_that_take_longer_than_the_wait(
    start: StartNode, routed: Settings, embeddings: HeldEmbeddings, session: aiohttp.ClientSession, db: Any
) -> None:
    """A run that began long ago waits no more: it searches what there is."""
    node = await start(run_expires_seconds=600, **routed)
    file_id = await upload(session, node, "foods.txt", FOODS)
    assistant = await node.api.post("/assistants", {"model": "scripted", "tools": [SEARCH]})
    embeddings.hold()
    message = _user(FIND) | {"attachments": [{"file_id": file_id, "tools": [SEARCH]}]}
    body = {"assistant_id": assistant["id"], "thread": {"messages": [message]}}
    made = await node.api.post("/threads/runs", body)
    run = Run(made["thread_id"], made["id"])
    await node.api.until(run, "in_progress")
    node.kill()
    # Whoever takes over goes on waiting where this one was, not anew: it was there for a minute.
    await db.execute("UPDATE runs SET started_at = started_at - 60")
    node = await start(run_expires_seconds=600, **routed)
    assert (await node.api.until(run))["status"] == "completed"
    (step, _) = await node.api.steps(run)
    assert step["step_details"]["tool_calls"][0]["file_search"]["results"] == []
    (message,) = await node.api.messages(run)
    assert message["content"][0]["text"] == {
        "value": "RESULT: No passage in the files fits this query.\n\n"
        "These files of the user could not be searched:\n- foods.txt: It is still being read.",
        "annotations": [],
    }
    embeddings.answer()
    await check_left(db, run)


async def test_a_thread_whose_store_has_expired(
    start: StartNode, routed: Settings, session: aiohttp.ClientSession, db: Any
) -> None:
    node = await start(**routed)
    file_id = await upload(session, node, "foods.txt", FOODS)
    assistant = await node.api.post("/assistants", {"model": "scripted", "tools": [SEARCH]})
    message = _user(FIND, f"/say {ANSWER}") | {"attachments": [{"file_id": file_id, "tools": [SEARCH]}]}
    thread = await node.api.post("/threads", {"messages": [message]})
    (store_id,) = thread["tool_resources"]["file_search"]["vector_store_ids"]
    body = {"assistant_id": assistant["id"]}
    made = await node.api.post(f"/threads/{thread['id']}/runs", body)
    await check_run(db, node.api, Run(thread["id"], made["id"]), file_id)
    await db.execute("UPDATE vector_stores SET last_active_at = last_active_at - 8 * 86400 WHERE id = $1", store_id)
    made = await node.api.post(f"/threads/{thread['id']}/runs", body)
    run = Run(thread["id"], made["id"])
    ended = await node.api.until(run)
    assert (ended["status"], ended["last_error"]["code"]) == ("failed", "server_error")
    assert ended["last_error"]["message"] == f"Vector store {store_id} is expired"
    assert await node.api.steps(run) == []
    check_stream(await node.api.replay(run))
    await check_left(db, run)
    assert (await node.api.get(f"/vector_stores/{store_id}"))["status"] == "expired"


async def test_the_store_is_deleted_while_the_query_is_embedded(
    start: StartNode, routed: Settings, embeddings: HeldEmbeddings, session: aiohttp.ClientSession, db: Any
) -> None:
    node = await start(**routed)
    books = await library(session, node)
    embeddings.hold()
    run = await books.begin(FIND, "/say all the same")
    await embeddings.until_waiting(1)
    await node.api.call("DELETE", f"/vector_stores/{books.store_id}")
    embeddings.answer()
    ended = await node.api.until(run)
    if ended["status"] == "failed":
        assert ended["last_error"]["message"].startswith("File search failed: ")
    else:
        assert ended["status"] == "completed", ended
    check_stream(await node.api.replay(run))
    await check_left(db, run)
    assert '"level": "error"' not in node.server.log


async def test_a_store_that_is_deleted_while_a_run_waits_for_its_files(
    start: StartNode, routed: Settings, embeddings: HeldEmbeddings, session: aiohttp.ClientSession, db: Any
) -> None:
    node = await start(**routed)
    file_id = await upload(session, node, "foods.txt", FOODS)
    assistant = await node.api.post("/assistants", {"model": "scripted", "tools": [SEARCH]})
    embeddings.hold()
    message = _user(FIND) | {"attachments": [{"file_id": file_id, "tools": [SEARCH]}]}
    made = await node.api.post("/threads/runs", {"assistant_id": assistant["id"], "thread": {"messages": [message]}})
    run = Run(made["thread_id"], made["id"])
    await node.api.until(run, "in_progress")
    thread = await node.api.get(f"/threads/{run.thread_id}")
    (store_id,) = thread["tool_resources"]["file_search"]["vector_store_ids"]
    await node.api.call("DELETE", f"/vector_stores/{store_id}")
    assert (await node.api.until(run))["status"] == "completed"
    (message,) = await node.api.messages(run)
    assert message["content"][0]["text"]["value"] == "RESULT: No files have been given to search in."
    embeddings.answer()
    await check_left(db, run)
