"""Whatever can be made of the published schema, valid or not: never a server's fault; what is no file is JSON."""

from __future__ import annotations

import copy
import json
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import requests
import schemathesis
import yaml
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from schemathesis import GenerationMode

from tests.faults.conftest import new_store, new_upload
from tests.support.errors import shape_of
from tests.support.http import KEY, TIMEOUT, Answer, Api
from tests.support.talk import start, until

CONTRACT = Path(__file__).parent.parent / "data" / "contract" / "openai-v2.yaml"
METHODS = ("get", "post", "delete")
EXAMPLES = 15  # of each operation and mode


@cache
def contract() -> dict[str, Any]:
    document: dict[str, Any] = yaml.load(CONTRACT.read_text("utf-8"), Loader=yaml.CSafeLoader)
    return document


@cache
def schema() -> Any:
    return schemathesis.openapi.from_dict(copy.deepcopy(contract()))


OPERATIONS = [(method, path) for path, item in contract()["paths"].items() for method in METHODS if method in item]


@pytest.fixture
def real(api: Api, assistant: str) -> dict[str, Any]:
    """Ids of objects that are there, fresh ones for every test, because some tests delete them."""
    run = until(api, start(api, "/call look_up {}", assistant), "requires_action")
    thread = f"/threads/{run['thread_id']}"
    (call,) = run["required_action"]["submit_tool_outputs"]["tool_calls"]
    return {
        "assistant_id": api.post("/assistants", {"model": "scripted", "instructions": "Speak."}).ok["id"],
        "thread_id": run["thread_id"],
        "message_id": api.get(f"{thread}/messages").ok["first_id"],
        "run_id": run["id"],
        "step_id": api.get(f"{thread}/runs/{run['id']}/steps").ok["first_id"],
        "tool_call_id": call["id"],
        "upload_id": new_upload(api),
        **dict(zip(("vector_store_id", "batch_id", "file_id"), new_store(api), strict=True)),
    }


@pytest.mark.parametrize("mode", [GenerationMode.POSITIVE, GenerationMode.NEGATIVE], ids=lambda mode: mode.name.lower())
@pytest.mark.parametrize(("method", "path"), OPERATIONS)
def test_no_request_is_answered_with_a_servers_fault(
    api: Api, real: dict[str, Any], method: str, path: str, mode: GenerationMode
) -> None:
    """Half of the requests name objects that are there, so that they get beyond a 404."""
    url = f"http://{api.address[0]}:{api.address[1]}/v1"
    statuses: list[int] = []

    @settings(
        max_examples=EXAMPLES,
        phases=[Phase.generate],
        derandomize=True,
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(case=schema()[path][method].as_strategy(generation_mode=mode), use_real=st.booleans())
    def send(case: Any, use_real: bool) -> None:
        if use_real:
            case.path_parameters = {name: real.get(name, value) for name, value in (case.path_parameters or {}).items()}
            case.body = _with_real_ids(case.body, real)
        headers = {"Authorization": f"Bearer {KEY}", "OpenAI-Beta": "assistants=v2"}
        response = session.request(**case.as_transport_kwargs(base_url=url, headers=headers), timeout=TIMEOUT)
        statuses.append(response.status_code)
        _judge(Answer(response.status_code, {k.lower(): v for k, v in response.headers.items()}, response.content))

    with requests.Session() as session:
        send()
    assert statuses


def _with_real_ids(body: Any, real: dict[str, Any]) -> Any:
    """The body with ids of real objects where it names any."""
    if not isinstance(body, dict):
        return body
    found = {name: real.get(name, value) for name, value in body.items()}
    if isinstance(found.get("file_ids"), list):
        found["file_ids"] = [real["file_id"], *found["file_ids"][1:]]
    if isinstance(found.get("files"), list):
        found["files"] = [_with_real_ids(file, real) for file in found["files"]]
    outputs = found.get("tool_outputs")
    if isinstance(outputs, list) and outputs and isinstance(outputs[0], dict):
        found["tool_outputs"] = [{**outputs[0], "tool_call_id": real["tool_call_id"]}]
    return found


def _judge(answer: Answer) -> None:
    assert answer.status < 500, answer.body
    if answer.status >= 400:
        shape_of(answer)
    elif answer.headers["content-type"].startswith("text/event-stream"):
        assert answer.body.endswith(b"[DONE]\n\n"), answer.body[-200:]
    elif answer.headers["content-type"] != "application/octet-stream":
        assert answer.headers["content-type"].startswith("application/json")
        json.loads(answer.body)
