"""A new run, put together from its request, its assistant and the defaults.

Pure: nothing in this file does I/O.
"""

from __future__ import annotations

from typing import Any

import msgspec

from assistd import errors, ids
from assistd.assistants.wire import Assistant
from assistd.jobs.store import Claim
from assistd.runs.frames import Scribe
from assistd.runs.machine import Status
from assistd.runs.store import Manner, NewRun, streamed
from assistd.runs.wire import CreateRun, Run, RunOptions
from assistd.threads.wire import Thread
from assistd.web.checks import check_choice, check_tools
from assistd.web.tools import normalize_choice, normalize_format, normalize_tools
from assistd.web.wire import to_json


def check_options(options: RunOptions) -> None:
    """Check what the types of a request cannot say, and its assistant has no part in. Raises APIError."""
    strategy = options.truncation_strategy
    if strategy is not None and strategy.type == "last_messages" and strategy.last_messages is None:
        raise errors.missing("truncation_strategy.last_messages")
    check_tools(options.tools, options.response_format)


def compose(
    options: RunOptions,
    assistant: Assistant,
    thread_id: str,
    *,
    now: float,
    life: int,
    claim: Claim | None,
    manner: Manner,
    tool_resources: Any = None,
    created_thread: Thread | None = None,
) -> NewRun:
    """Make a new run of its request and assistant, with the events that begin its stream.

    Raises APIError for a tool choice that its tools cannot meet. The rest of the request is checked by `check_options`.
    """
    tools = assistant.tools if options.tools is None else to_json(normalize_tools(options.tools))
    check_choice(options.tool_choice, msgspec.json.decode(tools))
    truncation = options.truncation_strategy
    created_at = int(now)
    run = Run(
        id=ids.new("run_"),
        created_at=created_at,
        assistant_id=assistant.id,
        thread_id=thread_id,
        status=Status.QUEUED,
        started_at=None,
        expires_at=created_at + life,
        cancelled_at=None,
        failed_at=None,
        completed_at=None,
        required_action=None,
        last_error=None,
        model=options.model or assistant.model,
        instructions=_instructions(options, assistant),
        tools=tools,
        tool_resources=to_json(tool_resources or {}),
        metadata=to_json(options.metadata or {}),
        temperature=assistant.temperature if options.temperature is None else options.temperature,
        top_p=assistant.top_p if options.top_p is None else options.top_p,
        reasoning_effort=options.reasoning_effort or assistant.reasoning_effort,
        max_completion_tokens=options.max_completion_tokens,
        max_prompt_tokens=options.max_prompt_tokens,
        truncation_strategy=to_json(
            {
                "type": truncation.type if truncation else "auto",
                "last_messages": truncation.last_messages if truncation else None,
            }
        ),
        incomplete_details=None,
        usage=None,
        response_format=assistant.response_format
        if options.response_format is None
        else to_json(normalize_format(options.response_format)),
        tool_choice=to_json(normalize_choice(options.tool_choice)),
        parallel_tool_calls=options.parallel_tool_calls is not False,
    )
    scribe = Scribe(run.id, 0, 0)
    if created_thread is not None:
        scribe.event("thread.created", created_thread)
    shown = streamed(run)
    scribe.event("thread.run.created", shown)
    scribe.event("thread.run.queued", shown)
    begun = None
    if claim is not None:
        begun = msgspec.structs.replace(run, status=Status.IN_PROGRESS, started_at=created_at)
        scribe.event("thread.run.in_progress", streamed(begun))
    begin = scribe.take()
    assert begin is not None
    return NewRun(run, begun, begin, now, manner)


def _instructions(options: RunOptions, assistant: Assistant) -> str | None:
    # Whoever sends an empty model sends whatever it has no value for.
    absent = options.instructions is None or (options.instructions == "" and options.model == "")
    base = assistant.instructions if absent else options.instructions
    more = options.additional_instructions if isinstance(options, CreateRun) else None
    return "\n".join(part for part in (base, more) if part) if more else base
