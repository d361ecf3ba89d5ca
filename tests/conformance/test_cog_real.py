"""The Cog provider against a real Cog server that draws pictures."""

import asyncio
import io
import os
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
from PIL import Image

from mediagen.clock import SystemClock
from mediagen.errors import ProviderError
from mediagen.providers.base import (
    Accepted,
    Call,
    Outcome,
    Prediction,
    PredictionStatus,
    ProviderContext,
    Rejected,
    RejectReason,
    Unknown,
)
from mediagen.providers.cog import CogProvider, CogSettings
from mediagen.safefetch import Fetcher
from mediagen.settings import load, load_settings
from tests.fakes.cog.server import CogServer, CogUnavailable, environment

pytestmark = pytest.mark.cog
CLOCK = SystemClock()
LONG_S = 60  # a prediction that nobody waits for


@pytest.fixture(scope="module")
def installed(pytestconfig: pytest.Config) -> None:
    try:
        environment()
    except CogUnavailable as error:
        if os.environ.get("CI"):
            raise
        _shout(pytestconfig, f"NOT TESTED with a real Cog server: {error}")
        pytest.skip(str(error))


def _shout(config: pytest.Config, text: str) -> None:
    """Show the text although tests are quiet and captured."""
    terminal, capture = (config.pluginmanager.get_plugin(n) for n in ("terminalreporter", "capturemanager"))
    if terminal is not None and capture is not None:  # a worker of xdist has no terminal
        with capture.global_and_fixture_disabled():
            terminal.write_line(f"\n{text}", yellow=True)


@pytest.fixture(scope="module")
def shared(installed: None) -> Iterator[CogServer]:
    with CogServer() as server:
        yield server


@pytest.fixture
async def server(shared: CogServer) -> CogServer:
    await until(shared, "READY")
    return shared


@pytest.fixture
async def mortal(installed: None) -> AsyncIterator[CogServer]:
    """A server of the test's own."""
    with CogServer() as server:
        yield server


@pytest.fixture
async def context() -> AsyncIterator[ProviderContext]:
    fetcher = Fetcher(max_bytes=1024**2)
    yield ProviderContext(settings=load_settings(), clock=CLOCK, fetcher=fetcher)
    await fetcher.close()


@pytest.fixture
async def cog(server: CogServer, context: ProviderContext) -> AsyncIterator[CogProvider]:
    provider = CogProvider(context, load(CogSettings, cog_url=server.url))
    yield provider
    await provider.close()


async def until(server: CogServer, status: str) -> None:
    await asyncio.to_thread(server.wait_until, status)


async def until_drawing(server: CogServer, call: Call) -> None:
    await asyncio.to_thread(server.wait_until_drawing, call.id)


def a_call(timeout_s: float = 30, **parameters: Any) -> Call:
    inputs = {"prompt": "a pond", **parameters}
    return Call(id=CLOCK.new_id(), model="cog/predictor", input=inputs, created_at_ms=0, timeout_s=timeout_s)


async def create(cog: CogProvider, call: Call) -> Outcome:
    return await cog.create(call, send_by=CLOCK.monotonic() + 10)


async def prediction(cog: CogProvider, call: Call) -> Prediction:
    outcome = await create(cog, call)
    assert isinstance(outcome, Accepted), outcome
    return outcome.prediction


async def pictures(cog: CogProvider, call: Call) -> list[bytes]:
    done = await prediction(cog, call)
    assert done.status is PredictionStatus.SUCCEEDED, done
    return [output.data or b"" for output in done.outputs]


async def test_a_picture_arrives_in_the_size_asked_for(cog: CogProvider) -> None:
    (data,) = await pictures(cog, a_call(width=96, height=48))
    with Image.open(io.BytesIO(data)) as picture:
        picture.load()
        assert (picture.format, picture.size) == ("PNG", (96, 48))


async def test_three_outputs_are_three_pictures(cog: CogProvider) -> None:
    found = await pictures(cog, a_call(num_outputs=3))
    assert len(set(found)) == len(found) == 3


async def test_the_same_seed_draws_the_same_picture(server: CogServer, cog: CogProvider) -> None:
    drawn = []
    for seed in (1, 1, 2):
        drawn += await pictures(cog, a_call(seed=seed))
        await until(server, "READY")  # the slot is free a moment after the answer
    once, again, other = drawn
    assert once == again != other


async def test_a_failing_model_fails_in_its_own_words(cog: CogProvider) -> None:
    failed = await prediction(cog, a_call(fail="no such lens"))
    assert (failed.status, failed.error_code) == (PredictionStatus.FAILED, "prediction_failed")
    assert failed.error_message == "ValueError: no such lens"
    assert not failed.retryable


