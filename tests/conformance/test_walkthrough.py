"""Sections 1 to 6 of the walkthrough that assistd exists for, box by box, with today's SDK.

The same walk twice: with the scripted model, and with the real local one and nothing configured. What the model says
is its own; that the conversation reached it is checked by the tokens it was sent.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from typing import Any

import openai
import pytest
from openai.types.beta import Assistant, Thread
from openai.types.beta.threads import Message, Run

from tests.conformance.contract import Contract
from tests.conformance.wiretap import Wiretap
from tests.llm.test_local import cache
from tests.support.paper import LEFT, RIGHT, paper
from tests.support.server import serve

ID = re.compile("[0-9A-Za-z]{24}")
MODEL = "gpt-4-1106-preview"
INSTRUCTIONS = "You are a personal math tutor. Answer questions briefly, in a sentence or less."
# What each object shows, no more and no less: the walkthrough's lists with what v2 and its later years added.
ASSISTANT_KEYS = {
    *("id", "object", "created_at", "name", "description", "model", "instructions", "tools", "metadata"),
    *("tool_resources", "temperature", "top_p", "response_format", "reasoning_effort"),
}
THREAD_KEYS = {"id", "object", "created_at", "metadata", "tool_resources"}
MESSAGE_KEYS = {
    *("id", "object", "created_at", "thread_id", "role", "content", "assistant_id", "run_id", "metadata"),
    *("attachments", "status", "incomplete_details", "completed_at", "incomplete_at"),
}
RUN_KEYS = {
    *("id", "object", "created_at", "assistant_id", "thread_id", "status", "started_at", "expires_at"),
    *("cancelled_at", "failed_at", "completed_at", "required_action", "last_error", "model", "instructions"),
    *("tools", "metadata", "incomplete_details", "max_completion_tokens", "max_prompt_tokens", "usage"),
    *("parallel_tool_calls", "response_format", "tool_choice", "truncation_strategy", "temperature", "top_p"),
    *("tool_resources", "reasoning_effort"),
}
QUESTION = "I need to solve the equation `3x + 11 = 14`. Can you help me?"


# One process loads the local model, not every worker of pytest-xdist.
LOCAL = pytest.param("local", marks=[pytest.mark.long, pytest.mark.xdist_group("local-model")])


@pytest.fixture(scope="module", params=["scripted", LOCAL])
def tap(request: pytest.FixtureRequest, postgres: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Wiretap]:
    """A server with the scripted model, and one with nothing configured at all."""
    folder = tmp_path_factory.mktemp(request.param)
    settings = {}
    if request.param == "local":
        settings = {"model_base_url": ""}
        # Fetched once for all test runs.
        models = cache() / "models"
        models.mkdir(parents=True, exist_ok=True)
        (folder / "data").mkdir()
        (folder / "data" / "models").symlink_to(models.absolute())
    with serve(folder, **settings) as server, Wiretap(server.url) as tapped:
        yield tapped


@pytest.fixture(scope="module")
def client(tap: Wiretap) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=tap.url, api_key="any") as opened:
        yield opened


@pytest.fixture(autouse=True)
def judged(tap: Wiretap, contract: Contract) -> Iterator[None]:
    """The contract holds whatever the model says, and it says much that no script thinks of."""
    yield
    assert [fault for exchange in tap.take() for fault in contract.faults(exchange)] == []


@pytest.fixture(scope="module")
def tutor(client: openai.OpenAI) -> Assistant:
    return client.beta.assistants.create(name="Math Tutor", instructions=INSTRUCTIONS, model=MODEL)


class Tutoring:
    """The helpers of the walkthrough."""

    def __init__(self, client: openai.OpenAI, tutor: Assistant, ends: set[str]) -> None:
        self.client, self.tutor = client, tutor
        self.ends = ends  # how a run may end
        self.threads = client.beta.threads

    def submit_message(self, thread: Thread, text: str) -> Run:
        self.threads.messages.create(thread_id=thread.id, role="user", content=text)
        return self.threads.runs.create(thread_id=thread.id, assistant_id=self.tutor.id)

    def create_thread_and_run(self, text: str) -> tuple[Thread, Run]:
        thread = self.threads.create()
        return thread, self.submit_message(thread, text)

    def get_response(self, thread: Thread) -> list[Message]:
        return list(self.threads.messages.list(thread_id=thread.id, order="asc"))

    def wait_on_run(self, run: Run, thread: Thread) -> Run:
        deadline = time.monotonic() + 300
        while run.status in ("queued", "in_progress"):
            assert time.monotonic() < deadline, run
            run = self.threads.runs.retrieve(thread_id=thread.id, run_id=run.id)
            time.sleep(0.05)
        return run


@pytest.fixture
def tutoring(client: openai.OpenAI, tutor: Assistant, request: pytest.FixtureRequest) -> Tutoring:
    # The small local model may talk until its context is full.
    return Tutoring(client, tutor, {"completed", "incomplete"} if "local" in request.node.name else {"completed"})


def text_of(message: Message) -> str:
    part = message.content[0]
    assert part.type == "text"
    return part.text.value


def test_assistant_thread_and_message(tutoring: Tutoring) -> None:
    tutor = tutoring.tutor
    assert ID.fullmatch(tutor.id.removeprefix("asst_"))
    assert set(tutor.to_dict()) == ASSISTANT_KEYS
    assert (tutor.name, tutor.instructions, tutor.model) == ("Math Tutor", INSTRUCTIONS, MODEL)
    assert (tutor.description, tutor.metadata, tutor.object, tutor.tools) == (None, {}, "assistant", [])
    assert (tutor.response_format, tutor.temperature, tutor.top_p) == ("auto", 1.0, 1.0)

    thread = tutoring.threads.create()
    assert ID.fullmatch(thread.id.removeprefix("thread_"))
    assert set(thread.to_dict()) == THREAD_KEYS
    assert (thread.metadata, thread.object) == ({}, "thread")

    message = tutoring.threads.messages.create(thread_id=thread.id, role="user", content=QUESTION)
    assert ID.fullmatch(message.id.removeprefix("msg_"))
    assert set(message.to_dict()) == MESSAGE_KEYS
    assert (message.assistant_id, message.run_id, message.thread_id) == (None, None, thread.id)
    assert (message.role, message.object, message.metadata) == ("user", "thread.message", {})
    assert message.attachments == []
    assert len(message.content) == 1
    assert text_of(message) == QUESTION


def test_run_polling_and_lists(tutoring: Tutoring) -> None:
    thread = tutoring.threads.create()
    question = tutoring.threads.messages.create(thread_id=thread.id, role="user", content=QUESTION)
    run = tutoring.threads.runs.create(thread_id=thread.id, assistant_id=tutoring.tutor.id)
    assert run.status == "queued"
    assert set(run.to_dict()) == RUN_KEYS
    assert ID.fullmatch(run.id.removeprefix("run_"))
    assert (run.assistant_id, run.thread_id) == (tutoring.tutor.id, thread.id)
    assert (run.instructions, run.model, run.tools) == (INSTRUCTIONS, MODEL, [])
    assert run.expires_at is not None
    assert run.expires_at - run.created_at == 600
    nothing = (run.started_at, run.completed_at, run.cancelled_at, run.failed_at, run.last_error, run.required_action)
    assert nothing == (None,) * 6
    assert run.usage is None

    run = tutoring.wait_on_run(run, thread)
    assert run.status in tutoring.ends
    assert set(run.to_dict()) == RUN_KEYS
    assert run.started_at is not None
    assert run.completed_at is not None
    assert run.created_at <= run.started_at <= run.completed_at
    assert (run.expires_at, run.cancelled_at, run.failed_at, run.last_error, run.required_action) == (None,) * 5
    assert run.usage is not None
    assert run.usage.total_tokens == run.usage.prompt_tokens + run.usage.completion_tokens > 0

    listed = tutoring.threads.messages.list(thread_id=thread.id)
    answer = listed.data[0]
    assert [m.id for m in listed.data] == [answer.id, question.id]
    assert listed.data[1].to_dict() == question.to_dict()
    assert set(answer.to_dict()) == MESSAGE_KEYS
    assert listed.object == "list"
    assert (listed.first_id, listed.last_id, listed.has_more) == (answer.id, question.id, False)
    assert (answer.role, answer.assistant_id, answer.run_id) == ("assistant", tutoring.tutor.id, run.id)
    assert text_of(answer)

    follow_up = tutoring.threads.messages.create(
        thread_id=thread.id, role="user", content="Could you explain this to me?"
    )
    second = tutoring.wait_on_run(
        tutoring.threads.runs.create(thread_id=thread.id, assistant_id=tutoring.tutor.id), thread
    )
    assert second.status in tutoring.ends
    after = tutoring.threads.messages.list(thread_id=thread.id, order="asc", after=follow_up.id)
    assert len(after.data) == 1
    assert after.data[0].run_id == second.id
    assert (after.first_id, after.last_id, after.has_more) == (after.data[0].id, after.data[0].id, False)
    # The history reached the model: the second prompt holds the first question and its answer.
    assert second.usage is not None
    assert second.usage.prompt_tokens > run.usage.prompt_tokens


def test_three_concurrent_runs(tutoring: Tutoring) -> None:
    words = [QUESTION, "Could you explain linear algebra to me?", "I don't like math. What can I do?"]
    begun = [tutoring.create_thread_and_run(text) for text in words]
    for (thread, run), text in zip(begun, words, strict=True):
        assert tutoring.wait_on_run(run, thread).status in tutoring.ends
        said = tutoring.get_response(thread)
        assert [m.role for m in said] == ["user", "assistant"]
        assert text_of(said[0]) == text
        assert text_of(said[1])

    thread, _ = begun[2]
    run = tutoring.wait_on_run(tutoring.submit_message(thread, "Thank you!"), thread)
    assert run.status in tutoring.ends
    said = tutoring.get_response(thread)
    assert [m.role for m in said] == ["user", "assistant", "user", "assistant"]
    assert text_of(said[2]) == "Thank you!"


# --- 5. Code interpreter and steps

FIBONACCI = """\
def fibonacci(n):
    series = [0, 1]
    while len(series) < n:
        series.append(series[-1] + series[-2])
    return series[:n]

