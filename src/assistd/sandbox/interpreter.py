"""The interpreter that the sandbox's code runs in: a file tree with Python and packages, built once per machine.

In the folder of interpreters a finished tree has a name that says what is in it; a tree that is being built has
another, and is renamed when it is whole. Whoever uses a tree holds a shared lock on the file beside it, so that an
upgrade removes no tree under somebody's feet; the kernel drops the lock with the process.
"""

from __future__ import annotations

import asyncio
import fcntl
import hashlib
import json
import os
import platform
import shutil
import signal
import sys
import tempfile
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path
from typing import Any, Final

from assistd.child_processes import start_process
from assistd.fetching.progress import At, FetchProgress
from assistd.user_errors import UserError

_FORMAT: Final = 1  # counted up where a change of this code builds another tree
_LOOK_SECONDS: Final = 0.25
# Of what is fetched, and of the finished tree, for whoever starts a server and has to wait for code to run.
_FETCHED: Final = 150_000_000
_BUILT: Final = 600_000_000
_ROOM: Final = 1_200_000_000  # bytes that a build needs for a while, with what it fetches

# What a process in the sandbox finds. Whatever writes to the home of its user finds the scratch disk there.
ENVIRONMENT: Final = {
    "PATH": "/usr/bin",
    "HOME": "/tmp",
    "USER": "sandbox",
    "LANG": "C.UTF-8",
    "TZ": "UTC",
    "TERM": "dumb",
    "TMPDIR": "/tmp",
    "LD_LIBRARY_PATH": "/usr/lib",
    "PYTHONHOME": "/usr",
    "PYTHONUTF8": "1",
    "PYTHONNOUSERSITE": "1",
    "PYTHONDONTWRITEBYTECODE": "1",
    "MPLCONFIGDIR": "/tmp/.matplotlib",
    "IPYTHONDIR": "/tmp/.ipython",
}


class InterpreterError(UserError):
    """The interpreter cannot be built; `why` is the end of a sentence."""

    def __init__(self, why: str) -> None:
        self.why = why.rstrip(".")
        super().__init__(f"The code interpreter could not be built: {self.why}.")


@dataclass(frozen=True)
class Interpreter:
    """A finished tree: `root` is to be the sandbox's `/`, read-only; `python` is a path inside of it."""

    root: Path
    environment: dict[str, str] = field(default_factory=ENVIRONMENT.copy)
    python: str = "/usr/bin/python3"
    use: _Use | None = field(default=None, repr=False, compare=False)

    def size(self) -> int:
        """How many bytes its files have. Looks at every one of them."""
        return sum(path.lstat().st_size for path in self.root.rglob("*") if not path.is_dir())


def find(folder: Path) -> Interpreter | None:
    """The interpreter that was built in `folder` for this assistd and this Python. It stays while it is referred to."""
    root = folder.absolute() / _name()
    if not root.is_dir():
        return None
    use = _Use.take(root)
    return Interpreter(root, use=use) if root.is_dir() else None


async def ensure(folder: Path, report: FetchProgress) -> Interpreter:
    """Find the interpreter in `folder`, or build it. Raises InterpreterError.

    `report` shows how far a build is. Processes that need it at the same time build it once: the others wait.
    """
    if found := find(folder):
        return found
    if sys.platform != "linux":
        raise InterpreterError("it needs Linux")
    try:
        with ExitStack() as stack:
            await _lock(folder, stack, report)
            if found := find(folder):
                return found
            await asyncio.to_thread(_clear, folder)
            return await _build(folder, report)
    except OSError as fault:
        raise InterpreterError(f"{fault.filename or folder}: {fault.strerror}") from fault


async def _build(folder: Path, report: FetchProgress) -> Interpreter:
    free = shutil.disk_usage(folder).free
    if free < _ROOM:
        raise InterpreterError(f"{folder} has {free / 1e9:.1f} GB left, and {_ROOM / 1e9:.1f} GB are needed")
    report.note(
        f"Building what the code interpreter runs code in, once, in {folder}: about {_FETCHED / 1e6:.0f} MB of "
        f"packages are fetched, and {_BUILT / 1e6:.0f} MB stay. A server serves meanwhile; ASSISTD_SANDBOX=off does "
        "without it."
    )
    scratch = Path(tempfile.mkdtemp(prefix="building-", dir=folder))
    try:
        lock = scratch / "packages.txt"
        lock.write_bytes(_packages())
        await _run_build(scratch, lock, report)
        await asyncio.to_thread(os.sync)  # before its name says that it is whole
        root = folder / _name()
        (scratch / "root").rename(root)
    finally:
        await asyncio.to_thread(shutil.rmtree, scratch, ignore_errors=True)
    found = find(folder)
    assert found is not None
    return found


