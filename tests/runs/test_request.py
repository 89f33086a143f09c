"""What a run asks of the model."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import msgspec
import pytest

from assistd.files.wire import StoredFile
from assistd.llm.protocol import ChatRequest
from assistd.runs import code_interpreter, file_search
from assistd.runs.history import Window
from assistd.runs.machine import Call, CallModel, Step
from assistd.runs.request import compose, tool_set, window, with_conversation
from assistd.runs.wire import Run

LOOK_UP = {"type": "function", "function": {"name": "look_up", "parameters": {}, "strict": False}}
RANKING = {"ranker": "default_2024_08_21", "score_threshold": 0.0, "hybrid_search": None}
CODE = {"type": "code_interpreter"}
SEARCH = {"type": "file_search", "file_search": {"ranking_options": RANKING}}


FUNCTIONS = {"file_search": file_search.FUNCTION, "code_interpreter": code_interpreter.function([])}


class Model:
    """A model as far as a request wants to know it."""

    context_length = 8000
    images = True

    def stream(self, request: ChatRequest) -> Any:
        raise AssertionError("it is not called")


def run(**parts: Any) -> Run:
    raw = {"tools": [], "tool_choice": "auto", "response_format": "auto", "truncation_strategy": {"type": "auto"}}
    encoded = {name: msgspec.Raw(json.dumps(parts.pop(name, value)).encode()) for name, value in raw.items()}
    given: dict[str, Any] = {
        "instructions": None,
        "temperature": 1.0,
        "top_p": 1.0,
        "reasoning_effort": None,
        "parallel_tool_calls": True,
        **parts,
    }
    absent = {name: None for name in Run.__struct_fields__ if name not in ("object", *given, *encoded, "model")}
    return Run(model="m", **encoded, **given, **absent)


def calls(*types: str) -> Step:
    return Step("step_1", "tool_calls", open=False, calls=[Call("call_1", type, done=True) for type in types])


def asked(*, steps: Sequence[Step] = (), command: CallModel | None = None, **parts: Any) -> ChatRequest:
    return compose(run(**parts), FUNCTIONS, command or CallModel(None, None), steps)


def test_a_plain_run_asks_for_nothing_special() -> None:
    request = asked()
    assert request == ChatRequest(model="m", messages=[], tools=[], temperature=1.0, top_p=1.0)


def test_every_setting_is_passed_on() -> None:
    schema = {"type": "json_schema", "json_schema": {"name": "s", "schema": {}}}
    request = asked(
        instructions="Be brief.",
        temperature=0.0,
        top_p=0.0,
        reasoning_effort="low",
        response_format=schema,
        tools=[LOOK_UP],
        parallel_tool_calls=False,
        command=CallModel(None, 77),
    )
    assert request.messages == [{"role": "system", "content": "Be brief."}]
    assert (request.temperature, request.top_p) == (0.0, 0.0)
    assert request.reasoning_effort == "low"
    assert request.response_format == schema
    assert request.tools == [LOOK_UP]
    assert request.parallel_tool_calls is False
    assert request.max_completion_tokens == 77


@pytest.mark.parametrize("response_format", ["auto", {"type": "text"}])
def test_text_is_not_worth_saying(response_format: Any) -> None:
    assert asked(response_format=response_format).response_format is None


def test_json_is_asked_for() -> None:
    assert asked(response_format={"type": "json_object"}).response_format == {"type": "json_object"}


@pytest.mark.parametrize(
    ("choice", "first", "later"),
    [
        ("auto", None, None),
        ("none", "none", "none"),
        ("required", "required", None),
        (
            {"type": "function", "function": {"name": "look_up"}},
            {"type": "function", "function": {"name": "look_up"}},
            None,
        ),
        ({"type": "file_search"}, {"type": "function", "function": {"name": "file_search"}}, None),
        ({"type": "code_interpreter"}, {"type": "function", "function": {"name": "code_interpreter"}}, None),
    ],
)
def test_a_forced_choice_holds_for_the_first_turn(choice: Any, first: Any, later: Any) -> None:
    tools = [LOOK_UP, SEARCH, CODE]
    assert asked(tools=tools, tool_choice=choice).tool_choice == first
    assert asked(tools=tools, tool_choice=choice, steps=[calls("function")]).tool_choice == later


@pytest.mark.parametrize("type", ["file_search", "code_interpreter"])
def test_a_model_that_uses_the_server_s_tools_on_and_on_has_to_answer(type: str) -> None:
    ours, words = calls(type), Step("step_2", "message_creation", open=False)
    tools = [LOOK_UP, SEARCH, CODE]
    assert asked(tools=tools, steps=[ours, words] * 19).tool_choice is None
    assert asked(tools=tools, steps=[ours, words] * 20).tool_choice == "none"
    assert asked(tools=[], steps=[ours] * 20).tool_choice is None
    # A client that is asked can stop by itself.
    assert asked(tools=tools, steps=[*[ours] * 20, calls("function")]).tool_choice is None
    assert asked(tools=tools, steps=[calls("function", type)] * 20).tool_choice is None


def test_without_tools_nothing_is_said_of_them() -> None:
    request = asked(tool_choice="required", parallel_tool_calls=False)
    assert (request.tools, request.tool_choice, request.parallel_tool_calls) == ([], None, None)


def test_the_servers_tools_are_offered_as_functions() -> None:
    tools = asked(tools=[LOOK_UP, {"type": "code_interpreter"}, SEARCH]).tools
    assert [tool["type"] for tool in tools] == ["function"] * 3
    assert [tool["function"]["name"] for tool in tools] == ["look_up", "code_interpreter", "file_search"]
    for tool in tools[1:]:
        assert tool["function"]["parameters"]["type"] == "object"


def test_the_model_is_told_of_the_files_that_its_code_is_given() -> None:
    def described(*names: str) -> str:
        files = [
            StoredFile(id=f"file-{n}", filename=name, bytes=1, purpose="assistants", blobs=[])
            for n, name in enumerate(names)
        ]
        description: str = code_interpreter.function(files)["description"]
        return description.removeprefix(code_interpreter.function([])["description"])

    assert described() == ""
    assert described("a.csv", "b\nc.txt", "a.csv") == (
        " Files of the user, each there under both of its names: /mnt/data/file-0 (a (2).csv), "
        "/mnt/data/file-1 (b_c.txt), /mnt/data/file-2 (a.csv)."
    )
    many = described(*["x" * 200] * 40)
    assert len(many) < 1_800
    assert many.endswith(" more.")
    shown = many.count("/mnt/data/")
    assert f"and {40 - shown} more." in many


def test_only_the_clients_functions_are_the_clients() -> None:
    tools = tool_set(run(tools=[LOOK_UP, {"type": "code_interpreter"}]))
    assert (tools.functions, tools.file_search, tools.code_interpreter) == ({"look_up"}, None, True)
    assert tool_set(run(tools=[SEARCH])).file_search == {"ranker": "default_2024_08_21", "score_threshold": 0.0}
    assert tool_set(run()).functions == frozenset()


def room(command: CallModel | None = None, **parts: Any) -> Window:
    made = run(**parts)
    command = command or CallModel(None, None)
    return window(made, Model(), command, compose(made, FUNCTIONS, command, []))


def test_a_quarter_of_the_context_is_left_for_the_answer() -> None:
    assert 5900 < room().tokens <= 6000
    assert room().last_messages is None


def test_a_small_answer_leaves_more_room() -> None:
    assert room(CallModel(None, 100)).tokens == room().tokens + 2000 - 100
    assert room(CallModel(None, 100_000)).tokens == room().tokens


def test_the_prompt_budget_is_a_limit_too() -> None:
    assert room(CallModel(500, None)).tokens == room().tokens - 5500
    assert room(CallModel(100_000, None)).tokens == room().tokens


def test_instructions_and_tools_take_room() -> None:
    assert room(instructions="x" * 3000).tokens == room().tokens - 1000
    assert room(instructions="ü" * 3000).tokens == room().tokens - 2000
    assert room(tools=[LOOK_UP]).tokens < room().tokens


def test_documents_stand_behind_the_instructions_in_the_one_message_of_the_system() -> None:
    def told(instructions: str | None) -> Any:
        return compose(run(instructions=instructions), FUNCTIONS, CallModel(None, None), [], "D" * 3000)

    assert told("Be brief.").messages == [{"role": "system", "content": "Be brief.\n\n" + "D" * 3000}]
    assert told(None).messages == [{"role": "system", "content": "D" * 3000}]
    # What they take is taken from the conversation.
    assert window(run(), Model(), CallModel(None, None), told(None)).tokens == room().tokens - 1000


def test_a_model_is_never_asked_with_nothing() -> None:
    (greeting,) = with_conversation(asked(), []).messages
    assert greeting["role"] == "system"
    assert greeting["content"]
    for chat, conversation in ((asked(instructions="Be brief."), []), (asked(), [{"role": "user", "content": "Hi"}])):
        assert with_conversation(chat, conversation).messages == [*chat.messages, *conversation]


def test_last_messages_limit_the_window() -> None:
    assert room(truncation_strategy={"type": "last_messages", "last_messages": 3}).last_messages == 3
    assert room(truncation_strategy={"type": "auto", "last_messages": None}).last_messages is None


def test_the_conversation_stands_behind_the_instructions() -> None:
    request = asked(instructions="Be brief.")
    whole = with_conversation(request, [{"role": "user", "content": "Hi"}])
    assert whole.messages == [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hi"}]
    assert msgspec.structs.replace(whole, messages=request.messages) == request
