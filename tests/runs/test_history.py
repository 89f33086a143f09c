"""What the model is shown of a thread, out of a real database."""

from __future__ import annotations

import json
import random
from typing import Any

import pytest

from assistd.db.pool import Database
from assistd.runs.history import Window, estimate, load
from tests.runs.conftest import Rows

EVERYTHING = Window(10**9)


async def shown(database: Database, thread: str, window: Window = EVERYTHING) -> list[Any]:
    async with database.acquire() as conn:
        return (await load(conn, thread, window)).messages


def call(id: str) -> dict[str, Any]:
    return {"id": id, "type": "function", "function": {"name": "look_up", "arguments": "{}"}}


async def test_a_conversation_with_calls(rows: Rows, database: Database) -> None:
    thread = await rows.thread()
    await rows.message(thread, "user", "Hello")
    run = await rows.run(thread)
    await rows.words(run, "Let me see.", "completed")
    await rows.calls(run, ("call_a", "1"), ("call_b", "2"), status="completed")
    await rows.calls(run, ("call_c", None), status="completed")
    await rows.words(run, "It is 3.", "completed")
    await rows.message(thread, "user", "Thanks")
    assert await shown(database, thread) == [
        {"role": "user", "content": "Hello"},
        {"role": "assistant", "content": "Let me see.", "tool_calls": [call("call_a"), call("call_b")]},
        {"role": "tool", "tool_call_id": "call_a", "content": "1"},
        {"role": "tool", "tool_call_id": "call_b", "content": "2"},
        {"role": "assistant", "content": None, "tool_calls": [call("call_c")]},
        {"role": "tool", "tool_call_id": "call_c", "content": ""},
        {"role": "assistant", "content": "It is 3."},
        {"role": "user", "content": "Thanks"},
    ]


async def test_the_question_stands_whatever_the_run_has_made_of_it(rows: Rows, database: Database) -> None:
    thread = await rows.thread()
    for n in range(5):
        await rows.message(thread, "user", f"earlier {n}")
    await rows.message(thread, "user", "the question")
    run = await rows.run(thread)
    await rows.words(run, "Let me see.", "completed")
    await rows.calls(run, ("call_a", "a" * 5000), status="completed")
    await rows.calls(run, ("call_b", "b" * 5000), status="completed")

    async def roles(window: Window) -> list[Any]:
        async with database.acquire() as conn:
            messages = (await load(conn, thread, window, run)).messages
        return [m["content"] or m["tool_calls"][0]["id"] for m in messages if m["role"] != "tool"]

    # The run's own words do not take the place of the one message that is to be shown.
    assert await roles(Window(10**6, last_messages=1)) == ["the question", "Let me see.", "call_b"]
    # Nor does the output of its tools: the newest round and the question stay, what is between goes.
    assert await roles(Window(100)) == ["the question", "call_b"]
    assert (await roles(Window(10**6)))[-4:] == ["earlier 4", "the question", "Let me see.", "call_b"]


async def code(rows: Rows, run: str, *calls: tuple[str, list[Any]], note: str | None = None) -> None:
    """Add a completed step of code, given by its input and outputs."""
    ids = [f"call_{n}" for n in range(len(calls))]
    named = [
        {"id": id, "type": "code_interpreter", "code_interpreter": {"input": input, "outputs": outputs}}
        for id, (input, outputs) in zip(ids, calls, strict=True)
    ]
    step = await rows.step(run, {"type": "tool_calls", "tool_calls": named}, "completed")
    said = [{"id": id, "name": "code_interpreter", "arguments": "", "note": note} for id in ids]
    await rows.conn.execute("UPDATE steps SET exchange = $2 WHERE id = $1", step, json.dumps(said))


def logs(text: str) -> dict[str, Any]:
    return {"type": "logs", "logs": text}


IMAGE = {"type": "image", "image": {"file_id": "file-1"}}


async def test_code_and_what_it_gave(rows: Rows, database: Database) -> None:
    thread = await rows.thread()
    run = await rows.run(thread)
    await code(rows, run, ('print("a")\n', [logs("a\n"), IMAGE]), ("pass", []), note="State is gone.")
    asked, first, second = await shown(database, thread)
    assert [call["function"] for call in asked["tool_calls"]] == [
        {"name": "code_interpreter", "arguments": '{"code":"print(\\"a\\")\\n"}'},
        {"name": "code_interpreter", "arguments": '{"code":"pass"}'},
    ]
    assert first["content"] == "State is gone.\n\na\n[image file-1 shown to the user]\n"
    assert second["content"] == "State is gone.\n\n[The code has printed nothing.]"


