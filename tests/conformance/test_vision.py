"""Pictures in questions: uploaded files that reach models that can see, and runs that say so where the model cannot."""

from __future__ import annotations

import base64
import json
import tomllib
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import openai
import pytest

from tests.conformance.talk import Walk, text_of
from tests.conformance.wiretap import Wiretap
from tests.support.http import Api
from tests.support.server import Server

# One pixel, red.
PNG = base64.b64decode("iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAIAAACQd1PeAAAADElEQVR4nGP4z8AAAAMBAQDJ/pLvAAAAAElFTkSuQmCC")
GIF = base64.b64decode("R0lGODlhAQABAIAAAAAAAP///ywAAAAAAQABAAACAkQBADs=")
ADDRESS = "https://example.com/picture.png"
ROUTES = """
[[routes]]
names = ["blind"]
base_url = "{url}"
images = false

[[routes]]
names = ["*"]
base_url = "{url}"
"""


def uploaded(client: openai.OpenAI, name: str, content: bytes) -> str:
    return client.files.create(file=(name, content), purpose="vision").id


def file_part(file_id: str, **options: str) -> Any:
    return {"type": "image_file", "image_file": {"file_id": file_id, **options}}


def url_part(url: str) -> Any:
    return {"type": "image_url", "image_url": {"url": url}}


def text_part(text: str) -> Any:
    return {"type": "text", "text": text}


def asked(*parts: Any) -> Any:
    return [{"role": "user", "content": list(parts)}]


def shown(walk: Walk, run: Any) -> Any:
    """The messages that the model was sent, of a run whose question ends with /report."""
    assert run.status == "completed", run.last_error
    newest = walk.client.beta.threads.messages.list(run.thread_id, run_id=run.id, limit=1).data[0]
    return json.loads(text_of(newest))["messages"]


def data_url(kind: str, content: bytes) -> str:
    return f"data:image/{kind};base64,{base64.b64encode(content).decode()}"


# --- a model that sees


@pytest.fixture
def walk(client: openai.OpenAI) -> Walk:
    return Walk(client)


def test_an_uploaded_picture_reaches_the_model(walk: Walk) -> None:
    png, gif = uploaded(walk.client, "a.png", PNG), uploaded(walk.client, "B.GIF", GIF)
    parts = (text_part("/report"), file_part(png), file_part(gif, detail="low"), url_part(ADDRESS))
    thread = walk.client.beta.threads.create(messages=asked(*parts))
    (question,) = shown(walk, walk.run(thread))
    assert question == {
        "role": "user",
        "content": [
            {"type": "text", "text": "/report"},
            {"type": "image_url", "image_url": {"url": data_url("png", PNG), "detail": "auto"}},
            {"type": "image_url", "image_url": {"url": data_url("gif", GIF), "detail": "low"}},
            {"type": "image_url", "image_url": {"url": ADDRESS, "detail": "auto"}},
        ],
    }
    # What clients are shown is the file, not its bytes.
    (message,) = walk.client.beta.threads.messages.list(thread.id, order="asc", limit=1).data
    assert [part.to_dict() for part in message.content[1:3]] == [
        {"type": "image_file", "image_file": {"file_id": png, "detail": "auto"}},
        {"type": "image_file", "image_file": {"file_id": gif, "detail": "low"}},
    ]


def test_a_picture_of_an_earlier_turn_is_still_shown(walk: Walk) -> None:
    picture = uploaded(walk.client, "a.png", PNG)
    thread = walk.client.beta.threads.create(messages=asked(text_part("/say red"), file_part(picture)))
    assert walk.answer(walk.run(thread)) == "red"
    walk.say(thread, "/report")
    first, answer, _ = shown(walk, walk.run(thread))
    assert first["content"][1]["image_url"]["url"] == data_url("png", PNG)
    assert answer == {"role": "assistant", "content": "red"}


def test_a_picture_that_was_deleted_is_told(walk: Walk) -> None:
    gone, kept = uploaded(walk.client, "a.png", PNG), uploaded(walk.client, "b.png", PNG)
    thread = walk.client.beta.threads.create(messages=asked(text_part("/report"), file_part(gone), file_part(kept)))
    assert walk.client.files.delete(gone).deleted
    (question,) = shown(walk, walk.run(thread))
    assert question["content"] == [
        {"type": "text", "text": "/report"},
        {"type": "text", "text": "[image that is no longer shown]"},
        {"type": "image_url", "image_url": {"url": data_url("png", PNG), "detail": "auto"}},
    ]


