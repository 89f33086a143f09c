"""A question at the start is asked again where its connection is lost before the answer."""

from __future__ import annotations

import asyncpg

from assistd import database, settings
from assistd.db.pool import Connection


async def test_a_question_whose_connection_is_lost_is_asked_again(database_url: str) -> None:
    asked = 0

    async def question(conn: Connection) -> int:
        nonlocal asked
        asked += 1
        if asked == 1:
            other = await asyncpg.connect(database_url)
            await other.execute("SELECT pg_terminate_backend($1)", conn.get_server_pid())
            await other.close()
        return int(await conn.fetchval("SELECT 42"))

    chosen = settings.load({"ASSISTD_DATABASE_URL": database_url})
    assert await database.ask(chosen, database_url, question) == 42
    assert asked == 2
