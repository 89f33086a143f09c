"""What whoever started the server had open stays with it: no process that it starts gets any of that."""

from __future__ import annotations

import asyncio
import os
import sys
from asyncio.subprocess import PIPE
from pathlib import Path

import psutil
import pytest
import uvloop

from assistd.child_processes import close_on_exec, start_process
from tests.support.server import serve

LIST = "import os; print(*sorted(map(os.path.realpath, os.scandir('/dev/fd'))))"


@pytest.mark.parametrize("loop", [asyncio.new_event_loop, uvloop.new_event_loop])
def test_a_child_gets_its_pipes_and_what_it_is_to_have(loop: object, tmp_path: Path) -> None:
    async def said(shared: int) -> str:
        child = await start_process(sys.executable, "-c", LIST, stdin=PIPE, stdout=PIPE, pass_fds=[shared])
        assert child.stdout is not None
        text = (await child.stdout.read()).decode()
        assert await child.wait() == 0
        return text

    secret, shared = tmp_path / "secret", tmp_path / "shared"
    numbers = [os.open(path, os.O_RDWR | os.O_CREAT) for path in (secret, shared)]
    try:
        os.set_inheritable(numbers[0], True)
        with asyncio.Runner(loop_factory=loop) as runner:  # type: ignore[arg-type]
            text = runner.run(said(numbers[1]))
    finally:
        for number in numbers:
            os.close(number)
    assert str(shared) in text
    assert str(secret) not in text


def test_descriptors_are_marked_where_the_kernel_has_no_call_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("assistd.child_processes._marks_by_range", lambda: False)
    end, other = os.pipe()
    try:
        os.set_inheritable(end, True)
        close_on_exec()
        assert not os.get_inheritable(end)
        assert os.get_inheritable(1)
    finally:
        os.close(end)
        os.close(other)


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
def test_no_process_of_a_server_has_what_its_starter_had(database_url: str, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    number = os.open(secret, os.O_RDWR | os.O_CREAT)
    try:
        with serve(tmp_path / "server", "--workers", "2", pass_fds=[number], database_url=database_url) as server:
            assert secret in open_files(server.process.pid)  # it did get it
            family = psutil.Process(server.process.pid).children(recursive=True)
            assert len(family) >= 2
            assert [child for child in family if secret in open_files(child.pid)] == []
    finally:
        os.close(number)


def open_files(pid: int) -> set[Path]:
    """Return the files that a process has open."""
    found = set()
    for link in Path(f"/proc/{pid}/fd").iterdir():
        try:
            found.add(link.readlink())
        except FileNotFoundError:
            continue
    return found
