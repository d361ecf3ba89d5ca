"""Two lost calls whose predictions may look alike: neither takes what may be the other's."""

from typing import Any

import pytest

from mediagen.providers.base import Prediction, PredictionStatus, Unknown
from tests.unit.conftest import Engine

LOST = Unknown(message="The connection broke")


@pytest.mark.parametrize(
    ("ours", "theirs", "is_taken"),
    [
        ({}, {"width": 512}, False),
        ({"width": 512}, {}, False),
        ({"image": "https://user.example/a.png"}, {"image": "https://user.example/b.png"}, False),
        ({"width": 512}, {"width": 768}, True),
    ],
    ids=["less", "more", "another link", "another value"],
)
async def test_what_may_be_another_lost_call_s_is_not_taken(
    engine: Engine, ours: dict[str, Any], theirs: dict[str, Any], is_taken: bool
) -> None:
    engine.provider.script.extend([LOST, LOST])
    one = Prediction(ref="alike", status=PredictionStatus.RUNNING)
    engine.provider.found = [one]
    engine.provider.predictions[one.ref] = one
    ids = [await engine.submit("same", parameters=parameters) for parameters in (ours, theirs)]
    await engine.work_for(20)
    refs = [(await engine.look(job_id)).calls[0].provider_ref for job_id in ids]
    assert (one.ref in refs) is is_taken
