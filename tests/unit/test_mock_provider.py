"""The mock provider: it keeps its promises across restarts."""

from collections.abc import AsyncIterator, Mapping
from dataclasses import replace
from io import BytesIO
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from PIL import Image

from mediagen.errors import FetchGone, FetchTooLarge, PredictionGone, SettingsError
from mediagen.providers.base import (
    Accepted,
    Output,
    PredictionStatus,
    ProviderContext,
)
from mediagen.providers.faults import Fault
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


def schema_of(mock: MockProvider, model: str = "mock/darkroom") -> Mapping[str, Any]:
    schema = mock.schema_of(model)
    assert schema is not None
    return schema


# --- a call that goes well


async def test_a_call_is_accepted_and_runs(mock: MockProvider, clock: ManualClock) -> None:
    outcome = await create(mock, a_call(clock))
    assert isinstance(outcome, Accepted)
    assert outcome.prediction.status is PredictionStatus.RUNNING


async def test_it_succeeds_when_its_time_has_passed(mock: MockProvider, clock: ManualClock) -> None:
    call = await accepted(mock, a_call(clock))
    clock.advance(1.999)
    early = await mock.get(call)
    clock.advance(0.001)
    late = await mock.get(call)
    assert (early.status, late.status) == (PredictionStatus.RUNNING, PredictionStatus.SUCCEEDED)


async def test_the_latency_of_the_input_wins_over_the_setting(mock: MockProvider, clock: ManualClock) -> None:
    call = await accepted(mock, a_call(clock, latency_s=0.5))
    clock.advance(0.5)
    assert (await mock.get(call)).status is PredictionStatus.SUCCEEDED


async def test_without_latency_it_has_ended_at_once(mock: MockProvider, clock: ManualClock) -> None:
    outcome = await create(mock, a_call(clock, latency_s=0))
    assert isinstance(outcome, Accepted)
    assert outcome.prediction.ended


async def test_progress_rises_from_nothing_to_all(mock: MockProvider, clock: ManualClock) -> None:
    call = await accepted(mock, a_call(clock))
    seen = []
    for _ in range(21):
        seen.append((await mock.get(call)).progress or 0.0)
        clock.advance(0.1)
    assert seen == sorted(seen)
    assert (seen[0], seen[-1]) == (0.0, 1.0)
    assert len(set(seen)) > 15


async def test_progress_stays_a_share_when_the_wall_clock_jumps_back(
    mock: MockProvider, clock: ManualClock
) -> None:
    call = await accepted(mock, a_call(clock))
    clock.advance(-3600)
    assert (await mock.get(call)).progress == 0.0


async def test_an_output_is_a_picture_of_the_size_and_format_asked_for(
    mock: MockProvider, clock: ManualClock
) -> None:
    call = a_call(clock, width=96, height=72, output_format="webp")
    picture = Image.open(BytesIO(await download(mock, (await ended(mock, clock, call)).outputs[0])))
    assert (picture.size, picture.format) == ((96, 72), "WEBP")


async def test_a_download_says_its_size_and_type(mock: MockProvider, clock: ManualClock) -> None:
    prediction = await ended(mock, clock, a_call(clock, output_format="jpg"))
    async with mock.open(prediction.outputs[0]) as file:
        data = b"".join([chunk async for chunk in file.chunks])
    assert (file.size_bytes, file.media_type) == (len(data), "image/jpeg")


async def test_each_of_several_outputs_is_another_picture(mock: MockProvider, clock: ManualClock) -> None:
    prediction = await ended(mock, clock, a_call(clock, num_outputs=3))
    assert len({await download(mock, output) for output in prediction.outputs}) == 3


async def test_the_same_seed_gives_the_same_file_to_another_call(
    mock: MockProvider, clock: ManualClock
) -> None:
    first, second = [await ended(mock, clock, a_call(clock, seed=5)) for _ in range(2)]
    assert await download(mock, first.outputs[0]) == await download(mock, second.outputs[0])


async def test_without_a_seed_each_call_gets_its_own_picture(mock: MockProvider, clock: ManualClock) -> None:
    first, second = [await ended(mock, clock, a_call(clock)) for _ in range(2)]
    assert await download(mock, first.outputs[0]) != await download(mock, second.outputs[0])


