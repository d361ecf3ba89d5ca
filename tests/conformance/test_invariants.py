"""Workers side by side on one database, killed and late, against a provider with bad manners: what must hold then.

The simulator checks the same on SQLite, in every order that it can think of; here transactions of several processes
really meet.
"""

import asyncio
import random
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from sqlalchemy import select

from mediagen.artifacts.service import ArtifactService
from mediagen.artifacts.thumbnails import Thumbnailer
from mediagen.brokers.inprocess import InProcessBroker
from mediagen.clock import SystemClock
from mediagen.db.engine import Connection, Database
from mediagen.db.tables import artifacts, job_events, jobs, provider_calls
from mediagen.errors import Conflict, LeaseLost
from mediagen.jobs import leases, repository
from mediagen.jobs.feed import Feed
from mediagen.jobs.gates import GatePolicy
from mediagen.jobs.model import Job
from mediagen.jobs.retry import Backoff
from mediagen.jobs.service import JobService, Submission
from mediagen.jobs.states import LIVE_CALLS, TERMINAL, CallState, JobState
from mediagen.providers import Registry
from mediagen.providers.base import PredictionStatus
from mediagen.settings import Settings
from mediagen.storages.local import LocalStorage
from mediagen.worker import ledger, steps
from mediagen.worker.ports import Marks, Ports, Timing
from tests.conformance.databases import DATABASES
from tests.fakes.market import Market, MarketProvider

SPEED = 10  # virtual seconds in a real one
JOBS = 60
WORKERS = 3
KILLS = 12
LEASE_MS = 15_000
POLICY = {"market": GatePolicy(creates_per_s=100)}


class FastClock(SystemClock):
    """Time that runs fast, the same for all."""

    def __init__(self) -> None:
        self._begun = time.monotonic()

    def now_ms(self) -> int:
        return 1_800_000_000_000 + int(self.monotonic() * 1000)

    def monotonic(self) -> float:
        return (time.monotonic() - self._begun) * SPEED

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds / SPEED)


@dataclass
class Process:
    """What one process has: its own view of the database, and a worker that can be killed."""

    name: str
    db: Database
    jobs: JobService
    ports: Ports
    crashes: list[BaseException] = field(default_factory=list)  # what a step raised that it never should

    async def work(self) -> None:
        """Claim what is due and run its steps, for ever."""
        async with asyncio.TaskGroup() as running:
            running.create_task(self._settle())
            while True:
                for job in await self._claim():
                    running.create_task(self._step(job))
                await self.ports.clock.sleep(0.2)

    async def _settle(self) -> None:
        """End jobs whose provider does not stop, and find out what became of their calls, for ever."""
        while True:
            await ledger.end_canceled(self.ports)
            await ledger.settle_due(self.ports)
            await self.ports.clock.sleep(1)

    async def _claim(self) -> list[Job]:
        claimed = await self.db.transact(
            lambda c: repository.claim(c, owner=self.name, limit=10, lease_ms=LEASE_MS, policies=POLICY)
        )
        return list(claimed.jobs)

    async def _step(self, job: Job) -> None:
        try:
            await steps.run(self.ports, job)
        except LeaseLost:
            pass
        except Exception as error:  # noqa: BLE001  shown at the end
            self.crashes.append(error)


