"""The interpreter that is shipped: what stands in its tree, and what works in a sandbox that has it as its root."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from assistd.sandbox import interpreter as interpreters
from assistd.sandbox.interpreter import Interpreter

SANDBOX = Path(interpreters.__file__).parent


def inside(interpreter: Interpreter, code: str) -> str:
    """What Python code prints in bare walls around the interpreter; nothing may go to standard error."""
    if shutil.which("bwrap") is None:
        pytest.skip("bubblewrap is not installed, and could not be")
    named = [part for name, value in interpreter.environment.items() for part in ("--setenv", name, value)]
    walls = ["bwrap", "--unshare-all", "--die-with-parent", "--uid", "1000", "--gid", "1000"]
    walls += ["--ro-bind", str(interpreter.root), "/", "--proc", "/proc", "--dev", "/dev"]
    walls += ["--tmpfs", "/tmp", "--tmpfs", "/mnt/data", "--chdir", "/mnt/data"]
    done = subprocess.run(
        [*walls, "--clearenv", *named, interpreter.python, "-c", code],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def locked() -> dict[str, str]:
    """The packages that are asked for by name, and the versions that the lock has for them."""
    asked = {line for line in (SANDBOX / "packages.in").read_text().split("\n") if line and line[0] != "#"}
    pins = re.findall(r"^([a-z0-9-]+)==(\S+)(?: ; python_full_version (\S+) '([\d.]+)')?", packages(), re.MULTILINE)
    here = sys.version_info[:3]
    found = {}
    for name, version, relation, bound in pins:
        least = tuple(map(int, bound.split("."))) if bound else here
        if not relation or (here >= least if relation == ">=" else here < least):
            found[name] = version
    assert asked <= set(found)
    return {name: found[name] for name in asked}


def packages() -> str:
    return (SANDBOX / "packages.txt").read_text("utf-8")


def test_it_has_what_the_lock_says(interpreter: Interpreter) -> None:
    code = f"from importlib.metadata import version\nfor name in {sorted(locked())}: print(name, version(name))"
    assert dict(line.split() for line in inside(interpreter, code).splitlines()) == locked()


MODULES = [
    *("numpy", "pandas", "scipy.stats", "scipy.optimize", "sklearn.ensemble", "statsmodels.api", "sympy", "networkx"),
    *("matplotlib.pyplot", "seaborn", "PIL.Image", "IPython", "matplotlib_inline.backend_inline", "openpyxl", "xlrd"),
    *("xlsxwriter", "pypdf", "reportlab.pdfgen.canvas", "docx", "pptx", "lxml.etree", "bs4", "yaml", "jinja2"),
    *("tabulate", "tqdm", "dateutil.parser", "pytz", "tzdata"),
]


def test_every_package_can_be_imported_in_silence(interpreter: Interpreter) -> None:
    assert len(MODULES) >= len(locked())
    assert inside(interpreter, f"import {', '.join(MODULES)}") == ""


def test_every_module_of_the_standard_library_can_be_imported(interpreter: Interpreter) -> None:
    """But those that were left out on purpose, and those that this machine's Python lacks too."""
    code = """
import importlib, sys, warnings
warnings.simplefilter("ignore")
for name in sorted(sys.stdlib_module_names - {"antigravity", "this"}):
    try:
        importlib.import_module(name)
    except ImportError:
        print(name)
"""
    missing = set(inside(interpreter, code).split())
    here = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    left_out = {"ensurepip", "idlelib", "tkinter", "_tkinter", "turtle", "turtledemo"}
    assert missing - set(here) <= left_out


def test_tables_plots_and_documents_are_made_and_read(interpreter: Interpreter) -> None:
    code = """
import numpy as np, pandas as pd, matplotlib, matplotlib.pyplot as plt
frame = pd.DataFrame({"x": np.arange(4), "y": np.arange(4) ** 2})
for kind in ("xlsx", "csv", "html"):
    getattr(frame, {"xlsx": "to_excel", "csv": "to_csv", "html": "to_html"}[kind])(f"t.{kind}", index=False)
assert pd.read_excel("t.xlsx").equals(frame) and pd.read_csv("t.csv").equals(frame)
frame.style.to_html()
frame.plot(x="x", y="y"); plt.title("\\u00e4\\u03b1 $x^2$"); plt.savefig("p.png"); plt.savefig("p.pdf")
from PIL import Image
assert Image.open("p.png").size == (640, 480)
import pypdf, docx, pptx
from reportlab.pdfgen.canvas import Canvas
canvas = Canvas("c.pdf"); canvas.drawString(72, 720, "a fox"); canvas.save()
assert "a fox" in pypdf.PdfReader("c.pdf").pages[0].extract_text()
document = docx.Document(); document.add_paragraph("a fox"); document.save("d.docx")
assert docx.Document("d.docx").paragraphs[0].text == "a fox"
pptx.Presentation().save("p.pptx")
from sklearn.linear_model import LinearRegression
print(LinearRegression().fit(frame[["x"]], frame["y"]).coef_.round(6))
import sqlite3, hashlib, ssl, lzma, bz2, zlib, ctypes, decimal, zoneinfo, datetime
print(sqlite3.connect(":memory:").execute("select 6 * 7").fetchone(), ctypes.CDLL(None).getpid() > 0)
print(datetime.datetime(2024, 7, 1, tzinfo=zoneinfo.ZoneInfo("Asia/Tokyo")).utcoffset())
"""
    assert inside(interpreter, code).splitlines() == ["[3.]", "(42,) True", "9:00:00"]


