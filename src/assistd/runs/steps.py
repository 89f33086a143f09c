"""The steps of runs, as clients read them. The executor writes them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
from msgspec import UNSET

from assistd import errors, ids
from assistd.db import sql
from assistd.runs.machine import TERMINAL
from assistd.runs.wire import Run, Step, Usage, shown_details, usage
from assistd.web.paging import fetch_page
from assistd.web.wire import ListOf, Page, page_of

SQL = sql.load(Path(__file__).with_name("steps.sql"))


async def get(conn: Any, run: Run, id: str, *, with_content: bool = False) -> Step:
    """Fetch a step of a run; `with_content`: with the words of search results. Raises APIError (404)."""
    row = await conn.fetchrow(SQL["get"], run.id, id) if ids.is_plain(id) else None
    if row is None:
        raise errors.not_found("run step", id)
    return step_of(row, of_ended_run=run.status in TERMINAL, with_content=with_content)


async def list_page(conn: Any, run: Run, page: Page, *, with_content: bool = False) -> ListOf[Step]:
    """List the steps of a run; `with_content`: with the words of search results."""
    rows = await fetch_page(conn, SQL, "list", "run step", run.id, page)
    ended = run.status in TERMINAL
    return page_of([step_of(row, of_ended_run=ended, with_content=with_content) for row in rows], page)


def step_of(row: Any, *, of_ended_run: bool = False, with_content: bool = False) -> Step:
    """Make a step of its row; `with_content`: with the words of search results.

    A step has the time at which its run would expire as long as the run goes on, also when the step itself has ended.
    """
    open_ = row["status"] == "in_progress"
    return Step(
        id=row["id"],
        created_at=row["created_at"],
        run_id=row["run_id"],
        assistant_id=row["assistant_id"],
        thread_id=row["thread_id"],
        type=row["type"],
        status=row["status"],
        cancelled_at=row["cancelled_at"],
        completed_at=row["completed_at"],
        expired_at=row["expired_at"],
        expires_at=None if of_ended_run else row["expires_at"],
        failed_at=row["failed_at"],
        last_error=row["last_error"],
        step_details=shown_details(row["step_details"], with_content=with_content),
        metadata={},
        usage=None if open_ else usage_of(row),
    )


def streamed_step(row: Any, *, with_content: bool = False) -> Step:
    """Make a step of its row as streams show it."""
    return msgspec.structs.replace(
        step_of(row, with_content=with_content),
        expired_at=row["expired_at"] or UNSET,
        metadata=UNSET,
    )


def usage_of(row: Any) -> Usage:
    """Return the tokens that a run or step has used."""
    return usage(row["prompt_tokens"], row["completion_tokens"], row["cached_tokens"], row["reasoning_tokens"])
