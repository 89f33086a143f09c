"""The shared libraries that a tree needs and does not hold yet, copied into it from this machine."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

from . import interpreter_elf as elf

# What glibc loads without naming it: to end threads, and (before 2.34) to read /etc/passwd.
_UNNAMED = ("libgcc_s.so.1", "libnss_files.so.2")


def copy_libraries(root: Path, loader: str, came_from: dict[Path, Path]) -> None:
    """Copy the dynamic loader, and all libraries that the files in `root` need, into `root`/usr/lib.

    `loader` is its path on this machine and in the tree. `came_from` says for files of the tree where on this machine
    they are from: a program may find its libraries beside itself. What this machine does not have is left out.
    """
    _copy(Path(loader), root / loader.lstrip("/"))
    files = list(_elf_files(root))
    held = {path.name for path, _ in files}
    found: dict[str, Path] = {}
    for path, needed in files:
        if all(name in held or name in found for name in needed):
            continue
        found.update(_resolve(loader, came_from.get(path, path)))
    for name in _UNNAMED:
        for folder in {path.parent for path in found.values()}:
            if (folder / name).exists():
                found.setdefault(name, folder / name)
    for name, path in found.items():
        target = root / "usr/lib" / name
        if not path.is_relative_to(root) and not target.exists():
            _copy(path, target)


def _elf_files(root: Path) -> Iterator[tuple[Path, tuple[str, ...]]]:
    for folder, _, names in os.walk(root):
        for name in names:
            path = Path(folder, name)
            if (".so" in name or folder.endswith("/bin")) and not path.is_symlink():
                head = elf.read(path)
                if head is not None:
                    yield path, head.needed


def _resolve(loader: str, path: Path) -> dict[str, Path]:
    """Where the loader finds each library that a file needs, itself or by another library; runs nothing of them."""
    said = subprocess.run(
        [loader, "--list", str(path)], stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
    )
    found = {}
    for line in said.stdout.splitlines():
        name, arrow, rest = line.strip().partition(" => ")
        place = Path(rest.rpartition(" (")[0])
        if arrow and place.is_absolute():
            found[name] = place
    return found


def _copy(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source, target)
    target.chmod(0o755)
