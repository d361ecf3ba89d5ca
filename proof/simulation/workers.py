"""Worker processes: claim, run steps, renew leases, freeze, die and start again."""

from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from random import Random
from typing import Any

from mediagen.db.engine import Connection
from mediagen.errors import LeaseLost, MediagenError, Unavailable
from mediagen.jobs import calls, repository
from mediagen.jobs.gates import GatePolicy
from mediagen.jobs.model import Job
from mediagen.worker import steps
from mediagen.worker.ports import Ports
from proof.simulation.faults import Fault, Faults
from proof.simulation.kernel import Host, Kernel, Pause, Task

LEASE_MS = 30_000
_RENEW_MS = LEASE_MS // 3
_WATCH_MS = 1_000
_POLL_MS = 30_000  # commits ring sooner
_FREEZES_MS = (500, 6_000, 35_000, 120_000)
_RESTARTS_MS = (100, 2_000, 20_000)


@dataclass(frozen=True, kw_only=True)
class Surroundings:
    """What all workers share."""

    kernel: Kernel
    rng: Random
    faults: Faults
    policies: Mapping[str, GatePolicy]
    ports: Callable[[str], Ports]  # a process of that name gets its own
    wished: Callable[[str], bool]  # whether there is a wish to cancel the job: spares looks that find nothing
    ring: Callable[[int], None]  # let some worker look for work so much later
    crashed: Callable[[str, Exception], None]  # a step raised what it never should
    tell: Callable[[str, str], None]


class Worker:
    """One worker slot. Each process in it has a name, a clock and a memory of its own."""

    def __init__(self, number: int, around: Surroundings) -> None:
        self._number = number
        self._around = around
        self._lives = 0
        self._running: dict[Task, Job] = {}
        self._tasks: list[Task] = []
        self._stopped = False
        self.alive = False
        self._start()

    def _start(self) -> None:
        if self._stopped:
            return
        dead, self._lives = self._lives, self._lives + 1
        self.host = Host(name=f"w{self._number}.{self._lives}")
        self._ports = self._around.ports(self.host.name)
        self.alive = True
        if dead:
            self._around.tell(self.host.name, "starts again")
            if self._around.rng.random() < 0.5:  # on the same machine: it sees at once who died
                self.rescue(f"w{self._number}.{dead}")
            self._around.ring(0)

    @property
    def name(self) -> str:
        return self.host.name

    @property
    def ready(self) -> bool:
        """Whether it can look for work now."""
        return self.alive and self.host.frozen_until <= self._around.kernel.now

    @property
    def _synchronous(self) -> bool:
        return any(provider.capabilities.synchronous for provider in self._ports.providers)

    def _spawn(self, what: str, coroutine: Any, ended: Any = None) -> Task:
        task = self._around.kernel.spawn(self.host, what, coroutine, ended)
        self._tasks = [other for other in self._tasks if not other.over]
        self._tasks.append(task)
        return task

    # ------------------------------------------------------------------------------------------ work

    def look(self) -> None:
        """Look for work once."""
        self._spawn("drain", self._drain())

    async def _drain(self) -> None:
        limit = self._around.rng.choice((1, 2, 5))
        try:
            claimed = await self._ports.db.transact(lambda c: self._claim(c, limit))
        except Unavailable:
            self._around.ring(1_000)
            return
        for job in claimed.jobs:
            self._around.tell(self.name, f"claims {job.id} ({job.state}), epoch {job.lease_epoch}")
            self._work(job)
        if claimed.jobs:
            self._around.ring(0)
        elif claimed.next_at is None:
            self._around.ring(_POLL_MS)
        else:
            self._around.ring(max(50, claimed.next_at - self._ports.clock.now_ms()))

    def _claim(self, connection: Connection, limit: int) -> repository.Claimed:
        return repository.claim(
            connection, owner=self.name, limit=limit, lease_ms=LEASE_MS, policies=self._around.policies
        )

    def _work(self, job: Job) -> None:
        if not self._running:
            self._spawn("tend", self._tend())
            if self._synchronous:
                self._spawn("watch", self._watch())
        self._running[self._spawn(job.id, steps.run(self._ports, job), self._ended)] = job

    def _ended(self, task: Task, error: Exception | None, _: Any) -> None:
        job = self._running.pop(task)
        if isinstance(error, (LeaseLost, MediagenError)):
            self._around.tell(self.name, f"{job.id}: {type(error).__name__}: {error}")
        elif error is not None:
            self._around.crashed(f"{self.name} at {job.id} ({job.state})", error)

    # ------------------------------------------------------------------------------------------ leases

    async def _tend(self) -> None:
        await Pause(_RENEW_MS)
        while self._running:
            if not self._around.faults.strikes(Fault.RENEWAL):
                await self._renew()
            await Pause(_RENEW_MS)

    async def _renew(self) -> None:
        held = dict(self._running)
        leases = [job.lease for job in held.values()]
        try:
            kept = await self._ports.db.transact(lambda c: repository.renew(c, leases, LEASE_MS))
        except Unavailable:
            return
        for task, job in held.items():
            if job.id not in kept and task in self._running:
                self._around.tell(self.name, f"gives up {job.id}: its lease is lost")
                task.cancel()

    def rescue(self, name: str) -> None:
        """Free the leases of a worker that is taken for dead, rightly or not."""
        self._around.tell(self.name, f"takes {name} for dead")
        self._spawn("rescue", self._rescue(name))

    async def _rescue(self, name: str) -> None:
        with suppress(Unavailable):
            await self._ports.db.transact(lambda c: repository.release_all(c, name))

    async def _watch(self) -> None:
        """Pass the wish to cancel on to creates that are held open."""
        await Pause(_WATCH_MS)
        while self._running:
            for job in [job for job in self._running.values() if self._around.wished(job.id)]:
                try:
                    await self._pass_on(job)
                except MediagenError as error:
                    self._around.tell(self.name, f"{job.id} can't be stopped: {error}")
            await Pause(_WATCH_MS)

    async def _pass_on(self, job: Job) -> None:
        found = await self._ports.db.read(lambda c: repository.get(c, job.id))
        if found is None or found.cancel_requested_at is None or found.finished:
            return
        record = await self._ports.db.read(lambda c: calls.live(c, job.id))
        provider = self._ports.providers.get(job.provider)
        if record is not None and provider is not None:
            await provider.cancel(steps.call_of(self._ports, provider, job, record))

    # ------------------------------------------------------------------------------------------ fate

    def freeze(self) -> None:
        """Stand still for a while, with everything in it."""
        ms = self._around.rng.choice(_FREEZES_MS)
        self.host.frozen_until = self._around.kernel.now + ms
        self._around.tell(self.name, f"freezes for {ms / 1000:g} s")

    def die(self) -> None:
        """End without another word, and start again later."""
        self._around.tell(self.name, "dies")
        self.alive = False
        for task in self._tasks:
            task.kill()
        self._tasks.clear()
        self._running.clear()
        self._around.kernel.after(self._around.rng.choice(_RESTARTS_MS), self._start)

    def stop(self) -> None:
        """Take nothing new: all jobs have ended. Steps under way go on."""
        self._stopped = True
        self.alive = False
        for task in self._tasks:
            if task not in self._running:
                task.kill()
