"""What a program says when it starts and when it ends: in one form throughout, and what it does to the machine."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.support.http import Api
from tests.support.program import assistd, environ
from tests.support.server import serve
from tests.support.waiting import eventually

NOWHERE = "postgresql://127.0.0.1:9/none"

# Everything that Python says of its own accord, after the log is set up.
BABBLE = """
import atexit, asyncio, logging, threading, warnings
from assistd import telemetry

telemetry.configure("info", "json")
warnings.warn("a warning\\nof two lines", ResourceWarning)
warnings.warn("another", UserWarning)
logging.getLogger("somebody").error("numbers: %d", "none")
logging.getLogger("assistd.x").info("quiet module")

class Broken:
    def __del__(self):
        raise ValueError("unraisable")

Broken()
thread = threading.Thread(target=lambda: 1 / 0)
thread.start()
thread.join()

async def never_retrieved():
    asyncio.ensure_future(asyncio.sleep(0, 1)).add_done_callback(lambda _: 1 / 0)
    await asyncio.sleep(0.01)

asyncio.run(never_retrieved())
atexit.register(lambda: 1 / 0)
raise RuntimeError("the end")
"""


def as_json(text: str) -> list[Any]:
    """Every line, which must be an event."""
    lines = [json.loads(line) for line in text.splitlines()]
    assert all({"event", "level", "timestamp"} <= set(line) for line in lines)
    return lines


@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_server_says_everything_in_json(tmp_path: Path, database_url: str, workers: str) -> None:
    """The first words, how far the interpreter is built, and what stands on standard output."""
    settings = {"database_url": database_url, "log_format": "json", "interpreter_dir": tmp_path / "interpreter"}
    with serve(tmp_path, "--workers", workers, **settings) as server:
        assert Api(server.url).get("/assistants").status == 200
        eventually(lambda: "Fetching Python packages" in server.log)
        server.stop()
        events = [line["event"] for line in as_json(server.log)]
        (ready, *_) = as_json("".join(server.output))
    assert ready["event"] == f"assistd is ready: {server.url}"
    # A second worker builds what the first one left when it was stopped.
    (building, *_) = [event for event in events if event.startswith("Building what the code interpreter runs code in")]
    assert f"in {tmp_path}/interpreter" in building
    assert "150 MB" in building
    assert "600 MB" in building
    assert "ASSISTD_SANDBOX=off" in building


def test_standard_output_is_json_where_it_is_the_log(tmp_path: Path, database_url: str) -> None:
    """As in a service whose two streams are one."""
    log = tmp_path / "log"
    settings = {"data_dir": tmp_path, "database_url": database_url, "model_base_url": "scripted:", "sandbox": "off"}
    with log.open("wb") as both:
        process = subprocess.Popen(
            [sys.executable, "-m", "assistd", "serve", "--port", "0"],
            stdin=subprocess.DEVNULL,
            stdout=both,
            stderr=both,
            cwd=tmp_path,
            env=environ(**settings),
        )
    try:
        eventually(lambda: "assistd is ready: " in log.read_text())
    finally:
        process.terminate()
        process.wait(60)
    assert [line["event"] for line in as_json(log.read_text()) if line["event"].startswith("assistd is ready: ")]


@pytest.mark.parametrize(
    ("command", "settings"),
    [
        ("serve --port 0", {"databse_url": "x"}),
        ("serve --port 0", {"lease_seconds": 0}),
        ("serve --port 0 --host 192.0.2.1", {}),
        ("serve --port 0", {"database_url": NOWHERE, "database_wait_seconds": 1}),
        ("worker", {"database_url": NOWHERE, "database_wait_seconds": 1}),
        ("keys list", {"database_url": NOWHERE, "database_wait_seconds": 1}),
    ],
)
def test_a_refusal_is_json_among_json(tmp_path: Path, command: str, settings: dict[str, Any]) -> None:
    done = assistd(tmp_path, *command.split(), **{"log_format": "json", "model_base_url": "scripted:", **settings})
    assert (done.returncode, done.stdout) == (1, "")
    *_, last = as_json(done.stderr)
    assert last["event"].startswith("assistd: ")
    assert last["level"] == "critical"


def test_people_read_no_json(tmp_path: Path) -> None:
    """A command that answers and ends is for people, whatever its output is connected to."""
    done = assistd(tmp_path, "migrate", database_url=NOWHERE, database_wait_seconds=1)
    assert "{" not in done.stderr
    assert done.stderr.splitlines()[-1].startswith("assistd: the database cannot be used: ")


def test_what_python_says_by_itself_is_json(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-W", "always", "-c", BABBLE], capture_output=True, text=True, cwd=tmp_path, check=False
    )
    assert (done.returncode, done.stdout) == (1, "")
    told = json.dumps(as_json(done.stderr))
    for words in ("a warning", "another", "quiet module", "unraisable", "the end", "a log record could not be written"):
        assert words in told
    assert told.count("ZeroDivisionError") >= 3  # of the thread, of the callback, and at the end


def test_a_system_user_that_was_made_is_told(tmp_path: Path) -> None:
    """In an /etc of the test's own, which has no such user yet."""
    if os.geteuid() != 0 or shutil.which("unshare") is None or shutil.which("userdel") is None:
        pytest.skip("only root makes system users, and only where it may have an /etc of its own")
    etc = tmp_path / "etc"
    shutil.copytree("/etc", etc, symlinks=True, ignore_dangling_symlinks=True)
    (etc / "passwd").write_text(_without((etc / "passwd").read_text()))
    (etc / "group").write_text(_without((etc / "group").read_text()))
    (etc / "shadow").write_text(_without((etc / "shadow").read_text()))
    program = tmp_path / "make.py"
    program.write_text(
        "from pathlib import Path\nfrom assistd.db.account import server_account\nserver_account(Path('/none'))\n"
    )
    make = f"{sys.executable} {program}"
    done = subprocess.run(
        ["unshare", "--mount", "sh", "-c", f"mount --bind {etc} /etc && {make}"],
        capture_output=True,
        text=True,
        check=False,
    )
    if "mount" in done.stderr:
        pytest.skip(f"no /etc of its own can be had: {done.stderr}")
    assert done.returncode == 0, done.stderr
    assert "The system user pgserver was made, because PostgreSQL does not run as root." in done.stderr
    assert "pgserver:" in (etc / "passwd").read_text()


def _without(text: str) -> str:
    return "".join(line for line in text.splitlines(keepends=True) if not line.startswith("pgserver:"))
