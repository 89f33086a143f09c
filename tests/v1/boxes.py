"""The boxes of the walkthrough, word for word, and the checks that say whether what a walk saw ticks them."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.conformance.wiretap import Exchange

WALKTHROUGH = Path(__file__).parents[1] / "data" / "contract" / "seed-walkthrough.md"
LAST_SECTION = 7  # what follows is not exercised, or v2's


@dataclass(frozen=True)
class Walked:
    """What one walk saw: objects as its SDK prints them, and every exchange with the server.

    `scripted`: the model did as it was told, so that what it said can be judged too.
    """

    sdk: str
    scripted: bool
    saw: dict[str, Any]
    exchanges: list[Exchange]

    @property
    def november(self) -> bool:
        """Whether its SDK knows the objects of November 2023 and no others."""
        return self.sdk == "1.2.3"


Check = Callable[[Walked], None]
CHECKS: dict[str, Check] = {}


def box(number: str) -> Callable[[Check], Check]:
    """Make a function the check of a box: `2.3` is the third of section 2, those within others counted as they come."""

    def add(check: Check) -> Check:
        assert number not in CHECKS, number
        CHECKS[number] = check
        return check

    return add


def read_boxes() -> dict[str, str]:
    """The words of every box, by its number."""
    found: dict[str, str] = {}
    section, count, inside = 0, 0, ""
    for line in WALKTHROUGH.read_text("utf-8").splitlines():
        if heading := re.match(r"## (\d+)\.", line):
            section, count, inside = int(heading[1]), 0, ""
        elif ticked := re.match(r" *- \[ \] (.*)", line):
            count += 1
            inside = f"{section}.{count}"
            found[inside] = ticked[1]
        elif not line.strip() or line.startswith("- "):
            inside = ""
        elif inside:
            found[inside] += "\n" + line.strip()
    return {number: words for number, words in found.items() if int(number.partition(".")[0]) <= LAST_SECTION}


# --- what an SDK prints: the fields it knows in its order, then what else came over the wire

_ASSISTANT = [
    *("id", "created_at", "description", "file_ids", "instructions", "metadata", "model", "name", "object", "tools"),
]
_THREAD = ["id", "created_at", "metadata", "object"]
_STEP = [
    *("id", "assistant_id", "cancelled_at", "completed_at", "created_at", "expired_at", "failed_at", "last_error"),
    *("metadata", "object", "run_id", "status", "step_details", "thread_id", "type"),
]
# No SDK knows this field of steps; the service sent it all the same.
_STEP_EXTRAS = {"expires_at"}
_LIST = ["data", "object", "first_id", "last_id", "has_more"]

# As the walkthrough lists them.
NOVEMBER: dict[str, tuple[list[str], set[str]]] = {
    "assistant": (_ASSISTANT, set()),
    "thread": (_THREAD, set()),
    "thread.message": (
        [
            *("id", "assistant_id", "content", "created_at", "file_ids", "metadata", "object", "role", "run_id"),
            "thread_id",
        ],
        set(),
    ),
    "thread.run": (
        [
            *("id", "assistant_id", "cancelled_at", "completed_at", "created_at", "expires_at", "failed_at"),
            *("file_ids", "instructions", "last_error", "metadata", "model", "object", "required_action"),
            *("started_at", "status", "thread_id", "tools"),
        ],
        set(),
    ),
    "thread.run.step": (_STEP, _STEP_EXTRAS),
    "list": (_LIST, set()),
}
# As the types of openai 1.20.0 have them; three fields came to the wire before they came to its types.
APRIL: dict[str, tuple[list[str], set[str]]] = NOVEMBER | {
    "assistant": (_ASSISTANT, {"temperature", "top_p", "response_format"}),
    "thread.message": (
        [
            *("id", "assistant_id", "completed_at", "content", "created_at", "file_ids", "incomplete_at"),
            *("incomplete_details", "metadata", "object", "role", "run_id", "status", "thread_id"),
        ],
        set(),
    ),
    "thread.run": (
        [
            *("id", "assistant_id", "cancelled_at", "completed_at", "created_at", "expires_at", "failed_at"),
            *("file_ids", "incomplete_details", "instructions", "last_error", "max_completion_tokens"),
            *("max_prompt_tokens", "metadata", "model", "object", "required_action", "response_format"),
            *("started_at", "status", "thread_id", "tool_choice", "tools", "truncation_strategy", "usage"),
            "temperature",
        ],
        {"top_p"},
    ),
    "thread.run.step": ([*_STEP, "usage"], _STEP_EXTRAS),
}
PRINTED = {"1.2.3": NOVEMBER, "1.20.0": APRIL}


def prints(walked: Walked, printed: Any, **values: Any) -> None:
    """An object must show exactly the keys of its kind, in their order, and these values."""
    known, extras = PRINTED[walked.sdk][printed["object"]]
    keys = list(printed)
    assert keys[: len(known)] == known, keys
    assert sorted(keys[len(known) :]) == sorted(extras), keys
    has(printed, **values)


def has(printed: Any, **values: Any) -> None:
    """These keys of an object must have these values."""
    assert {key: printed[key] for key in values} == values


def texts(page: Any) -> list[str]:
    """The first text of every message of a page."""
    return [message["content"][0]["text"]["value"] for message in page["data"]]
