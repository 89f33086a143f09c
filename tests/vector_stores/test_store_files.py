"""The files of a vector store: how they come, what they show, how they come again, and how they go."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from assistd.vector_stores import wire
from assistd.vector_stores.content import pieces_of
from tests.faults.refusals import unsupported
from tests.support.errors import Error
from tests.vector_stores.room import Room

AUTO = {"type": "static", "static": {"max_chunk_size_tokens": 800, "chunk_overlap_tokens": 400}}
SMALL = {"type": "static", "static": {"max_chunk_size_tokens": 100, "chunk_overlap_tokens": 20}}
ATTRIBUTES = {"z": "text", "a": True, "year": 2024, "score": 1.5, "empty": ""}


def not_in(store: str, file: str) -> Error:
    return Error(404, f"No file found with id '{file}' in vector store '{store}'.")


def missing(*files: str) -> Error:
    return Error(400, f"The following files were not found: {', '.join(files)}", param="file_ids")


async def attach(room: Room, store: str, file: str, **options: Any) -> Any:
    return (await room.post(f"/vector_stores/{store}/files", {"file_id": file, **options})).ok


async def key_of(room: Room, file: str) -> int:
    ((key,),) = await room.run("SELECT key FROM vector_store_files WHERE file_id = $1", file)
    return int(key)


# --- attaching


async def test_an_attached_file_waits_to_be_read(room: Room) -> None:
    store, file = await room.store(), await room.file()
    made = await attach(room, store, file)
    assert made == {
        "id": file,
        "object": "vector_store.file",
        "usage_bytes": 0,
        "created_at": made["created_at"],
        "vector_store_id": store,
        "status": "in_progress",
        "last_error": None,
        "chunking_strategy": AUTO,
        "attributes": {},
    }
    assert await room.jobs() == [(store, file)]
    assert (await room.get(f"/vector_stores/{store}/files/{file}")).ok == made
    await room.end(store, file)
    done = (await room.get(f"/vector_stores/{store}/files/{file}")).ok
    assert done == made | {"status": "completed", "usage_bytes": 100}


async def test_a_failed_file_says_why(room: Room) -> None:
    file = await room.file()
    store = await room.store(file_ids=[file])
    await room.end(store, file, status="failed")
    failed = (await room.get(f"/vector_stores/{store}/files/{file}")).ok
    assert failed["last_error"] == {"code": "invalid_file", "message": "The file could not be parsed."}


async def test_attributes_and_chunking_are_echoed(room: Room) -> None:
    store, file = await room.store(), await room.file()
    made = await attach(room, store, file, attributes=ATTRIBUTES, chunking_strategy=SMALL)
    assert (made["attributes"], made["chunking_strategy"]) == (ATTRIBUTES, SMALL)
    assert list(made["attributes"]) == list(ATTRIBUTES)
    assert [type(value) for value in made["attributes"].values()] == [str, bool, int, float, str]
    other = await attach(room, store, await room.file(), chunking_strategy={"type": "auto"}, attributes=None)
    assert (other["attributes"], other["chunking_strategy"]) == ({}, AUTO)


async def test_files_that_cannot_be_attached(room: Room) -> None:
    store, foreign = await room.store(), await room.file(project="proj_theirs")
    for wrong in (foreign, "file-none", "no id at all"):
        missing(wrong).check(await room.post(f"/vector_stores/{store}/files", {"file_id": wrong}))
    gone = await room.file()
    await room.run("UPDATE files SET expires_at = unix_now() WHERE id = $1", gone)
    missing(gone).check(await room.post(f"/vector_stores/{store}/files", {"file_id": gone}))
    picture = await room.file("cat.png")
    answer = await room.post(f"/vector_stores/{store}/files", {"file_id": picture})
    unsupported(".png").check(answer)
    assert (await room.get(f"/vector_stores/{store}/files")).ok["data"] == []


async def test_a_store_holds_so_many_files(room: Room, monkeypatch: pytest.MonkeyPatch) -> None:
    assert wire.MAX_FILES == 10_000
    monkeypatch.setattr("assistd.vector_stores.files.MAX_FILES", 3)
    files = await room.files(4)
    store = await room.store(file_ids=files[:2])
    full = Error(400, f"Vector store {store} cannot hold more than 3 files.", param="file_ids")
    full.check(await room.post(f"/vector_stores/{store}/file_batches", {"file_ids": files[2:]}))
    await attach(room, store, files[2])
    full.check(await room.post(f"/vector_stores/{store}/files", {"file_id": files[3]}))
    await attach(room, store, files[2])
    assert (await room.get(f"/vector_stores/{store}")).ok["file_counts"]["total"] == 3


async def test_files_that_come_at_once_find_no_more_room_than_there_is(
    room: Room, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("assistd.vector_stores.files.MAX_FILES", 3)
    store = await room.store()
    coming = [room.post(f"/vector_stores/{store}/files", {"file_id": file}) for file in await room.files(8)]
    assert sorted(answer.status for answer in await asyncio.gather(*coming)) == [200] * 3 + [400] * 5


async def test_workers_are_woken(room: Room) -> None:
    store, file = await room.store(), await room.file()
    heard = asyncio.get_running_loop().create_future()
    async with room.db.acquire() as conn:

        def hear(*said: Any) -> None:
            heard.set_result(said[-1])

        await conn.add_listener("assistd_jobs", hear)
        await attach(room, store, file)
        async with asyncio.timeout(60):
            assert await heard == "ingest"
        await conn.remove_listener("assistd_jobs", hear)


BIG = 2**63


@pytest.mark.parametrize(
    ("attributes", "message", "param", "code"),
    [
        (
            {str(number): "" for number in range(17)},
            "Invalid 'attributes': too many properties. Expected an object with at most 16 properties, but got an "
            "object with 17 properties instead.",
            "attributes",
            "object_above_max_properties",
        ),
        (
            {"a": "x" * 513},
            "Invalid 'attributes.a': string too long. Expected a string with maximum length 512, but got a string "
            "with length 513 instead.",
            "attributes.a",
            "string_above_max_length",
        ),
        (
            {"k" * 65: 1},
            "Invalid property name in 'attributes': 'kkk...kkk' is too long. Expected a string with maximum length "
            "64, but got a string with length 65 instead.",
            "attributes." + "k" * 65,
            "property_name_above_max_length",
        ),
        (
            {"a": None},
            "Invalid type for 'attributes.a': expected one of a string, boolean, integer, or decimal, but got null "
            "instead.",
            "attributes.a",
            "invalid_type",
        ),
        (
            {"a": BIG},
            f"Invalid 'attributes.a': integer above maximum value. Expected a value <= {BIG - 1}, but got {BIG} "
            "instead.",
            "attributes.a",
            "integer_above_max_value",
        ),
        (
            [],
            "Invalid type for 'attributes': expected an object, but got an array instead.",
            "attributes",
            "invalid_type",
        ),
    ],
)
@pytest.mark.parametrize("change", [False, True])
async def test_the_limits_of_attributes(
    room: Room, change: bool, attributes: Any, message: str, param: str, code: str
) -> None:
    store, file = await room.store(), await room.file()
    await attach(room, store, file)
    path = f"/vector_stores/{store}/files"
    if change:
        answer = await room.post(f"{path}/{file}", {"attributes": attributes})
    else:
        answer = await room.post(path, {"file_id": file, "attributes": attributes})
    Error(400, message, param, code).check(answer)


# --- attaching again


async def test_a_file_that_is_there_stays_as_it_is(room: Room) -> None:
    store, file = await room.store(), await room.file()
    made = await attach(room, store, file, attributes={"a": 1}, chunking_strategy=SMALL)
    assert await attach(room, store, file) == made
    await room.end(store, file, passages=["one"])
    done = made | {"status": "completed", "usage_bytes": 100}
    assert await attach(room, store, file) == done
    assert await attach(room, store, file, chunking_strategy=SMALL, attributes=None) == done
    assert await room.jobs() == []
    assert await attach(room, store, file, attributes={"b": 2}) == done | {"attributes": {"b": 2}}
    assert (await room.get(f"/vector_stores/{store}/files/{file}/content")).ok["data"] != []
    assert await room.jobs() == []


@pytest.mark.parametrize("status", ["in_progress", "completed", "failed", "cancelled"])
async def test_a_file_is_read_again_when_its_chunking_changes(room: Room, status: str) -> None:
    store, file = await room.store(), await room.file()
    made = await attach(room, store, file, attributes={"a": 1})
    if status != "in_progress":
        await room.end(store, file, status=status, passages=["one"])
    before = await key_of(room, file)
    again = await attach(room, store, file, chunking_strategy=SMALL)
    assert again == made | {"chunking_strategy": SMALL}
    assert await key_of(room, file) != before, "who reads it still must not end it"
    assert await room.jobs() == [(store, file)]
    assert await room.run("SELECT FROM chunks") == []


@pytest.mark.parametrize("status", ["failed", "cancelled"])
async def test_a_file_that_was_not_read_is_tried_again(room: Room, status: str) -> None:
    store, file = await room.store(), await room.file()
    made = await attach(room, store, file, chunking_strategy=SMALL, attributes={"a": 1})
    await room.end(store, file, status=status)
    assert await attach(room, store, file, attributes={"b": 2}) == made | {"attributes": {"b": 2}}
    assert await room.jobs() == [(store, file)]


# --- attributes


async def test_attributes_are_replaced_as_a_whole(room: Room) -> None:
    store, file = await room.store(), await room.file()
    made = await attach(room, store, file, attributes={"a": 1})
    path = f"/vector_stores/{store}/files/{file}"
    changed = (await room.post(path, {"attributes": ATTRIBUTES})).ok
    assert changed == made | {"attributes": ATTRIBUTES}
    assert (await room.get(path)).ok == changed
    assert (await room.post(path, {"attributes": None})).ok["attributes"] == {}
    answer = await room.post(path, {})
    Error(400, "Missing required parameter: 'attributes'.", "attributes", "missing_required_parameter").check(answer)


# --- lists


async def test_pages_of_files_by_status_and_beside_removed_ones(room: Room) -> None:
    store, files = await room.store(), await room.files(6)
    for file in files:
        await attach(room, store, file)
    await room.end(store, *files[:2])
    await room.end(store, files[2], status="failed")
    path = f"/vector_stores/{store}/files"

    async def page(query: str) -> tuple[list[str], bool]:
        answer = (await room.get(f"{path}?{query}")).ok
        return [file["id"] for file in answer["data"]], answer["has_more"]

    assert await page("") == (files[::-1], False)
    assert await page("order=asc&limit=4") == (files[:4], True)
    assert await page("order=asc&filter=completed") == (files[:2], False)
    assert await page("filter=failed") == ([files[2]], False)
    assert await page("filter=cancelled") == ([], False)
    assert await page(f"order=asc&filter=in_progress&limit=2&after={files[0]}") == (files[3:5], True)
    assert (await room.delete(f"{path}/{files[3]}")).ok
    assert await page(f"order=asc&after={files[3]}") == (files[4:], False)
    assert await page(f"order=asc&before={files[3]}") == (files[:3], False)
    Error(404, "No file found with id 'file-none'.").check(await room.get(f"{path}?after=file-none"))
    answer = await room.get(f"{path}?filter=done")
    choices = "'in_progress', 'completed', 'failed', and 'cancelled'"
    message = f"Invalid value: 'done'. Supported values are: {choices}."
    Error(400, message, "filter", "invalid_value").check(answer)


async def test_a_file_that_came_again_has_its_new_place(room: Room) -> None:
    store, files = await room.store(), await room.files(3)
    path = f"/vector_stores/{store}/files"
    for file in files:
        await attach(room, store, file)
    for _ in range(2):
        assert (await room.delete(f"{path}/{files[0]}")).ok
        await attach(room, store, files[0])
    expected = [*files[1:], files[0]]
    assert [file["id"] for file in (await room.get(f"{path}?order=asc")).ok["data"]] == expected
    assert (await room.get(f"{path}?order=asc&after={files[0]}")).ok["data"] == []


async def test_a_removed_file_marks_its_place_in_its_own_store_only(room: Room) -> None:
    files = await room.files(2)
    one, two = await room.store(file_ids=files), await room.store(file_ids=files[:1])
    assert (await room.delete(f"/vector_stores/{one}/files/{files[1]}")).ok
    assert (await room.get(f"/vector_stores/{one}/files?after={files[1]}")).ok["data"] != []
    answer = await room.get(f"/vector_stores/{two}/files?after={files[1]}")
    Error(404, f"No file found with id '{files[1]}'.").check(answer)


# --- removal


async def test_a_removed_file_is_gone_from_its_store_only(room: Room) -> None:
    file = await room.file()
    one, two = await room.store(file_ids=[file]), await room.store(file_ids=[file])
    for store in (one, two):
        await room.end(store, file, passages=["text"])
    path = f"/vector_stores/{one}/files/{file}"
    assert (await room.delete(path)).ok == {"id": file, "object": "vector_store.file.deleted", "deleted": True}
    not_in(one, file).check(await room.get(path))
    not_in(one, file).check(await room.get(path + "/content"))
    not_in(one, file).check(await room.post(path, {"attributes": {}}))
    not_in(one, file).check(await room.delete(path))
    assert (await room.get(f"/vector_stores/{two}/files/{file}/content")).ok["data"] != []
    assert len(await room.run("SELECT FROM chunks")) == 1
    assert len(await room.run("SELECT FROM files WHERE id = $1", file)) == 1


@pytest.mark.parametrize("id", ["file-none", "file-%00", "asst_1", "%F0%9F%98%80", "x" * 200])
async def test_ids_that_no_file_has(room: Room, id: str) -> None:
    store = await room.store()
    for method, tail, body in (("GET", "", None), ("POST", "", {"attributes": {}}), ("DELETE", "", None)):
        answer = await room(method, f"/vector_stores/{store}/files/{id}{tail}", body)
        assert answer.status == 404
        assert f"in vector store '{store}'" in answer.json["error"]["message"]


# --- content


async def test_content_is_the_text_without_what_passages_share(room: Room) -> None:
    file = await room.file()
    store = await room.store(file_ids=[file])
    path = f"/vector_stores/{store}/files/{file}/content"
    page = {"object": "vector_store.file_content.page", "data": [], "has_more": False, "next_page": None}
    assert (await room.get(path)).ok == page
    words = [f"word{number}" for number in range(30)]
    await room.end(store, file, passages=[" ".join(words[at : at + 10]) for at in range(0, 25, 5)])
    got = (await room.get(path)).ok
    assert got == page | {"data": got["data"]}
    assert [list(part) for part in got["data"]] == [["text", "type"]] * 5
    assert "".join(part["text"] for part in got["data"]) == " ".join(words)


@pytest.mark.parametrize(
    ("passages", "pieces"),
    [
        ([], []),
        (["a"], ["a"]),
        (["the quick brown fox jumps", "brown fox jumps over the dog"], ["the quick brown fox jumps", " over the dog"]),
        (["no overlap here at all", "and another passage"], ["no overlap here at all", "and another passage"]),
        # What is contained in the one before is not said again, and the next goes on from it.
        (
            ["a long passage with an end that is long", "an end that is long", "end that is long and more"],
            ["a long passage with an end that is long", " and more"],
        ),
        # Short matches may be chance.
        (["it was a", "a dog, and nothing else"], ["it was a", "a dog, and nothing else"]),
        (["it was the end of", "the end of"], ["it was the end of", "the end of"]),
        # A beginning that occurs several times: the place counts whose rest fits to the end.
        (
            [
                "one two three four five, one two three four six",
                "one two three four six seven eight nine ten eleven twelve",
            ],
            ["one two three four five, one two three four six", " seven eight nine ten eleven twelve"],
        ),
        (
            ["日本語の文章はこのように書かれています", "はこのように書かれていますそして続く"],
            ["日本語の文章はこのように書かれています", "そして続く"],
        ),
    ],
)
def test_pieces_of_passages(passages: list[str], pieces: list[str]) -> None:
    assert list(pieces_of(passages, overlapping=True)) == pieces
    assert list(pieces_of(passages, overlapping=False)) == passages


def test_pieces_of_a_text_that_repeats_itself_take_no_long_time() -> None:
    hostile = ["a" * 100_000 + "b", "a" * 100_000 + "c"]
    assert list(pieces_of(hostile * 20, overlapping=True)) == hostile * 20


# --- several at once


async def test_two_who_attach_the_same_file_get_the_same_one(room: Room) -> None:
    store, file = await room.store(), await room.file()
    made = await asyncio.gather(*(attach(room, store, file) for _ in range(8)))
    assert made == [made[0]] * 8
    assert await room.jobs() == [(store, file)]


async def test_files_come_while_the_store_goes(room: Room) -> None:
    files = await room.files(8)
    for _ in range(5):
        store = await room.store()
        path = f"/vector_stores/{store}"
        attaching = [room.post(f"{path}/files", {"file_id": file}) for file in files]
        answers = await asyncio.gather(*attaching[:4], room.delete(path), *attaching[4:])
        assert {answer.status for answer in answers} <= {200, 404}
        assert answers[4].status == 200
        assert await room.run("SELECT FROM vector_store_files") == []


async def test_a_file_goes_while_it_is_attached(room: Room) -> None:
    """As deleting a file does it, in the words of its room."""
    for _ in range(5):
        store, file = await room.store(), await room.file()
        deletion = room.run("DELETE FROM files WHERE id = $1", file)
        attaching = [room.post(f"/vector_stores/{store}/files", {"file_id": file}) for _ in range(4)]
        answers = await asyncio.gather(*attaching[:2], deletion, *attaching[2:])
        statuses = {answer.status for answer in answers if not isinstance(answer, list)}
        assert statuses <= {200, 400}
        assert (await room.get(f"/vector_stores/{store}/files")).ok["data"] == []


async def test_a_file_that_is_deleted_keeps_its_place_for_who_pages(room: Room) -> None:
    """Clients delete the files of a store while they page through it."""
    first, second, third = await room.files(3)
    store_id = await room.store(file_ids=[first, second, third])
    await room.run("DELETE FROM files WHERE id = $1", second)
    page = (await room.get(f"/vector_stores/{store_id}/files?order=asc&after={second}")).ok
    assert [file["id"] for file in page["data"]] == [third]
    # Where the store goes too, there is nothing to page through and no place to keep.
    assert (await room.delete(f"/vector_stores/{store_id}")).ok["deleted"]
    assert await room.run("SELECT FROM tombstones WHERE id = $1", f"{store_id}/{third}") == []
