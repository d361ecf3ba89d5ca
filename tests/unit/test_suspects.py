"""Jobs that went down with their worker again and again: one after another shows which of them it was."""

import asyncio

from mediagen.errors import LeaseLost
from mediagen.jobs import leases, wishes
from mediagen.jobs.model import Job
from mediagen.jobs.states import JobState
from mediagen.providers.base import Call, Prediction, Provider
from mediagen.worker.loop import Worker, WorkerConfig
from mediagen.worker.ports import Ports
from mediagen.worker.steps import POISON_CLAIMS, QUARANTINED
from tests.unit.conftest import Engine

INNOCENTS = 5


class Looks:
    """Looks at calls: that of the poison brings the worker down, the others end only when they are alone."""

    def __init__(self, poison: str) -> None:
        self._poison = poison
        self._at_work = 0
        self._changed = asyncio.Condition()
        self.crashed = asyncio.Event()

    async def __call__(self, provider: Provider, call: Call) -> Prediction:
        self._at_work += 1
        async with self._changed:
            if call.ref == self._poison:
                self.crashed.set()
                self._changed.notify_all()
            await self._changed.wait_for(lambda: self._at_work == 1 or self.crashed.is_set())
        self._at_work -= 1
        if self.crashed.is_set():
            raise LeaseLost("the worker is gone")  # as after a crash, nothing more is written
        return await provider.get(call)


async def live(engine: Engine, looks: Looks, ids: list[str]) -> None:
    """Let one worker live until it is brought down or nothing is left to do."""
    looks.crashed.clear()
    ports = Ports(**{**vars(engine.ports), "look": looks})
    config = WorkerConfig(concurrency=100, poll_s=0.1, lease_s=30, policies=engine.policies)

    async def wait(seconds: float) -> None:
        await asyncio.sleep(0)
        if not worker.steps_running and not looks.crashed.is_set():
            engine.clock.advance(seconds)

    worker = Worker(ports, config, wait, lambda: None)
    running = asyncio.create_task(worker.run())
    crash = asyncio.create_task(looks.crashed.wait())
    ended = asyncio.create_task(_all_ended(engine, ids))
    await asyncio.wait([crash, ended], return_when=asyncio.FIRST_COMPLETED)
    worker.stop()
    await running
    crash.cancel()
    ended.cancel()
    await asyncio.gather(crash, ended, return_exceptions=True)
    await engine.db.transact(lambda c: leases.release_all(c, worker.name))


async def _all_ended(engine: Engine, ids: list[str]) -> bool:
    return all([(await engine.jobs.wait(job_id)).job.finished for job_id in ids])


async def test_a_job_that_brings_workers_down_is_set_aside_alone(engine: Engine) -> None:
    ids = [await engine.submit(f"job {n}") for n in range(INNOCENTS + 1)]
    await engine.work()
    for ref in list(engine.provider.predictions):
        engine.provider.end(ref)
    engine.clock.advance(10)
    looks = Looks(poison="ref-2")
    others = [job_id for job_id in ids if job_id != ids[2]]
    for _ in range(POISON_CLAIMS):
        await live(engine, looks, others)
    await engine.work_for(5)
    jobs = {job_id: (await engine.look(job_id)).job for job_id in ids}
    poison = jobs.pop(ids[2])
    assert (poison.state, poison.note) == (JobState.WAITING, QUARANTINED)
    assert {job.state for job in jobs.values()} == {JobState.SUCCEEDED}


async def test_a_claim_that_is_put_back_does_not_count_and_is_due_in_turn(engine: Engine) -> None:
    for prompt in ("one", "two"):
        await engine.submit(prompt)
    claimed = await engine.claim()
    leases = [job.lease for job in claimed]
    await engine.db.transact(lambda c: wishes.put_back(c, leases, 250))
    now = engine.clock.now_ms()
    found = [(await engine.look(job.id)).job for job in claimed]
    assert [(job.claims, job.lease_owner, job.run_at - now) for job in found] == [
        (0, None, 250),
        (0, None, 500),
    ]


async def test_a_lease_that_was_lost_is_not_put_back(engine: Engine) -> None:
    await engine.submit()
    [old] = await engine.claim("slow")
    await engine.db.transact(lambda c: leases.release_all(c, "slow"))
    [new] = await engine.claim("other")
    await engine.db.transact(lambda c: wishes.put_back(c, [old.lease], 250))
    job: Job = (await engine.look(new.id)).job
    assert (job.lease_owner, job.claims) == ("other", 2)
