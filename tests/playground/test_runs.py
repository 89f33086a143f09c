"""Runs that are stopped, fail, and outlive the page and the server."""

from __future__ import annotations

import asyncio
import re
import signal
import socket
from pathlib import Path

import pytest
from playwright.async_api import Route, expect

from tests.playground.visitor import Visitor, visit
from tests.support.http import Api
from tests.support.server import Server, serve

# Slow enough that whatever a test does falls into its middle.
SLOW = "/tokens 40\n/pace 50 100"
ALL = " ".join(f"w{number}" for number in range(40))


async def test_a_run_is_stopped(visitor: Visitor) -> None:
    page = visitor.page
    await visitor.make_assistant("Talker")
    await visitor.say("/tokens 2000\n/pace 20 50")
    await expect(visitor.answers).to_contain_text("w3")
    await visitor.examine("while it streams")
    await visitor.composer.fill("too early")
    await visitor.composer.press("Enter")
    await expect(page.get_by_text("Not sent: the assistant is still answering.")).to_be_visible()
    await expect(visitor.composer).to_have_value("too early")
    await page.get_by_role("button", name="Stop").click()
    await expect(page.get_by_text("The run was stopped.")).to_be_visible()
    await visitor.wait_until_idle()
    # The thread is free for the next message.
    await expect(page.get_by_text("Not sent:")).to_have_count(0)
    await visitor.composer.press("Enter")
    await visitor.read("echo: too early")
    await visitor.say("again")
    await visitor.read("echo: again")


async def test_stop_before_the_run_is_there(visitor: Visitor) -> None:
    page = visitor.page
    await visitor.make_assistant("Talker")
    await visitor.say("first")
    await visitor.read("echo: first")
    stopped = asyncio.Event()

    async def hold(route: Route) -> None:
        await stopped.wait()
        await route.continue_()

    await page.route(re.compile(r"/runs$"), hold)
    await visitor.say("/tokens 2000\n/pace 20 50")
    await page.get_by_role("button", name="Stop").click()
    stopped.set()
    await expect(page.get_by_text("The run was stopped.")).to_be_visible()
    await visitor.wait_until_idle()
    await expect(page.get_by_role("alert")).to_have_count(0)


async def test_a_new_thread_is_begun_once(visitor: Visitor) -> None:
    page = visitor.page
    await visitor.make_assistant("Echo")
    asked = asyncio.Event()

    async def hold(route: Route) -> None:
        await asked.wait()
        await route.continue_()

    await page.route(re.compile(r"/v1/threads$"), hold)
    await visitor.composer.fill("only once")
    await visitor.composer.press("Enter")
    await expect(visitor.composer).to_have_value("")
    await expect(visitor.composer).to_be_disabled()
    asked.set()
    await visitor.read("echo: only once")
    await expect(visitor.composer).to_be_focused()


async def test_what_others_do_with_the_thread_is_seen(visitor: Visitor, server: Server) -> None:
    """Another page, or a program: when this window is looked at again, and where they are in each other's way."""
    page = visitor.page
    await visitor.make_assistant("Echo")
    await visitor.say("mine")
    await visitor.read("echo: mine")
    thread = f"/threads/{visitor.thread_id}"
    api = Api(server.url)
    assistant_id = api.get(f"{thread}/runs").ok["data"][0]["assistant_id"]

    def say(text: str) -> None:
        assert api.post(f"{thread}/messages", {"role": "user", "content": text}).status == 200
        assert api.post(f"{thread}/runs", {"assistant_id": assistant_id}).status == 200

    say("theirs")
    await page.evaluate("window.dispatchEvent(new Event('focus'))")
    await visitor.read("echo: theirs")

    say("/tokens 2000\n/pace 20 50")
    await visitor.say("mine again")
    await expect(page.get_by_role("alert")).to_contain_text("is active")
    await expect(visitor.composer).to_have_value("mine again")
    await expect(visitor.answers.last).to_contain_text("w3")
    await page.get_by_role("button", name="Stop").click()
    await expect(page.get_by_text("The run was stopped.")).to_be_visible()
    visitor.forgive("400")


async def test_a_run_that_fails_says_why(visitor: Visitor) -> None:
    await visitor.make_assistant("Failer")
    await visitor.say("/fail 400 This model is on strike.")
    ending = visitor.page.get_by_text("The run failed:")
    await expect(ending).to_contain_text("on strike")
    await visitor.examine("failed run")
    await visitor.page.reload()
    await expect(ending).to_contain_text("on strike")


async def test_a_reload_in_the_middle_of_a_stream_goes_on(visitor: Visitor) -> None:
    await visitor.make_assistant("Talker")
    await visitor.say(SLOW)
    await expect(visitor.answers).to_contain_text("w3")
    await visitor.page.reload()
    await expect(visitor.page.get_by_role("button", name="Stop")).to_be_visible()
    await visitor.read(ALL)
    await expect(visitor.answers).to_have_count(1)


async def test_a_run_goes_on_behind_another_thread(visitor: Visitor) -> None:
    await visitor.make_assistant("Talker")
    await visitor.say(SLOW)
    await expect(visitor.answers).to_contain_text("w3")
    thread_id = visitor.thread_id
    await visitor.come("#/")
    await visitor.say("meanwhile")
    await visitor.read("echo: meanwhile")
    await visitor.come_to_thread(thread_id)
    await visitor.read(ALL)


