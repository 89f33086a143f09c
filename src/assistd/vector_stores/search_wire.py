"""A search in a vector store on the wire."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from assistd.vector_stores.filters import Filter
from assistd.vector_stores.search import MOST_HITS, Hit
from assistd.vector_stores.wire import Text
from assistd.web.wire import RequestBody

# Each is embedded and searched by itself. The schema has no limit.
MAX_QUERIES = 32

_Text = Annotated[str, Meta(min_length=1)]


class SearchRanking(RequestBody, frozen=True):
    """How hits are ranked and which are good enough. `none` ranks by similarity alone."""

    ranker: Literal["none", "auto", "default-2024-11-15"] | None = None
    score_threshold: Annotated[float, Meta(ge=0, le=1)] | None = None


class Search(RequestBody, frozen=True):
    """A search by one text or several."""

    query: _Text | Annotated[list[_Text], Meta(min_length=1, max_length=MAX_QUERIES)]
    rewrite_query: bool | None = None
    max_num_results: Annotated[int, Meta(ge=1, le=MOST_HITS)] | None = None
    filters: Filter | None = None
    ranking_options: SearchRanking | None = None


class SearchHit(msgspec.Struct, frozen=True):
    """A passage that was found."""

    file_id: str
    filename: str
    score: float
    attributes: msgspec.Raw
    content: list[Text]


class SearchPage(msgspec.Struct, frozen=True):
    """The passages that were found, best first, and what they were searched by. There is one page."""

    search_query: list[str]
    data: list[SearchHit]
    has_more: bool = False
    next_page: str | None = None
    object: Literal["vector_store.search_results.page"] = "vector_store.search_results.page"


def shown_hit(hit: Hit) -> SearchHit:
    """Return a hit as clients see it."""
    return SearchHit(hit.file_id, hit.filename, hit.score, hit.attributes, [Text(hit.text)])
