"""The nodes: processes of assistd that are killed, paused and stopped, and started again as a supervisor would."""

from __future__ import annotations

import asyncio
import math
import random
import shutil
import signal
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from tests.chaos import invariants
from tests.chaos.history import History, Violation
from tests.chaos.nursery import Born, Nursery
from tests.chaos.proxy import Proxy

_LOOK_SECONDS = 0.02
_STOP_SECONDS = 40.0


class Node:
    """One node: it runs from `keep` on, again and again, until `finish`. `url` is empty while it does not serve."""

    def __init__(
        self,
        number: int,
        nursery: Nursery,
        proxy: Proxy,
        folder: Path,
        settings: dict[str, Any],
        history: History,
        chance: random.Random,
    ) -> None:
        self.number = number
        self.proxy = proxy
        self.url = ""
        self._nursery = nursery
        self._folder = folder
        self._settings = settings
        self._history = history
        self._chance = chance
        self._process: Born | None = None
        self._starts = 0
        self._asked_to_end: signal.Signals | None = None
        self._finishing = False
        self._kept = True
        self._disturbances: list[list[float]] = [[0.0, math.inf]]  # from, to

    async def keep(self) -> None:
        """Run the node, and again whenever it has ended."""
        while not self._finishing:
            self._starts += 1
            folder = self._folder / str(self._starts)
            self._asked_to_end = None
            self._process = process = self._nursery.bear(folder, self._settings)
            while process.status is None:
                if not self.url and self._asked_to_end is None and (url := process.url()):
                    self.url = url
                    self._calm()
                await asyncio.sleep(_LOOK_SECONDS)
            self._disturb()
            self._ended(process, folder)
            await asyncio.sleep(self._chance.uniform(0.0, 0.4))
        self._kept = False

    def _ended(self, process: Born, folder: Path) -> None:
        found = list(invariants.check_node_log(f"node {self.number}", process.log))
        wanted = {signal.SIGKILL: -signal.SIGKILL, signal.SIGTERM: 0}.get(self._asked_to_end or signal.SIGCONT)
        if process.status != wanted:
            tail = "\n".join(process.log.splitlines()[-15:])
            text = f"node {self.number} ended with {process.status}, wanted {wanted}; its log:\n{tail}"
            found.append(Violation("nodes live", text))
        self._history.add(found)
        if not found:
            shutil.rmtree(folder, ignore_errors=True)

    # --- what is done to it

    @property
    def alive(self) -> bool:
        """Whether there is a process that can be sent a signal, and was not sent its last one."""
        process = self._process
        return process is not None and process.pid != 0 and process.status is None and self._asked_to_end is None

    def kill(self) -> bool:
        """End it as a power cut would. Returns False where there is nothing to kill."""
        return self._end(signal.SIGKILL)

    def stop(self) -> bool:
        """End it in order, as its operator would, or not, where it is not up."""
        return bool(self.url) and self._end(signal.SIGTERM)

    def _end(self, how: signal.Signals) -> bool:
        if not self.alive:
            return False
        assert self._process is not None
        self._disturb()
        self._asked_to_end = how
        self._process.send(how)
        return True

    async def pause(self, seconds: float) -> bool:
        """Stop its clock for so long, as a suspended machine does."""
        if not self.alive or not self.url:
            return False
        process = self._process
        assert process is not None
        was = self._disturb(forget_url=False)
        process.send(signal.SIGSTOP)
        try:
            await asyncio.sleep(seconds)
        finally:
            with suppress(ProcessLookupError):
                process.send(signal.SIGCONT)
            if process is self._process and self.url:
                was[1] = time.monotonic() + 1.0  # it has to catch up
        return True

    async def finish(self) -> None:
        """End it in order, for good."""
        self._finishing = True
        deadline = time.monotonic() + _STOP_SECONDS
        while self._kept:
            self._end(signal.SIGTERM)
            if time.monotonic() > deadline and self._process is not None:
                text = f"node {self.number} does not stop; its log:\n{self._process.log[-3000:]}"
                self._history.add([Violation("nodes live", text)])
                self._process.send(signal.SIGKILL)
                return
            await asyncio.sleep(_LOOK_SECONDS)

    # --- when it could not be expected to answer

    def disturbed(self, begin: float, end: float) -> bool:
        """Whether the node was killed, stopped, starting or paused at some moment between two."""
        return any(first <= end and last >= begin for first, last in self._disturbances)

    def _disturb(self, *, forget_url: bool = True) -> list[float]:
        if forget_url:
            self.url = ""
        self._disturbances = [d for d in self._disturbances if d[1] > time.monotonic() - 300]
        self._disturbances.append([time.monotonic(), math.inf])
        return self._disturbances[-1]

    def _calm(self) -> None:
        for disturbance in self._disturbances:
            disturbance[1] = min(disturbance[1], time.monotonic())


class Nodes:
    """All nodes, and which of them can be asked."""

    def __init__(self, nodes: list[Node]) -> None:
        self.all = nodes

    async def some(self, chance: random.Random, wanted: Callable[[Node], bool] = lambda _: True) -> Node:
        """Wait until there is a node that serves, and choose one."""
        while True:
            if ready := [node for node in self.all if node.url and wanted(node)]:
                return chance.choice(ready)
            await asyncio.sleep(_LOOK_SECONDS)

    async def until_serving(self, count: int) -> None:
        """Wait until so many nodes serve."""
        while sum(1 for node in self.all if node.url) < count:
            await asyncio.sleep(_LOOK_SECONDS)
