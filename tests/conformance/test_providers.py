"""What every provider must do, whatever it is: run against each that is registered, with its fake."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from jsonschema import Draft202012Validator

from mediagen.artifacts.media import sniff
from mediagen.clock import SystemClock
from mediagen.errors import PredictionGone, ProviderError
from mediagen.providers import Registry, provider_classes
from mediagen.providers.base import (
    TAKEN_OVER,
    Accepted,
    Call,
    Dedupe,
    MaySend,
    Prediction,
    PredictionStatus,
    Provider,
    ProviderContext,
    Rejected,
    RejectReason,
    Unknown,
)
from mediagen.providers.markers import NOWHERE, Marker
from mediagen.safefetch import Fetcher
from mediagen.settings import Settings
from tests.conformance.providers import STANDS, Stand
from tests.fakes.handclock import HandClock
from tests.fakes.rawhttp import app_server

NAMES = [kind.name for kind in provider_classes()]
CLOCK = SystemClock()


def test_every_provider_has_a_stand() -> None:
    assert sorted(STANDS) == sorted(NAMES), "add the missing one to tests/conformance/providers.py"


@pytest.fixture
async def context(tmp_path: Path) -> AsyncIterator[ProviderContext]:
    fetcher = Fetcher(max_bytes=10_000_000)
    yield ProviderContext(settings=Settings(data_dir=tmp_path), clock=CLOCK, fetcher=fetcher)
    await fetcher.close()


@pytest.fixture(params=NAMES)
async def stand(request: pytest.FixtureRequest) -> AsyncIterator[Stand]:
    async with STANDS[request.param]() as running:
        yield running


@pytest.fixture
async def provider(
    request: pytest.FixtureRequest, stand: Stand, context: ProviderContext, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Provider]:
    for name, value in stand.environment.items():
        monkeypatch.setenv(name, value)
    [kind] = [kind for kind in provider_classes() if kind.name == request.node.callspec.params["stand"]]
    made = kind.from_env(context)
    assert made is not None
    yield made
    await made.close()


def call_for(provider: Provider, **parameters: Any) -> Call:
    inputs = provider.input_of("a pond at dawn", {"width": 64, "height": 64, **parameters})
    return Call(
        id=CLOCK.new_id(),
        model=provider.default_model,
        input=inputs,
        created_at_ms=CLOCK.now_ms(),
        timeout_s=20,
    )


def marked(provider: Provider, **parameters: Any) -> Call:
    """Return a call as the engine sends it where lists tell calls apart: with a marker."""
    call = call_for(provider, **parameters)
    marker = Marker(installation="0123456789abcdef", job=CLOCK.new_id(), call=call.id)
    hook = f"{NOWHERE}/hooks/{provider.name}/token/{marker}"
    return replace(call, marker=marker, webhook_url=hook, asked_at_ms=call.created_at_ms)


async def create(provider: Provider, call: Call) -> Any:
    return await provider.create(call, send_by=CLOCK.monotonic() + 5)


async def ended(provider: Provider, call: Call) -> tuple[Call, Prediction]:
    """Buy the call and look until it has ended, as the engine does."""
    outcome = await create(provider, call)
    assert isinstance(outcome, Accepted), outcome
    call, prediction = replace(call, ref=outcome.prediction.ref), outcome.prediction
    async with asyncio.timeout(20):
        while not prediction.ended:
            await asyncio.sleep(0.01)  # the pace of looks, as the engine paces them
            prediction = await provider.get(call)
    return call, prediction


async def test_it_is_named_as_its_module(provider: Provider) -> None:
    assert type(provider).__module__ == f"mediagen.providers.{provider.name}"


async def test_without_its_settings_it_is_not_there_unless_it_is_the_fallback(
    context: ProviderContext,
) -> None:
    for kind in provider_classes():
        made = kind.from_env(context)
        assert (made is not None) == kind.fallback
        if made is not None:
            await made.close()


async def test_it_runs_its_own_default_model_and_offers_it_first(provider: Provider) -> None:
    assert provider.accepts(provider.default_model)
    models = await provider.models()
    assert models[0].id == provider.default_model
    assert {model.provider for model in models} == {provider.name}
    for model in models:
        Draft202012Validator.check_schema(dict(model.input_schema))


@pytest.mark.parametrize("name", ["", "/", "a", "../x/y", "a/b/c", "a b/c", "x" * 500, "a/\x00", "ａ/ｂ"])
async def test_odd_model_names_are_not_taken(provider: Provider, name: str) -> None:
    assert not provider.accepts(name)


async def test_a_parameter_never_overrides_the_prompt(provider: Provider) -> None:
    assert provider.input_of("mine", {"prompt": "not mine"})["prompt"] == "mine"


async def test_it_makes_a_picture(provider: Provider) -> None:
    _, prediction = await ended(provider, call_for(provider))
    assert prediction.status is PredictionStatus.SUCCEEDED
    for output in prediction.outputs:
        async with provider.open(output) as download:
            content = b"".join([chunk async for chunk in download.chunks])
        assert sniff(content[:4096], Path("unused")).kind == "image"
        assert download.size_bytes in (None, len(content))


async def test_a_create_sends_one_request(provider: Provider, stand: Stand) -> None:
    await create(provider, call_for(provider))
    if stand.requests is not None:
        assert stand.requests() == 1


async def test_nothing_is_sent_after_send_by(provider: Provider, stand: Stand) -> None:
    outcome = await provider.create(call_for(provider), send_by=CLOCK.monotonic() - 0.001)
    assert isinstance(outcome, Rejected)
    assert outcome.reason is RejectReason.UNREACHABLE
    if stand.requests is not None:
        assert stand.requests() == 0


async def refuse() -> bool:
    return False


async def fail() -> bool:
    raise OSError("the database is gone")


@pytest.mark.parametrize("may_send", [refuse, fail])
async def test_nothing_is_sent_without_a_yes(provider: Provider, stand: Stand, may_send: MaySend) -> None:
    call = call_for(provider)
    outcome = await provider.create(call, send_by=CLOCK.monotonic() + 5, may_send=may_send)
    assert isinstance(outcome, Rejected)
    assert (outcome.reason, TAKEN_OVER in outcome.message) == (RejectReason.UNREACHABLE, True)
    if stand.requests is not None:
        assert stand.requests() == 0


async def test_time_that_passes_before_the_yes_counts(provider: Provider, stand: Stand) -> None:
    clock = HandClock()
    made = type(provider).from_env(replace(provider.context, clock=clock))
    assert made is not None

    async def slowly() -> bool:
        clock.now_s += 6
        return True

    outcome = await made.create(call_for(made), send_by=clock.monotonic() + 5, may_send=slowly)
    await made.close()
    assert isinstance(outcome, Rejected)
    assert outcome.reason is RejectReason.UNREACHABLE
    if stand.requests is not None:
        assert stand.requests() == 0


async def test_its_clock_is_near_or_unknown(provider: Provider) -> None:
    now = await provider.now_ms()
    assert now is None or abs(now - CLOCK.now_ms()) < 60_000


async def test_what_it_needs_to_say_of_itself_is_said(provider: Provider) -> None:
    assert provider.capabilities.retention_s > 0
    assert provider.outputs_with == provider.outputs_with.upper()


@pytest.mark.parametrize("name", [name for name in NAMES if name != "mock"])
@pytest.mark.parametrize("status", [400, 404, 409, 413, 422, 429, 500, 502, 503])
@pytest.mark.parametrize("body", ["<html><h1>404 Not Found</h1></html>", "", '"not found"'])
async def test_a_page_of_a_gateway_is_never_final(
    name: str, status: int, body: str, context: ProviderContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def gateway(_request: web.Request) -> web.Response:
        return web.Response(text=body, status=status)

    async with app_server(gateway) as url, STANDS[name]() as stand:
        for variable, value in stand.environment.items():
            monkeypatch.setenv(variable, url if value.startswith("http") else value)
        [kind] = [kind for kind in provider_classes() if kind.name == name]
        made = kind.from_env(context)
        assert made is not None
        outcome = await create(made, marked(made))
        final = (RejectReason.INVALID, RejectReason.MODERATION)
        assert isinstance(outcome, Unknown) or (isinstance(outcome, Rejected) and outcome.reason not in final)
        with pytest.raises(ProviderError) as raised:
            await made.get(replace(marked(made), ref="abc"))
        assert not isinstance(raised.value, PredictionGone)
        with pytest.raises(ProviderError):
            await made.find(marked(made))
        await made.close()


async def test_a_key_gives_the_same_prediction_again(provider: Provider) -> None:
    if provider.capabilities.dedupe is not Dedupe.KEY:
        assert not provider.capabilities.synchronous or provider.capabilities.dedupe is Dedupe.NONE
        return
    call = call_for(provider)
    first, second = await create(provider, call), await create(provider, call)
    assert first.prediction.ref == second.prediction.ref


async def test_a_lost_call_is_found_in_the_list(provider: Provider) -> None:
    if provider.capabilities.dedupe is not Dedupe.RECONCILE:
        with pytest.raises(ProviderError):
            await provider.find(call_for(provider))
        return
    call = marked(provider)
    outcome = await create(provider, call)
    found, other = await provider.find(call), await provider.find(marked(provider, width=128))
    assert (found.ours.ref if found.ours else None) == outcome.prediction.ref
    assert (other.ours, other.alike, other.doubtful, other.whole) == (None, [], [], True)
    assert await provider.shows(replace(call, ref=outcome.prediction.ref)) is True
    assert await provider.shows(replace(call, ref="nosuchprediction")) is False


async def test_what_was_sold_names_its_call(provider: Provider) -> None:
    if provider.capabilities.dedupe is not Dedupe.RECONCILE:
        with pytest.raises(ProviderError):
            await provider.sold(0)
        return
    call = marked(provider)
    outcome = await create(provider, call)
    sold = await provider.sold(CLOCK.now_ms() - 60_000)
    assert [(each.ref, each.call_id, each.marker) for each in sold.predictions] == [
        (outcome.prediction.ref, call.id, call.marker)
    ]
    assert (sold.whole, sold.unreadable) == (True, 0)


async def test_many_calls_are_followed_with_one_request(provider: Provider) -> None:
    if not provider.capabilities.lists:
        with pytest.raises(ProviderError):
            await provider.follow([call_for(provider)])
        return
    calls = [(await ended(provider, call_for(provider)))[0] for _ in range(3)]
    followed = await provider.follow(calls)
    assert {call_id: found.ref for call_id, found in followed.items()} == {
        call.id: call.ref for call in calls
    }


async def test_cancel_may_be_repeated_and_comes_too_late_without_harm(provider: Provider) -> None:
    call, _ = await ended(provider, call_for(provider))
    for _ in range(2):
        await provider.cancel(call)


@pytest.mark.parametrize(
    "odd",
    [
        {"width": "wide"},
        {"width": -1},
        {"width": None},
        {"seed": 10**30},
        {"nested": {"a": [{"b": None}] * 50}},
        {"": ""},
        {"prompt": ["a", "list"]},
        {"é\u202e": "\ufffe"},
    ],
)
async def test_odd_input_never_raises(provider: Provider, odd: dict[str, Any]) -> None:
    call = call_for(provider)
    outcome = await create(provider, replace(call, input={**call.input, **odd}))
    assert outcome is not None


async def test_the_registry_gives_its_models_to_it(provider: Provider) -> None:
    registry = Registry([provider])
    assert registry.of_model(provider.default_model) is provider
    assert registry.get(provider.name) is provider


@pytest.mark.parametrize("name", [name for name in NAMES if name != "mock"])
async def test_when_it_is_down_nothing_is_bought_and_free_calls_say_so(
    name: str, context: ProviderContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with STANDS[name]() as gone:
        for variable, value in gone.environment.items():
            monkeypatch.setenv(variable, value)
    [kind] = [kind for kind in provider_classes() if kind.name == name]
    made = kind.from_env(context)
    assert made is not None
    try:
        outcome = await create(made, call_for(made))
        assert isinstance(outcome, Rejected)
        assert outcome.reason is RejectReason.UNREACHABLE
        with pytest.raises(ProviderError):
            await made.check()
        assert (await made.models())[0].id == made.default_model
    finally:
        await made.close()
