"""How the interpreter is built: once, whole or not at all, and out of the index that the user's pip knows."""

from __future__ import annotations

import asyncio
import hashlib
import io
import json
import os
import shutil
import signal
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest

from assistd.fetching.progress import FetchProgress, LineProgress
from assistd.sandbox import interpreter, interpreter_build, interpreter_packages, interpreter_root
from assistd.sandbox.interpreter import InterpreterError, ensure, find
from tests.support.waiting import PATIENCE

FILES = {
    "fox/__init__.py": b"import os\nfrom .data import LEGS\ndef where(): return where.__code__.co_filename\n",
    "fox/data.py": b"LEGS = 4\n",
    "fox/old.py": b"print 'no Python 3'\n",
    "fox/tests/test_fox.py": b"",
    "fox/tests.py": b"",
    "fox/_fox.pyi": b"",
    "fox-1.0.data/purelib/fox/more.txt": b"more",
    "fox-1.0.data/scripts/fox": b"#!python\n",
    "fox-1.0.dist-info/METADATA": b"Metadata-Version: 2.1\nName: fox\nVersion: 1.0\n",
    "fox-1.0.dist-info/WHEEL": b"Wheel-Version: 1.0\nGenerator: x\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    "fox-1.0.dist-info/RECORD": b"",
}


@pytest.fixture
def wheels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The one place where pip finds packages, with the one package of the lock."""
    folder = tmp_path / "wheels"
    folder.mkdir()
    wheel = folder / "fox-1.0-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        for name, data in FILES.items():
            archive.writestr(name, data)
    lock = f"fox==1.0 --hash=sha256:{hashlib.sha256(wheel.read_bytes()).hexdigest()}\n"
    monkeypatch.setattr(interpreter, "_packages", lock.encode)
    settings = {"CONFIG_FILE": "/dev/null", "NO_INDEX": "1", "FIND_LINKS": str(folder), "NO_CACHE_DIR": "1"}
    for name, value in settings.items():
        monkeypatch.setenv(f"PIP_{name}", value)
    return folder


@pytest.fixture
def out() -> io.StringIO:
    return io.StringIO()


@pytest.fixture
def report(out: io.StringIO) -> FetchProgress:
    return LineProgress(out, every=0)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def builders(folder: Path) -> list[psutil.Process]:
    """The processes that have to do with a folder: by their command, or by where they write."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.pid != os.getpid() and any(str(folder) in part for part in process.cmdline()):
                found.append(process)
        except psutil.Error:
            continue
    return found


async def begun(folder: Path) -> None:
    """Wait until a build is in the middle of its work."""
    await until(lambda: any(folder.glob("building-*/root/usr/lib/python*/site-packages")))


async def gone(folder: Path) -> None:
    """Wait until nobody works in a folder any more."""
    await until(lambda: builders(folder) == [])


async def until(look: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENCE):
        while not look():
            await asyncio.sleep(0.01)


async def test_a_build(tmp_path: Path, wheels: Path, report: FetchProgress, out: io.StringIO) -> None:
    folder = tmp_path / "interpreter"
    assert find(folder) is None
    found = await ensure(folder, report)
    assert names(folder) == sorted(["lock", found.root.name, f"{found.root.name}.lock"])
    assert await ensure(folder, report) == found == find(folder)

    packages = found.root / "usr/lib" / Path(os.__file__).parent.name / "site-packages"
    kept = [name for name in FILES if name.split("/")[1] not in ("tests", "_fox.pyi", "scripts", "purelib")]
    unpacked = {str(path.relative_to(packages)) for path in packages.rglob("*") if path.is_file()}
    assert {path for path in unpacked if "__pycache__" not in path} == {*kept, "fox/more.txt"}
    tag = sys.implementation.cache_tag
    compiled = {path.name for path in packages.rglob("*.pyc")}  # of old Python is no byte code made
    assert compiled == {f"{name}.{tag}.pyc" for name in ("__init__", "data", "tests")}

    said = [line.partition(" ...")[0] for line in out.getvalue().splitlines() if line.endswith("...")]
    assert said == [
        "Fetching Python packages from the package index",
        "Unpacking and compiling them",
        "Checking the interpreter",
    ]


