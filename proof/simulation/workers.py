"""Worker processes: the product's own worker on virtual time, which also freezes, dies and starts again."""

import logging
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from random import Random
from typing import Any, cast

import structlog

from mediagen.errors import LeaseLost, MediagenError, Unavailable
from mediagen.jobs import leases
from mediagen.jobs.gates import GatePolicy
from mediagen.jobs.model import Job
from mediagen.worker import ledger, loop, steps
from mediagen.worker.ports import Ports
from proof.simulation.faults import Fault, Faults
from proof.simulation.kernel import Host, Kernel, Pause, Task

LEASE_MS = 30_000
_RECOVER_MS = 15_000
_RENEW_MS = LEASE_MS // 3
_WATCH_MS = 1_000
_POLL_MS = 10_000  # where only the end of another call makes room
_FREEZES_MS = (500, 6_000, 35_000, 120_000)
_SUSPENDS_MS = (35_000, 120_000, 600_000)
_DEATHS = (2, 5, 5, 20)
_RESTARTS_MS = (100, 2_000, 20_000)


structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))


@dataclass(frozen=True, kw_only=True)
class Surroundings:
    """What all workers share."""

    kernel: Kernel
    rng: Random
    faults: Faults
    deadly: dict[str, int]  # jobs that take their worker down, and how often they still do
    policies: Mapping[str, GatePolicy]
    ports: Callable[[str], Ports]  # a process of that name gets its own
    wished: Callable[[str], bool]  # whether there is a wish to cancel the job: spares looks that find nothing
    ring: Callable[[int], None]  # let some worker look for work so much later
    shut: Callable[[int], None]  # nothing queued can be started for so long
    crashed: Callable[[str, Exception], None]  # a step raised what it never should
    tell: Callable[[str, str], None]


