"""Settling by hand: what somebody says of a lost call, right or wrong, loses nothing and teaches nothing wrong."""

from dataclasses import replace

import pytest

from mediagen.errors import Conflict, PredictionGone
from mediagen.jobs import calls, pauses
from mediagen.jobs.states import CallState, JobState
from mediagen.providers.base import Call, Findings, Prediction, PredictionStatus, Unknown
from mediagen.worker import ledger
from mediagen.worker.ports import Marks
from mediagen.worker.turns import call_of
from tests.fakes.replicate import FakeReplicate
from tests.fakes.replicate_client import a_call, bought, provider_at
from tests.unit.conftest import Engine

LOST = Unknown(message="The connection broke")


def running(engine: Engine, ref: str) -> Prediction:
    """Let a prediction run at the provider that names no call."""
    engine.provider.predictions[ref] = Prediction(ref=ref, status=PredictionStatus.RUNNING)
    return engine.provider.predictions[ref]


async def unknown(engine: Engine) -> str:
    """Return a job that ended without anybody knowing what became of its marked call."""
    marks = Marks(installation="0" * 16, address=lambda provider, marker: f"https://x.invalid/hooks/{marker}")
    engine.ports = replace(engine.ports, marks=marks)
    engine.provider.script.append(LOST)
    engine.provider.sees = Findings(doubtful=["x"], seen="x may be it")
    job_id = await engine.submit()
    await engine.work_for(720, pace_s=10)
    assert (await engine.look(job_id)).job.error_code == "outcome_unknown"
    engine.provider.sees = Findings()
    return job_id


async def test_a_slip_of_the_pen_settles_nothing(engine: Engine) -> None:
    job_id = await unknown(engine)
    engine.provider.failing.append(PredictionGone("no such prediction"))
    with pytest.raises(Conflict, match="does not show 'typo'"):
        await engine.jobs.adopt(job_id, "typo")
    running(engine, "right")
    adopted = (await engine.jobs.adopt(job_id, "right")).job
    await engine.work_for(5)
    engine.provider.end("right")
    await engine.work_for(10)
    assert (await engine.look(adopted.id)).job.state is JobState.SUCCEEDED
    assert len(engine.provider.creates) == 1


async def test_what_is_adopted_by_hand_may_carry_the_marker_of_the_call_that_was_lost(engine: Engine) -> None:
    job_id = await unknown(engine)
    running(engine, "right")
    adopted = (await engine.jobs.adopt(job_id, "right")).job
    [record] = (await engine.look(adopted.id)).calls
    call = call_of(engine.ports, engine.provider, adopted, record)
    assert (call.marker, call.webhook_url) == (None, None)
    async with FakeReplicate() as fake, provider_at(fake.url) as replicate:
        lost = await bought(replicate, a_call(hook=True))
        assert (await replicate.get(replace(call, ref=lost.ref))).ref == lost.ref


async def test_what_is_adopted_by_hand_teaches_nothing_about_markers(engine: Engine) -> None:
    job_id = await unknown(engine)
    running(engine, "somebody-s")
    await engine.jobs.adopt(job_id, "somebody-s")
    engine.provider.found = [running(engine, "another-s")]
    engine.provider.sees = Findings(unmarked=["somebody-s", "another-s"])
    engine.provider.script.append(LOST)
    second = await engine.submit("second")
    await engine.work_for(60)
    assert (await engine.look(second)).calls[0].provider_ref is None


async def test_the_second_of_two_adoptions_is_refused(engine: Engine) -> None:
    job_id = await unknown(engine)
    for ref in ("one", "other"):
        running(engine, ref)
    await engine.jobs.adopt(job_id, "one")
    for ref in ("one", "other"):
        with pytest.raises(Conflict):
            await engine.jobs.adopt(job_id, ref)
    with pytest.raises(Conflict):
        await engine.jobs.declare_absent(job_id)
    known = await engine.db.read(lambda c: calls.known_refs(c, "scripted", ["one", "other"]))
    assert known == {"one"}


