"""The endpoints of runs and their steps."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import msgspec

from assistd import errors
from assistd.assistants import store as assistants
from assistd.code_interpreter import store as code_sessions
from assistd.db.pool import Database
from assistd.errors import APIError
from assistd.jobs.store import Claim, Job
from assistd.jobs.worker import Worker
from assistd.runs import prompts, steps, store
from assistd.runs.executor import Executor
from assistd.runs.frames import Batch, Position
from assistd.runs.new_run import check_options, compose
from assistd.runs.progress import Claimed
from assistd.runs.store import JOB, Ground, Manner, NewRun
from assistd.runs.stream import Streams
from assistd.runs.wire import (
    INCLUDE_CONTENT,
    CreateRun,
    CreateThreadAndRun,
    ModifyRun,
    Run,
    Step,
    SubmitToolOutputs,
)
from assistd.threads import store as threads
from assistd.threads.attachments import Terms
from assistd.threads.wire import CreateMessage, CreateThread
from assistd.vector_stores.tool_resources import settle
from assistd.web.endpoint import Events, Path
from assistd.web.request import Request, check_id
from assistd.web.tools import CodeInterpreterTool
from assistd.web.wire import ListOf

# Each may have a megabyte.
_MOST_PROMPTS: Final = 20


class Runs:
    """The handlers of runs.

    `life` is how long a run lives from its creation, in seconds; `embedding_model` is that of new vector stores.
    """

    def __init__(
        self, db: Database, worker: Worker, executor: Executor, streams: Streams, life: int, embedding_model: str
    ) -> None:
        self._db = db
        self._worker = worker
        self._executor = executor
        self._streams = streams
        self._life = life
        self._embedding_model = embedding_model

    def paths(self) -> list[Path]:
        """Return the room's paths; the busiest first, because routes are tried in order."""
        return [
            Path("/threads/{thread_id}/runs/{run_id}", {"GET": self.get, "POST": self.modify}),
            Path("/threads/{thread_id}/runs", {"GET": self.list_runs, "POST": self.create}),
            Path("/threads/{thread_id}/runs/{run_id}/submit_tool_outputs", {"POST": self.submit}),
            Path("/threads/{thread_id}/runs/{run_id}/cancel", {"POST": self.cancel}),
            Path("/threads/{thread_id}/runs/{run_id}/events", {"GET": self.events}),
            Path("/threads/{thread_id}/runs/{run_id}/prompts", {"GET": self.list_prompts}),
            Path("/threads/{thread_id}/runs/{run_id}/steps", {"GET": self.list_steps}),
            Path("/threads/{thread_id}/runs/{run_id}/steps/{step_id}", {"GET": self.get_step}),
            Path("/threads/runs", {"POST": self.create_with_thread}),
        ]

    # --- creating

    async def create(self, request: Request) -> Run | Events:
        options = request.body(CreateRun)
        check_id("assistant_id", options.assistant_id)
        manner = Manner(include_results=_includes_content(request))
        return await self.begin(request.project_id, request.path["thread_id"], options, manner)

    async def create_with_thread(self, request: Request) -> Run | Events:
        options = request.body(CreateThreadAndRun)
        check_id("assistant_id", options.assistant_id)
        manner = Manner(include_results=_includes_content(request))
        return await self.begin_with_thread(request.project_id, options, manner)

    async def begin(
        self, project_id: str, thread_id: str, options: CreateRun, manner: Manner, *, may_be_empty: bool = False
    ) -> Run | Events:
        """Create a run on a thread and have it carried out; answer with it, or with its stream if it asks for that.

        `may_be_empty`: also where there is nothing to answer: no message of a user, and no instructions.
        """
        check_options(options)
        claim = self._worker.claim(JOB)
        # Without messages to add, what is written is one statement and needs no transaction of its own.
        async with self._db.transaction() if options.additional_messages else self._db.acquire() as conn:
            ground = await store.prepare(conn, project_id, thread_id, options.assistant_id)
            # Who has the variables of the thread's code is asked first.
            elsewhere = ground.holder if ground.holder != self._worker.name and _codes(options, ground) else None
            claim = None if elsewhere else claim
            new = compose(
                options, ground.assistant, thread_id, now=ground.now, life=self._life, claim=claim, manner=manner
            )
            asks = ground.has_question or _asks(options.additional_messages)
            if not (asks or new.run.instructions or may_be_empty):
                raise errors.nothing_to_run()
            await store.create(conn, project_id, new, claim, elsewhere)
            if options.additional_messages:
                await threads.require_room(conn, thread_id, len(options.additional_messages))
                terms = Terms(self._embedding_model, implicit=manner.retrieval)
                await threads.add_messages(conn, project_id, thread_id, options.additional_messages, terms)
        return self._begin_new(project_id, new, claim, options.stream)

    async def begin_with_thread(
        self, project_id: str, options: CreateThreadAndRun, manner: Manner, *, may_be_empty: bool = False
    ) -> Run | Events:
        """As `begin`, with a new thread."""
        check_options(options)
        new_thread = options.thread or CreateThread()
        claim = self._worker.claim(JOB)
        async with self._db.transaction() as conn:
            assistant = await assistants.get(conn, project_id, options.assistant_id)
            asks = _asks(new_thread.messages)
            if not (asks or options.instructions or assistant.instructions or may_be_empty):
                raise errors.nothing_to_run()
            terms = Terms(self._embedding_model, implicit=manner.retrieval)
            thread = await threads.create_thread(conn, project_id, new_thread, terms)
            resources = await settle(conn, project_id, options.tool_resources, self._embedding_model)
            now = await store.now(conn)
            new = compose(
                options,
                assistant,
                thread.id,
                now=now,
                life=self._life,
                claim=claim,
                manner=manner,
                tool_resources=resources,
                created_thread=threads.shown_resources(thread),
            )
            await store.create(conn, project_id, new, claim)
        return self._begin_new(project_id, new, claim, options.stream)

    async def submit(self, request: Request) -> Run | Events:
        outputs = request.body(SubmitToolOutputs)
        async with self._db.transaction() as conn:
            run, begin = await store.submit(conn, *_place(request), outputs)
            holder = await code_sessions.holder(conn, run.thread_id) if _has_code(run.tools) else None
            job = await self._worker.enqueue(conn, JOB, run.id, request.project_id, holder=holder)
        return self._begin_again(run, begin, job, outputs.stream)

    def _begin_new(self, project_id: str, new: NewRun, claim: Claim | None, stream: bool | None) -> Run | Events:
        """Start a new run's job if it is ours; what its handler would look up is known already."""
        answer = self._answer(new.run, new.begin, stream)
        if claim is not None:
            job = Job(JOB, new.run.id, 1, project_id)
            self._worker.start(job, self._executor.execute(Claimed.new(project_id, new)))
        return answer

    def _begin_again(self, run: Run, begin: Batch, job: Job | None, stream: bool | None) -> Run | Events:
        """Start a run's next job if it is ours."""
        answer = self._answer(run, begin, stream)
        if job is not None:
            self._worker.start(job)
        return answer

    def _answer(self, run: Run, begin: Batch, stream: bool | None) -> Run | Events:
        """Answer with the run or its stream, which is followed from before the start: no event slips through."""
        if not stream:
            return run
        return Events(self._streams.follow(run.id, self._streams.subscribe(run.id), begin))

    # --- reading

    async def get(self, request: Request) -> Run:
        async with self._db.acquire() as conn:
            return await store.get(conn, *_place(request))

    async def list_runs(self, request: Request) -> ListOf[Run]:
        page = request.page()
        thread_id = request.path["thread_id"]
        async with self._db.acquire() as conn:
            await threads.require_thread(conn, request.project_id, thread_id)
            return await store.list_runs(conn, thread_id, page)

    async def list_steps(self, request: Request) -> ListOf[Step]:
        page = request.page()
        with_content = _includes_content(request)
        async with self._db.acquire() as conn:
            run = await store.get(conn, *_place(request))
            return await steps.list_page(conn, run, page, with_content=with_content)

    async def get_step(self, request: Request) -> Step:
        with_content = _includes_content(request)
        async with self._db.acquire() as conn:
            run = await store.get(conn, *_place(request))
            return await steps.get(conn, run, request.path["step_id"], with_content=with_content)

    async def list_prompts(self, request: Request) -> ListOf[Any]:
        """List what was sent to the model in the run's turns."""
        page = request.page(most=_MOST_PROMPTS)
        async with self._db.acquire() as conn:
            run = await store.get(conn, *_place(request))
            return await prompts.list_page(conn, run, page)

    async def events(self, request: Request) -> Events:
        """Follow or replay a run's stream after `Last-Event-ID`, or `last_event_id` in the query."""
        async with self._db.acquire() as conn:
            run = await store.get(conn, *_place(request))
        given = request.headers.get("last-event-id") or request.query().get("last_event_id", [""])[-1]
        after = Position.parse(given) if given else Position()
        if after is None:
            raise APIError(
                f"Invalid 'Last-Event-ID': '{given}'. Expected the id of an event of this run.",
                param="Last-Event-ID",
                code="invalid_value",
            )
        subscription = self._streams.subscribe(run.id)
        return Events(self._streams.follow(run.id, subscription, after=after))

    # --- changing

    async def modify(self, request: Request) -> Run:
        change = request.body(ModifyRun)
        async with self._db.transaction() as conn:
            return await store.modify(conn, *_place(request), change.metadata)

    async def cancel(self, request: Request) -> Run:
        async with self._db.transaction() as conn:
            run = await store.cancel(conn, *_place(request))
            # A run that nobody works on needs somebody to end it, and not only when there is room again for long work.
            job = await self._worker.enqueue(conn, JOB, run.id, request.project_id, urgent=True)
        if job is not None:
            self._worker.start(job)
        return run


def _asks(messages: Sequence[CreateMessage] | None) -> bool:
    return any(message.role == "user" for message in messages or ())


def _codes(options: CreateRun, ground: Ground) -> bool:
    """Whether a new run may run code."""
    if options.tools is not None:
        return any(isinstance(tool, CodeInterpreterTool) for tool in options.tools)
    return _has_code(ground.assistant.tools)


def _has_code(tools: msgspec.Raw) -> bool:
    """Whether there may be a code interpreter among tools. Who offers a run in vain loses a moment, and no more."""
    return b'"code_interpreter"' in bytes(tools)


def _place(request: Request) -> tuple[str, str, str]:
    return request.project_id, request.path["thread_id"], request.path["run_id"]


def _includes_content(request: Request) -> bool:
    """Say whether the words of search results are asked for. Raises APIError for what cannot be included."""
    included = request.query().get("include", [])
    for value in included:
        if value != INCLUDE_CONTENT:
            raise APIError(
                f"Invalid value: '{value}'. Supported values are: '{INCLUDE_CONTENT}'.",
                param="include[0]",
                code="invalid_value",
            )
    return bool(included)
