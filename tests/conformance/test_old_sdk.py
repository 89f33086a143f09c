"""openai 1.40.0 of August 2024, in an environment of its own, through the same endpoints."""

from __future__ import annotations

import subprocess
from pathlib import Path

from tests.conformance.wiretap import Wiretap
from tests.support.environments import python_of

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


def test_the_old_sdk_walks_every_endpoint(wiretap: Wiretap) -> None:
    command = [str(python_of("openai-1.40")), str(WALK), wiretap.url]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    assert done.stdout.splitlines() == PARTS
