"""How clients make their requests: with the official SDK or plain HTTP, to any node that serves."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Collection
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import aiohttp
import httpx2
import openai

from tests.chaos import invariants
from tests.chaos.history import Asked, Attempt, Followed, History, Trouble, Violation
from tests.chaos.nodes import Node, Nodes
from tests.durability.api import HEADERS
from tests.durability.streams import Event, read_frame

_ANSWER_SECONDS = 90.0
# A stream that says nothing for so long is dead: a quiet one sends a comment every 15 seconds.
_SILENCE_SECONDS = 60.0
# Until a client gives up that nobody gives a definite answer.
_PATIENCE = 150.0


class GaveUp(Exception):
    """A client got no definite answer for so long that it counts as a violation, which is noted."""


@dataclass
class Answer:
    """What became of a request: `made` says whether it was done, if that is known."""

    made: Asked
    status: int | None
    body: Any
    message: str = ""


@dataclass(frozen=True)
class Doors:
    """The two ways of making requests, which all clients share; every request has a connection of its own."""

    session: aiohttp.ClientSession
    sdk: openai.AsyncOpenAI


@asynccontextmanager
async def open_doors() -> AsyncIterator[Doors]:
    http = openai.DefaultAsyncHttpxClient(limits=httpx2.Limits(max_keepalive_connections=0))
    options: Any = {"api_key": "sk-chaos", "max_retries": 0, "timeout": _ANSWER_SECONDS, "http_client": http}
    connector = aiohttp.TCPConnector(limit=0, force_close=True)
    async with aiohttp.ClientSession(connector=connector) as session, openai.AsyncOpenAI(**options) as sdk:
        yield Doors(session, sdk)


class Client:
    """A client's requests, and the note of each that goes wrong."""

    def __init__(self, nodes: Nodes, history: History, doors: Doors, chance: random.Random) -> None:
        self.nodes = nodes
        self.history = history
        self.chance = chance
        self._session = doors.session
        self._sdk = doors.sdk

    # --- one request

    async def raw(
        self, method: str, path: str, body: Any = None, *, allowed: Collection[int] = (), data: Any = None
    ) -> Answer:
        """Make one request over plain HTTP. Statuses that are `allowed` are definite refusals."""

        async def ask(node: Node) -> tuple[int, Any]:
            timeout = aiohttp.ClientTimeout(total=_ANSWER_SECONDS)
            request = self._session.request(
                method, node.url + path, json=body, data=data() if data else None, headers=HEADERS, timeout=timeout
            )
            async with request as response:
                return response.status, await response.json()

        return await self._ask(f"{method} {path}", ask, allowed)

    async def sdk(
        self, what: str, call: Callable[[openai.AsyncOpenAI], Awaitable[Any]], *, allowed: Collection[int] = ()
    ) -> Answer:
        """Make one request with the SDK, which does not retry."""

        async def ask(node: Node) -> tuple[int, Any]:
            try:
                answer = await call(self._sdk.with_options(base_url=node.url))
                return 200, answer.to_dict() if hasattr(answer, "to_dict") else answer
            except openai.APIStatusError as refusal:
                return refusal.status_code, refusal.response.json()
            except (
                Exception
            ) as fault:  # a connection that is lost at the wrong moment is an AttributeError below the SDK
                raise ConnectionError(repr(fault)) from fault

        return await self._ask(f"SDK {what}", ask, allowed)

    async def _ask(
        self, what: str, ask: Callable[[Node], Awaitable[tuple[int, Any]]], allowed: Collection[int]
    ) -> Answer:
        node = await self.nodes.some(self.chance)
        begin = time.monotonic()
        status, body, message = None, None, ""
        try:
            status, body = await ask(node)
        except (aiohttp.ClientError, OSError, ValueError) as fault:
            message = repr(fault)
        if status is not None and status < 300:
            self.history.counts["requests answered 2xx"] += 1
            return Answer(Asked.YES, status, body)
        if status is not None:
            message = body["error"]["message"] if isinstance(body, dict) and "error" in body else repr(body)
        if status in allowed:
            self.history.counts["requests refused as they must be"] += 1
            return Answer(Asked.NO, status, body, message)
        await self.note(what, node, begin, status, message)
        return Answer(Asked.MAYBE, status, body, message)

    async def note(self, what: str, node: Node, begin: float, status: int | None, message: str) -> None:
        """Note a request that went wrong."""
        end = time.monotonic()
        await asyncio.sleep(0.1)  # whose node has just died by itself is known a moment later
        trouble = Trouble(f"{what} to node {node.number}", status, message, node.disturbed(begin, end), end - begin)
        self.history.counts["requests answered 503" if status else "requests whose connection was lost"] += 1
        self.history.add(invariants.check_trouble(trouble))

    # --- until it is answered

    async def insist(self, ask: Callable[[], Awaitable[Answer]]) -> Answer:
        """Make a request that does not hurt twice until it is answered; MAYBE in `made` means that it was asked before.

        A refusal after an attempt that nobody knows of counts as MAYBE: it may be refused because it was done.
        """
        begin = time.monotonic()
        unknown = False
        while True:
            answer = await ask()
            if answer.made is Asked.YES:
                return answer
            if answer.made is Asked.NO:
                return Answer(Asked.MAYBE, answer.status, answer.body, answer.message) if unknown else answer
            unknown = True
            if self.history.overdue(begin, _PATIENCE):
                self.history.add([Violation("clients are answered in the end", f"{answer.status}: {answer.message}")])
                raise GaveUp
            await asyncio.sleep(self.chance.uniform(0.05, 0.4))

    async def get(self, path: str, *, allowed: Collection[int] = ()) -> Answer:
        return await self.insist(lambda: self.raw("GET", path, allowed=allowed))

    async def create(self, make: Callable[[], tuple[Attempt, Awaitable[Answer]]]) -> tuple[Attempt, Answer]:
        """Create an object, with an attempt of its own for each request, until one is answered."""
        while True:
            attempt, asking = make()
            answer = await asking
            attempt.made = answer.made
            if answer.made is Asked.YES:
                attempt.id = answer.body["id"]
            if answer.made is not Asked.MAYBE:
                return attempt, answer
            await asyncio.sleep(self.chance.uniform(0.05, 0.4))

    # --- streams

    async def stream(
        self, node: Node, method: str, path: str, body: Any = None, last_event_id: str = ""
    ) -> AsyncIterator[Event]:
        """Yield the events of a stream as they come; where its connection is lost, that is its end.

        An `error` event ends it, too, and is yielded. Raises StreamRefused where the answer is no stream.
        """
        headers = HEADERS | ({"Last-Event-ID": last_event_id} if last_event_id else {})
        timeout = aiohttp.ClientTimeout(total=None, sock_read=_SILENCE_SECONDS, sock_connect=10)
        begin = time.monotonic()
        what = f"{method} {path} (stream)"
        request = self._session.request(method, node.url + path, json=body, headers=headers, timeout=timeout)
        try:
            async with request as response:
                if response.status != 200:
                    answer = await response.json()
                    raise StreamRefused(response.status, answer["error"]["message"])
                frame: list[str] = []
                async for line in response.content:
                    if line != b"\n":
                        frame.append(line.decode().rstrip("\n"))
                        continue
                    event = read_frame(frame)
                    frame = []
                    if event is not None:
                        self.history.counts["events streamed"] += 1
                        yield event
                        if event.name in ("done", "error"):
                            return
            await self.note(what, node, begin, None, "the stream ended without `done`")
        except StreamRefused as refusal:
            if refusal.status == 503:
                await self.note(what, node, begin, refusal.status, refusal.message)
            raise
        except (aiohttp.ClientError, OSError, ValueError) as fault:
            await self.note(what, node, begin, None, repr(fault))


