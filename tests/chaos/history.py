"""What clients asked for and what they were answered: all that must be true afterwards follows from it."""

from __future__ import annotations

import math
import time
from collections import Counter
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from tests.durability.streams import Event


class Asked(StrEnum):
    """Whether something was done: acknowledged, or asked for without an answer that says so."""

    NO = "no"
    MAYBE = "maybe"
    YES = "yes"


@dataclass(frozen=True)
class Violation:
    """An invariant that does not hold, and what shows it."""

    invariant: str
    text: str

    def __str__(self) -> str:
        return f"{self.invariant}: {self.text}"


@dataclass
class Expected:
    """What a run must come to: the types of its steps and the words of its messages, in their order."""

    says: tuple[str, ...]
    steps: tuple[str, ...]
    outputs: tuple[str, ...] = ()  # what its function calls are answered, by their number
    cancelled: Asked = Asked.NO
    deleted: Asked = Asked.NO


@dataclass
class Attempt:
    """One request to create an object, which carries the request's tag: `made` says whether it is there, if known.

    `id` is empty where only the tag is known.
    """

    tag: str
    kind: str
    made: Asked = Asked.MAYBE
    id: str = ""
    thread_id: str = ""
    expected: Expected | None = None


@dataclass
class Found:
    """A run as it is shown once it has ended: itself, its messages and steps, oldest first, and its whole stream."""

    run: Any
    messages: list[Any]
    steps: list[Any]
    log: list[Event]


@dataclass
class Followed:
    """What one live follower of a run has seen, over all its connections."""

    who: str
    events: list[Event] = field(default_factory=list)
    connections: int = 0


@dataclass(frozen=True)
class Trouble:
    """A request that was not answered 2xx, or as its client expected. `status` is None where the connection failed."""

    request: str
    status: int | None
    message: str
    disturbed: bool  # its node was killed, stopped or paused while the request was under way
    seconds: float


@dataclass
class History:
    """Everything that happened."""

    attempts: dict[str, Attempt] = field(default_factory=dict)
    deleted: dict[str, Asked] = field(default_factory=dict)  # by id; a thread takes along what is in it
    texts: dict[str, str] = field(default_factory=dict)  # what files hold, by their name
    settled: dict[str, tuple[Any, ...]] = field(default_factory=dict)  # runs that were checked, as they were
    violations: list[Violation] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)
    calm_since: float = math.inf  # nothing goes wrong any more

    def overdue(self, begin: float, seconds: float) -> bool:
        """Whether something that began then should be over: nobody is promised that anything ends while all breaks."""
        return time.monotonic() - max(begin, self.calm_since) > seconds

    def attempt(self, tag: str, kind: str, thread_id: str = "", expected: Expected | None = None) -> Attempt:
        """Note that an object is about to be asked for."""
        self.attempts[tag] = attempt = Attempt(tag, kind, thread_id=thread_id, expected=expected)
        return attempt

    def add(self, violations: Any) -> None:
        self.violations.extend(violations)
