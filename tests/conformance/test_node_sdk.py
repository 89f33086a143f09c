"""The newest official Node SDK, in a Node process of its own, through the same endpoints and the same wiretap."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

from tests.conformance.wiretap import Wiretap

NODE_TESTS = Path(__file__).parents[1] / "node"


def test_the_node_sdk_walks_every_endpoint(wiretap: Wiretap) -> None:
    node, npm = shutil.which("node"), shutil.which("npm")
    assert node, "the tests of the Node SDK need Node.js 20 or newer on the path"
    assert npm, "the tests of the Node SDK need npm on the path"
    if not (NODE_TESTS / "node_modules" / "openai").is_dir():
        subprocess.run([npm, "ci", "--no-audit", "--no-fund", "--silent"], cwd=NODE_TESTS, check=True, timeout=300)
    done = subprocess.run(
        [node, "--test", "--test-reporter=tap", "walk.test.mjs"],
        cwd=NODE_TESTS,
        env={**os.environ, "ASSISTD_URL": wiretap.url},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    assert "# fail 0" in done.stdout
    assert "# pass 11" in done.stdout
