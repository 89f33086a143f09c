"""The long run: `python -m tests.chaos --kills 1000 --seed 7`. Ends with 1 where anything does not hold."""

from __future__ import annotations

import argparse
import asyncio
import logging
import secrets
import signal
import sys

import structlog
import uvloop

from tests.chaos.chaos import Chaos, Options


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description="Chaos, and what must hold in it.")
    parser.add_argument("--kills", type=int, default=100, help="how often a node is killed (default: %(default)s)")
    parser.add_argument("--seed", default=secrets.token_hex(3), help="decides what happens; default: a random one")
    parser.add_argument("--pace", type=float, default=1.0, help="seconds between kills (default: %(default)s)")
    parser.add_argument("--people", type=int, default=12, help="clients that talk (default: %(default)s)")
    given = parser.parse_args()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    logging.getLogger("assistd").setLevel(logging.ERROR)
    logging.getLogger("aiohttp.server").setLevel(logging.CRITICAL)  # scripted models drop connections on purpose
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # ends it in order, PostgreSQL included
    print(f"seed {given.seed}", flush=True)
    chaos = Chaos(
        Options(given.kills, given.seed, given.pace, people=given.people), lambda line: print(line, flush=True)
    )
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(chaos.run())
    for what, number in sorted(chaos.history.counts.items()):
        print(f"{number:8}  {what}")
    for violation in chaos.history.violations:
        print(f"\nVIOLATION: {violation}"[:4000])
    print(f"\n{len(chaos.history.violations)} violations (seed {given.seed})")
    if chaos.history.violations:
        print(f"Logs of nodes are in {chaos.folder}")
    return 1 if chaos.history.violations else 0


if __name__ == "__main__":
    sys.exit(main())
