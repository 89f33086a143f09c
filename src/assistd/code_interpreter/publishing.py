"""What an answer names becomes a file that clients can have."""

from __future__ import annotations

from assistd.code_interpreter import store
from assistd.db.pool import Database
from assistd.sandbox.limits import Limits
from assistd.sandbox.paths import is_plain


class Publisher:
    """Gives out the files of threads' /mnt/data."""

    def __init__(self, db: Database) -> None:
        self._db = db

    async def publish(self, thread_id: str, project_id: str, path: str) -> str | None:
        """Return the id of the file at a path below /mnt/data: what the code wrote, or a file that it was given.

        What the code wrote becomes a file of purpose `assistants_output`, once for the same content. None where
        nothing is there.
        """
        if not is_plain(path, Limits.path):  # PostgreSQL would refuse some of it
            return None
        async with self._db.transaction() as conn:
            return await store.publish(conn, project_id, thread_id, path)
