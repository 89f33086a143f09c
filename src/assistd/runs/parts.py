"""What every execution of a run works with; the composition root puts it together."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from assistd.llm.protocol import Model
from assistd.runs.pictures import Pictures
from assistd.runs.prompts import Prompts
from assistd.runs.server_tools import ServerTools

# Finds the model that answers for a name, if any does.
ModelFinder = Callable[[str], Model | None]


class Parts(msgspec.Struct, frozen=True):
    """The models, the server's tools, the files of messages, and what keeps what the models are sent."""

    find_model: ModelFinder
    tools: ServerTools
    pictures: Pictures
    prompts: Prompts
