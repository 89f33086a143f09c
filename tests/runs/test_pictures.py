"""Pictures reach models that see; those that do not say so, and old ones never stop a conversation."""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from assistd.db.pool import Database
from assistd.files import intake, store
from assistd.files.blobs import Blobs, BlobsUnavailable, open_blobs
from assistd.llm.protocol import ModelRefused, ModelUnavailable
from assistd.runs.pictures import Pictures

NOTE = {"type": "text", "text": "[image that is no longer shown]"}


@pytest.fixture
def blobs(tmp_path: Path) -> Blobs:
    return open_blobs("", tmp_path)


async def picture(database: Database, blobs: Blobs, content: bytes, name: str = "a.png") -> str:
    async def chunks() -> AsyncIterator[bytes]:
        yield content

    async with intake.take_in(database, blobs, chunks()) as blob, database.transaction() as conn:
        return (await store.create(conn, "proj_1", name, "vision", blob)).id


def said(*file_ids: str) -> dict[str, Any]:
    parts = [{"type": "image_file", "image_file": {"file_id": id, "detail": "low"}} for id in file_ids]
    return {"role": "user", "content": [{"type": "text", "text": "?"}, *parts]}


def seen(content: bytes, kind: str = "png") -> dict[str, Any]:
    url = f"data:image/{kind};base64,{base64.b64encode(content).decode()}"
    return {"type": "image_url", "image_url": {"url": url, "detail": "low"}}


ANSWER = {"role": "assistant", "content": "A cat."}


async def show(pictures: Pictures, messages: list[Any], *, can_see: bool = True) -> list[Any]:
    shown = await pictures.show(messages, "proj_1", model="gpt-4o", can_see=can_see)
    return [message["content"] if isinstance(message["content"], str) else message["content"][1:] for message in shown]


async def test_the_content_goes_to_the_model(database: Database, blobs: Blobs) -> None:
    cat, dog = await picture(database, blobs, b"cat"), await picture(database, blobs, b"dog", "d.JPG")
    messages = [said(cat), ANSWER, said(dog, cat)]
    assert await show(Pictures(database, blobs), messages) == [
        [seen(b"cat")],
        "A cat.",
        [seen(b"dog", "jpeg"), seen(b"cat")],
    ]


async def test_another_project_s_picture_is_not_there(database: Database, blobs: Blobs) -> None:
    theirs = await picture(database, blobs, b"cat")
    shown = await Pictures(database, blobs).show([said(theirs)], "proj_2", model="m", can_see=True)
    assert shown[0]["content"][1:] == [NOTE]


async def test_a_model_that_cannot_see_says_so_about_the_question_only(database: Database, blobs: Blobs) -> None:
    cat = await picture(database, blobs, b"cat")
    pictures = Pictures(database, blobs)
    address = {"role": "user", "content": [{"type": "image_url", "image_url": {"url": "https://x.test/a.png"}}]}
    for question in (said(cat), address):
        with pytest.raises(ModelRefused, match="'gpt-4o' cannot see pictures"):
            await pictures.show([question], "proj_1", model="gpt-4o", can_see=False)
    # What was answered before is the route's to tell in its own words.
    asked = {"role": "user", "content": "And now?"}
    messages = [said(cat), address, ANSWER, asked]
    assert await pictures.show(messages, "proj_1", model="gpt-4o", can_see=False) == messages
    # Calls are no answer yet: the question still stands.
    calls = {"role": "assistant", "content": None, "tool_calls": [{}]}
    with pytest.raises(ModelRefused):
        await pictures.show([said(cat), calls], "proj_1", model="gpt-4o", can_see=False)


async def test_old_pictures_make_room_for_those_of_the_question(database: Database, blobs: Blobs) -> None:
    small = Pictures(database, blobs, most_bytes=5)
    cat, dog = await picture(database, blobs, b"cat"), await picture(database, blobs, b"dog")
    assert await show(small, [said(cat), ANSWER, said(dog)]) == [[NOTE], "A cat.", [seen(b"dog")]]
    assert await show(small, [said(cat), ANSWER, said()]) == [[seen(b"cat")], "A cat.", []]
    with pytest.raises(ModelRefused, match="pictures"):
        await show(small, [said(cat, dog)])


async def test_content_that_is_lost_or_out_of_reach(
    database: Database, blobs: Blobs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cat = await picture(database, blobs, b"cat")
    (blob,) = [path for path in (tmp_path / "blobs").rglob("*") if path.is_file()]
    blob.unlink()
    pictures = Pictures(database, blobs)
    with pytest.raises(ModelRefused, match="is lost"):
        await show(pictures, [said(cat)])
    assert await show(pictures, [said(cat), ANSWER, said()]) == [[NOTE], "A cat.", []]

    async def away(keys: Any) -> AsyncIterator[bytes]:
        raise BlobsUnavailable("refused")
        yield b""

    monkeypatch.setattr(blobs, "read", away)
    with pytest.raises(ModelUnavailable, match="out of reach"):
        await show(pictures, [said(cat)])
