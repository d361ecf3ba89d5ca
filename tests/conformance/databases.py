"""The databases that the conformance suite runs on. A new one is one more entry in `DATABASES`."""

import functools
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Concatenate, ParamSpec, TypeVar

from sqlalchemy import select

from mediagen.clock import Clock
from mediagen.db.engine import Connection, Database, SQLiteDatabase
from mediagen.db.migrate import migrate_sqlite
from mediagen.db.postgres import PostgresDatabase
from mediagen.db.tables import metadata
from mediagen.jobs import calls, leases, repository, wishes
from mediagen.jobs.calls import Intent
from mediagen.jobs.gates import GatePolicy
from mediagen.jobs.model import CallRecord, Job, JobRequest, Lease
from mediagen.jobs.repository import Claimed, NewJob
from mediagen.jobs.states import CallState, JobState
from tests.fakes.clock import ManualClock
from tests.fakes.servers import database

P = ParamSpec("P")
T = TypeVar("T")

Opener = Callable[[Path, Clock], AbstractAsyncContextManager[Database]]
"""Open the migrated database that belongs to a folder, making it first; twice for two processes' views of it."""

PROVIDER = "painter"
OPEN = {PROVIDER: GatePolicy(creates_per_s=1000)}
LEASE_MS = 30_000


@asynccontextmanager
async def _sqlite(folder: Path, clock: Clock) -> AsyncIterator[Database]:
    path = folder / "jobs.db"
    if not path.exists():
        path.write_bytes(_migrated_sqlite_file())
    db = SQLiteDatabase(path, clock)
    await db.start()
    try:
        yield db
    finally:
        await db.close()


@functools.cache
def _migrated_sqlite_file() -> bytes:
    with TemporaryDirectory() as folder:
        path = Path(folder) / "jobs.db"
        migrate_sqlite(path)
        return path.read_bytes()


@asynccontextmanager
async def _postgres(folder: Path, clock: Clock) -> AsyncIterator[Database]:
    known = folder / "postgres.url"  # of the database that was made for this folder
    with nullcontext(known.read_text()) if known.exists() else database() as url:
        known.write_text(url)
        db = PostgresDatabase(url, clock, server_clock=False)
        await db.start()
        try:
            yield db
        finally:
            await db.close()


DATABASES: Mapping[str, Opener] = {"sqlite": _sqlite, "postgresql": _postgres}


