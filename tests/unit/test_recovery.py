"""A database that is an older copy: what was sold since is found at the provider, and not bought again."""

import asyncio
from dataclasses import replace

import pytest

from mediagen.errors import ProviderError
from mediagen.jobs import calls, traits
from mediagen.jobs.model import Job
from mediagen.jobs.states import CallState, JobState
from mediagen.providers.base import Prediction, PredictionStatus, Sold, Unknown
from mediagen.providers.markers import Marker
from mediagen.worker import ledger, recovery, steps
from mediagen.worker.loop import Worker, WorkerConfig
from tests.unit.conftest import Engine

OURS = "0" * 16


def sold(engine: Engine, job_id: str, installation: str = OURS) -> Prediction:
    """Let a prediction exist that was bought for the job after the copy was made."""
    marker = Marker(installation=installation, job=job_id, call=engine.clock.new_id())
    ref = f"ref-{len(engine.provider.predictions)}"
    prediction = Prediction(ref=ref, status=PredictionStatus.RUNNING, call_id=marker.call, marker=marker)
    engine.provider.predictions[ref] = prediction
    return prediction


def worker(engine: Engine) -> Worker:
    config = WorkerConfig(concurrency=10, poll_s=1, lease_s=30, policies=engine.policies)
    return Worker(engine.ports, config, engine.clock.sleep, lambda: None)


async def claim(worker: Worker) -> list[Job]:
    return list((await worker._claim(10)).jobs)


async def recover(engine: Engine, *, done: bool = True) -> None:
    """Do what a worker does before it buys for the first time."""
    await engine.db.transact(lambda c: recovery.begin(c, engine.provider))
    assert await recovery.recover(engine.ports, engine.provider) is done


async def test_what_was_sold_for_a_queued_job_is_used_and_not_bought_again(engine: Engine) -> None:
    job_id = await engine.submit()
    prediction = sold(engine, job_id)
    await recover(engine)
    await engine.work_for(30)
    detail = await engine.look(job_id)
    assert (detail.job.state, engine.provider.creates, engine.provider.canceled) == (JobState.WAITING, [], [])
    engine.provider.end(prediction.ref)
    await engine.work_for(5)
    detail = await engine.look(job_id)
    assert (detail.job.state, detail.calls[0].state) == (JobState.SUCCEEDED, CallState.SUCCEEDED)


async def test_what_was_sold_gets_the_time_to_be_made_that_its_model_needs(engine: Engine) -> None:
    job_id = await engine.submit()
    sold(engine, job_id)
    await recover(engine)
    await engine.work_for(55)
    assert engine.provider.canceled == []
    await engine.work_for(10)
    assert engine.provider.canceled


async def test_recovering_again_writes_nothing_twice(engine: Engine) -> None:
    job_id = await engine.submit()
    sold(engine, job_id)
    await recover(engine)
    await recover(engine)
    assert len((await engine.look(job_id)).calls) == 1


async def test_two_processes_that_recover_at_once_write_one_call(engine: Engine) -> None:
    job_id = await engine.submit()
    sold(engine, job_id)
    await engine.db.transact(lambda c: recovery.begin(c, engine.provider))
    done = await asyncio.gather(*(recovery.recover(engine.ports, engine.provider) for _ in range(2)))
    assert (done, len((await engine.look(job_id)).calls)) == ([True, True], 1)


@pytest.mark.parametrize("whose", ["another installation", "another job"])
async def test_what_was_sold_for_others_is_left_alone(engine: Engine, whose: str) -> None:
    job_id = await engine.submit()
    if whose == "another installation":
        sold(engine, job_id, "f" * 16)
    else:
        sold(engine, engine.clock.new_id())
    await recover(engine)
    assert list((await engine.look(job_id)).calls) == []


async def test_what_was_bought_later_than_the_call_that_the_copy_knows_waits_for_its_end(
    engine: Engine,
) -> None:
    job_id = await engine.submit()
    await engine.work()  # the copy was made now; then the call failed, and another was bought
    later = sold(engine, job_id)
    await recover(engine)
    for _ in range(20):
        engine.clock.advance(1)
        await ledger.settle_due(engine.ports)
    assert engine.provider.canceled == []
    engine.provider.end("ref-0", PredictionStatus.FAILED, retryable=True)
    await engine.work_for(10)
    detail = await engine.look(job_id)
    assert [call.state for call in detail.calls] == [CallState.FAILED, CallState.ACCEPTED]
    assert (detail.calls[1].provider_ref, len(engine.provider.creates)) == (later.ref, 1)


async def test_what_failed_for_good_is_not_bought_again_whatever_becomes_of_what_came_late(
    engine: Engine,
) -> None:
    job_id = await engine.submit()
    for _ in range(2):
        sold(engine, job_id)
    await recover(engine)
    await engine.work_for(5)
    for retryable in (False, True):
        [call] = [call for call in (await engine.look(job_id)).calls if call.state is CallState.ACCEPTED]
        assert call.provider_ref is not None
        engine.provider.end(call.provider_ref, PredictionStatus.FAILED, retryable=retryable)
        await engine.work_for(60)
    detail = await engine.look(job_id)
    assert (detail.job.state, engine.provider.creates) == (JobState.FAILED, [])
    assert [call.state for call in detail.calls] == [CallState.FAILED] * 2


async def test_a_lost_call_that_the_list_names_is_known_at_once(engine: Engine) -> None:
    engine.provider.script.append(Unknown(message="502"))
    job_id = await engine.submit()
    await engine.work()
    call = engine.provider.creates[0]
    engine.provider.run(call, marker=call.marker)
    await recover(engine)
    await engine.work_for(1)
    assert (await engine.look(job_id)).job.state is JobState.WAITING


