"""The page of the playground is built on the way into a wheel or an sdist, where Node.js is there to do it."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class Playground(BuildHookInterface):  # type: ignore[type-arg]
    """Builds what is not built yet; an editable installation is served from the sources, by `make serve`."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        if version != "editable":
            subprocess.run(["sh", str(Path(self.root) / "scripts" / "build-playground.sh")], check=True)
