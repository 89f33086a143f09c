"""Metadata in requests of v1: any value was taken, and kept as the text that Python makes of it. v2 takes texts only.

Pure: nothing in this file does I/O.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec


def with_texts(body: bytes) -> bytes:
    """Return a JSON body with the values of its metadata as texts: `true` as "True", `null` as "None", 1.5 as "1.5".

    A body that needs no change, or is none of v1's, comes back as it is: whoever decodes it says what is wrong with it.
    """
    if b'"metadata"' not in body:
        return body
    try:
        decoded = msgspec.json.decode(body)
        changed = [_put_in_text(metadata) for metadata in _all_metadata(decoded)]
        return msgspec.json.encode(decoded) if any(changed) else body
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return body


def _put_in_text(metadata: dict[str, Any]) -> bool:
    """Make texts of all values in place; say whether there was anything to do."""
    others = {key: str(value) for key, value in metadata.items() if not isinstance(value, str)}
    metadata.update(others)
    return bool(others)


def _all_metadata(body: Any) -> Iterator[dict[str, Any]]:
    """Yield the metadata of a request, of the messages in it, and of the thread in it."""
    if not isinstance(body, dict):
        return
    if isinstance(metadata := body.get("metadata"), dict):
        yield metadata
    for name in ("messages", "additional_messages"):
        if isinstance(messages := body.get(name), list):
            for message in messages:
                yield from _all_metadata(message)
    yield from _all_metadata(body.get("thread"))
