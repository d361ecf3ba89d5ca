"""The worker: claims what is due in batches and runs the steps side by side in one event loop.

Waiting costs a row, not a worker: between two steps nobody holds a job. A claimed job is held by a lease that is
renewed while its step runs; a worker that dies simply stops renewing.
"""

import asyncio
import os
import socket
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial

import structlog

from mediagen.db.engine import Connection
from mediagen.errors import LeaseLost, MediagenError, Unavailable
from mediagen.jobs import calls, events, leases, repository, traits, wishes
from mediagen.jobs.gates import GatePolicy
from mediagen.jobs.model import Job
from mediagen.worker import recovery, steps
from mediagen.worker.ports import Ports
from mediagen.worker.turns import call_of

log = structlog.get_logger(__name__)

Wait = Callable[[float], Awaitable[None]]
"""Return at the next ring of the doorbell, or after so many seconds."""

SUSPECT_CLAIMS = 3
"""Claims in a row without a durable step forward after which a job runs while no other such job does.

A crash takes down all jobs of its worker. Run one after another, those that it did not come from get on, and
only the one that it came from is counted up to `steps.POISON_CLAIMS`.
"""

_SUSPECT_PAUSE_MS = 250
_WATCH_S = 1.0
_UNAVAILABLE_S = 1.0
_RECOVER_S, _RECOVER_MOST_S = 1.0, 30.0


@dataclass(frozen=True, kw_only=True)
class WorkerConfig:
    """How one worker works."""

    concurrency: int
    poll_s: float
    lease_s: float
    policies: Mapping[str, GatePolicy]


