"""What every database must do for jobs: keep them, deal them out, fence late writers off, list them."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace

import pytest

from mediagen.db.engine import Connection
from mediagen.errors import LeaseLost
from mediagen.jobs import events, leases, listing, repository
from mediagen.jobs.due import WORKING
from mediagen.jobs.gates import GatePolicy
from mediagen.jobs.listing import JobFilter
from mediagen.jobs.model import EventType, Job, Lease
from mediagen.jobs.states import STATUS_OF, TERMINAL, JobState, JobStatus
from tests.conformance.databases import LEASE_MS, Desk

LEASE_S = LEASE_MS / 1000


def ids(jobs: list[Job]) -> list[str]:
    return [job.id for job in jobs]


# ---------------------------------------------------------------------------------------------- insert and read


async def test_a_job_reads_back_as_insert_returned_it(desk: Desk) -> None:
    job = await desk.add(
        "ein Fuchs 🦊 '; DROP TABLE jobs; --",
        parameters={"width": 512, "seed": 2**62, "nested": {"a": [None, True, 1.5, "ü"]}},
        metadata={"order": "A-1"},
        webhook_url="https://example.com/hook",
        priority=-7,
        retry_of="another",
    )
    assert await desk.job(job.id) == job
    assert (job.state, job.attempt, job.run_at, job.finished) == (
        JobState.QUEUED,
        0,
        desk.clock.now_ms(),
        False,
    )


async def test_inserting_records_one_created_event_a_job(desk: Desk) -> None:
    new = [desk.new(), desk.new()]
    await desk.run(repository.insert_many, new)
    recorded = await desk.run(events.after, 0, limit=10)
    assert [(event.job_id, event.type) for event in recorded] == [(job.id, EventType.CREATED) for job in new]


async def test_a_job_that_does_not_exist_is_none(desk: Desk) -> None:
    assert await desk.run(repository.get, "nobody") is None


async def test_many_jobs_are_read_at_once_and_missing_ones_left_out(desk: Desk) -> None:
    first, second = await desk.add(), await desk.add()
    found = await desk.run(repository.get_many, [second.id, "nobody", first.id])
    assert found == {first.id: first, second.id: second}


# ---------------------------------------------------------------------------------------------- claim


async def test_jobs_at_work_are_claimed_before_queued_ones_of_any_priority(desk: Desk) -> None:
    urgent = await desk.add(priority=100)
    desk.clock.advance(1)
    working = [(await desk.job_in(state)).id for state in WORKING]
    desk.clock.advance(1)
    claimed = await desk.claimed()
    assert set(ids(claimed[:4])) == set(working)
    assert ids(claimed[4:]) == [urgent.id]


async def test_jobs_at_work_are_claimed_in_the_order_they_are_due(desk: Desk) -> None:
    made = []
    for state in reversed(WORKING):
        made.append((await desk.job_in(state)).id)
        desk.clock.advance(1)
    assert ids(await desk.claimed()) == made


async def test_queued_jobs_are_claimed_by_priority_then_by_age(desk: Desk) -> None:
    made = {}
    for name, priority in (("old", 0), ("low", -1), ("new", 0), ("high", 5)):
        made[name] = (await desk.add(priority=priority)).id
        desk.clock.advance(1)
    assert ids(await desk.claimed()) == [made[name] for name in ("high", "old", "new", "low")]


async def test_jobs_of_the_same_millisecond_are_claimed_in_the_order_of_their_ids(desk: Desk) -> None:
    made = [job.id for job in await desk.run(repository.insert_many, [desk.new() for _ in range(20)])]
    assert ids(await desk.claimed()) == made


async def test_a_job_is_claimed_at_its_time_and_not_before_and_claim_tells_when_that_is(desk: Desk) -> None:
    job = await desk.add()
    [leased] = await desk.claimed()
    due = desk.clock.now_ms() + 5_000
    await desk.move(leased.lease, JobState.SUBMITTING, run_at=due)
    desk.clock.advance(4.999)
    claimed = await desk.claim()
    assert (list(claimed.jobs), claimed.next_at) == ([], due)
    desk.clock.advance(0.001)
    assert ids(await desk.claimed()) == [job.id]


@pytest.mark.parametrize("state", sorted(TERMINAL))
async def test_a_finished_job_is_never_claimed(desk: Desk, state: JobState) -> None:
    await desk.job_in(state)
    desk.clock.advance(10**6)
    claimed = await desk.claim()
    assert (list(claimed.jobs), claimed.next_at) == ([], None)


@pytest.mark.parametrize("state", [JobState.QUEUED, *WORKING])
async def test_jobs_of_a_provider_that_is_not_configured_are_left_alone(desk: Desk, state: JobState) -> None:
    await desk.job_in(state, provider="gone")
    assert await desk.claimed() == []
    policies = {"gone": GatePolicy(creates_per_s=1)}
    assert len((await desk.claim(policies=policies)).jobs) == 1


async def test_no_more_are_claimed_than_there_is_room_for(desk: Desk) -> None:
    working = {(await desk.job_in(JobState.WAITING)).id for _ in range(3)}
    queued = {(await desk.add()).id for _ in range(3)}
    first, second = await desk.claimed(limit=4), await desk.claimed(limit=4)
    assert (len(first), len(second)) == (4, 2)
    assert set(ids(first)) > working
    assert set(ids(first + second)) == working | queued


async def test_claimers_side_by_side_never_get_the_same_job(desk: Desk) -> None:
    made = {job.id for job in await desk.run(repository.insert_many, [desk.new() for _ in range(100)])}
    async with desk.again() as other:
        process = replace(desk, db=other)
        shares = await asyncio.gather(
            *(worker.claimed(f"w{n}", limit=7) for n in range(10) for worker in (desk, process))
        )
    dealt = [job.id for share in shares for job in share]
    assert len(dealt) == len(set(dealt)) == 100
    assert set(dealt) == made
    assert {job.lease_epoch for share in shares for job in share} == {1}


# ---------------------------------------------------------------------------------------------- leases


async def test_a_claimed_job_is_free_again_only_when_its_lease_has_run_out(desk: Desk) -> None:
    job = await desk.add()
    [first] = await desk.claimed("w1")
    desk.clock.advance(LEASE_S - 0.001)
    assert await desk.claimed("w2") == []
    desk.clock.advance(0.001)
    [second] = await desk.claimed("w2")
    assert (first.lease, second.lease) == (
        Lease(job_id=job.id, owner="w1", epoch=1),
        Lease(job_id=job.id, owner="w2", epoch=2),
    )


async def test_a_renewed_lease_holds_for_its_whole_length_again(desk: Desk) -> None:
    await desk.add()
    [job] = await desk.claimed("w1")
    desk.clock.advance(LEASE_S - 1)
    assert await desk.run(repository.renew, [job.lease], LEASE_MS) == {job.id}
    desk.clock.advance(LEASE_S - 1)
    assert await desk.claimed("w2") == []


async def test_renew_names_only_the_jobs_that_are_still_held(desk: Desk) -> None:
    for _ in range(3):
        await desk.add()
    kept, taken, late = await desk.claimed("w1")
    desk.clock.advance(LEASE_S - 1)
    await desk.run(repository.renew, [kept.lease], LEASE_MS)
    desk.clock.advance(1)
    assert len(await desk.claimed("w2", limit=1)) == 1
    assert await desk.run(repository.renew, [kept.lease, taken.lease, late.lease], LEASE_MS) == {kept.id}
    assert (await desk.job(late.id)).lease_until == desk.clock.now_ms()


async def test_releasing_a_dead_worker_frees_its_jobs_and_no_others(desk: Desk) -> None:
    for _ in range(3):
        await desk.add()
    dead, alive = await desk.claimed("dead", limit=2), await desk.claimed("alive")
    assert await desk.run(leases.release_all, "dead") == 2
    assert ids(await desk.claimed("w3")) == ids(dead)
    assert (await desk.job(alive[0].id)).lease_owner == "alive"


async def test_claims_are_counted_until_the_job_gets_a_step_further(desk: Desk) -> None:
    await desk.add()
    for claims in (1, 2, 3):
        [job] = await desk.claimed()
        assert job.claims == claims
        desk.clock.advance(LEASE_S)
    [job] = await desk.claimed()
    await desk.move(job.lease, JobState.SUBMITTING)
    assert (await desk.job(job.id)).claims == 0


async def test_only_a_queued_job_that_nobody_holds_can_be_seized(desk: Desk) -> None:
    waiting, queued = await desk.job_in(JobState.WAITING), await desk.add()
    assert await desk.run(repository.seize, waiting.id, "api") is None
    [held] = [job for job in await desk.claimed() if job.id == queued.id]
    assert await desk.run(repository.seize, held.id, "api") is None
    desk.clock.advance(LEASE_S)
    seized = await desk.run(repository.seize, held.id, "api")
    assert seized == Lease(job_id=held.id, owner="api", epoch=2)


# ---------------------------------------------------------------------------------------------- transition


async def test_a_transition_moves_the_job_records_the_event_and_gives_the_lease_back(desk: Desk) -> None:
    await desk.add()
    [job] = await desk.claimed()
    desk.clock.advance(1)
    due = desk.clock.now_ms() + 500
    await desk.move(
        job.lease,
        JobState.SUBMITTING,
        run_at=due,
        event=EventType.SUBMITTED,
        data={"call": 1},
        note="Sending",
    )
    moved = await desk.job(job.id)
    assert (moved.state, moved.run_at, moved.note, moved.updated_at) == (
        JobState.SUBMITTING,
        due,
        "Sending",
        desk.clock.now_ms(),
    )
    assert (moved.lease_owner, moved.lease_until, moved.lease_epoch) == (None, None, 1)
    [event] = await desk.run(events.after, 1, limit=10)
    assert (event.type, event.data, event.at) == ("submitted", {"call": 1}, desk.clock.now_ms())


async def test_a_lease_can_be_kept_over_a_transition(desk: Desk) -> None:
    await desk.add()
    [job] = await desk.claimed()
    await desk.move(job.lease, JobState.SUBMITTING, keep_lease=True)
    await desk.move(job.lease, JobState.WAITING, attempt=1)
    assert (await desk.job(job.id)).state is JobState.WAITING


async def test_the_end_gives_the_lease_back_and_queues_the_webhook(desk: Desk) -> None:
    await desk.add(webhook_url="https://example.com/hook")
    [job] = await desk.claimed()
    await desk.move(job.lease, JobState.FAILED, keep_lease=True, error_code="rejected")
    ended = await desk.job(job.id)
    assert (ended.finished_at, ended.lease_owner) == (desk.clock.now_ms(), None)
    [delivery] = (await desk.everything())["webhook_outbox"]
    assert delivery[:4] == (f"msg_{job.id}", job.id, "https://example.com/hook", "completed")


async def test_a_job_without_a_webhook_ends_without_a_delivery(desk: Desk) -> None:
    await desk.job_in(JobState.SUCCEEDED)
    assert (await desk.everything())["webhook_outbox"] == []


async def _run_out(desk: Desk, job: Job) -> None:
    desk.clock.advance(LEASE_S)


async def _taken_over(desk: Desk, job: Job) -> None:
    desk.clock.advance(LEASE_S)
    assert ids(await desk.claimed("w2")) == [job.id]


async def _taken_over_by_itself(desk: Desk, job: Job) -> None:
    desk.clock.advance(LEASE_S)
    assert ids(await desk.claimed("w1")) == [job.id]


async def _released(desk: Desk, job: Job) -> None:
    await desk.run(leases.release_all, "w1")


@pytest.mark.parametrize("lose", [_run_out, _taken_over, _taken_over_by_itself, _released])
async def test_a_worker_whose_lease_is_lost_writes_nothing(
    desk: Desk, lose: Callable[[Desk, Job], Awaitable[None]]
) -> None:
    await desk.add(webhook_url="https://example.com/hook")
    [job] = await desk.claimed("w1")
    await lose(desk, job)
    before = await desk.everything()

    def write(connection: Connection) -> None:
        events.append(connection, job.id, EventType.PROGRESS, {})
        repository.transition(
            connection, job.lease, JobState.FAILED, event=EventType.FAILED, error_code="rejected"
        )

    with pytest.raises(LeaseLost, match=job.id):
        await desk.run(write)
    assert await desk.everything() == before


# ---------------------------------------------------------------------------------------------- list


async def _page(desk: Desk, where: JobFilter, before: str | None, limit: int) -> list[Job]:
    return [job for job, _ in await desk.run(listing.page, where, before=before, limit=limit)]


async def _walk(desk: Desk, where: JobFilter, limit: int) -> list[str]:
    seen: list[str] = []
    while page := await _page(desk, where, seen[-1] if seen else None, limit):
        assert len(page) <= limit
        seen += ids(page)
    return seen


async def test_pages_show_each_job_once_newest_first_even_while_new_ones_come(desk: Desk) -> None:
    made = [(await desk.add()).id for _ in range(7)]
    where = JobFilter(owner="local")
    first = ids(await _page(desk, where, None, 3))
    await desk.add()
    rest = ids(await _page(desk, where, first[-1], 100))
    assert first + rest == made[::-1]
    assert (await _walk(desk, where, 2))[1:] == made[::-1]


@pytest.mark.parametrize("status", JobStatus)
async def test_the_status_filter_finds_the_jobs_of_all_its_states(desk: Desk, status: JobStatus) -> None:
    made = {state: (await desk.job_in(state)).id for state in JobState}
    found = await _walk(desk, JobFilter(owner="local", status=status), 2)
    assert set(found) == {job_id for state, job_id in made.items() if STATUS_OF[state] is status}


async def test_the_model_and_the_owner_must_be_the_same_to_the_letter(desk: Desk) -> None:
    wanted = await desk.add(model="a/b")
    await desk.add(model="a/b:1")
    await desk.add(model="A/B")
    await desk.add(model="a/b", owner="else")
    assert await _walk(desk, JobFilter(owner="local", model="a/b"), 10) == [wanted.id]


@pytest.mark.parametrize(
    ("text", "prompt"),
    [
        ("FOX", "A red fox"),
        ("red FOX", "A Red Fox"),
        ("100%", "at 100% size"),
        ("a_b", "file a_b"),
        ("\\", "a\\b"),
    ],
)
async def test_a_text_is_found_in_any_case_and_means_nothing_but_itself(
    desk: Desk, text: str, prompt: str
) -> None:
    wanted = await desk.add(prompt)
    await desk.add("1000 owls, axb")
    assert await _walk(desk, JobFilter(owner="local", text=text), 10) == [wanted.id]


async def test_times_filter_from_the_first_on_and_up_to_before_the_second(desk: Desk) -> None:
    start, made = desk.clock.now_ms(), []
    for _ in range(4):
        made.append((await desk.add()).id)
        desk.clock.advance(1)
    where = JobFilter(owner="local", created_from=start + 1000, created_to=start + 3000)
    assert await _walk(desk, where, 10) == [made[2], made[1]]


async def test_filters_narrow_each_other(desk: Desk) -> None:
    wanted = await desk.add("a fox", model="a/b")
    await desk.add("a fox", model="a/c")
    await desk.add("an owl", model="a/b")
    await desk.job_in(JobState.FAILED, prompt="a fox", model="a/b")
    where = JobFilter(owner="local", status=JobStatus.PENDING, model="a/b", text="fox")
    assert await _walk(desk, where, 1) == [wanted.id]
