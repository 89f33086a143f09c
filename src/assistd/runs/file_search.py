"""The file search tool: what the model is offered, what it gets back, and what clients see of it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from assistd.db import sql
from assistd.db.pool import Database
from assistd.errors import APIError
from assistd.llm.protocol import ModelError, ModelUnavailable
from assistd.runs import documents
from assistd.runs.citations import marker, shown_name
from assistd.runs.documents import Documents, Room
from assistd.runs.marks import Source
from assistd.runs.wire import Exchange, FileSearchCall, ResultText, Run, SearchResult
from assistd.vector_stores import files, store
from assistd.vector_stores.search import Hit, Query, Searcher

SQL = sql.load(__package__)

# As the model is offered it.
FUNCTION: dict[str, Any] = {
    "name": "file_search",
    "description": (
        "Search the uploaded files. Returns passages, each behind a marker such as 【0:1†notes.pdf】. "
        "Where your answer uses a passage, copy its marker, unchanged, right behind the statement."
    ),
    "parameters": {
        "type": "object",
        "properties": {"query": {"type": "string", "description": "What to look for, in a few words."}},
        "required": ["query"],
    },
}

_WAIT_SECONDS = 60.0  # for files that are still being indexed
_LOOK_SECONDS = 0.2
_PAUSES = (0.5, 2.0)  # before the second and the third try of a search whose embedding is out of reach
_BYTES_PER_TOKEN = 3
_LONGEST_QUERY = 4_000  # characters
_MOST_NOTED = 5  # files that could not be searched


class SearchFailed(Exception):
    """A search could not be made; `str()` is a sentence fit for the run's `last_error`."""


class Stores(msgspec.Struct, frozen=True):
    """The vector stores a run searches: those of its thread, which it waits for, and those of its assistant."""

    project_id: str
    thread: Sequence[str]
    assistant: Sequence[str]

    @property
    def ids(self) -> list[str]:
        return list(dict.fromkeys((*self.assistant, *self.thread)))


class Options(msgspec.Struct, frozen=True):
    """What the tool's definition in the run asks of every search."""

    ranking: Mapping[str, Any]
    max_num_results: int | None = None

    @property
    def shown(self) -> dict[str, Any]:
        """The ranking options as steps show them."""
        return {name: value for name, value in self.ranking.items() if name != "hybrid_search" or value is not None}

    def query(self, text: str, model: str) -> Query:
        weights = self.ranking.get("hybrid_search") or {}
        return Query(
            texts=[text],
            limit=self.max_num_results or (5 if _is_small(model) else 20),
            score_threshold=self.ranking.get("score_threshold") or 0.0,
            embedding_weight=weights.get("embedding_weight", 1.0),
            text_weight=weights.get("text_weight", 1.0),
        )


def options_of(run: Run) -> Options | None:
    """Return a run's options of file search, or None where the tool is not enabled."""
    for tool in msgspec.json.decode(run.tools):
        if tool["type"] == "file_search":
            given = tool["file_search"]
            return Options(given["ranking_options"], given.get("max_num_results"))
    return None


class FileSearch:
    """The tool, over the vector stores that a run may search."""

    def __init__(self, db: Database, searcher: Searcher) -> None:
        self._db = db
        self._searcher = searcher

    async def make_ready(self, run: Run, since: float, *, retrieval: bool = False) -> None:
        """Note that the run uses its stores, and wait until the files of its thread are indexed, a minute at most.

        `retrieval`: and those of its assistant, within the same minute. `since` is when the waiting began, on the
        monotonic clock: a worker that takes over does not begin anew.
        Raises SearchFailed where a store of the thread has expired, or with `retrieval` any.
        """
        stores = await self._stores(run)
        if not stores.ids:
            return
        awaited = stores.ids if retrieval else stores.thread
        async with self._db.acquire() as conn:
            try:
                await store.touch(conn, stores.project_id, stores.ids)
                await store.require_usable(conn, stores.project_id, awaited)
            except APIError as refusal:
                raise SearchFailed(refusal.message) from refusal
        while awaited and time.monotonic() < since + _WAIT_SECONDS:
            async with self._db.acquire() as conn:
                if not await store.in_progress(conn, awaited):
                    return
            await asyncio.sleep(_LOOK_SECONDS)

    async def documents(self, run: Run, context_length: int) -> Documents:
        """Return the smallest files of the run's stores, each once: as many as have room in the prompt.

        From the smallest on, up to the first that does not fit; and the names of those that are not read. The model may
        read `context_length` tokens.
        """
        stores = await self._stores(run)
        if not stores.ids:
            return Documents()
        room = Room.within(context_length, run.max_prompt_tokens)
        async with self._db.acquire() as conn:
            found = await files.smallest(conn, stores.project_id, stores.ids, room.passages)
            note = await _note(conn, stores)
        return documents.told(found, room, note)

    async def answer(
        self, run: Run, exchanges: Sequence[Exchange], context_length: int
    ) -> list[tuple[FileSearchCall, Exchange]]:
        """Make the searches that the model asked for. Raises SearchFailed."""
        stores = await self._stores(run)
        options = options_of(run)
        assert options is not None, "a call of a tool that is not enabled is refused where it begins"
        async with self._db.acquire() as conn:
            first = await conn.fetchval(SQL["next_search"], run.thread_id)
            note = await _note(conn, stores)
        exchanges = [msgspec.structs.replace(exchange, note=note) for exchange in exchanges]
        budget = _budget(run.model, context_length) // max(1, len(exchanges))
        return await asyncio.gather(
            *(self._answer(run, stores, options, exchange, first + i, budget) for i, exchange in enumerate(exchanges))
        )

    async def _answer(
        self, run: Run, stores: Stores, options: Options, exchange: Exchange, number: int, budget: int
    ) -> tuple[FileSearchCall, Exchange]:
        text = _query_text(exchange.arguments)
        if not text:
            told = "The call has no query. Call file_search again with a query."
            return FileSearchCall(options.shown), msgspec.structs.replace(exchange, error=told)
        if not stores.ids:
            told = "No files have been given to search in."
            return FileSearchCall(options.shown), msgspec.structs.replace(exchange, error=told)
        hits = await self._search(stores, options.query(text, run.model))
        results = [_result(hit) for hit in within(hits, budget)]
        return FileSearchCall(options.shown, results), msgspec.structs.replace(exchange, search=number)

    async def _search(self, stores: Stores, query: Query) -> Sequence[Hit]:
        for pause in (*_PAUSES, None):
            try:
                return await self._searcher.search(stores.project_id, stores.ids, query)
            except ModelUnavailable as fault:
                if pause is None:
                    raise SearchFailed(f"File search failed: {fault}") from fault
                await asyncio.sleep(pause)
            except (APIError, ModelError) as refusal:
                raise SearchFailed(f"File search failed: {refusal}") from refusal
        raise AssertionError("the last try returns or raises")

    async def _stores(self, run: Run) -> Stores:
        """Look up the stores as they are now: an assistant's store may have been changed since the run began."""
        async with self._db.acquire() as conn:
            row = await conn.fetchrow(SQL["resources"], run.thread_id, run.assistant_id)
        if row is None:  # the thread is gone, and the run with it
            return Stores("", (), ())
        own = _store_ids(run.tool_resources)
        return Stores(row["project_id"], _store_ids(row["thread"]), own or _store_ids(row["assistant"]))


