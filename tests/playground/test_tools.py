"""Functions, files and code, by the page."""

from __future__ import annotations

import io
import json
import re

from playwright.async_api import expect
from reportlab.lib.pagesizes import A4
from reportlab.pdfgen.canvas import Canvas

from assistd.sandbox.interpreter import Interpreter
from tests.playground.visitor import Visitor

LEAVE = "Employees are entitled to twenty-seven days of paid leave in every calendar year."


def pdf(*lines: str) -> bytes:
    """A page with these lines."""
    written = io.BytesIO()
    canvas = Canvas(written, pagesize=A4)
    for number, line in enumerate(lines):
        canvas.drawString(72, 770 - 20 * number, line)
    canvas.save()
    return written.getvalue()


async def test_a_function_is_made_called_and_answered(visitor: Visitor) -> None:
    page = visitor.page
    await visitor.come("#/assistants/new")
    await page.get_by_label("Name").fill("Forecaster")
    await page.get_by_role("button", name="Add function").click()
    dialog = page.get_by_role("dialog")
    editor = dialog.get_by_role("textbox", name="Function as JSON")
    await expect(editor).to_contain_text("get_weather")
    await visitor.examine("function editor")

    await editor.fill('{"name": "get weather", "parameters": {"type": "objekt"}}')
    await expect(dialog.get_by_role("alert")).to_contain_text("/name: Use up to 64 letters")
    await expect(dialog.get_by_role("button", name="Add function")).to_be_disabled()
    schema = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
    await editor.fill(json.dumps({"name": "get_weather", "description": "The weather", "parameters": schema}))
    await dialog.get_by_role("button", name="Add function").click()
    await page.get_by_role("button", name="Create").click()

    await visitor.say('/call get_weather {"city": "Oslo"}')
    form = page.get_by_role("form", name="Function outputs")
    await expect(form).to_contain_text("Oslo")
    await expect(visitor.inspector).to_contain_text("requires action")
    await visitor.examine("waiting for an output")
    await form.get_by_label("Output of get_weather").fill("rain, 9 degrees")
    await form.get_by_role("button", name="Give output").click()
    await visitor.read("RESULT: rain, 9 degrees")
    await expect(page.get_by_text("Called get_weather")).to_be_visible()
    await expect(visitor.inspector).to_contain_text("rain, 9 degrees")

    # While a run waits nothing can be sent, which is said, and what is written stays.
    await visitor.say('/call get_weather {"city": "Bergen"}')
    await expect(form).to_contain_text("Bergen")
    await visitor.composer.fill("And tomorrow?")
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.method))
    await visitor.composer.press("Enter")
    await expect(page.get_by_text("Not sent: the run waits for the outputs of its functions.")).to_be_visible()
    await visitor.examine("not sent")
    await page.get_by_role("button", name="Send message").click()
    await expect(visitor.composer).to_have_value("And tomorrow?")
    assert "POST" not in asked
    await page.get_by_role("button", name="Cancel the run").click()
    unanswered = page.get_by_text("Called get_weather: no output, the run is cancelled")
    await expect(unanswered).to_be_visible()
    await expect(form).to_have_count(0)
    await expect(page.get_by_text("Not sent:")).to_have_count(0)
    await expect(visitor.inspector).to_contain_text("No output was given: the run is cancelled.")
    await visitor.composer.press("Enter")
    await visitor.read("echo: And tomorrow?")
    await page.reload()
    await expect(unanswered).to_be_visible()
    await expect(form).to_have_count(0)
    # Now and then the browser gives what is written over coloured text its style, in an attribute that the policy
    # refuses. It tells of that, and the editor draws the text anew.
    visitor.forgive("Applying inline style")


async def test_an_open_page_asks_for_no_more_of_its_files(visitor: Visitor) -> None:
    """A newer build has others; and the server may be away."""
    page = visitor.page
    await visitor.come("#/assistants/new")
    await page.get_by_label("Name").fill("Forecaster")
    await page.route("**/assets/**", lambda route: route.fulfill(status=404))
    await page.get_by_role("button", name="Add function").click()
    await expect(page.get_by_role("textbox", name="Function as JSON")).to_contain_text("get_weather")
    await page.keyboard.press("Escape")
    await page.get_by_label("Response format").select_option("JSON by a schema")
    await expect(page.get_by_role("textbox", name="Response format as JSON")).to_be_visible()
    await expect(page.get_by_label("Name")).to_have_value("Forecaster")


