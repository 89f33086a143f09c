"""The packages of the tree: wheels unpacked without what is useless there, and everything compiled."""

from __future__ import annotations

import os
import py_compile
import shutil
import warnings
import zipfile
from collections.abc import Callable, Iterable
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from multiprocessing import get_context
from pathlib import Path
from typing import Final

_CHUNK: Final = 150  # files that one piece of work handles
# Nobody compiles C or checks types there.
_USELESS: Final = (".pyi", ".pxd", ".pyx", ".pxi", ".h", ".hpp", ".c", ".cpp", ".a", ".lib", ".f", ".f90")


class Workers:
    """Processes that unpack and compile; a context manager."""

    def __init__(self) -> None:
        self._pool = ProcessPoolExecutor(len(os.sched_getaffinity(0)), mp_context=get_context("spawn"))
        self._pending: list[Future[int]] = []

    def __enter__(self) -> Workers:
        return self

    def __exit__(self, *_: object) -> None:
        self._pool.shutdown(cancel_futures=True)

    def compile(self, root: Path, folder: Path) -> None:
        """Begin to compile all Python files in a folder of the tree."""
        files = sorted(folder.rglob("*.py"))
        for at in range(0, len(files), _CHUNK):
            self._pending.append(self._pool.submit(_compile_all, root, files[at : at + _CHUNK]))

    def unpack(self, root: Path, wheels: Iterable[Path], target: Path) -> int:
        """Begin to unpack wheels into a folder of the tree, and to compile what was in them; the bytes in all."""
        total = 0
        for wheel in wheels:
            with zipfile.ZipFile(wheel) as archive:
                members = [(member.filename, member.file_size) for member in archive.infolist()]
            useful = [(name, size) for name, size in members if _place(name)]
            total += sum(size for _, size in useful)
            for at in range(0, len(useful), _CHUNK):
                names = [name for name, _ in useful[at : at + _CHUNK]]
                self._pending.append(self._pool.submit(_unpack, root, wheel, names, target))
        return total

    def wait(self, at: Callable[[int], None]) -> None:
        """Wait until all is done; `at` is told the bytes unpacked. Raises what went wrong."""
        done = 0
        pending, self._pending = self._pending, []
        for future in as_completed(pending):
            done += future.result()
            at(done)


def _place(name: str) -> str:
    """Where a wheel's member belongs below site-packages; "" where it is of no use."""
    first, _, rest = name.partition("/")
    if first.endswith(".data"):
        scheme, _, rest = rest.partition("/")
        if scheme not in ("purelib", "platlib"):
            return ""
        name = rest
    parts = name.split("/")
    if name.endswith("/") or "tests" in parts[1:-1] or parts[-1].endswith(_USELESS) or ".." in parts or name[:1] == "/":
        return ""
    return name


def _unpack(root: Path, wheel: Path, names: list[str], target: Path) -> int:
    done, sources = 0, []
    with zipfile.ZipFile(wheel) as archive:
        for name in names:
            path = target / _place(name)
            path.parent.mkdir(parents=True, exist_ok=True)
            with archive.open(name) as source, path.open("wb") as file:
                shutil.copyfileobj(source, file, 1 << 20)
                done += file.tell()
            if path.suffix == ".py":
                sources.append(path)
    _compile_all(root, sources)
    return done


def _compile_all(root: Path, files: list[Path]) -> int:
    """Compile files for good: the tree cannot be written, and nothing looks whether a source has changed."""
    mode = py_compile.PycInvalidationMode.UNCHECKED_HASH
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for path in files:
            shown = f"/{path.relative_to(root)}"
            try:
                py_compile.compile(str(path), dfile=shown, doraise=True, invalidation_mode=mode)
            except (py_compile.PyCompileError, ValueError):  # templates and old Python: nobody imports them
                continue
    return 0
