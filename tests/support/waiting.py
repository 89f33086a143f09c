"""Waiting for what must come, without guessing how long it takes."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

PATIENCE = 60.0  # seconds until something that never comes is a failure; nothing waits that long otherwise


def eventually(look: Callable[[], T]) -> T:
    """Call a function until it returns something true, and return that."""
    deadline = time.monotonic() + PATIENCE
    while True:
        if found := look():
            return found
        assert time.monotonic() < deadline, f"waited in vain; the last look showed {found!r}"
        time.sleep(0.01)
