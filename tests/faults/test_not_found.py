"""Ids that name nothing, ids of the wrong kind, and addresses that are none."""

from __future__ import annotations

from dataclasses import astuple
from typing import Any

import pytest

from tests.faults.conftest import Objects, new_store
from tests.faults.refusals import NOUNS, files_not_found, no_file, not_found, not_in_store, wrong_kind
from tests.support.errors import Error, shape_of
from tests.support.http import Api
from tests.support.talk import path_of, start, until

PARAMS = {
    "asst": "assistant_id",
    "thread": "thread_id",
    "msg": "message_id",
    "run": "run_id",
    "upload": "upload_id",
    "vs": "vector_store_id",
    "vsfb": "batch_id",
}

# Every path with ids in it, by the prefixes of the ids, with the methods that it has.
PATHS: dict[str, tuple[str, ...]] = {
    "/assistants/{asst}": ("GET", "POST", "DELETE"),
    "/threads/{thread}": ("GET", "POST", "DELETE"),
    "/threads/{thread}/messages": ("GET", "POST"),
    "/threads/{thread}/messages/{msg}": ("GET", "POST", "DELETE"),
    "/threads/{thread}/runs": ("GET", "POST"),
    "/threads/{thread}/runs/{run}": ("GET", "POST"),
    "/threads/{thread}/runs/{run}/cancel": ("POST",),
    "/threads/{thread}/runs/{run}/submit_tool_outputs": ("POST",),
    "/threads/{thread}/runs/{run}/events": ("GET",),
    "/threads/{thread}/runs/{run}/prompts": ("GET",),
    "/threads/{thread}/runs/{run}/steps": ("GET",),
    "/threads/{thread}/runs/{run}/steps/{step}": ("GET",),
    "/files/{file}": ("GET", "DELETE"),
    "/files/{file}/content": ("GET",),
    "/uploads/{upload}/parts": ("POST",),
    "/uploads/{upload}/complete": ("POST",),
    "/uploads/{upload}/cancel": ("POST",),
    "/vector_stores/{vs}": ("GET", "POST", "DELETE"),
    "/vector_stores/{vs}/search": ("POST",),
    "/vector_stores/{vs}/files": ("GET", "POST"),
    "/vector_stores/{vs}/files/{file}": ("GET", "POST", "DELETE"),
    "/vector_stores/{vs}/files/{file}/content": ("GET",),
    "/vector_stores/{vs}/file_batches": ("POST",),
    "/vector_stores/{vs}/file_batches/{vsfb}": ("GET",),
    "/vector_stores/{vs}/file_batches/{vsfb}/cancel": ("POST",),
    "/vector_stores/{vs}/file_batches/{vsfb}/files": ("GET",),
}
CALLS = [(method, path) for path, methods in PATHS.items() for method in methods]
# Of files the words and the status are others, and no id is of the wrong kind.
OF_FILES = [(method, path) for method, path in CALLS if "{file}" in path]
IN_PATHS = [(method, path, kind) for method, path in CALLS for kind in NOUNS if f"{{{kind}}}" in path]
# A step's id is looked for, whatever it begins with.
OF_A_KIND = [(method, path, kind) for method, path, kind in IN_PATHS if kind in PARAMS]
# The paths with a thread in them that v1 has, too.
NOT_OF_V1 = {("DELETE", "/threads/{thread}/messages/{msg}")}
OF_THREADS = [call for call in CALLS if "{thread}" in call[1] and call not in NOT_OF_V1]

BODIES: dict[str, Any] = {
    "/complete": {"part_ids": ["part_1"]},
    "/search": {"query": "sky"},
    "/{file}": {"attributes": {}},
}


