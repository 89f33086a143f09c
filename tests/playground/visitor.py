"""Somebody who uses the page: what they do, in their words, and what they must never see."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from playwright.async_api import ConsoleMessage, Error, Locator, Page, Request, expect

from tests.playground.browser import AXE, open_browser

# For whatever a machine with two busy cores may need; nothing waits longer than it has to.
PATIENCE = 60_000
expect.set_options(timeout=PATIENCE)

_RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]


def _is_message(request: Request) -> bool:
    """Whether a request puts a message on a thread, or makes a thread with one."""
    return request.method == "POST" and re.search(r"/v1/threads(/\w+/messages)?$", request.url) is not None


class Visitor:
    """A page in a browser at the server of this address."""

    def __init__(self, page: Page, address: str) -> None:
        self.page = page
        self.address = address
        self.complaints: list[str] = []
        self.foreign: list[str] = []
        page.set_default_timeout(PATIENCE)
        page.on("console", self._hear)
        page.on("pageerror", self._hear_error)
        page.on("request", self._see_request)
        page.on("dialog", self._refuse_dialog)

    def _hear(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            self.complaints.append(f"{message.type}: {message.text}")

    def _hear_error(self, error: Error) -> None:
        self.complaints.append(f"uncaught: {error.stack}")

    def _see_request(self, request: Request) -> None:
        if not request.url.startswith((self.address, "blob:", "data:")):
            self.foreign.append(request.url)

    async def _refuse_dialog(self, dialog: Any) -> None:
        self.complaints.append(f"a script asked: {dialog.message}")
        await dialog.dismiss()

    def forgive(self, pattern: str) -> None:
        """Forget complaints of the browser that a test brought about: a server that was not there, say."""
        self.complaints = [complaint for complaint in self.complaints if not re.search(pattern, complaint)]

    def judge(self) -> None:
        """Fail if the browser complained, or anything was asked of another host."""
        assert not self.complaints, "\n".join(self.complaints)
        assert not self.foreign, self.foreign

    # --- where they go

    async def come(self, place: str = "") -> None:
        await self.page.goto(f"{self.address}/{place}")

    async def come_to_thread(self, thread_id: str) -> None:
        await self.come(f"#/threads/{thread_id}")

    @property
    def thread_id(self) -> str:
        found = re.search(r"#/threads/(thread_\w+)", self.page.url)
        assert found, self.page.url
        return found[1]

    # --- what they do

    async def make_assistant(self, name: str, *tools: str) -> None:
        """Make an assistant with these tools by the form; it answers the next thread."""
        await self.come("#/assistants/new")
        await self.page.get_by_label("Name").fill(name)
        for tool in tools:
            await self.page.get_by_label(tool).check()
        await self.page.get_by_role("button", name="Create").click()
        await expect(self.composer).to_be_enabled()

    async def say(self, text: str) -> None:
        await self.composer.fill(text)
        async with self.page.expect_request(_is_message):
            await self.composer.press("Enter")
        # The first message of a thread makes it.
        await self.page.wait_for_url(re.compile("#/threads/"))

    async def attach(self, *files: Any) -> None:
        async with self.page.expect_file_chooser() as chooser:
            await self.page.get_by_role("button", name="Attach files").click()
        await (await chooser.value).set_files(list(files))

    async def download(self, button: Locator) -> tuple[str, bytes]:
        """Click what downloads, and return the name and the bytes."""
        async with self.page.expect_download() as begun:
            await button.click()
        download = await begun.value
        path = await download.path()
        return download.suggested_filename, path.read_bytes()

    # --- what they see

    @property
    def composer(self) -> Locator:
        return self.page.get_by_label("Message", exact=True)

    @property
    def answers(self) -> Locator:
        return self.page.get_by_role("article", name="Assistant")

    @property
    def inspector(self) -> Locator:
        return self.page.get_by_role("complementary", name="Inspector")

    async def read(self, text: str) -> None:
        """Wait until the newest answer has this text, and the run is over."""
        await expect(self.answers.last).to_contain_text(text)
        await self.wait_until_idle()

    async def wait_until_idle(self) -> None:
        """Wait until a message can be sent: no run is on, and none waits for outputs."""
        send = self.page.get_by_role("button", name="Send message")
        await expect(send).to_be_visible()
        await expect(send).not_to_contain_class("held")

    async def examine(self, what: str) -> None:
        """Fail if axe finds anything serious in what is seen now."""
        await self.page.evaluate(AXE.read_text("utf-8"))
        found = await self.page.evaluate(
            "tags => axe.run(document, {runOnly: {type: 'tag', values: tags}, resultTypes: ['violations']})", _RULES
        )
        serious = [
            {
                "rule": one["id"],
                "help": one["help"],
                "where": [(node["html"][:200], node["failureSummary"]) for node in one["nodes"]],
            }
            for one in found["violations"]
            if one["impact"] in ("serious", "critical")
        ]
        assert not serious, f"{what}: {json.dumps(serious, indent=1)}"


@asynccontextmanager
async def visit(url: str, **options: Any) -> AsyncIterator[Visitor]:
    """Open a browser of one's own at a server's `base_url`, and judge at the end. `options` are those of a page."""
    async with open_browser() as browser:
        page = await browser.new_page(**{"viewport": {"width": 1280, "height": 800}, **options})
        somebody = Visitor(page, url.removesuffix("/v1"))
        yield somebody
        somebody.judge()
