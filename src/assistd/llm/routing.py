"""Which server answers for which model name.

A route says where the Chat Completions endpoint for some model names is and
what it can do. Routes come from a TOML file of `[[routes]]` tables or, for the
case of one server for everything, from a base URL. The first route that
matches a name wins.

    [[routes]]
    names = ["gpt-4o*", "o3-mini"]              # patterns: * ? [abc]
    base_url = "https://api.openai.com/v1"
    api_key_env = "OPENAI_API_KEY"              # the variable that holds the key

    [[routes]]
    names = ["*"]
    base_url = "http://127.0.0.1:11434/v1"
    model = "llama3.2:3b"                       # what the server calls it; default: the name asked for
    context_length = 131072                     # tokens; default: by the name, else 8192
    tools = "constrained"                       # "native" | "constrained" | "none"
    images = false                              # may image parts be sent
    json_schema = true                          # does it obey response_format json_schema
    usage = true                                # does it take stream_options.include_usage
    embeddings = true                           # does it serve /embeddings
    reasoning_effort = false                    # does it take reasoning_effort
    max_tokens_field = "max_tokens"             # or "max_completion_tokens"
    headers = { "X-Team" = "blue" }             # sent along
"""

from __future__ import annotations

import base64
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, Literal
from urllib.parse import unquote, urlsplit, urlunsplit

from assistd.llm import context_lengths
from assistd.user_errors import UserError

Tools = Literal["native", "constrained", "none"]
MaxTokensField = Literal["max_completion_tokens", "max_tokens"]

_CHOICES = {"tools": ("native", "constrained", "none"), "max_tokens_field": ("max_completion_tokens", "max_tokens")}
_TEXTS = ("base_url", "api_key_env", "model")
_SWITCHES = ("images", "json_schema", "usage", "embeddings", "reasoning_effort")
_KEYS = frozenset(("names", "context_length", "headers", *_TEXTS, *_SWITCHES, *_CHOICES))


class RoutingError(UserError):
    """A file of routes cannot be used; the message names the file, the route and the key."""


@dataclass(frozen=True, kw_only=True)
class Route:
    """One Chat Completions server, the model names it answers for, and what it can do.

    `context_length` is in tokens, 0 meaning "known by the model's name". `model` is the
    name the server knows the model by, "" meaning the name that was asked for. Key, URL
    and headers may hold secrets, so they are not part of the `repr`.
    """

    patterns: tuple[str, ...]
    base_url: str = field(repr=False)
    key: str = field(default="", repr=False)
    model: str = ""
    context_length: int = 0
    tools: Tools = "native"
    images: bool = True
    json_schema: bool = True
    usage: bool = True
    embeddings: bool = True
    reasoning_effort: bool = True
    max_tokens_field: MaxTokensField = "max_tokens"
    headers: Mapping[str, str] = field(default_factory=dict, repr=False, hash=False)

    @property
    def host(self) -> str:
        """Host and port, fit for a message: never with credentials."""
        return urlsplit(self.base_url).netloc.rpartition("@")[2]

    @property
    def names(self) -> tuple[str, ...]:
        """The model ids this route can list: its literal patterns, else the upstream's name if it says one."""
        literal = tuple(pattern for pattern in self.patterns if not set(pattern) & set("*?["))
        return literal or ((self.model,) if self.model else ())

    def matches(self, name: str) -> bool:
        """Say whether this route answers for a model name."""
        return name in self.names or any(fnmatchcase(name, pattern) for pattern in self.patterns)

    def upstream_name(self, name: str) -> str:
        """What the server calls the model that was asked for as `name`."""
        return self.model or name

    def context_for(self, name: str) -> int:
        """Tokens that the model asked for as `name` takes, prompt and completion together."""
        return self.context_length or context_lengths.known(self.upstream_name(name))

    def url(self, path: str) -> str:
        """Address of an endpoint such as `chat/completions`, without credentials; a query stays at the end."""
        base = urlsplit(self.base_url)
        return urlunsplit((base.scheme, self.host, f"{base.path.rstrip('/')}/{path}", base.query, ""))

    def request_headers(self) -> dict[str, str]:
        """The headers that every request carries: authorization and the route's own, which win."""
        headers = {}
        userinfo = urlsplit(self.base_url).netloc.rpartition("@")[0]
        if self.key:
            headers["Authorization"] = f"Bearer {self.key}"
        elif userinfo:
            headers["Authorization"] = "Basic " + base64.b64encode(unquote(userinfo).encode()).decode()
        return headers | dict(self.headers)

    @property
    def secrets(self) -> tuple[str, ...]:
        """Whatever must not show in a message."""
        password = unquote(urlsplit(self.base_url).password or "")
        return tuple(secret for secret in (self.key, password, *self.headers.values()) if len(secret) >= 6)


def no_embeddings(name: str) -> str:
    """Say that the route of a model name serves no embeddings, and what would."""
    return (
        f"The server that answers for '{name}' makes no embeddings. Set ASSISTD_MODELS_FILE to a file with a route to "
        "one that does."
    )


class Routing:
    """Routes in the order in which they are asked."""

    def __init__(self, routes: Iterable[Route]) -> None:
        self._routes = tuple(routes)

    def find(self, name: str) -> Route | None:
        """The first route that answers for a model name."""
        return next((route for route in self._routes if route.matches(name)), None)

    def __iter__(self) -> Iterator[Route]:
        return iter(self._routes)

    def names(self) -> list[str]:
        """Model ids to list, each once, in the order of the routes."""
        return list(dict.fromkeys(name for route in self._routes for name in route.names))


