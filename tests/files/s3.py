"""A real S3-speaking server in a process of its own, and a look into it that does not go through our code."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import urllib.request
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.support.waiting import eventually

BUCKET = "documents"


class S3:
    """The server, with one bucket. `environ` is what a client of it has in its environment."""

    def __init__(self, port: int, folder: Path) -> None:
        self.address = f"http://127.0.0.1:{port}"
        self.environ = {
            "AWS_ENDPOINT_URL": self.address,
            "AWS_ACCESS_KEY_ID": "testing",
            "AWS_SECRET_ACCESS_KEY": "testing",
            "AWS_REGION": "us-east-1",
        }
        self._port = port
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it, empty, on its port."""
        with (self._folder / "s3.log").open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(self._port)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env={**os.environ, "PYTHONWARNINGS": "default"},
            )
        eventually(self._answers)
        self._call("PUT", f"/{BUCKET}")

    def stop(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait(30)
            self._process = None

    def url(self, prefix: str) -> str:
        """The URL of a place in the bucket, one for each test."""
        return f"s3://{BUCKET}/{prefix}"

    def stored(self, prefix: str) -> list[str]:
        """The keys of what is under a prefix, without it, but for what a node tries the store with."""
        return [key for key in self.everything(prefix) if not key.startswith("probes/")]

    def everything(self, prefix: str) -> list[str]:
        """The keys of all that is under a prefix, without it."""
        found = self._texts(f"/{BUCKET}?list-type=2&max-keys=1000&prefix={prefix}/", "Key")
        return [key.removeprefix(prefix + "/") for key in found]

    def unfinished(self, prefix: str) -> list[str]:
        """The keys of multi-part uploads that were begun, and neither completed nor aborted."""
        found = self._texts(f"/{BUCKET}?uploads&prefix={prefix}/", "Key")
        return [key.removeprefix(prefix + "/") for key in found]

    def etags(self, prefix: str) -> list[str]:
        """The entity tags of what is under a prefix; one that ends with `-n` was sent in n parts."""
        return [tag.strip('"') for tag in self._texts(f"/{BUCKET}?list-type=2&prefix={prefix}/", "ETag")]

    def _texts(self, path: str, tag: str) -> list[str]:
        root = ElementTree.fromstring(self._call("GET", path))
        return [found.text or "" for found in root.iter() if found.tag.rpartition("}")[2] == tag]

    def _call(self, method: str, path: str) -> bytes:
        # It takes any key, but wants to see one.
        headers = {"Authorization": "AWS4-HMAC-SHA256 Credential=testing/20260101/us-east-1/s3/aws4_request"}
        request = urllib.request.Request(self.address + path, method=method, headers=headers)
        with urllib.request.urlopen(request, timeout=30) as response:
            body: bytes = response.read()
            return body

    def _answers(self) -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self._port)) == 0


@contextmanager
def s3_server(folder: Path) -> Iterator[S3]:
    """Yield a running server."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    server = S3(port, folder)
    try:
        server.start()
        yield server
    finally:
        server.stop()
