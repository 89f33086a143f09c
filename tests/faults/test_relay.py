"""Completions and embeddings that are passed through: what goes wrong behind assistd reaches the client readably."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest

from tests.support.databases import new_database
from tests.support.errors import Error, shape_of
from tests.support.http import Api
from tests.support.server import serve
from tests.support.talk import path_of, until, user

PAGE = b"<html><body><h1>502 Bad Gateway</h1>\n</body></html>"


RATES = {
    "x-ratelimit-limit-requests": "60",
    "x-ratelimit-remaining-tokens": "149984",
    "x-ratelimit-reset-tokens": "6m0s",
    "anthropic-ratelimit-requests-remaining": "3",
    "ratelimit-policy": '"default";q=100;w=60',
    "retry-after": "7",
    "retry-after-ms": "6500",
    "x-should-retry": "false",
}
PRIVATE = {
    "openai-organization": "the-operator",
    "openai-project": "proj_operator",
    "set-cookie": "a=b",
    "x-request-id": "theirs",
    "www-authenticate": "Bearer",
}
WRONG_KEY = "Incorrect API key provided: sk-rou***. You can find your API key at https://platform.openai.com."


class _Limited(BaseHTTPRequestHandler):
    """A model's server that says how much one may ask of it; which answer it gives is the model's name."""

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["content-length"])))
        status, stream = int(asked["model"].split("-")[1]), asked.get("stream", False)
        kind, body = (
            "application/json",
            json.dumps({"error": {"message": WRONG_KEY, "code": "invalid_api_key"}}).encode(),
        )
        if status == 200 and stream:
            kind, body = "text/event-stream", b"data: [DONE]\n\n"
        if asked["model"].endswith("page"):
            kind, body = "text/html", PAGE
        self.send_response(status)
        for name, value in (RATES | PRIVATE | {"content-type": kind, "content-length": str(len(body))}).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""


class _Proxy(BaseHTTPRequestHandler):
    """What stands before many a model: something that answers in HTML when the model is away."""

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["content-length"]))
        self.send_response(502)
        self.send_header("content-type", "text/html")
        self.send_header("content-length", str(len(PAGE)))
        self.end_headers()
        self.wfile.write(PAGE)

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""


@contextmanager
def _serving(handler: type[BaseHTTPRequestHandler]) -> Iterator[str]:
    with HTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/v1"
        finally:
            server.shutdown()
            thread.join()


@contextmanager
def _scripted() -> Iterator[str]:
    command = [sys.executable, "-m", "assistd.llm.scripted"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            yield process.stdout.readline().split()[-1]
        finally:
            process.terminate()


@pytest.fixture(scope="module")
def routed(postgres: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    """A server with routes: to a model, to a page of HTML, to one that limits what is asked, and to nobody."""
    folder = tmp_path_factory.mktemp("relay")
    with (
        new_database(postgres) as dsn,
        _scripted() as scripted,
        _serving(_Proxy) as proxy,
        _serving(_Limited) as limited,
    ):
        routes = {"scripted-*": scripted, "proxied": proxy, "nobody": "http://127.0.0.1:9/v1", "limited-*": limited}
        lines = ['[[routes]]\nnames = ["mute"]\nembeddings = false\nbase_url = "http://127.0.0.1:9/v1"\n']
        lines += [f'[[routes]]\nnames = ["{name}"]\nbase_url = "{url}"\n' for name, url in routes.items()]
        (folder / "models.toml").write_text("".join(lines))
        with serve(folder, database_url=dsn, models_file=folder / "models.toml") as server:
            yield Api(server.url)


def chat(text: str, model: str = "scripted-1", **more: Any) -> dict[str, Any]:
    return {"model": model, "messages": [user(text)], **more}


def test_a_server_without_embeddings_is_not_asked_for_some(routed: Api) -> None:
    refused = routed.post("/embeddings", {"model": "mute", "input": "x"})
    assert (refused.status, refused.json["error"]["code"]) == (400, "unsupported_model")
    assert "'mute' makes no embeddings" in refused.json["error"]["message"]


@pytest.mark.parametrize("path", ["/chat/completions", "/embeddings"])
def test_a_model_without_a_route_does_not_exist(routed: Api, path: str) -> None:
    absent = Error(404, "The model 'gpt-x' does not exist", "model", "model_not_found")
    for stream in (False, True):
        absent.check(routed.post(path, {**chat("hi", "gpt-x"), "input": "hi", "stream": stream}))
    absent.check(routed.get("/models/gpt-x"))
    absent.check(routed.delete("/models/gpt-x"))


def test_a_run_on_a_model_without_a_route_fails_and_says_so(routed: Api) -> None:
    assistant = routed.post("/assistants", {"model": "gpt-x"}).ok["id"]
    run = routed.post("/threads/runs", {"assistant_id": assistant, "thread": {"messages": [user("hi")]}}).ok
    assert until(routed, run, "failed")["last_error"] == {
        "code": "server_error",
        "message": "The model 'gpt-x' does not exist",
    }
    assert b"event: thread.run.failed" in routed.get(f"{path_of(run)}/events").body


@pytest.mark.parametrize("stream", [False, True])
def test_an_error_of_the_models_server_is_passed_on_as_it_is(routed: Api, stream: bool) -> None:
    answer = routed.post("/chat/completions", chat("/fail 429 retry-after=7 code=slow_down Slow down.", stream=stream))
    assert (answer.status, answer.headers["retry-after"]) == (429, "7")
    assert answer.json["error"] == {
        "message": "Slow down.",
        "type": "invalid_request_error",
        "param": None,
        "code": "slow_down",
    }


@pytest.mark.parametrize("path", ["/chat/completions", "/embeddings"])
@pytest.mark.parametrize("stream", [False, True])
def test_a_page_of_html_is_put_into_the_envelope(routed: Api, path: str, stream: bool) -> None:
    answer = routed.post(path, {**chat("hi", "proxied"), "input": "hi", "stream": stream})
    words = "<html><body><h1>502 Bad Gateway</h1> </body></html>"
    Error(502, f"The model's server answered with status 502: {words}", type="server_error").check(answer)


@pytest.mark.parametrize("path", ["/chat/completions", "/embeddings"])
def test_a_models_server_that_is_away_is_told(routed: Api, path: str) -> None:
    answer = routed.post(path, {**chat("hi", "nobody"), "input": "hi"})
    error = shape_of(answer)
    assert (answer.status, error["type"], answer.headers["retry-after"]) == (503, "server_error", "1")
    assert error["message"] is not None
    assert "127.0.0.1:9" in error["message"]


@pytest.mark.parametrize("path", ["/chat/completions", "/embeddings"])
@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("model", ["limited-200", "limited-429", "limited-503", "limited-503-page"])
def test_a_client_sees_what_it_may_still_ask(routed: Api, path: str, stream: bool, model: str) -> None:
    """And not who the operator is to the model's server."""
    answer = routed.post(path, {**chat("hi", model), "input": "hi", "stream": stream})
    assert answer.status == int(model.split("-")[1])
    assert {name: answer.headers.get(name) for name in RATES} == RATES
    assert not [name for name, value in PRIVATE.items() if answer.headers.get(name) == value]


