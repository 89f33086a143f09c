"""Section 0 of the walkthrough: what holds of every call."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

from tests.conformance.wiretap import Exchange
from tests.v1.boxes import PRINTED, Walked, box, prints

BASE62 = "[0-9A-Za-z]{24}"
PREFIXES = {
    "assistant": "asst_",
    "thread": "thread_",
    "thread.message": "msg_",
    "thread.run": "run_",
    "thread.run.step": "step_",
    "file": "file-",
}
# References by the field they stand in.
REFERENCES = {
    "assistant_id": "asst_",
    "thread_id": "thread_",
    "message_id": "msg_",
    "run_id": "run_",
    "file_id": "file-",
    "file_ids": "file-",
}
KINDS = {
    "assistants": r"/v1/assistants(/[^/]+)?",
    "threads": r"/v1/threads(/[^/]+)?",
    "messages": r"/v1/threads/[^/]+/messages",
    "runs": r"/v1/threads/[^/]+/runs(/[^/]+(/submit_tool_outputs)?)?",
    "steps": r"/v1/threads/[^/]+/runs/[^/]+/steps",
    "files": r"/v1/files",
}


@box("0.1")
def the_beta_header_is_sent_where_it_was(walked: Walked) -> None:
    sent: dict[str, set[str | None]] = {}
    for exchange in walked.exchanges:
        sent.setdefault(kind_of(exchange), set()).add(exchange.request_headers.get("openai-beta"))
    assert sent == {kind: {None if kind == "files" else "assistants=v1"} for kind in KINDS}
    assert tuple(map(int, walked.saw["httpx"].split(".")[:2])) < (0, 28)
    refused = [str(exchange) for exchange in walked.exchanges if exchange.status != 200]
    assert refused == [], "every call is answered"


@box("0.2")
def calls_without_a_body_are_answered(walked: Walked) -> None:
    reads = [exchange for exchange in walked.exchanges if exchange.method == "GET"]
    assert {(e.request_headers["content-type"], e.request_body, e.status) for e in reads} == {
        ("application/json", b"", 200)
    }
    made = [exchange for exchange in walked.exchanges if (exchange.method, exchange.path) == ("POST", "/v1/threads")]
    assert {(exchange.request_body, exchange.status) for exchange in made} == {(b"{}", 200)}


@box("0.3")
def objects_print_the_fields_of_their_time(walked: Walked) -> None:
    seen = set()
    for printed in objects(walked.saw):
        if printed["object"] in PRINTED[walked.sdk]:
            seen.add(printed["object"])
            prints(walked, printed)
    assert seen == set(PRINTED[walked.sdk])


@box("0.4")
def iterating_ends_on_an_empty_page(walked: Walked) -> None:
    pages = [exchange for exchange in walked.exchanges if kind_of(exchange) == "messages" and exchange.method == "GET"]
    followed = [(page, then) for page, then in pairwise(pages) if _last_id(page) in then.target]
    assert followed, "every page that is iterated is asked on from"
    for page, then in followed:
        assert json.loads(page.body)["has_more"] is False
        assert then.target.endswith(f"after={_last_id(page)}") or f"after={_last_id(page)}&" in then.target
    emptied = [then for _, then in followed if not json.loads(then.body)["data"]]
    assert emptied
    for then in emptied:
        assert then.status == 200
        assert json.loads(then.body) == {
            "object": "list",
            "data": [],
            "first_id": None,
            "last_id": None,
            "has_more": False,
        }


@box("0.5")
def ids_and_times_have_their_form(walked: Walked) -> None:
    seen = set()
    for printed in objects(walked.saw):
        if printed["object"] in PREFIXES:
            seen.add(printed["object"])
            assert re.fullmatch(PREFIXES[printed["object"]] + BASE62, printed["id"]), printed["id"]
    assert seen == set(PREFIXES)
    calls = 0
    for key, value in fields(walked.saw):
        if key in REFERENCES:
            for id in value if isinstance(value, list) else [value]:
                assert id is None or re.fullmatch(REFERENCES[key] + BASE62, id), (key, id)
        elif key.endswith("_at"):
            assert value is None or type(value) is int, (key, value)
        elif key == "tool_calls":
            calls += len(value)
            for call in value:
                assert re.fullmatch("call_" + BASE62, call["id"]), call["id"]
    assert calls


@box("0.6")
def the_models_name_is_echoed(walked: Walked) -> None:
    named = [printed["model"] for printed in objects(walked.saw) if "model" in printed]
    assert set(named) == {walked.saw["model"]} == {"gpt-4-1106-preview"}


def kind_of(exchange: Exchange) -> str:
    (kind,) = [kind for kind, pattern in KINDS.items() if re.fullmatch(pattern, exchange.path)]
    return kind


def objects(value: Any) -> Iterator[dict[str, Any]]:
    """Every object of the API in what was seen, however deep."""
    if isinstance(value, dict) and "object" in value:
        yield value
    for item in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from objects(item)


def fields(value: Any) -> Iterator[tuple[str, Any]]:
    """Every field of every object in what was seen."""
    if isinstance(value, dict):
        yield from value.items()
    for item in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from fields(item)


def _last_id(page: Exchange) -> str:
    return str(json.loads(page.body)["last_id"])
