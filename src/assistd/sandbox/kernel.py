"""The program inside the sandbox: an IPython shell that is told what to do over a pipe.

It is started as `python3 -c <this file> <options>`, with nothing of assistd around it, and uses the standard library
and IPython alone. Commands come in on what was its standard input, frames go out on what was its standard output: a
line of JSON, then as many raw bytes as its `size` says. Standard output and error, for everything that the code
prints, are one other pipe. Where a frame belongs between two pieces of output, the same mark is written to that pipe
right before it.

The code may do to this process whatever it likes. So nothing here protects anything; what must hold is held by the
walls around, and whoever reads these pipes trusts nothing that comes.
"""

from __future__ import annotations

import errno
import io
import json
import os
import queue
import resource
import signal
import stat
import sys
import threading
from base64 import b64decode
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO

DATA = "/mnt/data"
_CHUNK = 1 << 18
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def main(options: dict[str, Any]) -> None:
    """Take up the place, and do what is asked until the pipe ends."""
    commands, frames, text = _take_pipes()
    _take_text(text)
    _take_limits(options["rlimits"])
    os.chdir(DATA)
    os.environ.setdefault("MPLBACKEND", "module://matplotlib_inline.backend_inline")
    kernel = Kernel(commands, Frames(frames, options["nonce"], text), options)
    kernel.frames.send("ready")
    kernel.serve()


