"""A clock that is set while jobs are at work: nothing waits, ends or is stopped for time that did not pass."""

from collections.abc import AsyncIterator, Sequence
from contextlib import suppress
from pathlib import Path

import pytest
from sqlalchemy import select

from mediagen.db.engine import Database, now_ms
from mediagen.db.tables import jobs
from mediagen.errors import LeaseLost
from mediagen.jobs import pauses, wishes
from mediagen.jobs.states import JobState
from mediagen.providers.base import Call, Findings, Rejected, RejectReason, Unknown
from mediagen.worker import steps
from tests.conformance.databases import DATABASES
from tests.unit.conftest import Engine

STEPS_S = [7_200, -3_600, 90_000, -90_000]


@pytest.fixture
async def other(engine: Engine, tmp_path: Path) -> AsyncIterator[Database]:
    """The same database, as another process has it open."""
    async with DATABASES[engine.db.name](tmp_path, engine.clock) as db:
        yield db


async def states(engine: Engine, job_ids: Sequence[str]) -> set[JobState]:
    return {(await engine.look(job_id)).job.state for job_id in job_ids}


@pytest.mark.parametrize("by_s", STEPS_S)
async def test_running_and_new_jobs_end_as_if_nothing_had_been_set(engine: Engine, by_s: int) -> None:
    running = [await engine.submit(f"running {number}") for number in range(10)]
    await engine.work_for(5)
    assert await states(engine, running) == {JobState.WAITING}
    new = [await engine.submit(f"new {number}") for number in range(10)]
    engine.clock.jump(by_s)
    await engine.work_for(30)
    assert (await states(engine, [*running, *new]), engine.provider.canceled) == ({JobState.WAITING}, [])
    for number in range(20):
        engine.provider.end(f"ref-{number}")
    await engine.work_for(30)
    assert await states(engine, [*running, *new]) == {JobState.SUCCEEDED}


@pytest.mark.parametrize("by_s", STEPS_S)
@pytest.mark.parametrize("lost", [False, True], ids=["looked at", "looked for"])
async def test_a_step_that_is_under_way_concludes_nothing_from_what_it_read_before(
    engine: Engine, monkeypatch: pytest.MonkeyPatch, by_s: int, lost: bool
) -> None:
    if lost:
        engine.provider.script.append(Unknown(message="502"))
        engine.provider.sees = Findings(doubtful=["strange"])
    job_id = await engine.submit()
    await engine.work_for(40 if lost else 5)
    method = "find" if lost else "get"
    look, looks = getattr(engine.provider, method), []

    async def jump(call: Call) -> object:
        looks.append(call.id)
        if len(looks) == 1:
            engine.clock.jump(by_s)
        return await look(call)

    monkeypatch.setattr(engine.provider, method, jump)
    for _ in range(240 if lost else 60):
        for job in await engine.claim():
            with suppress(LeaseLost):
                await steps.run(engine.ports, job)
        engine.clock.advance(0.5)
    assert (await engine.look(job_id)).job.state is (JobState.RECONCILING if lost else JobState.WAITING)
    assert (len(looks) > 1, engine.provider.canceled) == (True, [])


@pytest.mark.parametrize("by_s", STEPS_S)
async def test_what_is_made_too_long_is_still_stopped_after_its_time(engine: Engine, by_s: int) -> None:
    await engine.submit()
    await engine.work_for(10)
    engine.clock.jump(by_s)
    await engine.work_for(45)
    assert engine.provider.canceled == []
    await engine.work_for(15)
    assert "ref-0" in engine.provider.canceled


@pytest.mark.parametrize("by_s", STEPS_S)
async def test_a_pause_lasts_as_long_as_it_was_to_last(engine: Engine, by_s: int) -> None:
    engine.provider.script.append(Rejected(reason=RejectReason.BUSY, message="429", retry_after_s=20))
    job_id = await engine.submit()
    await engine.work()
    engine.clock.jump(by_s)
    await engine.work_for(18)
    assert len(engine.provider.creates) == 1
    await engine.work_for(3)
    assert len(engine.provider.creates) == 2
    assert await states(engine, [job_id]) == {JobState.WAITING}


@pytest.mark.parametrize("by_s", STEPS_S)
async def test_a_lost_answer_is_looked_for_as_long_and_as_often_as_without(engine: Engine, by_s: int) -> None:
    engine.provider.script.append(Unknown(message="502"))
    job_id = await engine.submit()
    await engine.work()
    engine.clock.jump(by_s)
    await engine.work_for(30)
    assert await states(engine, [job_id]) == {JobState.RECONCILING}
    await engine.work_for(40)
    assert (await states(engine, [job_id]), len(engine.provider.creates)) == ({JobState.WAITING}, 2)


@pytest.mark.parametrize("by_s", STEPS_S)
async def test_jobs_do_not_expire_for_time_that_did_not_pass(engine: Engine, by_s: int) -> None:
    job_id = await engine.submit()
    await engine.db.transact(
        lambda c: pauses.begin(c, "scripted", "", for_ms=600_000, reason="busy", job_id="")
    )
    engine.clock.jump(by_s)
    assert await engine.db.transact(wishes.expire) == 0
    assert await states(engine, [job_id]) == {JobState.QUEUED}


async def test_another_process_does_not_move_again_what_was_moved(engine: Engine, other: Database) -> None:
    await engine.submit()
    await other.transact(now_ms)
    engine.clock.advance(1)
    before = await run_at(engine)
    engine.clock.jump(7_200)
    await engine.db.transact(now_ms)
    engine.clock.advance(1)
    assert await other.transact(now_ms) == engine.clock.now_ms()
    assert await run_at(engine) == before + 7_200_000


async def test_a_clock_that_was_set_back_while_nothing_ran_is_noticed_at_the_start(
    engine: Engine, other: Database
) -> None:
    job_id = await engine.submit()
    await engine.work_for(5)
    engine.clock.jump(-3_600)
    engine.clock.advance(15)
    await other.transact(now_ms)
    await engine.work_for(20)
    engine.provider.end()
    await engine.work_for(10)
    assert (await states(engine, [job_id]), engine.provider.canceled) == ({JobState.SUCCEEDED}, [])


async def test_a_pause_of_the_machine_that_its_clocks_did_not_count_delays_nothing_by_much(
    engine: Engine, other: Database
) -> None:
    """The other process goes on meanwhile: what it wrote is not moved into the future."""
    await other.transact(now_ms)
    job_id = await engine.submit()
    engine.clock.jump(3_600)  # as the one that was paused sees it
    await other.transact(now_ms)
    await engine.work_for(31)
    assert await states(engine, [job_id]) == {JobState.WAITING}


async def run_at(engine: Engine) -> int:
    return await engine.db.read(lambda c: c.execute(select(jobs.c.run_at)).scalar_one())


async def test_a_clock_that_is_set_ahead_and_back_again_moves_nothing_in_the_end(engine: Engine) -> None:
    await engine.submit()
    await engine.db.transact(now_ms)
    before = await run_at(engine)
    for by_s in (7_200, -7_200):
        engine.clock.jump(by_s)
        engine.clock.advance(1)
        await engine.db.transact(now_ms)
    assert await run_at(engine) == before
