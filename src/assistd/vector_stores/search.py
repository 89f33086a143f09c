"""Search in vector stores: by embedding and by words, fused, with filters inside the search.

A filter is turned into the files that it lets through first, and the passages of those files are searched. Where they
are few, or the store is small, every vector is compared; else the store's index is walked until enough passages of
these files are found, so that a filter costs time and never results.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from pathlib import Path
from typing import Any

import msgspec

from assistd import errors
from assistd.db import sql
from assistd.db.pool import Database
from assistd.errors import APIError
from assistd.llm.embedding import Embedders
from assistd.llm.protocol import ModelRefused
from assistd.vector_stores import ranking
from assistd.vector_stores.chunks import EXACT_LIMIT, index_name, vector_text
from assistd.vector_stores.files import expired
from assistd.vector_stores.filters import Filter, condition
from assistd.vector_stores.words import searchable

SQL = sql.load(Path(__file__).with_name("search.sql"))

MOST_HITS = 50  # of a search, on the wire
_POOL = MOST_HITS  # how many of the fused list are scored; not `limit`, so that fewer hits are the first of more
_CANDIDATES = 100  # of each of the two lists
_INDEX_BREADTH = 300  # pgvector's ef_search: more is slower and misses less
_FREQUENT = 500  # passages from which on a word is frequent: it no longer finds passages by itself
_SCORED = 2000  # passages at most that are ranked by their words
_MOST_FREQUENT = 6  # frequent words that are looked for in combination: the rarest of them
_LEAST_SHARE = 0.2  # of a store's passages that a filter lets through; below it, more are left out than found
_COUNTED = 10_000  # passages up to which words are counted exactly; from there on in a sample
_SAMPLE = 32  # one of how many chunks carries the sample's lexeme
# Makes ts_rank (0.06 for a word that is there once) and the length's part of it about 1 for a passage with every word.
_TEXT_SCALE = 30.0

Key = tuple[int, int]


class Query(msgspec.Struct, frozen=True):
    """What is searched for. Of several texts a passage's best score counts.

    `limit` is at most 50. `embedding_weight` 1 and `text_weight` 0 is search by similarity alone.
    """

    texts: Sequence[str]
    limit: int = 10
    score_threshold: float = 0.0
    filters: Filter | None = None
    embedding_weight: float = 1.0
    text_weight: float = 1.0


class Hit(msgspec.Struct, frozen=True):
    """A passage that was found. `score` is between 0 and 1; `number` counts the passages of the file from 0."""

    store_id: str
    file_id: str
    filename: str
    attributes: msgspec.Raw
    number: int
    text: str
    score: float


class _Store(msgspec.Struct, frozen=True):
    id: str
    key: int
    model: str
    dimensions: int
    passages: int


class _Scope(msgspec.Struct, frozen=True):
    """Which passages of a store are searched: those of `files`, or all where it is None."""

    files: list[int] | None
    passages: int


class _Words(msgspec.Struct, frozen=True):
    """A query's lexemes as tsqueries with what each counts, and the tsquery that finds candidates ("" for none)."""

    lexemes: list[str]
    weights: list[float]
    candidates: str


