"""The commands as a user calls them: what they print, what they refuse, and how they end."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

import assistd as package
from tests.support.databases import EMPTY, new_database, query
from tests.support.http import Api
from tests.support.program import assistd
from tests.support.server import serve
from tests.support.waiting import eventually

TABLES = "SELECT count(*) AS n FROM information_schema.tables WHERE table_schema = 'public'"


@pytest.fixture
def dsn(postgres: str) -> Iterator[str]:
    """A new, migrated database."""
    with new_database(postgres) as database:
        yield database


def refused(folder: Path, *arguments: str, **settings: object) -> str:
    """Run a command that must fail with one plain sentence, and return the sentence."""
    done = assistd(folder, *arguments, **settings)
    assert done.returncode == 1, (done.stdout, done.stderr)
    assert "Traceback" not in done.stderr
    told = [line for line in done.stderr.splitlines() if line.startswith("assistd: ")]
    assert len(told) == 1, done.stderr
    return told[0].removeprefix("assistd: ")


# --- help


def test_help_names_every_command(tmp_path: Path) -> None:
    done = assistd(tmp_path, "--help")
    assert done.returncode == 0
    for command in ("serve", "worker", "migrate", "keys", "models", "doctor"):
        assert re.search(rf"^\s+{command}\s+\w", done.stdout, re.MULTILINE), command
    for arguments in (("serve",), ("keys", "create"), ("keys", "revoke"), ("models", "pull"), ("migrate",)):
        shown = assistd(tmp_path, *arguments, "--help")
        assert shown.returncode == 0
        assert shown.stdout.startswith("usage: assistd")


def test_version(tmp_path: Path) -> None:
    assert assistd(tmp_path, "--version").stdout == f"assistd {package.__version__}\n"


def test_a_wrong_call_is_told_with_the_usage(tmp_path: Path) -> None:
    done = assistd(tmp_path, "sevre")
    assert done.returncode == 2
    assert "usage: assistd" in done.stderr


# --- what stops a start


def test_wrong_settings_stop_the_start(tmp_path: Path) -> None:
    assert refused(tmp_path, "serve", port="eighty") == "ASSISTD_PORT is 'eighty'; it must be a whole number."
    (tmp_path / "assistd.toml").write_text("prot = 8000\n")
    assert "prot" in refused(tmp_path, "serve")


def test_no_door_to_the_network_without_a_key(tmp_path: Path, dsn: str) -> None:
    told = refused(tmp_path, "serve", "--host", "0.0.0.0", "--port", "0", database_url=dsn, model_base_url="scripted:")
    assert told.startswith("Refusing to listen on 0.0.0.0 while no API key exists")
    assert "assistd keys create" in told
    key = assistd(tmp_path, "keys", "create", "web", database_url=dsn).stdout.strip()
    with serve(tmp_path, "--host", "0.0.0.0", database_url=dsn) as server:
        url = server.url.replace("0.0.0.0", "127.0.0.1")
        assert Api(url, key).get("/assistants").status == 200
        assert Api(url, "sk-other").get("/assistants").status == 401


def test_a_taken_port_is_told(tmp_path: Path, dsn: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        told = refused(tmp_path, "serve", "--port", port, database_url=dsn, model_base_url="scripted:")
    assert told.startswith(f"Cannot listen on 127.0.0.1:{port}: ")


def test_an_unreachable_database_is_told(tmp_path: Path) -> None:
    told = refused(tmp_path, "serve", "--port", "0", database_url="postgresql://127.0.0.1:9/none")
    assert "database cannot be used" in told


def test_wrong_routes_stop_the_start(tmp_path: Path, dsn: str) -> None:
    (tmp_path / "models.toml").write_text('[[routes]]\nnames = ["*"]\n')
    told = refused(tmp_path, "serve", "--port", "0", database_url=dsn, models_file=tmp_path / "models.toml")
    assert "models.toml: route 1 (*): base_url" in told


# --- the schema


def test_an_empty_database_wants_to_be_migrated(tmp_path: Path, postgres: str) -> None:
    with new_database(postgres, EMPTY) as dsn:
        assert "assistd migrate" in refused(tmp_path, "serve", "--port", "0", database_url=dsn)
        assert assistd(tmp_path, "migrate", "--dry-run", database_url=dsn).stdout == "pending: 0001 initial\n"
        assert query(dsn, TABLES)[0]["n"] <= 1
        done = assistd(tmp_path, "migrate", database_url=dsn)
        assert done.stdout.endswith("The schema is up to date.\n")
        with serve(tmp_path, database_url=dsn) as server:
            assert Api(server.url).get("/assistants").status == 200


def test_a_newer_schema_stops_the_start(tmp_path: Path, dsn: str) -> None:
    query(dsn, "INSERT INTO schema_migrations (version, name) VALUES (9999, 'from_the_future')")
    told = refused(tmp_path, "serve", "--port", "0", database_url=dsn, model_base_url="scripted:")
    assert "9999" in told
    assert "upgrade assistd" in told


# --- keys


def test_keys_are_shown_once_and_kept_hashed(tmp_path: Path, dsn: str) -> None:
    created = assistd(tmp_path, "keys", "create", "batch", "--project", "reports", database_url=dsn)
    key = created.stdout.strip()
    assert key.startswith("sk-")
    assert "only time" in created.stderr
    (row,) = query(dsn, "SELECT * FROM api_keys")
    assert all(key not in str(value) and key.encode() not in bytes(str(value), "utf-8") for value in row.values())
    listed = assistd(tmp_path, "keys", "list", database_url=dsn).stdout
    assert key not in listed
    assert row["id"] in listed
    assert "reports" in listed
    assert "valid" in listed
    assert assistd(tmp_path, "keys", "revoke", row["id"], database_url=dsn).stdout == f"{row['id']} is revoked.\n"
    assert "revoked" in assistd(tmp_path, "keys", "list", database_url=dsn).stdout
    assert row["id"] in refused(tmp_path, "keys", "revoke", row["id"], database_url=dsn)


def test_the_first_key_and_a_revocation_reach_a_running_server(tmp_path: Path, dsn: str) -> None:
    with serve(tmp_path, database_url=dsn) as server:
        assert Api(server.url, "sk-anything").get("/assistants").status == 200
        key = assistd(tmp_path, "keys", "create", "first", database_url=dsn).stdout.strip()
        eventually(lambda: Api(server.url, "sk-anything").get("/assistants").status == 401)
        assert Api(server.url, key).get("/assistants").status == 200
        (row,) = query(dsn, "SELECT id FROM api_keys")
        assistd(tmp_path, "keys", "revoke", row["id"], database_url=dsn)
        eventually(lambda: Api(server.url, key).get("/assistants").status == 401)


# --- doctor


def test_doctor(tmp_path: Path, dsn: str) -> None:
    well = assistd(tmp_path, "doctor", database_url=dsn, model_base_url="scripted:", port=0)
    assert well.returncode == 0, well.stdout
    assert well.stdout.endswith("Everything is in order.\n")
    ill = assistd(tmp_path, "doctor", database_url=dsn, model_base_url="http://127.0.0.1:9/v1", port=0, host="0.0.0.0")
    assert ill.returncode == 1
    assert re.search(r"^AMISS  door: .*keys create", ill.stdout, re.MULTILINE)
    assert re.search(r"^AMISS  models: .*127\.0\.0\.1:9.* does not answer", ill.stdout, re.MULTILINE)


# --- running and ending


def test_health_and_logs(tmp_path: Path, dsn: str) -> None:
    with serve(tmp_path, database_url=dsn) as server:
        root = Api(server.url.removesuffix("/v1"))
        assert root.get("/healthz").ok == {"status": "ok"}
        assert root.get("/readyz").ok == {"status": "ok"}
        api = Api(server.url)
        assistant = api.post("/assistants", {"model": "scripted"})
        body = {"assistant_id": assistant.ok["id"], "thread": {"messages": [{"role": "user", "content": "hello"}]}}
        run = api.post("/threads/runs", body).ok
        eventually(lambda: '"run ended"' in server.log)
        lines = [json.loads(line) for line in server.log.splitlines()]
    asked = assistant.headers["x-request-id"]
    assert any(line.get("request_id") == asked and line.get("path") == "/v1/assistants" for line in lines)
    assert any(line.get("run_id") == run["id"] and line.get("status") == "completed" for line in lines)


def test_sigterm_ends_in_order_even_while_a_stream_is_open(tmp_path: Path, dsn: str) -> None:
    with serve(tmp_path, database_url=dsn) as server:
        api = Api(server.url)
        assistant = api.post("/assistants", {"model": "scripted"}).ok
        message = {"role": "user", "content": "/tokens 5000\n/pace 0 10"}
        body = {"assistant_id": assistant["id"], "thread": {"messages": [message]}, "stream": True}
        with api.open("POST", "/threads/runs", body) as stream:
            while b"thread.message.delta" not in stream.readline():
                pass
            ended = threading.Thread(target=server.stop)
            ended.start()
            rest = stream.read()
            ended.join()
        assert server.process.returncode == 0
    assert rest.endswith(b"event: done\ndata: [DONE]\n\n")
    assert b"event: error\n" in rest
    # The run is not lost: its job is due at once, for whoever starts next.
    assert query(dsn, "SELECT due <= now() AS due, worker FROM jobs") == [(True, None)]


def test_several_processes_on_one_port(tmp_path: Path, dsn: str) -> None:
    with serve(tmp_path, "--workers", "2", database_url=dsn) as server:
        parent = psutil.Process(server.process.pid)

        def children() -> list[psutil.Process]:
            found = []
            for process in parent.children():
                with suppress(psutil.NoSuchProcess, psutil.ZombieProcess):  # the one that was just killed
                    if "--shared-port" in process.cmdline():
                        found.append(process)
            return found

        assert len(children()) == 2
        api = Api(server.url)
        assistant = api.post("/assistants", {"model": "scripted"}).ok
        victim = children()[0]
        os.kill(victim.pid, signal.SIGKILL)
        eventually(lambda: victim.pid not in {p.pid for p in children()} and len(children()) == 2)
        body = {"assistant_id": assistant["id"], "thread": {"messages": [{"role": "user", "content": "still there?"}]}}
        run = api.post("/threads/runs", body).ok
        path = f"/threads/{run['thread_id']}/runs/{run['id']}"
        eventually(lambda: api.get(path).ok["status"] == "completed")
        left = [p.pid for p in children()]
        assert server.stop() == 0
    assert not any(psutil.pid_exists(pid) for pid in left)