fibonacci(20)"""
# As it stands in the walkthrough: the value of the last line, as IPython shows it, one number a line.
NUMBERS = [0, 1, 1, 2, 3, 5, 8, 13, 21, 34, 55, 89, 144, 233, 377, 610, 987, 1597, 2584, 4181]
SHOWN = "[" + ",\n ".join(map(str, NUMBERS)) + "]"


def test_code_interpreter_and_steps(tutoring: Tutoring, request: pytest.FixtureRequest) -> None:
    client, before, is_local = tutoring.client, tutoring.tutor, "local" in request.node.name
    updated = client.beta.assistants.update(before.id, tools=[{"type": "code_interpreter"}])
    assert [tool.to_dict() for tool in updated.tools] == [{"type": "code_interpreter"}]
    kept = ("id", "created_at", "name", "instructions", "model", "metadata")
    assert [getattr(updated, key) for key in kept] == [getattr(before, key) for key in kept]
    assert updated.tool_resources is not None
    assert updated.tool_resources.to_dict() == {"code_interpreter": {"file_ids": []}}

    thread = tutoring.threads.create()
    question = "Generate the first 20 fibonnaci numbers with code."
    if not is_local:
        question += f"\n/code {json.dumps(FIBONACCI)}"
    tutoring.threads.messages.create(thread_id=thread.id, role="user", content=question)
    run = tutoring.threads.runs.create(
        thread_id=thread.id,
        assistant_id=updated.id,
        # The small local model would only talk, and might run code that never ends well.
        tool_choice={"type": "code_interpreter"} if is_local else "auto",
        max_completion_tokens=600 if is_local else None,
    )
    run = tutoring.wait_on_run(run, thread)
    assert run.status in tutoring.ends, run.last_error

    steps = tutoring.threads.runs.steps.list(thread_id=thread.id, run_id=run.id, order="asc").data
    assert steps[0].step_details.type == "tool_calls"
    (call,) = steps[0].step_details.tool_calls or ()
    assert call.type == "code_interpreter"
    assert call.id.startswith("call_")
    if is_local:  # what it writes is its own, and seldom Python; but it was run, and its outputs are here
        assert call.code_interpreter.input or not call.code_interpreter.outputs  # now and then it writes nothing
        assert all(output.type in ("logs", "image") for output in call.code_interpreter.outputs)
    else:
        assert call.code_interpreter.input == FIBONACCI
        assert [output.to_dict() for output in call.code_interpreter.outputs] == [{"logs": SHOWN, "type": "logs"}]
        assert [step.step_details.type for step in steps] == ["tool_calls", "message_creation"]
        asked, answer = tutoring.get_response(thread)
        assert (asked.role, answer.role) == ("user", "assistant")
        assert steps[1].step_details.to_dict() == {
            "type": "message_creation",
            "message_creation": {"message_id": answer.id},
        }
        assert "4181" in text_of(answer)  # the model was told
    client.beta.assistants.update(before.id, tools=[])


# --- 6: retrieval, in the form of v2

ASKED = "Explain the math concepts behind this ML paper in two sentences."


def test_retrieval(tutoring: Tutoring, request: pytest.FixtureRequest) -> None:
    client, is_local = tutoring.client, "local" in request.node.name
    file = client.files.create(file=("language_models.pdf", paper()), purpose="assistants")
    store = client.vector_stores.create(name="language models")
    filed = client.vector_stores.files.create_and_poll(vector_store_id=store.id, file_id=file.id, poll_interval_ms=50)
    assert (filed.status, filed.id, filed.last_error) == ("completed", file.id, None)

    # The small local model is not offered code: it might want to run some.
    tools: Any = [{"type": "file_search"}] if is_local else [{"type": "code_interpreter"}, {"type": "file_search"}]
    resources: Any = {
        "file_search": {"vector_store_ids": [store.id]},
        "code_interpreter": {"file_ids": [file.id]},
    }
    updated = client.beta.assistants.update(tutoring.tutor.id, tools=tools, tool_resources=resources)
    assert updated.tools[-1].to_dict() == {
        "type": "file_search",
        "file_search": {
            "ranking_options": {"ranker": "default_2024_08_21", "score_threshold": 0.0, "hybrid_search": None}
        },
    }
    assert updated.tool_resources is not None
    assert updated.tool_resources.to_dict() == resources

    thread = tutoring.threads.create()
    question = ASKED if is_local else f'{ASKED}\n/call file_search {{"query": "zebra normalisation of weights"}}'
    tutoring.threads.messages.create(thread_id=thread.id, role="user", content=question)
    run = tutoring.threads.runs.create(
        thread_id=thread.id,
        assistant_id=updated.id,
        tool_choice={"type": "file_search"} if is_local else "auto",
        max_completion_tokens=400 if is_local else None,
    )
    run = tutoring.wait_on_run(run, thread)
    assert run.status in tutoring.ends, run.last_error

    steps = tutoring.threads.runs.steps.list(
        run.id,
        thread_id=thread.id,
        order="asc",
        include=["step_details.tool_calls[*].file_search.results[*].content"],
    ).data
    assert [step.type for step in steps][:1] == ["tool_calls"]
    (call,) = steps[0].step_details.tool_calls  # type: ignore[union-attr]
    assert call.type == "file_search"
    (result,) = call.file_search.results or []
    assert (result.file_id, result.file_name) == (file.id, "language_models.pdf")
    found = " ".join(part.text or "" for part in result.content or [])
    for column in (LEFT, RIGHT):  # columns are read one after the other
        assert " ".join(column.split()) in " ".join(found.split())

    if not is_local:
        said = tutoring.get_response(thread)
        assert [m.role for m in said] == ["user", "assistant"]
        part = said[1].content[0]
        assert part.type == "text"
        # The scripted model repeats what it was told, marker and all.
        (annotation,) = part.text.annotations
        assert annotation.type == "file_citation"
        assert annotation.file_citation.file_id == file.id
        assert part.text.value[annotation.start_index : annotation.end_index] == annotation.text
        assert annotation.text == "【0:0†language_models.pdf】"

    gone = client.vector_stores.delete(store.id)
    assert gone.to_dict() == {"id": store.id, "object": "vector_store.deleted", "deleted": True}
    without = client.beta.assistants.update(updated.id, tools=tools)
    assert without.tool_resources is not None
    assert without.tool_resources.file_search is not None
    assert without.tool_resources.file_search.vector_store_ids == []
    client.beta.assistants.update(updated.id, tools=[])
    run = tutoring.wait_on_run(tutoring.submit_message(thread, "Thank you!"), thread)
    assert run.status in tutoring.ends
