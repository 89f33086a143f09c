"""Server-sent events, read: bytes in as they come, the data of whole events out. No I/O.

After https://html.spec.whatwg.org/multipage/server-sent-events.html: lines end
in CRLF, LF or CR, an empty line ends an event, `:` begins a comment. Only the
`data` field matters on this wire; `event`, `id` and `retry` are passed over.
"""

from __future__ import annotations

_MAX_EVENT_BYTES = 16 * 1024 * 1024


class EventTooLong(ValueError):
    """An event does not end within the limit."""


class SseParser:
    """One stream's parser. An event may be split anywhere between two `feed` calls."""

    __slots__ = ("_after_cr", "_max_event_bytes", "_rest")

    def __init__(self, max_event_bytes: int = _MAX_EVENT_BYTES) -> None:
        self._rest = b""
        self._after_cr = False
        self._max_event_bytes = max_event_bytes

    def feed(self, data: bytes) -> list[bytes]:
        """Take what was read; return the data of every event that ended in it. Raises EventTooLong."""
        if self._after_cr and data:
            # The LF of a CRLF whose CR ended the read before: that line has ended already.
            self._after_cr = False
            data = data.removeprefix(b"\n")
        if b"\r" in data:
            self._after_cr = data.endswith(b"\r")
            data = data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        if self._rest:
            data = self._rest + data
        events = data.split(b"\n\n")
        self._rest = events.pop()
        if len(self._rest) > self._max_event_bytes:
            raise EventTooLong(f"An event is longer than {self._max_event_bytes} bytes.")
        payloads = []
        for event in events:
            if event.startswith(b"data: ") and b"\n" not in event:
                payloads.append(event[6:])  # what nearly every event looks like
            elif event and (payload := _data_of(event)):
                payloads.append(payload)
        return payloads

    def end(self) -> list[bytes]:
        """The stream ended properly: return the data of a last event that lacks its empty line."""
        return self.feed(b"\n\n")


def _data_of(event: bytes) -> bytes:
    values = []
    for line in event.split(b"\n"):
        name, _, value = line.partition(b":")
        if name == b"data":
            values.append(value.removeprefix(b" "))
    return b"\n".join(values)