async def _run_build(scratch: Path, lock: Path, report: FetchProgress) -> None:
    log = scratch / "build.log"
    with log.open("wb") as errors:
        process = await start_process(
            *(sys.executable, "-P", "-m", "assistd.sandbox.interpreter_build", str(scratch), str(lock)),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=errors,
            start_new_session=True,
        )
    fault, whole = "", False
    try:
        assert process.stdout is not None
        with _Shown(report) as shown:
            async for line in process.stdout:
                said = json.loads(line)
                fault = said.get("fault", fault)
                shown.tell(said)
        whole = await process.wait() == 0
    finally:
        if not whole:  # of the processes that it started, some may be left
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            await process.wait()
    if not whole:
        raise InterpreterError(fault or _last_line(log, process.returncode or 0))


def _last_line(log: Path, status: int) -> str:
    """What a program that failed without an explanation left behind."""
    if status < 0:
        return f"its program was ended by signal {-status}"
    return (log.read_text("utf-8", "replace").strip().splitlines() or [f"its program ended with status {status}"])[-1]


class _Shown:
    """Shows the steps of a build, each as a work of its own."""

    def __init__(self, report: FetchProgress) -> None:
        self._report = report
        self._stack = ExitStack()
        self._at: At | None = None

    def __enter__(self) -> _Shown:
        return self

    def __exit__(self, *fault: Any) -> None:
        self._stack.close()

    def tell(self, said: dict[str, Any]) -> None:
        if "work" in said:
            self._stack.close()
            self._at = self._stack.enter_context(self._report.work(said["work"]))
        if "done" in said and self._at is not None:
            self._at(said["done"], said.get("total"))


# --- names and locks


def _name() -> str:
    """The name of the tree that this assistd and this Python would build."""
    parts = [str(_FORMAT), sys.version, sys.base_prefix, platform.machine(), *platform.libc_ver()]
    digest = hashlib.sha256("\n".join(parts).encode() + _packages())
    return f"python-{platform.python_version()}-{digest.hexdigest()[:12]}"


def _packages() -> bytes:
    return files("assistd.sandbox").joinpath("packages.txt").read_bytes()


class _Use:
    """A shared lock on a tree, for as long as this object is referred to."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    @classmethod
    def take(cls, root: Path) -> _Use | None:
        """Say that the tree is in use; None where nothing can be written, so that nothing is removed either."""
        try:
            descriptor = _open_lock(root)
        except OSError:
            return None
        try:
            fcntl.flock(descriptor, fcntl.LOCK_SH)
        except OSError:
            os.close(descriptor)
            return None
        return cls(descriptor)

    def __del__(self) -> None:
        os.close(self._descriptor)


async def _lock(folder: Path, stack: ExitStack, report: FetchProgress) -> None:
    """Hold the lock of the one who builds in a folder, which is made. Raises OSError."""
    await asyncio.to_thread(folder.mkdir, parents=True, exist_ok=True)
    descriptor = os.open(folder / "lock", os.O_RDONLY | os.O_CREAT | os.O_CLOEXEC, 0o644)
    stack.callback(os.close, descriptor)
    told = False
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except BlockingIOError:
            if not told:
                report.note("Another process is building the code interpreter; waiting for it ...")
                told = True
            await asyncio.sleep(_LOOK_SECONDS)


def _clear(folder: Path) -> None:
    """Remove what ended builds left behind, and the trees of other versions that nobody uses."""
    for path in folder.glob("python-*"):
        if path.is_dir() and path.name != _name():
            _retire(path)
    for path in folder.glob("building-*"):
        shutil.rmtree(path, ignore_errors=True)


def _retire(root: Path) -> None:
    """Give a tree a name to be removed by, unless it is in use."""
    descriptor = _open_lock(root)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        root.rename(tempfile.mkdtemp(prefix="building-", dir=root.parent))
    except BlockingIOError:
        pass
    finally:
        os.close(descriptor)


def _open_lock(root: Path) -> int:
    """Open the file beside a tree which those who use the tree hold locked. It outlives the tree. Raises OSError."""
    return os.open(root.with_name(f"{root.name}.lock"), os.O_RDONLY | os.O_CREAT | os.O_CLOEXEC, 0o644)
