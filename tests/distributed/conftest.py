"""What tests of several processes share."""

from collections.abc import AsyncIterator

import aiohttp
import pytest

from tests.distributed.processes import END_S


@pytest.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=END_S)) as session:
        yield session
