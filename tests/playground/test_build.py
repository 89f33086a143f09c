"""The page is built where it can be and has to be; where it cannot, a sentence says why, and nothing fails."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.playground.conftest import ROOT

BUILT = "src/assistd/playground/dist/index.html"
NEEDED = "building it takes Node.js 20.19, or 22.12 or newer"


class Tree:
    """A source tree with a page of one file, and a Node.js of some version whose npm tells of what it was asked."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "scripts").mkdir()
        shutil.copy(ROOT / "scripts/build-playground.sh", folder / "scripts")
        self.write("playground/package-lock.json", "{}")
        self.write("playground/src/main.tsx", "one")
        self.write("playground/node_modules/.package-lock.json", "{}")
        (folder / "bin").mkdir()
        for program in ("sh", "dirname", "find", "head", "mktemp", "rm", "cat", "mkdir", "cp"):
            found = shutil.which(program)
            assert found
            (folder / "bin" / program).symlink_to(found)

    def write(self, path: str, text: str) -> None:
        file = self.folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)

    def install(self, version: str) -> None:
        """Put a Node.js of this version on the path; its npm copies the source."""
        node = shutil.which("node")
        assert node, "these tests need Node.js on the path"
        pretend = f"Object.defineProperty(process.versions, 'node', {{ value: '{version}' }});"
        self._program("node", f'[ "$1" = --version ] && echo v{version} || exec "{node}" -p "{pretend} $2"')
        self._program("npm", f'mkdir -p "$(dirname ../{BUILT})" && cp src/main.tsx ../{BUILT}')

    def _program(self, name: str, text: str) -> None:
        self.write(f"bin/{name}", f"#!/bin/sh\n{text}\n")
        (self.folder / "bin" / name).chmod(0o755)

    def build(self) -> str:
        """Run the script, and return what it says."""
        done = subprocess.run(
            ["sh", "scripts/build-playground.sh"],
            cwd=self.folder,
            env={**os.environ, "PATH": str(self.folder / "bin")},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=60,
        )
        assert done.returncode == 0, done.stdout
        return done.stdout.strip()

    @property
    def page(self) -> str | None:
        return (self.folder / BUILT).read_text() if (self.folder / BUILT).exists() else None


@pytest.fixture
def tree(tmp_path: Path) -> Tree:
    return Tree(tmp_path)


@pytest.mark.parametrize("version", ["20.19.0", "20.20.2", "22.12.0", "22.20.1", "23.0.0", "26.1.0"])
def test_it_is_built_by_a_node_that_can(tree: Tree, version: str) -> None:
    tree.install(version)
    assert (tree.build(), tree.page) == ("Building the playground page ...", "one")


@pytest.mark.parametrize("version", ["8.17.0", "18.20.8", "20.18.3", "21.7.3", "22.11.0"])
def test_a_node_that_cannot_is_told_of(tree: Tree, version: str) -> None:
    tree.install(version)
    without = (
        f"assistd comes without its playground page: {NEEDED}, and this is v{version}. The API works all the same."
    )
    assert (tree.build(), tree.page) == (without, None)


def test_without_node_the_page_stays_as_it_is(tree: Tree) -> None:
    assert tree.build() == f"assistd comes without its playground page: {NEEDED}. The API works all the same."
    tree.write(BUILT, "older")
    os.utime(tree.folder / BUILT, (0, 0))
    assert tree.build() == f"The playground page stays the one that was built before: {NEEDED}."
    assert tree.page == "older"


def test_it_is_built_anew_only_where_a_file_is_newer(tree: Tree) -> None:
    tree.install("22.12.0")
    for path in ("src/main.tsx", "package-lock.json", "node_modules/.package-lock.json"):
        os.utime(tree.folder / "playground" / path, (1_000_000_000, 1_000_000_000))
    tree.write(BUILT, "of an sdist")
    os.utime(tree.folder / BUILT, (1_000_000_000, 1_000_000_000))  # and its folders are of today
    assert (tree.build(), tree.page) == ("", "of an sdist")
    tree.write("playground/src/main.tsx", "two")
    assert (tree.build(), tree.page) == ("Building the playground page ...", "two")
    assert (tree.build(), tree.page) == ("", "two")
