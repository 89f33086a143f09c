"""How many wrong keys an address may try, on a clock of the test's own."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from assistd.errors import APIError
from assistd.web import guesses as module
from assistd.web.guesses import MOST, PER_SECOND, Guesses


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    now = [1000.0]
    monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=lambda: now[0]))
    return now


def tried(guesses: Guesses, address: str, most: int = 1000) -> int:
    """Try keys until no more are looked at, and return how many were."""
    for count in range(most):
        try:
            guesses.begin(address)
        except APIError:
            return count
    return most


def test_so_many_at_once_and_then_so_many_a_second(clock: list[float]) -> None:
    guesses = Guesses()
    assert tried(guesses, "192.0.2.1") == MOST
    assert tried(guesses, "192.0.2.1") == 0
    clock[0] += 2
    assert tried(guesses, "192.0.2.1") == 2 * PER_SECOND
    clock[0] += 3600
    assert tried(guesses, "192.0.2.1") == MOST


def test_it_is_said_when_to_come_again(clock: list[float]) -> None:
    guesses = Guesses()
    tried(guesses, "192.0.2.1")
    with pytest.raises(APIError) as refused:
        guesses.begin("192.0.2.1")
    assert refused.value.status == 429
    clock[0] += int(refused.value.headers["retry-after"])
    guesses.begin("192.0.2.1")


def test_what_was_no_guess_does_not_count(clock: list[float]) -> None:
    guesses = Guesses()
    for _ in range(10 * MOST):
        guesses.begin("192.0.2.1")
        guesses.was_none("192.0.2.1")
    assert guesses._levels == {}


def test_one_visitor_has_one_count(clock: list[float]) -> None:
    """Whoever has IPv6 can choose among more addresses than could be counted."""
    guesses = Guesses()
    assert tried(guesses, "2001:db8:0:1::1") == MOST
    assert tried(guesses, "2001:db8:0:1:ffff::2") == 0
    for other in ("2001:db8:0:2::1", "192.0.2.1", "192.0.2.2", ""):
        assert tried(guesses, other) == MOST


def test_the_memory_has_an_end(clock: list[float], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_REMEMBERED", 10)
    guesses = Guesses()
    for n in range(MOST):
        guesses.begin(f"192.0.2.{n}")
        guesses.begin("198.51.100.1")  # who goes on is not forgotten
    assert len(guesses._levels) <= 10
    assert tried(guesses, "198.51.100.1") == 0
