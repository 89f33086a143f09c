"""A disk without room: doctor says so and what to do, and a server says that it is not ready."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from assistd import disk
from assistd.health import Disks
from tests.support.program import environ

NEEDS_BWRAP = pytest.mark.skipif(shutil.which("bwrap") is None, reason="a small disk is made by bubblewrap")


def on_full_disk(folder: Path, command: str, **settings: object) -> str:
    """Run a shell command where `folder` is a disk of its own, without room, and return what it prints."""
    folder.mkdir(exist_ok=True)
    small = ["bwrap", "--dev-bind", "/", "/", "--size", str(1 << 20), "--tmpfs", str(folder)]
    fill = f"dd if=/dev/zero of={folder}/filling bs=4096 2>/dev/null; "
    done = subprocess.run(
        [*small, "sh", "-c", fill + command],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        env=environ(data_dir=folder, model_base_url="scripted:", port=0, sandbox="off", **settings),
        cwd="/",
        timeout=60,
        check=False,
    )
    assert "Traceback" not in done.stderr, done.stderr
    return done.stdout


@NEEDS_BWRAP
def test_doctor_on_a_full_disk(tmp_path: Path) -> None:
    """No finding speaks of rights, which are in order, and the embedded PostgreSQL's words are not all there is."""
    folder = tmp_path / "small"
    said = on_full_disk(folder, f"{sys.executable} -m assistd doctor")
    found = dict(re.findall(r"^AMISS  ([a-z ]+): (.+)$", said, re.MULTILINE))
    assert list(found) == ["data folder", "database", "door", "files"]
    remedy = "Free some room on it, or set ASSISTD_DATA_DIR to a folder on another disk"
    assert found["data folder"] == f"the disk of {folder} is full. {remedy}."
    assert found["database"].startswith(f"PostgreSQL cannot run: the disk of {folder}/postgres is full: 0 MB are left.")
    assert remedy in found["database"]
    assert found["door"] == "which API keys there are is known once the database can be used."
    assert found["files"] == f"the disk of {folder}/blobs is full. {remedy}."


@NEEDS_BWRAP
def test_what_a_full_disk_is_known_by(tmp_path: Path) -> None:
    folder = tmp_path / "small"
    look = f"from assistd import disk; from pathlib import Path; print(disk.unwritable(Path('{folder}/sub')))"
    assert on_full_disk(folder, f'{sys.executable} -c "{look}"') == f"the disk of {folder}/sub is full\n"


def test_a_folder_with_room_is_fine(tmp_path: Path) -> None:
    assert disk.unwritable(tmp_path) is None
    assert disk.unwritable(tmp_path / "not" / "there" / "yet") is None
    assert list(tmp_path.iterdir()) == []


async def test_a_node_knows_its_disks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The folders that it writes to, and that of its PostgreSQL; the first that has no room is named."""
    assert await Disks([tmp_path], [tmp_path / "postgres"]).amiss() is None
    assert await Disks([Path("/proc")], []).amiss() is not None  # nobody can write there
    monkeypatch.setattr(disk, "LEAST_BYTES", 1 << 62)
    found = await Disks([], [tmp_path / "postgres"]).amiss()
    assert found is not None
    assert found.startswith(f"the disk of {tmp_path}/postgres is full: ")


@NEEDS_BWRAP
def test_a_server_on_a_full_disk_is_not_ready(tmp_path: Path, database_url: str) -> None:
    folder = tmp_path / "small"
    ask = (
        f"{sys.executable} -m assistd serve --port 0 > {tmp_path}/out 2> {tmp_path}/log & server=$!; "
        f"until grep -q 'is ready' {tmp_path}/out || ! kill -0 $server; do sleep 0.1; done; "
        f"{sys.executable} {tmp_path}/ask.py; kill $server; wait $server"
    )
    (tmp_path / "ask.py").write_text(
        "import re, urllib.error, urllib.request\n"
        f"root = re.search('(http://.*)/v1', open('{tmp_path}/out').read())[1]\n"
        "try:\n"
        "    urllib.request.urlopen(root + '/readyz')\n"
        "except urllib.error.HTTPError as answer:\n"
        "    print(answer.code, answer.read().decode())\n"
    )
    said = on_full_disk(folder, ask, database_url=database_url)
    assert said == f'503 {{"status":"unavailable","disk":"the disk of {folder} is full"}}\n'
