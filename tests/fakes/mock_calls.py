"""Calls to the mock provider under a clock that only the test moves."""

from dataclasses import replace
from typing import Any

from mediagen.providers.base import Accepted, Call, Outcome, Output, Prediction, ProviderContext
from mediagen.providers.mock import MockProvider, MockSettings
from mediagen.settings import load
from tests.fakes.clock import ManualClock


def a_mock(context: ProviderContext) -> MockProvider:
    return MockProvider(context, load(MockSettings, mock_latency=2.0))


def a_call(clock: ManualClock, **parameters: Any) -> Call:
    inputs = {"prompt": "a pond", "width": 64, "height": 64, **parameters}
    return Call(
        id=clock.new_id(), model="mock/darkroom", input=inputs, created_at_ms=clock.now_ms(), timeout_s=30
    )


async def create(mock: MockProvider, call: Call) -> Outcome:
    return await mock.create(call, send_by=mock.context.clock.monotonic() + 10)


async def accepted(mock: MockProvider, call: Call) -> Call:
    """Create the call and return it with its ref."""
    outcome = await create(mock, call)
    assert isinstance(outcome, Accepted), outcome
    return replace(call, ref=outcome.prediction.ref)


async def ended(mock: MockProvider, clock: ManualClock, call: Call) -> Prediction:
    """Create the call, let its time pass, and look."""
    call = await accepted(mock, call)
    clock.advance(2.0)
    return await mock.get(call)


async def download(mock: MockProvider, output: Output) -> bytes:
    async with mock.open(output) as file:
        return b"".join([chunk async for chunk in file.chunks])
