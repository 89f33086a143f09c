"""The events of a run's stream, encoded once: as the frames that go out and that the log keeps.

A frame is `event`, `data` and `id` lines and a blank line. The `id` is
`lease-number`: the number counts the run's events from 1 and goes on from one
worker to the next; the lease says which worker wrote it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import msgspec

DONE = b"event: done\ndata: [DONE]\n\n"
# A line and no blank one behind it: where events have ids, a blank line makes an event of its own in Python's SDK.
PING = b": still here\n"

# The events after which a stream ends; after `requires_action` a new one may follow.
_ENDS = frozenset(
    f"event: thread.run.{status}\n".encode()
    for status in ("completed", "failed", "cancelled", "expired", "incomplete", "requires_action")
)
_ID = re.compile(r"(\d{1,18})-(\d{1,18})\Z")


def error_frame(message: str) -> bytes:
    """Encode an `error` event. Its data is wrapped like an error answer: that is what raises in every SDK."""
    data = {"error": {"message": message, "type": "server_error", "param": None, "code": None}}
    return b"event: error\ndata: %b\n\n" % msgspec.json.encode(data)


class Position(msgspec.Struct, frozen=True, order=True):
    """A place in a run's stream; places of one run are ordered."""

    lease: int = -1
    number: int = 0

    @classmethod
    def parse(cls, text: str) -> Position | None:
        """Read a `Last-Event-ID`. Returns None for what is none of ours."""
        match = _ID.match(text.strip())
        return cls(int(match[1]), int(match[2])) if match else None


class Batch(msgspec.Struct, frozen=True):
    """Frames `first` to `last` of a run, written under one lease."""

    run_id: str
    lease: int
    first: int
    last: int
    frames: bytes

    @property
    def end(self) -> Position:
        """The place after which this batch's successor comes."""
        return Position(self.lease, self.last)

    def follows(self, position: Position) -> bool:
        """Say whether nothing can be missing between a place and this batch.

        That is so for the next number of the same lease. Of another lease it is so for the next number of the very
        next lease, whose numbers begin behind all that the log has of the one before. Across more leases numbers say
        nothing: what a worker sent and never logged has numbers that its successors, here or elsewhere, use again.
        """
        return self.first == position.number + 1 and 0 <= self.lease - position.lease <= 1

    def after(self, position: Position) -> bytes:
        """Return the frames that come after a place."""
        if position < Position(self.lease, self.first):
            return self.frames
        if position >= self.end:
            return b""
        kept = self.frames.split(b"\n\n")[position.number - self.first + 1 :]
        return b"\n\n".join(kept)

    @property
    def is_end(self) -> bool:
        """Say whether a stream ends with the last frame."""
        before = self.frames.rfind(b"\n\n", 0, -2)
        last = 0 if before < 0 else before + 2
        return self.frames[last : self.frames.find(b"\n", last) + 1] in _ENDS


def told_content(frames: bytes, message_id: str) -> list[dict[str, Any]]:
    """Put a message's content together from the deltas that told of it. A message without words has an empty text.

    Never without a part: SDKs look for the part they saw last, be it another message's.
    """
    told: dict[int, _ToldPart] = {}
    for frame in frames.split(b"\n\n"):
        if not frame.startswith(b"event: thread.message.delta\n"):
            continue
        delta = msgspec.json.decode(frame.split(b"\n")[1].removeprefix(b"data: "))
        for part in delta["delta"]["content"] if delta["id"] == message_id else ():
            told.setdefault(part["index"], _ToldPart(part["type"])).take_in(part)
    return [part.shown() for part in told.values()] or [content_part("text", "")]


class _ToldPart(msgspec.Struct):
    kind: str
    values: list[str] = []
    annotations: list[Any] = []

    def take_in(self, part: dict[str, Any]) -> None:
        match self.kind:
            case "image_file":
                self.values.append(part["image_file"]["file_id"])
            case "refusal":
                self.values.append(part["refusal"])
            case _:
                self.values.append(part["text"]["value"])
                for annotation in part["text"].get("annotations", ()):
                    del annotation["index"]  # which only a delta has
                    self.annotations.append(annotation)

    def shown(self) -> dict[str, Any]:
        value = "".join(self.values)
        return image_part(value) if self.kind == "image_file" else content_part(self.kind, value, self.annotations)


