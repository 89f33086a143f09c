"""The composition root: settings become a database, models, rooms, routes and a worker.

Nothing else in the program knows how the parts are put together, and no part
finds another except by being handed it here.
"""

from __future__ import annotations

import asyncio
import ipaddress
import json
import os
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from pathlib import Path

import structlog
from starlette.routing import Route, Router
from starlette.types import ASGIApp

from assistd import database, health
from assistd.assistants import routes as assistants
from assistd.code_interpreter import store as code_sessions
from assistd.code_interpreter.publishing import Publisher
from assistd.code_interpreter.workspace import Workspaces
from assistd.db.listener import Listener
from assistd.db.pool import Database, open_pool
from assistd.fetching.progress import console_progress
from assistd.files import routes as files
from assistd.files import uploads
from assistd.files.blobs import Blobs, open_blobs
from assistd.files.store_watch import StoreWatch
from assistd.files.sweeper import keep_sweeping
from assistd.health import Disks
from assistd.jobs import store as jobs
from assistd.jobs.worker import Worker, worker_name
from assistd.llm.constrained import ConstrainedModel
from assistd.llm.embedding import Embedders
from assistd.llm.protocol import Model
from assistd.llm.routing import Route as ModelRoute
from assistd.llm.routing import Routing, load_routes, single_route
from assistd.llm.upstream import Upstream, open_upstream
from assistd.models.routes import Models
from assistd.playground.site import Site
from assistd.runs import retention, store
from assistd.runs.code_interpreter import CodeInterpreter
from assistd.runs.event_log import EVENTS_CHANNEL, FOLLOW_CHANNEL, EventLog
from assistd.runs.executor import Executor
from assistd.runs.file_search import FileSearch
from assistd.runs.parts import ModelFinder, Parts
from assistd.runs.pictures import Pictures
from assistd.runs.prompts import Prompts
from assistd.runs.routes import Runs
from assistd.runs.server_tools import ServerTools
from assistd.runs.stream import Streams
from assistd.sandbox.engine import Engine
from assistd.sandbox.engines import engine_of
from assistd.sandbox.faults import SandboxUnavailable
from assistd.sandbox.limits import MB, Limits
from assistd.sandbox.pool import PoolLimits, Sandboxes
from assistd.sandbox.private_folders import ROUTES, PrivateFolders
from assistd.sandbox.provision import Provision
from assistd.settings import PREFIX, Settings
from assistd.threads import routes as threads
from assistd.user_errors import UserError
from assistd.v1 import routes as v1
from assistd.vector_stores import routes as vector_stores
from assistd.vector_stores import search_route
from assistd.vector_stores.chunks import drop_index
from assistd.vector_stores.expiry import keep_expiring
from assistd.vector_stores.files import INGEST
from assistd.vector_stores.ingest import Ingest
from assistd.vector_stores.reader import Reader
from assistd.vector_stores.search import Searcher
from assistd.web import endpoint, keys
from assistd.web.auth import StoredKeys
from assistd.web.cors import with_cors
from assistd.web.endpoint import Door
from assistd.web.memory import Memory
from assistd.web.visitor import Proxies

log = structlog.get_logger("assistd")

# The base URL that stands for the scripted model, which this process then serves itself.
SCRIPTED = "scripted:"

# How long a start waits for an object store to show that it works.
_LOOK_SECONDS = 5.0


class StartRefused(UserError):
    """assistd will not start like this; the message says why and what to do."""


@dataclass(frozen=True)
class Node:
    """A running node: its HTTP application and its workers, of runs and of files."""

    http: ASGIApp
    workers: Sequence[Worker]
    streams: Streams
    event_log: EventLog


# --- what a node stands on


@asynccontextmanager
async def open_routing(settings: Settings) -> AsyncIterator[Routing]:
    """Yield the model routes: of the routes' file, of the one base URL, or of the local model, which is started."""
    async with AsyncExitStack() as stack:
        if settings.models_file:
            yield Routing(load_routes(Path(settings.models_file), os.environ))
        elif settings.model_base_url == SCRIPTED:
            from assistd.llm.scripted import scripted_model

            scripted = await stack.enter_async_context(scripted_model())
            yield Routing([single_route(scripted.base_url, context_length=settings.model_context_length)])
        elif settings.model_base_url:
            yield Routing(
                [single_route(settings.model_base_url, settings.model_api_key, settings.model_context_length)]
            )
        else:
            from assistd.llm.local import LocalModel

            local = await stack.enter_async_context(LocalModel.open(settings.data_dir, settings.local_model))
            yield Routing([local.route()])


def model_finder(routing: Routing, upstream: Upstream) -> ModelFinder:
    """Return the function that finds a model by the name a client uses."""

    def find(name: str) -> Model | None:
        route = routing.find(name)
        if route is None:
            return None
        model = upstream.model(route, name)
        return ConstrainedModel(model) if route.tools == "constrained" else model

    return find


