from __future__ import annotations

import asyncio
import fcntl
import os
import re
import signal
import subprocess
from pathlib import Path

import asyncpg
import pytest

from assistd.db import cluster, embedded, postmaster
from assistd.db.account import Account, let_read, let_through, server_account
from assistd.db.cluster import Cluster
from assistd.db.embedded import EmbeddedError, EmbeddedServer, embedded_postgres
from assistd.db.programs import child_options


async def test_settings_hold_and_users_may_override_them(toy, toy_url):
    conn = await asyncpg.connect(toy_url)
    rows = await conn.fetch("SELECT name, setting, source FROM pg_settings")
    await conn.close()
    found = {row["name"]: row["setting"] for row in rows}
    assert found["max_connections"] == "200"
    assert found["fsync"] == found["synchronous_commit"] == found["full_page_writes"] == "on"
    assert found["jit"] == "off"
    assert found["listen_addresses"] == ""
    # From a file, so that ALTER SYSTEM wins, not from the command line.
    assert {row["source"] for row in rows if row["name"] == "max_connections"} == {"configuration file"}


async def test_text_search_takes_punctuation_for_punctuation(toy_url):
    conn = await asyncpg.connect(toy_url)
    found = await conn.fetchval("SELECT to_tsvector('simple', '“Hello” über—École')::text")
    await conn.close()
    assert found == "'hello':1 'école':3 'über':2"


def test_a_server_that_was_stopped_starts_again_with_its_data(toy, toy_url):
    async def write() -> None:
        conn = await asyncpg.connect(toy_url)
        await conn.execute("CREATE TABLE IF NOT EXISTS kept (id int); INSERT INTO kept VALUES (1)")
        await conn.close()

    async def read() -> int:
        conn = await asyncpg.connect(toy_url)
        count = await conn.fetchval("SELECT count(*) FROM kept")
        await conn.close()
        return count

    asyncio.run(write())
    toy.cluster.stop()
    assert toy.cluster.running() is None
    toy.cluster.start()
    assert asyncio.run(read()) >= 1


async def test_odd_and_long_paths_behind_a_closed_folder(data_dir):
    closed = data_dir / "closed"
    closed.mkdir(mode=0o700)
    folder = closed / ('it\'s a, long "path" ' + "x" * 120)
    (folder / "postgres.new-killed").mkdir(parents=True)
    (folder / "postgres.new-killed" / "PG_VERSION").write_text("18\n")

    async with embedded_postgres(folder) as dsn:
        conn = await asyncpg.connect(dsn)
        assert await conn.fetchval("SELECT 1") == 1
        await conn.close()
        server = postmaster.read(folder.resolve() / "postgres")
        assert server is not None
        assert server.socket_folder.stat().st_mode & 0o077 == 0
        assert len(os.fsencode(server.socket)) < 104

    assert not postmaster.is_process(server)
    assert not server.socket_folder.exists()
    assert sorted(path.name for path in folder.iterdir()) == ["postgres", "postgres.lock", "postgres.users"]
    assert closed.stat().st_mode & 0o066 == 0  # passable at most, never listable


async def test_two_processes_share_one_server_and_the_last_one_stops_it(toy, user):
    data_dir = toy.cluster.folder.parent
    toy.leave()
    try:
        first, second = user(data_dir), user(data_dir)
        assert first.dsn == second.dsn
        before = toy.cluster.running()
        assert before is not None

        assert "still there: 1" in first.finish()[0]
        assert first.process.returncode == 0
        assert toy.cluster.running() == before

        assert "still there: 1" in second.finish()[0]
        assert toy.cluster.running() is None
    finally:
        toy.enter()


async def test_a_killed_user_leaves_a_server_that_the_next_one_picks_up_and_stops(toy, user):
    data_dir = toy.cluster.folder.parent
    toy.leave()
    try:
        victim = user(data_dir)
        before = toy.cluster.running()
        os.kill(victim.process.pid, signal.SIGKILL)
        victim.process.wait()
        assert toy.cluster.running() == before  # alive and not told

        async with embedded_postgres(data_dir) as dsn:
            assert dsn == victim.dsn
            assert toy.cluster.running() == before
        assert toy.cluster.running() is None
    finally:
        toy.enter()


async def test_a_server_killed_together_with_its_user_recovers(toy, user, eventually):
    data_dir = toy.cluster.folder.parent
    toy.leave()
    try:
        victim = user(data_dir)
        conn = await asyncpg.connect(victim.dsn)
        await conn.execute("CREATE TABLE committed (id int); INSERT INTO committed VALUES (7)")
        crashed = toy.cluster.running()
        assert crashed is not None
        os.kill(victim.process.pid, signal.SIGKILL)
        victim.process.wait()
        os.kill(crashed.pid, signal.SIGKILL)
        await eventually(lambda: not postmaster.is_process(crashed))

        async with embedded_postgres(data_dir) as dsn:
            again = await asyncpg.connect(dsn)
            assert await again.fetchval("SELECT id FROM committed") == 7
            await again.execute("DROP TABLE committed")
            await again.close()
        conn.terminate()
    finally:
        toy.enter()


