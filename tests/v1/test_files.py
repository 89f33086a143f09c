"""The files of assistants and of messages as openai 1.2.3 links, lists and takes them, and the limits of the time."""

from __future__ import annotations

import re
from typing import Any

import pytest

from tests.faults.refusals import unsupported
from tests.support.http import Api
from tests.v1.asking import NO_ASSISTANT, NO_FILE, NO_MESSAGE, RETRIEVAL, TOOLS, refusal, said, upload
from tests.v1.old_sdk import OldSdk

UNSUPPORTED = unsupported(".zip").message


@pytest.fixture(scope="module")
def files(v1: Api) -> list[str]:
    """The ids of 21 small texts: one more than an assistant may have."""
    return [upload(v1, f"{number}.txt") for number in range(21)]


# --- the files of an assistant


def test_a_file_is_linked_shown_and_taken(november: OldSdk, files: list[str]) -> None:
    assistants = november.beta.assistants
    assistant = assistants.create(model="scripted", tools=TOOLS)
    link = assistants.files.create(assistant["id"], file_id=files[0])
    assert list(link) == ["id", "assistant_id", "created_at", "object"]
    assert (link["id"], link["assistant_id"], link["object"]) == (files[0], assistant["id"], "assistant.file")
    assert type(link["created_at"]) is int
    assert link["created_at"] >= assistant["created_at"]
    assert assistants.files.retrieve(files[0], assistant_id=assistant["id"]) == link
    assert assistants.retrieve(assistant["id"]) == assistant | {"file_ids": [files[0]]}
    assert assistants.files.create(assistant["id"], file_id=files[0]) == link, "once more is once"

    gone = assistants.files.delete(files[0], assistant_id=assistant["id"])
    assert gone == {"id": files[0], "deleted": True, "object": "assistant.file.deleted"}
    assert list(gone) == ["id", "deleted", "object"]
    assert assistants.retrieve(assistant["id"]) == assistant
    assert november.files.retrieve(files[0])["id"] == files[0], "the file itself stays"
    for call in (assistants.files.retrieve, assistants.files.delete):
        refused = refusal(call, files[0], assistant_id=assistant["id"])
        assert (refused.kind, refused.status) == ("NotFoundError", 404)
        assert files[0] in refused.error["message"]


def test_files_are_given_with_the_assistant(november: OldSdk, files: list[str]) -> None:
    assistants = november.beta.assistants
    assistant = assistants.create(model="scripted", tools=TOOLS, file_ids=files[:3])
    assert assistant["file_ids"] == files[:3]
    assert [file["id"] for file in assistants.files.list(assistant["id"], order="asc")["data"]] == files[:3]
    assert assistants.update(assistant["id"], name="A")["file_ids"] == files[:3], "what is not named stays"
    assert assistants.update(assistant["id"], file_ids=[files[1], files[5]])["file_ids"] == [files[1], files[5]]
    assert assistants.update(assistant["id"], file_ids=[])["file_ids"] == []
    assert assistants.files.list(assistant["id"])["data"] == []


def test_the_files_of_an_assistant_are_paged(november: OldSdk, files: list[str]) -> None:
    assistants = november.beta.assistants
    id = assistants.create(model="scripted", tools=TOOLS)["id"]
    for file_id in files[:5]:
        assistants.files.create(id, file_id=file_id)

    def ids(**options: Any) -> list[str]:
        return [file["id"] for file in assistants.files.list(id, **options)["data"]]

    assert ids() == files[4::-1], "newest first"
    assert ids(order="asc") == files[:5]
    assert ids(order="asc", limit=2) == files[:2]
    assert ids(order="asc", limit=2, after=files[1]) == files[2:4]
    assert ids(order="desc", limit=2, after=files[2]) == [files[1], files[0]]
    assert ids(order="asc", limit=2, before=files[4]) == files[2:4], "those right before it"
    assert ids(order="desc", before=files[3]) == [files[4]]
    page = assistants.files.list(id, order="asc", limit=2)
    assert list(page) == ["data", "object", "first_id", "last_id", "has_more"]
    assert (page["object"], page["first_id"], page["last_id"], page["has_more"]) == ("list", files[0], files[1], True)
    assert [file["id"] for file in assistants.files.list.each(id, order="asc", limit=2)] == files[:5]
    empty = assistants.files.list(id, order="asc", after=files[4])
    assert empty == {"data": [], "object": "list", "first_id": None, "last_id": None, "has_more": False}

    assistants.files.delete(files[1], assistant_id=id)
    assert ids(order="asc", after=files[1]) == files[2:5], "from where one was that is gone"
    for cursor in ("after", "before"):
        assert refusal(assistants.files.list, id, **{cursor: NO_FILE}).status == 404
    assert refusal(assistants.files.list, id, limit=101).error["code"] == "integer_above_max_value"
    assert refusal(assistants.files.list, id, order="up").error["param"] == "order"