@contextmanager
def routes_for_children(settings: Settings, routing: Routing) -> Iterator[dict[str, str]]:
    """Yield the settings by which other processes use this one's models: what was started here, they share."""
    if settings.models_file or settings.model_base_url not in ("", SCRIPTED):
        yield {}
        return
    folders = PrivateFolders(ROUTES)
    folder = folders.make()
    try:
        file = folder / "models.toml"
        file.write_text("".join(_as_toml(route) for route in routing), "utf-8")
        yield {PREFIX + "MODELS_FILE": str(file)}
    finally:
        folders.remove(folder)


def _as_toml(route: ModelRoute) -> str:
    values = {
        "names": list(route.patterns),
        "base_url": route.base_url,
        **({"model": route.model} if route.model else {}),
        "context_length": route.context_for(""),
        "tools": route.tools,
        "images": route.images,
        "json_schema": route.json_schema,
        "usage": route.usage,
        "embeddings": route.embeddings,
        "reasoning_effort": route.reasoning_effort,
        "max_tokens_field": route.max_tokens_field,
    }
    # JSON's texts, numbers, lists and booleans are TOML's too.
    return "[[routes]]\n" + "".join(f"{key} = {json.dumps(value)}\n" for key, value in values.items())


# --- the node


@asynccontextmanager
async def open_node(settings: Settings, dsn: str, routing: Routing) -> AsyncIterator[Node]:
    """Yield a node that works: its worker runs, its log is written, its listener hears the other nodes."""
    async with AsyncExitStack() as stack:
        db = Database(await database.patiently(settings, partial(open_pool, dsn, settings.database_pool)))
        stack.push_async_callback(db.close)
        listener = Listener(dsn)
        await database.patiently(settings, listener.start)
        stack.push_async_callback(listener.close)
        upstream = await stack.enter_async_context(open_upstream())
        event_log = EventLog(db)
        streams = Streams(event_log)
        blobs = blob_store(settings)
        embedders = Embedders(routing, upstream, settings.embedding_model)
        searcher = Searcher(db, embedders)
        lease = timedelta(seconds=settings.lease_seconds)
        name = worker_name()
        limits = code_limits(settings)
        sandboxes = await stack.enter_async_context(open_sandboxes(settings, limits))
        code = CodeInterpreter(db, Workspaces(db, blobs, sandboxes, name, limits), Publisher(db))
        tools = ServerTools(FileSearch(db, searcher), code)
        prompts = Prompts(db, settings.kept_prompt_bytes)
        parts = Parts(model_finder(routing, upstream), tools, Pictures(db, blobs), prompts)
        executor = Executor(db, streams, parts, name)
        handlers = {store.JOB: executor.handle}
        worker = Worker(db, handlers, capacity=settings.run_concurrency, lease=lease, name=name)
        # Reading files has a worker of its own, so that neither kind of work waits for room behind the other.
        readers = settings.ingest_concurrency or os.cpu_count() or 1
        reader = await stack.enter_async_context(Reader(readers))
        ingest = Ingest(db, blobs, reader, embedders)
        ingesting = Worker(db, {INGEST: ingest.handle}, capacity=readers, lease=lease)
        watch = StoreWatch(db, blobs, lambda works: ingesting.pause(not works)) if blobs.is_remote else None
        if watch is not None:
            ingesting.pause()
            await watch.first_look(_LOOK_SECONDS)
        disks = _disks(settings, blobs)
        keyring = StoredKeys(db)
        workers = (worker, ingesting)
        await listener.listen(jobs.OFFERS, worker.offered)
        await listener.listen(code_sessions.CHANNEL, sandboxes.forget)
        await _listen(listener, workers, executor, streams, keyring)
        new_stores = embedders.default
        forget_store = partial(drop_index, db)
        runs = Runs(db, worker, executor, streams, settings.run_expires_seconds, new_stores)
        paths = [
            *runs.paths(),
            *threads.paths(db, new_stores),
            *assistants.paths(db, new_stores),
            *Models(routing, upstream).paths(),
            *files.paths(db, blobs),
            *uploads.paths(db, blobs),
            *vector_stores.paths(db, new_stores, forget_store),
            *search_route.paths(db, searcher),
        ]
        paths = v1.beside(paths, db, runs, new_stores)
        # `/threads/runs` looks like a thread's id to the route of one thread, so it must come first.
        paths.sort(key=lambda path: path.template != "/threads/runs")
        memory = Memory(settings.body_memory_bytes)
        origins = frozenset(settings.listed("cors_origins"))
        proxies = Proxies(settings.listed("trusted_proxies"))
        door = Door(keyring, settings.max_body_bytes, memory, settings.stall_seconds, origins, proxies)
        http = with_cors(_http([*endpoint.routes(paths, door), *health.routes(db, watch, disks)]), origins)
        for task in (
            keyring.run(),
            event_log.run(),
            prompts.run(),
            streams.run(),
            worker.run(),
            ingesting.run(),
            retention.keep_pruning(db, settings.event_retention_seconds),
            keep_sweeping(db, blobs),
            keep_expiring(db, forget_store),
            *([watch.run()] if watch is not None else []),
        ):
            stack.push_async_callback(_cancel, asyncio.create_task(task))
        try:
            yield Node(http, workers, streams, event_log)
        finally:
            await asyncio.gather(*(each.stop() for each in workers))
            streams.close()
            await event_log.flush()
            await prompts.flush()


