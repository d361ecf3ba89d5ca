"""The Replicate provider as tests use it, pointed at any address."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

from mediagen.clock import Clock, SystemClock
from mediagen.providers.base import Accepted, Call, Outcome, Prediction, ProviderContext
from mediagen.providers.markers import Marker
from mediagen.providers.replicate import ReplicateProvider, ReplicateSettings
from mediagen.safefetch import Fetcher
from mediagen.settings import load, load_settings
from tests.fakes.replicate import FakeReplicate
from tests.fakes.replicate_data import now_ms

CLOCK = SystemClock()
MODEL = "acme/painter"
HOOK = "https://gw.example/hooks/replicate/token"
INSTALLATION = "0123456789abcdef"


@asynccontextmanager
async def provider_at(url: str, *, clock: Clock = CLOCK, **settings: Any) -> AsyncIterator[ReplicateProvider]:
    fetcher = Fetcher(max_bytes=1_000_000)
    context = ProviderContext(settings=load_settings(), clock=clock, fetcher=fetcher)
    options = {"replicate_api_token": "r8_fake", "replicate_default_model": MODEL, **settings}
    provider = ReplicateProvider(context, load(ReplicateSettings, replicate_api_base_url=url, **options))
    try:
        yield provider
    finally:
        await provider.close()
        await fetcher.close()


def a_call(
    prompt: str = "a pond",
    *,
    model: str = MODEL,
    ref: str | None = None,
    hook: bool = False,
    job: str = "",
    **parameters: Any,
) -> Call:
    """Return a new call, of a job of its own or the one given; with `hook`, its webhook URL names it."""
    call_id = CLOCK.new_id()
    marker = Marker(installation=INSTALLATION, job=job or CLOCK.new_id(), call=call_id) if hook else None
    return Call(
        id=call_id,
        model=model,
        input={"prompt": prompt, **parameters},
        created_at_ms=now_ms(),
        timeout_s=300,
        ref=ref,
        webhook_url=f"{HOOK}/{marker}" if hook else None,
        marker=marker,
        asked_at_ms=now_ms(),
    )


async def create(provider: ReplicateProvider, call: Call) -> Outcome:
    return await provider.create(call, send_by=provider.context.clock.monotonic() + 10)


async def bought(provider: ReplicateProvider, call: Call) -> Prediction:
    outcome = await create(provider, call)
    assert isinstance(outcome, Accepted), outcome
    return outcome.prediction


async def followed(replicate: ReplicateProvider, fake: FakeReplicate, call: Call) -> Call:
    """Buy the call, wait for its end, and return it with its ref."""
    prediction = await bought(replicate, call)
    await fake.ended(prediction.ref)
    return replace(call, ref=prediction.ref)
