"""A step that another worker left open: its end is told here, and that of the message it was writing."""

from __future__ import annotations

from typing import Any

import msgspec

from assistd.db.pool import Database
from assistd.runs import progress
from assistd.runs.frames import Scribe, told_content
from assistd.runs.progress import CloseMessage
from assistd.runs.stream import Streams
from assistd.runs.turn import Scene, shown_step
from assistd.runs.wire import LastError
from assistd.threads import store as threads
from assistd.threads.wire import IncompleteDetails
from assistd.web.wire import to_json

# Why a message is incomplete whose step ends so.
_REASONS = {"cancelled": "run_cancelled", "expired": "run_expired"}


class Teller:
    """Tells the ends of a run's orphans, at a time in Unix seconds."""

    def __init__(self, db: Database, streams: Streams, scene: Scene, scribe: Scribe, now: int) -> None:
        self._db = db
        self._streams = streams
        self._scene = scene
        self._scribe = scribe
        self._now = now

    async def tell(self, step: Any, details: Any, status: str, error: LastError | None) -> CloseMessage | None:
        """Tell that a step, of this row and these details, ended so, and its message if it has one.

        Returns what the message becomes if it stays: as much of it as the log has.
        """
        said = await self._tell_message(details, status)
        shown = shown_step(
            self._scene, step["id"], step["type"], step["created_at"], status, details, self._now, None, error
        )
        self._scribe.event(f"thread.run.step.{status}", shown)
        return said

    async def _tell_message(self, details: Any, status: str) -> CloseMessage | None:
        message_id = details.get("message_creation", {}).get("message_id")
        if message_id is None:
            return None
        async with self._db.acquire() as conn:
            message = await progress.message(conn, message_id)
        if message is None:  # its client may have deleted it
            return None
        content = told_content(await self._streams.log.told(self._scene.run_id), message["id"])
        said = CloseMessage(message["id"], content, _REASONS.get(status, "run_failed"))
        shown = msgspec.structs.replace(
            threads.message(message),
            status="incomplete",
            incomplete_details=IncompleteDetails(said.reason or ""),
            incomplete_at=self._now,
            content=to_json(content),
        )
        self._scribe.event("thread.message.incomplete", shown)
        return said