class Worker:
    """One worker slot. Each process in it has a name, a clock and a memory of its own."""

    def __init__(self, number: int, around: Surroundings) -> None:
        self._number = number
        self._around = around
        self._lives = self._deaths = 0
        self._tasks: list[Task] = []
        self._steps: set[Task] = set()  # those that are steps of jobs, with those that have lost their lease
        self._stopped = False
        self.alive = False
        self._start()

    def _start(self, deaths: int = 0) -> None:
        """Start, unless it was stopped or died once more in the meantime."""
        if self._stopped or deaths != self._deaths:
            return
        dead = self._lives
        self._lives += 1
        self.host = Host(name=f"w{self._number}.{self._lives}")
        self._ports = self._around.ports(self.host.name)
        self._shipped = self._ship()
        self._looking = self._attending = False
        self.alive = True
        self._recovering = False
        if dead:
            self._around.tell(self.host.name, "starts again")
            if self._around.rng.random() < 0.5:  # on the same machine: it sees at once who died
                self.rescue(f"w{self._number}.{dead}")
            self._around.ring(0)

    def _ship(self) -> loop.Worker:
        """Return the product's worker; what it does between two awaits of an event loop is done here instead."""
        config = loop.WorkerConfig(
            concurrency=5, poll_s=_POLL_MS / 1000, lease_s=LEASE_MS / 1000, policies=self._around.policies
        )
        worker = loop.Worker(self._ports, config, self._ports.clock.sleep, lambda: self._around.ring(0))
        worker.name = self.host.name
        return worker

    @property
    def _running(self) -> dict[str, tuple[Job, Task]]:
        return cast("dict[str, tuple[Job, Task]]", self._shipped._running)

    @property
    def name(self) -> str:
        return self.host.name

    @property
    def ready(self) -> bool:
        """Whether it can look for work now."""
        return self.alive and not self._looking and self.host.frozen_until <= self._around.kernel.now

    @property
    def recovered(self) -> bool:
        """Whether it knows what was sold before it started."""
        return self.alive and not self._shipped.unrecovered

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
        """Look for work once; the product's worker, too, does so once at a time."""
        if not self._looking:
            self._looking = True
            self._spawn("drain", self._drain(), self._looked)

    def _looked(self, _: Task, error: Exception | None, __: Any) -> None:
        self._looking = False
        if error is not None:
            self._around.crashed(f"drain in {self.name}", error)

    async def _drain(self) -> None:
        try:
            claimed = await self._shipped._claim(self._around.rng.choice((1, 2, 5)))
        except Unavailable:
            self._shipped._cut_off = True
            self._around.ring(1_000)
            return
        if self._shipped.unrecovered and not self._recovering:  # the claim noted since when
            self._recovering = True
            self._spawn("recovery", self._recover())
        waiting = self._shipped._waiting_suspects(claimed.jobs)
        for job in claimed.jobs:
            self._around.tell(self.name, f"claims {job.id} ({job.state}), epoch {job.lease_epoch}")
            if job not in waiting:
                self._work(job)
        await self._shipped._put_back(waiting)
        if claimed.jobs:
            self._around.ring(0)
        elif claimed.next_at is None:
            self._around.shut(_POLL_MS)
        else:
            self._around.shut(max(50, claimed.next_at - self._ports.clock.now_ms()))

    def _work(self, job: Job) -> None:
        if not self._running:
            self._spawn("tend", self._tend())
            if self._synchronous:
                self._spawn("watch", self._watch())
        step = self._spawn(job.id, steps.run(self._ports, job), partial(self._ended, job))
        self._steps.add(step)
        self._running[job.id] = (job, step)
        self._endanger(job)

    def _endanger(self, job: Job) -> None:
        deadly = self._around.deadly
        if job.id not in deadly and self._around.faults.strikes(Fault.DEADLY):
            deadly[job.id] = self._around.rng.choice(_DEATHS)
        if deadly.get(job.id, 0) > 0:
            deadly[job.id] -= 1
            self._around.kernel.after(self._around.rng.randrange(20), partial(self._taken_down, self.host))

    def _taken_down(self, host: Host) -> None:
        if self.alive and self.host is host:
            self.die()

    def _ended(self, job: Job, task: Task, error: Exception | None, _: Any) -> None:
        self._steps.discard(task)
        if self._running.get(job.id, (None, None))[1] is task:
            del self._running[job.id]
        if isinstance(error, (LeaseLost, MediagenError)):
            self._around.tell(self.name, f"{job.id}: {type(error).__name__}: {error}")
            self._shipped._cut_off |= isinstance(error, Unavailable)
        elif error is not None:
            self._around.crashed(f"{self.name} at {job.id} ({job.state})", error)

    # ------------------------------------------------------------------------------------------ upkeep

    async def _recover(self) -> None:
        """Learn what was bought before this process started, as the product's worker does."""
        while self._shipped.unrecovered:
            for name in sorted(self._shipped.unrecovered):
                with suppress(MediagenError):
                    await self._shipped.recover(name)
            self._around.ring(0)
            if self._shipped.unrecovered:
                await Pause(_RECOVER_MS)

    def attend(self) -> None:
        """End canceled jobs whose provider does not stop, and settle the ledger; once at a time."""
        if not self._attending:
            self._attending = True
            self._spawn("upkeep", self._attend(), self._attended)

    async def _attend(self) -> None:
        with suppress(Unavailable):
            await ledger.end_canceled(self._ports)
        while await ledger.settle_due(self._ports):
            pass

    def _attended(self, _: Task, error: Exception | None, __: Any) -> None:
        self._attending = False
        if error is not None and not isinstance(error, MediagenError):
            self._around.crashed(f"upkeep in {self.name}", error)

    # ------------------------------------------------------------------------------------------ leases

    async def _tend(self) -> None:
        await Pause(_RENEW_MS)
        while self._running:
            if not self._around.faults.strikes(Fault.RENEWAL):
                with suppress(Unavailable):
                    await self._shipped._renew()
            await Pause(_RENEW_MS)

    async def _watch(self) -> None:
        """Pass the wish to cancel on to creates that are held open."""
        await Pause(_WATCH_MS)
        while self._running:
            held = [job_id for job_id in self._running if self._around.wished(job_id)]
            if held:
                with suppress(MediagenError):
                    await self._shipped._pass_on(held)
            await Pause(_WATCH_MS)

    def beat(self) -> None:
        """Write a sign of life, as the product's worker does every few seconds."""
        self._spawn("beat", self._beat())

    async def _beat(self) -> None:
        with suppress(Unavailable):
            await self._ports.db.transact(lambda _: None)
        self._around.ring(0)

    def rescue(self, name: str) -> None:
        """Free the leases of a worker that is taken for dead, rightly or not."""
        self._around.tell(self.name, f"takes {name} for dead")
        self._spawn("rescue", self._rescue(name))

    async def _rescue(self, name: str) -> None:
        with suppress(Unavailable):
            await self._ports.db.transact(lambda c: leases.release_all(c, name))

    # ------------------------------------------------------------------------------------------ fate

    def freeze(self) -> None:
        """Stand still for a while, with everything in it."""
        ms = self._around.rng.choice(_FREEZES_MS)
        self.host.frozen_until = self._around.kernel.now + ms
        self._around.tell(self.name, f"freezes for {ms / 1000:g} s")

    def suspend(self) -> int:
        """Stand still with the whole machine, its monotonic clock, too; return for how long."""
        ms = self._around.rng.choice(_SUSPENDS_MS)
        self.host.frozen_until = self._around.kernel.now + ms
        self._around.tell(self.name, f"is suspended for {ms / 1000:g} s")
        return ms

    def die(self, *, back_in_ms: int = 0) -> None:
        """End without another word, and start again later."""
        self._deaths += 1
        back_in_ms += self._around.rng.choice(_RESTARTS_MS)
        self._around.kernel.after(back_in_ms, partial(self._start, self._deaths))
        self._around.tell(self.name, "dies")
        self.alive = False
        for task in self._tasks:
            task.kill()
        self._tasks.clear()
        self._steps.clear()

    def stop(self) -> None:
        """Take nothing new: all jobs have ended. Steps under way go on."""
        self._stopped = True
        self.alive = False
        for task in self._tasks:
            if task not in self._steps:
                task.kill()
