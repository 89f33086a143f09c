"""Names of files in /mnt/data."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assistd.code_interpreter.layout import names, shown_name
from assistd.files.wire import StoredFile


def files(*filenames: str) -> list[StoredFile]:
    return [
        StoredFile(id=f"file-{number}", filename=name, bytes=1, purpose="assistants", blobs=[])
        for number, name in enumerate(filenames)
    ]


def test_a_file_has_its_id_and_its_name() -> None:
    assert names(files("data.csv")) == {"file-0": "file-0", "data.csv": "file-0"}


def test_a_name_with_folders_in_it_is_no_path() -> None:
    found = names(files("reports/data.csv", "/etc/passwd", "C:\\x\\data.csv", "..", "a/"))
    assert {name: id for name, id in found.items() if name != id} == {
        "data.csv": "file-2",
        "passwd": "file-1",
        "data (2).csv": "file-0",
    }


def test_of_two_with_one_name_the_newest_has_it() -> None:
    found = names(files("data.csv", "data.csv", "data (2).csv", "data.csv", "README", "README"))
    assert {name: id for name, id in found.items() if name != id} == {
        "data.csv": "file-3",
        "data (2).csv": "file-2",
        "data (3).csv": "file-1",
        "data (4).csv": "file-0",
        "README": "file-5",
        "README (2)": "file-4",
    }


def test_an_id_is_nobody_elses_name() -> None:
    found = names(files("file-1", "file-1", "x"))
    assert {name: id for name, id in found.items() if name != id} == {"file-1 (2)": "file-0", "x": "file-2"}
    assert found["file-1"] == "file-1"


def test_what_the_code_wrote_has_its_name_first() -> None:
    found = names(files("data.csv", "out", "other"), ["data.csv", "out/a.csv", "file-0"])
    assert found == {"file-0": "file-0", "file-1": "file-1", "file-2": "file-2", "other": "file-2"}


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        ("a b.csv", "a b.csv"),
        ("../../etc/passwd", "passwd"),
        ("..\\..\\boot.ini", "boot.ini"),
        ("/", ""),
        ("..", ""),
        (".", ""),
        (" ", ""),
        ("x/..", ""),
        (".bashrc", ".bashrc"),
        ("a\nb\x00c\x7f.txt", "a_b_c_.txt"),
        ("photo\u202egpj.exe", "photo_gpj.exe"),
        ("\ud800.txt", "_.txt"),
        ("ü" * 200 + ".csv", "ü" * 98 + ".csv"),
        ("x." + "y" * 300, ("x." + "y" * 300)[:200]),
    ],
)
def test_hostile_names(given: str, shown: str) -> None:
    assert shown_name(given) == shown


@given(st.lists(st.text(max_size=300) | st.sampled_from(["a.csv", "file-1", "a (2).csv", ".."]), max_size=8))
def test_any_names(filenames: list[str]) -> None:
    """Every file is there under its id; every name is that of one file in the folder, of bounded length."""
    given = files(*filenames)
    found = names(given)
    assert all(found[file.id] == file.id for file in given)
    links = {name: id for name, id in found.items() if name != id}
    assert len(set(links.values())) == len(links)
    for name in links:
        assert name not in ("", ".", "..")
        assert "/" not in name
        assert "\x00" not in name
        assert len(name.encode()) <= 220
