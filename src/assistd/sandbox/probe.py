"""Whether an engine's sandboxes work on this machine, found out by starting one."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from assistd.sandbox import ending
from assistd.sandbox.faults import SandboxUnavailable
from assistd.sandbox.piped import PipedProcess
from assistd.sandbox.private_folders import PROBE, PrivateFolders

# A program that is not there: when the engine says that, all the walls around it are standing.
NOTHING: Final = "/nothing"

_SECONDS: Final = 20.0
# What a sandbox has its own disks on.
_PLACES: Final = ("proc", "dev", "sys", "tmp", "mnt/data")


@contextmanager
def scratch() -> Iterator[tuple[Path, Path]]:
    """Give a root that has no interpreter, and a private folder."""
    folders = PrivateFolders(PROBE)
    folder = folders.make()
    try:
        root, private = folder / "root", folder / "private"
        for place in _PLACES:
            (root / place).mkdir(parents=True)
        private.mkdir(mode=0o700)
        for one in (folder, folder.parent):  # for the user that sandboxes may run as
            one.chmod(0o755)
        yield root, private
    finally:
        folders.remove(folder)


async def check(process: PipedProcess, explained: Callable[[str], SandboxUnavailable]) -> None:
    """Wait for a sandbox that was told to run NOTHING. Raises what `explained` makes of what else went wrong."""
    try:
        async with asyncio.timeout(_SECONDS):
            process.stdin.close()
            words = await process.stderr.read()
        said = words.decode("utf-8", "replace").strip()
    except TimeoutError:
        said = f"it did not begin within {_SECONDS:g} seconds"
    finally:
        await ending.kill(process)
    if NOTHING not in said:
        raise explained(said or "it ended without a word")
