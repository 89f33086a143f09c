"""Whether there is room on a disk, and whether a folder can be written. What fails on a full disk seldom says so."""

from __future__ import annotations

import errno
import shutil
import tempfile
from pathlib import Path

# PostgreSQL writes its log in files of 16 MB, and stops where one more does not fit.
LEAST_BYTES = 64 * 1024 * 1024
_TRIAL = bytes(64 * 1024)
_FULL = (errno.ENOSPC, errno.EDQUOT)


def unwritable(folder: Path) -> str | None:
    """Say why a folder, which need not be there yet, cannot be written; None where it can."""
    place = _there(folder)
    try:
        with tempfile.TemporaryFile(dir=place) as file:  # without a name: a kill leaves nothing
            file.write(_TRIAL)
            file.flush()
    except OSError as fault:
        return words_of(folder, fault)
    return full(folder)


def full(folder: Path) -> str | None:
    """Say that the disk of a folder, which need not be there yet, is full; None where it has room."""
    try:
        free = shutil.disk_usage(_there(folder)).free
    except OSError as fault:
        return words_of(folder, fault)
    return None if free >= LEAST_BYTES else f"the disk of {folder} is full: {free / 1e6:.0f} MB are left"


def words_of(folder: Path, fault: OSError) -> str:
    """What a folder that cannot be written suffers from, and what would mend it."""
    if fault.errno in _FULL:
        return f"the disk of {folder} is full"
    return f"{folder} cannot be written: {fault.strerror}"


def _there(folder: Path) -> Path:
    """The folder, or the nearest one above it that is there."""
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    return folder
