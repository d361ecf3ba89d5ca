"""The engine, step by step: what is bought, when, and what every fault leads to."""

import pytest

from mediagen.errors import LeaseLost, PredictionGone, ProviderError
from mediagen.jobs import calls
from mediagen.jobs.gates import GatePolicy
from mediagen.jobs.pauses import EVERY_MODEL
from mediagen.jobs.states import CallState, JobState
from mediagen.providers.base import (
    Accepted,
    Dedupe,
    Prediction,
    PredictionStatus,
    Rejected,
    RejectReason,
    Unknown,
)
from mediagen.worker import steps
from tests.fakes.scripted import ScriptedProvider
from tests.unit.conftest import Engine


async def test_a_job_is_bought_once_followed_stored_and_succeeds(engine: Engine) -> None:
    job_id = await engine.submit()
    await engine.work()
    assert (await engine.look(job_id)).job.state is JobState.WAITING
    engine.provider.end()
    await engine.work_for(2)
    detail = await engine.look(job_id)
    assert detail.job.state is JobState.SUCCEEDED
    assert [artifact.media_type for artifact in detail.artifacts] == ["image/png"]
    assert len(engine.provider.creates) == 1
    assert [event.type for event in detail.events] == [
        "created",
        "submitted",
        "accepted",
        "storing",
        "succeeded",
    ]


async def test_the_intent_is_durable_before_anything_is_sent(engine: Engine) -> None:
    seen: list[CallState] = []
    create = engine.provider.create

    async def spying(call, *, send_by, **_):  # type: ignore[no-untyped-def]
        record = await engine.db.read(lambda c: calls.get(c, call.id))
        assert record is not None
        seen.append(record.state)
        return await create(call, send_by=send_by)

    engine.provider.create = spying  # type: ignore[method-assign]
    await engine.submit()
    await engine.work()
    assert seen == [CallState.INTENT]


async def test_a_worker_that_dies_before_the_answer_leads_to_a_search_and_no_second_purchase(
    engine: Engine,
) -> None:
    job_id = await engine.submit()
    [job] = await engine.claim("dying")

    async def die(call, *, send_by, **_):  # type: ignore[no-untyped-def]
        engine.provider.found = [engine.provider.run(call)]
        engine.provider.creates.append(call)
        raise KeyboardInterrupt

    create, engine.provider.create = engine.provider.create, die  # type: ignore[method-assign]
    with pytest.raises(KeyboardInterrupt):
        await steps.run(engine.ports, job)
    engine.provider.create = create  # type: ignore[method-assign]
    await engine.work_for(31)
    assert (await engine.look(job_id)).job.state is JobState.WAITING
    engine.provider.end()
    await engine.work_for(6)
    assert (await engine.look(job_id)).job.state is JobState.SUCCEEDED
    assert len(engine.provider.creates) == 1


async def test_a_lost_answer_is_bought_again_only_after_two_looks_a_grace_apart(engine: Engine) -> None:
    engine.provider.script.append(Unknown(message="502"))
    job_id = await engine.submit()
    await engine.work_for(39)  # send_by 5 s, settle 5 s, grace 30 s
    assert len(engine.provider.creates) == 1
    await engine.work_for(10)
    detail = await engine.look(job_id)
    assert len(engine.provider.creates) == 2
    assert [call.state for call in detail.calls] == [CallState.ABSENT, CallState.ACCEPTED]


async def test_a_jump_of_the_wall_clock_does_not_shorten_the_grace(engine: Engine) -> None:
    engine.provider.script.append(Unknown(message="502"))
    await engine.submit()
    await engine.work_for(15)
    engine.clock.jump(3600)
    await engine.work_for(5)
    assert len(engine.provider.creates) == 1


async def test_a_prediction_that_another_call_has_already_is_not_adopted(engine: Engine) -> None:
    first = await engine.submit("same")
    await engine.work()
    engine.provider.found = [engine.provider.predictions["ref-0"]]
    engine.provider.script.append(Unknown(message="timeout"))
    second = await engine.submit("same")
    await engine.work_for(45)
    states = [(await engine.look(job)).calls[0].state for job in (first, second)]
    assert states == [CallState.ACCEPTED, CallState.ABSENT]