async def test_a_file_over_the_byte_cap_is_refused(clock: ManualClock) -> None:
    fetcher = Fetcher(max_bytes=100)
    small = a_mock(ProviderContext(settings=load_settings(), clock=clock, fetcher=fetcher))
    prediction = await ended(small, clock, a_call(clock))
    with pytest.raises(FetchTooLarge):
        await download(small, prediction.outputs[0])
    await fetcher.close()


async def test_many_calls_are_followed_at_once_and_unknown_ones_left_out(
    mock: MockProvider, clock: ManualClock
) -> None:
    calls = [await accepted(mock, a_call(clock)) for _ in range(3)]
    lost = replace(a_call(clock), ref="nothing")
    assert (await mock.follow([*calls, lost])).keys() == {call.id for call in calls}


# --- restarts


async def test_another_process_goes_on_with_the_same_ref(
    context: ProviderContext, clock: ManualClock
) -> None:
    call = await accepted(a_mock(context), a_call(clock))
    clock.advance(1.0)
    before = await a_mock(context).get(call)
    clock.advance(1.0)
    after = await a_mock(context).get(call)
    assert (before.status, after.status) == (PredictionStatus.RUNNING, PredictionStatus.SUCCEEDED)


async def test_another_process_paints_the_same_picture(context: ProviderContext, clock: ManualClock) -> None:
    call = await accepted(first := a_mock(context), a_call(clock))
    clock.advance(2.0)
    files = [await download(mock, (await mock.get(call)).outputs[0]) for mock in (first, a_mock(context))]
    assert files[0] == files[1]


async def test_another_process_knows_that_the_call_was_to_fail(
    context: ProviderContext, clock: ManualClock
) -> None:
    call = await accepted(a_mock(context), a_call(clock, fault="failure"))
    clock.advance(2.0)
    assert (await a_mock(context).get(call)).status is PredictionStatus.FAILED


async def test_a_fault_that_was_over_stays_over_for_its_call(
    context: ProviderContext, clock: ManualClock
) -> None:
    first = a_mock(context)
    await accepted(first, a_call(clock, fault="failure", fault_times=1))
    spared = await accepted(first, a_call(clock, fault="failure", fault_times=1))
    clock.advance(2.0)
    assert (await a_mock(context).get(spared)).status is PredictionStatus.SUCCEEDED


async def test_the_same_call_joins_the_first_create(mock: MockProvider, clock: ManualClock) -> None:
    call = a_call(clock)
    first = await accepted(mock, call)
    clock.advance(1.5)
    assert (await accepted(mock, call)).ref == first.ref


@pytest.mark.parametrize(
    "ref", [None, "", "nothing", "a.b.c.d", "id.1.2.none ", "id.1.2.dance", "id.-1.2.none", "x" * 10_000]
)
async def test_a_ref_of_somebody_else_is_gone(
    mock: MockProvider, clock: ManualClock, ref: str | None
) -> None:
    with pytest.raises(PredictionGone):
        await mock.get(replace(a_call(clock), ref=ref))


@pytest.mark.parametrize("url", ["", "mock:", "https://example.com/a.png", "mock:a/0?e30=", "mock:?bnVsbA=="])
async def test_an_address_of_somebody_else_is_gone(mock: MockProvider, url: str) -> None:
    with pytest.raises(FetchGone):
        await download(mock, Output(url=url))


# --- cancel


async def test_a_canceled_call_is_canceled(mock: MockProvider, clock: ManualClock) -> None:
    call = await accepted(mock, a_call(clock))
    await mock.cancel(call)
    clock.advance(5.0)
    assert (await mock.get(call)).status is PredictionStatus.CANCELED


async def test_canceling_after_the_end_changes_nothing(mock: MockProvider, clock: ManualClock) -> None:
    call = await accepted(mock, a_call(clock))
    clock.advance(2.0)
    await mock.cancel(call)
    assert (await mock.get(call)).status is PredictionStatus.SUCCEEDED


