"""The published schema as a judge of every answer: `tests/data/contract/openai-v2.yaml`.

The schema is read more strictly than it is written: an object may have no key
that the schema does not name. Where the recorded wire is known to differ, the
wire wins, and `RELAXATIONS` says so case by case. Nothing else is let through.
"""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema
import yaml

from tests.conformance.sse import Event, read_events, whole_events
from tests.conformance.wiretap import Exchange

SPECIFICATION = Path(__file__).parents[1] / "data" / "contract" / "openai-v2.yaml"

Schemas = dict[str, Any]
Relaxation = Callable[[Schemas], None]


def _list_of(item: Schemas) -> Schemas:
    ends = {"type": ["string", "null"]}
    return _object(
        object={"const": "list"},
        data={"type": "array", "items": item},
        first_id=ends,
        last_id=ends,
        has_more={"type": "boolean"},
    )


def _object(required: Sequence[str] = (), **properties: Any) -> Schemas:
    """An object that has all of these keys, or those that are required, and no others."""
    wanted = list(required) or list(properties)
    return {"type": "object", "properties": properties, "required": wanted, "additionalProperties": False}


_ANY_OBJECT = {"type": "object"}
_PROMPT = _object(
    ("id", "object", "created_at", "thread_id", "run_id", "turn", "step_id", "shortened", "model", "messages"),
    id={"type": "string", "pattern": "^prompt_"},
    object={"const": "thread.run.prompt"},
    created_at={"type": "integer"},
    thread_id={"type": "string"},
    run_id={"type": "string"},
    turn={"type": "integer", "minimum": 1},
    step_id={"type": ["string", "null"]},
    shortened={"type": "boolean"},
    # What was sent, which is a request to `/chat/completions`.
    model={"type": "string"},
    messages={"type": "array", "items": _ANY_OBJECT},
    stream={"const": True},
    stream_options=_ANY_OBJECT,
    response_format=_ANY_OBJECT,
    temperature={"type": "number"},
    top_p={"type": "number"},
    max_completion_tokens={"type": "integer"},
    max_tokens={"type": "integer"},
    reasoning_effort={"type": "string"},
    tools={"type": "array", "items": _ANY_OBJECT},
    tool_choice={"type": ["string", "object"]},
    parallel_tool_calls={"type": "boolean"},
)

# Ours, not OpenAI's, with the schemas of their answers by content type; of a stream, that of its events is known.
EXTENSIONS: dict[tuple[str, str], dict[str, Schemas]] = {
    ("GET", "/threads"): {"application/json": _list_of({"$ref": "#/components/schemas/ThreadObject"})},
    ("GET", "/threads/{thread_id}/runs/{run_id}/events"): {},
    ("GET", "/threads/{thread_id}/runs/{run_id}/prompts"): {"application/json": _list_of(_PROMPT)},
}

# The endpoints whose errors have a sibling `detail` where the service's had.
DETAILED = ("/files", "/uploads")


# --- where the recorded wire beats the schema


def extra(name: str, key: str, schema: Any) -> Relaxation:
    """Let an object have one more key."""

    def relax(schemas: Schemas) -> None:
        for part in _object_parts(schemas[name]):
            part["properties"][key] = schema

    return relax


def either(name: str, key: str, schema: Any) -> Relaxation:
    """Let a key hold something else as well."""

    def relax(schemas: Schemas) -> None:
        properties = schemas[name]["properties"]
        properties[key] = {"anyOf": [properties[key], schema]}

    return relax


def nullable(name: str, key: str) -> Relaxation:
    """Let a key hold null as well."""
    return either(name, key, {"type": "null"})


def optional(name: str, *keys: str) -> Relaxation:
    """Let keys be absent."""

    def relax(schemas: Schemas) -> None:
        for part in _object_parts(schemas[name]):
            part["required"] = [key for key in part["required"] if key not in keys]

    return relax


def unbounded(name: str, *keys: str) -> Relaxation:
    """Let numbers be as small as 1."""

    def relax(schemas: Schemas) -> None:
        for key in keys:
            schemas[name]["properties"][key]["minimum"] = 1

    return relax


def _object_parts(schema: Any) -> Iterator[Any]:
    """The object itself, or the objects among its alternatives."""
    yield from (part for part in (schema, *schema.get("anyOf", ())) if "properties" in part)


def _quoted(schemas: Schemas) -> None:
    citation = schemas["MessageContentTextAnnotationsFileCitationObject"]["properties"]["file_citation"]
    citation["properties"]["quote"] = {"type": "string"}


