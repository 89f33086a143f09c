"""Who may come in, as one process remembers it."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator
from types import SimpleNamespace
from typing import Any

import asyncpg
import pytest

from assistd.db.faults import DatabaseUnavailable
from assistd.db.pool import Database
from assistd.errors import APIError
from assistd.web import auth, keys
from assistd.web.auth import StoredKeys
from assistd.web.guesses import MOST


class Watched:
    """A database that counts how often it is asked, and can be made to answer late."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self.asked = 0
        self.answering = asyncio.Event()
        self.answering.set()

    def acquire(self) -> Any:
        self.asked += 1
        return _Late(self._database.acquire(), self.answering)


class _Late:
    """A connection whose last answer arrives only when it may."""

    def __init__(self, acquired: Any, answering: asyncio.Event) -> None:
        self._acquired, self._answering = acquired, answering

    async def __aenter__(self) -> Any:
        return await self._acquired.__aenter__()

    async def __aexit__(self, *fault: Any) -> None:
        await self._acquired.__aexit__(*fault)
        await self._answering.wait()


@pytest.fixture
def watched(database: Database) -> Watched:
    return Watched(database)


@pytest.fixture
def keyring(watched: Watched) -> StoredKeys:
    return StoredKeys(watched)  # type: ignore[arg-type]


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The time as the keyring sees it."""
    now = [1000.0]
    # The keyring's alone: an event loop whose time stands still never wakes anybody.
    monkeypatch.setattr(auth, "time", SimpleNamespace(monotonic=lambda: now[0]))
    return now


async def create(database: Database, project: str = "default") -> str:
    async with database.transaction() as conn:
        return await keys.create(conn, "test", project)


async def revoke_all(database: Database) -> None:
    async with database.acquire() as conn:
        for key in await keys.list_all(conn):
            assert await keys.revoke(conn, key.id)


async def refusal(keyring: StoredKeys, key: str | None) -> APIError:
    with pytest.raises(APIError) as refused:
        await keyring.project_of(key, {})
    assert refused.value.status == 401
    return refused.value


async def test_without_any_key_any_key_opens_the_default_project(keyring: StoredKeys) -> None:
    assert await keyring.project_of("sk-anything", {}) == keys.DEFAULT_PROJECT
    assert (await refusal(keyring, None)).code is None


async def test_a_key_opens_its_project_and_no_other_key_does(keyring: StoredKeys, database: Database) -> None:
    ours, theirs = await create(database, "ours"), await create(database, "theirs")
    projects = {await keyring.project_of(ours, {}), await keyring.project_of(theirs, {})}
    assert len(projects) == 2
    assert keys.DEFAULT_PROJECT not in projects
    for wrong in (
        "sk-anything",
        ours[:-1],
        ours + "x",
        ours.swapcase(),
        " " + ours,
        "",
        "é",
        hashlib.sha256(ours.encode()).hexdigest(),
    ):
        assert (await refusal(keyring, wrong)).code == "invalid_api_key"


async def test_a_key_of_a_project_that_is_there_already(keyring: StoredKeys, database: Database) -> None:
    first, second, default = [await create(database, name) for name in ("ours", "ours", "default")]
    assert await keyring.project_of(first, {}) == await keyring.project_of(second, {})
    assert await keyring.project_of(default, {}) == keys.DEFAULT_PROJECT


async def test_a_key_is_looked_up_once_in_a_while(
    keyring: StoredKeys, watched: Watched, database: Database, clock: list[float]
) -> None:
    key = await create(database)
    for _ in range(3):
        await keyring.project_of(key, {})
    assert watched.asked == 1
    clock[0] += 9.9
    await keyring.project_of(key, {})
    assert watched.asked == 1
    clock[0] += 0.2
    await keyring.project_of(key, {})
    assert watched.asked == 2


async def test_a_wrong_key_is_remembered_for_a_moment(
    keyring: StoredKeys, watched: Watched, database: Database, clock: list[float]
) -> None:
    await create(database)
    for _ in range(1000):
        await refusal(keyring, "sk-wrong")
    assert watched.asked == 1
    clock[0] += 10.1
    await refusal(keyring, "sk-wrong")
    assert watched.asked == 2


async def test_a_wrong_key_may_become_a_right_one(keyring: StoredKeys, database: Database, clock: list[float]) -> None:
    await create(database)
    await refusal(keyring, "sk-later")
    async with database.acquire() as conn:
        await conn.execute(
            keys.SQL["add_key"], "key_x", keys.DEFAULT_PROJECT, "x", keys.digest("sk-later"), "sk-l...ater"
        )
    await refusal(keyring, "sk-later")
    keyring.forget()
    assert await keyring.project_of("sk-later", {}) == keys.DEFAULT_PROJECT


async def test_no_memory_of_wrong_keys_grows_without_end(
    keyring: StoredKeys, database: Database, clock: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nor does one of them push a right one out."""
    right = await create(database)
    await keyring.project_of(right, {})
    monkeypatch.setattr(auth, "_REMEMBERED", 5)
    for n in range(30):
        await refusal(keyring, f"sk-{n}" * 1000)
    assert len(keyring._wrong) <= 5
    assert len(keyring._known) == 1


