"""`assistd doctor`: examine an installation and say, for whatever is amiss, what would mend it."""

from __future__ import annotations

import asyncio
import os
import platform
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import aiohttp

from assistd import __version__, app, database, disk
from assistd.db import migrate
from assistd.db.embedded import EmbeddedError
from assistd.db.waiting import words_of
from assistd.fetching.progress import console_progress
from assistd.files.blobs import Blobs, BlobsUnavailable, probe
from assistd.files.intake import forget, note_probe, probe_key
from assistd.llm.routing import Route, Routing, load_routes, single_route
from assistd.sandbox import interpreter
from assistd.sandbox.engines import engine_of
from assistd.sandbox.faults import SandboxUnavailable
from assistd.sandbox.provision import Provision
from assistd.server import PortTaken, reserve
from assistd.settings import Settings
from assistd.web import keys


class Amiss(Exception):
    """A check found something; the message says what, and what would mend it."""


Check = Callable[[Settings], Awaitable[str]]


async def examine(settings: Settings) -> int:
    """Run all checks and print their findings. Returns 1 if something is amiss, else 0."""
    settings = replace(settings, database_wait_seconds=0)  # how things are now
    checks: dict[str, Check] = {
        "program": _program,
        "data folder": _data_folder,
        "database": _database,
        "door": _door,
        "port": _port,
        "models": _models,
        "files": _files,
        "embeddings": _embeddings,
        "code interpreter": _code_interpreter,
    }
    amiss = 0
    for name, check in checks.items():
        try:
            print(f"ok     {name}: {await check(settings)}")
        except Exception as fault:  # whatever a check runs into is its finding
            amiss += 1
            print(f"AMISS  {name}: {fault}")
    print("Everything is in order." if not amiss else f"{amiss} of {len(checks)} checks found something.")
    return 1 if amiss else 0


async def _program(settings: Settings) -> str:
    return f"assistd {__version__} on Python {platform.python_version()}, {platform.system()} {platform.machine()}"


async def _data_folder(settings: Settings) -> str:
    folder = settings.data_dir
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as fault:
        raise Amiss(_unwritable(disk.words_of(folder, fault))) from fault
    if found := disk.unwritable(folder):
        raise Amiss(_unwritable(found))
    return str(folder)


def _unwritable(found: str) -> str:
    """A finding about a folder of ours, with what would mend it."""
    if "is full" in found:
        return f"{found}. Free some room on it, or set ASSISTD_DATA_DIR to a folder on another disk."
    return f"{found}. Mend its rights or set ASSISTD_DATA_DIR."


async def _database(settings: Settings) -> str:
    try:
        async with database.connect(settings, migrated=True) as conn:
            server = await conn.fetchval("SHOW server_version")
            vector = await conn.fetchval("SELECT extversion FROM pg_extension WHERE extname = 'vector'")
            status = await migrate.status(conn)
    except migrate.SchemaMismatch:
        raise
    except Exception as fault:
        folder = settings.data_dir / "postgres"
        if not settings.database_url and (found := disk.full(folder)):
            raise Amiss(
                f"PostgreSQL cannot run: {found}. Free some room on it, or set ASSISTD_DATA_DIR to a folder on another "
                "disk; what is in the database is kept."
            ) from fault
        if isinstance(fault, EmbeddedError):
            raise
        raise Amiss(
            f"it cannot be used: {words_of(fault)} ({database.name_of(settings)}). Look whether PostgreSQL runs there, "
            "and at ASSISTD_DATABASE_URL."
        ) from fault
    kind = "at ASSISTD_DATABASE_URL" if settings.database_url else "embedded"
    return f"PostgreSQL {server} ({kind}), pgvector {vector}, schema {len(status.applied):04}"


async def _door(settings: Settings) -> str:
    try:
        async with database.connect(settings, migrated=True) as conn:
            valid = [key for key in await keys.list_all(conn) if key.revoked_at is None]
            created = await keys.any_created(conn)
    except Exception as fault:
        raise Amiss("which API keys there are is known once the database can be used.") from fault
    if created:
        return f"{len(valid)} valid API keys"
    if not app.is_loopback(settings.host):
        raise Amiss(f"no API key exists, so serve refuses {settings.host}; run `assistd keys create NAME`")
    return "no API key exists: any key is let in, from this machine only"


async def _port(settings: Settings) -> str:
    try:
        with reserve(settings.host, settings.port):
            return f"{settings.host}:{settings.port} is free"
    except PortTaken as fault:
        host = f"[{settings.host}]" if ":" in settings.host else settings.host
        if await _answers(f"http://{host}:{settings.port}/healthz"):
            return f"assistd is serving on {settings.host}:{settings.port}"
        raise Amiss(str(fault)) from fault


