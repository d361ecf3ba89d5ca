"""What every database must do for what comes from outside: the same request twice, cancel, delete, time."""

from collections.abc import Sequence

import pytest

from mediagen.artifacts import repository as artifacts
from mediagen.artifacts.model import Artifact, ThumbnailState
from mediagen.errors import Conflict, KeyReused
from mediagen.jobs import calls, events, outbox, repository, wishes
from mediagen.jobs.due import WORKING
from mediagen.jobs.model import Job
from mediagen.jobs.pruning import Pruner
from mediagen.jobs.repository import KEY_LIFETIME_MS, NewJob
from mediagen.jobs.service import Submitted, accept
from mediagen.jobs.states import TERMINAL, CallState, JobState
from tests.conformance.databases import LEASE_MS, Desk

# ---------------------------------------------------------------------------------------------- idempotency keys


async def submit(desk: Desk, *new: NewJob) -> Sequence[Submitted | Exception]:
    return await desk.run(accept, new)


async def first(desk: Desk, **more: object) -> Job:
    [answer] = await submit(desk, desk.new(idempotency_key="k", **more))  # type: ignore[arg-type]
    assert isinstance(answer, Submitted)
    return answer.job


async def test_requests_without_a_key_are_all_new_jobs(desk: Desk) -> None:
    answers = await submit(desk, desk.new(), desk.new())
    jobs = {answer.job.id for answer in answers if isinstance(answer, Submitted) and not answer.replayed}
    assert len(jobs) == 2


async def test_the_same_key_in_one_batch_is_one_job(desk: Desk) -> None:
    one, other = await submit(desk, desk.new(idempotency_key="k"), desk.new(idempotency_key="k"))
    assert isinstance(one, Submitted)
    assert isinstance(other, Submitted)
    assert (one.replayed, other.replayed, one.job) == (False, True, other.job)
    assert len((await desk.everything())["jobs"]) == 1


async def test_the_same_key_later_is_the_first_job_as_it_is_by_then(desk: Desk) -> None:
    job = await first(desk)
    await desk.run(wishes.request_cancel, job)
    [answer] = await submit(desk, desk.new(idempotency_key="k"))
    assert isinstance(answer, Submitted)
    assert (answer.replayed, answer.job.id, answer.job.state) == (True, job.id, JobState.CANCELED)


async def test_the_same_key_with_another_request_is_refused_and_names_the_key(desk: Desk) -> None:
    await first(desk, request_hash="h")
    [later] = await submit(desk, desk.new(idempotency_key="k", request_hash="else"))
    assert isinstance(later, KeyReused)
    assert "'k'" in str(later)


async def test_the_same_key_with_another_request_in_one_batch_is_refused(desk: Desk) -> None:
    one, other = await submit(
        desk, desk.new(idempotency_key="k"), desk.new(idempotency_key="k", request_hash="else")
    )
    assert isinstance(one, Submitted)
    assert isinstance(other, KeyReused)


async def test_a_refused_request_leaves_the_others_of_its_batch_alone(desk: Desk) -> None:
    await first(desk)
    answers = await submit(
        desk, desk.new(), desk.new(idempotency_key="k", request_hash="else"), desk.new(idempotency_key="new")
    )
    assert [type(answer) for answer in answers] == [Submitted, KeyReused, Submitted]
    assert len((await desk.everything())["jobs"]) == 3


async def test_owners_do_not_share_keys(desk: Desk) -> None:
    one, other = await submit(
        desk,
        desk.new(idempotency_key="k", owner="a", request_hash="1"),
        desk.new(idempotency_key="k", owner="b", request_hash="2"),
    )
    assert isinstance(one, Submitted)
    assert isinstance(other, Submitted)
    assert one.job.id != other.job.id


async def test_the_key_of_a_deleted_job_is_refused_rather_than_run_again(desk: Desk) -> None:
    job = await first(desk)
    await desk.run(wishes.request_cancel, job)
    assert await desk.run(wishes.delete_finished, job.id)
    [answer] = await submit(desk, desk.new(idempotency_key="k"))
    assert isinstance(answer, Conflict)


async def test_keys_are_forgotten_after_their_lifetime_and_not_before(desk: Desk) -> None:
    await desk.run(wishes.request_cancel, await first(desk))
    desk.clock.advance(KEY_LIFETIME_MS / 1000 - 1)
    await desk.run(Pruner(keep_ms=0).step)
    assert len((await desk.everything())["idempotency_keys"]) == 1
    desk.clock.advance(1)
    await desk.run(Pruner(keep_ms=0).step)
    assert (await desk.everything())["idempotency_keys"] == []


