"""The newest Python SDK through every endpoint: objects, their lists, and what is passed through to the model."""

from __future__ import annotations

from typing import Any

import openai
import pytest

from tests.conformance.talk import NOW, TIME, WEATHER, Walk, script, text_of

MISSING = "000000000000000000000000"
IMAGE = "https://example.com/picture.png"


# --- assistants


def test_an_assistant_is_made_with_the_defaults(client: openai.OpenAI) -> None:
    made = client.beta.assistants.create(model="gpt-4-1106-preview")
    assert made.id.startswith("asst_")
    assert len(made.id) == len("asst_") + 24
    assert made.object == "assistant"
    assert made.model == "gpt-4-1106-preview"
    assert (made.name, made.description, made.instructions) == (None, None, None)
    assert (made.tools, made.metadata) == ([], {})
    assert (made.temperature, made.top_p, made.response_format) == (1.0, 1.0, "auto")
    assert made.tool_resources is not None
    assert made.tool_resources.to_dict() == {}
    assert made._request_id is not None
    assert made._request_id.startswith("req_")


def test_an_assistant_keeps_what_it_is_given(client: openai.OpenAI) -> None:
    given: dict[str, Any] = {
        "model": "scripted",
        "name": "Tutor",
        "description": "Teaches.",
        "instructions": "Be brief.",
        "metadata": {"a": "1"},
        "temperature": 0,
        "top_p": 0.5,
        "response_format": {"type": "json_object"},
        "reasoning_effort": "low",
        "tools": [WEATHER, TIME, {"type": "code_interpreter"}, {"type": "file_search"}],
    }
    made = client.beta.assistants.create(**given)
    assert client.beta.assistants.retrieve(made.id) == made
    shown = made.to_dict()
    assert {key: shown[key] for key in given if key != "tools"} == {key: given[key] for key in given if key != "tools"}
    assert shown["tools"] == [
        {"type": "function", "function": WEATHER["function"] | {"strict": False}},
        {
            "type": "function",
            "function": {"name": "get_time", "parameters": {"type": "object", "properties": {}}, "strict": False},
        },
        {"type": "code_interpreter"},
        {
            "type": "file_search",
            "file_search": {
                "ranking_options": {"ranker": "default_2024_08_21", "score_threshold": 0.0, "hybrid_search": None}
            },
        },
    ]
    assert shown["tool_resources"]["code_interpreter"] == {"file_ids": []}


def test_an_assistant_is_changed_in_what_is_named_and_deleted(client: openai.OpenAI) -> None:
    made = client.beta.assistants.create(model="scripted", name="A", metadata={"a": "1", "b": "2"}, tools=[WEATHER])
    changed = client.beta.assistants.update(made.id, metadata={"c": "3"}, temperature=0)
    assert changed == made.model_copy(update={"metadata": {"c": "3"}, "temperature": 0.0})
    changed = client.beta.assistants.update(made.id, tools=[TIME], name="B", model="other")
    assert [tool.function.name for tool in changed.tools if tool.type == "function"] == ["get_time"]
    assert (changed.name, changed.model, changed.metadata, changed.temperature) == ("B", "other", {"c": "3"}, 0.0)
    deleted = client.beta.assistants.delete(made.id)
    assert deleted.to_dict() == {"id": made.id, "object": "assistant.deleted", "deleted": True}
    with pytest.raises(openai.NotFoundError, match=rf"No assistant found with id '{made.id}'\."):
        client.beta.assistants.retrieve(made.id)


# --- threads and messages


def test_a_thread_is_made_changed_and_deleted(client: openai.OpenAI) -> None:
    made = client.beta.threads.create()
    assert made.to_dict() == {
        "id": made.id,
        "object": "thread",
        "created_at": made.created_at,
        "metadata": {},
        "tool_resources": {},
    }
    # Who writes a thread is answered with what it was given, who reads it with what it has.
    every = {"tool_resources": {"code_interpreter": {"file_ids": []}}}
    assert client.beta.threads.retrieve(made.id).to_dict() == made.to_dict() | every
    for metadata in ({"a": "1"}, {}):
        changed = client.beta.threads.update(made.id, metadata=metadata)
        assert changed.to_dict() == made.to_dict() | {"metadata": metadata}
        assert client.beta.threads.retrieve(made.id).to_dict() == changed.to_dict() | every
    given: Any = {"file_search": {"vector_store_ids": [client.vector_stores.create().id]}}
    for resources in (given, None, {}):
        assert client.beta.threads.update(made.id, tool_resources=resources).to_dict()["tool_resources"] == given
        assert client.beta.threads.retrieve(made.id).to_dict()["tool_resources"] == given
    assert client.beta.threads.delete(made.id).to_dict() == {
        "id": made.id,
        "object": "thread.deleted",
        "deleted": True,
    }
    with pytest.raises(openai.NotFoundError, match=rf"No thread found with id '{made.id}'\."):
        client.beta.threads.retrieve(made.id)