async def test_what_is_needed_at_once_is_built_once(tmp_path: Path, wheels: Path, monkeypatch: Any) -> None:
    builds = []
    outs = [io.StringIO() for _ in range(3)]

    async def build(scratch: Path, lock: Path, report: FetchProgress) -> None:
        builds.append(scratch)
        (scratch / "root").mkdir()
        await until(lambda: all(out.getvalue() for out in outs))

    monkeypatch.setattr(interpreter, "_run_build", build)
    found = await asyncio.gather(*(ensure(tmp_path / "i", LineProgress(out)) for out in outs))
    assert len(builds) == 1
    assert found[0] == found[1] == found[2]
    waited = "Another process is building the code interpreter; waiting for it ...\n"
    building, *waiting = sorted((out.getvalue() for out in outs), key=lambda text: text == waited)
    assert building.startswith("Building what the code interpreter runs code in, once, in ")
    assert waiting == [waited, waited]


async def test_other_versions_go_unless_they_are_in_use(
    tmp_path: Path, wheels: Path, report: FetchProgress, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def build(scratch: Path, lock: Path, report: FetchProgress) -> None:
        (scratch / "root").mkdir()
        shutil.copy(lock, scratch / "root/version")

    monkeypatch.setattr(interpreter, "_run_build", build)

    async def version(number: int) -> interpreter.Interpreter:
        monkeypatch.setattr(interpreter, "_packages", lambda: str(number).encode())
        return await ensure(tmp_path, report)

    (tmp_path / "building-x").mkdir()
    first = await version(1)
    assert "building-x" not in names(tmp_path)
    second = await version(2)
    assert first.root != second.root
    assert (first.root / "version").read_text() == "1"
    del first
    third = await version(3)
    trees = {name for name in names(tmp_path) if name.startswith(("python-", "building-")) and name[-5:] != ".lock"}
    assert trees == {second.root.name, third.root.name}


async def test_a_build_that_is_cancelled_leaves_nothing(tmp_path: Path, wheels: Path, report: FetchProgress) -> None:
    folder = tmp_path / "i"
    build = asyncio.create_task(ensure(folder, report))
    await begun(folder)
    assert builders(folder)
    build.cancel()
    with pytest.raises(asyncio.CancelledError):
        await build
    assert names(folder) == ["lock"]
    await gone(folder)


@pytest.mark.parametrize("victim", ["its server", "its program"])
async def test_a_build_that_is_killed_is_no_interpreter(
    tmp_path: Path, wheels: Path, report: FetchProgress, victim: str
) -> None:
    """What is left of it is in nobody's way, and goes with the next build."""
    folder = tmp_path / "i"
    lock = tmp_path / "lock.txt"
    lock.write_bytes(interpreter._packages())
    code = (
        "import asyncio, sys; from pathlib import Path; from assistd.sandbox import interpreter\n"
        "from assistd.fetching.progress import LineProgress\n"
        "interpreter._packages = Path(sys.argv[1]).read_bytes\n"
        "try: asyncio.run(interpreter.ensure(Path(sys.argv[2]), LineProgress(sys.stderr)))\n"
        "except interpreter.InterpreterError as fault: print(fault)\n"
    )
    server = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", code, str(lock), str(folder)), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    )
    await begun(folder)
    if victim == "its server":
        server.kill()
    else:
        (program,) = [p for p in builders(folder) if "assistd.sandbox.interpreter_build" in p.cmdline()]
        program.send_signal(signal.SIGKILL)
    said, _ = await server.communicate()
    await gone(folder)
    assert find(folder) is None
    if victim == "its program":
        assert said.decode() == "The code interpreter could not be built: its program was ended by signal 9.\n"
        assert names(folder) == ["lock"]
    else:
        assert (await ensure(folder, report)).root.is_dir()
        assert [name for name in names(folder) if name.startswith("building-")] == []


# --- what can be amiss


async def refused(folder: Path, report: FetchProgress) -> str:
    with pytest.raises(InterpreterError) as fault:
        await ensure(folder, report)
    assert find(folder) is None
    return str(fault.value).removeprefix("The code interpreter could not be built: ")


async def test_without_its_packages(tmp_path: Path, wheels: Path, report: FetchProgress) -> None:
    shutil.rmtree(wheels)
    said = await refused(tmp_path / "i", report)
    assert said.startswith("its packages could not be fetched from the package index: ")
    assert "fox==1.0" in said
    assert names(tmp_path / "i") == ["lock"]


async def test_with_a_package_that_is_another(tmp_path: Path, wheels: Path, report: FetchProgress) -> None:
    with zipfile.ZipFile(wheels / "fox-1.0-py3-none-any.whl", "a") as archive:
        archive.writestr("fox/evil.py", "")
    assert "its packages could not be fetched" in await refused(tmp_path / "i", report)


async def test_with_a_package_that_cannot_be_loaded(tmp_path: Path, wheels: Path, report: FetchProgress) -> None:
    """The check imports what most depends on the machine, where it is there."""
    wheel = wheels / "numpy-1.0-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr("numpy/__init__.py", "raise ImportError('libfox.so.1: cannot open')")
        for name in ("METADATA", "WHEEL", "RECORD"):
            archive.writestr(
                f"numpy-1.0.dist-info/{name}", FILES[f"fox-1.0.dist-info/{name}"].replace(b"fox", b"numpy")
            )
    lock = f"numpy==1.0 --hash=sha256:{hashlib.sha256(wheel.read_bytes()).hexdigest()}\n".encode()
    interpreter._packages = lambda: lock  # the fixture puts it back
    assert await refused(tmp_path / "i", report) == "it does not work: ImportError: libfox.so.1: cannot open."


async def test_without_room(tmp_path: Path, report: FetchProgress, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(interpreter, "_ROOM", 10**18)
    assert "GB are needed" in await refused(tmp_path / "i", report)


async def test_where_nothing_can_be_written(tmp_path: Path, report: FetchProgress) -> None:
    (tmp_path / "file").touch()
    assert await refused(tmp_path / "file", report) == f"{tmp_path / 'file'}: File exists."


async def test_on_another_system(tmp_path: Path, report: FetchProgress, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    assert await refused(tmp_path, report) == "it needs Linux."


def build_by_hand(folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Run the building program in this process; what it says last."""
    monkeypatch.setattr(interpreter_build, "_end_with_input", lambda: None)
    monkeypatch.setattr(os, "nice", lambda more: 0)
    folder.mkdir()
    mask = os.umask(0o022)
    try:
        assert interpreter_build.main(folder, folder / "lock.txt") == 1
    finally:
        os.umask(mask)
    said: dict[str, Any] = json.loads(capsys.readouterr().out.splitlines()[-1])
    return said


def test_with_a_python_that_cannot_be_copied(
    tmp_path: Path, wheels: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(interpreter_root.os, "__file__", str(tmp_path / "python311.zip/os.py"))
    said = build_by_hand(tmp_path / "b", capsys, monkeypatch)
    assert said == {"fault": "the standard library of the Python that runs assistd is not a plain folder"}


def test_without_pip(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    monkeypatch.setattr("sysconfig.get_config_var", lambda name: None)
    monkeypatch.setattr("shutil.which", lambda name: None)
    said = build_by_hand(tmp_path / "b", capsys, monkeypatch)
    assert said == {"fault": "pip is needed to fetch its packages, and this Python has no pip"}


@pytest.mark.parametrize(
    ("member", "place"),
    [
        ("fox/__init__.py", "fox/__init__.py"),
        ("fox.py", "fox.py"),
        ("tests/__init__.py", "tests/__init__.py"),
        ("fox/tests/a.py", ""),
        ("fox/tests.py", "fox/tests.py"),
        ("fox/", ""),
        ("fox/_fox.c", ""),
        ("fox-1.data/platlib/fox/a.so", "fox/a.so"),
        ("fox-1.data/data/share/man", ""),
        ("../fox.py", ""),
        ("fox/../../fox.py", ""),
        ("fox-1.data/purelib//etc/passwd", ""),
        ("/etc/passwd", ""),
    ],
)
def test_what_becomes_of_the_members_of_a_wheel(member: str, place: str) -> None:
    assert interpreter_packages._place(member) == place
