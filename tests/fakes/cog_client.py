"""The Cog provider as tests use it, pointed at any address."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from mediagen.clock import SystemClock
from mediagen.providers.base import Accepted, Call, Outcome, Prediction, ProviderContext, Rejected
from mediagen.providers.cog import CogProvider, CogSettings
from mediagen.safefetch import Fetcher
from mediagen.settings import load, load_settings

CLOCK = SystemClock()
MAX_BYTES = 4096


@asynccontextmanager
async def provider_at(url: str) -> AsyncIterator[CogProvider]:
    fetcher = Fetcher(max_bytes=MAX_BYTES)
    context = ProviderContext(
        settings=load_settings(max_output_bytes=MAX_BYTES), clock=CLOCK, fetcher=fetcher
    )
    provider = CogProvider(context, load(CogSettings, cog_url=url))
    try:
        yield provider
    finally:
        await provider.close()
        await fetcher.close()


def a_call(timeout_s: float = 30, **parameters: Any) -> Call:
    inputs = {"prompt": "a pond", **parameters}
    return Call(id=CLOCK.new_id(), model="cog/predictor", input=inputs, created_at_ms=0, timeout_s=timeout_s)


async def create(cog: CogProvider, call: Call | None = None) -> Outcome:
    return await cog.create(call or a_call(), send_by=CLOCK.monotonic() + 10)


async def prediction(cog: CogProvider, call: Call | None = None) -> Prediction:
    outcome = await create(cog, call)
    assert isinstance(outcome, Accepted), outcome
    return outcome.prediction


async def rejection(cog: CogProvider) -> Rejected:
    outcome = await create(cog)
    assert isinstance(outcome, Rejected), outcome
    return outcome