@pytest.fixture(params=DATABASES)
async def processes(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[list[Process]]:
    clock = FastClock()
    market = Market(clock, random.Random(7))
    async with AsyncExitStack() as stack:
        storage = LocalStorage(tmp_path / "artifacts", 0)
        await storage.start()
        dbs = [
            await stack.enter_async_context(DATABASES[request.param](tmp_path, clock)) for _ in range(WORKERS)
        ]
        yield [
            await stack.enter_async_context(process(f"w{n}", db, storage, market, tmp_path))
            for n, db in enumerate(dbs)
        ]
        await asyncio.gather(*market.on_their_way)


@asynccontextmanager
async def process(
    name: str, db: Database, storage: LocalStorage, market: Market, folder: Path
) -> AsyncIterator[Process]:
    providers = Registry([MarketProvider(market)])
    keeper, feed = ArtifactService(db, storage, Thumbnailer()), Feed(db)
    service = JobService(
        storage=storage,
        db=db,
        clock=market.clock,
        providers=providers,
        broker=InProcessBroker(),
        feed=feed,
        settings=Settings(data_dir=folder, max_retries=5),
    )
    ports = Ports(
        db=db,
        clock=market.clock,
        providers=providers,
        keeper=keeper,
        look=lambda provider, call: provider.get(call),
        backoff=Backoff(base_s=0.5),
        timing=Timing(job_timeout_s=600.0, grace_s=3.0),
        marks=Marks(installation="0" * 16, address=lambda provider, marker: None),
    )
    yield Process(name=name, db=db, jobs=service, ports=ports)
    await feed.close()
    await keeper.close()


async def test_side_by_side_nothing_is_lost_or_bought_twice(processes: list[Process]) -> None:
    chance = random.Random(11)
    reading = asyncio.create_task(_read(processes[-1]))
    async with asyncio.timeout(100):
        ids = await asyncio.gather(*(_order(processes, chance, number) for number in range(JOBS)))
        workers = [asyncio.create_task(_live(process, chance)) for process in processes]
        workers.append(asyncio.create_task(_slander(processes, chance)))
        await asyncio.gather(*(_whim(processes, chance, job_id) for job_id in ids))
        await asyncio.gather(*(processes[0].jobs.wait(job_id) for job_id in set(ids)))
        while not await processes[0].db.read(_all_is_known):
            await processes[0].ports.clock.sleep(1)
    for task in (*workers, reading):
        task.cancel()
    seen, *_ = await asyncio.gather(reading, *workers, return_exceptions=True)
    assert [crash for process in processes for crash in process.crashes] == []
    assert isinstance(seen, list)
    await _expect_order(processes[0].db, seen)
    await _expect_all_kept(processes[0])


def _all_is_known(connection: Connection) -> bool:
    """Tell whether it is known of every call what became of it; those of canceled jobs are looked at after them."""
    open_ = provider_calls.c.state.in_([state.value for state in LIVE_CALLS])
    return connection.execute(select(provider_calls.c.id).where(open_).limit(1)).first() is None


async def _order(processes: list[Process], chance: random.Random, number: int) -> str:
    """Submit; every third order comes twice, by two processes at once, as from a client that is unsure."""
    asked = Submission(prompt=f"order {number}", idempotency_key=f"key {number}")
    doors = chance.sample(processes, 2 if number % 3 == 0 else 1)
    answers = await asyncio.gather(*(door.jobs.submit(asked) for door in doors))
    assert len({answer.job.id for answer in answers}) == 1
    return answers[0].job.id


async def _live(process: Process, chance: random.Random) -> None:
    """Let the worker be killed and started again a few times, then live."""
    for _ in range(KILLS // WORKERS):
        working = asyncio.create_task(process.work())
        await process.ports.clock.sleep(chance.uniform(2, 8))
        working.cancel()
        with suppress(asyncio.CancelledError):
            await working
        if chance.random() < 0.5:  # else its leases run out
            await process.db.transact(lambda c: leases.release_all(c, process.name))
    await process.work()


async def _slander(processes: list[Process], chance: random.Random) -> None:
    """Take workers for dead that live: their leases go to others while their steps run on."""
    while True:
        await processes[0].ports.clock.sleep(chance.uniform(0.2, 1.5))
        name = chance.choice(processes).name
        await processes[0].db.transact(lambda c, name=name: leases.release_all(c, name))  # type: ignore[misc]


async def _whim(processes: list[Process], chance: random.Random, job_id: str) -> None:
    """Let a client cancel now and then."""
    if chance.random() < 0.2:
        await processes[0].ports.clock.sleep(chance.uniform(0, 20))
        with suppress(Conflict):
            await chance.choice(processes).jobs.cancel(job_id)


async def _read(process: Process) -> list[int]:
    """Follow all events from the first on, until told to stop; return their ids as they came."""
    seen: list[int] = []
    with suppress(asyncio.CancelledError):
        async for event in process.jobs.follow(after=0):
            seen.append(event.id)
    return seen


async def _expect_order(db: Database, seen: list[int]) -> None:
    """Expect that the reader missed no event, and that each life begins and ends once."""
    rows = await db.read(lambda c: c.execute(select(job_events).order_by(job_events.c.id)).all())
    assert seen == [row.id for row in rows][: len(seen)]
    assert len(rows) - len(seen) < 20  # what came last may be on its way
    lives: dict[str, list[str]] = {}
    for row in rows:
        lives.setdefault(row.job_id, []).append(row.type)
    for life in lives.values():
        assert life[0] == "created"
        assert [kind for kind in life if kind in {state.value for state in TERMINAL}] == [life[-1]]


async def _expect_all_kept(process: Process) -> None:
    """Expect of every job what the protocol promises, by the provider's book and ours."""
    market = process.ports.providers.get("market")._market  # type: ignore[union-attr]
    found = await process.db.read(lambda c: c.execute(select(jobs)).all())
    ledger = await process.db.read(lambda c: c.execute(select(provider_calls)).all())
    kept = Counter(await process.db.read(lambda c: c.execute(select(artifacts.c.job_id)).scalars().all()))
    by_ref = {call.provider_ref: call for call in ledger if call.provider_ref is not None}
    assert set(by_ref) == set(market.sales)  # nothing was sold that the ledger does not know
    assert max(Counter(sale.call_id for sale in market.sales.values()).values()) == 1
    for job in found:
        calls = [call for call in ledger if call.job_id == job.id]
        states = Counter(call.state for call in calls)
        assert job.state in TERMINAL
        assert sum(states[state] for state in LIVE_CALLS) == 0
        bought = [call for call in calls if call.provider_ref is not None]
        assert sum(call.state != CallState.FAILED for call in bought) <= 1, job
        made = [market.sales[call.provider_ref].end is PredictionStatus.SUCCEEDED for call in bought]
        expected = any(made) and job.state != JobState.CANCELED  # whose cancel did not stop it in time
        assert (job.state == JobState.SUCCEEDED) == expected, job  # what was paid for is kept
        assert kept[job.id] == job.output_count == (1 if expected else 0)