def test_a_picture_can_come_with_the_run(walk: Walk) -> None:
    picture = uploaded(walk.client, "a.jpeg", PNG)
    run = walk.run(walk.thread("hello"), additional_messages=asked(text_part("/report"), file_part(picture)))
    assert shown(walk, run)[-1]["content"][1]["image_url"]["url"] == data_url("jpeg", PNG)


def test_what_is_no_picture_is_refused(wiretap: Wiretap, walk: Walk) -> None:
    """Also on every way to bring a message along, and nothing of it is kept."""
    text = walk.client.files.create(file=("a.txt", b"red"), purpose="assistants").id
    thread = walk.client.beta.threads.create()
    api = Api(wiretap.url)
    formats = "Invalid message content: Expected file type to be a supported format: .jpg, .jpeg, .png, .gif, .webp"
    run = {"assistant_id": walk.assistant.id}
    for file_id, told in ((text, f"{formats} but got txt."), ("file-absent", "were not found: file-absent")):
        messages = asked(text_part("look"), file_part(file_id))
        for path, body in (
            (f"/threads/{thread.id}/messages", messages[0]),
            ("/threads", {"messages": messages}),
            ("/threads/runs", run | {"thread": {"messages": messages}}),
            (f"/threads/{thread.id}/runs", run | {"additional_messages": messages}),
        ):
            answer = api.post(path, body)
            assert answer.status == 400
            assert told in answer.json["error"]["message"]
    assert api.get(f"/threads/{thread.id}/messages").ok["data"] == []


# --- a model that does not


@pytest.fixture(scope="module")
def half_blind(
    new_server: Callable[..., AbstractContextManager[Server]],
    models_file: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Wiretap]:
    """A server with a route to a model that cannot see."""
    url = tomllib.loads(models_file.read_text("utf-8"))["routes"][0]["base_url"]
    file = tmp_path_factory.mktemp("half-blind") / "models.toml"
    file.write_text(ROUTES.format(url=url), "utf-8")
    with new_server(models_file=file) as server, Wiretap(server.url) as tap:
        yield tap


@pytest.fixture
def blind(half_blind: Wiretap) -> Iterator[Walk]:
    with openai.OpenAI(base_url=half_blind.url, api_key="sk-conformance", max_retries=0) as client:
        yield Walk(client, model="blind")


@pytest.mark.parametrize("kind", ["image_file", "image_url"])
def test_a_model_that_cannot_see_says_so(blind: Walk, kind: str) -> None:
    part = file_part(uploaded(blind.client, "a.png", PNG)) if kind == "image_file" else url_part(ADDRESS)
    thread = blind.client.beta.threads.create(messages=asked(text_part("What is this?"), part))
    run = blind.run(thread)
    assert run.status == "failed"
    assert run.last_error is not None
    assert "The message has a picture, and the model 'blind' cannot see pictures." in run.last_error.message
    assert blind.client.beta.threads.messages.list(thread.id, run_id=run.id).data == []
    # The thread goes on with a model that sees.
    blind.say(thread, "/report")
    run = blind.run(thread, model="any")
    assert shown(blind, run)[0]["content"][1]["type"] == "image_url"


def test_a_picture_that_comes_after_others_words_counts_too(blind: Walk) -> None:
    picture = uploaded(blind.client, "a.png", PNG)
    thread = blind.client.beta.threads.create(messages=asked(file_part(picture)))
    blind.say(thread, "What is this?")
    assert blind.run(thread).status == "failed"


@pytest.mark.parametrize("kind", ["image_file", "image_url"])
def test_a_picture_of_an_answered_turn_fails_nothing(blind: Walk, kind: str) -> None:
    part = file_part(uploaded(blind.client, "a.png", PNG)) if kind == "image_file" else url_part(ADDRESS)
    thread = blind.client.beta.threads.create(messages=asked(text_part("/say red"), part))
    assert blind.answer(blind.run(thread, model="any")) == "red"
    blind.say(thread, "/report")
    first, _, question = shown(blind, blind.run(thread))
    assert question["content"] == "/report"
    # In words, and as one text: who cannot see often knows no parts either.
    assert first["content"] == "/say red\n[image]"
