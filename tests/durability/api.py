"""The API over plain HTTP, as the durability tests use it: without retries, and with every event in hand."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import aiohttp

from tests.durability.streams import Event, read_frame

# Until something that never comes counts as stuck; nothing waits that long otherwise.
PATIENCE = 45.0
ENDED = ("completed", "failed", "cancelled", "expired", "incomplete")

HEADERS = {"OpenAI-Beta": "assistants=v2", "Authorization": "Bearer sk-durability"}
FUNCTION = {"type": "function", "function": {"name": "look_up", "parameters": {"type": "object", "properties": {}}}}


@dataclass(frozen=True)
class Run:
    """Where a run is."""

    thread_id: str
    id: str

    @property
    def path(self) -> str:
        return f"/threads/{self.thread_id}/runs/{self.id}"


class Refused(Exception):
    """An answer that is none of 2xx: its status and its error's words."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(f"{status}: {message}")
        self.status = status
        self.message = message


class Api:
    """One server's API."""

    def __init__(self, session: aiohttp.ClientSession, url: str) -> None:
        self._session = session
        self._url = url
        self._assistant = ""

    async def call(self, method: str, path: str, body: Any = None) -> Any:
        """Make one request. Raises Refused, and what aiohttp raises where nobody answers."""
        async with self._session.request(method, self._url + path, json=body, headers=HEADERS) as response:
            answer = await response.json()
            if response.status >= 300:
                raise Refused(response.status, answer["error"]["message"])
            return answer

    async def get(self, path: str) -> Any:
        return await self.call("GET", path)

    async def post(self, path: str, body: Any = None) -> Any:
        return await self.call("POST", path, body or {})

    async def assistant(self) -> str:
        if not self._assistant:
            made = await self.post("/assistants", {"model": "scripted", "tools": [FUNCTION]})
            self._assistant = made["id"]
        return self._assistant

    async def begin(self, *script: str, thread: str | None = None, **options: Any) -> Run:
        """Create a run, on a new thread or on one that is there, whose user message is these lines."""
        message = {"role": "user", "content": "\n".join(script)}
        body = {"assistant_id": await self.assistant(), **options}
        if thread is None:
            run = await self.post("/threads/runs", body | {"thread": {"messages": [message]}})
        else:
            run = await self.post(f"/threads/{thread}/runs", body | {"additional_messages": [message]})
        return Run(run["thread_id"], run["id"])

    async def until(self, run: Run, *statuses: str) -> Any:
        """Wait until a run has one of these statuses, by default any end; fail if it ends in another."""
        wanted = statuses or ENDED
        deadline = time.monotonic() + PATIENCE
        while True:
            now = await self.get(run.path)
            if now["status"] in wanted:
                return now
            assert now["status"] not in ENDED, f"wanted {wanted}: {now}"
            assert time.monotonic() < deadline, f"stuck: {now}"
            await asyncio.sleep(0.02)

    async def cancel(self, run: Run) -> Any:
        return await self.post(f"{run.path}/cancel")

    async def submit(self, run: Run, output: str = "42") -> Any:
        """Answer every call that a run waits for."""
        waiting = await self.get(run.path)
        calls = waiting["required_action"]["submit_tool_outputs"]["tool_calls"]
        outputs = [{"tool_call_id": call["id"], "output": output} for call in calls]
        return await self.post(f"{run.path}/submit_tool_outputs", {"tool_outputs": outputs})

    async def messages(self, run: Run) -> list[Any]:
        """The messages that a run wrote, oldest first."""
        listed = await self.get(f"/threads/{run.thread_id}/messages?order=asc&limit=100&run_id={run.id}")
        return list(listed["data"])

    async def words(self, run: Run) -> list[str]:
        """What a run said, message by message."""
        return [message["content"][0]["text"]["value"] for message in await self.messages(run)]

    async def steps(self, run: Run) -> list[Any]:
        listed = await self.get(f"{run.path}/steps?order=asc&limit=100")
        return list(listed["data"])

    async def stream(self, path: str, body: Any = None, last_event_id: str = "") -> AsyncIterator[Event]:
        """Yield the events of a stream as they come. Ends without `done` where the connection is lost."""
        headers = HEADERS | ({"Last-Event-ID": last_event_id} if last_event_id else {})
        method = "GET" if body is None else "POST"
        async with self._session.request(method, self._url + path, json=body, headers=headers) as response:
            assert response.status == 200, await response.text()
            frame: list[str] = []
            with contextlib.suppress(aiohttp.ClientPayloadError, ConnectionError):
                async for line in response.content:
                    if line != b"\n":
                        frame.append(line.decode().rstrip("\n"))
                        continue
                    event = read_frame(frame)
                    frame = []
                    if event is not None:
                        yield event

    async def replay(self, run: Run, last_event_id: str = "") -> list[Event]:
        """All events of a run that has ended or waits, from the log, `done` included."""
        async with asyncio.timeout(PATIENCE):
            return [event async for event in self.stream(f"{run.path}/events", last_event_id=last_event_id)]


@dataclass
class Follower:
    """A client that follows a run to its end and comes back, to the next server, where a stream breaks off."""

    run: Run
    servers: Sequence[Api]
    events: list[Event] = field(default_factory=list)
    connections: int = 0

    async def follow(self) -> list[Event]:
        async with asyncio.timeout(PATIENCE):
            while not (self.events and self.events[-1].name == "done"):
                server = self.servers[min(self.connections, len(self.servers) - 1)]
                self.connections += 1
                with contextlib.suppress(aiohttp.ClientError, ConnectionError):
                    await self._read(server)
                await asyncio.sleep(0.05)
        return self.events

    async def _read(self, server: Api) -> None:
        seen = self.events[-1].id if self.events else ""
        async for event in server.stream(f"{self.run.path}/events", last_event_id=seen or ""):
            if event.name == "error":
                return  # the server says that it ends
            self.events.append(event)

    def heard(self, name: str) -> int:
        """How many events of this name have come."""
        return sum(1 for event in self.events if event.name == name)


async def eventually(condition: Callable[[], Awaitable[Any] | Any], what: str = "") -> Any:
    """Wait until a condition holds, and return what it gave."""
    deadline = time.monotonic() + PATIENCE
    while True:
        answer = condition()
        if isinstance(answer, Awaitable):
            answer = await answer
        if answer:
            return answer
        assert time.monotonic() < deadline, f"waited in vain: {what or condition}"
        await asyncio.sleep(0.01)