async def test_canceling_again_after_the_end_changes_nothing(mock: MockProvider, clock: ManualClock) -> None:
    call = await accepted(mock, a_call(clock))
    await mock.cancel(call)
    clock.advance(5.0)
    await mock.cancel(call)
    assert (await mock.get(call)).status is PredictionStatus.CANCELED


# --- models


def test_its_own_models_are_taken(mock: MockProvider) -> None:
    assert mock.accepts("mock/darkroom")
    assert mock.accepts("mock/anything")


def test_other_models_are_not_taken(mock: MockProvider) -> None:
    assert not mock.accepts("black-forest-labs/flux-schnell")


def test_any_well_formed_model_is_taken_when_it_stands_in(mock: MockProvider) -> None:
    mock.stands_in = True
    assert mock.accepts("black-forest-labs/flux-schnell")
    assert mock.accepts("owner/name:5c7d5dc6dd8bf75c1acaa8565735e7986bc5b66206b55cca93cb72c9bf15ccaa")


@pytest.mark.parametrize("model", ["", "flux", "/", "a/", "/b", "a/b/c", "a b/c", "a/b:", "ä/b", "a/b\n"])
def test_a_malformed_model_is_never_taken(mock: MockProvider, model: str) -> None:
    mock.stands_in = True
    assert not mock.accepts(model)


async def test_the_default_model_is_on_offer_with_its_schema(mock: MockProvider) -> None:
    [model] = await mock.models()
    assert model.id == mock.default_model
    assert model.input_schema == mock.schema_of(model.id)


def test_its_schema_is_a_schema(mock: MockProvider) -> None:
    Draft202012Validator.check_schema(schema_of(mock))


def test_each_parameter_is_described_for_a_form(mock: MockProvider) -> None:
    properties = schema_of(mock)["properties"]
    assert [described["x-order"] for described in properties.values()] == list(range(len(properties)))
    assert all(described.keys() >= {"title", "description", "examples"} for described in properties.values())


def test_the_schema_takes_all_faults_and_its_own_defaults(mock: MockProvider) -> None:
    schema = schema_of(mock)
    defaults = {name: p["default"] for name, p in schema["properties"].items() if "default" in p}
    for fault in Fault:
        Draft202012Validator(schema).validate({"prompt": "x", **defaults, "fault": fault.value})


def test_the_schema_takes_parameters_that_only_a_real_model_knows(mock: MockProvider) -> None:
    assert Draft202012Validator(schema_of(mock)).is_valid({"prompt": "x", "guidance": 3})


def test_the_schema_of_a_stand_in_takes_what_real_models_take(mock: MockProvider) -> None:
    mock.stands_in = True
    parameters = {"prompt": "x", "aspect_ratio": "21:9", "width": None, "num_inference_steps": 4, "seed": -1}
    Draft202012Validator(schema_of(mock, "owner/name")).validate(parameters)


def test_a_model_that_is_not_taken_has_no_schema(mock: MockProvider) -> None:
    assert mock.schema_of("owner/name") is None


# --- settings and the rest


def test_it_is_there_without_any_setting(context: ProviderContext, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MOCK_LATENCY", raising=False)
    assert MockProvider.from_env(context) is not None


async def test_the_latency_is_a_setting(
    context: ProviderContext, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MOCK_LATENCY", "0")
    mock = MockProvider.from_env(context)
    assert mock is not None
    outcome = await create(mock, a_call(clock))
    assert isinstance(outcome, Accepted)
    assert outcome.prediction.ended


@pytest.mark.parametrize("value", ["-1", "601", "nan", "soon"])
def test_a_bad_latency_stops_the_start(
    context: ProviderContext, monkeypatch: pytest.MonkeyPatch, value: str
) -> None:
    monkeypatch.setenv("MOCK_LATENCY", value)
    with pytest.raises(SettingsError, match="MOCK_LATENCY"):
        MockProvider.from_env(context)


async def test_its_health_is_a_sentence(mock: MockProvider) -> None:
    assert "2 s" in await mock.check()


def test_it_is_looked_at_often_at_first_and_less_later(mock: MockProvider) -> None:
    assert mock.look_again_s(1) == 0.25
    assert mock.look_again_s(20) == 1.0
    assert mock.look_again_s(3600) == 2.0
