"""Sections 5 to 7 of the walkthrough: code interpreter, retrieval, and function calling."""

from __future__ import annotations

import json
from typing import Any

from tests.support.paper import LEFT, RIGHT
from tests.v1.boxes import Walked, box, has, prints
from tests.v1.lines import FIBONACCI, QUIZ, REMARK, SHOWN

CODE = {"type": "code_interpreter"}
RETRIEVAL = {"type": "retrieval"}
UNSET = {"cancelled_at": None, "failed_at": None, "last_error": None, "completed_at": None}


# --- 5. Code interpreter and steps


@box("5.1")
def tools_are_updated_and_nothing_else(walked: Walked) -> None:
    saw = walked.saw
    assert saw["coder"] == saw["assistant"] | {"tools": [CODE]}
    prints(walked, saw["coder"])
    assert saw["earlier_run"] == saw["finished"]
    assert saw["earlier_run"]["tools"] == []
    assert saw["fibonacci"]["run"]["tools"] == [CODE]


@box("5.2")
def numbers_are_made_with_code(walked: Walked) -> None:
    seen = walked.saw["fibonacci"]
    has(seen["run"], status="completed")
    roles = [role for role, _ in seen["printed"]]
    if walked.scripted:
        assert roles == ["user", "assistant"]
        assert "[0,\n 1,\n 1,\n 2," in seen["printed"][1][1]
        assert "4181" in seen["printed"][1][1]
    else:  # which may want to compute until its run has no tokens left
        assert set(roles[1:]) <= {"assistant"}
        assert roles[0] == "user"


@box("5.3")
def steps_show_what_was_done(walked: Walked) -> None:
    steps = walked.saw["fibonacci"]["steps"]["data"]
    for step in steps:
        prints(walked, step, run_id=walked.saw["fibonacci"]["run"]["id"])
        assert step["type"] == step["step_details"]["type"]
        # A small model may write on at its code until its run has no tokens left.
        assert step["status"] in (("completed",) if walked.scripted else ("completed", "failed"))
    if walked.scripted:
        assert [step["type"] for step in steps] == ["tool_calls", "message_creation"]
    assert steps[0]["type"] == "tool_calls"
    for step in steps:
        details = step["step_details"]
        if step["type"] == "tool_calls":
            assert list(details) == ["tool_calls", "type"]
            (call,) = details["tool_calls"]
            assert (list(call), call["type"]) == (["id", "code_interpreter", "type"], "code_interpreter")
            assert list(call["code_interpreter"]) == ["input", "outputs"]
            assert isinstance(call["code_interpreter"]["input"], str)
            for output in call["code_interpreter"]["outputs"]:
                assert list(output) in (["logs", "type"], ["image", "type"])
        else:
            assert list(details) == ["message_creation", "type"]
            assert list(details["message_creation"]) == ["message_id"]


@box("5.4")
def code_shows_the_value_of_its_last_line(walked: Walked) -> None:
    ran = [call["code_interpreter"] for call in calls_of(walked.saw["fibonacci"])]
    if walked.scripted:
        assert ran == [{"input": FIBONACCI, "outputs": [{"logs": SHOWN, "type": "logs"}]}]
    for output in [output for code in ran for output in code["outputs"]]:
        assert not output.get("logs", "").startswith("Out[")


@box("5.5")
def the_step_names_the_message(walked: Walked) -> None:
    seen = walked.saw["fibonacci"]
    steps = [step["step_details"] for step in seen["steps"]["data"] if step["type"] == "message_creation"]
    answers = [message["id"] for message in seen["page"]["data"][1:]]
    assert [step["message_creation"]["message_id"] for step in steps] == answers
    assert len(answers) == 1 or not walked.scripted


# --- 6. Retrieval


@box("6.1")
def a_paper_is_uploaded(walked: Walked) -> None:
    (upload,) = [exchange for exchange in walked.exchanges if exchange.path == "/v1/files"]
    assert upload.request_headers["content-type"].startswith("multipart/form-data; boundary=")
    assert "openai-beta" not in upload.request_headers
    assert (upload.method, upload.status) == ("POST", 200)
    assert b"%PDF-" in upload.request_body
    assert json.loads(upload.body)["id"] == walked.saw["file"]["id"]