@asynccontextmanager
async def open_sandboxes(settings: Settings, limits: Limits) -> AsyncIterator[Sandboxes]:
    """Yield the sandboxes of this process. What their code runs in is found, or built while the server serves."""
    room = PoolLimits(
        sessions=settings.code_sessions,
        sessions_per_project=min(settings.code_sessions, settings.code_sessions_per_project),
        idle_seconds=settings.code_idle_seconds,
        warm=settings.code_warm_sessions,
    )
    provision = Provision(interpreter_folder(settings), console_progress())
    engine = engine_of(settings.sandbox, provision, limits)
    sandboxes = Sandboxes(engine, room, limits)
    tasks = [asyncio.create_task(sandboxes.run())]
    if settings.sandbox != "off":
        tasks.append(asyncio.create_task(_make_ready(engine, provision)))
    try:
        yield sandboxes
    finally:
        for task in tasks:
            await _cancel(task)
        await sandboxes.close()
        await provision.close()


async def _make_ready(engine: Engine, provision: Provision) -> None:
    """Build what code runs in, where there can be sandboxes; else say why there are none."""
    try:
        await engine.probe()
        found = await provision()
        log.info("the code interpreter is ready", folder=str(found.root))
    except SandboxUnavailable as fault:
        log.warning("the code interpreter is unavailable", reason=fault.reason, remedy=fault.remedy)


def code_limits(settings: Settings) -> Limits:
    """The limits of one session of the code interpreter."""
    return Limits(
        memory=settings.code_memory_mb * MB, disk=settings.code_disk_mb * MB, call_seconds=settings.code_seconds
    )


def interpreter_folder(settings: Settings) -> Path:
    """The folder of what the code interpreter's code runs in."""
    if settings.interpreter_dir:
        return Path(settings.interpreter_dir).expanduser()
    return settings.data_dir / "interpreter"


def blob_store(settings: Settings) -> Blobs:
    """The store of files. Nothing is sent to it yet. Raises StartRefused for a URL that names none."""
    try:
        return open_blobs(settings.blob_url, settings.data_dir)
    except ValueError as fault:
        raise StartRefused(f"The store of files ({PREFIX}BLOB_URL): {fault}") from fault


def check_files(settings: Settings) -> None:
    """Refuse a URL that names no store of files. Whether the store can be used is found out by the node."""
    if settings.blob_url:
        blob_store(settings)


def _disks(settings: Settings, blobs: Blobs) -> Disks:
    """The disks of a node: a full one is known before somebody's request or PostgreSQL runs into it."""
    blob_folder = blobs.local_path("")
    written = [settings.data_dir, *([blob_folder] if blob_folder is not None else [])]
    return Disks(written, [] if settings.database_url else [settings.data_dir / "postgres"])


async def _listen(
    listener: Listener, workers: Sequence[Worker], executor: Executor, streams: Streams, keyring: StoredKeys
) -> None:
    """Connect what other processes say with those whom it concerns."""

    def wake() -> None:
        for worker in workers:
            worker.wake()

    await listener.listen(jobs.CHANNEL, lambda _: wake())
    await listener.listen(store.CANCEL_CHANNEL, executor.interrupt)
    await listener.listen(EVENTS_CHANNEL, streams.nudge)
    await listener.listen(FOLLOW_CHANNEL, streams.log.asked_for)
    await listener.listen(keys.CHANNEL, lambda _: keyring.forget())
    for catch_up in (wake, executor.interrupt_all, streams.nudge_all, keyring.forget):
        listener.on_reconnect(catch_up)


def _http(routes: list[Route]) -> ASGIApp:
    return Router(routes, redirect_slashes=False, default=Site(otherwise=endpoint.not_found))


async def check_door(settings: Settings, dsn: str) -> None:
    """Refuse to open a door to the network that has no lock. Says so where the door is open on loopback."""
    if await database.ask(settings, dsn, keys.any_created):
        return
    if not is_loopback(settings.host):
        raise StartRefused(
            f"Refusing to listen on {settings.host} while no API key exists: anybody could use this server. "
            "Create one with `assistd keys create NAME`, or listen on 127.0.0.1."
        )
    log.warning("no API key was created yet: any key is let in, from this machine only")


def is_loopback(host: str) -> bool:
    """Say whether an address can be reached from this machine only."""
    if host == "localhost":
        return True
    with suppress(ValueError):
        return ipaddress.ip_address(host).is_loopback
    return False


async def _cancel(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