async def test_what_was_bought_waits_behind_no_queue_and_no_gate(engine: Engine) -> None:
    job_id = await unknown(engine)
    for number in range(3):
        await engine.submit(f"before {number}", priority=5)
    running(engine, "right")
    adopted = (await engine.jobs.adopt(job_id, "right")).job
    await engine.db.transact(
        lambda c: pauses.begin(c, "scripted", "", for_ms=3_600_000, reason="no credit", job_id="")
    )
    claimed = await engine.claim()
    assert [job.id for job in claimed] == [adopted.id]


async def test_what_was_bought_is_claimed_once_beside_what_is_to_be_bought(engine: Engine) -> None:
    job_id = await unknown(engine)
    running(engine, "right")
    adopted = (await engine.jobs.adopt(job_id, "right")).job
    other = await engine.submit("another")
    assert [job.id for job in await engine.claim()] == [adopted.id, other]


async def test_what_is_found_after_the_end_is_not_stopped_and_can_be_adopted(engine: Engine) -> None:
    job_id = await unknown(engine)
    [record] = (await engine.look(job_id)).calls
    found = replace(running(engine, "right"), call_id=record.id)
    engine.provider.found = [found]
    for _ in range(5):
        engine.clock.advance(60)
        await ledger.settle_due(engine.ports)
    [record] = (await engine.look(job_id)).calls
    assert (record.state, record.due_at) == (CallState.UNKNOWN, None)
    assert "It is right at the provider, running" in (record.seen or "")
    assert engine.provider.canceled == []
    adopted = (await engine.jobs.adopt(job_id, "right")).job
    await engine.work_for(5)
    engine.provider.end("right")
    await engine.work_for(10)
    assert (await engine.look(adopted.id)).job.state is JobState.SUCCEEDED


async def test_what_is_adopted_by_hand_and_failed_buys_nothing(engine: Engine) -> None:
    job_id = await unknown(engine)
    running(engine, "right")
    adopted = (await engine.jobs.adopt(job_id, "right")).job
    await engine.work_for(5)
    engine.provider.end("right", PredictionStatus.FAILED, retryable=True, error_message="try again")
    await engine.work_for(60)
    assert (await engine.look(adopted.id)).job.state is JobState.FAILED
    assert len(engine.provider.creates) == 1


async def test_what_was_bought_for_another_job_is_not_adopted(engine: Engine) -> None:
    job_id = await unknown(engine)
    [record] = (await engine.look(job_id)).calls
    async with FakeReplicate() as fake, provider_at(fake.url) as replicate:
        call = replace(a_call("a red fox"), id=record.id)
        of_another = await bought(replicate, a_call("a red fox", hook=True))
        other_prompt = await bought(replicate, a_call("a pond"))
        fine = await bought(replicate, a_call("a red fox"))
        said = [
            await replicate.against(replace(call, ref=each.ref)) for each in (of_another, other_prompt, fine)
        ]
    assert said == ["its marker names another call", "its prompt is another one", ""]


async def test_what_the_provider_says_against_it_is_told_and_settles_nothing(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def against(call: Call) -> str:
        return "its prompt is another one"

    job_id = await unknown(engine)
    monkeypatch.setattr(engine.provider, "against", against)
    with pytest.raises(Conflict, match="'wrong' is not what this job asked for: its prompt is another one"):
        await engine.jobs.adopt(job_id, "wrong")
    assert (await engine.look(job_id)).calls[0].settled_at is None


async def test_what_may_have_been_charged_is_not_tried_again_before_it_is_settled(engine: Engine) -> None:
    job_id = await unknown(engine)
    with pytest.raises(Conflict, match="may have been charged"):
        await engine.jobs.retry(job_id)
    await engine.jobs.declare_absent(job_id)
    await engine.jobs.retry(job_id)
    await engine.work()
    assert len(engine.provider.creates) == 2
