"""The folder of pulled models: GGUF files, and `index.json`, which says what they are.

Whoever changes the folder holds its lock, a file lock that the kernel drops with the
process. Every file gets its name when it is whole, so that readers need no lock.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path
from typing import Final

import msgspec

from assistd.user_errors import UserError

_RETRY_SECONDS: Final = 0.2


class LocalModelError(UserError):
    """A model cannot be had or run on this machine; the message says why and what would help."""


class PulledModel(msgspec.Struct, frozen=True):
    """One model in the folder.

    `file` is its name in the folder, `source` where it came from (an address, a path or a
    package), `sha256` that of the file in hex, `size` in bytes, `pulled_at` in seconds since 1970.
    """

    name: str
    file: str
    source: str
    sha256: str
    size: int
    pulled_at: int


class _Index(msgspec.Struct, frozen=True):
    models: list[PulledModel]


class ModelIndex:
    """The models in one folder, in the order in which they were pulled."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def path(self, model: PulledModel) -> Path:
        """Where a model's file is."""
        return self.folder / model.file

    def models(self) -> list[PulledModel]:
        """Every model whose file is still there; the one pulled last is at the end. Raises LocalModelError."""
        try:
            index = msgspec.json.decode((self.folder / "index.json").read_bytes(), type=_Index)
        except FileNotFoundError:
            return []
        except (OSError, msgspec.DecodeError) as fault:
            raise LocalModelError(f"{self.folder / 'index.json'} cannot be read: {fault}. Delete it.") from fault
        return [model for model in index.models if _size(self.path(model)) == model.size]

    def find(self, name: str) -> PulledModel | None:
        """The model of that name."""
        return next((model for model in self.models() if model.name == name), None)

    def record(self, model: PulledModel) -> None:
        """Put a model at the end, in place of one of the same name. Call it under the lock."""
        self._write([*(other for other in self.models() if other.name != model.name), model])

    def remove(self, model: PulledModel) -> None:
        """Forget a model and delete its file. Call it under the lock."""
        self._write([other for other in self.models() if other.name != model.name])
        self.path(model).unlink(missing_ok=True)

    @asynccontextmanager
    async def locked(self, waiting: Callable[[], None] | None = None) -> AsyncIterator[None]:
        """Hold the folder's lock; `waiting` is called once when another process has it. Makes the folder."""
        descriptor = self._open_lock()
        try:
            while not _try_lock(descriptor):
                if waiting is not None:
                    waiting()
                    waiting = None
                await asyncio.sleep(_RETRY_SECONDS)
            yield
        finally:
            os.close(descriptor)

    @contextmanager
    def locked_at_once(self) -> Iterator[None]:
        """Hold the folder's lock. Raises LocalModelError where another process has it."""
        descriptor = self._open_lock()
        try:
            if not _try_lock(descriptor):
                raise LocalModelError("A model is being pulled just now; try again when that is done.")
            yield
        finally:
            os.close(descriptor)

    def _open_lock(self) -> int:
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            return os.open(self.folder / "lock", os.O_RDONLY | os.O_CREAT | os.O_CLOEXEC, 0o644)
        except OSError as fault:
            raise LocalModelError(f"The folder of models {self.folder} cannot be used: {fault.strerror}.") from fault

    def _write(self, models: list[PulledModel]) -> None:
        encoded = msgspec.json.format(msgspec.json.encode(_Index(models)), indent=2)
        unfinished = self.folder / "index.json.part"
        unfinished.write_bytes(encoded)
        unfinished.replace(self.folder / "index.json")


def _try_lock(descriptor: int) -> bool:
    with suppress(BlockingIOError):
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return True
    return False


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return -1
