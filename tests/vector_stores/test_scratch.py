"""The folder for what is in work goes, at the latest with the next process."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from assistd.vector_stores.scratch import Scratch

HELD = """
import sys
from pathlib import Path
from assistd.vector_stores.scratch import Scratch
scratch = Scratch(Path(sys.argv[1]))
(scratch.path / "left").write_text("x")
print(scratch.path, flush=True)
sys.stdin.read()
"""


def test_what_a_killed_process_left_goes_and_what_a_living_one_has_stays(tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", HELD, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout is not None
        folder = Path(other.stdout.readline().strip())
        mine = Scratch(tmp_path)
        assert (folder / "left").exists()
        other.kill()
        other.wait()
        assert folder.exists()
        again = Scratch(tmp_path)
        assert not folder.exists()
        assert mine.path.exists()
        for scratch in (mine, again):
            scratch.close()
    assert list(tmp_path.iterdir()) == []


def test_what_is_not_ours_stays(tmp_path: Path) -> None:
    """A folder of this name without a lock may be one that is just being made."""
    (tmp_path / "assistd-reading-new").mkdir()
    Scratch(tmp_path).close()
    assert [path.name for path in tmp_path.iterdir()] == ["assistd-reading-new"]


def test_a_folder_whose_maker_was_killed_before_it_had_a_lock_goes_after_a_while(tmp_path: Path) -> None:
    left, new = tmp_path / "assistd-reading-left", tmp_path / "assistd-reading-new"
    for folder in (left, new):
        folder.mkdir()
    os.utime(left, (0, 0))
    scratch = Scratch(tmp_path)
    assert not left.exists()
    assert new.exists()  # it is perhaps being made just now
    scratch.close()
