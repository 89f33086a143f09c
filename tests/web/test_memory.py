"""Room for bodies: who gets it, who waits, and who gives up."""

from __future__ import annotations

import asyncio

import pytest

from assistd.errors import APIError
from assistd.web import memory as module
from assistd.web.memory import Memory


class Holder:
    """Somebody who wants room, and keeps it until told otherwise."""

    def __init__(self, memory: Memory, owner: str, size: int) -> None:
        self.has_it = asyncio.Event()
        self._done = asyncio.Event()
        self.task = asyncio.create_task(self._hold(memory, owner, size))

    async def _hold(self, memory: Memory, owner: str, size: int) -> None:
        async with memory.room(owner, size):
            self.has_it.set()
            await self._done.wait()

    async def leave(self) -> None:
        self._done.set()
        await self.task


async def settle() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


async def test_room_is_given_while_there_is_some_and_then_in_turn() -> None:
    memory = Memory(100)
    first, second, third, fourth = (Holder(memory, owner, 40) for owner in "abcd")
    await settle()
    assert [holder.has_it.is_set() for holder in (first, second, third, fourth)] == [True, True, False, False]
    await first.leave()
    await settle()
    assert (third.has_it.is_set(), fourth.has_it.is_set()) == (True, False)
    small = Holder(memory, "e", 20)
    await settle()
    assert not small.has_it.is_set()  # behind the fourth, though it would fit
    for holder in (second, third, fourth, small):
        await holder.has_it.wait()
        await holder.leave()


async def test_one_project_leaves_half_to_the_others() -> None:
    memory = Memory(100)
    greedy = [Holder(memory, "a", 25) for _ in range(3)]
    other = Holder(memory, "b", 25)
    await settle()
    assert [holder.has_it.is_set() for holder in greedy] == [True, True, False]
    assert other.has_it.is_set()
    for holder in (*greedy, other):
        await holder.has_it.wait()
        await holder.leave()


async def test_more_than_there_will_ever_be_is_half_of_all() -> None:
    async with asyncio.timeout(30), Memory(100).room("a", 1000):
        pass


async def test_who_waits_too_long_is_told_to_come_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_WAIT_SECONDS", 0.01)
    memory = Memory(100)
    holder = Holder(memory, "a", 50)
    await holder.has_it.wait()
    with pytest.raises(APIError, match="try again soon") as refused:
        async with memory.room("a", 50):
            pass
    assert (refused.value.status, refused.value.headers) == (503, {"retry-after": "1"})
    await holder.leave()
    async with memory.room("a", 50):  # nothing was lost
        pass


async def test_who_goes_while_waiting_lets_the_next_one_in() -> None:
    memory = Memory(100)
    first = Holder(memory, "a", 50)
    waits, behind = Holder(memory, "b", 60), Holder(memory, "c", 50)
    await settle()
    waits.task.cancel()
    await behind.has_it.wait()
    last = Holder(memory, "d", 50)
    await settle()
    assert not last.has_it.is_set()
    last.task.cancel()
    await first.leave()  # in the same turn of the loop: who was just let in may be gone
    await behind.leave()
    await asyncio.gather(waits.task, last.task, return_exceptions=True)
    async with memory.room("e", 50), memory.room("f", 50):
        pass
