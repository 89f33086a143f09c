"""Pages of other origins: which may use the API from a browser, and what of an answer they may read."""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

from starlette.middleware.cors import CORSMiddleware
from starlette.types import ASGIApp, Receive, Scope, Send

_API: Final = "/v1/"
_SHOWN: Final = (
    *("x-request-id", "openai-organization", "openai-processing-ms", "openai-project", "openai-version"),
    *("openai-poll-after-ms", "retry-after", "retry-after-ms", "x-should-retry", "content-disposition", "allow"),
    *(f"x-ratelimit-{what}-{of}" for what in ("limit", "remaining", "reset") for of in ("requests", "tokens")),
)
_REMEMBERED_SECONDS: Final = 7200  # the longest that browsers remember a preflight


def with_cors(app: ASGIApp, origins: Collection[str]) -> ASGIApp:
    """Return the application with the headers by which pages of these origins, or of any (`*`), may use its API.

    Credentials that a browser keeps are never allowed: a page brings the key itself. Whom the API lets in does not
    depend on it.
    """
    if not origins:
        return app
    shared = CORSMiddleware(
        app,
        allow_origins=sorted(origins),
        allow_methods=["GET", "POST", "DELETE"],
        allow_headers=["*"],
        expose_headers=_SHOWN,
        max_age=_REMEMBERED_SECONDS,
    )

    async def serve(scope: Scope, receive: Receive, send: Send) -> None:
        of_api = scope["type"] == "http" and scope["path"].startswith(_API)
        await (shared if of_api else app)(scope, receive, send)

    return serve
