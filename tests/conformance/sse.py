"""Reading server-sent events, strictly as the service frames them."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

RECORDED = Path(__file__).parents[1] / "data" / "contract" / "events"

_FIELD = re.compile(r"(event|data|id): (.*)\Z")


@dataclass(frozen=True)
class Event:
    """One event. `data` is the decoded JSON, or the text `[DONE]`."""

    name: str
    data: Any
    id: str | None = None


def read_events(body: bytes) -> list[Event]:
    """Read a whole stream. Raises ValueError for anything but events and comments, and for a cut last event."""
    text = body.decode()
    if text and not text.endswith("\n\n"):
        raise ValueError(f"the stream ends within an event: {text[-80:]!r}")
    return [event for frame in text.split("\n\n") if (event := _read_frame(frame))]


def whole_events(body: bytes) -> bytes:
    """Cut off what a client that hung up has not got whole."""
    return body[: body.rfind(b"\n\n") + 2] if b"\n\n" in body else b""


def recorded(name: str) -> list[Event]:
    """Read one of the recorded streams."""
    return read_events((RECORDED / f"{name}.sse").read_bytes())


def _read_frame(frame: str) -> Event | None:
    fields: dict[str, str] = {}
    for line in frame.split("\n"):
        if line.startswith(":") or not line:
            continue
        match = _FIELD.match(line)
        if match is None or match[1] in fields:
            raise ValueError(f"no line of an event: {line!r}")
        fields[match[1]] = match[2]
    if not fields:
        return None
    if "data" not in fields:
        raise ValueError(f"an event without data: {frame!r}")
    data = fields["data"]
    return Event(fields.get("event", ""), data if data == "[DONE]" else json.loads(data), fields.get("id"))
