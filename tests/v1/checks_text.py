"""Sections 1 to 4 of the walkthrough: assistant, thread, message, run, lists, and runs at the same time."""

from __future__ import annotations

import json
from typing import Any

from tests.v1.boxes import Walked, box, has, prints, texts
from tests.v1.lines import LINES

QUESTION = "I need to solve the equation `3x + 11 = 14`. Can you help me?"
UNSET = {"cancelled_at": None, "failed_at": None, "last_error": None, "required_action": None}


@box("1.1")
def an_assistant_is_made(walked: Walked) -> None:
    prints(
        walked,
        walked.saw["assistant"],
        description=None,
        file_ids=[],
        instructions=walked.saw["instructions"],
        metadata={},
        model="gpt-4-1106-preview",
        name="Math Tutor",
        object="assistant",
        tools=[],
    )


@box("1.2")
def a_thread_is_made(walked: Walked) -> None:
    prints(walked, walked.saw["thread"], metadata={}, object="thread")


@box("1.3")
def a_message_is_made(walked: Walked) -> None:
    message = walked.saw["message"]
    prints(
        walked,
        message,
        assistant_id=None,
        file_ids=[],
        metadata={},
        object="thread.message",
        role="user",
        run_id=None,
        thread_id=walked.saw["thread"]["id"],
    )
    is_one_text(message)
    (value,) = texts({"data": [message]})
    assert value == walked.saw["sent"]["equation"]
    assert value.startswith(QUESTION)


@box("2.1")
def a_run_is_made(walked: Walked) -> None:
    run = walked.saw["run"]
    prints(
        walked,
        run,
        **UNSET,
        assistant_id=walked.saw["assistant"]["id"],
        completed_at=None,
        file_ids=[],
        metadata={},
        object="thread.run",
        started_at=None,
        status="queued",
        thread_id=walked.saw["thread"]["id"],
        tools=[],
    )


@box("2.2")
def it_lasts_ten_minutes_and_copies_the_assistant(walked: Walked) -> None:
    for run in (walked.saw["run"], walked.saw["follow_up_run"], walked.saw["asked"]["created"]):
        assert run["expires_at"] - run["created_at"] == 600
    copied = ("instructions", "model", "tools", "file_ids")
    # At first there are none to copy; in section 7 there are.
    for assistant, run in (("assistant", walked.saw["run"]), ("teacher", walked.saw["asked"]["created"])):
        assert {key: run[key] for key in copied} == {key: walked.saw[assistant][key] for key in copied}


@box("2.3")
def nothing_comes_between_queued_and_the_result(walked: Walked) -> None:
    *between, last = walked.saw["statuses"]
    assert set(between) <= {"queued", "in_progress"}
    assert between == sorted(between, reverse=True), "queued, then in_progress"
    assert last == "completed"


@box("2.4")
def a_finished_run_shows_its_times(walked: Walked) -> None:
    for run in (walked.saw["finished"], *(one["run"] for one in walked.saw["three"])):
        prints(walked, run, **UNSET, status="completed", expires_at=None)
        assert run["created_at"] <= run["started_at"] <= run["completed_at"]
    changed = {"status", "started_at", "completed_at", "expires_at", "usage", "incomplete_details"}
    before, after = walked.saw["run"], walked.saw["finished"]
    assert {key for key in after if after[key] != before[key]} <= changed


@box("2.5")
def the_answer_is_there_when_the_run_is_completed(walked: Walked) -> None:
    assert walked.saw["messages"]["data"][0]["run_id"] == walked.saw["finished"]["id"]


@box("3.1")
def messages_are_listed_newest_first(walked: Walked) -> None:
    page = walked.saw["messages"]
    answer, question = page["data"]
    assert (answer["role"], question) == ("assistant", walked.saw["message"])
    prints(walked, page, object="list", first_id=answer["id"], last_id=question["id"], has_more=False)


@box("3.2")
def the_answer_is_a_message_like_any(walked: Walked) -> None:
    answer = walked.saw["messages"]["data"][0]
    prints(
        walked,
        answer,
        role="assistant",
        assistant_id=walked.saw["assistant"]["id"],
        run_id=walked.saw["run"]["id"],
        thread_id=walked.saw["thread"]["id"],
        file_ids=[],
        metadata={},
    )
    is_one_text(answer)
    (said,) = texts({"data": [answer]})
    assert said
    if walked.scripted:
        assert "x = 1" in said


