"""Who cancels has the end within seconds, whatever the provider does; what it cost is found out in the ledger."""

from contextlib import suppress
from dataclasses import replace

import pytest

from mediagen.errors import LeaseLost, ProviderError
from mediagen.jobs import wishes
from mediagen.jobs.calls import Acceptance, accept
from mediagen.jobs.model import CallRecord, Job
from mediagen.jobs.states import CallState, JobState
from mediagen.providers.base import (
    Accepted,
    Dedupe,
    Findings,
    Output,
    Prediction,
    PredictionStatus,
    Rejected,
    RejectReason,
    Unknown,
)
from mediagen.worker import ledger, steps
from tests.fakes.scripted import PNG, ScriptedProvider
from tests.unit.conftest import Engine

CANCELED = (JobState.CANCELED, wishes.CANCELED_UNHEARD)


async def cancel(engine: Engine, job_id: str, seconds: float = 9) -> Job:
    """Cancel, and let so much time pass; return the job."""
    await engine.jobs.cancel(job_id)
    await live_for(engine, seconds)
    return (await engine.look(job_id)).job


async def live_for(engine: Engine, seconds: float, pace_s: float = 1) -> None:
    """Let time pass in which the worker does its chores, too."""
    for _ in range(int(seconds / pace_s)):
        await engine.work_for(pace_s, pace_s)
        await ledger.end_canceled(engine.ports)
        await ledger.settle_due(engine.ports)


async def call_of(engine: Engine, job_id: str) -> CallRecord:
    [record] = (await engine.look(job_id)).calls
    return record


async def test_a_job_whose_provider_does_not_stop_is_canceled_in_time_and_says_what_it_may_cost(
    engine: Engine,
) -> None:
    job_id = await engine.submit()
    await engine.work()
    job = await cancel(engine, job_id)
    assert (job.state, job.note) == CANCELED
    assert (await call_of(engine, job_id)).state is CallState.ACCEPTED
    engine.provider.end(status=PredictionStatus.CANCELED)
    await live_for(engine, 5)
    assert (await call_of(engine, job_id)).state is CallState.CANCELED


async def test_a_job_is_not_canceled_over_its_provider_s_head_before_it_had_time_to_stop(
    engine: Engine,
) -> None:
    job_id = await engine.submit()
    await engine.work()
    assert (await cancel(engine, job_id, 6)).state is JobState.WAITING
    engine.provider.end(status=PredictionStatus.CANCELED)
    await live_for(engine, 2)
    assert (await engine.look(job_id)).job.state is JobState.CANCELED


async def test_a_job_whose_provider_fails_to_answer_is_canceled_in_time(engine: Engine) -> None:
    job_id = await engine.submit()
    await engine.work()
    engine.provider.failing.extend([ProviderError("503")] * 12)
    assert ((await cancel(engine, job_id)).state, engine.provider.canceled) == (JobState.CANCELED, [])
    await live_for(engine, 30)
    assert engine.provider.canceled  # still told to stop, when it could be asked
    engine.provider.end()
    await live_for(engine, 10)
    assert (await call_of(engine, job_id)).state is CallState.SUCCEEDED


@pytest.mark.parametrize("sold", [True, False])
async def test_a_job_whose_answer_was_lost_is_canceled_in_time_and_its_call_settled(
    engine: Engine, sold: bool
) -> None:
    engine.provider.script.append(Unknown(message="502"))
    job_id = await engine.submit()
    await engine.work()
    assert (await cancel(engine, job_id)).state is JobState.CANCELED
    assert (await call_of(engine, job_id)).state is CallState.UNKNOWN
    if sold:
        engine.provider.found = [engine.provider.run(engine.provider.creates[0])]
    await live_for(engine, 60)
    record = await call_of(engine, job_id)
    if not sold:
        assert record.state is CallState.ABSENT
        return
    assert (record.state, set(engine.provider.canceled)) == (CallState.ACCEPTED, {"ref-0"})
    engine.provider.end(status=PredictionStatus.CANCELED, cost_micros=7)
    await live_for(engine, 60)
    record = await call_of(engine, job_id)
    assert (record.state, record.cost_micros, record.due_at) == (CallState.CANCELED, 7, None)


