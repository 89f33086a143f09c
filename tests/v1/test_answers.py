"""Objects of v2 as v1 shows them."""

from __future__ import annotations

from typing import Any

from assistd.v1.answers import holders, message_file_ids, translate
from assistd.v1.clients import Client

LATE = Client()
EARLY = Client(usage=False, message_status=False, temperature=False, limits=False)

FIRST_RUN_KEYS = {
    *("id", "object", "created_at", "assistant_id", "thread_id", "status", "started_at", "expires_at"),
    *("cancelled_at", "failed_at", "completed_at", "last_error", "model", "instructions", "tools", "file_ids"),
    "metadata",
}
RUN: dict[str, Any] = {
    **dict.fromkeys(FIRST_RUN_KEYS - {"file_ids"}),
    **dict.fromkeys(("required_action", "usage", "incomplete_details", "max_prompt_tokens", "max_completion_tokens")),
    "id": "run_1",
    "object": "thread.run",
    "status": "completed",
    "metadata": {},
    "tool_resources": {},
    "tools": [
        {"type": "file_search", "file_search": {"ranking_options": {}}},
        {"type": "function", "function": {"name": "f", "parameters": {"strict": 1}, "strict": True}},
        {"type": "code_interpreter"},
    ],
    "temperature": 1.0,
    "top_p": 1.0,
    "reasoning_effort": None,
    "parallel_tool_calls": True,
    "truncation_strategy": {"type": "auto", "last_messages": None},
    "response_format": "auto",
    "tool_choice": "auto",
}


def shown_run(client: Client = LATE, **changes: Any) -> dict[str, Any]:
    return translate(RUN | changes, client, {"run_1": ["file-1"]})


def shown_message(**changes: Any) -> dict[str, Any]:
    message = {
        **dict.fromkeys(("id", "created_at", "assistant_id", "thread_id", "run_id")),
        **dict.fromkeys(("incomplete_details", "incomplete_at", "completed_at")),
        "object": "thread.message",
        "status": "completed",
        "role": "user",
        "content": [],
        "metadata": {},
        "attachments": [],
    }
    return translate(message | changes, LATE, {})


def text(value: str, *annotations: dict[str, Any]) -> dict[str, Any]:
    return {"type": "text", "text": {"value": value, "annotations": list(annotations)}}


def path(file_id: str) -> dict[str, Any]:
    return {"type": "file_path", "file_path": {"file_id": file_id}}


# --- runs


def test_a_run_of_november_2023_has_its_first_keys_and_no_others() -> None:
    assert set(shown_run(EARLY)) == FIRST_RUN_KEYS
    action = {"type": "submit_tool_outputs"}
    assert shown_run(EARLY, required_action=action)["required_action"] == action


def test_a_late_run_has_what_came_since_and_nothing_of_v2() -> None:
    shown = shown_run()
    assert shown["file_ids"] == ["file-1"]
    assert set(RUN) - set(shown) == {"tool_resources", "reasoning_effort", "parallel_tool_calls"}


def test_tools_are_those_of_v1() -> None:
    assert shown_run()["tools"] == [
        {"type": "retrieval"},
        {"type": "function", "function": {"name": "f", "parameters": {"strict": 1}}},
        {"type": "code_interpreter"},
    ]
    assert shown_run(tool_choice={"type": "file_search"})["tool_choice"] == {"type": "retrieval"}
    named = {"type": "function", "function": {"name": "f"}}
    assert shown_run(tool_choice=named)["tool_choice"] == named


def test_a_run_cut_short_is_completed_with_details() -> None:
    shown = shown_run(status="incomplete", incomplete_details={"reason": "max_completion_tokens"})
    assert (shown["status"], shown["incomplete_details"]["reason"]) == ("completed", "max_completion_tokens")


def test_usage_is_three_counts() -> None:
    counts = {"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3}
    assert shown_run(usage={**counts, "prompt_token_details": {"cached_tokens": 0}})["usage"] == counts
    step = {"object": "thread.run.step", "step_details": {"type": "message_creation"}}
    assert translate({**step, "usage": {**counts, "more": {}}}, LATE, {})["usage"] == counts
    assert "usage" not in translate({**step, "usage": None}, EARLY, {})


# --- messages


def test_files_of_a_message_are_those_attached_and_those_its_text_links_to() -> None:
    attachments = [{"file_id": id, "tools": []} for id in ("file-1", "file-2", "file-1")]
    citation = {"type": "file_citation", "file_citation": {"file_id": "file-9", "quote": "q"}}
    content = [text("a", path("file-2"), citation), text("b", path("file-3"))]
    shown = shown_message(attachments=attachments, content=content)
    assert shown["file_ids"] == ["file-1", "file-2", "file-3"]
    assert shown["content"] == content
    assert "attachments" not in shown
    assert message_file_ids({"attachments": [], "content": [{"type": "image_file", "image_file": {}}]}) == []


def test_parts_that_v1_does_not_know_become_text() -> None:
    shown = shown_message(
        content=[
            {"type": "image_url", "image_url": {"url": "https://example.com/a.png", "detail": "auto"}},
            {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA", "detail": "auto"}},
            {"type": "refusal", "refusal": "no"},
            {"type": "image_file", "image_file": {"file_id": "file-1", "detail": "low"}},
        ]
    )
    assert shown["content"] == [
        text("https://example.com/a.png"),
        text("[picture]"),
        text("no"),
        {"type": "image_file", "image_file": {"file_id": "file-1"}},
    ]


def test_pieces_of_a_refusal_are_pieces_of_text() -> None:
    delta = {"content": [{"index": 1, "type": "refusal", "refusal": "no"}]}
    shown = translate({"id": "msg_1", "object": "thread.message.delta", "delta": delta}, LATE, {})
    assert shown["delta"]["content"] == [{"index": 1, **text("no")}]


# --- steps


def test_a_search_is_a_retrieval_of_which_nothing_is_told() -> None:
    search = {"id": "call_1", "type": "file_search", "file_search": {"results": [{"file_id": "file-1"}]}}
    code = {"id": "call_2", "type": "code_interpreter", "code_interpreter": {"input": "1", "outputs": []}}
    details = {"type": "tool_calls", "tool_calls": [search, code]}
    step = translate({"object": "thread.run.step", "usage": None, "step_details": details}, LATE, {})
    assert step["step_details"]["tool_calls"] == [{"id": "call_1", "type": "retrieval", "retrieval": {}}, code]
    pieces = {"step_details": {"type": "tool_calls", "tool_calls": [{"index": 0, **search}]}}
    delta = translate({"id": "step_1", "object": "thread.run.step.delta", "delta": pieces}, LATE, {})
    assert delta["delta"]["step_details"]["tool_calls"] == [
        {"index": 0, "id": "call_1", "type": "retrieval", "retrieval": {}}
    ]


# --- lists and the rest


def test_a_list_is_translated_item_by_item() -> None:
    page = {"object": "list", "data": [RUN, RUN | {"id": "run_2"}], "first_id": "run_1", "has_more": False}
    shown = translate(page, LATE, {"run_2": ["file-2"]})
    assert [run["file_ids"] for run in shown["data"]] == [(), ["file-2"]]
    assert (shown["object"], shown["first_id"], shown["has_more"]) == ("list", "run_1", False)
    assert [run["id"] for run in holders(page)] == ["run_1", "run_2"]


def test_what_is_the_same_in_both_stays_as_it_is() -> None:
    deleted = {"id": "asst_1", "object": "assistant.deleted", "deleted": True}
    assert translate(deleted, EARLY, {}) is deleted
    assert list(holders(deleted)) == []
