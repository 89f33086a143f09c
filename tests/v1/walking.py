"""Lets an old SDK walk the walkthrough, before a wiretap."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

from tests.conformance.wiretap import Wiretap
from tests.support.environments import python_of
from tests.support.paper import paper
from tests.v1.boxes import Walked

WALK = Path(__file__).with_name("walk.py")
SECONDS = 300.0  # until a walk hangs


def walk(sdk: str, tap: Wiretap, folder: Path, lines: dict[str, str], options: dict[str, dict[str, Any]]) -> Walked:
    """Let an old SDK walk, and return what it and the wiretap saw."""
    pdf = folder / "language_models.pdf"
    pdf.write_bytes(paper())
    orders = {"base_url": tap.url, "pdf": str(pdf), "lines": lines, "options": options}
    tap.take()
    done = subprocess.run(
        [str(python_of(f"openai-{sdk}")), str(WALK)],
        input=json.dumps(orders),
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    assert done.returncode == 0, f"{done.stderr}\n{[str(exchange) for exchange in tap.take()][-5:]}"
    saw = json.loads(done.stdout)
    assert saw["sdk"] == sdk
    return Walked(sdk, bool(lines), saw, tap.take())
