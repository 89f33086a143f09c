"""Where the tests have what the code interpreter runs code in: built once for the whole checkout, as make test does."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

FOLDER: Final = Path(os.environ.get("ASSISTD_INTERPRETER_DIR") or Path(__file__).parents[2] / ".interpreter").absolute()
