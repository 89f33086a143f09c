"""Streams of runs through the event handlers of openai 1.20.0, in an environment of its own.

    python stream_walk.py BASE_URL < ASKED > SAW

ASKED is JSON: what is asked, by the name of the walk. SAW is JSON: what each walk saw of its streams, by its name.
Nothing is judged here.
"""

from __future__ import annotations

import asyncio
import json
import sys
from typing import Any

import openai
from openai import AssistantEventHandler, AsyncAssistantEventHandler

FUNCTION: Any = {"type": "function", "function": {"name": "get_weather", "parameters": {"type": "object"}}}
CODE: Any = {"type": "code_interpreter"}
RETRIEVAL: Any = {"type": "retrieval"}


class Diary(AssistantEventHandler):
    """Writes down which callbacks were called, and with what they ended."""

    def __init__(self) -> None:
        super().__init__()
        self.called: list[str] = []
        self.events: list[str] = []

    def on_event(self, event: Any) -> None:
        self.events.append(event.event)


class AsyncDiary(AsyncAssistantEventHandler):
    """The same for the asynchronous client."""

    def __init__(self) -> None:
        super().__init__()
        self.called: list[str] = []
        self.events: list[str] = []

    async def on_event(self, event: Any) -> None:
        self.events.append(event.event)


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


def shown(printed: Any) -> Any:
    return json.loads(printed.model_dump_json())


def read(manager: Any) -> dict[str, Any]:
    """Go through a stream to its end, and return what its handler has then."""
    with manager as handler:
        text = "".join(handler.text_deltas)
        handler.until_done()
        waits = shown(handler.get_final_run())["status"] == "requires_action"
        return {
            "text": text,
            "run": shown(handler.get_final_run()),
            "messages": [] if waits else [shown(message) for message in handler.get_final_messages()],
            "steps": [shown(step) for step in handler.get_final_run_steps()],
            "called": handler.called,
            "events": handler.events,
        }


def stream(client: openai.OpenAI, words: str, tools: Any = (), **options: Any) -> dict[str, Any]:
    """Stream a run on a new thread with a handler."""
    assistant = client.beta.assistants.create(model="scripted", tools=list(tools))
    thread = client.beta.threads.create(messages=[{"role": "user", "content": words}])
    manager = client.beta.threads.runs.stream(
        thread_id=thread.id, assistant_id=assistant.id, event_handler=Diary(), **options
    )
    return read(manager)


def functions(client: openai.OpenAI, words: str) -> dict[str, Any]:
    """Two streams, with `create_and_run_stream` and `submit_tool_outputs_stream`."""
    threads = client.beta.threads
    assistant = client.beta.assistants.create(model="scripted", tools=[FUNCTION])
    thread: Any = {"messages": [{"role": "user", "content": words}]}
    first = read(threads.create_and_run_stream(assistant_id=assistant.id, thread=thread, event_handler=Diary()))
    run = first["run"]
    calls = run["required_action"]["submit_tool_outputs"]["tool_calls"]
    outputs: Any = [{"tool_call_id": call["id"], "output": f"warm {at}"} for at, call in enumerate(calls)]
    manager = threads.runs.submit_tool_outputs_stream(
        run_id=run["id"], thread_id=run["thread_id"], tool_outputs=outputs, event_handler=Diary()
    )
    return {"first": first, "second": read(manager)}


def events(client: openai.OpenAI, words: str) -> list[Any]:
    """A stream without a handler: the events as this SDK prints them."""
    assistant = client.beta.assistants.create(model="scripted")
    thread = client.beta.threads.create(messages=[{"role": "user", "content": words}])
    return [
        shown(event) for event in client.beta.threads.runs.create(thread.id, assistant_id=assistant.id, stream=True)
    ]


async def asynchronously(url: str, words: str) -> dict[str, Any]:
    async with openai.AsyncOpenAI(base_url=url, api_key="sk-any", max_retries=0) as client:
        assistant = await client.beta.assistants.create(model="scripted")
        thread = await client.beta.threads.create(messages=[{"role": "user", "content": words}])
        manager = client.beta.threads.runs.stream(
            thread_id=thread.id, assistant_id=assistant.id, event_handler=AsyncDiary()
        )
        async with manager as handler:
            await handler.until_done()
            messages = [shown(message) for message in await handler.get_final_messages()]
            run = shown(await handler.get_final_run())
            return {"messages": messages, "run": run, "called": handler.called, "events": handler.events}


def main() -> None:
    url, asked = sys.argv[1], json.load(sys.stdin)
    client = openai.OpenAI(base_url=url, api_key="sk-any", max_retries=0)
    file = client.files.create(file=("sky.txt", b"The sky is blue."), purpose="assistants")
    saw = {
        "text": stream(client, asked["text"]),
        "limit": stream(client, asked["limit"], extra_body={"max_completion_tokens": 16}),
        "code": stream(client, asked["code"], [CODE]),
        "picture": stream(client, asked["picture"], [CODE]),
        "functions": functions(client, asked["functions"]),
        "events": events(client, asked["text"]),
        "asynchronously": asyncio.run(asynchronously(url, asked["text"])),
        "file": file.id,
    }
    reader = client.beta.assistants.create(model="scripted", tools=[RETRIEVAL], file_ids=[file.id])
    thread = client.beta.threads.create(messages=[{"role": "user", "content": asked["retrieval"]}])
    saw["retrieval"] = read(
        client.beta.threads.runs.stream(thread_id=thread.id, assistant_id=reader.id, event_handler=Diary())
    )
    json.dump(saw, sys.stdout)


if __name__ == "__main__":
    main()
