"""One server for the tests of what must be refused, its door open to any key."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from tests.support.databases import new_database
from tests.support.http import Api
from tests.support.server import Server, serve
from tests.support.talk import FUNCTION, start, until
from tests.support.waiting import eventually

MAX_BODY_BYTES = 1_000_000  # lets a test send too much without sending much


@pytest.fixture(scope="session")
def database(postgres: str) -> Iterator[str]:
    with new_database(postgres) as dsn:
        yield dsn


@pytest.fixture(scope="session")
def server(database: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("faults")
    with serve(folder, database_url=database, max_body_bytes=MAX_BODY_BYTES, log_format="json") as running:
        yield running


@pytest.fixture(scope="session")
def api(server: Server) -> Api:
    return Api(server.url)


@pytest.fixture(autouse=True)
def _no_trace(server: Server) -> Iterator[None]:
    """Whatever a test of this folder sends, the server's log shows no stack trace afterwards."""
    before = len(server.log)
    yield
    assert "Traceback" not in server.log[before:]


@pytest.fixture(scope="session")
def assistant(api: Api) -> str:
    """The id of an assistant with a function and without instructions."""
    created = api.post("/assistants", {"model": "scripted", "tools": [FUNCTION]}).ok
    return str(created["id"])


@pytest.fixture(scope="session")
def thread(api: Api) -> str:
    """The id of a thread with a message, on which nothing runs."""
    created = api.post("/threads", {"messages": [{"role": "user", "content": "hello"}]}).ok
    return str(created["id"])


@dataclass(frozen=True)
class Objects:
    """One of each kind of object: a run that has ended, its thread, message and step; an upload, a store, its file."""

    assistant_id: str
    thread_id: str
    message_id: str
    run_id: str
    step_id: str
    upload_id: str
    vector_store_id: str
    batch_id: str
    file_id: str


@pytest.fixture(scope="session")
def objects(api: Api, assistant: str) -> Objects:
    run = until(api, start(api, "/say hello", assistant), "completed")
    thread = f"/threads/{run['thread_id']}"
    message = api.get(f"{thread}/messages").ok["first_id"]
    step = api.get(f"{thread}/runs/{run['id']}/steps").ok["first_id"]
    return Objects(assistant, run["thread_id"], message, run["id"], step, new_upload(api), *new_store(api))


def new_upload(api: Api) -> str:
    """Make an upload that waits for its parts, and return its id."""
    new = {"filename": "a.txt", "purpose": "assistants", "bytes": 6, "mime_type": "text/plain"}
    return str(api.post("/uploads", new).ok["id"])


def new_store(api: Api, text: str = "The sky is blue.") -> tuple[str, str, str]:
    """Make a vector store of one file that was read, and return the ids of the store, of a batch and of the file."""
    file = str(api.upload(text.encode(), "sky.txt").ok["id"])
    store = str(api.post("/vector_stores").ok["id"])
    batch = str(api.post(f"/vector_stores/{store}/file_batches", {"file_ids": [file]}).ok["id"])
    eventually(lambda: api.get(f"/vector_stores/{store}").ok["file_counts"]["completed"])
    return store, batch, file