async def test_long_outputs_of_code_are_cut_to_what_there_is_room_for(rows: Rows, database: Database) -> None:
    thread = await rows.thread()
    await rows.message(thread, "user", "the question")
    run = await rows.run(thread)
    await code(rows, run, ("1", [logs("short")]), ("2", [logs("begin" + "x" * 80_000 + "end"), IMAGE]))

    async def told(window: Window) -> list[str]:
        return [message["content"] for message in await shown(database, thread, window)]

    question, _, short, long = await told(Window(3000))
    assert (question, short) == ("the question", "short")
    assert long.startswith("begin")
    assert long.endswith("end\n[image file-1 shown to the user]\n")
    assert "characters are left out here" in long
    assert 2000 < len(long) < 3100
    assert 40_000 < len((await told(EVERYTHING))[-1]) < 50_000
    assert len((await told(Window(-5)))[-1]) < 700


async def test_words_of_another_run_are_not_the_preamble_of_calls(rows: Rows, database: Database) -> None:
    thread = await rows.thread()
    first = await rows.run(thread)
    await rows.words(first, "Done.", "completed")
    second = await rows.run(thread)
    await rows.calls(second, ("call_a", "1"), status="completed")
    said, asked, _ = await shown(database, thread)
    assert said == {"role": "assistant", "content": "Done."}
    assert asked == {"role": "assistant", "content": None, "tool_calls": [call("call_a")]}


async def test_what_is_open_or_came_to_nothing_is_not_shown(rows: Rows, database: Database) -> None:
    thread = await rows.thread()
    await rows.message(thread, "user", "Hello")
    run = await rows.run(thread)
    await rows.words(run)
    await rows.calls(run, ("call_a", None))
    await rows.calls(run, ("call_b", None), status="cancelled")
    await rows.calls(run, ("call_c", None), status="failed")
    await rows.calls(run, ("call_d", None), status="expired")
    await rows.words(run, "Hi the", "incomplete")
    assert await shown(database, thread) == [
        {"role": "user", "content": "Hello"},
        {"role": "assistant", "content": "Hi the"},
    ]


@pytest.mark.parametrize(
    ("role", "parts", "content"),
    [
        ("user", [{"type": "text", "text": {"value": "One", "annotations": []}}], "One"),
        (
            "user",
            [
                {"type": "text", "text": {"value": "What is this?", "annotations": []}},
                {"type": "image_url", "image_url": {"url": "https://assistd.test/a.png", "detail": "auto"}},
                {"type": "image_file", "image_file": {"file_id": "file-1", "detail": "auto"}},
            ],
            [
                {"type": "text", "text": "What is this?"},
                {"type": "image_url", "image_url": {"url": "https://assistd.test/a.png", "detail": "auto"}},
                {"type": "image_file", "image_file": {"file_id": "file-1", "detail": "auto"}},
            ],
        ),
        (
            "assistant",
            [
                {"type": "text", "text": {"value": "Well.", "annotations": []}},
                {"type": "refusal", "refusal": "I won't."},
            ],
            "Well.\nI won't.",
        ),
        (
            "assistant",
            [
                {"type": "image_file", "image_file": {"file_id": "file-1"}},
                {"type": "image_file", "image_file": {"file_id": "file-2"}},
                {"type": "text", "text": {"value": "There.", "annotations": []}},
            ],
            "There.",
        ),
    ],
)
async def test_parts(rows: Rows, database: Database, role: str, parts: Any, content: Any) -> None:
    thread = await rows.thread()
    id = await rows.message(thread, role, "")
    await rows.conn.execute("UPDATE messages SET content = $2 WHERE id = $1", id, json.dumps(parts))
    assert await shown(database, thread) == [{"role": role, "content": content}]


async def test_the_newest_messages_with_the_calls_between_them(rows: Rows, database: Database) -> None:
    thread = await rows.thread()
    for number in range(3):
        await rows.message(thread, "user", f"question {number}")
        run = await rows.run(thread)
        await rows.calls(run, (f"call_{number}", "1"), status="completed")
        await rows.words(run, f"answer {number}", "completed")
    assert await shown(database, thread, Window(10**9, last_messages=2)) == [
        {"role": "user", "content": "question 2"},
        {"role": "assistant", "content": None, "tool_calls": [call("call_2")]},
        {"role": "tool", "tool_call_id": "call_2", "content": "1"},
        {"role": "assistant", "content": "answer 2"},
    ]
    assert [m.get("content") for m in await shown(database, thread, Window(10**9, last_messages=3))] == [
        "answer 1",
        "question 2",
        None,
        "1",
        "answer 2",
    ]
    assert len(await shown(database, thread, Window(10**9, last_messages=1000))) == 12


