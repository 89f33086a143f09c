"""Every invariant notices when it does not hold: what is right passes, and each thing made wrong is named."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Iterable
from typing import Any

import pytest

from tests.chaos import invariants
from tests.chaos.history import Asked, Attempt, Expected, Followed, Found, Trouble, Violation
from tests.durability.streams import Event

SAYS = ("Let me look.", "RESULT: 42")
STEPS = ("message_creation", "tool_calls", "message_creation")
DONE = Event("done", "[DONE]")


def names(violations: Iterable[Violation]) -> set[str]:
    return {violation.invariant for violation in violations}


# --- a run as it should be: it speaks, calls a function, waits, is taken over, and answers


def run(status: str, **fields: Any) -> Any:
    over = status in invariants.ENDS
    shown = {"id": "run_1", "thread_id": "thread_1", "status": status, "required_action": None, "last_error": None}
    return shown | {"usage": {"total_tokens": 1} if over else None, "expires_at": None if over else 9} | fields


def message(number: int, status: str, words: str | None) -> Any:
    content = [] if words is None else [{"type": "text", "text": {"value": words, "annotations": []}}]
    return {"id": f"msg_{number}", "status": status, "content": content, "incomplete_details": None}


def delta(number: int, words: str, *, begins: bool) -> Any:
    text = {"value": words} | ({"annotations": []} if begins else {})
    return {"id": f"msg_{number}", "delta": {"content": [{"index": 0, "type": "text", "text": text}]}}


def speaking(number: int, status: str) -> Any:
    details = {"type": "message_creation", "message_creation": {"message_id": f"msg_{number}"}}
    return step(number, "message_creation", status, details)


def step(number: int, type: str, status: str, details: Any) -> Any:
    usage = None if status == "in_progress" else {"total_tokens": 1}
    shown = {"id": f"step_{number}", "type": type, "status": status, "usage": usage}
    return shown | {"last_error": None, "step_details": details}


def calling(status: str, output: str | None, arguments: str = '{"n": 0}') -> Any:
    function = {"name": "look_up", "arguments": arguments, "output": output}
    call = {"id": "call_1", "type": "function", "function": function}
    return step(2, "tool_calls", status, {"type": "tool_calls", "tool_calls": [call]})


def call_delta(piece: str | None) -> Any:
    begun = {"name": "look_up", "arguments": "", "output": None}
    call: Any = {"index": 0, "type": "function", "function": begun if piece is None else {"arguments": piece}}
    if piece is None:
        call["id"] = "call_1"
    return {"id": "step_2", "delta": {"step_details": {"type": "tool_calls", "tool_calls": [call]}}}


def say(number: int, words: str) -> list[tuple[str, Any]]:
    first, rest = words[:3], words[3:]
    return [
        ("thread.run.step.created", speaking(number, "in_progress")),
        ("thread.message.created", message(number, "in_progress", None)),
        ("thread.message.delta", delta(number, first, begins=True)),
        ("thread.message.delta", delta(number, rest, begins=False)),
        ("thread.message.completed", message(number, "completed", words)),
        ("thread.run.step.completed", speaking(number, "completed")),
    ]


def log() -> list[Event]:
    asked = {"id": "call_1", "type": "function", "function": {"name": "look_up", "arguments": '{"n": 0}'}}
    waiting = {"submit_tool_outputs": {"tool_calls": [asked]}}
    before = [
        *((f"thread.run.{status}", run("queued" if status == "created" else status)) for status in RUN_BEGIN),
        *say(1, SAYS[0]),
        ("thread.run.step.created", calling("in_progress", None)),
        *(("thread.run.step.delta", call_delta(piece)) for piece in (None, '{"n"', ": 0}")),
        ("thread.run.requires_action", run("requires_action", required_action=waiting)),
    ]
    after = [
        ("thread.run.queued", run("queued")),
        ("thread.run.in_progress", run("in_progress")),
        ("thread.run.step.completed", calling("completed", "42")),
        *say(3, SAYS[1]),
        ("thread.run.completed", run("completed")),
    ]
    events = [
        Event(name, data, f"{lease}-{number}")
        for number, (lease, (name, data)) in enumerate([*((1, e) for e in before), *((2, e) for e in after)], 1)
    ]
    return [*events, DONE]


RUN_BEGIN = ("created", "queued", "in_progress")


def found() -> Found:
    steps = [speaking(1, "completed"), calling("completed", "42"), speaking(3, "completed")]
    messages = [message(1, "completed", SAYS[0]), message(3, "completed", SAYS[1])]
    return Found(run("completed"), messages, steps, log())


def expected(**fields: Any) -> Expected:
    return Expected(SAYS, STEPS, **fields)


def test_a_run_as_it_should_be_breaks_nothing() -> None:
    assert not list(invariants.check_run(expected(), found()))


def cancelled() -> Found:
    """The same run, cancelled while it spoke first."""
    spoken = log()[:8]  # the first delta was logged, and the second is told as the message's whole
    return Found(run("cancelled"), [message(1, "incomplete", "Let")], [speaking(1, "cancelled")], spoken)


def test_a_cancelled_run_may_have_said_a_part() -> None:
    one = cancelled()
    assert not list(invariants.check_messages(expected(cancelled=Asked.YES), one))
    assert not list(invariants.check_steps(expected(cancelled=Asked.YES), one))


Doctor = Callable[[Found], Any]


def doctored(doctor: Doctor) -> Found:
    one = copy.deepcopy(found())
    doctor(one)
    return one


def _renumber(one: Found) -> None:
    """Tell an event twice, under a new number."""
    again = one.log[5]
    one.log[:] = [
        event if event is DONE else Event(event.name, event.data, f"2-{number}")
        for number, event in enumerate([*one.log[:6], again, *one.log[6:]], 1)
    ]


RUNS: dict[str, tuple[Doctor, str]] = {
    "still running": (lambda one: one.run.update(status="in_progress"), "every run ends"),
    "failed": (lambda one: one.run.update(status="failed"), "a run ends as its client wanted"),
    "expired": (lambda one: one.run.update(status="expired"), "a run ends as its client wanted"),
    "cancelled by nobody": (lambda one: one.run.update(status="cancelled"), "a run ends as its client wanted"),
    "no message": (lambda one: one.messages.clear(), "answers are what the model said"),
    "a message twice": (lambda one: one.messages.append(one.messages[1]), "answers are what the model said"),
    "other words": (
        lambda one: one.messages[1]["content"][0]["text"].update(value="RESULT: 43"),
        "answers are what the model said",
    ),
    "an open message": (lambda one: one.messages[0].update(status="in_progress"), "nothing stays open"),
    "a step is missing": (lambda one: one.steps.pop(1), "no step is lost or doubled"),
    "a step twice": (lambda one: one.steps.insert(1, one.steps[1]), "no step is lost or doubled"),
    "an open step": (lambda one: one.steps[1].update(status="in_progress"), "nothing stays open"),
    "a failed step": (lambda one: one.steps[1].update(status="failed"), "nothing stays open"),
    "a step of another message": (
        lambda one: one.steps[2]["step_details"]["message_creation"].update(message_id="msg_9"),
        "every message has its step",
    ),
    "no replay": (lambda one: one.log.clear(), "a replay ends with `done`"),
    "a replay cut off": (lambda one: one.log.pop(), "a replay ends with `done`"),
    "a hole": (lambda one: one.log.pop(7), "no hole in a log, no event twice"),
    "an event twice": (lambda one: one.log.insert(7, one.log[7]), "no hole in a log, no event twice"),
    "an event again, under another number": (_renumber, "a log is a legal stream"),
    "two leases mixed": (
        lambda one: one.log.__setitem__(3, Event(one.log[3].name, one.log[3].data, "3-4")),
        "no hole in a log, no event twice",
    ),
    "no end": (lambda one: one.log.pop(-2), "a log ends as its run"),
    "another end": (
        lambda one: one.log.__setitem__(-2, Event("thread.run.failed", run("failed"), one.log[-2].id)),
        "a log ends as its run",
    ),
    "two ends": (
        lambda one: one.log.__setitem__(3, Event("thread.run.cancelled", run("cancelled"), one.log[3].id)),
        "a log ends as its run",
    ),
    "a message that was not told": (
        lambda one: one.messages[0].update(id="msg_9"),
        "a log tells the messages that stand",
    ),
    "an answer that was told and does not stand": (
        lambda one: one.messages.pop(),
        "a log tells the messages that stand",
    ),
    "a delta with other words": (
        lambda one: one.log[5].data["delta"]["content"][0]["text"].update(value="Lot"),
        "deltas join to the message",
    ),
}


@pytest.mark.parametrize("case", RUNS)
def test_what_is_wrong_with_a_run_is_noticed(case: str) -> None:
    doctor, invariant = RUNS[case]
    assert invariant in names(invariants.check_run(expected(), doctored(doctor)))


def test_a_run_whose_cancellation_was_acknowledged_is_cancelled() -> None:
    assert "a run ends as its client wanted" in names(invariants.check_run(expected(cancelled=Asked.YES), found()))
    assert not list(invariants.check_run(expected(cancelled=Asked.MAYBE), found()))


@pytest.mark.parametrize(
    ("doctor", "invariant"),
    [
        (lambda one: one.messages[0].update(status="in_progress"), "nothing stays open"),
        (
            lambda one: one.messages[0]["content"][0]["text"].update(value="Lat"),
            "answers are what the model said",
        ),
        (lambda one: one.steps.insert(0, calling("completed", "42")), "no step is lost or doubled"),
    ],
)
def test_what_is_wrong_with_a_cancelled_run_is_noticed(doctor: Doctor, invariant: str) -> None:
    one = cancelled()
    doctor(one)
    assert invariant in names(invariants.check_run(expected(cancelled=Asked.YES), one))


def test_words_before_calls_that_were_taken_back_are_told_and_do_not_stand() -> None:
    one = found()
    extra = [Event(name, data, "0-0") for name, data in say(7, SAYS[0])]
    told = [*one.log[:3], *extra, *one.log[3:-1]]
    one.log[:] = [*(Event(event.name, event.data, f"1-{n}") for n, event in enumerate(told, 1)), DONE]
    assert not list(invariants.check_log(expected(), one))
    assert names(invariants.check_log(Expected(SAYS[1:], STEPS), one)) == {"a log tells the messages that stand"}


# --- followers


def followed(*events: Event) -> Followed:
    return Followed("a follower", list(events), 1)


def test_a_follower_that_has_seen_everything_breaks_nothing() -> None:
    everything = log()
    unlogged = Event("thread.message.delta", {"id": "msg_0"}, "1-99")
    after = next(place for place, event in enumerate(everything) if event.place[0] == 2)
    with_more = [*everything[:after], unlogged, DONE, *everything[after:]]
    for seen in (everything, with_more):
        assert not list(invariants.check_follower("run_1", followed(*seen), everything))


def _changed(event: Event) -> Event:
    return Event(event.name, {"other": 1}, event.id)


FOLLOWERS: dict[str, tuple[Callable[[list[Event]], list[Event]], str]] = {
    "nothing": (lambda all: [], "a follower sees every event"),
    "a gap": (lambda all: all[:4] + all[5:], "a follower sees every event"),
    "the end is missing": (lambda all: all[:-2], "a follower sees every event"),
    "twice": (lambda all: all[:5] + all[4:], "a follower sees no event twice"),
    "out of order": (lambda all: [*all[:4], all[5], all[4], *all[6:]], "a follower sees events in order"),
    "other data": (lambda all: [*all[:4], _changed(all[4]), *all[5:]], "a follower sees what is logged"),
    "more than the last lease has": (
        lambda all: [*all, Event("thread.message.delta", {}, "2-99")],
        "a follower sees what is logged",
    ),
}


@pytest.mark.parametrize("case", FOLLOWERS)
def test_what_a_follower_missed_is_noticed(case: str) -> None:
    doctor, invariant = FOLLOWERS[case]
    assert invariant in names(invariants.check_follower("run_1", followed(*doctor(log())), log()))


# --- requests


@pytest.mark.parametrize(
    ("trouble", "invariant"),
    [
        (Trouble("GET /x", 500, "The server had an error.", True, 0.1), "requests get 2xx or 503"),
        (Trouble("GET /x", 404, "No thread found.", True, 0.1), "requests get 2xx or 503"),
        (Trouble("GET /x", 503, "", False, 0.1), "a 503 says why"),
        (Trouble("GET /x", 503, "Service Unavailable", False, 0.1), "a 503 says why"),
        (Trouble("GET /x", None, "reset", False, 0.1), "a connection is lost with its node alone"),
        (Trouble("GET /x", 503, "The database is out of reach just now.", False, 99), "requests are answered"),
    ],
)
def test_a_wrong_answer_is_noticed(trouble: Trouble, invariant: str) -> None:
    assert names(invariants.check_trouble(trouble)) == {invariant}


@pytest.mark.parametrize(
    "trouble",
    [
        Trouble("GET /x", 503, "The database is out of reach just now.", False, 12),
        Trouble("GET /x", None, "reset", True, 90),
    ],
)
def test_an_answer_that_is_allowed_is(trouble: Trouble) -> None:
    assert not list(invariants.check_trouble(trouble))


# --- objects


def attempts() -> list[Attempt]:
    return [
        Attempt("a", "thread", Asked.YES, "thread_a"),
        Attempt("b", "message", Asked.YES, "", "thread_a"),
        Attempt("c", "run", Asked.MAYBE, "", "thread_a"),
        Attempt("d", "run", Asked.NO, "", "thread_a"),
        Attempt("e", "thread", Asked.YES, "thread_e"),
        Attempt("f", "message", Asked.YES, "msg_f", "thread_e"),
    ]


THERE = {"a": ["thread_a"], "b": ["msg_b"]}
GONE = {"thread_e": Asked.YES}


@pytest.mark.parametrize("maybe", [{}, {"c": ["run_c"]}])
def test_objects_as_they_should_be_break_nothing(maybe: dict[str, list[str]]) -> None:
    assert not list(invariants.check_attempts(attempts(), THERE | maybe, GONE))


@pytest.mark.parametrize(
    ("there", "invariant"),
    [
        ({"a": []}, "no object of a successful answer is missing"),
        ({"a": ["thread_x"]}, "no object of a successful answer is missing"),
        ({"b": []}, "no object of a successful answer is missing"),
        ({"b": ["msg_b", "msg_c"]}, "nothing is doubled"),
        ({"c": ["run_c", "run_d"]}, "nothing is doubled"),
        ({"d": ["run_d"]}, "what was refused is not there"),
        ({"f": ["msg_f"]}, "what was deleted is not there"),
        ({"z": ["run_z"]}, "nothing is there that nobody asked for"),
    ],
)
def test_an_object_lost_or_doubled_is_noticed(there: dict[str, list[str]], invariant: str) -> None:
    assert names(invariants.check_attempts(attempts(), THERE | there, GONE)) == {invariant}


def test_a_run_that_changes_after_its_end_is_noticed() -> None:
    before = {"run_1": ("thread_1", "completed", 1, 1, 9)}
    assert not list(invariants.check_settled(before, dict(before), {}))
    assert not list(invariants.check_settled(before, {}, {"thread_1": Asked.YES}))
    changed = {"run_1": ("thread_1", "completed", 2, 1, 9)}
    assert names(invariants.check_settled(before, changed, {})) == {"an ended run does not change"}
    assert names(invariants.check_settled(before, {}, {})) == {"no object of a successful answer is missing"}


def test_what_is_left_over_is_noticed() -> None:
    assert not list(invariants.check_left({"no job is left": [], "no thread stays locked": []}))
    assert names(invariants.check_left({"no job is left": [1], "no thread stays locked": []})) == {"no job is left"}


@pytest.mark.parametrize(
    ("row", "invariant"),
    [
        ({"status": "failed"}, "every file is read"),
        ({"status": "in_progress"}, "every file is read"),
        ({"passages": ["one"]}, "no passage is lost or doubled"),
        ({"passages": ["one", "one", "two"]}, "no passage is lost or doubled"),
    ],
)
def test_a_file_that_is_read_wrongly_is_noticed(row: dict[str, Any], invariant: str) -> None:
    right = {"filename": "a.txt", "store": "vs_1", "status": "completed", "last_error": None}
    right["passages"] = ["one", "two"]
    wanted = {"a.txt": ["one", "two"]}
    assert not list(invariants.check_store_files([right], wanted))
    assert names(invariants.check_store_files([right | row], wanted)) == {invariant}


def test_blobs_lost_or_loose_are_noticed() -> None:
    assert not list(invariants.check_blobs(["a", "b"], ["b", "a"]))
    assert names(invariants.check_blobs(["a", "b"], ["a"])) == {"no blob is lost"}
    assert names(invariants.check_blobs(["a"], ["a", "b"])) == {"no loose blob remains"}
    assert names(invariants.check_blobs(["a", "a"], ["a"])) == {"no blob has two owners"}


# --- logs

_TRACE = "Traceback (most recent call last): ..."


@pytest.mark.parametrize(
    "line",
    [
        json.dumps({"event": "request failed", "level": "error"}),
        json.dumps({"event": "run failed by a fault of the server", "exception": _TRACE}),
        json.dumps({"event": "stream broken off", "exception": _TRACE}),
        json.dumps({"event": "anything else", "exception": _TRACE}),
        "Traceback (most recent call last):",
        "thread 'tokio' panicked at src/lib.rs",
    ],
)
def test_a_fault_in_a_log_is_noticed(line: str) -> None:
    right = [json.dumps({"event": "request", "status": 200}), json.dumps({"event": "lease lost", "level": "warning"})]
    right.append(json.dumps({"event": "job interrupted", "exception": _TRACE}))
    assert not list(invariants.check_node_log("node 0", "\n".join(right)))
    assert names(invariants.check_node_log("node 0", "\n".join([*right, line]))) == {
        "no node logs a fault of the server"
    }
