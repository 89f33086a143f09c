"""The key that a request brings: as a bearer's token, or as a password, which browsers ask for and keep."""

from __future__ import annotations

import base64
from collections.abc import Mapping


def key_of(headers: Mapping[str, str]) -> str | None:
    """Return the key of the `Authorization` header, None where it brings none. `headers` are in lower case."""
    scheme, _, value = headers.get("authorization", "").partition(" ")
    match scheme.lower():
        case "bearer":
            return value.strip() or None
        case "basic":
            return _of_basic(value.strip())
    return None


def is_kept_by_browser(headers: Mapping[str, str]) -> bool:
    """Say whether a browser may have added the key by itself, whichever page made it send the request."""
    return headers.get("authorization", "")[:6].lower() == "basic "


def _of_basic(encoded: str) -> str | None:
    """The password, or the name where there is no password: programs that take one text send it as either."""
    try:
        name, _, password = base64.b64decode(encoded, validate=True).decode().partition(":")
    except ValueError:
        return None
    return password.strip() or name.strip() or None
