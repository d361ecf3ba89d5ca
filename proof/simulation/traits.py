"""What is peculiar in one schedule from its beginning to its end: the clocks, and what the seller shows."""

from dataclasses import dataclass
from random import Random
from typing import Self

from proof.simulation.faults import Fault, Faults

_OFF_MS = (-150_000, -120_000, -90_000, 90_000, 120_000, 150_000)
_JUMPS_MS = (-120_000, -40_000, 40_000, 120_000)
_CUT_MS = (500, 60_000, 900_000)
_OWN_OFF_MS = (-3_600_000, -600_000, -100_000, 100_000, 600_000, 3_600_000)


@dataclass(kw_only=True)
class Traits:
    """Drawn once; only the seller's clock may change later."""

    seller_off_ms: int
    own_off_ms: int  # of our wall clock, until it is corrected
    shows_markers: bool
    keeps_markers: bool  # on what has lost its input
    refuses_markers: bool
    sorts_by_date: bool  # its list, also where its clock was set
    list_cut_until: float = 0  # virtual ms; until then a page of the list leads to itself

    @classmethod
    def draw(cls, rng: Random, faults: Faults) -> Self:
        """Draw them for a schedule."""
        return cls(
            seller_off_ms=rng.choice(_OFF_MS) if faults.strikes(Fault.SELLER_CLOCK) else 0,
            own_off_ms=rng.choice(_OWN_OFF_MS) if faults.strikes(Fault.OWN_CLOCK_WRONG) else 0,
            shows_markers=not faults.strikes(Fault.MARKER_NOT_SHOWN),
            keeps_markers=rng.random() < 0.5,
            refuses_markers=faults.strikes(Fault.MARKER_REFUSED),
            sorts_by_date=rng.random() < 0.5,
        )

    def is_cut(self, rng: Random, faults: Faults, now: int) -> bool:
        """Tell whether the list can't be read to its end now."""
        if faults.strikes(Fault.LIST_CUT):
            self.list_cut_until = now + rng.choice(_CUT_MS)
        return now < self.list_cut_until

    def disturb(self, rng: Random) -> None:
        """Let the seller's clock jump."""
        self.seller_off_ms += rng.choice(_JUMPS_MS)