class Searcher:
    """Searches the stores of a database with the embeddings they were made with."""

    def __init__(self, db: Database, embedders: Embedders) -> None:
        self._db = db
        self._embedders = embedders

    async def search(self, project_id: str, store_ids: Sequence[str], query: Query) -> list[Hit]:
        """Return the best passages of all the stores together, best first.

        Raises APIError for a store that the project does not have (404) or that is expired, and for weights that are
        both zero; ModelError where the query cannot be embedded.
        """
        if query.embedding_weight + query.text_weight <= 0:
            raise APIError(
                "Invalid 'hybrid_search': 'embedding_weight' and 'text_weight' cannot both be zero.",
                code="invalid_value",
            )
        stores = await self._stores(project_id, store_ids)
        vectors: dict[str, list[list[float]]] = {}
        if query.embedding_weight > 0:
            for model in dict.fromkeys(store.model for store in stores if store.passages):
                vectors[model] = await self._embedders.embed(model, query.texts)
        found: dict[Key, tuple[Hit, Key]] = {}
        for store in stores:
            if store.passages:
                await self._search_store(store, query, vectors.get(store.model), found)
        ranked = sorted(found.values(), key=lambda item: (-item[0].score, item[1]))
        return [hit for hit, _ in ranked if hit.score >= query.score_threshold][: query.limit]

    async def _stores(self, project_id: str, ids: Sequence[str]) -> list[_Store]:
        async with self._db.acquire() as conn:
            rows = {row["id"]: row for row in await conn.fetch(SQL["stores"], project_id, list(ids))}
            stores = []
            for id in dict.fromkeys(ids):
                if (row := rows.get(id)) is None:
                    raise errors.not_found("vector store", id)
                if row["expired"]:
                    raise expired(id)
                passages = await conn.fetchval(SQL["passages"], row["key"])
                stores.append(_Store(id, row["key"], row["embedding_model"], row["dimensions"] or 0, passages))
        return stores

    async def _search_store(
        self, store: _Store, query: Query, vectors: list[list[float]] | None, found: dict[Key, tuple[Hit, Key]]
    ) -> None:
        async with self._db.transaction() as conn:
            scope = await _scope(conn, store, query.filters)
            if not scope.passages:
                return
            for at, text in enumerate(query.texts):
                vector = None if vectors is None else _checked(store, vectors[at])
                for key, hit in await _hits(conn, store, scope, query, text, vector):
                    if key not in found or found[key][0].score < hit.score:
                        found[key] = hit, key


def _checked(store: _Store, vector: list[float]) -> str:
    if len(vector) != store.dimensions:
        raise ModelRefused(
            f"The embedding model '{store.model}' gives {len(vector)} dimensions now, and vector store {store.id} "
            f"was made with {store.dimensions}."
        )
    return vector_text(vector)


async def _scope(conn: Any, store: _Store, filters: Filter | None) -> _Scope:
    if filters is None:
        return _Scope(None, store.passages)
    parameters: list[object] = [store.key]
    statement = SQL["files"].replace("{condition}", condition(filters, parameters))
    rows = await conn.fetch(statement, *parameters)
    return _Scope([row["key"] for row in rows], sum(row["chunks"] for row in rows))


async def _hits(
    conn: Any, store: _Store, scope: _Scope, query: Query, text: str, vector: str | None
) -> list[tuple[Key, Hit]]:
    """The best passages for one text, scored, in no order."""
    near = [] if vector is None else await _nearest(conn, store, scope, vector)
    words = _Words([], [], "")
    matching: list[Key] = []
    if query.text_weight > 0:
        await _plan(conn, indexed=False)
        words = await _words(conn, store, scope, text)
        matching = await _matching(conn, scope, words)
    pool = ranking.fuse(near, matching, query.embedding_weight, query.text_weight)[:_POOL]
    rows = await conn.fetch(
        SQL["hits"], [key for key, _ in pool], [number for _, number in pool], vector, words.lexemes, words.weights
    )
    return [((row["file_key"], row["number"]), _hit(store, query, row)) for row in rows]


def _hit(store: _Store, query: Query, row: Any) -> Hit:
    cosine = 0.0 if row["cosine"] is None else row["cosine"]
    return Hit(
        store_id=store.id,
        file_id=row["file_id"],
        filename=row["filename"],
        attributes=row["attributes"],
        number=row["number"],
        text=row["text"],
        score=ranking.score(cosine, row["text_score"], query.embedding_weight, query.text_weight),
    )


async def _plan(conn: Any, *, indexed: bool) -> None:
    await conn.fetchrow(SQL["plan"], "off" if indexed else "on", str(_INDEX_BREADTH))


async def _nearest(conn: Any, store: _Store, scope: _Scope, vector: str) -> list[Key]:
    """The passages whose vectors are nearest, best first."""
    parameters: list[object] = [vector, _CANDIDATES]
    indexed = scope.passages > EXACT_LIMIT and await conn.fetchval(SQL["has_index"], index_name(store.key))
    # The key stands in the text, because an index of one store's passages serves only a statement that names it.
    where = f"store_key = {store.key:d}"
    if scope.files is not None:
        parameters.append(scope.files)
        # Few files are looked up; of many, the scan must know quickly whether a passage is of one of them. IS TRUE
        # keeps the planner from making a join of it.
        among = "(file_key IN (SELECT unnest($3::bigint[]))) IS TRUE"
        where = f"{where} AND {among}" if indexed else "file_key = ANY($3::bigint[])"
    await _plan(conn, indexed=indexed)
    kind = f"halfvec({store.dimensions:d})" if indexed else "halfvec"
    rows = await conn.fetch(SQL["nearest"].replace("{type}", kind).replace("{where}", where), *parameters)
    # An index that goes on until it has enough gives them roughly in order.
    return [(key, number) for _, key, number in sorted((row["distance"], *row[:2]) for row in rows)]


