"""Private folders of this process, which the next one removes where this one could not."""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Final

# All there are: whatever a process makes, it removes what others have left of each.
GVISOR: Final = "assistd-gvisor-"
PROBE: Final = "assistd-probe-"
ROUTES: Final = "assistd-routes-"
_PREFIXES: Final = (GVISOR, PROBE, ROUTES)


class PrivateFolders:
    """Folders below one in the system's folder for temporary files, whose name begins with `prefix`, one of the above.

    It holds a lock on that one for as long as this process lives: what has no lock any more, nobody needs.
    """

    def __init__(self, prefix: str) -> None:
        self._prefix = prefix
        self._folder: Path | None = None
        self._lock = -1

    def make(self) -> Path:
        """Make a folder that only this user can read."""
        while self._folder is None:
            _sweep()
            folder = Path(tempfile.mkdtemp(prefix=self._prefix))
            lock = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            fcntl.flock(lock, fcntl.LOCK_EX)
            if folder.exists():
                self._folder, self._lock = folder, lock
            else:  # another process has swept it away before it was locked
                os.close(lock)
        return Path(tempfile.mkdtemp(dir=self._folder))

    def remove(self, folder: Path) -> None:
        """Remove a folder that was made, and with the last one its own."""
        shutil.rmtree(folder, ignore_errors=True)
        if self._folder is not None:
            with suppress(OSError):  # there are others
                self._folder.rmdir()
                self._folder = None
                os.close(self._lock)


def _sweep() -> None:
    """Remove what processes that were killed have left."""
    there = [folder for prefix in _PREFIXES for folder in Path(tempfile.gettempdir()).glob(f"{prefix}*")]
    for folder in there:
        with suppress(OSError):  # somebody else's, or another sweeper was quicker
            number = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
            try:
                if os.fstat(number).st_uid == os.geteuid():
                    fcntl.flock(number, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    shutil.rmtree(folder, ignore_errors=True)
            finally:
                os.close(number)
