"""Projects and their API keys, as rows. A key is stored as its SHA-256 and shown once."""

from __future__ import annotations

import hashlib
import secrets
from pathlib import Path
from typing import Any

import msgspec

from assistd import ids
from assistd.db import sql

SQL = sql.load(Path(__file__).with_name("keys.sql"))

DEFAULT_PROJECT = "proj_default"
CHANNEL = "assistd_keys"


class Key(msgspec.Struct, frozen=True):
    """An API key as its owner may see it later: everything but the key."""

    id: str
    name: str
    project: str
    hint: str
    created_at: int
    revoked_at: int | None


def digest(key: str) -> bytes:
    """Return what is stored of a key. Keys are 192 random bits, so a fast hash is enough."""
    return hashlib.sha256(key.encode()).digest()


async def create(conn: Any, name: str, project: str = "default") -> str:
    """Create a key in a project, which is created too if it is new. Returns the key, once."""
    await conn.execute(SQL["add_project"], ids.new("proj_"), project)
    project_id = await conn.fetchval(SQL["get_project"], project)
    key = "sk-" + secrets.token_urlsafe(24)
    await conn.execute(SQL["add_key"], ids.new("key_"), project_id, name, digest(key), f"{key[:7]}...{key[-4:]}")
    await conn.execute(SQL["announce"])
    return key


async def list_all(conn: Any) -> list[Key]:
    """List all keys of all projects, oldest first, revoked ones too."""
    return [Key(**row) for row in await conn.fetch(SQL["list_keys"])]


async def revoke(conn: Any, id: str) -> bool:
    """Revoke a key by its id. Returns False where there is no such key or it was revoked before."""
    revoked = await conn.fetchval(SQL["revoke_key"], id) is not None
    await conn.execute(SQL["announce"])
    return revoked


async def project_of(conn: Any, digest: bytes) -> str | None:
    """Find the project of a valid key, by what is stored of it."""
    found: str | None = await conn.fetchval(SQL["find_key"], digest)
    return found


async def any_created(conn: Any) -> bool:
    """Say whether a key was ever created, revoked ones included: a door once closed stays closed."""
    created: bool = await conn.fetchval(SQL["any_key"])
    return created
