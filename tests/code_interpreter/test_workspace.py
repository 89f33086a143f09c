"""A thread's workspace: which files are there, what is kept, what the model is told."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from assistd.code_interpreter import keeping
from assistd.code_interpreter.publishing import Publisher
from assistd.code_interpreter.store import inputs
from assistd.code_interpreter.workspace import STATE_GONE
from assistd.errors import APIError
from assistd.files.blobs import BlobsUnavailable
from assistd.sandbox.faults import SandboxRefused
from assistd.sandbox.limits import Limits
from assistd.sandbox.outputs import Logs
from tests.code_interpreter.folder import PNG, FolderSandboxes
from tests.code_interpreter.room import OTHER, PROJECT, Room, images, ran, said

Processes = Callable[..., FolderSandboxes]

LIST = "import os; print(sorted(os.listdir('.')))"
LOST = (
    "[The session was ended: it used more memory than 1,000 MB. Variables are gone; files saved by earlier calls are "
    "still in /mnt/data.]\n"
)


# --- one session


async def test_variables_live_from_run_to_run(room: Room, processes: Processes) -> None:
    node, thread = room.node(processes()), await room.thread()
    assert await ran(node, thread, "x = 41") == ([], "")
    assert await ran(node, thread, "print(x + 1)") == ([], "42\n")
    # Another thread has its own.
    assert "NameError" in (await ran(node, await room.thread(), "print(x)"))[1]
    assert await room.query("SELECT worker, used_at > unix_now() - 60 FROM code_sessions") == [("w", True)] * 2


async def test_inputs_are_there_by_id_and_by_name(room: Room, processes: Processes) -> None:
    node, thread = room.node(sandboxes := processes()), await room.thread()
    one, two = await room.file("old", "data.csv"), await room.file("new", "data.csv")
    code = f"print([open(n).read() for n in ('{one}', '{two}', 'data.csv', 'data (2).csv')])"
    assert await ran(node, thread, code, [one, two]) == ([], "['old', 'new', 'new', 'old']\n")
    assert await room.paths(thread) == {one, two, "data.csv", "data (2).csv"}
    sent = sandboxes.sessions[thread].sent
    assert len(sent) == 4
    # Nothing is sent again, and nothing was kept: all is as it came.
    await ran(node, thread, "", [one, two])
    assert len(sent) == 4
    assert await room.kept(thread) == {}


async def test_inputs_come_and_go(room: Room, processes: Processes) -> None:
    node, thread = room.node(sandboxes := processes()), await room.thread()
    one, two = await room.file("1", "data.csv"), await room.file("2", "data.csv")
    await ran(node, thread, "", [one])
    sandboxes.sessions[thread].sent.clear()
    assert (await ran(node, thread, "print(open('data.csv').read())", [one, two]))[1] == "2\n"
    assert sandboxes.sessions[thread].sent == [
        ("remove", "data.csv"),
        ("put", two),
        ("link", "data.csv"),
        ("link", "data (2).csv"),
    ]
    assert (await ran(node, thread, LIST, [two]))[1] == str(sorted(["data.csv", two])) + "\n"
    assert (await ran(node, thread, LIST, []))[1] == "[]\n"
    assert await room.paths(thread) == set()
    assert (await ran(node, thread, "print(open('data.csv').read())", [one]))[1] == "1\n"


async def test_files_of_others_and_files_that_are_gone(room: Room, processes: Processes) -> None:
    node, thread = room.node(processes()), await room.thread()
    foreign, late = await room.file("x", project=OTHER), await room.file("x")
    await room.query("UPDATE files SET expires_at = unix_now() WHERE id = $1", late)
    notes, listed = await ran(node, thread, LIST, [foreign, late, "file-none"])
    assert notes == [f"{foreign} is no longer there.", f"{late} is no longer there.", "file-none is no longer there."]
    assert listed == "[]\n"
    # Told once to a session.
    assert (await ran(node, thread, LIST, [foreign, late, "file-none"]))[0] == []


async def test_a_thread_that_is_gone_or_of_another_project(room: Room, processes: Processes) -> None:
    node = room.node(sandboxes := processes())
    for thread in ("thread_none", await room.thread(OTHER)):
        with pytest.raises(APIError, match="No thread found"):
            await ran(node, thread, "")
    assert (sandboxes.held, sandboxes.sessions) == (set(), {})


async def test_a_file_that_does_not_fit(room: Room, processes: Processes) -> None:
    node, thread = room.node(processes(1000)), await room.thread()
    big, small = await room.file("x" * 2000, "big.csv"), await room.file("x", "small.csv")
    notes, listed = await ran(node, thread, LIST, [big, small])
    assert notes == [
        f"{big} (big.csv) has 2,000 bytes, which is more than the code interpreter's disk has left, and is not there."
    ]
    assert listed == str(sorted(["small.csv", small])) + "\n"
    assert (await ran(node, thread, "", [big, small]))[0] == []


async def test_the_store_of_files_is_out_of_reach(
    room: Room, processes: Processes, monkeypatch: pytest.MonkeyPatch
) -> None:
    node, thread = room.node(processes()), await room.thread()
    file = await room.file("content", "data.csv")

    with monkeypatch.context() as patch:
        patch.setattr(type(room.blobs), "read", no_content)
        notes, _ = await ran(node, thread, "", [file])
        assert notes == [f"{file} (data.csv) could not be read and is not there."]
    with monkeypatch.context() as patch:
        patch.setattr(type(room.blobs), "_put", no_room)
        async with node.open(thread, PROJECT, [file]) as workspace:
            # Now it could be read.
            assert await said(workspace, "open('a', 'w').write('1'); print(open('data.csv').read())") == (
                "content\n[Not kept as the store of files is out of reach: a (1 byte)]\n"
            )
            assert await said(workspace, "") == ""
            shown = [output async for output in workspace.run("show()")]
            assert shown == [Logs("[A picture is lost: the store of files is out of reach.]\n")]
    assert await room.kept(thread) == {}
    await ran(node, thread, "", [file])
    assert await room.kept(thread) == {"a": b"1"}
    await room.check_blobs()


async def no_content(*_: object) -> AsyncIterator[bytes]:
    raise BlobsUnavailable("down")
    yield b""


async def no_room(*_: object) -> None:
    raise BlobsUnavailable("down")


# --- what is kept


async def test_what_the_code_writes_is_kept(room: Room, processes: Processes) -> None:
    node, thread = room.node(sandboxes := processes()), await room.thread()
    code = "import os; os.mkdir('out'); open('out/a b.csv', 'wb').write(bytes(range(256)) * 999); open('e', 'w')"
    assert await ran(node, thread, code) == ([], "")
    assert await room.kept(thread) == {"out/a b.csv": bytes(range(256)) * 999, "e": b""}
    assert await room.paths(thread) == {"out/a b.csv", "e"}
    # Unchanged files are not read again; removed ones are forgotten.
    sandboxes.sessions[thread].sent.clear()
    await ran(node, thread, "os.remove('e')")
    assert sandboxes.sessions[thread].sent == []
    assert set(await room.kept(thread)) == {"out/a b.csv"}
    await ran(node, thread, "open('out/a b.csv', 'w').write('new')")
    assert await room.kept(thread) == {"out/a b.csv": b"new"}
    # Removed, and written again as it was, without leaving.
    async with node.open(thread, PROJECT, []) as workspace:
        await said(workspace, "os.remove('out/a b.csv')")
        assert await room.kept(thread) == {}
        await said(workspace, "open('out/a b.csv', 'w').write('new')")
        assert await room.kept(thread) == {"out/a b.csv": b"new"}
    await room.check_blobs()


async def test_the_same_content_written_again_is_no_change(room: Room, processes: Processes) -> None:
    node, thread = room.node(processes()), await room.thread()
    await ran(node, thread, "open('a', 'w').write('1')")
    before = room.blobs_there()
    await ran(node, thread, "open('a', 'w').write('1')")
    assert room.blobs_there() == before
    await ran(node, thread, "open('a', 'w').write('2')")
    assert await room.kept(thread) == {"a": b"2"}
    await room.check_blobs()


async def test_links_are_not_followed(room: Room, processes: Processes) -> None:
    node, thread = room.node(processes()), await room.thread()
    await ran(node, thread, "import os; os.symlink('/etc/passwd', 'passwd'); os.symlink('/etc', 'etc')")
    assert await room.kept(thread) == {}


async def test_an_input_that_the_code_overwrote(room: Room, processes: Processes) -> None:
    thread, file = await room.thread(), await room.file("old", "data.csv")
    await ran(room.node(processes()), thread, "open('data.csv', 'w').write('new')", [file])
    assert await room.kept(thread) == {file: b"new"}
    # It is so in the next session, and in an answer; the file that was uploaded is as it was.
    notes, read = await ran(room.node(processes()), thread, "print(open('data.csv').read())", [file])
    assert (notes, read) == ([STATE_GONE], "new\n")
    published = await Publisher(room.db).publish(thread, PROJECT, "data.csv")
    assert published not in (file, None)
    assert (await room.content(published), await room.name_of(published)) == (b"new", ("data.csv", "assistants_output"))
    assert await Publisher(room.db).publish(thread, PROJECT, file) == published
    assert await room.content(file) == b"old"
    await room.check_blobs()


async def test_a_file_of_the_codes_own_in_the_place_of_a_link(room: Room, processes: Processes) -> None:
    node, thread, file = room.node(processes()), await room.thread(), await room.file("old", "data.csv")
    await ran(node, thread, "import os; os.remove('data.csv'); open('data.csv', 'w').write('mine')", [file])
    assert await room.kept(thread) == {"data.csv": b"mine"}
    for process in (node, room.node(processes())):
        assert (await ran(process, thread, "print(open('data.csv').read())", [file]))[1] == "mine\n"
    # The input goes, the code's file stays.
    assert (await ran(node, thread, LIST, []))[1] == "['data.csv']\n"


async def test_too_many_files(room: Room, processes: Processes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keeping, "MOST_FILES", 3)
    node, thread = room.node(processes()), await room.thread()
    told = (await ran(node, thread, "for i in range(10): open(f'f{i}', 'w').write('x' * i)"))[1]
    assert told == (
        "[Not kept when this session ends, as at most 3 files and 512 MB are: f3 (3 bytes), f4 (4 bytes), "
        "f5 (5 bytes), f6 (6 bytes), f7 (7 bytes) and 2 more]\n"
    )
    assert set(await room.kept(thread)) == {"f0", "f1", "f2"}
    # It is told once; files that are kept can change; where one goes, another has its place.
    assert (await ran(node, thread, "open('f1', 'w').write('!')"))[1] == ""
    assert (await room.kept(thread))["f1"] == b"!"
    assert (await ran(node, thread, "import os; os.remove('f0')"))[1] == ""
    assert set(await room.kept(thread)) == {"f1", "f2", "f3"}
    await room.check_blobs()


async def test_too_much(room: Room, processes: Processes) -> None:
    """Also where a file only claims to be large."""
    node, thread = room.node(processes(), limits=Limits(disk=100)), await room.thread()
    code = "open('hole', 'wb').truncate(10_000_000_000); open('a', 'w').write('x' * 60); open('b', 'w').write('x' * 60)"
    told = (await ran(node, thread, code))[1]
    assert told == (
        "[Not kept when this session ends, as at most 1,000 files and 100 bytes are: b (60 bytes), hole (9,537 MB)]\n"
    )
    assert set(await room.kept(thread)) == {"a"}
    await ran(node, thread, "open('a', 'w').write('x' * 40)")
    assert {path: len(content) for path, content in (await room.kept(thread)).items()} == {"a": 40, "b": 60}


async def test_more_files_than_are_listed(room: Room, processes: Processes) -> None:
    """What is not on a list that was cut is not gone for that."""
    node, thread = room.node(processes(), limits=Limits(listed=3)), await room.thread()
    await ran(node, thread, "open('a', 'w').write('1')")
    await ran(node, thread, "import os; os.remove('a'); [open(n, 'w') for n in 'bcd']")
    assert set(await room.kept(thread)) == set("abcd")
    await ran(node, thread, "os.remove('b')")
    assert set(await room.kept(thread)) == set("cd")


async def test_files_that_cannot_be_listed_or_read(
    room: Room, processes: Processes, monkeypatch: pytest.MonkeyPatch
) -> None:
    node, thread = room.node(sandboxes := processes()), await room.thread()
    await ran(node, thread, "open('a', 'w').write('1')")

    async def refuse(*_: object) -> Any:
        raise SandboxRefused("Too many open files")

    async def refuse_to_read(*_: object) -> AsyncIterator[bytes]:
        raise SandboxRefused("Too many open files")
        yield b""

    session = type(sandboxes.sessions[thread])
    with monkeypatch.context() as patch:
        patch.setattr(session, "files", refuse)
        assert (await ran(node, thread, "open('b', 'w').write('2')"))[1] == (
            "[What is new in /mnt/data is not kept: it could not be listed (Too many open files)]\n"
        )
    with monkeypatch.context() as patch:
        patch.setattr(session, "read", refuse_to_read)
        for code in ("", "open('a', 'w').write('2')"):
            await ran(node, thread, code)
        told = (await ran(node, thread, "open('a', 'w').write('22')"))[1]
        assert told == "[Not kept as it could not be read (Too many open files): a (2 bytes)]\n"
    assert await room.kept(thread) == {"a": b"1"}
    await ran(node, thread, "")
    assert await room.kept(thread) == {"a": b"22", "b": b"2"}


async def test_a_deleted_thread_frees_its_blobs(room: Room, processes: Processes) -> None:
    node, thread = room.node(processes()), await room.thread()
    await ran(node, thread, "open('a', 'w').write('1'); open('b', 'w').write('2')")
    published = await Publisher(room.db).publish(thread, PROJECT, "a")
    await room.delete_thread(thread)
    assert await room.query("SELECT count(*) FROM code_files") == [0]
    assert await room.query("SELECT count(*) FROM code_sessions") == [0]
    await room.check_blobs()
    # What an answer gave to clients is theirs.
    assert await room.content(published) == b"1"


async def test_a_thread_that_is_deleted_while_code_runs(room: Room, processes: Processes) -> None:
    node, thread = room.node(sandboxes := processes()), await room.thread()
    async with node.open(thread, PROJECT, []) as workspace:
        await room.delete_thread(thread)
        assert await said(workspace, "open('a', 'w').write('1')") == (
            "[The thread was deleted, or goes on elsewhere.]\n"
        )
    assert thread not in sandboxes.sessions
    assert await room.query("SELECT count(*) FROM code_files") == [0]
    assert room.blobs_there() == []
    await room.check_blobs()


# --- pictures


async def test_pictures_become_files(room: Room, processes: Processes) -> None:
    node, thread = room.node(processes()), await room.thread()
    async with node.open(thread, PROJECT, []) as workspace:
        shown = [output async for output in workspace.run("print('a'); show(); show()")]
    assert [type(output).__name__ for output in shown] == ["Logs", "Image", "Image"]
    one, two = images(shown)
    assert await room.content(one) == await room.content(two) == PNG
    filename, purpose = await room.name_of(one)
    assert (len(filename), filename[-4:], purpose) == (12, ".png", "assistants_output")
    await room.check_blobs()


# --- sessions that end


async def test_a_session_that_is_lost(room: Room, processes: Processes) -> None:
    node, thread = room.node(processes()), await room.thread()
    file = await room.file("input", "in.txt")
    async with node.open(thread, PROJECT, [file]) as workspace:
        assert workspace.notes == []
        assert await said(workspace, "x = 1; open('a', 'w').write('kept')") == ""
        assert await said(workspace, "open('b', 'w').write('lost'); die()") == LOST
        # The next run, in the same breath, has a new one with the files.
        assert await said(workspace, "print(open('a').read(), open('in.txt').read(), 'x' in globals())") == (
            "kept input False\n"
        )
    # Nothing more to tell: it was told in the output.
    assert await ran(node, thread, "print(1)", [file]) == ([], "1\n")
    assert set(await room.kept(thread)) == {"a"}


async def test_a_session_that_was_lost_between_runs(room: Room, processes: Processes) -> None:
    node, thread = room.node(sandboxes := processes()), await room.thread()
    await ran(node, thread, "x = 1; open('a', 'w').write('kept')")
    await sandboxes.drop(thread)
    assert await ran(node, thread, "print(open('a').read())") == ([STATE_GONE], "kept\n")
    assert await ran(node, thread, "print(1)") == ([], "1\n")


async def test_our_words_begin_a_line(room: Room, processes: Processes) -> None:
    """Also where the session ends behind the code, before its files could be looked at."""
    node, thread = room.node(sandboxes := processes()), await room.thread()
    async with node.open(thread, PROJECT, []) as workspace:
        code = workspace.run("print('no end of line', end='')")
        assert await anext(code) == Logs("no end of line")
        sandboxes.sessions[thread].end("The session was ended: it used more memory than 1,000 MB.")
        assert await anext(code) == Logs("\n" + LOST)
        await code.aclose()


async def test_whoever_stops_listening_ends_the_session(room: Room, processes: Processes) -> None:
    node, thread = room.node(sandboxes := processes()), await room.thread()
    await ran(node, thread, "x = 1")
    async with node.open(thread, PROJECT, []) as workspace:
        code = workspace.run("print(1)")
        assert await anext(code) == Logs("1\n")
        await code.aclose()
        assert thread not in sandboxes.sessions
        # Even so the workspace can be used.
        assert await said(workspace, "print('x' in globals())") == "False\n"
    assert sandboxes.held == set()


async def test_a_run_that_is_left_in_the_middle(room: Room, processes: Processes) -> None:
    """The iterator is not closed by anybody."""
    node, thread = room.node(sandboxes := processes()), await room.thread()
    async with node.open(thread, PROJECT, []) as workspace:
        code = workspace.run("print(1)")
        await anext(code)
    assert (sandboxes.sessions, sandboxes.held) == ({}, set())
    await code.aclose()
    assert (await ran(node, thread, ""))[0] == [STATE_GONE]


async def test_a_run_that_is_cancelled(room: Room, processes: Processes, monkeypatch: pytest.MonkeyPatch) -> None:
    node, thread = room.node(sandboxes := processes()), await room.thread()
    await ran(node, thread, "x = 1")
    begun = asyncio.Event()

    async def endless(self: object, code: str) -> Any:
        begun.set()
        await asyncio.Event().wait()
        yield Logs("")

    monkeypatch.setattr(type(sandboxes.sessions[thread]), "run", endless)
    running = asyncio.create_task(ran(node, thread, "while True: pass"))
    await begun.wait()
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert (sandboxes.sessions, sandboxes.held) == ({}, set())
    monkeypatch.undo()
    assert await ran(node, thread, "print(1)") == ([STATE_GONE], "1\n")


async def test_the_database_is_not_held_while_code_runs(room: Room, processes: Processes) -> None:
    """The pool has four connections."""
    node = room.node(processes())
    threads = [await room.thread() for _ in range(8)]
    opened = [node.open(thread, PROJECT, []) for thread in threads]
    workspaces = [await workspace.__aenter__() for workspace in opened]
    codes = [workspace.run("print(1)") for workspace in workspaces]
    for code in codes:
        assert await anext(code) == Logs("1\n")
    for code in codes:
        assert [output async for output in code] == []
    for workspace in opened:
        await workspace.__aexit__(None, None, None)


# --- several processes


async def test_another_process_finds_the_files(room: Room, processes: Processes) -> None:
    thread, file = await room.thread(), await room.file("in", "in.txt")
    await ran(room.node(processes(), "one"), thread, "x = 1; open('a', 'w').write('1')", [file])
    two = room.node(processes(), "two")
    notes, read = await ran(two, thread, "print(open('a').read(), open('in.txt').read(), 'x' in globals())", [file])
    assert (notes, read) == ([STATE_GONE], "1 in False\n")
    assert await room.query("SELECT worker FROM code_sessions") == ["two"]


async def test_a_session_that_is_out_of_date(room: Room, processes: Processes) -> None:
    thread, one, two = await room.thread(), room.node(processes()), room.node(processes())
    await ran(one, thread, "x = 'old'; open('a', 'w').write('old')")
    await ran(two, thread, "x = 'new'; open('a', 'w').write('new')")
    # The first process has a session with x in it, and must not use it.
    notes, read = await ran(one, thread, "print('x' in globals(), open('a').read())")
    assert (notes, read) == ([STATE_GONE], "False new\n")
    assert (await ran(one, thread, ""))[0] == []
    assert (await ran(two, thread, ""))[0] == [STATE_GONE]
    assert await room.kept(thread) == {"a": b"new"}


async def test_a_process_that_is_late_changes_nothing(room: Room, processes: Processes) -> None:
    """It was presumed dead while it ran code, and another has gone on."""
    thread, one, two = await room.thread(), room.node(sandboxes := processes()), room.node(processes())
    await ran(one, thread, "open('a', 'w').write('1')")
    async with one.open(thread, PROJECT, []) as late:
        await ran(two, thread, "open('a', 'w').write('2')")
        assert await said(late, "open('a', 'w').write('late'); open('b', 'w').write('late')") == (
            "[The thread was deleted, or goes on elsewhere.]\n"
        )
    assert await room.kept(thread) == {"a": b"2"}
    assert thread not in sandboxes.sessions
    async with one.open(thread, PROJECT, []) as late:
        await ran(two, thread, "")
        shown = [output async for output in late.run("show()")]
        assert images(shown) == []
    await room.check_blobs()


async def test_what_could_not_be_restored_stays_kept(
    room: Room, processes: Processes, monkeypatch: pytest.MonkeyPatch
) -> None:
    thread = await room.thread()
    await ran(room.node(processes()), thread, "open('a', 'w').write('1'); open('b', 'w').write('2')")
    node = room.node(processes())
    with monkeypatch.context() as patch:
        patch.setattr(type(room.blobs), "read", no_content)
        notes, listed = await ran(node, thread, LIST)
    words = "which an earlier session saved, could not be read and is not there."
    assert notes == [STATE_GONE, f"/mnt/data/a, {words}", f"/mnt/data/b, {words}"]
    assert listed == "[]\n"
    # The code has written one of them anew by the time that the store is back: that one counts.
    assert (await ran(node, thread, "open('b', 'w').write('new')"))[0] == []
    assert (await ran(node, thread, "print(open('a').read(), open('b').read())"))[1] == "1 new\n"
    assert await room.kept(thread) == {"a": b"1", "b": b"new"}


async def test_what_could_not_be_restored_does_not_replace_what_is_newer(
    room: Room, processes: Processes, monkeypatch: pytest.MonkeyPatch
) -> None:
    thread = await room.thread()
    await ran(room.node(processes()), thread, "open('a', 'w').write('old')")
    node = room.node(processes())
    with monkeypatch.context() as patch:
        patch.setattr(type(room.blobs), "read", no_content)
        patch.setattr(type(room.blobs), "_put", no_room)
        assert "[Not kept" in (await ran(node, thread, "open('a', 'w').write('new')"))[1]
    assert await room.kept(thread) == {"a": b"old"}
    assert await ran(node, thread, "print(open('a').read())") == ([], "new\n")
    assert await room.kept(thread) == {"a": b"new"}


async def test_a_disk_that_has_become_smaller(room: Room, processes: Processes) -> None:
    thread = await room.thread()
    await ran(room.node(processes()), thread, "open('a', 'w').write('x' * 2000)")
    notes, _ = await ran(room.node(processes(1000)), thread, "")
    assert notes == [
        STATE_GONE,
        "/mnt/data/a, which an earlier session saved, has 2,000 bytes, which is more than the code interpreter's disk "
        "has left, and is not there.",
    ]
    assert set(await room.kept(thread)) == {"a"}


# --- which inputs


async def test_inputs_of_a_run(room: Room) -> None:
    a, b, c = [await room.file("x") for _ in range(3)]
    thread = await room.thread(file_ids=[c, a])
    resources = json.dumps({"code_interpreter": {"file_ids": [a, b]}})
    await room.query(
        "INSERT INTO assistants (id, project_id, model, tools, tool_resources, metadata, temperature, top_p, "
        "response_format) VALUES ('asst_1', $1, 'm', '[]', $2, '{}', 1, 1, '\"auto\"')",
        PROJECT,
        resources,
    )

    async def found(own: Any, thread_id: str = thread, assistant_id: str = "asst_1") -> list[str]:
        async with room.db.acquire() as conn:
            raw = (await conn.fetchval("SELECT $1::json", json.dumps(own))) if own is not None else None
            return await inputs(conn, raw, thread_id, assistant_id)

    assert await found({}) == await found(None) == [a, b, c]
    assert await found({"code_interpreter": {"file_ids": [b]}}) == [b, c, a]
    assert await found({"code_interpreter": {}}) == [a, b, c]
    assert await found({}, assistant_id="asst_none") == [c, a]
    assert await found({}, "thread_none") == []
    # The assistant of another project gives nothing.
    assert await found({}, await room.thread(OTHER)) == []
