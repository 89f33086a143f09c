"""Keys at a server that has some: wrong ones, ones that are revoked meanwhile, and ones that browsers keep."""

from __future__ import annotations

import base64
import http.client
import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.databases import new_database
from tests.support.errors import Error, shape_of
from tests.support.http import FORM, Api, form
from tests.support.program import assistd
from tests.support.server import Server, serve
from tests.support.talk import start, until, user
from tests.support.waiting import eventually

PAGE = "https://app.example"
REVOKED = {
    "message": "The API key of this request was revoked.",
    "type": "invalid_request_error",
    "param": None,
    "code": "invalid_api_key",
}


class Keys:
    """The commands that make and revoke keys."""

    def __init__(self, folder: Path, dsn: str) -> None:
        self._folder, self._dsn = folder, dsn

    def _run(self, *words: str) -> str:
        done = assistd(self._folder, "keys", *words, database_url=self._dsn)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def create(self, name: str) -> str:
        return self._run("create", name).strip()

    def revoke(self, name: str) -> None:
        (line,) = [line for line in self._run("list").splitlines() if name in line.split()]
        (id,) = [word for word in line.split() if word.startswith("key_")]
        self._run("revoke", id)


@pytest.fixture(scope="module")
def dsn(postgres: str) -> Iterator[str]:
    with new_database(postgres) as dsn:
        yield dsn


@pytest.fixture(scope="module")
def keys(dsn: str, tmp_path_factory: pytest.TempPathFactory) -> Keys:
    return Keys(tmp_path_factory.mktemp("keys"), dsn)


@pytest.fixture(scope="module")
def key(keys: Keys) -> str:
    return keys.create("kept")


