"""Text that can be kept: in PostgreSQL, which refuses U+0000, and in UTF-8, which refuses lone surrogates."""

from __future__ import annotations

import re

_UNKEEPABLE = re.compile("[\0\ud800-\udfff]")


def keepable(text: str) -> str:
    """Replace each character that cannot be kept by U+FFFD."""
    return _UNKEEPABLE.sub("\ufffd", text)
