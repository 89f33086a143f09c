"""Pictures of the playground's main views, light, dark and narrow: into a folder, to be looked at.

    make page && .venv/bin/python scripts/playground_screenshots.py build/screenshots

Starts a server with the scripted model, uses the page as a visitor would, and takes pictures on the way.
"""

from __future__ import annotations

import asyncio
import json
import re
import sys
import tempfile
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from playwright.async_api import expect

from tests.playground.visitor import Visitor, visit
from tests.support.server import serve

LOOKS: dict[str, dict[str, Any]] = {
    "light": {"color_scheme": "light"},
    "dark": {"color_scheme": "dark"},
    "narrow": {
        "viewport": {"width": 360, "height": 780},
        "is_mobile": True,
        "has_touch": True,
        "color_scheme": "light",
    },
}
ANSWER = r"""Subtract **11** from both sides, then divide by **3**:

$$
3x + 11 = 14 \;\Rightarrow\; 3x = 3 \;\Rightarrow\; x = 1
$$

Check it with a line of Python:

```python
x = (14 - 11) / 3
assert 3 * x + 11 == 14  # it holds
```

| step | equation | what was done | why it may be done |
|---|---|---|---|
| begin | $$3x + 11 = 14$$ | nothing | it is the question |
| end | $$x = 1$$ | subtraction, division | on both sides, equivalently |
"""
CODE = (
    "import matplotlib.pyplot as plt\n\nyears = [2021, 2022, 2023, 2024]\nsales = [12, 19, 27, 41]\n"
    "plt.bar(years, sales)\nplt.title('Sales')\nplt.show()\n"
    "open('/mnt/data/sales.csv', 'w').write('year,sales\\n2021,12\\n')\nprint(sum(sales), 'sold')"
)
TERMS = "# Terms of work\n\nEmployees are entitled to twenty-seven days of paid leave in every calendar year.\n"


async def tour(visitor: Visitor, folder: Path, look: str) -> None:
    page = visitor.page

    async def picture(name: str) -> None:
        await page.wait_for_timeout(400)  # for what moves to be still
        await page.screenshot(path=folder / f"{look}-{name}.png", animations="disabled")

    async def inspect(tab: str) -> None:
        if look == "narrow" and not await visitor.inspector.is_visible():
            await page.get_by_role("button", name="Inspector", exact=True).click()
        await visitor.inspector.get_by_role("tab", name=tab).click()

    async def uninspect() -> None:
        if look == "narrow":
            await page.get_by_role("button", name="Close inspector").click()

    await visitor.come()
    await expect(page.get_by_text("Start with the Math Tutor")).to_be_visible()
    await picture("first-visit")
    await visitor.make_assistant("Math Tutor")
    await visitor.say(f"I need to solve the equation 3x + 11 = 14. Can you help me?\n/say {json.dumps(ANSWER)}")
    await visitor.read("equation")
    await picture("conversation")
    await inspect("Events")
    await expect(visitor.inspector.get_by_text("run.completed")).to_be_visible()
    await picture("events")
    await inspect("Prompts")
    await expect(visitor.inspector.get_by_role("region", name="user message")).to_be_visible()
    await picture("prompts")
    await inspect("Steps")
    await expect(visitor.inspector.get_by_text("Message", exact=True)).to_be_visible()
    await picture("steps")
    await uninspect()
    await page.get_by_role("button", name="Code", exact=True).click()
    await picture("code")
    await page.keyboard.press("Escape")

    await visitor.make_assistant("Analyst", "Code interpreter")
    await visitor.say(f"/code {json.dumps(CODE)}\n/say Here is the plot, and [the table](sandbox:/mnt/data/sales.csv).")
    await visitor.read("Here is the plot")
    await expect(visitor.answers.last.get_by_role("img")).to_be_visible()
    await picture("plot")
    await visitor.say("/code total = sum(sale)\n/say The name was misspelt.")
    await visitor.read("misspelt")
    await page.get_by_text("Code raised NameError").click()
    await picture("raised")

    await visitor.make_assistant("Librarian", "File search")
    await visitor.attach({"name": "terms.md", "mimeType": "text/markdown", "buffer": TERMS.encode()})
    await visitor.say('/call file_search {"query": "days of paid leave"}')
    await visitor.read("twenty-seven")
    await picture("search")
    await visitor.answers.last.get_by_role("button", name="Citation 1").click()
    await picture("citation")
    await page.keyboard.press("Escape")

    await visitor.come("#/assistants/new")
    await page.get_by_label("Name").fill("Forecaster")
    await page.get_by_label("File search").check()
    await page.get_by_label("Code interpreter").check()
    await page.get_by_role("button", name="Add function").click()
    editor = page.get_by_role("textbox", name="Function as JSON")
    await editor.fill('{\n  "name": "get weather",\n  "parameters": {"type": "object"}\n}')
    await expect(page.get_by_role("alert")).to_be_visible()
    await picture("function")
    await editor.fill('{"name": "get_weather", "description": "The weather in a city"}')
    await page.get_by_role("dialog").get_by_role("button", name="Add function").click()
    await picture("assistant")
    await page.get_by_role("button", name="Create").click()
    await visitor.say('/call get_weather {"city": "Oslo"}')
    await expect(page.get_by_role("form", name="Function outputs")).to_be_visible()
    await picture("outputs")
    await visitor.composer.fill("And tomorrow?")
    await visitor.composer.press("Enter")
    await expect(page.get_by_text("Not sent: the run waits")).to_be_visible()
    await picture("not-sent")
    await page.get_by_role("button", name="Cancel the run").click()
    await expect(page.get_by_text("The run was stopped.")).to_be_visible()
    await visitor.wait_until_idle()
    await picture("cancelled")
    await visitor.say("/fail 400 This model is on strike.")
    await expect(page.get_by_text("The run failed")).to_be_visible()
    await picture("failed")

    await visitor.come("#/threads/thread_none")
    await expect(page.get_by_text("There is no thread")).to_be_visible()
    await picture("missing")
    await visitor.come("#/assistants")
    await expect(page.get_by_role("main").get_by_role("link", name="Math Tutor")).to_be_visible()
    await picture("assistants")
    await visitor.come("#/files")
    await expect(page.get_by_role("main").get_by_role("link", name=re.compile("^vs_")).first).to_be_visible()
    await picture("stores")
    await page.get_by_role("tab", name="Files", exact=True).click()
    await expect(page.get_by_role("list", name="Files").get_by_role("listitem").first).to_be_visible()
    await picture("files")
    if look == "narrow":
        await page.get_by_role("button", name="Open sidebar").click()
    await page.get_by_label("Search threads").fill("zebra")
    await expect(page.get_by_text("The words of messages are not searched")).to_be_visible()
    await picture("sidebar")
    visitor.forgive("404")  # the thread that is missing


async def main(folder: Path) -> None:
    for look, options in LOOKS.items():
        with tempfile.TemporaryDirectory(prefix="assistd-pictures-") as data, serve(Path(data)) as server:
            async with visit(server.url, **options) as visitor:
                await tour(visitor, folder, look)


if __name__ == "__main__":
    into = Path(sys.argv[1] if len(sys.argv) > 1 else "build/screenshots")
    into.mkdir(parents=True, exist_ok=True)
    asyncio.run(main(into))
    print(f"{len(list(into.glob('*.png')))} pictures are in {into}")
