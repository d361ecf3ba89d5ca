"""The mock provider fails exactly as told, and never otherwise."""

from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest

from mediagen.errors import FetchError, FetchGone
from mediagen.providers.base import (
    Accepted,
    PredictionStatus,
    ProviderContext,
    Rejected,
    RejectReason,
    Unknown,
)
from mediagen.providers.mock import MockProvider
from mediagen.safefetch import Fetcher
from mediagen.settings import load_settings
from tests.fakes.clock import ManualClock
from tests.fakes.mock_calls import a_call, a_mock, accepted, create, download, ended


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
async def context(clock: ManualClock) -> AsyncIterator[ProviderContext]:
    fetcher = Fetcher(max_bytes=1_000_000)
    yield ProviderContext(settings=load_settings(), clock=clock, fetcher=fetcher)
    await fetcher.close()


@pytest.fixture
def mock(context: ProviderContext) -> MockProvider:
    return a_mock(context)


# --- faults at create


async def test_nothing_is_accepted_after_send_by(mock: MockProvider, clock: ManualClock) -> None:
    outcome = await mock.create(a_call(clock), send_by=clock.monotonic() - 0.001)
    assert isinstance(outcome, Rejected)
    assert outcome.reason is RejectReason.UNREACHABLE


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        ("rate_limited", RejectReason.RATE_LIMITED),
        ("unreachable", RejectReason.UNREACHABLE),
        ("unauthorized", RejectReason.UNAUTHORIZED),
    ],
)
async def test_a_create_is_refused_each_time(
    mock: MockProvider, clock: ManualClock, fault: str, reason: RejectReason
) -> None:
    call = a_call(clock, fault=fault)
    outcomes = [await create(mock, call) for _ in range(3)]
    assert [outcome.reason for outcome in outcomes if isinstance(outcome, Rejected)] == [reason] * 3


async def test_a_rate_limit_says_how_long_to_wait(mock: MockProvider, clock: ManualClock) -> None:
    outcome = await create(mock, a_call(clock, fault="rate_limited"))
    assert isinstance(outcome, Rejected)
    assert outcome.retry_after_s == 1.0


async def test_after_a_server_error_the_outcome_is_unknown(mock: MockProvider, clock: ManualClock) -> None:
    call = a_call(clock, fault="server_error")
    assert [type(await create(mock, call)) for _ in range(2)] == [Unknown, Unknown]


@pytest.mark.parametrize("fault", ["server_error_after_accept", "timeout_after_accept"])
async def test_a_second_create_joins_what_was_accepted_unseen(
    mock: MockProvider, clock: ManualClock, fault: str
) -> None:
    call, started_ms = a_call(clock, fault=fault), clock.now_ms()
    assert isinstance(await create(mock, call), Unknown)
    clock.advance(0.5)
    outcome = await create(mock, call)
    assert isinstance(outcome, Accepted)
    assert outcome.prediction.created_at_ms == started_ms


async def test_a_timeout_is_silent_for_a_second(mock: MockProvider, clock: ManualClock) -> None:
    before = clock.monotonic()
    await create(mock, a_call(clock, fault="timeout_after_accept"))
    assert clock.monotonic() - before == 1.0


async def test_a_fault_happens_so_many_times_and_then_no_more(mock: MockProvider, clock: ManualClock) -> None:
    calls = [a_call(clock, fault="rate_limited", fault_times=2) for _ in range(4)]
    assert [type(await create(mock, call)) for call in calls] == [Rejected, Rejected, Accepted, Accepted]


async def test_the_times_of_another_input_are_counted_apart(mock: MockProvider, clock: ManualClock) -> None:
    outcomes = [
        await create(mock, a_call(clock, fault="server_error", fault_times=1, seed=seed)) for seed in (1, 2)
    ]
    assert [type(outcome) for outcome in outcomes] == [Unknown, Unknown]


async def test_an_unknown_fault_is_refused_naming_those_there_are(
    mock: MockProvider, clock: ManualClock
) -> None:
    outcome = await create(mock, a_call(clock, fault="explode"))
    assert isinstance(outcome, Rejected)
    assert outcome.reason is RejectReason.INVALID
    assert "'explode'" in outcome.message
    assert "rate_limited" in outcome.message


# --- faults of the prediction


@pytest.mark.parametrize(
    ("fault", "code", "retryable"),
    [
        ("failure", "prediction_failed", False),
        ("transient_failure", "prediction_failed", True),
        ("moderation", "moderation", False),
    ],
)
async def test_a_prediction_fails_as_told(
    mock: MockProvider, clock: ManualClock, fault: str, code: str, retryable: bool
) -> None:
    prediction = await ended(mock, clock, a_call(clock, fault=fault))
    assert prediction.status is PredictionStatus.FAILED
    assert (prediction.error_code, prediction.retryable) == (code, retryable)


