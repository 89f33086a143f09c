"""A real Chromium without a screen, and the page of axe-core's rules."""

from __future__ import annotations

import os
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from playwright.async_api import Browser, async_playwright

AXE = Path(__file__).parents[2] / "playground/node_modules/axe-core/axe.min.js"
# What the browser would do by itself: look for updates and for its maker's hosts.
QUIET = (
    *("--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"),
    *("--disable-gpu", "--disable-quic"),
)


def chromium() -> str:
    """Return the path of a Chromium. Raises AssertionError with what to do where there is none."""
    named = os.environ.get("ASSISTD_TEST_BROWSER")
    found = named or next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    assert found, (
        "the playground's tests need Chromium on the path, or ASSISTD_TEST_BROWSER (scripts/install-browser.sh)"
    )
    return found


@asynccontextmanager
async def open_browser(**options: Any) -> AsyncIterator[Browser]:
    """Run a browser. As root it has no sandbox of its own, which only matters for pages that are not ours."""
    arguments = [*QUIET, *(["--no-sandbox"] if os.getuid() == 0 else [])]
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=chromium(), args=arguments, **options)
        try:
            yield browser
        finally:
            await browser.close()
