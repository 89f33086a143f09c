"""The endpoints of vector stores within the test, judged by the published schema."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from assistd.db.pool import Database
from tests.conformance.contract import Contract
from tests.vector_stores.room import Room, open_room


@pytest.fixture(scope="session")
def contract() -> Contract:
    return Contract()


@pytest.fixture
async def room(database: Database, contract: Contract) -> AsyncIterator[Room]:
    async with open_room(database, contract) as opened:
        yield opened
