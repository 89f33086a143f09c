"""The code interpreter: code, its outputs, pictures and files, with today's SDK and beside the recorded stream."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from copy import deepcopy
from pathlib import Path
from typing import Any

import openai
import pytest
from openai.types.beta import Thread
from openai.types.beta.threads import Message, Run

from tests.conformance.contract import Contract
from tests.conformance.shapes import assert_same, names
from tests.conformance.sse import Event, read_events, recorded
from tests.conformance.talk import POLL, WEATHER, Walk, script
from tests.conformance.test_python_sdk_streams import Diary
from tests.conformance.wiretap import Wiretap
from tests.support.http import Api
from tests.support.server import Server
from tests.support.talk import path_of, until
from tests.support.waiting import eventually

# Sandboxes have something to run code in before the first test asks for one.
pytestmark = pytest.mark.usefixtures("interpreter")

CODE: Any = {"type": "code_interpreter"}
PNG = b"\x89PNG\r\n\x1a\n"
FIBONACCI = "a, b, found = 0, 1, []\nfor _ in range(20):\n    found.append(a)\n    a, b = b, a + b\nfound"
PLOT = "import matplotlib.pyplot as plt\nprint('before')\nplt.plot([1, 3, 2])\nplt.show()\nprint('after')"
TABLE = "name,größe\nAda,1\n"
WRITE = f"open('/mnt/data/my table.csv', 'w').write({TABLE!r})"


def code(*lines: str) -> str:
    """The direction to run this code."""
    return "/code " + json.dumps("\n".join(lines))


@pytest.fixture
def walk(client: openai.OpenAI) -> Walk:
    return Walk(client, tools=[CODE])


@pytest.fixture
def api(wiretap: Wiretap) -> Api:
    return Api(wiretap.url)


# --- what streams join to


def joined(events: list[Event]) -> dict[str, Any]:
    """What the deltas of every step and message join to, by the rules of the SDKs; each object by its id."""
    objects: dict[str, Any] = {}
    for event in events:
        if event.name in ("thread.run.step.created", "thread.message.created"):
            assert event.data["id"] not in objects, "an object is created once"
            objects[event.data["id"]] = deepcopy(event.data)
        elif event.name in ("thread.run.step.delta", "thread.message.delta"):
            merge(objects[event.data["id"]], deepcopy(event.data["delta"]))
    return objects


def merge(whole: dict[str, Any], delta: dict[str, Any]) -> None:
    for key, value in delta.items():
        if key in ("index", "type") or whole.get(key) is None:
            whole[key] = merged_list([], value) if isinstance(value, list) else value
        elif isinstance(value, str):
            whole[key] += value
        elif isinstance(value, list):
            merged_list(whole[key], value)
        elif isinstance(value, dict):
            merge(whole[key], value)
        else:
            raise AssertionError(f"{key} comes twice, and would be added up")


def merged_list(whole: list[Any], delta: list[Any]) -> list[Any]:
    for entry in delta:
        assert entry["index"] <= len(whole), "indexes begin at 0 and rise by 1"
        if entry["index"] == len(whole):
            whole.append({})
        merge(whole[entry["index"]], entry)
    return whole


def without_indexes(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: without_indexes(item) for key, item in value.items() if key != "index"}
    return [without_indexes(item) for item in value] if isinstance(value, list) else value


def check(api: Api, events: list[Event]) -> list[Any]:
    """Check that deltas, last events and REST tell the same of every step and message. Returns the steps, by REST."""
    assert events[-1] == Event("done", "[DONE]")
    run = events[-2].data
    steps: list[Any] = api.get(f"{path_of(run)}/steps?order=asc").ok["data"]
    found = api.get(f"/threads/{run['thread_id']}/messages?run_id={run['id']}").ok["data"]
    messages = {message["id"]: message for message in found}
    last = {event.data["id"]: event.data for event in events[:-1]}
    whole = {id: without_indexes(object) for id, object in joined(events).items()}
    assert set(whole) == {step["id"] for step in steps} | set(messages)
    for step in steps:
        assert step["step_details"] == last[step["id"]]["step_details"]
        if step["type"] == "tool_calls":
            assert whole[step["id"]]["step_details"] == step["step_details"]
    for id, message in messages.items():
        assert whole[id]["content"] == last[id]["content"] == message["content"]
    return steps


def stream(api: Api, walk: Walk, thread: Thread, **options: Any) -> list[Event]:
    body = {"assistant_id": walk.assistant.id, "stream": True, **options}
    return read_events(api.post(f"/threads/{thread.id}/runs", body).body)


def outputs_of(walk: Walk, run: Run) -> list[list[Any]]:
    """The outputs of every call of a run."""
    assert run.status == "completed", run.last_error
    steps = [step for step in walk.steps(run) if step.type == "tool_calls"]
    return [
        [out.to_dict() for out in call.code_interpreter.outputs] for s in steps for call in s.step_details.tool_calls
    ]


def printed(walk: Walk, run: Run) -> list[str]:
    """What every call of a run has printed."""
    return ["".join(out.get("logs", "") for out in outputs) for outputs in outputs_of(walk, run)]


def message_of(walk: Walk, run: Run) -> Message:
    assert run.status == "completed", run.last_error
    (message,) = walk.client.beta.threads.messages.list(run.thread_id, run_id=run.id).data
    return message


# --- beside the recorded stream


def test_code_streams_as_recorded(api: Api, client: openai.OpenAI) -> None:
    walk = Walk(client, tools=[CODE], instructions="Please address the user as Jane Doe.")
    source = "x = 3\r\n\r\n# Define the equation\r\nsolution = (14 - 11) / x"
    thread = walk.thread(script("/code " + json.dumps(source), "/say The solution is x = 1."))
    ours = stream(api, walk, thread)
    assert_same(ours, recorded("v2-code_interpreter"))
    step, _ = check(api, ours)
    (call,) = step["step_details"]["tool_calls"]
    assert call["code_interpreter"] == {"input": source, "outputs": []}
    pieces = [event for event in ours if event.name == "thread.run.step.delta"]
    assert len(pieces) > 4, "the code comes as it is written"


# --- outputs


def test_the_value_of_the_last_expression_is_shown(walk: Walk) -> None:
    run = walk.run(walk.thread(code(FIBONACCI)))
    step, _ = walk.steps(run)
    (call,) = step.step_details.tool_calls
    assert call.code_interpreter.input == FIBONACCI
    (logs,) = call.code_interpreter.outputs
    assert logs.type == "logs"
    assert logs.logs.startswith("[0,\n 1,\n 1,\n 2,\n 3,")
    assert logs.logs.rstrip().endswith(" 4181]")
    # The model has read it.
    assert "4181]" in walk.answer(run)


def test_outputs_come_in_their_order_and_join_to_what_is_kept(api: Api, walk: Walk) -> None:
    events = stream(api, walk, walk.thread(script(code("print('one')", PLOT, "7 * 6"), code("1"), "/say Done.")))
    step, _ = check(api, events)
    first, second = (call["code_interpreter"]["outputs"] for call in step["step_details"]["tool_calls"])
    assert [output["type"] for output in first] == ["logs", "image", "logs"]
    assert first[0]["logs"].startswith("one\nbefore\n")
    assert "after\n" in first[2]["logs"]
    assert first[2]["logs"].endswith("42")
    assert second == [{"type": "logs", "logs": "1"}]


def test_outputs_are_told_while_the_code_still_runs(api: Api, walk: Walk) -> None:
    thread = walk.thread(script(code("import time", "print('begun')", "time.sleep(600)")))
    events = streamed_until(api, walk, thread, b"begun", cancel=True)
    assert names(events)[-4:] == ["thread.run.cancelling", "thread.run.step.cancelled", "thread.run.cancelled", "done"]
    (step,) = check(api, events)
    assert step["status"] == "cancelled"
    (call,) = step["step_details"]["tool_calls"]
    assert call["code_interpreter"]["outputs"] == [{"type": "logs", "logs": "begun\n"}]
    # The code is stopped, and the next run hears that what was in memory is gone.
    walk.say(thread, code("print('again')"), "/report")
    report = walk.report(walk.run(thread))
    assert report["messages"][-1]["content"].endswith("again\n")
    assert "variables and imports are gone" in report["messages"][-1]["content"]


def streamed_until(api: Api, walk: Walk, thread: Thread, words: bytes, *, cancel: bool) -> list[Event]:
    """Read a stream to its end; cancel its run once it has said these words in an output."""
    received = b""
    body = {"assistant_id": walk.assistant.id, "stream": True}
    with api.open("POST", f"/threads/{thread.id}/runs", body) as response:
        while piece := response.read1(65536):
            received += piece
            if cancel and b'"logs":"' + words in received:
                run = json.loads(received.split(b"\ndata: ", 1)[1].split(b"\n", 1)[0])
                assert api.post(f"{path_of(run)}/cancel").ok["status"] == "cancelling"
                cancel = False
    return read_events(received)


def test_long_logs_keep_their_beginning_and_their_end(api: Api, walk: Walk) -> None:
    thread = walk.thread(script(code("print('begin', 'x' * 150_000, 'end')", "1 / 0"), "/report"))
    events = stream(api, walk, thread)
    step, _ = check(api, events)
    (logs,) = step["step_details"]["tool_calls"][0]["code_interpreter"]["outputs"]
    assert logs["logs"].startswith("begin xxx")
    assert "characters are left out here]\nxxx" in logs["logs"]
    assert "ZeroDivisionError" in logs["logs"][-300:]
    assert len(logs["logs"]) < 100_000
    # The model hears less, as much as it can read, and the end of it, too.
    (said,) = [event.data for event in events if event.name == "thread.message.completed"]
    told = json.loads(said["content"][0]["text"]["value"])["messages"][-1]["content"]
    assert len(told) < 50_000
    assert told.startswith("begin xxx")
    assert "ZeroDivisionError" in told[-300:]


# --- state


def test_calls_of_a_turn_of_a_run_and_of_a_thread_share_their_state(walk: Walk) -> None:
    thread = walk.thread(script(code("n = 1"), code("n += 1", "n"), "/next", code("n += 1", "n"), "/say ok"))
    assert printed(walk, walk.run(thread)) == ["", "2", "3"]
    walk.say(thread, code("n += 1", "n"))
    assert printed(walk, walk.run(thread)) == ["4"]
    # Another thread has none of it.
    assert "NameError" in printed(walk, walk.run(walk.thread(code("n"))))[0]


def test_a_model_hears_of_its_mistakes_and_mends_them(walk: Walk) -> None:
    thread = walk.thread(script(code("x = 1", "x / 0"), "/next", code("x / 2"), "/report"))
    run = walk.run(thread)
    mistake, mended = printed(walk, run)
    assert "ZeroDivisionError: division by zero" in mistake
    assert mended == "0.5"
    messages = walk.report(run)["messages"]
    assert [message["role"] for message in messages[-4:]] == ["assistant", "tool", "assistant", "tool"]
    assert messages[-3]["content"] == mistake
    assert messages[-1]["content"] == mended
    # A later run is told the same.
    walk.say(thread, "/report")
    again = walk.report(walk.run(thread))["messages"]
    assert again[: len(messages)] == messages


def test_code_that_prints_nothing_and_calls_without_code(walk: Walk) -> None:
    run = walk.run(walk.thread(script(code("x = 1"), "/call code_interpreter {}", "/report")))
    assert outputs_of(walk, run) == [[], []]
    told = [message["content"] for message in walk.report(run)["messages"][-2:]]
    assert told == ["[The code has printed nothing.]", "The call has no code. Call code_interpreter again with code."]


# --- pictures


def test_a_plot_comes_back_as_a_picture(api: Api, walk: Walk) -> None:
    thread = walk.thread(script(code(PLOT), code(PLOT), "/next", code("1"), "/say Here they are."))
    events = stream(api, walk, thread)
    first, _, _ = check(api, events)
    images = [
        output["image"]["file_id"]
        for call in first["step_details"]["tool_calls"]
        for output in call["code_interpreter"]["outputs"]
        if output["type"] == "image"
    ]
    assert len(set(images)) == 2
    (message,) = [event.data for event in events if event.name == "thread.message.completed"]
    assert message["content"] == [
        *({"type": "image_file", "image_file": {"file_id": id}} for id in images),
        {"type": "text", "text": {"value": "Here they are.", "annotations": []}},
    ]
    for id in images:
        file = walk.client.files.retrieve(id)
        assert (file.purpose, file.filename.endswith(".png")) == ("assistants_output", True)
        content = walk.client.files.content(id).read()
        assert content.startswith(PNG)
        assert len(content) == file.bytes
    # They are shown once, and the model is told of them in words: many that run code cannot see.
    walk.say(thread, "/report")
    run = walk.run(thread)
    assert [part.type for part in message_of(walk, run).content] == ["text"]
    told = walk.report(run)["messages"]
    assert f"[image {images[0]} shown to the user]" in told[2]["content"]
    assert told[-2] == {"role": "assistant", "content": "Here they are."}


def test_words_before_a_call_have_no_pictures_of_it(walk: Walk) -> None:
    run = walk.run(walk.thread(script("/preamble One moment.", code(PLOT), "/say There.")))
    assert run.status == "completed"
    messages = walk.client.beta.threads.messages.list(run.thread_id, run_id=run.id, order="asc").data
    assert [[part.type for part in message.content] for message in messages] == [["text"], ["image_file", "text"]]


def test_what_the_python_sdk_accumulates(walk: Walk) -> None:
    diary = Diary()
    write = code("open('x', 'w').write('x')", "print('b')")
    thread = walk.thread(script(code(PLOT), "/next", write, write, "/say It is [x](sandbox:/mnt/data/x)."))
    with walk.client.beta.threads.runs.stream(
        thread_id=thread.id, assistant_id=walk.assistant.id, event_handler=diary
    ) as running:
        running.until_done()
        (message,) = running.get_final_messages()
        accumulated = running.get_final_run_steps()
        run = running.get_final_run()
    assert message.content == message_of(walk, run).content
    assert [part.type for part in message.content] == ["image_file", "text"]
    assert [image.file_id for image in diary.given("image_file_done")] == [message.content[0].image_file.file_id]  # type: ignore[union-attr]
    assert len(diary.given("text_done")[0].annotations) == 1
    details = [step.step_details.to_dict() for step in accumulated]
    assert without_indexes(details) == [step.step_details.to_dict() for step in walk.steps(run)]
    first, *_ = [without_indexes(call.to_dict()) for call in diary.given("tool_call_done")]
    assert first == without_indexes(details)[0]["tool_calls"][0]  # it is done when its outputs are there
    assert [output["type"] for output in first["code_interpreter"]["outputs"]] == ["logs", "image", "logs"]


# --- files


def test_a_file_that_the_answer_names_is_downloaded_byte_for_byte(api: Api, walk: Walk) -> None:
    link = "sandbox:/mnt/data/my%20table.csv"
    thread = walk.thread(script(code(WRITE), f"/say 😀 [the table]({link}), not sandbox:/mnt/data/other.csv."))
    events = stream(api, walk, thread)
    check(api, events)
    (message,) = [event.data for event in events if event.name == "thread.message.completed"]
    text = message["content"][0]["text"]
    (annotation,) = text["annotations"]
    start, end = annotation["start_index"], annotation["end_index"]
    assert text["value"][start:end] == annotation["text"] == link
    assert set(annotation) == {"type", "text", "start_index", "end_index", "file_path"}
    assert annotation["type"] == "file_path"
    # Link and annotation come in the same delta.
    (told,) = [
        event.data["delta"]["content"][0]["text"]
        for event in events
        if event.name == "thread.message.delta" and event.data["delta"]["content"][0]["text"].get("annotations")
    ]
    assert told == {"value": link, "annotations": [{"index": 0, **annotation}]}

    file = walk.client.files.retrieve(annotation["file_path"]["file_id"])
    assert (file.filename, file.purpose, file.bytes) == ("my table.csv", "assistants_output", len(TABLE.encode()))
    assert walk.client.files.content(file.id).read() == TABLE.encode()


def paths_of(message: Message) -> list[str]:
    """The files that a message's links name."""
    (part,) = message.content
    assert part.type == "text"
    return [a.file_path.file_id for a in part.text.annotations if a.type == "file_path"]


