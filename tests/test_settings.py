"""Settings: every one is documented, and each source is asked in its turn."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import fields
from pathlib import Path
from typing import Any, get_type_hints

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


def test_every_setting_can_come_from_either_source(folder: Path) -> None:
    """By its own name in the file, by the prefixed one in the environment; both are read as their type."""
    samples: dict[type, tuple[str, Any]] = {str: ("debug", "debug"), int: ("700", 700), Path: ("/x", Path("/x"))}
    fitting = {
        "log_format": ("json", "json"),
        "database_url": ("postgres://x", "postgres://x"),
        "event_retention_seconds": ("7000", 7000),
        "sandbox": ("gvisor", "gvisor"),
        "cors_origins": ("https://a.example", "https://a.example"),
        "trusted_proxies": ("10.0.0.0/8", "10.0.0.0/8"),
    }
    kinds = get_type_hints(Settings)
    for setting in fields(Settings):
        text, value = fitting.get(setting.name, samples[kinds[setting.name]])
        assert getattr(load({f"ASSISTD_{setting.name.upper()}": text}), setting.name) == value
        for name in (setting.name, f"ASSISTD_{setting.name.upper()}"):
            (folder / "assistd.toml").write_text(f"{name} = {text if isinstance(value, int) else repr(text)}\n")
            assert getattr(load({}), setting.name) == value
            default = load({f"ASSISTD_{setting.name.upper()}": ""})
            assert getattr(default, setting.name) == value  # an empty variable is none
        (folder / "assistd.toml").unlink()


def test_the_data_folder_may_be_below_home(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/ada")
    assert load({"ASSISTD_DATA_DIR": "~/data"}).data_dir == Path("/home/ada/data")
    with pytest.raises(SettingsError, match="ASSISTD_DATA_DIR"):
        load({"ASSISTD_DATA_DIR": "~nobody-of-this-name/data"})


@pytest.mark.parametrize(
    ("environ", "told"),
    [
        ({"ASSISTD_PORT": "eighty"}, "ASSISTD_PORT is 'eighty'; it must be a whole number."),
        ({"ASSISTD_PORT": "80.5"}, "ASSISTD_PORT is '80.5'; it must be a whole number."),
        ({"ASSISTD_PORT": "65536"}, "ASSISTD_PORT is 65536; it must be between 0 and 65535."),
        ({"ASSISTD_PORT": "-1"}, "ASSISTD_PORT is -1; it must be between 0 and 65535."),
        ({"ASSISTD_HOST": " "}, "ASSISTD_HOST is empty; it must be an address, for example 127.0.0.1."),
        ({"ASSISTD_DATABASE_POOL": "0"}, "ASSISTD_DATABASE_POOL is 0; it must be between 1 and 1000."),
        ({"ASSISTD_LEASE_SECONDS": "0"}, "ASSISTD_LEASE_SECONDS is 0; it must be between 1 and 86400."),
        ({"ASSISTD_LEASE_SECONDS": "9" * 30}, f"ASSISTD_LEASE_SECONDS is {'9' * 30}; it must be between 1 and 86400."),
        (
            {"ASSISTD_RUN_EXPIRES_SECONDS": "-1"},
            "ASSISTD_RUN_EXPIRES_SECONDS is -1; it must be between 1 and 1000000000.",
        ),
        ({"ASSISTD_RUN_CONCURRENCY": "0"}, "ASSISTD_RUN_CONCURRENCY is 0; it must be between 1 and 1000000."),
        ({"ASSISTD_MAX_BODY_BYTES": "0"}, "ASSISTD_MAX_BODY_BYTES is 0; it must be between 1 and 1000000000."),
        (
            {"ASSISTD_MODEL_CONTEXT_LENGTH": "-1"},
            "ASSISTD_MODEL_CONTEXT_LENGTH is -1; it must be between 0 and 1000000000.",
        ),
        (
            {"ASSISTD_EVENT_RETENTION_SECONDS": "599"},
            "ASSISTD_EVENT_RETENTION_SECONDS is 599; it must be at least ASSISTD_RUN_EXPIRES_SECONDS, which is 600.",
        ),
        ({"ASSISTD_LOG_LEVEL": "loud"}, "ASSISTD_LOG_LEVEL is 'loud'; it must be debug, info, warning or error."),
        ({"ASSISTD_LOG_FORMAT": "xml"}, "ASSISTD_LOG_FORMAT is 'xml'; it must be auto, text or json."),
        (
            {"ASSISTD_DATABASE_URL": "mysql://me:secret@host/db"},
            "ASSISTD_DATABASE_URL must look like postgresql://user:password@host:5432/database.",
        ),
        (
            {"ASSISTD_DATABASE_URL": "postgresql://me:s3/cret@host/db"},
            "ASSISTD_DATABASE_URL must look like postgresql://user:password@host:5432/database.",
        ),
        (
            {"ASSISTD_DATABASE_URL": "postgresql://me:s3#cret@host/db"},
            "ASSISTD_DATABASE_URL must look like postgresql://user:password@host:5432/database.",
        ),
    ],
)
def test_what_cannot_be_is_told_by_name(environ: dict[str, str], told: str) -> None:
    with pytest.raises(SettingsError) as refusal:
        load(environ)
    assert str(refusal.value) == told


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("port = true", "ASSISTD_PORT is True; it must be a whole number."),
        ("port = 80.0", "ASSISTD_PORT is 80.0; it must be a whole number."),
        ("port = [8000]", "ASSISTD_PORT is [8000]; it must be a whole number."),
        ("host = 5", "ASSISTD_HOST is 5; it must be a text."),
        ("model_api_key = { secret = 1 }", "ASSISTD_MODEL_API_KEY is {'secret': 1}; it must be a text."),
        ("data_dir = 1", "ASSISTD_DATA_DIR is 1; it must be the path of a folder."),
    ],
)
def test_the_types_of_the_file_count(folder: Path, line: str, told: str) -> None:
    (folder / "assistd.toml").write_text(line)
    with pytest.raises(SettingsError) as refusal:
        load({})
    assert str(refusal.value) == told


def test_what_the_file_sets_and_nobody_knows_is_told(folder: Path) -> None:
    (folder / "assistd.toml").write_text("prot = 8000\n")
    with pytest.raises(SettingsError, match="prot"):
        load({})
    (folder / "assistd.toml").write_text("port = \n")
    with pytest.raises(SettingsError, match=r"assistd\.toml"):
        load({})


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("ASSISTD_DATABSE_URL", "ASSISTD_DATABSE_URL, which assistd does not know. Did you mean ASSISTD_DATABASE_URL?"),
        ("ASSISTD_DATABASEURL", "ASSISTD_DATABASEURL, which assistd does not know. Did you mean ASSISTD_DATABASE_URL?"),
        ("ASSISTD_DB_POOL", "ASSISTD_DB_POOL, which assistd does not know. Did you mean ASSISTD_DATABASE_POOL?"),
        ("assistd_port", "assistd_port, which assistd does not know. Did you mean ASSISTD_PORT?"),
        ("ASSISTD_PROT", "ASSISTD_PROT, which assistd does not know. Did you mean ASSISTD_PORT?"),
        (
            "ASSISTD_FAVOURITE_COLOUR",
            "ASSISTD_FAVOURITE_COLOUR, which assistd does not know. Every setting stands in "
            "docs/reference/settings.md.",
        ),
    ],
)
def test_a_variable_that_nobody_knows_is_told(name: str, told: str) -> None:
    """Passed over, a typo in the database's address would start an embedded one. Its value is not shown."""
    with pytest.raises(SettingsError) as refusal:
        load({name: "postgresql://me:secret@host/db"})
    assert str(refusal.value) == f"The environment sets {told}"
    assert load({name: ""}) == load({})  # an empty variable is none