async def test_an_address_tries_so_many_wrong_keys_and_no_more(
    keyring: StoredKeys, watched: Watched, database: Database
) -> None:
    """A key that was right goes on to be let in from there, and other addresses are not concerned."""
    right, other = await create(database), await create(database)
    await keyring.project_of(right, {}, "192.0.2.1")
    keyring.forget()
    limited: list[APIError] = []
    for n in range(3 * MOST):
        with pytest.raises(APIError) as refused:
            await keyring.project_of(f"sk-{n}", {}, "192.0.2.1")
        limited += [refused.value] if refused.value.status == 429 else []
    assert limited
    assert int(limited[0].headers["retry-after"]) >= 1
    assert watched.asked < 3 * MOST
    assert await keyring.project_of(right, {}, "192.0.2.1") == keys.DEFAULT_PROJECT
    assert await keyring.project_of(other, {}, "192.0.2.2") == keys.DEFAULT_PROJECT


async def test_right_keys_are_no_guesses(keyring: StoredKeys, database: Database) -> None:
    """However many there are behind one address."""
    for key in [await create(database) for _ in range(MOST + 10)]:
        await keyring.project_of(key, {}, "192.0.2.1")


async def test_a_database_that_is_away_makes_nobody_a_guesser(
    keyring: StoredKeys, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = await create(database)

    async def away(*_: object) -> None:
        raise ConnectionRefusedError

    with monkeypatch.context() as patch:
        patch.setattr(keys, "project_of", away)
        for _ in range(2 * MOST):
            with pytest.raises(DatabaseUnavailable):
                await keyring.project_of(key, {}, "192.0.2.1")
    assert await keyring.project_of(key, {}, "192.0.2.1") == keys.DEFAULT_PROJECT


# --- what is under way


@pytest.fixture
async def looking(keyring: StoredKeys) -> AsyncIterator[None]:
    """The keyring looks after what is under way."""
    task = asyncio.create_task(keyring.run())
    yield
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_a_revoked_key_ends_what_is_under_way_with_it(
    keyring: StoredKeys, database: Database, looking: None
) -> None:
    kept = await create(database)
    async with database.acquire() as conn:
        (before,) = await keys.list_all(conn)
    lost = await create(database)
    with keyring.watch(lost) as first, keyring.watch(lost) as second, keyring.watch(kept) as other:
        async with database.acquire() as conn:
            (key,) = [key for key in await keys.list_all(conn) if key.id != before.id]
            await keys.revoke(conn, key.id)
        keyring.forget()
        async with asyncio.timeout(30):
            await asyncio.gather(first, second)
        assert not other.done()
    assert not keyring._watched


async def test_the_look_after_what_is_under_way_outlives_the_database(
    keyring: StoredKeys, database: Database, looking: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is ended because nobody knows, and what was revoked meanwhile is ended afterwards, without news of it."""
    monkeypatch.setattr(auth, "_TRUST_SECONDS", 0.01)
    key, looked = await create(database), 0

    async def away(*_: object) -> None:
        nonlocal looked
        looked += 1
        raise ConnectionRefusedError

    with keyring.watch(key) as revoked:
        with monkeypatch.context() as patch:
            patch.setattr(keys, "project_of", away)
            keyring.forget()
            async with asyncio.timeout(30):
                while looked < 2:
                    await asyncio.sleep(0.01)
            assert not revoked.done()
        await revoke_all(database)
        async with asyncio.timeout(30):
            await revoked


async def test_news_of_keys_is_heeded_at_once(keyring: StoredKeys, database: Database, clock: list[float]) -> None:
    """The clock stands still, so nothing is looked up again by itself."""
    assert await keyring.project_of("sk-anything", {}) == keys.DEFAULT_PROJECT
    key = await create(database)
    assert await keyring.project_of("sk-anything", {}) == keys.DEFAULT_PROJECT  # the news has not come yet
    keyring.forget()
    await refusal(keyring, "sk-anything")
    assert await keyring.project_of(key, {}) == keys.DEFAULT_PROJECT
    await revoke_all(database)
    keyring.forget()
    await refusal(keyring, key)
    await refusal(keyring, "sk-anything")  # a door once closed stays closed


async def test_an_answer_from_before_the_news_is_not_remembered(
    keyring: StoredKeys, watched: Watched, database: Database, clock: list[float]
) -> None:
    """The key was valid when it was looked up, and void by the time the answer came."""
    key = await create(database)
    watched.answering.clear()
    asking = asyncio.create_task(keyring.project_of(key, {}))
    while watched.asked == 0:
        await asyncio.sleep(0)
    async with asyncio.timeout(30):
        while not await _looked_up(database):
            await asyncio.sleep(0.01)
    await revoke_all(database)
    keyring.forget()
    watched.answering.set()
    assert await asking == keys.DEFAULT_PROJECT  # this request came in time
    await refusal(keyring, key)  # the next one did not


async def _looked_up(database: Database) -> bool:
    """Whether every connection is idle again, so that the look-up has been answered."""
    async with database.acquire() as conn:
        busy = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND state <> 'idle'"
        return bool(await conn.fetchval(busy) == 1)


async def test_the_memory_has_an_end(
    keyring: StoredKeys, watched: Watched, clock: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Behind an open door every made-up key is remembered; what matters is that not all of them are."""
    monkeypatch.setattr(auth, "_REMEMBERED", 5)
    for n in range(50):
        assert await keyring.project_of(f"sk-{n}", {}) == keys.DEFAULT_PROJECT
    assert len(keyring._known) <= 5
    assert watched.asked == 50


async def test_the_same_key_is_never_made_twice(database: Database) -> None:
    made = [await create(database) for _ in range(20)]
    assert len(set(made)) == 20
    async with database.acquire() as conn:
        with pytest.raises(asyncpg.UniqueViolationError):
            await conn.execute(keys.SQL["add_key"], "key_x", keys.DEFAULT_PROJECT, "x", keys.digest(made[0]), "h")


async def test_an_open_door_is_open_to_this_machine_only(keyring: StoredKeys, database: Database) -> None:
    """Also for a key that is remembered. What a foreign page could send without a key tells it nothing."""
    foreign, own = {"host": "evil.example"}, {"host": "localhost:8000", "origin": "http://localhost:8000"}
    for _ in range(2):
        with pytest.raises(APIError) as refused:
            await keyring.project_of("sk-anything", foreign)
        assert (refused.value.status, refused.value.code) == (403, "no_api_key_created")
        assert await keyring.project_of("sk-anything", own) == keys.DEFAULT_PROJECT
    with pytest.raises(APIError) as refused:
        await keyring.project_of(None, foreign)
    assert refused.value.status == 401


async def test_a_key_opens_from_everywhere(keyring: StoredKeys, database: Database) -> None:
    key = await create(database)
    for headers in ({"host": "assistd.example", "origin": "https://app.example"}, {"origin": "null"}):
        assert await keyring.project_of(key, headers) == keys.DEFAULT_PROJECT
    assert (await refusal(keyring, "sk-anything")).code == "invalid_api_key"