def test_a_file_is_the_same_file_as_long_as_its_content_is(walk: Walk) -> None:
    named = "/say sandbox:/mnt/data/my table.csv and sandbox:/mnt/data/my table.csv"
    thread = walk.thread(script(code(WRITE), named))
    first, again = paths_of(message_of(walk, walk.run(thread)))
    walk.say(thread, named)
    assert paths_of(message_of(walk, walk.run(thread))) == [first] * 2 == [again] * 2
    walk.say(thread, code("open('/mnt/data/my table.csv', 'a').write('Bob,2\\n')"), named)
    changed, _ = paths_of(message_of(walk, walk.run(thread)))
    assert changed != first
    assert walk.client.files.content(changed).read() == (TABLE + "Bob,2\n").encode()
    assert walk.client.files.content(first).read() == TABLE.encode()


def upload(client: openai.OpenAI, name: str, text: str) -> str:
    return client.files.create(file=(name, io.BytesIO(text.encode())), purpose="assistants").id


def test_files_of_the_assistant_the_thread_and_its_messages(client: openai.OpenAI) -> None:
    # A file's name may have folders in it; /mnt/data has none of them.
    folders = {"assistant": "", "thread": "reports/2024/", "message": "C:\\notes\\"}
    ofs = [upload(client, f"{folder}{name}.txt", name) for name, folder in folders.items()]
    assert client.files.retrieve(ofs[1]).filename == "reports/2024/thread.txt"
    resources: Any = [{"code_interpreter": {"file_ids": [id]}} for id in ofs]
    walk = Walk(client, tools=[CODE], tool_resources=resources[0])
    read = f"for id in {ofs}:\n    print(open(f'/mnt/data/{{id}}').read())\nprint(open('/mnt/data/thread.txt').read())"
    said = script(code(read), "/say See sandbox:/mnt/data/message.txt.")
    attachment: Any = {"file_id": ofs[2], "tools": [CODE]}
    thread = client.beta.threads.create(
        tool_resources=resources[1], messages=[{"role": "user", "content": said, "attachments": [attachment]}]
    )
    run = walk.run(thread)
    assert printed(walk, run) == ["assistant\nthread\nmessage\nthread\n"]
    assert paths_of(message_of(walk, run)) == []  # clients could not download it
    # The model knows what is there.
    walk.say(thread, "/report")
    (tool,) = walk.report(walk.run(thread))["tools"]
    assert tool["function"]["name"] == "code_interpreter"
    for id, name in zip(ofs, ("assistant", "thread", "message"), strict=True):
        assert f"/mnt/data/{id} ({name}.txt)" in tool["function"]["description"]


