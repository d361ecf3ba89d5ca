"""The time by Replicate's own clock, as its answers tell it."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from mediagen.providers.base import Unknown
from tests.fakes.handclock import HandClock
from tests.fakes.rawhttp import hang_up, raw_server
from tests.fakes.replicate import FakeReplicate
from tests.fakes.replicate_client import a_call, bought, create, provider_at
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


@pytest.mark.parametrize("answer", ["the answer", "an answer before"])
async def test_where_predictions_are_dated_by_another_clock_no_time_rules_one_out(
    fake: FakeReplicate, answer: str
) -> None:
    fake.switches.echo_webhook = False
    fake.switches.clock_offset_s, fake.switches.date = -60, "true"
    async with provider_at(fake.url) as provider:
        calls = [replace(a_call(hook=True), asked_at_ms=await provider.now_ms()) for _ in range(2)]
        assert isinstance(await create(provider, calls[0]), Unknown)
        if answer == "an answer before":
            fake.switches.after_accept = "drop"
            assert isinstance(await create(provider, calls[1]), Unknown)
        findings = await provider.find(calls[-1] if answer == "an answer before" else calls[0])
        assert list(fake.kept)[-1] in findings.doubtful


async def test_an_answer_in_time_makes_times_count_again(fake: FakeReplicate) -> None:
    fake.switches.echo_webhook = False
    fake.switches.clock_offset_s, fake.switches.date = -60, "true"
    async with provider_at(fake.url) as provider:
        await create(provider, a_call())
        fake.switches.clock_offset_s = 0
        await create(provider, a_call())
        old = replace(a_call(), asked_at_ms=now_ms() - 7_200_000)
        findings = await provider.find(old)
        assert (list(findings.alike), list(findings.doubtful)) == ([], [])


@pytest.mark.parametrize("dated", [None, False, True])
async def test_until_an_answer_has_shown_whose_clock_it_is_no_time_rules_one_out(
    fake: FakeReplicate, dated: bool | None
) -> None:
    call = a_call()
    async with provider_at(fake.url) as provider:
        kept = await bought(provider, call)
        fake.kept[kept.ref].created_ms -= 2 * 3_600_000
        provider.dated_by_its_clock = dated
        assert list((await provider.find(call)).doubtful) == ([] if dated else [kept.ref])
