"""A walk through the Assistants API with the newest openai package: each step of a tutorial, as a program.

    pip install openai
    python examples/walkthrough.py

It talks to a server on this machine (`make serve`), or to the one that --base-url or OPENAI_BASE_URL names. It ends
with status 0 if all went well. The same walk as code of November 2023 is in walkthrough_v1.py.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
import warnings
from pathlib import Path

import openai

# The SDK warns at every call that the service behind this API is gone. That is why this server is there.
warnings.simplefilter("ignore", DeprecationWarning)

PAPER = Path(__file__).with_name("data") / "small-language-models.pdf"
INSTRUCTIONS = "You are a personal math tutor. Answer in one or two sentences."
UNAVAILABLE = "The code interpreter is unavailable"  # so begins what the server says in place of a program's output


class WentWrong(Exception):
    """Something that ends the walk; the message is for the user."""


# --- Small helpers


def heading(text: str) -> None:
    print(f"\n{text}\n{'=' * len(text)}\n")


def print_messages(messages) -> None:
    for message in messages:
        for part in message.content:
            if part.type == "text":
                print(f"{message.role}: {part.text.value}")
                for note in part.text.annotations:
                    if note.type == "file_citation":
                        print(f'    {note.text} cites: "{note.file_citation.to_dict().get("quote", "")}"')
            else:
                print(f"{message.role}: [{part.type}]")
    print()


def hint(tool: str, arguments: dict, answer: str) -> str:
    """An example of a call and of an answer. A model of a useful size knows without it what they look like."""
    call = json.dumps({"tool": tool, "arguments": arguments})
    return f"You call a tool like this: {call}\nYou answer like this: {json.dumps({'answer': answer})}"


class Walk:
    """The steps, and what they share: the client, the assistant, and how runs are made."""

    def __init__(self, client: openai.OpenAI, model: str | None, pdf: Path, interactive: bool) -> None:
        self.client, self.pdf, self.interactive = client, pdf, interactive
        self.is_small = model is None
        self.model = model or "gpt-4o"  # any name will do: a fresh server answers all with its small model
        # The small model errs least where it may not be inventive, and it does not always know when to stop.
        self.settings = {"temperature": 0, "max_completion_tokens": 400} if self.is_small else {}
        self.threads = []
        self.code_ran = True

    def new_thread(self):
        thread = self.client.beta.threads.create()
        self.threads.append(thread)
        return thread

    def submit(self, thread, text: str, example: str = "", **options):
        """Add a message to a thread, and start a run of the assistant, without waiting for it."""
        if self.is_small and example:
            options["additional_instructions"] = example
        self.client.beta.threads.messages.create(thread.id, role="user", content=text)
        return self.client.beta.threads.runs.create(thread.id, assistant_id=self.tutor.id, **self.settings, **options)

    def wait(self, run):
        """Look at a run until it has ended, or needs something from us."""
        while run.status in ("queued", "in_progress"):
            time.sleep(0.5)
            run = self.client.beta.threads.runs.retrieve(run.id, thread_id=run.thread_id)
        if run.status == "incomplete":
            print(f"(The run was cut short: {run.incomplete_details.reason}.)")
        elif run.status not in ("completed", "requires_action"):
            reason = run.last_error.message if run.last_error else "no reason is given"
            raise WentWrong(f"A run is {run.status}: {reason}")
        return run

    def messages(self, thread, **where):
        """The messages of a thread, oldest first."""
        return self.client.beta.threads.messages.list(thread.id, order="asc", **where)

    # --- The steps

    def one_question(self) -> None:
        heading("1. An assistant, a thread, a message")
        self.tutor = self.client.beta.assistants.create(name="Math Tutor", instructions=INSTRUCTIONS, model=self.model)
        print(self.tutor.to_json())
        thread = self.new_thread()
        print(thread.to_json())
        question = self.client.beta.threads.messages.create(thread.id, role="user", content="What is a prime number?")
        print(question.to_json())

        heading("2. A run, and waiting for it")
        run = self.client.beta.threads.runs.create(thread.id, assistant_id=self.tutor.id, **self.settings)
        print(f"The run {run.id} is {run.status}.")
        run = self.wait(run)
        seconds = run.completed_at - run.started_at
        print(f"Now it is {run.status}, after {seconds} s and {run.usage.total_tokens} tokens.")

        heading("3. The messages, and a follow-up")
        print_messages(self.messages(thread))
        follow_up = self.client.beta.threads.messages.create(
            thread.id, role="user", content="Could you give me an example?"
        )
        self.wait(self.client.beta.threads.runs.create(thread.id, assistant_id=self.tutor.id, **self.settings))
        print(f"After the follow-up, {follow_up.content[0].text.value!r}:\n")
        print_messages(self.messages(thread, after=follow_up.id))

    def three_at_once(self) -> None:
        heading("4. Three runs at once")
        questions = ["What is a square number?", "Why is algebra useful?", "Math bores me. What can I do about it?"]
        threads = [self.new_thread() for _ in questions]
        runs = [self.submit(thread, question) for thread, question in zip(threads, questions, strict=True)]
        for thread, run in zip(threads, runs, strict=True):
            self.wait(run)
            print_messages(self.messages(thread))
        print("The last thread goes on:\n")
        self.wait(self.submit(threads[-1], "Thank you!"))
        print_messages(list(self.messages(threads[-1]))[2:])

    def code(self) -> None:
        heading("5. The code interpreter, and the steps of a run")
        self.tutor = self.client.beta.assistants.update(self.tutor.id, tools=[{"type": "code_interpreter"}])
        print(f"Tools: {[tool.type for tool in self.tutor.tools]}\n")
        code = "[n * n for n in range(1, 13)]"
        example = hint("code_interpreter", {"code": code}, "Here are the square numbers.")
        self.show_code("What are the first 12 square numbers?", example)
        code = "import matplotlib.pyplot as plt\nplt.plot([n * n for n in range(20)])\nplt.show()"
        example = hint("code_interpreter", {"code": code}, "The plot shows the square numbers.")
        self.show_code("Plot the first 20 square numbers.", example)

    def show_code(self, question: str, example: str) -> None:
        thread = self.new_thread()
        run = self.wait(self.submit(thread, question, example, tool_choice={"type": "code_interpreter"}))
        for step in self.client.beta.threads.runs.steps.list(run.id, thread_id=thread.id, order="asc"):
            if step.type != "tool_calls":
                print(f"A step made the message {step.step_details.message_creation.message_id}.\n")
                continue
            for call in step.step_details.tool_calls:
                print("A step ran this code:\n\n" + indented(call.code_interpreter.input))
                for output in call.code_interpreter.outputs:
                    self.show_output(output)
        print_messages(self.messages(thread))

    def show_output(self, output) -> None:
        if output.type == "logs":
            print("which gave:\n\n" + indented(output.logs))
            self.code_ran = self.code_ran and not output.logs.startswith(UNAVAILABLE)
        else:
            picture = self.client.files.content(output.image.file_id).read()
            print(f"which drew a picture of {len(picture):,} bytes, the file {output.image.file_id}.\n")

    def file_search(self) -> None:
        heading("6. File search in a PDF")
        with self.pdf.open("rb") as opened:
            self.file = self.client.files.create(file=opened, purpose="assistants")
        store = self.client.vector_stores.create(name="Papers")
        # Small passages suit a small model. Without `chunking_strategy` a passage has 800 tokens.
        cut = {"type": "static", "static": {"max_chunk_size_tokens": 200, "chunk_overlap_tokens": 50}}
        filed = self.client.vector_stores.files.create_and_poll(
            self.file.id, vector_store_id=store.id, chunking_strategy=cut
        )
        if filed.status != "completed":
            raise WentWrong(f"{self.pdf.name} could not be read: {filed.last_error.message}")
        print(f"{self.pdf.name} is {self.file.id}, and in the vector store {store.id} it is {filed.status}.\n")
        search = {"type": "file_search"} | ({"file_search": {"max_num_results": 1}} if self.is_small else {})
        self.tutor = self.client.beta.assistants.update(
            self.tutor.id,
            tools=[{"type": "code_interpreter"}, search],
            # The file is there for both: to be searched, and for code, which finds it in /mnt/data.
            tool_resources={
                "file_search": {"vector_store_ids": [store.id]},
                "code_interpreter": {"file_ids": [self.file.id]},
            },
        )
        thread = self.new_thread()
        example = hint("file_search", {"query": "math concepts"}, "The paper says that the loss is small.")
        run = self.submit(
            thread, "Which math concepts does the paper use?", example, tool_choice={"type": "file_search"}
        )
        run = self.wait(run)
        self.show_search(run)
        print_messages(self.messages(thread))

        print(self.client.vector_stores.delete(store.id).to_json())
        self.tutor = self.client.beta.assistants.retrieve(self.tutor.id)
        print(f"The assistant has forgotten it: {self.tutor.tool_resources.file_search.to_dict()}")

    def show_search(self, run) -> None:
        content = "step_details.tool_calls[*].file_search.results[*].content"
        steps = self.client.beta.threads.runs.steps.list(
            run.id, thread_id=run.thread_id, order="asc", include=[content]
        )
        calls = [call for step in steps if step.type == "tool_calls" for call in step.step_details.tool_calls]
        searches = [call for call in calls if call.type == "file_search"]
        for result in searches[0].file_search.results if searches else ():
            print(f"Found in {result.file_name}, score {result.score:.2f}:\n\n" + indented(result.content[0].text))

    def quiz(self) -> None:
        heading("7. A function of ours: a quiz")
        self.tutor = self.client.beta.assistants.update(
            self.tutor.id,
            tools=[{"type": "code_interpreter"}, {"type": "file_search"}, {"type": "function", "function": QUIZ}],
        )
        thread = self.new_thread()
        question = "Quiz me on square numbers: one open question and one multiple choice. Then tell me how I did."
        example = hint("display_quiz", EXAMPLE_QUIZ, "You got one of two right.")
        choice = {"type": "function", "function": {"name": "display_quiz"}}  # so that it is called at all
        run = self.wait(self.submit(thread, question, example, tool_choice=choice))
        if run.status != "requires_action":
            raise WentWrong(f"The model called no function, and the run is {run.status}.")
        while run.status == "requires_action":  # a small model may call more than once
            outputs = []
            for call in run.required_action.submit_tool_outputs.tool_calls:
                print(f"The run {run.status}: the model calls {call.function.name}.\n")
                try:
                    answers = display_quiz(**json.loads(call.function.arguments), interactive=self.interactive)
                except (ValueError, TypeError, KeyError) as fault:
                    raise WentWrong(f"Its arguments make no quiz: {call.function.arguments}") from fault
                outputs.append({"tool_call_id": call.id, "output": json.dumps(answers)})
            run = self.client.beta.threads.runs.submit_tool_outputs(run.id, thread_id=thread.id, tool_outputs=outputs)
            print(f"The outputs are in, and the run is {run.status}.\n")
            run = self.wait(run)
        print_messages(self.messages(thread))

    def clean_up(self) -> None:
        heading("8. Cleaning up")
        for thread in self.threads:
            self.client.beta.threads.delete(thread.id)
        self.client.files.delete(self.file.id)
        print(self.client.beta.assistants.delete(self.tutor.id).to_json())


def indented(text: str) -> str:
    return "\n".join(f"    {line}" for line in text.strip().splitlines()) + "\n"


# --- The function that the model may call

SHORT = {"type": "string", "maxLength": 80}  # the small model would go on and on
QUIZ = {
    "name": "display_quiz",
    "description": "Shows a quiz to the student and returns the student's answers, one for each question.",
    "parameters": {
        "type": "object",
        "properties": {
            "title": SHORT,
            "questions": {
                "type": "array",
                "description": "The questions of the quiz.",
                "minItems": 2,
                "maxItems": 2,
                "items": {
                    "type": "object",
                    "properties": {
                        "question_text": SHORT,
                        "question_type": {"type": "string", "enum": ["MULTIPLE_CHOICE", "FREE_RESPONSE"]},
                        "choices": {
                            "type": "array",
                            "description": "What to choose from, if it is MULTIPLE_CHOICE.",
                            "items": SHORT,
                            "maxItems": 4,
                        },
                    },
                    "required": ["question_text", "question_type", "choices"],
                },
            },
        },
        "required": ["title", "questions"],
    },
}
EXAMPLE_QUIZ = {
    "title": "Square numbers",
    "questions": [
        {"question_text": "What is a square number?", "question_type": "FREE_RESPONSE", "choices": []},
        {
            "question_text": "Which of these is a square number?",
            "question_type": "MULTIPLE_CHOICE",
            "choices": ["7", "8", "9"],
        },
    ],
}


def display_quiz(title: str, questions: list[dict], interactive: bool = False) -> list[str]:
    """Show a quiz, and return an answer to each question: the user's, or one that needs no user."""
    print(f"Quiz: {title}\n")
    answers = []
    for number, question in enumerate(questions, 1):
        print(f"{number}. {question['question_text']}")
        choices = question.get("choices") if question.get("question_type") == "MULTIPLE_CHOICE" else None
        for choice in choices or ():
            print(f"   - {choice}")
        answer = input("> ") if interactive else choices[0] if choices else "I do not know."
        print(f"   Answer: {answer}\n")
        answers.append(answer)
    return answers