@pytest.mark.parametrize("end", [signal.SIGTERM, signal.SIGKILL], ids=["stopped", "killed"])
async def test_a_server_that_is_restarted_in_the_middle(end: signal.Signals, built: None, tmp_path: Path) -> None:
    port = _free_port()
    with serve(tmp_path, "--port", port) as first:
        async with visit(first.url) as visitor:
            await visitor.make_assistant("Talker")
            await visitor.say(SLOW)
            await expect(visitor.answers).to_contain_text("w3")
            first.send(end)
            first.process.wait(60)
            await expect(visitor.page.get_by_text("The connection is lost.")).to_be_visible()
            with serve(tmp_path, "--port", port):
                await visitor.read(ALL)
                await expect(visitor.answers).to_have_count(1)
                await expect(visitor.page.get_by_text("The connection is lost.")).not_to_be_visible()
                await visitor.say("hello again")
                await visitor.read("echo: hello again")
                visitor.forgive(r"net::ERR_|502|503")


async def test_a_page_that_is_opened_before_its_server(built: None, tmp_path: Path) -> None:
    port = _free_port()
    with serve(tmp_path, "--port", port) as first:
        async with visit(first.url) as visitor:
            await visitor.make_assistant("Echo")
            await visitor.say("remember")
            await visitor.read("echo: remember")
            thread_id = visitor.thread_id
            await visitor.come("#/")
            first.stop()
            await visitor.page.get_by_role("link", name="Assistants").click()
            await visitor.come_to_thread(thread_id)
            with serve(tmp_path, "--port", port):
                await visitor.read("echo: remember")
                visitor.forgive(r"net::ERR_|502|503")


async def test_the_inspector_shows_steps_events_and_prompts(visitor: Visitor) -> None:
    page, inspector = visitor.page, visitor.inspector
    await visitor.make_assistant("Echo")
    await visitor.say("what is sent?")
    await visitor.read("echo: what is sent?")
    await expect(inspector).to_contain_text(re.compile(r"Tokens\d+ \+ \d+"))
    await inspector.get_by_role("tab", name="Events").click()
    await expect(inspector).to_contain_text("run.created")
    await expect(inspector).to_contain_text("message.delta")
    await inspector.get_by_text("run.created").click()
    await expect(inspector.get_by_label("Data of the event")).to_contain_text('"object": "thread.run"')
    await visitor.examine("events")
    await inspector.get_by_role("tab", name="Prompts").click()
    await expect(inspector.get_by_role("region", name="user message")).to_contain_text("what is sent?")
    await visitor.examine("prompts")

    # The same of a run that ended before the page was there.
    await page.reload()
    await inspector.get_by_role("tab", name="Events").click()
    await expect(inspector).to_contain_text("run.completed")


async def test_the_conversation_as_code(visitor: Visitor) -> None:
    page = visitor.page
    await visitor.make_assistant("Echo")
    await visitor.say('say "hi" & <bye>')
    await visitor.read("bye")
    await page.get_by_role("button", name="Code", exact=True).click()
    dialog = page.get_by_role("dialog")
    await expect(dialog).to_contain_text('ask(content="say \\"hi\\" & <bye>")')
    await expect(dialog).to_contain_text(visitor.address)
    await visitor.examine("code")
    await dialog.get_by_role("tab", name="Node").click()
    await expect(dialog).to_contain_text('await ask({ content: "say \\"hi\\" & <bye>" });')


def _free_port() -> str:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return str(free.getsockname()[1])


async def test_an_answer_without_a_word_says_so(visitor: Visitor) -> None:
    await visitor.make_assistant("Silent")
    await visitor.say('/say ""')
    await visitor.read("The model ended without a word.")


async def test_tool_calls_of_earlier_runs_are_there_after_a_reload(visitor: Visitor) -> None:
    page = visitor.page
    await visitor.make_assistant("Searcher", "File search")
    for number in range(2):
        await visitor.say(f'/call file_search {{"query": "number {number}"}}')
        await expect(page.get_by_text("Searched files")).to_have_count(number + 1)
        await visitor.wait_until_idle()
    await page.reload()
    await expect(page.get_by_text("Searched files")).to_have_count(2)


async def test_what_cannot_be_drawn_takes_nothing_else_with_it(visitor: Visitor) -> None:
    page = visitor.page
    await visitor.make_assistant("Echo")
    await visitor.say("hello")
    await visitor.read("echo: hello")

    async def spoil(route: Route) -> None:
        answer = await route.fetch()
        body = await answer.json()
        body["data"][0]["content"] = None
        await route.fulfill(response=answer, json=body)

    messages = re.compile(r"/messages\?")
    await page.route(messages, spoil)
    await page.reload()
    await expect(page.get_by_role("alert")).to_contain_text("This cannot be shown")
    await page.unroute(messages)
    await page.get_by_role("link", name="Assistants").click()
    await expect(page.get_by_role("heading", name="Assistants")).to_be_visible()
    visitor.forgive("null")