def body_for(path: str, assistant_id: str, file_id: str) -> Any:
    """A body that the path's POST takes; that of `/parts` is a form."""
    for end, body in BODIES.items():
        if path.endswith(end):
            return body
    if path.endswith("/files"):
        return {"file_id": file_id}
    if path.endswith("/file_batches"):
        return {"file_ids": [file_id]}
    if path.endswith("/messages"):
        return {"role": "user", "content": "hello"}
    if path.endswith("/runs"):
        return {"assistant_id": assistant_id}
    if path.endswith("/submit_tool_outputs"):
        return {"tool_outputs": []}
    return {}


def filled(path: str, objects: Objects, **others: str) -> str:
    """The path with the ids of real objects, but for `others` by prefix."""
    real = dict(zip([*NOUNS, "file"], astuple(objects), strict=True))
    return path.format(**{**real, **others})


def send(api: Api, method: str, path: str, objects: Objects, template: str) -> Any:
    if template.endswith("/parts"):
        return api.upload(b"abc", path=path, name="data")
    body = body_for(template, objects.assistant_id, objects.file_id) if method == "POST" else None
    return api(method, path, body)


@pytest.mark.parametrize(("method", "path", "kind"), IN_PATHS)
def test_an_id_that_names_nothing_is_not_found(api: Api, objects: Objects, method: str, path: str, kind: str) -> None:
    """Whatever looks like an id of the right kind may exist; short, long and odd ones just do not."""
    for absent in (f"{kind}_doesnotexist", f"{kind}_123", kind, f"{kind}_{'x' * 3000}", f"{kind}_a.b"):
        not_found(kind, absent).check(send(api, method, filled(path, objects, **{kind: absent}), objects, path))


@pytest.mark.parametrize(("method", "path", "kind"), OF_A_KIND)
def test_an_id_of_the_wrong_kind_is_refused(api: Api, objects: Objects, method: str, path: str, kind: str) -> None:
    """Clients that lost an id send `undefined`; the answer says which one."""
    other = next(prefix for prefix in NOUNS if prefix != kind)
    for wrong in ("undefined", "null", f"{other}_1", kind.upper() + "_1", "0"):
        wrong_kind(PARAMS[kind], wrong, kind).check(
            send(api, method, filled(path, objects, **{kind: wrong}), objects, path)
        )


@pytest.mark.parametrize("beta", ["assistants=v1", "assistants=v2"])
def test_a_step_is_looked_for_whatever_it_is_called(api: Api, objects: Objects, beta: str) -> None:
    steps = f"/threads/{objects.thread_id}/runs/{objects.run_id}/steps"
    for absent in (
        "123",
        "step_123",
        "undefined",
        "null",
        objects.run_id,
        objects.message_id,
        "x" * 3000,
        "STEP_1",
        "-",
    ):
        not_found("step", absent).check(api.get(f"{steps}/{absent}", headers={"OpenAI-Beta": beta}))
    # What is wrong before it in the path comes first.
    answer = api.get(f"/threads/{objects.thread_id}/runs/123/steps/123", headers={"OpenAI-Beta": beta})
    wrong_kind("run_id", "123", "run").check(answer)


@pytest.mark.parametrize(("method", "path"), OF_THREADS)
def test_v1_looks_for_a_thread_whatever_it_is_called(api: Api, objects: Objects, method: str, path: str) -> None:
    v1 = {"OpenAI-Beta": "assistants=v1"}
    body = body_for(path, objects.assistant_id, objects.file_id) if method == "POST" else None
    for absent in (objects.assistant_id, "undefined", "123", "THREAD_1", "x" * 3000, "thread_doesnotexist"):
        answer = api(method, filled(path, objects, thread=absent), body, headers=v1)
        not_found("thread", absent).check(answer)


def test_v1_knows_the_other_ids_by_their_beginning(api: Api, objects: Objects) -> None:
    v1 = {"OpenAI-Beta": "assistants=v1"}
    wrong_kind("assistant_id", objects.thread_id, "asst").check(api.get(f"/assistants/{objects.thread_id}", headers=v1))
    runs = f"/threads/{objects.thread_id}/runs"
    wrong_kind("run_id", objects.step_id, "run").check(api.get(f"{runs}/{objects.step_id}", headers=v1))
    wrong_kind("assistant_id", "undefined", "asst").check(api.post(runs, {"assistant_id": "undefined"}, headers=v1))