async def test_ctrl_c_in_the_terminal_leaves_the_server_to_its_user(toy, user):
    data_dir = toy.cluster.folder.parent
    toy.leave()
    try:
        someone = user(data_dir)
        os.killpg(someone.process.pid, signal.SIGINT)  # what the terminal does, to the whole foreground group
        out, err = someone.finish()
        assert "still there: 1" in out, err
        assert toy.cluster.running() is None
    finally:
        toy.enter()


async def test_a_server_that_dies_is_started_again(toy, eventually):
    async with embedded_postgres(toy.cluster.folder.parent) as dsn:
        dead = toy.cluster.running()
        assert dead is not None
        os.kill(dead.pid, signal.SIGKILL)

        async def works() -> bool:
            conn = await asyncpg.connect(dsn)
            try:
                return await conn.fetchval("SELECT 1") == 1
            finally:
                await conn.close()

        await eventually(lambda: not postmaster.is_process(dead))
        await eventually(works)


def test_a_pid_that_became_another_process_is_not_taken_for_the_server(toy):
    folder = toy.cluster.folder
    text = (folder / "postmaster.pid").read_text()
    toy.cluster.stop()
    # Somebody of the server's own system user: PostgreSQL alone would refuse to start.
    other = subprocess.Popen(["sleep", "600"], **child_options(server_account(folder), Path("/")))
    try:
        (folder / "postmaster.pid").write_text(re.sub(r"^\d+", str(other.pid), text))
        assert toy.cluster.running() is None
        assert toy.cluster.start().pid != other.pid
    finally:
        other.kill()
        other.wait()


async def test_a_start_that_is_cancelled_leaves_no_server_behind(toy):
    toy.leave()
    try:
        entering = embedded_postgres(toy.cluster.folder.parent)
        start = asyncio.create_task(entering.__aenter__())
        await asyncio.sleep(0)
        start.cancel()
        with pytest.raises(asyncio.CancelledError):
            await start
        assert toy.cluster.running() is None
    finally:
        toy.enter()


def test_a_start_that_fails_says_what_the_server_said(toy):
    broken = Cluster(toy.cluster.folder, {"shared_buffers": "'a lot'"})
    toy.cluster.stop()
    with pytest.raises(EmbeddedError, match="shared_buffers"):
        broken.start()


def test_folders_that_are_not_ours_are_refused(data_dir):
    folder = data_dir / "postgres"
    folder.mkdir()
    (folder / "thesis.tex").write_text("")
    with pytest.raises(EmbeddedError, match="no PostgreSQL data"), EmbeddedServer(data_dir):
        pass
    (folder / "PG_VERSION").write_text("17\n")
    with pytest.raises(EmbeddedError, match="made by PostgreSQL 17"), EmbeddedServer(data_dir):
        pass
    with pytest.raises(EmbeddedError, match="cannot be made"), EmbeddedServer(folder / "thesis.tex"):
        pass


def test_waiting_for_a_hung_starter_ends_with_a_sentence(data_dir, monkeypatch):
    monkeypatch.setattr(embedded, "_GATE_SECONDS", 0.05)
    with (data_dir / "postgres.lock").open("w") as gate:
        fcntl.flock(gate, fcntl.LOCK_EX)
        with pytest.raises(EmbeddedError, match="starting or stopping"), EmbeddedServer(data_dir):
            pass


def test_letting_through_adds_one_bit_to_what_lacks_it(data_dir, monkeypatch):
    stranger = Account("stranger", uid=2**31 - 2, gid=2**31 - 2)
    outer, inner = data_dir / "outer", data_dir / "outer" / "inner"
    outer.mkdir(mode=0o700)
    inner.mkdir(mode=0o700)
    data_dir.chmod(0o755)
    let_through(inner / "postgres", stranger)
    assert [path.stat().st_mode & 0o777 for path in (data_dir, outer, inner)] == [0o755, 0o701, 0o701]

    outer.chmod(0o700)

    def refuse(*_: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(Path, "chmod", refuse)
    with pytest.raises(EmbeddedError, match=f"chmod o\\+x {outer}"):
        let_through(inner / "postgres", stranger)


def test_programs_hidden_by_a_strict_umask_become_readable(data_dir):
    stranger = Account("stranger", uid=2**31 - 2, gid=2**31 - 2)
    (data_dir / "bin").mkdir(mode=0o700)
    (data_dir / "bin" / "postgres").touch(mode=0o700)
    (data_dir / "lib.so").touch(mode=0o600)
    let_read(data_dir, stranger)
    assert [(data_dir / name).stat().st_mode & 0o777 for name in ("bin", "bin/postgres", "lib.so")] == [
        0o755,
        0o755,
        0o644,
    ]


def test_dsn_quotes_its_parts(data_dir):
    server = postmaster.Postmaster(data_dir, 1, Path("/a b/%"), 5432, "ready")
    assert cluster.dsn(server) == "postgresql://postgres@/postgres?host=/a%20b/%25&port=5432"
