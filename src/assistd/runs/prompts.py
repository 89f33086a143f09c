"""What was sent to the model, turn by turn: kept for those who want to see why it answered as it did.

Keeping it must not keep an answer waiting. A prompt is noted as it goes out, and
written with the change that ends its turn; where the model takes longer than a
moment, it is written meanwhile, for whoever watches. What opens a message does
not take it along: the first word would come behind it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import msgspec
import structlog

from assistd.db import sql
from assistd.db.pool import Database
from assistd.runs.machine import Step
from assistd.runs.prompt_body import kept, packed, unpacked
from assistd.runs.wire import Run
from assistd.web.paging import fetch_page
from assistd.web.wire import ListOf, Page, page_of

log = structlog.get_logger("assistd.runs")

SQL = sql.load(Path(__file__).with_name("prompts.sql"))

# How long a turn goes on before its prompt is written on its own.
_LATER_SECONDS = 0.2
# What takes longer to compress than the other streams of the process should wait is done beside them.
_QUICK_BYTES = 50_000


class Prompt(msgspec.Struct, frozen=True):
    """The body of a request to a model, as it went out at a time in Unix seconds; `turn` counts the run's from 1."""

    run_id: str
    lease: int
    turn: int
    created_at: int
    body: bytes


class KeptPrompt(msgspec.Struct, frozen=True):
    """A prompt as it is written; `shortened` says that its body is not, byte for byte, what was sent."""

    turn: int
    created_at: int
    shortened: bool
    body: bytes


class SentPrompt(msgspec.Struct, frozen=True, kw_only=True):
    """A prompt as clients see it: these fields, and beside them those of the request as it was sent."""

    id: str
    object: Literal["thread.run.prompt"] = "thread.run.prompt"
    created_at: int
    thread_id: str
    run_id: str
    turn: int
    step_id: str | None  # the last step that came of it
    shortened: bool


class Prompts:
    """Keeps the prompts of all runs of this process, each of about `most_bytes` at most; with 0, none."""

    def __init__(self, db: Database, most_bytes: int) -> None:
        self._db = db
        self._most_bytes = most_bytes
        self._pending: dict[str, Prompt] = {}
        self._wanted = asyncio.Event()

    # --- for executors

    def sent(self, run_id: str, lease: int, turn: int, at: int, body: bytes) -> None:
        """Take the body of a request that goes out."""
        if self._most_bytes:
            self._pending[run_id] = Prompt(run_id, lease, turn, at, body)
            self._wanted.set()

    def take(self, run_id: str) -> Prompt | None:
        """Return a run's unwritten prompt, for the caller to write with its change."""
        return self._pending.pop(run_id, None)

    def put_back(self, prompt: Prompt) -> None:
        """Take a prompt again that could not be written, unless there is a newer one."""
        self._pending.setdefault(prompt.run_id, prompt)
        self._wanted.set()

    async def kept(self, prompt: Prompt) -> KeptPrompt:
        """Return what is to be written of a prompt."""
        if len(prompt.body) < _QUICK_BYTES:
            return _kept(prompt, self._most_bytes)
        return await asyncio.to_thread(_kept, prompt, self._most_bytes)

    # --- writing

    async def run(self) -> None:
        """Write what has waited for a moment, until cancelled."""
        while True:
            await self._wanted.wait()
            self._wanted.clear()
            waiting = list(self._pending.values())
            await asyncio.sleep(_LATER_SECONDS)
            await self._write([prompt for prompt in waiting if self._pending.get(prompt.run_id) is prompt])
            if self._pending:
                self._wanted.set()

    async def flush(self) -> None:
        """Write everything that is unwritten."""
        await self._write(list(self._pending.values()))

    async def _write(self, prompts: Sequence[Prompt]) -> None:
        if not prompts:
            return
        kept = [await self.kept(prompt) for prompt in prompts]
        try:
            async with self._db.acquire() as conn:
                await conn.execute(
                    SQL["write"],
                    [p.run_id for p in prompts],
                    [p.lease for p in prompts],
                    [p.turn for p in prompts],
                    [p.created_at for p in prompts],
                    [each.shortened for each in kept],
                    [each.body for each in kept],
                )
        except Exception as fault:
            # Not lost: each goes with the next change of its run, or is tried again.
            log.warning("prompts not written yet", error=str(fault), runs=len(prompts))
            return
        for prompt in prompts:  # a change that came meanwhile has written its prompt too, which does no harm
            if self._pending.get(prompt.run_id) is prompt:
                del self._pending[prompt.run_id]


def _kept(prompt: Prompt, most_bytes: int) -> KeptPrompt:
    body = kept(prompt.body, most_bytes)
    return KeptPrompt(prompt.turn, prompt.created_at, body is not prompt.body, packed(body))


# --- reading


async def list_page(conn: Any, run: Run, page: Page) -> ListOf[Any]:
    """List what was sent in the turns of a run, each as one JSON object."""
    rows = await fetch_page(conn, SQL, "list", "prompt", run.id, page)
    steps = _last_steps(await conn.fetch(SQL["steps"], run.id))
    found = page_of([_Listed(_shown(run, row, steps), unpacked(row["body"])) for row in rows], page)
    return msgspec.structs.replace(found, data=[each.as_json() for each in found.data])


class _Listed(msgspec.Struct, frozen=True):
    """A prompt and the body that was sent."""

    prompt: SentPrompt
    body: bytes

    @property
    def id(self) -> str:
        return self.prompt.id

    def as_json(self) -> msgspec.Raw:
        """Return both as one object: neither has a field of the other."""
        return msgspec.Raw(msgspec.json.encode(self.prompt)[:-1] + b"," + self.body[1:])


def _shown(run: Run, row: Any, steps: Mapping[int, str]) -> SentPrompt:
    turn = row["turn"]
    return SentPrompt(
        id=f"prompt_{run.id.removeprefix('run_')}_{turn}",
        created_at=row["created_at"],
        thread_id=run.thread_id,
        run_id=run.id,
        turn=turn,
        step_id=steps.get(turn),
        shortened=row["shortened"],
    )


def turn_after(steps: Iterable[Step]) -> int:
    """Return the number of the turn that follows these steps of a run: each one before it has ended in calls."""
    return 1 + sum(1 for step in steps if step.type == "tool_calls")


def _last_steps(rows: Iterable[Any]) -> dict[int, str]:
    """Return the id of the last step of each turn."""
    turn, last = 1, {}
    for row in rows:
        last[turn] = row["id"]
        turn += row["type"] == "tool_calls"
    return last


async def prune(conn: Any, seconds: int) -> None:
    """Remove the prompts of longer ago than this."""
    pruned = None
    while pruned != "DELETE 0":
        pruned = await conn.execute(SQL["prune"], seconds)
