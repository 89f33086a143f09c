"""One server for all conformance tests, behind a wiretap: whatever a test makes it say is judged by the contract."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import openai
import pytest

from tests.conformance.contract import Contract
from tests.conformance.wiretap import Wiretap
from tests.support.databases import new_database
from tests.support.server import Server, serve

# The SDK deprecates what assistd is for. These two sentences are silenced, and nothing else.
SDK_DEPRECATIONS = (
    "ignore:The Assistants API is deprecated in favor of the Responses API$:DeprecationWarning",
    "ignore:deprecated$:DeprecationWarning",
)
ROUTES = """
[[routes]]
names = ["scripted"]
base_url = "{url}"

[[routes]]
names = ["scripted-small"]
base_url = "{url}"
context_length = 2000

[[routes]]
names = ["*"]
base_url = "{url}"
"""
FOLDER = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if FOLDER in item.path.parents:
            for warning in SDK_DEPRECATIONS:
                item.add_marker(pytest.mark.filterwarnings(warning))


@pytest.fixture(scope="session")
def contract() -> Contract:
    return Contract()


@pytest.fixture(scope="session")
def models_file(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Routes to a scripted model: two that are listed by name, one of them with little room, and one for any name."""
    file = tmp_path_factory.mktemp("models") / "models.toml"
    with subprocess.Popen([sys.executable, "-m", "assistd.llm.scripted"], stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            url = process.stdout.readline().split()[-1]
            file.write_text(ROUTES.format(url=url), "utf-8")
            yield file
        finally:
            process.terminate()


@pytest.fixture(scope="session")
def new_server(
    postgres: str, models_file: Path, tmp_path_factory: pytest.TempPathFactory
) -> Callable[..., AbstractContextManager[Server]]:
    """Makes servers, each on a new database and, unless told otherwise, with the scripted model."""

    @contextmanager
    def start(**settings: Any) -> Iterator[Server]:
        with new_database(postgres) as database:
            chosen = {"models_file": models_file, "database_url": database} | settings
            with serve(tmp_path_factory.mktemp("server"), **chosen) as server:
                yield server

    return start


@pytest.fixture(scope="session")
def wiretap(new_server: Callable[..., AbstractContextManager[Server]]) -> Iterator[Wiretap]:
    """The server of all tests but a few, and the wiretap before it."""
    with new_server() as server, Wiretap(server.url) as tap:
        yield tap


@pytest.fixture(autouse=True)
def judged(wiretap: Wiretap, contract: Contract) -> Iterator[None]:
    """Fail a test, at its end, whose answers break the contract."""
    wiretap.take()
    yield
    faults = [fault for exchange in wiretap.take() for fault in contract.faults(exchange)]
    assert not faults, "\n".join(faults)


@pytest.fixture
def client(wiretap: Wiretap) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=wiretap.url, api_key="sk-conformance", max_retries=0) as opened:
        yield opened


@pytest.fixture
async def async_client(wiretap: Wiretap) -> AsyncIterator[openai.AsyncOpenAI]:
    async with openai.AsyncOpenAI(base_url=wiretap.url, api_key="sk-conformance", max_retries=0) as opened:
        yield opened
