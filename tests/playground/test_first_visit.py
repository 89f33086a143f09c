"""From an empty server to the first answer, with one click."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from playwright.async_api import expect

from tests.llm.test_local import cache
from tests.playground.visitor import Visitor, visit
from tests.support.http import Api
from tests.support.server import Server, serve


@pytest.fixture(scope="module")
def local_server(built: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server with nothing configured at all: it talks with the small model that it brings along."""
    folder = tmp_path_factory.mktemp("local")
    models = cache() / "models"
    models.mkdir(parents=True, exist_ok=True)
    (folder / "data").mkdir()
    (folder / "data" / "models").symlink_to(models.absolute())
    with serve(folder, model_base_url="") as started:
        yield started


@pytest.fixture
def scripted_server(built: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with serve(tmp_path_factory.mktemp("scripted")) as started:
        yield started


@pytest.mark.parametrize("empty", ["scripted_server", "local_server"])
async def test_one_click_to_the_first_answer(empty: str, request: pytest.FixtureRequest) -> None:
    server: Server = request.getfixturevalue(empty)
    async with visit(server.url) as visitor:
        await visitor.come()
        start = visitor.page.get_by_role("button", name="Start with the Math Tutor")
        await expect(start).to_be_visible()
        await visitor.examine("first visit")
        await start.click()
        await expect(visitor.page.get_by_role("article", name="You")).to_contain_text("3x + 11 = 14")
        await expect(visitor.answers).to_have_text(re.compile(r"\w{2}"))
        # A small model may talk long: who has seen the first words has seen what is to be seen.
        if await visitor.page.get_by_role("button", name="Stop").is_visible():
            await visitor.page.get_by_role("button", name="Stop").click()
        await visitor.wait_until_idle()
        await expect(visitor.page.get_by_role("link", name="I need to solve")).to_be_visible()
        await expect(visitor.page.get_by_role("combobox", name="Assistant")).to_contain_text("Math Tutor")


async def test_a_real_model_goes_on_after_a_reload_and_is_stopped(local_server: Server) -> None:
    async with visit(local_server.url) as visitor:
        page, stop = visitor.page, visitor.page.get_by_role("button", name="Stop")
        await visitor.make_assistant("Teller")
        await visitor.say("Tell me a long story about a lighthouse and the sea, in many sentences.")
        await expect(visitor.answers).to_have_text(re.compile(r"\w{2}"))
        began = (await visitor.answers.inner_text()).strip()[:20]
        await page.reload()
        await expect(visitor.answers).to_contain_text(began)
        if await stop.is_visible():
            await stop.click()
        await visitor.wait_until_idle()
        run = Api(local_server.url).get(f"/threads/{visitor.thread_id}/runs").ok["data"][0]
        ending = "The run was stopped." if run["status"] == "cancelled" else run["usage"]["completion_tokens"]
        await expect(page.get_by_text(f"{ending}").first).to_be_visible()
        await visitor.say("Say hello.")
        await expect(visitor.answers).to_have_count(2)  # so small a model may end at once, and that is told, too
        await expect(visitor.answers.last).to_have_text(re.compile(r"\w{2}"))


async def test_everything_is_there_again_after_a_reload(visitor: Visitor) -> None:
    await visitor.make_assistant("First")
    await visitor.make_assistant("Second")
    await visitor.say("remember this")
    await visitor.read("echo: remember this")
    await visitor.page.reload()
    await visitor.read("echo: remember this")
    chosen = visitor.page.get_by_role("combobox", name="Assistant").locator("option:checked")
    await expect(chosen).to_have_text("Second")


async def test_every_new_thread_of_a_visit_shows_its_answer(visitor: Visitor) -> None:
    """A quick answer is there before its thread has been opened."""
    await visitor.make_assistant("Echo")
    for number in range(6):
        await visitor.come("#/")
        await visitor.say(f"question {number}")
        await visitor.read(f"echo: question {number}")


async def test_a_thread_is_found_renamed_and_deleted(visitor: Visitor) -> None:
    page, api = visitor.page, Api(f"{visitor.address}/v1")
    await visitor.come("#/")
    for text in ("apples and pears", "trains and ships"):
        assert api.post("/threads", {"metadata": {"title": text}}).status == 200
    await page.reload()
    await expect(page.get_by_role("link", name="apples and pears")).to_be_visible()
    thread_id = api.get("/threads?q=apples").ok["data"][0]["id"]
    api.post(f"/threads/{thread_id}", {"metadata": {"title": "apples and pears", "user": "ann"}})
    threads = page.get_by_role("region", name="Threads").get_by_role("link")
    await page.get_by_label("Search threads").fill("PEARS")
    await expect(threads).to_have_count(1)
    await page.get_by_role("button", name="Thread apples and pears").click()
    await page.get_by_role("menuitem", name="Rename").click()
    await page.get_by_role("textbox", name="Title").fill("Fruit")
    await page.get_by_role("button", name="Rename").click()
    await expect(threads).to_have_count(0)
    assert api.get(f"/threads/{thread_id}").ok["metadata"] == {"title": "Fruit", "user": "ann"}
    await page.get_by_label("Search threads").fill("fruit")
    await expect(threads).to_have_text(re.compile("Fruit"))
    await page.get_by_role("button", name="Thread Fruit").click()
    await page.get_by_role("menuitem", name="Delete").click()
    await page.get_by_role("button", name="Delete").click()
    await expect(page.get_by_text("No thread has “fruit” in its title or other metadata.")).to_be_visible()
