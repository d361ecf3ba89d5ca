"""A job that brings its workers down: ended where nothing is bought, else set aside until it does so no longer."""

import pytest

from mediagen.errors import FetchError
from mediagen.jobs.states import CallState, JobState
from mediagen.providers.base import PredictionStatus, Unknown
from mediagen.worker import ledger, steps
from mediagen.worker.steps import POISON_CLAIMS, QUARANTINED
from tests.unit.conftest import Engine

WEEK_S = 7 * 86_400


async def crash(engine: Engine, times: int = POISON_CLAIMS) -> None:
    """Let workers die with the job in hand."""
    for n in range(times):
        assert len(await engine.claim(f"dying-{n}")) == 1
        engine.clock.advance(31)


async def bring_to(engine: Engine, state: JobState) -> str:
    """Return a job with something bought, or perhaps bought, that is due."""
    if state is JobState.RECONCILING:
        engine.provider.script.append(Unknown(message="502"))
    job_id = await engine.submit(timeout_s=7_200)
    if state is JobState.SUBMITTING:
        await _die_while_sending(engine)
    else:
        await engine.work()
    if state is JobState.STORING:
        engine.provider.end()
        engine.provider.bytes.append(FetchError("reset"))
        engine.clock.advance(1)
        await engine.work()
    engine.clock.advance(60)
    assert (await engine.look(job_id)).job.state is state
    return job_id


async def _die_while_sending(engine: Engine) -> None:
    create = engine.provider.create

    async def die(call, **_):  # type: ignore[no-untyped-def]
        engine.provider.found = [engine.provider.run(call)]
        engine.provider.creates.append(call)
        raise KeyboardInterrupt

    engine.provider.create = die  # type: ignore[method-assign]
    with pytest.raises(KeyboardInterrupt):
        await engine.work()
    engine.provider.create = create  # type: ignore[method-assign]


@pytest.mark.parametrize(
    "state", [JobState.SUBMITTING, JobState.RECONCILING, JobState.WAITING, JobState.STORING]
)
async def test_a_job_with_a_paid_call_is_set_aside_and_goes_on_when_the_crashes_stop(
    engine: Engine, state: JobState
) -> None:
    job_id = await bring_to(engine, state)
    await crash(engine)
    await engine.work()
    job = (await engine.look(job_id)).job
    assert (job.state, job.error_code, job.note) == (state, None, QUARANTINED)
    assert job.run_at - engine.clock.now_ms() == 60_000
    if state is JobState.RECONCILING:
        engine.provider.found = [engine.provider.run(engine.provider.creates[0])]
    if state is not JobState.STORING:
        engine.provider.end()
    await engine.work_for(120)
    job = (await engine.look(job_id)).job
    assert (job.state, job.claims, len(engine.provider.creates)) == (JobState.SUCCEEDED, 0, 1)


async def test_its_rests_grow_up_to_an_hour(engine: Engine) -> None:
    job_id = await bring_to(engine, JobState.WAITING)
    await crash(engine)
    rests = []
    for _ in range(10):
        await engine.work()
        job = (await engine.look(job_id)).job
        rests.append((job.run_at - engine.clock.now_ms()) // 1000)
        engine.clock.advance(rests[-1])
        await crash(engine, 1)
    assert rests == [60, 120, 240, 480, 960, 1920, 3600, 3600, 3600, 3600]


@pytest.mark.parametrize("state", [JobState.WAITING, JobState.STORING])
async def test_after_a_week_it_is_given_up_and_what_was_bought_is_settled(
    engine: Engine, state: JobState
) -> None:
    job_id = await bring_to(engine, state)
    await crash(engine)
    await engine.work()
    engine.clock.advance(WEEK_S / 2)
    await crash(engine, 1)
    await engine.work()
    assert (await engine.look(job_id)).job.state is state
    engine.clock.advance(WEEK_S)
    await crash(engine, 1)
    await engine.work()
    job = (await engine.look(job_id)).job
    assert (job.state, job.error_code) == (JobState.FAILED, "output_lost")
    if state is JobState.WAITING:
        engine.provider.end(status=PredictionStatus.CANCELED)
        await ledger.settle_due(engine.ports)
        assert [call.state for call in (await engine.look(job_id)).calls] == [CallState.CANCELED]


async def test_a_job_that_is_set_aside_can_be_canceled(engine: Engine) -> None:
    job_id = await bring_to(engine, JobState.WAITING)
    await crash(engine)
    await engine.work()
    await engine.jobs.cancel(job_id)
    engine.clock.advance(9)
    await ledger.end_canceled(engine.ports)
    assert (await engine.look(job_id)).job.state is JobState.CANCELED


async def test_a_step_that_gets_through_ends_the_quarantine(engine: Engine) -> None:
    job_id = await bring_to(engine, JobState.WAITING)
    await crash(engine)
    await engine.work()
    engine.clock.advance(60)
    [job] = await engine.claim()
    await steps.run(engine.ports, job)
    assert (await engine.look(job_id)).job.claims == 0