def test_a_typo_in_the_file_is_told_with_what_was_meant(folder: Path) -> None:
    (folder / "assistd.toml").write_text('databse_url = "x"\n')
    with pytest.raises(SettingsError) as refusal:
        load({})
    assert str(refusal.value) == (
        "assistd.toml sets databse_url, which assistd does not know. Did you mean database_url?"
    )


def test_variables_of_clients_and_tests_are_passed_over() -> None:
    others = {"ASSISTD_URL": "http://x", "ASSISTD_API_KEY": "sk-1", "ASSISTD_TEST_CACHE": "/x", "ASSISTDX": "1"}
    assert load(others) == load({})


def test_what_kubernetes_puts_into_every_container_is_passed_over() -> None:
    """The addresses of a service that is called `assistd`, and of one called `assistd-db`."""
    address = "tcp://10.0.0.7:8000"
    addresses = {}
    for service, port in (("ASSISTD", 8000), ("ASSISTD_DB", 5432)):
        addresses |= {
            f"{service}_SERVICE_HOST": "10.0.0.7",
            f"{service}_SERVICE_PORT": str(port),
            f"{service}_SERVICE_PORT_HTTP": str(port),
            f"{service}_PORT": address,
            f"{service}_PORT_{port}_TCP": address,
            f"{service}_PORT_{port}_TCP_PROTO": "tcp",
            f"{service}_PORT_{port}_TCP_PORT": str(port),
            f"{service}_PORT_{port}_TCP_ADDR": "10.0.0.7",
        }
    assert load(addresses) == load({})
    assert load({**addresses, "ASSISTD_PORT": "8001"}).port == 8001  # the deployment's own
    with pytest.raises(SettingsError, match="ASSISTD_PROT"):
        load({**addresses, "ASSISTD_PROT": "8001"})
    with pytest.raises(SettingsError, match="ASSISTD_PORT"):
        load({"ASSISTD_PORT": address})  # no service is there whose it could be


def test_the_data_folder_is_not_nowhere(folder: Path) -> None:
    with pytest.raises(SettingsError, match="ASSISTD_DATA_DIR is ''; it must be the path of a folder"):
        load({}, data_dir="")


def test_the_client_s_variable_is_never_read(monkeypatch: pytest.MonkeyPatch) -> None:
    assert load({"OPENAI_BASE_URL": "http://elsewhere/v1", "OPENAI_API_KEY": "sk-1"}) == load({})
