"""What every database must do when it prunes: what is old and over goes, in steps; what is at work stays."""

import pytest

from mediagen.jobs import events, outbox, pruning, search
from mediagen.jobs.pruning import Pruner
from mediagen.jobs.states import JobState
from tests.conformance.databases import Desk

DAY_S = 86_400
HOOK = "https://example.com/hook"


async def prune(desk: Desk, keep_s: float = DAY_S) -> int:
    while await desk.run(search.index_step):
        pass
    pruner, steps = Pruner(keep_ms=int(keep_s * 1000)), 1
    while await desk.run(pruner.step):
        steps += 1
    return steps


async def rows(desk: Desk, table: str) -> int:
    return len((await desk.everything())[table])


async def test_events_of_finished_jobs_go_by_age_and_those_of_others_stay(desk: Desk) -> None:
    waiting = await desk.add()
    await desk.job_in(JobState.SUCCEEDED)
    desk.clock.advance(DAY_S - 1)
    before = await rows(desk, "job_events")
    await prune(desk)
    assert await rows(desk, "job_events") == before
    desk.clock.advance(2)
    await prune(desk)
    left = [row[1] for row in (await desk.everything())["job_events"]]
    assert left[0] == waiting.id
    assert len(left) == 2  # and the newest of all


async def test_deliveries_that_are_over_go_and_those_that_are_due_stay(desk: Desk) -> None:
    for state in ("delivered", "dead", "pending"):
        await desk.job_in(JobState.FAILED, webhook_url=HOOK)
        [delivery] = await desk.run(outbox.take_due, (1_000,), 10)
        await desk.run(outbox.note, delivery, status=None, state=state)
    desk.clock.advance(DAY_S + 2)
    await prune(desk)
    assert [row[4] for row in (await desk.everything())["webhook_outbox"]] == ["pending"]


async def test_without_a_bound_all_events_are_kept(desk: Desk) -> None:
    await desk.job_in(JobState.SUCCEEDED)
    before = await rows(desk, "job_events")
    desk.clock.advance(1_000 * DAY_S)
    await prune(desk, keep_s=0)
    assert await rows(desk, "job_events") == before


async def test_it_goes_in_steps_and_passes_over_what_is_at_work(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pruning, "STEP", 3)
    for number in range(8):
        await desk.add(idempotency_key=f"waits-{number}")
    for _ in range(8):
        await desk.job_in(JobState.CANCELED, webhook_url=HOOK)
    desk.clock.advance(30 * DAY_S)
    assert await prune(desk) > 4
    assert await rows(desk, "job_events") == 9  # the newest of all, too
    assert await rows(desk, "idempotency_keys") == 8


async def test_what_the_index_has_not_read_is_kept_for_it(desk: Desk) -> None:
    await desk.job_in(JobState.SUCCEEDED)
    await desk.add()
    before = await rows(desk, "job_events")
    desk.clock.advance(30 * DAY_S)
    await desk.run(Pruner(keep_ms=1000).step)
    assert await rows(desk, "job_events") == before


async def test_the_newest_event_stays_so_that_readers_know_where_they_are(desk: Desk) -> None:
    await desk.job_in(JobState.SUCCEEDED)
    newest = await desk.run(events.last_id)
    desk.clock.advance(30 * DAY_S)
    await prune(desk)
    assert await desk.run(events.last_id) == newest
    assert await rows(desk, "job_events") == 1


async def test_deliveries_behind_many_that_are_due_are_pruned(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pruning, "STEP", 3)
    for number in range(9):
        await desk.job_in(JobState.FAILED, webhook_url=HOOK)
        is_down = number < 5
        [delivery] = await desk.run(outbox.take_due, (90 * DAY_S * 1000 if is_down else 1,), 10)
        state = "pending" if is_down else "delivered"
        await desk.run(outbox.note, delivery, status=None, state=state)
    desk.clock.advance(30 * DAY_S)
    await prune(desk)
    assert [row[4] for row in (await desk.everything())["webhook_outbox"]] == ["pending"] * 5
