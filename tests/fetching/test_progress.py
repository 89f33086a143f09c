"""How far a download has come: a bar on a terminal, lines elsewhere."""

from __future__ import annotations

import io

from assistd.fetching.progress import BarProgress, LineProgress, console_progress


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_progress_is_a_bar_on_a_terminal_and_lines_elsewhere() -> None:
    assert isinstance(console_progress(Terminal()), BarProgress)
    assert isinstance(console_progress(io.StringIO()), LineProgress)


def test_lines_of_progress() -> None:
    out = io.StringIO()
    progress = LineProgress(out, every=0)
    with progress.work("Fetching fox") as at:
        at(1_000_000, 4_000_000)
        at(2_500_000, None)
    assert out.getvalue().splitlines() == [
        "Fetching fox ...",
        "Fetching fox: 1.0 of 4.0 MB (25 %)",
        "Fetching fox: 2.5 MB",
    ]


def test_lines_of_progress_come_now_and_then() -> None:
    out = io.StringIO()
    with LineProgress(out, every=3600).work("Fetching fox") as at:
        for done in range(100):
            at(done, 100)
    assert out.getvalue() == "Fetching fox ...\n"


def test_a_bar_of_progress() -> None:
    out = Terminal()
    progress = BarProgress(out)
    with progress.work("Fetching [fox]") as at:
        at(1_000_000, 4_000_000)
    progress.note("[done]")
    assert "Fetching [fox]" in out.getvalue()
    assert "1.0/4.0 MB" in out.getvalue()
    assert out.getvalue().endswith("[done]\n")