async def test_the_key_of_a_job_at_work_is_never_forgotten(desk: Desk) -> None:
    await first(desk)
    desk.clock.advance(KEY_LIFETIME_MS)
    await desk.run(Pruner(keep_ms=0).step)
    assert len((await desk.everything())["idempotency_keys"]) == 1


# ---------------------------------------------------------------------------------------------- cancel


async def types(desk: Desk, job: Job) -> list[str]:
    return [event.type for event in await desk.run(events.after, 0, limit=100, job_id=job.id)]


async def test_a_queued_job_that_nobody_holds_is_canceled_at_once(desk: Desk) -> None:
    job = await desk.add(webhook_url="https://example.com/hook")
    await desk.run(wishes.request_cancel, job)
    ended = await desk.job(job.id)
    assert (ended.state, ended.finished_at, ended.lease_owner) == (
        JobState.CANCELED,
        desk.clock.now_ms(),
        None,
    )
    assert await types(desk, job) == ["created", "canceled"]
    assert await desk.run(outbox.any_due)


async def test_a_queued_job_that_is_not_due_yet_is_canceled_at_once_too(desk: Desk) -> None:
    await desk.add()
    [job] = await desk.claimed()
    await desk.move(job.lease, JobState.SUBMITTING, keep_lease=True)
    await desk.move(job.lease, JobState.QUEUED, run_at=desk.clock.now_ms() + 10**6)
    await desk.run(wishes.request_cancel, await desk.job(job.id))
    assert (await desk.job(job.id)).state is JobState.CANCELED


@pytest.mark.parametrize("state", WORKING)
async def test_a_job_at_work_gets_the_wish_noted_and_is_due_at_once(desk: Desk, state: JobState) -> None:
    job = await desk.job_in(state)
    desk.clock.advance(1)
    await desk.run(wishes.request_cancel, job)
    asked = await desk.job(job.id)
    assert (asked.state, asked.cancel_requested_at, asked.run_at) == (
        state,
        desk.clock.now_ms(),
        desk.clock.now_ms(),
    )
    assert (await types(desk, job))[-1] == "cancel_requested"


async def test_a_queued_job_that_a_worker_holds_gets_the_wish_noted_and_keeps_its_lease(desk: Desk) -> None:
    await desk.add()
    [job] = await desk.claimed("w1")
    await desk.run(wishes.request_cancel, job)
    asked = await desk.job(job.id)
    assert (asked.state, asked.lease_owner, asked.lease_epoch) == (JobState.QUEUED, "w1", 1)
    assert asked.cancel_requested_at is not None


async def test_a_second_wish_changes_nothing(desk: Desk) -> None:
    job = await desk.job_in(JobState.WAITING)
    await desk.run(wishes.request_cancel, job)
    before = await desk.everything()
    desk.clock.advance(1)
    await desk.run(wishes.request_cancel, job)
    assert await desk.everything() == before


@pytest.mark.parametrize("state", sorted(TERMINAL))
async def test_a_wish_changes_nothing_of_a_finished_job(desk: Desk, state: JobState) -> None:
    job = await desk.job_in(state)
    before = await desk.everything()
    await desk.run(wishes.request_cancel, job)
    assert await desk.everything() == before


# ---------------------------------------------------------------------------------------------- the doorbell


async def due_in_a_minute(desk: Desk, state: JobState) -> Job:
    job = await desk.job_in(state)
    [held] = await desk.claimed()
    await desk.move(held.lease, state, run_at=desk.clock.now_ms() + 60_000)
    return job


@pytest.mark.parametrize("state", [JobState.WAITING, JobState.RECONCILING])
async def test_a_ring_makes_a_job_that_waits_for_its_provider_due_at_once(
    desk: Desk, state: JobState
) -> None:
    job = await due_in_a_minute(desk, state)
    await desk.run(wishes.ring, job.id)
    assert [claimed.id for claimed in await desk.claimed()] == [job.id]


@pytest.mark.parametrize("state", [JobState.QUEUED, JobState.SUBMITTING, JobState.STORING])
async def test_a_ring_does_not_cut_a_pause_short_that_is_not_the_provider_s(
    desk: Desk, state: JobState
) -> None:
    job = await due_in_a_minute(desk, state)
    before = await desk.everything()
    await desk.run(wishes.ring, job.id)
    assert await desk.everything() == before


async def test_a_ring_for_what_came_late_makes_a_queued_job_due_that_would_buy_it_again(desk: Desk) -> None:
    job = await due_in_a_minute(desk, JobState.QUEUED)
    await desk.run(wishes.ring, job.id, came_late=True)
    assert [claimed.id for claimed in await desk.claimed()] == [job.id]


