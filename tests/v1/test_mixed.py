"""Both versions on the same objects: what one makes, the other reads, runs, goes on with and takes away."""

from __future__ import annotations

import json
from typing import Any

import openai
import pytest

from tests.support.http import Api
from tests.support.talk import until, user
from tests.support.waiting import eventually
from tests.v1.asking import (
    CODE,
    NO_FILE,
    RETRIEVAL,
    SEARCH,
    SKY,
    TOOLS,
    WEATHER,
    answers,
    refusal,
    run_on,
    upload,
    wait,
)
from tests.v1.boxes import NOVEMBER
from tests.v1.old_sdk import OldSdk

FILE_SEARCH = {"type": "file_search"}
POLL = 20
PNG = b"\x89PNG"


def shows(printed: Any) -> None:
    """What 1.2.3 prints must have the keys of November 2023."""
    keys, extras = NOVEMBER[printed["object"]]
    assert list(printed) == [*keys, *extras]


def resources(today: openai.OpenAI, assistant_id: str) -> Any:
    """The `tool_resources` of an assistant as v2 shows them."""
    shown = today.beta.assistants.retrieve(assistant_id).tool_resources
    assert shown is not None
    return shown.to_dict()


def in_store(today: openai.OpenAI, store_id: str) -> list[str]:
    """The files of a vector store that have all been read, oldest first."""

    def look() -> Any:
        files = today.vector_stores.files.list(store_id, order="asc").data
        return None if any(file.status == "in_progress" for file in files) else [file.id for file in files] or [""]

    return [id for id in eventually(look) if id]


# --- assistants of v1 in v2


def test_files_of_v1_are_what_the_matching_tools_may_use(november: OldSdk, today: openai.OpenAI, v1: Api) -> None:
    text, zipped = upload(v1, "sky.txt"), upload(v1, "a.zip", b"PK")
    assistants = november.beta.assistants
    id = assistants.create(model="scripted", file_ids=[text, zipped])["id"]
    assert resources(today, id) == {}, "there is no tool that could use them"
    assistants.update(id, tools=[CODE])
    assert resources(today, id) == {"code_interpreter": {"file_ids": [text, zipped]}}
    assert assistants.update(id, tools=TOOLS)["file_ids"] == [text, zipped]
    found = resources(today, id)
    assert found["code_interpreter"] == {"file_ids": [text, zipped]}
    (store,) = found["file_search"]["vector_store_ids"]
    assert in_store(today, store) == [text], "those that can be read"

    more = upload(v1, "more.txt")
    assistants.files.create(id, file_id=more)
    assert resources(today, id)["code_interpreter"] == {"file_ids": [text, zipped, more]}
    assert in_store(today, store) == [text, more]
    assistants.files.delete(text, assistant_id=id)
    assert resources(today, id) == {
        "code_interpreter": {"file_ids": [zipped, more]},
        "file_search": {"vector_store_ids": [store]},
    }
    assert in_store(today, store) == [more]
    only = assistants.create(model="scripted", tools=[RETRIEVAL], file_ids=[text])["id"]
    assert list(resources(today, only)) == ["file_search"]


def test_an_assistant_of_v1_is_run_by_v2(november: OldSdk, today: openai.OpenAI, v1: Api) -> None:
    file_id = upload(v1, "sky.txt")
    made = november.beta.assistants.create(model="scripted", tools=[*TOOLS, WEATHER], file_ids=[file_id])
    read = today.beta.assistants.retrieve(made["id"])
    assert [tool.type for tool in read.tools] == ["code_interpreter", "file_search", "function"]
    (store,) = resources(today, made["id"])["file_search"]["vector_store_ids"]
    assert in_store(today, store) == [file_id]
    code = json.dumps(f'open("/mnt/data/{file_id}").read()')
    thread = today.beta.threads.create(messages=[{"role": "user", "content": f"{SEARCH}\n/next\n/code {code}"}])
    run = today.beta.threads.runs.create_and_poll(thread_id=thread.id, assistant_id=made["id"], poll_interval_ms=POLL)
    assert run.status == "completed", run.last_error
    steps = today.beta.threads.runs.steps.list(run.id, thread_id=thread.id, order="asc").data
    search, ran = (step.step_details.tool_calls[0] for step in steps[:2])  # type: ignore[union-attr]
    assert [result.file_id for result in search.file_search.results] == [file_id]
    assert ran.code_interpreter.outputs[0].logs == repr(SKY.decode())

    # What v2 did, v1 reads.
    shown = november.beta.threads.runs.retrieve(run.id, thread_id=thread.id)
    shows(shown)
    assert (shown["file_ids"], shown["tools"]) == ([file_id], made["tools"])
    listed = november.beta.threads.runs.steps.list(run.id, thread_id=thread.id, order="asc")["data"]
    assert [step["type"] for step in listed] == ["tool_calls", "tool_calls", "message_creation"]
    for step in listed:
        shows(step)
    assert listed[0]["step_details"]["tool_calls"] == [{"id": search.id, "retrieval": {}, "type": "retrieval"}]


