"""The endpoints of v1: those of v2 with both sides translated, and the links of files."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

import msgspec

from assistd import errors
from assistd.assistants import store as assistants
from assistd.db.pool import Database
from assistd.errors import APIError
from assistd.files import store as files
from assistd.runs.routes import Runs
from assistd.runs.store import Manner
from assistd.threads import store as threads
from assistd.threads.attachments import Terms
from assistd.v1 import file_links, message_files, requests, wire
from assistd.v1.answers import FileIds, holders, translate
from assistd.v1.clients import client_of
from assistd.v1.frames import translated
from assistd.v1.metadata import with_texts
from assistd.v1.requests import Names, file_ids
from assistd.web.endpoint import Answer, Events, Handler, Path, Relayed
from assistd.web.request import Request, check_id
from assistd.web.wire import Deleted, ListOf

Body = TypeVar("Body", bound=msgspec.Struct)

# What v1 has of each path of v2 with nothing but its answers to be translated, and what a body may say there.
_TRANSLATED: Mapping[str, Mapping[str, type[msgspec.Struct] | None]] = {
    "/assistants": {"GET": None},
    "/assistants/{assistant_id}": {"GET": None, "DELETE": None},
    "/threads": {"GET": None},
    "/threads/{thread_id}": {"GET": None, "POST": wire.SetMetadata, "DELETE": None},
    "/threads/{thread_id}/messages": {"GET": None},
    "/threads/{thread_id}/messages/{message_id}": {"GET": None, "POST": wire.SetMetadata},
    "/threads/{thread_id}/runs": {"GET": None},
    "/threads/{thread_id}/runs/{run_id}": {"GET": None, "POST": wire.SetMetadata},
    "/threads/{thread_id}/runs/{run_id}/cancel": {"POST": None},
    "/threads/{thread_id}/runs/{run_id}/submit_tool_outputs": {"POST": None},
    "/threads/{thread_id}/runs/{run_id}/events": {"GET": None},
    "/threads/{thread_id}/runs/{run_id}/prompts": {"GET": None},
    "/threads/{thread_id}/runs/{run_id}/steps": {"GET": None},
    "/threads/{thread_id}/runs/{run_id}/steps/{step_id}": {"GET": None},
}
_MESSAGE = "/threads/{thread_id}/messages/{message_id}"

# Whatever v1 was given as a thread's id, it looked for, and said that there is none.
_ANY_PREFIX = frozenset({"thread_id"})

# Runs whose files are remembered; a busy process has some thousands at a time.
_REMEMBERED = 10_000

# How a run of v1 searches, whatever its assistant was made by.
_MANNER = Manner(retrieval=True)


def beside(paths: Sequence[Path], db: Database, runs: Runs, embedding_model: str) -> list[Path]:
    """Return the paths of v2 with the handlers of v1 beside theirs, and the paths that only v1 has.

    `embedding_model` is that of new vector stores.
    """
    annex = _Annex(db, runs, embedding_model)
    v2 = {path.template: path.handlers for path in paths}
    both = (dataclasses.replace(path, v1=annex.handlers(path), v1_any_prefix=_ANY_PREFIX) for path in paths)
    return [*both, *annex.file_paths(v2[_MESSAGE])]


class _Annex:
    def __init__(self, db: Database, runs: Runs, embedding_model: str) -> None:
        self._db = db
        self._runs = runs
        self._embedding_model = embedding_model
        self._terms = Terms(embedding_model, implicit=True)
        self._files = _Files(db)
        self._own: Mapping[str, Mapping[str, Handler]] = {
            "/assistants": {"POST": self.create_assistant},
            "/assistants/{assistant_id}": {"POST": self.modify_assistant},
            "/threads": {"POST": self.create_thread},
            "/threads/{thread_id}/messages": {"POST": self.create_message},
            "/threads/{thread_id}/runs": {"POST": self.create_run},
            "/threads/runs": {"POST": self.create_thread_and_run},
        }

    def handlers(self, path: Path) -> dict[str, Handler]:
        """Return the handlers of v1 for a path of v2; none where v1 has nothing there."""
        wanted = _TRANSLATED.get(path.template, {})
        translated = {method: self._translated(path.handlers[method], body) for method, body in wanted.items()}
        own = self._own.get(path.template, {})
        return translated | {method: self._shown(handler) for method, handler in own.items()}

    def file_paths(self, message: Mapping[str, Handler]) -> list[Path]:
        """Return the paths of file links; `message` are the handlers of v2 for one message."""

        async def list_files(request: Request) -> Answer:
            return message_files.list_page(_decoded(await message["GET"](request)), request.page())

        async def get_file(request: Request) -> Answer:
            return message_files.get(_decoded(await message["GET"](request)), request.path["file_id"])

        links = {"GET": self.list_links, "POST": self.create_link}
        link = {"GET": self.get_link, "DELETE": self.delete_link}
        return [
            Path("/assistants/{assistant_id}/files", {}, v1=links),
            Path("/assistants/{assistant_id}/files/{file_id}", {}, v1=link),
            Path(_MESSAGE + "/files", {}, v1={"GET": list_files}, v1_any_prefix=_ANY_PREFIX),
            Path(_MESSAGE + "/files/{file_id}", {}, v1={"GET": get_file}, v1_any_prefix=_ANY_PREFIX),
        ]

    # --- assistants

    async def create_assistant(self, request: Request) -> Answer:
        new = _body(request, wire.CreateAssistant)
        async with self._db.transaction() as conn:
            made = await assistants.create(
                conn, request.project_id, requests.create_assistant(new), self._embedding_model
            )
            return await file_links.replace(conn, request.project_id, made, new.file_ids or [], self._embedding_model)

    async def modify_assistant(self, request: Request) -> Answer:
        change = _body(request, wire.ModifyAssistant)
        project_id, id, model = request.project_id, request.path["assistant_id"], self._embedding_model
        async with self._db.transaction() as conn:
            held = await file_links.hold(conn, project_id, id, model)
            new = requests.modify_assistant(change, msgspec.json.decode(held.tools))
            made = await assistants.modify(conn, project_id, id, new, model)
            if change.file_ids is None and change.tools is None:
                return made
            judge_all = change.tools is not None
            return await file_links.replace(conn, project_id, made, change.file_ids, model, judge_all=judge_all)

    async def list_links(self, request: Request) -> ListOf[wire.AssistantFile]:
        page = request.page()
        async with self._db.acquire() as conn:
            return await file_links.list_page(conn, request.project_id, request.path["assistant_id"], page)

    async def create_link(self, request: Request) -> wire.AssistantFile:
        new = request.body(wire.CreateAssistantFile)
        async with self._db.transaction() as conn:
            return await file_links.create(
                conn, request.project_id, request.path["assistant_id"], new.file_id, self._embedding_model
            )

    async def get_link(self, request: Request) -> wire.AssistantFile:
        async with self._db.acquire() as conn:
            return await file_links.get(conn, request.project_id, request.path["assistant_id"], request.path["file_id"])

    async def delete_link(self, request: Request) -> Deleted:
        async with self._db.transaction() as conn:
            return await file_links.delete(
                conn,
                request.project_id,
                request.path["assistant_id"],
                request.path["file_id"],
                self._embedding_model,
            )

    # --- threads and runs

    async def create_thread(self, request: Request) -> Answer:
        new = _body(request, wire.CreateThread)
        async with self._db.transaction() as conn:
            names = await _names(conn, request.project_id, new.messages)
            translated = requests.create_thread(new, names)
            return await threads.create_thread(conn, request.project_id, translated, self._terms)

    async def create_message(self, request: Request) -> Answer:
        new = _body(request, wire.CreateMessage)
        thread_id = request.path["thread_id"]
        async with self._db.transaction() as conn:
            names = await _names(conn, request.project_id, [new])
            translated = requests.create_message(new, names)
            return await threads.create_message(conn, request.project_id, thread_id, translated, self._terms)

    async def create_run(self, request: Request) -> Answer:
        new = _body(request, wire.CreateRun)
        check_id("assistant_id", new.assistant_id)
        names = await self._prepare(request, new, new.additional_messages)
        options = requests.create_run(new, names)
        thread_id = request.path["thread_id"]
        return await self._runs.begin(request.project_id, thread_id, options, _MANNER, may_be_empty=True)

    async def create_thread_and_run(self, request: Request) -> Answer:
        new = _body(request, wire.CreateThreadAndRun)
        check_id("assistant_id", new.assistant_id)
        names = await self._prepare(request, new, new.thread.messages if new.thread else None)
        options = requests.create_thread_and_run(new, names)
        return await self._runs.begin_with_thread(request.project_id, options, _MANNER, may_be_empty=True)

    async def _prepare(
        self, request: Request, new: wire.RunOptions, messages: Sequence[wire.CreateMessage] | None
    ) -> Names:
        """See that a run's tools may use its assistant's files; return the names of the files in its messages."""
        tools = None if new.tools is None else requests.tool_types(new.tools)
        async with self._db.transaction() as conn:
            await file_links.share(conn, request.project_id, new.assistant_id, tools, self._embedding_model)
            return await _names(conn, request.project_id, messages)

    # --- answers

    def _translated(self, handler: Handler, body: type[msgspec.Struct] | None) -> Handler:
        """Return a handler of v2 as one of v1, which takes bodies of this kind."""

        async def checked(request: Request) -> Answer:
            if body is not None:
                request.body(body)
            return await handler(request)

        return self._shown(checked)

    def _shown(self, handler: Handler) -> Handler:
        """Return a handler with its answers as v1 shows them, its refusals in the words of v1, and v1's metadata."""

        async def shown(request: Request) -> Answer:
            body = with_texts(request.raw_body)
            await asyncio.sleep(0)  # others are served before what may be large is decoded once more
            try:
                answer = await handler(msgspec.structs.replace(request, raw_body=body))
            except APIError as refusal:
                if refusal.param == "attachments" and refusal.code != "unknown_parameter":
                    refusal.param = "file_ids"
                if refusal.param == "tool_choice":
                    refusal.message = refusal.message.replace("'file_search'", "'retrieval'")
                raise
            client = client_of(request.headers)
            if isinstance(answer, Events):
                return Events(translated(answer.frames, client, self._files.find))
            return translate(decoded := _decoded(answer), client, await self._files.find(decoded))

        return shown


