"""Nodes that a test may kill, stop and pause: real processes on one database, and a model that outlives them all."""

from __future__ import annotations

import asyncio
import itertools
import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import aiohttp
import asyncpg
import pytest

from assistd.llm.scripted import ScriptedModel, scripted_model
from tests.durability.api import Api, Run, eventually
from tests.durability.streams import Event, judge
from tests.support.server import Server, serve


class Node:
    """One process of assistd, and its API."""

    def __init__(self, server: Server, session: aiohttp.ClientSession) -> None:
        self.server = server
        self.api = Api(session, server.url)

    def kill(self) -> None:
        """End it as a power cut would."""
        self.server.kill()

    def pause(self) -> None:
        """Stop its clock, as a suspended machine does."""
        self.server.send(signal.SIGSTOP)

    def wake(self) -> None:
        self.server.send(signal.SIGCONT)

    async def stop(self) -> None:
        """End it in order, as its operator would."""
        assert await asyncio.to_thread(self.server.stop) == 0

    async def says(self, words: str) -> None:
        """Wait until its log has these words."""
        await eventually(lambda: words in self.server.log, f"{words!r} in the log")


StartNode = Callable[..., Awaitable[Node]]


@pytest.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    connector = aiohttp.TCPConnector(limit=0, force_close=True)
    async with aiohttp.ClientSession(connector=connector, timeout=aiohttp.ClientTimeout(total=60)) as opened:
        yield opened


@pytest.fixture
async def model() -> AsyncIterator[ScriptedModel]:
    """The scripted model, here in the test's own process: it tells what it was asked and what it is busy with."""
    async with scripted_model() as scripted:
        yield scripted


@pytest.fixture
async def start(
    tmp_path: Path, session: aiohttp.ClientSession, model: ScriptedModel, request: pytest.FixtureRequest
) -> AsyncIterator[StartNode]:
    """Start a node: `start(lease_seconds=60)`. All on one database, with a lease of a second."""
    numbers = itertools.count()
    with ExitStack() as stack:

        async def start(command: str = "serve", **settings: Any) -> Node:
            chosen = {"lease_seconds": 1, "model_base_url": model.base_url, **settings}
            if "database_url" not in chosen and "data_dir" not in chosen:
                chosen["database_url"] = request.getfixturevalue("database_url")
            folder = tmp_path / f"node{next(numbers)}"
            running = serve(folder, command=command, **chosen)
            return Node(await asyncio.to_thread(stack.enter_context, running), session)

        yield start


@pytest.fixture
async def db(database_url: str) -> AsyncIterator[asyncpg.Connection]:
    """A connection of the test's own."""
    conn = await asyncpg.connect(database_url)
    yield conn
    await conn.close()


@pytest.fixture
def settled(db: asyncpg.Connection) -> Callable[[Api, Run, str], Awaitable[list[Event]]]:
    """Check what every run must leave behind: `await settled(api, run, "completed")` returns its whole stream."""

    async def check(api: Api, run: Run, status: str) -> list[Event]:
        ended = await api.until(run)
        assert ended["status"] == status, ended
        return await check_settled(db, api, run)

    return check


async def check_settled(db: asyncpg.Connection, api: Api, run: Run) -> list[Event]:
    """Check that an ended run left nothing open, that its thread is free, and that its stream is a legal one."""
    assert await db.fetchval("SELECT count(*) FROM jobs WHERE kind = 'run' AND key = $1", run.id) == 0
    assert await db.fetchval("SELECT active_run_id FROM threads WHERE id = $1", run.thread_id) is None
    open_steps = await db.fetch("SELECT * FROM steps WHERE run_id = $1 AND status = 'in_progress'", run.id)
    open_messages = await db.fetch(
        "SELECT * FROM messages WHERE thread_id = $1 AND status = 'in_progress'", run.thread_id
    )
    assert not open_steps
    assert not open_messages
    events = await api.replay(run)
    judge(events)
    # What the stream says stands, stands: each message once, with the words that were told.
    told = {e.data["id"]: e.data["content"] for e in events if e.name == "thread.message.completed"}
    stored = {m["id"]: m["content"] for m in await api.messages(run) if m["status"] == "completed"}
    assert stored.items() <= told.items()
    again = await api.begin("/say once more", thread=run.thread_id)
    assert (await api.until(again))["status"] == "completed"
    return events