def _batched(schemas: Schemas) -> None:
    schemas["VectorStoreFileBatchObject"]["properties"]["object"]["enum"] = ["vector_store.file_batch"]


def _evaluated(schemas: Schemas) -> None:
    schemas["OpenAIFile"]["properties"]["purpose"]["enum"].append("evals")


_TEXT_OR_NULL = {"type": ["string", "null"]}
_RESOURCES = {"$ref": "#/components/schemas/ThreadObject/properties/tool_resources/anyOf/0"}


def _counter(name: str) -> Any:
    return {
        "type": "object",
        "properties": {name: {"type": "integer"}},
        "required": [name],
        "additionalProperties": False,
    }


RELAXATIONS: tuple[Relaxation, ...] = (
    # Keys that every recorded body has and the schema does not name.
    extra("VectorStoreObject", "description", _TEXT_OR_NULL),
    extra("AssistantObject", "reasoning_effort", _TEXT_OR_NULL),
    extra("RunObject", "reasoning_effort", _TEXT_OR_NULL),
    extra("RunObject", "tool_resources", _RESOURCES),
    extra("RunStepObject", "expires_at", {"type": ["integer", "null"]}),
    extra("RunCompletionUsage", "prompt_token_details", _counter("cached_tokens")),
    extra("RunCompletionUsage", "completion_tokens_details", _counter("reasoning_tokens")),
    extra("RunStepCompletionUsage", "prompt_token_details", _counter("cached_tokens")),
    extra("RunStepCompletionUsage", "completion_tokens_details", _counter("reasoning_tokens")),
    extra("FileSearchRankingOptions", "hybrid_search", {"type": ["object", "null"]}),
    extra("RunStepDetailsToolCallsFileSearchResultObject", "attributes", {"type": "object"}),
    # A run of an assistant without instructions has null there.
    nullable("RunObject", "instructions"),
    # A vector store without a name or a policy likewise.
    nullable("VectorStoreObject", "name"),
    nullable("VectorStoreObject", "expires_after"),
    # All recorded batches, 2024 to 2025, and the schema's own prose name themselves so.
    _batched,
    # Both stand in every recorded file.
    nullable("OpenAIFile", "expires_at"),
    nullable("OpenAIFile", "status_details"),
    # A purpose that requests may name, and the object is not said to have.
    _evaluated,
    # Ours: the words that a citation rests on. v1 had them, and the deltas of v2 still have their place.
    _quoted,
    # Of an empty page. That they are null of no other page is checked apart.
    *(
        nullable(f"List{noun}Response", key)
        for noun in ("Assistants", "Messages", "Runs", "RunSteps", "VectorStores", "VectorStoreFiles", "Files")
        for key in ("first_id", "last_id")
    ),
    # SDKs ask for vectors as base64 text, which the schema offers in the request only.
    either("Embedding", "embedding", {"type": "string"}),
    # The service took budgets of 16 tokens.
    unbounded("RunObject", "max_prompt_tokens", "max_completion_tokens"),
)

STREAM_RELAXATIONS: tuple[Relaxation, ...] = (
    *RELAXATIONS,
    # Steps in streams carry neither; reads show both, as the schema wants it.
    optional("RunStepObject", "expired_at", "metadata"),
)


@dataclass(frozen=True)
class Version:
    """A version of the API: its specification, and where the wire beats it, in answers and in streams."""

    file: Path
    relaxations: tuple[Relaxation, ...]
    stream_relaxations: tuple[Relaxation, ...]


V2 = Version(SPECIFICATION, RELAXATIONS, STREAM_RELAXATIONS)


# --- judging


@cache
def read_specification(file: Path = SPECIFICATION) -> Any:
    """The contract as it is written."""
    return yaml.load(file.read_text("utf-8"), yaml.CSafeLoader)


