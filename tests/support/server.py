"""A real `assistd serve` process, as a user would start it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.support import interpreters

READY = "assistd is ready: "


class Server:
    """A running server process. `url` is what an SDK takes as `base_url`."""

    def __init__(self, process: subprocess.Popen[str], log: Path) -> None:
        self.process = process
        self.log_file = log
        self.url = ""
        self._output: list[str] = []
        self._ready = threading.Event()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self._output.append(line)
            said = str(json.loads(line)["event"]) if line.startswith("{") else line
            if said.startswith(READY):
                self.url = said.removeprefix(READY).strip()
                self._ready.set()
        self._ready.set()

    def wait_until_ready(self, seconds: float = 120) -> None:
        """Wait for the line that says where it listens. Raises with its log if it does not come."""
        if not self._ready.wait(seconds) or not self.url:
            raise AssertionError(f"the server did not start: {''.join(self._output)}\n{self.log}")

    @property
    def output(self) -> list[str]:
        """The lines that it has written to standard output."""
        return list(self._output)

    @property
    def log(self) -> str:
        """What it has written to standard error."""
        return self.log_file.read_text("utf-8", "replace")

    def send(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def kill(self) -> None:
        """End it as a power cut would."""
        self.process.kill()
        self.process.wait(30)

    def stop(self, seconds: float = 30) -> int:
        """End it in order, and return its exit status."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGCONT)
            self.process.terminate()
        try:
            return self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait(30)
            raise


@contextmanager
def serve(
    folder: Path, *arguments: str, command: str = "serve", pass_fds: Sequence[int] = (), **settings: Any
) -> Iterator[Server]:
    """Run `assistd serve --port 0` with settings by name, with its files in a folder; ends it at the end.

    The scripted model answers unless `model_base_url` or `models_file` says otherwise.
    """
    folder.mkdir(parents=True, exist_ok=True)
    log = folder / f"server-{len(list(folder.glob('server-*.log')))}.log"
    port = ["--port", "0"] if command == "serve" else []
    with log.open("wb") as stderr:
        process = subprocess.Popen(
            [sys.executable, "-m", "assistd.cli", command, *port, *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=stderr,
            text=True,
            cwd=folder,
            env=_environ(folder, settings),
            pass_fds=pass_fds,
        )
    server = Server(process, log)
    try:
        if command == "serve":
            server.wait_until_ready()
        yield server
    finally:
        if process.poll() is None:
            server.stop()
        if process.stdout is not None:
            process.stdout.close()


def _environ(folder: Path, settings: Mapping[str, Any]) -> dict[str, str]:
    environ = {k: v for k, v in os.environ.items() if not k.startswith(("ASSISTD_", "OPENAI_"))}
    chosen = {"data_dir": folder / "data", "interpreter_dir": interpreters.FOLDER, **settings}
    if "models_file" not in chosen:
        chosen.setdefault("model_base_url", "scripted:")
    return environ | {f"ASSISTD_{name.upper()}": str(value) for name, value in chosen.items()}