def single_route(base_url: str, key: str = "", context_length: int = 0) -> Route:
    """One server for every model name. Raises RoutingError for a URL that is none."""
    if fault := _url_fault(base_url):
        raise RoutingError(f"The model base URL {fault}.")
    if _breaks(key):
        raise RoutingError("The model API key holds a line break.")
    return Route(
        patterns=("*",),
        base_url=base_url,
        key=key,
        context_length=context_length,
        max_tokens_field=_usual_max_tokens_field(base_url),
    )


def load_routes(path: Path, environ: Mapping[str, str]) -> tuple[Route, ...]:
    """Read a file of routes; keys are looked up in `environ`. Raises RoutingError."""
    try:
        document = tomllib.loads(path.read_text("utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as fault:
        raise RoutingError(f"{path} cannot be read: {fault}.") from fault
    if unknown := sorted(set(document) - {"routes"}):
        raise RoutingError(f"{path} sets {', '.join(unknown)}; it may hold [[routes]] tables only.")
    tables = document.get("routes")
    if not isinstance(tables, list) or not tables or not all(isinstance(table, dict) for table in tables):
        raise RoutingError(f"{path} has no [[routes]] table.")
    return tuple(_RouteTable(path, number, table).route(environ) for number, table in enumerate(tables, 1))


class _RouteTable:
    """One `[[routes]]` table of a file, on its way to a `Route`."""

    def __init__(self, path: Path, number: int, table: dict[str, Any]) -> None:
        self._where = f"{path}: route {number}"
        self._table = table

    def route(self, environ: Mapping[str, str]) -> Route:
        names = self._names()
        self._where += f" ({names[0]})"
        self._check()
        base_url = self._table["base_url"]
        known = {key: value for key, value in self._table.items() if key not in ("names", "base_url", "api_key_env")}
        known.setdefault("max_tokens_field", _usual_max_tokens_field(base_url))
        return Route(patterns=names, base_url=base_url, key=self._key(environ), **known)

    def _names(self) -> tuple[str, ...]:
        names = self._table.get("names")
        if not isinstance(names, list) or not names or not all(isinstance(name, str) and name for name in names):
            raise self._fault("names", 'must be a list of model names or patterns, such as ["gpt-4o*"]')
        return tuple(names)

    def _check(self) -> None:
        table = self._table
        for key, value in table.items():
            if key not in _KEYS:
                hint = "; name the variable that holds the key in api_key_env" if key in ("key", "api_key") else ""
                raise self._fault(key, f"is not known{hint}")
            if key in _TEXTS and not (isinstance(value, str) and value):
                raise self._fault(key, "must be a text that is not empty")
            if key in _SWITCHES and not isinstance(value, bool):
                raise self._fault(key, "must be true or false")
            if key in _CHOICES and value not in _CHOICES[key]:
                raise self._fault(key, f"must be one of {', '.join(_CHOICES[key])}")
        if (fault := _url_fault(table.get("base_url"))) is not None:
            raise self._fault("base_url", fault)
        length = table.get("context_length", 1)
        if not isinstance(length, int) or isinstance(length, bool) or length < 1:
            raise self._fault("context_length", "must be a number of tokens, 1 or more")
        self._check_headers(table.get("headers", {}))
        if table.get("tools") == "constrained" and table.get("json_schema") is False:
            raise self._fault("tools", "can be constrained only where json_schema is true")

    def _check_headers(self, headers: Any) -> None:
        if not isinstance(headers, dict) or not all(isinstance(value, str) for value in headers.values()):
            raise self._fault("headers", 'must be a table of texts, such as { "X-Team" = "blue" }')
        for name, value in headers.items():
            if not name or not name.isascii() or not name.isprintable() or set(name) & set(" :") or _breaks(value):
                raise self._fault("headers", f"holds {name!r}, which cannot be an HTTP header")

    def _key(self, environ: Mapping[str, str]) -> str:
        variable = self._table.get("api_key_env")
        if variable is None:
            return ""
        key = environ.get(variable, "").strip()
        if not key:
            raise self._fault("api_key_env", f"names the environment variable {variable}, which is not set")
        if _breaks(key):
            raise self._fault("api_key_env", f"names the environment variable {variable}, which holds a line break")
        return key

    def _fault(self, key: str, words: str) -> RoutingError:
        return RoutingError(f"{self._where}: {key} {words}.")


def _breaks(value: str) -> bool:
    return any(ord(character) < 32 or ord(character) == 127 for character in value)


def _url_fault(value: Any) -> str | None:
    words = "must be an address such as http://127.0.0.1:8080/v1"
    if not isinstance(value, str):
        return words
    try:
        parts = urlsplit(value)
        return None if parts.scheme in ("http", "https") and parts.hostname and parts.port != 0 else words
    except ValueError:
        return words


def _usual_max_tokens_field(base_url: str) -> MaxTokensField:
    # OpenAI's newer models refuse max_tokens; the other servers all know it, and some of them nothing else.
    host = urlsplit(base_url).hostname or ""
    own = host == "api.openai.com" or host.endswith((".openai.azure.com", ".services.ai.azure.com"))
    return "max_completion_tokens" if own else "max_tokens"
