"""What every database must do for the outbox: each delivery due at its time, tried once at a time, never lost."""

import asyncio
from dataclasses import replace

from mediagen.jobs import outbox
from mediagen.jobs.outbox import Delivered
from mediagen.jobs.states import JobState
from tests.conformance.databases import Desk

HOOK = "https://example.com/hook"
PAUSES_MS = (5_000, 300_000)


async def test_the_end_of_a_job_makes_its_delivery_due_at_once(desk: Desk) -> None:
    assert not await desk.run(outbox.any_due)
    job = await desk.job_in(JobState.SUCCEEDED, webhook_url=HOOK)
    assert await desk.run(outbox.any_due)
    [delivery] = await desk.run(outbox.take_due, PAUSES_MS, 10)
    assert (delivery.id, delivery.job_id, delivery.url, delivery.event, delivery.attempts) == (
        f"msg_{job.id}",
        job.id,
        HOOK,
        "completed",
        1,
    )


async def test_a_delivery_whose_sender_died_is_due_again_after_the_pause(desk: Desk) -> None:
    await desk.job_in(JobState.FAILED, webhook_url=HOOK)
    tries = [await desk.run(outbox.take_due, PAUSES_MS, 10)]
    for pause_ms in (*PAUSES_MS, PAUSES_MS[-1]):
        desk.clock.advance(pause_ms / 1000 - 0.001)
        assert not await desk.run(outbox.any_due)
        assert await desk.run(outbox.take_due, PAUSES_MS, 10) == []
        desk.clock.advance(0.001)
        tries.append(await desk.run(outbox.take_due, PAUSES_MS, 10))
    assert [(delivery.id, delivery.attempts) for [delivery] in tries] == [
        (tries[0][0].id, attempt) for attempt in (1, 2, 3, 4)
    ]


async def test_a_delivery_that_arrived_or_is_given_up_is_never_due_again(desk: Desk) -> None:
    for state in ("delivered", "dead"):
        await desk.job_in(JobState.FAILED, webhook_url=HOOK)
        [delivery] = await desk.run(outbox.take_due, PAUSES_MS, 10)
        await desk.run(outbox.note, delivery, status=200, state=state)
    desk.clock.advance(10**6)
    assert not await desk.run(outbox.any_due)
    assert [(row[4], row[7]) for row in (await desk.everything())["webhook_outbox"]] == [
        ("delivered", 200),
        ("dead", 200),
    ]


async def test_a_delivery_that_failed_stays_due_at_the_time_that_was_set_when_it_was_taken(
    desk: Desk,
) -> None:
    await desk.job_in(JobState.FAILED, webhook_url=HOOK)
    [delivery] = await desk.run(outbox.take_due, PAUSES_MS, 10)
    desk.clock.advance(3)
    await desk.run(outbox.note, delivery, status=500, state="pending")
    desk.clock.advance(2)
    assert await desk.run(outbox.any_due)


async def test_the_longest_due_are_taken_first_and_no_more_than_the_limit(desk: Desk) -> None:
    made = []
    for _ in range(3):
        made.append((await desk.job_in(JobState.FAILED, webhook_url=HOOK)).id)
        desk.clock.advance(1)
    taken = [await desk.run(outbox.take_due, PAUSES_MS, 2) for _ in range(2)]
    assert [[delivery.job_id for delivery in batch] for batch in taken] == [made[:2], made[2:]]


async def test_of_one_host_no_more_are_taken_than_it_has_room_for(desk: Desk) -> None:
    for host in ("a.example", "a.example", "a.example", "b.example:8443"):
        await desk.job_in(JobState.FAILED, webhook_url=f"https://user@{host}/hook")
    found = await desk.run(outbox.take_due, PAUSES_MS, 10, room=lambda host: 2)
    assert [delivery.host for delivery in found] == ["a.example", "a.example", "b.example:8443"]
    assert await desk.run(outbox.any_due)
    assert not await desk.run(outbox.any_due, ["a.example"])
    assert await desk.run(outbox.take_due, PAUSES_MS, 10, but_hosts=["a.example"]) == []
    assert len(await desk.run(outbox.take_due, PAUSES_MS, 10)) == 1


async def test_senders_side_by_side_never_take_the_same_delivery(desk: Desk) -> None:
    for _ in range(20):
        await desk.job_in(JobState.FAILED, webhook_url=HOOK)
    async with desk.again() as other:
        desks = [desk, replace(desk, db=other)] * 5
        batches = await asyncio.gather(*(d.run(outbox.take_due, PAUSES_MS, 3) for d in desks))
    taken = [delivery.id for batch in batches for delivery in batch]
    assert len(taken) == len(set(taken)) == 20


async def test_a_job_tells_how_far_its_delivery_has_come(desk: Desk) -> None:
    async def seen(state: str, *, status: int | None) -> Delivered | None:
        [delivery] = await desk.run(outbox.take_due, PAUSES_MS, 10)
        await desk.run(outbox.note, delivery, status=status, state=state)
        return await desk.run(outbox.of_job, job.id)

    silent = await desk.job_in(JobState.FAILED)
    assert await desk.run(outbox.of_job, silent.id) is None
    job = await desk.job_in(JobState.SUCCEEDED, webhook_url=HOOK)
    now = desk.clock.now_ms()
    new = Delivered(state="pending", attempts=0, last_status=None, next_at=now)
    assert await desk.run(outbox.of_job, job.id) == new
    failed = Delivered(state="pending", attempts=1, last_status=500, next_at=now + PAUSES_MS[0])
    assert await seen("pending", status=500) == failed
    desk.clock.advance(PAUSES_MS[0] / 1000)
    given_up = Delivered(state="dead", attempts=2, last_status=None, next_at=None)
    assert await seen("dead", status=None) == given_up
