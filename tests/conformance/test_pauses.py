"""What every database must do for pauses: a refusal stops its model, a refused token all models, nothing for long."""

from collections.abc import Sequence

from mediagen.jobs import pauses, repository
from mediagen.jobs.gates import GatePolicy
from mediagen.jobs.pauses import EVERY_MODEL, MOST_MS, PROBE_MS, Pause
from tests.conformance.databases import PROVIDER, Desk

FAST = {PROVIDER: GatePolicy(creates_per_s=1000)}


async def pause(
    desk: Desk, seconds: float, *, model: str = "painter", reason: str = "busy", job_id: str = ""
) -> None:
    of = job_id or f"job of {reason}"
    await desk.run(pauses.begin, PROVIDER, model, for_ms=int(seconds * 1000), reason=reason, job_id=of)


async def take(desk: Desk, limit: int = 100) -> Sequence[str]:
    return [job.id for job in (await desk.claim(policies=FAST, limit=limit)).jobs]


async def test_a_paused_model_holds_no_other_up(desk: Desk) -> None:
    await desk.add(model="forbidden", priority=100)
    others = [(await desk.add(model=f"model-{n % 3}")).id for n in range(20)]
    await pause(desk, 60, model="forbidden")
    assert sorted(await take(desk)) == sorted(others)


async def test_the_jobs_of_a_paused_model_wait_until_it_is_over(desk: Desk) -> None:
    job = await desk.add(model="painter")
    await pause(desk, 60)
    shut = await desk.claim(policies=FAST)
    assert list(shut.jobs) == []
    assert shut.next_at == desk.clock.now_ms() + 60_000
    desk.clock.advance(60)
    assert await take(desk) == [job.id]


async def test_a_pause_of_the_provider_holds_all_its_models_up(desk: Desk) -> None:
    for model in ("painter", "other"):
        await desk.add(model=model)
    await pause(desk, 60, model=EVERY_MODEL)
    shut = await desk.claim(policies=FAST)
    assert (list(shut.jobs), shut.next_at) == ([], desk.clock.now_ms() + 60_000)
    desk.clock.advance(60)
    assert len(await take(desk)) == 1


async def test_one_job_probes_and_the_others_wait_for_it(desk: Desk) -> None:
    for _ in range(3):
        await desk.add(model="painter")
    await pause(desk, 5)
    desk.clock.advance(5)
    assert len(await take(desk)) == 1
    again = await desk.claim(policies=FAST)
    assert (list(again.jobs), again.next_at) == ([], desk.clock.now_ms() + PROBE_MS)
    desk.clock.advance(PROBE_MS / 1000)
    assert len(await take(desk)) == 1


async def test_another_job_than_the_refused_one_probes(desk: Desk) -> None:
    refused = await desk.add(model="painter", priority=100)
    other = await desk.add(model="painter")
    for model in ("painter", EVERY_MODEL):
        await pause(desk, 5, model=model, job_id=refused.id)
    desk.clock.advance(5)
    assert await take(desk) == [other.id]


async def test_the_refused_job_probes_where_there_is_no_other(desk: Desk) -> None:
    refused = await desk.add(model="painter")
    await pause(desk, 5, job_id=refused.id)
    await pause(desk, 5, model=EVERY_MODEL, job_id=refused.id)
    desk.clock.advance(5)
    assert await take(desk) == [refused.id]


async def test_a_probe_of_the_provider_is_of_no_model_that_is_paused(desk: Desk) -> None:
    await desk.add(model="forbidden", priority=100)
    other = await desk.add(model="painter")
    await pause(desk, 60, model="forbidden")
    await pause(desk, 5, model=EVERY_MODEL)
    desk.clock.advance(5)
    assert await take(desk) == [other.id]


async def test_a_job_that_was_bought_ends_the_pauses_of_its_model_and_provider(desk: Desk) -> None:
    for model in ("painter", "painter", "forbidden"):
        await desk.add(model=model)
    for model in ("painter", "forbidden", EVERY_MODEL):
        await pause(desk, 60, model=model)
    await desk.run(pauses.end, PROVIDER, "painter")
    assert len(await take(desk)) == 2
    assert [pause.model for pause in await desk.run(pauses.in_force)] == ["forbidden"]


async def test_nothing_waits_longer_than_five_minutes_for_the_next_probe(desk: Desk) -> None:
    job = await desk.add(model="painter")
    await pause(desk, 3600)
    assert (
        (await desk.claim(policies=FAST)).next_at
        == desk.clock.now_ms() + MOST_MS
        == 1000 * 300 + (desk.clock.now_ms())
    )
    desk.clock.advance(300)
    assert await take(desk) == [job.id]


async def test_a_shorter_pause_does_not_shorten_the_one_in_force(desk: Desk) -> None:
    await desk.add(model="painter")
    until = desk.clock.now_ms() + 60_000
    await pause(desk, 60, reason="no credit")
    await pause(desk, 5)
    expected = Pause(
        provider=PROVIDER, model="painter", until=until, reason="no credit", job_id="job of no credit"
    )
    assert await desk.run(pauses.in_force) == [expected]


async def test_a_longer_pause_takes_the_place_of_the_one_in_force(desk: Desk) -> None:
    await desk.add(model="painter")
    await pause(desk, 5)
    await pause(desk, 60, reason="no credit")
    [found] = await desk.run(pauses.in_force)
    assert (found.until, found.reason) == (desk.clock.now_ms() + 60_000, "no credit")


async def test_a_pause_that_no_job_waits_for_is_not_shown_and_is_forgotten(desk: Desk) -> None:
    await pause(desk, 60)
    assert await desk.run(pauses.in_force) == []
    await desk.run(pauses.forget)
    assert len(await desk.run(pauses.by_model)) == 1
    desk.clock.advance(2 * 3600)
    await desk.run(pauses.forget)
    assert await desk.run(pauses.by_model) == {}


async def test_of_many_paused_models_no_more_probe_than_may_start(desk: Desk) -> None:
    models = [f"model-{n}" for n in range(8)]
    await desk.run(repository.insert_many, [desk.new(model=model) for model in models])
    for model in models:
        await pause(desk, 5, model=model)
    desk.clock.advance(5)
    assert len(await take(desk, 3)) == 3
    assert len(await take(desk)) == 5


async def test_pauses_that_no_job_waits_for_take_no_probe_from_others(desk: Desk) -> None:
    for number in range(8):
        await pause(desk, 5, model=f"nobody-{number}")
    job = await desk.add(model="painter")
    await pause(desk, 5)
    desk.clock.advance(5)
    assert await take(desk, 1) == [job.id]


async def test_a_probe_that_is_refused_sets_the_pause_anew_and_another_probes_next(desk: Desk) -> None:
    high, low = await desk.add(model="painter", priority=10), await desk.add(model="painter")
    await pause(desk, 5, job_id=low.id, reason="busy")
    desk.clock.advance(5)
    assert await take(desk) == [high.id]
    await pause(desk, 1, job_id=high.id, reason="busy still")
    [found] = (await desk.run(pauses.by_model)).values()
    assert (found.until, found.reason) == (desk.clock.now_ms() + 1000, "busy still")
    desk.clock.advance(1)
    assert await take(desk) == [low.id]
