"""A message while it is being written: its parts, and what in its text is annotated."""

from __future__ import annotations

from typing import Any

import msgspec

from assistd.runs.frames import content_part, image_part

_SENTENCE = 500  # characters


class OpenPart(msgspec.Struct):
    """A part of a message being written: text or a refusal, or a picture, which is whole at once."""

    kind: str
    pieces: list[str] = []
    annotations: list[dict[str, Any]] = []
    size: int = 0  # code points so far
    file_id: str = ""  # of a picture

    def add(self, value: str) -> None:
        """Add a piece of text."""
        self.pieces.append(value)
        self.size += len(value)

    def end(self) -> str:
        """The last words, as much as a sentence may have."""
        last: list[str] = []
        for piece in reversed(self.pieces):
            last.append(piece)
            if sum(map(len, last)) > _SENTENCE:
                break
        return "".join(reversed(last))[-_SENTENCE:]

    def shown(self) -> dict[str, Any]:
        """The part as clients see it."""
        if self.file_id:
            return image_part(self.file_id)
        return content_part(self.kind, "".join(self.pieces), self.annotations)


class OpenMessage(msgspec.Struct):
    """A message being written, with the step that creates it."""

    id: str
    step_id: str
    created_at: int
    parts: list[OpenPart] = []

    def content(self) -> list[dict[str, Any]]:
        """The message's content as clients see it."""
        return [part.shown() for part in self.parts]

    def part(self, kind: str) -> tuple[int, OpenPart, bool]:
        """Return the part that is being written, its place before it, and whether it has just begun."""
        begins = not self.parts or self.parts[-1].kind != kind
        if begins:
            self.parts.append(OpenPart(kind))
        return len(self.parts) - 1, self.parts[-1], begins
