"""Two projects on one server: neither can see, touch or even notice what the other has."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.faults.test_not_found import CALLS
from tests.support.databases import new_database
from tests.support.http import Api
from tests.support.program import assistd
from tests.support.server import serve
from tests.support.talk import FUNCTION, path_of, start, until, user

STATES = {"completed": "/say hello", "requires_action": "/call look_up {}"}


@dataclass(frozen=True)
class Owner:
    """A project's key at work, with one of each of its objects; `ids` are by prefix."""

    api: Api
    ids: dict[str, str]
    assistant_id: str


@pytest.fixture(scope="module")
def projects(postgres: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Owner, Owner]]:
    folder = tmp_path_factory.mktemp("isolation")
    with new_database(postgres) as dsn:
        keys = [_key(folder, dsn, project) for project in ("ours", "theirs")]
        with serve(folder, database_url=dsn) as server:
            yield _owner(Api(server.url, keys[0])), _owner(Api(server.url, keys[1]))


def _key(folder: Path, dsn: str, project: str) -> str:
    made = assistd(folder, "keys", "create", "test", "--project", project, database_url=dsn)
    assert made.returncode == 0, made.stderr
    return made.stdout.strip()


def _owner(api: Api) -> Owner:
    assistant = api.post("/assistants", {"model": "scripted", "tools": [FUNCTION]}).ok["id"]
    return Owner(api, _objects(api, assistant, "completed"), assistant)


def _objects(api: Api, assistant: str, state: str) -> dict[str, str]:
    run = until(api, start(api, STATES[state], assistant), state)
    thread = f"/threads/{run['thread_id']}"
    return {
        "asst": assistant,
        "thread": run["thread_id"],
        "msg": api.get(f"{thread}/messages").ok["first_id"],
        "run": run["id"],
        "step": api.get(f"{thread}/runs/{run['id']}/steps").ok["first_id"],
    }


@pytest.fixture
def ours(projects: tuple[Owner, Owner]) -> Owner:
    return projects[0]


@pytest.fixture
def theirs(projects: tuple[Owner, Owner]) -> Owner:
    return projects[1]


def _places(kinds: list[str], theirs: dict[str, str], ours: dict[str, str]) -> list[dict[str, str]]:
    """Every way to fill a path with our and with others' ids, at least one of them others'."""
    ways: list[dict[str, str]] = [{}]
    for kind in kinds:
        ways = [{**way, kind: id} for way in ways for id in (ours[kind], theirs[kind])]
    return [way for way in ways if any(way[kind] == theirs[kind] for kind in kinds)]


@pytest.mark.parametrize(("method", "path"), CALLS)
@pytest.mark.parametrize("state", STATES)
def test_what_is_not_ours_is_answered_like_what_is_not_there(
    ours: Owner, theirs: Owner, method: str, path: str, state: str
) -> None:
    """On every route, with every mixture of their ids and ours: the same status, the same bytes but for the id."""
    others = theirs.ids if state == "completed" else _objects(theirs.api, theirs.assistant_id, state)
    before = _snapshot(theirs.api, others)
    kinds = [kind for kind in ours.ids if f"{{{kind}}}" in path]
    for way in _places(kinds, others, ours.ids):
        body = _body(path, ours) if method == "POST" else None
        answer = ours.api(method, path.format(**way), body)
        made_up = {kind: _made_up(id) if id == others[kind] else id for kind, id in way.items()}
        nothing = ours.api(method, path.format(**made_up), body)
        assert answer.status == nothing.status == 404, (way, answer.body)
        told = answer.body.decode()
        for kind, id in way.items():
            told = told.replace(id, made_up[kind])
        assert told == nothing.body.decode()
        assert sorted(set(answer.headers) - {"date"}) == sorted(set(nothing.headers) - {"date"})
    assert _snapshot(theirs.api, others) == before


def _body(path: str, owner: Owner) -> Any:
    if path.endswith("/runs"):
        return {"assistant_id": owner.assistant_id}
    if path.endswith("/messages"):
        return user("hello")
    return {"tool_outputs": []} if path.endswith("/submit_tool_outputs") else {}


def _made_up(id: str) -> str:
    """An id of the same kind and length that nothing has."""
    return id[:-6] + "000000"


def _snapshot(api: Api, ids: dict[str, str]) -> list[Any]:
    thread = f"/threads/{ids['thread']}"
    return [
        api.get(f"/assistants/{ids['asst']}").ok,
        api.get(thread).ok,
        api.get(f"{thread}/messages").ok,
        api.get(f"{thread}/runs").ok,
        api.get(f"{thread}/runs/{ids['run']}/steps").ok,
    ]


def test_a_run_of_ours_cannot_use_their_assistant(ours: Owner, theirs: Owner) -> None:
    message = f"No assistant found with id '{theirs.assistant_id}'."
    body = {"assistant_id": theirs.assistant_id, "instructions": "Speak."}
    thread = f"/threads/{ours.ids['thread']}/runs"
    before = ours.api.get(thread).ok
    for path in (thread, "/threads/runs"):
        for stream in (False, True):
            answer = ours.api.post(path, {**body, "stream": stream})
            assert (answer.status, answer.json["error"]["message"]) == (404, message)
    assert ours.api.get(thread).ok == before


