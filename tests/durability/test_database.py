"""PostgreSQL goes away under runs, and comes back."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import asyncpg
import pytest

from assistd.db import cluster, migrate
from assistd.db.embedded import EmbeddedServer
from assistd.llm.scripted import ScriptedModel
from tests.durability.api import Api, Follower, Refused, Run, eventually
from tests.durability.conftest import Node, StartNode, check_settled
from tests.durability.streams import judge
from tests.support.trouble import STATES, trouble

TALK = ("/tokens 30", "/pace 0 60")
SAID = " ".join(f"w{number}" for number in range(30))


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder that PostgreSQL's system user may enter, which pytest's own does not let through."""
    made = Path(tempfile.mkdtemp(prefix="assistd-durability-"))
    yield made
    cluster.Cluster(made / "postgres").stop()
    shutil.rmtree(made)


@pytest.fixture
async def own(folder: Path) -> AsyncIterator[EmbeddedServer]:
    """A PostgreSQL of the test's own, migrated, that nobody starts again but the test."""
    server = EmbeddedServer(folder)
    dsn = await asyncio.to_thread(server.enter)
    conn = await asyncpg.connect(dsn)
    await migrate.migrate(conn)
    await conn.close()
    yield server
    await asyncio.to_thread(server.leave)


class Company:
    """Runs in every state that a run can be found in, and what becomes of them."""

    def __init__(self, api: Api) -> None:
        self.api = api

    async def begin(self) -> None:
        api = self.api
        self.talking = [await api.begin(*TALK) for _ in range(3)]
        self.calling = await api.begin("/call look_up {}")
        self.retrying = await api.begin("/fail 503 x1 retry-after=1 Overloaded.", "/say at last")
        self.followers = [Follower(run, [api]) for run in self.talking]
        self.following = asyncio.gather(*(follower.follow() for follower in self.followers))
        await api.until(self.calling, "requires_action")
        await eventually(lambda: all(follower.heard("thread.message.delta") >= 3 for follower in self.followers))

    async def end(self, dsn: str) -> None:
        api = self.api
        await self.following
        await api.submit(self.calling)
        conn = await asyncpg.connect(dsn)
        said = dict.fromkeys(self.talking, SAID) | {self.calling: "RESULT: 42", self.retrying: "at last"}
        for run, words in said.items():
            assert (await api.until(run))["status"] == "completed"
            await check_settled(conn, api, run)
            assert await api.words(run) == [words]
        for follower in self.followers:
            judge(follower.events, more_was_said=True)
            logged = {event.id for event in await api.replay(follower.run)}
            assert logged <= {event.id for event in follower.events}
        await conn.close()


async def test_postgres_is_stopped_and_started_under_runs(own: EmbeddedServer, start: StartNode) -> None:
    running = own.cluster.running()
    assert running is not None
    dsn = cluster.dsn(running)
    node = await start(database_url=dsn)
    for how in (signal.SIGINT, signal.SIGQUIT):  # what `pg_ctl stop` sends with `-m fast` and `-m immediate`
        company = Company(node.api)
        await company.begin()
        server = own.cluster.running()
        assert server is not None
        os.kill(server.pid, how)
        await eventually(lambda: own.cluster.running() is None, "the end of PostgreSQL")
        await _unready(node)
        await asyncio.to_thread(own.cluster.start)
        await company.end(dsn)


async def _unready(node: Node) -> None:
    """Wait until a node has noticed that it has no database, in all its parts."""
    for words in ("connection for notifications is lost", "leases not renewed", "events not written yet"):
        await node.says(words)


async def test_the_embedded_postgres_dies_under_runs(folder: Path, start: StartNode, model: ScriptedModel) -> None:
    node = await start(data_dir=folder)
    company = Company(node.api)
    await company.begin()
    embedded = cluster.Cluster(folder / "postgres")
    server = embedded.running()
    assert server is not None
    os.kill(server.pid, signal.SIGKILL)
    await node.says("started again")
    server = embedded.running()
    assert server is not None
    await company.end(cluster.dsn(server))


async def test_the_model_answers_while_postgres_is_away(own: EmbeddedServer, start: StartNode) -> None:
    """The end of an answer comes while it cannot be written: the answer is made again, and stands once."""
    running = own.cluster.running()
    assert running is not None
    dsn = cluster.dsn(running)
    node = await start(database_url=dsn)
    run: Run = await node.api.begin("/tokens 4", "/pace 0 300")
    follower = Follower(run, [node.api])
    following = asyncio.create_task(follower.follow())
    await eventually(lambda: follower.heard("thread.message.delta"))
    await asyncio.to_thread(own.cluster.stop)
    await node.says("job interrupted")
    await asyncio.to_thread(own.cluster.start)
    await following
    judge(follower.events, more_was_said=True)
    conn = await asyncpg.connect(dsn)
    assert (await node.api.until(run))["status"] == "completed"
    await check_settled(conn, node.api, run)
    assert await node.api.words(run) == ["w0 w1 w2 w3"]
    await conn.close()


async def test_a_request_hears_that_it_is_the_database(db: asyncpg.Connection, start: StartNode) -> None:
    node = await start()
    await db.execute(trouble("threads", "INSERT", *STATES))
    for _ in STATES:
        with pytest.raises(Refused) as refused:
            await node.api.post("/threads")
        assert refused.value.status == 503
        assert refused.value.message.endswith(" Please try again soon.")
    assert (await node.api.post("/threads"))["object"] == "thread"
    assert "request failed" not in node.server.log