class StreamRefused(Exception):
    """A stream was asked for and not given."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(f"{status}: {message}")
        self.status = status
        self.message = message


async def follow(client: Client, path: str, followed: Followed, *, hops: bool) -> None:
    """Follow a run to its end, over as many connections as it takes.

    `hops`: it leaves now and then by itself, and comes back to any node; else it stays with one as long as that serves.
    """
    node = await client.nodes.some(client.chance)
    while True:
        if hops or not node.url:
            node = await client.nodes.some(client.chance)
        last = next((event for event in reversed(followed.events) if event.id is not None), None)
        followed.connections += 1
        stay = client.chance.uniform(0.2, 2.0) if hops else None
        try:
            async with asyncio.timeout(stay):
                stream = client.stream(node, "GET", f"{path}/events", last_event_id=(last and last.id) or "")
                async for event in stream:
                    followed.events.append(event)
        except StreamRefused as refusal:
            if refusal.status == 404:
                return  # deleted
        except TimeoutError:
            pass
        if followed.events and followed.events[-1].name == "done" and _is_over(followed):
            return
        await asyncio.sleep(client.chance.uniform(0.02, 0.2))


def _is_over(followed: Followed) -> bool:
    """Whether `done` came behind the run's end: behind `requires_action` there is more to come."""
    last = next((event for event in reversed(followed.events) if event.id is not None), None)
    return last is not None and last.name.removeprefix("thread.run.") in invariants.ENDS
