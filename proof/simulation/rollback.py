"""A backup is put back: the database is as it was some seconds ago, and nobody at work knows it.

What was accepted since is lost. For the jobs that the copy has, nothing may be bought again that was bought since.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from random import Random

from proof.simulation.database import Store
from proof.simulation.faults import Fault, Faults
from proof.simulation.invariants import Checker
from proof.simulation.kernel import Kernel
from proof.simulation.workers import Worker

_AGES_MS = (500, 3_000, 10_000, 40_000)
_AWAY_MS = 10_000
"""The installation is stopped for longer than a create may be on its way, and a prediction be listed late."""

_BLINDING = (Fault.LIST_CUT, Fault.LIST_UNREADABLE_ENTRY, Fault.INPUT_REMOVED)
"""What keeps the list from showing what was bought; nothing else knows it then."""


@dataclass(kw_only=True)
class Rollback:
    """Takes a copy at some time, and puts it back a little later."""

    kernel: Kernel
    rng: Random
    faults: Faults
    store: Store
    checker: Checker
    workers: Sequence[Worker]
    tell: Callable[[str, str], None]
    changed: Callable[[], None]  # look at the database anew

    def may_come(self, *, is_shown: bool) -> None:
        """Let it happen in schedules in which the provider shows whose its predictions are."""
        if is_shown:
            self.kernel.after(self.rng.randrange(30_000), self._copy)
        else:
            self.faults.never(Fault.ROLLBACK)

    def _copy(self) -> None:
        if any(self.faults.struck[fault] for fault in _BLINDING) or not self.faults.strikes(Fault.ROLLBACK):
            return
        self.faults.never(*_BLINDING)
        rows = self.store.copy()
        self.kernel.after(self.rng.choice(_AGES_MS), lambda: self._put_back(rows))

    def _put_back(self, rows: dict[str, list[tuple[object, ...]]]) -> None:
        self.tell("operator", "puts an older copy of the database back")
        for worker in self.workers:
            worker.die(back_in_ms=_AWAY_MS)
        self.store.put_back(rows)
        self.checker.rebase()
        self.changed()
