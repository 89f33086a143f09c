"""A folder for what is in work: gone with the process, and if that was killed, with the next one that starts."""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
import time
from contextlib import suppress
from pathlib import Path

_PREFIX = "assistd-reading-"
_LOCK = "lock"
_MAKING_SECONDS = 3600.0  # after which nobody is still making a folder that has no lock


class Scratch:
    """A new folder in `parent` (default: where the system has its temporary files), held by a lock until it is closed.

    What earlier processes left behind there is removed: nobody holds its lock any more.
    """

    def __init__(self, parent: Path | None = None) -> None:
        place = Path(tempfile.gettempdir()) if parent is None else parent
        _remove_left(place)
        self.path = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=place))
        # Locked before it has its name, so that nobody finds it without its lock.
        unnamed = self.path / f".{_LOCK}"
        self._lock = os.open(unnamed, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
        fcntl.flock(self._lock, fcntl.LOCK_EX)
        unnamed.rename(self.path / _LOCK)

    def close(self) -> None:
        """Remove the folder and all in it."""
        shutil.rmtree(self.path, ignore_errors=True)
        os.close(self._lock)


def _remove_left(place: Path) -> None:
    for folder in place.glob(f"{_PREFIX}*"):
        # Another user's, another process's own, or one that is just being made and has no lock yet: not ours to remove.
        with suppress(OSError):
            if not (folder / _LOCK).exists() and time.time() - folder.stat().st_mtime > _MAKING_SECONDS:
                shutil.rmtree(folder)
                continue
            lock = os.open(folder / _LOCK, os.O_RDWR)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(folder)
            finally:
                os.close(lock)
