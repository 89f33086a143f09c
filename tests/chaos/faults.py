"""What goes wrong, and when: three lanes of faults that overlap, each in an order that its seed decides."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Iterator
from contextlib import suppress

import asyncpg

from tests.chaos.history import History
from tests.chaos.nodes import Node, Nodes
from tests.chaos.postgres import CRASH, FAST, IMMEDIATE, Postgres

# Nothing moves while a table is locked, so that is done in one of so many rounds of the database's faults.
_LOCK_EVERY = 3
_LONGEST_WAIT_SECONDS = 4.0

Fault = Callable[[], Awaitable[None]]


def deck(chance: random.Random, names: list[str]) -> Iterator[str]:
    """Deal all names in a random order, again and again: none is left out, whatever the seed."""
    while True:
        yield from chance.sample(names, len(names))


class Faults:
    """The lanes. `lease` is in seconds: pauses and silences last longer."""

    def __init__(self, nodes: Nodes, postgres: Postgres, history: History, seed: str, lease: float) -> None:
        self._nodes = nodes
        self._postgres = postgres
        self._counts = history.counts
        self._lease = lease
        self._over = False  # the last node was killed; what goes wrong just now goes on to its end
        self._kills = random.Random(f"{seed} kills")
        self._network = random.Random(f"{seed} network")
        self._database = random.Random(f"{seed} database")

    async def run(self, kills: int, pace: float) -> None:
        """Kill nodes so many times, one every `pace` seconds or so, with all the other faults beside it."""
        lanes = asyncio.gather(self._kill_lane(kills, pace), self._network_lane(), self._database_lane())
        try:
            await lanes
        finally:
            await self.mend()

    async def mend(self) -> None:
        """Put everything right again, but for the nodes, which come back by themselves."""
        for node in self._nodes.all:
            node.proxy.refusing = False
            node.proxy.delay = 0.0
            node.proxy.silence(False)
        await self._postgres.mend()

    # --- the lanes

    async def _kill_lane(self, kills: int, pace: float) -> None:
        """Mostly nodes are killed that serve, while another goes on; now and then one that starts."""
        while self._counts["kills"] < kills:
            await asyncio.sleep(pace * self._kills.uniform(0.2, 1.0))
            await self._until_something_was_done()
            if self._kills.random() < 0.85:
                await self._nodes.until_serving(2)
                victims = [node for node in self._nodes.all if node.url]
            else:
                victims = [node for node in self._nodes.all if node.alive and not node.url]
            if victims and self._kills.choice(victims).kill():
                self._counts["kills"] += 1
        self._over = True

    async def _until_something_was_done(self) -> None:
        """Wait a moment for a run to end: on a machine that is slow, killing faster than that would show nothing."""
        ended = self._ended_runs()
        with suppress(TimeoutError):
            async with asyncio.timeout(_LONGEST_WAIT_SECONDS):
                while self._ended_runs() == ended:
                    await asyncio.sleep(0.05)

    def _ended_runs(self) -> int:
        return self._counts["runs completed"] + self._counts["runs cancelled"]

    async def _network_lane(self) -> None:
        faults = {
            "pauses of a node": self._pause,
            "orderly stops of a node": self._stop,
            "terminated connections (proxy)": self._terminate,
            "reset connections": self._reset,
            "silences": self._silence,
            "half answers": self._halve,
            "slow networks": self._slow,
            "refused connections": self._refuse,
        }
        for name in deck(
            self._network, [*faults, "pauses of a node", "half answers", "terminated connections (proxy)"]
        ):
            await asyncio.sleep(self._network.uniform(0.3, 2.0))
            if self._over:
                return
            node = self._network.choice(self._nodes.all)
            await faults[name](node)
            self._counts[name] += 1

    async def _database_lane(self) -> None:
        chance, postgres = self._database, self._postgres
        faults: dict[str, Fault] = {
            "fast restarts of PostgreSQL": lambda: postgres.restart(FAST, chance.uniform(0.2, 2)),
            "immediate restarts of PostgreSQL": lambda: postgres.restart(IMMEDIATE, chance.uniform(0.2, 2)),
            "crashes of PostgreSQL": lambda: postgres.restart(CRASH, chance.uniform(0.2, 2)),
            "pauses of PostgreSQL": lambda: postgres.pause(chance.uniform(0.5, 3 * self._lease)),
            "locked tables": lambda: postgres.lock(chance.choice(["messages", "steps", "runs", "threads"]), 12.5),
            "cancelled statements": self._cancel_statements,
            "terminated backends": lambda: postgres.signal("pg_terminate_backend"),
            "read-only periods": lambda: postgres.read_only(chance.uniform(1, 3)),
            "full houses": lambda: postgres.fill(chance.uniform(1, 3)),
        }
        names = [*faults, "cancelled statements", "terminated backends"]
        for dealt, name in enumerate(deck(chance, names)):
            if name == "locked tables" and dealt // len(names) % _LOCK_EVERY:
                continue
            await asyncio.sleep(chance.uniform(1.0, 4.0))
            await self._nodes.until_serving(1)
            if self._over:
                return
            with suppress(asyncpg.PostgresError, OSError):  # the operator is not let in, or gives way, as nodes may be
                await faults[name]()
                self._counts[name] += 1

    # --- the network's

    async def _pause(self, node: Node) -> None:
        await node.pause(self._network.uniform(1.2, 3) * self._lease)

    async def _stop(self, node: Node) -> None:
        node.stop()

    async def _terminate(self, node: Node) -> None:
        node.proxy.terminate(self._network.choice([0.0, 0.05, 0.3, 1.0]))

    async def _reset(self, node: Node) -> None:
        node.proxy.reset()

    async def _silence(self, node: Node) -> None:
        """Hold everything back for longer than a lease; then let it go, or cut it."""
        node.proxy.silence(True)
        await asyncio.sleep(self._network.uniform(0.5, 3) * self._lease)
        if self._network.random() < 0.5:
            node.proxy.reset()
        node.proxy.silence(False)

    async def _halve(self, node: Node) -> None:
        node.proxy.halve()

    async def _slow(self, node: Node) -> None:
        node.proxy.delay = self._network.uniform(0.01, 0.1)
        await asyncio.sleep(self._network.uniform(0.5, 2))
        node.proxy.delay = 0.0

    async def _refuse(self, node: Node) -> None:
        node.proxy.refusing = True
        node.proxy.reset()
        await asyncio.sleep(self._network.uniform(0.5, 2))
        node.proxy.refusing = False

    async def _cancel_statements(self) -> None:
        for _ in range(5):
            await self._postgres.signal("pg_cancel_backend")
            await asyncio.sleep(self._database.uniform(0.02, 0.2))
