"""The newest official Node SDK, in a Node process of its own, through the same endpoints and the same wiretap."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conformance.wiretap import Wiretap

NODE_TESTS = Path(__file__).parents[1] / "node"
WALK = NODE_TESTS / "walk.test.mjs"
# A Node that was installed beside this Python goes before the machine's own.
PATH = os.pathsep.join((str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)))


@pytest.fixture(scope="module")
def node() -> str:
    """A Node with the SDK of the lock. The SDK is fetched on first use, and anew when the lock changes."""
    node, npm = shutil.which("node", path=PATH), shutil.which("npm", path=PATH)
    assert node, "the tests of the Node SDK need Node.js 20 or newer on the path"
    assert npm, "the tests of the Node SDK need npm on the path"
    stamp = NODE_TESTS / "node_modules" / "lock.sha256"
    digest = hashlib.sha256((NODE_TESTS / "package-lock.json").read_bytes()).hexdigest()
    if not stamp.exists() or stamp.read_text() != digest:
        _run(npm, "ci", "--no-audit", "--no-fund", "--silent")
        stamp.write_text(digest)
    return node


def test_the_node_sdk_walks_every_endpoint(node: str, wiretap: Wiretap) -> None:
    output = _run(node, "--test", "--test-reporter=tap", WALK.name, ASSISTD_URL=wiretap.url)
    print(output)
    parts = re.findall(r'^test\("([^"]+)"', WALK.read_text("utf-8"), re.MULTILINE)
    assert re.findall(r"^ok \d+ - (.+)$", output, re.MULTILINE) == parts
    assert f"# pass {len(parts)}\n" in output


def _run(*command: str, **environ: str) -> str:
    done = subprocess.run(
        command,
        cwd=NODE_TESTS,
        env={**os.environ, "PATH": PATH, **environ},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, f"{command}:\n{done.stdout}\n{done.stderr}"
    return done.stdout
