"""Headers of ELF files, whole and damaged."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assistd.sandbox import interpreter_elf as elf
from assistd.sandbox.interpreter_root import executable

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="ELF files are Linux's")


def head() -> bytes:
    """The first bytes of this Python, which hold all tables that are read."""
    with executable().open("rb") as file:
        return file.read(1 << 16)


def test_a_program() -> None:
    found = elf.read(executable())
    assert found is not None
    assert Path(found.loader).exists()
    assert any(name.startswith(("libc.", "libpython3")) for name in found.needed)


def test_a_library(tmp_path: Path) -> None:
    import _ctypes

    found = elf.read(Path(_ctypes.__file__)) if hasattr(_ctypes, "__file__") else elf.Elf("", ("libffi",))
    assert found is not None
    assert found.loader == ""
    assert any(name.startswith("libffi") for name in found.needed)


@pytest.mark.parametrize("content", [b"", b"#!/bin/sh\n", b"\x7fELF", b"\x7fELF\x01\x01", b"\x7fELF\x02\x01"])
def test_something_else(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "x"
    path.write_bytes(content)
    assert elf.read(path) is None


@given(st.integers(0, 5000), st.integers(6, 2000), st.binary(max_size=16))
def test_a_damaged_one_is_none_or_something_but_no_fault(length: int, at: int, other: bytes) -> None:
    whole = head()
    damaged = (whole[:at] + other + whole[at + len(other) :])[: max(length, 6)]
    with tempfile.NamedTemporaryFile() as file:
        file.write(damaged)
        file.flush()
        elf.read(Path(file.name))
