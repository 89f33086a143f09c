"""How long others wait while a server looks at one request: the worst bodies that it takes, and worse ones.

    .venv/bin/python benchmarks/decoding.py [--seconds 3]

A real `assistd serve` on its embedded PostgreSQL. One client asks for `/healthz` all the time, which needs nothing but
the event loop; another sends the same body again and again. Shown is the longest answer to the first, in
milliseconds, without and with the second; and what the second was told.
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from subprocess import PIPE, Popen

LIMIT = 31_000_000


def filled(item: bytes, count: int, before: bytes, after: bytes) -> bytes:
    return before + b",".join([item] * count) + after


def schema(inside: bytes) -> bytes:
    tool = b'{"type":"function","function":{"name":"f","parameters":{"type":"object","x":' + inside + b"}}}"
    return b'{"model":"m","tools":[' + tool + b"]}"


def picture(size: int) -> bytes:
    url = b"data:image/png;base64," + b"iVBORw0K" * (size // 8)
    return b'{"type":"image_url","image_url":{"url":"%b"}}' % url


def bodies() -> dict[str, tuple[str, bytes]]:
    """What is sent, and where. The first half is taken, if only just; the second is refused."""
    message = b'{"role":"user","content":"a"}'
    part = b'{"type":"text","text":"a"}'
    names = [b'"key%d":1' % n for n in range(2_000_000)]
    return {
        "a schema of 31 MB, refused": ("/assistants", schema(b'"' + b"x" * LIMIT + b'"')),
        "a picture of 31 MB": ("/threads", b'{"messages":[{"role":"user","content":[%b]}]}' % picture(LIMIT)),
        "a name of 31 MB, refused": ("/assistants", b'{"model":"m","name":"' + b"x" * LIMIT + b'"}'),
        "4.5 million escapes": ("/assistants", schema(b'"' + b"\\n" * 4_000_000 + b'"')),
        "10 MB of Cyrillic": ("/assistants", schema(b'"' + "ж".encode() * 5_000_000 + b'"')),
        "60,000 objects": ("/assistants", schema(filled(b'{"a":1}', 60_000, b"[", b"]"))),
        "130,000 empty lists": ("/assistants", schema(filled(b"[]", 130_000, b"[", b"]"))),
        "130,000 members": ("/assistants", schema(b"{" + b",".join(names[:130_000]) + b"}")),
        "2,300 slow numbers": ("/assistants", schema(filled(b"1.7e308", 2_300, b"[", b"]"))),
        "400,000 tokens": ("/embeddings", filled(b"12345", 400_000, b'{"model":"m","input":[', b"]}")),
        "32 messages of 1,000 parts": (
            "/threads",
            filled(filled(part, 1000, b'{"role":"user","content":[', b"]}"), 32, b'{"messages":[', b"]}"),
        ),
        "100 messages of 256,000 characters, listed": ("", b""),
        "900,000 messages": ("/threads", filled(message, 900_000, b'{"messages":[', b"]}")),
        "900,000 messages, the last wrong": ("/threads", filled(message, 900_000, b'{"messages":[', b",5]}")),
        "8 million lists": ("/assistants", schema(filled(b"[]", 8_000_000, b"[", b"]"))),
        "2 million keys": ("/threads", b'{"metadata":{' + b",".join(names) + b"}}"),
        "1 million slow numbers": ("/assistants", schema(filled(b"1.797693134e308", 1_000_000, b"[", b"]"))),
        "15 million escapes": ("/assistants", schema(b'"' + b"\\n" * 15_000_000 + b'"')),
        "31 MB of spaces": ("/threads", b" " * LIMIT + b"{}"),
    }


class Client:
    """One connection after the other to the server."""

    def __init__(self, port: int) -> None:
        self._port = port

    def __call__(self, method: str, path: str, body: bytes | None = None) -> tuple[int, bytes]:
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=120)
        headers = {"Authorization": "Bearer sk-any", "OpenAI-Beta": "assistants=v2"}
        try:
            connection.request(method, path, body, headers)
            answer = connection.getresponse()
            return answer.status, answer.read()
        finally:
            connection.close()


def longest(client: Client, until: threading.Event) -> float:
    """Ask until told to stop, and return how long the slowest answer took, in milliseconds."""
    worst = 0.0
    while not until.is_set():
        began = time.perf_counter()
        client("GET", "/healthz")
        worst = max(worst, time.perf_counter() - began)
    return worst * 1000


def measured(client: Client, path: str, body: bytes, listed: str, seconds: float) -> tuple[float, str]:
    """Return the longest wait of the one client while the other sends, and what the other was told last."""
    stop, waits = threading.Event(), [0.0]
    probe = threading.Thread(target=lambda: waits.append(longest(client, stop)))
    probe.start()
    told = "nothing was sent"
    end = time.monotonic() + seconds
    try:
        while time.monotonic() < end:
            if body:
                status, answer = client("POST", f"/v1{path}", body)
            elif listed:
                status, answer = client("GET", f"/v1/threads/{listed}/messages?limit=100")
            else:
                time.sleep(0.1)
                continue
            told = str(status) if status == 200 else f"{status} {json.loads(answer)['error']['message'][:50]}"
    finally:
        stop.set()
        probe.join()
    return waits[-1], told


def long_thread(client: Client) -> str:
    """Make a thread of a hundred messages as long as messages may be."""
    thread = str(json.loads(client("POST", "/v1/threads", b"{}")[1])["id"])
    body = json.dumps({"role": "user", "content": "x" * 256_000}).encode()
    for _ in range(100):
        client("POST", f"/v1/threads/{thread}/messages", body)
    return thread


@contextmanager
def serving() -> Iterator[int]:
    """Run a server until the block ends, and yield its port."""
    with tempfile.TemporaryDirectory(prefix="assistd-bench-") as folder:
        environ = {k: v for k, v in os.environ.items() if not k.startswith("ASSISTD_")}
        environ |= {"ASSISTD_DATA_DIR": folder, "ASSISTD_MODEL_BASE_URL": "http://127.0.0.1:9/v1"}
        environ |= {"ASSISTD_LOG_LEVEL": "error", "ASSISTD_SANDBOX": "off"}
        command = [sys.executable, "-m", "assistd.cli", "serve", "--port", "0"]
        with Popen(command, stdout=PIPE, text=True, env=environ) as process:
            assert process.stdout is not None
            line = next(line for line in process.stdout if line.startswith("assistd is ready"))
            try:
                yield int(line.rpartition(":")[2].removesuffix("/v1\n"))
            finally:
                process.terminate()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=3, help="how long each body is sent again and again")
    seconds = parser.parse_args().seconds
    with serving() as port:
        client = Client(port)
        listed = long_thread(client)
        quiet, _ = measured(client, "", b"", "", seconds)
        print(f"{'nothing':45} {quiet:8.0f} ms")
        for name, (path, body) in bodies().items():
            wait, told = measured(client, path, body, listed, seconds)
            print(f"{name:45} {wait:8.0f} ms  {told}")


if __name__ == "__main__":
    main()