async def test_a_safety_refusal_is_told_from_a_failure(cog: CogProvider) -> None:
    failed = await prediction(cog, a_call(fail="NSFW content detected"))
    assert failed.error_code == "moderation"


async def test_a_bad_parameter_is_refused_by_name(cog: CogProvider) -> None:
    outcome = await create(cog, a_call(width=100_000))
    assert isinstance(outcome, Rejected)
    assert outcome.reason is RejectReason.INVALID
    assert "width: " in outcome.message


async def test_another_call_finds_the_server_busy(server: CogServer, cog: CogProvider) -> None:
    first = a_call(sleep_s=LONG_S)
    running = asyncio.create_task(create(cog, first))
    await until_drawing(server, first)
    outcome = await create(cog, a_call())
    await cog.cancel(first)
    await running
    assert isinstance(outcome, Rejected)
    assert (outcome.reason, outcome.retry_after_s) == (RejectReason.BUSY, 1)


async def test_the_same_call_starts_no_second_run(server: CogServer, cog: CogProvider) -> None:
    call = a_call(sleep_s=LONG_S)
    running = asyncio.create_task(create(cog, call))
    await until_drawing(server, call)
    joined = await create(cog, call)
    await cog.cancel(call)
    first = await running
    assert isinstance(joined, Unknown)
    assert isinstance(first, Accepted)


async def test_the_same_call_runs_again_after_its_end(server: CogServer, cog: CogProvider) -> None:
    call = a_call()
    once = await pictures(cog, call)
    await until(server, "READY")
    assert await pictures(cog, call) == once


async def test_cancel_stops_a_running_prediction(server: CogServer, cog: CogProvider) -> None:
    call = a_call(sleep_s=LONG_S)
    running = asyncio.create_task(prediction(cog, call))
    await until_drawing(server, call)
    await cog.cancel(call)
    assert (await running).status is PredictionStatus.CANCELED
    await until(server, "READY")


async def test_canceling_what_has_ended_is_no_error(cog: CogProvider) -> None:
    call = a_call()
    await pictures(cog, call)
    await cog.cancel(call)


async def test_a_prediction_that_takes_too_long_is_stopped(server: CogServer, cog: CogProvider) -> None:
    failed = await prediction(cog, a_call(timeout_s=2, sleep_s=LONG_S))
    assert (failed.status, failed.error_code) == (PredictionStatus.FAILED, "timed_out")
    await until(server, "READY")


async def test_a_lost_connection_stops_the_prediction(server: CogServer, cog: CogProvider) -> None:
    call = a_call(sleep_s=LONG_S)
    holding = asyncio.create_task(create(cog, call))
    await until_drawing(server, call)
    holding.cancel()
    await asyncio.gather(holding, return_exceptions=True)
    await until(server, "READY")


async def test_a_server_that_dies_midway_leaves_the_outcome_unknown(
    mortal: CogServer, context: ProviderContext
) -> None:
    cog = CogProvider(context, load(CogSettings, cog_url=mortal.url))
    call = a_call(sleep_s=LONG_S)
    running = asyncio.create_task(create(cog, call))
    await until_drawing(mortal, call)
    await asyncio.to_thread(mortal.kill)
    outcome = await running
    await cog.close()
    assert isinstance(outcome, Unknown)


async def test_a_model_that_crashes_may_be_tried_again(mortal: CogServer, context: ProviderContext) -> None:
    cog = CogProvider(context, load(CogSettings, cog_url=mortal.url))
    failed = await prediction(cog, a_call(fail="crash"))
    with pytest.raises(ProviderError, match="see its log"):
        await cog.check()
    await cog.close()
    assert (failed.status, failed.error_code) == (PredictionStatus.FAILED, "prediction_failed")
    assert failed.retryable


async def test_a_server_that_is_gone_is_unreachable(mortal: CogServer, context: ProviderContext) -> None:
    await asyncio.to_thread(mortal.kill)
    cog = CogProvider(context, load(CogSettings, cog_url=mortal.url))
    outcome = await create(cog, a_call())
    with pytest.raises(ProviderError):
        await cog.check()
    await cog.close()
    assert isinstance(outcome, Rejected)
    assert outcome.reason is RejectReason.UNREACHABLE


async def test_a_running_server_says_that_it_is_ready(cog: CogProvider) -> None:
    assert (await cog.check()).startswith("ready, coglet ")


async def test_the_schema_comes_from_the_server(cog: CogProvider) -> None:
    await cog.models()
    schema = cog.schema_of("cog/predictor")
    assert schema is not None
    assert schema["required"] == ["prompt"]
    assert schema["properties"]["style"]["allOf"][0]["enum"] == ["discs", "stripes"]
