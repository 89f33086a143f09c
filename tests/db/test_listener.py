from __future__ import annotations

import asyncio
import logging
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import parse_qs, quote, urlsplit

import asyncpg
import pytest

from assistd.db.listener import Listener


@pytest.fixture
def short_folder() -> Iterator[Path]:
    """A folder whose name leaves room for a socket's."""
    folder = Path(tempfile.mkdtemp(prefix="assistd-"))
    yield folder
    shutil.rmtree(folder)


async def _send(dsn: str, channel: str, payload: str) -> None:
    conn = await asyncpg.connect(dsn)
    await conn.execute("SELECT pg_notify($1, $2)", channel, payload)
    await conn.close()


async def _cut(dsn: str) -> None:
    """End the listener's connection from the other side."""
    conn = await asyncpg.connect(dsn)
    cut = await conn.fetch(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
        "WHERE application_name = 'assistd listener' AND datname = current_database()"
    )
    assert len(cut) == 1
    await conn.close()


async def test_callbacks_get_what_is_sent_on_their_channel(database_url, eventually):
    jobs, also_jobs, odd = [], [], []
    async with Listener(database_url) as listener:
        await listener.listen("jobs", jobs.append)
        await listener.listen("jobs", also_jobs.append)
        await listener.listen('Odd "name"', odd.append)
        await _send(database_url, "jobs", "1")
        await _send(database_url, "elsewhere", "2")
        await _send(database_url, 'Odd "name"', "3")
        await eventually(lambda: odd == ["3"])
        assert jobs == also_jobs == ["1"]

        await listener.unlisten("jobs", jobs.append)
        await listener.unlisten('Odd "name"', odd.append)
        await _send(database_url, 'Odd "name"', "4")
        await _send(database_url, "jobs", "5")
        await eventually(lambda: also_jobs == ["1", "5"])
        assert (jobs, odd) == (["1"], ["3"])


async def test_a_failing_callback_does_not_harm_the_others(database_url, eventually, caplog):
    got = []

    def fail(_: str) -> None:
        raise ZeroDivisionError

    async with Listener(database_url) as listener:
        await listener.listen("jobs", fail)
        await listener.listen("jobs", got.append)
        await _send(database_url, "jobs", "1")
        await eventually(lambda: got == ["1"])
    assert "A callback for notifications on jobs failed." in caplog.text


async def test_it_comes_back_and_tells_of_the_gap(database_url, eventually):
    got, gaps = [], []
    async with Listener(database_url) as listener:
        await listener.listen("jobs", got.append)
        listener.on_reconnect(lambda: gaps.append(list(got)))
        for round in range(1, 4):
            await _cut(database_url)
            await eventually(lambda expected=round: len(gaps) == expected)
            await _send(database_url, "jobs", str(round))  # listened to again before the gap is told
            await eventually(lambda expected=round: got[-1:] == [str(expected)])
    assert gaps == [[], ["1"], ["1", "2"]]


async def test_it_outlives_a_restart_of_the_server(toy, toy_url, eventually, caplog):
    got, gaps = [], []
    async with Listener(toy_url) as listener:
        await listener.listen("before", got.append)
        listener.on_reconnect(lambda: gaps.append("gap"))
        await asyncio.to_thread(toy.cluster.stop)
        await eventually(lambda: "is lost" in caplog.text)
        await listener.listen("meanwhile", got.append)  # no error: listened to when it is back
        await asyncio.to_thread(toy.cluster.start)
        await eventually(lambda: gaps == ["gap"])
        await _send(toy_url, "before", "1")
        await _send(toy_url, "meanwhile", "2")
        await eventually(lambda: got == ["1", "2"])


async def test_a_connection_that_does_not_answer_is_replaced(database_url, eventually, monkeypatch, short_folder):
    monkeypatch.setattr("assistd.db.listener._PING_SECONDS", 0.02)
    monkeypatch.setattr("assistd.db.listener._ANSWER_SECONDS", 1.0)
    got, gaps = [], []
    server = parse_qs(urlsplit(database_url).query)["host"][0]
    async with (
        _Network(f"{server}/.s.PGSQL.5432", f"{short_folder}/.s.PGSQL.5432") as network,
        Listener(database_url.replace(quote(server), str(short_folder))) as listener,
    ):
        await listener.listen("jobs", got.append)
        listener.on_reconnect(lambda: gaps.append("gap"))
        network.swallow()
        await eventually(lambda: gaps == ["gap"])
        await _send(database_url, "jobs", "1")
        await eventually(lambda: got == ["1"])


class _Network:
    """A relay between two sockets, whose connections can be made to swallow everything from now on."""

    def __init__(self, server: str, here: str) -> None:
        self._server, self._here = server, here
        self._relays: set[asyncio.Task[None]] = set()
        self._writers: list[asyncio.StreamWriter] = []

    async def __aenter__(self) -> _Network:
        self._listening = await asyncio.start_unix_server(self._serve, self._here)
        return self

    async def __aexit__(self, *_: object) -> None:
        self._listening.close()
        self.swallow()
        for writer in self._writers:
            writer.close()

    def swallow(self) -> None:
        for relay in self._relays:
            relay.cancel()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        far_reader, far_writer = await asyncio.open_unix_connection(self._server)
        self._writers += [writer, far_writer]
        for source, target in ((reader, far_writer), (far_reader, writer)):
            relay = asyncio.create_task(self._relay(source, target))
            self._relays.add(relay)
            relay.add_done_callback(self._relays.discard)

    async def _relay(self, source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
        while data := await source.read(65536):
            target.write(data)


async def test_closing_is_quiet_and_final(toy, toy_url, caplog):
    got = []
    with caplog.at_level(logging.DEBUG, "assistd"):
        async with Listener(toy_url) as listener:
            await listener.listen("jobs", got.append)
            listener.on_reconnect(lambda: got.append("gap"))
        await asyncio.to_thread(toy.cluster.stop)
        await asyncio.to_thread(toy.cluster.start)
        await _send(toy_url, "jobs", "1")
    assert got == []
    assert [record for record in caplog.records if record.name.startswith("assistd.db.listener")] == []


async def test_the_first_connection_must_work(tmp_path):
    with pytest.raises(OSError, match="No such file"):
        await Listener(f"postgresql://postgres@/postgres?host={tmp_path}").start()