async def test_a_lost_call_of_a_canceled_job_that_can_not_be_told_from_others_stays_unknown(
    engine: Engine,
) -> None:
    engine.provider.script.append(Unknown(message="502"))
    engine.provider.sees = Findings(doubtful=["strange"], seen="strange may be it")
    job_id = await engine.submit()
    await engine.work()
    await cancel(engine, job_id)
    await live_for(engine, 120, pace_s=5)
    record = await call_of(engine, job_id)
    assert (record.state, record.seen) == (CallState.UNKNOWN, "strange may be it")
    await live_for(engine, 2700, pace_s=30)  # its provider can't tell any more
    assert (await call_of(engine, job_id)).due_at is None


async def test_what_only_looks_like_a_canceled_call_and_is_another_one_s_does_not_count(
    engine: Engine,
) -> None:
    await engine.submit("same")
    await engine.work()
    engine.provider.found = [engine.provider.predictions["ref-0"]]
    engine.provider.script.append(Unknown(message="502"))
    job_id = await engine.submit("same")
    await engine.work()
    await cancel(engine, job_id)
    await live_for(engine, 45)
    assert (await call_of(engine, job_id)).state is CallState.ABSENT
    assert engine.provider.canceled == []


async def test_a_create_under_way_is_not_waited_for_and_its_answer_is_settled(engine: Engine) -> None:
    job_id = await engine.submit()
    create = engine.provider.create

    async def held(call, **more):  # type: ignore[no-untyped-def]
        await engine.jobs.cancel(job_id)
        engine.clock.advance(9)
        await ledger.end_canceled(engine.ports)
        assert (await engine.look(job_id)).job.note == wishes.CANCELED_UNHEARD
        return await create(call, send_by=0)

    engine.provider.create = held  # type: ignore[method-assign]
    await engine.work()
    assert (await call_of(engine, job_id)).state is CallState.ACCEPTED
    await live_for(engine, 3)
    assert engine.provider.canceled
    assert (await engine.look(job_id)).job.state is JobState.CANCELED


async def held_open(engine: Engine, answer: Accepted | Rejected | Unknown) -> str:
    """Return a job that was canceled while a synchronous provider held its create open, and answered then."""
    engine.use(ScriptedProvider(dedupe=Dedupe.KEY, synchronous=True))
    job_id = await engine.submit()

    async def held(call, **_):  # type: ignore[no-untyped-def]
        engine.provider.creates.append(call)
        await engine.jobs.cancel(job_id)
        engine.clock.advance(9)
        await ledger.end_canceled(engine.ports)
        return answer

    engine.provider.create = held  # type: ignore[method-assign]
    [job] = await engine.claim()
    with suppress(LeaseLost):
        await steps.run(engine.ports, job)
    assert (await engine.look(job_id)).job.state is JobState.CANCELED
    await live_for(engine, 3)
    return job_id


async def test_what_a_create_cost_that_was_held_open_is_settled_and_nothing_is_left_behind(
    engine: Engine,
) -> None:
    done = Prediction(ref="s", status=PredictionStatus.SUCCEEDED, outputs=(Output(data=PNG),), cost_micros=5)
    record = await call_of(engine, await held_open(engine, Accepted(prediction=done)))
    assert (record.state, record.cost_micros, record.due_at) == (CallState.SUCCEEDED, 5, None)
    assert await engine.artifacts.spooled(record.id) is None


async def test_one_refusal_of_a_create_with_a_key_settles_nothing_as_another_may_have_sent_it(
    engine: Engine,
) -> None:
    refused = Rejected(reason=RejectReason.INVALID, message="no")
    assert (await call_of(engine, await held_open(engine, refused))).state is CallState.UNKNOWN


async def test_a_create_that_was_held_open_and_lost_stays_unknown(engine: Engine) -> None:
    record = await call_of(engine, await held_open(engine, Unknown(message="reset")))
    assert (record.state, record.due_at) == (CallState.UNKNOWN, None)


