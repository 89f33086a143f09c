"""Short words for what many tests do first: make an assistant, run it on a script, wait for a status."""

from __future__ import annotations

from typing import Any

from tests.support.http import Api
from tests.support.waiting import eventually

FUNCTION = {"type": "function", "function": {"name": "look_up"}}
ENDS = ("completed", "failed", "cancelled", "expired", "incomplete")


def user(text: str) -> dict[str, str]:
    """A user message; for the scripted model, `text` is also what it is to do."""
    return {"role": "user", "content": text}


def start(api: Api, script: str, assistant_id: str, **options: Any) -> Any:
    """Start a run on a new thread that holds the script, and return it."""
    thread = {"messages": [user(script)]}
    return api.post("/threads/runs", {"assistant_id": assistant_id, "thread": thread, **options}).ok


def path_of(run: Any) -> str:
    """The path of a run."""
    return f"/threads/{run['thread_id']}/runs/{run['id']}"


def until(api: Api, run: Any, *statuses: str) -> Any:
    """Wait for one of these statuses, and return the run as it is then."""

    def look() -> Any:
        now = api.get(path_of(run)).ok
        assert now["status"] not in ENDS or now["status"] in statuses, now
        return now if now["status"] in statuses else None

    return eventually(look)
