"""What every database must do for the gates of providers: never more calls than allowed, and none for nothing."""

import asyncio
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mediagen.jobs import gates, repository
from mediagen.jobs.gates import GatePolicy, Opening
from mediagen.jobs.states import CallState, JobState
from tests.conformance.databases import DATABASES, PROVIDER, Desk
from tests.fakes.clock import ManualClock

FIVE = GatePolicy(creates_per_s=5)  # one every 200 ms, five at once


async def opening(desk: Desk, policy: GatePolicy = FIVE) -> Opening:
    return await desk.run(gates.opening, PROVIDER, policy)


async def take(desk: Desk, calls: int, policy: GatePolicy = FIVE) -> None:
    await desk.run(gates.take, PROVIDER, calls, policy)


# ---------------------------------------------------------------------------------------------- rate


@pytest.mark.parametrize(("creates_per_s", "burst"), [(5, 5), (1, 1), (0.1, 1), (2.9, 2), (1000, 1000)])
async def test_a_quiet_second_lets_a_second_s_worth_of_calls_start_at_once(
    desk: Desk, creates_per_s: float, burst: int
) -> None:
    policy = GatePolicy(creates_per_s=creates_per_s)
    assert await opening(desk, policy) == Opening(slots=burst)


async def test_a_burst_shuts_the_gate_until_the_next_call_may_start(desk: Desk) -> None:
    await take(desk, 5)
    shut = await opening(desk)
    assert shut.slots == 0
    assert shut.next_at is not None
    assert 200 <= shut.next_at - desk.clock.now_ms() <= 202
    desk.clock.advance((shut.next_at - desk.clock.now_ms()) / 1000)
    assert (await opening(desk)).slots == 1


async def test_a_part_of_the_burst_leaves_the_rest(desk: Desk) -> None:
    await take(desk, 2)
    assert (await opening(desk)).slots == 3


async def test_the_gate_refills_at_its_rate_and_never_beyond_one_burst(desk: Desk) -> None:
    await take(desk, 5)
    desk.clock.advance(0.6)
    assert (await opening(desk)).slots == 3
    desk.clock.advance(0.4)
    assert (await opening(desk)).slots == 5
    desk.clock.advance(3600)
    assert (await opening(desk)).slots == 5


async def test_a_slow_gate_opens_once_in_its_interval(desk: Desk) -> None:
    slow = GatePolicy(creates_per_s=0.1)
    await take(desk, 1, slow)
    desk.clock.advance(9.9)
    assert (await opening(desk, slow)).slots == 0
    desk.clock.advance(0.2)
    assert (await opening(desk, slow)).slots == 1


async def test_claim_takes_what_the_gate_lets_through_and_tells_when_it_opens_again(desk: Desk) -> None:
    for _ in range(7):
        await desk.add()
    policies = {PROVIDER: FIVE}
    assert len((await desk.claim(policies=policies)).jobs) == 5
    shut = await desk.claim(policies=policies)
    assert list(shut.jobs) == []
    assert shut.next_at is not None
    desk.clock.advance((shut.next_at - desk.clock.now_ms()) / 1000)
    assert len((await desk.claim(policies=policies)).jobs) == 1


async def test_claimers_side_by_side_share_one_gate(desk: Desk) -> None:
    await desk.run(repository.insert_many, [desk.new() for _ in range(30)])
    claims = await asyncio.gather(*(desk.claim(f"w{n}", policies={PROVIDER: FIVE}) for n in range(8)))
    assert sum(len(claim.jobs) for claim in claims) == 5


async def test_a_shut_gate_holds_no_other_provider_up(desk: Desk) -> None:
    await desk.add()
    other = await desk.add(provider="drawer")
    policies = {PROVIDER: FIVE, "drawer": FIVE}
    await take(desk, 5)
    assert [job.id for job in (await desk.claim(policies=policies)).jobs] == [other.id]


STEPS = st.lists(st.tuples(st.integers(0, 700), st.integers(1, 9)), min_size=5, max_size=40)