@box("6.2")
def it_is_given_to_the_assistant(walked: Walked) -> None:
    saw = walked.saw
    assert saw["reader"] == saw["coder"] | {"tools": [CODE, RETRIEVAL], "file_ids": [saw["file"]["id"]]}
    prints(walked, saw["reader"])
    paths = [exchange.path for exchange in walked.exchanges]
    assert paths[paths.index("/v1/files") + 1] == f"/v1/assistants/{saw['assistant']['id']}", "directly after"


@box("6.3")
def the_next_run_has_read_it(walked: Walked) -> None:
    seen = walked.saw["paper"]
    paths = [f"{exchange.method} {exchange.path}" for exchange in walked.exchanges]
    given = paths.index("POST /v1/files") + 1
    assert paths[given + 1 : given + 4] == [
        "POST /v1/threads",
        f"POST /v1/threads/{seen['run']['thread_id']}/messages",
        f"POST /v1/threads/{seen['run']['thread_id']}/runs",
    ], "directly after"
    has(seen["run"], status="completed", file_ids=[walked.saw["file"]["id"]], tools=[CODE, RETRIEVAL])
    if walked.scripted:
        assert reads_both_columns(seen["printed"][-1][1])


@box("6.4")
def a_run_may_add_several_messages(walked: Walked) -> None:
    seen = walked.saw["paper"]
    question, *answers = seen["page"]["data"]
    assert (question["role"], question["run_id"]) == ("user", None)
    for answer in answers:
        prints(walked, answer, role="assistant", run_id=seen["run"]["id"])
    called = calls_of(seen)
    assert [list(call) for call in called] == [["id", "retrieval", "type"]] * len(called)
    assert [call["retrieval"] for call in called] == [{}] * len(called)
    if walked.scripted:
        assert [role for role, _ in seen["printed"]] == ["user", "assistant", "assistant"]
        assert seen["printed"][1][1] == REMARK
        assert reads_both_columns(seen["printed"][2][1]), "from the PDF, its columns one after the other"
        types = [step["type"] for step in seen["steps"]["data"]]
        assert types == ["message_creation", "tool_calls", "message_creation"]


@box("6.5")
def both_tools_see_the_file(walked: Walked) -> None:
    assert calls_of(walked.saw["paper"])[0]["type"] == "retrieval"
    for name in ("paper", "look") if walked.scripted else ("paper",):
        has(walked.saw[name]["run"], status="completed", file_ids=[walked.saw["file"]["id"]])
    if walked.scripted:
        assert reads_both_columns(walked.saw["paper"]["printed"][-1][1])
        (call,) = calls_of(walked.saw["look"])
        assert call["code_interpreter"]["outputs"] == [{"logs": "b'%PDF-'", "type": "logs"}]


# --- 7. Function calling


@box("7.1")
def a_function_is_described(walked: Walked) -> None:
    function = walked.saw["function"]
    assert list(function) == ["name", "description", "parameters"]
    assert function["name"] == "display_quiz"
    questions = function["parameters"]["properties"]["questions"]
    assert function["parameters"]["properties"]["title"] == {"type": "string"}
    assert (questions["type"], bool(questions["description"])) == ("array", True)
    assert questions["items"]["properties"] == {
        "question_text": {"type": "string"},
        "question_type": {"type": "string", "enum": ["MULTIPLE_CHOICE", "FREE_RESPONSE"]},
        "choices": {"type": "array", "items": {"type": "string"}},
    }
    assert questions["items"]["required"] == ["question_text"]
    assert function["parameters"]["required"] == ["title", "questions"]
    assert _update(walked)["tools"][-1] == {"type": "function", "function": function}


