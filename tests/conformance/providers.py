"""A stand for each provider: its fake server running, and the environment that leads to it.

A new provider needs an entry here; `test_providers.py` says so.
"""

import base64
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass

from tests.fakes.cog_faults import CogFaults
from tests.fakes.replicate import FakeReplicate
from tests.fakes.scripted import PNG


@dataclass(frozen=True, kw_only=True)
class Stand:
    """Where a provider finds its fake, and what that has counted."""

    environment: Mapping[str, str]
    requests: Callable[[], int] | None  # creates that arrived; None where nothing is sent


@asynccontextmanager
async def _replicate() -> AsyncIterator[Stand]:
    async with FakeReplicate() as fake:
        yield Stand(
            environment={"REPLICATE_API_TOKEN": fake.token, "REPLICATE_API_BASE_URL": fake.url},
            requests=lambda: len(fake.creates),
        )


@asynccontextmanager
async def _cog() -> AsyncIterator[Stand]:
    async with CogFaults() as fake:
        picture = f"data:image/png;base64,{base64.b64encode(PNG).decode()}"
        fake.answers(200, {"status": "succeeded", "output": [picture]})
        yield Stand(environment={"COG_URL": fake.url}, requests=lambda: len(fake.puts))


@asynccontextmanager
async def _mock() -> AsyncIterator[Stand]:
    yield Stand(environment={"MOCK_LATENCY": "0"}, requests=None)


STANDS: Mapping[str, Callable[[], AbstractAsyncContextManager[Stand]]] = {
    "cog": _cog,
    "mock": _mock,
    "replicate": _replicate,
}
