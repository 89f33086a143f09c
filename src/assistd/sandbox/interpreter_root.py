"""The sandbox's file tree without packages: Python as this machine has it, everyday programs, what they expect."""

from __future__ import annotations

import os
import re
import shutil
import sys
from pathlib import Path
from typing import Final, NamedTuple

from . import interpreter_elf as elf
from .limits import UID

# Programs that generated code calls, and the shell that calls them; the ones that this machine has are copied.
PROGRAMS: Final = (
    "sh", "bash", "ls", "cat", "head", "tail", "wc", "grep", "egrep", "fgrep", "sed", "awk", "sort", "uniq",
    "cut", "tr", "paste", "tee", "find", "xargs", "du", "df", "stat", "date", "env", "echo", "printf", "pwd",
    "basename", "dirname", "realpath", "readlink", "mkdir", "rmdir", "cp", "mv", "rm", "ln", "touch", "chmod",
    "diff", "cmp", "tar", "gzip", "gunzip", "zcat", "bzip2", "bunzip2", "xz", "unxz", "zip", "unzip", "md5sum",
    "sha1sum", "sha256sum", "base64", "od", "hexdump", "seq", "sleep", "timeout", "true", "false", "test",
    "expr", "nproc", "uname", "whoami", "id", "hostname", "ps", "kill", "which", "tree", "free", "uptime",
)  # fmt: skip

_FOLDERS: Final = (
    "etc", "usr/bin", "usr/lib", "usr/share", "mnt/data", "tmp", "var/tmp", "run", "proc", "sys", "dev", "opt",
    "home", "root",
)  # fmt: skip

# For one user, whose home is the scratch disk; names resolve without a network.
_ETC: Final = {
    "passwd": f"root:x:0:0:root:/root:/bin/sh\nsandbox:x:{UID}:{UID}:sandbox:/tmp:/bin/sh\n"
    "nobody:x:65534:65534:nobody:/nonexistent:/bin/sh\n",
    "group": f"root:x:0:\nsandbox:x:{UID}:\nnogroup:x:65534:\n",
    "hosts": "127.0.0.1 localhost\n::1 localhost\n",
    "nsswitch.conf": "passwd: files\ngroup: files\nhosts: files\n",
    "hostname": "sandbox\n",
    "os-release": 'NAME="assistd code interpreter"\nID=assistd\nPRETTY_NAME="assistd code interpreter"\n',
}

# Of the standard library: its tests, what needs a screen or a package index, what was compiled, and other packages.
_LEFT_OUT: Final = {
    "test", "tests", "idlelib", "idle_test", "ensurepip", "tkinter", "turtledemo", "turtle.py", "__pycache__",
    "site-packages", "dist-packages", "sitecustomize.py", "usercustomize.py", "EXTERNALLY-MANAGED",
}  # fmt: skip
_VERSIONED: Final = f"python{sys.version_info.major}.{sys.version_info.minor}"
_LEFT_OUT_STARTS: Final = ("config-", "_tkinter.", "_test", "_ctypes_test.", "xxlimited")


class NoPython(Exception):
    """The Python that runs here cannot be copied; the message says why."""


class CopiedPython(NamedTuple):
    """Python in the tree: its program, its standard library, the folder of packages; and its loader's path."""

    program: Path
    library: Path
    packages: Path
    loader: str


def lay_out(root: Path) -> None:
    """Make the folders and small files of the tree."""
    for folder in _FOLDERS:
        (root / folder).mkdir(parents=True)
    for name, target in {"bin": "usr/bin", "sbin": "usr/bin", "lib": "usr/lib", "lib64": "usr/lib"}.items():
        (root / name).symlink_to(target)
    (root / "usr/lib64").symlink_to("lib")
    for name, text in _ETC.items():
        (root / "etc" / name).write_text(text)


def standard_library() -> Path:
    """Where this Python's standard library is. Raises NoPython."""
    folder = Path(os.__file__).parent
    if not folder.is_dir() or not (folder / "encodings").is_dir():
        raise NoPython("the standard library of the Python that runs assistd is not a plain folder")
    return folder


