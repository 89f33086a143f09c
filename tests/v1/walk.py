"""The walkthrough of November 2023, for an SDK of v1 in an environment of its own.

    python walk.py < ORDERS > SAW

ORDERS is JSON: `base_url`; `pdf`, the path of a paper; `lines`, what a message has below its words, by the
message's name (FILE_ID stands for the paper's); and `options`, what the run of a message is created with, beyond
what this SDK has arguments for.
SAW is JSON: every object as this SDK prints it. Nothing is judged here.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any

import httpx
import openai

PAUSE = 0.02  # seconds between looks at a run; the original takes half a second
TRIES = 5  # a small model may go on with its quiz until its run has no tokens left
MODEL = "gpt-4-1106-preview"
INSTRUCTIONS = "You are a personal math tutor. Answer questions briefly, in a sentence or less."
WORDS = {
    "equation": "I need to solve the equation `3x + 11 = 14`. Can you help me?",
    "explain": "Could you explain this to me?",
    "algebra": "Could you explain linear algebra to me?",
    "dislike": "I don't like math. What can I do?",
    "thanks": "Thank you!",
    "fibonacci": "Generate the first 20 fibbonaci numbers with code.",
    "paper": "What are the math concepts behind this ML paper? Explain them in two sentences.",
    "look": "Which files do you have?",
    "quiz": "Make a quiz with 2 questions, one open and one multiple choice. Then, give me feedback for the responses.",
}
CODE = {"type": "code_interpreter"}
RETRIEVAL = {"type": "retrieval"}
QUIZ = {
    "name": "display_quiz",
    "description": "Shows a quiz to the student, and returns the student's answers.",
    "parameters": {
        "type": "object",
        "properties": {
            "title": {"type": "string"},
            "questions": {
                "type": "array",
                "description": "The questions. One without choices is open.",
                "items": {
                    "type": "object",
                    "properties": {
                        "question_text": {"type": "string"},
                        "question_type": {"type": "string", "enum": ["MULTIPLE_CHOICE", "FREE_RESPONSE"]},
                        "choices": {"type": "array", "items": {"type": "string"}},
                    },
                    "required": ["question_text"],
                },
            },
        },
        "required": ["title", "questions"],
    },
}


def show(printed: Any) -> Any:
    return json.loads(printed.model_dump_json())


class Walk:
    def __init__(self, orders: dict[str, Any]) -> None:
        self.client = openai.OpenAI(base_url=orders["base_url"], api_key="sk-walkthrough")
        self.lines: dict[str, str] = orders["lines"]
        self.options: dict[str, dict[str, Any]] = orders["options"]
        self.paper = Path(orders["pdf"])
        self.saw: dict[str, Any] = {"sdk": openai.__version__, "httpx": httpx.__version__, "sent": {}}

    # --- the helpers of section 4

    def submit_message(self, assistant_id: str, thread: Any, name: str, file_id: str = "") -> Any:
        words = WORDS[name]
        if name in self.lines:
            words += "\n" + self.lines[name].replace("FILE_ID", file_id)
        self.saw["sent"][name] = words
        self.message = self.client.beta.threads.messages.create(thread_id=thread.id, role="user", content=words)
        return self.client.beta.threads.runs.create(
            thread_id=thread.id, assistant_id=assistant_id, extra_body=self.options.get(name)
        )

    def create_thread_and_run(self, assistant_id: str, name: str, file_id: str = "") -> tuple[Any, Any]:
        thread = self.client.beta.threads.create()
        return thread, self.submit_message(assistant_id, thread, name, file_id)

    def get_response(self, thread: Any) -> Any:
        return self.client.beta.threads.messages.list(thread_id=thread.id, order="asc")

    def wait_on_run(self, run: Any, thread: Any, statuses: list[str] | None = None) -> Any:
        while run.status == "queued" or run.status == "in_progress":
            run = self.client.beta.threads.runs.retrieve(thread_id=thread.id, run_id=run.id)
            if statuses is not None:
                statuses.append(run.status)
            time.sleep(PAUSE)
        return run

    def pretty_print(self, messages: Any) -> list[Any]:
        return [[m.role, m.content[0].text.value] for m in messages]

    def see(self, name: str, thread: Any, run: Any) -> None:
        """Write down how a run ended: itself, its thread, and its steps."""
        self.saw[name] = {
            "run": show(run),
            "page": show(self.get_response(thread)),
            "printed": self.pretty_print(self.get_response(thread)),
            "steps": show(self.client.beta.threads.runs.steps.list(thread_id=thread.id, run_id=run.id, order="asc")),
        }

    # --- the sections

    def assistant_thread_message_run(self) -> None:
        saw, beta = self.saw, self.client.beta
        self.tutor = beta.assistants.create(name="Math Tutor", instructions=INSTRUCTIONS, model=MODEL)
        saw["instructions"], saw["model"] = INSTRUCTIONS, MODEL
        saw["assistant"] = show(self.tutor)
        thread = beta.threads.create()
        saw["thread"] = show(thread)
        run = self.submit_message(self.tutor.id, thread, "equation")
        saw["message"] = show(self.message)
        saw["run"] = show(run)
        saw["statuses"] = []
        self.first = self.wait_on_run(run, thread, saw["statuses"])
        # The next call is the list: the answer has to be in it.
        messages = beta.threads.messages.list(thread_id=thread.id)
        saw["finished"], saw["messages"] = show(self.first), show(messages)
        run = self.submit_message(self.tutor.id, thread, "explain")
        saw["follow_up"] = show(self.message)
        self.wait_on_run(run, thread)
        saw["follow_up_run"] = show(run)
        after = beta.threads.messages.list(thread_id=thread.id, order="asc", after=self.message.id)
        saw["after"] = show(after)

    def three_at_once(self) -> None:
        names = ("equation", "algebra", "dislike")
        begun = [self.create_thread_and_run(self.tutor.id, name) for name in names]
        self.saw["three"] = []
        for name, (thread, run) in zip(names, begun, strict=True):
            ended = self.wait_on_run(run, thread)
            messages = self.get_response(thread)
            self.saw["three"].append(
                {"name": name, "run": show(ended), "page": show(messages), "printed": self.pretty_print(messages)}
            )
        thread = begun[2][0]
        run = self.submit_message(self.tutor.id, thread, "thanks")
        run = self.wait_on_run(run, thread)
        self.see("thanks", thread, run)

    def code_interpreter(self) -> None:
        beta = self.client.beta
        self.saw["coder"] = show(beta.assistants.update(self.tutor.id, tools=[CODE]))
        earlier = beta.threads.runs.retrieve(thread_id=self.first.thread_id, run_id=self.first.id)
        self.saw["earlier_run"] = show(earlier)
        thread, run = self.create_thread_and_run(self.tutor.id, "fibonacci")
        self.see("fibonacci", thread, self.wait_on_run(run, thread))

    def retrieval(self) -> None:
        with self.paper.open("rb") as opened:
            file = self.client.files.create(file=opened, purpose="assistants")
        self.saw["file"] = show(file)
        reader = self.client.beta.assistants.update(self.tutor.id, tools=[CODE, RETRIEVAL], file_ids=[file.id])
        self.saw["reader"] = show(reader)
        thread, run = self.create_thread_and_run(self.tutor.id, "paper")
        self.see("paper", thread, self.wait_on_run(run, thread))
        if "look" in self.lines:  # only who is told to look there sees what is on a disk
            thread, run = self.create_thread_and_run(self.tutor.id, "look", file.id)
            self.see("look", thread, self.wait_on_run(run, thread))

    def function_calling(self) -> None:
        beta, tools = self.client.beta, [CODE, RETRIEVAL, {"type": "function", "function": QUIZ}]
        self.saw["function"] = QUIZ
        self.saw["teacher"] = show(beta.assistants.update(self.tutor.id, tools=tools))
        for _ in range(TRIES):
            thread, run = self.create_thread_and_run(self.tutor.id, "quiz")
            created = show(run)
            run = self.wait_on_run(run, thread)
            self.see("asked", thread, run)
            self.saw["asked"]["created"] = created
            if run.status == "requires_action":
                break
        else:
            return
        calls = run.required_action.submit_tool_outputs.tool_calls
        responses = [display_quiz(**json.loads(call.function.arguments)) for call in calls]
        self.saw["responses"] = responses
        submitted = beta.threads.runs.submit_tool_outputs(
            thread_id=thread.id,
            run_id=run.id,
            tool_outputs=[
                {"tool_call_id": call.id, "output": json.dumps(response)}
                for call, response in zip(calls, responses, strict=True)
            ],
        )
        self.saw["submitted"] = show(submitted)
        self.see("graded", thread, self.wait_on_run(submitted, thread))


def display_quiz(title: str, questions: list[dict[str, Any]]) -> list[str]:
    """Answer as a student might who is in a hurry."""
    responses = []
    for question in questions:
        if question.get("question_type") == "MULTIPLE_CHOICE" and question.get("choices"):
            responses.append(question["choices"][0])
        else:
            responses.append("I don't know.")
    return responses


def main() -> None:
    walk = Walk(json.load(sys.stdin))
    walk.assistant_thread_message_run()
    walk.three_at_once()
    walk.code_interpreter()
    walk.retrieval()
    walk.function_calling()
    json.dump(walk.saw, sys.stdout)


if __name__ == "__main__":
    main()
