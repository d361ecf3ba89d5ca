"""A whole engine on a database of its own, of each kind, with a clock and a provider in the test's hand."""

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from mediagen.artifacts.service import ArtifactService
from mediagen.artifacts.thumbnails import Thumbnailer
from mediagen.brokers.inprocess import InProcessBroker
from mediagen.db.engine import Database
from mediagen.jobs import repository
from mediagen.jobs.feed import Feed
from mediagen.jobs.gates import GatePolicy
from mediagen.jobs.lookup import JobDetail
from mediagen.jobs.model import Job
from mediagen.jobs.retry import Backoff
from mediagen.jobs.service import JobService, Submission
from mediagen.providers import Registry
from mediagen.settings import Settings
from mediagen.storages.local import LocalStorage
from mediagen.worker import steps
from mediagen.worker.ports import Marks, Ports, Timing
from tests.conformance.databases import DATABASES
from tests.fakes.clock import ManualClock
from tests.fakes.inbox import Inbox
from tests.fakes.scripted import ScriptedProvider

LEASE_MS = 30_000
POLICY = {"scripted": GatePolicy(creates_per_s=1000)}


@dataclass
class Engine:
    """What a test of the engine needs: submit, work, look."""

    db: Database
    clock: ManualClock
    provider: ScriptedProvider
    jobs: JobService
    artifacts: ArtifactService
    ports: Ports
    policies: dict[str, GatePolicy]

    async def submit(self, prompt: str = "a red fox", **more: object) -> str:
        return (await self.jobs.submit(Submission(prompt=prompt, **more))).job.id  # type: ignore[arg-type]

    async def claim(self, owner: str = "w1", limit: int = 10) -> list[Job]:
        claimed = await self.db.transact(
            lambda c: repository.claim(c, owner=owner, limit=limit, lease_ms=LEASE_MS, policies=self.policies)
        )
        return list(claimed.jobs)

    async def work(self, owner: str = "w1") -> int:
        """Run one step of every job that is due; return how many."""
        jobs = await self.claim(owner)
        for job in jobs:
            await steps.run(self.ports, job)
        return len(jobs)

    async def work_for(self, seconds: float, pace_s: float = 0.5) -> None:
        """Let time pass, working at every pace."""
        for _ in range(int(seconds / pace_s)):
            while await self.work():
                pass
            self.clock.advance(pace_s)

    async def look(self, job_id: str) -> JobDetail:
        return await self.jobs.detail(job_id)

    def use(self, provider: ScriptedProvider) -> None:
        self.provider = provider
        registry = Registry([provider])
        self.ports = replace(self.ports, providers=registry)
        self.jobs._providers = registry


@pytest.fixture(params=sorted(DATABASES))
async def engine(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Engine]:
    clock = ManualClock()
    async with DATABASES[request.param](tmp_path, clock) as db:
        storage = LocalStorage(tmp_path / "artifacts", 0)
        await storage.start()
        feed, settings = Feed(db), Settings(data_dir=tmp_path, max_retries=2)
        engine = _engine(db, clock, storage, feed, settings)
        yield engine
        await feed.close()
        await engine.artifacts.close()


def _engine(
    db: Database, clock: ManualClock, storage: LocalStorage, feed: Feed, settings: Settings
) -> Engine:
    provider = ScriptedProvider()
    registry = Registry([provider])
    artifacts = ArtifactService(db, storage, Thumbnailer())
    jobs = JobService(
        storage=storage,
        db=db,
        clock=clock,
        providers=registry,
        broker=InProcessBroker(),
        feed=feed,
        settings=settings,
    )
    ports = Ports(
        db=db,
        clock=clock,
        providers=registry,
        keeper=artifacts,
        look=lambda provider, call: provider.get(call),
        backoff=Backoff(base_s=2.0),
        timing=Timing(job_timeout_s=60.0, grace_s=30.0),
        marks=Marks(installation="0" * 16, address=lambda provider, marker: None),
    )
    return Engine(
        db=db,
        clock=clock,
        provider=provider,
        jobs=jobs,
        artifacts=artifacts,
        ports=ports,
        policies=dict(POLICY),
    )


@pytest.fixture
async def inbox(engine: Engine, tmp_path: Path) -> Inbox:
    return Inbox(engine.artifacts, await engine.submit(), tmp_path / "artifacts" / ".tmp")


@pytest.fixture
def save(tmp_path: Path) -> Callable[[bytes], Path]:
    """Write bytes to a file whose name claims that they are a PNG, which nobody must believe."""

    def save(data: bytes) -> Path:
        path = tmp_path / "claimed.png"
        path.write_bytes(data)
        return path

    return save
