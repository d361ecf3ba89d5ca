"""What the product does while its power is cut: jobs are accepted, bought, followed, stored, canceled and deleted."""

import asyncio
import random
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from mediagen.artifacts.service import ArtifactService
from mediagen.artifacts.thumbnails import Thumbnailer
from mediagen.brokers.inprocess import InProcessBroker
from mediagen.db.engine import SQLiteDatabase
from mediagen.db.migrate import migrate_sqlite
from mediagen.errors import Conflict, LeaseLost
from mediagen.jobs import repository
from mediagen.jobs.feed import Feed
from mediagen.jobs.gates import GatePolicy
from mediagen.jobs.model import Job
from mediagen.jobs.retry import Backoff
from mediagen.jobs.service import JobService, Submission
from mediagen.providers import Registry
from mediagen.providers.base import PredictionStatus, Rejected, RejectReason, Unknown
from mediagen.settings import load_settings
from mediagen.storages.local import LocalStorage
from mediagen.worker import steps
from mediagen.worker.ports import Marks, Ports, Timing
from tests.fakes.clock import ManualClock
from tests.fakes.scripted import ScriptedProvider

_LEASE_MS = 30_000
_BURST = 6
_POLICIES = {"scripted": GatePolicy(creates_per_s=1000)}
_ANSWERS = (
    Unknown(message="502"),
    Rejected(reason=RejectReason.INVALID, message="no"),
    Rejected(reason=RejectReason.RATE_LIMITED, message="slow down", retry_after_s=1),
)


class _Shop:
    """The engine of the product over one database, with a provider in our hand."""

    def __init__(self, db: SQLiteDatabase, clock: ManualClock, storage: LocalStorage) -> None:
        self.db, self.clock = db, clock
        self.provider = ScriptedProvider()
        registry = Registry([self.provider])
        self.feed = Feed(db)
        self.artifacts = ArtifactService(db, storage, Thumbnailer())
        settings = load_settings(data_dir=storage.root, max_retries=2)
        self.jobs = JobService(
            storage=storage,
            db=db,
            clock=clock,
            providers=registry,
            broker=InProcessBroker(),
            feed=self.feed,
            settings=settings,
        )
        self.ports = Ports(
            db=db,
            clock=clock,
            providers=registry,
            keeper=self.artifacts,
            look=lambda provider, call: provider.get(call),
            backoff=Backoff(base_s=1.0),
            timing=Timing(job_timeout_s=60.0, grace_s=5.0),
            marks=Marks(installation="0" * 16, address=lambda provider, marker: None),
        )
        self.ids: list[str] = []

    async def turn(self, chance: random.Random) -> None:
        """Let one second pass in the life of the installation."""
        await asyncio.gather(*(self._submit(chance) for _ in range(chance.randrange(_BURST))))
        if chance.random() < 0.2:
            self.provider.script.append(chance.choice(_ANSWERS))
        await asyncio.gather(*(self._step(job) for job in await self._claim()))
        for ref, prediction in list(self.provider.predictions.items()):
            if not prediction.ended and chance.random() < 0.5:
                self._end(ref, chance)
        if self.ids and chance.random() < 0.2:
            with suppress(Conflict):
                await self.jobs.cancel(chance.choice(self.ids))
        self.clock.advance(1)

    async def _submit(self, chance: random.Random) -> None:
        prompt = "a fox " * chance.randrange(1, 200)
        key = f"key {chance.randrange(1_000_000)}" if chance.random() < 0.5 else None
        submitted = await self.jobs.submit(Submission(prompt=prompt, idempotency_key=key))
        self.ids.append(submitted.job.id)

    async def _claim(self) -> list[Job]:
        claimed = await self.db.transact(
            lambda c: repository.claim(c, owner="w", limit=8, lease_ms=_LEASE_MS, policies=_POLICIES)
        )
        return list(claimed.jobs)

    async def _step(self, job: Job) -> None:
        with suppress(LeaseLost):
            await steps.run(self.ports, job)

    def _end(self, ref: str, chance: random.Random) -> None:
        failed = chance.random() < 0.2
        status = PredictionStatus.FAILED if failed else PredictionStatus.SUCCEEDED
        self.provider.end(ref, status, retryable=chance.random() < 0.5)

    async def close(self) -> None:
        await self.feed.close()
        await self.artifacts.close()


async def work(folder: Path, chance: random.Random, goes_on: Callable[[], bool]) -> None:
    """Make a database in the folder and use it for as long as `goes_on` says so."""
    path, clock = folder / "mediagen.db", ManualClock()
    await asyncio.to_thread(migrate_sqlite, path)
    db = SQLiteDatabase(path, clock)
    await db.start()
    storage = LocalStorage(folder / "artifacts", 0)
    await storage.start()
    shop = _Shop(db, clock, storage)
    try:
        while goes_on():
            await shop.turn(chance)
    finally:
        await shop.close()
        await db.close()
