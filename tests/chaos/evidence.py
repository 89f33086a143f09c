"""What is found of a run when it has ended, and of everything in the end."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

import asyncpg

from tests.chaos.clients import Client, StreamRefused
from tests.chaos.history import Found
from tests.durability.streams import Event


async def find(client: Client, path: str) -> Found | None:
    """Fetch an ended run by the API, however often it takes; None where it is not there."""
    run = await client.get(path, allowed=(404,))
    if run.status == 404:
        return None
    thread, id = run.body["thread_id"], run.body["id"]
    messages = await client.get(f"/threads/{thread}/messages?order=asc&limit=100&run_id={id}")
    steps = await client.get(f"{path}/steps?order=asc&limit=100")
    # `run_id` also lists the user's messages that came with the run.
    written = [message for message in messages.body["data"] if message["role"] == "assistant"]
    return Found(run.body, written, steps.body["data"], await _replay(client, path))


async def _replay(client: Client, path: str) -> list[Event]:
    while True:
        node = await client.nodes.some(client.chance)
        try:
            log = [event async for event in client.stream(node, "GET", f"{path}/events")]
        except StreamRefused as refusal:
            if refusal.status != 503:
                raise
            continue
        if log and log[-1].name == "done":
            return log


def facts(found: Found) -> tuple[Any, ...]:
    """What must not change of an ended run: its thread, its status, and how much there is of it."""
    return (found.run["thread_id"], found.run["status"], len(found.messages), len(found.steps), found.log[-2].place[1])


async def settled_facts(conn: asyncpg.Connection) -> dict[str, tuple[Any, ...]]:
    """The same of all runs, from the tables."""
    rows = await conn.fetch(
        """
        SELECT id, thread_id, status,
            (SELECT count(*) FROM messages WHERE run_id = runs.id AND role = 'assistant') AS messages,
            (SELECT count(*) FROM steps WHERE run_id = runs.id) AS steps,
            (SELECT max(last_number) FROM run_events WHERE run_id = runs.id) AS events
        FROM runs
        """
    )
    return {row["id"]: (row["thread_id"], row["status"], row["messages"], row["steps"], row["events"]) for row in rows}


async def ids_by_tag(conn: asyncpg.Connection) -> dict[str, list[str]]:
    """The ids of all threads, messages and runs that carry a tag."""
    found: dict[str, list[str]] = defaultdict(list)
    for table in ("threads", "messages", "runs", "vector_stores"):
        for row in await conn.fetch(f"SELECT id, metadata ->> 'tag' AS tag FROM {table}"):
            if row["tag"] is not None:
                found[row["tag"]].append(row["id"])
    for row in await conn.fetch("SELECT id, filename FROM files"):
        found[row["filename"]].append(row["id"])
    return found


async def left_over(conn: asyncpg.Connection) -> dict[str, list[Any]]:
    """What there must be nothing of once all is done, by the invariant that says so."""
    queries = {
        "no job is left": "SELECT kind, key, due, attempt FROM jobs",
        "no thread stays locked": "SELECT id, active_run_id FROM threads WHERE active_run_id IS NOT NULL",
        "every run ends": "SELECT id, status FROM runs WHERE status IN "
        "('queued', 'in_progress', 'requires_action', 'cancelling')",
        "no step stays open": "SELECT id, run_id FROM steps WHERE status = 'in_progress'",
        "no message stays open": "SELECT id, run_id FROM messages WHERE status = 'in_progress'",
        "no event outlives its run": "SELECT run_id FROM run_events WHERE run_id NOT IN (SELECT id FROM runs)",
        "no prompt outlives its run": "SELECT run_id FROM run_prompts WHERE run_id NOT IN (SELECT id FROM runs)",
        "no message is without its run": "SELECT id, run_id FROM messages WHERE role = 'assistant' "
        "AND run_id NOT IN (SELECT id FROM runs)",
    }
    return {what: [dict(row) for row in await conn.fetch(query)] for what, query in queries.items()}


async def store_files(conn: asyncpg.Connection) -> list[dict[str, Any]]:
    """All files of all vector stores, with their passages."""
    rows = await conn.fetch(
        """
        SELECT s.id AS store, f.filename, v.status, v.last_error,
            ARRAY (SELECT text FROM chunks WHERE file_key = v.key ORDER BY number) AS passages
        FROM vector_store_files v JOIN vector_stores s ON s.key = v.store_key JOIN files f ON f.id = v.file_id
        """
    )
    return [dict(row) for row in rows]


async def owned_blobs(conn: asyncpg.Connection) -> list[str]:
    """The keys of all blobs that a file or a part of an upload owns."""
    rows = await conn.fetch(
        "SELECT unnest(blobs) AS key FROM files UNION ALL SELECT blob FROM upload_parts WHERE blob IS NOT NULL"
    )
    return [row["key"] for row in rows]
