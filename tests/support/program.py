"""The `assistd` command as a process of its own, run to its end."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from tests.support import interpreters

SECONDS = 60.0  # a command that takes longer hangs


def environ(**settings: Any) -> dict[str, str]:
    """The environment of this process with these settings, and no others."""
    inherited = {k: v for k, v in os.environ.items() if not k.startswith(("ASSISTD_", "OPENAI_"))}
    return inherited | {f"ASSISTD_{name.upper()}": str(value) for name, value in settings.items()}


def assistd(folder: Path, *arguments: str, **settings: Any) -> subprocess.CompletedProcess[str]:
    """Run a command in a folder, with settings by name, and return what it said and its exit status."""
    return subprocess.run(
        [sys.executable, "-m", "assistd.cli", *arguments],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        cwd=folder,
        env=environ(**{"data_dir": folder / "data", "interpreter_dir": interpreters.FOLDER, **settings}),
        timeout=SECONDS,
        check=False,
    )
