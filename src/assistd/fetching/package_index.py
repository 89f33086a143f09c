"""Wheels from the package index that the user's pip is set to; nothing is installed, and no code of theirs runs."""

from __future__ import annotations

import importlib.util
import os
import shutil
import sys
import sysconfig
import zipfile
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

# What pip says of an index that does not answer; it goes on as if the index had nothing.
_UNREACHED = "after connection broken by"


class PipMissing(Exception):
    """This Python has no pip, and there is no other."""


def download_command(folder: Path, *what: str) -> tuple[list[str], Mapping[str, str]]:
    """The command that downloads the wheels of `what` into `folder`, and its environment. Raises PipMissing.

    `what` are pip's own arguments: requirements, or `-r FILE` and such. Everything that pip writes is in `folder`.
    In this mode pip neither resolves, builds nor installs; which index it asks is the user's setting.
    """
    command, environ = _pip(folder)
    command += ["download", "--no-deps", "--only-binary", ":all:", "--no-input", "--disable-pip-version-check"]
    command += ["--retries", "2", "--progress-bar", "off", "--dest", str(folder), *what]
    return command, {**environ, "PIP_REQUIRE_VIRTUALENV": "0"}  # which guards installations only


def arrived(folder: Path) -> int:
    """How many bytes of wheels there are: pip writes one to its scratch folder and then moves or copies it."""
    sizes: dict[str, int] = {}
    for place, _, names in os.walk(folder):  # which leaves out what goes while it looks; rglob raises
        for name in names:
            if name.endswith(".whl"):
                with suppress(FileNotFoundError):
                    sizes[name] = max(sizes.get(name, 0), Path(place, name).stat().st_size)
    return sum(sizes.values())


def last_words(log: Path) -> str:
    """What pip said last about why it failed."""
    lines = [line.strip() for line in log.read_text("utf-8", "replace").splitlines() if line.strip()]
    if any(_UNREACHED in line for line in lines):
        return "it could not be reached"
    errors = [line for line in lines if line.startswith("ERROR:")] or lines[-1:] or ["pip failed without a word"]
    return errors[-1].removeprefix("ERROR:").strip().rstrip(".")


def _pip(folder: Path) -> tuple[list[str], Mapping[str, str]]:
    """The command that runs pip, and its environment: this Python's pip, Python's own spare copy, or any other."""
    scratch = folder / "tmp"
    scratch.mkdir(parents=True)
    environ = {**os.environ, "TMPDIR": str(scratch)}
    command = [sys.executable, "-P", "-m", "pip"]
    if importlib.util.find_spec("pip") is not None:
        return command, environ
    if wheel := _spare_pip():
        with zipfile.ZipFile(wheel) as archive:
            archive.extractall(folder / "pip")
        return command, {**environ, "PYTHONPATH": str(folder / "pip")}
    if other := shutil.which("pip3") or shutil.which("pip"):
        return [other, "--python", sys.executable], environ  # wheels differ between Pythons
    raise PipMissing("this Python has no pip")


def _spare_pip() -> Path | None:
    """The wheel of pip that Python carries for new environments; distributions keep it in a folder of their own."""
    folders = [Path(folder) for folder in (sysconfig.get_config_var("WHEEL_PKG_DIR"),) if folder]
    spec = importlib.util.find_spec("ensurepip")
    if spec is not None and spec.origin:
        folders.append(Path(spec.origin).parent / "_bundled")
    return max((wheel for folder in folders for wheel in folder.glob("pip-*.whl")), default=None)
