"""How long a model's making may take, and when it has begun: told by the provider, with one question for many jobs."""

import asyncio
from dataclasses import replace

import pytest

from mediagen.providers.base import makes_more_than_pictures
from mediagen.providers.predictions import read_prediction
from tests.fakes.replicate import FakeReplicate
from tests.fakes.replicate_client import provider_at
from tests.unit.conftest import Engine


@pytest.mark.parametrize(
    ("words", "long"),
    [
        ("minimax/video-01", True),
        ("meta/musicgen", True),
        ("resemble-ai/chatterbox-tts", True),
        ("Generates 5 s videos in 720p", True),
        ("black-forest-labs/flux-schnell", False),
        ("stability-ai/sdxl", False),
    ],
)
def test_models_of_video_and_sound_are_told_from_their_words(words: str, long: bool) -> None:
    assert makes_more_than_pictures(words) is long


async def test_a_model_is_asked_for_its_description_once_by_all_its_jobs(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with FakeReplicate() as fake, provider_at(fake.url) as provider:
        found = await asyncio.gather(*(provider.takes_long("kwaivgi/kling") for _ in range(20)))
        assert found == [False] * 20
        assert await provider.takes_long("acme/video-painter")
        asked = [count for route, count in fake.asked.items() if route.startswith("GET /v1/models")]
        assert asked == [1]


@pytest.mark.parametrize(
    ("status", "begun"), [("starting", False), ("processing", True), ("succeeded", True)]
)
def test_a_prediction_that_waits_for_a_machine_has_not_begun(status: str, begun: bool) -> None:
    found = read_prediction({"id": "abc", "status": status}, str)
    assert found is not None
    assert found.begun is begun


async def test_a_prediction_dated_in_the_past_is_stopped_after_its_time_all_the_same(engine: Engine) -> None:
    await engine.submit()
    await engine.work()
    running = engine.provider.predictions["ref-0"]
    for _ in range(45):  # as if it had been queued since 1970
        engine.provider.predictions["ref-0"] = replace(running, queued_ms=engine.clock.now_ms())
        await engine.work_for(60, pace_s=5)
    assert "ref-0" in engine.provider.canceled
