"""What every database must do for the ledger: one live call a job, facts kept for ever, late opinions refused."""

import asyncio
from dataclasses import replace

import pytest
from sqlalchemy import update
from sqlalchemy.exc import IntegrityError

from mediagen.db.engine import Connection
from mediagen.db.tables import provider_calls
from mediagen.errors import LeaseLost
from mediagen.jobs import calls, events, repository
from mediagen.jobs.calls import SEND_WITHIN_MS, Acceptance
from mediagen.jobs.model import CallRecord, EventType
from mediagen.jobs.states import LIVE_CALLS, CallState, JobState
from tests.conformance.databases import PROVIDER, Desk

OVER = sorted(set(CallState) - LIVE_CALLS - {CallState.ORPHAN})
TAKEN_AND_OVER = [CallState.SUCCEEDED, CallState.FAILED, CallState.CANCELED]


async def read(desk: Desk, call: CallRecord) -> CallRecord:
    found = await desk.run(calls.get, call.id)
    assert found is not None
    return found


# ---------------------------------------------------------------------------------------------- intent


async def test_an_intent_says_until_when_it_may_be_sent_and_when_it_must_have_ended(desk: Desk) -> None:
    job, now = await desk.add(), desk.clock.now_ms()
    call = await desk.intend(job, "call-1")
    assert call == CallRecord(
        id="call-1",
        job_id=job.id,
        seq=1,
        provider=PROVIDER,
        model=job.model,
        state=CallState.INTENT,
        provider_ref=None,
        created_at=now,
        send_by=now + SEND_WITHIN_MS,
        deadline_at=now + SEND_WITHIN_MS + 60_000,
        finished_at=None,
        cost_micros=None,
        error=None,
        marked=True,
        timeout_ms=60_000,
    )
    assert await read(desk, call) == call


async def test_the_calls_of_a_job_are_numbered_from_one(desk: Desk) -> None:
    job, other = await desk.add(), await desk.add()
    made = [await desk.call(job, CallState.ABSENT) for _ in range(3)]
    await desk.call(other)
    assert [call.seq for call in made] == [1, 2, 3]
    history = await desk.run(calls.history, [job.id, other.id, "nobody"])
    assert {job_id: [call.seq for call in found] for job_id, found in history.items()} == {
        job.id: [1, 2, 3],
        other.id: [1],
    }


@pytest.mark.parametrize("state", sorted(LIVE_CALLS))
async def test_a_job_with_a_live_call_gets_no_second_one(desk: Desk, state: CallState) -> None:
    job = await desk.add()
    call = await desk.call(job, state)
    before = await desk.everything()
    with pytest.raises(IntegrityError):
        await desk.intend(job, "second")
    assert await desk.everything() == before
    assert await desk.run(calls.live, job.id) == call


@pytest.mark.parametrize("state", OVER)
async def test_a_job_whose_call_is_over_has_no_live_one_and_may_get_another(
    desk: Desk, state: CallState
) -> None:
    job = await desk.add()
    await desk.call(job, state)
    assert await desk.run(calls.live, job.id) is None
    second = await desk.call(job)
    assert await desk.run(calls.live, job.id) == second


async def test_workers_side_by_side_write_one_intent_for_a_job(desk: Desk) -> None:
    job = await desk.add()
    async with desk.again() as other:
        desks = [desk, replace(desk, db=other)] * 5
        results = await asyncio.gather(
            *(d.intend(job, f"call-{n}") for n, d in enumerate(desks)),
            return_exceptions=True,
        )
    assert [type(result) for result in results].count(CallRecord) == 1
    assert [type(result) for result in results].count(IntegrityError) == 9


# ---------------------------------------------------------------------------------------------- facts


@pytest.mark.parametrize("state", [CallState.INTENT, CallState.UNKNOWN])
async def test_a_fact_is_recorded_whatever_was_believed(desk: Desk, state: CallState) -> None:
    call = await desk.call(await desk.add(), state)
    assert await desk.run(calls.accept, call.id, "ref-1") is Acceptance.RECORDED
    found = await read(desk, call)
    assert (found.state, found.provider_ref) == (CallState.ACCEPTED, "ref-1")


async def test_a_fact_may_be_told_many_times(desk: Desk) -> None:
    call = await desk.call(await desk.add(), CallState.ACCEPTED)
    before = await desk.everything()
    assert await desk.run(calls.accept, call.id, "ref-1") is Acceptance.RECORDED
    assert await desk.everything() == before


