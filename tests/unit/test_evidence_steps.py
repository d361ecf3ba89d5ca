"""A call whose answer was lost: bought again only when it is proved absent, taken only when nothing else can be it."""

from dataclasses import replace

import pytest

from mediagen.errors import LeaseLost
from mediagen.jobs import calls, traits
from mediagen.jobs.audit import audit
from mediagen.jobs.states import CallState, JobState
from mediagen.providers.base import (
    Accepted,
    Dedupe,
    Findings,
    Prediction,
    PredictionStatus,
    Rejected,
    RejectReason,
    Unknown,
)
from mediagen.worker import ledger, steps
from mediagen.worker.loop import Worker, WorkerConfig
from mediagen.worker.ports import Marks
from tests.fakes.scripted import ScriptedProvider
from tests.unit.conftest import Engine

LOST = Unknown(message="The connection broke")


def alike(number: int = 1) -> list[Prediction]:
    """Let predictions stand in the list that look like the call and name none."""
    running = PredictionStatus.RUNNING
    return [Prediction(ref=f"alike-{n}", status=running) for n in range(number)]


def mark(engine: Engine) -> None:
    """Let calls carry markers."""
    marks = Marks(installation="0" * 16, address=lambda provider, marker: f"https://x.invalid/hooks/{marker}")
    engine.ports = replace(engine.ports, marks=marks)


@pytest.mark.parametrize(
    "sees",
    [
        Findings(doubtful=["strange"], seen="strange may be it and can't be compared"),
        Findings(doubtful=[""], seen="1 of that time can't be read"),
        Findings(whole=False, seen="its list is longer than it lets one read"),
        Findings(alike=(), whole=False),
    ],
    ids=["doubtful", "unreadable", "not whole", "not whole, and nothing said"],
)
async def test_what_may_have_been_taken_is_never_bought_again_and_ends_as_unknown(
    engine: Engine, sees: Findings
) -> None:
    engine.provider.script.append(LOST)
    engine.provider.sees = sees
    job_id = await engine.submit()
    await engine.work_for(590, pace_s=5)
    assert (await engine.look(job_id)).job.state is JobState.RECONCILING
    await engine.work_for(120, pace_s=5)
    job = (await engine.look(job_id)).job
    assert (job.state, job.error_code) == (JobState.FAILED, "outcome_unknown")
    assert sees.seen in (job.error_message or "")
    await engine.work_for(600, pace_s=30)
    [record] = (await engine.look(job_id)).calls
    assert (record.state, len(engine.provider.creates)) == (CallState.UNKNOWN, 1)
    found = await audit(engine.db, engine.provider, last_ms=86_400_000, grace_s=30)
    assert ([call.id for call in found.unsure], found.clean) == ([record.id], False)


async def test_doubt_that_passes_does_not_count(engine: Engine) -> None:
    engine.provider.script.append(LOST)
    engine.provider.sees = Findings(whole=False, seen="no end")
    job_id = await engine.submit()
    await engine.work_for(300, pace_s=5)
    engine.provider.sees = Findings()
    await engine.work_for(120, pace_s=5)
    states = [call.state for call in (await engine.look(job_id)).calls]
    assert states == [CallState.ABSENT, CallState.ACCEPTED]


async def test_two_looks_that_found_nothing_count_only_without_doubt_between_them(engine: Engine) -> None:
    engine.provider.script.append(LOST)
    await engine.submit()
    await engine.work_for(15)  # the first look
    engine.provider.sees = Findings(doubtful=["strange"])
    await engine.work_for(26)  # the second look, doubtful
    engine.provider.sees = Findings()
    await engine.work_for(35, pace_s=0.5)
    assert len(engine.provider.creates) == 1


async def test_the_only_one_that_looks_like_it_is_taken(engine: Engine) -> None:
    engine.provider.script.append(LOST)
    [one] = engine.provider.found = alike()
    engine.provider.predictions[one.ref] = one
    job_id = await engine.submit()
    await engine.work_for(15)
    detail = await engine.look(job_id)
    assert (detail.job.state, detail.calls[0].provider_ref) == (JobState.WAITING, one.ref)
    engine.provider.end(one.ref)
    await engine.work_for(10)
    assert (await engine.look(job_id)).job.state is JobState.SUCCEEDED


