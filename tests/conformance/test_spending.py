"""What every database must tell the spend audit of the ledger."""

import pytest

from mediagen.jobs import calls, spending, wishes
from mediagen.jobs.states import CallState, JobState
from tests.conformance.databases import PROVIDER, Desk

TAKEN = (CallState.ACCEPTED, CallState.SUCCEEDED, CallState.FAILED, CallState.CANCELED, CallState.ORPHAN)


async def test_calls_that_were_taken_since_then_count_as_charged(desk: Desk) -> None:
    await desk.call(await desk.add(), CallState.SUCCEEDED, "too-old")
    desk.clock.advance(60)
    since = desk.clock.now_ms()
    for state in CallState:
        await desk.call(await desk.add(), state, f"ref-{state}")
        desk.clock.advance(1)
    charged = await desk.run(spending.charged_since, PROVIDER, since)
    assert {call.state for call in charged} == set(TAKEN)
    assert [call.created_at for call in charged] == sorted(call.created_at for call in charged)
    assert await desk.run(spending.charged_since, "another", since) == []


async def test_calls_without_an_answer_count_while_their_job_is_at_work(desk: Desk) -> None:
    for state in CallState:
        await desk.call(await desk.add(), state, f"ref-{state}")
    ended = await desk.add()
    await desk.call(ended, CallState.UNKNOWN)
    await desk.run(wishes.request_cancel, ended)
    unanswered = await desk.run(spending.unanswered, PROVIDER)
    assert {call.state for call in unanswered} == {CallState.INTENT, CallState.UNKNOWN}
    assert ended.id not in {call.job_id for call in unanswered}
    assert (await desk.job(ended.id)).state is JobState.CANCELED


async def test_refs_are_known_of_their_provider_only_and_in_any_number(desk: Desk) -> None:
    for number in range(3):
        await desk.call(await desk.add(), CallState.ACCEPTED, f"ref-{number}")
    asked = [f"ref-{number}" for number in range(1, 2_500)]
    assert await desk.run(calls.known_refs, PROVIDER, asked) == {"ref-1", "ref-2"}
    assert await desk.run(calls.known_refs, "another", asked) == set()
    assert await desk.run(calls.known_refs, PROVIDER, []) == set()


@pytest.mark.parametrize(
    "first",
    [CallState.SUCCEEDED, CallState.FAILED, CallState.CANCELED, CallState.ORPHAN, CallState.REJECTED],
)
async def test_a_job_is_bought_twice_when_what_was_bought_before_had_not_failed(
    desk: Desk, first: CallState
) -> None:
    job = await desk.add()
    await desk.call(job, first, "ref-1")
    desk.clock.advance(1)
    since = desk.clock.now_ms()
    await desk.call(job, CallState.ACCEPTED, "ref-2")
    twice = await desk.run(spending.bought_twice, PROVIDER, since)
    expected = [] if first in (CallState.FAILED, CallState.REJECTED) else [[first, CallState.ACCEPTED]]
    assert [[call.state for call in several] for several in twice] == expected
    assert await desk.run(spending.bought_twice, PROVIDER, since + 1) == []
