"""What is on its way is not said to be missing, what is missing says so and leads back, and what failed says why."""

from __future__ import annotations

import asyncio
import re

import pytest
from playwright.async_api import Route, expect

from tests.playground.visitor import Visitor
from tests.support.http import Api
from tests.support.server import Server

EMPTY = re.compile("Make an assistant first|No .* yet|Start with the Math|When a run starts|Nothing was|no longer")


class Gate:
    """Holds requests back until it is opened, and lets them through or refuses them then."""

    def __init__(self) -> None:
        self._open = asyncio.Event()
        self._refuses = False

    async def hold(self, route: Route) -> None:
        await self._open.wait()
        await (refuse(route) if self._refuses else route.fallback())

    def open(self, *, refuses: bool = False) -> None:
        self._refuses = refuses
        self._open.set()


async def refuse(route: Route) -> None:
    await route.fulfill(status=400, json={"error": {"message": "Not today.", "type": "invalid_request_error"}})


async def test_what_is_on_its_way_is_loading(visitor: Visitor, server: Server) -> None:
    page = visitor.page
    await visitor.make_assistant("Echo")
    await visitor.say("hello")
    await visitor.read("echo: hello")
    thread = f"#/threads/{visitor.thread_id}"
    for place, what in {
        "#/": "assistants",
        "#/assistants": "assistants",
        "#/assistants/asst_any": "the assistant",
        "#/files": "vector stores",
        "#/files/vs_any": "files",
        thread: "messages",
    }.items():
        gate = Gate()
        await page.route("**/v1/**", gate.hold)
        await visitor.come(place)
        await page.reload()  # nothing is known of before
        await expect(page.get_by_role("main").get_by_text(f"Loading {what} …")).to_be_visible()
        await expect(page.get_by_text("Loading threads …")).to_be_visible()
        if place in ("#/", thread):
            await expect(visitor.composer).to_have_attribute("placeholder", "Loading …")
        if place == thread:
            await expect(visitor.inspector.get_by_text("Loading runs …")).to_be_visible()
        await expect(page.get_by_text(EMPTY)).to_have_count(0)
        gate.open()
        await expect(page.get_by_text("Loading")).to_have_count(0)
        await page.unroute("**/v1/**")
    await visitor.read("echo: hello")
    visitor.forgive("404")


@pytest.mark.parametrize(
    ("tab", "asked", "shown"),
    [("Steps", r"/steps\?", "echo: hello"), ("Events", r"/events$", "run.completed"), ("Prompts", "/prompts", "hello")],
)
async def test_what_the_inspector_asks_for(visitor: Visitor, tab: str, asked: str, shown: str) -> None:
    page, panel = visitor.page, visitor.inspector.get_by_role("tabpanel")
    await visitor.make_assistant("Echo")
    await visitor.say("hello")
    await visitor.read("echo: hello")
    gate = Gate()
    await page.route(re.compile(asked), gate.hold)
    await page.reload()
    await visitor.inspector.get_by_role("tab", name=tab).click()
    await expect(panel.get_by_text(f"Loading {tab.lower()} …")).to_be_visible()
    await expect(panel.get_by_text(EMPTY)).to_have_count(0)
    gate.open(refuses=True)
    again = panel.get_by_role("button", name="Try again")
    await expect(again).to_be_visible()
    await expect(panel.get_by_text(EMPTY)).to_have_count(0)
    await page.unroute(re.compile(asked))
    await again.click()
    await expect(panel).to_contain_text(shown)
    visitor.forgive("400")


async def test_what_failed_says_why_and_is_tried_again(visitor: Visitor) -> None:
    page = visitor.page
    for place in ("#/", "#/assistants", "#/assistants/asst_any", "#/files", "#/files/vs_any"):
        await page.route("**/v1/**", refuse)
        await visitor.come(place)
        await page.reload()
        await expect(page.get_by_role("main").get_by_role("alert").first).to_have_text("Not today.")
        await expect(page.get_by_role("region", name="Threads").get_by_role("alert")).to_have_text("Not today.")
        await expect(page.get_by_text(EMPTY)).to_have_count(0)
        await page.unroute("**/v1/**")
        await page.get_by_role("main").get_by_role("button", name="Try again").first.click()
        await expect(page.get_by_role("main").get_by_role("alert")).to_have_count(0)
    visitor.forgive("400|404")


async def test_what_is_missing_leads_back(visitor: Visitor, server: Server) -> None:
    page, main = visitor.page, visitor.page.get_by_role("main")
    for place, said, back in (
        ("#/nonsense", "There is nothing at #/nonsense.", "New thread"),
        ("#/threads/thread_none", "There is no thread thread_none", "New thread"),
        ("#/threads/nonsense", "There is no thread nonsense", "New thread"),
        ("#/assistants/asst_none", "There is no assistant asst_none", "All assistants"),
        ("#/assistants/nonsense", "There is no assistant nonsense", "All assistants"),
        ("#/files/vs_none", "There is no vector store vs_none", "All files and stores"),
    ):
        await visitor.come(place)
        await expect(main).to_contain_text(said)
        await expect(visitor.composer).to_have_count(0)
        await visitor.examine(place)
        await main.get_by_role("link", name=back).click()
        await expect(main).not_to_contain_text(said)
        await expect(main.get_by_role("heading", name="Not found")).to_have_count(0)

    # What others delete while it is looked at.
    await visitor.make_assistant("Echo")
    await visitor.say("hello")
    await visitor.read("echo: hello")
    assert Api(server.url).delete(f"/threads/{visitor.thread_id}").status == 200
    await page.evaluate("window.dispatchEvent(new Event('focus'))")
    await expect(main).to_contain_text("There is no thread")
    await main.get_by_role("link", name="New thread").click()
    await expect(visitor.composer).to_be_focused()
    visitor.forgive("404|400")


async def test_an_assistant_that_is_none_of_the_newest_is_found(visitor: Visitor, server: Server) -> None:
    page = visitor.page
    made = Api(server.url).post("/assistants", {"model": "scripted", "name": "Oldest"}).ok

    async def without(route: Route) -> None:
        await route.fulfill(json={"object": "list", "data": [], "first_id": None, "last_id": None, "has_more": False})

    await page.route("**/v1/assistants?**", without)
    await visitor.come(f"#/assistants/{made['id']}")
    await expect(page.get_by_label("Name")).to_have_value("Oldest")
