"""An old SDK, called as if it were here: `sdk.beta.threads.create(...)` gives the object as that SDK prints it."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.support.environments import python_of

CALLER = Path(__file__).with_name("caller.py")


class Refused(Exception):
    """The error that the old SDK raised: `kind` is its class, `error` what the server said."""

    def __init__(self, refusal: dict[str, Any]) -> None:
        super().__init__(refusal)
        self.kind: str = refusal["kind"]
        self.status: int = refusal["status"]
        self.error: dict[str, Any] = refusal["error"]


class OldSdk:
    """A method of an old SDK's client, or what leads to one."""

    def __init__(self, process: subprocess.Popen[str], method: tuple[str, ...] = ()) -> None:
        self._process = process
        self._method = method

    def __getattr__(self, name: str) -> OldSdk:
        return OldSdk(self._process, (*self._method, name))

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Call the method. Raises Refused."""
        return self._send(args, kwargs, each=False)

    def each(self, *args: Any, **kwargs: Any) -> Any:
        """Call a method that lists, and iterate what it gives to the end."""
        return self._send(args, kwargs, each=True)

    def _send(self, args: tuple[Any, ...], kwargs: dict[str, Any], each: bool) -> Any:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        order = {"method": ".".join(self._method), "args": args, "kwargs": kwargs, "each": each}
        self._process.stdin.write(json.dumps(order) + "\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        assert line, f"the old SDK ended at {order}"
        came = json.loads(line)
        if "refusal" in came:
            raise Refused(came["refusal"])
        assert "fault" not in came, came["fault"]
        return came["value"]


@contextmanager
def old_sdk(version: str, url: str, key: str = "sk-any") -> Iterator[OldSdk]:
    """Start an SDK of a version in its own environment; it ends with the context."""
    command = [str(python_of(f"openai-{version}")), str(CALLER), url, key]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield OldSdk(process)
        finally:
            assert process.stdin is not None
            process.stdin.close()
            process.wait(30)