async def _models(settings: Settings) -> str:
    if settings.models_file:
        routing = Routing(load_routes(Path(settings.models_file), os.environ))
    elif settings.model_base_url == app.SCRIPTED:
        return "the scripted model"
    elif settings.model_base_url:
        routing = Routing(
            [single_route(settings.model_base_url, settings.model_api_key, settings.model_context_length)]
        )
    else:
        return _local_model(settings)
    return "; ".join(await asyncio.gather(*(_reach(route) for route in routing)))


async def _files(settings: Settings) -> str:
    where = settings.blob_url or str(settings.data_dir / "blobs")
    try:
        await _try_files(settings, app.blob_store(settings))
    except BlobsUnavailable as fault:
        if not settings.blob_url and (found := disk.unwritable(settings.data_dir / "blobs")):
            raise Amiss(_unwritable(found)) from fault
        remedy = (
            "Look at ASSISTD_BLOB_URL and at the store's own variables, such as AWS_ENDPOINT_URL and its keys."
            if settings.blob_url
            else "Mend the folder's rights."
        )
        raise Amiss(f"{where} cannot be used: {fault.reason}. {remedy}") from fault
    return where


async def _try_files(settings: Settings, blobs: Blobs) -> None:
    """Try the store, noted in the database where that can be used, so that a kill leaves nothing behind."""
    key = probe_key()
    try:
        async with database.connect(settings, migrated=True) as conn:
            await note_probe(conn, key)
    except Exception:  # the finding of another check
        await probe(blobs, key)
        return
    await probe(blobs, key)
    async with database.connect(settings, migrated=True) as conn:
        await forget(conn, [key])


async def _embeddings(settings: Settings) -> str:
    name = settings.embedding_model
    if not name:
        return "static vectors, computed here"
    if settings.models_file:
        route = Routing(load_routes(Path(settings.models_file), os.environ)).find(name)
        if route is None:
            raise Amiss(f"no route answers for {name}, the model of ASSISTD_EMBEDDING_MODEL")
        return f"{name}, at {route.host}"
    if not settings.model_base_url:
        raise Amiss(
            f"ASSISTD_EMBEDDING_MODEL is {name}, and the local model makes no embeddings; set ASSISTD_MODEL_BASE_URL "
            "or ASSISTD_MODELS_FILE to a server that does, or unset it"
        )
    return f"{name}, at ASSISTD_MODEL_BASE_URL"


async def _code_interpreter(settings: Settings) -> str:
    if settings.sandbox == "off":
        return "off"
    folder = app.interpreter_folder(settings)
    try:
        await engine_of(settings.sandbox, Provision(folder, console_progress()), app.code_limits(settings)).probe()
    except SandboxUnavailable as fault:
        raise Amiss(f"{fault} Without a sandbox, set ASSISTD_SANDBOX to off.") from fault
    if found := interpreter.find(folder):
        return f"{settings.sandbox}, with {found.root}"
    return f"{settings.sandbox}; what code runs in is built by the next `serve`, or by `assistd interpreter install`"


def _local_model(settings: Settings) -> str:
    from assistd.llm import store

    pulled = store.list_models(settings.data_dir)
    chosen = settings.local_model or (pulled[-1].name if pulled else "")
    return f"local model {chosen}" if chosen else "local model SmolLM2-135M, fetched at the first start"


async def _reach(route: Route) -> str:
    """Ask a route's server for its models: any answer shows that it is there, and most that the key is right."""
    timeout = aiohttp.ClientTimeout(total=10)
    names = ", ".join(route.patterns)
    try:
        async with (
            aiohttp.ClientSession(timeout=timeout) as session,
            session.get(route.url("models"), headers=route.request_headers()) as answer,
        ):
            status = answer.status
    except (aiohttp.ClientError, TimeoutError) as fault:
        raise Amiss(f"{route.host}, the route for {names}, does not answer: {fault}") from fault
    if status in (401, 403):
        raise Amiss(f"{route.host}, the route for {names}, refuses the key (status {status})")
    return f"{route.host} answers for {names}"


async def _answers(url: str) -> bool:
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=2)) as session:
        try:
            async with session.get(url) as answer:
                body: Any = await answer.json()
                return bool(body.get("status") == "ok")
        except (aiohttp.ClientError, TimeoutError, ValueError):
            return False
