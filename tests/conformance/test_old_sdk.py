"""openai 1.40.0 of August 2024, in an environment of its own, through the same endpoints."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conformance.wiretap import Wiretap

TESTS = Path(__file__).parents[1]
LOCK = TESTS / "locks" / "openai-1.40.txt"
ENVIRONMENT = TESTS.parent / ".venv-openai-1.40"
WALK = Path(__file__).with_name("old_sdk_walk.py")
PARTS = [
    "openai 1.40.0",
    "walk_assistants",
    "walk_files",
    "walk_vector_stores",
    "walk_threads_and_messages",
    "walk_runs",
    "walk_streams",
    "walk_file_search",
    "walk_models",
    "walk_errors",
    "walk_asynchronously",
]


@pytest.fixture(scope="module")
def old_python() -> Path:
    """A Python with the SDK of that time. It is made on first use, and anew when the lock changes."""
    stamp = ENVIRONMENT / "lock.sha256"
    digest = hashlib.sha256(LOCK.read_bytes() + sys.version.encode()).hexdigest()
    if not stamp.exists() or stamp.read_text() != digest:
        unfinished = ENVIRONMENT.with_name(f"{ENVIRONMENT.name}.{os.getpid()}")
        _run(sys.executable, "-m", "venv", "--clear", str(unfinished))
        install = ("-m", "pip", "install", "--quiet", "--no-deps", "--require-hashes", "-r", str(LOCK))
        _run(str(unfinished / "bin" / "python"), *install)
        (unfinished / stamp.name).write_text(digest)
        shutil.rmtree(ENVIRONMENT, ignore_errors=True)
        unfinished.rename(ENVIRONMENT)
    return ENVIRONMENT / "bin" / "python"


def test_the_old_sdk_walks_every_endpoint(old_python: Path, wiretap: Wiretap) -> None:
    assert _run(str(old_python), str(WALK), wiretap.url).splitlines() == PARTS


def _run(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, f"{command}:\n{done.stdout}\n{done.stderr}"
    return done.stdout
