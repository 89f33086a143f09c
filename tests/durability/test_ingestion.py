"""Processes that die, stop or sleep while they read files into vector stores: each is read once, or says why not."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import aiohttp
import asyncpg
import psutil
import pytest

from assistd.db import cluster, migrate
from assistd.db.embedded import EmbeddedServer
from assistd.llm.scripted import ScriptedModel
from tests.durability.api import Api, Refused, eventually
from tests.durability.conftest import Node, StartNode
from tests.durability.documents import (
    EMBEDDING,
    HeldEmbeddings,
    check_store,
    contents,
    held_embeddings,
    is_reader,
    new_store,
    prose,
    readers,
    spooled,
    until_gone,
    until_read,
    upload,
    write_routes,
)

pytestmark = pytest.mark.long

LONG = 600_000  # characters: seconds of reading, in several steps
SOME = 100_000  # bytes in a spool that no short file comes to
Settings = dict[str, Any]


@pytest.fixture
async def embeddings() -> AsyncIterator[HeldEmbeddings]:
    async with held_embeddings() as server:
        yield server


@pytest.fixture
def routed(tmp_path: Path, model: ScriptedModel, embeddings: HeldEmbeddings) -> Settings:
    """Settings by which stores embed with a model that can be held back. All nodes have one folder, for the blobs."""
    routes = write_routes(tmp_path / "models.toml", model.base_url, embeddings.base_url)
    return {"models_file": routes, "embedding_model": EMBEDDING, "blob_url": f"file://{tmp_path / 'blobs'}"}


@pytest.fixture
def shared(tmp_path: Path) -> Settings:
    """Settings by which nodes have one folder, for the blobs."""
    return {"blob_url": f"file://{tmp_path / 'blobs'}"}


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder where nodes have their temporary files."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setenv("TMPDIR", str(folder))
    return folder


COMPLETED = (
    "SELECT count(*) > 10 FROM vector_store_files f JOIN vector_stores s ON s.key = store_key "
    "WHERE s.id = $1 AND f.status = 'completed'"
)
Bring = Callable[..., Awaitable[dict[str, str]]]


@pytest.fixture
def bring(session: aiohttp.ClientSession) -> Bring:
    """Upload texts: `await bring(node, *texts)` returns them by the ids of their files."""

    async def bring(node: Node, *texts: str) -> dict[str, str]:
        return {await upload(session, node, f"{at}.txt", text): text for at, text in enumerate(texts)}

    return bring


def left(temporary: Path) -> list[Path]:
    """What servers have in the folder of temporary files."""
    return list(temporary.glob("assistd-*"))


def quiet(node: Node) -> None:
    """Check that a node has had nothing to complain about."""
    assert '"level":"error"' not in node.server.log.replace(" ", ""), node.server.log
    assert "Traceback" not in node.server.log, node.server.log


# --- killed


async def test_killed_while_files_are_parsed(
    start: StartNode, shared: Settings, bring: Bring, db: asyncpg.Connection, temporary: Path
) -> None:
    first, second = await asyncio.gather(start(**shared), start("worker", ingest_concurrency=1, **shared))
    second.pause()  # it is to take over, and not to share
    files = await bring(first, prose(LONG, 1), prose(LONG, 2), prose(5000, 3))
    store_id = await new_store(first.api, *files)
    await eventually(lambda: spooled(temporary) > SOME, "passages in a spool")
    children = readers(first.server.process.pid)
    assert children
    first.kill()
    second.wake()
    await until_gone(children)
    third = await start(**shared)
    await check_store(db, third.api, store_id, files)
    quiet(third)


async def test_killed_while_passages_are_embedded(
    start: StartNode, routed: Settings, embeddings: HeldEmbeddings, bring: Bring, db: asyncpg.Connection
) -> None:
    first = await start(ingest_concurrency=2, **routed)
    files = await bring(first, *(prose(3000 * number, number) for number in range(1, 6)))
    embeddings.hold()
    store_id = await new_store(first.api, *files)
    await embeddings.until_waiting(2)
    children = readers(first.server.process.pid)
    assert len(children) == 2
    first.kill()
    await until_gone(children)
    await embeddings.until_waiting(0)
    assert await db.fetchval("SELECT count(*) FROM chunks") == 0
    second = await start(ingest_concurrency=2, **routed)
    await embeddings.until_waiting(2)
    embeddings.answer()
    await check_store(db, second.api, store_id, files)
    quiet(second)


@pytest.mark.parametrize("table", ["vector_store_files", "chunks"])
async def test_killed_while_passages_are_written(
    start: StartNode, shared: Settings, bring: Bring, db: asyncpg.Connection, table: str
) -> None:
    """Killed before the transaction has the file, and when it has."""
    first = await start(ingest_concurrency=1, **shared)
    files = await bring(first, prose(20_000, 1), prose(20_000, 2))
    async with db.transaction():
        # What writes passages waits for this lock; neither the queue nor a heartbeat does.
        await db.execute(f"LOCK TABLE {table} IN SHARE MODE" if table == "chunks" else "SELECT 1")
        store_id = await new_store(first.api, *files)
        if table != "chunks":
            await db.execute("SELECT FROM vector_store_files FOR NO KEY UPDATE")
        await eventually(lambda: _waiting(db), "a transaction that waits for its turn")
        first.kill()
        second = await start(ingest_concurrency=1, **shared)
    await check_store(db, second.api, store_id, files)
    quiet(second)


async def _waiting(db: asyncpg.Connection) -> Any:
    await db.execute("SELECT pg_stat_clear_snapshot()")  # else it is the same all through a transaction
    waiting = (
        "SELECT pid, query_start FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
    )
    return await db.fetch(waiting)


async def test_killed_again_and_again(
    start: StartNode, shared: Settings, bring: Bring, db: asyncpg.Connection, temporary: Path
) -> None:
    """Many small files, and a process that dies whenever it has read some of them."""
    texts = [prose(2000, number) for number in range(60)]
    node = await start(**shared)
    files = await bring(node, *texts)
    store_id = await new_store(node.api, *files)
    done = 0
    for _ in range(4):

        async def more(before: int = done) -> Any:
            completed = await db.fetchval("SELECT count(*) FROM vector_store_files WHERE status = 'completed'")
            return completed > before and completed

        done = await eventually(more, f"more than {done} files")
        node.kill()
        node = await start(**shared)
    await check_store(db, node.api, store_id, files)
    quiet(node)


async def test_a_file_is_read_however_often_it_was_given_back(
    start: StartNode, shared: Settings, bring: Bring, db: asyncpg.Connection
) -> None:
    """A database that is away, or locked, for a while gives many claims back, and is nothing that the file did."""
    node = await start(**shared)
    async with db.transaction():
        await db.execute("LOCK TABLE chunks IN SHARE MODE")
        files = await bring(node, prose(3000, 1))
        store_id = await new_store(node.api, *files)
        await eventually(lambda: _waiting(db), "a transaction that waits for its turn")
        node.kill()
    await db.execute("UPDATE jobs SET attempt = 1000, worker = NULL, due = now()")
    node = await start(**shared)
    await check_store(db, node.api, store_id, files)
    quiet(node)


async def test_a_file_that_takes_its_workers_with_it_fails(
    start: StartNode, shared: Settings, bring: Bring, db: asyncpg.Connection
) -> None:
    node = await start(**shared)
    async with db.transaction():
        await db.execute("LOCK TABLE chunks IN SHARE MODE")
        files = await bring(node, prose(3000, 1))
        store_id = await new_store(node.api, *files)
        await eventually(lambda: _waiting(db), "a transaction that waits for its turn")
        node.kill()
    await db.execute("UPDATE jobs SET lost = 50")
    node = await start(**shared)
    await check_store(db, node.api, store_id, {}, failed=1)


async def test_what_killed_processes_had_in_temporary_folders_goes(
    start: StartNode, shared: Settings, bring: Bring, db: asyncpg.Connection, temporary: Path
) -> None:
    for number in range(3):
        node = await start(**shared)
        files = await bring(node, prose(LONG, number))
        store_id = await new_store(node.api, *files)
        await eventually(lambda: spooled(temporary) > SOME, "passages in a spool")
        node.kill()
        await db.execute("DELETE FROM vector_stores WHERE id = $1", store_id)
    node = await start(**shared)
    files = await bring(node, prose(1000, 7))
    await check_store(db, node.api, await new_store(node.api, *files), files)
    assert len(left(temporary)) == 1
    await node.stop()
    assert left(temporary) == []


# --- stopped


async def test_a_stopping_process_gives_its_files_back_at_once(
    start: StartNode, routed: Settings, embeddings: HeldEmbeddings, bring: Bring, db: asyncpg.Connection
) -> None:
    # With a lease of ten minutes nothing but being given back brings the files to the other process in time.
    leaving = await start(lease_seconds=600, ingest_concurrency=2, **routed)
    files = await bring(leaving, *(prose(3000, number) for number in range(4)))
    embeddings.hold()
    store_id = await new_store(leaving.api, *files)
    await embeddings.until_waiting(2)
    children = readers(leaving.server.process.pid)
    await leaving.stop()
    assert not any(map(is_reader, children))
    assert await db.fetchval("SELECT count(*) FROM jobs WHERE worker IS NULL AND due <= now()") == len(files)
    staying = await start(lease_seconds=600, ingest_concurrency=2, **routed)
    await embeddings.until_waiting(2)
    embeddings.answer()
    await check_store(db, staying.api, store_id, files)
    quiet(leaving)


async def test_stopped_in_full_swing_nothing_stays_claimed(
    start: StartNode, shared: Settings, bring: Bring, db: asyncpg.Connection, temporary: Path
) -> None:
    settings = {"lease_seconds": 600, "ingest_concurrency": 4, **shared}
    node = await start(**settings)
    files = await bring(node, *(prose(300, number) for number in range(120)))
    stores = []
    for _ in range(3):
        # What was left of the stores before is read too: the first statement of a start is to take files.
        stores.append(await new_store(node.api, *files))

        await eventually(lambda: db.fetchval(COMPLETED, stores[-1]), "some files")
        await node.stop()
        quiet(node)
        assert left(temporary) == []
        claimed = await db.fetch("SELECT * FROM jobs WHERE worker IS NOT NULL OR due > now()")
        assert claimed == []
        node = await start(**settings)
    for store_id in stores:
        await until_read(node.api, store_id)
    for store_id in stores:
        await check_store(db, node.api, store_id, files)


# --- asleep


async def test_a_process_that_slept_past_its_lease_writes_nothing(
    start: StartNode, routed: Settings, embeddings: HeldEmbeddings, bring: Bring, db: asyncpg.Connection
) -> None:
    sleeper = await start(ingest_concurrency=1, **routed)
    files = await bring(sleeper, prose(20_000, 1))
    embeddings.hold()
    store_id = await new_store(sleeper.api, *files)
    await embeddings.until_waiting(1)
    sleeper.pause()
    other = await start(ingest_concurrency=1, **routed)
    await embeddings.until_waiting(2)
    embeddings.answer()  # to both: one of them hears it later
    await check_store(db, other.api, store_id, files)
    before = await contents(db)
    await other.stop()
    sleeper.wake()
    # It reads one file at a time: when it has read another, it has done with that one.
    more = await bring(sleeper, prose(2000, 2))
    later = await new_store(sleeper.api, *more)
    await check_store(db, sleeper.api, later, more)
    await check_store(db, sleeper.api, store_id, files)
    await sleeper.api.call("DELETE", f"/vector_stores/{later}")
    assert await contents(db) == before
    quiet(sleeper)


async def test_a_process_that_falls_asleep_in_its_transaction_holds_nobody_up_for_long(
    start: StartNode, shared: Settings, bring: Bring, db: asyncpg.Connection
) -> None:
    sleeper = await start(ingest_concurrency=1, **shared)
    # PostgreSQL has no timeout for a client that sleeps while it prepares a statement. Sooner or later its
    # connections know them all.
    for number in range(20):
        files = await bring(sleeper, prose(20_000, number))
        async with db.transaction():
            await db.execute("LOCK TABLE chunks IN SHARE MODE")
            store_id = await new_store(sleeper.api, *files)
            ((pid, _),) = await eventually(lambda: _waiting(db), "a transaction that has the file")
            sleeper.pause()
        if await eventually(lambda: _asleep(db, pid), "its end") == "idle in transaction":  # noqa: B023
            break
        sleeper.wake()
        await check_store(db, sleeper.api, store_id, files)
    else:
        pytest.fail("its statements are prepared anew every time")
    other = await start(**shared)
    await check_store(db, other.api, store_id, files)
    before = await contents(db)
    await other.stop()
    sleeper.wake()
    more = await bring(sleeper, prose(2000, 99))
    later = await new_store(sleeper.api, *more)
    await check_store(db, sleeper.api, later, more)
    await sleeper.api.call("DELETE", f"/vector_stores/{later}")
    assert await contents(db) == before


async def _asleep(db: asyncpg.Connection, pid: int) -> Any:
    """The state of a connection whose client says no more."""
    return await db.fetchval("SELECT state FROM pg_stat_activity WHERE pid = $1 AND wait_event = 'ClientRead'", pid)


# --- the reading process


async def test_a_reading_process_that_is_killed_once_takes_nothing_with_it(
    start: StartNode, shared: Settings, bring: Bring, db: asyncpg.Connection, temporary: Path
) -> None:
    node = await start(ingest_concurrency=1, **shared)
    files = await bring(node, prose(LONG, 1), *(prose(3000, number) for number in (2, 3)))
    store_id = await new_store(node.api, *files)
    await _kill_reader(node, temporary)
    await check_store(db, node.api, store_id, files)
    assert spooled(temporary) == 0


async def test_a_file_whose_reading_process_is_killed_twice_fails_alone(
    start: StartNode, shared: Settings, bring: Bring, db: asyncpg.Connection, temporary: Path
) -> None:
    node = await start(ingest_concurrency=1, **shared)
    files = await bring(node, prose(LONG, 1), *(prose(3000, number) for number in (2, 3)))
    store_id = await new_store(node.api, *files)
    for _ in range(2):
        await _kill_reader(node, temporary)
    await until_read(node.api, store_id)
    lost, *others = files
    file = await node.api.get(f"/vector_stores/{store_id}/files/{lost}")
    assert (file["status"], file["last_error"]["code"]) == ("failed", "server_error")
    assert file["last_error"]["message"].endswith(".")
    await check_store(db, node.api, store_id, {id: files[id] for id in others}, failed=1)
    assert spooled(temporary) == 0
    # Read once more, it is there.
    await node.api.post(f"/vector_stores/{store_id}/files", {"file_id": lost})
    await check_store(db, node.api, store_id, files)


async def _kill_reader(node: Node, temporary: Path) -> None:
    """Kill the reading process of a node in the middle of a long file."""
    await eventually(lambda: spooled(temporary) > SOME, "passages in a spool")
    (child,) = readers(node.server.process.pid)
    child.kill()
    await until_gone([child])
    # The next one begins the spool anew.
    await eventually(lambda: spooled(temporary) < SOME, "a new spool")


async def test_a_reading_process_that_is_killed_while_it_waits_is_replaced(
    start: StartNode, shared: Settings, bring: Bring, db: asyncpg.Connection
) -> None:
    node = await start(ingest_concurrency=1, **shared)
    for number in range(3):
        files = await bring(node, prose(2000, number))
        await check_store(db, node.api, await new_store(node.api, *files), files)
        (child,) = readers(node.server.process.pid)
        child.kill()
    quiet(node)


# --- what is deleted or cancelled meanwhile


async def test_what_is_deleted_while_it_is_read_leaves_nothing(
    start: StartNode, routed: Settings, embeddings: HeldEmbeddings, bring: Bring, db: asyncpg.Connection
) -> None:
    node = await start(ingest_concurrency=6, **routed)
    api = node.api
    # Of each kind one file that is read by now, and one that waits for its turn.
    files = await bring(node, *(prose(3000, number) for number in range(12)))
    ids = list(files)
    embeddings.hold()
    kept, emptied, gone, cancelled = [await new_store(api) for _ in range(4)]
    batches = {
        store_id: (await api.post(f"/vector_stores/{store_id}/file_batches", {"file_ids": ids}))["id"]
        for store_id in (kept, emptied, gone, cancelled)
    }
    await embeddings.until_waiting(6)
    await asyncio.gather(
        *(api.call("DELETE", f"/files/{id}") for id in ids[:4]),
        *(api.call("DELETE", f"/vector_stores/{emptied}/files/{id}") for id in ids[4:]),
        api.call("DELETE", f"/vector_stores/{gone}"),
        api.post(f"/vector_stores/{cancelled}/file_batches/{batches[cancelled]}/cancel"),
    )
    embeddings.answer()
    await check_store(db, api, kept, {id: files[id] for id in ids[4:]})
    await check_store(db, api, emptied, {})
    batch = await api.get(f"/vector_stores/{cancelled}/file_batches/{batches[cancelled]}")
    assert (batch["status"], batch["file_counts"]["completed"], batch["file_counts"]["in_progress"]) == (
        "cancelled",
        0,
        0,
    )
    with pytest.raises(Refused):
        await api.get(f"/vector_stores/{gone}")
    await eventually(lambda: _no_jobs(db), "the end of all jobs")
    others = "SELECT count(*) FROM chunks JOIN vector_stores s ON s.key = store_key WHERE s.id <> $1"
    assert await db.fetchval(others, kept) == 0
    assert await db.fetchval("SELECT count(*) FROM chunks WHERE store_key NOT IN (SELECT key FROM vector_stores)") == 0
    quiet(node)


async def _no_jobs(db: asyncpg.Connection) -> bool:
    return await db.fetchval("SELECT count(*) FROM jobs WHERE kind = 'ingest'") == 0


async def test_deleted_while_passages_are_written(
    start: StartNode, shared: Settings, bring: Bring, db: asyncpg.Connection
) -> None:
    """Whoever deletes waits for the writer, or the writer finds nothing left; neither of them fails."""
    node = await start(ingest_concurrency=4, **shared)
    api = node.api
    files = await bring(node, *(prose(20_000, number) for number in range(4)))
    for _ in range(5):
        whole, some = await new_store(api, *files), await new_store(api, *files)

        async def writing() -> Any:
            return await db.fetchval("SELECT count(*) FROM vector_store_files WHERE status = 'completed'")

        await eventually(writing, "the first file")
        one = next(iter(files))
        await asyncio.gather(
            api.call("DELETE", f"/vector_stores/{whole}"), api.call("DELETE", f"/vector_stores/{some}/files/{one}")
        )
        rest = {id: text for id, text in files.items() if id != one}
        await eventually(lambda: _no_jobs(db), "the end of all jobs")
        await check_store(db, api, some, rest)
        await api.call("DELETE", f"/vector_stores/{some}")
        assert await db.fetchval("SELECT count(*) FROM chunks") == 0
    quiet(node)


async def test_the_blob_goes_while_its_file_is_read(
    start: StartNode, shared: Settings, bring: Bring, db: asyncpg.Connection, tmp_path: Path
) -> None:
    """The sweeper may delete a file's content before the reading process has opened it."""
    node = await start(ingest_concurrency=1, **shared)
    files = await bring(node, prose(2000, 1), prose(2000, 2))
    deleted, lost = files
    (child,) = [await _idle_reader(node, db, bring)]
    child.suspend()
    store_id = await new_store(node.api, deleted)
    await eventually(lambda: db.fetchval("SELECT count(*) FROM jobs WHERE worker IS NOT NULL"), "its claim")
    await node.api.call("DELETE", f"/files/{deleted}")
    await _remove_blobs(db, tmp_path / "blobs")
    child.resume()
    await eventually(lambda: _no_jobs(db), "the end of its job")
    await check_store(db, node.api, store_id, {})
    quiet(node)
    # One that is gone without being deleted is a fault of the server, and says so.
    shutil.rmtree(tmp_path / "blobs")
    store_id = await new_store(node.api, lost)
    await until_read(node.api, store_id)
    file = await node.api.get(f"/vector_stores/{store_id}/files/{lost}")
    assert (file["status"], file["last_error"]["code"]) == ("failed", "server_error")


