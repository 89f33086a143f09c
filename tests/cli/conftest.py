"""What the tests of commands share."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support.databases import new_database
from tests.support.program import assistd

Refused = Callable[..., str]


@pytest.fixture
def dsn(postgres: str) -> Iterator[str]:
    """A new, migrated database."""
    with new_database(postgres) as database:
        yield database


@pytest.fixture
def refused(tmp_path: Path) -> Refused:
    """Run a command that must fail with one plain sentence, and return the sentence."""

    def run(*arguments: str, **settings: object) -> str:
        done = assistd(tmp_path, *arguments, **{"model_base_url": "scripted:", "database_wait_seconds": 0, **settings})
        assert done.returncode == 1, (done.stdout, done.stderr)
        assert "Traceback" not in done.stderr
        assert done.stdout == ""
        lines = [json.loads(line)["event"] if line.startswith("{") else line for line in done.stderr.splitlines()]
        told: list[str] = [line for line in lines if line.startswith("assistd: ")]
        assert len(told) == 1, done.stderr
        return told[0].removeprefix("assistd: ")

    return run