class Worker:
    """Runs steps until it is told to stop."""

    def __init__(self, ports: Ports, config: WorkerConfig, wait: Wait, ring: Callable[[], None]) -> None:
        self.name = f"{host_name()}:{os.getpid()}:{ports.clock.new_secret()[:6]}"
        self.ports = ports
        self._config = config
        self._wait = wait
        self._ring = ring
        self._running: dict[str, tuple[Job, asyncio.Task[bool]]] = {}
        self.unrecovered = {  # providers that may have sold what an older copy of the database does not know of
            provider.name for provider in ports.providers if recovery.needs_recovery(provider)
        }
        self._begun_after: int | None = None  # the newest event at the first claim; None before
        self._begun = asyncio.Event()  # set by the first claim
        self._cut_off = False  # the database was away: leases may be held that nobody here uses
        self._stopping = False

    @property
    def steps_running(self) -> int:
        return len(self._running)

    async def run(self) -> None:
        """Drain what is due, sleep until more is, and so on until `stop`."""
        tending = asyncio.create_task(self._tend(), name="leases")
        watching = asyncio.create_task(self._watch(), name="cancel wishes")
        recovering = asyncio.create_task(self._recover(), name="recovery")
        try:
            while not self._stopping:
                await self._wait(await self._look())
        finally:
            await self._finish()
            for task in (tending, watching, recovering):
                task.cancel()
                with suppress(asyncio.CancelledError):
                    await task

    def stop(self) -> None:
        """Take nothing new; `run` returns when the steps under way have ended."""
        self._stopping = True
        self._ring()

    def ring(self) -> None:
        """Look for due jobs now."""
        self._ring()

    async def _look(self) -> float:
        """Take what is due; return seconds until the next look. No error ends the worker."""
        try:
            return await self._drain()
        except Exception:
            log.exception("worker.crashed")
            self._cut_off = True
            return _UNAVAILABLE_S

    async def _drain(self) -> float:
        """Claim until nothing more is due or there is no room; return seconds until the next look."""
        while (room := self._config.concurrency - len(self._running)) > 0:
            try:
                claimed = await self._claim(room)
            except Unavailable as error:
                log.warning("worker.database_unavailable", reason=str(error))
                self._cut_off = True
                return _UNAVAILABLE_S
            waiting = self._waiting_suspects(claimed.jobs)
            for job in claimed.jobs:
                if job not in waiting:
                    self._start(job)
            await self._put_back(waiting)
            if not claimed.jobs:
                return self._pause_s(claimed.next_at)
        return self._config.poll_s

    def _waiting_suspects(self, claimed: Sequence[Job]) -> Sequence[Job]:
        """Return the suspects that have to wait until another one is through."""
        suspects = [job for job in claimed if job.claims > SUSPECT_CLAIMS]
        at_work = any(job.claims > SUSPECT_CLAIMS for job, _ in self._running.values())
        return suspects if at_work else suspects[1:]

    async def _put_back(self, waiting: Sequence[Job]) -> None:
        held = [job.lease for job in waiting]
        if held:
            with suppress(Unavailable):  # then the leases run out
                await self.ports.db.transact(lambda c: wishes.put_back(c, held, _SUSPECT_PAUSE_MS))

    async def _claim(self, room: int) -> repository.Claimed:
        cut_off, self._cut_off = self._cut_off, False
        running = list(self._running)

        def write(connection: Connection) -> tuple[int, repository.Claimed]:
            if cut_off:
                leases.release_idle(connection, self.name, running)
            begun_after = self._begin(connection) if self._begun_after is None else self._begun_after
            claimed = repository.claim(
                connection,
                owner=self.name,
                limit=room,
                lease_ms=self._lease_ms,
                policies=self._policies(begun_after),
            )
            return begun_after, claimed

        self._begun_after, claimed = await self.ports.db.transact(write)
        self._begun.set()
        return claimed

    def _begin(self, connection: Connection) -> int:
        """Read what is remembered of providers, before anything is bought; return the newest event of then."""
        marks = self.ports.marks
        marks.refused_by.update(traits.having(connection, traits.REFUSES_MARKERS))
        for provider in self.ports.providers:
            dated = traits.value_of(connection, provider.name, traits.DATED_BY_ITS_CLOCK)
            if dated is not None:
                provider.dated_by_its_clock = marks.dated[provider.name] = dated == str(True)
        marks.since[marks.at] = traits.marks_since(connection, marks.at)
        for name in sorted(self.unrecovered):
            if (missing := self.ports.providers.get(name)) is not None:
                recovery.begin(connection, missing)
        return events.last_id(connection)

    def _policies(self, begun_after: int) -> Mapping[str, GatePolicy]:
        """Return how fast is bought; until it is known what was bought before, only for jobs that are new."""
        return {
            name: replace(policy, accepted_after=begun_after) if name in self.unrecovered else policy
            for name, policy in self._config.policies.items()
        }

    async def _recover(self) -> None:
        """Learn what was bought before this process started, provider by provider."""
        pause_s = _RECOVER_S
        await self._begun.wait()  # before, nothing is noted yet of what has to be recovered
        while self.unrecovered:
            for name in sorted(self.unrecovered):
                await _attempt(partial(self.recover, name))
            self._ring()
            if self.unrecovered:
                await asyncio.sleep(pause_s)
                pause_s = min(_RECOVER_MOST_S, pause_s * 2)

    async def recover(self, name: str) -> None:
        """Learn what was bought from a provider before this process started."""
        provider = self.ports.providers.get(name)
        if provider is None or await recovery.recover(self.ports, provider):
            self.unrecovered.discard(name)

    @property
    def _lease_ms(self) -> int:
        return int(self._config.lease_s * 1000)

    def _pause_s(self, next_at: int | None) -> float:
        if next_at is None:
            return self._config.poll_s
        return min(self._config.poll_s, max(0.001, (next_at - self.ports.clock.now_ms()) / 1000))

    # ------------------------------------------------------------------------------------------ steps

    def _start(self, job: Job) -> None:
        task = asyncio.create_task(self._step(job), name=f"job {job.id}")
        self._running[job.id] = (job, task)
        task.add_done_callback(lambda done: self._ended(job, done))

    async def _step(self, job: Job) -> bool:
        """Take the job's next step; return whether the database went away under it, so that its lease may be held."""
        structlog.contextvars.bind_contextvars(job_id=job.id, state=job.state.value)
        try:
            await steps.run(self.ports, job)
        except LeaseLost as error:
            log.info("step.lease_lost", reason=str(error))
        except Unavailable as error:
            log.warning("step.cut_off", reason=str(error))
            return True
        except MediagenError as error:
            log.warning("step.failed", reason=str(error))
        except Exception:
            # A defect of ours: the lease runs out, the job is tried again, and it ends as poisoned at the latest.
            log.exception("step.crashed")
        return False

    def _ended(self, job: Job, task: "asyncio.Task[bool]") -> None:
        if self._running.get(job.id, (None, None))[1] is task:
            del self._running[job.id]
        # Not earlier: a claim in between would still see the job at work, and leave its lease alone.
        self._cut_off |= not task.cancelled() and task.result()
        self._ring()

    async def _finish(self) -> None:
        tasks = [task for _, task in self._running.values()]
        if tasks:
            log.info("worker.draining", steps=len(tasks))
            await asyncio.wait(tasks, timeout=self._config.lease_s)
        for task in tasks:  # what is still running goes on elsewhere, as after a crash
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    # ------------------------------------------------------------------------------------------ leases

    async def _tend(self) -> None:
        while True:
            await asyncio.sleep(self._config.lease_s / 3)
            await _attempt(self._renew)

    async def _renew(self) -> None:
        held = {job.id: (job, task) for job, task in self._running.values()}
        own = [job.lease for job, _ in held.values()]
        if not own:
            return
        kept = await self.ports.db.transact(lambda c: repository.renew(c, own, self._lease_ms))
        for job_id in held.keys() - kept:
            if self._running.get(job_id) == held[job_id]:
                held[job_id][1].cancel()

    async def _watch(self) -> None:
        """Pass the wish to cancel on to providers that hold the create open until the end."""
        while True:
            await asyncio.sleep(_WATCH_S)
            held = [job for job, _ in self._running.values() if self._holds(job)]
            if held:
                await _attempt(partial(self._pass_on, [job.id for job in held]))

    def _holds(self, job: Job) -> bool:
        provider = self.ports.providers.get(job.provider)
        return provider is not None and provider.capabilities.synchronous

    async def _pass_on(self, job_ids: list[str]) -> None:
        found = await self.ports.db.read(lambda c: repository.get_many(c, job_ids))
        for job in found.values():
            if job.cancel_requested_at is not None and not job.finished:
                await self._cancel_held(job)

    async def _cancel_held(self, job: Job) -> None:
        provider = self.ports.providers.get(job.provider)
        record = await self.ports.db.read(lambda c: calls.live(c, job.id))
        if provider is not None and record is not None:
            await provider.cancel(call_of(self.ports, provider, job, record))


async def _attempt(act: Callable[[], Awaitable[None]]) -> None:
    """Do what is done again in a moment anyway; an error that nobody foresaw is said."""
    try:
        with suppress(MediagenError):
            await act()
    except Exception:
        log.exception("worker.crashed")


def host_name() -> str:
    """Return this machine's name, without what would confuse a worker's name."""
    return socket.gethostname().replace(":", "-")[:64]
