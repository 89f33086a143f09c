"""File batches: files that come together, and how far they are."""

from __future__ import annotations

import asyncio
import re
from typing import Any

import pytest

from tests.support.errors import Error
from tests.vector_stores.room import Room

BATCH_ID = re.compile(r"vsfb_[0-9a-f]{32}")
SMALL = {"type": "static", "static": {"max_chunk_size_tokens": 100, "chunk_overlap_tokens": 20}}
AUTO = {"type": "static", "static": {"max_chunk_size_tokens": 800, "chunk_overlap_tokens": 400}}


def counts(**by_status: int) -> dict[str, int]:
    none = {"in_progress": 0, "completed": 0, "failed": 0, "cancelled": 0}
    return {**none, **by_status, "total": sum(by_status.values())}


async def batch_of(room: Room, store: str, **options: Any) -> Any:
    return (await room.post(f"/vector_stores/{store}/file_batches", options)).ok


async def now(room: Room, batch: Any) -> Any:
    return (await room.get(f"/vector_stores/{batch['vector_store_id']}/file_batches/{batch['id']}")).ok


async def cancel(room: Room, batch: Any) -> Any:
    return (await room.post(f"/vector_stores/{batch['vector_store_id']}/file_batches/{batch['id']}/cancel")).ok


async def test_a_batch_shows_every_field_and_its_files_are_read(room: Room) -> None:
    store, files = await room.store(), await room.files(3)
    made = await batch_of(room, store, file_ids=files)
    assert BATCH_ID.fullmatch(made["id"])
    assert made == {
        "id": made["id"],
        "object": "vector_store.file_batch",
        "created_at": made["created_at"],
        "vector_store_id": store,
        "status": "in_progress",
        "file_counts": counts(in_progress=3),
    }
    assert await now(room, made) == made
    assert await room.jobs() == [(store, file) for file in files]
    listed = (await room.get(f"/vector_stores/{store}/file_batches/{made['id']}/files?order=asc")).ok["data"]
    assert [file["id"] for file in listed] == files
    assert listed == (await room.get(f"/vector_stores/{store}/files?order=asc")).ok["data"]


async def test_attributes_and_chunking_for_all_or_for_each(room: Room) -> None:
    store, files = await room.store(), await room.files(4)
    await batch_of(room, store, file_ids=files[:2], attributes={"a": 1}, chunking_strategy=SMALL)
    each = [{"file_id": files[2], "attributes": {"b": True}}, {"file_id": files[3], "chunking_strategy": SMALL}]
    await batch_of(room, store, files=each, attributes={"ignored": 1}, chunking_strategy=SMALL)
    shown = (await room.get(f"/vector_stores/{store}/files?order=asc")).ok["data"]
    assert [(file["attributes"], file["chunking_strategy"]) for file in shown] == [
        ({"a": 1}, SMALL),
        ({"a": 1}, SMALL),
        ({"b": True}, AUTO),
        ({}, SMALL),
    ]


async def test_a_batch_follows_its_files(room: Room) -> None:
    store, files = await room.store(), await room.files(3)
    batch = await batch_of(room, store, file_ids=files)
    await room.end(store, files[0], status="failed")
    assert await now(room, batch) == batch | {"file_counts": counts(failed=1, in_progress=2)}
    await room.end(store, files[1], status="failed")
    await room.end(store, files[2])
    assert await now(room, batch) == batch | {"status": "completed", "file_counts": counts(failed=2, completed=1)}


async def test_a_batch_whose_files_all_failed_has_failed(room: Room) -> None:
    store, files = await room.store(), await room.files(2)
    batch = await batch_of(room, store, file_ids=files)
    await room.end(store, *files, status="failed")
    assert await now(room, batch) == batch | {"status": "failed", "file_counts": counts(failed=2)}


async def test_two_thousand_files_come_in_one_batch(room: Room) -> None:
    store, files = await room.store(), await room.files(2000)
    batch = await batch_of(room, store, file_ids=files)
    assert batch["file_counts"] == counts(in_progress=2000)
    assert await room.jobs() == [(store, file) for file in files]
    assert await batch_of(room, store, file_ids=files) != batch
    again = await batch_of(room, store, files=[{"file_id": file, "attributes": {"a": 1}} for file in files])
    assert again["file_counts"] == counts(in_progress=2000)
    cancelled = await cancel(room, again)
    assert (cancelled["status"], cancelled["file_counts"]) == ("cancelled", counts(cancelled=2000))
    assert await room.jobs() == []