def test_what_is_not_there_is_not_found(november: OldSdk, files: list[str]) -> None:
    assistants = november.beta.assistants
    id = assistants.create(model="scripted", tools=TOOLS)["id"]
    for refused in (
        refusal(assistants.files.create, NO_ASSISTANT, file_id=files[0]),
        refusal(assistants.files.list, NO_ASSISTANT),
        refusal(assistants.files.retrieve, files[0], assistant_id=NO_ASSISTANT),
        refusal(assistants.files.delete, files[0], assistant_id=NO_ASSISTANT),
    ):
        assert (refused.kind, refused.status) == ("NotFoundError", 404)
        assert refused.error == said(f"No assistant found with id '{NO_ASSISTANT}'.", None, None)
    for refused in (
        refusal(assistants.files.retrieve, files[0], assistant_id=id),
        refusal(assistants.files.retrieve, NO_FILE, assistant_id=id),
        refusal(assistants.files.delete, NO_FILE, assistant_id=id),
    ):
        assert (refused.kind, refused.status) == ("NotFoundError", 404)
        assert "No file found with id" in refused.error["message"]
    # A file that a body names is a fault of the request.
    for refused in (
        refusal(assistants.files.create, id, file_id=NO_FILE),
        refusal(assistants.create, model="scripted", tools=TOOLS, file_ids=[files[0], NO_FILE]),
        refusal(assistants.update, id, file_ids=[NO_FILE]),
    ):
        assert (refused.kind, refused.status) == ("BadRequestError", 400)
        assert NO_FILE in refused.error["message"]
        assert files[0] not in refused.error["message"]
    assert assistants.retrieve(id)["file_ids"] == []


def test_a_wrong_id_is_told_by_its_prefix(november: OldSdk, files: list[str]) -> None:
    refused = refusal(november.beta.assistants.files.list, files[0])
    assert refused.error == said(
        f"Invalid 'assistant_id': '{files[0]}'. Expected an ID that begins with 'asst'.",
        "assistant_id",
        "invalid_value",
    )


def test_retrieval_takes_no_files_that_it_cannot_read(november: OldSdk, v1: Api, files: list[str]) -> None:
    assistants = november.beta.assistants
    zipped = upload(v1, "a.zip", b"PK")
    id = assistants.create(model="scripted", tools=[RETRIEVAL])["id"]
    for refused in (
        refusal(assistants.create, model="scripted", tools=[RETRIEVAL], file_ids=[files[0], zipped]),
        refusal(assistants.update, id, file_ids=[zipped]),
        refusal(assistants.files.create, id, file_id=zipped),
    ):
        assert (refused.kind, refused.status) == ("BadRequestError", 400)
        assert refused.error == said(UNSUPPORTED, "file_ids", "unsupported_file")
    assert assistants.retrieve(id)["file_ids"] == []
    # The code interpreter can use it.
    made = assistants.create(model="scripted", tools=TOOLS, file_ids=[zipped, files[0]])
    assert made["file_ids"] == [zipped, files[0]]


def test_an_assistant_has_twenty_files(november: OldSdk, files: list[str]) -> None:
    assistants = november.beta.assistants
    many = "array too long. Expected an array with maximum length 20, but got an array with length 21 instead."
    full = assistants.create(model="scripted", tools=TOOLS, file_ids=files[:20])
    assert len(full["file_ids"]) == 20
    for refused in (
        refusal(assistants.create, model="scripted", tools=TOOLS, file_ids=files),
        refusal(assistants.update, full["id"], file_ids=files),
    ):
        assert refused.error == said(f"Invalid 'file_ids': {many}", "file_ids", "array_above_max_length")
    refused = refusal(assistants.files.create, full["id"], file_id=files[20])
    assert (refused.kind, refused.status) == ("BadRequestError", 400)
    assert "20 files" in refused.error["message"]
    assistants.files.delete(files[0], assistant_id=full["id"])
    assistants.files.create(full["id"], file_id=files[20])
    assert assistants.retrieve(full["id"])["file_ids"] == files[1:]


# --- the files of a message


def test_the_files_of_a_message_are_shown_and_paged(november: OldSdk, files: list[str]) -> None:
    threads, id = november.beta.threads, november.beta.threads.create()["id"]
    message = threads.messages.create(id, role="user", content="Look.", file_ids=files[:3])
    assert message["file_ids"] == files[:3]
    assert threads.messages.retrieve(message["id"], thread_id=id) == message
    place: dict[str, Any] = {"thread_id": id, "message_id": message["id"]}
    file = threads.messages.files.retrieve(files[1], **place)
    assert list(file) == ["id", "created_at", "message_id", "object"]
    assert file == {
        "id": files[1],
        "created_at": message["created_at"],
        "message_id": message["id"],
        "object": "thread.message.file",
    }

    def ids(**options: Any) -> list[str]:
        page = threads.messages.files.list(message["id"], thread_id=id, **options)
        assert list(page) == ["data", "object", "first_id", "last_id", "has_more"]
        return [each["id"] for each in page["data"]]

    assert ids() == files[2::-1], "newest first"
    assert ids(order="asc") == files[:3]
    assert ids(order="asc", limit=1) == files[:1]
    assert ids(order="asc", after=files[0]) == files[1:3]
    assert ids(order="asc", limit=1, before=files[2]) == [files[1]]
    assert ids(after=files[0]) == []
    listed = threads.messages.files.list.each(message["id"], thread_id=id, limit=1, order="asc")
    assert [each["id"] for each in listed] == files[:3]

    bare = threads.messages.create(id, role="user", content="And now?")
    assert bare["file_ids"] == []
    assert threads.messages.files.list(bare["id"], thread_id=id)["data"] == []
    for refused in (
        refusal(threads.messages.files.retrieve, files[0], thread_id=id, message_id=bare["id"]),
        refusal(threads.messages.files.retrieve, NO_FILE, **place),
        refusal(threads.messages.files.list, NO_MESSAGE, thread_id=id),
        refusal(threads.messages.files.retrieve, files[0], thread_id=id, message_id=NO_MESSAGE),
    ):
        assert (refused.kind, refused.status) == ("NotFoundError", 404)
        assert re.fullmatch(r"No (file|message) found with id '.+'.*\.", refused.error["message"])


