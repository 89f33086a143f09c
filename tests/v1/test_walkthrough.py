"""Sections 0 to 7 of the walkthrough that assistd exists for, box by box, with the SDKs of that time.

openai 1.2.3, with which it was written, walks once with the scripted model, so that what is said can be
judged too, and once with the real local one, by form. openai 1.20.0, the last of v1, walks as well.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.conformance.contract import Contract
from tests.conformance.wiretap import Wiretap
from tests.llm.test_local import cache
from tests.support.databases import new_database
from tests.support.server import serve
from tests.v1 import checks_ground, checks_text, checks_tools
from tests.v1.boxes import CHECKS, Walked, read_boxes
from tests.v1.contract import is_of_the_last_days
from tests.v1.walking import walk

BOXES = read_boxes()
MODULES = (checks_ground, checks_text, checks_tools)
# The small local model would only talk, and long: it is made to use its tools, and is given an end.
STEADY = {"temperature": 0}
OPTIONS: dict[str, dict[str, Any]] = {
    **dict.fromkeys(("equation", "explain", "algebra", "dislike", "thanks"), STEADY | {"max_completion_tokens": 16}),
    "fibonacci": STEADY | {"tool_choice": {"type": "code_interpreter"}, "max_completion_tokens": 60},
    "paper": STEADY | {"tool_choice": {"type": "retrieval"}, "max_completion_tokens": 40},
    "quiz": {"tool_choice": {"type": "function", "function": {"name": "display_quiz"}}, "max_completion_tokens": 300},
}

# One process loads the local model, not every worker of pytest-xdist.
LOCAL = pytest.param(
    ("1.2.3", "local"), marks=[pytest.mark.long, pytest.mark.xdist_group("local-model")], id="1.2.3-local"
)


@pytest.fixture(
    scope="module",
    params=[
        pytest.param(("1.2.3", "scripted"), id="1.2.3-scripted"),
        pytest.param(("1.20.0", "scripted"), id="1.20.0-scripted"),
        LOCAL,
    ],
)
def walked(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Walked]:
    sdk, model = request.param
    if model == "scripted":
        scripted_walk: Callable[[str], Walked] = request.getfixturevalue("scripted_walk")
        yield scripted_walk(sdk)
        return
    folder = tmp_path_factory.mktemp(model)
    # Fetched once for all test runs.
    models = cache() / "models"
    models.mkdir(parents=True, exist_ok=True)
    (folder / "data").mkdir()
    (folder / "data" / "models").symlink_to(models.absolute())
    with (
        new_database(request.getfixturevalue("postgres")) as database,
        serve(folder, model_base_url="", database_url=database) as server,
        Wiretap(server.url) as tap,
    ):
        yield walk(sdk, tap, folder, {}, OPTIONS)


def test_every_box_has_its_check() -> None:
    assert sorted(CHECKS) == sorted(BOXES)
    assert {check.__module__ for check in CHECKS.values()} == {module.__name__ for module in MODULES}


def test_what_the_last_sdk_is_sent_keeps_the_contract(walked: Walked, contract: Contract) -> None:
    judged = [exchange for exchange in walked.exchanges if is_of_the_last_days(exchange)]
    assert bool(judged) != walked.november
    assert [fault for exchange in judged for fault in contract.faults(exchange)] == []


@pytest.mark.parametrize("number", BOXES)
def test_box(number: str, walked: Walked) -> None:
    try:
        CHECKS[number](walked)
    except Exception as fault:
        words = BOXES[number]
        raise AssertionError(f"box {number} of the walkthrough does not hold:\n\n{words}\n\n{fault}") from fault