# --- beside other tools


def test_code_and_a_function_in_one_turn(api: Api, walk: Walk) -> None:
    thread = walk.thread(script(code("print('rain?')"), '/call get_weather {"city": "Oslo"}'))
    first = stream(api, walk, thread, tools=[CODE, WEATHER])
    assert names(first)[-3:] == ["thread.run.step.delta", "thread.run.requires_action", "done"]
    (told,) = joined(first).values()
    ran, asked = without_indexes(told["step_details"]["tool_calls"])
    assert ran["code_interpreter"] == {"input": "print('rain?')", "outputs": [{"type": "logs", "logs": "rain?\n"}]}
    run = first[-2].data
    (required,) = run["required_action"]["submit_tool_outputs"]["tool_calls"]
    assert required["id"] == asked["id"]
    outputs = [{"tool_call_id": asked["id"], "output": "rain"}]
    submitted = api.post(f"{path_of(run)}/submit_tool_outputs", {"tool_outputs": outputs, "stream": True})
    second = read_events(submitted.body)
    assert names(second)[0] == "thread.run.step.completed"
    assert "thread.run.step.delta" not in names(second)
    assert second[0].data["step_details"]["tool_calls"][0] == ran
    assert second[0].data["step_details"]["tool_calls"][1]["function"]["output"] == "rain"
    (step, _) = api.get(f"{path_of(run)}/steps?order=asc").ok["data"]
    assert step["step_details"] == second[0].data["step_details"]
    (message,) = api.get(f"/threads/{thread.id}/messages?run_id={run['id']}").ok["data"]
    assert message["content"][0]["text"]["value"] == "RESULT: rain?\n | rain"


