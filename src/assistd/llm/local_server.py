"""The process in which a local model runs: `python -m assistd.llm.local_server`.

It reads an `Order` from standard input, loads the model, and serves it over HTTP
on loopback with llama.cpp's own server. It answers with one line on standard
output, `Ready` or `Failed`. Standard input stays open: when it ends, the parent
is gone, and so is this process.

The first part of the URL's path is a secret, so that neither other users of the
machine nor pages in a browser can use the model.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from typing import Any

import msgspec


class Order(msgspec.Struct, frozen=True):
    """What to serve. `port` 0 takes a free one; `prefix` is the secret part of the path, as `/...`.

    `context_length` is in tokens and for each of `slots`; `max_tokens` ends a completion for which the
    request sets no end (-1: none), `repeat_penalty` holds where the request sets none (1.0: off);
    `verbosity` is llama.cpp's: 1 errors, 2 warnings, 3 every request.
    """

    path: str
    name: str
    prefix: str
    port: int
    slots: int
    context_length: int
    threads: int
    batch_threads: int
    max_tokens: int
    repeat_penalty: float
    verbosity: int


class Ready(msgspec.Struct, frozen=True, tag="ready"):
    """The model answers at `http://127.0.0.1:PORT` below the order's prefix."""

    port: int


class Failed(msgspec.Struct, frozen=True, tag="failed"):
    """The model does not run; `why` is what the library says, and its log says more."""

    why: str


# Threads that wait for each other spin for a moment before they sleep. By default that is long enough
# to bring everything to a crawl when other processes want the cores too; not at all is slower when
# none do. Measured on two cores: 42 tokens a second instead of 50 when idle, 18 instead of 2 when not.
_SPIN = "1000"
# Tokens of a prompt computed in one go. Other completions wait as long, and so does a cancellation.
_BATCH = 256


def main() -> int:
    """Serve one order until the parent is gone; the exit status."""
    parent = os.getppid()
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # nothing but the answer may come out there
    order = msgspec.json.decode(sys.stdin.buffer.readline(), type=Order)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    try:
        server = _serve(order)
    except Exception as fault:
        answers.write(msgspec.json.encode(Failed(str(fault))) + b"\n")
        answers.close()
        return 1
    port = int(server.listening_address.rpartition(":")[2])
    answers.write(msgspec.json.encode(Ready(port)) + b"\n")
    answers.close()
    while os.getppid() == parent:  # should another process hold the other end of standard input
        time.sleep(1)
    os._exit(0)


def _serve(order: Order) -> Any:
    os.environ.setdefault("GOMP_SPINCOUNT", _SPIN)  # read when the library is loaded
    import xllamacpp  # type: ignore[import-untyped]

    params = xllamacpp.CommonParams()
    params.model.path = order.path
    params.model_alias = {order.name}
    params.hostnames = ["127.0.0.1"]
    params.port = order.port
    params.api_prefix = order.prefix
    params.cors_origins = ""
    params.ui = False
    params.n_parallel = order.slots
    params.n_ctx = order.slots * order.context_length
    params.n_batch = params.n_ubatch = _BATCH
    params.cpuparams.n_threads = order.threads
    params.cpuparams_batch.n_threads = order.batch_threads
    params.cache_ram_mib = 0  # each slot keeps its last prompt; no more copies besides
    params.n_predict = order.max_tokens
    params.sampling.penalty_repeat = order.repeat_penalty
    params.verbosity = order.verbosity
    return xllamacpp.Server(params)


def _end_with_parent() -> None:
    sys.stdin.buffer.read()
    os._exit(0)  # there is nothing to save, and threads of the library run


if __name__ == "__main__":
    sys.exit(main())