async def test_a_provider_with_keys_is_asked_again_with_the_same_call(engine: Engine) -> None:
    engine.use(ScriptedProvider(dedupe=Dedupe.KEY, billed=False))
    engine.provider.script.append(Unknown(message="timeout"))
    job_id = await engine.submit()
    await engine.work_for(2)
    assert len({call.id for call in engine.provider.creates}) == 1
    detail = await engine.look(job_id)
    assert (len(engine.provider.creates), detail.job.state, detail.job.attempt) == (2, JobState.WAITING, 1)


async def test_a_provider_that_can_not_be_asked_fails_the_job_rather_than_pay_again(engine: Engine) -> None:
    engine.use(ScriptedProvider(dedupe=Dedupe.NONE))
    engine.provider.script.append(Unknown(message="connection lost"))
    job_id = await engine.submit()
    await engine.work_for(70)
    detail = await engine.look(job_id)
    assert (detail.job.state, detail.job.error_code) == (JobState.FAILED, "outcome_unknown")
    assert len(engine.provider.creates) == 1


async def test_a_429_waits_as_told_and_uses_no_attempt(engine: Engine) -> None:
    limited = Rejected(reason=RejectReason.RATE_LIMITED, message="slow down", retry_after_s=7)
    engine.provider.script.extend([limited] * 5)
    job_id = await engine.submit()
    await engine.work_for(6)
    assert len(engine.provider.creates) == 1
    await engine.work_for(60)
    detail = await engine.look(job_id)
    assert (detail.job.state, detail.job.attempt) == (JobState.WAITING, 1)
    assert [call.state for call in detail.calls] == [CallState.REJECTED] * 5 + [CallState.ACCEPTED]


async def test_a_429_of_an_hour_is_probed_within_five_minutes(engine: Engine) -> None:
    limited = Rejected(reason=RejectReason.RATE_LIMITED, message="slow down", retry_after_s=3600)
    engine.provider.script.append(limited)
    job_id = await engine.submit()
    await engine.work_for(301)
    assert (await engine.look(job_id)).job.state is JobState.WAITING


async def test_a_refused_token_makes_all_jobs_of_the_provider_wait(engine: Engine) -> None:
    engine.provider.script.append(Rejected(reason=RejectReason.UNAUTHORIZED, message="no credit"))
    for _ in range(5):
        await engine.submit()
    engine.policies["scripted"] = GatePolicy(creates_per_s=1)
    await engine.work()
    sold = len(engine.provider.creates)
    await engine.submit()
    await engine.work_for(30)
    assert len(engine.provider.creates) == sold
    stats = await engine.jobs.stats()
    assert [(pause.model, pause.reason) for pause in stats.pauses] == [
        (EVERY_MODEL, "scripted refuses the token or has no credit left: no credit")
    ]


async def test_a_refusal_of_the_input_is_final(engine: Engine) -> None:
    engine.provider.script.append(Rejected(reason=RejectReason.INVALID, message="width is too large"))
    job_id = await engine.submit()
    await engine.work_for(5)
    job = (await engine.look(job_id)).job
    assert (job.state, job.error_code, job.error_message) == (
        JobState.FAILED,
        "rejected",
        "width is too large",
    )


async def test_a_safety_refusal_is_never_tried_again(engine: Engine) -> None:
    job_id = await engine.submit()
    await engine.work()
    engine.provider.end(status=PredictionStatus.FAILED, error_code="moderation", error_message="NSFW")
    await engine.work_for(60)
    job = (await engine.look(job_id)).job
    assert (job.state, job.error_code, len(engine.provider.creates)) == (JobState.FAILED, "moderation", 1)