@pytest.mark.parametrize("beta", ["assistants=v1", "assistants=v2"])
@pytest.mark.parametrize("hostile", ["%00", "%0A", "%FF", "%ED%A0%80", "%27%3B--", "%E2%80%AE", "%25s"])
def test_no_character_in_an_id_of_any_beginning_does_harm(api: Api, objects: Objects, hostile: str, beta: str) -> None:
    steps = f"/threads/{objects.thread_id}/runs/{objects.run_id}/steps"
    paths = {"step": f"{steps}/{hostile}"} | ({"thread": f"/threads/{hostile}"} if beta == "assistants=v1" else {})
    for kind, path in paths.items():
        answer = api.get(path, headers={"OpenAI-Beta": beta})
        assert answer.status == 404, answer.body
        message = shape_of(answer)["message"]
        assert message is not None
        assert message.startswith(f"No {NOUNS[kind]} found with id '")


@pytest.mark.parametrize(("method", "path", "kind"), IN_PATHS)
@pytest.mark.parametrize("hostile", ["%00", "%0A", "%FF", "%ED%A0%80", "%27%3B--", "%E2%80%AE", "%25s"])
def test_no_character_in_an_id_does_harm(
    api: Api, objects: Objects, method: str, path: str, kind: str, hostile: str
) -> None:
    """NUL, line breaks, halves of surrogate pairs, quotes: no object has such an id."""
    answer = send(api, method, filled(path, objects, **{kind: f"{kind}_{hostile}"}), objects, path)
    assert answer.status == 404, answer.body
    message = shape_of(answer)["message"]
    assert message is not None
    assert message.startswith(f"No {NOUNS[kind]} found with id '{kind}_")


@pytest.mark.parametrize(("method", "path"), OF_FILES)
def test_a_file_that_is_not_there_is_not_found(api: Api, objects: Objects, method: str, path: str) -> None:
    for absent in ("file-doesnotexist", "file-", "undefined", "null", "vs_1", "0", f"file-{'x' * 3000}", "file-a.b"):
        expected = no_file(absent) if path.startswith("/files") else not_in_store(absent, objects.vector_store_id)
        expected.check(send(api, method, filled(path, objects, file=absent), objects, path))


@pytest.mark.parametrize(("method", "path"), OF_FILES)
@pytest.mark.parametrize("hostile", ["%00", "%0A", "%FF", "%ED%A0%80", "%27%3B--", "%E2%80%AE", "%25s"])
def test_no_character_in_a_files_id_does_harm(api: Api, objects: Objects, method: str, path: str, hostile: str) -> None:
    answer = send(api, method, filled(path, objects, file=f"file-{hostile}"), objects, path)
    assert answer.status == 404, answer.body
    message = shape_of(answer)["message"]
    assert message is not None
    assert message.startswith(("No such File object: file-", "No file found with id 'file-"))


def test_a_file_is_found_only_in_its_store_and_batch(api: Api, objects: Objects) -> None:
    store, batch, file = new_store(api)
    there = f"/vector_stores/{objects.vector_store_id}"
    for method, end in (("GET", ""), ("DELETE", ""), ("GET", "/content")):
        not_in_store(file, objects.vector_store_id).check(api(method, f"{there}/files/{file}{end}"))
    not_in_store(file, objects.vector_store_id).check(api.post(f"{there}/files/{file}", {"attributes": {}}))
    for method, end in (("GET", ""), ("POST", "/cancel"), ("GET", "/files")):
        not_found("vsfb", batch).check(api(method, f"{there}/file_batches/{batch}{end}"))
    assert api.get(f"/vector_stores/{store}/files/{file}").ok["status"] == "completed"


