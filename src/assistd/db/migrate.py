"""Numbered migrations: `migrations/NNNN_name.sql`, each applied once, in order, in a transaction of its own.

A transaction-level advisory lock makes several programs that migrate at once take turns, and the
table `schema_migrations` remembers what is done. A new database is made the same way.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from importlib import resources

import asyncpg

from assistd.user_errors import UserError

from .pool import Connection

OLDEST_SERVER = 15
OLDEST_PGVECTOR = (0, 8)

_LOCK = 7_236_111_948  # any number, the same in every version of assistd
_NO_LIMIT = 86_400.0  # seconds; building an index may take long
_FILE = re.compile(r"(\d{4})_([a-z0-9_]+)\.sql")
_TABLE = """
CREATE TABLE IF NOT EXISTS schema_migrations (
    version    integer     PRIMARY KEY,
    name       text        NOT NULL,
    applied_at timestamptz NOT NULL DEFAULT now()
)"""

# Not by `to_regclass`: a connection that once found nothing goes on finding nothing until it locks a table, and one
# that has waited for its turn would begin anew what another had just done.
_HAS_TABLE = """
SELECT EXISTS (
    SELECT FROM pg_class WHERE relname = 'schema_migrations' AND relnamespace = current_schema()::regnamespace
)"""


class SchemaMismatch(UserError):
    """The database's schema is not the one this program works with; the message says what to do."""


class UnsuitableServer(UserError):
    """This PostgreSQL cannot hold our database; the message says what it lacks."""


@dataclass(frozen=True)
class Migration:
    """A step of the schema: its number from 1, its name, and the statements."""

    version: int
    name: str
    sql: str


@dataclass(frozen=True)
class Applied:
    """A migration that a database has had."""

    version: int
    name: str
    applied_at: datetime


@dataclass(frozen=True)
class Status:
    """What a database has had, what it still lacks, and what of the former this program does not know."""

    applied: tuple[Applied, ...]
    pending: tuple[Migration, ...]
    unknown: tuple[Applied, ...]


def shipped() -> tuple[Migration, ...]:
    """The migrations of this program, by number. Raises ValueError for a gap, a double or a stray file."""
    found = []
    for file in (resources.files(__package__) / "migrations").iterdir():
        parts = _FILE.fullmatch(file.name)
        if parts is None:
            raise ValueError(f"migrations/{file.name} is not called NNNN_name.sql")
        found.append(Migration(int(parts[1]), parts[2], file.read_text("utf-8")))
    found.sort(key=lambda migration: migration.version)
    if [migration.version for migration in found] != list(range(1, len(found) + 1)):
        raise ValueError("migrations/ must be numbered from 0001 without gap or double")
    return tuple(found)


async def migrate(conn: Connection, migrations: Sequence[Migration] | None = None) -> tuple[Migration, ...]:
    """Apply what is pending; the migrations that were applied by this call.

    The connection must not be in a transaction. Raises UnsuitableServer, or SchemaMismatch when the
    database is newer than the program.
    """
    known = shipped() if migrations is None else tuple(migrations)
    done: list[Migration] = []
    while (step := await _apply_next(conn, known)) is not None:
        done.append(step)
    return tuple(done)


async def status(conn: Connection, migrations: Sequence[Migration] | None = None) -> Status:
    """What the database has had, against what this program knows. Changes nothing."""
    known = shipped() if migrations is None else tuple(migrations)
    applied: tuple[Applied, ...] = ()
    if await conn.fetchval(_HAS_TABLE):
        rows = await conn.fetch("SELECT version, name, applied_at FROM schema_migrations ORDER BY version")
        applied = tuple(Applied(**row) for row in rows)
    versions = {row.version for row in applied}
    names = {(migration.version, migration.name) for migration in known}
    return Status(
        applied=applied,
        pending=tuple(migration for migration in known if migration.version not in versions),
        unknown=tuple(row for row in applied if (row.version, row.name) not in names),
    )


async def check(conn: Connection, migrations: Sequence[Migration] | None = None) -> None:
    """Raise SchemaMismatch or UnsuitableServer unless the database is exactly as this program needs it."""
    _require_version(conn)
    known = shipped() if migrations is None else tuple(migrations)
    found = await status(conn, known)
    _refuse_unknown(found, known)
    if found.pending:
        have = found.applied[-1].version if found.applied else 0
        raise SchemaMismatch(
            f"The database's schema has version {have}, and this assistd needs {found.pending[-1].version}: "
            f"run `assistd migrate`."
        )


async def _apply_next(conn: Connection, known: Sequence[Migration]) -> Migration | None:
    _require_version(conn)
    async with conn.transaction():
        await conn.execute("SET LOCAL statement_timeout = 0; SET LOCAL lock_timeout = 0")
        await conn.fetchval("SELECT pg_advisory_xact_lock($1)", _LOCK, timeout=_NO_LIMIT)
        # Never let the whole service queue up behind a migration that waits for a table.
        await conn.execute("SET LOCAL lock_timeout = '30s'")
        found = await status(conn, known)
        _refuse_unknown(found, known)
        if not found.pending:
            return None
        step = found.pending[0]
        if not found.applied:
            await _require_pgvector(conn)
            await conn.execute(_TABLE)
        await conn.execute(step.sql, timeout=_NO_LIMIT)
        await conn.execute("INSERT INTO schema_migrations (version, name) VALUES ($1, $2)", step.version, step.name)
        return step


def _refuse_unknown(found: Status, known: Sequence[Migration]) -> None:
    if not found.unknown:
        return
    newest = found.unknown[-1]
    if newest.version > len(known):
        raise SchemaMismatch(
            f"The database's schema has version {newest.version}, and this assistd knows versions up to {len(known)}: "
            f"upgrade assistd."
        )
    raise SchemaMismatch(
        f"The database's migration {newest.version} is called {newest.name!r}, and this assistd's is called "
        f"{known[newest.version - 1].name!r}: the database belongs to another program."
    )


def _require_version(conn: Connection) -> None:
    major = conn.get_server_version().major
    if major < OLDEST_SERVER:
        raise UnsuitableServer(f"The server is PostgreSQL {major}; assistd needs {OLDEST_SERVER} or newer.")


async def _require_pgvector(conn: Connection) -> None:
    if not await conn.fetchval("SELECT EXISTS (SELECT FROM pg_available_extensions WHERE name = 'vector')"):
        raise UnsuitableServer(
            "The server does not have the extension pgvector. Install it there (its package is usually called "
            "postgresql-NN-pgvector), or use a PostgreSQL that has it."
        )
    try:
        async with conn.transaction():
            await conn.execute("CREATE EXTENSION IF NOT EXISTS vector")
    except asyncpg.PostgresError as fault:
        where = await conn.fetchrow("SELECT current_user AS name, current_database() AS database")
        assert where is not None
        raise UnsuitableServer(
            f"The user {where['name']} could not create the extension pgvector ({fault.args[0]}). Have an "
            f"administrator run `CREATE EXTENSION vector` in the database {where['database']}, then try again."
        ) from fault
    version = await conn.fetchval("SELECT extversion FROM pg_extension WHERE extname = 'vector'")
    if tuple(int(part) for part in version.split(".")[:2]) < OLDEST_PGVECTOR:
        oldest = ".".join(str(part) for part in OLDEST_PGVECTOR)
        raise UnsuitableServer(f"The database has pgvector {version}; assistd needs {oldest} or newer.")