def test_code_and_file_search_in_one_turn(client: openai.OpenAI) -> None:
    store = client.vector_stores.create(name="papers")
    file_id = upload(client, "foods.txt", "Filip likes cake.")
    client.vector_stores.files.create_and_poll(vector_store_id=store.id, file_id=file_id, poll_interval_ms=POLL)
    resources: Any = {"file_search": {"vector_store_ids": [store.id]}, "code_interpreter": {"file_ids": [file_id]}}
    walk = Walk(client, tools=[CODE, {"type": "file_search"}], tool_resources=resources)
    find = '/call file_search {"query": "What does Filip like?"}'
    said = "/say Cake【0:0†foods.txt】, see sandbox:/mnt/data/copy.txt."
    copy = "food = open('foods.txt').read()\nopen('copy.txt', 'w').write(food)\nprint(food)"
    run = walk.run(walk.thread(script(code(copy), find, said)))
    step, _ = walk.steps(run)
    ran, searched = step.step_details.tool_calls
    assert ran.code_interpreter.outputs[0].logs == "Filip likes cake.\n"
    assert searched.file_search.results[0].file_id == file_id
    (part,) = message_of(walk, run).content
    assert part.type == "text"
    assert [annotation.type for annotation in part.text.annotations] == ["file_citation", "file_path"]
    for annotation in part.text.annotations:
        assert part.text.value[annotation.start_index : annotation.end_index] == annotation.text


