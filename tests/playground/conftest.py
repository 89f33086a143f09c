"""The page as it is built, in a real browser, before real server processes."""

from __future__ import annotations

import subprocess
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from tests.playground.visitor import Visitor, visit
from tests.support.server import Server, serve

ROOT = Path(__file__).parents[2]
FOLDER = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    # One process builds the page, and two browsers at a time would only take each other's processor.
    for item in items:
        if FOLDER in item.path.parents:
            item.add_marker(pytest.mark.xdist_group("browser"))


@pytest.fixture(scope="session")
def built() -> None:
    """The page, built from what it is made of now."""
    done = subprocess.run(["sh", "scripts/build-playground.sh"], cwd=ROOT, capture_output=True, text=True, timeout=600)
    assert (ROOT / "src/assistd/playground/dist/index.html").exists(), done.stdout + done.stderr
    assert "stays the one that was built before" not in done.stdout, done.stdout + done.stderr


@pytest.fixture(scope="module")
def server(built: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server with the scripted model."""
    with serve(tmp_path_factory.mktemp("server")) as started:
        yield started


@pytest.fixture
async def visitor(server: Server) -> AsyncIterator[Visitor]:
    """Somebody at the server, with a browser of their own; the browser may not complain."""
    async with visit(server.url) as somebody:
        yield somebody