def test_a_thread_begins_with_messages_of_both_roles(client: openai.OpenAI) -> None:
    thread = client.beta.threads.create(
        messages=[
            {"role": "user", "content": "one", "metadata": {"n": "1"}},
            {"role": "assistant", "content": [{"type": "text", "text": "two"}]},
        ]
    )
    one, two = client.beta.threads.messages.list(thread.id, order="asc").data
    assert (one.role, text_of(one), one.metadata) == ("user", "one", {"n": "1"})
    assert (two.role, text_of(two), two.assistant_id, two.run_id) == ("assistant", "two", None, None)


def test_a_message_is_kept_byte_for_byte(client: openai.OpenAI) -> None:
    thread = client.beta.threads.create()
    content = 'Solve `3x + 11 = 14`\r\n\t"quoted" \\ back \u2028 \U0001f600 e\u0301'
    made = client.beta.threads.messages.create(thread.id, role="user", content=content)
    assert made.id.startswith("msg_")
    assert made.object == "thread.message"
    assert made.content[0].to_dict() == {"type": "text", "text": {"value": content, "annotations": []}}
    assert (made.role, made.thread_id, made.assistant_id, made.run_id) == ("user", thread.id, None, None)
    assert (made.attachments, made.metadata) == ([], {})
    assert client.beta.threads.messages.retrieve(made.id, thread_id=thread.id) == made


