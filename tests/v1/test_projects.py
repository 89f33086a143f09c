"""Two projects on one server: v1 shows neither anything of the other's, not even that it is there."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from tests.support.databases import new_database
from tests.support.http import Api
from tests.support.program import assistd
from tests.support.server import serve
from tests.support.talk import path_of, until, user
from tests.v1.asking import TOOLS, upload
from tests.v1.old_sdk import OldSdk, Refused, old_sdk

V2 = {"OpenAI-Beta": "assistants=v2"}


@dataclass(frozen=True)
class Owner:
    """A project's key at work, with one of each of its objects."""

    api: Api
    file: str
    assistant: str
    thread: str
    message: str
    run: str
    step: str


@pytest.fixture(scope="module")
def projects(postgres: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Owner, Owner, OldSdk]]:
    """Two owners, and openai 1.2.3 with the key of the first."""
    folder = tmp_path_factory.mktemp("projects")
    with new_database(postgres) as dsn:
        keys = []
        for project in ("ours", "theirs"):
            made = assistd(folder, "keys", "create", "test", "--project", project, database_url=dsn)
            assert made.returncode == 0, made.stderr
            keys.append(made.stdout.strip())
        with serve(folder, database_url=dsn) as server, old_sdk("1.2.3", server.url, keys[0]) as sdk:
            ours, theirs = (owner(Api(server.url, key, beta="assistants=v1")) for key in keys)
            yield ours, theirs, sdk


def owner(api: Api) -> Owner:
    file = upload(api, "sky.txt")
    assistant = api.post("/assistants", {"model": "scripted", "tools": TOOLS, "file_ids": [file]}).ok["id"]
    asked = user("/say Hello.") | {"file_ids": [file]}
    run = api.post("/threads/runs", {"assistant_id": assistant, "thread": {"messages": [asked]}}).ok
    until(api, run, "completed")
    messages = api.get(f"/threads/{run['thread_id']}/messages").ok
    step = api.get(f"{path_of(run)}/steps").ok["first_id"]
    return Owner(api, file, assistant, run["thread_id"], messages["last_id"], run["id"], step)


READS = [
    "/assistants/{assistant}",
    "/assistants/{assistant}/files",
    "/assistants/{assistant}/files/{file}",
    "/threads/{thread}",
    "/threads/{thread}/messages",
    "/threads/{thread}/messages/{message}",
    "/threads/{thread}/messages/{message}/files",
    "/threads/{thread}/messages/{message}/files/{file}",
    "/threads/{thread}/runs",
    "/threads/{thread}/runs/{run}",
    "/threads/{thread}/runs/{run}/events",
    "/threads/{thread}/runs/{run}/steps",
    "/threads/{thread}/runs/{run}/steps/{step}",
]
WRITES: list[tuple[str, str, Any]] = [
    ("POST", "/assistants/{assistant}", {"name": "Mine"}),
    ("DELETE", "/assistants/{assistant}", None),
    ("POST", "/assistants/{assistant}/files", {"file_id": "{own_file}"}),
    ("DELETE", "/assistants/{assistant}/files/{file}", None),
    ("POST", "/threads/{thread}", {"metadata": {"a": "1"}}),
    ("DELETE", "/threads/{thread}", None),
    ("POST", "/threads/{thread}/messages", {"role": "user", "content": "hello"}),
    ("POST", "/threads/{thread}/messages/{message}", {"metadata": {"a": "1"}}),
    ("POST", "/threads/{thread}/runs", {"assistant_id": "{own_assistant}"}),
    ("POST", "/threads/{thread}/runs/{run}", {"metadata": {"a": "1"}}),
    ("POST", "/threads/{thread}/runs/{run}/cancel", None),
    ("POST", "/threads/{thread}/runs/{run}/submit_tool_outputs", {"tool_outputs": []}),
    ("POST", "/threads/runs", {"assistant_id": "{assistant}"}),
]


def named(value: Any, ours: Owner, theirs: Owner) -> Any:
    if isinstance(value, dict):
        return {key: named(item, ours, theirs) for key, item in value.items()}
    ids = {"own_file": ours.file, "own_assistant": ours.assistant, **vars(theirs)}
    return value.format(**ids) if isinstance(value, str) else value


@pytest.mark.parametrize("path", READS)
def test_nothing_of_another_project_is_read(projects: tuple[Owner, Owner, OldSdk], path: str) -> None:
    ours, theirs, _ = projects
    assert theirs.api.get(named(path, ours, theirs)).status == 200
    answer = ours.api.get(named(path, ours, theirs))
    assert answer.status == 404, answer.body
    assert b"No " in answer.body


@pytest.mark.parametrize(("method", "path", "body"), WRITES)
def test_nothing_of_another_project_is_changed(
    projects: tuple[Owner, Owner, OldSdk], method: str, path: str, body: Any
) -> None:
    ours, theirs, _ = projects
    kept = [theirs.api.get(named(read, ours, theirs)).body for read in READS]
    answer = ours.api(method, named(path, ours, theirs), named(body, ours, theirs))
    assert answer.status == 404, answer.body
    assert [theirs.api.get(named(read, ours, theirs)).body for read in READS] == kept


def test_a_file_of_another_project_cannot_be_used(projects: tuple[Owner, Owner, OldSdk]) -> None:
    ours, theirs, sdk = projects
    for call, arguments in (
        (sdk.beta.assistants.create, {"model": "scripted", "tools": TOOLS, "file_ids": [theirs.file]}),
        (sdk.beta.assistants.update, {"assistant_id": ours.assistant, "file_ids": [theirs.file]}),
        (sdk.beta.assistants.files.create, {"assistant_id": ours.assistant, "file_id": theirs.file}),
        (
            sdk.beta.threads.messages.create,
            {"thread_id": ours.thread, "role": "user", "content": "Look.", "file_ids": [theirs.file]},
        ),
    ):
        with pytest.raises(Refused) as raised:
            call(**arguments)
        assert (raised.value.kind, raised.value.status) == ("BadRequestError", 400)
        assert theirs.file in raised.value.error["message"]
    assert sdk.beta.assistants.retrieve(ours.assistant)["file_ids"] == [ours.file]


def test_lists_show_ones_own(projects: tuple[Owner, Owner, OldSdk]) -> None:
    ours, theirs, sdk = projects
    assert [assistant["id"] for assistant in sdk.beta.assistants.list.each()] == [ours.assistant]
    assert [file["id"] for file in sdk.files.list.each()] == [ours.file]
    with pytest.raises(Refused) as raised:
        sdk.beta.assistants.files.list(ours.assistant, after=theirs.file)
    assert raised.value.status == 404
    listed = ours.api.get("/assistants", headers=V2).ok["data"]
    assert [assistant["id"] for assistant in listed] == [ours.assistant], "nor does v2 show what v1 made elsewhere"
