"""Processes that serve and work: what they log, how they share, and how they end."""

from __future__ import annotations

import json
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import psutil
import pytest

from assistd.db import cluster
from assistd.db.embedded import EmbeddedServer
from tests.support.databases import query
from tests.support.errors import Error
from tests.support.http import Api
from tests.support.program import assistd, environ
from tests.support.server import Server, serve
from tests.support.talk import path_of, start, until, user
from tests.support.waiting import eventually


def assistant_of(api: Api) -> str:
    return str(api.post("/assistants", {"model": "scripted"}).ok["id"])


def lines_of(server: Server) -> list[Any]:
    return [json.loads(line) for line in server.log.splitlines()]


# --- what they log


def test_every_line_of_the_log_is_json_with_its_request_and_run(tmp_path: Path, dsn: str) -> None:
    with serve(tmp_path, database_url=dsn) as server:
        api = Api(server.url)
        assistant = assistant_of(api)
        body = {"assistant_id": assistant, "thread": {"messages": [user("/say hi")]}}
        answer = api.post("/threads/runs", body)
        run = until(api, answer.ok, "completed")
        missing = api.post("/threads/thread_1/runs", {"assistant_id": assistant})
        eventually(lambda: any(line.get("event") == "run ended" for line in lines_of(server)))
        eventually(lambda: missing.headers["x-request-id"] in server.log)
    lines = lines_of(server)
    assert all({"event", "level", "timestamp"} <= set(line) for line in lines)
    asked = answer.headers["x-request-id"]
    (told,) = [line for line in lines if line["event"] == "request" and line["request_id"] == asked]
    assert (told["method"], told["path"], told["status"], told["level"]) == ("POST", "/v1/threads/runs", 200, "info")
    assert isinstance(told["ms"], float)
    (ended,) = [line for line in lines if line["event"] == "run ended"]
    # What a run does is told with the request that began it.
    assert (ended["run_id"], ended["request_id"], ended["status"]) == (run["id"], asked, "completed")
    (refused,) = [line for line in lines if line.get("request_id") == missing.headers["x-request-id"]]
    assert refused["status"] == 404
    # Who only looks is not told of unless asked for.
    assert not [line for line in lines if line.get("method") == "GET"]


def test_the_log_can_be_text_and_say_more(tmp_path: Path, dsn: str) -> None:
    with serve(tmp_path, "--log-level", "debug", database_url=dsn, log_format="text") as server:
        answer = Api(server.url).get("/assistants")
        eventually(lambda: answer.headers["x-request-id"] in server.log)
    (line,) = [line for line in server.log.splitlines() if answer.headers["x-request-id"] in line]
    assert "method=GET" in line
    assert "path=/v1/assistants" in line
    assert "\x1b" not in server.log  # colours are for terminals


# --- health


@pytest.fixture
def own_postgres() -> Iterator[EmbeddedServer]:
    """A PostgreSQL of the test's own, not below pytest's folder, which other system users may not enter."""
    folder = Path(tempfile.mkdtemp(prefix="assistd-health-"))
    server = EmbeddedServer(folder)
    server.enter()
    yield server
    server.leave()
    cluster.Cluster(folder / "postgres").stop()
    shutil.rmtree(folder)


def test_health_with_postgresql_gone_and_back(tmp_path: Path, own_postgres: EmbeddedServer) -> None:
    """Alive is not ready: the one is about the process, the other about what it needs."""
    running = own_postgres.cluster.running()
    assert running is not None
    dsn = cluster.dsn(running)
    assert assistd(tmp_path, "migrate", database_url=dsn).returncode == 0
    with serve(tmp_path, database_url=dsn) as server:
        root, api = Api(server.url.removesuffix("/v1")), Api(server.url)
        assert root.get("/healthz").ok == {"status": "ok"}
        assert root.get("/readyz").ok == {"status": "ok"}
        assistant = assistant_of(api)

        own_postgres.cluster.stop()
        gone = eventually(lambda: a if (a := root.get("/readyz")).status == 503 else None)
        assert gone.json["status"] == "unavailable"
        assert gone.json["database"]
        assert root.get("/healthz").ok == {"status": "ok"}
        away = Error(503, "The database is out of reach just now. Please try again soon.", type="server_error")
        for method, path, body in (
            ("GET", f"/assistants/{assistant}", None),
            ("POST", "/threads", {}),
            ("POST", "/threads/thread_1/messages", user("x")),
            ("GET", "/models", None),  # who asks must be looked up first; that this key was known is forgotten
        ):
            answer = eventually(lambda m=method, p=path, b=body: _unless_ok(api(m, p, b)))
            away.check(answer)
            assert answer.headers["retry-after"] == "1"

        own_postgres.cluster.start()
        eventually(lambda: root.get("/readyz").status == 200)
        assert api.get(f"/assistants/{assistant}").ok["id"] == assistant
        until(api, start(api, "/say hi", assistant), "completed")
    assert "Traceback" not in server.log, server.log


