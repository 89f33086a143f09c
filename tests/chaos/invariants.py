"""What must be true whatever went wrong: functions of the history and of what is found, without any I/O."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise
from typing import Any

from tests.chaos.history import Asked, Attempt, Expected, Followed, Found, Trouble, Violation
from tests.durability.streams import Event, trace

ENDS = ("completed", "cancelled", "failed", "expired", "incomplete")
_END_EVENTS = tuple(f"thread.run.{status}" for status in ENDS)
# A request waits this long at most, be it for a lock that somebody holds for 10 seconds, and for a pool full of others.
PATIENCE = 60.0


# --- a run that has ended


def check_run(expected: Expected, found: Found) -> Iterator[Violation]:
    """Check a run's end, its messages and steps, and its log."""
    run = found.run
    name = f"run {run['id']}"
    if run["status"] not in ENDS:
        yield Violation("every run ends", f"{name} is {run['status']}")
        return
    allowed = {"completed"} | ({"cancelled"} if expected.cancelled is not Asked.NO else set())
    if expected.cancelled is Asked.YES:
        allowed = {"cancelled"}
    if run["status"] not in allowed:
        yield Violation(
            "a run ends as its client wanted",
            f"{name} ended {run['status']}, wanted {' or '.join(sorted(allowed))}: {run['last_error']}",
        )
    yield from check_messages(expected, found)
    yield from check_steps(expected, found)
    yield from check_log(expected, found)


def check_messages(expected: Expected, found: Found) -> Iterator[Violation]:
    """A completed run has written what the model said, once; a cancelled one the beginning of it."""
    name = f"run {found.run['id']}"
    said = tuple("".join(part["text"]["value"] for part in message["content"]) for message in found.messages)
    if found.run["status"] == "completed":
        if said != expected.says:
            yield Violation("answers are what the model said", f"{name} said {said}, wanted {expected.says}")
        if open := [m["id"] for m in found.messages if m["status"] != "completed"]:
            yield Violation("nothing stays open", f"{name} is completed, its messages {open} are not")
        return
    for number, words in enumerate(said):
        if number >= len(expected.says) or not expected.says[number].startswith(words):
            yield Violation("answers are what the model said", f"{name} said {said}, wanted a part of {expected.says}")
    if open := [m["id"] for m in found.messages if m["status"] == "in_progress"]:
        yield Violation("nothing stays open", f"{name} has ended, its messages {open} have not")


def check_steps(expected: Expected, found: Found) -> Iterator[Violation]:
    """A completed run has made its steps, once each; no ended run has an open one."""
    name = f"run {found.run['id']}"
    types = tuple(step["type"] for step in found.steps)
    if found.run["status"] == "completed":
        if types != expected.steps:
            yield Violation("no step is lost or doubled", f"{name} has {types}, wanted {expected.steps}")
    elif types != expected.steps[: len(types)]:
        yield Violation("no step is lost or doubled", f"{name} has {types}, wanted a part of {expected.steps}")
    wanted = {"completed"} if found.run["status"] == "completed" else {"completed", "cancelled"}
    if odd := [(step["id"], step["status"]) for step in found.steps if step["status"] not in wanted]:
        yield Violation("nothing stays open", f"{name} has {odd}")
    created = [
        step["step_details"]["message_creation"]["message_id"]
        for step in found.steps
        if step["type"] == "message_creation"
    ]
    if created != [message["id"] for message in found.messages]:
        yield Violation("every message has its step", f"{name}: steps of {created}, {len(found.messages)} messages")


