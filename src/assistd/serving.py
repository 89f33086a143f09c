"""Running nodes as processes: one, several on one port, or workers without a door.

With several, this process keeps what they share (the embedded database, the
local model, the port) and starts the others, which meet only in PostgreSQL.
"""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import sys
from asyncio.subprocess import Process
from collections.abc import Iterator
from contextlib import AsyncExitStack, contextmanager
from dataclasses import replace
from typing import TextIO

import structlog

from assistd import app, database, telemetry
from assistd.child_processes import start_process
from assistd.llm.routing import Routing
from assistd.playground.site import is_built
from assistd.server import HttpServer, reserve
from assistd.settings import PREFIX, Settings

log = structlog.get_logger("assistd")

# How long requests under way may take to end when the server stops.
_GRACE_SECONDS = 5.0


async def serve(settings: Settings, *, processes: int, shared_port: bool) -> int:
    """Serve until SIGINT or SIGTERM. `shared_port`: this is one of several processes on the port."""
    stop = Stop()
    if shared_port:
        stop.with_parent()
    with stop.cutting_the_start():
        await _serve(settings, processes, shared_port, stop)
    return 0


async def work(settings: Settings) -> int:
    """Execute runs until SIGINT or SIGTERM, without serving the API."""
    stop = Stop()
    with stop.cutting_the_start():
        async with AsyncExitStack() as stack:
            app.check_files(settings)
            dsn = await stack.enter_async_context(database.open_database(settings))
            routing = await stack.enter_async_context(app.open_routing(settings))
            node = await stack.enter_async_context(app.open_node(settings, dsn, routing))
            log.info("worker ready", name=node.workers[0].name)
            await stop.wait()
            log.info("stopping", handed_back=sum(worker.busy for worker in node.workers))
    return 0


class Stop:
    """The wish to stop, told by SIGINT, SIGTERM or the end of the parent process.

    While a node starts, which may take long (a model is fetched), the wish cancels the start;
    from the first `wait` on, it is waited for.
    """

    def __init__(self) -> None:
        self._starting = asyncio.current_task()
        self._wished = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, self._wish)

    def with_parent(self) -> None:
        """Stop when the parent process is gone: standard input is a pipe of its, which ends with it."""
        loop, pipe = asyncio.get_running_loop(), sys.stdin.fileno()

        def read() -> None:
            if not os.read(pipe, 1024):
                loop.remove_reader(pipe)
                self._wish()

        loop.add_reader(pipe, read)

    @contextmanager
    def cutting_the_start(self) -> Iterator[None]:
        """Leave the block quietly when the wish comes while the node still starts."""
        try:
            yield
        except asyncio.CancelledError:
            if not self._wished.is_set():
                raise
            log.info("stopped while starting")

    async def wait(self) -> None:
        """Wait for the wish; the start is over."""
        self._starting = None
        await self._wished.wait()

    def _wish(self) -> None:
        self._wished.set()
        if self._starting is not None:
            self._starting.cancel()
            self._starting = None


async def _serve(settings: Settings, processes: int, shared_port: bool, stop: Stop) -> None:
    async with AsyncExitStack() as stack:
        asked, port = settings.host, settings.port
        if not shared_port:
            address, port, *_ = stack.enter_context(reserve(asked, port)).getsockname()
            settings = replace(settings, host=address, port=port)
        if not shared_port:
            app.check_files(settings)
        dsn = await stack.enter_async_context(database.open_database(settings))
        if not shared_port:
            await app.check_door(settings, dsn)
        routing = await stack.enter_async_context(app.open_routing(settings))
        if processes > 1:
            await _supervise(settings, processes, asked, dsn, routing, stop)
            return
        node = await stack.enter_async_context(app.open_node(settings, dsn, routing))
        _calm_collector()
        http = HttpServer(node.http, settings.host, port)
        await http.start()
        if not shared_port:
            await _answering(settings.host, port)
            _announce(replace(settings, port=port), asked)
        await stop.wait()
        log.info("stopping", handed_back=sum(worker.busy for worker in node.workers))
        await asyncio.gather(*(worker.stop() for worker in node.workers))
        node.streams.close()
        await http.stop(_GRACE_SECONDS)


# --- several processes


async def _supervise(settings: Settings, count: int, asked: str, dsn: str, routing: Routing, stop: Stop) -> None:
    """Keep `count` processes running until told to stop. `asked` is the host as the user named it."""
    # What was found out here, and what may stand in no other place than our command line.
    shared = {
        "DATABASE_URL": dsn,
        "DATA_DIR": settings.data_dir.absolute(),
        "HOST": settings.host,
        "PORT": settings.port,
        "LOG_LEVEL": settings.log_level,
        # The cores are theirs together.
        "INGEST_CONCURRENCY": settings.ingest_concurrency or max(1, (os.cpu_count() or 1) // count),
    }
    environ = {**os.environ, **{PREFIX + name: str(value) for name, value in shared.items()}}
    with app.routes_for_children(settings, routing) as models:
        environ.update(models)
        ending = asyncio.Event()
        keepers = [asyncio.create_task(_keep_running(environ, ending)) for _ in range(count)]
        try:
            await _answering(settings.host, settings.port)
            _announce(settings, asked)
            await stop.wait()
        finally:
            ending.set()
            await asyncio.gather(*keepers)


async def _keep_running(environ: dict[str, str], ending: asyncio.Event) -> None:
    """Run one process, and again when it dies, until told to stop."""
    while not ending.is_set():
        child = await start_process(
            *(sys.executable, "-m", "assistd.cli", "serve", "--shared-port"),
            stdin=asyncio.subprocess.PIPE,  # its end tells the child that this process is gone
            env=environ,
            start_new_session=True,
        )
        await _ended_or_told(child, ending)
        if not ending.is_set():
            log.error("a server process died and is started again", pid=child.pid, status=child.returncode)
            await asyncio.sleep(1)


async def _ended_or_told(child: Process, ending: asyncio.Event) -> None:
    ended = asyncio.ensure_future(child.wait())
    told = asyncio.ensure_future(ending.wait())
    await asyncio.wait((ended, told), return_when=asyncio.FIRST_COMPLETED)
    told.cancel()
    if not ended.done():
        child.terminate()
    await ended


# --- small things


def _calm_collector() -> None:
    """Let the garbage collector look less often, and never at what the program itself is made of.

    Thousands of streams hold many live objects and hardly any cycles: with the default thresholds a tenth of the
    time of a busy server goes into finding that out.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 50, 50)


async def _answering(host: str, port: int) -> None:
    """Wait until the port takes connections."""
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)
    while True:
        try:
            _, writer = await asyncio.open_connection(host, port)
        except OSError:
            await asyncio.sleep(0.02)
        else:
            writer.close()
            return


def _announce(settings: Settings, host: str) -> None:
    """Say on standard output where the server is: as JSON where that is the log's form and the two are one."""
    shown = f"[{host}]" if ":" in host else host
    root = f"http://{shown}:{settings.port}"
    lines = [f"assistd is ready: {root}/v1"]
    if is_built():
        lines.append(f"Its playground: {root}/")
    as_json = settings.log_format == "json" or (telemetry.writes_json() and _is_one(sys.stdout, sys.stderr))
    for line in lines:
        print(telemetry.line(line) if as_json else line, flush=True)


def _is_one(first: TextIO, second: TextIO) -> bool:
    """Whether two streams go to the same file."""
    try:
        return os.path.sameopenfile(first.fileno(), second.fileno())
    except (OSError, ValueError):  # no file behind it
        return False
