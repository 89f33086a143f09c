"""LISTEN over one connection of its own, which comes back by itself."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Callable
from types import TracebackType
from typing import Self

import asyncpg

from .faults import is_away
from .pool import SESSION_SETTINGS, Connection

Callback = Callable[[str], None]

_PING_SECONDS = 30.0
_ANSWER_SECONDS = 10.0
_FIRST_WAIT, _LONGEST_WAIT = 0.05, 5.0
_log = logging.getLogger(__name__)


class Listener:
    """Hands PostgreSQL's notifications to callbacks by channel; an async context manager.

    What is sent while the connection is lost does not arrive. After such a gap, when every channel
    is listened to again, the `on_reconnect` callbacks are called, to look at the tables themselves.
    Callbacks run in the event loop and must not block; what they raise is logged.
    """

    def __init__(self, dsn: str) -> None:
        self._dsn = dsn
        self._channels: dict[str, list[Callback]] = {}
        self._on_reconnect: list[Callable[[], None]] = []
        self._conn: asyncpg.Connection[asyncpg.Record] | None = None
        self._lost = asyncio.Event()
        self._turn = asyncio.Lock()  # one statement at a time on the connection
        self._keeper: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, fault: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def start(self) -> None:
        """Connect. Raises what `is_away` knows when the database cannot be reached now."""
        await self._connect()
        self._keeper = asyncio.create_task(self._keep(), name="postgres listener")

    async def close(self) -> None:
        """Stop listening; no callback is called any more."""
        if self._keeper is not None:
            self._keeper.cancel()
            await asyncio.wait([self._keeper])
            self._keeper = None
        conn, self._conn = self._conn, None
        if conn is not None and not conn.is_closed():
            try:
                await conn.close(timeout=1.0)
            except Exception:
                conn.terminate()

    def on_reconnect(self, callback: Callable[[], None]) -> None:
        """Have `callback()` called after every gap."""
        self._on_reconnect.append(callback)

    async def listen(self, channel: str, callback: Callback) -> None:
        """Have `callback(payload)` called for every notification that is sent on the channel from now on.

        What happened before this returned has to be looked up, as after a gap.
        """
        self._channels.setdefault(channel, []).append(callback)
        async with self._turn:
            await self._tell(channel, listening=True)

    async def unlisten(self, channel: str, callback: Callback) -> None:
        """Undo `listen`."""
        self._channels[channel].remove(callback)
        async with self._turn:
            if not self._channels.get(channel, True):
                del self._channels[channel]
                await self._tell(channel, listening=False)

    async def _tell(self, channel: str, *, listening: bool) -> None:
        conn = self._conn
        if conn is None or conn.is_closed():
            return  # the next connection begins with the channels as they are then
        try:
            if listening:
                await conn.add_listener(channel, self._hand_out)
            else:
                await conn.remove_listener(channel, self._hand_out)
        except Exception as fault:
            if not is_away(fault):
                raise

    def _hand_out(self, _conn: Connection, _pid: int, channel: str, payload: object) -> None:
        for callback in tuple(self._channels.get(channel, ())):
            try:
                callback(str(payload))
            except Exception:
                _log.exception("A callback for notifications on %s failed.", channel)

    async def _connect(self) -> None:
        settings = {**SESSION_SETTINGS, "application_name": "assistd listener", "idle_session_timeout": "0"}
        conn = await asyncpg.connect(
            self._dsn, timeout=_ANSWER_SECONDS, command_timeout=_ANSWER_SECONDS, server_settings=settings
        )
        lost = asyncio.Event()
        conn.add_termination_listener(lambda _: lost.set())
        try:
            async with self._turn:
                for channel in self._channels:
                    await conn.add_listener(channel, self._hand_out)
                self._conn, self._lost = conn, lost
        except BaseException:
            conn.terminate()
            raise

    async def _keep(self) -> None:
        while True:
            await self._until_lost()
            _log.warning("The connection for notifications is lost.")
            if self._conn is not None:
                self._conn.terminate()  # no farewell to somebody who does not answer
                self._conn = None
            await self._reconnect()
            _log.warning("The connection for notifications is back.")
            for callback in tuple(self._on_reconnect):
                try:
                    callback()
                except Exception:
                    _log.exception("A callback for a gap in notifications failed.")

    async def _until_lost(self) -> None:
        while True:
            try:
                async with asyncio.timeout(_PING_SECONDS):
                    await self._lost.wait()
                    return
            except TimeoutError:
                pass
            # An idle connection does not notice that the other machine is gone.
            try:
                async with self._turn:
                    if self._conn is None:
                        return
                    await self._conn.execute("SELECT 1")
            except Exception as fault:
                _log.debug("PostgreSQL does not answer the listener: %s", fault)
                return

    async def _reconnect(self) -> None:
        wait = _FIRST_WAIT
        while True:
            try:
                return await self._connect()
            except Exception as fault:
                level = logging.DEBUG if is_away(fault) else logging.ERROR
                _log.log(level, "The connection for notifications does not come back: %s", fault)
            await asyncio.sleep(wait * random.uniform(0.5, 1.0))
            wait = min(wait * 2, _LONGEST_WAIT)
