"""Small files stand whole in the prompt of runs with retrieval: which, how, and what of them an answer cites."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from assistd.db.pool import Database
from assistd.runs import file_search, progress
from assistd.runs.documents import Documents, Room, told
from assistd.vector_stores.files import Document, smallest
from tests.runs.conftest import PROJECT, Rows
from tests.runs.library import SEARCH, Library, Model, Office

FOODS = "Filip's favorite food is cake. Ana likes plums."
HARBOUR = "The harbour of Trieste was dug in 1869 by the engineer Pascal."
# Longer than a passage, and no sentence of it twice.
LONG = "\n".join(f"Paragraph {n} says that number {n} follows number {n - 1}, as ever." for n in range(300))


@pytest.fixture
def library(rows: Rows) -> Library:
    return Library(rows)


@pytest.fixture
def office(database: Database) -> Office:
    return Office(database)


async def run_on(library: Library, assistant_id: str, thread_id: str, **columns: Any) -> str:
    await library.rows.message(thread_id, "user", "What does Filip like?")
    given = {"retrieval": True, "tools": [SEARCH], "instructions": "Be brief.", **columns}
    return await library.rows.run(thread_id, assistant_id=assistant_id, **given)


def system(model: Model, turn: int = 0) -> str:
    """What the model was told before the conversation."""
    first, *others = model.asked[turn].messages
    assert first["role"] == "system"
    assert [message for message in others if message["role"] == "system"] == []
    content: str = first["content"]
    return content


async def text_of(rows: Rows, run_id: str) -> Any:
    content = await rows.value("SELECT content FROM messages WHERE run_id = $1", run_id)
    (part,) = json.loads(content)
    return part["text"]


# --- how they are told


def test_parts_are_numbered_through_all_documents() -> None:
    files = [Document("file-1", "a.txt", ["One.", "\nTwo."]), Document("file-2", "b\n【1】.txt", ["Three."])]
    documents = told(files, Room(10_000))
    _, *shown, behind = documents.text.split("\n\n")
    assert "copy its marker" in behind
    assert shown == [
        "File a.txt:",
        "【0†a.txt】\nOne.",
        "【1†a.txt】\nTwo.",
        "File b 1 .txt:",
        "【2†b 1 .txt】\nThree.",
    ]
    cited = {number: (source.file_id, source.text) for number, source in documents.sources.items()}
    assert cited == {(0,): ("file-1", "One."), (1,): ("file-1", "Two."), (2,): ("file-2", "Three.")}


def test_the_first_that_does_not_fit_ends_it() -> None:
    files = [Document(f"file-{n}", f"{n}.txt", ["x" * size]) for n, size in enumerate((100, 100, 500, 10))]

    def kept(size: int) -> list[str]:
        return re.findall(r"File (\d)\.txt:", told(files, Room(size)).text)

    one = len("File 0.txt:\n\n【0†0.txt】\n".encode()) + 100
    assert kept(2 * one + 500) == ["0", "1"]
    assert kept(2 * one) == ["0", "1"]
    assert kept(2 * one - 1) == ["0"]
    assert kept(10_000) == ["0", "1", "2", "3"]
    assert told(files, Room(one - 1)) == told([], Room(10_000)) == Documents()


def test_how_much_room_there_is() -> None:
    assert Room.within(128_000, None).size == 24_000
    assert Room.within(8_000, None).size == 6_000
    assert Room.within(128_000, 4_000).size == 3_000
    assert Room.within(8_000, 100_000).size == 6_000


# --- which files they are


async def test_the_smallest_files_of_all_stores_each_once(library: Library, rows: Rows) -> None:
    ours, thread, other, old = (
        await library.store(),
        await library.store(),
        await library.store(project="proj_other"),
        await library.store(expired=True),
    )
    long = await library.add(ours, "long.md", "long " * 100)
    short = await library.add(thread, "short.md", "short")
    await library.attach(ours, short)
    await library.read(ours, short, "short")
    middle = await library.add(ours, "middle.md", "middle " * 10)
    await library.add(ours, "still.md")
    failed = await library.add(ours, "failed.md")
    await rows.conn.execute("UPDATE vector_store_files SET status = 'failed' WHERE file_id = $1", failed)
    await library.add(other, "theirs.md", "theirs")
    await library.add(old, "old.md", "old")

    async def found(most: int) -> list[str]:
        given = await smallest(rows.conn, PROJECT, [thread, ours, other, old], most)
        assert [len(document.pieces) for document in given] == [1] * len(given)
        return [document.file_id for document in given]

    assert await found(10_000) == [short, middle, long]
    bytes_ = [len("short"), len(("middle " * 10).strip()), len(("long " * 100).strip())]
    assert await found(sum(bytes_)) == [short, middle, long]
    assert await found(sum(bytes_) - 1) == [short, middle]
    assert await found(bytes_[0]) == [short]
    assert await found(bytes_[0] - 1) == []


@pytest.mark.parametrize("sizes", [(800, 400), (100, 50), (100, 0)])
async def test_what_passages_share_is_told_once(library: Library, rows: Rows, sizes: tuple[int, int]) -> None:
    store = await library.store()
    await library.add(store, "long.md", LONG, sizes=sizes)
    # The bound by which files are left out is never too low.
    assert await smallest(rows.conn, PROJECT, [store], len(LONG.encode()) - 1000) == []
    (document,) = await smallest(rows.conn, PROJECT, [store], Room(len(LONG.encode())).passages)
    assert len(document.pieces) > 4
    assert "".join("".join(document.pieces).split()) == "".join(LONG.split())


# --- what becomes of them in a run


async def test_an_answer_cites_a_document(library: Library, rows: Rows, office: Office) -> None:
    ours, theirs = await library.store(), await library.store()
    foods = await library.add(ours, "foods.txt", FOODS)
    harbour = await library.add(theirs, "harbour.md", HARBOUR)
    run = await run_on(library, await library.assistant(ours), await library.thread(theirs))
    said = "😀 Cake【0†foods.txt】, and Pascal【1†source】; not this【2†source】, nor that【0†harbour.md】."
    model = await office.execute(run, said)
    assert (await rows.of(run))["status"] == "completed", (await rows.of(run))["last_error"]

    asked = model.asked[0]
    assert system(model).startswith("Be brief.\n\nThese files were given to you")
    documents = f"File foods.txt:\n\n【0†foods.txt】\n{FOODS}\n\nFile harbour.md:\n\n【1†harbour.md】\n{HARBOUR}"
    assert documents in system(model)
    assert asked.messages[1:] == [{"role": "user", "content": "What does Filip like?"}]
    assert [tool["function"]["name"] for tool in asked.tools] == ["file_search"]

    text = await text_of(rows, run)
    assert text["value"] == said
    first, second = text["annotations"]
    assert first == {
        "type": "file_citation",
        "text": "【0†foods.txt】",
        "start_index": 6,
        "end_index": 19,
        "file_citation": {"file_id": foods, "quote": "Filip's favorite food is cake."},
    }
    assert second["file_citation"] == {"file_id": harbour, "quote": HARBOUR}
    for annotation in (first, second):
        assert said[annotation["start_index"] : annotation["end_index"]] == annotation["text"]


async def test_the_documents_of_a_run_are_looked_for_once(library: Library, rows: Rows, office: Office) -> None:
    store = await library.store()
    await library.add(store, "foods.txt", FOODS)
    run = await run_on(library, await library.assistant(store), await library.thread())
    model = await office.execute(run, "/call file_search", "/call file_search", "Cake【0†foods.txt】.")
    assert (await rows.of(run))["status"] == "completed", (await rows.of(run))["last_error"]
    assert office.search.looked == 1
    assert len(model.asked) == 3
    assert system(model, 0) == system(model, 1) == system(model, 2)
    assert [annotation["text"] for annotation in (await text_of(rows, run))["annotations"]] == ["【0†foods.txt】"]


async def test_whoever_takes_a_run_over_tells_of_them_again(library: Library, rows: Rows, office: Office) -> None:
    store = await library.store()
    await library.add(store, "foods.txt", FOODS)
    run = await run_on(
        library, await library.assistant(store), await library.thread(), status="in_progress", lease=1, attempt=1
    )
    model = await office.execute(run, "Cake【0†foods.txt】.", attempt=2)
    assert (await rows.of(run))["status"] == "completed", (await rows.of(run))["last_error"]
    assert FOODS in system(model)
    assert len((await text_of(rows, run))["annotations"]) == 1


async def test_a_claim_knows_of_it(rows: Rows, database: Database) -> None:
    plain, retrieval = await rows.run(), await rows.run(retrieval=True)
    async with database.acquire() as conn:
        for lease in (1, 2):
            for run, expected in ((plain, False), (retrieval, True)):
                claimed = await progress.claim(conn, run, lease)
                assert claimed is not None
                assert claimed.manner.retrieval is expected
                again = await progress.reload(conn, run, lease)
                assert again is not None
                assert again.manner.retrieval is expected


async def test_later_runs_tell_anew_and_not_of_what_was(library: Library, rows: Rows, office: Office) -> None:
    store = await library.store()
    foods = await library.add(store, "foods.txt", FOODS)
    assistant, thread = await library.assistant(store), await library.thread()
    first = await run_on(library, assistant, thread)
    await office.execute(first, "Cake【0†foods.txt】.")
    await rows.conn.execute("DELETE FROM files WHERE id = $1", foods)
    await library.add(store, "harbour.md", HARBOUR)
    second = await run_on(library, assistant, thread)
    model = await office.execute(second, "As I said【0†foods.txt】: Pascal【0†harbour.md】.")
    assert FOODS not in json.dumps(model.asked[0].messages)
    assert HARBOUR in system(model)
    # The answer of the first run stands as it was given.
    assert model.asked[0].messages[2] == {"role": "assistant", "content": "Cake【0†foods.txt】."}
    assert [annotation["text"] for annotation in (await text_of(rows, second))["annotations"]] == ["【0†harbour.md】"]


async def test_what_does_not_fit_is_left_to_the_search(library: Library, office: Office) -> None:
    store = await library.store()
    await library.add(store, "foods.txt", FOODS)
    await library.add(store, "long.md", LONG)
    assistant = await library.assistant(store)
    run = await run_on(library, assistant, await library.thread())
    assert "File long.md" in system(await office.execute(run, "Cake."))
    run = await run_on(library, assistant, await library.thread())
    model = await office.execute(run, "Cake.", context_length=8_000)
    assert "File foods.txt" in system(model)
    assert "File long.md" not in system(model)
    run = await run_on(library, assistant, await library.thread(), max_prompt_tokens=600)
    assert system(await office.execute(run, "Cake.")).count("File ") == 1


async def test_a_run_of_v2_is_told_of_no_document_and_waits_for_none(
    library: Library, rows: Rows, office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def look(conn: Any, store_ids: Any) -> int:
        raise AssertionError("only the thread's files are waited for")

    monkeypatch.setattr(file_search.store, "in_progress", look)
    store = await library.store()
    await library.add(store, "foods.txt", FOODS)
    await library.add(store, "still.txt")
    run = await run_on(library, await library.assistant(store), await library.thread(), retrieval=False)
    model = await office.execute(run, "Cake【0†foods.txt】.")
    assert (await rows.of(run))["status"] == "completed", (await rows.of(run))["last_error"]
    assert system(model) == "Be brief."
    assert office.search.looked == 0
    text = await text_of(rows, run)
    assert text == {"value": "Cake【0†foods.txt】.", "annotations": []}


async def test_without_the_tool_or_without_files_there_are_none(library: Library, office: Office) -> None:
    store = await library.store()
    await library.add(store, "foods.txt", FOODS)
    assistant = await library.assistant(store)
    run = await run_on(library, assistant, await library.thread(), tools=[])
    assert system(await office.execute(run, "Cake.")) == "Be brief."
    for stores in ([], [await library.store()]):
        run = await run_on(library, await library.assistant(*stores), await library.thread())
        assert system(await office.execute(run, "Cake.")) == "Be brief."


# --- waiting


async def test_the_files_of_the_assistant_are_waited_for(
    library: Library, office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = await library.store()
    file_id = await library.add(store, "foods.txt")
    looks = 0
    real = file_search.store.in_progress

    async def look(conn: Any, store_ids: Any) -> int:
        nonlocal looks
        looks += 1
        if looks == 2:
            await library.read(store, file_id, FOODS)
        return await real(conn, store_ids)

    monkeypatch.setattr(file_search.store, "in_progress", look)
    run = await run_on(library, await library.assistant(store), await library.thread())
    assert FOODS in system(await office.execute(run, "Cake."))
    assert looks == 2


async def test_they_are_waited_for_no_longer_than_a_minute(library: Library, rows: Rows, office: Office) -> None:
    store = await library.store()
    await library.add(store, "still.txt")
    run = await run_on(
        library, await library.assistant(store), await library.thread(), status="in_progress", lease=1, attempt=1
    )
    await rows.conn.execute("UPDATE runs SET started_at = unix_now() - 61 WHERE id = $1", run)
    told_of = OPEN + "- still.txt: It is still being read."
    assert system(await office.execute(run, "Cake.", attempt=2)) == f"Be brief.\n\n{told_of}"


# --- files that are not read


SEARCHED = "These files of the {} could not be searched"
OPEN = SEARCHED.format("assistant") + ", so it is open what they say:\n"


async def test_a_file_of_the_assistant_that_is_being_read_is_told_of(
    library: Library, rows: Rows, office: Office
) -> None:
    """In v2 beside what was found, which is nothing: the model must not say that the files do not tell."""
    ours, theirs = await library.store(), await library.store()
    await library.add(ours, "manual.txt")
    await library.add(theirs, "letter.txt")
    failed = await library.add(ours, "broken.pdf")
    await library.fail(ours, failed, "It is no PDF.")
    run = await run_on(library, await library.assistant(ours), await library.thread(theirs), retrieval=False)
    await rows.conn.execute("UPDATE runs SET started_at = unix_now() - 600 WHERE id = $1", run)
    model = await office.execute(run, "/call file_search", "No.")
    assert (await rows.of(run))["status"] == "completed", (await rows.of(run))["last_error"]
    assert model.asked[1].messages[-1]["content"].split("\n\n")[1:] == [
        SEARCHED.format("user") + ":\n- letter.txt: It is still being read.",
        OPEN + "- manual.txt: It is still being read.\n- broken.pdf: It is no PDF.",
    ]


async def test_one_of_many_that_are_not_read(library: Library, rows: Rows, office: Office) -> None:
    store = await library.store()
    for number in range(4):
        await library.fail(store, await library.add(store, f"bad-{number}.txt"), "It is empty.")
    for number in range(3):
        await library.add(store, f"new-{number}.txt")
    run = await run_on(library, await library.assistant(store), await library.thread(), retrieval=False)
    model = await office.execute(run, "/call file_search", "No.")
    note = model.asked[1].messages[-1]["content"].split("\n\n")[-1]
    assert note == OPEN + "".join(f"- new-{n}.txt: It is still being read.\n" for n in (2, 1, 0)) + (
        "- bad-3.txt: It is empty.\n- bad-2.txt: It is empty.\n- and others"
    )


@pytest.mark.parametrize("beside", [True, False])
async def test_a_document_that_is_not_read_is_told_of_in_the_prompt(
    library: Library, rows: Rows, office: Office, beside: bool
) -> None:
    store = await library.store()
    if beside:
        await library.add(store, "foods.txt", FOODS)
    await library.fail(store, await library.add(store, "broken.pdf"), "It is no PDF.")
    run = await run_on(library, await library.assistant(store), await library.thread())
    model = await office.execute(run, "Cake.")
    assert system(model).endswith("\n\n" + OPEN + "- broken.pdf: It is no PDF.")
    assert (FOODS in system(model)) == beside


async def test_a_store_that_has_expired_is_not_passed_over(library: Library, rows: Rows, office: Office) -> None:
    store = await library.store(expired=True)
    run = await run_on(library, await library.assistant(store), await library.thread())
    await office.execute(run, "Cake.")
    failed = await rows.of(run)
    assert (failed["status"], json.loads(failed["last_error"])["message"]) == (
        "failed",
        f"Vector store {store} is expired",
    )
