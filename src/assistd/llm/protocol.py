"""What a run asks of a model, and what a model may answer.

A model is anything that turns a `ChatRequest` into a stream of `Delta`s. The
stream yields *batches*: all deltas that arrived together, so that a fast
upstream costs one wake-up per network read and not one per token.

Every failure is one of three kinds, because a run can do only three things
about it: wait and try again (`ModelUnavailable`), wait as long as told and try
again (`ModelRateLimited`), or give up and say why (`ModelRefused`).
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Sequence
from typing import Any, Literal, Protocol

import msgspec

FinishReason = Literal["stop", "length", "tool_calls", "content_filter"]


class Usage(msgspec.Struct, frozen=True):
    """Tokens of one completion, as the upstream counted them."""

    prompt_tokens: int = 0
    completion_tokens: int = 0
    cached_tokens: int = 0
    reasoning_tokens: int = 0


class Text(msgspec.Struct, frozen=True):
    """A piece of the answer's text; never empty."""

    value: str


class Refusal(msgspec.Struct, frozen=True):
    """A piece of a refusal, which some models send beside the text."""

    value: str


class CallStart(msgspec.Struct, frozen=True):
    """A tool call begins. `index` counts the calls of this completion from 0."""

    index: int
    id: str
    name: str


class CallArguments(msgspec.Struct, frozen=True):
    """A piece of the JSON text of a begun call's arguments; never empty."""

    index: int
    value: str


class Finish(msgspec.Struct, frozen=True):
    """The completion ended. Always the last delta; `usage` is None where the upstream gave no count."""

    reason: FinishReason
    usage: Usage | None


Delta = Text | Refusal | CallStart | CallArguments | Finish


class ChatRequest(msgspec.Struct, frozen=True):
    """One completion to be made: the fields of a Chat Completions request that a run uses.

    `messages`, `tools`, `tool_choice` and `response_format` hold values in the
    shape of the Chat Completions wire, ready to be encoded (`msgspec.Raw`
    allowed inside). None means: leave it out.
    """

    model: str
    messages: Sequence[Any]
    tools: Sequence[Any] = ()
    tool_choice: Any = None
    parallel_tool_calls: bool | None = None
    response_format: Any = None
    temperature: float | None = None
    top_p: float | None = None
    max_completion_tokens: int | None = None
    reasoning_effort: str | None = None


class ModelError(Exception):
    """A completion did not come about; `str()` is a sentence fit for the run's `last_error`."""


class ModelUnavailable(ModelError):
    """Connection refused or lost, a 5xx, a stream cut short: worth another try.

    `retry_after` is what the upstream asked for, in seconds, or None.
    """

    def __init__(self, message: str, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class ModelRateLimited(ModelUnavailable):
    """The upstream said 429 and may answer later."""


class ModelRefused(ModelError):
    """The upstream refused for good: bad key, unknown model, invalid request, quota used up.

    `code` is the `last_error.code` of the run: `server_error`,
    `rate_limit_exceeded` (quota) or `invalid_prompt` (the request itself is bad).
    """

    def __init__(self, message: str, code: str = "server_error") -> None:
        super().__init__(message)
        self.code = code


# Is told the body of a request as it goes out.
Sent = Callable[[bytes], None]


class Model(Protocol):
    """A model behind a route, ready to be called."""

    @property
    def context_length(self) -> int:
        """Tokens that prompt and completion may take together."""

    @property
    def images(self) -> bool:
        """Whether image parts may be sent."""

    def stream(self, request: ChatRequest, sent: Sent | None = None) -> AsyncGenerator[Sequence[Delta], None]:
        """Make one completion. Raises `ModelError`. Closing the generator aborts the upstream call."""
