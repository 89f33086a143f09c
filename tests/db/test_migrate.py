from __future__ import annotations

import asyncio
import subprocess
import uuid
from importlib import resources
from types import SimpleNamespace

import asyncpg
import pytest

from assistd.db import migrate
from assistd.db.migrate import Migration, SchemaMismatch, UnsuitableServer
from assistd.db.programs import programs

ONE = Migration(1, "one", "CREATE TABLE one (id int); INSERT INTO one VALUES (1);")
TWO = Migration(2, "two", "CREATE TABLE two (id int);")
BROKEN = Migration(2, "two", "CREATE TABLE two (id int); SELECT 1/0;")


@pytest.fixture
async def conn(empty_database_url):
    conn = await asyncpg.connect(empty_database_url)
    yield conn
    await conn.close()


async def test_pending_ones_are_applied_once_and_in_order(conn):
    assert await migrate.migrate(conn, [ONE]) == (ONE,)
    assert await migrate.migrate(conn, [ONE]) == ()
    assert (await migrate.status(conn, [ONE, TWO])).pending == (TWO,)
    assert await migrate.migrate(conn, [ONE, TWO]) == (TWO,)
    found = await migrate.status(conn, [ONE, TWO])
    assert [(row.version, row.name) for row in found.applied] == [(1, "one"), (2, "two")]
    assert found.pending == found.unknown == ()
    assert await conn.fetchval("SELECT count(*) FROM one") == 1
    await migrate.check(conn, [ONE, TWO])


async def test_a_failing_one_leaves_nothing_and_can_be_tried_again(conn):
    with pytest.raises(asyncpg.DivisionByZeroError):
        await migrate.migrate(conn, [ONE, BROKEN])
    found = await migrate.status(conn, [ONE, BROKEN])
    assert [row.version for row in found.applied] == [1]
    assert await conn.fetchval("SELECT to_regclass('two')") is None
    assert await migrate.migrate(conn, [ONE, TWO]) == (TWO,)


async def test_many_at_once_take_turns(empty_database_url):
    async def run() -> tuple[Migration, ...]:
        conn = await asyncpg.connect(empty_database_url)
        try:
            return await migrate.migrate(conn)
        finally:
            await conn.close()

    done = await asyncio.gather(*(run() for _ in range(4)))
    assert sorted(step.version for steps in done for step in steps) == [step.version for step in migrate.shipped()]


async def test_who_has_waited_sees_what_was_done_meanwhile(conn, empty_database_url):
    """PostgreSQL remembers that a name named nothing, and looks again only when it locks a table."""
    assert (await migrate.status(conn, [ONE])).pending == (ONE,)
    other = await asyncpg.connect(empty_database_url)
    async with conn.transaction():
        await migrate.migrate(other, [ONE])
        assert (await migrate.status(conn, [ONE])).pending == ()
    await other.close()


async def test_looking_changes_nothing(conn):
    assert (await migrate.status(conn)).applied == ()
    assert await conn.fetchval("SELECT count(*) FROM pg_class WHERE relnamespace = 'public'::regnamespace") == 0


async def test_an_older_database_asks_for_migrate(conn):
    with pytest.raises(SchemaMismatch, match=r"has version 0, and this assistd needs 2: run `assistd migrate`\."):
        await migrate.check(conn, [ONE, TWO])
    await migrate.migrate(conn, [ONE])
    with pytest.raises(SchemaMismatch, match=r"has version 1, and this assistd needs 2: run `assistd migrate`\."):
        await migrate.check(conn, [ONE, TWO])


async def test_a_newer_database_asks_for_an_upgrade(conn):
    await migrate.migrate(conn, [ONE, TWO])
    for refused in (migrate.check, migrate.migrate):
        with pytest.raises(SchemaMismatch, match=r"version 2, and this assistd knows .* up to 1: upgrade assistd\."):
            await refused(conn, [ONE])


async def test_another_programs_database_is_left_alone(conn):
    await migrate.migrate(conn, [ONE])
    for refused in (migrate.check, migrate.migrate):
        with pytest.raises(SchemaMismatch, match=r"'one'.*'other'.*belongs to another program"):
            await refused(conn, [Migration(1, "other", "SELECT 1")])


async def test_an_old_server_is_refused():
    old = SimpleNamespace(get_server_version=lambda: SimpleNamespace(major=14))
    for refused in (migrate.check, migrate.migrate):
        with pytest.raises(UnsuitableServer, match="PostgreSQL 14; assistd needs 15"):
            await refused(old)


async def test_a_user_who_may_not_create_pgvector_is_told_what_to_ask_for(conn, empty_database_url):
    role = f"poor_{uuid.uuid4().hex[:8]}"
    await conn.execute(f"CREATE ROLE {role} LOGIN; GRANT ALL ON SCHEMA public TO {role}")
    try:
        poor = await asyncpg.connect(empty_database_url, user=role)
        with pytest.raises(
            UnsuitableServer, match=rf"The user {role} could not create .* `CREATE EXTENSION vector` in"
        ):
            await migrate.migrate(poor)
        # What the administrator is asked for is enough.
        await conn.execute("CREATE EXTENSION vector")
        assert await migrate.migrate(poor) == migrate.shipped()
        await poor.close()
    finally:
        await conn.execute(f"DROP OWNED BY {role}; DROP ROLE {role}")


async def test_a_server_without_pgvector_is_refused(conn, monkeypatch):
    real = conn.fetchval

    async def without(query: str, *arguments: object, **options: object) -> object:
        return False if "pg_available_extensions" in query else await real(query, *arguments, **options)

    monkeypatch.setattr(asyncpg.Connection, "fetchval", lambda _, *a, **k: without(*a, **k))
    with pytest.raises(UnsuitableServer, match="does not have the extension pgvector"):
        await migrate.migrate(conn)


async def test_migrations_build_what_schema_sql_says(conn, database_url):
    await conn.execute((resources.files("assistd.db") / "schema.sql").read_text("utf-8"))
    rows = "SELECT id, name FROM projects ORDER BY id"
    migrated = await asyncpg.connect(database_url)
    assert await migrated.fetch(rows) == await conn.fetch(rows) != []
    await migrate.check(migrated)

    from_schema = await _dump(await conn.fetchval("SELECT current_database()"), conn)
    from_migrations = await _dump(await migrated.fetchval("SELECT current_database()"), conn)
    await migrated.close()
    assert "CREATE TABLE public.runs" in from_schema
    assert from_migrations == from_schema


async def _dump(database: str, conn: asyncpg.Connection) -> str:
    folder = await conn.fetchval("SELECT setting FROM pg_settings WHERE name = 'unix_socket_directories'")
    command = [programs() / "pg_dump", "--schema-only", "--exclude-table=schema_migrations", "--restrict-key=same"]
    command += ["-h", folder, "-U", "postgres", database]
    done = await asyncio.to_thread(subprocess.run, command, capture_output=True, text=True, check=True)
    return done.stdout
