"""What a webhook tells while a step is at work is neither lost nor in the way; what was paid for is fetched again."""

import pytest

from mediagen.errors import FetchError
from mediagen.jobs import calls
from mediagen.jobs.states import CallState, JobState
from mediagen.providers.base import Call, Findings, Prediction, Rejected, RejectReason, Unknown
from mediagen.worker import ledger
from tests.unit.conftest import Engine


async def told_by_webhook(engine: Engine, call: Call) -> Prediction:
    """Let the provider take the call, and its webhook say so."""
    prediction = engine.provider.run(call)
    await engine.db.transact(lambda c: calls.accept(c, call.id, prediction.ref))
    return prediction


async def test_a_webhook_that_comes_before_the_lost_answer_is_believed_at_once(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def create(call: Call, *, send_by: float, **_: object) -> Unknown:
        await told_by_webhook(engine, call)
        return Unknown(message="502")

    monkeypatch.setattr(engine.provider, "create", create)
    job_id = await engine.submit()
    await engine.work()
    detail = await engine.look(job_id)
    assert (detail.job.state, detail.job.attempt) == (JobState.WAITING, 1)
    assert (detail.job.lease_owner, [call.state for call in detail.calls]) == (None, [CallState.ACCEPTED])


async def test_a_webhook_that_comes_during_the_second_look_keeps_the_call_from_being_absent(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks: list[str] = []

    async def find(call: Call) -> Findings:
        looks.append(call.id)
        if len(looks) == 2:
            await told_by_webhook(engine, call)
        return Findings()

    engine.provider.script.append(Unknown(message="502"))
    monkeypatch.setattr(engine.provider, "find", find)
    job_id = await engine.submit()
    await engine.work_for(60)
    detail = await engine.look(job_id)
    assert (len(looks), len(engine.provider.creates)) == (2, 1)
    assert (detail.job.state, [call.state for call in detail.calls]) == (
        JobState.WAITING,
        [CallState.ACCEPTED],
    )


async def test_a_call_that_a_gateway_refused_and_the_provider_took_is_used_and_not_bought_again(
    engine: Engine,
) -> None:
    engine.provider.script.append(Rejected(reason=RejectReason.RATE_LIMITED, message="429", retry_after_s=30))
    job_id = await engine.submit()
    await engine.work()
    [sent] = engine.provider.creates
    assert [call.state for call in (await engine.look(job_id)).calls] == [CallState.REJECTED]
    await told_by_webhook(engine, sent)
    await engine.work_for(60)
    engine.provider.end()
    await engine.work_for(60)
    detail = await engine.look(job_id)
    assert (detail.job.state, len(engine.provider.creates)) == (JobState.SUCCEEDED, 1)
    assert [call.state for call in detail.calls] == [CallState.SUCCEEDED]


async def test_a_call_that_was_refused_for_good_and_taken_all_the_same_is_stopped(engine: Engine) -> None:
    engine.provider.script.append(Rejected(reason=RejectReason.INVALID, message="422"))
    job_id = await engine.submit()
    await engine.work()
    [sent] = engine.provider.creates
    await told_by_webhook(engine, sent)
    engine.clock.advance(10)
    await ledger.settle_due(engine.ports)
    detail = await engine.look(job_id)
    assert detail.job.state is JobState.FAILED
    assert [call.state for call in detail.calls] == [CallState.ORPHAN]
    assert engine.provider.canceled


@pytest.mark.parametrize("bad", [[b""], [FetchError("reset"), FetchError("reset"), b""]], ids=str)
async def test_an_output_that_arrives_empty_is_fetched_again(
    engine: Engine, bad: list[bytes | FetchError]
) -> None:
    engine.provider.bytes.extend(bad)
    job_id = await engine.submit()
    await engine.work()
    engine.provider.end()
    await engine.work_for(60)
    assert (await engine.look(job_id)).job.state is JobState.SUCCEEDED


async def test_an_output_that_stays_empty_is_given_up_and_not_bought_again(engine: Engine) -> None:
    engine.provider.bytes.extend([b""] * 100)
    job_id = await engine.submit()
    await engine.work()
    engine.provider.end()
    await engine.work_for(740, pace_s=5)
    job = (await engine.look(job_id)).job
    assert (job.state, job.error_code, len(engine.provider.creates)) == (
        JobState.FAILED,
        "output_invalid",
        1,
    )
