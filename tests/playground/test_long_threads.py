"""Threads that are longer than the window: their end is seen, and what is read keeps its place."""

from __future__ import annotations

import json
import re
import struct
import zlib

import openai
import pytest
from playwright.async_api import Locator, expect

from tests.playground.visitor import Visitor
from tests.support.http import Api
from tests.support.server import Server

pytestmark = pytest.mark.long

MESSAGES = 230  # more than two pages of the API


def thread_of(server: Server, messages: list[dict[str, str]]) -> str:
    """A thread of these messages: a new one takes 32, and each later one comes by itself."""
    api = Api(server.url)
    thread_id = str(api.post("/threads", {"messages": messages[:32]}).ok["id"])
    for message in messages[32:]:
        assert api.post(f"/threads/{thread_id}/messages", message).status == 200
    return thread_id


def filled(server: Server) -> str:
    """A thread of so many messages, each of some lines, the last by an assistant."""
    messages = [
        {"role": "assistant" if n % 2 else "user", "content": f"number {n}\n" + "line\n" * (n % 7)}
        for n in range(MESSAGES)
    ]
    return thread_of(server, messages)


async def top_of(row: Locator) -> float:
    """Where a row is once it rests, in pixels from the top of the window."""
    before = None
    for _ in range(100):
        box = await row.bounding_box()
        assert box
        if box["y"] == before:
            return before
        before = box["y"]
        await row.page.wait_for_timeout(100)
    raise AssertionError("it never rests")


async def in_the_middle(visitor: Visitor) -> str | None:
    """The number of the message in the middle of the window, if it has one."""
    text = await visitor.page.evaluate(
        "() => document.elementFromPoint(innerWidth / 2, innerHeight / 2).closest('.feed-row')?.textContent ?? ''"
    )
    found = re.search(r"number (\d+)", text)
    return found and found[1]


