"""The headers that a request must bring, and those that an answer carries."""

from __future__ import annotations

import re

import pytest

from tests.support.errors import REQUEST_ID, Error
from tests.support.http import Api
from tests.support.server import Server
from tests.support.waiting import eventually

NO_KEY = Error(
    401,
    "You didn't provide an API key. You need to provide your API key in an Authorization header using Bearer auth "
    "(i.e. Authorization: Bearer YOUR_KEY), or as the password field (with blank username) if you're accessing the "
    "API from your browser and are prompted for a username and password. You can obtain an API key from "
    "whoever runs this server: `assistd keys create NAME` makes one. Before the first one is made, any text will do.",
)
NO_BETA = Error(
    400,
    "You must provide the 'OpenAI-Beta' header to access the Assistants API. Please try again by setting the header "
    "'OpenAI-Beta: assistants=v2'.",
    code="invalid_beta",
)
FOREIGN = (
    {"Host": "evil.example:8000"},  # a name that was given this machine's address
    {"Host": "evil.example:8000", "Origin": "http://evil.example:8000"},
    {"Origin": "https://evil.example"},
    {"Origin": "null"},
    {"Host": "localhost.evil.example"},
)

WITH_BETA = [
    ("GET", "/assistants"),
    ("POST", "/assistants"),
    ("GET", "/assistants/asst_1"),
    ("GET", "/threads"),
    ("POST", "/threads"),
    ("GET", "/threads/thread_1"),
    ("GET", "/threads/thread_1/messages"),
    ("DELETE", "/threads/thread_1/messages/msg_1"),
    ("POST", "/threads/runs"),
    ("GET", "/threads/thread_1/runs/run_1"),
    ("POST", "/threads/thread_1/runs/run_1/cancel"),
    ("GET", "/threads/thread_1/runs/run_1/events"),
    ("GET", "/threads/thread_1/runs/run_1/prompts"),
    ("GET", "/threads/thread_1/runs/run_1/steps/step_1"),
]
KEYED = [
    *(("POST", "/files"), ("GET", "/files/file-1"), ("DELETE", "/files/file-1"), ("GET", "/files/file-1/content")),
    *(("POST", f"/uploads/upload_1/{end}") for end in ("parts", "complete", "cancel")),
    *((method, "/vector_stores/vs_1") for method in ("GET", "POST", "DELETE")),
    *(("POST", f"/vector_stores/vs_1/{end}") for end in ("files", "file_batches", "search")),
    *((method, "/vector_stores/vs_1/files/file-1") for method in ("GET", "POST", "DELETE")),
    *(("GET", f"/vector_stores/vs_1/{end}") for end in ("files", "files/file-1/content", "file_batches/vsfb_1/files")),
]
WITHOUT_BETA = [
    *(("GET", "/models"), ("GET", "/models/m"), ("POST", "/chat/completions"), ("POST", "/embeddings")),
    *(("GET", "/files"), ("POST", "/uploads"), ("GET", "/vector_stores"), ("POST", "/vector_stores")),
]


@pytest.mark.parametrize(("method", "path"), WITH_BETA + WITHOUT_BETA + KEYED)
def test_every_path_wants_a_key(api: Api, method: str, path: str) -> None:
    """Even where no key was created yet: clients are to be set up as they will be used."""
    for header in (None, "", "Bearer", "Bearer ", "Bearer    ", "sk-any", "Basic Og==", "Token x", "Bearerx"):
        NO_KEY.check(api(method, path, headers={"Authorization": header}))


def test_the_scheme_of_a_key_may_be_in_any_case(api: Api) -> None:
    for header in ("bearer sk-any", "BEARER sk-any", "Bearer   sk-any  "):
        assert api.get("/assistants", headers={"Authorization": header}).status == 200


@pytest.mark.parametrize(("method", "path"), WITH_BETA)
def test_the_assistants_paths_want_the_beta_header(api: Api, method: str, path: str) -> None:
    for header in (None, "", "assistants", "assistants=v3", "assistants=V2", "realtime=v1", "assistants=v22"):
        NO_BETA.check(api(method, path, headers={"OpenAI-Beta": header}))


def test_the_beta_header_may_name_more(api: Api) -> None:
    for header in ("assistants=v2", "realtime=v1,assistants=v2", "assistants=v2 , x=y", "assistants=v1,assistants=v2"):
        assert api.get("/assistants", headers={"OpenAI-Beta": header}).status == 200


@pytest.mark.parametrize(("method", "path"), WITHOUT_BETA)
def test_the_other_paths_want_no_beta_header(api: Api, method: str, path: str) -> None:
    body = {
        "/chat/completions": {"model": "m", "messages": [{"role": "user", "content": "x"}]},
        "/embeddings": {"model": "m", "input": "x"},
        "/uploads": {"filename": "a.txt", "purpose": "vision", "bytes": 1, "mime_type": "text/plain"},
    }.get(path)
    assert api(method, path, body, headers={"OpenAI-Beta": None}).status == 200


