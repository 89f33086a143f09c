"""Runs as rows, made by hand, so that a test can begin in the middle of one."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Sequence
from datetime import timedelta
from typing import Any

import asyncpg
import pytest

from assistd import ids

PROJECT = "proj_default"


class Rows:
    """Writes and reads the tables of threads and runs."""

    def __init__(self, conn: asyncpg.Connection) -> None:
        self.conn = conn

    async def thread(self) -> str:
        id = ids.new("thread_")
        await self.conn.execute(
            "INSERT INTO threads (id, project_id, tool_resources, metadata) VALUES ($1, $2, '{}', '{}')", id, PROJECT
        )
        return id

    async def run(
        self,
        thread_id: str | None = None,
        *,
        status: str = "queued",
        lease: int = 0,
        life: int = 600,
        tools: Sequence[Any] = (),
        attempt: int | None = None,
        **columns: Any,
    ) -> str:
        """Add an active run and its job, which nobody holds unless `attempt` says how often it was claimed."""
        id = ids.new("run_")
        thread_id = thread_id or await self.thread()
        given = {
            "id": id,
            "project_id": PROJECT,
            "thread_id": thread_id,
            "assistant_id": "asst_1",
            "status": status,
            "lease": lease,
            "model": "m",
            "tools": json.dumps(list(tools)),
            "tool_resources": "{}",
            "metadata": "{}",
            "temperature": 1.0,
            "top_p": 1.0,
            "truncation_strategy": '{"type":"auto","last_messages":null}',
            "tool_choice": '"auto"',
            "parallel_tool_calls": True,
            "response_format": '"auto"',
            **columns,
        }
        places = ", ".join(f"${n + 2}" for n in range(len(given)))
        await self.conn.execute(
            f"INSERT INTO runs (expires_at, {', '.join(given)}) VALUES (unix_now() + $1, {places})",
            life,
            *given.values(),
        )
        await self.conn.execute("UPDATE threads SET active_run_id = $1 WHERE id = $2", id, thread_id)
        await self.conn.execute(
            "INSERT INTO jobs (kind, key, attempt, worker, due, project_id, ready) "
            "VALUES ('run', $1, $2, $3, now() + $4, $5, $3::text IS NULL)",
            id,
            attempt or 0,
            None if attempt is None else "somebody",
            timedelta(hours=0 if attempt is None else 1),
            PROJECT,
        )
        return id

    async def message(
        self, thread_id: str, role: str, text: str, *, run_id: str | None = None, status: str = "completed"
    ) -> str:
        id = ids.new("msg_")
        content = [{"type": "text", "text": {"value": text, "annotations": []}}] if status != "in_progress" else []
        await self.conn.execute(
            "INSERT INTO messages (id, thread_id, role, status, content, attachments, metadata, assistant_id, run_id)"
            " VALUES ($1, $2, $3, $4, $5, '[]', '{}', $6, $7)",
            id,
            thread_id,
            role,
            status,
            json.dumps(content),
            "asst_1" if run_id else None,
            run_id,
        )
        return id

    async def step(self, run_id: str, details: dict[str, Any], status: str = "in_progress") -> str:
        id = ids.new("step_")
        await self.conn.execute(
            "INSERT INTO steps (id, run_id, thread_id, assistant_id, type, status, expires_at, step_details)"
            " SELECT $1, id, thread_id, assistant_id, $3, $4, expires_at, $5 FROM runs WHERE id = $2",
            id,
            run_id,
            details["type"],
            status,
            json.dumps(details),
        )
        return id

    async def words(self, run_id: str, text: str = "", status: str = "in_progress") -> tuple[str, str]:
        """Add a message of a run and the step that creates it; return their ids, the step's first."""
        thread_id = await self.value("SELECT thread_id FROM runs WHERE id = $1", run_id)
        message = await self.message(thread_id, "assistant", text, run_id=run_id, status=status)
        details = {"type": "message_creation", "message_creation": {"message_id": message}}
        return await self.step(run_id, details, status), message

    async def calls(self, run_id: str, *calls: tuple[str, str | None], status: str = "in_progress") -> str:
        """Add a step of tool calls, given by their ids and outputs."""
        named = [
            {"id": id, "type": "function", "function": {"name": "look_up", "arguments": "{}", "output": output}}
            for id, output in calls
        ]
        return await self.step(run_id, {"type": "tool_calls", "tool_calls": named}, status)

    async def events(self, run_id: str, lease: int, first: int, *frames: str) -> None:
        """Add a row of the log."""
        await self.conn.execute(
            "INSERT INTO run_events (run_id, lease, first_number, last_number, frames) VALUES ($1, $2, $3, $4, $5)",
            run_id,
            lease,
            first,
            first + len(frames) - 1,
            "".join(frames),
        )

    async def value(self, query: str, *arguments: Any) -> Any:
        return await self.conn.fetchval(query, *arguments)

    async def of(self, run_id: str) -> asyncpg.Record:
        row = await self.conn.fetchrow("SELECT * FROM runs WHERE id = $1", run_id)
        assert row is not None
        return row

    async def job(self, run_id: str) -> asyncpg.Record | None:
        """The run's job, with the seconds until it is due."""
        return await self.conn.fetchrow(
            "SELECT *, extract(epoch FROM due - now()) AS seconds FROM jobs WHERE key = $1", run_id
        )

    async def everything(self, run_id: str) -> list[Any]:
        """Every row that has to do with a run."""
        tables = {"runs": "id", "steps": "run_id", "messages": "run_id", "run_events": "run_id", "jobs": "key"}
        rows = [
            await self.conn.fetch(f"SELECT * FROM {table} t WHERE {column} = $1 ORDER BY t::text", run_id)
            for table, column in tables.items()
        ]
        threads = "SELECT * FROM threads WHERE id = (SELECT thread_id FROM runs WHERE id = $1)"
        return [*rows, await self.conn.fetch(threads, run_id)]


@pytest.fixture
async def rows(database_url: str) -> AsyncIterator[Rows]:
    conn = await asyncpg.connect(database_url)
    yield Rows(conn)
    await conn.close()