def test_tool_choice_can_force_code_and_forbid_it(walk: Walk) -> None:
    run = walk.run(walk.thread("What is 2 + 2?"), tool_choice=CODE)
    assert run.status == "completed", run.last_error
    assert [step.type for step in walk.steps(run)] == ["tool_calls", "message_creation"]
    run = walk.run(walk.thread(script(code("1"), "/say no")), tool_choice="none")
    assert [step.type for step in walk.steps(run)] == ["message_creation"]


def test_a_run_that_is_told_to_run_code_without_the_tool_fails_and_says_so(api: Api, walk: Walk) -> None:
    run = walk.client.beta.threads.runs.create(
        thread_id=walk.thread(code("1")).id, assistant_id=walk.assistant.id, tools=[WEATHER]
    )
    failed = until(api, run.to_dict(), "failed")
    said = "The model called code_interpreter, which is not among the tools of this run."
    assert failed["last_error"]["message"] == said


# --- servers of their own


def test_where_there_are_no_sandboxes_the_model_is_told_and_goes_on(
    new_server: Callable[..., AbstractContextManager[Server]], contract: Contract
) -> None:
    with new_server(sandbox="off") as server, Wiretap(server.url) as tap:
        with openai.OpenAI(base_url=tap.url, api_key="sk-off", max_retries=0) as client:
            walk = Walk(client, tools=[CODE])
            run = walk.run(walk.thread(script(code("1"), code("2"), "/report")))
            (first,), (second,) = outputs_of(walk, run)
            assert first == second
            assert first["logs"].startswith("The code interpreter is unavailable on this server: ")
            assert walk.report(run)["messages"][-1]["content"] == first["logs"]
        faults = [fault for exchange in tap.take() for fault in contract.faults(exchange)]
    assert faults == []


