"""Run the load harness against a real `assistd serve` before its stub model, and print its table.

    make bench                                   (BENCH=folder of assistants_bench.py and stub_model.py)
    .venv/bin/python benchmarks/serve.py --bench ../shared/bench --workers 2 --repeat 3

Load generator, stub model, server and PostgreSQL share this machine; all traffic is loopback. The server's data go
into a folder that is removed afterwards.
"""

from __future__ import annotations

import argparse
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def running(command: list[str], ready: str, environ: dict[str, str]) -> Iterator[int]:
    """Run a program until the block ends; yields its process id once it has printed that it is ready."""
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environ)
    try:
        assert process.stdout is not None
        for line in process.stdout:
            if ready in line:
                break
        else:
            raise SystemExit(f"{command[0]} ended with status {process.wait()}")
        yield process.pid
    finally:
        process.terminate()
        process.wait(30)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bench", type=Path, required=True, help="the folder of assistants_bench.py and stub_model.py")
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("rest", nargs="*", help="further options of assistants_bench.py, after --")
    arguments = parser.parse_args()
    stub_port, port = free_port(), free_port()
    stub = f"http://127.0.0.1:{stub_port}/v1"
    with tempfile.TemporaryDirectory(prefix="assistd-bench-") as folder:
        environ = {k: v for k, v in os.environ.items() if not k.startswith("ASSISTD_")}
        environ |= {
            "ASSISTD_DATA_DIR": folder,
            "ASSISTD_MODEL_BASE_URL": stub,
            "ASSISTD_LOG_LEVEL": "warning",
            "ASSISTD_SANDBOX": "off",  # or it would build what code runs in meanwhile
        }
        model = [sys.executable, str(arguments.bench / "stub_model.py"), "--port", str(stub_port)]
        server = [sys.executable, "-m", "assistd.cli", "serve", "--port", str(port)]
        server += ["--workers", str(arguments.workers)]
        with running(model, "stub model on", environ), running(server, "assistd is ready", environ) as pid:
            time.sleep(1)  # so that what starts up is not measured
            harness = [sys.executable, str(arguments.bench / "assistants_bench.py")]
            harness += ["--base-url", f"http://127.0.0.1:{port}/v1", "--model", "stub", "--stub-url", stub]
            harness += ["--server-pid", f"assistd={pid}", "--repeat", str(arguments.repeat)]
            harness += ["--label", f"{arguments.workers} workers", "--out", str(Path(folder) / "bench.json")]
            subprocess.run([*harness, *arguments.rest], check=True)


if __name__ == "__main__":
    main()