async def _idle_reader(node: Node, db: asyncpg.Connection, bring: Bring) -> psutil.Process:
    """The reading process of a node, which waits for a file: the next one begins when a test lets it."""
    files = await bring(node, prose(1000, 9))
    await check_store(db, node.api, await new_store(node.api, *files), files)
    (child,) = readers(node.server.process.pid)
    return child


async def _remove_blobs(db: asyncpg.Connection, folder: Path) -> None:
    """Do what the sweeper does to what nobody owns."""
    keys = [row["key"] for row in await db.fetch("DELETE FROM loose_blobs RETURNING key")]
    assert keys
    for key in keys:
        (folder / key).unlink()


# --- PostgreSQL


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder that PostgreSQL's system user may enter, which pytest's own does not let through."""
    made = Path(tempfile.mkdtemp(prefix="assistd-durability-"))
    yield made
    cluster.Cluster(made / "postgres").stop()
    shutil.rmtree(made)


@pytest.fixture
async def own(folder: Path) -> AsyncIterator[tuple[EmbeddedServer, str]]:
    """A PostgreSQL of the test's own, migrated, that nobody starts again but the test; and its DSN."""
    server = EmbeddedServer(folder)
    dsn = await asyncio.to_thread(server.enter)
    conn = await asyncpg.connect(dsn)
    await migrate.migrate(conn)
    await conn.close()
    yield server, dsn
    await asyncio.to_thread(server.leave)


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGQUIT])
async def test_postgres_is_stopped_while_files_are_read(
    start: StartNode,
    own: tuple[EmbeddedServer, str],
    routed: Settings,
    embeddings: HeldEmbeddings,
    bring: Bring,
    how: signal.Signals,
) -> None:
    """Some files wait for their embedding, and one of them gets it while there is no database; others wait."""
    server, dsn = own
    node = await start(database_url=dsn, ingest_concurrency=2, **routed)
    files = await bring(node, *(prose(5000, number) for number in range(5)))
    embeddings.hold()
    store_id = await new_store(node.api, *files)
    await embeddings.until_waiting(2)
    running = server.cluster.running()
    assert running is not None
    os.kill(running.pid, how)
    await eventually(lambda: server.cluster.running() is None, "the end of PostgreSQL")
    await node.says("leases not renewed")
    embeddings.answer()
    await node.says("job interrupted")
    await asyncio.to_thread(server.cluster.start)
    conn = await asyncpg.connect(dsn)
    await eventually(lambda: _answers(node.api, store_id), "the database in the server")
    await check_store(conn, node.api, store_id, files)
    await conn.close()


