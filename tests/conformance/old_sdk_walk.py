"""A walk through every endpoint with the helpers of openai 1.40.0, which runs in an environment of its own.

    python old_sdk_walk.py BASE_URL

Prints the name of every part that it has walked. The first part that fails ends
it with a traceback.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Callable
from typing import Any

import openai
from openai import AssistantEventHandler, AsyncAssistantEventHandler

POLL = 20
FUNCTION: Any = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    },
}
CALLS = '/call get_weather {"city": "Paris"}\n/call get_weather {"city": "Oslo"}'
TEXT = [
    "run_step_created",
    "message_created",
    *("text_created", "text_delta", "message_delta"),
    *("text_delta", "message_delta"),
    "text_done",
    "message_done",
    "run_step_done",
    "end",
]


class Diary(AssistantEventHandler):
    """Writes down which callbacks were called."""

    def __init__(self) -> None:
        super().__init__()
        self.called: list[str] = []


class AsyncDiary(AsyncAssistantEventHandler):
    """The same for the asynchronous client."""

    def __init__(self) -> None:
        super().__init__()
        self.called: list[str] = []


def _note(name: str) -> Any:
    def note(self: Diary, *_: Any) -> None:
        self.called.append(name)

    return note


def _note_async(name: str) -> Any:
    async def note(self: AsyncDiary, *_: Any) -> None:
        self.called.append(name)

    return note


for _name in vars(AssistantEventHandler):
    if _name.startswith("on_") and _name != "on_event":
        setattr(Diary, _name, _note(_name.removeprefix("on_")))
        setattr(AsyncDiary, _name, _note_async(_name.removeprefix("on_")))


def walk_assistants(client: openai.OpenAI) -> None:
    assistants = client.beta.assistants
    made = assistants.create(model="scripted", name="A", tools=[FUNCTION, {"type": "file_search"}], temperature=0)
    assert (made.name, made.temperature, made.metadata) == ("A", 0, {})
    assert assistants.retrieve(made.id) == made
    assert assistants.update(made.id, name="B", metadata={"a": "1"}).metadata == {"a": "1"}
    more = [assistants.create(model="scripted").id for _ in range(6)]
    # This SDK ignores has_more and asks on until a page is empty.
    listed = [assistant.id for assistant in assistants.list(order="asc", after=made.id, limit=2)]
    assert listed == more, listed
    newest = assistants.list(limit=3)
    assert [assistant.id for assistant in newest.data] == more[::-1][:3]
    for id in [made.id, *more]:
        assert assistants.delete(id).deleted


def walk_files(client: openai.OpenAI) -> None:
    made = client.files.create(file=("cat.png", b"\x89PNG"), purpose="vision")
    assert (made.filename, made.bytes, made.purpose, made.status) == ("cat.png", 4, "vision", "processed")
    assert client.files.retrieve(made.id) == made
    assert client.files.wait_for_processing(made.id) == made
    assert client.files.content(made.id).read() == b"\x89PNG"
    assert made.id in [file.id for file in client.files.list(purpose="vision")]
    assert client.files.delete(made.id).deleted
    assert isinstance(_refusal(lambda: client.files.retrieve(made.id)), openai.NotFoundError)
    upload = client.uploads.create(filename="a.txt", purpose="assistants", bytes=6, mime_type="text/plain")
    parts = [client.uploads.parts.create(upload.id, data=data).id for data in (b"abc", b"def")]
    done = client.uploads.complete(upload.id, part_ids=parts)
    assert (done.status, done.file and done.file.bytes) == ("completed", 6)
    upload = client.uploads.create(filename="a.txt", purpose="assistants", bytes=6, mime_type="text/plain")
    assert client.uploads.cancel(upload.id).status == "cancelled"


def walk_vector_stores(client: openai.OpenAI) -> None:
    stores = client.beta.vector_stores
    ids = [_uploaded(client, f"{name}.txt", f"This is about {name}.") for name in ("cats", "bread")]
    made = stores.create(name="A", file_ids=ids[:1], metadata={"a": "1"})
    assert (made.name, made.file_counts.total, made.metadata) == ("A", 1, {"a": "1"})
    assert stores.update(made.id, name="B").name == "B"
    assert made.id in [store.id for store in stores.list(limit=5).data]
    second = stores.files.create_and_poll(ids[1], vector_store_id=made.id, poll_interval_ms=POLL)
    assert (second.status, second.id) == ("completed", ids[1]), second
    third = stores.files.upload_and_poll(vector_store_id=made.id, file=("sea.md", b"The sea."), poll_interval_ms=POLL)
    assert third.status == "completed", third
    # This SDK asks on until a page is empty.
    listed = [file.id for file in stores.files.list(made.id, order="asc", limit=1)]
    assert listed == [*ids, third.id], listed
    assert stores.files.retrieve(third.id, vector_store_id=made.id) == third
    assert stores.files.delete(third.id, vector_store_id=made.id).deleted
    batches = stores.file_batches
    batch = batches.create_and_poll(made.id, file_ids=ids, poll_interval_ms=POLL)
    assert (batch.status, batch.file_counts.completed) == ("completed", 2), batch
    assert batch.to_dict()["object"] == "vector_store.file_batch"
    assert [f.id for f in batches.list_files(batch.id, vector_store_id=made.id, order="asc", limit=1)] == ids
    assert batches.cancel(batch.id, vector_store_id=made.id) == batch
    files = [("a.txt", b"One."), ("b.txt", b"Two.")]
    batch = batches.upload_and_poll(made.id, files=files, file_ids=ids[:1], poll_interval_ms=POLL)
    assert (batch.status, batch.file_counts.total) == ("completed", 3), batch
    assert batches.retrieve(batch.id, vector_store_id=made.id) == batch
    assert stores.retrieve(made.id).status == "completed"
    assert stores.delete(made.id).deleted


def walk_file_search(client: openai.OpenAI) -> None:
    assistant = client.beta.assistants.create(model="scripted", tools=[{"type": "file_search"}])
    file_id = _uploaded(client, "sky.txt", "The sky is blue.")
    asked: Any = {
        "role": "user",
        "content": '/call file_search {"query": "sky"}\n/say Blue【0:0†sky.txt】.',
        "attachments": [{"file_id": file_id, "tools": [{"type": "file_search"}]}],
    }
    diary = Diary()
    thread = client.beta.threads.create(messages=[asked])
    with client.beta.threads.runs.stream(thread_id=thread.id, assistant_id=assistant.id, event_handler=diary) as stream:
        (message,) = stream.get_final_messages()
        run = stream.get_final_run()
    assert run.status == "completed", run.last_error
    text = message.content[0].text
    assert text.value == "Blue【0:0†sky.txt】."
    (annotation,) = text.annotations
    assert (annotation.start_index, annotation.end_index, annotation.file_citation.file_id) == (4, 17, file_id)
    (listed,) = client.beta.threads.messages.list(thread.id, run_id=run.id).data
    assert listed.content[0].text.annotations[0].text == annotation.text
    named = [name for name in diary.called if name.startswith("tool_call")]
    assert (named[0], named[-1]) == ("tool_call_created", "tool_call_done"), named


def walk_threads_and_messages(client: openai.OpenAI) -> None:
    threads = client.beta.threads
    file_id = _uploaded(client, "a.csv", "a,b")
    thread = threads.create(messages=[{"role": "user", "content": "one"}], metadata={"a": "1"})
    assert threads.retrieve(thread.id).metadata == {"a": "1"}
    assert threads.update(thread.id, metadata={"b": "2"}).metadata == {"b": "2"}
    made = threads.messages.create(
        thread.id,
        role="user",
        content=[
            {"type": "text", "text": "two"},
            {"type": "image_url", "image_url": {"url": "https://example.com/a.png"}},
        ],
        attachments=[{"file_id": file_id, "tools": [{"type": "code_interpreter"}]}],
    )
    assert [part.type for part in made.content] == ["text", "image_url"]
    assert threads.messages.retrieve(made.id, thread_id=thread.id) == made
    changed = threads.messages.update(made.id, thread_id=thread.id, metadata={"c": "3"})
    assert changed.metadata == {"c": "3"}
    for number in range(9):
        threads.messages.create(thread.id, role="assistant", content=str(number))
    listed = [message.content[0].text.value for message in threads.messages.list(thread.id, order="asc", limit=4)]
    assert listed == ["one", "two", *map(str, range(9))], listed
    assert threads.messages.delete(made.id, thread_id=thread.id).deleted
    assert len(list(threads.messages.list(thread.id, limit=4))) == 10
    assert threads.delete(thread.id).deleted


def walk_runs(client: openai.OpenAI) -> None:
    runs = client.beta.threads.runs
    assistant = client.beta.assistants.create(model="scripted", tools=[FUNCTION])
    thread = client.beta.threads.create(messages=[{"role": "user", "content": f"/preamble Hm.\n{CALLS}"}])
    waiting = runs.create_and_poll(thread_id=thread.id, assistant_id=assistant.id, poll_interval_ms=POLL)
    assert waiting.status == "requires_action", waiting
    done = runs.submit_tool_outputs_and_poll(
        run_id=waiting.id, thread_id=thread.id, tool_outputs=_outputs(waiting), poll_interval_ms=POLL
    )
    assert done.status == "completed", done
    assert done.usage is not None
    assert done.usage.total_tokens > 0
    said = client.beta.threads.messages.list(thread.id, run_id=done.id, order="asc").data
    assert [message.content[0].text.value for message in said] == ["Hm.", "RESULT: 20 | 21"]
    steps = list(runs.steps.list(done.id, thread_id=thread.id, limit=1, order="asc"))
    assert [step.type for step in steps] == ["message_creation", "tool_calls", "message_creation"]
    assert runs.steps.retrieve(steps[0].id, thread_id=thread.id, run_id=done.id) == steps[0]
    assert runs.update(done.id, thread_id=thread.id, metadata={"a": "1"}).metadata == {"a": "1"}
    assert [run.id for run in runs.list(thread.id)] == [done.id]

    other = client.beta.threads.create_and_run(
        assistant_id=assistant.id, thread={"messages": [{"role": "user", "content": CALLS}]}
    )
    other = runs.poll(other.id, thread_id=other.thread_id, poll_interval_ms=POLL)
    assert runs.cancel(other.id, thread_id=other.thread_id).status == "cancelling"
    assert runs.poll(other.id, thread_id=other.thread_id, poll_interval_ms=POLL).status == "cancelled"

    cut = client.beta.threads.create_and_run_poll(
        assistant_id=assistant.id,
        thread={"messages": [{"role": "user", "content": "/tokens 40"}]},
        max_completion_tokens=16,
        poll_interval_ms=POLL,
    )
    assert cut.status == "incomplete"
    assert cut.incomplete_details is not None
    assert cut.incomplete_details.reason == "max_completion_tokens"


def walk_streams(client: openai.OpenAI) -> None:
    runs = client.beta.threads.runs
    assistant = client.beta.assistants.create(model="scripted", tools=[FUNCTION])
    thread = client.beta.threads.create(messages=[{"role": "user", "content": f"{CALLS}\n/say one two"}])
    first, second, third = Diary(), Diary(), Diary()
    with runs.stream(thread_id=thread.id, assistant_id=assistant.id, event_handler=first) as stream:
        waiting = stream.get_final_run()
    named = [name for name in first.called if name in ("tool_call_created", "tool_call_done", "end")]
    assert named == ["tool_call_created", "tool_call_done"] * 2 + ["end"], first.called
    assert first.called.count("tool_call_delta") > 2
    with runs.submit_tool_outputs_stream(
        run_id=waiting.id, thread_id=thread.id, tool_outputs=_outputs(waiting), event_handler=second
    ) as stream:
        stream.until_done()
    assert second.called == ["run_step_done", *TEXT], second.called
    with client.beta.threads.create_and_run_stream(
        assistant_id=assistant.id,
        thread={"messages": [{"role": "user", "content": "/say one two"}]},
        event_handler=third,
    ) as stream:
        assert "".join(stream.text_deltas) == "one two"
        (message,) = stream.get_final_messages()
    assert message.content[0].text.value == "one two"
    assert third.called == TEXT, third.called
    events = [event.event for event in runs.create(thread.id, assistant_id=assistant.id, stream=True)]
    assert (events[0], events[-1]) == ("thread.run.created", "thread.run.completed")


def walk_models(client: openai.OpenAI) -> None:
    assert "scripted" in [model.id for model in client.models.list()]
    assert client.models.retrieve("scripted").id == "scripted"
    question: Any = [{"role": "user", "content": "/say a b"}]
    done = client.chat.completions.create(model="any", messages=question)
    assert done.choices[0].message.content == "a b"
    chunks = client.chat.completions.create(model="any", messages=question, stream=True)
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices) == "a b"
    assert len(client.embeddings.create(model="any", input="x", dimensions=8).data[0].embedding) == 8


def walk_errors(client: openai.OpenAI) -> None:
    missing = _refusal(lambda: client.beta.threads.retrieve("thread_000000000000000000000000"))
    assert isinstance(missing, openai.NotFoundError)
    assert "No thread found with id 'thread_000000000000000000000000'." in missing.message
    wrong = _refusal(lambda: client.beta.assistants.create(model="m", temperature=3))
    assert isinstance(wrong, openai.BadRequestError)
    assert (wrong.param, wrong.type) == ("temperature", "invalid_request_error"), wrong


async def walk_asynchronously(url: str) -> None:
    async with openai.AsyncOpenAI(base_url=url, api_key="sk-x", max_retries=0) as client:
        assistant = await client.beta.assistants.create(model="scripted", tools=[FUNCTION])
        thread = await client.beta.threads.create(messages=[{"role": "user", "content": f"{CALLS}\n/say one two"}])
        runs = client.beta.threads.runs
        waiting = await runs.create_and_poll(thread_id=thread.id, assistant_id=assistant.id, poll_interval_ms=POLL)
        diary = AsyncDiary()
        async with runs.submit_tool_outputs_stream(
            run_id=waiting.id, thread_id=thread.id, tool_outputs=_outputs(waiting), event_handler=diary
        ) as stream:
            await stream.until_done()
        assert diary.called == ["run_step_done", *TEXT], diary.called
        listed = [message.role async for message in client.beta.threads.messages.list(thread.id, limit=1)]
        assert listed == ["assistant", "user"]


def _uploaded(client: openai.OpenAI, name: str, text: str) -> str:
    return client.files.create(file=(name, text.encode()), purpose="assistants").id


def _refusal(call: Callable[[], object]) -> openai.APIStatusError:
    try:
        call()
    except openai.APIStatusError as refusal:
        return refusal
    raise AssertionError("it was not refused")


def _outputs(run: Any) -> Any:
    calls = run.required_action.submit_tool_outputs.tool_calls
    assert [json.loads(call.function.arguments)["city"] for call in calls] == ["Paris", "Oslo"]
    return [{"tool_call_id": call.id, "output": str(20 + number)} for number, call in enumerate(calls)]


WALKS = (
    walk_assistants,
    walk_files,
    walk_vector_stores,
    walk_threads_and_messages,
    walk_runs,
    walk_streams,
    walk_file_search,
    walk_models,
    walk_errors,
)


def main() -> None:
    url = sys.argv[1]
    print(f"openai {openai.__version__}")
    with openai.OpenAI(base_url=url, api_key="sk-x", max_retries=0) as client:
        for walk in WALKS:
            walk(client)
            print(walk.__name__)
    asyncio.run(walk_asynchronously(url))
    print(walk_asynchronously.__name__)


if __name__ == "__main__":
    main()