async def test_the_only_one_that_looks_like_it_is_not_taken_beside_a_doubtful_one(engine: Engine) -> None:
    engine.provider.script.append(LOST)
    engine.provider.found = alike()
    engine.provider.sees = Findings(doubtful=["strange"], seen="strange may be it")
    job_id = await engine.submit()
    await engine.work_for(700, pace_s=5)
    detail = await engine.look(job_id)
    assert (detail.job.error_code, detail.calls[0].provider_ref) == ("outcome_unknown", None)


async def test_more_that_look_like_it_than_were_asked_for_are_somebody_else_s(engine: Engine) -> None:
    engine.provider.script.append(LOST)
    engine.provider.found = alike(2)
    job_id = await engine.submit()
    await engine.work_for(700, pace_s=5)
    detail = await engine.look(job_id)
    assert (detail.job.error_code, detail.calls[0].provider_ref) == ("outcome_unknown", None)
    assert len(engine.provider.creates) == 1


async def test_as_many_that_look_alike_as_were_asked_for_are_shared_out(engine: Engine) -> None:
    engine.provider.script.extend([LOST, LOST])
    engine.provider.found = alike(2)
    engine.provider.predictions.update({each.ref: each for each in engine.provider.found})
    ids = [await engine.submit("same") for _ in range(2)]
    await engine.work_for(20)
    refs = {(await engine.look(job_id)).calls[0].provider_ref for job_id in ids}
    assert refs == {"alike-0", "alike-1"}


async def test_a_call_of_another_time_explains_nothing_that_looks_alike(engine: Engine) -> None:
    engine.provider.script.append(LOST)
    engine.provider.sees = Findings(whole=False)
    first = await engine.submit("same")
    await engine.work_for(300, pace_s=5)
    engine.provider.script.append(LOST)
    engine.provider.found = alike(2)
    engine.provider.sees = Findings()
    later = await engine.submit("same")
    await engine.work_for(60, pace_s=5)
    refs = [(await engine.look(job_id)).calls[0].provider_ref for job_id in (first, later)]
    assert refs == [None, None]


async def test_what_other_calls_have_does_not_count(engine: Engine) -> None:
    await engine.submit("same")
    await engine.work()
    engine.provider.found = [engine.provider.predictions["ref-0"]]
    engine.provider.sees = Findings(doubtful=["ref-0"])
    engine.provider.script.append(LOST)
    job_id = await engine.submit("same")
    await engine.work_for(50)
    states = [call.state for call in (await engine.look(job_id)).calls]
    assert states == [CallState.ABSENT, CallState.ACCEPTED]


async def test_an_answer_that_names_what_another_call_has_is_not_believed(engine: Engine) -> None:
    await engine.submit("first")
    await engine.work()
    engine.provider.script.append(Accepted(prediction=engine.provider.predictions["ref-0"]))
    job_id = await engine.submit("second")
    await engine.work()
    detail = await engine.look(job_id)
    assert (detail.job.state, detail.job.lease_owner) == (JobState.RECONCILING, None)
    assert (detail.calls[0].state, detail.calls[0].provider_ref) == (CallState.UNKNOWN, None)
    engine.provider.found = [engine.provider.run(engine.provider.creates[1])]
    await engine.work_for(15)
    assert (await engine.look(job_id)).calls[0].provider_ref == "ref-1"


async def test_a_provider_with_keys_that_always_names_another_call_is_given_up(engine: Engine) -> None:
    engine.use(ScriptedProvider(dedupe=Dedupe.KEY))
    await engine.submit("first")
    await engine.work()
    engine.provider.script.extend([Accepted(prediction=engine.provider.predictions["ref-0"])] * 100)
    job_id = await engine.submit("second")
    await engine.work_for(200, pace_s=5)
    assert (await engine.look(job_id)).job.error_code == "outcome_unknown"


# ---------------------------------------------------------------------------------------------- markers