def test_who_and_where_the_code_is(interpreter: Interpreter) -> None:
    code = """
import getpass, os, sys, sysconfig
print(getpass.getuser(), os.getuid(), os.path.expanduser("~"), sys.executable, sys.prefix, os.getcwd())
print(*sorted(os.listdir("/")), sysconfig.get_config_var("prefix"), [p for p in sys.path if not p.startswith("/usr/")])
"""
    assert inside(interpreter, code).splitlines() == [
        "sandbox 1000 /tmp /usr/bin/python3 /usr /mnt/data",
        "bin dev etc home lib lib64 mnt opt proc root run sbin sys tmp usr var /usr ['']",
    ]


def test_it_also_works_without_its_environment(interpreter: Interpreter) -> None:
    """Code starts Python with an environment of its own now and then."""
    code = "import subprocess, sys; subprocess.run([sys.executable, '-c', 'import numpy.linalg; print(1)'], env={})"
    assert inside(interpreter, code) == "1\n"


@pytest.mark.skipif(not Path("/bin/sh").exists(), reason="this machine has no shell")
def test_shell_escapes_work(interpreter: Interpreter) -> None:
    code = """
import subprocess
open("a b.txt", "w").write("one\\ntwo\\n")
print(subprocess.run("ls; wc -l < 'a b.txt'; grep -c two *.txt; head -n 1 *.txt | cat; TZ=Asia/Tokyo date +%Z",
    shell=True, capture_output=True, text=True, check=True).stdout)
"""
    assert inside(interpreter, code).split() == ["a", "b.txt", "2", "1", "one", "JST"]


def test_nothing_is_compiled_at_run_time(interpreter: Interpreter) -> None:
    """What is imported is compiled, and for good: no look at the source's time decides, which a copy would change."""
    code = f"""
import importlib.util, sys
import {", ".join(MODULES)}
for name, module in list(sys.modules.items()):
    file = getattr(module, "__file__", None) or ""
    if file.endswith(".py"):
        with open(importlib.util.cache_from_source(file), "rb") as compiled:
            assert compiled.read(8)[4:] == b"\\x01\\0\\0\\0", name
import json
print(json.loads.__code__.co_filename)
"""
    assert inside(interpreter, code) == f"/usr/lib/{Path(os.__file__).parent.name}/json/__init__.py\n"


def test_nothing_of_this_machine_is_in_it(interpreter: Interpreter) -> None:
    """No link leads out of it, no file has special rights, everybody may read all of it, and no text names the host."""
    root = interpreter.root
    prefix, owner = sys.base_prefix.encode(), root.stat().st_uid
    for path in root.rglob("*"):
        seen = path.lstat()
        if path.is_symlink():
            assert path.resolve(strict=True).is_relative_to(root), path
            assert not path.readlink().is_absolute(), path
            continue
        assert seen.st_mode & 0o7022 == 0, path
        assert seen.st_mode & 0o044 == 0o044, path
        assert seen.st_uid == owner, path
        assert path.is_file() or path.is_dir(), path
        if path.suffix in (".py", ".json", ".txt", ".cfg", ".pth", ".sh") and prefix != b"/usr":
            assert prefix not in path.read_bytes(), path


def test_nothing_useless_is_in_it(interpreter: Interpreter) -> None:
    library = interpreter.root / "usr/lib" / Path(os.__file__).parent.name
    assert not (library / "test").exists()
    assert [path for path in (library / "site-packages").rglob("tests") if path.is_dir()] == []
    assert list(library.rglob("*.pyi")) == []
    assert interpreter.size() < 800e6
