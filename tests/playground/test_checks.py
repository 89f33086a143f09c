"""The page's own checks: its types and lint, and the tests of its pure parts."""

from __future__ import annotations

import os
import shutil
import subprocess

import pytest

from tests.playground.conftest import ROOT


@pytest.mark.parametrize("script", [pytest.param("check", marks=pytest.mark.long), "test"])
def test_npm_run(script: str, built: None) -> None:
    npm = shutil.which("npm")
    assert npm, "the playground's checks need Node.js on the path"
    done = subprocess.run(
        [npm, "run", "--silent", script],
        cwd=ROOT / "playground",
        env={**os.environ, "NO_COLOR": "1"},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stdout + done.stderr
