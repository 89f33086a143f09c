"""Which threads a list is to have: those with this metadata, and with this text in it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Final

import msgspec
import msgspec.inspect
from msgspec import Meta

from assistd.errors import APIError
from assistd.web.faults import explain
from assistd.web.request import Request
from assistd.web.wire import Metadata

# No value of metadata is longer, so none can contain more.
_Text = Annotated[str, Meta(max_length=512)]


class Sought(msgspec.Struct, frozen=True):
    """Threads that have every pair of `metadata`, and `text` in one of its values, whatever its case."""

    metadata: Mapping[str, str] = {}
    text: str = ""


EVERY_THREAD: Final = Sought()


def sought(request: Request) -> Sought:
    """Read `metadata[key]=value` and `q`. Raises APIError for what no metadata can have."""
    metadata = request.members("metadata")
    text = request.query().get("q", [""])[-1].strip()
    _check(metadata, Metadata, "metadata")
    _check(text, _Text, "q")
    if "\0" in text:
        raise _unstorable("q")
    if any("\0" in key or "\0" in value for key, value in metadata.items()):
        raise _unstorable("metadata")
    return Sought(metadata, text)


def _check(value: Any, kind: Any, name: str) -> None:
    if fault := explain(value, msgspec.inspect.type_info(kind), name):
        raise fault


def _unstorable(name: str) -> APIError:
    return APIError(
        f"Invalid '{name}': the character U+0000 cannot be stored, and so not be found.",
        param=name,
        code="invalid_value",
    )