def test_a_run_that_expires_while_its_code_runs(
    new_server: Callable[..., AbstractContextManager[Server]], contract: Contract
) -> None:
    with new_server(run_expires_seconds=4) as server, Wiretap(server.url) as tap:
        with openai.OpenAI(base_url=tap.url, api_key="sk-expires", max_retries=0) as client:
            walk = Walk(client, tools=[CODE])
            thread = walk.thread(script(code("print('begun')", "while True: pass")))
            events = streamed_until(Api(tap.url), walk, thread, b"begun", cancel=False)
            assert names(events)[-3:] == ["thread.run.step.expired", "thread.run.expired", "done"]
            (step,) = check(Api(tap.url), events)
            assert step["step_details"]["tool_calls"][0]["code_interpreter"]["outputs"][0]["logs"] == "begun\n"
            # The thread goes on, in a session that nothing runs in.
            eventually(lambda: client.beta.threads.runs.list(thread.id).data[0].status == "expired")
            walk.say(thread, code("print('again')"))
            assert printed(walk, walk.run(thread)) == ["again\n"]
        faults = [fault for exchange in tap.take() for fault in contract.faults(exchange)]
    assert faults == []


def test_a_model_that_is_held_to_a_schema_runs_code(
    new_server: Callable[..., AbstractContextManager[Server]], models_file: Path, tmp_path: Path
) -> None:
    routes = tmp_path / "models.toml"
    routes.write_text(
        models_file.read_text("utf-8").split("[[routes]]")[1].replace("names", "tools = 'constrained'\nnames")
    )
    routes.write_text("[[routes]]\n" + routes.read_text("utf-8"), "utf-8")
    reply = {"tool": "code_interpreter", "arguments": {"code": "print(6 * 7)"}}
    with new_server(models_file=routes) as server, openai.OpenAI(base_url=server.url, api_key="sk-held") as client:
        walk = Walk(client, tools=[CODE])
        run = walk.run(walk.thread(f"/say {json.dumps(reply)}"))
        assert printed(walk, run)[0] == "42\n"
        assert walk.steps(run)[-1].type == "message_creation"


def test_runs_keep_their_variables_where_sessions_are_scarce(
    new_server: Callable[..., AbstractContextManager[Server]],
) -> None:
    with (
        new_server(code_sessions=2, code_warm_sessions=0) as server,
        openai.OpenAI(base_url=server.url, api_key="sk-scarce", max_retries=0) as client,
    ):
        walk = Walk(client, tools=[CODE])

        def one(number: int) -> list[str]:
            # The model thinks between its calls, long enough for others to want the session.
            calls = [code(f"n = {number}"), "/next", code("n += 1", "n"), "/next", code("n += 1", "n")]
            return printed(walk, walk.run(walk.thread(script(*calls, "/pace 150 0", "/say ok"))))

        with ThreadPoolExecutor(6) as threads:
            for number, shown in enumerate(threads.map(one, range(6))):
                assert shown == ["", str(number + 1), str(number + 2)]
