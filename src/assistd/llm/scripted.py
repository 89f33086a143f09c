"""The scripted model: a Chat Completions server that says what it is told to, for tests and demos.

It speaks `/v1/chat/completions` (streamed or not), `/v1/models` and
`/v1/embeddings` on loopback, takes any model name and key, and needs no
network. What it says is in the last user message: `assistd.llm.script` has the
language. The same request is always answered alike, but for ids, times, and
the directions that count (`xK`), which count per user message.

    async with scripted_model() as scripted:
        ...  # scripted.base_url is what MODEL_BASE_URL takes

    python -m assistd.llm.scripted --port 9000
"""

from __future__ import annotations

import argparse
import array
import asyncio
import base64
import sys
from collections import Counter, deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final

import msgspec
from aiohttp import web

from assistd.llm.script import Cut, Failure, ScriptError, read_script
from assistd.llm.scripted_answer import answer, last_user_text
from assistd.llm.scripted_writer import ScriptedWriter, forever, json_response
from assistd.llm.word_vectors import word_vector

_MAX_BODY_BYTES: Final = 64 * 1024 * 1024
_DIMENSIONS: Final = 1536
_MODEL: Final = "scripted"
_KEPT_REQUESTS: Final = 1000


class Received(msgspec.Struct, frozen=True):
    """A request as the model saw it."""

    path: str
    headers: dict[str, str]
    body: dict[str, Any]


class ScriptedModel:
    """One running server: where it is, what it received, and how often each direction was followed."""

    def __init__(self) -> None:
        self.base_url = ""
        self.received: deque[Received] = deque(maxlen=_KEPT_REQUESTS)
        self.active = 0  # completions that are being made
        self._changed = asyncio.Event()
        self._followed: Counter[tuple[str, Failure | Cut]] = Counter()

    def application(self) -> web.Application:
        """The server's routes, not yet listening."""
        app = web.Application(client_max_size=_MAX_BODY_BYTES)
        app.router.add_post("/v1/chat/completions", self._chat)
        app.router.add_post("/v1/embeddings", self._embeddings)
        app.router.add_get("/v1/models", self._models)
        return app

    async def until_active(self, count: int) -> None:
        """Wait until exactly so many completions are being made."""
        while self.active != count:
            await self._changed.wait()

    def _count(self, change: int) -> None:
        self.active += change
        self._changed.set()
        self._changed = asyncio.Event()

    async def _chat(self, request: web.Request) -> web.StreamResponse:
        self._count(1)
        try:
            body = await self._body(request)
            if body is None or not _is_conversation(body.get("messages")):
                return _error(Failure(400, words="The body is not a Chat Completions request."))
            text = last_user_text(body)
            try:
                script = read_script(text)
            except ScriptError as fault:
                return _error(Failure(400, words=str(fault)))
            if script.fail and self._due(text, script.fail):
                return _error(script.fail)
            cut = script.cut if script.cut and self._due(text, script.cut) else None
            writer = ScriptedWriter(request, body, script, answer(body, script), cut.after if cut else None)
            return await (writer.stream() if body.get("stream") else writer.whole())
        finally:
            self._count(-1)

    def _due(self, text: str, direction: Failure | Cut) -> bool:
        if direction.times is None:
            return True
        self._followed[text, direction] += 1
        return self._followed[text, direction] <= direction.times

    async def _embeddings(self, request: web.Request) -> web.StreamResponse:
        body = await self._body(request)
        if body is None or not isinstance(body.get("input"), str | list):
            return _error(Failure(400, words="The body is not an embeddings request."))
        texts = _embedded_texts(body["input"])
        dimensions = int(body.get("dimensions") or _DIMENSIONS)
        data = []
        for index, text in enumerate(texts):
            vector: list[float] | str = word_vector(text, dimensions)
            if body.get("encoding_format") == "base64":
                vector = base64.b64encode(array.array("f", vector).tobytes()).decode()
            data.append({"object": "embedding", "index": index, "embedding": vector})
        tokens = sum(len(text.split()) for text in texts)
        usage = {"prompt_tokens": tokens, "total_tokens": tokens}
        return json_response({"object": "list", "model": body.get("model", _MODEL), "data": data, "usage": usage})

    async def _models(self, request: web.Request) -> web.StreamResponse:
        model = {"id": _MODEL, "object": "model", "created": 0, "owned_by": "assistd"}
        return json_response({"object": "list", "data": [model]})

    async def _body(self, request: web.Request) -> dict[str, Any] | None:
        try:
            body = msgspec.json.decode(await request.read(), type=dict[str, Any])
        except (msgspec.DecodeError, UnicodeDecodeError):
            return None
        self.received.append(Received(request.path, dict(request.headers), body))
        return body


def _is_conversation(messages: Any) -> bool:
    return isinstance(messages, list) and all(isinstance(message, dict) for message in messages)


def _error(failure: Failure) -> web.Response:
    kind = "invalid_request_error" if failure.status < 500 else "server_error"
    words = failure.words or f"The scripted model answers with status {failure.status}."
    error = {"message": words, "type": kind, "param": None, "code": failure.code or None}
    headers = {"Retry-After": failure.retry_after} if failure.retry_after else None
    return json_response({"error": error}, failure.status, headers)


def _embedded_texts(value: Any) -> list[str]:
    """The texts to embed: one, several, or (as numbers of tokens) one or several."""
    if isinstance(value, str):
        return [value]
    if value and all(isinstance(item, int) for item in value):
        value = [value]
    return [item if isinstance(item, str) else " ".join(map(str, item)) for item in value]


@asynccontextmanager
async def scripted_model(host: str = "127.0.0.1", port: int = 0) -> AsyncIterator[ScriptedModel]:
    """Run a scripted model in this process; port 0 takes a free one."""
    model = ScriptedModel()
    runner = web.AppRunner(model.application(), access_log=None, handler_cancellation=True, shutdown_timeout=0)
    await runner.setup()
    try:
        await web.TCPSite(runner, host, port).start()
        model.base_url = f"http://{host}:{runner.addresses[0][1]}/v1"
        yield model
    finally:
        await runner.cleanup()


async def _serve(host: str, port: int) -> None:
    async with scripted_model(host, port) as model:
        sys.stdout.write(f"The scripted model answers at {model.base_url}\n")
        sys.stdout.flush()
        await forever()


def main() -> None:
    """Run a scripted model until it is interrupted."""
    parser = argparse.ArgumentParser(prog="python -m assistd.llm.scripted", description="Run the scripted model.")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default: %(default)s)")
    parser.add_argument("--port", type=int, default=0, help="port to listen on; 0, the default, takes a free one")
    options = parser.parse_args()
    try:
        asyncio.run(_serve(options.host, options.port))
    except KeyboardInterrupt:
        sys.exit(0)


if __name__ == "__main__":
    main()