def _unless_ok(answer: Any) -> Any:
    """A key may be remembered, and a model's list need no database: such an answer is right, too, for a while."""
    return None if answer.status == 200 else answer


def test_health_needs_no_key(tmp_path: Path, dsn: str) -> None:
    with serve(tmp_path, database_url=dsn) as server:
        root = Api(server.url.removesuffix("/v1"), key=None)
        assert [root.get(path).status for path in ("/healthz", "/readyz")] == [200, 200]


# --- ending


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_a_server_in_order_while_streams_are_open(
    tmp_path: Path, dsn: str, number: signal.Signals
) -> None:
    """Streams say why they end; connections that nobody uses do not hold it up; no run is lost."""
    with serve(tmp_path, database_url=dsn) as server, ExitStack() as open_:
        api = Api(server.url)
        body = {"assistant_id": assistant_of(api), "thread": {"messages": [user("/tokens 5000\n/pace 0 10")]}}
        for _ in range(5):
            idle = open_.enter_context(socket.create_connection(api.address))
            idle.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
            assert idle.recv(4096).startswith(b"HTTP/1.1 200")
        open_.enter_context(socket.create_connection(api.address))
        with api.open("POST", "/threads/runs", {**body, "stream": True}) as stream:
            while b"thread.message.delta" not in stream.readline():
                pass
            server.send(number)
            rest = stream.read()
        assert server.process.wait(60) == 0
    assert rest.endswith(b"event: done\ndata: [DONE]\n\n")
    assert b"event: error\n" in rest
    # Its job is due at once, for whoever starts next.
    assert [tuple(row) for row in query(dsn, "SELECT due <= now(), worker FROM jobs")] == [(True, None)]
    assert lines_of(server)[-1]["level"] != "error"


def test_signals_that_come_twice_do_no_harm(tmp_path: Path, dsn: str) -> None:
    with serve(tmp_path, database_url=dsn) as server:
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGTERM):
            with suppress(ProcessLookupError):
                server.send(number)
        assert server.process.wait(60) == 0
    assert "Traceback" not in server.log, server.log


