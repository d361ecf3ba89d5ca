"""When the chores of the workers are due: canceled jobs to be ended, and calls to be settled without their jobs.

The product looks every second; here somebody looks when there is something to be found.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from random import Random

from mediagen.jobs.states import JobState
from proof.simulation.invariants import Checker
from proof.simulation.kernel import Kernel
from proof.simulation.workers import Worker

CANCEL_MS = 8_000
"""From the wish to cancel to the end of a job whose provider does not stop: the product's own default."""

_LOOK_MS = 1_000
_BEAT_MS = 5_000
_HELD_BY_PROVIDER = (JobState.SUBMITTING, JobState.RECONCILING, JobState.WAITING)


@dataclass(kw_only=True)
class Upkeep:
    """Lets some worker look after what is due, at most a second late."""

    kernel: Kernel
    rng: Random
    checker: Checker
    workers: Sequence[Worker]
    wall: Callable[[], int]
    over: Callable[[], bool]
    _at: int | None = None
    _looks: int = field(default=0)

    def clock_was_set(self) -> None:
        """Let the workers write a sign of life as always, by which they learn of it."""
        self.kernel.after(self.rng.randrange(_BEAT_MS), self._beat)

    def _beat(self) -> None:
        ready = [worker for worker in self.workers if worker.ready]
        for worker in ready:
            worker.beat()
        if not ready and not self.over():
            self.kernel.after(_BEAT_MS, self._beat)

    def committed(self) -> None:
        """Look when something is due."""
        due_in_ms = self._due_in_ms()
        if due_in_ms is not None:
            self._look_in(due_in_ms)

    def _due_in_ms(self) -> int | None:
        due = list(self.checker.unsettled.values())
        due += [
            job.cancel_requested_at + CANCEL_MS
            for job in self.checker.open.values()
            if job.cancel_requested_at is not None and job.state in _HELD_BY_PROVIDER
        ]
        return max(0, min(due) - self.wall()) if due else None

    def _look_in(self, ms: int) -> None:
        at = self.kernel.now + ms + self.rng.randrange(_LOOK_MS)
        if self._at is None or at < self._at:
            self._at = at
            self._looks += 1
            self.kernel.after(at - self.kernel.now, partial(self._look, self._looks))

    def _look(self, number: int) -> None:
        if number != self._looks:
            return
        self._at = None
        if self.over():
            return
        due_in_ms = self._due_in_ms()
        ready = [worker for worker in self.workers if worker.ready]
        if due_in_ms == 0 and ready:
            self.rng.choice(ready).attend()
        if due_in_ms is not None:
            self._look_in(max(due_in_ms, _LOOK_MS))
