"""What an answer names becomes a file of clients, once."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress

import pytest

from assistd.code_interpreter.publishing import Publisher
from assistd.errors import APIError
from tests.code_interpreter.folder import FolderSandboxes
from tests.code_interpreter.room import OTHER, PROJECT, Room, ran

Processes = Callable[..., FolderSandboxes]


async def test_the_same_content_is_published_once(room: Room, processes: Processes) -> None:
    node, thread, publisher = room.node(processes()), await room.thread(), Publisher(room.db)
    await ran(node, thread, "import os; os.mkdir('out'); open('out/a b.csv', 'wb').write(bytes(range(256)))")
    before = room.blobs_there()
    one = await publisher.publish(thread, PROJECT, "out/a b.csv")
    assert one is not None
    assert await room.content(one) == bytes(range(256))
    assert await room.name_of(one) == ("a b.csv", "assistants_output")
    assert await publisher.publish(thread, PROJECT, "out/a b.csv") == one
    assert room.blobs_there() == before, "published without a copy"
    await room.check_blobs()
    # Written again as it was: the same file. Changed: another one, and the first stays.
    await ran(node, thread, "open('out/a b.csv', 'wb').write(bytes(range(256)))")
    assert await publisher.publish(thread, PROJECT, "out/a b.csv") == one
    await ran(node, thread, "open('out/a b.csv', 'wb').write(b'new')")
    two = await publisher.publish(thread, PROJECT, "out/a b.csv")
    assert two not in (one, None)
    assert (await room.content(one), await room.content(two)) == (bytes(range(256)), b"new")
    await room.check_blobs()


async def test_many_at_once(room: Room, processes: Processes) -> None:
    thread, publisher = await room.thread(), Publisher(room.db)
    await ran(room.node(processes()), thread, "for n in range(20): open(str(n), 'w').write('1')")
    for path in map(str, range(20)):
        found = await asyncio.gather(*(publisher.publish(thread, PROJECT, path) for _ in range(4)))
        assert len(set(found)) == 1
    assert await room.query("SELECT count(*) FROM files") == [20]


async def test_an_empty_file(room: Room, processes: Processes) -> None:
    thread = await room.thread()
    await ran(room.node(processes()), thread, "open('empty.txt', 'w')")
    file = await Publisher(room.db).publish(thread, PROJECT, "empty.txt")
    assert file is not None
    assert await room.content(file) == b""


async def test_inputs_are_their_own_files(room: Room, processes: Processes) -> None:
    thread, file, publisher = await room.thread(), await room.file("1", "data.csv"), Publisher(room.db)
    await ran(room.node(processes()), thread, "", [file])
    assert await publisher.publish(thread, PROJECT, "data.csv") == file
    assert await publisher.publish(thread, PROJECT, file) == file
    await room.query("UPDATE files SET expires_at = unix_now() WHERE id = $1", file)
    assert await publisher.publish(thread, PROJECT, "data.csv") is None
    assert await room.paths(thread) == set()


async def test_inputs_that_clients_cannot_have_are_not_given_out(room: Room, processes: Processes) -> None:
    thread, publisher = await room.thread(), Publisher(room.db)
    file = await room.file("1", "data.csv", purpose="assistants")
    node = room.node(processes())
    await ran(node, thread, "", [file])
    assert await room.paths(thread) == set()
    assert await publisher.publish(thread, PROJECT, "data.csv") is None
    # What the code makes of one is the code's.
    await ran(node, thread, "open('data.csv', 'w').write('changed')", [file])
    assert await room.paths(thread) == {file, "data.csv"}
    given = await publisher.publish(thread, PROJECT, "data.csv")
    assert given not in (None, file)
    assert await room.content(given or "") == b"changed"


@pytest.mark.parametrize("path", ["b", "", "a/", "../a", "/mnt/data/a", "a\x00", "\ud800", "x" * 600, "file-x"])
async def test_what_is_not_there(room: Room, processes: Processes, path: str) -> None:
    thread = await room.thread()
    await ran(room.node(processes()), thread, "open('a', 'w').write('1')")
    assert await Publisher(room.db).publish(thread, PROJECT, path) is None


async def test_projects_and_threads_are_apart(room: Room, processes: Processes) -> None:
    thread, other = await room.thread(), await room.thread()
    await ran(room.node(processes()), thread, "open('a', 'w').write('1')")
    publisher = Publisher(room.db)
    assert await publisher.publish(thread, OTHER, "a") is None
    assert await publisher.publish(other, PROJECT, "a") is None
    assert await publisher.publish("thread_none", PROJECT, "a") is None
    assert await room.query("SELECT count(*) FROM files") == [0]


async def test_a_published_file_that_clients_delete(room: Room, processes: Processes) -> None:
    node, thread, publisher = room.node(processes()), await room.thread(), Publisher(room.db)
    await ran(node, thread, "open('a', 'w').write('1'); open('b', 'w').write('2')")
    file = await publisher.publish(thread, PROJECT, "a")
    assert file is not None
    await room.delete_file(file)
    assert set(await room.kept(thread)) == {"b"}
    assert await publisher.publish(thread, PROJECT, "a") is None
    await room.check_blobs()
    # It is gone from the session too, which may write it anew.
    assert (await ran(node, thread, "import os; print(os.listdir('.'))"))[1] == "['b']\n"
    await ran(node, thread, "open('a', 'w').write('1')")
    assert await publisher.publish(thread, PROJECT, "a") not in (file, None)


async def test_all_at_once(room: Room, processes: Processes) -> None:
    """Code that writes, answers that name, clients that delete files and at last the thread: nobody waits for ever."""
    publisher = Publisher(room.db)
    for _ in range(5):
        file = await room.file("1", "data.csv")
        thread, node = await room.thread(file_ids=[file]), room.node(processes())
        await ran(node, thread, "open('a', 'w').write('0')", [file])

        async def write(node=node, thread=thread, file=file) -> None:
            for number in range(5):
                await ran(node, thread, f"open('a', 'w').write('{number}'); open('data.csv', 'w').write('!')", [file])

        async def name(thread=thread) -> None:
            for _ in range(10):
                for path in ("a", "data.csv"):
                    await publisher.publish(thread, PROJECT, path)

        async def delete(thread=thread) -> None:
            for _ in range(5):
                for id in await room.query("SELECT id FROM files"):
                    with suppress(APIError):  # an earlier round did
                        await room.delete_file(id)
            await room.delete_thread(thread)

        done = await asyncio.gather(write(), name(), name(), delete(), return_exceptions=True)
        assert [fault for fault in done if isinstance(fault, BaseException) and not _gone(fault)] == []
    await room.check_blobs()


def _gone(fault: BaseException) -> bool:
    return isinstance(fault, APIError) and fault.status == 404
