"""Bodies that do not fit: every template of the validator, on the objects where clients meet it."""

from __future__ import annotations

from typing import Any

import pytest

from tests.faults.bodies import (
    ASSISTANTS,
    BATCHES,
    COMPLETE,
    COMPLETIONS,
    EMBEDDINGS,
    HELLO,
    MESSAGES,
    METADATA_ONLY,
    MODEL,
    ON_A_THREAD,
    OUTPUTS,
    RUN,
    SEARCHES,
    STORE_FILE,
    STORE_FILES,
    THREADS,
    UPLOADS,
    VECTOR_STORE,
    VECTOR_STORES,
    WITH_A_THREAD,
    function,
)
from tests.faults.refusals import missing, unsupported
from tests.support.errors import Error
from tests.support.http import Api

TABLES = {
    "/assistants": ASSISTANTS,
    "/assistants/asst_none": [case for case in ASSISTANTS if case[1].code != "missing_required_parameter"],
    "/threads": THREADS,
    "/threads/thread_none": [case for case in THREADS if "messages" not in case[0]],
    "/threads/thread_none/messages": MESSAGES,
    "/threads/thread_none/messages/msg_none": METADATA_ONLY,
    "/threads/thread_none/runs": ON_A_THREAD,
    "/threads/runs": WITH_A_THREAD,
    "/threads/thread_none/runs/run_none": METADATA_ONLY,
    "/threads/thread_none/runs/run_none/submit_tool_outputs": OUTPUTS,
    "/chat/completions": COMPLETIONS,
    "/embeddings": EMBEDDINGS,
    "/vector_stores": VECTOR_STORES,
    "/vector_stores/vs_none": VECTOR_STORE,
    "/vector_stores/vs_none/files": STORE_FILES,
    "/vector_stores/vs_none/files/file-none": STORE_FILE,
    "/vector_stores/vs_none/file_batches": BATCHES,
    "/vector_stores/vs_none/search": SEARCHES,
    "/uploads": UPLOADS,
    "/uploads/upload_none/complete": COMPLETE,
}


@pytest.mark.parametrize("path", TABLES)
def test_a_body_that_does_not_fit_is_refused_in_the_services_own_words(api: Api, path: str) -> None:
    """Faults of the body are told before the objects of the path are looked for, which are not there."""
    for body, expected in TABLES[path]:
        if path == "/assistants/asst_none" and isinstance(body, dict) and body.get("model", "") is None:
            continue  # null means absent, and a change may leave the model as it is
        expected.check(api.post(path, body))


def test_nothing_is_written_of_what_is_refused(api: Api, thread: str) -> None:
    """A thread with a bad second message is not made, nor is its first message; the same goes for a run's."""
    before = api.get(f"/threads/{thread}/messages").ok
    bad_run = {**RUN, "additional_messages": [HELLO, {"role": "user", "content": []}]}
    missing_assistant = {**RUN, "additional_messages": [HELLO]}
    assert api.post(f"/threads/{thread}/runs", bad_run).status == 400
    assert api.post(f"/threads/{thread}/runs", missing_assistant).status == 404
    assert api.get(f"/threads/{thread}/messages").ok == before
    assert api.get(f"/threads/{thread}/runs").ok["data"] == []


def test_nothing_is_made_for_a_message_that_is_refused(api: Api) -> None:
    """Neither the thread, nor the vector store of a first attachment, nor what an assistant's resources ask for."""
    file = api.upload(b"The sky is blue.").ok["id"]
    stores = api.get("/vector_stores").ok
    tools = [{"type": "file_search"}]
    good, bad = ({**HELLO, "attachments": [{"file_id": id, "tools": tools}]} for id in (file, "file-none"))
    resources = {
        "file_search": {"vector_stores": [{"file_ids": [file]}]},
        "code_interpreter": {"file_ids": ["file-none"]},
    }
    thread = api.post("/threads").ok["id"]
    for path, body in (
        ("/threads", {"messages": [good, bad]}),
        ("/threads", {"messages": [good], "tool_resources": resources}),
        ("/assistants", MODEL | {"tool_resources": resources}),
        (f"/threads/{thread}/runs", RUN | {"additional_messages": [good, bad]}),
        ("/threads/runs", RUN | {"thread": {"messages": [good, bad]}}),
        ("/vector_stores", {"file_ids": [file, "file-none"]}),
    ):
        assert api.post(path, body).status in (400, 404)
    assert api.get("/vector_stores").ok == stores
    assert api.get(f"/threads/{thread}").ok["tool_resources"] == {"code_interpreter": {"file_ids": []}}
    assert api.get(f"/threads/{thread}/messages").ok["data"] == []


def test_stores_are_named_or_made(api: Api) -> None:
    store = api.post("/vector_stores").ok["id"]
    both = {"tool_resources": {"file_search": {"vector_store_ids": [store], "vector_stores": [{}]}}}
    told = "Only one of 'vector_store_ids' and 'vector_stores' can be given."
    for path, body in (("/threads", both), ("/assistants", MODEL | both)):
        Error(400, told, "tool_resources.file_search", "invalid_value").check(api.post(path, body))


def test_a_picture_is_no_document(api: Api) -> None:
    """Wherever it would be put into a vector store; and a document is no picture."""
    picture = api.upload(b"\x89PNG", "cat.png", purpose="vision").ok["id"]
    store = f"/vector_stores/{api.post('/vector_stores').ok['id']}"
    attached = {**HELLO, "attachments": [{"file_id": picture, "tools": [{"type": "file_search"}]}]}
    resources = {"file_search": {"vector_stores": [{"file_ids": [picture]}]}}
    for path, body in (
        ("/vector_stores", {"file_ids": [picture]}),
        (f"{store}/files", {"file_id": picture}),
        (f"{store}/file_batches", {"file_ids": [picture]}),
        ("/threads", {"messages": [attached]}),
        ("/threads", {"tool_resources": resources}),
        ("/assistants", MODEL | {"tool_resources": resources}),
    ):
        unsupported(".png").check(api.post(path, body))
    assert api.get(f"{store}/files").ok["data"] == []


@pytest.mark.parametrize(
    "body",
    [
        {"metadata": {"k" * 64: "v" * 512, **{f"key{n}": "" for n in range(15)}}},
        {"name": "n" * 256, "description": "d" * 512, "instructions": "i" * 256_000},
        {"name": "😀" * 256},
        {"temperature": 0, "top_p": 0},
        {"temperature": 2, "top_p": 1},
        {"temperature": 2.0, "top_p": 1.0},
        {"tools": [function(name=f"{n:a<64}") for n in range(128)]},
        {"name": None, "tools": None, "metadata": None, "temperature": None, "response_format": None},
        {"tools": [], "metadata": {}, "tool_resources": {}},
    ],
)
def test_what_just_fits_is_accepted(api: Api, body: dict[str, Any]) -> None:
    """The limits themselves, and null for whatever is optional, are no faults."""
    made = api.post("/assistants", {**MODEL, **body}).ok
    for name, value in body.items():
        if value and name != "tools":
            assert made[name] == value
    assert api.delete(f"/assistants/{made['id']}").ok["deleted"] is True


def test_an_empty_body_counts_as_an_empty_object(api: Api) -> None:
    assert api.post("/threads", b"").ok["metadata"] == {}
    assert api.post("/vector_stores", b"").ok["metadata"] == {}
    missing("model").check(api.post("/assistants", b""))
