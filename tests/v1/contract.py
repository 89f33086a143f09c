"""The published schema of v1, of its last days, as a judge of what clients of those days are sent."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from tests.conformance.contract import Relaxation, Schemas, Version, extra, nullable, optional, unbounded
from tests.conformance.wiretap import Exchange

SPECIFICATION = Path(__file__).parents[1] / "data" / "contract" / "openai-v1.yaml"

_NUMBER = {"type": "number"}


def _listed(schemas: Schemas) -> None:
    for name, schema in schemas.items():
        if re.fullmatch("List.+Response", name) and "first_id" in schema.get("properties", {}):
            for key in ("first_id", "last_id"):
                schema["properties"][key] = {"type": ["string", "null"]}


RELAXATIONS: tuple[Relaxation, ...] = (
    # Keys that the recorded stream of a run has, or a step, and the schema does not name.
    extra("RunObject", "top_p", _NUMBER),
    extra("RunObject", "temperature", _NUMBER),
    extra("RunStepObject", "expires_at", {"type": ["integer", "null"]}),
    # What assistants could be created with at the end, and were shown with.
    extra("AssistantObject", "top_p", _NUMBER),
    extra("AssistantObject", "temperature", _NUMBER),
    extra("AssistantObject", "response_format", {"$ref": "#/components/schemas/AssistantsApiResponseFormatOption"}),
    # A run of an assistant without instructions has null there.
    nullable("RunObject", "instructions"),
    # Of an empty page.
    _listed,
    # The service took budgets of 16 tokens.
    unbounded("RunObject", "max_prompt_tokens", "max_completion_tokens"),
)
V1 = Version(
    SPECIFICATION,
    RELAXATIONS,
    # Steps in streams carry neither; reads show both, as the schema wants it.
    (*RELAXATIONS, optional("RunStepObject", "expired_at", "metadata")),
)


def is_of_the_last_days(exchange: Exchange) -> bool:
    """Whether an answer is one of v1, to a client that knows all that v1 came to have. Files have no version."""
    if exchange.path.startswith("/v1/files"):
        return False
    sent: Any = exchange.request_headers
    version = re.match(r"(\d+)\.(\d+)", sent.get("x-stainless-package-version", "1.20"))
    late = version is not None and (1, 18) <= tuple(map(int, version.groups())) < (1, 21)
    return sent.get("openai-beta") == "assistants=v1" and late
