"""The first version of the API, as its own SDKs speak it."""

import pytest

# What these assert is told as pytest tells it, though they are no tests.
pytest.register_assert_rewrite(
    *(f"tests.v1.{name}" for name in ("boxes", "checks_ground", "checks_text", "checks_tools"))
)