async def test_a_transient_failure_is_tried_again_up_to_the_limit_and_failed_only_then(
    engine: Engine,
) -> None:
    job_id = await engine.submit()
    for n in range(3):
        assert (await engine.look(job_id)).job.state is not JobState.FAILED
        await engine.work_for(10)
        engine.provider.end(f"ref-{n}", PredictionStatus.FAILED, error_message="hiccup", retryable=True)
        await engine.work_for(3)
    job = (await engine.look(job_id)).job
    assert (job.state, job.attempt, job.retry_count, len(engine.provider.creates)) == (
        JobState.FAILED,
        3,
        2,
        3,
    )


async def test_an_unreachable_provider_uses_no_attempt_and_is_given_up_after_the_timeout(
    engine: Engine,
) -> None:
    down = Rejected(reason=RejectReason.UNREACHABLE, message="connection refused")
    engine.provider.script.extend([down] * 500)
    job_id = await engine.submit()
    await engine.work_for(50)
    assert (await engine.look(job_id)).job.state is JobState.QUEUED
    await engine.work_for(600)
    job = (await engine.look(job_id)).job
    assert (job.state, job.error_code, job.attempt) == (JobState.FAILED, "provider_unreachable", 0)


async def test_a_queued_job_is_canceled_at_once(engine: Engine) -> None:
    job_id = await engine.submit()
    view = await engine.jobs.cancel(job_id)
    assert view.job.state is JobState.CANCELED
    await engine.work_for(2)
    assert engine.provider.creates == []


async def test_a_running_job_is_canceled_at_the_provider(engine: Engine) -> None:
    job_id = await engine.submit()
    await engine.work()
    await engine.jobs.cancel(job_id)
    await engine.work()
    assert engine.provider.canceled == ["ref-0"]
    engine.provider.end(status=PredictionStatus.CANCELED)
    await engine.work_for(2)
    assert (await engine.look(job_id)).job.state is JobState.CANCELED


async def test_a_cancel_that_comes_while_the_create_is_held_open_cancels(engine: Engine) -> None:
    engine.use(ScriptedProvider(dedupe=Dedupe.KEY, billed=False, synchronous=True))
    job_id = await engine.submit()

    async def canceled_meanwhile(call, *, send_by, **_):  # type: ignore[no-untyped-def]
        await engine.jobs.cancel(job_id)
        return Accepted(prediction=Prediction(ref=call.id, status=PredictionStatus.CANCELED))

    engine.provider.create = canceled_meanwhile  # type: ignore[method-assign]
    await engine.work()
    assert (await engine.look(job_id)).job.state is JobState.CANCELED


async def test_a_cancel_that_comes_while_the_create_is_refused_cancels(engine: Engine) -> None:
    job_id = await engine.submit()

    async def refused_meanwhile(call, *, send_by, **_):  # type: ignore[no-untyped-def]
        await engine.jobs.cancel(job_id)
        return Rejected(reason=RejectReason.UNAUTHORIZED, message="no credit")

    engine.provider.create = refused_meanwhile  # type: ignore[method-assign]
    await engine.work()
    assert (await engine.look(job_id)).job.state is JobState.CANCELED


async def test_a_prediction_past_its_deadline_is_stopped_and_the_job_fails(engine: Engine) -> None:
    job_id = await engine.submit()
    await engine.work_for(72)
    assert "ref-0" in engine.provider.canceled
    engine.provider.end(status=PredictionStatus.CANCELED)
    await engine.work_for(10)
    job = (await engine.look(job_id)).job
    assert (job.state, job.error_code) == (JobState.FAILED, "timed_out")


async def test_a_prediction_that_never_stops_is_looked_at_as_long_as_its_provider_keeps_outputs(
    engine: Engine,
) -> None:
    job_id = await engine.submit()
    await engine.work_for(660, pace_s=5)  # deadline 65 s, retention 600 s
    assert (await engine.look(job_id)).job.state is JobState.WAITING
    await engine.work_for(70, pace_s=5)
    detail = await engine.look(job_id)
    assert (detail.job.error_code, detail.calls[0].state) == ("timed_out", CallState.ORPHAN)


