"""Environments of their own for programs that need other packages than the tests: one a lock, in this checkout."""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final

TESTS: Final = Path(__file__).parents[1]
SECONDS: Final = 300.0  # until an installation hangs


def python_of(lock: str) -> Path:
    """The Python of `.venv-NAME`, which has what tests/locks/NAME.txt pins and nothing else.

    It is made on first use, and anew when the lock or this Python has changed. Several
    processes may ask at once: one makes it, the others wait.
    """
    locked = TESTS / "locks" / f"{lock}.txt"
    environment = TESTS.parent / f".venv-{lock}"
    digest = hashlib.sha256(locked.read_bytes() + sys.version.encode()).hexdigest()
    stamp = environment / "lock.sha256"
    with locked.open("rb") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        if not stamp.exists() or stamp.read_text() != digest:
            unfinished = environment.with_name(f"{environment.name}.{os.getpid()}")
            _run(sys.executable, "-m", "venv", "--clear", str(unfinished))
            install = ("-m", "pip", "install", "--quiet", "--no-deps", "--require-hashes", "-r", str(locked))
            _run(str(unfinished / "bin" / "python"), *install)
            (unfinished / stamp.name).write_text(digest)
            shutil.rmtree(environment, ignore_errors=True)
            unfinished.rename(environment)
    return environment / "bin" / "python"


def _run(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS, check=False)
    assert done.returncode == 0, f"{command}:\n{done.stdout}\n{done.stderr}"
