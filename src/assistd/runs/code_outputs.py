"""What a call of the code interpreter gave, gathered as it is told. Pure: nothing in this file does I/O.

What is told piece by piece joins to exactly what is kept: logs in a row are one
output, and a picture between them begins a new one. Of endless logs the
beginning is told at once, and the end when it is known; a line says what is left
out between them, for a traceback stands at the end.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from assistd.llm.keepable import keepable
from assistd.runs.wire import CodeOutput, Exchange, ImageFile, ImageOutput, LogsOutput
from assistd.sandbox.limits import Limits


class CodeOutputs:
    """The outputs of one call. Each method returns what is to be told of them, as the delta's `outputs`."""

    def __init__(self, first: int = Limits.first_logs, last: int = Limits.last_logs) -> None:
        self._outputs: list[list[str] | ImageOutput] = []
        self._room = first
        self._last = last
        self._late = ""  # the end of what came when there was no more room
        self._late_size = 0

    @property
    def shown(self) -> list[CodeOutput]:
        """The outputs as far as they were told."""
        return [LogsOutput("".join(o)) if isinstance(o, list) else o for o in self._outputs]

    def logs(self, text: str) -> list[dict[str, Any]]:
        """Add a piece of what the code printed."""
        text = keepable(text)
        told, rest = text[: self._room], text[self._room :]
        self._room -= len(told)
        self._late_size += len(rest)
        self._late = (self._late + rest)[-self._last :]
        return self._tell(told)

    def image(self, file_id: str) -> list[dict[str, Any]]:
        """Add a picture, which is kept as a file."""
        self._outputs.append(ImageOutput(ImageFile(file_id)))
        return [{"index": len(self._outputs) - 1, "type": "image", "image": {"file_id": file_id}}]

    def finish(self) -> list[dict[str, Any]]:
        """The code has ended: add what was held back."""
        left_out = self._late_size - len(self._late)
        text = f"{omission(left_out)}{self._late}" if left_out else self._late
        self._late, self._late_size = "", 0
        return self._tell(text)

    def _tell(self, text: str) -> list[dict[str, Any]]:
        if not text:
            return []
        if not self._outputs or not isinstance(self._outputs[-1], list):
            self._outputs.append([])
        last = self._outputs[-1]
        assert isinstance(last, list)
        last.append(text)
        return [{"index": len(self._outputs) - 1, "type": "logs", "logs": text}]


def omission(characters: int) -> str:
    """Return the line that stands in place of so many characters."""
    return f"\n[{characters:,} characters are left out here]\n"


def shortened(text: str, room: int) -> str:
    """Return a text's beginning and end, of about so many bytes together."""
    size = len(text.encode())
    if size <= room:
        return text
    kept = max(0, room * len(text) // size) // 2
    return f"{text[:kept]}{omission(len(text) - 2 * kept)}{text[len(text) - kept :]}"


def within(outputs: Sequence[CodeOutput], room: int) -> list[CodeOutput]:
    """Return outputs whose logs have about so many bytes together; what is short stays whole."""
    sizes = sorted(len(output.logs.encode()) for output in outputs if isinstance(output, LogsOutput))
    share = room
    for place, size in enumerate(sizes):
        share = max(0, room) // (len(sizes) - place)
        if size > share:
            break
        room -= size
    return [
        LogsOutput(shortened(output.logs, share)) if isinstance(output, LogsOutput) else output for output in outputs
    ]


def told(outputs: Sequence[CodeOutput], said: Exchange) -> str:
    """Return what the model is told of a call: what it has to know, then what the code gave, in its order."""
    if said.error is not None:
        return said.error
    words = ""
    for output in outputs:
        if isinstance(output, LogsOutput):
            words += output.logs
        else:
            apart = "\n" if words and not words.endswith("\n") else ""
            words += f"{apart}[image {output.image.file_id} shown to the user]\n"
    return (f"{said.note}\n\n" if said.note else "") + (words or "[The code has printed nothing.]")