# --- The program


def main() -> int:
    parser = argparse.ArgumentParser(description="Walk through the Assistants API.")
    parser.add_argument("--base-url", default=os.environ.get("OPENAI_BASE_URL") or "http://127.0.0.1:8000/v1")
    parser.add_argument("--model", help="the model; without it, the server's small local one is spoken to")
    parser.add_argument("--pdf", type=Path, default=PAPER, help="the paper to ask about")
    parser.add_argument("--interactive", action="store_true", help="answer the quiz yourself")
    given = parser.parse_args()
    # A server that has no keys yet takes any.
    client = openai.OpenAI(base_url=given.base_url, api_key=os.environ.get("OPENAI_API_KEY") or "any")
    walk = Walk(client, given.model, given.pdf, given.interactive)
    try:
        walk.one_question()
        walk.three_at_once()
        walk.code()
        walk.file_search()
        walk.quiz()
        walk.clean_up()
        if not walk.code_ran:
            raise WentWrong("No code was run: the server has no sandbox. `assistd doctor` says why, and what mends it.")
    except openai.APIConnectionError:
        print(f"\nNo server answers at {given.base_url}. Start one with `make serve`, or name it with --base-url.")
    except openai.AuthenticationError as refusal:
        print(f"\nThe server does not take this key; OPENAI_API_KEY names another. It says: {refusal.message}")
    except (openai.APIError, OSError, WentWrong) as fault:
        print(f"\nThe walk ended here. {fault}")
    else:
        print("\nAll went well.")
        return 0
    return 1


if __name__ == "__main__":
    sys.exit(main())
