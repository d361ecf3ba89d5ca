"""Many schedules, in one process or several, and what they add up to."""

import multiprocessing
import time
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any

from proof.simulation.database import Store
from proof.simulation.faults import Level
from proof.simulation.invariants import Kind
from proof.simulation.mutants import applied
from proof.simulation.world import Result, simulate
from proof.table import Moves

CHUNK = 100
"""Schedules that a process takes at a time."""


@dataclass(frozen=True, kw_only=True)
class Task:
    """A stretch of seeds and how they are to be run."""

    first: int
    count: int
    level: Level
    mutant: str | None = None
    until_caught: bool = False  # stop at the first violation

    @property
    def seeds(self) -> range:
        return range(self.first, self.first + self.count)


@dataclass(kw_only=True)
class Totals:
    """Sums over schedules."""

    schedules: int = 0
    steps: int = 0
    faults: int = 0
    sales: int = 0
    virtual_ms: int = 0
    seconds: float = 0.0
    profiles: dict[str, int] = field(default_factory=dict)
    violated: list[Result] = field(default_factory=list)

    def add(self, result: Result) -> None:
        """Count one schedule."""
        self.schedules += 1
        self.steps += result.steps
        self.faults += result.faults
        self.sales += result.sales
        self.virtual_ms += result.virtual_ms
        self.profiles[result.profile] = self.profiles.get(result.profile, 0) + 1
        if result.violations:
            self.violated.append(result)

    def of(self, *kinds: Kind) -> int:
        """Count the schedules with a violation of these kinds."""
        return sum(any(v.kind in kinds for v in result.violations) for result in self.violated)

    @property
    def figures(self) -> dict[str, Any]:
        """Return all of it as plain data."""
        return {
            "schedules": self.schedules,
            "steps": self.steps,
            "faults": self.faults,
            "sales": self.sales,
            "virtual_hours": round(self.virtual_ms / 3_600_000, 1),
            **{kind.value.replace(" ", "_"): self.of(kind) for kind in Kind},
            "seconds": round(self.seconds, 1),
            "schedules_per_s": round(self.rate, 1),
            "profiles": self.profiles,
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


def run(task: Task, *, processes: int, moves: Moves | None = None) -> Totals:
    """Run all schedules of the task."""
    totals, begun = Totals(), time.monotonic()
    for results in _chunks(task, processes):
        for result in results:
            totals.add(result)
            if task.until_caught and result.violations:
                totals.seconds = time.monotonic() - begun
                return totals
        if moves is not None:
            moves(totals.schedules, task.count)
    totals.seconds = time.monotonic() - begun
    return totals


def _chunks(task: Task, processes: int) -> Iterator[Sequence[Result]]:
    pieces = [
        Task(
            first=first,
            count=min(CHUNK, task.first + task.count - first),
            level=task.level,
            mutant=task.mutant,
            until_caught=task.until_caught,
        )
        for first in range(task.first, task.first + task.count, CHUNK)
    ]
    if processes == 1:
        yield from (run_piece(piece) for piece in pieces)
    else:
        yield from _in_processes(pieces, processes)


def _in_processes(pieces: Iterable[Task], processes: int) -> Iterator[Sequence[Result]]:
    spawned = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(processes, mp_context=spawned) as pool:
        futures: list[Future[Sequence[Result]]] = [pool.submit(run_piece, piece) for piece in pieces]
        try:
            for future in as_completed(futures):
                yield future.result()
        finally:
            for future in futures:
                future.cancel()


def run_piece(task: Task) -> Sequence[Result]:
    """Run a stretch of seeds in this process."""
    results = []
    with applied(task.mutant), closing(Store()) as store:
        for seed in task.seeds:
            results.append(simulate(seed, store, level=task.level))
            if task.until_caught and results[-1].violations:
                break
    return results


def replay(seed: int, *, level: Level, mutant: str | None) -> Result:
    """Run one schedule again and write down all that happens in it."""
    with applied(mutant), closing(Store()) as store:
        return simulate(seed, store, level=level, traced=True)
