"""Which names of files in /mnt/data are good outside of the sandbox: in a database, in a log, in an answer."""

from __future__ import annotations

import re
from typing import Final

_UNSPEAKABLE: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")


def is_plain(path: str, longest: int) -> bool:
    """Whether a path names a file below a folder, in a way that can be written down anywhere; `longest` in bytes."""
    if not path or _UNSPEAKABLE.search(path) or len(path.encode()) > longest:
        return False
    return all(part not in ("", ".", "..") for part in path.split("/"))


def checked(path: str, longest: int) -> str:
    """Return the path of a file in /mnt/data. Raises ValueError for what is none."""
    if not is_plain(path, longest):
        raise ValueError(f"{path!r} names no file below a folder")
    return path


def readable(text: str, longest: int) -> str:
    """Return the beginning of a text that came out of a sandbox, on one line."""
    return _UNSPEAKABLE.sub(" ", text[:longest])
