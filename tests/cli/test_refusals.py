"""What a start is refused for: always in one sentence that says what to do, never with a stack trace."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from assistd.cli import main
from tests.cli.conftest import Refused
from tests.support.databases import EMPTY, new_database, query
from tests.support.http import Api
from tests.support.program import assistd
from tests.support.server import serve

NOWHERE = "postgresql://127.0.0.1:9/none"


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        (NOWHERE, "the database cannot be used: "),
        ("postgresql://no-such-host.invalid/x", "the database cannot be used: "),
        ("postgresql:///x?host=/nonexistent", "the database cannot be used: "),
        ("postgresql://127.0.0.1/x?sslmode=weird", "the database cannot be used: "),
        ("mysql://me:secret@127.0.0.1/x", "ASSISTD_DATABASE_URL must look like postgresql://"),
        ("my:secret", "ASSISTD_DATABASE_URL must look like postgresql://"),
        ("postgresql://me:sec/ret@127.0.0.1/x", "ASSISTD_DATABASE_URL must look like postgresql://"),
        ("postgresql://me:secret@[::bad/x", "ASSISTD_DATABASE_URL must look like postgresql://"),
    ],
)
def test_a_database_that_cannot_be(refused: Refused, url: str, reason: str) -> None:
    told = refused("serve", "--port", "0", database_url=url)
    assert told.startswith(reason)
    assert "secret" not in told


@pytest.mark.parametrize("command", ["worker", "migrate", "keys create x"])
def test_every_command_that_needs_a_database_says_that_it_is_away(refused: Refused, command: str) -> None:
    assert refused(*command.split(), database_url=NOWHERE).startswith("the database cannot be used: ")


def test_a_database_that_is_not_there(refused: Refused, dsn: str) -> None:
    name = dsn.rpartition("/test_")[2].partition("?")[0]
    told = refused("serve", "--port", "0", database_url=dsn.replace(name, "absent"))
    assert "does not exist" in told


@pytest.mark.parametrize("host", ["999.1.1.1", "no-such-host.invalid", "192.0.2.1", "a..b"])
def test_an_address_that_is_not_ours(refused: Refused, host: str) -> None:
    told = refused("serve", "--port", "0", "--host", host, database_url=NOWHERE)
    assert told.startswith(f"Cannot listen on {host}:0: ")
    assert told.endswith("Choose another with --host or ASSISTD_HOST.")


def test_no_address_does_not_mean_every_address(refused: Refused) -> None:
    told = refused("serve", "--host", "", database_url=NOWHERE)
    assert told == "ASSISTD_HOST is empty; it must be an address, for example 127.0.0.1."


@pytest.mark.parametrize(("host", "workers"), [("0.0.0.0", "1"), ("::", "2")])
def test_no_door_to_the_network_without_a_key(refused: Refused, dsn: str, host: str, workers: str) -> None:
    told = refused("serve", "--port", "0", "--host", host, "--workers", workers, database_url=dsn)
    assert told == (
        f"Refusing to listen on {host} while no API key exists: anybody could use this server. "
        "Create one with `assistd keys create NAME`, or listen on 127.0.0.1."
    )


def test_a_key_that_was_revoked_still_closes_the_door(tmp_path: Path, dsn: str) -> None:
    """A door once closed stays closed: nobody gets in any more, and anybody may listen."""
    assert assistd(tmp_path, "keys", "create", "x", database_url=dsn).returncode == 0
    (row,) = query(dsn, "SELECT id FROM api_keys")
    assert assistd(tmp_path, "keys", "revoke", row["id"], database_url=dsn).returncode == 0
    with serve(tmp_path, "--host", "0.0.0.0", database_url=dsn) as server:
        assert Api(server.url.replace("0.0.0.0", "127.0.0.1")).get("/assistants").status == 401
        assert "any key is let in" not in server.log


def test_the_port_of_another_assistd_is_taken(tmp_path: Path, dsn: str, refused: Refused) -> None:
    """Although both would listen with SO_REUSEPORT, and share the requests by chance."""
    with serve(tmp_path, database_url=dsn) as server:
        port = server.url.rpartition(":")[2].removesuffix("/v1")
        for workers in ("1", "2"):
            told = refused("serve", "--port", port, "--workers", workers, database_url=dsn)
            assert told.startswith(f"Cannot listen on 127.0.0.1:{port}: ")
            assert told.endswith("Choose another with --port or ASSISTD_PORT.")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "the following arguments are required: COMMAND"),
        (["sevre"], "invalid choice: 'sevre'"),
        (["keys"], "the following arguments are required: ACTION"),
        (["keys", "create"], "the following arguments are required: name"),
        (["serve", "--workers", "0"], "'0' is not a whole number of at least 1"),
        (["serve", "--workers", "many"], "'many' is not a whole number of at least 1"),
        (["serve", "--workers", "-1"], "'-1' is not a whole number of at least 1"),
        (["serve", "--port", "http"], "invalid int value: 'http'"),
        (["serve", "now"], "unrecognized arguments: now"),
    ],
)
def test_a_wrong_call(capsys: pytest.CaptureFixture[str], arguments: list[str], words: str) -> None:
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 2
    told = capsys.readouterr().err
    assert told.startswith("usage: assistd")
    assert words in told


@pytest.mark.parametrize(
    ("arguments", "settings", "words"),
    [
        (["--port", "65536"], {}, "ASSISTD_PORT is 65536; it must be between 0 and 65535."),
        (["--log-level", "loud"], {}, "ASSISTD_LOG_LEVEL is 'loud'; it must be debug, info, warning or error."),
        ([], {"config": "/nope.toml"}, "ASSISTD_CONFIG names /nope.toml, which does not exist."),
        (
            [],
            {"databse_url": "postgresql://me:secret@host/db"},
            "The environment sets ASSISTD_DATABSE_URL, which assistd does not know. Did you mean ASSISTD_DATABASE_URL?",
        ),
        ([], {"lease_seconds": 0}, "ASSISTD_LEASE_SECONDS is 0; it must be between 1 and 86400."),
        (["--port", "0"], {"data_dir": "/dev/null/x"}, "The data folder /dev/null/x cannot be made: Not a directory."),
    ],
)
def test_settings_that_cannot_be(refused: Refused, arguments: list[str], settings: dict[str, str], words: str) -> None:
    assert refused("serve", *arguments, **settings) == words


@pytest.mark.parametrize("routes", [None, "", "routes = 1", "[[routes]]", "[[routes]]\nnames = 5", "not toml ["])
def test_routes_that_cannot_be(tmp_path: Path, dsn: str, refused: Refused, routes: str | None) -> None:
    file = tmp_path / "models.toml"
    if routes is not None:
        file.write_text(routes)
    assert str(file) in refused("serve", "--port", "0", database_url=dsn, models_file=file)


# --- the schema

COUNT = "SELECT count(*) AS n FROM pg_tables WHERE schemaname = 'public'"


@pytest.mark.parametrize("command", ["serve --port 0", "worker", "migrate", "keys create x"])
def test_a_newer_schema_stops_every_command(refused: Refused, dsn: str, command: str) -> None:
    query(dsn, "INSERT INTO schema_migrations (version, name) VALUES (9999, 'from_the_future')")
    told = refused(*command.split(), database_url=dsn)
    assert "9999" in told
    assert told.endswith("upgrade assistd.")


@pytest.mark.parametrize("command", ["serve --port 0", "worker", "keys list"])
def test_an_older_schema_stops_every_command(refused: Refused, postgres: str, command: str) -> None:
    """An empty database is the oldest there is; nothing is made in it before it is asked for."""
    with new_database(postgres, EMPTY) as empty:
        told = refused(*command.split(), database_url=empty)
        assert told.startswith("The database's schema has version 0, and this assistd needs ")
        assert told.endswith("run `assistd migrate`.")
        assert query(empty, COUNT)[0]["n"] == 0


def test_an_older_schema_that_was_tampered_with(refused: Refused, dsn: str) -> None:
    query(dsn, "DELETE FROM schema_migrations")
    assert refused("serve", "--port", "0", database_url=dsn).endswith("run `assistd migrate`.")


def test_the_schema_of_another_program_stops_the_start(refused: Refused, dsn: str) -> None:
    query(dsn, "UPDATE schema_migrations SET name = 'users' WHERE version = 1")
    assert "belongs to another program" in refused("serve", "--port", "0", database_url=dsn)
    assert "belongs to another program" in refused("migrate", database_url=dsn)


def test_migrations_that_run_at_once_take_turns(tmp_path: Path, postgres: str) -> None:
    with new_database(postgres, EMPTY) as empty, ThreadPoolExecutor(3) as pool:
        done = list(pool.map(lambda _: assistd(tmp_path, "migrate", database_url=empty), range(3)))
        assert [d.returncode for d in done] == [0, 0, 0], [d.stderr for d in done]
        assert all(d.stdout.endswith("The schema is up to date.\n") for d in done)
        # Nothing is left to do, and nothing is done.
        again = assistd(tmp_path, "migrate", "--dry-run", database_url=empty)
        assert (again.returncode, again.stdout) == (0, "")
