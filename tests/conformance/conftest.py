"""Each test of the suite runs on every database."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.conformance.databases import DATABASES, Desk
from tests.fakes.clock import ManualClock


@pytest.fixture(params=sorted(DATABASES))
async def desk(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Desk]:
    clock, opener = ManualClock(), DATABASES[request.param]
    async with opener(tmp_path, clock) as db:
        yield Desk(db=db, clock=clock, again=lambda: opener(tmp_path, clock))
