"""The time by Replicate's own clock, as its answers tell it."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from tests.fakes.handclock import HandClock
from tests.fakes.rawhttp import hang_up, raw_server
from tests.fakes.replicate import FakeReplicate
from tests.fakes.replicate_client import provider_at
from tests.fakes.replicate_data import now_ms


@pytest.fixture
async def fake() -> AsyncIterator[FakeReplicate]:
    async with FakeReplicate() as server:
        yield server


async def test_it_tells_the_providers_time_with_one_request_for_all(fake: FakeReplicate) -> None:
    clock = HandClock()  # our own wall clock is years behind
    async with provider_at(fake.url, clock=clock) as provider:
        times = await asyncio.gather(*(provider.now_ms() for _ in range(20)))
        clock.wall_ms += 7_200_000
        times.append(await provider.now_ms())
    assert all(time is not None and abs(time - now_ms()) < 60_000 for time in times)
    assert fake.asked.total() == 1


async def test_the_time_is_asked_for_again_after_a_quarter_of_an_hour(fake: FakeReplicate) -> None:
    clock, asked = HandClock(), []
    async with provider_at(fake.url, clock=clock) as provider:
        for minutes in (0, 14, 2):
            clock.now_s += minutes * 60
            await provider.now_ms()
            asked.append(fake.asked.total())
    assert asked == [1, 1, 2]


async def test_a_refusal_tells_the_time_too(fake: FakeReplicate) -> None:
    async with provider_at(fake.url, replicate_api_token="r8_wrong") as provider:
        assert await provider.now_ms() is not None


async def test_the_time_of_a_provider_that_is_down_is_unknown_and_not_asked_for_all_the_time() -> None:
    async with raw_server(hang_up) as down:
        clock = HandClock()
        async with provider_at(down.url, clock=clock) as provider:
            asked = []
            for seconds in (0, 1, 1, 1, 6):
                clock.now_s += seconds
                assert await provider.now_ms() is None
                asked.append(len(down.requests))
    assert asked[0] == asked[3] < asked[4]
