"""The whole of it: nodes, clients and faults, and the reckoning in the end."""

from __future__ import annotations

import asyncio
import random
import shutil
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from assistd.db.pool import Database, open_pool
from assistd.files.blobs import open_blobs
from assistd.files.sweeper import sweep
from assistd.llm.scripted import scripted_model
from tests.chaos import evidence, invariants
from tests.chaos.clients import Client, Doors, GaveUp, open_doors
from tests.chaos.conversations import Assistants, Person
from tests.chaos.faults import Faults
from tests.chaos.history import Asked, Found, History, Violation
from tests.chaos.library import Librarian
from tests.chaos.nodes import Node, Nodes
from tests.chaos.nursery import Nursery
from tests.chaos.postgres import Postgres
from tests.chaos.proxy import Proxy
from tests.durability.api import FUNCTION
from tests.durability.documents import passages_of

_LEASE_SECONDS = 2
_PATIENCE = 180.0
FOODS = "Filip Carola's favorite food is cake. Ana likes plums."


@dataclass(frozen=True)
class Options:
    """How much of it: nodes are killed `kills` times, one every `pace` seconds, while `people` work."""

    kills: int
    seed: str
    pace: float = 1.0
    nodes: int = 3
    people: int = 12
    librarians: int = 1


class Chaos:
    """One run of the whole. `report` is called with a line now and then."""

    def __init__(self, options: Options, report: Callable[[str], None]) -> None:
        self.history = History()
        self.folder = Path(tempfile.mkdtemp(prefix="assistd-chaos-"))
        self._options = options
        self._report = report
        self._working = True

    async def run(self) -> None:
        """Do it all. What does not hold is in `history.violations`; the folder stays where there is any of it."""
        begin = time.monotonic()
        postgres = Postgres(self.folder)
        try:
            await postgres.create()
            async with scripted_model() as model, self._nodes(postgres, model.base_url) as nodes, open_doors() as doors:
                async with asyncio.timeout(_PATIENCE):
                    await nodes.until_serving(self._options.nodes)
                await self._work(nodes, postgres, doors, begin)
            await self._reckon(postgres)
        finally:
            await postgres.stop()
            if not self.history.violations:
                shutil.rmtree(self.folder, ignore_errors=True)
        self.history.counts["seconds"] = round(time.monotonic() - begin)

    @asynccontextmanager
    async def _nodes(self, postgres: Postgres, model_url: str) -> AsyncIterator[Nodes]:
        """Keep the nodes running inside the block."""
        nursery, nodes = Nursery(), []
        await nursery.open()
        for number in range(self._options.nodes):
            proxy = Proxy(postgres.socket)
            await proxy.open()
            settings = {
                "database_url": postgres.url(proxy.port),
                "model_base_url": model_url,
                "blob_url": f"file://{self.folder / 'blobs'}",
                "lease_seconds": _LEASE_SECONDS,
                "sandbox": "off",
            }
            chance = random.Random(f"{self._options.seed} node {number}")
            nodes.append(Node(number, nursery, proxy, self.folder / f"node{number}", settings, self.history, chance))
        keeping = [asyncio.create_task(node.keep()) for node in nodes]
        try:
            yield Nodes(nodes)
        finally:
            await asyncio.gather(*(node.finish() for node in nodes))
            await asyncio.gather(*keeping)
            await nursery.close()
            for node in nodes:
                await node.proxy.close()

    async def _work(self, nodes: Nodes, postgres: Postgres, doors: Doors, begin: float) -> None:
        def client(name: str) -> Client:
            return Client(nodes, self.history, doors, random.Random(f"{self._options.seed} {name}"))

        assistants = await _prepare(client("operator"))
        people = [Person(f"p{n}", client(f"p{n}"), assistants) for n in range(self._options.people)]
        librarians = [Librarian(f"l{n}", client(f"l{n}")) for n in range(self._options.librarians)]
        work = [
            *(asyncio.create_task(self._again_and_again(person.converse)) for person in people),
            *(asyncio.create_task(self._again_and_again(librarian.fill_a_store)) for librarian in librarians),
        ]
        reporting = asyncio.create_task(self._keep_reporting(begin))
        try:
            faults = Faults(nodes, postgres, self.history, self._options.seed, _LEASE_SECONDS)
            await faults.run(self._options.kills, self._options.pace)
            self._working = False
            self.history.calm_since = time.monotonic()
            await self._all_end(nodes, work)
            await self._see_to_the_orphans(client("heir"), postgres)
        finally:
            reporting.cancel()
            for task in work:
                task.cancel()
            for result in await asyncio.gather(*work, return_exceptions=True):
                if isinstance(result, Exception):
                    raise result

    async def _again_and_again(self, live: Callable[[], Awaitable[None]]) -> None:
        while self._working:
            try:
                await live()
            except GaveUp:
                await asyncio.sleep(1)

    async def _all_end(self, nodes: Nodes, work: list[asyncio.Task[None]]) -> None:
        """With everything right again, every node comes up and every client comes to its end."""
        try:
            async with asyncio.timeout(_PATIENCE):
                await nodes.until_serving(self._options.nodes)
        except TimeoutError:
            down = [node.number for node in nodes.all if not node.url]
            self.history.add([Violation("nodes start", f"nodes {down} do not")])
        _, stuck = await asyncio.wait(work, timeout=_PATIENCE)
        if stuck:
            self.history.add([Violation("clients come to their end", f"{len(stuck)} of {len(work)} do not: {stuck}")])

    async def _see_to_the_orphans(self, heir: Client, postgres: Postgres) -> None:
        """Check the runs whose creation was never answered: they are there all the same, and end as all do."""
        conn = await postgres.connect()
        rows = await conn.fetch("SELECT id, thread_id, metadata ->> 'tag' AS tag FROM runs")
        await conn.close()
        for row in rows:
            attempt = self.history.attempts.get(row["tag"])
            if row["id"] in self.history.settled or attempt is None or attempt.expected is None:
                continue
            found = await self._ended(heir, f"/threads/{row['thread_id']}/runs/{row['id']}", attempt.expected)
            if found is not None:
                self.history.counts["runs of lost answers"] += 1
                self.history.add(invariants.check_run(attempt.expected, found))
                self.history.settled[row["id"]] = evidence.facts(found)

    async def _ended(self, heir: Client, path: str, expected: object) -> Found | None:
        """Wait until a run has ended, and find it; one that waits for a client that never knew of it is cancelled."""
        deadline = time.monotonic() + _PATIENCE
        while time.monotonic() < deadline:
            run = (await heir.get(path)).body
            if run["status"] in invariants.ENDS:
                return await evidence.find(heir, path)
            if run["status"] == "requires_action":
                expected.cancelled = Asked.MAYBE
                await heir.insist(lambda: heir.raw("POST", f"{path}/cancel", {}, allowed=(400,)))
            await asyncio.sleep(0.2)
        self.history.add([Violation("every run ends", f"{run['id']} is {run['status']}")])
        return None

    async def _reckon(self, postgres: Postgres) -> None:
        """Look at what is left in the tables and the blobs, with no node running."""
        history = self.history
        conn = await postgres.connect()
        try:
            history.add(
                invariants.check_attempts(history.attempts.values(), await evidence.ids_by_tag(conn), history.deleted)
            )
            after = await evidence.settled_facts(conn)
            history.add(invariants.check_settled(history.settled, after, history.deleted))
            history.add(invariants.check_left(await evidence.left_over(conn)))
            wanted = {name: passages_of(text) for name, text in history.texts.items()}
            history.add(invariants.check_store_files(await evidence.store_files(conn), wanted))
            await conn.execute("UPDATE loose_blobs SET due = now()")
            blobs = self.folder / "blobs"
            db = Database(await open_pool(postgres.dsn, size=2))
            try:
                await sweep(db, open_blobs(f"file://{blobs}", self.folder))
            finally:
                await db.close()
            there = [str(path.relative_to(blobs)) for path in blobs.rglob("*") if path.is_file()]
            history.add(invariants.check_blobs(await evidence.owned_blobs(conn), there))
            history.counts["runs in all"] = len(after)
        finally:
            await conn.close()

    async def _keep_reporting(self, begin: float) -> None:
        reported = 0
        while True:
            await asyncio.sleep(10)
            counts = self.history.counts
            for violation in self.history.violations[reported:]:
                self._report(f"VIOLATION: {violation}"[:500])
            reported = len(self.history.violations)
            runs = sum(number for what, number in counts.items() if what in ("runs completed", "runs cancelled"))
            self._report(
                f"{time.monotonic() - begin:6.0f} s: {counts['kills']} kills, {runs} runs ended, "
                f"{counts['requests answered 2xx']} requests, "
                f"{len(self.history.violations)} violations"
            )


async def _prepare(client: Client) -> Assistants:
    """Make the assistants that everybody uses, while nothing goes wrong."""
    librarian = Librarian("operator", client)
    plain = (await client.raw("POST", "/assistants", {"model": "scripted"})).body["id"]
    calls = {**FUNCTION["function"], "parameters": {"type": "object", "properties": {"n": {"type": "integer"}}}}
    functions = (
        await client.raw("POST", "/assistants", {"model": "scripted", "tools": [FUNCTION | {"function": calls}]})
    ).body["id"]
    file = await librarian.upload()
    store = (await client.raw("POST", "/vector_stores", {"file_ids": [file]})).body["id"]
    while (await client.get(f"/vector_stores/{store}")).body["file_counts"]["in_progress"]:
        await asyncio.sleep(0.05)
    resources = {"file_search": {"vector_store_ids": [store]}}
    tools = [{"type": "file_search"}]
    body = {"model": "scripted", "tools": tools, "tool_resources": resources}
    return Assistants(plain, functions, (await client.raw("POST", "/assistants", body)).body["id"])