class _Files:
    """The files of assistants, as they are, and of runs, which are remembered: they never change, and are polled."""

    def __init__(self, db: Database) -> None:
        self._db = db
        self._of_runs: dict[str, Sequence[str]] = {}

    async def find(self, shown: dict[str, Any]) -> FileIds:
        """Look up the files of the assistants and runs in what is shown."""
        found = {id: self._of_runs[id] for holder in holders(shown) if (id := holder["id"]) in self._of_runs}
        if new := [holder for holder in holders(shown) if holder["id"] not in found]:
            async with self._db.acquire() as conn:
                found |= await file_links.of_holders(conn, new)
            if len(self._of_runs) > _REMEMBERED:
                self._of_runs.clear()
            runs = (holder["id"] for holder in new if holder["object"] == "thread.run")
            self._of_runs |= {id: found[id] for id in runs if id in found}
        return found


def _body(request: Request, kind: type[Body]) -> Body:
    """Decode a body of v1, with the limits of its client's time. Raises APIError."""
    body = request.body(kind)
    requests.check_texts(body, client_of(request.headers).longest_text)
    return body


def _decoded(answer: Answer) -> dict[str, Any]:
    """Return an answer of v2 as the members that go out. Streams have none."""
    assert not isinstance(answer, Events | Relayed)
    decoded: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(answer))
    return decoded


async def _names(conn: Any, project_id: str, messages: Sequence[wire.CreateMessage] | None) -> Names:
    """Return the names of the files that messages bring. Raises APIError for files that are not there.

    They are not held: who adds the messages holds the thread first, and then them.
    """
    wanted = file_ids(messages)
    names = {file.id: file.filename for file in await files.find(conn, project_id, wanted)}
    if missing := [id for id in wanted if id not in names]:
        raise errors.files_not_found(missing)
    return names