@pytest.fixture(scope="module")
def server(dsn: str, key: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    settings = {"cors_origins": f"{PAGE}, http://localhost:5173", "trusted_proxies": "127.0.0.1", "sandbox": "off"}
    with serve(tmp_path_factory.mktemp("server"), database_url=dsn, **settings) as running:
        yield running


@pytest.fixture(scope="module")
def api(server: Server, key: str) -> Api:
    return Api(server.url, key)


# --- revoked while something goes on


def revoked_stream(response: http.client.HTTPResponse, keys: Keys, name: str) -> list[bytes]:
    """Read the first event of a stream, revoke its key, and return the events that still came."""
    first = b""
    while not first.endswith(b"\n\n"):
        first += response.readline()
    keys.revoke(name)
    return [event for event in response.read().split(b"\n\n") if event.strip()]


def test_a_revoked_key_ends_the_stream_of_a_run(server: Server, api: Api, keys: Keys) -> None:
    """The run goes on, and another key of the project sees it."""
    assistant = api.post("/assistants", {"model": "scripted", "instructions": "x"}).ok["id"]
    theirs = Api(server.url, keys.create("streaming"))
    thread = {"messages": [user("/tokens 3\n/stall 1")]}
    body = {"assistant_id": assistant, "thread": thread, "stream": True}
    with theirs.open("POST", "/threads/runs", body) as response:
        *_, last = revoked_stream(response, keys, "streaming")
    assert last.strip().startswith(b"event: error\n"), last
    assert json.loads(last.partition(b"data: ")[2]) == {"error": REVOKED}
    Error(401, shape_of(theirs.get("/threads"))["message"] or "", code="invalid_api_key").check(theirs.get("/threads"))
    (thread,) = api.get("/threads?limit=1").ok["data"]
    (run,) = api.get(f"/threads/{thread['id']}/runs").ok["data"]
    assert run["status"] == "in_progress"
    api.post(f"/threads/{thread['id']}/runs/{run['id']}/cancel")
    until(api, run, "cancelled")


def test_a_revoked_key_ends_a_followed_stream_and_a_relayed_one(server: Server, api: Api, keys: Keys) -> None:
    assistant = api.post("/assistants", {"model": "scripted", "instructions": "x"}).ok["id"]
    run = start(api, "/tokens 3\n/stall 1", assistant)
    theirs = Api(server.url, keys.create("following"))
    with theirs.open("GET", f"/threads/{run['thread_id']}/runs/{run['id']}/events") as response:
        *_, last = revoked_stream(response, keys, "following")
    assert json.loads(last.partition(b"data: ")[2]) == {"error": REVOKED}
    api.post(f"/threads/{run['thread_id']}/runs/{run['id']}/cancel")
    theirs = Api(server.url, keys.create("relaying"))
    chat = {"model": "scripted", "messages": [user("/tokens 9\n/stall 1")], "stream": True}
    with theirs.open("POST", "/chat/completions", chat) as response:
        *_, last = revoked_stream(response, keys, "relaying")
    assert json.loads(last.partition(b"data: ")[2]) == {"error": REVOKED}


def test_a_revoked_key_ends_an_upload(server: Server, api: Api, keys: Keys) -> None:
    """Nothing is kept of it."""
    theirs = Api(server.url, keys.create("uploading"))
    body = form({"purpose": "assistants"}, "file", "half.txt", b"x" * 300_000)
    revoked = threading.Event()

    def sent() -> Iterator[bytes]:
        yield body[:200_000]
        keys.revoke("uploading")
        eventually(lambda: theirs.get("/files").status == 401)
        revoked.set()
        for at in range(200_000, len(body), 1000):
            yield body[at : at + 1000]

    answer = theirs.post("/files", sent(), headers=FORM)
    assert revoked.is_set()
    assert (answer.status, answer.json["error"]["code"]) == (401, "invalid_api_key")
    assert "half.txt" not in {file["filename"] for file in api.get("/files").ok["data"]}


# --- wrong keys


def test_who_tries_keys_is_slowed_down_and_nobody_else_is(server: Server, api: Api, key: str) -> None:
    """An address is the client's own: the proxy on this machine says for whom it asks."""
    guesser = {"X-Forwarded-For": "203.0.113.9, 198.51.100.7"}
    assert api.get("/threads").status == 200  # so that it is a known one
    refusals = [Api(server.url, f"sk-guess{n}").get("/threads", headers=guesser) for n in range(200)]
    assert {refusal.status for refusal in refusals} == {401, 429}
    limited = next(refusal for refusal in refusals if refusal.status == 429)
    assert shape_of(limited)["message"] == (
        "Too many wrong API keys came from your address. Please check your key, and try again soon."
    )
    assert int(limited.headers["retry-after"]) >= 1
    assert api.get("/threads", headers=guesser).status == 200  # a key that is known goes on to be let in from there
    other = {"X-Forwarded-For": "198.51.100.8"}
    assert Api(server.url, "sk-another-wrong-one").get("/threads", headers=other).status == 401


def test_the_same_wrong_key_again_and_again_is_no_guessing(server: Server) -> None:
    """It is a client that was set up wrong, and has to hear that."""
    wrong = Api(server.url, "sk-wrong-but-always-the-same")
    address = {"X-Forwarded-For": "198.51.100.9"}
    assert {wrong.get("/threads", headers=address).status for _ in range(200)} == {401}


# --- keys as passwords


def basic(text: str) -> str:
    return "Basic " + base64.b64encode(text.encode()).decode()


def test_a_key_can_be_the_password_or_the_name(api: Api, key: str) -> None:
    """As the text of the 401 offers, and as programs send it that take one text."""
    for header in (basic(f":{key}"), basic(f"{key}:"), basic(f"anybody:{key}")):
        assert api.get("/threads", headers={"Authorization": header}).status == 200
    for header in (basic(":sk-wrong"), basic("sk-wrong:")):
        refused = api.get("/threads", headers={"Authorization": header})
        assert (refused.status, refused.json["error"]["code"]) == (401, "invalid_api_key")


def test_a_browser_is_asked_to_ask_its_user(api: Api) -> None:
    """Where a person looks, and not the pages that use the API, which have their own ways to ask."""
    page = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}
    for header in (None, basic(":sk-wrong")):
        refused = api.get("/threads", headers={"Authorization": header, **page})
        assert refused.status == 401
        assert refused.headers["www-authenticate"] == 'Basic realm="assistd"'
        refused = api.get("/threads", headers={"Authorization": header, "Accept": "*/*"})
        assert refused.status == 401
        assert "www-authenticate" not in refused.headers


def test_no_page_of_elsewhere_uses_a_password_that_a_browser_keeps(api: Api, key: str) -> None:
    """A browser sends it with every request to this server, whichever page makes it do so."""
    kept = {"Authorization": basic(f":{key}")}
    for origin in ("https://evil.example", "null", "http://127.0.0.1:9"):
        refused = api.post("/threads", headers={**kept, "Origin": origin})
        assert (refused.status, refused.json["error"]["code"]) == (403, None)
        assert api.post("/threads", headers={"Origin": origin}).status == 200  # with its own key
    host, port = api.address
    for origin in (f"http://{host}:{port}", PAGE):
        assert api.post("/threads", headers={**kept, "Origin": origin}).status == 200