def test_small_files_stand_in_the_prompt_of_v1_alone(november: OldSdk, v2: Api, v1: Api) -> None:
    file_id = upload(v1, "sky.txt")
    made = november.beta.assistants.create(model="scripted", tools=[RETRIEVAL], file_ids=[file_id])
    run = run_on(november, made["id"], "/report")
    (report,) = answers(november, run)
    prompt = [message["content"] for message in json.loads(report)["messages"] if message["role"] == "system"]
    (document,) = [text for text in prompt if SKY.decode() in text]
    assert "sky.txt" in document
    cited = run_on(november, made["id"], "/say It is blue【0†sky.txt】.")
    (message, _) = november.beta.threads.messages.list(cited["thread_id"])["data"]
    (annotation,) = message["content"][0]["text"]["annotations"]
    assert annotation["file_citation"] == {"file_id": file_id, "quote": SKY.decode()}
    assert annotation["text"] == "【0†sky.txt】"

    options = {"assistant_id": made["id"], "thread": {"messages": [user("/report")]}}
    other = until(v2, v2.post("/threads/runs", options).ok, "completed")
    (report,) = answers(november, other)
    assert SKY.decode() not in report


# --- assistants of v2 in v1


def test_an_assistant_of_v2_is_read_and_run_by_v1(november: OldSdk, today: openai.OpenAI, v1: Api) -> None:
    file_id = upload(v1, "sky.txt")
    store = today.vector_stores.create(file_ids=[file_id])
    assert in_store(today, store.id) == [file_id]
    parameters = {"type": "object", "properties": {}, "required": [], "additionalProperties": False}
    strict: Any = {"type": "function", "function": WEATHER["function"] | {"parameters": parameters, "strict": True}}
    tools: Any = [CODE, FILE_SEARCH | {"file_search": {"max_num_results": 3}}, strict]
    made = today.beta.assistants.create(
        model="scripted",
        tools=tools,
        tool_resources={
            "code_interpreter": {"file_ids": [file_id]},
            "file_search": {"vector_store_ids": [store.id]},
        },
        response_format={"type": "text"},
    )
    read = november.beta.assistants.retrieve(made.id)
    shows(read)
    function = {"name": "get_weather", "parameters": parameters, "description": "The weather."}
    assert read["tools"] == [CODE, RETRIEVAL, {"function": function, "type": "function"}]
    assert read["file_ids"] == [], "what v2 gave its tools is no file of v1"
    assert read in november.beta.assistants.list(limit=5)["data"]

    code = json.dumps(f'open("/mnt/data/{file_id}").read()')
    run = run_on(november, made.id, f"{SEARCH}\n/next\n/code {code}")
    shows(run)
    assert (run["status"], run["tools"], run["file_ids"]) == ("completed", read["tools"], [])
    steps = november.beta.threads.runs.steps.list(run["id"], thread_id=run["thread_id"], order="asc")["data"]
    searched, ran = (step["step_details"]["tool_calls"][0] for step in steps[:2])
    assert (searched["type"], searched["retrieval"]) == ("retrieval", {})
    assert ran["code_interpreter"]["outputs"] == [{"logs": repr(SKY.decode()), "type": "logs"}]
    (answer,) = answers(november, run)
    assert SKY.decode() in answer

    # A change by v1 leaves what it does not know.
    assert november.beta.assistants.update(made.id, name="A")["name"] == "A"
    kept = today.beta.assistants.retrieve(made.id)
    assert kept.tool_resources == made.tool_resources
    assert kept.response_format == made.response_format
    assert [tool.to_dict() for tool in kept.tools] == [tool.to_dict() for tool in made.tools]