async def test_what_does_not_fit_is_dropped_from_the_middle(rows: Rows, database: Database) -> None:
    thread = await rows.thread()
    for number in range(10):
        await rows.message(thread, "user", f"{number}" * 300)
    texts = [message["content"][0] for message in await shown(database, thread, Window(430))]
    assert texts == ["0", "7", "8", "9"]


async def test_the_newest_message_is_always_there(rows: Rows, database: Database) -> None:
    thread = await rows.thread()
    await rows.message(thread, "user", "first")
    await rows.message(thread, "user", "x" * 3000)
    for tokens in (10, 0, -100):
        assert await shown(database, thread, Window(tokens)) == [{"role": "user", "content": "x" * 3000}]


async def test_a_thread_without_messages(rows: Rows, database: Database) -> None:
    assert await shown(database, await rows.thread()) == []


async def test_long_threads_are_read_in_pages_and_only_as_far_as_they_fit(rows: Rows, database: Database) -> None:
    thread = await rows.thread()
    await rows.conn.execute(
        "INSERT INTO messages (id, thread_id, role, content, attachments, metadata)"
        " SELECT 'msg_' || n, $1, 'user', json_build_array(json_build_object('type', 'text', 'text',"
        " json_build_object('value', 'message ' || n, 'annotations', '[]'::json))), '[]', '{}'"
        " FROM generate_series(1, 1500) AS n",
        thread,
    )
    whole = [message["content"] for message in await shown(database, thread)]
    assert whole == [f"message {n}" for n in range(1, 1501)]
    newest = [message["content"] for message in await shown(database, thread, Window(10**9, last_messages=700))]
    assert newest == whole[-700:]
    some = [message["content"] for message in await shown(database, thread, Window(5000))]
    assert some == [whole[0], *whole[-len(some) + 1 :]]
    assert 64 < len(some) < 1500


@pytest.mark.parametrize("seed", range(12))
async def test_whatever_the_thread_and_the_window(rows: Rows, database: Database, seed: int) -> None:
    """First and newest are kept, it fits, calls and outputs stay together, and the order is the thread's."""
    chance = random.Random(seed)
    thread = await rows.thread()
    for number in range(chance.randrange(1, 30)):
        await rows.message(thread, "user", f"q{number} " + "x" * chance.randrange(400))
        run = await rows.run(thread)
        for turn in range(chance.randrange(3)):
            if chance.random() < 0.5:
                await rows.words(run, f"p{number}.{turn} " + "y" * chance.randrange(100), "completed")
            asked = [(f"call_{number}_{turn}_{n}", "z" * chance.randrange(200)) for n in range(chance.randrange(1, 3))]
            await rows.calls(run, *asked, status="completed")
        await rows.words(run, f"a{number} " + "x" * chance.randrange(400), "completed")
    whole = await shown(database, thread)
    for _ in range(10):
        window = Window(chance.randrange(0, 6000))
        some = await shown(database, thread, window)
        assert some[-1] == whole[-1]
        places = [whole.index(_alone(message, whole)) for message in some]
        assert places == sorted(set(places))
        # A cut is one gap: what is kept but for the first message is the end of the thread.
        assert places[1:] == list(range(len(whole) - len(places) + 1, len(whole)))
        weight = sum(estimate(len(json.dumps(message))) for message in some)
        first_and_newest = estimate(len(json.dumps(whole[0]))) + estimate(len(json.dumps(whole[-1])))
        if len(some) > 1:
            assert weight <= window.tokens * 1.5 + 50, "it does not fit"
        if window.tokens > first_and_newest * 1.5 + 50:
            assert places[0] == 0, "the first message is gone"
        asked = [c["id"] for message in some for c in message.get("tool_calls", ())]
        answered = [message["tool_call_id"] for message in some if message["role"] == "tool"]
        assert asked == answered


def _alone(message: Any, whole: list[Any]) -> Any:
    """A message as it stands in the whole conversation: calls may have lost the words before them."""
    if message in whole:
        return message
    assert message["content"] is None
    return next(m for m in whole if m.get("tool_calls") == message["tool_calls"])