@box("7.2")
def a_function_is_added_and_files_stay(walked: Walked) -> None:
    saw = walked.saw
    assert list(_update(walked)) == ["tools"]
    shown = {"type": "function", "function": saw["function"]}
    assert saw["teacher"] == saw["reader"] | {"tools": [CODE, RETRIEVAL, shown]}
    prints(walked, saw["teacher"], file_ids=[saw["file"]["id"]])
    tool = saw["teacher"]["tools"][-1]
    assert list(tool) == ["function", "type"]
    known = ["name", "parameters", "description"] if walked.november else ["name", "description", "parameters"]
    assert list(tool["function"]) == known
    assert json.dumps(tool["function"]["parameters"]) == json.dumps(saw["function"]["parameters"]), "verbatim"


@box("7.3")
def the_run_waits_for_the_quiz(walked: Walked) -> None:
    has(walked.saw["asked"]["run"], status="requires_action")


@box("7.4")
def the_run_shows_what_it_waits_for(walked: Walked) -> None:
    run, saw = walked.saw["asked"]["run"], walked.saw
    prints(walked, run, **UNSET, file_ids=[saw["file"]["id"]], tools=saw["teacher"]["tools"])
    assert run["created_at"] <= run["started_at"]
    assert run["expires_at"] == run["created_at"] + 600
    action = run["required_action"]
    assert (list(action), action["type"]) == (["submit_tool_outputs", "type"], "submit_tool_outputs")
    assert list(action["submit_tool_outputs"]) == ["tool_calls"]
    for call in action["submit_tool_outputs"]["tool_calls"]:
        assert (list(call), call["type"]) == (["id", "function", "type"], "function")
        assert list(call["function"]) == ["arguments", "name"]
        assert call["function"]["name"] == "display_quiz"


@box("7.5")
def the_arguments_are_a_quiz(walked: Walked) -> None:
    for call in waited_for(walked):
        arguments = json.loads(call["function"]["arguments"])
        assert set(arguments) == {"title", "questions"}
        assert isinstance(arguments["title"], str)
        assert all("question_text" in question for question in arguments["questions"])
        if walked.scripted:
            assert arguments == QUIZ
            assert len(arguments["questions"]) == 2


@box("7.6")
def there_is_one_call(walked: Walked) -> None:
    calls = waited_for(walked)
    assert len(calls) == 1 if walked.scripted else calls


@box("7.7")
def outputs_are_taken(walked: Walked) -> None:
    asked, submitted = walked.saw["asked"]["run"], walked.saw["submitted"]
    prints(walked, submitted, status="queued", required_action=None, completed_at=None)
    assert submitted == asked | {"status": "queued", "required_action": None}


@box("7.8")
def the_outputs_reached_the_model(walked: Walked) -> None:
    graded = walked.saw["graded"]
    prints(walked, graded["run"], id=walked.saw["asked"]["run"]["id"])
    roles = [role for role, _ in graded["printed"]]
    if walked.scripted:
        has(graded["run"], status="completed", required_action=None)
        assert roles == ["user", "assistant"]
        assert walked.saw["responses"] == [["I don't know.", "a) three"]]
        for response in walked.saw["responses"][0]:
            assert response in graded["printed"][1][1]
        (call,) = calls_of(graded)
        assert json.loads(call["function"]["output"]) == walked.saw["responses"][0]
    else:  # which may like to show another quiz
        assert graded["run"]["status"] in ("completed", "requires_action")
        assert set(roles[1:]) <= {"assistant"}
        assert roles[0] == "user"


def calls_of(seen: Any) -> list[Any]:
    """Every tool call in the steps of a run."""
    return [
        call
        for step in seen["steps"]["data"]
        if step["type"] == "tool_calls"
        for call in step["step_details"]["tool_calls"]
    ]


def waited_for(walked: Walked) -> Any:
    return walked.saw["asked"]["run"]["required_action"]["submit_tool_outputs"]["tool_calls"]


def reads_both_columns(text: str) -> bool:
    """Whether a text holds the paper's columns, one after the other."""
    said = " ".join(text.split())
    return all(" ".join(column.split()) in said for column in (LEFT, RIGHT))


def _update(walked: Walked) -> Any:
    """The body of the last update of the assistant."""
    path = f"/v1/assistants/{walked.saw['assistant']['id']}"
    return json.loads([exchange for exchange in walked.exchanges if exchange.path == path][-1].request_body)
