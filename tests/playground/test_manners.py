"""By keyboard alone, on a phone, in the dark, with a key."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import Locator, Route, expect

from tests.playground.visitor import Visitor, visit
from tests.support.http import Api
from tests.support.program import assistd
from tests.support.server import Server, serve

PHONE = {"viewport": {"width": 360, "height": 700}, "has_touch": True, "is_mobile": True}


async def test_by_keyboard_alone(visitor: Visitor) -> None:
    page, keys = visitor.page, visitor.page.keyboard
    await visitor.come("#/assistants/new")
    await page.get_by_label("Name").focus()
    await keys.type("Keys")
    await keys.press("Enter")  # sends the form
    await expect(visitor.composer).to_be_focused()
    await keys.type("hello")
    await keys.press("Enter")
    await visitor.read("echo: hello")
    await expect(visitor.composer).to_be_focused()

    await page.get_by_role("button", name="Thread hello").focus()
    await keys.press("Enter")
    await expect(page.get_by_role("menuitem", name="Rename")).to_be_focused()
    await keys.press("Enter")
    await expect(page.get_by_role("dialog")).to_be_visible()
    await keys.press("Escape")
    await expect(page.get_by_role("dialog")).not_to_be_visible()

    await visitor.inspector.get_by_role("tab", name="Steps").focus()
    await keys.press("ArrowRight")
    await expect(visitor.inspector.get_by_role("tab", name="Events")).to_be_focused()


@pytest.mark.parametrize("options", [{}, PHONE], ids=["desk", "phone"])
async def test_the_focus_comes_back_from_dialogs(server: Server, options: dict[str, Any]) -> None:
    """Wherever a dialog was opened and however it was closed."""
    title = f"returned to {len(options)}"
    Api(server.url).post("/threads", {"metadata": {"title": title}})
    async with visit(server.url, **options) as visitor:
        page, keys = visitor.page, visitor.page.keyboard
        await visitor.come("#/")
        if options:
            await page.get_by_role("button", name="Open sidebar").click()
        menu = page.get_by_role("button", name=f"Thread {title}")

        async def choose(entry: str) -> None:
            await menu.press("Enter")
            item = page.get_by_role("menuitem", name=entry)
            await item.press("Enter")
            await expect(page.get_by_role("dialog")).to_be_visible()

        await choose("Rename")
        await expect(page.get_by_role("textbox", name="Title")).to_be_focused()
        await keys.press("Escape")
        await expect(menu).to_be_focused()
        await choose("Rename")
        await keys.press("Enter")  # sends the form
        await expect(menu).to_be_focused()
        await choose("Delete")
        await page.get_by_role("button", name="Keep").press("Enter")
        await expect(menu).to_be_focused()
        await menu.press("Enter")
        await expect(page.get_by_role("menu")).to_be_visible()
        await keys.press("Escape")
        await expect(menu).to_be_focused()
        # Whoever is quick opens the menu between the end of a dialog and the moment when the page hears of it.
        await choose("Rename")
        await menu.evaluate(
            """menu => {
              document.querySelector('dialog').close();
              menu.dispatchEvent(new KeyboardEvent('keydown', { key: 'Enter', bubbles: true }));
            }"""
        )
        await expect(page.get_by_role("dialog")).to_have_count(0)
        await expect(page.get_by_role("menuitem", name="Rename")).to_be_focused()
        await keys.press("Escape")
        await expect(menu).to_be_focused()
        await choose("Delete")
        await page.get_by_role("button", name="Delete").press("Enter")
        await expect(page.get_by_role("main")).to_be_focused()

        await visitor.come("#/assistants/new")
        add = page.get_by_role("button", name="Add function")
        await add.press("Enter")
        await page.get_by_role("dialog").get_by_role("button", name="Cancel").press("Enter")
        await expect(add).to_be_focused()


async def test_what_comes_late_does_not_take_the_focus(visitor: Visitor, server: Server) -> None:
    """The composer is ready once the assistants are there; who opened a menu by then stays in it."""
    page = visitor.page
    Api(server.url).post("/assistants", {"model": "scripted", "name": "Late"})
    Api(server.url).post("/threads", {"metadata": {"title": "in the menu"}})
    opened = asyncio.Event()

    async def hold(route: Route) -> None:
        await opened.wait()
        await route.continue_()

    await page.route("**/v1/assistants?**", hold)
    await visitor.come("#/")
    await page.get_by_role("button", name="Thread in the menu").press("Enter")
    await expect(page.get_by_role("menuitem", name="Rename")).to_be_focused()
    opened.set()
    await expect(visitor.composer).to_be_enabled()
    await expect(page.get_by_role("menuitem", name="Rename")).to_be_focused()
    await page.keyboard.press("Escape")
    await page.get_by_role("link", name="New thread").focus()
    await page.get_by_role("link", name="Assistants").click()
    await page.get_by_role("link", name="New thread").press("Enter")
    await expect(visitor.composer).to_be_focused()


async def test_tab_reaches_everything_and_is_seen_there(visitor: Visitor) -> None:
    await visitor.make_assistant("Echo")
    await visitor.say("hello")
    await visitor.read("echo: hello")
    reached = set()
    await visitor.page.evaluate("document.activeElement.blur()")
    for _ in range(60):
        await visitor.page.keyboard.press("Tab")
        name, outline = await visitor.page.evaluate(
            """() => {
              const at = document.activeElement;
              const seen = [at, at.parentElement, at.closest('.composer, .search')].some(
                (one) => one && getComputedStyle(one).outlineStyle !== 'none');
              const name = at === document.body ? 'the page' : at.getAttribute('aria-label') || at.textContent.trim();
              return [name || at.title || at.tagName, seen];
            }"""
        )
        reached.add(name)
        assert outline or name == "the page", f"the focus is not seen on {name!r}"
    assert {"New thread", "Assistants", "Message", "Code", "Steps", "Skip to content"} <= set(reached), reached


async def test_no_rule_for_a_narrow_window_is_overridden_by_a_later_one(visitor: Visitor) -> None:
    """Of two rules of the same weight the later one wins, whatever the window: rules for a kind of window come last."""
    await visitor.come()
    overridden = await visitor.page.evaluate(
        """() => {
          const rules = [...document.styleSheets].flatMap((sheet) => [...sheet.cssRules]);
          const found = [];
          rules.forEach((media, at) => {
            if (!(media instanceof CSSMediaRule)) return;
            for (const rule of media.cssRules) {
              const selectors = new Set(rule.selectorText.split(/,\\s*/));
              for (const later of rules.slice(at + 1)) {
                if (!later.selectorText?.split(/,\\s*/).some((one) => selectors.has(one))) continue;
                for (const name of rule.style) {
                  if (later.style.getPropertyValue(name)) found.push(`${rule.selectorText} ${name}`);
                }
              }
            }
          });
          return [rules.filter((rule) => rule instanceof CSSMediaRule).length, found];
        }"""
    )
    assert overridden[0] > 5
    assert not overridden[1], overridden[1]


TABLE = r"""
| country | population | capital | longest mountain range | a remark about it |
|---|---|---|---|---|
| Liechtenstein | 39,000 | Vaduz | Alps | doubly landlocked, uninterruptedly |
"""


async def lines_of_words(cells: Locator) -> list[list[int]]:
    """On how many lines each word of each cell stands."""
    return list(
        await cells.evaluate_all(
            """cells => cells.map((cell) => {
              const text = cell.firstChild;
              return [...text.data.matchAll(/[^ ]+/g)].map(({ 0: word, index }) => {
                const range = document.createRange();
                range.setStart(text, index);
                range.setEnd(text, index + word.length);
                return new Set([...range.getClientRects()].map(({ top }) => Math.round(top))).size;
              });
            })"""
        )
    )


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_on_a_phone(server: Server, scheme: str) -> None:
    async with visit(server.url, color_scheme=scheme, **PHONE) as visitor:
        page = visitor.page
        await visitor.make_assistant("Echo")
        await visitor.say("a long_word_" + "x" * 200)
        await visitor.read("long_word")
        for place in ("", "#/assistants", "#/files", "#/assistants/new"):
            await visitor.come(place)
            await page.get_by_role("button", name="Open sidebar").wait_for()
            await visitor.examine(f"phone, {scheme}, {place}")
            assert await page.evaluate("document.scrollingElement.scrollWidth") == PHONE["viewport"]["width"]
        await page.get_by_role("button", name="Open sidebar").click()
        await visitor.examine(f"phone, {scheme}, sidebar")
        await page.get_by_role("link", name="a long_word").first.click()
        await visitor.read("long_word")
        await expect(page.get_by_role("link", name="Assistants")).not_to_be_visible()
        await page.get_by_role("button", name="Inspector", exact=True).click()
        await expect(visitor.inspector).to_be_visible()
        box = await visitor.inspector.bounding_box()
        assert box
        assert (box["x"], box["width"]) == (0, PHONE["viewport"]["width"])
        await visitor.examine(f"phone, {scheme}, inspector")
        await page.get_by_role("button", name="Close inspector").click()
        await expect(visitor.inspector).not_to_be_visible()
        await visitor.say(f"/say {json.dumps(TABLE)}")
        await visitor.read("Liechtenstein")
        cells = visitor.answers.last.get_by_role("table").locator("th, td")
        assert await lines_of_words(cells) == [[1] * len(text.split()) for text in await cells.all_inner_texts()]
        assert await page.evaluate("document.scrollingElement.scrollWidth") == PHONE["viewport"]["width"]
        await visitor.examine(f"phone, {scheme}, table")


async def test_dark_by_choice(visitor: Visitor) -> None:
    page = visitor.page
    await visitor.make_assistant("Echo")
    await visitor.say("/say ```python\\nx = 1  # one\\n```")
    await visitor.wait_until_idle()
    light = await page.evaluate("getComputedStyle(document.body).backgroundColor")
    await page.get_by_role("button", name="Colours: system").click()
    await page.get_by_role("button", name="Colours: light").click()
    assert await page.evaluate("getComputedStyle(document.body).backgroundColor") != light
    await visitor.examine("dark")
    await page.reload()
    assert await page.evaluate("getComputedStyle(document.body).backgroundColor") != light


async def test_a_server_with_keys_is_opened_with_one(built: None, tmp_path: Path) -> None:
    with serve(tmp_path) as server:
        key = assistd(tmp_path, "keys", "create", "test").stdout.split()[-1]
        async with visit(server.url) as visitor:
            page = visitor.page
            await visitor.come()
            dialog = page.get_by_role("dialog")
            await expect(dialog.get_by_role("status")).to_have_text("This server needs an API key.")
            await visitor.examine("key")
            # Behind the dialog as well, and none of the service that this one stands in for.
            threads = page.locator(".threads")
            await expect(threads).to_contain_text("This server needs an API key.")
            await expect(page.locator("body")).not_to_contain_text("openai.com")
            await dialog.get_by_label("Key").fill("sk-wrong")
            for _ in range(2):  # the same once more is refused once more
                async with page.expect_response(lambda response: response.status == 401):
                    await dialog.get_by_role("button", name="Use this key").click()
                await expect(dialog).to_contain_text("The server does not accept this API key.")
                await expect(dialog.get_by_label("Key")).to_have_value("sk-wrong")
                await expect(dialog.get_by_label("Key")).to_have_attribute("aria-invalid", "true")
            await visitor.examine("wrong key")
            await page.keyboard.press("Escape")
            await expect(visitor.composer).to_have_attribute("placeholder", "The assistants could not be loaded")
            await threads.get_by_role("button", name="Enter an API key").click()
            await dialog.get_by_label("Key").fill(key)
            await dialog.get_by_role("button", name="Use this key").click()
            await expect(page.get_by_text("Start with the Math Tutor")).to_be_visible()
            await page.get_by_role("button", name="API key").click()
            await dialog.get_by_label("Key").fill("sk-mistyped")
            await dialog.get_by_role("button", name="Use this key").click()
            await expect(dialog).to_contain_text("does not accept")
            await page.keyboard.press("Escape")
            await page.get_by_role("link", name="Files and stores").click()
            await expect(page.get_by_text("No vector stores yet.")).to_be_visible()  # the good one is still there
            stored = await visitor.page.evaluate("[sessionStorage.length, JSON.stringify(localStorage)]")
            assert stored[0] >= 1
            assert key not in stored[1]
            visitor.forgive("401")


async def test_what_is_written_stays_while_another_place_is_looked_at(visitor: Visitor) -> None:
    await visitor.make_assistant("Echo")
    await visitor.say("hello")
    await visitor.read("echo: hello")
    thread_id = visitor.thread_id
    await visitor.composer.fill("half a sentence")
    await visitor.come("#/")
    await expect(visitor.composer).to_have_value("")
    await visitor.composer.fill("another one")
    await visitor.come_to_thread(thread_id)
    await expect(visitor.composer).to_have_value("half a sentence")
    await visitor.come("#/")
    await expect(visitor.composer).to_have_value("another one")
    await visitor.composer.press("Enter")
    await visitor.read("echo: another one")
    await visitor.come("#/")
    await expect(visitor.page.get_by_role("heading", name="Echo")).to_be_visible()
    await expect(visitor.composer).to_have_value("")
