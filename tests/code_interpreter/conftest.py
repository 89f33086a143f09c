from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from assistd.db.pool import Database
from assistd.files.blobs import open_blobs
from tests.code_interpreter.folder import FolderSandboxes
from tests.code_interpreter.room import Room


@pytest.fixture
def room(database: Database, tmp_path: Path) -> Room:
    return Room(database, open_blobs("", tmp_path), tmp_path)


@pytest.fixture
async def processes() -> AsyncIterator[Callable[[], Any]]:
    """Make the sandboxes of one more process."""
    opened: list[FolderSandboxes] = []

    def process(disk: int = 1 << 20) -> FolderSandboxes:
        opened.append(FolderSandboxes(disk))
        return opened[-1]

    yield process
    for sandboxes in opened:
        await sandboxes.close()
