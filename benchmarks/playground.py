"""How fast the playground is: opening and scrolling a thread of 2,000 messages, and streaming 50 tokens a second.

    make page && .venv/bin/python benchmarks/playground.py [--messages 2000] [--tokens 1000]

Starts a server with the scripted model and a headless Chromium, and prints what was measured; see
docs/explanation/performance.md. Chromium draws without a graphics card here, as on a machine without one.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import sys
import tempfile
from pathlib import Path
from typing import Any

import openai
from playwright.async_api import expect

sys.path.insert(0, str(Path(__file__).parents[1]))

from tests.playground.visitor import Visitor, visit
from tests.support.server import serve

# Times between frames, gathered by the page itself.
WATCH = """() => {
  window.frames_ = []; let last = performance.now();
  const tick = (now) => { window.frames_.push(now - last); last = now; window.watch_ = requestAnimationFrame(tick); };
  window.watch_ = requestAnimationFrame(tick);
}"""
STOP = "() => { cancelAnimationFrame(window.watch_); return window.frames_.slice(1); }"
ANSWER = (
    "**Answer {n}.** Some words with `code`, a [link](https://example.com) and a list:\n\n- one\n- two\n\n"
    "```python\ndef f(x):\n    return x + {n}\n```\n\nAnd the end of it, which is {long}long."
)


def answers(tokens: int) -> tuple[str, str, str]:
    """Of about so many tokens of the scripted model: many blocks of Markdown, one block of code, and one list."""
    functions = (
        f"def f{n}(x: int) -> int:\n    return x * {n} + sum(range(x))  # no. {n}\n" for n in range(tokens // 14)
    )
    return (
        "\n\n".join(ANSWER.format(n=n, long="") for n in range(tokens // 26)),
        "```python\n" + "\n".join(functions) + "```\nAnd that is all.",
        "\n".join(f"- item {n} with `code` and **bold** words" for n in range(tokens // 8)),
    )


async def fill(client: openai.AsyncOpenAI, messages: int) -> str:
    """Make a thread of so many messages, and return its id."""
    first = [
        {
            "role": "assistant" if number % 2 else "user",
            "content": ANSWER.format(n=number, long="very " * (number % 40)) if number % 2 else f"Question {number}?",
        }
        for number in range(messages)
    ]
    thread = await client.beta.threads.create(metadata={"title": f"{messages} messages"})
    for message in first:
        await client.beta.threads.messages.create(thread.id, **message)  # type: ignore[arg-type]
    return thread.id


async def opening(visitor: Visitor, thread_id: str, messages: int) -> list[float]:
    """Seconds from a click on the thread until its last message is seen."""
    taken = []
    for _ in range(7):
        await visitor.come("#/assistants")
        await visitor.page.reload()  # so that nothing of it is remembered
        link = visitor.page.get_by_role("link", name=f"{messages} messages")
        await link.wait_for()
        taken.append(
            await visitor.page.evaluate(
                """async ([name, text]) => {
                  const link = [...document.querySelectorAll('a')].find((a) => a.textContent.includes(name));
                  const begin = performance.now();
                  link.click();
                  for (;;) {
                    await new Promise(requestAnimationFrame);
                    const last = [...document.querySelectorAll('article')].at(-1);
                    if (last?.textContent.includes(text) && last.getBoundingClientRect().bottom < innerHeight) break;
                  }
                  return (performance.now() - begin) / 1000;
                }""",
                [f"{messages} messages", f"Answer {messages - 1}."],
            )
        )
    return taken


async def scrolling(visitor: Visitor) -> tuple[list[float], int]:
    """Times between frames, in milliseconds, at 6,000 pixels a second upwards; and the oldest message that was seen."""
    page = visitor.page
    await page.get_by_role("log", name="Messages").hover()
    await page.mouse.wheel(0, -500)
    await page.evaluate(WATCH)
    oldest = await page.evaluate(
        """async (seconds) => {
          const list = document.querySelector('[role=log]'), end = performance.now() + seconds * 1000;
          let seen = Infinity;
          while (performance.now() < end && seen > 0) {
            list.dispatchEvent(new WheelEvent('wheel', {deltaY: -1}));
            list.scrollTop -= 100;
            await new Promise(requestAnimationFrame);
            const first = document.querySelector('article')?.textContent.match(/(?:Question|Answer) (\\d+)/);
            if (first) seen = Math.min(seen, Number(first[1]));
          }
          return seen;
        }""",
        25,
    )
    return list(await page.evaluate(STOP)), oldest


async def streaming(visitor: Visitor, client: openai.AsyncOpenAI, answer: str) -> tuple[list[float], float]:
    """Times between frames, in milliseconds, while an answer streams; and how many tokens came a second."""
    await visitor.say(f"/say {json.dumps(answer)}\n/pace 100 20")
    await expect(visitor.page.get_by_role("button", name="Stop")).to_be_visible()
    await visitor.page.evaluate(WATCH)
    await visitor.page.get_by_role("button", name="Send message").wait_for(timeout=600_000)
    frames = list(await visitor.page.evaluate(STOP))
    run = (await client.beta.threads.runs.list(visitor.thread_id, limit=1)).data[0]
    assert run.usage
    assert run.completed_at
    assert run.started_at
    return frames, run.usage.completion_tokens / (run.completed_at - run.started_at)


def told(name: str, frames: list[float]) -> str:
    late = sum(round(frame / 16.7) - 1 for frame in frames if frame > 25)
    ordered = sorted(frames)
    return (
        f"{name}: {len(frames)} frames, median {statistics.median(frames):.1f} ms, "
        f"p99 {ordered[int(len(ordered) * 0.99)]:.1f} ms, longest {ordered[-1]:.1f} ms, {late} dropped"
    )


async def measure(arguments: argparse.Namespace, url: str) -> None:
    async with openai.AsyncOpenAI(base_url=url, api_key="any") as client:
        await client.beta.assistants.create(model="scripted", name="Measured")
        thread_id = await fill(client, arguments.messages)
        options: dict[str, Any] = {"reduced_motion": "reduce"}
        async with visit(url, **options) as visitor:
            taken = await opening(visitor, thread_id, arguments.messages)
            print(
                f"opening {arguments.messages} messages: median {statistics.median(taken):.2f} s, "
                f"longest {max(taken):.2f} s"
            )
            frames, oldest = await scrolling(visitor)
            print(told(f"scrolling back to message {oldest}", frames))

            paragraphs, program, items = answers(arguments.tokens)

            async def stream(what: str, answer: str) -> None:
                frames, rate = await streaming(visitor, client, answer)
                print(told(f"{rate:.0f} tokens/s {what}", frames))

            await visitor.come_to_thread(thread_id)
            await stream(f"behind {arguments.messages} messages", paragraphs)
            await visitor.come("#/")
            await stream("in a new thread", paragraphs)
            await stream("of one long program", program)
            await stream("of one long list", items)
            await visitor.inspector.get_by_role("tab", name="Events").click()
            await stream("with its events shown", paragraphs)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--messages", type=int, default=2000)
    parser.add_argument("--tokens", type=int, default=1000)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="assistd-bench-") as folder, serve(Path(folder)) as server:
        asyncio.run(measure(arguments, server.url))


if __name__ == "__main__":
    main()
