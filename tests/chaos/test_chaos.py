"""The short form of the chaos: thirty kills, and all the faults beside them."""

from __future__ import annotations

import pytest

from tests.chaos.chaos import Chaos, Options


@pytest.mark.xdist_group("chaos")
@pytest.mark.filterwarnings("ignore:The Assistants API is deprecated:DeprecationWarning")
async def test_nothing_is_lost_doubled_or_stuck_whatever_goes_wrong() -> None:
    chaos = Chaos(Options(kills=30, seed="assistd"), print)
    await chaos.run()
    assert not chaos.history.violations, "\n\n".join(map(str, chaos.history.violations))
    assert chaos.history.counts["kills"] == 30
    assert chaos.history.counts["runs completed"]
    assert chaos.history.counts["files read"]