def within(hits: Sequence[Hit], budget: int) -> list[Hit]:
    """Return the best hits whose words fit into so many tokens, by a guess; one at least."""
    kept: list[Hit] = []
    for hit in hits:
        budget -= len(hit.text.encode()) // _BYTES_PER_TOKEN
        if kept and budget < 0:
            break
        kept.append(hit)
    return kept


def told(call: FileSearchCall, exchange: Exchange) -> str:
    """Return what the model is told of a search: every passage behind the marker that cites it."""
    if exchange.error is not None or exchange.search is None:
        return exchange.error or ""
    parts = [
        f"{marker(exchange.search, place, result.file_name)}\n{_words(result)}"
        for place, result in enumerate(call.results)
    ]
    if not parts:
        parts.append("No passage in the files fits this query.")
    if exchange.note:
        parts.append(exchange.note)
    return "\n\n".join(parts)


def sources(call: FileSearchCall, exchange: Exchange) -> dict[tuple[int, ...], Source]:
    """Return what an answer may cite of a search."""
    if exchange.search is None:
        return {}
    return {
        (exchange.search, place): Source(result.file_id, result.file_name, _words(result))
        for place, result in enumerate(call.results)
    }


async def _note(conn: Any, stores: Stores) -> str | None:
    """Return what the model should know of files that were given to the thread or the assistant and not found."""
    theirs = [id for id in stores.assistant if id not in stores.thread]
    noted = [
        ("These files of the user could not be searched:", await _unread(conn, stores.thread)),
        (
            "These files of the assistant could not be searched, so it is open what they say:",
            await _unread(conn, theirs),
        ),
    ]
    return "\n\n".join(f"{words}\n{files}" for words, files in noted if files) or None


async def _unread(conn: Any, store_ids: Sequence[str]) -> str:
    """Return lines that name files which no search of these stores finds, and say why; "" where there are none."""
    unread = await files.unread(conn, store_ids, _MOST_NOTED + 1) if store_ids else []
    lines = [f"- {shown_name(file.filename)}: {file.error or 'It is still being read.'}" for file in unread]
    return "\n".join([*lines[:_MOST_NOTED], "- and others"] if len(lines) > _MOST_NOTED else lines)


def _words(result: SearchResult) -> str:
    return "".join(part.text for part in result.content or ())


def _result(hit: Hit) -> SearchResult:
    return SearchResult(
        file_id=hit.file_id,
        file_name=hit.filename,
        score=hit.score,
        attributes=hit.attributes,
        content=[ResultText(hit.text)],
    )


def _query_text(arguments: str) -> str:
    """Return what to search for. Weak models write all kinds of arguments; what is no JSON is the query itself."""
    try:
        given = msgspec.json.decode(arguments)
    except msgspec.DecodeError:
        given = arguments
    if isinstance(given, dict):
        given = given.get("query") or given.get("queries") or next(iter(given.values()), "")
    if isinstance(given, list):
        given = " ".join(str(part) for part in given)
    return str(given or "").replace("\x00", " ").strip()[:_LONGEST_QUERY]


def _store_ids(resources: msgspec.Raw | None) -> list[str]:
    if resources is None or bytes(resources) == b"{}":
        return []
    ids: list[str] = msgspec.json.decode(resources).get("file_search", {}).get("vector_store_ids", [])
    return ids


def _is_small(model: str) -> bool:
    return model.startswith("gpt-3.5")


def _budget(model: str, context_length: int) -> int:
    """Tokens that the results of one turn may take: the service's limit, and never most of what the model can read."""
    return min(4_000 if _is_small(model) else 16_000, context_length // 3)