class Contract:
    """Says what is wrong with an exchange, and remembers which operations it has seen answered."""

    def __init__(self, without: Relaxation | None = None, version: Version = V2) -> None:
        """`without`: a relaxation to leave out."""
        specification = read_specification(version.file)
        self.seen: set[tuple[str, str]] = set()
        self._operations = _operations(specification["paths"])
        answers, streams = (
            [relax for relax in relaxations if relax is not without]
            for relaxations in (version.relaxations, version.stream_relaxations)
        )
        self._answers = Judge(specification["components"], answers)
        self._streams = Judge(specification["components"], streams)

    def faults(self, exchange: Exchange) -> list[str]:
        """What is wrong with an answer: nothing, hopefully."""
        if not exchange.status:
            return [f"{exchange}: {exchange.fault}"] if exchange.fault else []
        return [f"{exchange}: {fault}" for fault in self._faults(exchange)]

    def event_faults(self, event: Event) -> list[str]:
        """What is wrong with one event of a run's stream."""
        return self._streams.event_faults(event)

    def _faults(self, exchange: Exchange) -> Iterator[str]:
        if exchange.fault:
            yield exchange.fault
        yield from _header_faults(exchange)
        kind = exchange.headers.get("content-type", "")
        if exchange.status >= 400:
            yield from self._error_faults(exchange, kind)
            return
        operation = self._operation(exchange)
        if operation is None:
            yield "the contract has no such operation"
            return
        key, schemas = operation
        self.seen.add(key)
        if kind == "application/json":
            if b'"stream":true' in exchange.request_body.replace(b" ", b""):
                yield "a stream was asked for"
            body = json.loads(exchange.body)
            yield from self._answers.faults(schemas["application/json"], body)
            yield from _page_faults(body)
        elif kind == "application/octet-stream":
            yield from _download_faults(exchange, schemas.get("application/json"))
        elif kind in ("text/event-stream; charset=utf-8", "text/event-stream"):
            yield from self._stream_faults(exchange, schemas.get("text/event-stream"))
        else:
            yield f"no content type of the contract: {kind!r}"

    def _operation(self, exchange: Exchange) -> tuple[tuple[str, str], dict[str, Any]] | None:
        for method, template, pattern, schemas in self._operations:
            if method == exchange.method and pattern.match(exchange.path.removeprefix("/v1")):
                return (method, template), schemas
        return None

    def _error_faults(self, exchange: Exchange, kind: str) -> Iterator[str]:
        if kind != "application/json":
            yield f"an error of type {kind!r}"
        body = json.loads(exchange.body)
        # What the files' endpoints refuse may be said twice: clients of theirs read either.
        twice = exchange.path.removeprefix("/v1").startswith(DETAILED) and "detail" in body
        if list(body) != (["error", "detail"] if twice else ["error"]):
            yield f"an error's envelope has the keys {list(body)}"
            return
        if twice and body["detail"] != {key: body["error"].get(key) for key in ("message", "code")}:
            yield f"an error's detail says something else: {body['detail']}"
        yield from self._answers.faults({"$ref": "#/components/schemas/Error"}, body["error"])

    def _stream_faults(self, exchange: Exchange, chunk: Any) -> Iterator[str]:
        body = exchange.body if exchange.complete else whole_events(exchange.body)
        events = read_events(body)
        if chunk is not None:  # of a chat completion: its chunks have no names
            names = {event.name for event in events}
            if names != {""}:
                yield f"chunks with names: {names}"
            for event in events:
                if event.data != "[DONE]":
                    yield from self._streams.faults(chunk, event.data)
        else:
            for event in events:
                yield from self.event_faults(event)
            yield from _order_faults(events)
        if exchange.complete and (not events or events[-1].data != "[DONE]"):
            yield "a stream without its end"


class Judge:
    """Validates values against the schemas of the contract."""

    def __init__(self, components: Any, relaxations: Sequence[Relaxation]) -> None:
        schemas = copy.deepcopy(components["schemas"])
        _close(schemas)
        for relax in relaxations:
            relax(schemas)
        self._root = {"components": {"schemas": schemas}}
        self._validators: dict[str, jsonschema.Draft202012Validator] = {}
        self._events = {name: schema for union in _EVENT_UNIONS for name, schema in _events_of(schemas, union)}

    def faults(self, schema: Any, value: Any) -> list[str]:
        """What is wrong with a value, each with the place where it is."""
        key = json.dumps(schema, sort_keys=True)
        if key not in self._validators:
            self._validators[key] = jsonschema.Draft202012Validator({**self._root, **schema})
        return [_told(error) for error in self._validators[key].iter_errors(value)]

    def event_faults(self, event: Event) -> list[str]:
        """What is wrong with an event of a run's stream."""
        if event.name == "error":
            # The schema has the bare error; wrapped it raises in every SDK.
            wrapped = isinstance(event.data, dict) and list(event.data) == ["error"]
            schema, data = self._events["error"], event.data["error"] if wrapped else None
        else:
            schema, data = self._events.get(event.name), event.data
        if schema is None:
            return [f"the contract has no event {event.name!r}"]
        return [f"{event.name}: {fault}" for fault in self.faults(schema, data)]


