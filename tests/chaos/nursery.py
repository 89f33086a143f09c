"""Where nodes come from: a process that has imported assistd, and forks them off itself.

Half of what a node's start costs are its imports. Nodes that are killed every other second on a busy machine would do
nothing else.
"""

from __future__ import annotations

import asyncio
import json
import os
import select
import signal
import sys
import traceback
from asyncio.subprocess import PIPE
from contextlib import suppress
from pathlib import Path
from typing import Any

from tests.support.program import environ

READY = "assistd is ready: "
_OPEN = b"open\n"
_LOOK_SECONDS = 0.02


class Born:
    """A node's process. `status` is its exit status once it has ended: negative for a signal."""

    def __init__(self, folder: Path) -> None:
        self.pid = 0  # until it is known
        self.status: int | None = None
        self._output = folder / "stdout"
        self._log = folder / "log"

    def url(self) -> str:
        """Where it says that it serves, or nothing yet."""
        with suppress(FileNotFoundError):
            for line in self._output.read_text().splitlines(keepends=True):
                if line.startswith(READY) and line.endswith("\n"):
                    return line.removeprefix(READY).strip()
        return ""

    @property
    def log(self) -> str:
        """What it has written to standard error."""
        return self._log.read_text("utf-8", "replace") if self._log.exists() else ""

    def send(self, number: signal.Signals) -> None:
        if self.pid and self.status is None:
            os.kill(self.pid, number)


class Nursery:
    """The process, as the chaos sees it."""

    def __init__(self) -> None:
        self._process: asyncio.subprocess.Process | None = None
        self._listening: asyncio.Task[None] | None = None
        self._born: dict[str, Born] = {}

    async def open(self) -> None:
        command = (sys.executable, "-m", "tests.chaos.nursery")
        self._process = await asyncio.create_subprocess_exec(*command, stdin=PIPE, stdout=PIPE)
        assert self._process.stdout is not None
        if await self._process.stdout.readline() != _OPEN:
            raise RuntimeError("The nursery does not start.")
        self._listening = asyncio.create_task(self._listen())

    async def close(self) -> None:
        """End it, and all that came of it."""
        if self._process is None or self._listening is None:
            return
        assert self._process.stdin is not None
        self._process.stdin.close()
        await self._process.wait()
        await self._listening

    def bear(self, folder: Path, settings: dict[str, Any]) -> Born:
        """Start a node with its files in a new folder."""
        assert self._process is not None
        assert self._process.stdin is not None
        folder.mkdir(parents=True)
        chosen = {"data_dir": folder / "data", **settings}
        order = {"folder": str(folder), "environ": environ(**chosen)}
        self._born[str(folder)] = born = Born(folder)
        self._process.stdin.write(json.dumps(order).encode() + b"\n")
        return born

    async def _listen(self) -> None:
        assert self._process is not None
        assert self._process.stdout is not None
        async for line in self._process.stdout:
            news = json.loads(line)
            born = self._born[news["folder"]]
            born.pid = news["pid"]
            if "status" in news:
                born.status = news["status"]
                del self._born[news["folder"]]


# --- the process itself


def main() -> None:
    """Fork a node for each line of standard input, and write a line for each that is born and that ends."""
    from assistd import app, cli, serving

    assert app
    assert serving
    os.write(1, _OPEN)
    children: dict[int, str] = {}
    pending = b""
    while True:
        ready, _, _ = select.select([0], [], [], _LOOK_SECONDS)
        if ready:
            read = os.read(0, 65536)
            if not read:
                break
            *lines, pending = (pending + read).split(b"\n")
            for line in lines:
                order = json.loads(line)
                pid = os.fork()
                if pid == 0:
                    _be_a_node(cli.main, order)
                children[pid] = order["folder"]
                _say(folder=order["folder"], pid=pid)
        _collect(children)
    for pid in children:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def _collect(children: dict[int, str]) -> None:
    while children:
        pid, status = os.waitpid(-1, os.WNOHANG)
        if pid == 0:
            return
        if pid in children:
            _say(folder=children.pop(pid), pid=pid, status=os.waitstatus_to_exitcode(status))


def _say(**news: Any) -> None:
    os.write(1, json.dumps(news).encode() + b"\n")


def _be_a_node(serve: Any, order: dict[str, Any]) -> None:
    status: Any = 1
    try:
        os.environ.clear()
        os.environ.update(order["environ"])
        os.chdir(order["folder"])
        for number, name in ((0, os.devnull), (1, "stdout"), (2, "log")):
            opened = os.open(name, os.O_RDWR | os.O_CREAT, 0o644)
            os.dup2(opened, number)
            os.close(opened)
        sys.argv = ["assistd", "serve", "--port", "0"]
        status = serve()
    except SystemExit as end:
        status = end.code or 0
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status if isinstance(status, int) else 1)


if __name__ == "__main__":
    main()
