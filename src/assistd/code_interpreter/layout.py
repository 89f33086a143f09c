"""Under which names the files that a thread was given are in /mnt/data."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Sequence

from assistd.files.names import base_name
from assistd.files.wire import StoredFile

# Control characters, separators of lines, what turns the direction of writing, halves of surrogate pairs.
_UNSAFE = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
_MOST_BYTES = 200  # a file system takes 255; numbers come behind
_MOST_EXTENSION_BYTES = 20


def names(files: Sequence[StoredFile], kept: Iterable[str] = ()) -> dict[str, str]:
    """Return {name: file id}: every file under its id, and under its filename as a link.

    Of files with one name, the last has it, the others get `name (2).csv` and so on, newest first. What the code
    wrote, `kept`, has its name before any link.
    """
    found = {file.id: file.id for file in files}
    for file in reversed(files):
        plain = shown_name(file.filename)
        if plain and plain != file.id:
            found[_free(plain, found)] = file.id
    written = set(kept) | {path.partition("/")[0] for path in kept}
    return {name: id for name, id in found.items() if name == id or name not in written}


def shown_name(filename: str) -> str:
    """Return a filename without folders and without what a name should not have, of bounded length; "" for none."""
    name = base_name(_UNSAFE.sub("_", filename))
    stem, extension = _split(name)
    return _cut(stem, _MOST_BYTES - len(extension.encode())) + extension


def _free(name: str, taken: Collection[str]) -> str:
    stem, extension = _split(name)
    number = 1
    while name in taken:
        number += 1
        name = f"{stem} ({number}){extension}"
    return name


def _split(name: str) -> tuple[str, str]:
    stem, dot, extension = name.rpartition(".")
    if not stem or len(extension.encode()) > _MOST_EXTENSION_BYTES:
        return name, ""
    return stem, dot + extension


def _cut(text: str, size: int) -> str:
    return text.encode()[:size].decode("utf-8", "ignore")