@pytest.mark.parametrize("command", ["serve", "worker"])
def test_a_signal_cuts_a_start_short(tmp_path: Path, command: str) -> None:
    """Here it waits for a database that says nothing; it might as well be a model on its way."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        silent.settimeout(60)
        settings = {
            "data_dir": tmp_path / "data",
            "database_url": f"postgresql://u@127.0.0.1:{silent.getsockname()[1]}/x",
            "model_base_url": "scripted:",
            "log_format": "json",
            "port": 0,
        }
        with subprocess.Popen(
            [sys.executable, "-m", "assistd.cli", command],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=tmp_path,
            env=environ(**settings),
        ) as process:
            asked, _ = silent.accept()
            with asked:
                process.terminate()
                out, err = process.communicate(timeout=60)
    assert (process.returncode, out) == (0, "")
    assert json.loads(err)["event"] == "stopped while starting"


# --- several processes


def children_of(server: Server) -> list[psutil.Process]:
    """The serving processes that a parent has started."""
    found = []
    for process in psutil.Process(server.process.pid).children():
        with suppress(psutil.NoSuchProcess, psutil.ZombieProcess):
            if "--shared-port" in process.cmdline():
                found.append(process)
    return found


def test_several_processes_serve_one_port(tmp_path: Path, dsn: str) -> None:
    """All of them get requests; one that dies is replaced, and what it was doing is done by another."""
    with serve(tmp_path, "--workers", "2", database_url=dsn, lease_seconds=1) as server:
        api = Api(server.url)
        assistant = assistant_of(api)
        first = eventually(lambda: pids if len(pids := {p.pid for p in children_of(server)}) == 2 else None)

        def workers() -> set[int]:
            run = start(api, "/tokens 2\n/pace 100 100", assistant)
            rows = query(dsn, "SELECT worker FROM jobs WHERE key = $1 AND worker IS NOT NULL", run["id"])
            seen.update(int(row["worker"].split(":")[1]) for row in rows)
            until(api, run, "completed")
            return seen if seen == first else set()

        seen: set[int] = set()
        eventually(workers)

        run = until(api, start(api, "/tokens 40\n/pace 0 50", assistant), "in_progress")
        (row,) = query(dsn, "SELECT worker FROM jobs WHERE key = $1", run["id"])
        victim = int(row["worker"].split(":")[1])
        psutil.Process(victim).kill()
        # The other goes on; connections that the dead one had not taken yet are reset.
        eventually(lambda: not psutil.pid_exists(victim))
        until(api, run, "completed")
        second = eventually(lambda: pids if len(pids := {p.pid for p in children_of(server)} - {victim}) == 2 else None)
        assert len(first & second) == 1
        (told,) = [line for line in lines_of(server) if line.get("pid") == victim and line["level"] == "error"]
        assert told["event"] == "a server process died and is started again"
        assert server.stop() == 0
    _, alive = psutil.wait_procs([psutil.Process(pid) for pid in second if psutil.pid_exists(pid)], timeout=60)
    assert not alive


def test_children_end_with_their_parent(tmp_path: Path, dsn: str) -> None:
    """Also where it had no time to tell them: nobody is left who holds the port, and it can be taken again."""
    with serve(tmp_path, "--workers", "2", database_url=dsn) as server:
        children = eventually(lambda: found if len(found := children_of(server)) == 2 else None)
        address = Api(server.url).address
        server.kill()
        _, alive = psutil.wait_procs(children, timeout=60)
        assert not alive
    with socket.create_server(address):
        pass


def test_options_reach_the_children(tmp_path: Path, dsn: str) -> None:
    with serve(tmp_path, "--workers", "2", "--log-level", "debug", "--host", "localhost", database_url=dsn) as server:
        assert server.url.startswith("http://localhost:")
        answer = Api(server.url).get("/assistants")
        assert answer.status == 200
        eventually(lambda: answer.headers["x-request-id"] in server.log)  # a GET is told at this level only
        assert server.stop() == 0


def test_servers_and_workers_share_the_work(tmp_path: Path, dsn: str) -> None:
    """A server with room for one run, and two workers: what it cannot do they do, and it tells of it all the same."""
    with ExitStack() as running:
        workers = [
            running.enter_context(serve(tmp_path / f"worker{n}", command="worker", database_url=dsn, run_concurrency=4))
            for n in range(2)
        ]
        server = running.enter_context(serve(tmp_path / "server", database_url=dsn, run_concurrency=1))
        for worker in workers:
            eventually(lambda w=worker: "worker ready" in w.log)
        api = Api(server.url)
        assistant = assistant_of(api)
        runs = [start(api, "/tokens 20\n/pace 0 100", assistant) for _ in range(9)]

        def everybody() -> bool:
            busy = {row["worker"] for row in query(dsn, "SELECT worker FROM jobs WHERE worker IS NOT NULL")}
            return {int(name.split(":")[1]) for name in busy} == {s.process.pid for s in (server, *workers)}

        eventually(everybody)
        cancelled = runs.pop()
        assert api.post(f"{path_of(cancelled)}/cancel").ok["status"] == "cancelling"
        streams = [_Following(api, run) for run in runs]
        until(api, cancelled, "cancelled")
        for stream, run in zip(streams, runs, strict=True):
            assert until(api, run, "completed")["usage"]["completion_tokens"] == 20
            frames = stream.read()
            assert frames.count(b"event: thread.message.delta\n") == 20
            assert frames.endswith(b"event: done\ndata: [DONE]\n\n")
        assert [s.stop() for s in (*workers, server)] == [0, 0, 0]
    assert query(dsn, "SELECT key FROM jobs") == []


class _Following:
    """Reads the stream of a run, wherever it is executed."""

    def __init__(self, api: Api, run: Any) -> None:
        self._read = b""
        self._thread = threading.Thread(target=self._follow, args=(api, f"{path_of(run)}/events"))
        self._thread.start()

    def _follow(self, api: Api, path: str) -> None:
        self._read = api.get(path).body

    def read(self) -> bytes:
        self._thread.join(60)
        return self._read