async def test_a_provider_that_can_not_be_asked_how_it_goes_is_asked_later(engine: Engine) -> None:
    job_id = await engine.submit()
    await engine.work()
    engine.provider.failing.extend([ProviderError("500")] * 4)
    engine.provider.end()
    await engine.work_for(60)
    assert (await engine.look(job_id)).job.state is JobState.SUCCEEDED


async def test_a_prediction_that_the_provider_says_it_removed_fails_the_job(engine: Engine) -> None:
    job_id = await engine.submit()
    await engine.work()
    engine.provider.failing.append(PredictionGone("410", sure=True))
    await engine.work_for(2)
    detail = await engine.look(job_id)
    assert (detail.job.error_code, detail.calls[0].state) == ("prediction_gone", CallState.ORPHAN)


async def test_a_late_worker_is_fenced_off_but_its_fact_is_kept(engine: Engine) -> None:
    job_id = await engine.submit()
    [job] = await engine.claim("slow")

    async def sleep_through_the_lease(call, *, send_by, **_):  # type: ignore[no-untyped-def]
        engine.provider.creates.append(call)
        prediction = engine.provider.run(call)
        engine.clock.advance(31)
        [again] = await engine.claim("other")
        assert again.lease_epoch == job.lease_epoch + 1
        return Accepted(prediction=prediction)

    engine.provider.create = sleep_through_the_lease  # type: ignore[method-assign]
    await steps.run(engine.ports, job)
    detail = await engine.look(job_id)
    assert (detail.job.state, detail.job.lease_owner) == (JobState.SUBMITTING, "other")
    assert detail.calls[0].state is CallState.ACCEPTED
    engine.clock.advance(31)
    await engine.work()
    assert (await engine.look(job_id)).job.state is JobState.WAITING
    assert len(engine.provider.creates) == 1


async def test_a_late_opinion_is_not_written(engine: Engine) -> None:
    await engine.submit()
    [job] = await engine.claim("slow")

    async def lose_the_answer_late(call, *, send_by, **_):  # type: ignore[no-untyped-def]
        engine.clock.advance(31)
        await engine.claim("other")
        return Unknown(message="timeout")

    engine.provider.create = lose_the_answer_late  # type: ignore[method-assign]
    with pytest.raises(LeaseLost):
        await steps.run(engine.ports, job)
    detail = await engine.look(job.id)
    assert (detail.calls[0].state, detail.job.attempt) == (CallState.INTENT, 0)


async def test_a_worker_that_reconciles_late_does_not_send_the_call_of_another(engine: Engine) -> None:
    engine.use(ScriptedProvider(dedupe=Dedupe.KEY, billed=False))
    engine.provider.script.append(Unknown(message="timeout"))
    await engine.submit()
    await engine.work()
    [late] = await engine.claim("late")
    engine.clock.advance(31)
    failed = Prediction(ref="ref-0", status=PredictionStatus.FAILED, retryable=True)
    engine.provider.script.append(Accepted(prediction=failed))
    await engine.work("other")  # the first call was bought and failed: another one may be
    engine.clock.advance(10)
    create = engine.provider.create

    async def wake_the_late_one(call, *, send_by, **_):  # type: ignore[no-untyped-def]
        engine.provider.create = create  # type: ignore[method-assign]
        with pytest.raises(LeaseLost):
            await steps.run(engine.ports, late)
        return Rejected(reason=RejectReason.UNREACHABLE, message="it was too late to send it")

    engine.provider.create = wake_the_late_one  # type: ignore[method-assign]
    assert await engine.work("other") == 1
    first, again = engine.provider.creates
    assert first.id == again.id


async def test_a_job_that_keeps_killing_its_workers_is_poisoned(engine: Engine) -> None:
    job_id = await engine.submit()
    for n in range(steps.POISON_CLAIMS):
        await engine.claim(f"dying-{n}")
        engine.clock.advance(31)
    await engine.work()
    assert (await engine.look(job_id)).job.error_code == "poisoned"