@pytest.mark.parametrize("path", ["/chat/completions", "/embeddings"])
@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    ("model", "words"), [("limited-401", f" It says: {WRONG_KEY}"), ("limited-401-page", ""), ("limited-407-page", "")]
)
def test_a_key_that_the_models_server_refuses_is_not_the_clients(
    routed: Api, path: str, stream: bool, model: str, words: str
) -> None:
    answer = routed.post(path, {**chat("hi", model), "input": "hi", "stream": stream})
    error = shape_of(answer)
    assert (answer.status, error["type"], error["code"]) == (502, "server_error", "upstream_key_refused")
    assert answer.headers["x-should-retry"] == "false"
    said = str(error["message"])
    assert said.startswith("The model server 127.0.0.1:")
    assert said.endswith(
        " does not accept the API key of its route, which is this server's key for it and not yours." + words
    )


def test_a_run_says_whose_key_is_refused(routed: Api) -> None:
    assistant = routed.post("/assistants", {"model": "limited-401"}).ok["id"]
    run = routed.post("/threads/runs", {"assistant_id": assistant, "thread": {"messages": [user("hi")]}}).ok
    error = until(routed, run, "failed")["last_error"]
    assert error["code"] == "server_error"
    assert error["message"].endswith(f"which is this server's key for it and not yours. It says: {WRONG_KEY}")


def test_an_answer_that_is_cut_off_is_no_answer(routed: Api) -> None:
    """Half a JSON body would be worse than an error, which clients try again after."""
    answer = routed.post("/chat/completions", chat("/tokens 9\n/cut 3"))
    assert (answer.status, shape_of(answer)["type"]) == (503, "server_error")


def test_a_stream_that_is_cut_off_says_so(routed: Api) -> None:
    """What came is there; then an error where SDKs look for it, and no word of a regular end."""
    answer = routed.post("/chat/completions", chat("/tokens 9\n/cut 3", stream=True))
    assert answer.status == 200
    *chunks, last = [line.removeprefix(b"data: ") for line in answer.body.split(b"\n\n") if line]
    said = [json.loads(chunk)["choices"][0]["delta"].get("content") or "" for chunk in chunks]
    assert "".join(said).split() == ["w0", "w1", "w2"]
    error = json.loads(last)["error"]
    assert set(error) == {"message", "type", "param", "code"}
    assert error["type"] == "server_error"
    assert b"[DONE]" not in answer.body