def test_messages_bring_files_wherever_they_are_made(november: OldSdk, april: OldSdk, files: list[str]) -> None:
    asked = {"role": "user", "content": "Look.", "file_ids": files[:2]}
    thread = november.beta.threads.create(messages=[asked, {"role": "user", "content": "Well?"}])
    listed = november.beta.threads.messages.list(thread["id"], order="asc")["data"]
    assert [message["file_ids"] for message in listed] == [files[:2], []]
    assistant = november.beta.assistants.create(model="scripted", tools=TOOLS)
    run = april.beta.threads.runs.create_and_poll(
        thread_id=thread["id"],
        assistant_id=assistant["id"],
        additional_messages=[asked | {"file_ids": [files[2]]}],
        poll_interval_ms=20,
    )
    assert (run["status"], run["file_ids"]) == ("completed", [])
    listed = november.beta.threads.messages.list(thread["id"], order="asc")["data"]
    assert [message["file_ids"] for message in listed] == [files[:2], [], [files[2]], []]


def test_a_message_has_ten_files(november: OldSdk, files: list[str]) -> None:
    threads, id = november.beta.threads, november.beta.threads.create()["id"]
    many = "array too long. Expected an array with maximum length 10, but got an array with length 11 instead."
    refused = refusal(threads.messages.create, id, role="user", content="Look.", file_ids=files[:11])
    assert refused.error == said(f"Invalid 'file_ids': {many}", "file_ids", "array_above_max_length")
    refused = refusal(threads.create, messages=[{"role": "user", "content": "Look.", "file_ids": files[:11]}])
    assert refused.error == said(
        f"Invalid 'messages[0].file_ids': {many}", "messages[0].file_ids", "array_above_max_length"
    )
    made = threads.messages.create(id, role="user", content="Look.", file_ids=files[:10])
    assert len(made["file_ids"]) == 10
    refused = refusal(threads.messages.create, id, role="user", content="Look.", file_ids=[NO_FILE])
    assert (refused.kind, refused.status) == ("BadRequestError", 400)
    assert NO_FILE in refused.error["message"]


# --- how long a text may be


@pytest.mark.parametrize(("version", "longest"), [("november", 32_768), ("april", 256_000)])
def test_a_text_is_as_long_as_its_time_allowed(version: str, longest: int, request: pytest.FixtureRequest) -> None:
    sdk: OldSdk = request.getfixturevalue(version)
    thread = sdk.beta.threads.create()["id"]
    assistant = sdk.beta.assistants.create(model="scripted")["id"]
    fits, long = "ö" * longest, "ö" * (longest + 1)
    told = f"string too long. Expected a string with maximum length {longest}, but got a string with length "
    asked = {"role": "user", "content": long}
    for param, call, arguments in (
        ("content", sdk.beta.threads.messages.create, {"thread_id": thread, **asked}),
        ("instructions", sdk.beta.assistants.create, {"model": "scripted", "instructions": long}),
        ("instructions", sdk.beta.assistants.update, {"assistant_id": assistant, "instructions": long}),
        (
            "instructions",
            sdk.beta.threads.runs.create,
            {"thread_id": thread, "assistant_id": assistant, "instructions": long},
        ),
        ("messages[0].content", sdk.beta.threads.create, {"messages": [asked]}),
        (
            "thread.messages[0].content",
            sdk.beta.threads.create_and_run,
            {"assistant_id": assistant, "thread": {"messages": [asked]}},
        ),
    ):
        refused = refusal(call, **arguments)
        assert (refused.kind, refused.status) == ("BadRequestError", 400)
        assert refused.error == said(
            f"Invalid '{param}': {told}{longest + 1} instead.", param, "string_above_max_length"
        )
    made = sdk.beta.threads.messages.create(thread, role="user", content=fits)
    assert made["content"][0]["text"]["value"] == fits
    assert sdk.beta.assistants.update(assistant, instructions=fits)["instructions"] == fits
