"""What happens to jobs from outside a worker: submits, wishes to cancel, webhooks, the passing of time.

Each does what the API's own code does, in the same transaction.
"""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from random import Random
from typing import Any

from mediagen.db.engine import Connection, Database
from mediagen.errors import Unavailable
from mediagen.jobs import calls, repository, service, wishes
from mediagen.jobs.model import JobRequest
from mediagen.jobs.repository import NewJob
from mediagen.providers.markers import Marker
from proof.simulation.database import Store
from proof.simulation.faults import Fault, Faults
from proof.simulation.kernel import Host, Kernel, Pause
from proof.simulation.names import job_id

EXPIRY_MS = 86_400_000
_SHORT_LIVES_MS = (20_000, 90_000)
_SUBMIT_WITHIN_MS = 4_000
_CANCEL_WITHIN_MS = 60_000
_HOUSEKEEPING_MS = 30_000
_PARAMETERS: tuple[Mapping[str, Any], ...] = ({}, {"image": "data:image/png;base64,AAAA"}, {"steps": 4})
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
    unrecovered: Callable[[], Collection[str]]  # providers of which no worker knows yet what they sold
    existed: Callable[[str], bool]  # whether there ever was such a job
    host: Host = field(default_factory=lambda: Host(name="api"))
    to_come: int = 0  # jobs that are not submitted yet
    again: int = 1_000  # the number of a job that would be made by a submit that is one too many

    def open(self, jobs: int, *, twins: bool) -> None:
        """Let clients submit so many jobs, and change their minds about some."""
        self.to_come = jobs
        same = self.rng.choice(_PARAMETERS)
        for number in range(1, jobs + 1):
            prompt = "a picture" if twins else f"picture {number}"
            new = self._new_job(number, prompt, same if twins else self.rng.choice(_PARAMETERS))
            self.kernel.spawn(self.host, "submit", self._submit(number, new))
        self.kernel.after(_HOUSEKEEPING_MS, self._keep_house)

    def _new_job(self, number: int, prompt: str, parameters: Mapping[str, Any]) -> NewJob:
        short = self.faults.strikes(Fault.SHORT_LIFE)
        request = JobRequest(
            prompt=prompt,
            model="sim/one",
            provider="sim",
            parameters=parameters,
            webhook_url=self.rng.choice((None, "https://client.example/hook")),
            priority=self.rng.choice((0, 0, 1)),
            idempotency_key=f"key-{number}",
        )
        return NewJob(
            id=job_id(number),
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
            await self._cancel(job_id(number))

    async def _submitted(self, new: NewJob) -> bool:
        """Submit, and tell whether the client learned that it worked; else it submits again."""
        known = self.store.ask("SELECT 1 FROM jobs WHERE id = ?", new.id)
        if not known and self.existed(new.id):  # an older copy was put back: to it the client is new
            self.again += 1
            new = NewJob(**{**new.__dict__, "id": job_id(self.again)})
        other = {"id": job_id(self.again - 500), "secret": f"{new.secret}-again"}
        again = NewJob(**{**new.__dict__, **other})
        try:
            await self.db.transact(lambda c: service.accept(c, [again if known else new]))
        except Unavailable:
            return False
        return True

    def cancel(self, job: str) -> None:
        """Let a client change its mind now."""
        self.kernel.spawn(self.host, "cancel", self._cancel(job))

    async def _cancel(self, wanted: str) -> None:
        self.tell("client", f"wants {wanted} canceled")

        def change(connection: Connection) -> None:
            job = repository.get(connection, wanted)
            if job is not None and not job.finished:
                wishes.request_cancel(connection, job)

        try:
            await self.db.transact(change)
        except Unavailable:
            return
        self.ring(0)

    def hook(self, marker: Marker, ref: str) -> None:
        """Let the provider call back."""
        self.tell("callback", f"names {ref} for {marker.call}")
        self.kernel.spawn(self.host, "hook", self._hook(marker, ref))

    async def _hook(self, marker: Marker, ref: str) -> None:
        def note(connection: Connection) -> None:
            if calls.get(connection, marker.call) is not None:
                late = calls.accept(connection, marker.call, ref) is calls.Acceptance.LATE
                wishes.ring(connection, marker.job, came_late=late)
                return
            job = repository.get(connection, marker.job)
            if job is not None and not job.finished:
                calls.recover(connection, job, marker.call, ref)
                wishes.ring(connection, job.id, came_late=True)

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
            unrecovered = self.unrecovered()
            await self.db.transact(lambda c: wishes.expire(c, but=unrecovered))
        except Unavailable:
            return
