"""A start while PostgreSQL is away: it waits, with a sentence, as long as it may; what time does not mend ends it."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest

from assistd.db.address import address_of
from tests.cli.conftest import Refused
from tests.support.databases import query
from tests.support.http import Api
from tests.support.postgres_gate import Mode, PostgresGate, postgres_gate
from tests.support.program import assistd
from tests.support.server import serve
from tests.support.waiting import eventually

WAITING = "waiting for the database"


@contextmanager
def opened_when(gate: PostgresGate, told: str, log: Path) -> Iterator[None]:
    """Open the gate once a log has these words, while the block waits for what comes of it."""

    def open_it() -> None:
        eventually(lambda: log.exists() and told in log.read_text())
        gate.open()

    with ThreadPoolExecutor(1) as pool:
        opening: Future[None] = pool.submit(open_it)
        yield
        opening.result()


@pytest.mark.parametrize("mode", ["refusing", "starting", "crowded", "cutting"])
def test_a_server_waits_for_its_database(tmp_path: Path, dsn: str, mode: Mode) -> None:
    with postgres_gate(dsn, mode) as gate:
        gate.cut_after = 600  # in the middle of the look at the schema
        with opened_when(gate, WAITING, tmp_path / "server-0.log"), serve(tmp_path, database_url=gate.url) as server:
            assert Api(server.url).get("/assistants").status == 200
            log = server.log
        assert log.count(WAITING) == 1
        assert f"host 127.0.0.1, port {gate.port}, database test_" in log
        assert "the database is there" in log
        assert "Traceback" not in log
        assert "s3cret" not in log


def test_several_processes_wait_for_their_database(tmp_path: Path, dsn: str) -> None:
    with (
        postgres_gate(dsn, "refusing") as gate,
        opened_when(gate, WAITING, tmp_path / "server-0.log"),
        serve(tmp_path, "--workers", "2", database_url=gate.url) as server,
    ):
        assert Api(server.url).get("/assistants").status == 200


def test_a_worker_waits_for_its_database(tmp_path: Path, dsn: str) -> None:
    with (
        postgres_gate(dsn, "starting") as gate,
        serve(tmp_path, command="worker", database_url=gate.url) as worker,
        opened_when(gate, WAITING, worker.log_file),
    ):
        eventually(lambda: "worker ready" in worker.log)


@pytest.mark.parametrize("command", ["migrate", "keys create x", "keys list"])
def test_commands_wait_for_their_database(tmp_path: Path, dsn: str, command: str) -> None:
    with postgres_gate(dsn, "starting") as gate, ThreadPoolExecutor(1) as pool:
        running = pool.submit(assistd, tmp_path, *command.split(), database_url=gate.url)
        eventually(lambda: gate.tries > 1)
        gate.open()
        done = running.result()
    assert done.returncode == 0, done.stderr
    assert WAITING in done.stderr


@pytest.mark.parametrize("command", ["serve --port 0", "worker", "migrate", "keys list"])
def test_it_waits_no_longer_than_it_may(refused: Refused, dsn: str, command: str) -> None:
    with postgres_gate(dsn, "starting") as gate:
        told = refused(*command.split(), database_url=gate.url, database_wait_seconds=1)
        assert gate.tries > 1
    assert told.startswith("the database cannot be used: the database system is starting up (host 127.0.0.1, port ")


def test_a_name_may_be_known_later(refused: Refused) -> None:
    """As in a cluster, where the database's name is there once its container is."""
    told = refused("migrate", database_url="postgresql://me:s3cret@no-such-host.invalid/shop", database_wait_seconds=1)
    assert told.startswith("the database cannot be used: ")
    assert told.endswith(" (host no-such-host.invalid, port 5432, database shop)")


@pytest.mark.parametrize(
    ("mode", "words"),
    [
        ("wrong password", 'password authentication failed for user "postgres"'),
        ("no entry", 'no pg_hba.conf entry for host "127.0.0.1", user "postgres", no encryption'),
    ],
)
@pytest.mark.parametrize("command", ["serve --port 0", "keys list"])
def test_what_time_does_not_mend_ends_the_start_at_once(
    refused: Refused, dsn: str, mode: Mode, words: str, command: str
) -> None:
    with postgres_gate(dsn, mode) as gate:
        told = refused(*command.split(), database_url=gate.url, database_wait_seconds=3600)
        assert gate.tries == 1
        where = f"host 127.0.0.1, port {gate.port}, database {dsn.rpartition('/test_')[2].partition('?')[0]}"
    assert told == f"the database cannot be used: {words} ({where.replace('database ', 'database test_')})"


def test_a_database_that_is_not_there_ends_the_start_at_once(refused: Refused, dsn: str) -> None:
    (name,) = [row["name"] for row in query(dsn, "SELECT current_database() AS name")]
    told = refused("serve", "--port", "0", database_url=dsn.replace(name, "absent"), database_wait_seconds=3600)
    assert told.startswith('the database cannot be used: database "absent" does not exist (host /')
    assert told.endswith(", database absent)")


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("postgresql://me:s3cret@db.example/shop", "host db.example, port 5432, database shop"),
        ("postgres://me:s3cr%40t@db.example:5433/shop?sslmode=require", "host db.example, port 5433, database shop"),
        ("postgresql://[::1]:5433/shop", "host [::1], port 5433, database shop"),
        ("postgresql://[::1]/shop", "host [::1], port 5432, database shop"),
        ("postgresql://a:1,b:2/shop", "host a,b, port 1,2, database shop"),
        ("postgresql:///shop?host=/run/postgresql&port=5434", "host /run/postgresql, port 5434, database shop"),
        ("postgresql://ann@/", "host localhost, port 5432, database ann"),
        ("postgresql://", "host pg.example, port 6000, database stock"),
    ],
)
def test_a_database_is_named_without_its_password(url: str, told: str) -> None:
    environ = {"PGHOST": "pg.example", "PGPORT": "6000", "PGDATABASE": "stock"} if url == "postgresql://" else {}
    assert str(address_of(url, environ)) == told
