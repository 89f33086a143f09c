"""A server for the tests of v1, and what a walk through it saw."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

import openai
import pytest

from tests.conformance.contract import Contract
from tests.conformance.wiretap import Wiretap
from tests.support.databases import new_database
from tests.support.http import Api
from tests.support.server import serve
from tests.v1.boxes import Walked
from tests.v1.contract import V1, is_of_the_last_days
from tests.v1.lines import LINES
from tests.v1.old_sdk import OldSdk, old_sdk
from tests.v1.walking import walk

# The SDK of today deprecates what assistd is for. These two sentences are silenced, and nothing else.
SDK_DEPRECATIONS = (
    "ignore:The Assistants API is deprecated in favor of the Responses API$:DeprecationWarning",
    "ignore:deprecated$:DeprecationWarning",
)
FOLDER = Path(__file__).parent


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if FOLDER in item.path.parents:
            for warning in SDK_DEPRECATIONS:
                item.add_marker(pytest.mark.filterwarnings(warning))
            # They share a server, old SDKs and what the walks saw: one worker of pytest-xdist has them all.
            if item.get_closest_marker("xdist_group") is None:
                item.add_marker(pytest.mark.xdist_group("v1"))


@pytest.fixture(scope="session")
def tap(postgres: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Wiretap]:
    """The server of all tests but a few, with the scripted model, and the wiretap before it."""
    with (
        new_database(postgres) as database,
        serve(tmp_path_factory.mktemp("v1"), database_url=database) as server,
        Wiretap(server.url) as tapped,
    ):
        yield tapped


@pytest.fixture(scope="session")
def v1(tap: Wiretap) -> Api:
    """Plain HTTP as an unknown client of v1 speaks it."""
    return Api(tap.url, beta="assistants=v1")


@pytest.fixture(scope="session")
def scripted_walk(tap: Wiretap, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Walked]:
    """Returns what an SDK saw on its walk with the scripted model; each walks but once."""

    @cache
    def walked(sdk: str) -> Walked:
        return walk(sdk, tap, tmp_path_factory.mktemp("scripted"), LINES, {})

    return walked


@pytest.fixture(scope="session")
def november(tap: Wiretap) -> Iterator[OldSdk]:
    """openai 1.2.3 of November 2023, with which the walkthrough was written."""
    with old_sdk("1.2.3", tap.url) as sdk:
        yield sdk


@pytest.fixture(scope="session")
def april(tap: Wiretap) -> Iterator[OldSdk]:
    """openai 1.20.0 of April 2024, the last that speaks v1."""
    with old_sdk("1.20.0", tap.url) as sdk:
        yield sdk


@pytest.fixture(scope="session")
def v2(tap: Wiretap) -> Api:
    """Plain HTTP as any client of v2 speaks it."""
    return Api(tap.url)


@pytest.fixture
def today(tap: Wiretap) -> Iterator[openai.OpenAI]:
    """Today's SDK, which speaks v2."""
    with openai.OpenAI(base_url=tap.url, api_key="sk-any", max_retries=0) as client:
        yield client


@pytest.fixture(scope="session")
def contract() -> Contract:
    """The published schema of v1."""
    return Contract(version=V1)


@pytest.fixture(autouse=True)
def judged(request: pytest.FixtureRequest, contract: Contract) -> Iterator[None]:
    """Fail a test, at its end, whose answers break the contract of the version that they are of."""
    if "tap" not in request.fixturenames:
        yield
        return
    tap: Wiretap = request.getfixturevalue("tap")
    tap.take()
    yield
    taken = filter(is_of_the_last_days, tap.take())
    faults = [fault for exchange in taken for fault in contract.faults(exchange)]
    assert not faults, "\n".join(faults)