async def _answers(api: Api, store_id: str) -> bool:
    try:
        await api.get(f"/vector_stores/{store_id}")
    except Refused:
        return False
    return True


# --- many at once


async def test_two_processes_share_a_batch(
    start: StartNode, shared: Settings, bring: Bring, db: asyncpg.Connection
) -> None:
    first, second = await asyncio.gather(start(**shared), start("worker", **shared))
    await second.says("worker ready")
    files = await bring(first, *(prose(3000, number) for number in range(40)))
    store_id = await new_store(first.api)
    path = f"/vector_stores/{store_id}/file_batches"
    batch = await first.api.post(path, {"file_ids": list(files)})
    await check_store(db, first.api, store_id, files)
    batch = await first.api.get(f"{path}/{batch['id']}")
    assert (batch["status"], batch["file_counts"]["completed"]) == ("completed", 40)
    assert readers(second.server.process.pid), "one process did all the work"
    quiet(first)
    quiet(second)


async def test_a_transaction_that_takes_long_keeps_no_other_file_s_lease_from_being_renewed(
    start: StartNode, shared: Settings, bring: Bring, db: asyncpg.Connection
) -> None:
    node = await start(ingest_concurrency=2, **shared)
    files = await bring(node, prose(20_000, 1), prose(LONG, 2))
    small, large = files
    async with db.transaction():
        await db.execute("LOCK TABLE chunks IN SHARE MODE")
        await new_store(node.api, small)
        (writer,) = await eventually(lambda: _waiting(db), "a transaction that has the file")
        store_id = await new_store(node.api, large)
        key = await db.fetchval("SELECT key::text FROM vector_store_files WHERE file_id = $1", large)
        claim = "SELECT due FROM jobs WHERE worker IS NOT NULL AND kind = 'ingest' AND key = $1"
        claimed = await eventually(lambda: db.fetchval(claim, key), "the claim of the other file")

        async def renewed() -> bool:
            assert writer in await _waiting(db), "nothing was renewed until the transaction was given up"
            return bool(await db.fetchval(claim, key) > claimed)

        await eventually(renewed, "a heartbeat")
    await check_store(db, node.api, store_id, {large: files[large]})
    quiet(node)
