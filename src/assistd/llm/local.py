"""A model on this machine: llama.cpp in a child process, started, watched and stopped here."""

from __future__ import annotations

import asyncio
import secrets
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import aiohttp
import msgspec
import structlog

from assistd.child_processes import start_process
from assistd.llm import store
from assistd.llm.default_model import SMOLLM2
from assistd.llm.gguf import NotGguf, read_header
from assistd.llm.local_plan import available_memory, plan, usable_cores
from assistd.llm.local_server import Failed, Order, Ready
from assistd.llm.model_index import LocalModelError, PulledModel
from assistd.llm.routing import Route

_log = structlog.get_logger("assistd.llm")

_START_SECONDS: Final = 600.0  # a large model from a slow disk
_FIRST_PAUSE: Final = 0.5
_LONGEST_PAUSE: Final = 30.0
# A child that lived this long had no fault in itself.
_STEADY_SECONDS: Final = 60.0
_MOST_LOG: Final = 4 << 20  # bytes that a log may have when the model is opened


@dataclass(frozen=True)
class _Running:
    """A child that answers."""

    process: Process
    port: int
    context_length: int
    calls_tools: bool


class LocalModel:
    """A model that runs. Open it with `LocalModel.open`; its address stays the same when it must be started again."""

    def __init__(self, order: Order, log: Path) -> None:
        self._order = order
        self._log = log
        self._log_start = 0
        self._running: _Running | None = None

    @classmethod
    @asynccontextmanager
    async def open(
        cls, data_dir: Path, name: str = "", *, slots: int = 4, verbose: bool = False
    ) -> AsyncIterator[LocalModel]:
        """Run the model called `name`, else the one pulled last, else the default one, which is fetched first.

        `slots` completions are made at the same time; more wait. `verbose` writes every request to the log,
        `local-model.log` in `data_dir`. Raises LocalModelError.
        """
        pulled, path = await store.choose(data_dir, name)
        local = cls(await asyncio.to_thread(_order, pulled, path, slots, verbose), data_dir / "local-model.log")
        local._shorten_log()
        await local._start()
        watch = asyncio.create_task(local._keep_running(), name="local model watch")
        try:
            yield local
        finally:
            watch.cancel()
            await asyncio.wait([watch])
            await local._stop()

    @property
    def base_url(self) -> str:
        """Where its Chat Completions are. Nobody else should learn it: whoever knows it can use the model."""
        return f"http://127.0.0.1:{self._order.port}{self._order.prefix}/v1"

    @property
    def context_length(self) -> int:
        """Tokens that a prompt and its completion may take together."""
        assert self._running is not None
        return self._running.context_length

    def route(self) -> Route:
        """The route that leads every model name here."""
        assert self._running is not None
        return Route(
            patterns=("*",),
            base_url=self.base_url,
            model=self._order.name,
            context_length=self.context_length,
            tools="native" if self._running.calls_tools else "constrained",
            images=False,
            embeddings=False,
            reasoning_effort=False,
        )

    async def _start(self) -> None:
        with self._log.open("ab") as log:
            self._log_start = log.tell()
            process = await start_process(
                *(sys.executable, "-P", "-m", "assistd.llm.local_server"),
                stdin=PIPE,
                stdout=PIPE,
                stderr=log,
                start_new_session=True,  # an interrupt from the keyboard is for the parent, which has runs to finish
            )
        try:
            async with asyncio.timeout(_START_SECONDS):
                port = await self._loaded(process)
                self._order = msgspec.structs.replace(self._order, port=port)
                self._running = await self._examined(process, port)
        except BaseException as fault:
            await _end(process)
            if isinstance(fault, (TimeoutError, aiohttp.ClientError, OSError)):
                raise self._failed("it does not answer") from fault
            raise

    async def _loaded(self, process: Process) -> int:
        """The port of a child that has loaded the model."""
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(msgspec.json.encode(self._order) + b"\n")
        line = await process.stdout.readline()
        if not line:
            raise self._failed(f"its process ended with status {await process.wait()}")
        answer = msgspec.json.decode(line, type=Ready | Failed)
        if isinstance(answer, Failed):
            raise self._failed(answer.why)
        return answer.port

    async def _examined(self, process: Process, port: int) -> _Running:
        """What the server says about itself, which also shows that it answers."""
        properties = f"http://127.0.0.1:{port}{self._order.prefix}/props"
        async with aiohttp.ClientSession() as session, session.get(properties, raise_for_status=True) as response:
            found: dict[str, Any] = msgspec.json.decode(await response.read())
        abilities = found["chat_template_caps"]
        return _Running(
            process=process,
            port=port,
            context_length=found["default_generation_settings"]["n_ctx"],
            calls_tools=bool(abilities["supports_tools"] and abilities["supports_tool_calls"]),
        )

    async def _keep_running(self) -> None:
        pause, loop = _FIRST_PAUSE, asyncio.get_running_loop()
        while self._running is not None:
            since = loop.time()
            status = await self._running.process.wait()
            if loop.time() - since > _STEADY_SECONDS:
                pause = _FIRST_PAUSE
            _log.warning("the local model ended and is started again", status=status, model=self._order.name)
            pause = await self._restart(pause)

    async def _restart(self, pause: float) -> float:
        """Start the child until it runs; the pause that should come before the next time."""
        while True:
            await asyncio.sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE)
            try:
                await self._start()
            except LocalModelError as fault:
                _log.error("the local model does not start", reason=str(fault))
            else:
                return pause

    async def _stop(self) -> None:
        if self._running is not None:
            await _end(self._running.process)

    def _shorten_log(self) -> None:
        with suppress(FileNotFoundError):
            if self._log.stat().st_size > _MOST_LOG:
                self._log.unlink()

    def _failed(self, why: str) -> LocalModelError:
        said = _first_error(self._log, self._log_start) or why.rstrip(".")
        return LocalModelError(
            f"The model {self._order.name} does not run: {said}. "
            f"More is in {self._log}. Another model: `assistd models pull`, or set ASSISTD_MODEL_BASE_URL."
        )


def _order(model: PulledModel, path: Path, slots: int, verbose: bool) -> Order:
    try:
        header = read_header(path)
    except (NotGguf, OSError) as fault:
        raise LocalModelError(f"The model {model.name} cannot be read: {fault} Pull it again.") from fault
    planned = plan(header, model.size, available_memory(), usable_cores(), slots)
    # So small a model repeats itself without end where nothing holds it back.
    feeble = model.sha256 == SMOLLM2.sha256
    return Order(
        path=str(path),
        name=model.name,
        prefix="/" + secrets.token_urlsafe(24),
        port=0,
        slots=planned.slots,
        context_length=planned.context_length,
        threads=planned.threads,
        batch_threads=planned.batch_threads,
        max_tokens=2048 if feeble else -1,
        repeat_penalty=1.1 if feeble else 1.0,
        verbosity=3 if verbose else 1,
    )


async def _end(process: Process) -> None:
    with suppress(ProcessLookupError):
        process.kill()  # it has nothing to save
    await process.wait()


def _first_error(log: Path, start: int) -> str:
    """The first line of llama.cpp's log about an error since byte `start`, without its time and place."""
    with suppress(OSError):
        for line in log.read_bytes()[start:].decode("utf-8", "replace").splitlines():
            fields = line.split(maxsplit=2)
            if len(fields) == 3 and fields[1] == "E":
                return fields[2].partition(": ")[2].strip().rstrip(".")
    return ""