_EVENT_UNIONS = ("ThreadStreamEvent", "RunStreamEvent", "RunStepStreamEvent", "MessageStreamEvent")


def _events_of(schemas: Schemas, union: str) -> Iterator[tuple[str, Any]]:
    alternatives = [*schemas[union]["oneOf"], schemas["ErrorEvent"], schemas["DoneEvent"]]
    for alternative in alternatives:
        properties = alternative["properties"]
        yield properties["event"]["enum"][0], properties["data"]


def _operations(paths: Any) -> list[tuple[str, str, re.Pattern[str], dict[str, Any]]]:
    found: dict[tuple[str, str], dict[str, Any]] = {}
    for template, methods in paths.items():
        for method, operation in methods.items():
            if method in ("get", "post", "delete"):
                content = operation["responses"]["200"]["content"]
                found[method.upper(), template] = {kind: of["schema"] for kind, of in content.items()}
    found.update(EXTENSIONS)
    # Fixed names before parameters: /threads/runs is no thread.
    ordered = sorted(found, key=lambda key: (key[1].count("{"), key[1]))
    return [(method, path, _pattern(path), found[method, path]) for method, path in ordered]


def _pattern(template: str) -> re.Pattern[str]:
    # A model's name may hold slashes.
    return re.compile(re.sub(r"\{(\w+)\}", lambda m: ".+" if m[1] == "model" else "[^/]+", template) + r"\Z")


def _close(schema: Any) -> None:
    """Allow no keys but those that are named, wherever some are named."""
    if isinstance(schema, list):
        for item in schema:
            _close(item)
    elif isinstance(schema, dict):
        if isinstance(schema.get("properties"), dict):
            schema.setdefault("additionalProperties", False)
        for item in schema.values():
            _close(item)


def _told(error: jsonschema.ValidationError) -> str:
    # Of a union, the alternative that the value comes closest to says most.
    error = jsonschema.exceptions.best_match([error])
    return f"{error.json_path}: {error.message}"


def _header_faults(exchange: Exchange) -> Iterator[str]:
    wanted = {
        "x-request-id": r"req_[0-9a-f]{32}",
        "openai-version": r"2020-10-01",
        "openai-organization": r".+",
        "openai-processing-ms": r"\d+",
    }
    if exchange.status < 400:
        wanted["openai-project"] = r"proj_.+"
    for name, pattern in wanted.items():
        if not re.fullmatch(pattern, exchange.headers.get(name, "")):
            yield f"header {name} is {exchange.headers.get(name)!r}"
    for name in exchange.headers:
        # Clients slow down for these; the service sent neither on these paths.
        if name.startswith("x-ratelimit-") or name == "openai-poll-after-ms":
            yield f"header {name}"


def _download_faults(exchange: Exchange, schema: Any) -> Iterator[str]:
    """A file's content: the schema calls it a string, the service sent the bytes."""
    if schema != {"type": "string"}:
        yield "bytes where the contract has none"
    length, place = (exchange.headers.get(f"content-{name}", "") for name in ("length", "disposition"))
    if exchange.complete and length != str(len(exchange.body)):
        yield f"a length of {length!r} of {len(exchange.body)} bytes"
    if not re.fullmatch(r'attachment; filename="[ -~]+"; filename\*=UTF-8' "[!-~]+", place):
        yield f"header content-disposition is {place!r}"


def _page_faults(body: Any) -> Iterator[str]:
    if body.get("object") != "list" or "has_more" not in body:
        return
    ids = [item["id"] for item in body["data"]]
    ends = (ids[0], ids[-1]) if ids else (None, None)
    if (body["first_id"], body["last_id"]) != ends:
        yield f"first_id and last_id are {body['first_id']}, {body['last_id']} of a page of {ends}"
    if not ids and body["has_more"]:
        yield "an empty page that has more"
    if len(set(ids)) != len(ids):
        yield "an object twice on a page"


def _order_faults(events: list[Event]) -> Iterator[str]:
    """The ids of a stream's events must be there and rise."""
    places = []
    for event in events:
        if event.name not in ("done", "error"):
            match = re.fullmatch(r"(\d+)-(\d+)", event.id or "")
            if match is None:
                yield f"event {event.name} has the id {event.id!r}"
            else:
                places.append((int(match[1]), int(match[2])))
    if places != sorted(set(places)):
        yield f"the events' ids do not rise: {places}"
    for event in events[:-1]:
        if event.name == "done":
            yield "an event after done"