def test_a_change_of_v2_does_not_break_a_reader_of_v1(november: OldSdk, today: openai.OpenAI, v1: Api) -> None:
    text, other = upload(v1, "sky.txt"), upload(v1, "sea.txt", b"The sea is green.")
    made = november.beta.assistants.create(model="scripted", tools=TOOLS, file_ids=[text])
    store = today.vector_stores.create(file_ids=[other])
    for change in (
        {"code_interpreter": {"file_ids": [other]}, "file_search": {"vector_store_ids": [store.id]}},
        {"code_interpreter": {"file_ids": []}, "file_search": {"vector_store_ids": []}},
    ):
        today.beta.assistants.update(made["id"], tool_resources=change)  # type: ignore[arg-type]
        assert november.beta.assistants.retrieve(made["id"]) == made, "the files of v1 stay as they were"
        assert november.beta.assistants.files.retrieve(text, assistant_id=made["id"])["id"] == text
        run = run_on(november, made["id"], "/say Hello.")
        assert (run["status"], run["file_ids"]) == ("completed", [text])
    today.beta.assistants.update(made["id"], tools=[], temperature=0.5)
    assert november.beta.assistants.retrieve(made["id"]) == made | {"tools": []}
    # v1 gives its tools anew what they may use.
    again = november.beta.assistants.update(made["id"], tools=TOOLS, file_ids=[text, other])
    assert again["file_ids"] == [text, other]
    found = resources(today, made["id"])
    assert found["code_interpreter"] == {"file_ids": [text, other]}
    (new,) = found["file_search"]["vector_store_ids"]
    assert in_store(today, new) == [text, other]


# --- threads, messages and runs


def test_files_of_a_v1_message_are_attachments_of_v2(november: OldSdk, today: openai.OpenAI, v1: Api) -> None:
    text, zipped = upload(v1, "sky.txt"), upload(v1, "a.zip", b"PK")
    thread = november.beta.threads.create()
    made = november.beta.threads.messages.create(thread["id"], role="user", content="Look.", file_ids=[text, zipped])
    read = today.beta.threads.messages.retrieve(made["id"], thread_id=thread["id"])
    attached = {attachment["file_id"]: attachment["tools"] for attachment in read.to_dict()["attachments"]}
    assert attached == {text: [CODE, FILE_SEARCH], zipped: [CODE]}
    shown = today.beta.threads.retrieve(thread["id"]).to_dict()["tool_resources"]
    assert shown["code_interpreter"] == {"file_ids": [text, zipped]}
    (store,) = shown["file_search"]["vector_store_ids"]
    assert in_store(today, store) == [text]
    assert list(november.beta.threads.retrieve(thread["id"])) == ["id", "created_at", "metadata", "object"]
    # Either version's run finds it.
    assistant = november.beta.assistants.create(model="scripted", tools=TOOLS)
    november.beta.threads.messages.create(thread["id"], role="user", content=SEARCH)
    run = wait(november, november.beta.threads.runs.create(thread["id"], assistant_id=assistant["id"]))
    assert SKY.decode() in answers(november, run)[0]
    november.beta.threads.messages.create(thread["id"], role="user", content=SEARCH)
    later = today.beta.threads.runs.create_and_poll(
        thread_id=thread["id"], assistant_id=assistant["id"], poll_interval_ms=POLL
    )
    assert SKY.decode() in answers(november, later.to_dict())[0]


