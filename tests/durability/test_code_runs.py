"""Runs of code whose process dies: no sandbox outlives it, and another process ends the run."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import aiohttp
import asyncpg
import psutil
import pytest

from tests.durability.api import Follower, Run, eventually
from tests.durability.conftest import Node, StartNode
from tests.durability.documents import in_order, upload
from tests.durability.streams import Event, absorb

# Sandboxes have something to run code in before the first test asks for one.
pytestmark = [pytest.mark.long, pytest.mark.usefixtures("interpreter")]

CODE = {"type": "code_interpreter"}
PLOT = "import matplotlib.pyplot as plt\nplt.plot([1, 2])\nplt.show()"
PICTURE = "image_file"


def code(text: str) -> str:
    return "/code " + json.dumps(text)


@pytest.fixture
def shared(tmp_path: Path) -> dict[str, Any]:
    """Settings of nodes that share what they keep."""
    return {"blob_url": f"file://{tmp_path / 'blobs'}"}


async def begin(node: Node, *script: str) -> Run:
    assistant = await node.api.post("/assistants", {"model": "scripted", "tools": [CODE]})
    messages = [{"role": "user", "content": "\n".join(script)}]
    run = await node.api.post("/threads/runs", {"assistant_id": assistant["id"], "thread": {"messages": messages}})
    return Run(run["thread_id"], run["id"])


async def go_on(node: Node, earlier: Run, *script: str) -> Run:
    """Say more in a run's thread, by a node, and wait until it is answered."""
    await node.api.post(f"/threads/{earlier.thread_id}/messages", {"role": "user", "content": "\n".join(script)})
    assistant_id = (await node.api.get(earlier.path))["assistant_id"]
    run = await node.api.post(f"/threads/{earlier.thread_id}/runs", {"assistant_id": assistant_id})
    again = Run(earlier.thread_id, run["id"])
    await node.api.until(again, "completed")
    return again


def inside(node: Node) -> list[psutil.Process]:
    """The processes of a node's sandboxes: the walls, and everything in them."""
    below = psutil.Process(node.server.process.pid).children(recursive=True)
    walls = [process for process in below if process.name() == "bwrap"]
    return list({*walls, *(inner for wall in walls for inner in wall.children(recursive=True))})


def logs_of(step: Any) -> list[str]:
    return [
        "".join(output.get("logs", "") for output in call["code_interpreter"]["outputs"])
        for call in step["step_details"]["tool_calls"]
    ]


async def check(db: asyncpg.Connection, node: Node, run: Run) -> list[Event]:
    """Check that a run is completed and has left nothing open, and that its stream tells everything once."""
    ended = await node.api.until(run)
    assert ended["status"] == "completed", ended
    assert await db.fetchval("SELECT active_run_id FROM threads WHERE id = $1", run.thread_id) is None
    for table in ("steps", "messages"):
        left = f"SELECT count(*) FROM {table} WHERE thread_id = $1 AND status = 'in_progress'"
        assert await db.fetchval(left, run.thread_id) == 0
    events = await node.api.replay(run)
    assert in_order(events)
    absorb(events)
    completed = [event.data["id"] for event in events if event.name == "thread.run.step.completed"]
    assert completed == [step["id"] for step in await node.api.steps(run)]
    told = [event.data for event in events if event.name == "thread.message.completed"]
    stored = await node.api.messages(run)
    assert [(m["id"], m["content"]) for m in told] == [(m["id"], m["content"]) for m in stored]
    return events


async def test_killed_while_code_runs(
    start: StartNode, shared: dict[str, Any], db: asyncpg.Connection, session: aiohttp.ClientSession
) -> None:
    first, second = await asyncio.gather(start(**shared), start(**shared))
    # The code waits for a file that is given only to sessions which begin later.
    text = "import os, time\nprint('begun')\nwhile not os.path.exists('go.txt'):\n    time.sleep(0.01)\nprint('done')"
    run = await begin(first, code(text), "/say Done.")
    listener = Follower(run, [first.api, second.api])
    following = asyncio.create_task(listener.follow())
    begun = '"logs": "begun\\n"'
    await eventually(lambda: any(begun in json.dumps(event.data) for event in listener.events), "the code's output")
    sandboxes = inside(first)
    assert sandboxes
    resources = {"code_interpreter": {"file_ids": [await upload(session, first, "go.txt", "go")]}}
    assistant_id = (await first.api.get(run.path))["assistant_id"]
    await first.api.post(f"/assistants/{assistant_id}", {"tool_resources": resources})
    first.kill()
    _, alive = await asyncio.to_thread(psutil.wait_procs, sandboxes, 20)
    assert alive == []
    await following
    events = await check(db, second, run)
    step, _ = await second.api.steps(run)
    assert logs_of(step) == ["begun\ndone\n"]
    assert await second.api.words(run) == ["Done."]
    ends = [event.name for event in events if event.name.startswith("thread.run.step.") and "delta" not in event.name]
    assert ends.count("thread.run.step.failed") == 1, "the step that the first process began"


async def test_killed_between_a_picture_and_the_message_that_shows_it(
    start: StartNode, shared: dict[str, Any], db: asyncpg.Connection
) -> None:
    first, second = await asyncio.gather(start(**shared), start(**shared))
    run = await begin(first, code(PLOT), "/say There it is.", "/pace 2000 0")

    async def ran() -> bool:
        return any(step["status"] == "completed" for step in await second.api.steps(run))

    await eventually(ran, "the code's step")
    first.kill()
    await check(db, second, run)
    step, _ = await second.api.steps(run)
    (call,) = step["step_details"]["tool_calls"]
    (output,) = call["code_interpreter"]["outputs"]
    (message,) = await second.api.messages(run)
    picture, text = message["content"]
    assert picture == {"type": PICTURE, PICTURE: {"file_id": output["image"]["file_id"]}}
    assert text["text"]["value"] == "There it is."
    # The thread goes on in the other process, which says what is lost.
    again = await go_on(second, run, code("print('again')"), "/report")
    (report,) = await second.api.words(again)
    told = json.loads(report)["messages"][-1]["content"]
    assert "variables and imports are gone" in told
    assert told.endswith("again\n")


async def test_a_threads_next_run_goes_to_the_process_that_has_its_variables(
    start: StartNode, shared: dict[str, Any], db: asyncpg.Connection
) -> None:
    first, second = await asyncio.gather(start(**shared), start(**shared))
    run = await begin(first, code("x = 40"), "/say So be it.")
    await first.api.until(run, "completed")
    for node, expected in ((second, "41\n"), (first, "42\n"), (second, "43\n")):
        again = await go_on(node, run, code("x += 1\nprint(x)"), "/say Done.")
        step, _ = await node.api.steps(again)
        assert logs_of(step) == [expected]
    first.kill()
    # Nobody waits for the dead: the other process takes the run, and says what is lost.
    again = await go_on(second, run, code("print('x' in globals())"), "/report")
    step, _ = await second.api.steps(again)
    assert logs_of(step) == ["False\n"]
    (report,) = await second.api.words(again)
    assert "variables and imports are gone" in json.loads(report)["messages"][-1]["content"]
    holder = await db.fetchval("SELECT worker FROM code_sessions WHERE thread_id = $1", run.thread_id)
    assert f":{second.server.process.pid}:" in holder