def check_log(expected: Expected, found: Found) -> Iterator[Violation]:
    """The log tells all of a run, once, without a hole, and as it was."""
    name, log = f"run {found.run['id']}", found.log
    if not log or log[-1].name != "done":
        yield Violation("a replay ends with `done`", f"{name}: {[event.name for event in log[-3:]]}")
        return
    events = log[:-1]
    numbers = [event.place[1] for event in events]
    if numbers != list(range(1, len(numbers) + 1)):
        gaps = [(a, b) for a, b in pairwise([0, *numbers]) if b != a + 1]
        yield Violation("no hole in a log, no event twice", f"{name}: numbers jump at {gaps}")
    leases = [event.place[0] for event in events]
    if leases != sorted(leases):
        yield Violation("no hole in a log, no event twice", f"{name}: leases go back, {leases}")
    if not events or events[-1].name != f"thread.run.{found.run['status']}":
        yield Violation("a log ends as its run", f"{name} is {found.run['status']}: {[e.name for e in events[-2:]]}")
    ends = Counter(event.name for event in events if event.name in _END_EVENTS)
    if sum(ends.values()) != 1:
        yield Violation("a log ends as its run", f"{name} ends {dict(ends)}")
    if not any(step["type"] == "tool_calls" and _is_of_server(step) for step in found.steps):
        try:
            trace(log)
        except (AssertionError, KeyError, ValueError) as fault:
            yield Violation("a log is a legal stream", f"{name}: {str(fault) or repr(fault)}")
    told = {event.data["id"]: event.data["content"] for event in events if event.name == "thread.message.completed"}
    shown = {message["id"]: message["content"] for message in found.messages if message["status"] == "completed"}
    if not shown.items() <= told.items():
        yield Violation("a log tells the messages that stand", f"{name}: told {told}, stand {shown}")
    # Words before calls are complete before the calls are; where a worker died in between, the turn is done again.
    for id in told.keys() - shown.keys():
        if "".join(part["text"]["value"] for part in told[id]) not in expected.says[:-1]:
            yield Violation("a log tells the messages that stand", f"{name}: {id}, {told[id]}, does not stand")
    for id, content in shown.items():
        if (joined := joined_deltas(events, id)) != "".join(part["text"]["value"] for part in content):
            yield Violation("deltas join to the message", f"{name}, {id}: {joined!r} is not {content}")


def _is_of_server(step: Any) -> bool:
    return any(call["type"] != "function" for call in step["step_details"]["tool_calls"])


def joined_deltas(events: Iterable[Event], message_id: str) -> str:
    """The words of a message as its deltas tell them."""
    return "".join(
        part["text"]["value"]
        for event in events
        if event.name == "thread.message.delta" and event.data["id"] == message_id
        for part in event.data["delta"]["content"]
    )


# --- who followed it live


def check_follower(name: str, followed: Followed, log: Sequence[Event]) -> Iterator[Violation]:
    """A follower has seen every event of the log, once, in order.

    What a worker said that had lost its lease, and that was never logged, may be seen in addition.
    """
    who = f"{name}, {followed.who} with {followed.connections} connections"
    seen = [event for event in followed.events if event.id is not None]
    logged = {event.id: event for event in log if event.id is not None}
    ids = [event.id for event in seen]
    if twice := [id for id, times in Counter(ids).items() if times > 1]:
        yield Violation("a follower sees no event twice", f"{who}: {twice} of {ids}")
    if missed := [id for id in logged if id not in set(ids)]:
        yield Violation("a follower sees every event", f"{who}: missed {missed} of {list(logged)}; saw {ids}")
    if any(first.place >= second.place for first, second in pairwise(seen)):
        yield Violation("a follower sees events in order", f"{who}: {ids}; logged {list(logged)}")
    if wrong := [event for event in seen if event.id in logged and event != logged[event.id]]:
        yield Violation("a follower sees what is logged", f"{who}: {wrong[0]} is logged as {logged[wrong[0].id]}")
    last = max((event.place[0] for event in log if event.id is not None), default=0)
    if odd := [event.id for event in seen if event.id not in logged and event.place[0] >= last]:
        yield Violation("a follower sees what is logged", f"{who}: {odd} are of the last lease, and not in the log")


# --- requests


def check_trouble(trouble: Trouble) -> Iterator[Violation]:
    """A request that did not go well was answered 503 with a sentence, or its node was killed, stopped or paused."""
    if trouble.seconds > PATIENCE and not trouble.disturbed:
        yield Violation("requests are answered", f"{trouble.request} took {trouble.seconds:.0f} s: {trouble.message}")
    if trouble.status is None:
        if not trouble.disturbed:
            yield Violation(
                "a connection is lost with its node alone",
                f"{trouble.request} after {trouble.seconds:.1f} s: {trouble.message}",
            )
    elif trouble.status != 503:
        yield Violation("requests get 2xx or 503", f"{trouble.request}: {trouble.status}, {trouble.message}")
    elif not (trouble.message.endswith(".") and len(trouble.message.split()) > 3):
        yield Violation("a 503 says why", f"{trouble.request}: {trouble.message!r}")