def png(width: int, height: int) -> bytes:
    """A black picture."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    lines = zlib.compress(bytes(height * (1 + width)))
    head = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", lines) + chunk(b"IEND", b"")


async def upwards(visitor: Visitor, pixels: int) -> None:
    await visitor.page.get_by_role("log", name="Messages").hover()
    await visitor.page.mouse.wheel(0, -pixels)


async def test_a_long_first_message_and_its_answer_are_seen(visitor: Visitor) -> None:
    await visitor.make_assistant("Echo")
    for length in (300, 3_000, 15_000):
        await visitor.come("#/")
        await visitor.say("word " * (length // 5) + "\n/say the end")
        await visitor.read("the end")
        await expect(visitor.answers.last).to_be_in_viewport()


async def test_a_thread_opens_at_its_end_and_is_read_up_to_its_beginning(visitor: Visitor, server: Server) -> None:
    thread_id = filled(server)
    await visitor.come_to_thread(thread_id)
    await expect(visitor.answers.last).to_contain_text(f"number {MESSAGES - 1}")
    await expect(visitor.answers.last).to_be_in_viewport()
    seen: set[int] = set()
    for _ in range(200):
        for text in await visitor.page.get_by_role("article").all_inner_texts():
            seen.add(int(re.findall(r"number (\d+)", text)[0]))
        if 0 in seen:
            break
        await upwards(visitor, 400)
    assert seen == set(range(MESSAGES))
    await visitor.page.get_by_role("button", name="Scroll to the newest").click()
    await expect(visitor.answers.last).to_contain_text(f"number {MESSAGES - 1}")
    await expect(visitor.answers.last).to_be_in_viewport()


async def test_what_is_read_keeps_its_place_while_an_answer_comes(visitor: Visitor, server: Server) -> None:
    await visitor.make_assistant("Echo")
    await visitor.come_to_thread(filled(server))
    await expect(visitor.answers.last).to_be_in_viewport()
    lines = " ".join(f"line-{n}\n\n" for n in range(60))
    await visitor.say(f"/say {json.dumps(lines)}\n/pace 50 60")
    await expect(visitor.answers.last).to_contain_text("line-20")
    await expect(visitor.answers.last.get_by_role("paragraph").last).to_be_in_viewport()
    while (number := await in_the_middle(visitor)) is None:
        await upwards(visitor, 400)
    read = visitor.page.get_by_role("article").filter(has_text=f"number {number}")
    before = await top_of(read)
    await visitor.wait_until_idle()
    assert abs(await top_of(read) - before) < 2
    await visitor.page.get_by_role("button", name="Scroll to the newest").click()
    await expect(visitor.answers.last.get_by_text("line-59", exact=True)).to_be_in_viewport()


async def test_who_writes_sees_the_answer_wherever_they_have_read(visitor: Visitor, server: Server) -> None:
    await visitor.make_assistant("Echo")
    await visitor.come_to_thread(filled(server))
    await expect(visitor.answers.last).to_be_in_viewport()
    await upwards(visitor, 3_000)
    await expect(visitor.page.get_by_role("button", name="Scroll to the newest")).to_be_visible()
    await visitor.say("back to the end")
    await visitor.read("echo: back to the end")
    await expect(visitor.answers.last).to_be_in_viewport()


async def test_a_picture_that_comes_back_does_not_move_what_is_read(visitor: Visitor, server: Server) -> None:
    with openai.OpenAI(base_url=server.url, api_key="any") as client:
        file_id = client.files.create(file=("tall.png", png(300, 460)), purpose="vision").id
    pictures = [{"type": "image_file", "image_file": {"file_id": file_id}}] * 3
    texts = [{"role": "user", "content": f"number {n}\n" + "line\n" * 20} for n in range(20)]
    messages = [*texts[:10], {"role": "user", "content": pictures}, *texts[10:]]
    await visitor.come_to_thread(str(Api(server.url).post("/threads", {"messages": messages}).ok["id"]))
    log = visitor.page.get_by_role("log", name="Messages")
    picture = visitor.page.get_by_role("img", name="Picture in the conversation")

    async def climb() -> None:
        """Go up until the pictures are in the middle. What is read moves as far as the list is scrolled."""
        while (number := await in_the_middle(visitor)) is not None:
            read = visitor.page.get_by_role("article").filter(has_text=re.compile(rf"number {number}\b"))
            before = await top_of(read)
            await log.evaluate("log => log.scrollBy(0, -200)")
            assert abs(await top_of(read) - before - 200) < 2
            # Each picture that is in the page is there as a whole.
            for one in await picture.all():
                await expect(one).to_have_js_property("complete", value=True)

    await expect(visitor.page.get_by_text("number 19")).to_be_in_viewport()
    await climb()
    await visitor.page.get_by_role("button", name="Scroll to the newest").click()
    await expect(picture).to_have_count(0)
    await climb()


async def test_the_end_stays_in_a_window_that_becomes_smaller(visitor: Visitor, server: Server) -> None:
    await visitor.make_assistant("Echo")
    await visitor.come_to_thread(filled(server))
    end = visitor.answers.last.get_by_text(f"number {MESSAGES - 1}")
    await expect(end).to_be_in_viewport()
    for _ in range(8):
        await visitor.composer.press("Shift+Enter")
        await expect(end).to_be_in_viewport(ratio=1)
    await visitor.composer.fill("")
    await visitor.page.set_viewport_size({"width": 390, "height": 400})
    await expect(end).to_be_in_viewport(ratio=1)


async def test_home_and_end_lead_there_while_an_answer_comes(visitor: Visitor, server: Server) -> None:
    await visitor.make_assistant("Echo")
    messages = [{"role": "user", "content": f"number {n}\n" + "line\n" * (n % 14)} for n in range(32)]
    await visitor.come_to_thread(thread_of(server, messages))
    lines = " ".join(f"line-{n}\n\n" for n in range(80))
    await visitor.say(f"/say {json.dumps(lines)}\n/pace 50 60")
    await expect(visitor.answers.last).to_contain_text("line-10")
    log = visitor.page.get_by_role("log", name="Messages")
    await log.press("Home")
    await expect(visitor.page.get_by_text("number 0", exact=True)).to_be_in_viewport()
    await log.press("End")
    await visitor.wait_until_idle()
    await expect(visitor.answers.last.get_by_text("line-79", exact=True)).to_be_in_viewport()


@pytest.mark.parametrize("has_focus", [True, False])
async def test_what_is_typed_for_a_function_outlasts_scrolling(
    visitor: Visitor, server: Server, has_focus: bool
) -> None:
    page = visitor.page
    function = {"type": "function", "function": {"name": "weather"}}
    Api(server.url).post("/assistants", {"model": "scripted", "name": "Caller", "tools": [function]}).ok  # noqa: B018
    await visitor.come_to_thread(filled(server))
    await visitor.say("/call weather {}")
    output = page.get_by_label("Output of weather")
    await output.fill("sunny")
    if not has_focus:
        await page.get_by_role("log", name="Messages").focus()
    await page.get_by_role("log", name="Messages").evaluate("log => log.scrollBy(0, -3000)")
    await expect(page.get_by_role("button", name="Scroll to the newest")).to_be_visible()
    if has_focus:
        await page.keyboard.type(" and warm")
    else:
        await expect(output).to_have_count(0)
        await page.get_by_role("button", name="Scroll to the newest").click()
    await expect(output).to_be_in_viewport()
    await expect(output).to_have_value("sunny and warm" if has_focus else "sunny")