async def test_a_provider_that_refuses_markers_gets_calls_without_and_that_is_remembered(
    engine: Engine,
) -> None:
    mark(engine)
    refused = Rejected(reason=RejectReason.MARKER, message="webhook is invalid")
    engine.provider.script.append(refused)
    job_id = await engine.submit()
    await engine.work_for(1)
    detail = await engine.look(job_id)
    assert [call.webhook_url is None for call in engine.provider.creates] == [False, True]
    assert (detail.job.state, detail.job.attempt) == (JobState.WAITING, 1)
    mark(engine)  # as a new process begins
    config = WorkerConfig(concurrency=1, poll_s=1, lease_s=30, policies=engine.policies)
    await Worker(engine.ports, config, engine.clock.sleep, lambda: None)._claim(1)
    await engine.submit()
    await engine.work()
    assert engine.provider.creates[-1].webhook_url is None


async def test_a_provider_that_refuses_the_input_is_not_thought_to_refuse_markers(engine: Engine) -> None:
    mark(engine)
    engine.provider.script.append(Rejected(reason=RejectReason.MARKER, message="webhook_style is invalid"))
    engine.provider.script.append(Rejected(reason=RejectReason.INVALID, message="webhook_style is invalid"))
    job_id = await engine.submit()
    await engine.work_for(1)
    assert (await engine.look(job_id)).job.error_code == "rejected"
    await engine.submit("another")
    await engine.work()
    assert [call.webhook_url is None for call in engine.provider.creates] == [False, True, False]


async def test_a_refusal_of_a_marker_that_was_not_sent_is_final(engine: Engine) -> None:
    engine.provider.script.append(Rejected(reason=RejectReason.MARKER, message="webhook is missing"))
    job_id = await engine.submit()
    await engine.work_for(5)
    job = (await engine.look(job_id)).job
    assert (job.error_code, len(engine.provider.creates)) == ("rejected", 1)


async def test_what_is_learned_of_a_provider_replaces_what_was_known(engine: Engine) -> None:
    for value in ("one", "other"):
        await engine.db.transact(lambda c, value=value: traits.learn(c, "p", "t", value))  # type: ignore[misc]
    assert await engine.db.read(lambda c: traits.value_of(c, "p", "t")) == "other"
    await engine.db.transact(lambda c: traits.forget(c, "p", "t", "one"))
    assert await engine.db.read(lambda c: traits.having(c, "t")) == {"p"}
    await engine.db.transact(lambda c: traits.forget(c, "p", "t", "other"))
    assert await engine.db.read(lambda c: traits.having(c, "t")) == set()


async def test_what_may_not_be_sent_any_more_is_not_sent_and_nothing_is_lost(engine: Engine) -> None:
    job_id = await engine.submit()
    [job] = await engine.claim("asleep")
    create = engine.provider.create

    async def sleep_first(call, **more):  # type: ignore[no-untyped-def]
        engine.clock.advance(31)
        await engine.claim("other")
        return await create(call, **more)

    engine.provider.create = sleep_first  # type: ignore[method-assign]
    with pytest.raises(LeaseLost):
        await steps.run(engine.ports, job)
    assert engine.provider.creates == []
    engine.provider.create = create  # type: ignore[method-assign]
    engine.clock.advance(31)
    await engine.work_for(60)
    detail = await engine.look(job_id)
    assert (detail.job.state, len(engine.provider.creates)) == (JobState.WAITING, 1)


# ---------------------------------------------------------------------------------------------- late


async def absent(engine: Engine) -> str:
    """Return a queued job whose call was given up as absent."""
    engine.provider.script.append(LOST)
    job_id = await engine.submit()
    while (await engine.look(job_id)).job.state is not JobState.QUEUED or not engine.provider.creates:
        await engine.work()
        engine.clock.advance(0.5)
    return job_id


async def tell_late(engine: Engine) -> Prediction:
    """Let the first call's provider call back."""
    call = engine.provider.creates[0]
    prediction = engine.provider.run(call)
    late = await engine.db.transact(lambda c: calls.accept(c, call.id, prediction.ref))
    assert late is calls.Acceptance.LATE
    return prediction


async def test_what_comes_to_light_before_it_is_bought_again_is_used(engine: Engine) -> None:
    job_id = await absent(engine)
    await tell_late(engine)
    await engine.work_for(5)
    detail = await engine.look(job_id)
    assert (detail.job.state, detail.job.attempt, len(engine.provider.creates)) == (JobState.WAITING, 1, 1)
    engine.provider.end()
    await engine.work_for(5)
    assert (await engine.look(job_id)).job.state is JobState.SUCCEEDED