# --- objects


def check_attempts(
    attempts: Iterable[Attempt], found: dict[str, list[str]], deleted: dict[str, Asked]
) -> Iterator[Violation]:
    """What was acknowledged is there, once; what was refused is not; what nobody knows is there at most once.

    `found`: ids by tag. `deleted`: by id; a thread takes along what is in it.
    """
    known = set()
    for attempt in attempts:
        known.add(attempt.tag)
        ids = found.get(attempt.tag, [])
        what = f"{attempt.kind} {attempt.id or attempt.tag}"
        if len(ids) > 1:
            yield Violation("nothing is doubled", f"{what} is there as {ids}")
        if attempt.made is Asked.NO and ids:
            yield Violation("what was refused is not there", f"{what} is there as {ids}")
        gone = deleted.get(attempt.thread_id or attempt.id, Asked.NO)
        if gone is Asked.YES and ids:
            yield Violation("what was deleted is not there", f"{what} is there as {ids}")
        if attempt.made is Asked.YES and gone is Asked.NO and (not ids or attempt.id not in ("", *ids)):
            yield Violation("no object of a successful answer is missing", f"{what}: found {ids}")
    if strange := {tag: ids for tag, ids in found.items() if tag not in known}:
        yield Violation("nothing is there that nobody asked for", f"{strange}")


def check_settled(
    before: dict[str, tuple[Any, ...]], after: dict[str, tuple[Any, ...]], deleted: dict[str, Asked]
) -> Iterator[Violation]:
    """What a run had when it had ended, it still has, unless its thread (the first of its facts) was deleted."""
    for run, was in before.items():
        if run not in after:
            if was[0] not in deleted:
                yield Violation("no object of a successful answer is missing", f"run {run}")
        elif after[run] != was:
            yield Violation("an ended run does not change", f"run {run} was {was}, is {after[run]}")


def check_left(left: dict[str, Sequence[Any]]) -> Iterator[Violation]:
    """Nothing is left over: `left` has, by what it would be, what there is of it."""
    for what, rows in left.items():
        if rows:
            yield Violation(what, f"{len(rows)}: {rows[:5]}")


def check_store_files(rows: Iterable[Any], wanted: dict[str, list[str]]) -> Iterator[Violation]:
    """Every file of a vector store is read, each passage once. `wanted`: passages by the file's name."""
    for row in rows:
        what = f"{row['filename']} in {row['store']}"
        if row["status"] != "completed":
            yield Violation("every file is read", f"{what} is {row['status']}: {row['last_error']}")
        elif row["passages"] != wanted[row["filename"]]:
            yield Violation(
                "no passage is lost or doubled",
                f"{what} has {len(row['passages'])} passages, wanted {len(wanted[row['filename']])}",
            )


def check_blobs(owned: Iterable[str], there: Iterable[str]) -> Iterator[Violation]:
    """After the sweep there are the blobs that files own, and no others."""
    owned, there = Counter(owned), set(there)
    if lost := set(owned) - there:
        yield Violation("no blob is lost", f"{sorted(lost)}")
    if loose := there - set(owned):
        yield Violation("no loose blob remains", f"{sorted(loose)}")
    if shared := [key for key, times in owned.items() if times > 1]:
        yield Violation("no blob has two owners", f"{shared}")


# --- logs of nodes

# A job that is interrupted by the database's faults goes back to its queue, and its line says by which.
_INTERRUPTED = ("job interrupted",)
_FATAL = ("request failed", "run failed by a fault of the server", "stream broken off")


def check_node_log(node: str, text: str) -> Iterator[Violation]:
    """A node's log has no traceback and no fault of the server."""
    for line in text.splitlines():
        try:
            entry = json.loads(line)
        except ValueError:
            entry = {"event": line}
        event = str(entry.get("event", ""))
        traced = "exception" in entry and event not in _INTERRUPTED
        if traced or event in _FATAL or "Traceback" in event or "panicked" in event or "server error" in event.lower():
            yield Violation("no node logs a fault of the server", f"{node}: {line[:3000]}")
