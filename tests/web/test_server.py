"""The HTTP server and its end."""

from __future__ import annotations

import asyncio
from typing import Any

import aiohttp
from starlette.responses import PlainTextResponse
from starlette.types import Receive, Scope, Send

from assistd.server import HttpServer, reserve


async def test_a_request_that_outlasts_the_stop_is_no_fault() -> None:
    faults: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: faults.append(context))
    asked, end = asyncio.Event(), asyncio.Event()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        asked.set()
        await end.wait()
        await PlainTextResponse("done")(scope, receive, send)

    with reserve("127.0.0.1", 0) as held:
        port = held.getsockname()[1]
        server = HttpServer(app, "127.0.0.1", port)
        await server.start()
        async with aiohttp.ClientSession() as session:
            asking = asyncio.create_task(_ask(session, port))
            await asked.wait()
            await server.stop(0.01)
            asyncio.get_running_loop().set_exception_handler(lambda _, context: faults.append(context))
            end.set()
            assert await asking == "done"
        assert server._task is not None
        await asyncio.wait([server._task])
    await asyncio.sleep(0.05)  # the end of its threads comes through the loop
    assert not faults


async def _ask(session: aiohttp.ClientSession, port: int) -> str:
    while True:
        try:
            async with session.get(f"http://127.0.0.1:{port}/", headers={"Connection": "close"}) as response:
                return await response.text()
        except aiohttp.ClientConnectorError:
            await asyncio.sleep(0.01)