GONE = "file-0000000000000000000000"


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/vector_stores", {"file_ids": [GONE]}),
        ("/vector_stores/{vs}/files", {"file_id": GONE}),
        ("/vector_stores/{vs}/file_batches", {"file_ids": [GONE]}),
        ("/vector_stores/{vs}/file_batches", {"files": [{"file_id": GONE}]}),
        ("/assistants", {"model": "m", "tool_resources": {"code_interpreter": {"file_ids": [GONE]}}}),
        ("/assistants/{asst}", {"tool_resources": {"code_interpreter": {"file_ids": [GONE]}}}),
        ("/assistants", {"model": "m", "tool_resources": {"file_search": {"vector_stores": [{"file_ids": [GONE]}]}}}),
        ("/threads", {"tool_resources": {"code_interpreter": {"file_ids": [GONE]}}}),
        ("/threads", {"messages": [{"role": "user", "content": "x", "attachments": [{"file_id": GONE}]}]}),
        ("/threads/{thread}", {"tool_resources": {"code_interpreter": {"file_ids": [GONE]}}}),
        ("/threads/{thread}/messages", {"role": "user", "content": "x", "attachments": [{"file_id": GONE}]}),
        (
            "/threads/{thread}/messages",
            {"role": "user", "content": [{"type": "image_file", "image_file": {"file_id": GONE}}]},
        ),
    ],
)
def test_a_file_that_a_body_names_must_be_there(api: Api, objects: Objects, path: str, body: Any) -> None:
    for absent in (GONE, "undefined", "vs_1", "", "file-\n", "file-'--", "file-" + "x" * 3000):
        told = api.post(filled(path, objects), _renamed(body, absent))
        files_not_found(absent).check(told)


def _renamed(body: Any, id: str) -> Any:
    if isinstance(body, dict):
        return {key: _renamed(value, id) for key, value in body.items()}
    if isinstance(body, list):
        return [_renamed(item, id) for item in body]
    return id if body == GONE else body


@pytest.mark.parametrize(
    ("id", "expected"),
    [
        ("vs_doesnotexist", not_found("vs", "vs_doesnotexist")),
        ("vs_\n", not_found("vs", "vs_\n")),
        ("undefined", wrong_kind("vector_store_id", "undefined", "vs")),
        ("", wrong_kind("vector_store_id", "", "vs")),
        ("file-1", wrong_kind("vector_store_id", "file-1", "vs")),
    ],
)
def test_a_store_that_a_body_names_must_be_there(api: Api, objects: Objects, id: str, expected: Error) -> None:
    resources = {"tool_resources": {"file_search": {"vector_store_ids": [id]}}}
    run = {"assistant_id": objects.assistant_id, "instructions": "Speak."}
    for path, body in (
        ("/assistants", resources | {"model": "m"}),
        ("/assistants/{asst}", resources),
        ("/threads", resources),
        ("/threads/{thread}", resources),
        ("/threads/runs", run | resources),
        ("/threads/runs", run | {"thread": resources}),
    ):
        expected.check(api.post(filled(path, objects), body))


def test_an_object_is_found_only_where_it_belongs(api: Api, objects: Objects, thread: str, assistant: str) -> None:
    """A message of one thread is not in another, nor a step in another run."""
    others = {"messages": ("msg", objects.message_id), "runs": ("run", objects.run_id)}
    for collection, (kind, id) in others.items():
        not_found(kind, id).check(api.get(f"/threads/{thread}/{collection}/{id}"))
        not_found(kind, id).check(api.post(f"/threads/{thread}/{collection}/{id}", {}))
    not_found("msg", objects.message_id).check(api.delete(f"/threads/{thread}/messages/{objects.message_id}"))
    first = until(api, start(api, "/say one", assistant), "completed")
    second = until(api, api.post(f"/threads/{first['thread_id']}/runs", {"assistant_id": assistant}).ok, "completed")
    step = api.get(f"{path_of(first)}/steps").ok["first_id"]
    not_found("step", step).check(api.get(f"{path_of(second)}/steps/{step}"))