async def test_a_call_keeps_the_first_ref_that_it_was_told(desk: Desk) -> None:
    call = await desk.call(await desk.add(), CallState.ACCEPTED)
    assert await desk.run(calls.accept, call.id, "ref-2") is Acceptance.OVER
    assert (await read(desk, call)).provider_ref == "ref-1"


@pytest.mark.parametrize("state", TAKEN_AND_OVER)
async def test_a_fact_on_a_call_that_has_ended_changes_nothing(desk: Desk, state: CallState) -> None:
    call = await desk.call(await desk.add(), state)
    before = await desk.everything()
    assert await desk.run(calls.accept, call.id, "ref-1") is Acceptance.OVER
    assert await desk.everything() == before


async def test_a_call_that_was_refused_and_taken_all_the_same_came_late(desk: Desk) -> None:
    call = await desk.call(await desk.add(), CallState.REJECTED)
    assert await desk.run(calls.accept, call.id, "ref-1") is Acceptance.LATE
    found = await read(desk, call)
    assert (found.provider_ref, found.state, found.finished_at) == ("ref-1", CallState.ORPHAN, None)


async def test_a_fact_on_no_call_of_ours_is_ignored(desk: Desk) -> None:
    assert await desk.run(calls.accept, "nobody", "ref-1") is Acceptance.OVER


async def test_a_fact_that_comes_after_the_call_was_given_up_makes_it_an_orphan(desk: Desk) -> None:
    job = await desk.add()
    call = await desk.call(job, CallState.ABSENT)
    second = await desk.call(job)
    assert await desk.run(calls.accept, call.id, "late") is Acceptance.LATE
    found = await read(desk, call)
    assert (found.state, found.provider_ref) == (CallState.ORPHAN, "late")
    assert await desk.run(calls.live, job.id) == second
    assert await desk.run(calls.accept, call.id, "late") is Acceptance.OVER


async def test_a_prediction_belongs_to_one_call_alone(desk: Desk) -> None:
    await desk.call(await desk.add(), CallState.ACCEPTED, ref="ref-1")
    second = await desk.call(await desk.add(), CallState.UNKNOWN)
    assert await desk.run(calls.accept, second.id, "ref-1") is Acceptance.TAKEN
    assert await read(desk, second) == second


async def test_the_same_ref_at_another_provider_is_another_prediction(desk: Desk) -> None:
    await desk.call(await desk.add(), CallState.ACCEPTED, ref="ref-1")
    second = await desk.call(await desk.add(provider="drawer"))
    assert await desk.run(calls.accept, second.id, "ref-1") is Acceptance.RECORDED


async def test_a_prediction_that_was_taken_leaves_the_rest_of_the_transaction_whole(desk: Desk) -> None:
    await desk.call(await desk.add(), CallState.ACCEPTED, ref="ref-1")
    job = await desk.add()
    second = await desk.call(job, CallState.UNKNOWN)

    def try_both(connection: Connection) -> list[Acceptance]:
        events.append(connection, job.id, EventType.RECONCILING, {})
        return [calls.accept(connection, second.id, ref) for ref in ("ref-1", "ref-2")]

    assert await desk.run(try_both) == [Acceptance.TAKEN, Acceptance.RECORDED]
    assert (await read(desk, second)).provider_ref == "ref-2"
    assert (await desk.run(events.after, 0, limit=100))[-1].type == EventType.RECONCILING


async def test_a_fact_needs_no_lease(desk: Desk) -> None:
    call = await desk.call(await desk.add(), CallState.INTENT)
    await desk.claimed("somebody else")
    assert await desk.run(calls.accept, call.id, "ref-1") is Acceptance.RECORDED


async def test_told_the_same_fact_at_once_everyone_hears_that_it_is_recorded(desk: Desk) -> None:
    call = await desk.call(await desk.add())
    async with desk.again() as other:
        desks = [desk, replace(desk, db=other)] * 5
        heard = await asyncio.gather(*(d.run(calls.accept, call.id, "ref-1") for d in desks))
    assert set(heard) == {Acceptance.RECORDED}


# ---------------------------------------------------------------------------------------------- opinions


@pytest.mark.parametrize("to", [CallState.UNKNOWN, CallState.REJECTED, CallState.ABSENT])
async def test_an_opinion_on_a_call_that_may_be_on_its_way_is_written(desk: Desk, to: CallState) -> None:
    call = await desk.call(await desk.add())
    desk.clock.advance(1)
    await desk.run(calls.settle, call.id, to, error="502")
    found = await read(desk, call)
    ended = None if to is CallState.UNKNOWN else desk.clock.now_ms()
    assert (found.state, found.error, found.finished_at) == (to, "502", ended)


