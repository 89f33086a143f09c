"""The endpoint that searches a vector store."""

from __future__ import annotations

from assistd import errors
from assistd.db.pool import Database
from assistd.errors import APIError
from assistd.llm.protocol import ModelError, ModelRateLimited, ModelUnavailable
from assistd.vector_stores import filters, store
from assistd.vector_stores.search import Query, Searcher
from assistd.vector_stores.search_wire import Search, SearchPage, SearchRanking, shown_hit
from assistd.vector_stores.words import rewrite
from assistd.web.endpoint import Path
from assistd.web.request import Request

_DEFAULT_HITS = 10


def paths(db: Database, searcher: Searcher) -> list[Path]:
    """Return the path of search, served from this database."""

    async def search(request: Request) -> SearchPage:
        query = _query(request.body(Search))
        store_ids = [request.path["vector_store_id"]]
        async with db.acquire() as conn:
            await store.require_usable(conn, request.project_id, store_ids)
            await store.touch(conn, request.project_id, store_ids)
        try:
            hits = await searcher.search(request.project_id, store_ids, query)
        except ModelError as fault:
            raise _refusal(fault) from fault
        return SearchPage(list(query.texts), [shown_hit(hit) for hit in hits])

    return [Path("/vector_stores/{vector_store_id}/search", {"POST": search}, beta=False)]


def _query(search: Search) -> Query:
    if search.filters is not None:
        filters.check(search.filters)
    texts = [search.query] if isinstance(search.query, str) else search.query
    ranking = search.ranking_options or SearchRanking()
    return Query(
        texts=[rewrite(text) for text in texts] if search.rewrite_query else texts,
        limit=search.max_num_results or _DEFAULT_HITS,
        score_threshold=ranking.score_threshold or 0.0,
        filters=search.filters,
        text_weight=0.0 if ranking.ranker == "none" else 1.0,
    )


def _refusal(fault: ModelError) -> APIError:
    """What to answer where the query could not be embedded. What has no use in being repeated is a 400."""
    words = f"The query could not be embedded: {fault}"
    if isinstance(fault, ModelRateLimited):
        pause = max(1, round(fault.retry_after or 1))
        return APIError(
            words, status=429, type="requests", code="rate_limit_exceeded", headers={"retry-after": str(pause)}
        )
    return errors.overloaded(words) if isinstance(fault, ModelUnavailable) else APIError(words)
