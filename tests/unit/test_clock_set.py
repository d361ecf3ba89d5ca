"""A wall clock that is set ahead while something runs at a provider: nothing is stopped or given up for that."""

import pytest

from mediagen.jobs.states import JobState
from tests.unit.conftest import Engine


@pytest.mark.parametrize("by_s", [600, 7_200, 86_400])
async def test_a_clock_that_is_set_ahead_stops_nothing_that_runs(
    engine: Engine, monkeypatch: pytest.MonkeyPatch, by_s: int
) -> None:
    set_ahead_ms = 0

    async def theirs() -> int:
        return engine.clock.now_ms() - set_ahead_ms

    monkeypatch.setattr(engine.provider, "now_ms", theirs)
    job_id = await engine.submit()
    await engine.work_for(5)
    engine.clock.advance(by_s)
    set_ahead_ms = by_s * 1000
    await engine.work_for(20)
    assert ((await engine.look(job_id)).job.state, engine.provider.canceled) == (JobState.WAITING, [])
    engine.provider.end()
    await engine.work_for(70, pace_s=5)
    assert (await engine.look(job_id)).job.state is JobState.SUCCEEDED


async def test_what_takes_too_long_by_both_clocks_is_stopped(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def theirs() -> int:
        return engine.clock.now_ms()

    monkeypatch.setattr(engine.provider, "now_ms", theirs)
    await engine.submit()
    await engine.work_for(75)
    assert "ref-0" in engine.provider.canceled