def content_part(kind: str, value: str, annotations: Sequence[Any] = ()) -> dict[str, Any]:
    """Make a part of a message's content, of text or of a refusal."""
    if kind == "refusal":
        return {"type": "refusal", "refusal": value}
    return {"type": "text", "text": {"value": value, "annotations": list(annotations)}}


def image_part(file_id: str) -> dict[str, Any]:
    """Make a part of a message's content: a picture that is kept as a file."""
    return {"type": "image_file", "image_file": {"file_id": file_id}}


class Scribe:
    """Encodes the events of one run under one lease, in their order."""

    def __init__(self, run_id: str, lease: int, number: int) -> None:
        self.run_id = run_id
        self.lease = lease
        self._number = number  # of the last event written
        self._first = number + 1
        self._frames: list[bytes] = []
        self._encode = msgspec.json.Encoder().encode

    def event(self, name: str, data: Any) -> None:
        """Add an event whose data is a wire object."""
        self._add(b"event: %b\ndata: %b" % (name.encode(), self._encode(data)))

    def text_delta(self, message_id: str, part: int, value: str, *, begins: bool) -> None:
        """Add a piece of a message's text; the piece that begins a part carries its empty annotations."""
        # Spelt out, because this is the path of every token: a third of the cost of a struct.
        annotations = b',"annotations":[]' if begins else b""
        self._add(
            b'event: thread.message.delta\ndata: {"id":"%b","object":"thread.message.delta","delta":{"content":'
            b'[{"index":%d,"type":"text","text":{"value":%b%b}}]}}'
            % (message_id.encode(), part, self._encode(value), annotations)
        )

    def annotated_delta(self, message_id: str, part: int, value: str, place: int, annotation: dict[str, Any]) -> None:
        """Add a marker in a message's text together with its annotation, the `place`th of its part."""
        text = {"value": value, "annotations": [{"index": place, **annotation}]}
        self._content_delta(message_id, {"index": part, "type": "text", "text": text})

    def refusal_delta(self, message_id: str, part: int, value: str) -> None:
        """Add a piece of a refusal."""
        self._content_delta(message_id, {"index": part, "type": "refusal", "refusal": value})

    def image_delta(self, message_id: str, part: int, file_id: str) -> None:
        """Add a picture, which is a part of its own."""
        self._content_delta(message_id, {"index": part, **image_part(file_id)})

    def _content_delta(self, message_id: str, part: dict[str, Any]) -> None:
        self.event(
            "thread.message.delta",
            {"id": message_id, "object": "thread.message.delta", "delta": {"content": [part]}},
        )

    def call_delta(self, step_id: str, call: dict[str, Any]) -> None:
        """Add a piece of a tool call."""
        self.event(
            "thread.run.step.delta",
            {
                "id": step_id,
                "object": "thread.run.step.delta",
                "delta": {"step_details": {"type": "tool_calls", "tool_calls": [call]}},
            },
        )

    def _add(self, frame: bytes) -> None:
        self._number += 1
        self._frames.append(b"%b\nid: %d-%d\n\n" % (frame, self.lease, self._number))

    @property
    def position(self) -> Position:
        """The place of the last event."""
        return Position(self.lease, self._number)

    def rewind(self, number: int) -> None:
        """Forget the events after this number: the change they told of did not happen."""
        self._number = number
        self._first = number + 1
        self._frames = []

    def drop(self) -> None:
        """Forget the events not taken yet: the change they tell of will not happen."""
        self.rewind(self._first - 1)

    def take(self) -> Batch | None:
        """Return the events added since the last call, or None if there are none."""
        if not self._frames:
            return None
        batch = Batch(self.run_id, self.lease, self._first, self._number, b"".join(self._frames))
        self._first = self._number + 1
        self._frames = []
        return batch