def test_a_message_of_v2_is_read_by_v1(november: OldSdk, today: openai.OpenAI, v1: Api) -> None:
    text, picture = upload(v1, "sky.txt"), v1.upload(PNG, "a.png", purpose="vision").ok["id"]
    thread = today.beta.threads.create()
    made = today.beta.threads.messages.create(
        thread.id,
        role="user",
        content=[
            {"type": "text", "text": "Look at these."},
            {"type": "image_url", "image_url": {"url": "https://example.com/a.png"}},
            {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw0KGgo="}},
            {"type": "image_file", "image_file": {"file_id": picture, "detail": "low"}},
        ],
        attachments=[{"file_id": text, "tools": [{"type": "file_search"}]}],
    )
    read = november.beta.threads.messages.retrieve(made.id, thread_id=thread.id)
    shows(read)
    assert read["file_ids"] == [text]
    first, *others, last = read["content"]
    assert first == {"text": {"annotations": [], "value": "Look at these."}, "type": "text"}
    assert [part["type"] for part in others] == ["text", "text"], "v1 knows no addresses of pictures"
    assert others[0]["text"]["value"] == "https://example.com/a.png"
    assert "base64" not in json.dumps(others), "a picture is not spelt out"
    assert last == {"image_file": {"file_id": picture}, "type": "image_file"}
    assert november.beta.threads.messages.list(thread.id)["data"] == [read]
    (file,) = november.beta.threads.messages.files.list(made.id, thread_id=thread.id)["data"]
    assert (file["id"], file["message_id"]) == (text, made.id)
    assert november.beta.threads.messages.update(made.id, thread_id=thread.id, metadata={"a": "1"}) == read | {
        "metadata": {"a": "1"}
    }
    kept = today.beta.threads.messages.retrieve(made.id, thread_id=thread.id)
    assert (kept.content, kept.attachments) == (made.content, made.attachments)


def test_files_that_code_made_are_files_of_the_message(november: OldSdk, v1: Api) -> None:
    made = november.beta.assistants.create(model="scripted", tools=[CODE])
    code = json.dumps('open("/mnt/data/numbers.csv", "w").write("1,2")')
    run = run_on(november, made["id"], f"/code {code}\n/say Here: [numbers](sandbox:/mnt/data/numbers.csv)")
    assert run["status"] == "completed"
    answer = november.beta.threads.messages.list(run["thread_id"])["data"][0]
    shows(answer)
    (annotation,) = answer["content"][0]["text"]["annotations"]
    assert (annotation["type"], annotation["text"]) == ("file_path", "sandbox:/mnt/data/numbers.csv")
    assert answer["file_ids"] == [annotation["file_path"]["file_id"]]
    listed = november.beta.threads.messages.files.list(answer["id"], thread_id=run["thread_id"])["data"]
    assert [file["id"] for file in listed] == answer["file_ids"]
    assert v1.get(f"/files/{answer['file_ids'][0]}/content").body == b"1,2"


def test_an_incomplete_run_of_v2_is_completed_in_v1(november: OldSdk, april: OldSdk, today: openai.OpenAI) -> None:
    assistant = today.beta.assistants.create(model="scripted")
    thread = today.beta.threads.create(messages=[{"role": "user", "content": "/tokens 40"}])
    run = today.beta.threads.runs.create_and_poll(
        thread_id=thread.id, assistant_id=assistant.id, max_completion_tokens=16, poll_interval_ms=POLL
    )
    assert run.status == "incomplete"
    first = november.beta.threads.runs.retrieve(run.id, thread_id=thread.id)
    shows(first)
    assert (first["status"], first["completed_at"], first["last_error"]) == ("completed", run.completed_at, None)
    last = april.beta.threads.runs.retrieve(run.id, thread_id=thread.id)
    assert (last["status"], last["incomplete_details"]) == ("completed", {"reason": "max_completion_tokens"})
    (message,) = [each for each in april.beta.threads.messages.list(thread.id)["data"] if each["run_id"] == run.id]
    assert message["content"][0]["text"]["value"].startswith("w0 w1 ")
    # And back: what v1 calls completed, v2 calls incomplete.
    theirs = april.beta.threads.runs.create_and_poll(
        thread_id=thread.id, assistant_id=assistant.id, max_completion_tokens=16, poll_interval_ms=POLL
    )
    assert theirs["status"] == "completed"
    assert today.beta.threads.runs.retrieve(theirs["id"], thread_id=thread.id).status == "incomplete"


def test_a_run_is_gone_on_with_in_the_other_version(november: OldSdk, today: openai.OpenAI) -> None:
    made = november.beta.assistants.create(model="scripted", tools=[WEATHER])
    words = '/call get_weather {"city": "Paris"}'
    asked = run_on(november, made["id"], words)
    assert asked["status"] == "requires_action"
    run = today.beta.threads.runs.retrieve(asked["id"], thread_id=asked["thread_id"])
    assert run.required_action is not None
    (call,) = run.required_action.submit_tool_outputs.tool_calls
    assert asked["required_action"]["submit_tool_outputs"]["tool_calls"] == [
        {"id": call.id, "function": {"arguments": call.function.arguments, "name": "get_weather"}, "type": "function"}
    ]
    done = today.beta.threads.runs.submit_tool_outputs_and_poll(
        run_id=run.id,
        thread_id=run.thread_id,
        tool_outputs=[{"tool_call_id": call.id, "output": "warm"}],
        poll_interval_ms=POLL,
    )
    assert done.status == "completed"
    assert answers(november, asked) == ["RESULT: warm"]

    thread = today.beta.threads.create(messages=[{"role": "user", "content": words}])
    waiting = today.beta.threads.runs.create_and_poll(
        thread_id=thread.id, assistant_id=made["id"], poll_interval_ms=POLL
    )
    assert waiting.status == "requires_action"
    assert waiting.required_action is not None
    (call,) = waiting.required_action.submit_tool_outputs.tool_calls
    submitted = november.beta.threads.runs.submit_tool_outputs(
        waiting.id, thread_id=thread.id, tool_outputs=[{"tool_call_id": call.id, "output": "cold"}]
    )
    shows(submitted)
    assert submitted["status"] == "queued"
    assert wait(november, submitted)["status"] == "completed"
    assert answers(november, submitted) == ["RESULT: cold"]


# --- taking things away


@pytest.mark.parametrize("version", ["november", "today"])
def test_a_file_that_either_version_deletes_is_gone(
    november: OldSdk, today: openai.OpenAI, v1: Api, version: str
) -> None:
    gone, kept = upload(v1, "sky.txt"), upload(v1, "sea.txt", b"The sea is green.")
    made = november.beta.assistants.create(model="scripted", tools=TOOLS, file_ids=[gone, kept])
    before = run_on(november, made["id"], "/say Hello.", file_ids=[gone])
    assert before["file_ids"] == [gone, kept]
    if version == "november":
        assert november.files.delete(gone)["deleted"] is True
    else:
        assert today.files.delete(gone).deleted
    assert november.beta.assistants.retrieve(made["id"])["file_ids"] == [kept]
    assert refusal(november.beta.assistants.files.retrieve, gone, assistant_id=made["id"]).status == 404
    found = resources(today, made["id"])
    assert found["code_interpreter"] == {"file_ids": [kept]}
    (store,) = found["file_search"]["vector_store_ids"]
    assert in_store(today, store) == [kept]
    shows(november.beta.threads.runs.retrieve(before["id"], thread_id=before["thread_id"]))
    for message in november.beta.threads.messages.list(before["thread_id"])["data"]:
        shows(message)
    run = run_on(november, made["id"], SEARCH)
    assert (run["status"], run["file_ids"]) == ("completed", [kept])
    assert SKY.decode() not in answers(november, run)[0]


def test_a_vector_store_that_v2_deletes_is_made_again(november: OldSdk, today: openai.OpenAI, v1: Api) -> None:
    file_id = upload(v1, "sky.txt")
    made = november.beta.assistants.create(model="scripted", tools=[RETRIEVAL], file_ids=[file_id])
    (store,) = resources(today, made["id"])["file_search"]["vector_store_ids"]
    assert today.vector_stores.delete(store).deleted
    assert november.beta.assistants.retrieve(made["id"]) == made
    run = run_on(november, made["id"], SEARCH)
    assert run["status"] == "completed"
    november.beta.assistants.update(made["id"], file_ids=[file_id])
    (new,) = resources(today, made["id"])["file_search"]["vector_store_ids"]
    assert new != store
    run = run_on(november, made["id"], SEARCH)
    assert SKY.decode() in answers(november, run)[0]


@pytest.mark.parametrize("version", ["november", "today"])
def test_an_assistant_that_either_version_deletes_is_gone(
    november: OldSdk, today: openai.OpenAI, v1: Api, version: str
) -> None:
    file_id = upload(v1, "sky.txt")
    made = november.beta.assistants.create(model="scripted", tools=TOOLS, file_ids=[file_id])
    run = run_on(november, made["id"], "/say Hello.")
    if version == "november":
        gone = november.beta.assistants.delete(made["id"])
        assert gone == {"id": made["id"], "deleted": True, "object": "assistant.deleted"}
    else:
        assert today.beta.assistants.delete(made["id"]).deleted
    with pytest.raises(openai.NotFoundError):
        today.beta.assistants.retrieve(made["id"])
    for refused in (
        refusal(november.beta.assistants.retrieve, made["id"]),
        refusal(november.beta.assistants.files.list, made["id"]),
        refusal(november.beta.threads.runs.create, run["thread_id"], assistant_id=made["id"]),
    ):
        assert (refused.status, refused.error["message"]) == (404, f"No assistant found with id '{made['id']}'.")
    # Its runs and its files are still there.
    assert november.beta.threads.runs.retrieve(run["id"], thread_id=run["thread_id"]) == run
    assert november.files.retrieve(file_id)["id"] == file_id
    assert run["file_ids"] == [file_id]


# --- what one version has and the other has not


def test_each_version_has_its_own_words(v1: Api, v2: Api) -> None:
    assistant = v1.post("/assistants", {"model": "scripted"}).ok["id"]
    thread = v1.post("/threads").ok["id"]
    message = v1.post(f"/threads/{thread}/messages", user("hello")).ok["id"]
    refused = [
        v1.post("/assistants", {"model": "scripted", "tools": [FILE_SEARCH]}),
        v1.post("/assistants", {"model": "scripted", "tool_resources": {}}),
        v1.post(f"/threads/{thread}/messages", user("hello") | {"attachments": []}),
        v1.post(f"/threads/{thread}/messages", {"role": "user", "content": [{"type": "text", "text": "hello"}]}),
        v1.delete(f"/threads/{thread}/messages/{message}"),
        v2.post("/assistants", {"model": "scripted", "tools": [RETRIEVAL]}),
        v2.post("/assistants", {"model": "scripted", "file_ids": []}),
        v2.post(f"/threads/{thread}/messages", user("hello") | {"file_ids": []}),
        v2.get(f"/assistants/{assistant}/files"),
        v2.post(f"/assistants/{assistant}/files", {"file_id": NO_FILE}),
        v2.get(f"/threads/{thread}/messages/{message}/files"),
    ]
    for answer in refused:
        assert 400 <= answer.status < 500, answer.body
        assert answer.json["error"]["type"] == "invalid_request_error"
    assert refused[0].json["error"]["message"] == (
        "Invalid value: 'file_search'. Supported values are: 'code_interpreter', 'retrieval', and 'function'."
    )
    assert refused[1].json["error"]["message"] == "Unknown parameter: 'tool_resources'."
    assert refused[2].json["error"]["message"] == "Unknown parameter: 'attachments'."
    assert len(v1.get(f"/threads/{thread}/messages").ok["data"]) == 1


def test_v1_runs_a_thread_without_a_question(november: OldSdk, v2: Api) -> None:
    assistant = november.beta.assistants.create(model="scripted")["id"]
    thread = november.beta.threads.create()["id"]
    assert v2.post(f"/threads/{thread}/runs", {"assistant_id": assistant}).json["error"]["code"] == "invalid_thread"
    run = wait(november, november.beta.threads.runs.create(thread, assistant_id=assistant))
    assert run["status"] == "completed"
    assert len(answers(november, run)) == 1
    both = wait(november, november.beta.threads.create_and_run(assistant_id=assistant))
    assert both["status"] == "completed"


def test_a_header_says_which_version_it_is(v1: Api, v2: Api) -> None:
    id = v1.post("/assistants", {"model": "scripted"}).ok["id"]
    assert "file_ids" in v1.get(f"/assistants/{id}").ok
    assert "tool_resources" in v2.get(f"/assistants/{id}").ok
    for beta in (None, "", "assistants=v3"):
        answer = v1.get(f"/assistants/{id}", headers={"OpenAI-Beta": beta})
        assert (answer.status, answer.json["error"]["code"]) == (400, "invalid_beta")