@pytest.mark.parametrize("path", ["/threads/{thread}/runs", "/threads/runs"])
@pytest.mark.parametrize(
    ("id", "expected"),
    [
        ("undefined", wrong_kind("assistant_id", "undefined", "asst")),
        ("", wrong_kind("assistant_id", "", "asst")),
        ("thread_1", wrong_kind("assistant_id", "thread_1", "asst")),
        ("asst_doesnotexist", not_found("asst", "asst_doesnotexist")),
        ("asst_\n", not_found("asst", "asst_\n")),
    ],
)
def test_a_run_needs_an_assistant_that_is_there(api: Api, thread: str, path: str, id: str, expected: Error) -> None:
    expected.check(api.post(path.format(thread=thread), {"assistant_id": id}))


def test_what_is_deleted_is_gone(api: Api) -> None:
    """Also for a second deletion, and with all that it held."""
    made = api.post("/assistants", {"model": "scripted"}).ok["id"]
    held = api.post("/threads", {"messages": [{"role": "user", "content": "x"}]}).ok["id"]
    message = api.get(f"/threads/{held}/messages").ok["first_id"]
    for path, object, kind, id in (
        (f"/assistants/{made}", "assistant.deleted", "asst", made),
        (f"/threads/{held}/messages/{message}", "thread.message.deleted", "msg", message),
        (f"/threads/{held}", "thread.deleted", "thread", held),
    ):
        assert api.delete(path).ok == {"id": id, "object": object, "deleted": True}
        not_found(kind, id).check(api.delete(path))
        not_found(kind, id).check(api.get(path))
        not_found(kind, id).check(api.post(path, {}))
    store, batch, file = new_store(api)
    in_store = f"/vector_stores/{store}/files/{file}"
    assert api.delete(in_store).ok == {"id": file, "object": "vector_store.file.deleted", "deleted": True}
    not_in_store(file, store).check(api.delete(in_store))
    assert api.get(f"/files/{file}").ok["id"] == file
    assert api.delete(f"/files/{file}").ok == {"id": file, "object": "file", "deleted": True}
    for method, end in (("GET", ""), ("GET", "/content"), ("DELETE", "")):
        no_file(file).check(api(method, f"/files/{file}{end}"))
    assert api.delete(f"/vector_stores/{store}").ok["object"] == "vector_store.deleted"
    for method, end in (("GET", ""), ("DELETE", ""), ("GET", "/files"), ("GET", f"/file_batches/{batch}")):
        not_found("vs", store).check(api(method, f"/vector_stores/{store}{end}"))
    not_found("thread", held).check(api.get(f"/threads/{held}/messages/{message}"))
    not_found("thread", held).check(api.get(f"/threads/{held}/messages"))


# --- addresses


@pytest.mark.parametrize(
    "path",
    [
        "/nothing", "/assistants/", "/threads/", "//assistants", "/Assistants", "/threads/thread_1/message",
        "/assistants/asst_1/more", "/threads/thread_1/runs/run_1/steps/step_1/more", "/threads/thread_1/runs/",
        "/..", "/assistants/asst_1/../asst_2", "/%FF",
    ],
)  # fmt: skip
@pytest.mark.parametrize("method", ["GET", "POST", "DELETE", "PUT"])
def test_an_unknown_address_is_named(api: Api, method: str, path: str) -> None:
    answer = api(method, path)
    error = shape_of(answer)
    assert answer.status == 404
    assert error == {"message": error["message"], "type": "invalid_request_error", "param": None, "code": None}
    assert error["message"] is not None
    assert error["message"].startswith(f"Invalid URL ({method} /v1/")
    if "%" not in path:
        assert error["message"] == f"Invalid URL ({method} /v1{path})"


