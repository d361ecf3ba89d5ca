"""The Replicate provider against a fake Replicate that misbehaves as told."""

import socket
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from mediagen.errors import PredictionGone, ProviderError, SettingsError
from mediagen.providers.base import (
    Dedupe,
    Output,
    PredictionStatus,
    ProviderContext,
    Rejected,
    RejectReason,
)
from mediagen.providers.replicate import ReplicateProvider
from mediagen.safefetch import Fetcher
from mediagen.settings import load_settings
from tests.fakes.handclock import HandClock
from tests.fakes.replicate import FakeReplicate
from tests.fakes.replicate_client import CLOCK, MODEL, a_call, bought, create, followed, provider_at
from tests.fakes.replicate_data import VERSION


@pytest.fixture
async def fake() -> AsyncIterator[FakeReplicate]:
    async with FakeReplicate() as server:
        yield server


@pytest.fixture
async def replicate(fake: FakeReplicate) -> AsyncIterator[ReplicateProvider]:
    async with provider_at(fake.url) as provider:
        yield provider


@pytest.fixture
async def context(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> AsyncIterator[ProviderContext]:
    monkeypatch.chdir(tmp_path)  # away from any .env
    for name in ("TOKEN", "BASE_URL"):
        monkeypatch.delenv(f"REPLICATE_API_{name}", raising=False)
    fetcher = Fetcher(max_bytes=1000)
    yield ProviderContext(settings=load_settings(), clock=CLOCK, fetcher=fetcher)
    await fetcher.close()


# --- settings


async def test_without_a_token_it_is_not_configured(context: ProviderContext) -> None:
    assert ReplicateProvider.from_env(context) is None


@pytest.mark.parametrize("suffix", ["", "/", "/v1", "/v1/"])
async def test_the_address_may_end_in_v1_or_not(
    fake: FakeReplicate, context: ProviderContext, monkeypatch: pytest.MonkeyPatch, suffix: str
) -> None:
    monkeypatch.setenv("REPLICATE_API_TOKEN", "r8_fake\n")
    monkeypatch.setenv("REPLICATE_API_BASE_URL", fake.url + suffix)
    provider = ReplicateProvider.from_env(context)
    assert provider is not None
    assert await provider.check() == "signed in as 'acme'"
    await provider.close()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("REPLICATE_API_TOKEN", "r8 two words"),
        ("REPLICATE_API_TOKEN", "r8_\u00e9"),
        ("REPLICATE_API_BASE_URL", "api.replicate.com"),
        ("REPLICATE_API_BASE_URL", "ftp://api.replicate.com"),
        ("REPLICATE_API_BASE_URL", "https://user:pass@api.replicate.com"),
        ("REPLICATE_API_BASE_URL", "https://api.replicate.com/?x=1"),
        ("REPLICATE_API_BASE_URL", "https://api.replicate.com:99999"),
        ("REPLICATE_DEFAULT_MODEL", "flux"),
        ("REPLICATE_MODELS", "a/b, ../c"),
    ],
)
async def test_a_bad_setting_stops_the_start_by_its_name(
    context: ProviderContext, monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setenv("REPLICATE_API_TOKEN", "r8_fake")
    monkeypatch.setenv(name, value)
    with pytest.raises(SettingsError, match=name) as raised:
        ReplicateProvider.from_env(context)
    assert "r8" not in str(raised.value)


async def test_a_wrong_token_is_reported_without_it(fake: FakeReplicate) -> None:
    async with provider_at(fake.url, replicate_api_token="r8_wrong_0123456789") as provider:
        with pytest.raises(ProviderError, match="401") as raised:
            await provider.check()
    assert "r8_wrong" not in str(raised.value)


# --- models


@pytest.mark.parametrize("model", ["a/b", "black-forest-labs/flux-1.1_pro", f"a/b:{VERSION}", VERSION])
async def test_names_of_models_and_versions_are_accepted(replicate: ReplicateProvider, model: str) -> None:
    assert replicate.accepts(model)


@pytest.mark.parametrize(
    "model",
    [
        *("", "flux", "a/b/c", "../b", "a/..", "a/.", "a/b?x", "a/b#c", "a/%2e", "a /b", "a/b\n", "á/b"),
        *("a/b:1", f"a/b:{VERSION}0", "a/b:" + "z" * 64, VERSION[1:], VERSION.upper(), "a" * 101 + "/b"),
    ],
)
async def test_other_names_are_not_accepted(replicate: ReplicateProvider, model: str) -> None:
    assert not replicate.accepts(model)


async def test_a_hostile_model_name_reaches_no_server(
    fake: FakeReplicate, replicate: ReplicateProvider
) -> None:
    outcome = await create(replicate, a_call(model="../../v1/account?x=/y"))
    assert isinstance(outcome, Rejected)
    assert (outcome.reason, fake.asked.total()) == (RejectReason.INVALID, 0)


async def test_the_offered_models_come_with_schemas_the_default_first(fake: FakeReplicate) -> None:
    async with provider_at(fake.url, replicate_models=("acme/second", MODEL)) as provider:
        models = await provider.models()
    assert [model.id for model in models] == [MODEL, "acme/second"]
    assert models[0].description == "painter by acme"
    assert models[1].input_schema["properties"]["aspect_ratio"]["allOf"][0]["enum"] == ["1:1", "16:9", "9:16"]


async def test_the_schema_is_known_without_io_once_it_was_described(replicate: ReplicateProvider) -> None:
    assert replicate.schema_of(MODEL) is None
    described = await replicate.describe(MODEL)
    assert replicate.schema_of(MODEL) == described.input_schema


async def test_a_version_has_a_schema_of_its_own(replicate: ReplicateProvider) -> None:
    described = await replicate.describe(f"acme/painter:{VERSION}")
    assert described.input_schema["required"] == ["prompt"]


async def test_schemas_are_asked_for_again_after_ten_minutes(fake: FakeReplicate) -> None:
    clock, asked = HandClock(), []
    async with provider_at(fake.url, clock=clock) as provider:
        for minutes in (0, 9.9, 0.2):
            clock.now_s += minutes * 60
            await provider.models()
            asked.append(fake.asked["GET /v1/models/{owner}/{name}"])
    assert asked == [1, 1, 2]


async def test_models_are_offered_without_schema_while_replicate_is_down() -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    async with provider_at(f"http://127.0.0.1:{port}") as provider:
        assert [(model.id, model.input_schema) for model in await provider.models()] == [(MODEL, {})]


async def test_a_known_schema_outlives_an_outage(fake: FakeReplicate) -> None:
    clock = HandClock()
    async with provider_at(fake.url, clock=clock) as provider:
        known = await provider.describe(MODEL)
        fake.token = "changed"
        clock.now_s += 3600
        assert await provider.describe(MODEL) == known


# --- get, cancel


async def test_a_finished_prediction_has_its_outputs_in_order(
    fake: FakeReplicate, replicate: ReplicateProvider
) -> None:
    call = await followed(replicate, fake, a_call(num_outputs=3, hook=True))
    done = await replicate.get(call)
    assert (done.status, done.progress, done.call_id) == (PredictionStatus.SUCCEEDED, 1.0, call.id)
    assert done.outputs == tuple(Output(url=f"{fake.url}/files/{call.ref}/{i}.png") for i in range(3))
    assert done.created_at_ms is not None
    assert abs(done.created_at_ms - call.created_at_ms) < 10_000


async def test_a_running_prediction_shows_its_progress(
    fake: FakeReplicate, replicate: ReplicateProvider
) -> None:
    fake.switches.latency_s = -1
    prediction = await bought(replicate, a_call())
    await fake.until(lambda: fake.kept[prediction.ref].status == "processing")
    now = await replicate.get(a_call(ref=prediction.ref))
    assert (now.status, now.progress, now.outputs) == (PredictionStatus.RUNNING, 0.5, ())


@pytest.mark.parametrize(
    ("switches", "code", "retryable"),
    [
        ({"fail": "boom"}, "prediction_failed", False),
        ({"fail": "Prediction interrupted; please retry (code: PA)"}, "prediction_failed", True),
        ({"moderation": True}, "moderation", False),
    ],
)
async def test_a_failed_prediction_says_why(
    fake: FakeReplicate, replicate: ReplicateProvider, switches: dict[str, Any], code: str, retryable: bool
) -> None:
    call = await followed(replicate, fake, a_call(fake=switches))
    failed = await replicate.get(call)
    assert (failed.status, failed.error_code, failed.retryable) == (PredictionStatus.FAILED, code, retryable)


async def test_an_error_text_never_shows_the_token(fake: FakeReplicate) -> None:
    fake.token = "r8_secret_0123456789"
    async with provider_at(fake.url, replicate_api_token=fake.token) as provider:
        call = await followed(provider, fake, a_call(fake={"fail": f"used {fake.token}\x00\n" + "x" * 900}))
        failed = await provider.get(call)
    assert failed.error_message is not None
    assert failed.error_message.startswith("used *** xxx")
    assert len(failed.error_message) == 500


async def test_an_unknown_prediction_is_gone_but_not_for_sure(replicate: ReplicateProvider) -> None:
    with pytest.raises(PredictionGone) as raised:
        await replicate.get(a_call(ref="nosuchprediction"))
    assert not raised.value.sure


@pytest.mark.parametrize("ref", [None, "..", "a/b", "x?y", ""])
async def test_a_ref_that_can_be_none_is_gone_without_asking(
    fake: FakeReplicate, replicate: ReplicateProvider, ref: str | None
) -> None:
    with pytest.raises(PredictionGone):
        await replicate.get(a_call(ref=ref))
    assert fake.asked.total() == 0


async def test_a_success_whose_data_was_removed_is_gone(
    fake: FakeReplicate, replicate: ReplicateProvider
) -> None:
    call = await followed(replicate, fake, a_call(fake={"data_removed": True}))
    with pytest.raises(PredictionGone, match="removed") as raised:
        await replicate.get(call)
    assert raised.value.sure


@pytest.mark.parametrize("switches", [{"fail": "boom"}, {"moderation": True}])
async def test_a_failure_whose_data_was_removed_is_still_a_failure(
    fake: FakeReplicate, replicate: ReplicateProvider, switches: dict[str, Any]
) -> None:
    call = await followed(replicate, fake, a_call(fake={"data_removed": True, **switches}))
    assert (await replicate.get(call)).status is PredictionStatus.FAILED


async def test_a_success_without_output_has_none(fake: FakeReplicate, replicate: ReplicateProvider) -> None:
    call = await followed(replicate, fake, a_call(fake={"output": "none"}))
    done = await replicate.get(call)
    assert (done.status, done.outputs) == (PredictionStatus.SUCCEEDED, ())


async def test_words_of_a_language_model_are_kept(fake: FakeReplicate, replicate: ReplicateProvider) -> None:
    call = await followed(replicate, fake, a_call(fake={"output": "text"}))
    assert (await replicate.get(call)).outputs == (Output(data=b"A cat."),)


async def test_cancel_stops_a_running_prediction(fake: FakeReplicate, replicate: ReplicateProvider) -> None:
    fake.switches.latency_s = -1
    call = a_call(ref=(await bought(replicate, a_call())).ref)
    await replicate.cancel(call)
    assert (await replicate.get(call)).status is PredictionStatus.CANCELED


async def test_cancel_of_what_has_ended_changes_nothing(
    fake: FakeReplicate, replicate: ReplicateProvider
) -> None:
    call = await followed(replicate, fake, a_call())
    await replicate.cancel(call)
    await replicate.cancel(call)
    assert (await replicate.get(call)).status is PredictionStatus.SUCCEEDED


async def test_cancel_of_an_unknown_prediction_says_so_and_proves_nothing(
    replicate: ReplicateProvider,
) -> None:
    with pytest.raises(ProviderError, match="not found") as raised:
        await replicate.cancel(a_call(ref="nosuchprediction"))
    assert type(raised.value) is ProviderError


# --- the class


async def test_it_bills_lists_and_reconciles(replicate: ReplicateProvider) -> None:
    can = replicate.capabilities
    assert (can.billed, can.lists, can.dedupe, can.synchronous) == (True, True, Dedupe.RECONCILE, False)
    assert can.retention_s == 3600


async def test_how_long_the_provider_keeps_data_can_be_set(fake: FakeReplicate) -> None:
    async with provider_at(fake.url, replicate_retention=60) as provider:
        assert provider.capabilities.retention_s == 60


async def test_closing_twice_is_fine(replicate: ReplicateProvider) -> None:
    await replicate.close()
    await replicate.close()
