"""Names of files. A name is kept as its client sent it; it is no path, and what stands on a disk is made of it.

Pure: nothing in this file does I/O.
"""

from __future__ import annotations

import re

from assistd import errors
from assistd.errors import APIError

# In characters. Folders that are uploaded file by file have their paths as names.
MAX_NAME = 1024

# Control characters, and halves of surrogate pairs, which are no text.
_UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]")


def check_name(given: str | None, param: str) -> str:
    """Return the name that a client gave a file, as it is. Raises APIError for none, or one that cannot be kept."""
    if given is None:
        raise APIError(
            f"Invalid type for '{param}': expected a file, but got a string instead.", param=param, code="invalid_type"
        )
    if _UNPRINTABLE.search(given):
        raise errors.wrong_filename(param, "the file name has control characters.")
    if not given.strip():
        raise errors.wrong_filename(param, "the file has no name.")
    if len(given) > MAX_NAME:
        reason = f"the file name has {len(given)} characters, at most {MAX_NAME} are accepted."
        raise errors.wrong_filename(param, reason)
    return given


def base_name(name: str) -> str:
    """Return what can stand in a folder of a name: its last part; "" where that is nothing, or a folder itself."""
    last = re.split(r"[/\\]", name)[-1].strip()
    return "" if last in (".", "..") else last


def extension(name: str) -> str:
    """Return the last extension of a name, in small letters and without its dot; "" where there is none."""
    stem, dot, found = base_name(name).rpartition(".")
    return found.lower() if dot and stem.strip(".") else ""
