"""The program that builds the interpreter's tree: `python -m assistd.sandbox.interpreter_build FOLDER LOCK`.

A process of its own, so that a server that builds goes on serving, and so that the build can be ended at any point.
It tells how far it is in lines of JSON on its output, and ends when its input does, with all that it started.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any, Final

from assistd.fetching.package_index import PipMissing, arrived, download_command, last_words

from .interpreter_libraries import copy_libraries
from .interpreter_packages import Workers
from .interpreter_root import CopiedPython, NoPython, copy_programs, copy_python, executable, lay_out

_LOOK_SECONDS: Final = 0.25

# What loads most of the shared libraries, of those that are installed: what is missing shows here, and not in
# somebody's first run.
_CHECK: Final = """
import ctypes, sqlite3, ssl, zoneinfo
from importlib import import_module, util
for name in (
    "numpy", "pandas", "scipy.stats", "sklearn.linear_model", "matplotlib.pyplot", "PIL.Image", "lxml.etree",
    "statsmodels.api", "IPython.core.interactiveshell",
):
    if util.find_spec(name.partition(".")[0]):
        import_module(name)
"""


class BuildFailed(Exception):
    """The message says why."""


def main(folder: Path, lock: Path) -> int:
    """Build the tree `folder`/root with the packages of a lock. Returns the exit status."""
    threading.Thread(target=_end_with_input, daemon=True).start()
    os.umask(0o022)
    os.nice(10)
    try:
        build(folder, lock)
    except (BuildFailed, NoPython) as fault:
        _tell(fault=str(fault))
    except PipMissing as fault:
        _tell(fault=f"pip is needed to fetch its packages, and {fault}")
    except OSError as fault:
        _tell(fault=f"{fault.filename or folder}: {fault.strerror}")
    else:
        return 0
    return 1


def build(folder: Path, lock: Path) -> None:
    """Do it: the packages are downloaded while Python is copied and compiled."""
    root, wheels = folder / "root", folder / "wheels"
    with _Download(folder, lock) as download, Workers() as workers:
        _tell(work="Fetching Python packages from the package index")
        lay_out(root)
        python = copy_python(root)
        came_from = copy_programs(root, python.loader)
        workers.compile(root, python.library)
        while not download.is_done(_LOOK_SECONDS):
            _tell(done=arrived(wheels))
        _tell(work="Unpacking and compiling them")
        largest_first = sorted(wheels.glob("*.whl"), key=lambda path: -path.stat().st_size)
        total = workers.unpack(root, largest_first, python.packages)
        workers.wait(lambda done: _tell(done=done, total=total))
    _tell(work="Checking the interpreter")
    copy_libraries(root, python.loader, {**came_from, python.program: executable()})
    check(root, python)


class _Download:
    """pip at work; a context manager that ends it."""

    def __init__(self, folder: Path, lock: Path) -> None:
        command, environ = download_command(folder / "wheels", "--require-hashes", "-r", str(lock))
        self._log = folder / "pip.log"
        with self._log.open("wb") as out:
            self._pip = subprocess.Popen(command, env=environ, stdin=subprocess.DEVNULL, stdout=out, stderr=out)

    def __enter__(self) -> _Download:
        return self

    def __exit__(self, *_: object) -> None:
        self._pip.kill()
        self._pip.wait()

    def is_done(self, seconds: float) -> bool:
        """Wait so long. Raises BuildFailed with pip's own words."""
        try:
            status = self._pip.wait(seconds)
        except subprocess.TimeoutExpired:
            return False
        if status != 0:
            raise BuildFailed(f"its packages could not be fetched from the package index: {last_words(self._log)}")
        return True


def check(root: Path, python: CopiedPython) -> None:
    """Import from the tree, with the tree's own Python and libraries. Raises BuildFailed."""
    scratch = str(root.parent)
    command = [str(root / python.loader.lstrip("/")), "--library-path", str(root / "usr/lib")]
    environ = {"PYTHONHOME": str(root / "usr"), "PYTHONDONTWRITEBYTECODE": "1", "MPLCONFIGDIR": scratch}
    try:
        said = subprocess.run(
            [*command, str(python.program), "-P", "-s", "-c", _CHECK],
            env={**environ, "HOME": scratch},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
    except PermissionError as fault:
        raise BuildFailed(
            f"programs in {root.parent.parent} may not be run; set ASSISTD_INTERPRETER_DIR to a folder on another disk"
        ) from fault
    if said.returncode != 0:
        raise BuildFailed(f"it does not work: {(said.stderr.strip().splitlines() or ['it ended without a word'])[-1]}")


def _tell(**members: Any) -> None:
    print(json.dumps(members), flush=True)


def _end_with_input() -> None:
    while os.read(0, 4096):  # not through sys.stdin, whose lock a thread may not hold at the end
        pass
    os.killpg(0, signal.SIGKILL)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), Path(sys.argv[2])))