# --- pages of elsewhere


PREFLIGHT = {
    "Authorization": None,
    "OpenAI-Beta": None,
    "Access-Control-Request-Method": "POST",
    "Access-Control-Request-Headers": "authorization,content-type,openai-beta,x-stainless-lang",
}


@pytest.mark.parametrize("path", ["/threads", "/threads/thread_1/runs", "/files", "/chat/completions", "/nothing"])
def test_a_page_that_is_listed_may_ask(api: Api, path: str) -> None:
    answer = api("OPTIONS", path, headers={**PREFLIGHT, "Origin": PAGE})
    assert answer.status == 200
    assert answer.headers["access-control-allow-origin"] == PAGE
    assert {"GET", "POST", "DELETE"} <= set(answer.headers["access-control-allow-methods"].split(", "))
    allowed = answer.headers["access-control-allow-headers"].split(",")
    assert {"authorization", "content-type", "openai-beta", "x-stainless-lang"} <= {name.strip() for name in allowed}
    assert "access-control-allow-credentials" not in answer.headers
    assert "Origin" in answer.headers["vary"]


@pytest.mark.parametrize(
    ("method", "path", "status"), [("GET", "/threads", 200), ("GET", "/nothing", 404), ("POST", "/assistants", 400)]
)
def test_a_page_that_is_listed_may_read_answers_and_errors(api: Api, method: str, path: str, status: int) -> None:
    answer = api(method, path, headers={"Origin": PAGE})
    assert (answer.status, answer.headers["access-control-allow-origin"]) == (status, PAGE)
    exposed = answer.headers["access-control-expose-headers"].split(", ")
    assert {"x-request-id", "openai-processing-ms", "retry-after", "x-ratelimit-remaining-tokens"} <= set(exposed)
    refused = api(method, path, headers={"Origin": PAGE, "Authorization": "Bearer sk-wrong"})
    assert refused.headers["access-control-allow-origin"] == PAGE


def test_no_other_page_may(api: Api) -> None:
    for origin in ("https://evil.example", f"{PAGE}.evil.example", PAGE.replace("https", "http"), "null"):
        assert "access-control-allow-origin" not in api.get("/threads", headers={"Origin": origin}).headers
        refused = api("OPTIONS", "/threads", headers={**PREFLIGHT, "Origin": origin})
        assert "access-control-allow-origin" not in refused.headers


def test_without_the_setting_no_page_may(postgres: str, tmp_path: Path) -> None:
    """And with any origin allowed, a server without keys is still for its own machine only."""
    with new_database(postgres) as dsn:
        for origins, allowed in (("", None), ("*", "*")):
            with serve(tmp_path, database_url=dsn, sandbox="off", cors_origins=origins) as running:
                open_door = Api(running.url)
                answer = open_door.get("/threads", headers={"Origin": PAGE})
                assert (answer.status, answer.json["error"]["code"]) == (403, "no_api_key_created")
                assert answer.headers.get("access-control-allow-origin") == allowed
                assert open_door.post("/threads", headers={"Origin": PAGE}).status == 403
                preflight = open_door("OPTIONS", "/threads", headers={**PREFLIGHT, "Origin": PAGE})
                assert preflight.headers.get("access-control-allow-origin") == allowed


def test_proxies_are_asked_not_to_keep_events_back(api: Api) -> None:
    assistant = api.post("/assistants", {"model": "scripted", "instructions": "x"}).ok["id"]
    run: dict[str, Any] = {"assistant_id": assistant, "thread": {"messages": [user("/say hi")]}, "stream": True}
    streams = [api.post("/threads/runs", run)]
    (thread,) = api.get("/threads?limit=1").ok["data"]
    (made,) = api.get(f"/threads/{thread['id']}/runs").ok["data"]
    streams.append(api.get(f"/threads/{thread['id']}/runs/{made['id']}/events"))
    streams.append(api.post("/chat/completions", {"model": "scripted", "messages": [user("/say hi")], "stream": True}))
    for answer in streams:
        assert answer.status == 200
        assert answer.headers["content-type"].startswith("text/event-stream")
        assert answer.headers["x-accel-buffering"] == "no"
    assert "x-accel-buffering" not in api.get("/threads").headers
