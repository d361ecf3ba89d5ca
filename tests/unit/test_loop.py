"""The worker's loop when the database goes away under it: no job waits for a lease that nobody uses."""

import asyncio

import pytest

from mediagen.db.engine import T, Transaction
from mediagen.errors import Unavailable
from mediagen.jobs import leases
from mediagen.jobs.states import JobState
from mediagen.worker.loop import Worker, WorkerConfig
from tests.unit.conftest import LEASE_MS, Engine


def break_once(
    engine: Engine,
    monkeypatch: pytest.MonkeyPatch,
    where: str,
    *,
    kept: bool,
    error: type[Exception] = Unavailable,
) -> asyncio.Event:
    """Let the connection break at the first transaction of the function, before its commit or right after."""
    transact, broke = engine.db.transact, asyncio.Event()

    async def breaking(fn: Transaction[T]) -> T:
        if broke.is_set() or not fn.__qualname__.startswith(where):
            return await transact(fn)
        broke.set()
        if kept:
            await transact(fn)
        raise error("the connection broke")

    monkeypatch.setattr(engine.db, "transact", breaking)
    return broke


async def work_until(engine: Engine, job_id: str, state: JobState) -> None:
    """Let a worker live, and time pass, until the job has come to the state."""
    config = WorkerConfig(concurrency=10, poll_s=0.5, lease_s=LEASE_MS / 1000, policies=engine.policies)
    arrived = asyncio.Event()

    async def wait(seconds: float) -> None:
        await asyncio.sleep(0)
        if not worker.steps_running:
            engine.clock.advance(seconds)
        if (await engine.look(job_id)).job.state is state:
            arrived.set()

    worker = Worker(engine.ports, config, wait, lambda: None)
    running = asyncio.create_task(worker.run())
    async with asyncio.timeout(20):
        await arrived.wait()
    worker.stop()
    await running


@pytest.mark.parametrize(
    ("where", "kept"),
    [("Worker._claim", False), ("Worker._claim", True), ("submit", False), ("submit", True)],
)
async def test_a_job_that_a_break_of_the_database_met_goes_on_at_once(
    engine: Engine, monkeypatch: pytest.MonkeyPatch, where: str, kept: bool
) -> None:
    broke = break_once(engine, monkeypatch, where, kept=kept)
    job_id, begun = await engine.submit(), engine.clock.now_ms()
    lost = (where, kept) == (
        "submit",
        True,
    )  # the intent was written, and whether it was sent is to be found out
    await work_until(engine, job_id, JobState.RECONCILING if lost else JobState.WAITING)
    assert broke.is_set()
    assert engine.clock.now_ms() - begun < LEASE_MS / 3
    assert (await engine.look(job_id)).job.claims == 0


@pytest.mark.parametrize("kept", [False, True])
async def test_an_error_that_nobody_foresaw_does_not_end_the_worker(
    engine: Engine, monkeypatch: pytest.MonkeyPatch, kept: bool
) -> None:
    broke = break_once(engine, monkeypatch, "Worker._claim", kept=kept, error=RuntimeError)
    await work_until(engine, await engine.submit(), JobState.WAITING)
    assert broke.is_set()


async def test_an_error_that_nobody_foresaw_does_not_end_the_renewal_of_leases(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = WorkerConfig(concurrency=10, poll_s=60, lease_s=0.03, policies=engine.policies)
    worker = Worker(engine.ports, config, asyncio.sleep, lambda: None)
    tries, twice = [], asyncio.Event()

    async def renew() -> None:
        tries.append(True)
        if len(tries) == 2:
            twice.set()
        raise RuntimeError("nobody foresaw this")

    monkeypatch.setattr(worker, "_renew", renew)
    tending = asyncio.create_task(worker._tend())
    async with asyncio.timeout(10):
        await twice.wait()
    tending.cancel()


async def test_leases_in_use_and_those_of_other_workers_are_left_alone(engine: Engine) -> None:
    used, idle, other = [await engine.submit(f"job {n}") for n in range(3)]
    assert {job.id for job in await engine.claim("w1", limit=2)} == {used, idle}
    await engine.claim("w2")
    await engine.db.transact(lambda c: leases.release_idle(c, "w1", [used]))
    owners = [(await engine.look(job_id)).job.lease_owner for job_id in (used, idle, other)]
    assert owners == ["w1", None, "w2"]