@pytest.mark.parametrize("database", sorted(DATABASES))
@settings(max_examples=20, deadline=None)
@given(steps=STEPS, rate=st.sampled_from([0.7, 2.0, 5.0, 33.0]))
def test_no_window_of_time_sees_more_calls_than_the_rate_and_one_burst(
    database: str, steps: Sequence[tuple[int, int]], rate: float
) -> None:
    started = asyncio.run(_start_calls(database, steps, GatePolicy(creates_per_s=rate)))
    for first, (begin, _) in enumerate(started):
        for last in range(first, len(started)):
            calls = sum(count for _, count in started[first : last + 1])
            seconds = (started[last][0] - begin) / 1000
            rounding = 0.01 * (last - first + 1)  # each take may be a millisecond short
            assert calls <= max(1, int(rate)) + rate * seconds + rounding


async def _start_calls(
    database: str, steps: Sequence[tuple[int, int]], policy: GatePolicy
) -> list[tuple[int, int]]:
    clock = ManualClock()
    started = []
    with TemporaryDirectory() as folder:
        async with DATABASES[database](Path(folder), clock) as db:
            for pause_ms, wanted in steps:
                clock.advance(pause_ms / 1000)
                found = await db.transact(lambda c: gates.opening(c, PROVIDER, policy))
                calls = min(wanted, found.slots)
                if calls:
                    await db.transact(lambda c, calls=calls: gates.take(c, PROVIDER, calls, policy))  # type: ignore[misc]
                    started.append((clock.now_ms(), calls))
    return started


# ---------------------------------------------------------------------------------------------- calls in flight


@pytest.mark.parametrize("state", [CallState.INTENT, CallState.UNKNOWN, CallState.ACCEPTED])
async def test_a_call_that_may_be_at_work_takes_a_place_in_flight(desk: Desk, state: CallState) -> None:
    policy = GatePolicy(creates_per_s=5, max_in_flight=2)
    await desk.call(await desk.add(), state)
    assert (await opening(desk, policy)).slots == 1
    await desk.call(await desk.add(), state, ref="ref-2")
    assert (await opening(desk, policy)).slots == 0


@pytest.mark.parametrize(
    "state", [CallState.SUCCEEDED, CallState.FAILED, CallState.REJECTED, CallState.ABSENT]
)
async def test_a_call_that_is_over_gives_its_place_free(desk: Desk, state: CallState) -> None:
    await desk.call(await desk.add(), state)
    assert (await opening(desk, GatePolicy(creates_per_s=5, max_in_flight=1))).slots == 1


async def test_a_call_of_which_nobody_will_learn_more_gives_its_place_free(desk: Desk) -> None:
    """Its job has ended with `outcome_unknown`; counted for good, it would shut the gate for good."""
    await desk.call(await desk.job_in(JobState.RECONCILING), CallState.UNKNOWN)
    policy = GatePolicy(creates_per_s=5, max_in_flight=1)
    assert (await opening(desk, policy)).slots == 0
    [job] = await desk.claimed()
    await desk.move(job.lease, JobState.FAILED, error_code="outcome_unknown", error_message="no answer")
    assert (await opening(desk, policy)).slots == 1


async def test_calls_of_other_providers_take_no_place(desk: Desk) -> None:
    await desk.call(await desk.add(provider="drawer"))
    assert (await opening(desk, GatePolicy(creates_per_s=5, max_in_flight=1))).slots == 1


async def test_claim_keeps_to_the_places_in_flight(desk: Desk) -> None:
    await desk.call(await desk.add(), CallState.ACCEPTED)
    policies = {PROVIDER: GatePolicy(creates_per_s=100, max_in_flight=3)}
    for _ in range(5):
        await desk.add()
    assert len((await desk.claim(policies=policies)).jobs) == 2


async def test_a_job_that_was_claimed_to_be_bought_takes_its_place_before_its_call_is_written(
    desk: Desk,
) -> None:
    policies = {PROVIDER: GatePolicy(creates_per_s=100, max_in_flight=3)}
    await desk.run(repository.insert_many, [desk.new() for _ in range(5)])
    claims = await asyncio.gather(*(desk.claim(f"w{n}", limit=2, policies=policies) for n in range(4)))
    assert sum(len(claim.jobs) for claim in claims) == 3
    [job, *_] = [job for claim in claims for job in claim.jobs]
    await desk.intend(job, "call-1")
    await desk.move(job.lease, JobState.SUBMITTING)
    assert [again.id for again in (await desk.claim("w9", policies=policies)).jobs] == [job.id]