async def _words(conn: Any, store: _Store, scope: _Scope, text: str) -> _Words:
    """Look the words of a query up: how rare each is, and which of them can find passages."""
    sampled = store.passages > _COUNTED
    step, mark = (_SAMPLE, f"'sample {store.key:d}'") if sampled else (1, f"'store {store.key:d}'")
    rows = await conn.fetch(SQL["lexemes"], searchable(text), mark, _COUNTED)
    if not rows:
        return _Words([], [], "")
    counts = {_quoted(row["lexeme"]): step * row["count"] for row in rows}
    if sampled and (rare := [lexeme for lexeme, count in counts.items() if count < _FREQUENT]):
        # Too few for the sample to tell: of these, all that there are can be counted.
        for lexeme in rare:
            counts[lexeme] = await _count(conn, f"{lexeme} & 'store {store.key:d}'", _COUNTED)
    rarities = [ranking.rarity(count, store.passages) for count in counts.values()]
    total = sum(rarities)
    if scope.passages <= _SCORED:
        candidates = " | ".join(counts)
    else:
        # Of the passages that are found, those of other files are left out: so more may be found.
        share = max(scope.passages / store.passages, _LEAST_SHARE)
        candidates = await _candidates(conn, counts, int(_SCORED / share), step, mark)
    weights = [_TEXT_SCALE * rarity / total for rarity in rarities]
    return _Words(list(counts), weights, f"({candidates}) & 'store {store.key:d}'")


async def _candidates(conn: Any, counts: dict[str, int], most: int, step: int, mark: str) -> str:
    """The tsquery for the passages worth ranking: any of the rarest words, or as few of the others as is bearable.

    `most` is how many passages it may find. Every `step`th of them has the lexeme `mark`.

    A word that half of the store has would bring up half of the store. So of the more frequent words, a passage must
    have all, or all but one, and so on until there are enough passages.
    """
    by_count = sorted(counts, key=lambda lexeme: (counts[lexeme], lexeme))
    rare, total = 0, 0
    while rare < len(by_count) and counts[by_count[rare]] < _FREQUENT and total + counts[by_count[rare]] <= most:
        total += counts[by_count[rare]]
        rare += 1
    frequent = by_count[rare:][:_MOST_FREQUENT]
    chosen = " | ".join(by_count[:rare])
    for number in range(len(frequent), 0, -1):
        together = [" & ".join(words) for words in combinations(frequent, number)]
        wider = " | ".join([*by_count[:rare], *together])
        if number < len(frequent) and step * await _count(conn, f"({wider}) & {mark}", most + 1) > most:
            break
        chosen = wider
    return chosen


async def _count(conn: Any, tsquery: str, bound: int) -> int:
    return int(await conn.fetchval(SQL["count_matching"], tsquery, bound))


async def _matching(conn: Any, scope: _Scope, words: _Words) -> list[Key]:
    """The passages that share the most telling words with the query, best first."""
    if not words.candidates:
        return []
    where = "words @@ $1::text::tsquery"
    if scope.files is not None:
        few = scope.passages <= _SCORED
        where = (
            "file_key = ANY($6::bigint[])"
            if few
            else f"{where} AND (file_key IN (SELECT unnest($6::bigint[]))) IS TRUE"
        )
    files = [] if scope.files is None else [scope.files]
    rows = await conn.fetch(
        SQL["matching"].replace("{where}", where),
        words.candidates,
        words.lexemes,
        words.weights,
        _SCORED,
        _CANDIDATES,
        *files,
    )
    return [(row["file_key"], row["number"]) for row in rows]


def _quoted(lexeme: str) -> str:
    return "'" + lexeme.replace("\\", "\\\\").replace("'", "''") + "'"