async def test_a_file_that_is_named_twice_or_is_there_already_counts_once(room: Room) -> None:
    files = await room.files(2)
    store = await room.store(file_ids=files[:1])
    await room.end(store, files[0])
    batch = await batch_of(room, store, file_ids=[files[0], files[1], files[0], files[1]])
    assert batch["file_counts"] == counts(in_progress=1, completed=1)
    assert await room.jobs() == [(store, files[1])]


async def test_the_file_of_a_batch_stays_in_it_when_it_is_read_again(room: Room) -> None:
    store, files = await room.store(), await room.files(2)
    first = await batch_of(room, store, file_ids=files)
    await room.end(store, *files)
    second = await batch_of(room, store, file_ids=files[:1], chunking_strategy=SMALL)
    assert second["file_counts"] == counts(in_progress=1)
    assert (await now(room, first))["file_counts"] == counts(in_progress=1, completed=1)


async def test_a_batch_forgets_files_that_left_the_store(room: Room) -> None:
    store, files = await room.store(), await room.files(3)
    batch = await batch_of(room, store, file_ids=files)
    path = f"/vector_stores/{store}/file_batches/{batch['id']}/files"
    assert (await room.delete(f"/vector_stores/{store}/files/{files[1]}")).ok
    assert (await now(room, batch))["file_counts"] == counts(in_progress=2)
    after = (await room.get(f"{path}?order=asc&after={files[1]}")).ok
    assert [file["id"] for file in after["data"]] == files[2:]


async def test_pages_of_a_batch(room: Room) -> None:
    store, files = await room.store(), await room.files(5)
    await batch_of(room, store, file_ids=await room.files(2))
    batch = await batch_of(room, store, file_ids=files)
    await room.end(store, *files[3:])
    path = f"/vector_stores/{store}/file_batches/{batch['id']}/files"
    page = (await room.get(f"{path}?limit=2")).ok
    assert ([file["id"] for file in page["data"]], page["has_more"]) == (files[:2:-1], True)
    page = (await room.get(f"{path}?limit=2&after={page['last_id']}")).ok
    assert ([file["id"] for file in page["data"]], page["has_more"]) == (files[2:0:-1], True)
    page = (await room.get(f"{path}?filter=completed&order=asc")).ok
    assert [file["id"] for file in page["data"]] == files[3:]
    Error(404, "No file found with id 'file-none'.").check(await room.get(f"{path}?after=file-none"))


@pytest.mark.parametrize(
    ("body", "message", "param", "code"),
    [
        ({}, "Missing required parameter: 'file_ids'.", "file_ids", "missing_required_parameter"),
        ({"file_ids": None}, "Missing required parameter: 'file_ids'.", "file_ids", "missing_required_parameter"),
        (
            {"file_ids": ["file-a"], "files": [{"file_id": "file-b"}]},
            "Mutually exclusive parameters: 'file_ids' and 'files'. Ensure you are only providing one of: 'file_ids' "
            "or 'files'.",
            "files",
            "mutually_exclusive_parameters",
        ),
        (
            {"file_ids": []},
            "Invalid 'file_ids': empty array. Expected an array with minimum length 1, but got an empty array instead.",
            "file_ids",
            "empty_array",
        ),
        (
            {"file_ids": ["file-a"] * 2001},
            "Invalid 'file_ids': array too long. Expected an array with maximum length 2000, but got an array with "
            "length 2001 instead.",
            "file_ids",
            "array_above_max_length",
        ),
        (
            {"files": [{"file_id": "file-a"}, {"attributes": {}}]},
            "Missing required parameter: 'files[1].file_id'.",
            "files[1].file_id",
            "missing_required_parameter",
        ),
        ({"file_ids": ["file-a"]}, "The following files were not found: file-a", "file_ids", None),
    ],
)
async def test_what_is_no_batch(room: Room, body: Any, message: str, param: str, code: str | None) -> None:
    answer = await room.post(f"/vector_stores/{await room.store()}/file_batches", body)
    Error(400, message, param, code).check(answer)


