"""What happens to jobs from outside a worker: submits, wishes to cancel, webhooks, the passing of time.

Each does what the API's own code does, in the same transaction.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random

from mediagen.db.engine import Connection, Database
from mediagen.errors import Unavailable
from mediagen.jobs import calls, repository, service, wishes
from mediagen.jobs.model import JobRequest
from mediagen.jobs.repository import NewJob
from proof.simulation.database import Store
from proof.simulation.faults import Fault, Faults
from proof.simulation.kernel import Host, Kernel, Pause

EXPIRY_MS = 86_400_000
_SHORT_LIVES_MS = (20_000, 90_000)
_SUBMIT_WITHIN_MS = 4_000
_CANCEL_WITHIN_MS = 60_000
_HOUSEKEEPING_MS = 30_000
_PATIENCE_MS = 1_000


@dataclass(kw_only=True)
class Outside:
    """The API's process, its clients, and the upkeep."""

    kernel: Kernel
    rng: Random
    faults: Faults
    store: Store
    db: Database
    ring: Callable[[int], None]
    tell: Callable[[str, str], None]
    wall: Callable[[], int]
    over: Callable[[], bool]
    host: Host = field(default_factory=lambda: Host(name="api"))
    to_come: int = 0  # jobs that are not submitted yet

    def open(self, jobs: int, *, twins: bool) -> None:
        """Let clients submit so many jobs, and change their minds about some."""
        self.to_come = jobs
        for number in range(1, jobs + 1):
            prompt = "a picture" if twins else f"picture {number}"
            new = self._new_job(number, prompt)
            self.kernel.spawn(self.host, "submit", self._submit(number, new))
        self.kernel.after(_HOUSEKEEPING_MS, self._keep_house)

    def _new_job(self, number: int, prompt: str) -> NewJob:
        short = self.faults.strikes(Fault.SHORT_LIFE)
        request = JobRequest(
            prompt=prompt,
            model="sim/one",
            provider="sim",
            webhook_url=self.rng.choice((None, "https://client.example/hook")),
            priority=self.rng.choice((0, 0, 1)),
            idempotency_key=f"key-{number}",
        )
        return NewJob(
            id=f"job-{number}",
            secret=f"secret-{number}",
            request=request,
            request_hash=prompt,
            max_attempts=self.rng.choice((1, 2, 4)),
            expiry_ms=self.rng.choice(_SHORT_LIVES_MS) if short else EXPIRY_MS,
        )

    async def _submit(self, number: int, new: NewJob) -> None:
        await Pause(self.rng.randrange(_SUBMIT_WITHIN_MS))
        while not await self._submitted(new):
            await Pause(_PATIENCE_MS)
        while self.faults.strikes(Fault.SUBMIT_AGAIN):
            await self._submitted(new)
        self.to_come -= 1
        self.ring(0)
        if self.faults.strikes(Fault.CANCEL):
            await Pause(self.rng.choice((0, self.rng.randrange(_CANCEL_WITHIN_MS))))
            await self._cancel(f"job-{number}")

    async def _submitted(self, new: NewJob) -> bool:
        """Submit, and tell whether the client learned that it worked; else it submits again."""
        again = NewJob(**{**new.__dict__, "id": f"{new.id}-again", "secret": f"{new.secret}-again"})
        known = self.store.ask("SELECT 1 FROM jobs WHERE id = ?", new.id)
        try:
            await self.db.transact(lambda c: service.accept(c, [again if known else new]))
        except Unavailable:
            return False
        return True

    def cancel(self, job_id: str) -> None:
        """Let a client change its mind now."""
        self.kernel.spawn(self.host, "cancel", self._cancel(job_id))

    async def _cancel(self, job_id: str) -> None:
        self.tell("client", f"wants {job_id} canceled")

        def change(connection: Connection) -> None:
            job = repository.get(connection, job_id)
            if job is not None and not job.finished:
                wishes.request_cancel(connection, job)

        try:
            await self.db.transact(change)
        except Unavailable:
            return
        self.ring(0)

    def hook(self, call_id: str, ref: str) -> None:
        """Let the provider ring at our webhook."""
        self.tell("webhook", f"names {ref} for {call_id}")
        self.kernel.spawn(self.host, "hook", self._hook(call_id, ref))

    async def _hook(self, call_id: str, ref: str) -> None:
        def note(connection: Connection) -> None:
            found = calls.get(connection, call_id)
            if found is not None:
                calls.accept(connection, call_id, ref)
                wishes.ring(connection, found.job_id)

        try:
            await self.db.transact(note)
        except Unavailable:
            return
        self.ring(0)

    def _keep_house(self) -> None:
        if self.over():
            return
        late = self.store.ask(
            "SELECT 1 FROM jobs WHERE state = 'queued' AND expires_at <= ? LIMIT 1", self.wall()
        )
        if late:
            self.kernel.spawn(self.host, "expire", self._expire())
        self.kernel.after(_HOUSEKEEPING_MS, self._keep_house)

    async def _expire(self) -> None:
        try:
            await self.db.transact(wishes.expire)
        except Unavailable:
            return