@box("3.3")
def a_follow_up_is_run(walked: Walked) -> None:
    message, run = walked.saw["follow_up"], walked.saw["follow_up_run"]
    prints(walked, message, role="user", thread_id=walked.saw["thread"]["id"])
    (said,) = texts({"data": [message]})
    assert said.startswith("Could you explain this to me?")
    prints(walked, run, thread_id=walked.saw["thread"]["id"], assistant_id=walked.saw["assistant"]["id"])
    assert run["id"] != walked.saw["run"]["id"]


@box("3.4")
def a_list_goes_on_behind_a_message(walked: Walked) -> None:
    page = walked.saw["after"]
    (answer,) = page["data"]
    prints(walked, answer, role="assistant", run_id=walked.saw["follow_up_run"]["id"])
    assert page["first_id"] == page["last_id"] == answer["id"]
    assert page["has_more"] is False
    if walked.scripted:  # which tells what reached it
        asked = json.loads(texts(page)[0])["messages"]
        told = [(message["role"], message["content"]) for message in asked]
        assert told[0] == ("system", walked.saw["instructions"])
        assert told[1:] == [
            ("user", walked.saw["sent"]["equation"]),
            ("assistant", texts({"data": [walked.saw["messages"]["data"][0]]})[0]),
            ("user", walked.saw["sent"]["explain"]),
        ]


@box("4.1")
def the_helpers_do_what_they_say(walked: Walked) -> None:
    asked = [one["name"] for one in walked.saw["three"]]
    assert asked == ["equation", "algebra", "dislike"]
    for one in walked.saw["three"]:
        question = one["page"]["data"][0]
        assert texts({"data": [question]}) == [walked.saw["sent"][one["name"]]]
        has(one["run"], thread_id=question["thread_id"], assistant_id=walked.saw["assistant"]["id"])


@box("4.2")
def three_runs_go_at_the_same_time(walked: Walked) -> None:
    three = walked.saw["three"]
    assert len({one["run"]["id"] for one in three}) == len({one["run"]["thread_id"] for one in three}) == 3
    for one in three:
        has(one["run"], status="completed", last_error=None)
        question, answer = one["page"]["data"]
        assert {question["thread_id"], answer["thread_id"]} == {one["run"]["thread_id"]}
        assert answer["run_id"] == one["run"]["id"]
        if walked.scripted:
            assert texts({"data": [answer]}) == [LINES[one["name"]].removeprefix("/say ")]


@box("4.3")
def every_message_begins_with_text(walked: Walked) -> None:
    seen = [*walked.saw["three"], *(walked.saw[name] for name in ("thanks", "fibonacci", "paper", "asked"))]
    for one in seen:
        assert [said for _, said in one["printed"]] == texts(one["page"])
        assert {message["content"][0]["type"] for message in one["page"]["data"]} == {"text"}


@box("4.4")
def questions_stand_before_their_answers(walked: Walked) -> None:
    for one in walked.saw["three"]:
        assert [role for role, _ in one["printed"]] == ["user", "assistant"]
        question, answer = one["page"]["data"]
        assert question["created_at"] <= answer["created_at"]


@box("4.5")
def a_second_turn_is_taken_at_once(walked: Walked) -> None:
    thanks = walked.saw["thanks"]
    has(thanks["run"], status="completed")
    assert thanks["run"]["thread_id"] == walked.saw["three"][2]["run"]["thread_id"]
    assert [role for role, _ in thanks["printed"]] == ["user", "assistant", "user", "assistant"]
    assert thanks["printed"][:2] == walked.saw["three"][2]["printed"]
    assert thanks["printed"][2][1] == walked.saw["sent"]["thanks"]


def is_one_text(message: Any) -> None:
    """A message's content is one text without annotations, and shows nothing else."""
    (part,) = message["content"]
    assert (list(part), part["type"]) == (["text", "type"], "text")
    assert (list(part["text"]), part["text"]["annotations"]) == (["annotations", "value"], [])