async def test_a_ring_never_makes_a_job_due_later(desk: Desk) -> None:
    job = await desk.job_in(JobState.WAITING)
    desk.clock.advance(5)
    await desk.run(wishes.ring, job.id)
    assert (await desk.job(job.id)).run_at == job.run_at


# ---------------------------------------------------------------------------------------------- delete


def artifact(job: Job, idx: int) -> Artifact:
    return Artifact(
        key=f"{job.id[-12:]}{idx}.png",
        job_id=job.id,
        idx=idx,
        sha256="0" * 64,
        size_bytes=10,
        media_type="image/png",
        kind="image",
        width=1,
        height=1,
        thumbnail=ThumbnailState.PENDING,
        placeholder=None,
        created_at=0,
    )


async def test_deleting_removes_the_job_and_trashes_its_files_and_keeps_the_ledger(desk: Desk) -> None:
    kept = await desk.job_in(JobState.SUCCEEDED, webhook_url="https://example.com/hook")
    await desk.run(artifacts.record, artifact(kept, 0))
    before = await desk.everything()
    job = await desk.job_in(JobState.SUCCEEDED, webhook_url="https://example.com/hook")
    files = [await desk.run(artifacts.record, artifact(job, idx)) for idx in range(2)]
    call = await desk.call(job, CallState.SUCCEEDED)
    assert await desk.run(wishes.delete_finished, job.id)
    after = await desk.everything()
    assert {row[0] for row in after["trash"]} == {file.key for file in files}
    for table in ("jobs", "artifacts", "webhook_outbox"):
        assert after[table] == before[table]
    assert await types(desk, job) == ["deleted"]
    assert await desk.run(calls.get, call.id) == call


@pytest.mark.parametrize("state", [JobState.QUEUED, *WORKING])
async def test_a_job_at_work_is_not_deleted(desk: Desk, state: JobState) -> None:
    job = await desk.job_in(state)
    before = await desk.everything()
    assert not await desk.run(wishes.delete_finished, job.id)
    assert await desk.everything() == before


async def test_ids_of_events_are_not_used_again_after_a_deletion(desk: Desk) -> None:
    job = await desk.job_in(JobState.FAILED)
    last = await desk.run(events.last_id)
    await desk.run(wishes.delete_finished, job.id)
    await desk.add()
    seen = [event.id for event in await desk.run(events.after, 0, limit=10)]
    assert len(seen) == 2
    assert min(seen) > last


# ---------------------------------------------------------------------------------------------- time


async def test_a_queued_job_fails_when_its_time_is_over_and_says_so(desk: Desk) -> None:
    job = await desk.add(expiry_s=60, webhook_url="https://example.com/hook")
    desk.clock.advance(59)
    assert await desk.run(wishes.expire) == 0
    desk.clock.advance(1)
    assert await desk.run(wishes.expire) == 1
    ended = await desk.job(job.id)
    assert (ended.state, ended.error_code, ended.error_message) == (
        JobState.FAILED,
        "expired",
        wishes.EXPIRED,
    )
    assert (await types(desk, job))[-1] == "failed"
    assert await desk.run(outbox.any_due)


@pytest.mark.parametrize("state", WORKING)
async def test_a_job_with_something_bought_does_not_expire(desk: Desk, state: JobState) -> None:
    job = await desk.job_in(state, expiry_s=60)
    desk.clock.advance(61)
    assert await desk.run(wishes.expire) == 0
    assert (await desk.job(job.id)).state is state


async def test_a_job_that_a_worker_is_about_to_buy_does_not_expire_under_its_hands(desk: Desk) -> None:
    job = await desk.add(expiry_s=60)
    desk.clock.advance(60)
    await desk.claimed("w1")
    assert await desk.run(wishes.expire) == 0
    assert (await desk.job(job.id)).state is JobState.QUEUED
    desk.clock.advance(LEASE_MS / 1000)
    assert await desk.run(wishes.expire) == 1


async def test_expiring_takes_no_more_than_its_limit(desk: Desk) -> None:
    await desk.run(repository.insert_many, [desk.new(expiry_s=1) for _ in range(5)])
    desk.clock.advance(2)
    assert [await desk.run(wishes.expire, limit=3) for _ in range(3)] == [3, 2, 0]


async def test_a_job_that_something_was_bought_for_late_does_not_expire(desk: Desk) -> None:
    job = await desk.add(expiry_s=60)
    await desk.run(calls.recover, job, "call-9", "ref-9")
    desk.clock.advance(61)
    assert await desk.run(wishes.expire) == 0