async def test_which_file_of_a_batch_is_cut_wrongly(room: Room) -> None:
    store, files = await room.store(), await room.files(2)
    static = {"type": "static", "static": {"max_chunk_size_tokens": 100, "chunk_overlap_tokens": 51}}
    body = {"files": [{"file_id": files[0]}, {"file_id": files[1], "chunking_strategy": static}]}
    answer = await room.post(f"/vector_stores/{store}/file_batches", body)
    assert answer.status == 400
    assert answer.json["error"]["param"] == "files[1].chunking_strategy.static.chunk_overlap_tokens"
    answer = await room.post(f"/vector_stores/{store}/file_batches", {"file_ids": files, "chunking_strategy": static})
    assert answer.json["error"]["param"] == "chunking_strategy.static.chunk_overlap_tokens"


async def test_one_unknown_file_keeps_the_whole_batch_out(room: Room) -> None:
    store, files = await room.store(), await room.files(2)
    body = {"file_ids": [files[0], "file-x", files[1], "file-y"]}
    answer = await room.post(f"/vector_stores/{store}/file_batches", body)
    Error(400, "The following files were not found: file-x, file-y", "file_ids").check(answer)
    assert (await room.get(f"/vector_stores/{store}/files")).ok["data"] == []
    assert await room.jobs() == []


async def test_batches_are_found_in_their_own_store(room: Room) -> None:
    store, other = await room.store(), await room.store()
    batch = await batch_of(room, store, file_ids=[await room.file()])
    unknown = Error(404, f"No file batch found with id '{batch['id']}'.")
    for method, tail in (("GET", ""), ("POST", "/cancel"), ("GET", "/files")):
        unknown.check(await room(method, f"/vector_stores/{other}/file_batches/{batch['id']}{tail}"))
        gone = await room(method, f"/vector_stores/vs_none/file_batches/{batch['id']}{tail}")
        Error(404, "No vector store found with id 'vs_none'.").check(gone)


# --- cancelling


async def test_cancelling_stops_what_is_not_read_yet(room: Room) -> None:
    store, files = await room.store(), await room.files(4)
    batch = await batch_of(room, store, file_ids=files[:3])
    await batch_of(room, store, file_ids=files[3:])
    await room.end(store, files[0])
    cancelled = await cancel(room, batch)
    assert cancelled == batch | {"status": "cancelled", "file_counts": counts(completed=1, cancelled=2)}
    assert await now(room, batch) == cancelled
    assert await cancel(room, batch) == cancelled
    assert await room.jobs() == [(store, files[3])]
    shown = (await room.get(f"/vector_stores/{store}/files?filter=cancelled&order=asc")).ok["data"]
    assert [(file["id"], file["last_error"]) for file in shown] == [(files[1], None), (files[2], None)]
    assert (await room.get(f"/vector_stores/{store}")).ok["file_counts"] == counts(
        completed=1, cancelled=2, in_progress=1
    )


async def test_a_finished_batch_is_not_cancelled(room: Room) -> None:
    store, files = await room.store(), await room.files(2)
    batch = await batch_of(room, store, file_ids=files)
    await room.end(store, *files)
    done = batch | {"status": "completed", "file_counts": counts(completed=2)}
    assert await cancel(room, batch) == done
    assert await now(room, batch) == done


async def test_a_file_that_is_being_read_keeps_its_job_for_the_worker_to_end(room: Room) -> None:
    store, files = await room.store(), await room.files(2)
    batch = await batch_of(room, store, file_ids=files)
    await room.run(
        "UPDATE jobs SET worker = 'w', attempt = 1 WHERE key = "
        "(SELECT key::text FROM vector_store_files WHERE file_id = $1)",
        files[0],
    )
    assert (await cancel(room, batch))["file_counts"] == counts(cancelled=2)
    assert await room.jobs() == [(store, files[0])]


async def test_two_who_cancel_and_one_who_attaches(room: Room) -> None:
    store, files = await room.store(), await room.files(50)
    for _ in range(3):
        one = await batch_of(room, store, file_ids=files)
        two = await batch_of(room, store, file_ids=files[::-1])
        attaching = batch_of(room, store, file_ids=files, chunking_strategy=SMALL)
        await asyncio.gather(cancel(room, one), cancel(room, two), attaching)
        total = (await room.get(f"/vector_stores/{store}")).ok["file_counts"]
        assert total["total"] == 50
        assert len(await room.jobs()) == total["in_progress"]
