"""What the model is asked in a turn, put together from the run, its thread, and what its tools have given."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from assistd.db.pool import Database
from assistd.llm.protocol import ChatRequest, Model
from assistd.runs import history, request
from assistd.runs.documents import Documents
from assistd.runs.machine import CallModel, Step
from assistd.runs.parts import Parts
from assistd.runs.turn import Material
from assistd.runs.wire import Run


class Asker:
    """Puts together what the turns of one run ask.

    `begun` is when the run began, on the monotonic clock. `retrieval`: it waits for all of its files, and small ones
    stand whole in what it asks; those of its first turn here, so that a marker means the same in all of them.
    """

    def __init__(self, db: Database, parts: Parts, project_id: str, begun: float, *, retrieval: bool = False) -> None:
        self._db = db
        self._parts = parts
        self._project_id = project_id
        self._begun = begun
        self._retrieval = retrieval
        self._ready = False  # whether the run's files were waited for
        self._documents = Documents()

    async def ask(
        self, run: Run, model: Model, command: CallModel, steps: Sequence[Step], rows: Sequence[Any]
    ) -> tuple[ChatRequest, Material]:
        """Return the request and what its answer may use. `rows` are those of the steps.

        Raises ModelRefused, ModelUnavailable, SearchFailed.
        """
        tools = self._parts.tools
        if not self._ready:
            await tools.make_ready(run, self._begun, retrieval=self._retrieval)
            if self._retrieval:
                self._documents = await tools.documents(run, model.context_length)
            self._ready = True
        functions = await tools.functions(run, self._project_id)
        chat = request.compose(run, functions, command, steps, self._documents.text)
        window = request.window(run, model, command, chat)
        async with self._db.acquire() as conn:
            conversation = await history.load(conn, run.thread_id, window, run.id)
        shown = await self._parts.pictures.show(
            conversation.messages, self._project_id, model=run.model, can_see=model.images
        )
        sources = {**conversation.sources, **self._documents.sources}
        material = await tools.material(run, self._project_id, sources, rows)
        return request.with_conversation(chat, shown), material
