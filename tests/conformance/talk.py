"""What the walks have in common: tools, scripts for the model, and how to read what it was sent."""

from __future__ import annotations

import json
from typing import Any

import openai
from openai.types.beta import Assistant, Thread
from openai.types.beta.threads import Message, Run

# Polls of helpers; a run of the scripted model takes some 10 ms.
POLL = 20

WEATHER: Any = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "The weather in a city.",
        "parameters": {
            "type": "object",
            "properties": {"city": {"type": "string"}, "unit": {"type": "string", "enum": ["c", "f"]}},
            "required": ["city"],
        },
    },
}
TIME: Any = {"type": "function", "function": {"name": "get_time"}}
PARIS = '/call get_weather {"city": "Paris", "unit": "c"}'
OSLO = '/call get_weather {"city": "Oslo"}'
NOW = "/call get_time {}"


def script(*lines: str) -> str:
    """Put directions for the scripted model into one message."""
    return "\n".join(lines)


def text_of(message: Message) -> str:
    """The text of a message that has just one part."""
    (part,) = message.content
    assert part.type == "text"
    return part.text.value


class Walk:
    """A client with an assistant, for tests that are about something else."""

    def __init__(self, client: openai.OpenAI, **assistant: Any) -> None:
        self.client = client
        self.assistant: Assistant = client.beta.assistants.create(**({"model": "scripted"} | assistant))

    def thread(self, *messages: str, **options: Any) -> Thread:
        """Make a thread of user messages, of which its creation takes 32."""
        thread = self.client.beta.threads.create(
            messages=[{"role": "user", "content": message} for message in messages[:32]], **options
        )
        for message in messages[32:]:
            self.say(thread, message)
        return thread

    def say(self, thread: Thread, *lines: str) -> Message:
        """Add a user message."""
        return self.client.beta.threads.messages.create(thread.id, role="user", content=script(*lines))

    def run(self, thread: Thread, **options: Any) -> Run:
        """Run the assistant until the run rests."""
        return self.client.beta.threads.runs.create_and_poll(
            thread_id=thread.id, assistant_id=self.assistant.id, poll_interval_ms=POLL, **options
        )

    def answer(self, run: Run, status: str = "completed") -> str:
        """The text of the one message that a run has written."""
        assert run.status == status, run.last_error
        (message,) = self.client.beta.threads.messages.list(run.thread_id, run_id=run.id).data
        return text_of(message)

    def report(self, run: Run) -> dict[str, Any]:
        """The request that the model received last, of a run whose script ends with /report."""
        report: dict[str, Any] = json.loads(self.answer(run))
        return report

    def submit(self, run: Run, *outputs: str, **options: Any) -> Run:
        """Answer a run's tool calls in their order, and poll on."""
        return self.client.beta.threads.runs.submit_tool_outputs_and_poll(
            run_id=run.id,
            thread_id=run.thread_id,
            tool_outputs=outputs_for(run, *outputs),
            poll_interval_ms=POLL,
            **options,
        )

    def steps(self, run: Run) -> Any:
        """The steps of a run, oldest first."""
        return self.client.beta.threads.runs.steps.list(run.id, thread_id=run.thread_id, order="asc").data


def outputs_for(run: Run, *outputs: str) -> Any:
    """Pair the calls that a run waits for with outputs."""
    assert run.status == "requires_action", run.last_error
    assert run.required_action is not None
    calls = run.required_action.submit_tool_outputs.tool_calls
    return [{"tool_call_id": call.id, "output": output} for call, output in zip(calls, outputs, strict=True)]
