"""What went wrong upstream, told as one of the three `ModelError`s. No I/O."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from typing import Any

import aiohttp
import msgspec

from assistd.llm.keepable import keepable
from assistd.llm.protocol import ModelError, ModelRateLimited, ModelRefused, ModelUnavailable
from assistd.llm.routing import Route

_LONGEST_WORDS = 1000
_WORTH_ANOTHER_TRY = frozenset((408, 409, 425))
_KEY_REFUSED = frozenset((401, 407))
_BAD_REQUEST = frozenset((400, 413, 422))
# Error codes that stand in for a status where an error arrives inside a stream that began with 200.
_STATUS_OF_CODE = {
    "insufficient_quota": 429,
    "rate_limit_exceeded": 429,
    "context_length_exceeded": 400,
    "invalid_prompt": 400,
    "content_policy_violation": 400,
    "invalid_api_key": 401,
    "model_not_found": 404,
}


def of_status(route: Route, status: int, body: bytes, headers: Mapping[str, str]) -> ModelError:
    """The error for an HTTP answer that is none of 2xx."""
    words, code = _words_of(body)
    return _error(route, status, words, code, _retry_after(headers))


def of_payload(route: Route, error: Any) -> ModelError:
    """The error for an `{"error": ...}` object inside a stream."""
    words, code = _words_in(error)
    status = _status_in(error, code)
    return _error(route, 502 if status is None else status, words, code, None)


def of_transport(route: Route, fault: BaseException) -> ModelUnavailable:
    """The error for a connection that cannot be made, is lost, or stays silent."""
    if isinstance(fault, TimeoutError):
        return ModelUnavailable(f"The model server {route.host} did not answer in time.")
    if isinstance(fault, aiohttp.ClientSSLError):
        return ModelUnavailable(f"No TLS connection can be made to the model server {route.host}.")
    if isinstance(fault, aiohttp.ClientConnectorError):
        return ModelUnavailable(f"The model server {route.host} cannot be reached.")
    return ModelUnavailable(f"The connection to the model server {route.host} was lost.")


def cut(route: Route) -> ModelUnavailable:
    """The error for a stream that ends before the completion does."""
    return ModelUnavailable(f"The model server {route.host} ended its answer early.")


def nonsense(route: Route) -> ModelUnavailable:
    """The error for an answer that is not a chat completion."""
    return ModelUnavailable(f"The model server {route.host} sent something that is not a chat completion.")


def off_schema(route: Route) -> ModelUnavailable:
    """The error for a reply outside the schema that it was to be held to."""
    return ModelUnavailable(f"The model server {route.host} did not hold the model to the JSON schema of its reply.")


def refuses_key(status: int) -> bool:
    """Whether a status says that an upstream does not take the key of its route, or wants one."""
    return status in _KEY_REFUSED


def of_key(route: Route, words: str) -> str:
    """The sentence for an upstream that does not take its route's key; `words` are its own, if it has any.

    It says whose key that is: a client that reads of a wrong key thinks of its own.
    """
    ours = (
        f"The model server {route.host} does not accept the API key of its route, which is this server's key for it "
        "and not yours."
    )
    return f"{ours} It says: {redact(route, words)}" if words else ours


def words_of(body: bytes) -> str:
    """Return what an error's body says, in any of the shapes servers use; "" for one that says nothing readable."""
    return _words_of(body)[0]


def redact(route: Route, text: str) -> str:
    """Hide the route's secrets, which some servers repeat when they complain about them."""
    for secret in route.secrets:
        text = text.replace(secret, "***")
    return text


def _error(route: Route, status: int, words: str, code: str, retry_after: float | None) -> ModelError:
    if refuses_key(status):
        return ModelRefused(of_key(route, words), code="server_error")
    message = redact(route, words) or f"The model server {route.host} answered with status {status}."
    if status == 402 or code == "insufficient_quota":
        return ModelRefused(message, code="rate_limit_exceeded")
    if status == 429:
        return ModelRateLimited(message, retry_after)
    if status >= 500 or status in _WORTH_ANOTHER_TRY:
        return ModelUnavailable(message, retry_after)
    return ModelRefused(message, code="invalid_prompt" if status in _BAD_REQUEST else "server_error")


def _words_of(body: bytes) -> tuple[str, str]:
    try:
        value = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return "", ""  # a web page of some proxy, as a rule
    if isinstance(value, list) and value:
        value = value[0]
    if isinstance(value, dict) and value.get("error"):
        value = value["error"]
    return _words_in(value)


def _words_in(error: Any) -> tuple[str, str]:
    """Message and code of an error in any of the shapes servers use: a text, or an object."""
    if isinstance(error, str):
        return _shown(error), ""
    if not isinstance(error, dict):
        return "", ""
    words = next((error[key] for key in ("message", "detail", "error") if error.get(key)), "")
    if not isinstance(words, str):
        words = msgspec.json.encode(words).decode()
    codes = [error[key] for key in ("code", "type") if isinstance(error.get(key), str)]
    known = [code for code in codes if code in _STATUS_OF_CODE]
    return _shown(words), (known or codes or [""])[0]


def _status_in(error: Any, code: str) -> int | None:
    if isinstance(error, dict):
        for key in ("status", "status_code", "code"):
            value = error.get(key)
            if isinstance(value, str) and value.isdecimal() and len(value) == 3:
                value = int(value)
            if isinstance(value, int) and 400 <= value <= 599:
                return value
    return _STATUS_OF_CODE.get(code)


def _shown(words: str) -> str:
    words = keepable(words).strip()
    return words if len(words) <= _LONGEST_WORDS else words[:_LONGEST_WORDS] + "..."


def _retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds to wait, from `retry-after-ms` or from `Retry-After` in seconds or as a date."""
    milliseconds = _number(headers.get("retry-after-ms"))
    if milliseconds is not None:
        return milliseconds / 1000
    value = headers.get("Retry-After")
    seconds = _number(value)
    if seconds is not None or not value:
        return seconds
    try:
        return max(0.0, parsedate_to_datetime(value).timestamp() - time.time())
    except (TypeError, ValueError, OverflowError):
        return None


def _number(value: str | None) -> float | None:
    try:
        number = float(value or "")
    except ValueError:
        return None
    return max(0.0, number) if math.isfinite(number) else None
