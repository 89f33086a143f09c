"""How far a download has come, told to whoever waits for it: a bar on a terminal, plain lines elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Protocol, TextIO

import structlog
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

from assistd import telemetry

log = structlog.get_logger("assistd.fetching")

At = Callable[[int, int | None], None]


class FetchProgress(Protocol):
    """Shows one piece of work after the other."""

    def work(self, what: str) -> AbstractContextManager[At]:
        """Begin to show a piece of work; call what is yielded with the bytes done and the bytes in all, if known."""

    def note(self, text: str) -> None:
        """Say a sentence."""


def console_progress(stream: TextIO | None = None) -> FetchProgress:
    """What fits the stream, which is standard error by default."""
    if stream is None and telemetry.writes_json():
        return LogProgress()
    stream = stream or sys.stderr
    return BarProgress(stream) if stream.isatty() else LineProgress(stream)


class BarProgress:
    """A bar on a terminal, which goes away when the work is done."""

    def __init__(self, stream: TextIO) -> None:
        self._console = Console(file=stream)

    @contextmanager
    def work(self, what: str) -> Iterator[At]:
        columns = (TextColumn("{task.description}", markup=False), BarColumn(), DownloadColumn())
        rates = (TransferSpeedColumn(), TimeRemainingColumn())
        with Progress(*columns, *rates, console=self._console, transient=True) as bar:
            task = bar.add_task(what, total=None)
            yield lambda done, total: bar.update(task, completed=done, total=total)

    def note(self, text: str) -> None:
        self._console.print(text, markup=False, highlight=False, soft_wrap=True)


class LineProgress:
    """A line at the start, and one every `every` seconds while the work goes on."""

    def __init__(self, stream: TextIO, every: float = 2.0) -> None:
        self._stream = stream
        self._every = every

    @contextmanager
    def work(self, what: str) -> Iterator[At]:
        self.note(f"{what} ...")
        shown = time.monotonic()

        def at(done: int, total: int | None) -> None:
            nonlocal shown
            if time.monotonic() - shown >= self._every:
                shown = time.monotonic()
                share = f" of {total / 1e6:.1f} MB ({100 * done // total} %)" if total else " MB"
                self.note(f"{what}: {done / 1e6:.1f}{share}")

        yield at

    def note(self, text: str) -> None:
        print(text, file=self._stream, flush=True)


class LogProgress(LineProgress):
    """The lines as events of the log."""

    def __init__(self, every: float = 2.0) -> None:
        super().__init__(sys.stderr, every)

    def note(self, text: str) -> None:
        log.info(text)
