"""What clients do with threads and runs: talk, answer function calls, search, cancel, delete, and follow it all."""

from __future__ import annotations

import asyncio
import json
import random
import re
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import openai

from tests.chaos import invariants
from tests.chaos.clients import Answer, Client, GaveUp, StreamRefused, follow
from tests.chaos.evidence import facts, find
from tests.chaos.history import Asked, Attempt, Expected, Followed, Violation

_ACTIVE = re.compile(r"(run_\w+)")
_PATIENCE = 150.0
_ENDED = 0.05, 0.3


@dataclass(frozen=True)
class Assistants:
    """Assistants that are there before anything goes wrong."""

    plain: str
    functions: str
    search: str


@dataclass(frozen=True)
class Plan:
    """What a run is to do: the user's message as a script, the assistant, and what must come of it."""

    script: str
    assistant: str
    says: tuple[str, ...]
    steps: tuple[str, ...]
    outputs: tuple[str, ...] = ()

    def expected(self) -> Expected:
        return Expected(self.says, self.steps, self.outputs)


class Person:
    """One client that lives through one conversation after another until it is told to stop."""

    def __init__(self, name: str, client: Client, assistants: Assistants) -> None:
        self.name = name
        self._client = client
        self._assistants = assistants
        self._chance = client.chance
        self._tags = 0

    def tag(self) -> str:
        self._tags += 1
        return f"{self.name}-{self._tags}"

    # --- whole conversations

    async def converse(self) -> None:
        """Have one conversation on a new thread."""
        thread = await self.new_thread()
        for _ in range(self._chance.randint(1, 3)):
            plan = self._chance.choice([self._talk, self._talk, self._call, self._find])()
            await self.take_turn(thread, plan)
        kind = self._chance.random()
        if kind < 0.25:
            await self.take_turn(thread, self._long(), self._cancel)
            await self.take_turn(thread, self._talk())
        elif kind < 0.4:
            await self.take_turn(thread, self._long(), self._delete)
        elif kind < 0.5:
            await self._delete_thread(thread)

    async def new_thread(self) -> str:
        def make() -> tuple[Attempt, Awaitable[Answer]]:
            tag = self.tag()
            attempt = self._client.history.attempt(tag, "thread")
            return attempt, self._client.sdk(
                "threads.create", lambda sdk: sdk.beta.threads.create(metadata={"tag": tag})
            )

        attempt, _ = await self._client.create(make)
        return attempt.id

    # --- one run

    async def take_turn(
        self, thread: str, plan: Plan, meddle: Callable[[str, Expected], Awaitable[None]] | None = None
    ) -> None:
        """Say something on a thread and see its run to the end, followed live; `meddle` goes on meanwhile."""
        script_sent = self._chance.random() < 0.4
        if script_sent:
            await self.add_message(thread, plan.script)
        followers = [Followed("a follower that stays"), Followed("a follower that hops")]
        followers = self._chance.sample(followers, self._chance.choice([0, 1, 1, 2]))
        ways = [self._create_plain, self._create_streamed, self._create_with_sdk_stream]
        create = self._chance.choice(ways if not plan.outputs else ways[:2])
        run_id, expected, begun = await self._new_run(thread, plan, script_sent, create)
        path = f"/threads/{thread}/runs/{run_id}"
        if begun is not None:
            followers.append(begun)
        following = [
            asyncio.create_task(follow(self._client, path, one, hops=one.who.endswith("hops"))) for one in followers
        ]
        try:
            if meddle is not None:
                await meddle(path, expected)
            if expected.deleted is Asked.NO:
                await self._see_through(path, expected)
            begin = time.monotonic()
            while following and (await asyncio.wait(following, timeout=1))[1]:
                if self._client.history.overdue(begin, _PATIENCE):
                    raise TimeoutError
        except TimeoutError:
            self._violation("a follower comes to the end", f"{run_id}: {[(f.who, f.events[-3:]) for f in followers]}")
        finally:
            for task in following:
                task.cancel()
            await asyncio.gather(*following, return_exceptions=True)
        if expected.deleted is not Asked.NO:
            return
        found = await find(self._client, path)
        if found is None:
            self._violation("no object of a successful answer is missing", f"run {run_id}")
            return
        history = self._client.history
        before = len(history.violations)
        history.add(invariants.check_run(expected, found))
        for one in followers:
            history.add(invariants.check_follower(f"run {run_id}", one, found.log))
            history.counts["live followers"] += 1
            history.counts["connections of live followers"] += one.connections
        history.settled[run_id] = facts(found)
        history.counts[f"runs {found.run['status']}"] += 1
        for _ in history.violations[before:]:
            history.counts["runs with violations"] += 1

    async def add_message(self, thread: str, script: str) -> None:
        def make() -> tuple[Attempt, Awaitable[Answer]]:
            tag = self.tag()
            attempt = self._client.history.attempt(tag, "message", thread)
            if self._chance.random() < 0.5:
                body = {"role": "user", "content": script, "metadata": {"tag": tag}}
                return attempt, self._client.raw("POST", f"/threads/{thread}/messages", body, allowed=(400,))
            return attempt, self._client.sdk(
                "messages.create",
                lambda sdk: sdk.beta.threads.messages.create(
                    thread, role="user", content=script, metadata={"tag": tag}
                ),
                allowed=(400,),
            )

        while True:
            attempt, answer = await self._client.create(make)
            if attempt.made is Asked.YES:
                return
            # A run of which nothing was heard when it was created is there after all.
            run, expected = await self._adopt(thread, answer.message)
            await self._see_through(f"/threads/{thread}/runs/{run}", expected)

    # --- a run's creation

    async def _new_run(
        self, thread: str, plan: Plan, script_sent: bool, create: Callable[..., Awaitable[Answer]]
    ) -> tuple[str, Expected, Followed | None]:
        """Create a run, or find that an attempt of which nothing was heard has created it."""
        while True:
            tag = self.tag()
            expected = plan.expected()
            attempt = self._client.history.attempt(tag, "run", thread, expected)
            body: dict[str, Any] = {"assistant_id": plan.assistant, "metadata": {"tag": tag}}
            extra = None
            if not script_sent:
                extra = self._client.history.attempt(f"{tag}-m", "message", thread)
                message = {"role": "user", "content": plan.script, "metadata": {"tag": extra.tag}}
                body["additional_messages"] = [message]
            followed = Followed("the follower that began it")
            answer = await create(thread, body, followed)
            attempt.made = answer.made
            if extra is not None:
                extra.made = answer.made
            if answer.made is Asked.YES:
                attempt.id = answer.body["id"]
                return attempt.id, expected, followed if followed.connections else None
            if answer.made is Asked.NO:
                return (*await self._adopt(thread, answer.message), None)
            await asyncio.sleep(self._chance.uniform(*_ENDED))

    async def _adopt(self, thread: str, refusal: str) -> tuple[str, Expected]:
        """Find the run that a refusal names as active: one whose creation was not answered."""
        active = _ACTIVE.findall(refusal)[-1]
        run = await self._client.get(f"/threads/{thread}/runs/{active}")
        attempt = self._client.history.attempts.get(run.body["metadata"].get("tag", ""))
        if attempt is None or attempt.thread_id != thread or attempt.made is not Asked.MAYBE:
            self._violation("a thread is locked by its own active run alone", f"{thread}: {refusal}, {run.body}")
            raise GaveUp
        self._client.history.counts["runs found after a lost answer"] += 1
        attempt.made, attempt.id = Asked.YES, active
        assert attempt.expected is not None
        return active, attempt.expected

    async def _create_plain(self, thread: str, body: dict[str, Any], followed: Followed) -> Answer:
        path = f"/threads/{thread}/runs"
        if self._chance.random() < 0.5:
            return await self._client.raw("POST", path, body, allowed=(400,))
        return await self._client.sdk(
            "runs.create", lambda sdk: sdk.beta.threads.runs.create(thread, **body), allowed=(400,)
        )

    async def _create_streamed(self, thread: str, body: dict[str, Any], followed: Followed) -> Answer:
        """Create a run with the beginning of its stream, and leave that at a random place, or where it breaks off."""
        node = await self._client.nodes.some(self._chance)
        followed.connections += 1
        try:
            async with asyncio.timeout(self._chance.choice([0.3, 1.0, None])):
                stream = self._client.stream(node, "POST", f"/threads/{thread}/runs", body | {"stream": True})
                async for event in stream:
                    followed.events.append(event)
        except StreamRefused as refusal:
            if refusal.status == 400:
                return Answer(Asked.NO, 400, None, refusal.message)
            if refusal.status != 503:
                self._violation("requests get 2xx or 503", f"POST runs (stream): {refusal}")
            return Answer(Asked.MAYBE, refusal.status, None)
        except TimeoutError:
            pass
        if not followed.events or followed.events[0].name == "error":
            return Answer(Asked.MAYBE, None, None)
        return Answer(Asked.YES, 200, followed.events[0].data)

    async def _create_with_sdk_stream(self, thread: str, body: dict[str, Any], followed: Followed) -> Answer:
        """Create a run with the SDK's stream helper, and leave the rest to others where that breaks off."""
        seen: list[Any] = []

        async def streamed(sdk: openai.AsyncOpenAI) -> Any:
            try:
                async with sdk.beta.threads.runs.stream(thread_id=thread, **body) as stream:
                    async for event in stream:
                        if event.event == "thread.run.created":
                            seen.append(event.data)
            except openai.APIStatusError:
                raise
            except Exception:  # whatever the SDK makes of a stream that breaks off: the run goes on without it
                if not seen:
                    raise
            return seen[0]

        return await self._client.sdk("runs.stream", streamed, allowed=(400,))

    # --- a run's way to its end

    async def _see_through(self, path: str, expected: Expected) -> None:
        """Poll a run to its end, and answer its calls."""
        begin = time.monotonic()
        while True:
            run = (await self._client.get(path)).body
            if run["status"] == "requires_action":
                await self._submit(path, run, expected.outputs)
            elif run["status"] in invariants.ENDS:
                return
            if self._client.history.overdue(begin, _PATIENCE):
                self._violation("every run ends", f"{run['id']} is {run['status']} after {_PATIENCE:.0f} s")
                return
            await asyncio.sleep(self._chance.uniform(0.1, 0.5))

    async def _submit(self, path: str, run: Any, given: tuple[str, ...]) -> None:
        calls = run["required_action"]["submit_tool_outputs"]["tool_calls"]
        wanted = [json.loads(call["function"]["arguments"])["n"] for call in calls]
        outputs: Any = [{"tool_call_id": call["id"], "output": given[n]} for call, n in zip(calls, wanted, strict=True)]
        if self._chance.random() < 0.5:
            await self._client.raw("POST", f"{path}/submit_tool_outputs", {"tool_outputs": outputs}, allowed=(400,))
        else:
            await self._client.sdk(
                "runs.submit_tool_outputs",
                lambda sdk: sdk.beta.threads.runs.submit_tool_outputs(
                    run["id"], thread_id=run["thread_id"], tool_outputs=outputs
                ),
                allowed=(400,),
            )

    async def _cancel(self, path: str, expected: Expected) -> None:
        await asyncio.sleep(self._chance.uniform(0.0, 1.5))
        expected.cancelled = Asked.MAYBE
        answer = await self._client.insist(lambda: self._client.raw("POST", f"{path}/cancel", {}, allowed=(400,)))
        expected.cancelled = answer.made  # refused: it had ended

    async def _delete(self, path: str, expected: Expected) -> None:
        await asyncio.sleep(self._chance.uniform(0.0, 1.5))
        expected.deleted = Asked.YES
        await self._delete_thread(path.split("/")[2])

    async def _delete_thread(self, thread: str) -> None:
        gone = self._client.history.deleted
        gone[thread] = Asked.MAYBE
        await self._client.insist(lambda: self._client.raw("DELETE", f"/threads/{thread}", allowed=(404,)))
        gone[thread] = Asked.YES
        self._client.history.counts["threads deleted"] += 1

    # --- what runs do

    def _talk(self) -> Plan:
        chance = self._chance
        words = " ".join(f"{self.name}.{chance.randrange(10**6)}" for _ in range(chance.randint(3, 20)))
        odd = chance.choice(["", "", "", f"\n/cut {chance.randint(1, 5)} x1", "\n/fail 503 x1 Busy."])
        return Plan(f"/say {words}\n/pace 20 {chance.randint(5, 40)}{odd}", self._assistants.plain, (words,), (_SAID,))

    def _long(self) -> Plan:
        words = " ".join(f"{self.name}.{self._chance.randrange(10**6)}" for _ in range(60))
        return Plan(f"/say {words}\n/pace 20 50", self._assistants.plain, (words,), (_SAID,))

    def _call(self) -> Plan:
        many = self._chance.randint(1, 2)
        outputs = tuple(f"{self.name}.{self._chance.randrange(10**6)}" for _ in range(many))
        calls = "\n".join(f'/call look_up {{"n": {n}, "why": "because of this and that"}}' for n in range(many))
        result = f"RESULT: {' | '.join(outputs)}"
        script = f"{calls}\n/pace 20 30"
        if self._chance.random() < 0.5:
            script += "\n/preamble Let me look that up."
            says, steps = ("Let me look that up.", result), (_SAID, _CALLED, _SAID)
        else:
            says, steps = (result,), (_CALLED, _SAID)
        return Plan(script, self._assistants.functions, says, steps, outputs)

    def _find(self) -> Plan:
        words = " ".join(f"{self.name}.{self._chance.randrange(10**6)}" for _ in range(12))
        script = f'/call file_search {{"query": "the favorite food of Filip"}}\n/say {words}\n/pace 20 30'
        return Plan(script, self._assistants.search, (words,), (_CALLED, _SAID))

    def _violation(self, invariant: str, text: str) -> None:
        self._client.history.add([Violation(invariant, text)])


_SAID = "message_creation"
_CALLED = "tool_calls"


def chance_of(seed: str, name: str) -> random.Random:
    """What a client does is decided by its seed and name."""
    return random.Random(f"{seed} {name}")
