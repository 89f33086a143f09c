"""What is typed into forms: nothing of it is lost, nothing else is written over, and what is wrong is said."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

from playwright.async_api import Request, Route, expect

from tests.playground.visitor import Visitor, visit
from tests.support.http import Api
from tests.support.server import Server, serve


def refusing(status: int, method: str, body: str = "") -> Any:
    """A route that answers requests of this method so, and lets the others pass."""

    async def answer(route: Route, request: Request) -> None:
        if request.method == method:
            await route.fulfill(status=status, body=body, content_type="text/html")
        else:
            await route.fallback()

    return answer


async def test_what_was_changed_elsewhere_is_kept(visitor: Visitor, server: Server) -> None:
    page, api = visitor.page, Api(server.url)
    made = api.post(
        "/assistants",
        {
            "model": "scripted",
            "name": "Before",
            "metadata": {"owner": "ann"},
            "tool_resources": {"file_search": {"vector_stores": [{}]}},
        },
    ).ok
    await visitor.come(f"#/assistants/{made['id']}")
    await page.get_by_label("Instructions").fill("Be brief.")
    api.post(f"/assistants/{made['id']}", {"name": "Elsewhere"})
    await page.get_by_role("button", name="Save").click()
    await expect(page.get_by_text("Saved.")).to_be_visible()
    await expect(page.get_by_label("Name")).to_have_value("Elsewhere")
    now = api.get(f"/assistants/{made['id']}").ok
    assert now == {**made, "name": "Elsewhere", "instructions": "Be brief."}


async def test_what_is_not_saved_is_there_again(visitor: Visitor, server: Server) -> None:
    page, api = visitor.page, Api(server.url)
    made = api.post("/assistants", {"model": "scripted", "instructions": "as it was"}).ok
    await visitor.come(f"#/assistants/{made['id']}")
    instructions = page.get_by_label("Instructions")
    await instructions.fill("first")
    await page.get_by_role("link", name="Files and stores").click()
    await expect(page.get_by_role("heading", name="Files and stores")).to_be_visible()
    await page.go_back()
    await expect(instructions).to_have_value("first")

    going = asyncio.Event()

    async def hold(route: Route) -> None:
        await going.wait()
        await route.fallback()

    await page.route("**/v1/assistants/*", hold)
    await page.get_by_role("button", name="Save").click()
    await instructions.fill("typed while it is saved")
    going.set()
    await expect(page.get_by_role("button", name="Save")).to_be_enabled()
    await expect(instructions).to_have_value("typed while it is saved")
    assert api.get(f"/assistants/{made['id']}").ok["instructions"] == "first"
    await page.get_by_role("button", name="Discard").click()
    await expect(instructions).to_have_value("first")


async def test_a_refused_form_says_why_and_keeps_its_words(visitor: Visitor) -> None:
    page = visitor.page
    await page.route("**/v1/models*", refusing(502, "GET"))
    await visitor.come("#/assistants/new")
    await page.get_by_label("Name").fill("Refused")
    await page.get_by_label("Temperature").fill("9")
    await page.get_by_role("button", name="Create").click()
    await expect(page.get_by_label("Temperature")).to_be_focused()
    await page.get_by_label("Temperature").fill(" ")
    await page.route("**/v1/assistants", refusing(502, "POST", "<html><h1>Bad Gateway</h1></html>"))
    await page.get_by_role("button", name="Create").click()
    await expect(page.get_by_role("alert")).to_have_text("The server answered with an error (502).")
    await expect(page.get_by_role("alert")).to_be_in_viewport()
    await expect(page.get_by_label("Name")).to_have_value("Refused")
    await page.unroute("**/v1/assistants")
    async with page.expect_request(lambda request: request.method == "POST") as sent:
        await page.get_by_role("button", name="Create").click()
    body = (await sent.value).post_data_json
    assert (body["name"], body["model"], body["temperature"]) == ("Refused", "gpt-4o", 1)
    await expect(visitor.composer).to_be_enabled()
    visitor.forgive("502")


async def test_a_first_question_that_cannot_be_asked_can_be_asked_again(built: None, tmp_path: Path) -> None:
    with serve(tmp_path) as server:
        async with visit(server.url) as visitor:
            page = visitor.page
            await visitor.come()
            await page.route("**/v1/threads", refusing(400, "POST"))
            start = page.get_by_role("button", name="Start with the Math Tutor")
            await start.click()
            await expect(page.get_by_role("alert")).to_have_text("The server answered with an error (400).")
            await page.unroute("**/v1/threads")
            await start.click()
            await visitor.read("echo: I need to solve")
            assert len(Api(server.url).get("/assistants").ok["data"]) == 1
            visitor.forgive("400")


async def test_a_server_that_is_away_is_told_until_it_is_back(visitor: Visitor) -> None:
    page = visitor.page
    await page.route("**/v1/**", lambda route: route.abort())
    for place in ("", "#/assistants", "#/files"):
        await visitor.come(place)
        await expect(page.get_by_text("The server cannot be reached. Trying again")).to_be_visible()
    await page.unroute("**/v1/**")
    await expect(page.get_by_text("The server cannot be reached.")).not_to_be_visible()
    visitor.forgive("ERR_FAILED")


def text(name: str, content: bytes = b"words") -> Any:
    return {"name": name, "mimeType": "text/plain", "buffer": content}


async def choose(visitor: Visitor, button: str, *files: Any) -> None:
    async with visitor.page.expect_file_chooser() as chooser:
        await visitor.page.get_by_role("button", name=button).click()
    await (await chooser.value).set_files(list(files))


async def test_a_file_that_cannot_be_taken_does_not_hold_up_the_others(visitor: Visitor, server: Server) -> None:
    page, api = visitor.page, Api(server.url)
    some = (text("first.txt"), text("empty.txt", b""), text("program.exe"), text("last.txt"))

    store = api.post("/vector_stores", {"name": "Some"}).ok
    before = len(api.get("/files").ok["data"])
    await visitor.come(f"#/files/{store['id']}")
    await choose(visitor, "Add files", *some)
    problems = page.get_by_role("alert")
    await expect(problems).to_contain_text("empty.txt: File is empty.")
    await expect(problems).to_contain_text("program.exe: Files with extensions [.exe] are not supported")
    files = page.get_by_role("list", name="Files of the store").get_by_role("listitem")
    await expect(files).to_have_count(2)
    assert len(api.get("/files").ok["data"]) == before + 2  # nothing stays of what the store refused

    await visitor.come("#/assistants/new")
    await page.get_by_label("Code interpreter").check()
    await choose(visitor, "Upload files for code", *some)
    chips = page.get_by_role("list", name="Files that code finds").get_by_role("listitem")
    await expect(chips).to_have_text(["first.txt", "program.exe", "last.txt"])
    await expect(page.get_by_text("empty.txt: File is empty.")).to_be_visible()

    await page.get_by_label("File search").check()
    await choose(visitor, "Upload files to search", *some[:2])
    await expect(page.get_by_role("list", name="Vector stores that are searched")).to_contain_text("Files · 1 file")
    await expect(page.get_by_label("Add a vector store")).not_to_be_visible()
    await page.get_by_label("Name").fill("With files")
    await page.get_by_role("button", name="Create").click()
    await expect(visitor.composer).to_be_enabled()
    visitor.forgive("400")
