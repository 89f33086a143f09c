"""Files in vector stores as reading them would have left them, and runs that a model of words executes."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, Sequence
from typing import Any

from assistd import ids
from assistd.db.pool import Database
from assistd.jobs.store import Job
from assistd.llm.protocol import CallArguments, CallStart, ChatRequest, Delta, Finish, Sent, Text, Usage
from assistd.runs.code_interpreter import CodeInterpreter
from assistd.runs.event_log import EventLog
from assistd.runs.executor import Executor
from assistd.runs.file_search import FileSearch
from assistd.runs.parts import Parts
from assistd.runs.pictures import Pictures
from assistd.runs.prompts import Prompts
from assistd.runs.server_tools import ServerTools
from assistd.runs.stream import Streams
from assistd.vector_stores import chunking, chunks
from tests.runs.conftest import PROJECT, Rows

RANKING = {"ranker": "default_2024_08_21", "score_threshold": 0.0, "hybrid_search": None}
SEARCH = {"type": "file_search", "file_search": {"ranking_options": RANKING}}
VECTOR = [1.0, 0.0, 0.0, 0.0]


class Library:
    """Stores and their files, made by hand."""

    def __init__(self, rows: Rows) -> None:
        self.rows = rows

    async def store(self, *, project: str = PROJECT, expired: bool = False) -> str:
        id = ids.new("vs_")
        await self.rows.conn.execute(
            "INSERT INTO vector_stores (id, project_id, metadata, embedding_model, dimensions, expires_days, "
            "last_active_at) VALUES ($1, $2, '{}', 'm', $3, $4, unix_now() - $5)",
            id,
            project,
            len(VECTOR),
            1 if expired else None,
            90_000 if expired else 0,
        )
        return id

    async def file(self, filename: str) -> str:
        id = ids.new("file-")
        await self.rows.conn.execute(
            "INSERT INTO files (id, project_id, bytes, filename, purpose, blobs) "
            "VALUES ($1, $2, 7, $3, 'assistants', '{}')",
            id,
            PROJECT,
            filename,
        )
        return id

    async def add(self, store_id: str, filename: str, text: str = "", *, sizes: tuple[int, int] = (800, 400)) -> str:
        """Put a new file into a store; with a text, as it is once it has been read."""
        file_id = await self.file(filename)
        await self.attach(store_id, file_id, sizes=sizes)
        if text:
            await self.read(store_id, file_id, text)
        return file_id

    async def attach(self, store_id: str, file_id: str, *, sizes: tuple[int, int] = (800, 400)) -> None:
        strategy = {"max_chunk_size_tokens": sizes[0], "chunk_overlap_tokens": sizes[1]}
        await self.rows.conn.execute(
            "INSERT INTO vector_store_files (store_key, file_id, chunking_strategy, attributes) "
            "SELECT key, $2, $3, '{}' FROM vector_stores WHERE id = $1",
            store_id,
            file_id,
            json.dumps({"type": "static", "static": strategy}),
        )

    async def fail(self, store_id: str, file_id: str, reason: str) -> None:
        """A file of a store could not be read."""
        await self.rows.conn.execute(
            "UPDATE vector_store_files SET status = 'failed', last_error = $3 "
            "WHERE file_id = $2 AND store_key = (SELECT key FROM vector_stores WHERE id = $1)",
            store_id,
            file_id,
            json.dumps({"code": "invalid_file", "message": reason}),
        )

    async def read(self, store_id: str, file_id: str, text: str) -> None:
        """Read a file of a store: its passages are there, and it is completed."""
        row = await self.rows.conn.fetchrow(
            "SELECT v.key, v.store_key, v.chunking_strategy FROM vector_store_files v "
            "JOIN vector_stores s ON s.key = v.store_key WHERE s.id = $1 AND v.file_id = $2",
            store_id,
            file_id,
        )
        assert row is not None
        sizes = json.loads(row["chunking_strategy"])["static"]
        passages = list(chunking.passages(text, sizes["max_chunk_size_tokens"], sizes["chunk_overlap_tokens"]))
        await chunks.write_chunks(self.rows.conn, row["key"], row["store_key"], 0, passages, [VECTOR for _ in passages])
        usage = sum(len(passage.encode()) + 2 * len(VECTOR) for passage in passages)
        await self.rows.conn.execute(
            "UPDATE vector_store_files SET status = 'completed', chunks = $2, usage_bytes = $3 WHERE key = $1",
            row["key"],
            len(passages),
            usage,
        )

    async def assistant(self, *store_ids: str) -> str:
        id = ids.new("asst_")
        resources = {"file_search": {"vector_store_ids": store_ids}} if store_ids else {}
        await self.rows.conn.execute(
            "INSERT INTO assistants (id, project_id, model, tools, tool_resources, metadata, temperature, top_p, "
            "response_format) VALUES ($1, $2, 'm', $3, $4, '{}', 1, 1, '\"auto\"')",
            id,
            PROJECT,
            json.dumps([SEARCH]),
            json.dumps(resources),
        )
        return id

    async def thread(self, *store_ids: str) -> str:
        id = await self.rows.thread()
        resources = {"file_search": {"vector_store_ids": store_ids}} if store_ids else {}
        await self.rows.conn.execute("UPDATE threads SET tool_resources = $2 WHERE id = $1", id, json.dumps(resources))
        return id


class Model:
    """A model that says one thing after the other, and remembers what it was asked."""

    images = True

    def __init__(self, *answers: str, context_length: int = 32_000) -> None:
        self.context_length = context_length
        self.answers = list(answers)
        self.asked: list[ChatRequest] = []

    async def stream(self, request: ChatRequest, sent: Sent | None = None) -> AsyncGenerator[Sequence[Delta], None]:
        self.asked.append(request)
        said = self.answers.pop(0)
        if said.startswith("/call "):
            yield [CallStart(0, ids.new("call_"), said.split()[1]), CallArguments(0, '{"query":"q"}')]
            yield [Finish("tool_calls", Usage(1, 1))]
            return
        for character in said:  # as badly cut as can be
            yield [Text(character)]
        yield [Finish("stop", Usage(1, 1))]


class NoWorkspaces:
    """Of runs that have no code."""

    def done(self, thread_id: str) -> None:
        pass


class NoHits:
    """A search that finds nothing."""

    async def search(self, project_id: str, store_ids: Sequence[str], query: Any) -> list[Any]:
        return []


class CountedSearch(FileSearch):
    """File search that counts how often documents are looked for."""

    looked = 0

    async def documents(self, *given: Any) -> Any:
        self.looked += 1
        return await super().documents(*given)


class Office:
    """What executes runs in this process, with a model of words."""

    def __init__(self, database: Database) -> None:
        self.search = CountedSearch(database, NoHits())  # type: ignore[arg-type]
        self.streams = Streams(EventLog(database))
        code = CodeInterpreter(database, NoWorkspaces(), None)  # type: ignore[arg-type]
        tools = ServerTools(self.search, code)
        self.model = Model()
        pictures = Pictures(database, None)  # type: ignore[arg-type]
        parts = Parts(lambda name: self.model, tools, pictures, Prompts(database, 0))
        self.executor = Executor(database, self.streams, parts)

    async def execute(self, run_id: str, *answers: str, attempt: int = 1, context_length: int = 32_000) -> Model:
        """Claim a run and take it as far as it goes with a model that gives these answers."""
        self.model = Model(*answers, context_length=context_length)
        await self.executor.handle(Job("run", run_id, attempt, PROJECT))
        return self.model
