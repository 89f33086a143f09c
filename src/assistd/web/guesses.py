"""How many keys that nobody has an address has tried lately: each costs a look into the database."""

from __future__ import annotations

import ipaddress
import math
import time
from typing import Final

from assistd import errors

# So many at once, and then so many a second.
MOST: Final = 50
PER_SECOND: Final = 5.0

_REMEMBERED: Final = 10_000


class Guesses:
    """What every address has tried, as levels that sink with time."""

    def __init__(self) -> None:
        self._levels: dict[str, tuple[float, float]] = {}  # and when they were so high, the latest last

    def begin(self, address: str) -> None:
        """Count an attempt before its outcome is known. Raises APIError (429) for one too many."""
        network, level = _network(address), self._level(address)
        if level + 1 > MOST:
            raise errors.too_many_wrong_keys(math.ceil((level + 1 - MOST) / PER_SECOND))
        self._set(network, level + 1)

    def was_none(self, address: str) -> None:
        """Take an attempt back: the key was right, or nobody knows."""
        self._set(_network(address), max(0.0, self._level(address) - 1))

    def _level(self, address: str) -> float:
        level, since = self._levels.get(_network(address), (0.0, 0.0))
        return max(0.0, level - (time.monotonic() - since) * PER_SECOND)

    def _set(self, network: str, level: float) -> None:
        self._levels.pop(network, None)
        if level:
            self._levels[network] = level, time.monotonic()
        while len(self._levels) > _REMEMBERED:
            del self._levels[next(iter(self._levels))]


def _network(address: str) -> str:
    """Return what one visitor can choose its address from: with IPv6, half of all bits are everybody's own."""
    try:
        if (parsed := ipaddress.ip_address(address)).version == 6:
            return str(ipaddress.ip_network((parsed, 64), strict=False))
    except ValueError:
        pass
    return address
