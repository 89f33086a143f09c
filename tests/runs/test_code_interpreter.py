"""The tool over workspaces in memory: calls one after the other, what is told, what goes wrong, what is stopped."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import msgspec
import pytest

from assistd.code_interpreter.workspace import Image
from assistd.db.pool import Database
from assistd.errors import APIError
from assistd.llm.protocol import CallArguments, CallStart
from assistd.runs import store
from assistd.runs.calls import OpenCode, ToolSet
from assistd.runs.code_interpreter import CodeInterpreter, enabled
from assistd.runs.wire import ImageFile, ImageOutput, LogsOutput, Run
from assistd.sandbox.faults import SandboxUnavailable
from assistd.sandbox.outputs import Logs
from tests.runs.conftest import PROJECT, Rows

FOREVER = "while True: pass"


class Workspaces:
    """Workspaces whose code is made of words: `image` shows a picture, `while True` never ends, all else is printed."""

    def __init__(self, *, fault: Exception | None = None, notes: Sequence[str] = ()) -> None:
        self.notes = list(notes)
        self.fault = fault
        self.ran: list[str] = []
        self.stopped: list[str] = []
        self.opened: list[Any] = []

    @asynccontextmanager
    async def open(self, thread_id: str, project_id: str, file_ids: Sequence[str]) -> AsyncIterator[Workspaces]:
        if self.fault is not None:
            raise self.fault
        self.opened.append((thread_id, project_id, list(file_ids)))
        yield self
        self.opened.append("left")

    async def run(self, code: str) -> AsyncGenerator[Logs | Image, None]:
        self.ran.append(code)
        try:
            for word in code.split(";"):
                await asyncio.sleep(0)
                yield Image("file-1") if word == "image" else Logs(word)
                if word == FOREVER:
                    await asyncio.Event().wait()
        except BaseException:
            self.stopped.append(code)
            raise


class Stage:
    """The tool, a run and its calls, and what is told of them."""

    def __init__(self, database: Database, run: Run, workspaces: Workspaces, *codes: str) -> None:
        self.run = run
        self.tool = CodeInterpreter(database, workspaces, None)  # type: ignore[arg-type]
        self.calls = [call_of(place, code) for place, code in enumerate(codes)]
        self.told: list[tuple[int, Any]] = []

    def tell(self, call: OpenCode, outputs: Sequence[Any]) -> None:
        self.told += [(call.place, output) for output in outputs]

    async def answer(self) -> Any:
        return await self.tool.answer(self.run, PROJECT, self.calls, self.tell)

    @property
    def outputs(self) -> list[Any]:
        return [call.outputs.shown for call in self.calls]


def call_of(place: int, code: str) -> OpenCode:
    call = ToolSet(code_interpreter=True).open(CallStart(place, f"call_{place}", "code_interpreter"), place)
    assert isinstance(call, OpenCode)
    call.argue(CallArguments(place, json.dumps({"code": code})).value)
    call.finish()
    return call


@pytest.fixture
async def run(rows: Rows, database: Database) -> Run:
    id = await rows.run(tools=[{"type": "code_interpreter"}])
    async with database.acquire() as conn:
        return store.run_of(await conn.fetchrow("SELECT * FROM runs WHERE id = $1", id))


async def test_calls_are_made_one_after_the_other_in_one_workspace(database: Database, run: Run) -> None:
    workspaces = Workspaces(notes=["State is gone.", "A file is not there."])
    stage = Stage(database, run, workspaces, "a;b;image;c", "```python\nd\n```")
    first, second = await stage.answer()
    assert workspaces.ran == ["a;b;image;c", "d"]
    assert workspaces.opened == [(run.thread_id, PROJECT, []), "left"]
    assert stage.outputs == [
        [LogsOutput("ab"), ImageOutput(ImageFile("file-1")), LogsOutput("c")],
        [LogsOutput("d")],
    ]
    # What is told joins to that, in order, however pieces are taken together.
    assert "".join(out["logs"] for place, out in stage.told if (place, out["index"]) == (0, 0)) == "ab"
    assert [(place, out["type"]) for place, out in stage.told if out["type"] == "image"] == [(0, "image")]
    assert [place for place, _ in stage.told] == sorted(place for place, _ in stage.told)
    # The model is told what is new once, before what the first call gave.
    assert (first.id, first.note, first.error) == ("call_0", "State is gone.\nA file is not there.", None)
    assert (second.id, second.note, second.error) == ("call_1", None, None)


async def test_a_call_without_code_is_told_so_and_runs_nothing(database: Database, run: Run) -> None:
    workspaces = Workspaces()
    stage = Stage(database, run, workspaces, " \n", "a")
    empty, _ = await stage.answer()
    assert workspaces.ran == ["a"]
    assert stage.outputs == [[], [LogsOutput("a")]]
    assert empty.error == "The call has no code. Call code_interpreter again with code."


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        (SandboxUnavailable("bubblewrap is not installed.", "Install it."), "bubblewrap is not installed."),
        (APIError("No thread found with id 'thread_1'.", status=404), "No thread found with id 'thread_1'."),
    ],
)
async def test_where_there_is_no_sandbox_every_call_says_so(
    database: Database, run: Run, fault: Exception, reason: str
) -> None:
    stage = Stage(database, run, Workspaces(fault=fault), "a", "b")
    await stage.answer()
    said = f"The code interpreter is unavailable on this server: {reason}"
    assert stage.outputs == [[LogsOutput(said)], [LogsOutput(said)]]
    assert stage.told == [(place, {"index": 0, "type": "logs", "logs": said}) for place in (0, 1)]


async def test_a_flood_of_pieces_is_told_now_and_then(database: Database, run: Run) -> None:
    code = ";".join(f"{n}," for n in range(2000))
    stage = Stage(database, run, Workspaces(), code)
    await stage.answer()
    assert stage.outputs == [[LogsOutput(code.replace(";", ""))]]
    assert "".join(out["logs"] for _, out in stage.told) == code.replace(";", "")
    assert len(stage.told) < 1000


async def test_what_comes_slowly_is_told_while_the_code_runs(database: Database, run: Run) -> None:
    stage = Stage(database, run, Workspaces(), f"a;b;{FOREVER}")
    running = asyncio.ensure_future(stage.answer())
    async with asyncio.timeout(30):
        while "".join(out["logs"] for _, out in stage.told) != f"ab{FOREVER}":
            await asyncio.sleep(0.01)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running


async def test_code_is_stopped_when_its_run_is(database: Database, run: Run) -> None:
    workspaces = Workspaces()
    stage = Stage(database, run, workspaces, FOREVER, "never")
    running = asyncio.ensure_future(stage.answer())
    async with asyncio.timeout(30):
        while not stage.told:
            await asyncio.sleep(0)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert workspaces.stopped == [FOREVER]
    assert workspaces.ran == [FOREVER]
    assert stage.outputs == [[LogsOutput(FOREVER)], []]
    told = len(stage.told)
    await asyncio.sleep(0.1)
    assert len(stage.told) == told, "nothing is told of it any more"


async def test_whether_a_run_has_the_tool(run: Run) -> None:
    assert enabled(run)
    assert not enabled(msgspec.structs.replace(run, tools=msgspec.Raw(b'[{"type":"file_search","file_search":{}}]')))
