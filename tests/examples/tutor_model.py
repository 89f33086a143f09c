"""A model for the walkthroughs: it calls the tool that a question is about, once, and then answers.

    python -m tests.examples.tutor_model

A Chat Completions server on loopback. It prints its address and serves until it is ended.
"""

from __future__ import annotations

import asyncio
import json
import sys
from typing import Any

from aiohttp import web

from assistd.llm.script import read_script
from assistd.llm.scripted_answer import answer, last_user_text
from assistd.llm.scripted_writer import ScriptedWriter, forever

BROKEN = "broken"  # the name by which it refuses every request
CODE = "[n * n for n in range(1, 13)]"
PLOT = "import matplotlib.pyplot as plt\nplt.plot([n * n for n in range(20)])\nplt.show()"
QUIZ = {
    "title": "Squares",
    "questions": [
        {"question_text": "What is a square number?", "question_type": "FREE_RESPONSE", "choices": []},
        {"question_text": "Which is one?", "question_type": "MULTIPLE_CHOICE", "choices": ["9", "8"]},
    ],
}
# What a question with these words makes it do: the tool, and a line of the scripted model's language.
DIRECTIONS = {
    "first 12 square numbers": ("code_interpreter", f"/code {json.dumps(CODE)}"),
    "Plot": ("code_interpreter", f"/code {json.dumps(PLOT)}"),
    "math concepts": ("file_search", '/call file_search {"query": "math concepts"}'),
    "Quiz me": ("display_quiz", f"/call display_quiz {json.dumps(QUIZ)}"),
}


def directed(body: dict[str, Any]) -> str:
    """The last question of a request, with what there is to do about it."""
    question = last_user_text(body)
    offered = {tool["function"]["name"] for tool in body.get("tools") or ()}
    lines = [line for words, (tool, line) in DIRECTIONS.items() if words in question and tool in offered]
    return "\n".join([question, *lines])


async def complete(request: web.Request) -> web.StreamResponse:
    body = await request.json()
    if body["model"] == BROKEN:
        return web.json_response({"error": {"message": "This model is broken."}}, status=400)
    script = read_script(directed(body))
    writer = ScriptedWriter(request, body, script, answer(body, script), None)
    return await (writer.stream() if body.get("stream") else writer.whole())


async def serve() -> None:
    app = web.Application()
    app.router.add_post("/v1/chat/completions", complete)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    sys.stdout.write(f"http://127.0.0.1:{runner.addresses[0][1]}/v1\n")
    sys.stdout.flush()
    await forever()


if __name__ == "__main__":
    asyncio.run(serve())