@pytest.mark.parametrize("to", [*TAKEN_AND_OVER, CallState.ORPHAN])
async def test_how_a_call_ended_is_written_with_what_it_cost(desk: Desk, to: CallState) -> None:
    call = await desk.call(await desk.add(), CallState.ACCEPTED)
    await desk.run(calls.settle, call.id, to, cost_micros=3000)
    found = await read(desk, call)
    assert (found.state, found.cost_micros, found.finished_at) == (to, 3000, desk.clock.now_ms())


@pytest.mark.parametrize("to", sorted(set(CallState) - {CallState.INTENT}))
@pytest.mark.parametrize("state", OVER)
async def test_an_opinion_on_a_call_that_is_over_is_a_lost_lease_and_undoes_its_transaction(
    desk: Desk, state: CallState, to: CallState
) -> None:
    job = await desk.add()
    call = await desk.call(job, state)
    before = await desk.everything()

    def write(connection: Connection) -> None:
        events.append(connection, job.id, EventType.FAILED, {})
        calls.settle(connection, call.id, to)

    with pytest.raises(LeaseLost, match=call.id):
        await desk.run(write)
    assert await desk.everything() == before


async def test_an_opinion_on_no_call_of_ours_is_a_lost_lease(desk: Desk) -> None:
    with pytest.raises(LeaseLost):
        await desk.run(calls.settle, "nobody", CallState.ABSENT)


async def test_a_late_worker_can_not_call_the_next_worker_s_intent_unknown(desk: Desk) -> None:
    await desk.add()
    [late] = await desk.claimed("late")
    first = await desk.call(late)
    await desk.run(calls.settle, first.id, CallState.ABSENT)
    second = await desk.call(late)
    with pytest.raises(LeaseLost):
        await desk.run(calls.settle, first.id, CallState.UNKNOWN)
    assert await read(desk, second) == second


async def test_an_accepted_call_can_not_become_unknown_again(desk: Desk) -> None:
    call = await desk.call(await desk.add(), CallState.ACCEPTED)
    with pytest.raises(LeaseLost, match=call.id):
        await desk.run(calls.settle, call.id, CallState.UNKNOWN)
    assert await read(desk, call) == call


# ---------------------------------------------------------------------------------------------- the last net


async def test_what_was_made_is_what_succeeded_or_else_the_last_that_ended(desk: Desk) -> None:
    job = await desk.add()
    assert await desk.run(calls.made, job.id) is None
    for ref in ("ref-0", "ref-1"):
        failed = await desk.call(job, CallState.FAILED, ref=ref)
        assert await desk.run(calls.made, job.id) == failed
    call = await desk.call(job, CallState.SUCCEEDED, ref="ref-2")
    assert await desk.run(calls.made, job.id) == call


async def test_a_job_has_one_call_that_succeeded_at_most(desk: Desk) -> None:
    job = await desk.add()
    await desk.call(job, CallState.SUCCEEDED, ref="ref-1")
    second = await desk.call(job, CallState.ACCEPTED, ref="ref-2")
    with pytest.raises(IntegrityError):
        await desk.run(calls.settle, second.id, CallState.SUCCEEDED)


@pytest.mark.parametrize("changes", [{"provider_ref": "other"}, {"provider_ref": None}, {"job_id": "other"}])
async def test_what_the_ledger_knows_is_never_overwritten(desk: Desk, changes: dict[str, str | None]) -> None:
    call = await desk.call(await desk.add(), CallState.ACCEPTED)
    statement = update(provider_calls).where(provider_calls.c.id == call.id).values(**changes)
    with pytest.raises(IntegrityError):
        await desk.run(lambda connection: connection.execute(statement))
    assert await read(desk, call) == call


async def test_a_job_and_its_ledger_move_together_or_not_at_all(desk: Desk) -> None:
    await desk.add()
    [job] = await desk.claimed()
    call = await desk.call(job)
    before = await desk.everything()

    def write(connection: Connection) -> None:
        calls.settle(connection, call.id, CallState.UNKNOWN)
        repository.transition(connection, job.lease, JobState.STORING, attempt=1)

    with pytest.raises(IntegrityError, match="illegal transition"):
        await desk.run(write)
    assert await desk.everything() == before
