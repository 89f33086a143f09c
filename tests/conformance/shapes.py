"""The order and shape of a stream's events, apart from what they say."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import Any

from tests.conformance.sse import Event

# What the service added to its objects after April 2024.
LATER = frozenset({"parallel_tool_calls", "reasoning_effort", "prompt_token_details", "completion_tokens_details"})
# Of these the value is part of the shape; of all others only the type is.
TELLING = frozenset({"object", "type", "status", "role", "index"})


def names(events: list[Event]) -> list[str]:
    """The names of events; of several deltas in a row, one."""
    found = [event.name for event in events]
    return [name for at, name in enumerate(found) if not (at and name == found[at - 1] and name.endswith(".delta"))]


def joined_text(events: list[Event]) -> str:
    return "".join(
        part["text"]["value"]
        for event in events
        if event.name == "thread.message.delta"
        for part in event.data["delta"]["content"]
    )


def assert_joined(events: list[Event]) -> None:
    """The deltas of every message must join to its final content, and indexes begin at 0 and rise by 1."""
    open_parts: dict[str, list[str]] = {}
    for event in events:
        if event.name == "thread.message.created":
            assert event.data["content"] == []
            assert event.data["id"] not in open_parts, "a message is created once"
            open_parts[event.data["id"]] = []
        elif event.name == "thread.message.delta":
            parts = open_parts[event.data["id"]]
            for part in event.data["delta"]["content"]:
                if part["index"] == len(parts):
                    assert "annotations" in part["text"], "the first delta of a part has its annotations"
                    parts.append("")
                else:
                    assert part["index"] == len(parts) - 1
                    assert part["text"].get("annotations") != [], "later deltas have annotations only to add some"
                parts[part["index"]] += part["text"]["value"]
        elif event.name in ("thread.message.completed", "thread.message.incomplete"):
            final = [part["text"]["value"] for part in event.data["content"]]
            assert open_parts.pop(event.data["id"]) == final
    assert open_parts == {} or events[-2].name == "error", "every message is closed"


def assert_same(ours: list[Event], theirs: list[Event], later: frozenset[str] = frozenset()) -> None:
    """Compare two streams by order and shape; keys in `later` are allowed in ours."""
    assert names(ours) == names(theirs)
    assert list(shapes(ours, later)) == list(shapes(theirs, later))


def shapes(events: list[Event], left_out: frozenset[str]) -> Iterator[tuple[str, Any]]:
    """The shape of every event. Of several deltas in a row: of the first one, then each shape that follows once."""
    later: list[Any] = []
    for before, event in pairwise([Event("", None), *events]):
        described = (event.name, shape(event.data, left_out))
        if not (event.name == before.name and event.name.endswith(".delta")):
            later = []
            yield described
        elif described not in later:
            later.append(described)
            yield described


def shape(value: Any, left_out: frozenset[str], key: str = "") -> Any:
    """What a value is, without what it says."""
    match value:
        case dict():
            return {name: shape(item, left_out, name) for name, item in value.items() if name not in left_out}
        case list():
            return [shape(item, left_out) for item in value]
        case str() | int() if key in TELLING:
            return value
        case None:
            return None
    return type(value).__name__