async def test_without_open_jobs_the_list_is_not_asked_for(engine: Engine) -> None:
    engine.provider.failing.append(ProviderError("503"))
    await recover(engine)
    assert len(engine.provider.failing) == 1


# ---------------------------------------------------------------------------------------------- unreachable


async def test_until_the_provider_was_asked_only_new_jobs_are_bought(engine: Engine) -> None:
    old = await engine.submit("old")
    sold(engine, old)
    engine.clock.advance(5)
    one = worker(engine)
    assert await claim(one) == []
    engine.provider.failing.append(ProviderError("503"))
    await one.recover("scripted")
    engine.clock.advance(1)
    new = await engine.submit("new")
    assert [job.id for job in await claim(one)] == [new]
    await one.recover("scripted")
    assert [job.id for job in await claim(one)] == [old]


async def test_what_is_bought_meanwhile_does_not_hide_what_was_bought_before(engine: Engine) -> None:
    old = await engine.submit("old")
    prediction = sold(engine, old)
    engine.provider.predictions[prediction.ref] = replace(prediction, created_at_ms=engine.clock.now_ms())
    engine.clock.advance(5)
    one = worker(engine)
    await claim(one)
    engine.provider.failing.append(ProviderError("503"))
    await one.recover("scripted")
    engine.clock.advance(7200)
    await engine.submit("new")
    for job in await claim(one):
        await steps.run(engine.ports, job)
    assert len(engine.provider.creates) == 1
    engine.clock.advance(10)
    another = worker(engine)  # the first one was killed
    await claim(another)
    await another.recover("scripted")
    await engine.work_for(5)
    assert (await engine.look(old)).calls[0].provider_ref == prediction.ref
    assert len(engine.provider.creates) == 1


async def test_a_ring_meanwhile_does_not_hide_what_was_bought_before(engine: Engine) -> None:
    first, second = await engine.submit("first"), await engine.submit("second")
    made = [sold(engine, job_id) for job_id in (first, second)]
    for each in made:
        engine.provider.predictions[each.ref] = replace(each, created_at_ms=engine.clock.now_ms())
    engine.clock.advance(7200)
    job = (await engine.look(first)).job
    await engine.db.transact(lambda c: calls.recover(c, job, str(made[0].call_id), made[0].ref))
    await recover(engine)
    assert [(await engine.look(job_id)).calls[0].provider_ref for job_id in (first, second)] == [
        each.ref for each in made
    ]


async def test_a_list_that_can_not_be_read_whole_is_used_as_far_as_it_goes_and_read_again(
    engine: Engine,
) -> None:
    job_id, unseen = await engine.submit(), await engine.submit()
    sold(engine, job_id)
    engine.provider.listed = Sold(predictions=(), why="it is longer than 100 pages")
    late = worker(engine)
    assert await claim(late) == []
    await recover(engine, done=False)
    assert len((await engine.look(job_id)).calls) == 1
    engine.clock.advance(1)
    new = await engine.submit()
    # What is not shown may have been bought for the other; what is shown goes on.
    assert [job.id for job in await claim(late)] == [job_id, new]
    engine.provider.listed = Sold(predictions=())
    await recover(engine)
    await late.recover("scripted")
    assert unseen in [job.id for job in await claim(late)]


async def test_processes_that_start_together_agree_on_the_installation(engine: Engine) -> None:
    ids = await asyncio.gather(
        *(engine.db.transact(lambda c: traits.installation_id(c, engine.clock)) for _ in range(4))
    )
    assert len(set(ids)) == 1


@pytest.mark.parametrize(
    ("dated", "ahead_ms", "earlier_ms"),
    [
        (True, -1_200_000, 0),
        (True, 0, 0),
        (None, 0, recovery._UNSURE_MS),
        (False, 60_000, recovery._UNSURE_MS),
    ],
)
async def test_the_list_is_read_back_by_the_provider_s_clock(
    engine: Engine, monkeypatch: pytest.MonkeyPatch, dated: bool | None, ahead_ms: int, earlier_ms: int
) -> None:
    asked: list[int] = []

    async def theirs() -> int:
        return engine.clock.now_ms() + ahead_ms

    async def listed(since_ms: int) -> Sold:
        asked.append(since_ms)
        return Sold(predictions=())

    await engine.submit()
    monkeypatch.setattr(engine.provider, "now_ms", theirs)
    monkeypatch.setattr(engine.provider, "sold", listed)
    monkeypatch.setattr(engine.provider, "dated_by_its_clock", dated)
    await recover(engine)
    since = engine.clock.now_ms() - recovery._MARGIN_MS
    assert asked[0] == since + ahead_ms - earlier_ms


async def test_what_was_sold_counts_as_an_attempt_of_its_job(engine: Engine) -> None:
    job_id = await engine.submit()  # may be bought three times
    for prediction in [sold(engine, job_id), sold(engine, job_id)]:
        engine.provider.end(prediction.ref, PredictionStatus.FAILED, retryable=True, error_message="again")
    await recover(engine)
    for _ in range(40):
        await engine.work_for(5)
        for ref, prediction in list(engine.provider.predictions.items()):
            if not prediction.ended:
                engine.provider.end(ref, PredictionStatus.FAILED, retryable=True, error_message="again")
    detail = await engine.look(job_id)
    assert (detail.job.state, detail.job.attempt, len(engine.provider.creates)) == (JobState.FAILED, 3, 1)
