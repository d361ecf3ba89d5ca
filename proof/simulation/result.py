"""What became of one schedule."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from proof.simulation.faults import Fault
from proof.simulation.invariants import Violation


@dataclass(frozen=True, kw_only=True)
class Traced:
    """One line of a trace."""

    at: int
    actor: str
    action: str

    def __str__(self) -> str:
        return f"{self.at / 1000:>10.3f} s  {self.actor:<9} {self.action}"


@dataclass(frozen=True, kw_only=True)
class Result:
    """What became of one schedule."""

    seed: int
    profile: str
    steps: int
    struck: Mapping[Fault, int]  # how often each fault happened
    ends: Mapping[str, int]  # how many jobs ended in which state
    virtual_ms: int
    sales: int
    violations: Sequence[Violation]
    trace: Sequence[Traced] = field(default=(), repr=False)
