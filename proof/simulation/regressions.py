"""Schedules that once broke a promise. With the bug they must break it again, and without it all is well.

A schedule that breaks a promise of the product itself is a bug of the product: mend it, seed the same bug as a
mutant, and let `--mutant NAME --keep` note the first schedule that notices it. Any change of the simulator makes
other schedules of the seeds; the tests tell then, and `--mutant all --keep` finds new ones.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from proof.simulation.faults import Level
from proof.simulation.invariants import Kind

FILE = Path(__file__).with_name("regressions.txt")
_HEAD = (
    "# bug, seed, fault level, and how it is noticed. Made by: python -m proof.simulation --mutant all --keep"
)


@dataclass(frozen=True, kw_only=True)
class Regression:
    """A seeded bug, and a schedule that notices it."""

    mutant: str
    seed: int
    level: Level
    kind: Kind

    def __str__(self) -> str:
        return f"{self.mutant:<18}{self.seed:>7}  {self.level:<8}{self.kind}"


def load() -> dict[str, Regression]:
    """Return what was kept, by bug."""
    lines = [line.split(maxsplit=3) for line in FILE.read_text().splitlines() if not line.startswith("#")]
    return {
        mutant: Regression(mutant=mutant, seed=int(seed), level=Level(level), kind=Kind(kind))
        for mutant, seed, level, kind in lines
    }


def keep(found: Mapping[str, Regression]) -> None:
    """Write them down in place of those of the same bugs that were kept before."""
    lines = [_HEAD, *(str(one) for one in {**load(), **found}.values())]
    FILE.write_text("\n".join(lines) + "\n")