def test_no_list_shows_what_is_theirs(ours: Owner, theirs: Owner) -> None:
    """Not with any limit or order, and not with a filter that names what is theirs."""
    for owner, other in ((ours, theirs), (theirs, ours)):
        listed = [a["id"] for order in ("asc", "desc") for a in _pages(owner.api, f"/assistants?order={order}")]
        assert owner.assistant_id in listed
        assert other.assistant_id not in listed
        messages = f"/threads/{owner.ids['thread']}/messages?run_id={other.ids['run']}"
        assert owner.api.get(messages).ok["data"] == []


def _pages(api: Api, path: str) -> list[Any]:
    found: list[Any] = []
    while True:
        page = api.get(f"{path}&limit=2" + (f"&after={found[-1]['id']}" if found else "")).ok
        found += page["data"]
        if not page["has_more"]:
            return found


def test_their_objects_are_no_cursors_of_ours(ours: Owner, theirs: Owner) -> None:
    """Not even when they are deleted: a cursor on them would tell when they were made."""
    deleted = theirs.api.post("/assistants", {"model": "scripted"}).ok["id"]
    assert theirs.api.delete(f"/assistants/{deleted}").status == 200
    thread = f"/threads/{theirs.ids['thread']}/messages"
    message = theirs.api.post(thread, user("gone soon")).ok["id"]
    assert theirs.api.delete(f"{thread}/{message}").status == 200
    assert theirs.api.get(f"/assistants?after={deleted}").status == 200
    assert theirs.api.get(f"{thread}?after={message}").status == 200
    our_thread = f"/threads/{ours.ids['thread']}"
    for path, noun, cursors in (
        ("/assistants", "assistant", (theirs.assistant_id, deleted)),
        (f"{our_thread}/messages", "message", (theirs.ids["msg"], message)),
        (f"{our_thread}/runs", "run", (theirs.ids["run"],)),
        (f"{our_thread}/runs/{ours.ids['run']}/steps", "run step", (theirs.ids["step"],)),
    ):
        for cursor in cursors:
            for parameter in ("after", "before"):
                answer = ours.api.get(f"{path}?{parameter}={cursor}")
                assert (answer.status, answer.json["error"]["message"]) == (404, f"No {noun} found with id '{cursor}'.")


def test_a_stream_of_theirs_is_not_followed_while_it_runs(ours: Owner, theirs: Owner) -> None:
    run = until(theirs.api, start(theirs.api, "/stall 2", theirs.assistant_id), "in_progress")
    for thread in (run["thread_id"], ours.ids["thread"]):
        for after in ("", "?last_event_id=0-0", "?last_event_id=1-1"):
            answer = ours.api.get(f"/threads/{thread}/runs/{run['id']}/events{after}")
            assert answer.status == 404
            assert "event:" not in answer.body.decode()
    assert ours.api.post(f"{path_of(run)}/cancel").status == 404
    assert theirs.api.get(path_of(run)).ok["status"] == "in_progress"
    assert theirs.api.post(f"{path_of(run)}/cancel").status == 200
    until(theirs.api, run, "cancelled")


def test_what_the_model_is_shown_is_ours_alone(ours: Owner, theirs: Owner) -> None:
    """Also where both projects talk at the same time."""
    runs = [
        (owner, start(owner.api, f"/report\nthe secret of {name}", owner.assistant_id))
        for _ in range(3)
        for owner, name in ((ours, "ours"), (theirs, "theirs"))
    ]
    for owner, run in runs:
        until(owner.api, run, "completed")
        (answer, _) = owner.api.get(f"/threads/{run['thread_id']}/messages").ok["data"]
        seen = json.dumps(json.loads(answer["content"][0]["text"]["value"])["messages"])
        assert ("the secret of ours" in seen) == (owner is ours)
        assert ("the secret of theirs" in seen) == (owner is theirs)


def test_the_answers_name_the_project(ours: Owner, theirs: Owner) -> None:
    named = {owner.api.get("/models").headers["openai-project"] for owner in (ours, theirs)}
    assert len(named) == 2
    assert all(name.startswith("proj_") for name in named)


def test_every_route_is_in_the_table_of_calls(ours: Owner) -> None:
    """So that a new route cannot be forgotten here. Those without an id in their path cannot name what is theirs."""
    from assistd.assistants import routes as assistants
    from assistd.runs.routes import Runs
    from assistd.threads import routes as threads

    nothing: Any = None
    rooms = [*assistants.paths(nothing), *threads.paths(nothing), *_paths_of_runs(Runs)]
    served = {
        (method, path.template.replace("_id}", "}").replace("{assistant}", "{asst}").replace("{message}", "{msg}"))
        for path in rooms
        for method in path.handlers
        if "{" in path.template
    }
    assert served == set(CALLS)


def _paths_of_runs(room: Any) -> Any:
    return room.paths(object.__new__(room))
