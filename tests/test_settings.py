"""Settings: every one is documented, and each source is asked in its turn."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import fields
from pathlib import Path

import pytest

from assistd.settings import Settings, SettingsError, load

PAGE = Path(__file__).parents[1] / "docs" / "reference" / "settings.md"


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_page_is_made_of_the_table() -> None:
    made = subprocess.run([sys.executable, "-m", "assistd.settings"], capture_output=True, text=True, check=True)
    assert PAGE.read_text("utf-8") == made.stdout
    for setting in fields(Settings):
        assert f"`ASSISTD_{setting.name.upper()}`" in made.stdout


def test_defaults() -> None:
    settings = load({})
    assert (settings.host, settings.port, settings.run_expires_seconds) == ("127.0.0.1", 8000, 600)


def test_the_environment_wins_over_the_file_and_an_option_over_both(folder: Path) -> None:
    (folder / "assistd.toml").write_text('port = 1111\nhost = "::1"\nlease_seconds = 7\n')
    settings = load({"ASSISTD_PORT": "2222", "ASSISTD_LEASE_SECONDS": ""}, host="127.0.0.2", log_level=None)
    assert (settings.port, settings.host, settings.lease_seconds, settings.log_level) == (2222, "127.0.0.2", 7, "info")


def test_another_file_can_be_named(folder: Path) -> None:
    (folder / "other.toml").write_text("port = 3333\n")
    assert load({"ASSISTD_CONFIG": "other.toml"}).port == 3333
    with pytest.raises(SettingsError, match=r"none\.toml"):
        load({"ASSISTD_CONFIG": "none.toml"})


@pytest.mark.parametrize(
    "environ",
    [
        {"ASSISTD_PORT": "eighty"},
        {"ASSISTD_PORT": "65536"},
        {"ASSISTD_LEASE_SECONDS": "0"},
        {"ASSISTD_RUN_EXPIRES_SECONDS": "-1"},
        {"ASSISTD_LOG_LEVEL": "loud"},
        {"ASSISTD_LOG_FORMAT": "xml"},
    ],
)
def test_what_cannot_be_is_told_by_name(environ: dict[str, str]) -> None:
    (name,) = environ
    with pytest.raises(SettingsError, match=name):
        load(environ)


def test_what_the_file_sets_and_nobody_knows_is_told(folder: Path) -> None:
    (folder / "assistd.toml").write_text("prot = 8000\n")
    with pytest.raises(SettingsError, match="prot"):
        load({})
    (folder / "assistd.toml").write_text("port = \n")
    with pytest.raises(SettingsError, match=r"assistd\.toml"):
        load({})


def test_the_client_s_variable_is_never_read(monkeypatch: pytest.MonkeyPatch) -> None:
    assert load({"OPENAI_BASE_URL": "http://elsewhere/v1", "OPENAI_API_KEY": "sk-1"}) == load({})