def test_the_key_comes_first_then_the_path_then_the_beta_header(api: Api) -> None:
    """What is wrong with a request is told from the outside in; who may not come in learns nothing else."""
    nothing = {"Authorization": None, "OpenAI-Beta": None}
    NO_KEY.check(api.post("/threads/undefined/runs", b"{", headers=nothing))
    NO_KEY.check(api("PUT", "/assistants", headers=nothing))
    Error(405, "Not allowed to PUT on /v1/assistants.", code="method_not_supported").check(
        api("PUT", "/assistants", headers={"OpenAI-Beta": None})
    )
    NO_BETA.check(api.post("/threads/undefined/runs", b"{", headers={"OpenAI-Beta": None}))
    Error(
        400, "Invalid 'thread_id': 'undefined'. Expected an ID that begins with 'thread'.", "thread_id", "invalid_value"
    ).check(api.post("/threads/undefined/runs", b"{"))


def test_what_sdks_send_besides_is_passed_over(api: Api) -> None:
    headers = {
        "OpenAI-Organization": "org-1",
        "OpenAI-Project": "proj_1",
        "X-Stainless-Lang": "python",
        "X-Stainless-Retry-Count": "2",
        "X-Stainless-Poll-Helper": "true",
        "Idempotency-Key": "1",
        "Accept": "application/json",
        "Accept-Encoding": "gzip, deflate, br, zstd",
    }
    assert api.get("/assistants", headers=headers).status == 200


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/assistants", 200),
        ("GET", "/assistants/asst_1", 404),
        ("POST", "/assistants", 400),
        ("PUT", "/threads", 405),
    ],
)
def test_every_answer_carries_the_services_headers(api: Api, method: str, path: str, status: int) -> None:
    answer = api(method, path)
    assert answer.status == status
    assert answer.headers["openai-version"] == "2020-10-01"
    assert answer.headers["openai-organization"] == "assistd"
    assert answer.headers["openai-project"] == "proj_default"
    assert answer.headers["openai-processing-ms"].isdecimal()
    assert REQUEST_ID.fullmatch(answer.headers["x-request-id"])
    assert not [name for name in answer.headers if name.startswith("x-ratelimit")]
    assert "openai-poll-after-ms" not in answer.headers


def test_every_request_has_an_id_of_its_own_that_the_log_knows(api: Api, server: Server) -> None:
    answers = [api.get("/assistants/asst_1"), api.get("/nothing"), api.post("/threads")]
    ids = [answer.headers["x-request-id"] for answer in answers]
    assert len(set(ids)) == 3
    eventually(lambda: f'"request_id": "{ids[2]}"' in server.log)


def test_a_wrong_content_type_does_not_matter(api: Api) -> None:
    """A JSON body is JSON, whatever its label says; what is none is refused as such."""
    for label in ("text/plain", "application/x-www-form-urlencoded", "application/json; charset=utf-16", "?", ""):
        assert api.post("/threads", b'{"metadata": {"a": "b"}}', headers={"Content-Type": label}).status == 200
    for label, body in (
        ("application/x-www-form-urlencoded", b"metadata=a"),
        ("multipart/form-data; boundary=x", b'--x\r\nContent-Disposition: form-data; name="a"\r\n\r\nb\r\n--x--\r\n'),
        ("application/json", b"\x1f\x8b\x08\x00"),
    ):
        answer = api.post("/threads", body, headers={"Content-Type": label})
        assert answer.status == 400
        assert re.match("We could not parse the JSON body of your request: ", answer.json["error"]["message"])


@pytest.mark.parametrize("headers", FOREIGN)
def test_no_page_of_another_host_uses_a_server_without_keys(api: Api, headers: dict[str, str]) -> None:
    """Its visitors' browsers could be made to send such requests, with any key, to the server on their machine."""
    name = headers["Host"] if "Host" in headers else headers["Origin"]
    refused = Error(
        403,
        "No API key was created on this server yet, so it serves the programs and pages of its own machine only, and "
        f"this request is of '{name}'. Create a key with `assistd keys create NAME`, and send that.",
        code="no_api_key_created",
    )
    for method, path in (("GET", "/threads"), ("POST", "/threads"), ("GET", "/models")):
        refused.check(api(method, path, headers=headers))


def test_pages_and_programs_of_this_machine_use_a_server_without_keys(api: Api) -> None:
    port = api.address[1]
    for host in (f"localhost:{port}", f"127.0.0.1:{port}", f"[::1]:{port}", f"LOCALHOST:{port}", "a.localhost", ""):
        assert api.get("/threads", headers={"Host": host}).status == 200
    for origin in (f"http://127.0.0.1:{port}", "http://localhost:5173", "https://[::1]:3000"):
        assert api.get("/threads", headers={"Origin": origin}).status == 200


def test_nobody_guesses_the_type_of_an_answer(api: Api) -> None:
    for path in ("/threads", "/nothing"):
        assert api.get(path).headers["x-content-type-options"] == "nosniff"
