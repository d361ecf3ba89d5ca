"""One schedule: builds its world from a seed, lets it run, and says what was violated."""

from collections import Counter
from collections.abc import Collection
from functools import partial
from itertools import count
from random import Random

from mediagen.jobs.gates import GatePolicy
from mediagen.jobs.retry import Backoff
from mediagen.jobs.states import JobState
from mediagen.providers import Registry
from mediagen.providers.markers import Marker
from mediagen.worker.ports import Marks, Ports, Timing
from proof.simulation.audit import Audit, Happened
from proof.simulation.book import Book
from proof.simulation.clocks import SimClock
from proof.simulation.database import SimDatabase, Store
from proof.simulation.faults import UNTELLABLE, Fault, Faults, Level
from proof.simulation.invariants import Checker, Kind, shorten
from proof.simulation.keeper import Files, SimKeeper
from proof.simulation.kernel import Kernel, Task
from proof.simulation.names import INSTALLATION, shorten_ids
from proof.simulation.outside import Outside
from proof.simulation.profiles import draw_profile
from proof.simulation.provider import SimProvider, look
from proof.simulation.result import Result, Traced
from proof.simulation.rollback import Rollback
from proof.simulation.seller import Ledgers, Seller
from proof.simulation.traits import Traits
from proof.simulation.upkeep import Upkeep
from proof.simulation.wall import Wall
from proof.simulation.workers import Surroundings, Worker

JOBS, WORKERS = (1, 1, 2, 3), 3
TIMEOUT_S = 60.0
HORIZON_MS = 24 * 3_600_000
"""Every job ends within this: the faults stop after 10 minutes, but what kills its workers rests for hours."""

MOST_STEPS = 30_000
_LINGER_MS = 130_000
"""Within it every answer and callback has come that is on its way."""

_POLL_MS = 5_000
_LULLS_MS = (0, 300, 2_000)
"""Pauses before a look for work: none lets every ring be a claim of one job, long ones claim jobs together."""