@dataclass(frozen=True, kw_only=True)
class Desk:
    """A database, a clock in the test's hand, and short words for what the tests do with them."""

    db: Database
    clock: ManualClock
    again: Callable[
        [], AbstractAsyncContextManager[Database]
    ]  # the same database, as another process opens it

    async def run(self, fn: Callable[Concatenate[Connection, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run a repository function in a write transaction of its own."""
        return await self.db.transact(lambda connection: fn(connection, *args, **kwargs))

    async def move(self, lease: Lease, to: JobState, **changes: Any) -> None:
        await self.db.transact(lambda c: repository.transition(c, lease, to, **changes))

    def new(
        self,
        prompt: str = "a red fox",
        *,
        request_hash: str = "h",
        max_attempts: int = 3,
        expiry_s: float = 3600,
        **request: Any,
    ) -> NewJob:
        asked = {"prompt": prompt, "model": "acme/painter", "provider": PROVIDER, **request}
        return NewJob(
            id=self.clock.new_id(),
            secret=self.clock.new_secret(),
            request=JobRequest(**asked),
            request_hash=request_hash,
            max_attempts=max_attempts,
            expiry_ms=int(expiry_s * 1000),
        )

    async def add(self, prompt: str = "a red fox", **more: Any) -> Job:
        [job] = await self.run(repository.insert_many, [self.new(prompt, **more)])
        return job

    async def job(self, job_id: str) -> Job:
        found = await self.run(repository.get, job_id)
        assert found is not None
        return found

    async def claimed(self, owner: str = "w1", limit: int = 100) -> list[Job]:
        return list((await self.claim(owner, limit)).jobs)

    async def claim(
        self, owner: str = "w1", limit: int = 100, policies: Mapping[str, GatePolicy] | None = None
    ) -> Claimed:
        return await self.run(
            repository.claim,
            owner=owner,
            limit=limit,
            lease_ms=LEASE_MS,
            policies=OPEN if policies is None else policies,
        )

    async def job_in(self, state: JobState, **more: Any) -> Job:
        """Return a new job that has come to the state by moves that are allowed, and that nobody holds."""
        job = await self.add(**more)
        await self.run(bring_to, job, state)
        return await self.job(job.id)

    async def call(self, job: Job, state: CallState = CallState.INTENT, ref: str = "ref-1") -> CallRecord:
        """Return a new call of the job that has come to the state by moves that are allowed."""
        record = await self.intend(job)
        await self.run(bring_call_to, record.id, state, ref)
        found = await self.run(calls.get, record.id)
        assert found is not None
        return found

    async def intend(self, job: Job, call_id: str = "", **more: Any) -> CallRecord:
        """Write the intent to buy the job's next call."""
        new_id = call_id or self.clock.new_id()
        return await self.db.transact(lambda c: intend(c, job, new_id, **more))

    async def everything(self) -> dict[str, list[tuple[Any, ...]]]:
        """Return all rows of all tables, to see whether anything was written."""

        def read(connection: Connection) -> dict[str, list[tuple[Any, ...]]]:
            return {
                table.name: sorted((tuple(row) for row in connection.execute(select(table))), key=repr)
                for table in metadata.sorted_tables
            }

        return await self.db.read(read)


def intend(connection: Connection, job: Job, call_id: str, **more: Any) -> CallRecord:
    """Write the intent to buy the job's next call."""
    intent = Intent(**{"call_id": call_id, "timeout_ms": 60_000, "marked": True, **more})
    return calls.intend(connection, job, intent, calls.earlier(connection, job.id).seq + 1)


_S = JobState
_PATHS: Mapping[JobState, tuple[tuple[JobState, Mapping[str, Any]], ...]] = {
    _S.QUEUED: (),
    _S.SUBMITTING: ((_S.SUBMITTING, {}),),
    _S.RECONCILING: ((_S.SUBMITTING, {}), (_S.RECONCILING, {"attempt": 1})),
    _S.WAITING: ((_S.SUBMITTING, {}), (_S.WAITING, {"attempt": 1})),
    _S.STORING: ((_S.SUBMITTING, {}), (_S.WAITING, {"attempt": 1}), (_S.STORING, {})),
    _S.SUCCEEDED: (
        (_S.SUBMITTING, {}),
        (_S.WAITING, {"attempt": 1}),
        (_S.STORING, {}),
        (_S.SUCCEEDED, {"output_count": 1}),
    ),
    _S.FAILED: ((_S.FAILED, {"error_code": "rejected"}),),
}


def bring_to(connection: Connection, job: Job, state: JobState) -> None:
    """Move a queued job to the state, and leave it free."""
    if state is JobState.CANCELED:
        wishes.request_cancel(connection, job)
        return
    lease = repository.seize(connection, job.id, "desk")
    assert lease is not None
    for to, changes in _PATHS[state]:
        repository.transition(connection, lease, to, keep_lease=True, **changes)
    leases.release_all(connection, "desk")


def bring_call_to(connection: Connection, call_id: str, state: CallState, ref: str) -> None:
    """Move a call that is intended to the state."""
    if state is CallState.INTENT:
        return
    if state in (CallState.UNKNOWN, CallState.REJECTED, CallState.ABSENT):
        calls.settle(connection, call_id, state)
        return
    assert calls.accept(connection, call_id, ref) is calls.Acceptance.RECORDED
    if state is not CallState.ACCEPTED:
        calls.settle(connection, call_id, state)
