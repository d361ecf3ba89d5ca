"""Many schedules, in one process or several, and what they add up to."""

import gc
import math
import multiprocessing
import signal
import time
from collections import Counter
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from contextlib import closing
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

from proof.simulation.database import Store
from proof.simulation.faults import Fault, Level
from proof.simulation.invariants import Kind
from proof.simulation.mutants import applied
from proof.simulation.result import Result
from proof.simulation.world import simulate

STRETCH = 100
"""Schedules that a process takes at a time."""


@dataclass(frozen=True, kw_only=True)
class Task:
    """A stretch of seeds and how they are to be run."""

    first: int
    count: int
    level: Level
    mutant: str | None = None
    only: frozenset[Fault] | None = None  # no other faults than these
    until_caught: bool = False  # stop at the first violation

    @property
    def seeds(self) -> range:
        return range(self.first, self.first + self.count)


@dataclass(kw_only=True)
class Totals:
    """Sums over schedules."""

    schedules: int = 0
    steps: int = 0
    sales: int = 0
    virtual_ms: int = 0
    seconds: float = 0.0
    profiles: Counter[str] = field(default_factory=Counter)
    struck: Counter[Fault] = field(default_factory=Counter)
    ends: Counter[str] = field(default_factory=Counter)
    violated: list[Result] = field(default_factory=list)

    def add(self, result: Result) -> None:
        """Count one schedule."""
        self.schedules += 1
        self.steps += result.steps
        self.sales += result.sales
        self.virtual_ms += result.virtual_ms
        self.profiles[result.profile] += 1
        self.struck.update(result.struck)
        self.ends.update(result.ends)
        if result.violations:
            self.violated.append(result)

    def merge(self, other: "Totals") -> None:
        """Count the schedules of another stretch, too."""
        self.schedules += other.schedules
        self.steps += other.steps
        self.sales += other.sales
        self.virtual_ms += other.virtual_ms
        self.profiles.update(other.profiles)
        self.struck.update(other.struck)
        self.ends.update(other.ends)
        self.violated += other.violated

    def of(self, *kinds: Kind) -> int:
        """Count the schedules with a violation of these kinds."""
        return sum(any(v.kind in kinds for v in result.violations) for result in self.violated)

    @property
    def figures(self) -> dict[str, Any]:
        """Return all of it as plain data."""
        return {
            "schedules": self.schedules,
            "steps": self.steps,
            "faults": self.struck.total(),
            "sales": self.sales,
            "virtual_hours": round(self.virtual_ms / 3_600_000, 1),
            **{kind.value.replace(" ", "_"): self.of(kind) for kind in Kind},
            "seconds": round(self.seconds, 1),
            "schedules_per_s": round(self.rate, 1),
            "profiles": self.profiles,
            "ends": self.ends,
            "struck": {fault.name.lower(): self.struck[fault] for fault in Fault},
            "violations": [
                {"seed": result.seed, "profile": result.profile, "kind": v.kind.value, "what": v.what}
                for result in self.violated
                for v in result.violations
            ],
        }

    @property
    def rate(self) -> float:
        """Return schedules per second."""
        return self.schedules / self.seconds if self.seconds else 0.0


def run(
    task: Task, *, processes: int, most_s: float = math.inf, moves: Callable[[int], None] = lambda _: None
) -> Totals:
    """Run the schedules of the task, as many of them as begin in time."""
    totals, begun = Totals(), time.monotonic()
    with closing(_stretches(task, processes)) as stretches:
        for stretch in stretches:
            totals.merge(stretch)
            totals.seconds = time.monotonic() - begun
            moves(totals.schedules)
            if totals.seconds >= most_s or (task.until_caught and totals.violated):
                break
    return totals


def run_each(tasks: Sequence[Task], *, processes: int) -> Iterator[Totals]:
    """Run tasks side by side; yield what they add up to, in their order."""
    with _pool(processes) as pool:
        yield from pool.map(partial(run, processes=1), tasks)


def _stretches(task: Task, processes: int) -> Generator[Totals, None, None]:
    starts = range(task.first, task.first + task.count, STRETCH)
    pieces = [replace(task, first=at, count=min(STRETCH, task.seeds.stop - at)) for at in starts]
    if processes == 1:
        yield from map(run_stretch, pieces)
        return
    with _pool(processes) as pool:
        try:
            for stretch in as_completed([pool.submit(run_stretch, piece) for piece in pieces]):
                yield stretch.result()
        finally:
            pool.shutdown(cancel_futures=True)


def _pool(processes: int) -> ProcessPoolExecutor:
    return ProcessPoolExecutor(
        processes,
        mp_context=multiprocessing.get_context("spawn"),
        initializer=signal.signal,  # of the terminal's signal to all of us only the first takes note
        initargs=(signal.SIGINT, signal.SIG_IGN),
    )


def run_stretch(task: Task) -> Totals:
    """Run a stretch of seeds in this process."""
    totals = Totals()
    gc.disable()  # a schedule is small, and dropped whole
    try:
        with applied(task.mutant), closing(Store()) as store:
            for seed in task.seeds:
                totals.add(simulate(seed, store, level=task.level, only=task.only))
                if task.until_caught and totals.violated:
                    break
    finally:
        gc.enable()
    return totals


def replay(seed: int, *, level: Level, mutant: str | None, only: frozenset[Fault] | None = None) -> Result:
    """Run one schedule again and write down all that happens in it."""
    with applied(mutant), closing(Store()) as store:
        return simulate(seed, store, level=level, only=only, traced=True)