def test_a_message_takes_parts_and_attachments(client: openai.OpenAI) -> None:
    thread = client.beta.threads.create()
    text = client.files.create(file=("notes.txt", b"A note."), purpose="assistants").id
    picture = client.files.create(file=("cat.png", b"\x89PNG"), purpose="vision").id
    made = client.beta.threads.messages.create(
        thread.id,
        role="user",
        content=[
            {"type": "text", "text": "What is this?"},
            {"type": "image_url", "image_url": {"url": IMAGE}},
            {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA", "detail": "low"}},
            {"type": "image_file", "image_file": {"file_id": picture, "detail": "high"}},
        ],
        attachments=[{"file_id": text, "tools": [{"type": "file_search"}, {"type": "code_interpreter"}]}],
        metadata={"kind": "picture"},
    )
    assert [part.to_dict() for part in made.content] == [
        {"type": "text", "text": {"value": "What is this?", "annotations": []}},
        {"type": "image_url", "image_url": {"url": IMAGE, "detail": "auto"}},
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA", "detail": "low"}},
        {"type": "image_file", "image_file": {"file_id": picture, "detail": "high"}},
    ]
    assert made.attachments is not None
    assert [attachment.to_dict() for attachment in made.attachments] == [
        {"file_id": text, "tools": [{"type": "file_search"}, {"type": "code_interpreter"}]}
    ]
    assert made.metadata == {"kind": "picture"}
    resources = client.beta.threads.retrieve(thread.id).tool_resources
    assert resources is not None
    assert resources.code_interpreter is not None
    assert resources.code_interpreter.file_ids == [text]
    assert resources.file_search is not None
    (store_id,) = resources.file_search.vector_store_ids or []
    assert [file.id for file in client.vector_stores.files.list(store_id)] == [text]


def test_a_deleted_file_is_gone_from_lists_and_stores_and_stays_in_what_was_said(client: openai.OpenAI) -> None:
    text = client.files.create(file=("notes.txt", b"A note."), purpose="assistants").id
    tools: Any = [{"type": "code_interpreter"}, {"type": "file_search"}]
    said: Any = {"role": "user", "content": "x", "attachments": [{"file_id": text, "tools": tools}]}
    thread = client.beta.threads.create(messages=[said])
    assistant = client.beta.assistants.create(
        model="scripted", tools=tools, tool_resources={"code_interpreter": {"file_ids": [text]}}
    )
    assert client.files.delete(text).deleted
    for holder in (client.beta.threads.retrieve(thread.id), client.beta.assistants.retrieve(assistant.id)):
        assert holder.tool_resources is not None
        assert holder.tool_resources.code_interpreter is not None
        assert holder.tool_resources.code_interpreter.file_ids == []
    store_id = client.beta.threads.retrieve(thread.id).to_dict()["tool_resources"]["file_search"]["vector_store_ids"][0]  # type: ignore[index]
    assert list(client.vector_stores.files.list(store_id)) == []
    (message,) = client.beta.threads.messages.list(thread.id).data
    assert message.to_dict()["attachments"] == said["attachments"]


def test_a_message_changes_its_metadata_only_and_is_deleted(client: openai.OpenAI) -> None:
    thread = client.beta.threads.create()
    kept = client.beta.threads.messages.create(thread.id, role="user", content="kept")
    made = client.beta.threads.messages.create(thread.id, role="user", content="x", metadata={"a": "1"})
    changed = client.beta.threads.messages.update(made.id, thread_id=thread.id, metadata={"b": "2"})
    assert changed == made.model_copy(update={"metadata": {"b": "2"}})
    deleted = client.beta.threads.messages.delete(made.id, thread_id=thread.id)
    assert deleted.to_dict() == {"id": made.id, "object": "thread.message.deleted", "deleted": True}
    assert [message.id for message in client.beta.threads.messages.list(thread.id)] == [kept.id]
    with pytest.raises(openai.NotFoundError, match=rf"No message found with id '{made.id}'\."):
        client.beta.threads.messages.retrieve(made.id, thread_id=thread.id)


def test_messages_are_filtered_by_run(client: openai.OpenAI) -> None:
    walk = Walk(client)
    thread = walk.thread("first")
    first = walk.run(thread)
    walk.say(thread, "second")
    second = walk.run(thread)
    for run, text in ((first, "echo: first"), (second, "echo: second")):
        (message,) = client.beta.threads.messages.list(thread.id, run_id=run.id).data
        assert (text_of(message), message.run_id, message.role) == (text, run.id, "assistant")
        assert message.assistant_id == walk.assistant.id
    assert len(client.beta.threads.messages.list(thread.id).data) == 4


# --- what is passed through to the model


def test_models_are_those_of_the_routes(client: openai.OpenAI) -> None:
    assert [model.id for model in client.models.list()] == ["scripted", "scripted-small"]
    model = client.models.retrieve("scripted")
    assert (model.id, model.object) == ("scripted", "model")
    assert client.models.retrieve("some/model:7b").id == "some/model:7b"


def test_a_chat_completion_is_passed_through(client: openai.OpenAI) -> None:
    done = client.chat.completions.create(
        model="any", messages=[{"role": "user", "content": "hello"}], temperature=0, extra_body={"seed": 7}
    )
    assert done.object == "chat.completion"
    assert (done.choices[0].message.content, done.choices[0].finish_reason) == ("echo: hello", "stop")
    assert done.usage is not None
    assert done.usage.total_tokens == done.usage.prompt_tokens + done.usage.completion_tokens
    reported = client.chat.completions.create(
        model="any", messages=[{"role": "user", "content": "/report"}], temperature=0, seed=7
    )
    assert reported.choices[0].message.content is not None
    assert '"seed": 7' in reported.choices[0].message.content


def test_a_chat_completion_streams_and_calls(client: openai.OpenAI) -> None:
    with client.chat.completions.stream(
        model="any",
        messages=[{"role": "user", "content": "/say one two three"}],
        stream_options={"include_usage": True},
    ) as stream:
        deltas = [event.delta for event in stream if event.type == "content.delta" and event.delta]
        final = stream.get_final_completion()
    assert deltas == ["one ", "two ", "three"]
    assert final.choices[0].message.content == "one two three"
    assert final.usage is not None
    assert final.usage.completion_tokens == 3
    called = client.chat.completions.create(
        model="any", messages=[{"role": "user", "content": script(NOW)}], tools=[TIME]
    )
    assert called.choices[0].finish_reason == "tool_calls"
    assert called.choices[0].message.tool_calls is not None
    assert [call.function.name for call in called.choices[0].message.tool_calls if call.type == "function"] == [
        "get_time"
    ]


def test_what_the_upstream_refuses_is_passed_on(client: openai.OpenAI) -> None:
    with pytest.raises(openai.RateLimitError, match="slow down") as caught:
        client.chat.completions.create(
            model="any", messages=[{"role": "user", "content": "/fail 429 retry-after=7 slow down"}]
        )
    assert caught.value.response.headers["retry-after"] == "7"


def test_embeddings_are_passed_through(client: openai.OpenAI) -> None:
    one = client.embeddings.create(model="any", input="hello world", dimensions=64)
    assert len(one.data[0].embedding) == 64
    two = client.embeddings.create(model="any", input=["hello world", "other"], dimensions=64, encoding_format="float")
    assert [item.index for item in two.data] == [0, 1]
    assert two.data[0].embedding == pytest.approx(one.data[0].embedding, abs=1e-6)


# --- the same with the asynchronous client


async def test_the_asynchronous_client_walks_the_objects_too(async_client: openai.AsyncOpenAI) -> None:
    beta = async_client.beta
    assistant = await beta.assistants.create(model="scripted")
    assistant = await beta.assistants.update(assistant.id, name="Async")
    assert (await beta.assistants.retrieve(assistant.id)).name == "Async"
    assert (await beta.assistants.list(limit=1)).data[0].id == assistant.id
    thread = await beta.threads.create()
    await beta.threads.update(thread.id, metadata={"a": "1"})
    assert (await beta.threads.retrieve(thread.id)).metadata == {"a": "1"}
    sent = [await beta.threads.messages.create(thread.id, role="user", content=str(n)) for n in range(5)]
    listed = [message.id async for message in beta.threads.messages.list(thread.id, order="asc", limit=2)]
    assert listed == [message.id for message in sent]
    await beta.threads.messages.update(sent[0].id, thread_id=thread.id, metadata={"b": "2"})
    assert (await beta.threads.messages.retrieve(sent[0].id, thread_id=thread.id)).metadata == {"b": "2"}
    assert (await beta.threads.messages.delete(sent[0].id, thread_id=thread.id)).deleted
    assert (await beta.threads.delete(thread.id)).deleted
    assert (await beta.assistants.delete(assistant.id)).deleted
    assert [model.id async for model in async_client.models.list()] == ["scripted", "scripted-small"]
    chunks = await async_client.chat.completions.create(
        model="any", messages=[{"role": "user", "content": "/say a b"}], stream=True
    )
    assert "".join([chunk.choices[0].delta.content or "" async for chunk in chunks if chunk.choices]) == "a b"
    assert len((await async_client.embeddings.create(model="any", input="x", dimensions=8)).data[0].embedding) == 8


# --- errors become the SDK's classes


def test_errors_raise_the_classes_that_clients_catch(client: openai.OpenAI) -> None:
    with pytest.raises(openai.NotFoundError) as missing:
        client.beta.threads.retrieve(f"thread_{MISSING}")
    assert missing.value.body == {
        "message": f"No thread found with id 'thread_{MISSING}'.",
        "type": "invalid_request_error",
        "param": None,
        "code": None,
    }
    assert missing.value.request_id is not None
    assert missing.value.request_id.startswith("req_")
    with pytest.raises(openai.BadRequestError) as wrong:
        client.beta.threads.retrieve("undefined")
    assert wrong.value.code == "invalid_value"
    assert "Invalid 'thread_id': 'undefined'. Expected an ID that begins with 'thread'." in wrong.value.message
    with pytest.raises(openai.BadRequestError, match="Unknown parameter: 'colour'") as unknown:
        client.beta.threads.create(extra_body={"colour": "red"})
    assert (unknown.value.code, unknown.value.param) == ("unknown_parameter", "colour")
    with (
        openai.OpenAI(base_url=client.base_url, api_key="sk-x", default_headers={"OpenAI-Beta": ""}) as headless,
        pytest.raises(openai.BadRequestError, match="You must provide the 'OpenAI-Beta' header"),
    ):
        headless.get("/assistants", cast_to=object)