async def test_a_pdf_is_attached_asked_about_and_its_citation_opened(visitor: Visitor) -> None:
    page = visitor.page
    await visitor.make_assistant("Librarian", "File search")
    document = {"name": "terms.pdf", "mimeType": "application/pdf", "buffer": pdf("Terms of work", LEAVE)}
    await visitor.attach(document)
    await expect(page.get_by_text("terms.pdf")).to_be_visible()
    await visitor.say('/call file_search {"query": "days of paid leave"}')
    await visitor.read("twenty-seven days")
    await expect(page.get_by_role("article", name="You")).to_contain_text("terms.pdf")
    await expect(page.get_by_text("Searched files: 1 result").first).to_be_visible()

    await visitor.answers.last.get_by_role("button", name="Citation 1").click()
    dialog = page.get_by_role("dialog")
    await expect(dialog.get_by_role("heading", name="terms.pdf")).to_be_visible()
    await expect(dialog.get_by_label("Cited passage").locator("mark")).to_contain_text("twenty-seven days")
    await visitor.examine("cited passage")
    await page.keyboard.press("Escape")
    await expect(dialog).not_to_be_visible()

    # The thread's own store shows that the file was read.
    await visitor.come("#/files")
    await page.get_by_role("main").get_by_role("link", name=re.compile("^vs_")).first.click()
    await expect(page.get_by_role("list", name="Files of the store")).to_contain_text("completed")
    await page.get_by_label("What to look for").fill("paid leave")
    await page.get_by_role("button", name="Search", exact=True).click()
    await expect(page.get_by_role("list", name="Passages found")).to_contain_text("twenty-seven days")


async def test_code_runs_its_plot_is_seen_and_its_csv_downloaded(interpreter: Interpreter, visitor: Visitor) -> None:
    page = visitor.page
    await visitor.make_assistant("Analyst", "Code interpreter")
    code = (
        "import matplotlib.pyplot as plt\nplt.plot([1, 4, 9])\nplt.show()\n"
        "open('/mnt/data/squares.csv', 'w').write('1,4,9')\nprint('done')"
    )
    await visitor.say(f"/code {json.dumps(code)}\n/say Here are [the squares](sandbox:/mnt/data/squares.csv).")
    await visitor.read("Here are")
    picture = visitor.answers.last.get_by_role("img")
    await expect(picture).to_be_visible()
    assert await picture.evaluate("image => image.naturalWidth") > 100
    name, content = await visitor.download(visitor.answers.last.get_by_role("button", name="the squares"))
    assert (name, content) == ("squares.csv", b"1,4,9")
    await expect(visitor.inspector.get_by_label("Output")).to_contain_text("done")
    await visitor.examine("code and its plot")

    await visitor.say(f"/code {json.dumps('print(40 + 2); prin(1)')}\n/say The name was misspelt.")
    await visitor.read("misspelt")
    await page.get_by_text("Code raised NameError").click()
    raised = page.get_by_role("log").get_by_label("Traceback")
    await expect(raised).to_contain_text("NameError: name 'prin' is not defined")
    await expect(raised).not_to_contain_text("42")
    await expect(page.get_by_role("log").get_by_label("Output").last).to_have_text("42\n")
    await expect(visitor.inspector.get_by_label("Traceback")).to_contain_text("NameError")
    await visitor.examine("code that raised")


async def test_indexing_is_shown_as_it_goes(visitor: Visitor) -> None:
    page = visitor.page
    await visitor.come("#/files")
    await page.get_by_role("button", name="New store").click()
    await page.get_by_label("Name").fill("Handbook")
    await page.get_by_role("button", name="Create store").click()
    async with page.expect_file_chooser() as chooser:
        await page.get_by_role("button", name="Add files").click()
    await (await chooser.value).set_files(
        [
            {"name": "good.md", "mimeType": "text/markdown", "buffer": b"# Leave\n\nTwenty-seven days."},
            {"name": "bad.pdf", "mimeType": "application/pdf", "buffer": b"%PDF-1.4 this is none"},
        ]
    )
    files = page.get_by_role("list", name="Files of the store").get_by_role("listitem")
    await expect(files).to_have_count(2)
    await expect(files.filter(has_text="good.md")).to_contain_text("completed")
    await expect(files.filter(has_text="bad.pdf")).to_contain_text("failed")
    await visitor.examine("vector store")
