"""What the tests of both versions have in common: refusals, uploads, and runs of the scripted model to their end."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.http import Api
from tests.support.talk import ENDS, user
from tests.support.waiting import eventually
from tests.v1.old_sdk import OldSdk, Refused

CODE = {"type": "code_interpreter"}
RETRIEVAL = {"type": "retrieval"}
TOOLS = [CODE, RETRIEVAL]
WEATHER = {
    "type": "function",
    "function": {"name": "get_weather", "description": "The weather.", "parameters": {"type": "object"}},
}
SKY = b"The sky is blue."
SEARCH = '/call file_search {"query": "sky"}'
# Well-formed ids of nothing.
NO_FILE = "file-" + "0" * 24
NO_ASSISTANT = "asst_" + "0" * 24
NO_MESSAGE = "msg_" + "0" * 24


def upload(api: Api, name: str, content: bytes = SKY) -> str:
    return str(api.upload(content, name).ok["id"])


def refusal(call: Any, *args: Any, **kwargs: Any) -> Refused:
    """Call a method of an old SDK, which must be refused, and return the error that it raises."""
    with pytest.raises(Refused) as raised:
        call(*args, **kwargs)
    return raised.value


def said(message: str, param: str | None = None, code: str | None = None) -> dict[str, Any]:
    """The error of a request that is refused."""
    return {"message": message, "type": "invalid_request_error", "param": param, "code": code}


def run_on(sdk: OldSdk, assistant_id: str, words: str, **message: Any) -> Any:
    """Ask an assistant on a new thread with an old SDK, and return its run when that rests."""
    thread = sdk.beta.threads.create(messages=[user(words) | message])
    return wait(sdk, sdk.beta.threads.runs.create(thread["id"], assistant_id=assistant_id))


def wait(sdk: OldSdk, run: Any) -> Any:
    """Return a run when it rests: at its end, or before the outputs of its client's tools."""

    def look() -> Any:
        now = sdk.beta.threads.runs.retrieve(run["id"], thread_id=run["thread_id"])
        return now if now["status"] in (*ENDS, "requires_action") else None

    return eventually(look)


def answers(sdk: OldSdk, run: Any) -> list[str]:
    """The texts that a run has added to its thread, oldest first."""
    listed = sdk.beta.threads.messages.list(run["thread_id"], order="asc")["data"]
    return [message["content"][0]["text"]["value"] for message in listed if message["run_id"] == run["id"]]