def _take_pipes() -> tuple[BinaryIO, BinaryIO, int]:
    """Move the pipes out of the way of the code, which finds an empty input. Returns them, the third by its number."""
    commands, frames, text = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb"), os.dup(2)
    nothing = os.open("/dev/null", os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    return commands, frames, text


def _take_text(text: int) -> None:
    """Make everything that is printed go down the pipe, whatever was done to it before.

    Line by line: what was printed keeps its place beside what other programs print, and outlives a killed process.
    """
    for number, name in ((1, "stdout"), (2, "stderr")):
        os.dup2(text, number)
        raw: Any = io.FileIO(number, "w", closefd=False)
        stream = io.TextIOWrapper(raw, encoding="utf-8", errors="replace", line_buffering=True)
        setattr(sys, name, stream)
        setattr(sys, f"__{name}__", stream)


def _take_limits(rlimits: dict[str, list[int]]) -> None:
    for name, wanted in rlimits.items():
        which = getattr(resource, name)
        _, most = resource.getrlimit(which)
        soft, hard = wanted if most == resource.RLIM_INFINITY else (min(one, most) for one in wanted)
        with suppress(ValueError):  # gVisor's kernel has no such limit, and nothing that it would be one of
            resource.setrlimit(which, (soft, hard))
    os.nice(10)
    with suppress(OSError):  # the first to go where the machine runs out of memory
        Path("/proc/self/oom_score_adj").write_text("1000")
    os.umask(0o022)


class Frames:
    """The way out."""

    def __init__(self, pipe: BinaryIO, nonce: str, text: int) -> None:
        self.text = text
        self._pipe = pipe
        self._nonce = nonce
        self._turn = threading.RLock()  # threads of the code may show something
        self._marks = 0
        self.now = 0  # the number of the command that runs

    def send(self, kind: str, body: bytes = b"", **members: Any) -> None:
        """Send a frame, whole: an interrupt comes before it or after it."""
        head = json.dumps({"is": kind, "size": len(body), **members}).encode() + b"\n"
        with self._turn, _uninterrupted():
            self._pipe.write(head + body)
            self._pipe.flush()

    def send_marked(self, kind: str, body: bytes = b"") -> None:
        """Send a frame that has its place in what is printed by the command that runs."""
        for stream in (sys.stdout, sys.stderr):
            with suppress(OSError, ValueError, AttributeError):  # the code has closed or replaced it
                stream.flush()
        with self._turn, _uninterrupted():
            self._marks += 1
            os.write(self.text, f"\0{self._nonce}:{self._marks}\0".encode())
            self.send(kind, body, n=self.now, mark=self._marks)


@contextmanager
def _uninterrupted() -> Iterator[None]:
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


class Kernel:
    """Does what is asked, one thing after the other, in the main thread; another thread listens."""

    def __init__(self, commands: BinaryIO, frames: Frames, options: dict[str, Any]) -> None:
        self.frames = frames
        self._commands = commands
        self._options = options
        self._todo: queue.Queue[tuple[dict[str, Any], bytes]] = queue.Queue(8)
        self._running = False
        self._unwanted = 0  # the number of a command that was interrupted
        self._pid = os.getpid()
        self._shell: Any = None
        self._deeds: dict[str, Callable[[dict[str, Any]], None]] = {
            "run": self._run,
            "put": self._put,
            "link": self._link,
            "remove": self._remove,
            "files": self._files,
            "read": self._read,
        }

    def serve(self) -> None:
        """Work until the pipe ends."""
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        threading.Thread(target=self._listen, daemon=True).start()
        self._shell = new_shell(self.frames, self._options["picture"])
        self.frames.send("warm")
        while True:
            command, _ = self._todo.get()
            do = self._deeds.get(command["do"])
            if do is None:  # the rest of a file that was refused
                continue
            try:
                do(command)
            except OSError as fault:
                kind = "full" if fault.errno in _FULL else "failed"
                self.frames.send(kind, n=command["n"], why=fault.strerror or str(fault))

    def _listen(self) -> None:
        while line := self._commands.readline():
            command = json.loads(line)
            body = self._commands.read(command["size"])
            if command["do"] != "interrupt":
                self._todo.put((command, body))
                continue
            self._unwanted = command["n"]
            if self._running and self.frames.now == self._unwanted:
                signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)
        os._exit(0)  # nobody is there any more

    # --- what can be asked

    def _run(self, command: dict[str, Any]) -> None:
        self.frames.now = command["n"]
        _take_text(self.frames.text)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        self._running = True
        try:
            try:
                if self._unwanted != command["n"]:
                    self._shell.run_cell(command["code"], store_history=True)
            finally:
                self._running = False
                signal.signal(signal.SIGINT, signal.SIG_IGN)
        except KeyboardInterrupt:  # that came too late for the code
            pass
        if os.getpid() != self._pid:  # a fork that went on as if it were this one
            os._exit(0)
        self.frames.send_marked("done")

    def _put(self, command: dict[str, Any]) -> None:
        """Write a file beside its place, then move it there: whoever has the old one open keeps it."""
        path = Path(DATA, command["path"])
        fault: OSError | None = None
        partial = path.with_name(f".{os.urandom(6).hex()}.partial")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with partial.open("wb", buffering=0) as file:
                for chunk in self._chunks():
                    if fault is None:
                        try:
                            written = 0
                            while written < len(chunk):
                                written += file.write(chunk[written:])
                        except OSError as full:  # the rest is on its way, and has to be read
                            fault = full
            if fault is not None:
                raise fault
            partial.replace(path)
        except OSError:
            partial.unlink(missing_ok=True)
            raise
        seen = path.lstat()
        self.frames.send(
            "did", n=command["n"], bytes=seen.st_size, changed=seen.st_ctime_ns
        )  # which code cannot put back

    def _chunks(self) -> Iterator[bytes]:
        while True:
            command, body = self._todo.get()
            if command["do"] == "end":
                return
            if command["do"] == "drop":
                raise OSError(errno.ECANCELED, "broken off")
            yield body

    def _link(self, command: dict[str, Any]) -> None:
        path = Path(DATA, command["path"])
        if path.is_symlink():
            path.unlink()
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.symlink_to(Path(DATA, command["target"]))
        self.frames.send("did", n=command["n"])

    def _remove(self, command: dict[str, Any]) -> None:
        Path(DATA, command["path"]).unlink(missing_ok=True)
        self.frames.send("did", n=command["n"])

    def _files(self, command: dict[str, Any]) -> None:
        found: list[tuple[str, int, int]] = []
        for path in self._paths():
            try:
                seen = os.lstat(f"{DATA}/{path}")
            except OSError:
                continue
            if stat.S_ISREG(seen.st_mode):
                found.append((path, seen.st_size, seen.st_ctime_ns))
            if len(found) == self._options["listed"]:
                break
        self.frames.send("files", json.dumps(found, ensure_ascii=False).encode(), n=command["n"])

    def _paths(self) -> Iterator[str]:
        """Yield the paths below /mnt/data that can be said: in UTF-8, in one line, and not too long."""
        for folder, _, names in os.walk(DATA, onerror=_unless_forbidden):
            for name in names:
                path = f"{folder}/{name}"[len(DATA) + 1 :]
                try:
                    size = len(path.encode())
                except UnicodeEncodeError:
                    continue
                if size <= self._options["path"] and min(path) >= " ":
                    yield path

    def _read(self, command: dict[str, Any]) -> None:
        number = os.open(Path(DATA, command["path"]), os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        with os.fdopen(number, "rb", buffering=0) as file:
            while chunk := file.read(_CHUNK):
                self.frames.send("chunk", chunk, n=command["n"])
        self.frames.send("did", n=command["n"])


def _unless_forbidden(fault: OSError) -> None:
    """Folders that the code has closed have nothing to list. A folder that cannot be opened just now is not empty."""
    if fault.errno in (errno.EMFILE, errno.ENFILE, errno.ENOMEM):
        raise fault


def new_shell(frames: Frames, largest_picture: int) -> Any:
    """Make the shell: IPython's own, without colours, history or prompts, that shows what it is given."""
    from IPython.core.displayhook import DisplayHook
    from IPython.core.displaypub import DisplayPublisher
    from IPython.core.interactiveshell import InteractiveShell
    from traitlets.config import Config

    def show(data: dict[str, Any], end: str = "\n") -> None:
        picture = _picture(data)
        if picture is not None and len(picture) <= largest_picture:
            frames.send_marked("picture", picture)
        elif picture is not None:
            print(f"[A picture is left out: it has {len(picture):,} bytes, more than {largest_picture:,}.]")
        elif "text/plain" in data:
            print(data["text/plain"], end=end)

    class Publisher(DisplayPublisher):  # what `display` calls
        def publish(self, data: dict[str, Any], *_: Any, **__: Any) -> None:
            show(data)

        def clear_output(self, wait: bool = False) -> None:
            pass

    class Hook(DisplayHook):  # what a bare last expression comes to
        def write_output_prompt(self) -> None:
            pass

        def write_format_data(self, format_dict: dict[str, Any], md_dict: Any = None) -> None:
            show(format_dict, end="")  # nothing comes behind it

        def finish_displayhook(self) -> None:
            self._is_active = False

        def __call__(self, result: Any = None) -> None:
            super().__call__(result)
            if result is not None and type(result).__module__.startswith("matplotlib."):
                close_shown(result)

    class Shell(InteractiveShell):
        system = InteractiveShell.system_raw  # without a terminal between a program and what it prints
        display_pub_class = Publisher
        displayhook_class = Hook

        def ask_exit(self) -> None:
            print("exit() has no effect here.")

    config = Config()
    config.HistoryManager.enabled = False
    config.InteractiveShell.colors = "nocolor"
    config.InteractiveShell.banner1 = ""
    config.InteractiveShell.cache_size = 0
    config.Completer.use_jedi = False
    return Shell.instance(config=config)


def close_shown(result: Any) -> None:
    """Close a figure that was shown as the value of an expression: it would be shown once more at the end."""
    pyplot: Any = sys.modules.get("matplotlib.pyplot")
    number = getattr(result, "number", None)
    if pyplot is not None and number is not None and pyplot.fignum_exists(number):
        pyplot.close(result)


def _picture(data: dict[str, Any]) -> bytes | None:
    for kind in ("image/png", "image/jpeg"):
        picture = data.get(kind)
        if picture is None:
            continue
        picture = b64decode(picture) if isinstance(picture, str) else bytes(picture)
        return picture if kind == "image/png" else _as_png(picture)
    return None


def _as_png(picture: bytes) -> bytes:
    from io import BytesIO

    from PIL import Image

    out = BytesIO()
    Image.open(BytesIO(picture)).save(out, "PNG")
    return out.getvalue()


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
