"""A server for the tests of v1, and what a walk through it saw."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import openai
import pytest

from tests.conformance.wiretap import Wiretap
from tests.support.databases import new_database
from tests.support.http import Api
from tests.support.server import serve
from tests.v1.old_sdk import OldSdk, old_sdk

# The SDK of today deprecates what assistd is for. These two sentences are silenced, and nothing else.
SDK_DEPRECATIONS = (
    "ignore:The Assistants API is deprecated in favor of the Responses API$:DeprecationWarning",
    "ignore:deprecated$:DeprecationWarning",
)
FOLDER = Path(__file__).parent

pytest.register_assert_rewrite(
    "tests.v1.boxes", "tests.v1.checks_ground", "tests.v1.checks_text", "tests.v1.checks_tools"
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if FOLDER in item.path.parents:
            for warning in SDK_DEPRECATIONS:
                item.add_marker(pytest.mark.filterwarnings(warning))


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