class World:
    """All of one schedule."""

    def __init__(
        self,
        seed: int,
        store: Store,
        *,
        level: Level = Level.MIXED,
        only: Collection[Fault] | None = None,
        traced: bool = False,
    ) -> None:
        self._seed = seed
        self._trace: list[Traced] | None = [] if traced else None
        self._rng = rng = Random(seed)
        self._kernel = Kernel(rng)
        self._faults = Faults(rng, level, lambda: self._kernel.now, only)
        self._faults.told = lambda fault: self._tell("fault", fault.value)
        self._profile = draw_profile(rng)
        self._traits = Traits.draw(rng, self._faults)
        self._wall = Wall(
            kernel=self._kernel,
            rng=rng,
            faults=self._faults,
            traits=self._traits,
            tell=self._tell,
            moved=lambda: self._upkeep.clock_was_set(),
            over=lambda: self._over,
        )
        self._stood_still_ms: Counter[str] = Counter()  # by process
        self._lull_ms = rng.choice(_LULLS_MS)
        self._numbers = count(1)
        self._deadly: dict[str, int] = {}
        # Whether what the provider shows, or calls back with, names the call.
        self._marked = self._profile.marks and not self._traits.refuses_markers
        self._marked &= self._traits.shows_markers or not self._profile.asks
        if self._profile.asks and not (self._marked and self._traits.keeps_markers):
            self._faults.not_with(*UNTELLABLE)
        self._store = store
        self._book = Book()
        self._changed_at = 0
        self._bell: int | None = None  # when some worker looks for work next
        self._rings = 0
        self._shut_until = 0  # virtual ms
        store.reset(self._clock())
        self._checker = Checker(
            store=store,
            book=self._book,
            profile=self._profile,
            now=lambda: self._kernel.now,
            stop=self._stop,
            tell=self._tell,
            lost_an_answer=self._lost_an_answer,
            suspended=lambda: self._stood_still_ms.total() > 0,
            marked=self._marked,
        )
        self._build()

    def _build(self) -> None:
        self._files = Files(self._kernel, self._faults, self._rng.choice)
        self._seller = Seller(
            kernel=self._kernel,
            rng=self._rng,
            faults=self._faults,
            profile=self._profile,
            book=self._book,
            traits=self._traits,
            ledgers=Ledgers(
                job_of=self._checker.job_of.get,
                sold=self._checker.sold,
                ring=lambda marker, ref: self._outside.hook(marker, ref),
                tell=self._tell,
            ),
        )
        self._outside = Outside(
            kernel=self._kernel,
            rng=self._rng,
            faults=self._faults,
            store=self._store,
            db=self._database("api"),
            ring=self._ring,
            tell=self._tell,
            wall=self._wall.now,
            over=lambda: self._over,
            unrecovered=lambda: () if any(worker.recovered for worker in self._workers) else ("sim",),
            existed=lambda job_id: job_id in self._checker.existed,
        )
        policy = GatePolicy(
            creates_per_s=self._rng.choice((1000.0, 1000.0, 1000.0, 1.0)),
            max_in_flight=self._rng.choice((None, None, 1, 2)),
        )
        around = Surroundings(
            kernel=self._kernel,
            rng=self._rng,
            faults=self._faults,
            deadly=self._deadly,
            policies={"sim": policy},
            ports=self._ports,
            wished=lambda job_id: self._checker.jobs[job_id].cancel_requested_at is not None,
            ring=self._ring,
            shut=self._shut,
            crashed=self._crashed,
            tell=self._tell,
        )
        self._workers = [Worker(number, around) for number in range(1, WORKERS + 1)]
        self._upkeep = Upkeep(
            kernel=self._kernel,
            rng=self._rng,
            checker=self._checker,
            workers=self._workers,
            wall=self._wall.now,
            over=lambda: self._over,
        )
        self._rollback = Rollback(
            kernel=self._kernel,
            rng=self._rng,
            faults=self._faults,
            store=self._store,
            checker=self._checker,
            workers=self._workers,
            tell=self._tell,
            changed=lambda: self._committed("operator"),
        )
        self._kernel.interferes = self._interferes
        self._kernel.crashed = self._crashed

    # ------------------------------------------------------------------------------------------ run

    def run(self) -> Result:
        """Let it happen, then audit."""
        twins = self._profile.asks and not (self._marked or self._profile.rings)
        twins = twins and self._rng.random() < 0.5
        self._tell("world", f"seed {self._seed}: {self._profile.name}{', twins' if twins else ''}")
        self._outside.open(2 if twins else self._rng.choice(JOBS), twins=twins)
        self._wall.run()
        self._rollback.may_come(is_shown=self._profile.asks and self._marked)
        self._kernel.run(until_ms=HORIZON_MS, most_steps=MOST_STEPS)
        self._conclude()
        self._kernel.close()
        return Result(
            seed=self._seed,
            profile=self._profile.name,
            steps=self._kernel.steps,
            struck=dict(self._faults.struck),
            ends=Counter(job.state for job in self._checker.jobs.values()),
            virtual_ms=self._kernel.now,
            sales=len(self._book.sales),
            violations=tuple(self._checker.violations),
            trace=tuple(self._trace or ()),
        )

    def _conclude(self) -> None:
        if self._checker.violations:
            return
        if self._kernel.steps >= MOST_STEPS:
            self._checker.violated(Kind.STUCK, f"no end after {MOST_STEPS} steps")
            return
        Audit(
            checker=self._checker,
            store=self._store,
            book=self._book,
            profile=self._profile,
            happened=Happened(
                now=self._kernel.now,
                missed_a_step=self._wall.missed,
                deadly=self._deadly,
                refused=self._seller.refused,
                struck=self._faults.struck,
                timeout_ms=int(TIMEOUT_S * 1000),
                kept=self._files.kept,
            ),
        ).run()

    def _stop(self) -> None:
        self._kernel.stopped = True

    @property
    def _over(self) -> bool:
        return self._outside.to_come == 0 and not self._checker.open and not self._checker.unsettled

    # ------------------------------------------------------------------------------------------ parts

    def _ports(self, name: str) -> Ports:
        clock, db = self._clock(name), self._database(name)
        provider = SimProvider(
            seller=self._seller,
            book=self._book,
            profile=self._profile,
            faults=self._faults,
            clock=clock,
            delay=self._delay,
            suspend=partial(self._suspend, name),
        )
        return Ports(
            db=db,
            clock=clock,
            providers=Registry([provider]),
            keeper=SimKeeper(self._files, db, self._delay),
            look=look,
            backoff=Backoff(base_s=2.0),
            timing=Timing(job_timeout_s=TIMEOUT_S, grace_s=30.0, queue_s=120.0),
            marks=Marks(
                installation=INSTALLATION,
                address=self._address,
                heard=self._profile.rings,
            ),
        )

    def _address(self, provider: str, marker: Marker) -> str | None:
        return f"https://ours.example/hooks/{provider}/token/{marker}" if self._profile.marks else None

    def _clock(self, who: str = "") -> SimClock:
        return SimClock(
            kernel=self._kernel,
            rng=self._rng,
            wall=self._wall.now,
            numbers=self._numbers,
            stood_still_ms=lambda: self._stood_still_ms[who],
        )

    def _suspend(self, who: str) -> None:
        for worker in self._workers:
            if worker.name == who:
                self._stood_still_ms[who] += worker.suspend()

    def _database(self, who: str) -> SimDatabase:
        clock, begins = self._clock(who), lambda: self._wall.process_begins(self._changed_at)
        return SimDatabase(self._store, self._faults, self._delay, self._committed, who, clock, begins)

    def _delay(self) -> int:
        """Return how long a process takes from one step to the next: next to nothing, or unpleasantly long."""
        if self._faults.strikes(Fault.SLOW):
            return self._rng.choice((100, 1_500, 4_000, 7_000, 40_000))
        return self._rng.randrange(4)

    # ------------------------------------------------------------------------------------------ events

    def _committed(self, who: str) -> None:
        self._changed_at = self._kernel.now
        self._checker.committed(who)
        if self._over:
            self._kernel.after(_LINGER_MS, self._end)
            return
        due_in_ms = self._due_in_ms()
        if due_in_ms is not None:
            self._ring(due_in_ms)
        self._upkeep.committed()

    def _end(self) -> None:
        """End the workers when nothing more is to be done, nor was since: what is late has come."""
        if not self._over or self._kernel.now < self._changed_at + _LINGER_MS:
            return
        asleep_ms = max(worker.host.frozen_until for worker in self._workers) - self._kernel.now
        if asleep_ms > 0:  # it goes on where it was
            self._kernel.after(asleep_ms + _LINGER_MS, self._end)
            return
        for worker in self._workers:
            worker.stop()

    def _due_in_ms(self) -> int | None:
        """Return when a worker may find work; None when there is none."""
        shut_until = self._wall.now() - self._kernel.now + self._shut_until
        due = [
            max(job.due, shut_until) if job.state == JobState.QUEUED else job.due
            for job in self._checker.open.values()
        ]
        return max(0, min(due) - self._wall.now()) if due else None

    def _shut(self, ms: int) -> None:
        """Note that nothing queued can be started for a while, whatever rings; looks at it are spared."""
        self._shut_until = self._kernel.now + ms
        self._ring(ms)

    def _ring(self, in_ms: int) -> None:
        """Let some worker look for work, so much later or when it looks by itself."""
        late_ms = self._rng.randrange(_POLL_MS) if self._faults.strikes(Fault.BELL_LOST) else self._lull_ms
        at = self._kernel.now + max(0, in_ms) + late_ms
        if self._bell is None or at < self._bell:
            self._bell = at
            self._rings += 1
            self._kernel.after(at - self._kernel.now, partial(self._rung, self._rings))

    def _rung(self, number: int) -> None:
        if number != self._rings:
            return
        self._bell = None
        if self._over:
            return
        due_in_ms = self._due_in_ms()
        if due_in_ms != 0:  # most looks would find nothing, and they cost more than all else
            if due_in_ms is not None:
                self._ring(due_in_ms)
            return
        ready = [worker for worker in self._workers if worker.ready]
        if not ready:
            self._ring(1_000)
            return
        self._rng.choice(ready).look()
        if self._faults.strikes(Fault.BELL_TWICE):
            self._rng.choice(ready).look()

    def _interferes(self, task: Task) -> bool:
        """Let the process of a task die or freeze before its next step."""
        for worker in self._workers:
            if worker.host is task.host:
                return self._strikes_down(worker, task)
        return False

    def _strikes_down(self, worker: Worker, task: Task) -> bool:
        if self._faults.strikes(Fault.CRASH):
            worker.die()
            return True
        if self._faults.strikes(Fault.FREEZE):
            worker.freeze()
            task.wake_in(0)
            self._mistake(worker)
            return True
        return False

    def _mistake(self, frozen: Worker) -> None:
        others = [worker for worker in self._workers if worker.ready]
        if others and self._faults.strikes(Fault.TAKEN_FOR_DEAD):
            self._rng.choice(others).rescue(frozen.name)

    def _lost_an_answer(self, job_id: str) -> None:
        """Strike where it hurts: while a create may still be on its way and its job waits to be looked for."""
        self._kernel.after(self._rng.randrange(4_000), self._wall.correct)
        in_ms = self._rng.randrange(2_000)
        if self._faults.strikes(Fault.CANCEL):
            self._kernel.after(in_ms, partial(self._outside.cancel, job_id))
        elif self._faults.strikes(Fault.CLOCK_JUMP):
            self._kernel.after(in_ms, self._wall.jump)

    def _crashed(self, where: str, error: Exception) -> None:
        self._checker.violated(Kind.CRASH, f"{where}: {shorten(error)}")

    def _tell(self, actor: str, action: str) -> None:
        if self._trace is not None:
            self._trace.append(Traced(at=self._kernel.now, actor=actor, action=shorten_ids(action)))


def simulate(
    seed: int,
    store: Store,
    *,
    level: Level = Level.MIXED,
    only: Collection[Fault] | None = None,
    traced: bool = False,
) -> Result:
    """Run the schedule of a seed."""
    return World(seed, store, level=level, only=only, traced=traced).run()
