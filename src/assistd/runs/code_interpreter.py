"""The code interpreter tool: what the model is offered, how its code is run, and what it is told again."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import aclosing
from typing import Any

import msgspec
import structlog

from assistd.code_interpreter import layout, store
from assistd.code_interpreter.publishing import Publisher
from assistd.code_interpreter.workspace import Image, Workspace, Workspaces
from assistd.db.pool import Database
from assistd.errors import APIError
from assistd.files import store as files
from assistd.files.wire import StoredFile
from assistd.runs.calls import OpenCode
from assistd.runs.code_input import runnable
from assistd.runs.wire import Exchange, Run
from assistd.sandbox.faults import SandboxUnavailable

log = structlog.get_logger("assistd.runs")

# Tells of outputs that a call has given, which are `CodeOutputs`' deltas.
Tell = Callable[[OpenCode, Sequence[Any]], None]

_UNAVAILABLE = "The code interpreter is unavailable on this server: "
_NO_CODE = "The call has no code. Call code_interpreter again with code."

_DESCRIPTION = (
    "Run Python code. You see what it prints, the value of its last expression, and its errors. "
    "Variables and imports are kept between calls. Files are in /mnt/data. There is no network. "
    "plt.show() shows a plot to the user. To hand a file to the user, write it to /mnt/data "
    "and link to it in your answer: [report.csv](sandbox:/mnt/data/report.csv)."
)
_PACE_SECONDS = 0.03  # between two pieces of logs: code may print a thousand times a second
_MOST_NAMED = 1_500  # characters of the description in which files are named
_LONGEST_NAME = 100


def enabled(run: Run) -> bool:
    """Whether a run has the tool."""
    return any(tool["type"] == "code_interpreter" for tool in msgspec.json.decode(run.tools))


def function(given: Iterable[StoredFile]) -> dict[str, Any]:
    """Return the function that the model is offered, with the files that its code is given."""
    return {
        "name": "code_interpreter",
        "description": _DESCRIPTION + _named(list(given)),
        "parameters": {
            "type": "object",
            "properties": {"code": {"type": "string", "description": "Python code."}},
            "required": ["code"],
        },
    }


class CodeInterpreter:
    """The tool, over the workspaces of threads."""

    def __init__(self, db: Database, workspaces: Workspaces, publisher: Publisher) -> None:
        self._db = db
        self._workspaces = workspaces
        self._publisher = publisher

    async def given(self, run: Run, project_id: str) -> list[StoredFile]:
        """Return the files that a run's code is given, those that are there."""
        async with self._db.acquire() as conn:
            ids = await store.inputs(conn, run.tool_resources, run.thread_id, run.assistant_id)
            return await files.find(conn, project_id, ids) if ids else []

    async def paths(self, thread_id: str) -> list[str]:
        """Return the paths below /mnt/data that an answer may name."""
        async with self._db.acquire() as conn:
            return await store.paths(conn, thread_id)

    async def publish(self, thread_id: str, project_id: str, path: str) -> str | None:
        """Return the file that clients get under a path below /mnt/data; None where nothing is there."""
        return await self._publisher.publish(thread_id, project_id, path)

    def done(self, thread_id: str) -> None:
        """Say that a thread's run does not go on here: whoever waits for a session may have its."""
        self._workspaces.done(thread_id)

    async def answer(self, run: Run, project_id: str, calls: Sequence[OpenCode], tell: Tell) -> list[Exchange]:
        """Run the code of a turn's calls, one after the other, in the thread's workspace.

        What it gives goes into the calls and is told as it comes. Where this is cancelled, the code is stopped.
        """
        async with self._db.acquire() as conn:
            ids = await store.inputs(conn, run.tool_resources, run.thread_id, run.assistant_id)
        notes: list[str] = []
        try:
            async with self._workspaces.open(run.thread_id, project_id, ids) as opened:
                notes = opened.notes
                for call in calls:
                    await _run(opened, call, tell)
        except (SandboxUnavailable, APIError) as fault:
            reason = fault.reason if isinstance(fault, SandboxUnavailable) else fault.message
            log.warning("code was not run", thread_id=run.thread_id, why=str(fault))
            for call in calls:
                tell(call, call.outputs.logs(f"{_UNAVAILABLE}{reason}"))
        # The first call hears of what has changed since the last run.
        told = ["\n".join(notes) or None, *[None] * len(calls)]
        return [
            Exchange(call.id, call.type, "", note=note, error=None if call.code.strip() else _NO_CODE)
            for call, note in zip(calls, told, strict=False)
        ]


async def _run(opened: Workspace, call: OpenCode, tell: Tell) -> None:
    code = runnable(call.code)
    if not code.strip():
        return
    async with aclosing(opened.run(code)) as outputs:
        with _Paced(lambda text: tell(call, call.outputs.logs(text))) as logs:
            async for output in outputs:
                if isinstance(output, Image):
                    logs.tell()
                    tell(call, call.outputs.image(output.file_id))
                else:
                    logs.add(output.text)
            logs.tell()
    tell(call, call.outputs.finish())


class _Paced:
    """Logs on their way to whoever follows: what comes at once is told at once, a flood of pieces now and then."""

    def __init__(self, tell: Callable[[str], None]) -> None:
        self._tell = tell
        self._held: list[str] = []
        self._told_at = 0.0
        self._timer: asyncio.TimerHandle | None = None

    def __enter__(self) -> _Paced:
        return self

    def __exit__(self, *_: object) -> None:
        if self._timer is not None:
            self._timer.cancel()

    def add(self, text: str) -> None:
        """Tell a piece now or soon."""
        self._held.append(text)
        if self._timer is not None:
            return
        wait = self._told_at + _PACE_SECONDS - time.monotonic()
        if wait <= 0:
            self.tell()
        else:
            self._timer = asyncio.get_running_loop().call_later(wait, self.tell)

    def tell(self) -> None:
        """Tell what is held."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        held, self._held = "".join(self._held), []
        self._told_at = time.monotonic()
        if held:
            self._tell(held)


def _named(given: Sequence[StoredFile]) -> str:
    if not given:
        return ""
    names = {id: name for name, id in layout.names(given).items() if name != id}
    named: list[str] = []
    for file in given:
        name = f" ({names[file.id][:_LONGEST_NAME]})" if file.id in names else ""
        named.append(f"/mnt/data/{file.id}{name}")
        if sum(map(len, named)) > _MOST_NAMED:
            named[-1] = f"and {len(given) - len(named) + 1} more"
            break
    return f" Files of the user, each there under both of its names: {', '.join(named)}."