def copy_python(root: Path) -> CopiedPython:
    """Copy the program that runs here and its standard library. Raises NoPython, OSError."""
    source = executable()
    head = elf.read(source)
    if head is None or not head.loader:
        raise NoPython(f"{source} is linked statically, and so could load no packages")
    program = root / "usr/bin" / _VERSIONED
    shutil.copyfile(source, program)
    program.chmod(0o755)
    for alias in ("python3", "python"):
        (root / "usr/bin" / alias).symlink_to(_VERSIONED)
    library = root / "usr/lib" / standard_library().name
    _copy_tree(standard_library(), library)
    (library / "lib-dynload").mkdir(exist_ok=True)  # by which Python knows that it is at home
    packages = library / "site-packages"
    packages.mkdir()
    if "dist-packages" in (library / "site.py").read_text("utf-8"):  # Debian's Python looks for packages there
        (root / "usr/lib/python3").mkdir()
        (root / "usr/lib/python3/dist-packages").symlink_to(f"../{library.name}/site-packages")
    (root / "usr/share/zoneinfo").symlink_to(f"../lib/{library.name}/site-packages/tzdata/zoneinfo")
    for path in library.glob("_sysconfigdata*.py"):
        path.write_text(_moved(path.read_text("utf-8")), "utf-8")
    return CopiedPython(program, library, packages, head.loader)


def _moved(build_time_vars: str) -> str:
    """Say that Python was built to be in /usr, wherever it was built for and is here."""
    built_for = re.findall(r"'(?:exec_)?prefix': '(/[^']+)'", build_time_vars)
    for prefix in {*built_for, sys.base_prefix} - {"/usr"}:
        build_time_vars = build_time_vars.replace(prefix, "/usr")
    return build_time_vars


def executable() -> Path:
    """The program of this Python, outside of any virtual environment. Raises NoPython."""
    base = getattr(sys, "_base_executable", "") or sys.executable
    for path in (Path(sys.base_prefix, "bin", _VERSIONED), Path(sys.base_prefix, "bin", "python3"), Path(base)):
        if path.exists() and elf.read(path) is not None:
            return path.resolve()
    raise NoPython("the program file of the Python that runs assistd was not found")


def copy_programs(root: Path, loader: str) -> dict[Path, Path]:
    """Copy everyday programs, those that are there and that `loader` loads; where each came from."""
    came_from: dict[Path, Path] = {}
    copies: dict[Path, str] = {}
    for name in PROGRAMS:
        found = shutil.which(name, path="/usr/bin:/bin:/usr/sbin:/sbin:/usr/local/bin")
        if not found or not os.access(found, os.R_OK):
            continue
        real, target = Path(found).resolve(), root / "usr/bin" / name
        if real in copies:  # one program under many names, which does what it is called
            target.symlink_to(copies[real])
        elif _runs(real, loader):
            shutil.copyfile(real, target)
            target.chmod(0o755)
            copies[real] = name
            came_from[target] = real
    if (locale := Path("/usr/lib/locale/C.utf8")).is_dir():
        _copy_tree(locale, root / "usr/lib/locale/C.utf8")
    return came_from


def _runs(program: Path, loader: str) -> bool:
    """Whether a program runs in the tree: by the same loader, by none, or by the shell."""
    head = elf.read(program)
    if head is not None:
        return head.loader in (loader, "")
    with program.open("rb") as file:
        return file.readline(100).split() in ([b"#!/bin/sh"], [b"#!", b"/bin/sh"])


def _copy_tree(source: Path, target: Path) -> None:
    """Copy files and folders with plain rights; links are followed, and those to nowhere are left out."""
    target.mkdir(parents=True)
    for entry in sorted(os.scandir(source), key=lambda entry: entry.name):
        if entry.name in _LEFT_OUT or entry.name.startswith(_LEFT_OUT_STARTS):
            continue
        if entry.is_dir():
            _copy_tree(Path(entry.path), target / entry.name)
        elif entry.is_file():
            shutil.copyfile(entry.path, target / entry.name)
            (target / entry.name).chmod(0o755 if ".so" in entry.name else 0o644)
