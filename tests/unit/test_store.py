"""The last step: what was bought is kept, and never bought again."""

from dataclasses import replace
from pathlib import Path

import pytest

from mediagen.errors import FetchBlocked, FetchError, FetchGone
from mediagen.jobs.states import JobState
from mediagen.providers.base import (
    Accepted,
    Dedupe,
    Output,
    Prediction,
    PredictionStatus,
)
from mediagen.worker import steps
from tests.fakes.scripted import PNG, ScriptedProvider
from tests.unit.conftest import Engine


async def test_a_dead_link_is_fetched_again_and_never_bought_again(engine: Engine) -> None:
    engine.provider.bytes.extend([FetchGone("404"), FetchError("reset"), PNG])
    job_id = await engine.submit()
    await engine.work()
    engine.provider.end()
    await engine.work_for(30)
    assert (await engine.look(job_id)).job.state is JobState.SUCCEEDED
    assert len(engine.provider.creates) == 1


async def test_an_output_that_may_not_be_fetched_fails_the_job_when_its_link_is_dead(engine: Engine) -> None:
    engine.provider.bytes.extend([FetchBlocked("private address")] * 100)
    job_id = await engine.submit()
    await engine.work()
    engine.provider.end()
    await engine.work_for(590, pace_s=5)  # until then the operator may allow its host
    assert (await engine.look(job_id)).job.state is JobState.STORING
    await engine.work_for(150, pace_s=5)
    job = (await engine.look(job_id)).job
    assert (job.state, job.error_code, len(engine.provider.creates)) == (JobState.FAILED, "fetch_blocked", 1)


async def test_an_output_that_comes_cut_off_twice_alike_is_kept_with_a_doubt(engine: Engine) -> None:
    engine.provider.bytes.extend([PNG[:-9]] * 2)
    job_id = await engine.submit()
    await engine.work()
    engine.provider.end()
    await engine.work_for(30)
    detail = await engine.look(job_id)
    assert (detail.job.state, detail.artifacts[0].size_bytes) == (JobState.SUCCEEDED, len(PNG) - 9)
    assert "cut off" in (detail.artifacts[0].doubt or "")


async def test_an_output_that_stays_empty_is_named_invalid_when_its_link_is_dead(engine: Engine) -> None:
    engine.provider.bytes.extend([b""] * 100)
    job_id = await engine.submit()
    await engine.work()
    engine.provider.end()
    await engine.work_for(740, pace_s=5)
    job = (await engine.look(job_id)).job
    assert (job.state, job.error_code) == (JobState.FAILED, "output_invalid")


async def test_several_outputs_are_kept_in_their_order(engine: Engine) -> None:
    job_id = await engine.submit()
    await engine.work()
    engine.provider.end(outputs=(Output(data=PNG), Output(data=PNG), Output(data=b"plain text")))
    await engine.work_for(2)
    detail = await engine.look(job_id)
    assert [artifact.idx for artifact in detail.artifacts] == [0, 1, 2]
    assert detail.job.output_count == 3


@pytest.mark.parametrize(
    "error", [FetchGone("404"), FetchBlocked("an address inside")], ids=["dead", "blocked"]
)
async def test_an_output_that_can_not_be_had_does_not_keep_the_others_from_being_kept(
    engine: Engine, error: FetchError
) -> None:
    job_id = await engine.submit()
    await engine.work()
    engine.provider.end(outputs=[Output(url=f"scripted:{number}") for number in range(3)])
    engine.provider.bytes.extend([error, PNG, PNG, *[error] * 100])
    await engine.work_for(3_700, pace_s=20)
    detail = await engine.look(job_id)
    assert (detail.job.state, [artifact.idx for artifact in detail.artifacts]) == (JobState.FAILED, [1, 2])
    assert "1 of its 3 outputs could not be kept" in (detail.job.error_message or "")


async def test_storing_again_after_a_crash_gives_the_same_artifacts(engine: Engine) -> None:
    job_id = await engine.submit()
    await engine.work()
    engine.provider.end(outputs=(Output(data=PNG), Output(url="scripted:1")))
    engine.provider.bytes.append(FetchError("reset"))
    engine.clock.advance(1)
    await engine.work()
    first = (await engine.look(job_id)).artifacts
    await engine.work_for(10)
    detail = await engine.look(job_id)
    assert [artifact.key for artifact in first] == [detail.artifacts[0].key]
    assert len(detail.artifacts) == 2


async def test_what_was_finished_before_the_cancel_arrived_is_kept(engine: Engine) -> None:
    job_id = await engine.submit()
    await engine.work()
    engine.provider.end()
    await engine.jobs.cancel(job_id)
    await engine.work_for(2)
    assert (await engine.look(job_id)).job.state is JobState.SUCCEEDED


async def test_what_a_synchronous_provider_made_survives_a_crash_right_after(engine: Engine) -> None:
    engine.use(ScriptedProvider(dedupe=Dedupe.KEY, billed=True, synchronous=True))
    done = Prediction(ref="sync-1", status=PredictionStatus.SUCCEEDED, outputs=(Output(data=PNG),))
    engine.provider.script.append(Accepted(prediction=done))
    job_id = await engine.submit()
    [job] = await engine.claim("dying")
    keeper = engine.ports.keeper

    class Dying:
        resume, begun = keeper.resume, keeper.begun
        spool, spooled, unspool = keeper.spool, keeper.spooled, keeper.unspool

        async def ingest(self, *args: object) -> None:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        await steps.run(replace(engine.ports, keeper=Dying()), job)  # type: ignore[arg-type]
    assert (await engine.look(job_id)).job.state is JobState.STORING
    engine.clock.advance(31)
    await engine.work()
    detail = await engine.look(job_id)
    assert (detail.job.state, len(engine.provider.creates), len(detail.artifacts)) == (
        JobState.SUCCEEDED,
        1,
        1,
    )


async def test_a_late_worker_that_spools_what_another_one_removed_spools_nothing(
    engine: Engine, tmp_path: Path
) -> None:
    keeper = engine.artifacts
    await keeper.spool("late", [PNG, PNG])
    spool = tmp_path / "artifacts" / "spool" / "late"
    next(spool.glob("1-*")).unlink()  # the other worker was done between our writing this one and the list
    assert await keeper.spooled("late") is None
    await keeper.unspool("late")
    await keeper.unspool("late")
    assert [path for path in spool.rglob("*") if path.is_file()] == []


async def test_an_output_of_a_synchronous_provider_that_can_not_be_fetched_fails_the_job(
    engine: Engine,
) -> None:
    engine.use(ScriptedProvider(dedupe=Dedupe.KEY, billed=True, synchronous=True))
    done = Prediction(ref="sync-1", status=PredictionStatus.SUCCEEDED, outputs=(Output(url="scripted:0"),))
    engine.provider.script.append(Accepted(prediction=done))
    engine.provider.bytes.append(FetchError("reset"))
    job_id = await engine.submit()
    await engine.work_for(2)
    job = (await engine.look(job_id)).job
    assert (job.state, job.error_code, len(engine.provider.creates)) == (JobState.FAILED, "output_lost", 1)
