"""Nothing that a model, a file or a tool says becomes anything but text."""

from __future__ import annotations

import json

import pytest
from playwright.async_api import expect

from assistd.sandbox.interpreter import Interpreter
from tests.playground.visitor import Visitor

pytestmark = pytest.mark.long

MARKS = (
    "<script>window.broken = 1</script>",
    "<img src=x onerror='window.broken = 2'>",
    "<svg onload='window.broken = 3'></svg>",
    "<iframe srcdoc='<script>parent.broken = 4</script>'></iframe>",
    "<style>body { display: none }</style>",
    "<base href='https://evil.example/'>",
)
LINKS = (
    "[one](javascript:window.broken=5)",
    "[two](JaVaScRiPt:window.broken=6)",
    "[three](data:text/html,<script>window.broken=7</script>)",
    "[four](vbscript:x)",
    "![five](https://evil.example/pixel.png)",
    "![six](javascript:window.broken=8)",
    "<javascript:window.broken=9>",
    "[seven][ref]\n\n[ref]: javascript:window.broken=10",
    "$$\\href{javascript:window.broken=11}{x}$$ $$\\includegraphics{https://evil.example/y.png}$$",
    "\ue000 \uf8ff [eight](sandbox:/mnt/data/none.csv)",
)
NAME = "<img src=x onerror=window.broken=20>【0:0†x】*a*_b_`.md"


async def unharmed(visitor: Visitor) -> None:
    assert await visitor.page.evaluate("window.broken") is None
    assert await visitor.page.evaluate("document.querySelectorAll('iframe, base, object, embed').length") == 0
    hrefs = await visitor.page.evaluate("[...document.querySelectorAll('a')].map(a => a.getAttribute('href'))")
    assert not [href for href in hrefs if not href.startswith(("#", "https://", "http://", "mailto:"))], hrefs


async def test_markdown(visitor: Visitor) -> None:
    await visitor.make_assistant(MARKS[1])
    text = "\n\n".join((*MARKS, *LINKS, "the end"))
    await visitor.say(f"/say {json.dumps(text)}")
    await visitor.read("the end")
    for mark in MARKS:
        await expect(visitor.answers).to_contain_text(mark)
    await unharmed(visitor)
    for link in await visitor.answers.get_by_role("link").all():
        assert (await link.get_attribute("rel") or "").startswith("noopener noreferrer")
    await visitor.page.reload()
    await visitor.read("the end")
    await unharmed(visitor)


async def test_formulas_stay_within_their_message(visitor: Visitor) -> None:
    await visitor.make_assistant("Mathematician")
    await visitor.say("/say $$\\frac{1}{" + "x" * 3000 + "}$$ the end")
    await visitor.read("the end")
    rows = visitor.page.get_by_role("log", name="Messages").locator("> div")
    assert await rows.evaluate(
        "rows => rows.parentElement.scrollHeight === Math.max(rows.offsetHeight, rows.parentElement.clientHeight)"
    )


async def test_file_names_and_their_content(visitor: Visitor) -> None:
    page = visitor.page
    await visitor.make_assistant("Librarian", "File search")
    content = f"Leave is twenty-seven days. {' '.join(MARKS)}"
    await visitor.attach({"name": NAME, "mimeType": "text/markdown", "buffer": content.encode()})
    await visitor.say('/call file_search {"query": "days of leave"}')
    await visitor.read("twenty-seven days")
    await visitor.answers.last.get_by_role("button", name="Citation 1").first.click()
    await expect(page.get_by_role("dialog")).to_contain_text("<script>window.broken = 1</script>")
    await unharmed(visitor)
    await page.keyboard.press("Escape")
    await visitor.come("#/files")
    await page.get_by_role("tab", name="Files", exact=True).click()
    await expect(page.get_by_role("list", name="Files")).to_contain_text("<img src=x onerror=window.broken=20>")
    await unharmed(visitor)


async def test_outputs_of_tools(interpreter: Interpreter, visitor: Visitor) -> None:
    await visitor.make_assistant("Analyst", "Code interpreter")
    words = " ".join(MARKS)
    await visitor.say(f"/code {json.dumps(f'print({words!r})')}\n/say done")
    await visitor.read("done")
    await expect(visitor.inspector.get_by_label("Output")).to_contain_text("<script>window.broken = 1</script>")
    await unharmed(visitor)


async def test_a_download_is_never_opened_as_a_page(interpreter: Interpreter, visitor: Visitor) -> None:
    await visitor.make_assistant("Analyst", "Code interpreter")
    page = "<script>window.broken = 30</script>"
    code = f"open('/mnt/data/page.html', 'w').write({page!r})"
    await visitor.say(f"/code {json.dumps(code)}\n/say [a page](sandbox:/mnt/data/page.html)")
    await visitor.read("a page")
    name, content = await visitor.download(visitor.answers.last.get_by_role("button", name="a page"))
    assert (name, content) == ("page.html", page.encode())
    await unharmed(visitor)
