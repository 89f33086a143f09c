"""What is kept of the body of a request to a model: all of it, but for pictures and what is too long. No I/O."""

from __future__ import annotations

import re
import zlib
from typing import Any, Final

import msgspec

# A picture inside a message, as `request_body` encodes it: its kind, and the rest of the JSON string. Within a text,
# the quotes would be escaped.
_URL: Final = b'"image_url":{"url":"'
_PICTURE: Final = re.compile(_URL + rb'data:([\w.+/-]{0,100})((?:[^"\\]++|\\.)*+)')

# Characters that are left of a text, where a body is too long; fewer, where that is not enough.
_LEFT_OF_TEXTS: Final = (4000, 400)
_SMALL_BYTES: Final = 200  # not worth leaving out

_SMALL_BODY_BYTES: Final = 1000  # not worth compressing


def kept(body: bytes, most: int) -> bytes:
    """Return a body without the data of its pictures, and shortened where it has more than about `most` bytes.

    What is left as it is, is returned itself.
    """
    seen = without_pictures(body)
    return _shortened(seen, most) if len(seen) > most else seen


def packed(body: bytes) -> bytes:
    """Compress a body, unless it is small."""
    return zlib.compress(body, 1) if len(body) > _SMALL_BODY_BYTES else body


def unpacked(body: bytes) -> bytes:
    """Return what was packed. What is compressed begins with another byte than a JSON object."""
    return body if body.startswith(b"{") else zlib.decompress(body)


def without_pictures(body: bytes) -> bytes:
    """Put a note in the place of every `data:` URL: `[image/png, 48213 bytes]`. Returns a body without any itself."""
    seen, pictures = _PICTURE.subn(_noted, body)
    return seen if pictures else body


def _noted(picture: re.Match[bytes]) -> bytes:
    kind, data = picture[1], picture[2].rpartition(b",")[2]
    return b"%b[%b, %d bytes]" % (_URL, kind, len(data) * 3 // 4 - data[-2:].count(b"="))


def _shortened(body: bytes, most: int) -> bytes:
    """Cut long texts in their middle; then leave out messages in the middle; then whatever is still too long."""
    told = msgspec.json.decode(body)
    for left in _LEFT_OF_TEXTS:
        shorter = msgspec.json.encode(_with_short_texts(told, left))
        if len(shorter) <= most:
            return shorter
    told = _with_short_texts(told, _LEFT_OF_TEXTS[-1])
    part = max(_SMALL_BYTES, most // 4)  # a half is for the messages, and what else can be long are two fields
    for name in told.keys() - {"messages"}:
        told[name] = _within(told[name], part)
    told["messages"] = _newest([_message_within(message, part) for message in told["messages"]], most // 2)
    return msgspec.json.encode(told)


def _within(value: Any, most: int) -> Any:
    size = len(msgspec.json.encode(value))
    return value if size <= most else f"[{size} bytes are left out here]"


def _message_within(message: Any, most: int) -> Any:
    shown = _within(message, most)
    return message if shown is message else {"role": message["role"], "content": shown}


def _with_short_texts(value: Any, left: int) -> Any:
    if isinstance(value, str) and len(value) > left:
        half = left // 2
        return f"{value[:half]} [{len(value) - 2 * half} characters are left out here] {value[-half:]}"
    if isinstance(value, list):
        return [_with_short_texts(item, left) for item in value]
    if isinstance(value, dict):
        return {name: _with_short_texts(item, left) for name, item in value.items()}
    return value


def _newest(messages: list[Any], most: int) -> list[Any]:
    """Return the first message and as many of the newest as fit, with a note between them."""
    sizes = [len(msgspec.json.encode(message)) for message in messages]
    room, begin = most - sum(sizes[:1]), len(messages)
    while begin > 1 and room >= sizes[begin - 1]:
        begin -= 1
        room -= sizes[begin]
    note = {"role": "left_out", "content": f"{begin - 1} messages are left out here"}
    return messages if begin <= 1 else [messages[0], note, *messages[begin:]]
