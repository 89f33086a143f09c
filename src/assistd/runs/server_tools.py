"""The server's own tools, together: what a run is offered of them, what its answers may use, and their calls."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import msgspec
from msgspec import UNSET

from assistd.runs import code_interpreter, file_search
from assistd.runs.calls import OpenCalls
from assistd.runs.citations import Sources
from assistd.runs.code_interpreter import CodeInterpreter, Tell
from assistd.runs.documents import Documents
from assistd.runs.file_search import FileSearch
from assistd.runs.turn import Material
from assistd.runs.wire import Exchange, Run, ToolCalls


class ServerTools:
    """File search and the code interpreter, as a run uses them."""

    def __init__(self, search: FileSearch, code: CodeInterpreter) -> None:
        self._search = search
        self._code = code

    async def make_ready(self, run: Run, since: float, *, retrieval: bool = False) -> None:
        """Wait until what the tools need is there; see `FileSearch.make_ready`."""
        if file_search.options_of(run) is not None:
            await self._search.make_ready(run, since, retrieval=retrieval)

    async def documents(self, run: Run, context_length: int) -> Documents:
        """Return the files of a run that stand whole in its prompt; see `FileSearch.documents`."""
        if file_search.options_of(run) is None:
            return Documents()
        return await self._search.documents(run, context_length)

    async def functions(self, run: Run, project_id: str) -> dict[str, Any]:
        """Return the tools that a run has as functions that a model is offered, by their types."""
        offered: dict[str, Any] = {}
        if file_search.options_of(run) is not None:
            offered["file_search"] = file_search.FUNCTION
        if code_interpreter.enabled(run):
            offered["code_interpreter"] = code_interpreter.function(await self._code.given(run, project_id))
        return offered

    async def material(self, run: Run, project_id: str, sources: Sources, steps: Sequence[Any]) -> Material:
        """Return what the next answer of a run may use; `steps` are the rows of its steps so far, oldest first."""
        if not code_interpreter.enabled(run):
            return Material(sources)
        return Material(
            sources,
            paths=await self._code.paths(run.thread_id),
            file_of=partial(self._code.publish, run.thread_id, project_id),
            images=_unshown_images(steps),
        )

    async def answer(
        self, run: Run, project_id: str, calls: OpenCalls, context_length: int, tell: Tell
    ) -> list[Exchange]:
        """Answer the calls of these tools. What they give is put into the calls. Raises SearchFailed."""
        exchanges: list[Exchange] = []
        if searches := calls.searches():
            answers = await self._search.answer(run, [search.exchange for search in searches], context_length)
            for search, (found, said) in zip(searches, answers, strict=True):
                search.found = found
                exchanges.append(said)
        if codes := calls.codes():
            exchanges += await self._code.answer(run, project_id, codes, tell)
        return exchanges

    def done(self, run: Run) -> None:
        """Say that a run has ended, or waits for its client: what was kept for it is free."""
        self._code.done(run.thread_id)


def _unshown_images(steps: Sequence[Any]) -> list[str]:
    """Return the pictures that code has made since the run's last message."""
    images: list[str] = []
    for step in steps:
        if step["type"] == "message_creation":
            images = []
            continue
        for call in msgspec.json.decode(step["step_details"], type=ToolCalls).tool_calls:
            if call.code_interpreter is not UNSET:
                images += call.code_interpreter.images
    return images