async def test_what_comes_to_light_while_the_gate_is_shut_waits_for_its_job(engine: Engine) -> None:
    await absent(engine)
    await tell_late(engine)
    for _ in range(10):
        engine.clock.advance(10)
        await ledger.settle_due(engine.ports)
    assert engine.provider.canceled == []


async def test_what_comes_to_light_after_another_was_bought_is_stopped_and_closed(engine: Engine) -> None:
    job_id = await absent(engine)
    await engine.work_for(5)
    await tell_late(engine)
    engine.clock.advance(3)
    await ledger.settle_due(engine.ports)
    assert engine.provider.canceled == ["ref-1"]
    engine.provider.end("ref-1", PredictionStatus.CANCELED, cost_micros=9)
    engine.clock.advance(60)
    await ledger.settle_due(engine.ports)
    late, used = (await engine.look(job_id)).calls
    assert (late.state, late.cost_micros, late.due_at) == (CallState.ORPHAN, 9, None)
    assert late.finished_at is not None
    assert used.state is CallState.ACCEPTED
    engine.provider.end("ref-0")
    await engine.work_for(10)
    assert (await engine.look(job_id)).job.state is JobState.SUCCEEDED


async def test_what_comes_to_light_while_another_answer_is_out_waits_for_it(engine: Engine) -> None:
    job_id = await absent(engine)
    engine.provider.script.append(LOST)
    await engine.work_for(5)
    assert (await engine.look(job_id)).job.state is JobState.RECONCILING
    await tell_late(engine)
    engine.clock.advance(3)
    await ledger.settle_due(engine.ports)
    assert engine.provider.canceled == []
    await engine.work_for(60)  # the second call proves absent, so that the first is used
    detail = await engine.look(job_id)
    assert [call.state for call in detail.calls] == [CallState.ACCEPTED, CallState.ABSENT]
    assert (detail.job.state, len(engine.provider.creates)) == (JobState.WAITING, 2)


async def test_a_sibling_in_the_list_is_a_late_fact_too(engine: Engine) -> None:
    mark(engine)
    job_id = await absent(engine)
    engine.provider.script.append(LOST)
    await engine.work_for(5)
    first = engine.provider.creates[0]
    sibling = engine.provider.run(first, marker=first.marker, call_id=None)
    engine.provider.sees = Findings(siblings=[sibling])
    await engine.work_for(60)
    detail = await engine.look(job_id)
    assert [call.state for call in detail.calls] == [CallState.ACCEPTED, CallState.ABSENT]
    assert (detail.job.state, len(engine.provider.creates)) == (JobState.WAITING, 2)


# ---------------------------------------------------------------------------------------------- marked, and another's


async def told_to_another(engine: Engine) -> str:
    """Return a job whose lost call was taken, and whose prediction another job's create was answered with."""
    mark(engine)
    engine.provider.script.append(LOST)
    job_id = await engine.submit("first")
    await engine.work()
    taken = engine.provider.run(engine.provider.creates[0])
    engine.provider.script.append(Accepted(prediction=replace(taken, call_id=None)))
    await engine.submit("second")
    await engine.work()
    engine.provider.found = [taken]
    return job_id


async def test_a_call_whose_marker_is_shown_is_never_absent_though_another_call_has_it(
    engine: Engine,
) -> None:
    job_id = await told_to_another(engine)
    await engine.work_for(700, pace_s=5)
    job = (await engine.look(job_id)).job
    assert (job.error_code, len(engine.provider.creates)) == ("outcome_unknown", 2)
    assert "another call has it" in (job.error_message or "")


async def test_the_ledger_looks_for_such_a_call_no_longer_than_its_provider_can_tell(engine: Engine) -> None:
    job_id = await told_to_another(engine)
    await engine.work_for(700, pace_s=5)
    for _ in range(60):
        engine.clock.advance(60)
        await ledger.settle_due(engine.ports)
    [record] = (await engine.look(job_id)).calls
    assert (record.state, record.due_at) == (CallState.UNKNOWN, None)
