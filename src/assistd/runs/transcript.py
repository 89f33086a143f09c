"""What is committed of a run, as the machine and its end see it. Nothing here does I/O."""

from __future__ import annotations

from typing import Any

import msgspec

from assistd.llm.protocol import Usage
from assistd.runs.machine import Call, Status, Step, Transcript
from assistd.runs.progress import Claimed
from assistd.runs.wire import LastError, Run, ToolCalls, usage
from assistd.threads.wire import IncompleteDetails
from assistd.web.wire import to_json


def transcript_of(claimed: Claimed, spent: Usage) -> Transcript:
    """Make the transcript of a run as its claim finds it; `spent` are the tokens that count against its budgets."""
    return Transcript(
        status=Status(claimed.run.status),
        expires_at=claimed.expires_at,
        steps=[_known(step) for step in claimed.steps],
        prompt_tokens=spent.prompt_tokens,
        completion_tokens=spent.completion_tokens,
        max_prompt_tokens=claimed.run.max_prompt_tokens,
        max_completion_tokens=claimed.run.max_completion_tokens,
    )


def _known(step: Any) -> Step:
    open_ = step["status"] == "in_progress"
    calls: list[Call] = []
    if step["type"] == "tool_calls":
        details = msgspec.json.decode(step["step_details"], type=ToolCalls)
        calls = [Call(c.id, c.type, c.done) for c in details.tool_calls]
    return Step(step["id"], step["type"], open_, calls)


def ended_run(
    run: Run, status: Status, at: int, spent: Usage, reason: str | None = None, error: LastError | None = None
) -> Run:
    """Return a run as it is once it has ended, at a time in Unix seconds."""
    return msgspec.structs.replace(
        run,
        status=status,
        expires_at=None,
        completed_at=at if status in (Status.COMPLETED, Status.INCOMPLETE) else None,
        failed_at=at if status is Status.FAILED else None,
        cancelled_at=at if status is Status.CANCELLED else None,
        required_action=None,
        last_error=None if error is None else to_json(error),
        incomplete_details=None if reason is None else IncompleteDetails(reason),
        usage=usage(spent.prompt_tokens, spent.completion_tokens, spent.cached_tokens, spent.reasoning_tokens),
    )


def total(a: Usage, b: Usage) -> Usage:
    """Add two counts of tokens."""
    return Usage(
        a.prompt_tokens + b.prompt_tokens,
        a.completion_tokens + b.completion_tokens,
        a.cached_tokens + b.cached_tokens,
        a.reasoning_tokens + b.reasoning_tokens,
    )
