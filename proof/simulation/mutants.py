"""All seeded bugs. The simulator must notice each within its schedules."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from proof.simulation.evidence_bugs import EVIDENCE_BUGS
from proof.simulation.mutant import Mutant, swapped
from proof.simulation.protocol_bugs import PROTOCOL_BUGS

MUTANTS: Mapping[str, Mutant] = {mutant.name: mutant for mutant in (*PROTOCOL_BUGS, *EVIDENCE_BUGS)}


@contextmanager
def applied(name: str | None) -> Iterator[None]:
    """Let the product have the bug for as long as the context lasts; None is the product as it is."""
    with swapped(MUTANTS[name].swaps if name else ()):
        yield