async def test_what_was_made_already_is_kept_although_its_job_is_canceled(engine: Engine) -> None:
    job_id = await engine.submit()
    await engine.work()
    await engine.jobs.cancel(job_id)
    engine.provider.end(status=PredictionStatus.CANCELED, outputs=(Output(url="scripted:0"),))
    await live_for(engine, 3)
    detail = await engine.look(job_id)
    assert (detail.job.state, detail.job.output_count, len(detail.artifacts)) == (JobState.CANCELED, 1, 1)


async def test_a_job_that_is_stored_when_it_is_canceled_is_not_cut_off(engine: Engine) -> None:
    job_id = await engine.submit()
    await engine.work()
    engine.provider.end()
    engine.provider.bytes.extend([b""] * 3)
    await engine.work_for(2)
    assert (await cancel(engine, job_id, 60)).state is JobState.SUCCEEDED


async def test_only_what_runs_is_told_to_stop(engine: Engine) -> None:
    job_id = await engine.submit()
    await engine.work()
    engine.provider.end()
    await engine.jobs.cancel(job_id)
    await live_for(engine, 2)
    assert engine.provider.canceled == []


async def test_a_cancel_that_fails_proves_nothing(engine: Engine) -> None:
    job_id = await engine.submit()
    await engine.work()

    async def fails(call):  # type: ignore[no-untyped-def]
        engine.provider.end()
        raise ProviderError("404")

    engine.provider.cancel = fails  # type: ignore[method-assign]
    await engine.jobs.cancel(job_id)
    await live_for(engine, 2)
    assert (await engine.look(job_id)).job.state is JobState.SUCCEEDED


async def test_a_worker_that_settles_late_does_not_make_a_settled_call_due_again(engine: Engine) -> None:
    job_id = await engine.submit()
    await engine.work()
    await engine.jobs.cancel(job_id)
    engine.clock.advance(9)
    await ledger.end_canceled(engine.ports)
    get = engine.provider.get

    async def late(call):  # type: ignore[no-untyped-def]
        engine.provider.get = get  # type: ignore[method-assign]
        running = await get(call)
        engine.clock.advance(31)
        engine.provider.end(status=PredictionStatus.CANCELED)
        await ledger.settle_due(engine.ports)
        engine.provider.failing.append(ProviderError("502"))
        return running

    engine.provider.get = late  # type: ignore[method-assign]
    await ledger.settle_due(engine.ports)
    record = await call_of(engine, job_id)
    assert (record.state, record.due_at) == (CallState.CANCELED, None)


async def test_a_call_is_settled_although_its_job_was_canceled_while_it_was_looked_at(engine: Engine) -> None:
    engine.provider.script.append(Unknown(message="502"))
    job_id = await engine.submit()
    await engine.work()
    record = await call_of(engine, job_id)
    prediction = engine.provider.run(engine.provider.creates[0])
    told = await engine.db.transact(lambda c: accept(c, record.id, prediction.ref))
    assert told is Acceptance.RECORDED
    await engine.jobs.cancel(job_id)
    engine.clock.advance(9)
    read = engine.db.read

    async def then_canceled(fn):  # type: ignore[no-untyped-def]
        found = await read(fn)
        if isinstance(found, Job):
            engine.db.read = read  # type: ignore[method-assign]
            await ledger.end_canceled(engine.ports)
        return found

    engine.db.read = then_canceled  # type: ignore[method-assign]
    await ledger.settle_due(engine.ports)
    engine.provider.end(status=PredictionStatus.CANCELED)
    await live_for(engine, 3)
    assert (await call_of(engine, job_id)).state is CallState.CANCELED


async def test_without_patience_a_job_is_canceled_at_once(engine: Engine) -> None:
    engine.ports = replace(engine.ports, timing=replace(engine.ports.timing, cancel_s=0))
    job_id = await engine.submit()
    await engine.work()
    assert (await cancel(engine, job_id, 1)).state is JobState.CANCELED