async def test_it_runs_before_it_fails(mock: MockProvider, clock: ManualClock) -> None:
    call = await accepted(mock, a_call(clock, fault="failure"))
    assert (await mock.get(call)).status is PredictionStatus.RUNNING


async def test_buying_again_helps_after_a_transient_failure(mock: MockProvider, clock: ManualClock) -> None:
    calls = [a_call(clock, fault="transient_failure", fault_times=1) for _ in range(2)]
    ends = [(await ended(mock, clock, call)).status for call in calls]
    assert ends == [PredictionStatus.FAILED, PredictionStatus.SUCCEEDED]


async def test_it_never_finishes_but_moves(mock: MockProvider, clock: ManualClock) -> None:
    call = await accepted(mock, a_call(clock, fault="never_finishes"))
    clock.advance(10)
    sooner = await mock.get(call)
    clock.advance(1_000_000)
    later = await mock.get(call)
    assert later.status is PredictionStatus.RUNNING
    assert 0 < (sooner.progress or 0) < (later.progress or 0) < 1


async def test_what_never_finishes_can_be_canceled(mock: MockProvider, clock: ManualClock) -> None:
    call = await accepted(mock, a_call(clock, fault="never_finishes"))
    clock.advance(1_000_000)
    await mock.cancel(call)
    assert (await mock.get(call)).status is PredictionStatus.CANCELED


# --- faults of the outputs


async def test_an_expired_link_works_only_when_it_is_fresh(mock: MockProvider, clock: ManualClock) -> None:
    call = await accepted(mock, a_call(clock, fault="expired_link"))
    clock.advance(2.0)
    old = (await mock.get(call)).outputs[0]
    for _ in range(2):
        with pytest.raises(FetchGone):
            await download(mock, old)
    assert await download(mock, (await mock.get(call)).outputs[0])


async def test_each_output_has_a_link_of_its_own_to_expire(mock: MockProvider, clock: ManualClock) -> None:
    prediction = await ended(mock, clock, a_call(clock, fault="expired_link", num_outputs=2))
    for output in prediction.outputs:
        with pytest.raises(FetchGone):
            await download(mock, output)


async def test_links_expire_as_often_as_told(mock: MockProvider, clock: ManualClock) -> None:
    call = await accepted(mock, a_call(clock, fault="expired_link", fault_times=2))
    clock.advance(2.0)
    for _ in range(2):
        with pytest.raises(FetchGone):
            await download(mock, (await mock.get(call)).outputs[0])
    assert await download(mock, (await mock.get(call)).outputs[0])


async def test_a_truncated_download_breaks_off_once(mock: MockProvider, clock: ManualClock) -> None:
    output = (await ended(mock, clock, a_call(clock, fault="truncated_download"))).outputs[0]
    async with mock.open(output) as file:
        received = await anext(file.chunks)
        with pytest.raises(FetchError) as broken:
            await anext(file.chunks)
    assert 0 < len(received) < (file.size_bytes or 0)
    assert broken.value.retryable
    assert (await download(mock, output)).startswith(received)


@pytest.mark.parametrize(
    ("fault", "start", "media_type"),
    [
        ("html_output", b"<!doctype html>", "text/html"),
        ("svg_output", b"<svg", "image/svg+xml"),
    ],
)
async def test_an_output_carries_a_script(
    mock: MockProvider, clock: ManualClock, fault: str, start: bytes, media_type: str
) -> None:
    prediction = await ended(mock, clock, a_call(clock, fault=fault))
    async with mock.open(prediction.outputs[0]) as file:
        data = b"".join([chunk async for chunk in file.chunks])
    assert data.startswith(start)
    assert b"<script>" in data
    assert file.media_type == media_type


async def test_an_output_is_empty(mock: MockProvider, clock: ManualClock) -> None:
    prediction = await ended(mock, clock, a_call(clock, fault="empty_output"))
    assert await download(mock, prediction.outputs[0]) == b""


# --- input that no schema has checked


@pytest.mark.parametrize(
    "parameters",
    [
        {"width": 10**400, "height": -1},
        {"width": "wide", "num_outputs": [4], "seed": {}, "aspect_ratio": 7, "output_format": None},
        {"latency_s": float("nan"), "fault_times": "often"},
        {"latency_s": 10**400},
        {"prompt": None},
        {"prompt": "\ud800\x00"},
        {"fault": ["failure"]},
        {"nested": {"deep": [{"a": object()}]}, "fault": "failure", "fault_times": 1},
    ],
)
async def test_odd_input_never_raises(
    mock: MockProvider, clock: ManualClock, parameters: dict[str, Any]
) -> None:
    call = a_call(clock, **parameters)
    outcome = await create(mock, call)
    if isinstance(outcome, Accepted):
        clock.advance(700)
        assert (await mock.get(replace(call, ref=outcome.prediction.ref))).ended
    else:
        assert isinstance(outcome, Rejected)
        assert outcome.reason is RejectReason.INVALID