def test_outside_of_v1_there_is_the_page_and_nothing_else(api: Api) -> None:
    root = Api(f"http://{api.address[0]}:{api.address[1]}")
    assert root.get("/").headers["content-type"] == "text/html; charset=utf-8"
    for path in ("/v1", "/v2/assistants", "/assistants", "/site.py", "/dist/index.html", "/assets/"):
        Error(404, f"Invalid URL (GET {path})").check(root.get(path))


ALLOWED = {
    "/assistants": "GET, POST",
    "/assistants/asst_1": "DELETE, GET, POST",
    "/threads": "GET, POST",
    "/threads/runs": "POST",
    "/threads/thread_1": "DELETE, GET, POST",
    "/threads/thread_1/messages": "GET, POST",
    "/threads/thread_1/messages/msg_1": "DELETE, GET, POST",
    "/threads/thread_1/runs": "GET, POST",
    "/threads/thread_1/runs/run_1": "GET, POST",
    "/threads/thread_1/runs/run_1/cancel": "POST",
    "/threads/thread_1/runs/run_1/submit_tool_outputs": "POST",
    "/threads/thread_1/runs/run_1/events": "GET",
    "/threads/thread_1/runs/run_1/prompts": "GET",
    "/threads/thread_1/runs/run_1/steps": "GET",
    "/threads/thread_1/runs/run_1/steps/step_1": "GET",
    "/files": "GET, POST",
    "/files/file-1": "DELETE, GET",
    "/files/file-1/content": "GET",
    "/uploads": "POST",
    "/uploads/upload_1/parts": "POST",
    "/uploads/upload_1/complete": "POST",
    "/uploads/upload_1/cancel": "POST",
    "/vector_stores": "GET, POST",
    "/vector_stores/vs_1": "DELETE, GET, POST",
    "/vector_stores/vs_1/search": "POST",
    "/vector_stores/vs_1/files": "GET, POST",
    "/vector_stores/vs_1/files/file-1": "DELETE, GET, POST",
    "/vector_stores/vs_1/files/file-1/content": "GET",
    "/vector_stores/vs_1/file_batches": "POST",
    "/vector_stores/vs_1/file_batches/vsfb_1": "GET",
    "/vector_stores/vs_1/file_batches/vsfb_1/cancel": "POST",
    "/vector_stores/vs_1/file_batches/vsfb_1/files": "GET",
    "/models": "GET",
    "/models/scripted": "DELETE, GET",
    "/chat/completions": "POST",
    "/embeddings": "POST",
}


@pytest.mark.parametrize("path", ALLOWED)
def test_a_method_that_a_path_does_not_have_is_named(api: Api, path: str) -> None:
    for method in ("GET", "POST", "DELETE", "PUT", "PATCH", "OPTIONS", "TRACE", "PROPFIND"):
        if method in ALLOWED[path]:
            continue
        answer = api(method, path)
        Error(405, f"Not allowed to {method} on /v1{path}.", code="method_not_supported").check(answer)
        assert answer.headers["allow"] == ALLOWED[path]
    # To HEAD belongs the answer of GET without its body; what is said is said in the status.
    head = api("HEAD", path)
    assert (head.status, head.body) == (405, b"")
    assert head.headers["allow"] == ALLOWED[path]


# --- models


def test_models_that_no_route_answers_for(api: Api) -> None:
    """This server's one route answers for every name but none at all."""
    Error(404, "The model '' does not exist", "model", "model_not_found").check(api.get("/models/"))
    Error(403, "The model 'm' cannot be deleted: it is set by a route.", "model").check(api.delete("/models/m"))
    assert api.get("/models/owner/name").ok["id"] == "owner/name"
    assert api.get("/models/owner%2Fname").ok["id"] == "owner/name"
    assert api.get("/models/100%25").ok["id"] == "100%"
